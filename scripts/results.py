"""Train bundled configs over several seeds and print their test results as a Markdown table.

python scripts/results.py [CONFIG ...] [--seeds 0,1,2] [--set KEY=VALUE ...]

Each run is trained from its config alone in a temporary folder; the test rows are touched once,
at its end, by the best weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from nnzoo.config.load import bundled_configs, load_config
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train


def measure(config: str, seed: int, sets: list[str]) -> tuple[dict[str, Any], float]:
    """The test result of one run, in the form of `nnzoo eval --json`, and its seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = open_run(
            load_config(config, [*sets, f"seed={seed}"]),
            RunOptions(Path(folder), torch.device("cpu")),
        )
        for _ in train(run):
            pass
        result = run.result()
        run.lock.release()
    assert result is not None
    return result, time.perf_counter() - began


def headline(result: dict[str, Any]) -> str:
    """The metric that a config is judged by."""
    if result["task"] == "classification":
        return "accuracy"
    return "mse" if result["baseline"]["mse"] < 1 else "rmse"


def row(config: str, seeds: list[int], sets: list[str]) -> str:
    """One line of the table."""
    results, times = zip(*(measure(config, seed, sets) for seed in seeds), strict=True)
    key = headline(results[0])
    values = [result[key] for result in results]
    shape = "{:.4f}" if max(values) < 100 and min(values) > 1e-2 else "{:.3g}"
    shown = ", ".join(shape.format(value) for value in values)
    baseline = results[0]["baseline"]
    name = f"`{Path(config).stem}`"
    return (
        f"| {name} | {key} | {shape.format(mean(values))} | {shown} | "
        f"{baseline['name']} {shape.format(baseline[key])} | {mean(times):.0f} s |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="*", default=[path.stem for path in bundled_configs()])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    sys.stdout.write(
        "| config | metric | mean | per seed | baseline | a run |\n|---|---|---|---|---|---|\n"
    )
    for config in arguments.configs:
        sys.stdout.write(row(config, seeds, arguments.set) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
