"""Kill training runs with SIGKILL at random instants, and compare bit for bit what they end with to
runs that were left alone: python scripts/kill_campaign.py --kills 1000 [--processes 2] [--seed 0].

A launch is a fork that calls the command line, so that it starts in a tenth of a second; one in 50
is the command itself. Half of the kills come from outside, at a random instant. The others a launch
does to itself before, after or half-way through a call chosen at random: of the system's file
calls, of a step, of validation, of a line of metrics, of what starts a run or resumes it. The first
kill of each run comes right before the rename that replaces a last.pt: until then the old one must
be there.
"""

import argparse
import csv
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from pydoc_data import topics
from typing import Any, NamedTuple

# One thread here and in the command: the sums of several depend on their number.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import torch

from nnzoo import cli
from nnzoo.runs import checkpoint, run, run_dir, train
from nnzoo.runs.history import History
from nnzoo.training import train_step, trainer

if not hasattr(os, "fork"):
    raise SystemExit("this system cannot fork; Linux and macOS can")
FORK = multiprocessing.get_context("fork")
# The parent imports what a launch imports later, and never computes: threads would not survive a fork.
for lazy in (
    "nnzoo.console",
    "nnzoo.data.builtin",
    "nnzoo.data.recordings",
    "nnzoo.data.text",
    "nnzoo.data.corpus",
    "pandas",
    "scipy.stats",
    "nnzoo.evaluation.evaluate",
    "nnzoo.models.mlp",
    "nnzoo.models.cnn",
    "nnzoo.models.recurrent_layers",
    "nnzoo.models.rnn",
):
    import_module(lazy)

