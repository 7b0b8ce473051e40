"""Draw the figures of docs/codes.md by running the examples of the codes: `python scripts/code_figures.py`.

The first command of an example shows the problem, the second what helps. Takes two minutes.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from nnzoo.explain.code_page import FIGURES
from nnzoo.explain.codes import all_codes
from nnzoo.text import shorten

ROOT = Path(__file__).parents[1]
PROBLEM, REMEDY = "#c0392b", "#2471a3"
COLORS = 32


def run(code: str) -> list[tuple[str, Path]]:
    """Train the runs of a code's example; returns what sets each apart, and its folder."""
    lines = [line.strip() for line in all_codes("en")[code].parts["example"].splitlines()]
    commands = [shlex.split(line)[1:] for line in lines]
    common = set.intersection(*map(set, commands))
    runs = []
    for i, words in enumerate(commands):
        name = f"{code}-{i}"
        command = [sys.executable, "-m", "nnzoo", *words, "-s", f"name={name}", "-v", "0"]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)  # W01 diverges
        values = [word for word in words if "=" in word and word not in common]
        runs.append(
            (shorten(", ".join(values), 45) or f"-c {words[2]}", Path("checkpoints") / name)
        )
    return runs


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def inspected(folder: Path) -> dict[str, Any]:
    """The layers of the last weights, as `nnzoo inspect --json` gives them."""
    command = ["inspect", str(folder), "--weights", "last", "--split", "train", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "nnzoo", *command], check=True, capture_output=True, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def draw_curves(axes: Axes, runs: list[tuple[str, Path]]) -> None:
    for (label, folder), color in zip(runs, (PROBLEM, REMEDY), strict=False):
        rows = metrics(folder)
        epochs = [row["epoch"] for row in rows]
        axes.plot(epochs, [row["train_loss"] for row in rows], color=color, linestyle=":")
        axes.plot(epochs, [row["val_loss"] for row in rows], color=color, label=label)
    axes.set(xlabel="epoch (dotted: training loss)", ylabel="validation loss")


def draw_norms(axes: Axes, runs: list[tuple[str, Path]]) -> None:
    for (label, folder), color in zip(runs, (PROBLEM, REMEDY), strict=False):
        rows = metrics(folder)
        norms = [row["gradient_norm_max"] for row in rows]
        axes.plot([row["epoch"] for row in rows], norms, color=color, label=label, marker=".")
    axes.set(xlabel="epoch", ylabel="largest gradient norm of a step", yscale="log")


def draw_layers(axes: Axes, runs: list[tuple[str, Path]]) -> None:
    for (label, folder), color in zip(runs, (PROBLEM, REMEDY), strict=False):
        layers = [layer for layer in inspected(folder)["layers"] if layer.get("gradient")]
        axes.plot(
            range(1, len(layers) + 1),
            [layer["gradient"] for layer in layers],
            color=color,
            label=label,
            marker="o",
        )
    axes.set(xlabel="layer, from the input", ylabel="gradient norm", yscale="log")


def draw_dead(axes: Axes, runs: list[tuple[str, Path]]) -> None:
    for i, ((label, folder), color) in enumerate(zip(runs, (PROBLEM, REMEDY), strict=False)):
        layers = [layer for layer in inspected(folder)["layers"] if layer.get("units")]
        places = [n + 0.4 * i for n in range(1, len(layers) + 1)]
        heights = [100 * layer["dead"] / layer["units"] for layer in layers]
        axes.bar(places, heights, width=0.4, color=color, label=label)
    axes.set(xlabel="hidden layer", ylabel="dead units in %")


def draw_time(axes: Axes, runs: list[tuple[str, Path]]) -> None:
    for (label, folder), color in zip(runs, (PROBLEM, REMEDY), strict=False):
        norms = inspected(folder)["gradient_over_time"]
        axes.plot(range(1, len(norms) + 1), norms, color=color, label=label)
    axes.set(xlabel="time step", ylabel="gradient of the loss at its input", yscale="log")


DRAW = {
    "W01": draw_norms,
    "W02": draw_dead,
    "W03": draw_layers,
    "W04": draw_time,
    "W10": draw_curves,
    "W11": draw_curves,
}


def save(figure: Figure, path: Path) -> None:
    """Save a figure as a small PNG with a palette."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(COLORS).save(path, optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        for code in sys.argv[1:] or FIGURES:
            figure = Figure(figsize=(5.6, 3.1), layout="constrained")
            axes = figure.subplots()
            DRAW[code](axes, run(code))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False, fontsize=8)
            axes.set_title(f"{code} {all_codes('en')[code].name}", fontsize=10)
            save(figure, ROOT / "docs" / FIGURES[code])


if __name__ == "__main__":
    main()
