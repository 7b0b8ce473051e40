"""Let several processes make the trials of one study, kill some of them, start them anew, and count:
python scripts/sweep_campaign.py [sqlite] [journal] [alone] [--processes 4] [--kills 2] [--trials 24] [--seed 0].

For SQLite and for a journal file: that every trial was made, none twice, that each one's curve has
every epoch once, and that the best config trains to the reported score again. Then for one process
alone: that a study which was killed again and again has the same trials, values and scores as one
that was left alone. Fails at the first thing that is not so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from nnzoo.runs.run import RunOptions

# One thread here and in the command: the sums of several depend on their number.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import torch

from nnzoo import cli
from nnzoo.cli.process import fast_exit
from nnzoo.config.load import load_config
from nnzoo.runs.run import open_run
from nnzoo.runs.train import train
from nnzoo.sweep.open_study import open_study
from nnzoo.sweep.study import FINISHED, TrialRecord

if not hasattr(os, "fork"):
    raise SystemExit("this system cannot fork; Linux and macOS can")
FORK = multiprocessing.get_context("fork")
# The parent imports what a process imports later, and never computes: threads would not survive a fork.
for lazy in (
    "nnzoo.console",
    "nnzoo.data.builtin",
    "nnzoo.models.mlp",
    "nnzoo.sweep.search",
    "nnzoo.sweep.report",
    "nnzoo.report.charts",
    "alembic.command",
    "optuna.importance",
):
    import_module(lazy)

CONFIG = """
name: campaign
data: digits
model: {name: mlp, hidden: [32], dropout: 0.1}
train: {epochs: 8, precision: fp32, threads: 1, save_every: 10 steps}
sweep:
  storage: STORAGE
  pruner: PRUNER
  grace: 2
  space:
    optim.lr: {low: 1e-4, high: 3e-1, log: true}
    model.hidden: [[16], [32], [32, 32]]
    train.batch_size: {low: 16, high: 64, step: 16}
    model.dropout: {low: 0.0, high: 0.5}
