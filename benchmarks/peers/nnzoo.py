"""nnzoo as its command runs it: a config, a run folder with its checkpoints, clipping, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from nnzoo.config.load import load_config
from nnzoo.runs.run import Run, RunOptions
from nnzoo.runs.run import open_run as open_nnzoo_run
from nnzoo.runs.train import train as events_of
from nnzoo.training.trainer import EpochEnd
from peers import Job

CONFIGS = Path(__file__).parent.parent / "configs"


def open_run(job: Job) -> Run:
    """A run of the row's configuration in the scratch folder; `job.chosen` is set to its choices."""
    precision = job.variant if job.variant in ("fp32", "bf16") else "auto"
    sets = [f"data.root={job.data}", "train.epochs=1000000", f"train.precision={precision}"]
    config = load_config(str(CONFIGS / f"{job.row}.yaml"), sets)
    run = open_nnzoo_run(config, RunOptions(job.scratch, torch.device("cpu")))
    job.chosen["precision"] = run.network.config.train.precision
    job.chosen["threads"] = str(torch.get_num_threads())
    return run


def build(job: Job) -> Callable[[int], float]:
    events = events_of(open_run(job))

    def train(epochs: int) -> float:
        began = time.perf_counter()
        while epochs:
            epochs -= isinstance(next(events), EpochEnd)
        return time.perf_counter() - began

    return train
