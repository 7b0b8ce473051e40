"""Samples a second of training by native layers built for lesser processors, beside torch's own layers limited alike.

NNZOO_DATA=… python benchmarks/processors.py [--rows mlp,cnn] [--builds haswell,x86-64-v2] [--rounds 5]
    [--threads 2]

The networks of benchmarks/throughput.py in fp32, steps alone: batch 128, Adam, clipping at 1.0. A build is the
native library with `-march=NAME`, in a cache of its own. For each build there are two processes that may use
its instructions alone, one with native layers and one with `train.kernels=torch`; a last one has torch's layers with all
instructions of this machine. They are started once and take turns, so that whatever else the machine does
hits all alike.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import mnist
import report

HERE = Path(__file__).resolve().parent
ROWS = ("mlp", "cnn", "rnn", "lstm", "gru")
BATCH, DATA_ROWS = 128, 8192
# Seconds of a worker in a round.
SECONDS = 0.4
# Variables that keep torch to the instructions of a build. On processors that are not Intel's, MKL heeds of all its variables
# for this only MKL_CBWR, and has for it but two ways: AVX2 and SSE2.
LIMITS = {
    "haswell": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "MKL_CBWR": "AVX2",
    },
    "x86-64-v2": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "MKL_CBWR": "COMPATIBLE",
    },
}
LIMITS |= {"x86-64-v3": LIMITS["haswell"], "x86-64": LIMITS["x86-64-v2"]}


class Worker:
    """A process that takes steps on request. kernels: of the key train.kernels; build: empty for no limits."""

    def __init__(self, kernels: str, build: str, options: argparse.Namespace, data: Path) -> None:
        cache = data / f"cache-{build}"
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", kernels, "--threads", str(options.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"NNZOO_DATA": str(data), "NNZOO_CACHE": str(cache)}
            | ({"NNZOO_CFLAGS": f"-march={build}"} | LIMITS.get(build, {}) if build else {}),
        )

    def seconds(self, row: str, steps: int) -> float:
        """How long so many steps take."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{row} {steps}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def work(kernels: str, threads: int) -> None:
    """A worker: lines "row steps" in, seconds out."""
    import torch

    from nnzoo.config.load import load_config
    from nnzoo.runs.run import RunOptions, open_run
    from nnzoo.training.train_step import train_single_step

    trainers: dict[str, Any] = {}
    rows = torch.arange(BATCH)
    sets = [f"train.kernels={kernels}", "train.precision=fp32", f"train.threads={threads}"]
    for line in sys.stdin:
        row, steps = line.split()
        if row not in trainers:
            config = load_config(str(HERE / "configs" / f"{row}.yaml"), sets)
            with tempfile.TemporaryDirectory() as folder:
                run = open_run(config, RunOptions(Path(folder), torch.device("cpu"), write=False))
            trainers = {row: run.trainer}  # one at a time
            train_single_step(run.trainer, rows)
        began = time.perf_counter()
        for _ in range(int(steps)):
            train_single_step(trainers[row], rows)
        print(time.perf_counter() - began, flush=True)


def measure(row: str, workers: dict[tuple[str, str], Worker], rounds: int) -> list[list[float]]:
    """Samples a second of each worker in each round."""
    steps = {}
    for key, worker in workers.items():
        worker.seconds(row, 5)
        steps[key] = max(1, round(SECONDS * 5 / worker.seconds(row, 5)))
    return [
        [steps[key] * BATCH / worker.seconds(row, steps[key]) for key, worker in workers.items()]
        for _ in range(rounds)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--builds", default="haswell,x86-64-v2", help="values of gcc's -march")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=report.cores())
    parser.add_argument("--data", type=Path, default=mnist.default_folder())
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.threads)
        return
    builds = options.builds.split(",")
    keys = [(kernels, build) for build in builds for kernels in ("native", "torch")]
    keys.append(("torch", ""))
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        mnist.shorten(options.data, data, DATA_ROWS)
        workers = {key: Worker(*key, options, data) for key in keys}
        rounds = {}
        for row in options.rows.split(","):
            rounds[row] = measure(row, workers, options.rounds)
            report.note(f"{row} is measured")
        for worker in workers.values():
            worker.end()
    show(keys, builds, rounds)
    report.say(f"\nMachine: {report.machine()}; {options.threads} threads")
    report.say(f"Versions: {report.installed(['torch'])}\nCommand: {report.command()}")


def show(
    keys: list[tuple[str, str]], builds: list[str], rounds: dict[str, list[list[float]]]
) -> None:
    """Speeds, then the ratios, both medians of the rounds."""

    def column(key: tuple[str, str]) -> str:
        kernels, build = key
        return f"{kernels}, {build or 'all instructions'}"

    speeds, ratios = [], []
    for row, values in rounds.items():
        speeds.append(
            [row, *(report.number(median(item[i] for item in values)) for i in range(len(keys)))]
        )
        line = [row]
        for build in builds:
            ours, theirs = keys.index(("native", build)), keys.index(("torch", build))
            for rival in (theirs, len(keys) - 1):
                line.append(f"{median(item[ours] / item[rival] for item in values):.2f}")
        ratios.append(line)
    report.say("Samples a second of training, median of the rounds:\n")
    report.say(report.table(["", *map(column, keys)], speeds))
    heads = [
        f"{b} / torch, {what}" for b in builds for what in ("limited alike", "all instructions")
    ]
    report.say("\nNative layers against torch's, median of the ratios of a round:\n")
    report.say(report.table(["", *heads], ratios))


if __name__ == "__main__":
    main()
