"""How nnzoo's time a sample changes with the number of rows and the size of the batch.

python benchmarks/scaling.py [--models mlp,lstm] [--rows 1000,...] [--batches 32,...]
    [--rounds 12] [--seconds 0.4] [--plot FILE.svg]

Generated data (the `sine` source: windows of 20 steps) through the real path: reading, splitting,
scaling, training with clipping, metrics and checkpoints. All sizes of a network are runs that take
turns, so that whatever else the machine does hits all alike: a turn is so many seconds of training,
to the end of an epoch where epochs are short; the median turn counts. The batch is 128 where the rows
change; the rows are 100,000 where the batch changes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import report
import torch

from nnzoo.config.load import load_config
from nnzoo.device import use_threads
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train
from nnzoo.training.trainer import EpochEnd

CONFIG = """
data: {name: sine, window: 20, split: {val: 0, test: 0}}
optim: {name: adam, clip: {norm: 1.0}}
"""
MODELS = {
    "mlp": "{name: mlp, hidden: [128, 128]}",
    "rnn": "{name: rnn, hidden_size: 32}",
    "lstm": "{name: lstm, hidden_size: 32}",
    "gru": "{name: gru, hidden_size: 32}",
    "cnn": "{name: cnn, channels: [16, 16]}",
}
ROWS = "1000,3000,10000,30000,100000,300000,1000000"
BATCHES = "32,64,128,256,512,1024"
FIXED_ROWS, FIXED_BATCH = 100_000, 128


class Subject:
    """A run of one network with so many rows in batches of one size."""

    def __init__(self, model: str, rows: int, batch: int, folder: Path) -> None:
        file = folder / "scaling.yaml"
        file.write_text(f"{CONFIG}model: {MODELS[model]}\n")
        sets = [f"data.length={rows + 20}", f"train.batch_size={batch}", "train.epochs=1000000"]
        began = time.perf_counter()
        config = load_config(str(file), sets)
        self.run = open_run(config, RunOptions(folder / f"{rows} {batch}", torch.device("cpu")))
        self.events = train(self.run)
        next(self.events)
        self.ready = time.perf_counter() - began
        self.turns: list[float] = []

    def turn(self, seconds: float) -> None:
        """Train for so long; adds the microseconds per sample."""
        trainer = self.run.trainer
        use_threads(self.run.network.config.train)
        samples, ended = 0, 0
        began = time.perf_counter()
        for event in self.events:
            spent = time.perf_counter() - began
            if isinstance(event, EpochEnd):
                ended += 1
                if spent > seconds:
                    break
            else:
                samples += trainer.step_sizes[event.step_in_epoch - 1]
                if spent > seconds and not ended:
                    break
        self.turns.append((time.perf_counter() - began) / samples * 1e6)


def measure(
    model: str, sizes: list[tuple[int, int]], rounds: int, seconds: float
) -> list[tuple[float, float]]:
    """For each (rows, batch): microseconds of training per sample, seconds from the config to the first
    step."""
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["NNZOO_CACHE"] = f"{temporary}/cache"  # what is timed is timed for each run
        subjects = [Subject(model, rows, batch, Path(temporary)) for rows, batch in sizes]
        for i in range(rounds + 1):
            for subject in subjects:
                subject.turn(seconds)
            report.note(f"{model}: turn {i} of {rounds}")
        for subject in subjects:
            subject.events.close()
            subject.run.lock.release()
    return [(median(subject.turns[1:]), subject.ready) for subject in subjects]


def plot(file: Path, result: dict[str, list[tuple[str, int, float, float]]]) -> None:
    """One panel for the rows, one for the batches; a line a network."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "nnzoo"  # the same figure from the same numbers
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(result), figsize=(9, 3.2), sharey=True, layout="constrained"
    )
    for axis, (title, lines) in zip(axes, result.items(), strict=True):
        for model in dict.fromkeys(line[0] for line in lines):
            points = [(line[1], line[2]) for line in lines if line[0] == model]
            axis.plot(*zip(*points, strict=True), marker="o", label=model)
        axis.set(xlabel=title, ylabel="µs a sample", xscale="log", yscale="log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(which="both", alpha=0.25)
        axis.legend(frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="mlp,lstm")
    parser.add_argument("--rows", default=ROWS)
    parser.add_argument("--batches", default=BATCHES)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.4, help="of a turn")
    parser.add_argument("--plot", type=Path, help="draw the tables, .svg or .png (matplotlib)")
    options = parser.parse_args()
    models = options.models.split(",")
    axes = {
        "rows": [(int(rows), FIXED_BATCH) for rows in options.rows.split(",")],
        "batch": [(FIXED_ROWS, int(batch)) for batch in options.batches.split(",")],
    }
    result: dict[str, list[tuple[str, int, float, float]]] = {}
    for axis, sizes in axes.items():
        result[axis] = [
            (model, rows if axis == "rows" else batch, *figures)
            for model in models
            for (rows, batch), figures in zip(
                sizes, measure(model, sizes, options.rounds, options.seconds), strict=True
            )
        ]
    for axis, lines in result.items():
        kept = f"batch {FIXED_BATCH}" if axis == "rows" else f"{FIXED_ROWS:,} rows"
        report.say(
            f"Microseconds of training a sample ({kept}), and seconds until the first step:\n"
        )
        by_size: dict[int, dict[str, tuple[float, float]]] = {}
        for model, size, cost, ready in lines:
            by_size.setdefault(size, {})[model] = (cost, ready)
        head = [axis, *(f"{model}, {what}" for model in models for what in ("µs", "start s"))]
        report.say(
            report.table(
                head,
                [
                    [
                        f"{size:,}",
                        *(
                            text
                            for model in models
                            for text in (f"{item[model][0]:.2f}", f"{item[model][1]:.2f}")
                        ),
                    ]
                    for size, item in by_size.items()
                ],
            )
            + "\n"
        )
    report.say(f"Machine: {report.machine()}")
    report.say(f"Versions: {report.installed(('nnzoo', 'torch'))}")
    report.say(f"Command: {report.command()}")
    if options.plot:
        plot(options.plot, result)


if __name__ == "__main__":
    main()
