"""nnzoo as its command runs it: a config, a run folder with its checkpoints, clipping, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from nnzoo.config import load_config
from nnzoo.errors import ConfigError
from nnzoo.run import start
from nnzoo.run import train as events_of
from nnzoo.training.trainer import EpochEnd
from peers import Job, NotHere

CONFIGS = Path(__file__).parent.parent / "configs"


def build(job: Job) -> Callable[[int], float]:
    source = str(CONFIGS / f"{job.row}.yaml")
    sets = [f"data.root={job.data}", "train.epochs=1000000"]
    try:
        config = load_config(source, [*sets, f"train.precision={job.variant}"])
    except ConfigError:
        if job.variant == "bf16":
            raise NotHere("this nnzoo has no train.precision") from None
        config = load_config(source, sets)
    run = start(config, job.scratch, torch.device("cpu"))
    settings = run.network.config.train
    job.chosen["precision"] = str(getattr(settings, "precision", "fp32"))
    job.chosen["threads"] = str(torch.get_num_threads())
    events = events_of(run)

    def train(epochs: int) -> float:
        began = time.perf_counter()
        while epochs:
            epochs -= isinstance(next(events), EpochEnd)
        return time.perf_counter() - began

    return train
