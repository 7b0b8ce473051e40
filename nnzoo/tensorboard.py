"""Metrics of a run for TensorBoard, in `tensorboard/` of its folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.config.formatting import to_yaml
from nnzoo.errors import CheckpointError, first_line
from nnzoo.runs.run import Run
from nnzoo.status import notice
from nnzoo.text import Note
from nnzoo.training.trainer import EpochEnd, StepEnd

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# Seconds until an open TensorBoard sees what was written.
FLUSH_SECONDS = 10


def record(
    run: Run, events: Generator[StepEnd | EpochEnd, None, None]
) -> Generator[StepEnd | EpochEnd, None, None]:
    """Pass the events of a run on, and write the row of each epoch."""
    with closing(events), epoch_writer(run) as write:
        for event in events:
            if isinstance(event, EpochEnd):
                write(event.row)
            yield event


@contextmanager
def epoch_writer(run: Run) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield a function that writes the row of an epoch.

    The rows of metrics.jsonl are written first, in place of everything from earlier processes: so the
    curves equal metrics.jsonl even after a crash or a resume, or if TensorBoard is turned on later.
    If they cannot be written, there is a notice and training continues.
    """
    folder = run.folder.path / "tensorboard"
    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a link; remove it", code="E68")
    with _quiet_threads():
        writer = _Writer(folder)
        try:
            config = to_yaml(run.trainer.config.to_dict())
            text = "".join(f"    {line}\n" for line in config.splitlines())
            writer.attempt(lambda summary: summary.add_text("config", text))
            for row in run.folder.rows():
                writer.write(row)
            yield writer.write
        finally:
            writer.attempt(lambda summary: summary.close())


class _Writer:
    """A SummaryWriter that stops, with a notice, when writing fails (disk full, no permission)."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.summary: SummaryWriter | None = None
        try:
            self.summary = SummaryWriter(str(folder), purge_step=0, flush_secs=FLUSH_SECONDS)
        except Exception as error:
            self._stop(error)

    def write(self, row: dict[str, Any]) -> None:
        def add(summary: SummaryWriter) -> None:
            for tag, value in scalars(row).items():
                summary.add_scalar(tag, value, row["step"])

        self.attempt(add)

    def attempt(self, action: Callable[[SummaryWriter], None]) -> None:
        if self.summary is not None:
            try:
                action(self.summary)
            except Exception as error:  # TensorFlow, if installed, has exceptions of its own
                self._stop(error)

    def _stop(self, error: Exception) -> None:
        self.summary = None
        reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        notice(
            Note(
                "N43",
                f"the curves for TensorBoard cannot be written ({reason}): training continues without them",
            )
        )


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Keep tracebacks of TensorBoard's thread off the terminal: its next call raises the error."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not type(arguments.thread).__module__.startswith("tensorboard."):
            before(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def scalars(row: dict[str, Any]) -> dict[str, float]:
    """Return the values of an epoch's row by tag: train/loss, val/loss, lr, gradient_norms/<layer>."""
    values: dict[str, float | None] = {}
    for key, value in row.items():
        split, _, name = key.partition("_")
        if isinstance(value, dict):
            values |= {f"{key}/{inner}": norm for inner, norm in value.items()}
        elif split in ("train", "val"):
            values[f"{split}/{name}"] = value
        elif key not in ("epoch", "step"):
            values[key] = value
    return {tag: value for tag, value in values.items() if value is not None}
