"""The curves of a run for TensorBoard, in `tensorboard/` of its folder."""

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
from nnzoo.training.trainer import EpochEnd, StepEnd

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# Seconds until TensorBoard, open beside the run, can see what was written.
FLUSH = 10


def record(
    run: Run, events: Generator[StepEnd | EpochEnd, None, None]
) -> Generator[StepEnd | EpochEnd, None, None]:
    """The events of a run, as they are; each epoch's row is written on its way, by `writing`."""
    with closing(events), writing(run) as write:
        for event in events:
            if isinstance(event, EpochEnd):
                write(event.row)
            yield event


@contextmanager
def writing(run: Run) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What writes an epoch's row of a run.

    What metrics.jsonl holds when it starts is written first, in place of all that an earlier process
    wrote: so the curves are those of metrics.jsonl, whatever was lost in a crash or is trained again,
    and also where TensorBoard was asked for later. Where they cannot be written, a notice says so and
    training goes on.
    """
    folder = run.folder.path / "tensorboard"
    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a link; remove it")
    with _quiet_threads():
        curves = _Curves(folder)
        try:
            config = to_yaml(run.trainer.config.to_dict())
            text = "".join(f"    {line}\n" for line in config.splitlines())
            curves.attempt(lambda writer: writer.add_text("config", text))
            for row in run.folder.rows():
                curves.write(row)
            yield curves.write
        finally:
            curves.attempt(lambda writer: writer.close())


class _Curves:
    """A folder's curves, written until that fails: a full disk, a folder without permission."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: SummaryWriter | None = None
        try:
            self.writer = SummaryWriter(str(folder), purge_step=0, flush_secs=FLUSH)
        except Exception as error:
            self._give_up(error)

    def write(self, row: dict[str, Any]) -> None:
        def add(writer: SummaryWriter) -> None:
            for tag, value in scalars(row).items():
                writer.add_scalar(tag, value, row["step"])

        self.attempt(add)

    def attempt(self, action: Callable[[SummaryWriter], None]) -> None:
        if self.writer is not None:
            try:
                action(self.writer)
            except Exception as error:  # TensorFlow has its own sorts, where it is installed
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.writer = None
        reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        notice(
            f"the curves for TensorBoard cannot be written ({reason}): training goes on without them"
        )


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Keep tracebacks of TensorBoard's own thread off the terminal: its next call raises the error."""
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
    """The numbers of an epoch's row by their tags: train/loss, val/loss, lr; a mapping's numbers
    behind its name, as gradient_norms/<layer>."""
    found: dict[str, float] = {}
    for key, value in row.items():
        split, _, name = key.partition("_")
        if isinstance(value, dict):
            found |= {f"{key}/{inner}": each for inner, each in value.items()}
        elif split in ("train", "val"):
            found[f"{split}/{name}"] = value
        elif key not in ("epoch", "step"):
            found[key] = value
    return {tag: value for tag, value in found.items() if value is not None}
