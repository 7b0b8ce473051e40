"""How good the threads are that `auto` has chosen, beside each fixed number in the same minutes.

python benchmarks/auto.py [--rows mlp,digits] [--caches 4] [--seconds 2] [--settle 2] [--rounds 3]
    [--data DIR] [--json FILE]

Each time a run starts with an empty cache, every second time beside a process that keeps one core
busy from before the start to the end. After `--settle` seconds of training with `train.threads: auto`
it takes turns with runs of one thread and of all threads, each of the precision that auto chose and in a
process of its own, which sleeps outside of its turns. The median turn counts; auto is good where it has
at least 90 % of the rate of the best fixed choice. At its end it prints how many of the caches were.
"""

from __future__ import annotations

import argparse
import json
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
ROWS = ("mlp", "cnn", "rnn", "lstm", "gru", "digits", "mlp_mnist")
DIGITS = "{name: digits, split: {val: 0, test: 0}}"
SMALL_CNN = "{name: cnn, channels: [16, 32]}"
GOOD = 0.9
EPOCH_ROWS = 7_680


class Worker:
    """A run of one network with `train.threads` set to a value, in a process that trains when asked."""

    def __init__(self, row: str, threads: str, precision: str, folder: Path) -> None:
        scratch = folder / f"threads {threads}"
        words = [__file__, "--worker", row, threads, precision, str(folder), str(scratch)]
        self.process = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NNZOO_CACHE": str(scratch / "cache")},
        )
        self.precision = self.reply()["precision"]
        self.rates: list[float] = []

    def reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a worker has ended; its error is printed above")
        return json.loads(line)

    def turn(self, seconds: float) -> None:
        """Train for so long; adds the rows per second."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.rates.append(self.reply()["rate"])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def work(row: str, threads: str, precision: str, data: Path, scratch: Path) -> None:
    """The worker: for every line of stdin train so many seconds, and print the rate."""
    from nnzoo.runs.train import train
    from nnzoo.training.trainer import StepEnd

    run = open_worker_run(row, threads, precision, data, scratch)
    report.say(json.dumps({"precision": run.network.config.train.precision}))
    events, sizes = train(run), run.trainer.step_sizes
    for line in sys.stdin:
        began, rows, spent = time.perf_counter(), 0, 0.0
        while spent < float(line):
            event = next(events)
            spent = time.perf_counter() - began
            if isinstance(event, StepEnd):
                rows += sizes[event.step_in_epoch - 1]
        report.say(json.dumps({"rate": rows / spent}))


def open_worker_run(row: str, threads: str, precision: str, data: Path, scratch: Path) -> Any:
    """A run of the row's network: of throughput.py, or a small CNN, or wide layers without batch norm."""
    import torch

    from nnzoo.config.load import load_config
    from nnzoo.runs.run import RunOptions, open_run

    sets = ["train.epochs=1000000", f"train.threads={threads}", f"train.precision={precision}"]
    base = row if row in ROWS[:5] else "mlp"
    if row == "digits":
        sets += [f"data={DIGITS}", f"model={SMALL_CNN}", "train.batch_size=64"]
    else:
        sets += [f"data.root={data}"]
    if row == "mlp_mnist":
        sets += ["model.hidden=[1024,1024]"]
    config = load_config(str(HERE / "configs" / f"{base}.yaml"), sets)
    return open_run(config, RunOptions(scratch, torch.device("cpu")))


def measure(row: str, is_busy: bool, options: argparse.Namespace) -> dict[str, float]:
    """Median rates of one fresh cache by the value of `train.threads`."""
    busy = None
    if is_busy:
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if row != "digits":
            mnist.shorten(options.data, folder, EPOCH_ROWS)
        workers: dict[str, Worker] = {}
        try:
            workers["auto"] = Worker(row, "auto", "auto", folder)
            workers["auto"].turn(options.settle)
            for threads in sorted({1, report.cores()}):
                precision = workers["auto"].precision
                workers[str(threads)] = Worker(row, str(threads), precision, folder)
                workers[str(threads)].turn(0.1)
            for _ in range(options.rounds):
                for worker in workers.values():
                    worker.turn(options.seconds)
        finally:
            for worker in workers.values():
                worker.close()
            if busy is not None:
                busy.kill()
                busy.wait()
    return {name: median(worker.rates[1:]) for name, worker in workers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="networks")
    parser.add_argument("--caches", type=int, default=4, help="fresh caches of each network")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds before the first turn")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=mnist.default_folder())
    parser.add_argument("--json", type=Path, help="write every rate here")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        row, threads, precision, data, scratch = options.worker
        work(row, threads, precision, Path(data), Path(scratch))
        return
    rows = options.rows.split(",")
    if unknown := set(rows) - set(ROWS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    lines, rates = [], {}
    for row in rows:
        ratios: dict[bool, list[float]] = {False: [], True: []}
        for i in range(options.caches):
            is_busy = i % 2 == 1
            medians = measure(row, is_busy, options)
            best = max((rate, name) for name, rate in medians.items() if name != "auto")
            ratios[is_busy].append(medians["auto"] / best[0])
            rates[f"{row} {i}"] = medians
            shown = ", ".join(f"{name} {report.number(rate)}" for name, rate in medians.items())
            report.note(f"{row}{', a core busy' * is_busy}: {shown}: {ratios[is_busy][-1]:.2f}")
        both = ratios[False] + ratios[True]
        good = sum(ratio >= GOOD for ratio in both)
        worst = [f"{min(values):.2f}" if values else "–" for values in ratios.values()]
        lines.append([row, f"{good} of {len(both)}", *worst])
    report.say("Rate of `auto` over that of the best fixed number of threads:\n")
    head = ["", "at least 0.9", "worst, machine idle", "worst, a core busy"]
    report.say(report.table(head, lines))
    report.say(f"\nMachine: {report.machine()}")
    report.say(f"Versions: {report.installed(['torch', 'nnzoo'])}")
    report.say(f"Command: {report.command()}")
    if options.json:
        options.json.write_text(json.dumps(rates, indent=1) + "\n")


if __name__ == "__main__":
    main()
