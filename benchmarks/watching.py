"""Cost of watching: the rate of training alone, with a client that polls `nnzoo watch` as its page does, and with the
page open in headless Chromium, by turns.

`python benchmarks/watching.py`: runs of the five bundled networks of digits, each some seconds long; samples per second
of elapsed time, and per second that the training process had a processor, which other programs on the machine hardly
change. A round's runs are compared with its run alone; the figures are medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
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

CONFIGS = ["mlp", "cnn", "rnn", "lstm", "gru"]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MODES = ["alone", "polled", *(["Chromium"] if CHROMIUM else [])]


class Cost(NamedTuple):
    """One run: samples per second of elapsed and of processor time; seconds of processor time of the viewer, and of
    training."""

    rate: float
    cpu_rate: float
    viewer: float
    seconds: float


def poll(address: str) -> None:
    """Ask the viewer of a run as its page does: for news every second, until the frames of all recorded epochs are there."""

    def ask(name: str, **parameters: int) -> Any:
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        with urllib.request.urlopen(
            f"{address}{name}?{query}" if query else address + name
        ) as file:
            return json.load(file)

    rows, epochs, recorded, number = 0, 0, [0], 0
    for turn in itertools.count():
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
        time.sleep(1.0 if epochs >= len(recorded) else 0.03)


@contextmanager
def watched(folder: Path, mode: str) -> Iterator[list[float]]:
    """Watch a run in one of MODES; the list is then the processor time of the viewer."""
    used = [0.0]
    if mode == "alone":
        yield used
        return
    with ViewerProcess(Output.open(0, False)) as viewer, tempfile.TemporaryDirectory() as profile:
        viewer.start(folder)
        assert viewer.process is not None
        while not viewer.address:
            time.sleep(0.01)
        words = [sys.executable, __file__, "--poll", viewer.address]
        if mode == "Chromium":
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
            words = [str(CHROMIUM), *flags, f"--user-data-dir={profile}", viewer.address]
        client = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            yield used
        finally:
            used[0] = processor_seconds(viewer.process.pid)
            client.terminate()
            client.wait()


def processor_seconds(pid: int) -> float:
    """Seconds of processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, epochs: int | None, mode: str) -> tuple[Cost, int]:
    """Train one whole run; returns its cost, and how many epochs it had."""
    config = load_config(name, ["train.threads=1"])
    if epochs is not None:
        config = replace(config, train=config.train.model_copy(update={"epochs": epochs}))
    with tempfile.TemporaryDirectory() as folder:
        run = open_run(config, RunOptions(Path(folder), choose_device("cpu")))
        with watched(run.folder.path, mode) as used:
            start, cpu_start = time.perf_counter(), time.process_time()
            for _ in train(run):
                pass
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        run.lock.release()
        done = run.trainer.state.epoch
        samples = done * run.trainer.num_samples
    return Cost(samples / seconds, samples / cpu, used[0], cpu), done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a run")
    parser.add_argument("--poll", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    options = parser.parse_args()
    if options.poll:
        poll(options.poll)
    print(
        f"{'config':<8} {'mode':<9} {'samples/s':>10} {'':>9} {'per processor second':>21} {'':>9} {'viewer':>8}"
    )
    for name in options.configs:
        warm, epochs = measure(name, None, "alone")  # the first warms up
        epochs = max(1, round(epochs * options.seconds / warm.seconds))
        rounds = [
            {mode: measure(name, epochs, mode)[0] for mode in MODES} for _ in range(options.rounds)
        ]
        for mode in MODES:
            costs = [costs[mode] for costs in rounds]
            rate, cpu_rate, viewer, _ = (
                statistics.median(values) for values in zip(*costs, strict=True)
            )
            changes = [
                100 * statistics.median(r[mode][i] / r["alone"][i] - 1 for r in rounds)
                for i in (0, 1)
            ]
            print(
                f"{name:<8} {mode:<9} {rate:>10,.0f} {changes[0]:>+7.2f} % {cpu_rate:>21,.0f} {changes[1]:>+7.2f} % "
                f"{viewer:>6.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
