"""Ten seeds in one batch against ten sequential runs, in one process: seconds, and how far apart each
seed's results are.

`python benchmarks/seeds.py`: the networks of the bundled configs at 64 units and batch 32, everything
else as it is. Both sides are whole runs (start, training, checkpoints, test), without the start of a
process; sequentially, the data are read ten times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nnzoo.config import RunConfig
from nnzoo.config.load import load_config
from nnzoo.runs import checkpoint, run_group
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train
from nnzoo.training.trainer import EpochEnd

SMALL = {
    "mlp_mnist": ["model.hidden=[64]", "train.batch_size=32", "train.epochs=1"],
    "lstm_sine": ["model.hidden_size=64", "train.batch_size=32", "train.epochs=20"],
    "mlp": ["model.hidden=[64]", "train.batch_size=32", "train.epochs=10"],
    "rnn": ["model.hidden_size=64", "train.batch_size=32", "train.epochs=3"],
    "lstm": ["model.hidden_size=64", "train.batch_size=32", "train.epochs=3"],
    "gru": ["model.hidden_size=64", "train.batch_size=32", "train.epochs=3"],
    "cnn": ["train.batch_size=32", "train.epochs=3"],
}
CPU = torch.device("cpu")


def train_sequentially(config: RunConfig, count: int, out: Path) -> dict[str, Any]:
    """Ordinary runs, sequentially."""
    began, training, tests, losses = time.perf_counter(), 0.0, [], []
    for seed in range(count):
        run = open_run(replace(config, seed=seed, name=f"seed-{seed}"), RunOptions(out, CPU))
        rows = [event.row for event in train(run) if isinstance(event, EpochEnd)]
        training += sum(row["seconds"] for row in rows)
        losses.append(rows[-1]["train_loss"])
        tests.append(run.finish() or {})
        run.lock.release()
    took = run.network.config.train
    return {
        "whole": time.perf_counter() - began,
        "training": training,
        "tests": tests,
        "losses": losses,
        "took": f"{took.precision}, threads {took.threads}",
    }


def at_once(config: RunConfig, count: int, out: Path) -> dict[str, Any]:
    """The same as a group."""
    group = run_group.seeds(config, count, out)
    began, rows = time.perf_counter(), []
    for happened in group.events(CPU):
        rows += [event.row for event in happened.values() if isinstance(event, EpochEnd)]
    assert not group.sequential_reason, group.sequential_reason
    return {
        "whole": time.perf_counter() - began,
        "training": sum(row["seconds"] for row in rows),
        "tests": [member.test or {} for member in group.members],
        "losses": [row["train_loss"] for row in rows[-count:]],
        "took": f"threads {torch.get_num_threads()}",
    }


def apart(a: Path, b: Path) -> float:
    """The largest difference between the last weights of two runs, as a fraction of the largest weight of
    its tensor (at least 1)."""
    one, other = (checkpoint.load(item / "last.pt")["model"] for item in (a, b))
    return max(
        float((x.double() - other[name].double()).abs().max() / x.double().abs().max().clamp(min=1))
        for name, x in one.items()
    )


def main() -> None:
    """Two rows a config."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("configs", nargs="*", default=["mlp_mnist", "lstm_sine"])
    options = parser.parse_args()
    for name in options.configs:
        if "mnist" in name and "NNZOO_DATA" not in os.environ:
            print(f"{name}: needs NNZOO_DATA")
            continue
        config = load_config(name, SMALL.get(name, []) + options.sets)
        ratios, wholes = [], []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                single = train_sequentially(config, options.seeds, Path(folder))
                group = at_once(config, options.seeds, Path(folder))
                ratios.append(single["training"] / group["training"])
                wholes.append(single["whole"] / group["whole"])
                weights = [
                    apart(
                        Path(folder) / f"seed-{i}", Path(folder) / f"{config.name}-seeds/seed-{i}"
                    )
                    for i in range(options.seeds)
                ]
        metric = "accuracy" if "accuracy" in single["tests"][0] else "rmse"
        values = [[item[metric] for item in side["tests"]] for side in (single, group)]
        print(
            f"{name}: {options.seeds} seeds, {config.train.epochs} epochs; sequentially "
            f"({single['took']}) {single['training']:.2f} s of training, {single['whole']:.2f} s in all; "
            f"at once ({group['took']}) {group['training']:.2f} s, {group['whole']:.2f} s"
        )
        print(
            f"  times as fast: training {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}-{max(ratios):.2f}), in all {statistics.median(wholes):.2f}"
        )
        losses = max(
            abs(a - b) / abs(a) for a, b in zip(single["losses"], group["losses"], strict=True)
        )
        print(
            f"  largest difference of a seed: weights {max(weights):.1e}, train_loss {losses:.1e} of it, "
            f"test {metric} {max(abs(a - b) for a, b in zip(*values, strict=True)):.1e}; mean "
            f"{statistics.fmean(values[0]):.5g} and {statistics.fmean(values[1]):.5g}",
            flush=True,
        )


if __name__ == "__main__":
    main()
