"""Cost of layer diagnostics: the time inside them, against the rest of the training, run by run.

`python benchmarks/health.py`: whole runs of bundled configs, seconds without start and loading.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from nnzoo.config.load import load_config
from nnzoo.device import choose_device
from nnzoo.evaluation.diagnostics import Finding
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train
from nnzoo.training.trainer import Trainer

CONFIGS = ["mlp", "cnn", "lstm", "lstm_sine", "mlp_mnist", "gru_mnist"]
EPOCHS = {"lstm_sine": 40, "mlp_mnist": 4, "gru_mnist": 1}
DIAGNOSTICS = Trainer.run_diagnostics


def seconds(name: str) -> tuple[float, float, int]:
    """One whole run: seconds inside looks, seconds of all else, and how many looked at the layers."""
    sets = [f"train.epochs={EPOCHS[name]}"] if name in EPOCHS else []
    inside, layers = 0.0, 0

    def timed_diagnostics(self: Trainer, row: dict[str, Any], seconds: float) -> list[Finding]:
        nonlocal inside, layers
        began = time.perf_counter()
        result = DIAGNOSTICS(self, row, seconds)
        inside += time.perf_counter() - began
        layers += "gradient_norms" in row
        return result

    with tempfile.TemporaryDirectory() as folder:
        run = open_run(load_config(name, sets), RunOptions(Path(folder), choose_device("cpu")))
        Trainer.run_diagnostics = timed_diagnostics  # type: ignore[method-assign]
        began = time.perf_counter()
        for _ in train(run):
            pass
        taken = time.perf_counter() - began
        run.lock.release()
    return inside, taken - inside, layers


def main() -> None:
    """A row a config: medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    options = parser.parse_args()
    print(f"{'config':<12} {'training':>10} {'looks':>6} {'in looks':>10} {'health adds':>12}")
    for name in options.configs:
        if "mnist" in name and "NNZOO_DATA" not in os.environ:
            continue
        rounds = [seconds(name) for _ in range(options.rounds + 1)][1:]  # the first warms up
        fraction = statistics.median(inside / rest for inside, rest, _ in rounds)
        inside, rest = (statistics.median(item[i] for item in rounds) for i in (0, 1))
        print(
            f"{name:<12} {rest:>8.2f} s {rounds[0][2]:>6} {1000 * inside:>7.1f} ms {100 * fraction:>10.2f} %",
            flush=True,
        )


if __name__ == "__main__":
    main()