# The networks come first: a short campaign has one run of each.
SCENARIOS = {
    "mlp_digits": """
data: {name: digits, class_weights: balanced}
model: {name: mlp, hidden: [48, 24], norm: layer, dropout: 0.2}
optim: {name: adam, lr: 5e-3, schedule: {name: cosine, warmup: 10 steps}, clip: {norm: 1.0}}
train: {epochs: 20, batch_size: 32, accumulate_grad_batches: 3, label_smoothing: 0.1, save_every: 5 steps}""",
    "cnn_digits": """
data: {name: digits, augment: {shift: 1, rotate: 10, flip: horizontal, crop: 0.9, erase: 0.2}}
model: {name: cnn, channels: [4, 8], norm: batch, head: {dropout: 0.3}}
optim: {name: adamw, lr: 5e-3, schedule: one_cycle, clip: {value: 0.1}}
train: {epochs: 10, batch_size: 50, accumulate_grad_batches: 2, save_every: 0.5 epochs}""",
    "rnn_adding": """
data: {name: adding, length: 12, train: 500, val: 100, test: 50}
model: {name: rnn, hidden_size: 12, dropout: 0.1}
optim: {name: sgd, lr: 0.05, nesterov: true, schedule: {name: step, step_size: 5 epochs, gamma: 0.5}}
train: {epochs: 24, batch_size: 16, accumulate_grad_batches: 3, loss: huber, huber_delta: 0.5, save_every: 0.1 s}""",
    "lstm_sine": """
data: {name: sine, length: 600, noise: 0.1, horizon: 3}
model: {name: lstm, hidden_size: 8, num_layers: 2, dropout: 0.2}
optim: {name: rmsprop, lr: 0.02, momentum: 0.5, schedule: {name: plateau, patience: 1, gamma: 0.5}}
train: {epochs: 40, loss: mse, early_stopping: {patience: 8}, save_every: 1 epoch}""",
    "gru_sine": """
data: {name: sine, length: 600, noise: 0.1}
model: {name: gru, hidden_size: 8, bidirectional: true, dropout: 0.1}
optim: {name: adam, lr: 0.01, schedule: {name: linear, warmup: 1 epoch}, clip: {norm: 0.1}}
train: {epochs: 8, batch_size: 16, accumulate_grad_batches: 4, loss: mae, save_every: 10 steps}""",
    "mlp_iris": """
data: {name: iris, class_weights: balanced}
model: {name: mlp, hidden: [16], norm: batch, dropout: 0.3}
optim: {name: sgd, lr: 0.05, nesterov: true, weight_decay: 1e-3, schedule: {name: plateau, patience: 2}}
train: {epochs: 80, batch_size: 8, early_stopping: {patience: 20, min_delta: 1e-3}, save_every: 2 epochs}""",
    "cnn_sine": """
data: {name: sine, length: 600, noise: 0.1}
model: {name: cnn, channels: [6, 6], residual: true, norm: batch, dropout: 0.1}
optim: {name: rmsprop, lr: 2e-3, schedule: cosine}
train: {epochs: 24, batch_size: 32, loss: huber, save_every: 0.3 s}""",
    "rnn_digits": """
data: {name: digits, augment: {shift: 1}}
model: {name: rnn, hidden_size: 16, num_layers: 2, dropout: 0.2}
optim: {name: adamw, lr: 5e-3, schedule: constant, clip: {norm: 0.5}}
train: {epochs: 20, monitor: val_accuracy, early_stopping: {patience: 4}, save_every: 20 %}""",
    # A save every 10 steps falls on the last of an epoch's 20, before the epoch is over.
    "lstm_digits": """
data: {name: digits, augment: {erase: 0.5}}
model: {name: lstm, hidden_size: 12, activation: relu, dropout: 0.2}
optim: {name: adam, lr: 5e-3, schedule: {name: one_cycle, pct_start: 0.2}, clip: {norm: 1.0}}
train: {epochs: 10, label_smoothing: 0.05, save_every: 10 steps}""",
    # Nothing validates: the last epoch is the best.
    "gru_adding": """
data: {name: adding, length: 12, train: 500, val: 0, test: 50}
model: {name: gru, hidden_size: 12, num_layers: 2, dropout: 0.1}
optim: {name: rmsprop, lr: 5e-3, schedule: {name: linear, final: 0.1}}
train: {epochs: 14, batch_size: 32, loss: mse, save_every: 1 epoch}""",
    "mlp_diabetes": """
data: {name: diabetes, preprocess: {pca: 6, whiten: true}}
model: {name: mlp, hidden: [32, 16], dropout: 0.2}
optim: {name: adam, lr: 5e-3, schedule: {name: plateau, patience: 3, gamma: 0.5, warmup: 5 steps}}
train: {epochs: 50, batch_size: 16, loss: mae, monitor: val_r2, save_every: 3 epochs}""",
    # Sequences of different lengths, in buckets.
    "gru_recordings": """
data: {name: recordings, path: recordings.csv, id: id}
model: {name: gru, hidden_size: 8, num_layers: 2, bidirectional: true, readout: mean, dropout: 0.2}
optim: {name: adamw, lr: 5e-3, schedule: cosine, clip: {norm: 1.0}}
train: {epochs: 20, batch_size: 16, accumulate_grad_batches: 2, save_every: 3 steps}""",
    "cnn_recordings": """
data: {name: recordings, path: recordings.csv, id: id, class_weights: balanced}
model: {name: cnn, channels: [6, 6], pool: none, norm: batch, dropout: 0.1, head: {pooling: max}}
optim: {name: adam, lr: 5e-3, schedule: one_cycle}
train: {epochs: 20, batch_size: 16, save_every: 1 epoch}""",
    # Running text, whose hidden state is carried from step to step.
    "lstm_corpus": """
data: {name: pydoc, tokens: words, vocabulary: 300, window: 40}
model: {name: lstm, hidden_size: 12, num_layers: 2, dropout: 0.2, embedding: {size: 8, dropout: 0.1}}
optim: {name: adam, lr: 5e-3, schedule: one_cycle, clip: {norm: 1.0}}
train: {epochs: 6, batch_size: 24, accumulate_grad_batches: 2, save_every: 5 steps}""",
    "gru_texts": """
data: {name: text, path: texts.csv, min_count: 3, max_length: 60, keep: both}
model: {name: gru, hidden_size: 8, embedding: 8, readout: max, dropout: 0.2}
optim: {name: adamw, lr: 5e-3, schedule: cosine, clip: {norm: 1.0}}
train: {epochs: 6, batch_size: 16, save_every: 7 steps}""",
    "cnn_texts": """
data: {name: text, path: texts.csv, class_weights: balanced}
model: {name: cnn, channels: [8], branches: [2, 3], pool: none, embedding: 8, head: {pooling: max, dropout: 0.3}}
optim: {name: rmsprop, lr: 2e-3}
train: {epochs: 6, batch_size: 16, save_every: 1 epoch}""",
    "mlp_texts": """
data: {name: text, path: texts.csv}
model: {name: mlp, hidden: [], embedding: {size: 16, dropout: 0.2}}
optim: {name: sgd, lr: 0.5, nesterov: true, clip: {value: 0.1}}
train: {epochs: 10, batch_size: 16, save_every: 0.1 s}""",
}
NETWORKS = ("mlp", "cnn", "rnn", "lstm", "gru")


