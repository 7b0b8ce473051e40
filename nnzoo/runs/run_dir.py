"""The run folder `checkpoints/<name>/`: its files, its lock, and when the next save is due."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, SoftFileLock, Timeout

from nnzoo import file_io
from nnzoo.config import RunConfig, yaml_parser
from nnzoo.config.formatting import to_json, to_yaml
from nnzoo.errors import CheckpointError, DamagedError
from nnzoo.file_io import MAX_METRICS, parse_json, parse_rows, read_plain
from nnzoo.runs import checkpoint
from nnzoo.text import Note, labeled, shorten

if TYPE_CHECKING:
    from nnzoo.evaluation.baselines.budget import RunTime

# Limits of the notes on the data in config.yaml: their number, and characters of each.
MAX_NOTES, MAX_NOTE = 50, 400


@dataclass(frozen=True)
class RunDir:
    """The folder of a run, `checkpoints/<name>/`: its files, its lock, archives of earlier runs."""

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
        """How the run ended, for listings of runs, which read no checkpoint."""
        return self.path / "result.json"

    @property
    def warnings(self) -> Path:
        """The findings of training, one per line."""
        return self.path / "warnings.jsonl"

    @property
    def progress(self) -> Path:
        """The step that training is at; only while it runs."""
        return self.path / "progress.json"

    @property
    def history(self) -> Path:
        """The folder of the weights after chosen epochs (`nnzoo.runs.history`)."""
        return self.path / "history"

    @property
    def holds_run(self) -> bool:
        """Whether there are weights, which starting over would lose."""
        return any(path.exists() for path in (self.last, self.previous, self.best))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of a run that `archive` would move."""
        return not self.path.exists() or files_of_run(self.path) <= {".lock"}

    @property
    def damaged(self) -> Path:
        """A damaged last.pt that was kept."""
        return self.path / "damaged.pt"

    def load(self) -> tuple[dict[str, Any], str]:
        """The newest checkpoint that is whole, and a note if that is not last.pt.

        Raises CheckpointError if none is.
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
                    f"{error}; nothing to resume: --fresh starts over and keeps {self.path} under another name",
                    code="E66",
                ) from None
            return content, f"{error}; going back to {self.previous}"

    def best_content(self) -> dict[str, Any]:
        """The content of best.pt; empty if it is missing or damaged."""
        try:
            return checkpoint.load(self.best)
        except CheckpointError:
            return {}

    def best_epoch(self) -> int | None:
        """The epoch of the weights in best.pt; None if it is missing or damaged."""
        return self.best_content().get("epoch")

    def archive_damaged(self) -> None:
        """Rename a last.pt that `load` found damaged, so that the next save does not replace the only intact
        checkpoint, previous.pt, by it."""
        try:
            if self.last.exists():
                os.replace(self.last, self.damaged)
        except OSError as error:
            raise CheckpointError(
                f"cannot set {self.last} aside: {error.strerror}", code="E68"
            ) from None

    def acquire(self, lock: FileLock, wait: float = 0) -> None:
        """Make the folder and hold its lock, which a crash releases; raises CheckpointError if
        another process holds it for longer than `wait` seconds."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a disk without locks, see below
                # Not at once: `nnzoo runs` holds it for an instant to see whether another does.
                lock.acquire(timeout=max(wait, 0.2), poll_interval=0.02)
        except Timeout:
            # On a disk without locks the file itself is the lock, and a killed run leaves it.
            left = f"; if none is, a killed one has left {lock.lock_file}: remove it"
            raise CheckpointError(
                f"another process is training in {self.path}; wait for it, or give this run "
                f"another name{left if isinstance(lock, SoftFileLock) else ''}",
                code="E63",
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"cannot write to {self.path}: {error.strerror}; choose another folder with --out",
                code="E68",
            ) from None

    def check_writable(self) -> None:
        """Raise CheckpointError if `acquire` would, without a change on disk."""
        folder = self.path
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise CheckpointError(
                f"cannot write to {self.path}; choose another folder with --out", code="E68"
            )

    def archive(self) -> Path:
        """Move the run out of the way; returns its new path. A study of the same name stays."""
        try:
            return archive_run(self.path)
        except OSError as error:
            raise CheckpointError(
                f"cannot set {self.path} aside: {error.strerror}", code="E68"
            ) from None

    def finish_archive(self, lock: FileLock) -> list[str]:
        """Finish a `archive` that a crash has cut short; a note if there was one."""
        if not os.path.lexists(self.path / OLD_RUN):
            return []
        self.acquire(lock)
        try:
            if not os.path.lexists(self.path / OLD_RUN):  # another process was faster
                return []
            text = f"an interrupted --fresh is finished: the old run was moved to {self.archive()}"
            return [Note("N32", text)]
        finally:
            lock.release()

    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl that are whole."""
        return parse_rows(_content(self.metrics))[0]

    def findings(self) -> list[dict[str, Any]]:
        """The lines of warnings.jsonl that are whole."""
        return parse_rows(_content(self.warnings))[0]

    def remove_progress(self) -> None:
        """Remove progress.json, and what a kill has left of writing it."""
        for path in (self.progress, self.progress.with_name(f"{self.progress.name}.tmp")):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def truncate(self, epoch: int) -> list[str]:
        """Drop the lines of epochs after `epoch`, which will be written again, from metrics.jsonl and
        warnings.jsonl. Returns notes on lines that cannot be read: the file as it was is kept beside it."""
        files = [self.metrics] + [self.warnings] * os.path.lexists(self.warnings)
        return [note for path in files if (note := _truncate(path, epoch))]

    def append_metrics(self, row: dict[str, Any]) -> None:
        file_io.append(self.metrics, f"{to_json(row)}\n".encode())

    def sync_metrics(self) -> None:
        """Before a checkpoint: it must not outlive the lines of its epochs."""
        if self.metrics.exists():
            file_io.sync(self.metrics)

    def environment(self) -> dict[str, Any]:
        """The environment recorded in config.yaml; empty if it cannot be read."""
        try:
            text = read_plain(self.config, yaml_parser.MAX_BYTES + 1)
            environment = yaml_parser.parse_yaml(text, "config.yaml").value["environment"]
        except (OSError, ValueError, LookupError, TypeError):
            return {}
        return environment if isinstance(environment, dict) else {}

    def was_started_by(self, launch: str) -> bool:
        """Whether this launch of torchrun has trained here, by config.yaml."""
        environment = self.environment()
        return "launch" in environment and str(environment["launch"]) == launch

    def write_result(self, result: dict[str, Any]) -> None:
        file_io.write(self.result, f"{to_json(result)}\n".encode())

    def run_time(self) -> RunTime:
        """The training time, and what was decided about baselines when the run was complete."""
        from nnzoo.evaluation.baselines.budget import RunTime

        rows = self.rows()
        seconds = sum(float(row.get("seconds") or 0.0) for row in rows) if rows else None
        try:
            decided = parse_json(read_plain(self.result, MAX_METRICS))["baselines"]
            left_out = {str(name): float(value) for name, value in decided["left_out"].items()}
            return RunTime(seconds, [str(name) for name in decided["shown"]], left_out)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return RunTime(seconds)

    def write_config(self, config: RunConfig, environment: dict[str, Any]) -> None:
        tree = config.to_dict() | {"environment": environment}
        head = "# Written by nnzoo: every value of this run, defaults and 'auto' filled in.\n"
        file_io.write(self.config, (head + to_yaml(tree)).encode())


def _content(path: Path) -> bytes:
    try:
        return read_plain(path, MAX_METRICS)
    except OSError:
        return b""


def _truncate(path: Path, epoch: int) -> str:
    """Drop a file's lines of epochs after `epoch`; returns a note on lines that cannot be read."""
    data = _content(path)
    rows, bad = parse_rows(data)
    damaged = path.with_name(f"{path.stem}.damaged.jsonl")
    if bad:
        file_io.write(damaged, data)
    kept = [row for row in rows if row["epoch"] <= epoch]
    file_io.write(path, "".join(to_json(row) + "\n" for row in kept).encode())
    if not bad:
        return ""
    count = f"{len(bad):,} lines" if len(bad) > 1 else "a line"
    return Note(
        "N37",
        f"{path}: {count} cannot be read (line {bad[0]:,}); left out, and the file as it was is kept as "
        f"{damaged.name}",
    )


