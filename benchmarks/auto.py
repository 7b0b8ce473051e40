"""How good the threads are that `auto` has chosen, beside each fixed number in the same minutes.

python benchmarks/auto.py [--rows mlp,digits] [--caches 4] [--seconds 0.7] [--settle 2.5] [--rounds 3]
    [--data DIR] [--json FILE]

Each time a run starts with an empty cache, every second time beside a process that keeps one core
busy from before the start to the end. After `--settle` seconds of training with `train.threads: auto`
it takes turns with runs of one thread and of all threads, each of the precision that auto chose and in a
process of its own, which sleeps outside of its turns and serves all caches. The median turn counts; auto is good where it has
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

    def __init__(self, row: str, threads: str, precision: str, data: Path, scratch: Path) -> None:
        words = [__file__, "--worker", row, threads, precision, str(data), str(scratch)]
        self.process = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"NNZOO_CACHE": str(scratch / "cache")},
        )
        chosen = self.reply()
        self.precision, self.threads = chosen["precision"], chosen["threads"]
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
    chosen = run.network.config.train
    report.say(json.dumps({"precision": chosen.precision, "threads": chosen.threads}))
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
    """A run of the row's network: of throughput.py, or a small CNN, or larger batches."""
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
        sets += ["model.hidden=[512,256]", "train.batch_size=512"]
    config = load_config(str(HERE / "configs" / f"{base}.yaml"), sets)
    return open_run(config, RunOptions(scratch, torch.device("cpu")))


def measure(
    row: str, is_busy: bool, others: dict[str, Worker], options: argparse.Namespace
) -> dict[str, float]:
    """Median rates of one fresh cache by the value of `train.threads`.

    others: the workers of fixed numbers of threads, by number and precision; what is missing is added.
    """
    busy = None
    if is_busy:
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    with tempfile.TemporaryDirectory() as temporary:
        auto = None
        try:
            auto = Worker(row, "auto", "auto", options.folder, Path(temporary))
            auto.turn(options.settle)
            report.note(f"{row}: auto chose {auto.precision}, sums in {auto.threads} parts")
            workers = {"auto": auto}
            for threads in sorted({1, report.cores()}):
                key = f"{threads} {auto.precision}"
                if key not in others:
                    scratch = options.folder / f"{row} {key}"
                    others[key] = Worker(row, str(threads), auto.precision, options.folder, scratch)
                workers[str(threads)] = others[key]
                workers[str(threads)].turn(0.1)
            for _ in range(options.rounds):
                for worker in workers.values():
                    worker.turn(options.seconds)
        finally:
            if auto is not None:
                auto.close()
            if busy is not None:
                busy.kill()
                busy.wait()
    return {name: median(worker.rates[-options.rounds :]) for name, worker in workers.items()}


def measure_row(row: str, options: argparse.Namespace) -> list[dict[str, float]]:
    """`measure` with each of the fresh caches; every second one beside a busy process."""
    others: dict[str, Worker] = {}
    results = []
    try:
        for i in range(options.caches):
            results.append(measure(row, i % 2 == 1, others, options))
            shown = ", ".join(f"{name} {report.number(x)}" for name, x in results[-1].items())
            busy = ", a core busy" * (i % 2)
            report.note(f"{row}{busy}: {shown}: {quality(results[-1]):.2f}")
    finally:
        for worker in others.values():
            worker.close()
    return results


def quality(rates: dict[str, float]) -> float:
    """The rate of auto over that of the best fixed choice."""
    return rates["auto"] / max(rate for name, rate in rates.items() if name != "auto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="networks")
    parser.add_argument("--caches", type=int, default=4, help="fresh caches of each network")
    parser.add_argument("--settle", type=float, default=2.5, help="seconds before the first turn")
    parser.add_argument("--seconds", type=float, default=0.7, help="of a turn")
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
    with tempfile.TemporaryDirectory() as temporary:
        options.folder = Path(temporary)
        if rows != ["digits"]:
            mnist.shorten(options.data, options.folder, EPOCH_ROWS)
        for row in rows:
            rates[row] = measure_row(row, options)
            ratios = [quality(result) for result in rates[row]]
            good = sum(ratio >= GOOD for ratio in ratios)
            worst = [f"{min(part):.2f}" if part else "–" for part in (ratios[::2], ratios[1::2])]
            lines.append([row, f"{good} of {len(ratios)}", *worst])
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
