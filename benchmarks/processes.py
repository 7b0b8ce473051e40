"""Rows a second of training by one process and by two, each with one thread, beside one process with two.

NNZOO_DATA=… python benchmarks/processes.py [--rows mlp,cnn] [--batches 32,128,512,2048] [--rounds 5]

The networks of benchmarks/throughput.py in fp32, steps alone. The three groups are started once and
take turns, so that whatever else the machine does hits all alike. Two processes take one batch
together, half each, and add up their gradients over gloo on this machine's own network.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import mnist

from nnzoo.runs.run import RunOptions
from nnzoo.training.train_step import train_single_step

HERE = Path(__file__).resolve().parent
ROWS = ("mlp", "cnn", "rnn", "lstm", "gru")
DATA_ROWS = 8192
# Seconds of one process in a round.
SECONDS = 0.5


class Group:
    """Some processes that take steps on request; (processes, threads each)."""

    def __init__(self, processes: int, threads: int, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.workers = [
            subprocess.Popen(
                [sys.executable, __file__, "--work", str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ
                | {
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(processes),
                    "LOCAL_WORLD_SIZE": str(processes),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "NNZOO_DATA": str(data),
                    "NNZOO_CACHE": str(data / "cache"),
                },
            )
            for rank in range(processes)
        ]

    def seconds(self, row: str, batch: int, steps: int) -> float:
        """How long so many steps take."""
        for worker in self.workers:
            assert worker.stdin is not None
            worker.stdin.write(f"{row} {batch} {steps}\n")
            worker.stdin.flush()
        return max(float(worker.stdout.readline()) for worker in self.workers if worker.stdout)

    def end(self) -> None:
        for worker in self.workers:
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait()


def work(threads: int) -> None:
    """One process of a group: lines "row batch steps" in, seconds out."""
    import torch

    from nnzoo.config.load import load_config
    from nnzoo.process_group import init_process_group
    from nnzoo.runs.run import open_run

    processes = init_process_group()
    trainers: dict[tuple[str, int], Any] = {}
    for line in sys.stdin:
        row, batch, steps = line.split()
        key = (row, int(batch))
        if key not in trainers:
            sets = [f"train.batch_size={batch}", "train.precision=fp32", f"train.threads={threads}"]
            config = load_config(str(HERE / "configs" / f"{row}.yaml"), sets)
            with processes.error_barrier(), tempfile.TemporaryDirectory() as folder:
                run = open_run(
                    config,
                    RunOptions(Path(folder), torch.device("cpu"), write=False),
                    processes=processes,
                )
            trainers = {key: run.trainer}  # one at a time
            train_single_step(run.trainer, torch.arange(int(batch)))
        trainer = trainers[key]
        rows = torch.arange(int(batch))
        processes.all_reduce_max(0)
        began = time.perf_counter()
        for _ in range(int(steps)):
            train_single_step(trainer, rows)
        print(time.perf_counter() - began, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--batches", default="32,128,512,2048")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        mnist.shorten(mnist.default_folder(), data, DATA_ROWS)
        groups = [Group(1, 1, data), Group(1, 2, data), Group(2, 1, data)]
        print(
            "| | batch | 1 process | 1 process, 2 threads | 2 processes | efficiency | against 2 threads |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
        for row in options.rows.split(","):
            for batch in map(int, options.batches.split(",")):
                once = groups[0].seconds(row, batch, 2) / 2
                steps = max(1, round(SECONDS / once))
                rounds = [
                    [group.seconds(row, batch, steps) for group in groups]
                    for _ in range(options.rounds + 1)
                ][1:]
                speeds = [median(steps * batch / item[i] for item in rounds) for i in range(3)]
                efficiency = median(item[0] / item[2] / 2 for item in rounds)
                against = median(item[1] / item[2] for item in rounds)
                print(
                    f"| {row} | {batch:,} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {speeds[2]:,.0f} | "
                    f"{100 * efficiency:.0f} % | {against:.2f} |",
                    flush=True,
                )
        for group in groups:
            group.end()


if __name__ == "__main__":
    main()
