"""The run folder `checkpoints/<name>/`: its files, its lock, and when the next save is due."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, SoftFileLock, Timeout

from nnzoo import atomic_io
from nnzoo.config import RunConfig, yaml_parser
from nnzoo.config.formatting import to_json, to_yaml
from nnzoo.config.options import parse_duration
from nnzoo.errors import CheckpointError, DamagedError
from nnzoo.plain_files import MAX_METRICS, parse_rows, read_plain
from nnzoo.runs import checkpoint
from nnzoo.runs.archive import OLD_RUN, archive_run, files_of_run
from nnzoo.training.trainer import Trainer


@dataclass(frozen=True)
class Folder:
    """`checkpoints/<name>/`."""

    path: Path

    @property
    def last(self) -> Path:
        return self.path / "last.pt"

    @property
    def previous(self) -> Path:
        """The checkpoint before last.pt, for when that is damaged."""
        return self.path / "previous.pt"

    @property
    def best(self) -> Path:
        return self.path / "best.pt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def result(self) -> Path:
        """How the run ended, for those who list runs: they read no checkpoint."""
        return self.path / "result.json"

    @property
    def holds_run(self) -> bool:
        """Whether there are weights that starting new would lose."""
        return any(path.exists() for path in (self.last, self.previous, self.best))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of a run that `archive` would move."""
        return not self.path.exists() or files_of_run(self.path) <= {".lock"}

    @property
    def damaged(self) -> Path:
        """Where a damaged last.pt is kept."""
        return self.path / "damaged.pt"

    @property
    def damaged_metrics(self) -> Path:
        """Where a metrics.jsonl with lines that cannot be read is kept."""
        return self.path / "metrics.damaged.jsonl"

    def load(self) -> tuple[dict[str, Any], str]:
        """The newest checkpoint that is whole, and a note where that is not last.pt.

        Raises CheckpointError where none is.
        """
        try:
            return checkpoint.load(self.last), ""
        except CheckpointError as error:
            # A file that is whole, but cannot be read here, is not to be overwritten.
            if self.last.exists() and not isinstance(error, DamagedError):
                raise
            try:
                content = checkpoint.load(self.previous)
            except CheckpointError:
                raise CheckpointError(
                    f"{error}; nothing to resume: --fresh starts over and keeps {self.path} under another name"
                ) from None
            return content, f"{error}; going back to {self.previous}"

    def archive_damaged(self) -> None:
        """Take a last.pt that `load` found damaged out of the way: else the next save would make it
        the previous one, which is all there is."""
        try:
            if self.last.exists():
                os.replace(self.last, self.damaged)
        except OSError as error:
            raise CheckpointError(f"cannot set {self.last} aside: {error.strerror}") from None

    def acquire(self, lock: FileLock, wait: float = 0) -> None:
        """Make the folder and hold its lock, which a crash releases; raises CheckpointError where
        another process holds it for longer than `wait` seconds."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a disk without locks, see below
                # Not at once: `nnzoo runs` holds it for an instant to see whether another does.
                lock.acquire(timeout=max(wait, 0.2), poll_interval=0.02)
        except Timeout:
            # Where a disk has no locks, the file itself is the lock, and stays where a run is killed.
            left = f"; if none is, a killed one has left {lock.lock_file}: remove it"
            raise CheckpointError(
                f"another process is training in {self.path}; wait for it, or give this run "
                f"another name{left if isinstance(lock, SoftFileLock) else ''}"
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"cannot write to {self.path}: {error.strerror}; choose another folder with --out"
            ) from None

    def check_writable(self) -> None:
        """Raise CheckpointError where `acquire` would, without a change on disk."""
        folder = self.path
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise CheckpointError(f"cannot write to {self.path}; choose another folder with --out")

    def archive(self) -> Path:
        """Move the run out of the way; returns its new path. A study of the same name stays."""
        try:
            return archive_run(self.path)
        except OSError as error:
            raise CheckpointError(f"cannot set {self.path} aside: {error.strerror}") from None

    def finish_archive(self, lock: FileLock) -> list[str]:
        """Finish a `archive` that a crash has cut short; a note where there was one."""
        if not os.path.lexists(self.path / OLD_RUN):
            return []
        self.acquire(lock)
        try:
            if not os.path.lexists(self.path / OLD_RUN):  # another process was faster
                return []
            return [
                f"an interrupted --fresh is finished: the old run was moved to {self.archive()}"
            ]
        finally:
            lock.release()

    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl that are whole."""
        return parse_rows(self._metrics_data())[0]

    def _metrics_data(self) -> bytes:
        try:
            return read_plain(self.metrics, MAX_METRICS)
        except OSError:
            return b""

    def truncate_metrics(self, epoch: int) -> str:
        """Drop the lines of epochs after `epoch`, which will be written again. Gives a note where there
        were lines that cannot be read: the file as it was is kept beside it."""
        data = self._metrics_data()
        rows, bad = parse_rows(data)
        if bad:
            atomic_io.write(self.damaged_metrics, data)
        kept = [row for row in rows if row["epoch"] <= epoch]
        atomic_io.write(self.metrics, "".join(to_json(row) + "\n" for row in kept).encode())
        if not bad:
            return ""
        count = f"{len(bad):,} lines" if len(bad) > 1 else "a line"
        return (
            f"{self.metrics}: {count} cannot be read (line {bad[0]:,}); left out, and the file as it "
            f"was is kept as {self.damaged_metrics.name}"
        )

    def append_metrics(self, row: dict[str, Any]) -> None:
        atomic_io.append(self.metrics, f"{to_json(row)}\n".encode())

    def sync_metrics(self) -> None:
        """Before a checkpoint: it must not outlive the lines of its epochs."""
        if self.metrics.exists():
            atomic_io.sync(self.metrics)

    def environment(self) -> dict[str, Any]:
        """What config.yaml records beside the configuration; empty where it cannot be read."""
        try:
            text = read_plain(self.config, yaml_parser.MAX_BYTES + 1)
            environment = yaml_parser.parse_yaml(text, "config.yaml").value["environment"]
        except (OSError, ValueError, LookupError, TypeError):
            return {}
        return environment if isinstance(environment, dict) else {}

    def was_started_by(self, launch: str) -> bool:
        """Whether config.yaml says that this launch of torchrun has trained here."""
        environment = self.environment()
        return "launch" in environment and str(environment["launch"]) == launch

    def write_result(
        self, state: Literal["complete", "diverged"], trainer: Trainer, best: dict[str, Any],
        test: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        """best: `Run.best`; test: the metrics of the test rows, of which the single numbers are kept."""
        numbers = {
            name: value for name, value in (test or {}).items() if type(value) in (int, float)
        }
        ended = {"state": state, "epoch": trainer.epoch, "step": trainer.step, "best": best}
        atomic_io.write(self.result, f"{to_json(ended | {'test': numbers})}\n".encode())

    def write_config(self, config: RunConfig, environment: dict[str, Any]) -> None:
        tree = config.to_dict() | {"environment": environment}
        head = "# Written by nnzoo: every value of this run, defaults and 'auto' filled in.\n"
        atomic_io.write(self.config, (head + to_yaml(tree)).encode())


# Seconds, against the start of a process.
CHEAP = 0.05


class SaveSchedule:
    """When the next checkpoint is due, by `train.save_every`."""

    def __init__(self, duration: str, trainer: Trainer) -> None:
        self.number, self.unit = parse_duration(duration)
        self.trainer = trainer
        self.last = self.now()
        # Until a first one has been timed: weights, best weights and the optimizer's two averages.
        size = sum(p.numel() * p.itemsize for p in trainer.parameters)
        self.cost = 0.005 + 4 * size / 200e6

    def now(self) -> float:
        if self.unit in ("s", "%"):
            return time.monotonic()
        if self.unit == "step":
            return self.trainer.step
        # Behind the last step the epoch is not over yet: its end is a better place to save.
        groups = len(self.trainer.step_sizes)
        return self.trainer.epoch + self.trainer.step_in_epoch % groups / groups

    def due(self) -> bool:
        if self.unit == "%":
            # Where it costs next to nothing, there is something to go back to after one epoch.
            first = (
                self.trainer.epoch == 1 and self.trainer.step_in_epoch == 0 and self.cost < CHEAP
            )
            return first or (self.now() - self.last) * self.number / 100 >= self.cost
        # Fractions of an epoch are rounded to steps: half a step is neither here nor there.
        slack = 0.5 / len(self.trainer.step_sizes) if self.unit == "epoch" else 0.0
        return self.now() - self.last >= self.number - slack

    def saved(self, seconds: float) -> None:
        """A checkpoint was written, which took so long."""
        self.last, self.cost = self.now(), seconds