"""
PARTS = ("sqlite", "journal", "alone")
PATIENCE = 240.0  # seconds after which a process hangs


class Process:
    """One `nnzoo sweep --json`, and what it has said."""

    def __init__(self, config: Path, trials: int, message: Path) -> None:
        words = ["sweep", str(config), "--out", str(config.parent / "out"), "--json"]
        self.message = message
        self.process = FORK.Process(target=run, args=([*words, "--trials", str(trials)], message))
        self.process.start()

    def events(self) -> list[dict[str, Any]]:
        """The lines that are whole."""
        if not self.message.exists():
            return []
        lines = self.message.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    @property
    def stderr(self) -> str:
        file = self.message.with_suffix(".err")
        return file.read_text(encoding="utf-8")[-2000:] if file.exists() else "nothing"

    def wait(self) -> int:
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            raise SystemExit(f"a process hangs: {self.stderr}")
        return self.process.exitcode

    def kill(self, delay: float) -> bool:
        """Kill it in its next trial, so long after that has started; False where it was at its end."""
        started = len(self.events())
        deadline = time.monotonic() + PATIENCE
        while self.process.is_alive() and time.monotonic() < deadline:
            new = self.events()[started:]
            if any(item["event"] == "trial" and item["state"] == "running" for item in new):
                time.sleep(delay)
                break
            time.sleep(0.005)
        self.process.kill()
        return self.wait() == -signal.SIGKILL


def run(words: list[str], message: Path) -> None:
    """The command, in a process of its own."""
    for stream, file in ((1, message), (2, message.with_suffix(".err"))):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), stream)
    sys.argv = ["nnzoo", *words]
    try:
        cli.app(words, prog_name="nnzoo")
    except SystemExit as end:
        fast_exit(end.code)


def prepared(folder: Path, storage: str, pruner: str = "median") -> Path:
    folder.mkdir(parents=True)
    config = folder / "campaign.yaml"
    config.write_text(
        CONFIG.replace("STORAGE", storage).replace("PRUNER", pruner), encoding="utf-8"
    )
    return config


def rows_of(config: Path, trials: int) -> list[TrialRecord]:
    """Every trial, as the study has it."""
    settings = load_config(str(config), [f"sweep.trials={trials}"])
    return open_study(settings, config.parent / "out").records()


def check(good: bool, what: str) -> None:
    if not good:
        raise SystemExit(f"NOT SO: {what}")


def several(
    config: Path, processes: int, kills: int, trials: int, dice: random.Random
) -> dict[str, Any]:
    """Processes on one study, some killed and started anew; what was counted."""
    began = time.monotonic()
    folder = config.parent
    running = [Process(config, trials, folder / f"{i}.jsonl") for i in range(processes)]
    everything = list(running)
    killed = 0
    while killed < kills:
        victim = dice.randrange(len(running))
        if not running[victim].kill(dice.uniform(0.0, 0.25)):
            break  # the study is at its end
        killed += 1
        running[victim] = Process(config, trials, folder / f"{len(everything)}.jsonl")
        everything.append(running[victim])
    for entry in running:
        code = entry.wait()
        check(code == 0, f"exit code {code}: {entry.stderr}")
    rows = rows_of(config, trials)
    check(
        [row.number for row in rows] == list(range(trials)), f"numbers {[r.number for r in rows]}"
    )
    check(all(row.state in FINISHED for row in rows), f"states {[row.state for row in rows]}")
    started, ended = Counter[int](), Counter[int]()
    for process in everything:
        for event in process.events():
            if event["event"] == "trial":
                (started if event["state"] == "running" else ended)[event["number"]] += 1
    # One that was killed between writing to the study and printing is in the study alone.
    check(max(ended.values()) == 1, f"ended twice: {ended}")
    check(len(ended) >= trials - killed, f"not told: {set(range(trials)) - set(ended)}")
    check(sum(started.values()) <= trials + killed, f"started too often: {started}")
    for row in rows:
        lines = (folder / "out/campaign/trials" / str(row.number) / "metrics.jsonl").read_text()
        curve = [json.loads(line) for line in lines.splitlines()]
        check(
            [item["epoch"] for item in curve] == list(range(1, row.epochs + 1)), f"epochs of {row}"
        )
        if row.state == "complete":
            check(row.value == min(item["val_loss"] for item in curve), f"value of {row}")
    best = min((row for row in rows if row.value is not None), key=lambda row: row.value or 0.0)
    check(
        retrained(folder) == best.value,
        f"best.yaml trains to {retrained(folder)}, not {best.value}",
    )
    return {
        "processes": processes,
        "killed": killed,
        "trials": trials,
        "taken over": sum(started.values()) - trials,
        **Counter(row.state for row in rows),
        "best": best.value,
        "seconds": round(time.monotonic() - began, 1),
    }


def retrained(folder: Path) -> float | None:
    """The score of best.yaml, trained anew."""
    config = load_config(str(folder / "out/campaign/best.yaml"))
    again = open_run(config, RunOptions(folder / "again", torch.device("cpu")))
    for _ in train(again):
        pass
    again.lock.release()
    return again.trainer.state.best_value


def single_process(
    folder: Path, kills: int, trials: int, pruner: str, dice: random.Random
) -> dict[str, Any]:
    """One process left alone, one killed again and again: the same trials, values and scores."""
    result = []
    killed = 0
    for name, times in (("undisturbed", 0), ("killed", kills)):
        config = prepared(folder / name, "auto", pruner)
        count = 0
        process = Process(config, trials, config.parent / "0.jsonl")
        while count < times and process.kill(dice.uniform(0.0, 0.25)):
            count += 1
            process = Process(config, trials, config.parent / f"{count}.jsonl")
        check(process.wait() == 0, process.stderr)
        killed += count
        result.append(
            [
                (r.number, r.state, r.values, r.value, r.epoch, r.epochs)
                for r in rows_of(config, trials)
            ]
        )
    for one, other in zip(*result, strict=True):
        check(one == other, f"{one} undisturbed, {other} killed")
    return {"pruner": pruner, "trials": trials, "killed": killed, "differences": 0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", default=list(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    values = parser.parse_args()
    if unknown := set(values.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    dice = random.Random(values.seed)
    # Not a TemporaryDirectory: each fork would remove it at its own end.
    folder = Path(tempfile.mkdtemp())
    try:
        for part in values.parts:
            if part == "alone":
                continue
            config = prepared(folder / part, "auto" if part == "sqlite" else "out/study.log")
            counted = several(config, values.processes, values.kills, values.trials, dice)
            print(f"{part}: {counted}", flush=True)
        for pruner in ("median", "halving") if "alone" in values.parts else ():
            counted = single_process(folder / pruner, values.kills, values.trials, pruner, dice)
            print(f"alone: {counted}", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
