"""The loops that benchmarks/cuda.py times: a plain one around torch's modules, and nnzoo's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import BATCH, RATE, Job

CONFIGS = Path(__file__).resolve().parent / "configs"


@dataclass(frozen=True)
class SpeedJob:
    """A network in a precision in a loop that is timed: torch, or nnzoo with eager or captured steps.

    data: the folder of MNIST's files.
    """

    row: str
    precision: str
    loop: str
    data: Path


def measure(job: SpeedJob, device: str, seconds: float, scratch: Path) -> float:
    """Steps per second of whole epochs, after one to warm up. scratch: a folder for a run."""
    build = torch_loop if job.loop == "torch" else nnzoo_loop
    epoch = build(job, device, scratch)
    epoch()
    steps, spent, began = 0, 0.0, time.perf_counter()
    while not steps or spent < seconds:
        steps += epoch()
        spent = time.perf_counter() - began
    return steps / spent


def torch_loop(job: SpeedJob, device: str, scratch: Path) -> Callable[[], int]:
    """A loop as one writes it for a GPU: rows on it, batches by index, the fused Adam, nothing read before
    the end of an epoch. Returns a function that trains an epoch and returns its steps."""
    import torch
    from peers import torchnets
    from torch.nn import functional

    from nnzoo.device import use_tf32

    rows = Job(job.row, job.data, "", scratch)
    x, y = (item.to(device) for item in torchnets.data(rows))
    model = torchnets.build(job.row).train().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    use_tf32(job.precision == "tf32")
    kind = torch.device(device).type

    def epoch() -> int:
        loss_sum = torch.zeros((), device=device)
        batches = torch.randperm(len(x)).to(device).split(BATCH)
        for batch in batches:
            with torch.autocast(kind, torch.bfloat16, enabled=job.precision == "bf16"):
                loss = functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss_sum += loss.detach() * len(batch)
        loss_sum.item()  # waits for the device
        return len(batches)

    return epoch


def nnzoo_loop(job: SpeedJob, device: str, scratch: Path) -> Callable[[], int]:
    """nnzoo's loop as its command runs it: clipping, metrics and checkpoints included."""
    import torch

    from nnzoo.config.load import load_config
    from nnzoo.config.train_options import TrainOptions
    from nnzoo.device import choose_device
    from nnzoo.runs.run import RunOptions, open_run
    from nnzoo.runs.train import train
    from nnzoo.training.trainer import EpochEnd

    sets = [f"data.root={job.data}", "train.epochs=1000000", f"train.precision={job.precision}"]
    if "graph" in TrainOptions.model_fields:
        sets.append(f"train.graph={str(job.loop == 'nnzoo, captured').lower()}")
    config = load_config(str(CONFIGS / f"{job.row}.yaml"), sets)
    run = open_run(config, RunOptions(scratch, choose_device(device)))
    events: Any = train(run)

    def epoch() -> int:
        while not isinstance(next(events), EpochEnd):
            pass
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        return len(run.trainer.step_sizes)

    return epoch
