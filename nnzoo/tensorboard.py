"""The curves of a run for TensorBoard, in `tensorboard/` of its folder."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from nnzoo.config.show import to_yaml
from nnzoo.errors import CheckpointError
from nnzoo.run import Run
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
    and also where TensorBoard was asked for later.
    """
    from torch.utils.tensorboard import SummaryWriter

    folder = run.folder.path / "tensorboard"
    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a link; remove it")
    writer = SummaryWriter(str(folder), purge_step=0, flush_secs=FLUSH)
    try:
        config = to_yaml(run.trainer.config.to_dict())
        writer.add_text("config", "".join(f"    {line}\n" for line in config.splitlines()))
        for row in run.folder.rows():
            _write(writer, row)
        yield partial(_write, writer)
    finally:
        writer.close()


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


def _write(writer: SummaryWriter, row: dict[str, Any]) -> None:
    for tag, value in scalars(row).items():
        writer.add_scalar(tag, value, row["step"])
