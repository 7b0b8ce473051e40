"""How nnzoo's time a sample changes with the number of rows and the size of the batch.

python benchmarks/scaling.py [--models mlp,lstm] [--rows 1000,...] [--batches 32,...]
    [--seconds 2] [--plot FILE.svg]

Generated data (the `sine` source: windows of 20 steps) through the real path: reading, splitting,
scaling, training with clipping, metrics and checkpoints. A line is a run of its own with whole
epochs for about so many seconds, at least one after a first that is not counted; its median epoch
counts. The batch is 128 where the rows change; the rows are 100,000 where the batch changes.
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

from nnzoo.config import load_config
from nnzoo.run import start, train
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


def measure(model: str, rows: int, batch: int, seconds: float) -> tuple[float, float]:
    """Microseconds of training a sample, and seconds from the config to the first step."""
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["NNZOO_CACHE"] = f"{temporary}/cache"  # what is timed is timed for each run
        file = Path(temporary) / "scaling.yaml"
        file.write_text(f"{CONFIG}model: {MODELS[model]}\n")
        sets = [f"data.length={rows + 20}", f"train.batch_size={batch}", "train.epochs=1000000"]
        began = time.perf_counter()
        run = start(load_config(str(file), sets), Path(temporary), torch.device("cpu"))
        samples = len(run.trainer.splits["train"])
        events = train(run)
        next(events)
        ready = time.perf_counter() - began
        epochs: list[float] = []
        first = True
        last = time.perf_counter()
        for event in events:
            if not isinstance(event, EpochEnd):
                continue
            now = time.perf_counter()
            # Where a first epoch is long, what starts slowly does not weigh.
            if not first or now - last > 3 * seconds:
                epochs.append(now - last)
            first, last = False, now
            if sum(epochs) >= seconds:
                break
        events.close()
        run.lock.release()
    return median(epochs) / samples * 1e6, ready


def plot(file: Path, found: dict[str, list[tuple[str, int, float, float]]]) -> None:
    """One panel for the rows, one for the batches; a line a network."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "nnzoo"  # the same picture from the same numbers
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(found), figsize=(9, 3.2), sharey=True, layout="constrained"
    )
    for axis, (title, lines) in zip(axes, found.items(), strict=True):
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
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--plot", type=Path, help="draw the tables, .svg or .png (matplotlib)")
    options = parser.parse_args()
    models = options.models.split(",")
    axes = {
        "rows": [(int(rows), FIXED_BATCH) for rows in options.rows.split(",")],
        "batch": [(FIXED_ROWS, int(batch)) for batch in options.batches.split(",")],
    }
    found: dict[str, list[tuple[str, int, float, float]]] = {}
    for axis, sizes in axes.items():
        found[axis] = []
        for rows, batch in sizes:
            for model in models:
                shown = rows if axis == "rows" else batch
                found[axis].append((model, shown, *measure(model, rows, batch, options.seconds)))
                report.note(f"{model}, {rows:,} rows, batch {batch}: {found[axis][-1][2]:.2f} µs")
    for axis, lines in found.items():
        kept = f"batch {FIXED_BATCH}" if axis == "rows" else f"{FIXED_ROWS:,} rows"
        report.say(
            f"Microseconds of training a sample ({kept}), and seconds until the first step:\n"
        )
        by_size: dict[int, dict[str, tuple[float, float]]] = {}
        for model, size, cost, ready in lines:
            by_size.setdefault(size, {})[model] = (cost, ready)
        head = [axis, *(f"{model}, {what}" for model in models for what in ("µs", "start s"))]
        report.say(report.table(head, [
            [f"{size:,}", *(text for model in models
                            for text in (f"{each[model][0]:.2f}", f"{each[model][1]:.2f}"))]
            for size, each in by_size.items()
        ]) + "\n")  # fmt: skip
    report.say(f"Machine: {report.machine()}")
    report.say(f"Versions: {report.installed(('nnzoo', 'torch'))}")
    report.say(f"Command: {report.command()}")
    if options.plot:
        plot(options.plot, found)


if __name__ == "__main__":
    main()