def write_texts(path: Path) -> None:
    """A table of the paragraphs of Python's documentation texts, by whether they show code."""
    paragraphs = "\n\n".join(topics.topics[name] for name in sorted(topics.topics)).split("\n\n")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for text in paragraphs[:2000:4]:
            writer.writerow([text, "code" if "::" in text or ">>>" in text else "prose"])


def write_recordings(path: Path) -> None:
    """A long table of 120 recordings of 2 to 20 steps, whose class is the sign of their drift."""
    rng = random.Random(0)
    lines = ["id,x,y,label"]
    for i in range(120):
        drift = rng.choice([-1, 1])
        for step in range(rng.randint(2, 20)):
            x, y = drift * step / 10 + rng.gauss(0, 1), rng.gauss(0, 1)
            lines.append(f"{i},{x:.4f},{y:.4f},{'up' if drift > 0 else 'down'}")
    path.write_text("\n".join(lines) + "\n")


EXPECTED = {
    "last.pt",
    "best.pt",
    "previous.pt",
    "metrics.jsonl",
    "config.yaml",
    "result.json",
    "warnings.jsonl",
    "history",
    ".lock",
}
PHASES = ("start", "between", "step", "validation", "metrics line", "checkpoint", "result")
# Memory that a launch shares with its parent: the index of its phase, when the start was over, and
# the step of the last checkpoint.
PHASE, STARTED, SAVED = range(3)
REPLACED = "replace last.pt"
WRITING = ("write", "start: write", "metrics line", "checkpoint")  # can be killed half-way
KILLED, HUNG = -signal.SIGKILL, 124  # exit codes
PATIENCE = 180.0  # seconds after which a launch hangs


class Aim(NamedTuple):
    """The place at which a launch kills itself: before, half-way through or after a call, counted from 1."""

    point: str
    call: int
    when: str


class Probe:
    """Wraps what a launch calls: counts the calls, marks the phase on the board, and kills."""

    def __init__(self, board: Any, aim: Aim | None) -> None:
        self.board, self.aim = board, aim
        self.calls: Counter[str] = Counter()
        for name in ("open", "write", "fsync", "close", "link", "replace", "unlink"):
            self.wrap(os, name, name)
        self.wrap(run, "open_run", "start: all", "start")
        self.wrap(checkpoint, "load", "start: load")
        self.wrap(train_step.TrainerStack, "train_step", "step", "step")
        self.wrap(trainer.Trainer, "finish_epoch", "epoch end", "between")
        self.wrap(trainer, "evaluate", "validation", "validation")
        self.wrap(run_dir.RunDir, "append_metrics", "metrics line", "metrics line")
        self.wrap(train, "save", "checkpoint", "checkpoint")
        self.wrap(run.Run, "result", "result", "result")

    def wrap(self, owner: Any, name: str, point: str, phase: str | None = None) -> None:
        real, board = getattr(owner, name), self.board

        @wraps(real)
        def probed(*arguments: Any, **options: Any) -> Any:
            outer = board[PHASE]
            call = f"start: {point}" if owner is os and outer == 0 else point
            if call == "replace" and Path(arguments[1]).name == "last.pt":
                call = REPLACED
            self.calls[call] += 1
            aimed = self.aim is not None and self.aim[:2] == (call, self.calls[call])
            when = self.aim.when if self.aim and aimed else ""
            if phase is not None:
                board[PHASE] = PHASES.index(phase)
            if when == "half" and point == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            elif when == "half":  # half of its first write
                self.aim, when = Aim("write", self.calls["write"] + 1, "half"), ""
            if when in ("before", "half"):
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*arguments, **options)
            finally:
                if when == "after":
                    os.kill(os.getpid(), signal.SIGKILL)
                board[PHASE] = outer
                if point == "checkpoint":
                    board[SAVED] = arguments[0].trainer.state.step
                if point == "start: all":
                    board[PHASE], board[STARTED] = PHASES.index("between"), time.monotonic()

        setattr(owner, name, probed)


