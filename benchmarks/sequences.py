"""Time steps a second of training on sequences of different lengths, nnzoo beside its peers.

python benchmarks/sequences.py [--rows lstm-12-vowels] [--peers nnzoo,packed] [--rounds 5] [--seconds 3]
    [--cores 1] [--processor-time] [--python NAME=INTERPRETER ...] [--json FILE]

A class for each sequence, from the last state of an LSTM or GRU of 128 units; batches of 64, Adam at 1e-3, clipping at
norm 1.0, cross entropy, no validation. The lengths are those of JapaneseVowels (7 to 29 steps) or of reviews (10 to 400, as
IMDB's, cut off), the values are noise. Only steps of the sequences count, padding does not. Every tool is a process, as
in throughput.py; the rounds go from tool to tool. On a busy machine --cores 1 --processor-time counts the seconds for
which a tool had its one core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import report
from sequence_peers import LENGTHS, PEERS, ROWS, Peer
from throughput import HERE, KEEP, Worker, ratio, turn


class SequenceWorker(Worker):
    """One tool on one network."""

    package, peers = "sequence_peers", PEERS
    memory = 0
    """The most bytes that were resident."""

    def __init__(self, name: str, row: str, folder: Path, options: argparse.Namespace) -> None:
        self.name, self.speeds, self.by_processor = name, [], options.processor_time
        scratch = folder / name
        scratch.mkdir()
        python = dict(item.split("=", 1) for item in options.python)
        # An environment of "keras-tf" is also that of "keras-tf-buckets".
        family = python.get(name.removesuffix("-buckets"), sys.executable)
        interpreter = str(python.get(name, family))
        self.log = (folder / f"{name}.log").open("w+")
        arguments = ["--row", row, "--scratch", str(scratch), "--seconds", str(options.seconds)]
        is_nnzoo = self.peers[name].is_nnzoo
        paths = f"{HERE}:{HERE.parent}" if is_nnzoo else str(HERE)
        env = os.environ | {"PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
        env |= {"NNZOO_CACHE": str(folder / "cache")} if is_nnzoo else KEEP
        self.process = subprocess.Popen(
            [interpreter, "-m", self.package, name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=env,
        )
        self.info = self.reply()

    def round(self) -> None:
        assert self.process.stdin is not None
        before = self.used()
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        reply = self.reply()
        if "skip" in reply:
            raise SystemExit(f"{self.name} failed in a round: {reply['skip']}")
        seconds = self.used() - before if self.by_processor else reply["seconds"]
        self.speeds.append(reply["samples"] / seconds)
        self.memory = reply["memory"]


def measure(
    row: str, names: list[str], options: argparse.Namespace, kind: type[SequenceWorker]
) -> dict[str, SequenceWorker]:
    """All rounds of one network; the workers, closed, by name."""
    with tempfile.TemporaryDirectory() as folder:
        workers: list[SequenceWorker] = []
        try:
            for name in names:
                workers.append(kind(name, row, Path(folder), options))
                skipped = workers[-1].info.get("skip")
                report.note(f"{row}: {name} {f'is skipped: {skipped}' if skipped else 'is warm'}")
            ready = [worker for worker in workers if "skip" not in worker.info]
            for i in range(options.rounds):
                for worker in ready:
                    turn(worker, ready)
                shown = ", ".join(f"{item.name} {report.number(item.speeds[-1])}" for item in ready)
                report.note(f"{row}: round {i + 1} of {options.rounds}: {shown}")
        finally:
            for worker in workers:
                worker.close()
    return {worker.name: worker for worker in ready}


def say_padding() -> None:
    """The fraction of padding in batches of 64, of as many sequences as the data sets have."""
    from sequence_peers.data import draw_lengths, padding

    lines = []
    for name, count in zip(LENGTHS, (270, 25_000), strict=True):
        lengths = draw_lengths(name, count)
        plain, buckets = (f"{padding(lengths, has_buckets):.1%}" for has_buckets in (False, True))
        lines.append([f"{name}, {count:,} sequences", plain, buckets])
    report.say("Padding in the steps of a batch:\n")
    report.say(report.table(["", "batches at random", "with buckets"], lines))


def say_speeds(
    medians: dict[str, dict[str, float]], names: list[str], peers: Mapping[str, Peer]
) -> None:
    report.say(
        "\nThousand time steps a second of training, without padding, median of the rounds:\n"
    )
    lines = [
        [row, *(report.number(item[name] / 1000 if name in item else None) for name in names)]
        for row, item in medians.items()
    ]
    report.say(report.table(["", *(peers[name].title for name in names)], lines))
    report.say("\nRatios of the medians:\n")
    rivals = [name for name in names if not peers[name].is_nnzoo]
    head = ["", "nnzoo / fastest peer", "nnzoo fp32 / fastest peer"]
    report.say(
        report.table(
            head,
            [
                [row, ratio(item, "nnzoo", rivals), ratio(item, "nnzoo-fp32", rivals)]
                for row, item in medians.items()
            ],
        )
    )


def read_options(description: str, rows: Sequence[str], peers: Mapping[str, Peer]) -> Any:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rows", default=",".join(rows), help="networks")
    parser.add_argument("--peers", default=",".join(peers), help="columns")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round, about")
    parser.add_argument("--cores", type=int, help="how many cores every tool may use")
    parser.add_argument("--processor-time", action="store_true", help="divide by it")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=INTERPRETER")
    parser.add_argument("--json", type=Path, help="write every round's speed here")
    options = parser.parse_args()
    unknown = {*options.peers.split(",")} - {*peers} | {*options.rows.split(",")} - {*rows}
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    return options


def measure_rows(
    options: argparse.Namespace, kind: type[SequenceWorker]
) -> dict[str, dict[str, SequenceWorker]]:
    """The workers by row and name after all rounds; speeds are written to --json as they come."""
    result: dict[str, dict[str, SequenceWorker]] = {}
    for row in options.rows.split(","):
        result[row] = measure(row, options.peers.split(","), options, kind)
        if options.json:
            speeds = {
                row: {name: worker.speeds for name, worker in workers.items()}
                for row, workers in result.items()
            }
            options.json.write_text(json.dumps(speeds, indent=1) + "\n")
    return result


def say_results(result: dict[str, dict[str, SequenceWorker]], peers: Mapping[str, Peer]) -> None:
    """Speeds and their ratios, what nnzoo chose, the machine and the versions."""
    names = list(dict.fromkeys(name for workers in result.values() for name in workers))
    medians = {
        row: {name: median(worker.speeds) for name, worker in workers.items()}
        for row, workers in result.items()
    }
    say_speeds(medians, names, peers)
    versions: dict[str, str] = {}
    chosen = []
    for row, workers in result.items():
        for worker in workers.values():
            versions |= worker.info["versions"]
            values = ", ".join(f"{key} {value}" for key, value in worker.info["chosen"].items())
            chosen += [f"{row} {worker.name}: {values}"] if values else []
    report.say(f"\nChosen by nnzoo: {'; '.join(chosen)}.")
    report.say(f"\nMachine: {report.machine()}")
    report.say("Versions: " + ", ".join(f"{name} {versions[name]}" for name in sorted(versions)))
    report.say(f"Command: {report.command()}")


def main() -> None:
    options = read_options(__doc__.splitlines()[0], ROWS, PEERS)
    result = measure_rows(options, SequenceWorker)
    say_padding()
    say_results(result, PEERS)


if __name__ == "__main__":
    main()
