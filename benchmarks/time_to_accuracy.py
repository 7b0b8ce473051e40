"""Seconds from the prompt to a trained network, and the test accuracy it has, nnzoo beside Keras.

python benchmarks/time_to_accuracy.py [--config cnn_mnist,mlp_mnist] [--seeds 10] [--keras tensorflow:1]
    [--keras-seeds 3] [--data DIR] [--python INTERPRETER]

Each run is a whole process: start, imports, reading MNIST, training, the test rows, exit. nnzoo's is
`nnzoo train --config NAME --seed N`; the first has an empty cache, as on a new machine. Keras's is
its mnist_cnn example for so many epochs. Seeds go in turns, so that whatever else the machine does
hits all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

import mnist
import report

HERE = Path(__file__).resolve().parent
Measured = list[tuple[float, float]]  # seconds, accuracy


def measure(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of a process, and the accuracy in the last JSON line that it prints."""
    busy, local, began = report.all_used(), children(), time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, check=False
    )
    seconds = time.perf_counter() - began
    other = report.all_used() - busy - (children() - local)
    if other > 0.05 * seconds:
        report.note(f"  something else took {other / seconds:.0%} of a core in the next run")
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-500:] or f"it ended with {done.returncode}")
    last = json.loads(done.stdout.strip().splitlines()[-1])
    return seconds, last.get("test", last)["accuracy"]


def children() -> float:
    """Seconds of processor time of all processes that have ended here."""
    used = os.times()
    return used.children_user + used.children_system


def nnzoo(config: str, data: Path, cache: Path) -> Callable[[int], tuple[float, float]]:
    def run(seed: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as out:
            return measure(
                [
                    sys.executable,
                    "-m",
                    "nnzoo",
                    "train",
                    "--config",
                    config,
                    "--seed",
                    str(seed),
                    "--out",
                    out,
                    "--json",
                    "--verbose",
                    "0",
                    "--device",
                    "cpu",
                ],
                {"NNZOO_DATA": str(data.resolve()), "NNZOO_CACHE": str(cache)},
            )

    return run


def keras(spec: str, data: Path, python: str) -> Callable[[int], tuple[float, float]]:
    """spec: the backend and the number of epochs, as in tensorflow:1."""
    backend, _, epochs = spec.partition(":")

    def run(seed: int) -> tuple[float, float]:
        return measure(
            [python, "-m", "peers.keras_example", str(data.resolve()), epochs or "12", str(seed)],
            {"KERAS_BACKEND": backend, "PYTHONPATH": str(HERE), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    return run


def line(name: str, runs: Measured) -> list[str]:
    seconds, accuracies = zip(*runs, strict=True)
    return [
        name,
        str(len(runs)),
        f"{median(seconds):.1f}",
        f"{min(seconds):.1f}–{max(seconds):.1f}",
        f"{mean(accuracies):.4f}",
        f"{min(accuracies):.4f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="cnn_mnist", help="bundled names or files, by comma")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--keras", default="tensorflow:1,tensorflow:3", help="BACKEND:EPOCHS, ...")
    parser.add_argument("--keras-seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=mnist.default_folder())
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has Keras")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        expected = {
            f"nnzoo train --config {name}": (
                nnzoo(name, options.data, Path(cache) / Path(name).stem),
                options.seeds,
            )
            for name in options.config.split(",")
        }
        for spec in filter(None, options.keras.split(",")):
            backend, _, epochs = spec.partition(":")
            name = f"Keras mnist_cnn, {backend}, {epochs or 12} epochs"
            expected[name] = keras(spec, options.data, options.python), options.keras_seeds
        result: dict[str, Measured] = {name: [] for name in expected}
        skipped: set[str] = set()
        for seed in range(max(count for _, count in expected.values())):
            for name, (run, count) in expected.items():
                if seed >= count or name in skipped:
                    continue
                try:
                    result[name].append(run(seed))
                except RuntimeError as error:
                    report.note(f"{name} is skipped: {error}")
                    skipped.add(name)
                    continue
                seconds, accuracy = result[name][-1]
                report.note(f"{name}, seed {seed}: {seconds:.2f} s, {accuracy:.4f}")
    report.say(
        report.table(
            ["", "runs", "median s", "min–max s", "mean accuracy", "lowest"],
            [line(name, runs) for name, runs in result.items() if runs],
        )
    )
    report.say(f"\nMachine: {report.machine()}")
    report.say(
        f"Versions: {report.installed(('nnzoo', 'torch', 'keras', 'tensorflow-cpu', 'jax'))}"
    )
    report.say(f"Command: {report.command()}")


if __name__ == "__main__":
    main()
