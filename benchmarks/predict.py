"""Times of predictions: from prompt to exit beside `import torch`, one input from Python, rows per second of a CSV.

python benchmarks/predict.py [--rows 300000] [--rounds 5] [--against CHECKOUT]

Trains five small networks of bundled data and of a table that it writes, a few seconds in all; under two minutes with
the defaults. --against: another checkout of nnzoo, measured after it; its predictions for the CSV must be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent.parent
CONFIGS = ("mlp_breast_cancer", "mlp", "cnn", "lstm_sine", "table.yaml")
TABLE = """
data: {name: csv, path: train.csv, target: y}
model: {name: mlp, hidden: [256, 128]}
"""
PROMPTS = {
    "a row of a CSV": ["table", "one.csv"],
    "an image": ["cnn", "one.png"],
    "a series": ["lstm_sine"],
}
FROM_PYTHON = """
import json, sys, time
import numpy, pandas
import nnzoo

def microseconds(run, x):
    model = nnzoo.load(run)
    for _ in range(100):
        model.predict(x)
    times = []
    for _ in range(1000):
        start = time.perf_counter()
        model.predict(x)
        times.append(time.perf_counter() - start)
    return sorted(times)[500] * 1e6

image = numpy.full((8, 8), 9, numpy.uint8)
frame = pandas.read_csv("one.csv")
print(json.dumps({
    "mlp_breast_cancer, an array": microseconds("checkpoints/mlp_breast_cancer", numpy.ones(30)),
    "mlp on digits, an image": microseconds("checkpoints/mlp", image),
    "cnn on digits, an image": microseconds("checkpoints/cnn", image),
    "table, a data frame": microseconds("checkpoints/table", frame),
}))
"""


def write_csv(path: Path, rows: int, target: bool) -> None:
    """A table of six numbers and two categories, and a number to predict."""
    draw = random.Random(rows)
    with path.open("w") as file:
        file.write("a,b,c,d,e,f,color,flag" + ",y" * target + "\n")
        for _ in range(rows):
            x = [draw.gauss(0, 1) for _ in range(6)]
            cells = [f"{value:.4f}" for value in x]
            cells += [draw.choice(["red", "green", "blue"]), draw.choice(["yes", "no"])]
            cells += [f"{x[0] + x[1] ** 2:.4f}"] * target
            file.write(",".join(cells) + "\n")


def run(checkout: Path, *words: str, output: bool = False) -> tuple[float, str]:
    """Run Python with nnzoo of a checkout; returns seconds and, if it is asked for, stdout."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE if output else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return time.perf_counter() - start, done.stdout or ""


def prepare(rows: int) -> None:
    """Write the inputs into the working folder, and train the networks."""
    from PIL import Image

    write_csv(Path("train.csv"), 5000, target=True)
    write_csv(Path("one.csv"), 1, target=False)
    write_csv(Path("many.csv"), rows, target=False)
    Image.new("L", (8, 8), 99).save("one.png")
    Path("table.yaml").write_text(TABLE)
    for config in CONFIGS:
        run(HERE, "-m", "nnzoo", "train", "-c", config, "-s", "train.epochs=1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    checkouts = [HERE, *([options.against.resolve()] if options.against else [])]
    print(f"{'':32} " + " ".join(f"{checkout.name:>12}" for checkout in checkouts))

    def show(name: str, values: list[float], form: str) -> None:
        print(f"{name:32} " + " ".join(f"{value:>12{form}}" for value in values), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare(options.rows)
        for name, words in PROMPTS.items():
            command = ["-m", "nnzoo", "predict", f"checkpoints/{words[0]}", *words[1:]]
            ratios: list[list[float]] = [[] for _ in checkouts]
            for _ in range(options.rounds):
                reference, _ = run(HERE, "-c", "import torch")
                for checkout, ratio in zip(checkouts, ratios, strict=True):
                    ratio.append(run(checkout, *command)[0] / reference)
            show(f"{name} / import torch", list(map(median, ratios)), ".2f")
        times = [json.loads(run(one, "-c", FROM_PYTHON, output=True)[1]) for one in checkouts]
        for name in times[0]:
            show(f"{name}, us", [one[name] for one in times], ".0f")
        seconds: list[list[float]] = [[] for _ in checkouts]
        for _ in range(2):
            for i, checkout in enumerate(checkouts):
                words = ["checkpoints/table", "many.csv", "--out", f"{i}.csv"]
                seconds[i].append(run(checkout, "-m", "nnzoo", "predict", *words)[0])
        show("rows of a CSV per second", [options.rows / min(one) for one in seconds], ",.0f")
        if options.against and Path("0.csv").read_bytes() != Path("1.csv").read_bytes():
            sys.exit("the predictions differ")


if __name__ == "__main__":
    main()