def launch(words: list[str], board: Any, log: Path, aim: Aim | None = None) -> Any:
    """Start `nnzoo` with these arguments in a fork; when done it leaves its calls beside the log."""

    def child() -> None:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        torch.set_num_threads(1)
        probe = Probe(board, aim)
        sys.argv = ["nnzoo", *words]
        try:
            cli.app(words, prog_name="nnzoo")
        finally:
            log.with_suffix(".json").write_text(json.dumps(probe.calls))

    board[PHASE] = 0
    process = FORK.Process(target=child)
    process.start()
    return process


def exit_code(process: Any, seconds: float | None = None) -> int:
    """The exit code of a fork, which is killed after `seconds` or else should end by itself."""
    process.join(PATIENCE if seconds is None else seconds)
    late = process.is_alive()
    process.kill()
    process.join()
    return HUNG if late and seconds is None else process.exitcode


def command(words: list[str], log: Path, mark: Path, seconds: float = PATIENCE) -> int:
    """The exit code of `python -m nnzoo`, killed `seconds` after it has written the file `mark`."""

    def written() -> int:
        return mark.stat().st_mtime_ns if mark.exists() else 0

    before, end = written(), time.monotonic() + PATIENCE
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "nnzoo", *words], stdout=output, stderr=output
        )
        while process.poll() is None and written() == before and time.monotonic() < end:
            time.sleep(0.005)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def in_child(function: Callable[[], Any]) -> Connection:
    """Start a function in a fork; its answer is received from the connection."""
    reader, writer = FORK.Pipe(duplex=False)
    FORK.Process(target=lambda: writer.send(function())).start()
    writer.close()  # so that the reader hears of a fork that failed
    return reader


def unequal(one: Any, other: Any, path: str = "") -> list[str]:
    """The paths at which the bits of two trees of plain values and tensors differ."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape
        bits = [item.contiguous().reshape(-1).view(torch.uint8) for item in (one, other)]
        return [] if alike and torch.equal(*bits) else [path]
    if isinstance(one, list | tuple) and type(one) is type(other):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return [f"{path} ({len(one)} and {len(other)} entries, or other keys)"]
        return [where for key in one for where in unequal(one[key], other[key], f"{path}/{key}")]
    same = type(one) is type(other) and repr(one) == repr(other)  # a nan is equal to itself
    return [] if same else [path]


def outcome(path: Path) -> dict[str, Any]:
    """The content of a finished run's folder, without times."""
    last = checkpoint.load(path / "last.pt")
    del last["trainer"]["position"]["elapsed"]
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    rows = [{key: row[key] for key in row if "second" not in key} for row in lines]
    folder = run_dir.RunDir(path)
    return {
        "last.pt": last,
        "best.pt": checkpoint.load(path / "best.pt"),
        "metrics.jsonl": rows,
        "warnings.jsonl": folder.findings(),
        "history": {file.name: file.read_bytes() for file in sorted(folder.history.iterdir())},
        "epochs": getattr(History.open(folder), "epochs", None),
    }


def differences(one: Path, other: Path) -> list[str]:
    """The differences between the folders of two finished runs, and files that should not be in the other."""
    extra = sorted({path.name for path in other.iterdir()} - EXPECTED)
    try:
        result = unequal(outcome(one), outcome(other))
    except Exception as error:  # a damaged file is a difference too
        result = [f"{type(error).__name__}: {error}"]
    return result + [f"{name} was left over" for name in extra]


def _unreadable(path: Path) -> str:
    try:
        checkpoint.load(path)
    except Exception as error:
        return f"after a kill: {error}"
    return ""


class Reference(NamedTuple):
    """A run left alone: its calls, steps, seconds of the start and of the whole."""

    calls: dict[str, int]
    steps: float
    start: float
    seconds: float


# Runs in a row that ended before their kill.
BARREN = 20


