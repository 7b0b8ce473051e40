"""Cost of layer diagnostics and of the record for `nnzoo watch`: the time inside them, against the rest of the training.

`python benchmarks/health.py`: whole runs of bundled configs, seconds without start and loading. On a busy machine
`--processor-time` counts the time that the process really had a core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from nnzoo.config.load import load_config
from nnzoo.device import choose_device
from nnzoo.runs.history import History
from nnzoo.runs.recorder import Recorder
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import ProgressClock, train
from nnzoo.training.trainer import Trainer

CONFIGS = ["mlp", "cnn", "rnn", "lstm", "gru", "lstm_sine", "mlp_mnist", "gru_mnist"]
EPOCHS = {"lstm_sine": 40, "mlp_mnist": 4, "gru_mnist": 1}
Clock = Callable[[], float]


class Cost(NamedTuple):
    """Seconds of one whole run: in diagnostics, in the history and the warnings, in progress.json, in all else; how
    many epochs had layer statistics, and of how many the weights were kept."""

    diagnostics: float
    record: float
    progress: float
    rest: float
    stats: int
    kept: int


@contextmanager
def timed(owner: Any, name: str, clock: Clock) -> Iterator[Callable[[], float]]:
    """Time the calls of a method; yields a function that returns their seconds."""
    real, seconds = getattr(owner, name), 0.0

    @wraps(real)
    def method(*arguments: Any) -> Any:
        nonlocal seconds
        start = clock()
        result = real(*arguments)
        seconds += clock() - start
        return result

    setattr(owner, name, method)
    try:
        yield lambda: seconds
    finally:
        setattr(owner, name, real)


def measure(name: str, clock: Clock) -> Cost:
    """Train one whole run."""
    sets = [f"train.epochs={EPOCHS[name]}"] if name in EPOCHS else []
    with (
        tempfile.TemporaryDirectory() as folder,
        timed(Trainer, "run_diagnostics", clock) as diagnostics,
        timed(Recorder, "record_epoch", clock) as record,
        timed(ProgressClock, "write", clock) as progress,
    ):
        run = open_run(load_config(name, sets), RunOptions(Path(folder), choose_device("cpu")))
        start = clock()
        for _ in train(run):
            pass
        inside = diagnostics(), record(), progress()
        rest = clock() - start - sum(inside)
        run.lock.release()
        stats = sum("gradient_norms" in row for row in run.folder.rows())
        history = History.open(run.folder)
        kept = 0 if history is None else len(history.epochs)
    return Cost(*inside, rest, stats, kept)


def main() -> None:
    """A row a config: medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    options = parser.parse_args()
    clock = time.thread_time if options.processor_time else time.perf_counter
    print(
        f"{'config':<12} {'training':>10} {'looks':>6} {'in looks':>10} {'health adds':>12} "
        f"{'kept':>5} {'history adds':>13} {'progress adds':>14}"
    )
    for name in options.configs:
        if "mnist" in name and "NNZOO_DATA" not in os.environ:
            continue
        rounds = [measure(name, clock) for _ in range(options.rounds + 1)][1:]  # the first warms up
        rest, inside = (
            statistics.median(getattr(cost, field) for cost in rounds)
            for field in ("rest", "diagnostics")
        )
        adds = [
            100 * statistics.median(getattr(cost, field) / cost.rest for cost in rounds)
            for field in ("diagnostics", "record", "progress")
        ]
        print(
            f"{name:<12} {rest:>8.2f} s {rounds[0].stats:>6} {1000 * inside:>7.1f} ms {adds[0]:>10.2f} % "
            f"{statistics.median_low(cost.kept for cost in rounds):>5} {adds[1]:>11.2f} % {adds[2]:>12.2f} %",
            flush=True,
        )


if __name__ == "__main__":
    main()
