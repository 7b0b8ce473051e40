"""nnzoo as its command runs it: a config, a run folder with its checkpoints, clipping, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from nnzoo.config.load import load_config
from nnzoo.config.options import option
from nnzoo.config.recording_options import RecordingsShape
from nnzoo.config.registry import DATA, Entry
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.sequences import SequenceSplit
from nnzoo.device import disable_malloc_trim
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train as events_of
from nnzoo.training.trainer import EpochEnd
from sequence_peers import BATCH, CLASSES, CLIP, RATE, UNITS, Job
from sequence_peers.data import sequences

CONFIG = """
name: run
data:
  name: benchmark
  row: {row}
model:
  name: {cell}
  hidden_size: {units}
optim:
  name: adam
  lr: {rate}
  clip: {{norm: {clip}}}
train:
  batch_size: {batch}
  epochs: 1000000
  precision: {precision}
"""


class BenchmarkOptions(RecordingsShape):
    name: Literal["benchmark"]
    row: str = option(..., "the network whose sequences they are")


def load(options: Any, spec: DataSpec | None = None) -> Dataset:
    """All sequences as training rows."""
    job = Job(options.row, "", None)  # type: ignore[arg-type]
    values, classes = sequences(job)
    offsets = np.cumsum([0, *map(len, values)])
    split = SequenceSplit(
        torch.from_numpy(np.concatenate(values)).double(),
        torch.from_numpy(offsets),
        torch.from_numpy(classes),
    )
    made = DataSpec(
        InputSpec("series", (int(split.lengths.max()), job.channels), variable_length=True),
        "classification",
        [str(i) for i in range(CLASSES)],
        [],
        [ColumnSpec(f"x{i}") for i in range(job.channels)],
    )
    return Dataset(made, {"train": split})


DATA.entries["benchmark"] = Entry(BenchmarkOptions, "sequence_peers.nnzoo:load")


def build(job: Job) -> Callable[[int], float]:
    """epochs -> seconds of training."""
    disable_malloc_trim()
    path = job.scratch / "benchmark.yaml"
    values = {"units": UNITS, "rate": RATE, "clip": CLIP, "batch": BATCH, "row": job.row}
    text = CONFIG.format(cell=job.cell, precision=job.variant, **values)
    path.write_text(text)
    run = open_run(load_config(str(path), []), RunOptions(job.scratch, torch.device("cpu")))
    job.chosen["precision"] = run.network.config.train.precision
    job.chosen["threads"] = str(torch.get_num_threads())
    events = events_of(run)

    def train(epochs: int) -> float:
        start = time.perf_counter()
        while epochs:
            epochs -= isinstance(next(events), EpochEnd)
        return time.perf_counter() - start

    return train