def recorded_notes(notes: Sequence[str]) -> list[str]:
    """Notes on the data as config.yaml keeps them, which is read back with bounds."""
    cut = [shorten(labeled(note), MAX_NOTE) for note in notes[:MAX_NOTES]]
    more = len(notes) - MAX_NOTES
    return [*cut, f"and {more:,} more"] if more > 0 else cut


# Files that a study (`nnzoo sweep`) keeps in the folder of the run that has its name.
STUDY = (
    "trials",
    "best.yaml",
    "sweep.html",
    "sweep.db",
    "sweep.db-wal",
    "sweep.db-shm",
    "sweep.db.lock",
)
OLD_RUN, OLD_STUDY = ".old-run", ".old-study"


def free_path(folder: Path, infix: str = "") -> Path:
    """A path beside a folder that is not taken: its name, `infix` and the time."""
    stem = f"{folder.name}{infix}.{datetime.now():%Y%m%d-%H%M%S}"
    path, count = folder.with_name(stem), 1
    while os.path.lexists(path):
        count += 1
        path = folder.with_name(f"{stem}-{count}")
    return path


def files_of_run(folder: Path) -> set[str]:
    """The names in a folder, except those of a study."""
    return {path.name for path in folder.iterdir()} - {*STUDY, OLD_RUN, OLD_STUDY}


def archive_run(folder: Path) -> Path:
    """Move a run out of the way; returns its new path. A study of the same name stays. Raises OSError."""
    target = free_path(folder)
    if any(os.path.lexists(folder / name) for name in (*STUDY, OLD_STUDY)):
        _move(folder, sorted(files_of_run(folder)), OLD_RUN, target)
    else:
        folder.rename(target)
    return target


def archive_study(folder: Path) -> Path:
    """Move a study out of the way; returns its new path. A run of the same name stays. Raises OSError."""
    target = free_path(folder, ".sweep")
    names = [name for name in STUDY if os.path.lexists(folder / name)]
    _move(folder, names, OLD_STUDY, target)
    return target


def _move(folder: Path, names: Iterable[str], hidden: str, target: Path) -> None:
    collected = folder / hidden
    if collected.is_symlink():
        raise OSError(errno.ELOOP, f"{collected} is a link")
    collected.mkdir(exist_ok=True)
    for name in names:
        # One that is there already was moved before a crash; its namesake is newer.
        if not os.path.lexists(collected / name):
            os.replace(folder / name, collected / name)
    collected.rename(target)
