"""Cost of watching: the rate of training with and without `nnzoo watch`, in turns of half a second of one run.

`python benchmarks/watching.py`: the five bundled networks of digits, watched by a client that polls as the page does, and
by the page in headless Chromium. Viewer and client are stopped (SIGSTOP) in every other turn, so that other programs on the
machine weigh on both alike. Samples per second of elapsed time, and per second that the training process had a processor;
the differences are medians over pairs of turns. The turns begin when the viewer has drawn its first frame.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from nnzoo.cli.viewer_process import ViewerProcess
from nnzoo.config.load import load_config
from nnzoo.console import Output
from nnzoo.device import choose_device
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train
from nnzoo.training.trainer import StepEnd

CONFIGS = ["mlp", "cnn", "rnn", "lstm", "gru"]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MODES = ["polled", *(["Chromium"] if CHROMIUM else [])]
# Seconds of a turn, and of loading PyTorch and drawing the first frame.
TURN, LOADING = 0.5, 5.0


class Turn(NamedTuple):
    """A part of a run: samples, seconds of elapsed and of processor time."""

    samples: int
    seconds: float
    processor: float


def poll(address: str) -> None:
    """Ask the viewer of a run as its page does beside a training: for news every second or later, until the frames of all recorded epochs are there."""

    def ask(name: str, **parameters: int) -> Any:
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        with urllib.request.urlopen(
            f"{address}{name}?{query}" if query else address + name
        ) as file:
            return json.load(file)

    rows, epochs, recorded, number = 0, 0, [0], 0
    for turn in itertools.count():
        start = time.perf_counter()
        if turn % 4 == 0:
            number = ask("runs")["newest"]
        state = ask("state", run=number, start=rows)
        rows += len(state["rows"])
        if state["history"]:
            if not turn:
                ask("samples", run=number)
            frames = ask("epochs", run=number, start=recorded[min(epochs, len(recorded) - 1)])
            is_new = len(frames["recorded"]) > len(recorded)
            recorded = frames["recorded"]
            epochs = recorded.index(frames["known"][-1]["epoch"]) + 1 if frames["known"] else epochs
            if is_new:
                ask("frame", run=number, epoch=recorded[-1], row=0)
        pause = 50 * (time.perf_counter() - start)
        time.sleep(min(max(pause, 1.0 if epochs >= len(recorded) else 0.2), 5.0))


class Watcher:
    """The viewer of a run with a client, both of which can be stopped for a while."""

    def __init__(self, viewer: ViewerProcess, mode: str, profile: str) -> None:
        assert viewer.process is not None
        while not viewer.address:
            time.sleep(0.01)
        words = [sys.executable, __file__, "--poll", viewer.address]
        if mode == "Chromium":
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
            words = [str(CHROMIUM), *flags, f"--user-data-dir={profile}", viewer.address]
        self.viewer = viewer.process.pid
        self.loading: float | None = None
        self.client = subprocess.Popen(
            words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def send(self, number: signal.Signals) -> None:
        os.kill(self.viewer, number)
        os.killpg(self.client.pid, number)

    @property
    def has_drawn(self) -> bool:
        """Whether the viewer began to load PyTorch so long ago that it must have drawn a frame (Linux)."""
        now = time.perf_counter()
        if self.loading is None and "libtorch_cpu" in Path(f"/proc/{self.viewer}/maps").read_text():
            self.loading = now
        return self.loading is not None and now - self.loading > LOADING

    @property
    def seconds(self) -> float:
        """Processor time of the viewer until now (Linux)."""
        fields = Path(f"/proc/{self.viewer}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watcher(folder: Path, mode: str) -> Iterator[Watcher]:
    with ViewerProcess(Output.open(0, False)) as viewer, tempfile.TemporaryDirectory() as profile:
        viewer.start(folder)
        started = Watcher(viewer, mode, profile)
        try:
            yield started
        finally:
            started.send(signal.SIGCONT)
            os.killpg(started.client.pid, signal.SIGKILL)
            started.client.wait()


def measure(name: str, mode: str, times: int) -> tuple[list[Turn], list[Turn], float]:
    """Train so many times the config's epochs; returns the turns with and without the watcher, and its processor time
    per second of these."""
    config = load_config(name, ["train.threads=1"])
    train_options = config.train.model_copy(update={"epochs": times * config.train.epochs})
    config = replace(config, train=train_options)
    turns: dict[bool, list[Turn]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        run = open_run(config, RunOptions(Path(folder), choose_device("cpu")))
        with watcher(run.folder.path, mode) as by:
            is_watched, samples, used = True, 0, 0.0
            start, cpu = 0.0, 0.0
            for event in train(run):
                now = time.perf_counter()
                if not start:
                    if not by.has_drawn:
                        continue
                    start, cpu, used = now, time.process_time(), by.seconds
                if isinstance(event, StepEnd):
                    samples += run.trainer.step_sizes[event.step_in_epoch - 1]
                if now - start < TURN:
                    continue
                turns[is_watched].append(Turn(samples, now - start, time.process_time() - cpu))
                is_watched = not is_watched
                by.send(signal.SIGCONT if is_watched else signal.SIGSTOP)
                start, cpu, samples = time.perf_counter(), time.process_time(), 0
            used = by.seconds - used
            assert start, f"{name} was trained before the first frame was there; more --times"
        run.lock.release()
    return turns[True], turns[False], used / sum(turn.seconds for turn in turns[True])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="the epochs of the configs")
    parser.add_argument("--poll", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    options = parser.parse_args()
    if options.poll:
        poll(options.poll)
    print(
        f"{'config':<8} {'watched':<9} {'samples/s':>10} {'watching':>10} {'per processor second':>21} {'watching':>10} "
        f"{'viewer':>8}"
    )
    for name in options.configs:
        for mode in MODES:
            watched, unwatched, used = measure(name, mode, options.times)
            values = []
            for field in ("seconds", "processor"):
                rates = [
                    [t.samples / getattr(t, field) for t in turns] for turns in (watched, unwatched)
                ]
                values += [
                    statistics.median(rates[1]),
                    100 * (statistics.median(a / b for a, b in zip(*rates, strict=False)) - 1),
                ]
            print(
                f"{name:<8} {mode:<9} {values[0]:>10,.0f} {values[1]:>+8.2f} % {values[2]:>21,.0f} {values[3]:>+8.2f} % "
                f"{100 * used:>6.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
