"""Samples a second of training, nnzoo beside its peers: the same networks, batches and optimizer.

python benchmarks/throughput.py [--rows mlp,cnn] [--peers nnzoo,hand-fp32] [--rounds 5]
    [--seconds 5] [--data DIR] [--python NAME=INTERPRETER ...] [--json FILE]

MNIST in memory, batch 128, Adam at 1e-3, cross entropy, no validation. Every tool is a process that
is started and warmed up once for a network; then the rounds go from tool to tool, so that whatever
else the machine does hits all alike. A round is whole epochs. nnzoo trains as its command does, with
clipping at 1.0, its metrics and its checkpoints; the peers clip and save nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import mnist
import report
from peers import PEERS, ROWS

HERE = Path(__file__).resolve().parent
# Rows of an epoch, whole batches where they are few: an epoch of any tool takes some seconds.
EPOCH = {"mlp": 60_000, "cnn": 7_680, "rnn": 30_720, "lstm": 15_360, "gru": 15_360}
# To the advantage of the peers: glibc's malloc keeps its memory, between steps. Left to itself, it
# gives it back to the system after each step and asks for it anew, which
# can halve the speed of a small network. nnzoo has to see to that by itself.
KEEP = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_MAX_": "0"}


class Worker:
    """One tool on one network, in a process that trains when asked and sleeps else."""

    def __init__(self, name: str, row: str, folder: Path, options: argparse.Namespace) -> None:
        self.name = name
        scratch = folder / name
        scratch.mkdir()
        python = dict(item.split("=", 1) for item in options.python).get(name, sys.executable)
        self.log = (folder / f"{name}.log").open("w+")
        self.process = subprocess.Popen(
            [
                python,
                "-m",
                "peers",
                name,
                "--row",
                row,
                "--data",
                str(folder),
                "--scratch",
                str(scratch),
                "--seconds",
                str(options.seconds),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ
            | {
                "PYTHONPATH": str(HERE),
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "NNZOO_CACHE": str(folder / "cache"),
            }
            | ({} if PEERS[name].is_nnzoo else KEEP),
        )
        self.speeds: list[float] = []
        self.info = self.reply()

    def reply(self) -> dict[str, Any]:
        """The worker's next line; {"skip"} with the end of its log where it has died."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.log.seek(0)
        return {"skip": (self.log.read().strip().splitlines() or ["it ended without a word"])[-1]}

    def round(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        reply = self.reply()
        if "skip" in reply:
            raise SystemExit(f"{self.name} failed in a round: {reply['skip']}")
        self.speeds.append(reply["samples"] / reply["seconds"])

    def used(self) -> float:
        """Seconds of processor time so far; 0 where there is no /proc."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(stat[11]) + int(stat[12])) / report.TICKS

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def measure(row: str, names: list[str], options: argparse.Namespace) -> dict[str, Worker]:
    """All rounds of one network; the workers, closed, by name."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mnist.shorten(options.data, folder, options.epoch_rows or EPOCH[row])
        workers: dict[str, Worker] = {}
        try:
            for name in names:
                worker = Worker(name, row, folder, options)
                workers[name] = worker
                if "skip" in worker.info:
                    report.note(f"{row}: {name} is skipped: {worker.info['skip']}")
                else:
                    report.note(f"{row}: {name} is warm, {worker.info['epochs']} epochs a round")
            ready = [worker for worker in workers.values() if "skip" not in worker.info]
            for i in range(options.rounds):
                for worker in ready:
                    turn(worker, ready)
                shown = ", ".join(f"{item.name} {report.number(item.speeds[-1])}" for item in ready)
                report.note(f"{row}: round {i + 1} of {options.rounds}: {shown}")
        finally:
            for worker in workers.values():
                worker.close()
    return {worker.name: worker for worker in ready}


def turn(worker: Worker, others: Sequence[Worker]) -> None:
    """One round, and a word where anything else has taken processor time in it."""
    before = {other.name: other.used() for other in others}
    busy, began = report.all_used(), time.monotonic()
    worker.round()
    busy, seconds = report.all_used() - busy, time.monotonic() - began
    spent = {other.name: other.used() - before[other.name] for other in others}
    spent["something else"] = busy - sum(spent.values())
    for name, used in spent.items():
        if name != worker.name and used > 0.05 * seconds:
            report.note(f"  {name} took {used / seconds:.0%} of a core in {worker.name}'s round")


def ratio(speeds: dict[str, float], local: str, rivals: list[str]) -> str:
    """How often `own` is as fast as the fastest rival, and who that is."""
    measured = [name for name in rivals if name in speeds]
    if local not in speeds or not measured:
        return "–"
    fastest = max(measured, key=lambda name: speeds[name])
    return f"{speeds[local] / speeds[fastest]:.2f} ({fastest})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="networks")
    parser.add_argument("--peers", default=",".join(PEERS), help="columns")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a round, about")
    parser.add_argument("--epoch-rows", type=int, help="rows of an epoch, for every network")
    parser.add_argument("--data", type=Path, default=mnist.default_folder())
    parser.add_argument("--python", action="append", default=[], metavar="NAME=INTERPRETER")
    parser.add_argument("--json", type=Path, help="write every round's speed here")
    options = parser.parse_args()
    names = options.peers.split(",")
    if unknown := [*set(names) - set(PEERS), *set(options.rows.split(",")) - set(ROWS)]:
        parser.error(f"unknown: {', '.join(unknown)}")
    peers = [name for name in names if not PEERS[name].is_nnzoo]
    full = [name for name in peers if PEERS[name].fp32]
    result: dict[str, dict[str, list[float]]] = {}
    versions: dict[str, str] = {}
    chosen = []
    for row in options.rows.split(","):
        workers = measure(row, names, options)
        result[row] = {name: worker.speeds for name, worker in workers.items()}
        for worker in workers.values():
            versions |= worker.info["versions"]
            if worker.info["chosen"]:
                values = ", ".join(f"{key} {value}" for key, value in worker.info["chosen"].items())
                chosen.append(f"{row} {worker.name}: {values}")
    medians = {
        row: {name: median(speeds) for name, speeds in item.items()} for row, item in result.items()
    }
    report.say("Samples a second of training, median of the rounds:\n")
    report.say(
        report.table(
            ["", *(PEERS[name].title for name in names)],
            [
                [row, *(report.number(item.get(name)) for name in names)]
                for row, item in medians.items()
            ],
        )
    )
    report.say("\nRatios of the medians:\n")
    report.say(
        report.table(
            [
                "",
                "nnzoo / fastest peer",
                "nnzoo fp32 / fastest fp32 peer",
                "nnzoo fp32 / fastest fp32 PyTorch peer",
                "nnzoo / its network in a manual loop",
            ],
            [
                [
                    row,
                    ratio(item, "nnzoo", peers),
                    ratio(item, "nnzoo-fp32", full),
                    ratio(item, "nnzoo-fp32", [name for name in full if PEERS[name].torch]),
                    ratio(item, "nnzoo", ["loop"]),
                ]
                for row, item in medians.items()
            ],
        )
    )
    scatter = [
        (max(speeds) - min(speeds)) / median(speeds)
        for item in result.values()
        for speeds in item.values()
    ]
    if scatter:
        report.say(
            f"\nScatter of the rounds, (max - min) / median: {median(scatter):.1%} in the median, "
            f"{max(scatter):.1%} at most."
        )
    if chosen:
        report.say(f"\nChosen by the tools: {'; '.join(chosen)}.")
    report.say(f"\nMachine: {report.machine()}")
    report.say("Versions: " + ", ".join(f"{name} {versions[name]}" for name in sorted(versions)))
    report.say(f"Command: {report.command()}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