class Worker:
    """Kill runs of some scenarios sequentially."""

    def __init__(self, work: Path, names: list[str], kills: int, seed: str, keep: Path | None):
        self.work, self.names, self.kills, self.keep = work, names, kills, keep
        self.random = random.Random(seed)
        self.board = RawArray("d", 3)
        self.log = work / "log"
        self.references: dict[str, Reference] = {}
        counted = ("runs", "identical runs", "kills", "identical kills", "killed in", "killed at")
        self.tally: dict[str, Counter[str]] = {key: Counter() for key in counted}
        work.mkdir()
        write_recordings(work / "recordings.csv")
        write_texts(work / "texts.csv")
        for name in names:
            (work / f"{name}.yaml").write_text(f"name: run\nseed: 7{SCENARIOS[name]}\n")

    def words(self, name: str, out: str) -> list[str]:
        return [
            "train",
            "--config",
            str(self.work / f"{name}.yaml"),
            "--device",
            "cpu",
            "--out",
            str(self.work / name / out),
            "--verbose",
            "0",
            "--set",
            "train.history=1000",  # all epochs, whatever they cost
        ]

    def reference(self, name: str) -> Reference:
        """The scenario's run left alone, made once."""
        if name not in self.references:
            began = time.monotonic()
            if code := exit_code(launch(self.words(name, "alone"), self.board, self.log)):
                raise RuntimeError(f"{name}, left alone: exit {code}\n{self.log.read_text()}")
            start, seconds = self.board[STARTED] - began, time.monotonic() - began
            calls = json.loads(self.log.with_suffix(".json").read_text())
            self.references[name] = Reference(calls, self.board[SAVED], start, seconds)
        return self.references[name]

    def check_command(self, name: str) -> None:
        """The command itself must give what its fork gives."""
        self.reference(name)
        code = command(self.words(name, "command"), self.log, self.mark(name, "command"))
        if code or (result := self.compare(name, "command")):
            text = self.log.read_text() if code else ", ".join(result)
            raise RuntimeError(f"python -m nnzoo, exit {code}, is not what its fork is: {text}")

    def mark(self, name: str, out: str) -> Path:
        """The first line of a launch, unless the run is complete."""
        return self.work / name / out / "run" / "config.yaml"

    def compare(self, name: str, out: str) -> list[str]:
        one, other = (self.work / name / item / "run" for item in ("alone", out))
        return in_child(lambda: differences(one, other)).recv()

    def attempt(self, name: str, left: int, first: bool) -> tuple[int, str, str]:
        """A launch that is to be killed: its exit code, the phase it died in, where it was killed.

        It is the first of `left` instants drawn over what remains of the run; first: of the run's kills.
        """
        reference, words, draw = self.references[name], self.words(name, "killed"), self.random
        fraction = 1 - draw.random() ** (1 / left)
        fraction *= 1 - self.board[SAVED] / reference.steps
        if first and (count := reference.calls.get(REPLACED, 0)) > 1:
            aim = Aim(REPLACED, max(2, 1 + int(fraction * count)), "before")
            code = exit_code(launch(words, self.board, self.log, aim))
            return code, PHASES[int(self.board[PHASE])], REPLACED
        if draw.random() < 0.5:
            training = fraction * (reference.seconds - reference.start)
            if draw.random() < 0.04:
                code = command(words, self.log, self.mark(name, "killed"), training)
                return code, "own process", "instant"
            seconds = draw.random() * reference.seconds  # in the start as often as that is long
            if seconds > reference.start:
                seconds = reference.start + training
            code = exit_code(launch(words, self.board, self.log), seconds)
            return code, PHASES[int(self.board[PHASE])], "instant"
        starting = draw.random() < 0.2
        calls = reference.calls | ({"start: load": 1} if self.board[SAVED] else {})
        points = {point for point in calls if point.startswith("start:") == starting}
        if left > 1:  # by then everything is saved, and nothing would be left to be killed in
            points.discard("result")
        point = draw.choice(sorted(points))
        when = draw.choice(["before", "after", *(["half"] if point in WRITING else [])])
        aim = Aim(point, 1 + int((draw.random() if starting else fraction) * calls[point]), when)
        code = exit_code(launch(words, self.board, self.log, aim))
        return code, PHASES[int(self.board[PHASE])], f"{point}{', half' * (when == 'half')}"

    def kill(self, name: str, budget: int) -> None:
        """One run of a scenario, killed at most so often, then left to finish, and compared."""
        self.reference(name)
        shutil.rmtree(self.work / name / "killed", ignore_errors=True)
        self.board[SAVED] = 0
        code, phases = KILLED, Counter[str]()
        lost: list[str] = []
        saves: set[float] = set()
        while code == KILLED and (left := budget - phases.total()):
            code, phase, point = self.attempt(name, left, not phases)
            if code == KILLED:
                phases[phase] += 1
                self.tally["killed at"][point] += 1
                saves |= {self.board[SAVED]} - {0.0}
                lost += self.lost(name, len(saves))
        if code == KILLED:
            code = exit_code(launch(self.words(name, "killed"), self.board, self.log))
        if not code and not phases:
            return  # it was done before its first kill
        result = [f"exit {code}: {self.log.read_text()}"] if code else self.compare(name, "killed")
        result += lost
        self.tally["killed in"] += phases
        for what in ("", "identical ") if not result else ("",):
            self.tally[f"{what}runs"][name] += 1
            self.tally[f"{what}kills"][name] += phases.total()
        if result and self.keep is not None:
            shutil.copytree(self.work / name, self.keep / f"{name}-{self.tally['runs'][name]}")
        listing = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
        end = "; ".join(result) or "identical"
        sys.stdout.write(f"{name:<12} {phases.total():>3} kills ({listing}): {end}\n")
        sys.stdout.flush()

    def lost(self, name: str, saves: int) -> list[str]:
        """Check the checkpoints that a kill has left; saves: how many different ones were seen at least.
        Once there was one it is there, whole, under its own name at any instant; of two, both."""
        folder = self.work / name / "killed" / "run"
        files = ["last.pt", "previous.pt"][:saves]
        return [
            item
            for item in in_child(lambda: [_unreadable(folder / f) for f in files]).recv()
            if item
        ]

    def work_off(self) -> dict[str, Counter[str]]:
        """Kill until all kills are spent."""
        self.check_command(self.names[0])
        most = max(1, self.kills // 5)
        barren = 0
        while left := self.kills - self.tally["kills"].total():
            name = self.names[self.tally["runs"].total() % len(self.names)]
            self.kill(name, min(left, most, self.random.randint(8, 20)))
            barren = barren + 1 if left == self.kills - self.tally["kills"].total() else 0
            if barren == BARREN:
                raise RuntimeError(f"{name}: no kill has landed in {BARREN} runs")
        return self.tally


def summary(tally: dict[str, Counter[str]], seconds: float) -> str:
    """The tables at the end."""
    lines = [f"\n{'network':<21} runs  identical  kills"]
    for network in NETWORKS:
        runs, identical, kills = (
            sum(tally[key][name] for name in SCENARIOS if name.startswith(f"{network}_"))
            for key in ("runs", "identical runs", "kills")
        )
        lines.append(f"{network:<21} {runs:>4}  {identical:>9}  {kills:>5}")
    for title in ("killed in", "killed at"):
        lines.append(f"\n{title:<21} kills")
        lines += [f"{name:<21} {count:>5}" for name, count in tally[title].most_common()]
    kill_counts, run_counts = (
        f"{tally[f'identical {what}'].total()} of {tally[what].total()} {what}"
        for what in ("kills", "runs")
    )
    return "\n".join([*lines, f"\n{kill_counts}, {run_counts} identical, {seconds:.0f} s\n"])


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    parser.add_argument("--keep", type=Path, help="new folder, for the runs that differ")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="runs of these names")
    options = parser.parse_args()
    began, names = time.monotonic(), options.only or list(SCENARIOS)
    count = max(1, min(options.processes, len(names), options.kills))
    tally: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as work:
        outcomes = []
        for i in range(count):
            kills = options.kills // count + (i < options.kills % count)
            seed = f"{options.seed}/{i}"
            worker = Worker(Path(work, str(i)), names[i::count], kills, seed, options.keep)
            outcomes.append(in_child(worker.work_off))
        for part in outcomes:
            try:
                counters = part.recv()
            except EOFError:
                return 1  # it has said why
            for key, counter in counters.items():
                tally[key] = tally.get(key, Counter()) + counter
    sys.stdout.write(summary(tally, time.monotonic() - began))
    landed = tally["kills"].total() == options.kills
    return 0 if landed and tally["runs"] == tally["identical runs"] else 1


if __name__ == "__main__":
    sys.exit(main())
