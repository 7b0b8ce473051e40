"""Remake the figures of docs/lesson.md by its runs: `python scripts/lesson_figures.py [FOLDER]`.

FOLDER keeps the runs (ten seeds of six networks, plain and shuffled), so that a second call trains nothing. Needs
Chromium; takes three minutes on two idle cores.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import nnzoo  # noqa: E402
from nnzoo.config.recording_options import Mnist1dOptions  # noqa: E402
from nnzoo.data.mnist1d import TEMPLATES, generate  # noqa: E402
from nnzoo.inspect.internals import gates, saliency  # noqa: E402
from nnzoo.runs.history import History  # noqa: E402
from nnzoo.runs.run_dir import RunDir  # noqa: E402
from tests.browser import Browser  # noqa: E402
from tests.watch.conftest import serving  # noqa: E402
from tests.watch.test_page import showing, stop_at  # noqa: E402

IMAGES = ROOT / "docs" / "images" / "lesson"
NETWORKS = ("logistic", "mlp", "cnn", "rnn", "lstm", "gru")
RECURRENT = {"rnn": "#d9480f", "lstm": "#2563eb", "gru": "#0f8a4b"}
# Greydanus & Kobak 2024, the README of their repository: plain, shuffled.
PUBLISHED = {
    "logistic": (0.32, 0.32),
    "mlp": (0.68, 0.68),
    "cnn": (0.94, 0.56),
    "gru": (0.91, 0.57),
}
INSPECT = {"mlp": {"filters": "mlp-weights"}, "cnn": {"filters": "kernels", "channels": "channels"}}
WATCHED_EPOCH = 8
CURVE = 2  # of the validation rows
COLORS = 64
PLAIN, SHUFFLED = "#2563eb", "#f08c00"


def run(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "nnzoo", *words], check=True, stdout=subprocess.DEVNULL)


def train(network: str, shuffle: bool) -> Path:
    """The folder of ten seeds of a bundled network, trained unless they are there."""
    name = f"{network}_shuffled" if shuffle else f"{network}_mnist1d"
    shuffled = ["-s", "data.shuffle=true"] if shuffle else []
    run(
        "train",
        "-c",
        f"{network}_mnist1d",
        "--seeds",
        "10",
        "-s",
        f"name={name}",
        "-v",
        "0",
        *shuffled,
    )
    return Path("checkpoints", f"{name}-seeds")


def save(figure: Figure, name: str) -> None:
    """Save a figure as a small image with a palette."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, facecolor="white", bbox_inches="tight")
    Image.open(buffer).convert("RGB").quantize(COLORS).save(IMAGES / f"{name}.png", optimize=True)


def draw_data() -> None:
    """The templates, two curves of each digit, and one of them with its positions permuted."""
    curves, digits = generate(Mnist1dOptions(name="mnist1d"))
    shuffled, _ = generate(Mnist1dOptions(name="mnist1d", shuffle=True))
    figure = Figure(figsize=(11, 4))
    axes = figure.subplots(4, 10)
    titles = ("template", "a curve", "another", "the same,\nshuffled")
    for digit in range(10):
        first, second = np.flatnonzero(digits[:4000] == digit)[:2]
        rows = (TEMPLATES[digit], curves[first], curves[second], shuffled[second])
        for row, values in enumerate(rows):
            color = SHUFFLED if row == 3 else "#1f2933" if row == 0 else PLAIN
            axes[row, digit].plot(values, color=color, linewidth=1.3)
            axes[row, digit].set(xticks=[], yticks=[])
        axes[0, digit].set_title(str(digit))
    for row, title in enumerate(titles):
        axes[row, 0].set_ylabel(title, rotation=0, ha="right", va="center")
    save(figure, "data")


def draw_results(summaries: dict[tuple[str, bool], Any]) -> None:
    """Test accuracy of each network, plain and shuffled, beside the published."""
    figure = Figure(figsize=(8, 3.4))
    axes = figure.subplots()
    for i, network in enumerate(NETWORKS):
        for shuffle, color, place in ((False, PLAIN, i - 0.2), (True, SHUFFLED, i + 0.2)):
            accuracy = summaries[network, shuffle]["test"]["accuracy"]
            axes.bar(place, accuracy["mean"], 0.36, color=color, yerr=accuracy["std"], capsize=3)
            axes.text(
                place,
                accuracy["mean"] + accuracy["std"] + 0.02,
                f"{accuracy['mean']:.2f}",
                ha="center",
                fontsize=9,
            )
            if network in PUBLISHED:
                axes.hlines(PUBLISHED[network][shuffle], place - 0.2, place + 0.2, color="#1f2933")
    axes.set_xticks(range(len(NETWORKS)), NETWORKS)
    axes.set(ylim=(0, 1.05), ylabel="test accuracy, mean of ten seeds")
    handles = [
        mpl.patches.Patch(color=PLAIN),
        mpl.patches.Patch(color=SHUFFLED),
        mpl.lines.Line2D([], [], color="#1f2933"),
    ]
    axes.legend(
        handles,
        ["in order", "shuffled", "published"],
        ncols=3,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        frameon=False,
        fontsize=9,
    )
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, "results")


def gradient_sizes(model: nnzoo.Model, curves: torch.Tensor) -> torch.Tensor:
    """The mean size of the gradient of the prediction with respect to each time step (40,), of the largest."""
    sizes = saliency(model.network, curves).abs().mean((0, 2))
    return sizes / sizes.max()


def draw_memory() -> None:
    """Draw the gradient by time step before and after training, and the gradient norm of each epoch."""
    figure = Figure(figsize=(10, 3.2))
    left, right = figure.subplots(1, 2)
    for network, color in RECURRENT.items():
        model = nnzoo.load(f"checkpoints/{network}_mnist1d")
        curves, _ = model.dataset.splits["val"].batch(torch.arange(400))
        left.semilogy(gradient_sizes(model, curves), color=color, label=network)
        history = History.open(RunDir(Path(f"checkpoints/{network}_mnist1d")))
        assert history is not None
        model.network.model.load_state_dict(history.state_dict(0))
        left.semilogy(gradient_sizes(model, curves), color=color, linestyle=":")
        lines = Path(f"checkpoints/{network}_mnist1d/metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        norms = [row["gradient_norm"] for row in rows]
        right.semilogy(range(1, len(rows) + 1), norms, color=color, label=network)
    left.plot([], [], color="#1f2933", linestyle=":", label="before training")
    left.set(xlabel="time step", ylabel="gradient, of the largest")
    right.set(xlabel="epoch", ylabel="gradient norm, mean of an epoch")
    for axes in (left, right):
        axes.legend(fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    save(figure, "memory")


def draw_states() -> None:
    """Hidden states of the three recurrent networks over time, for one curve."""
    figure = Figure(figsize=(9, 5.5))
    axes = figure.subplots(4, 1, sharex=True)
    for row, network in enumerate(RECURRENT, 1):
        model = nnzoo.load(f"checkpoints/{network}_mnist1d")
        curves, _ = model.dataset.splits["val"].batch(torch.arange(400))
        states = gates(model.network, model.network.preprocess(curves))["l0"]["hidden"]
        change = float(states.diff(dim=1).abs().mean())
        axes[row].imshow(states[CURVE].T.numpy(), aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1)
        axes[row].set(yticks=[], ylabel=f"{network}\n±{change:.2f} a step")
    axes[0].plot(curves[CURVE, :, 0], color=PLAIN, marker=".")
    axes[0].set_ylabel("curve")
    axes[3].set_xlabel("time step")
    save(figure, "states")


def copy_figures() -> None:
    """Figures that `nnzoo inspect` draws of the MLP and the CNN."""
    for network, figures in INSPECT.items():
        run("inspect", f"checkpoints/{network}_mnist1d", "--json")
        for figure, name in figures.items():
            path = Path(f"checkpoints/{network}_mnist1d/inspect/{figure}.png")
            image = Image.open(path).convert("RGB")
            image.quantize(COLORS).save(IMAGES / f"{name}.png", optimize=True)


def draw_watch(folder: Path) -> None:
    """The live page of the GRU: from its slider to its predictions, and its gates below."""
    browser = Browser(folder / "browser")
    with (
        serving(Path("checkpoints")) as (server, _),
        showing(browser, server, "gru_mnist1d", 1000) as page,
    ):
        stop_at(page, WATCHED_EPOCH)
        shots = (page.part("#player", "#predictionsSection"), page.part("#gatesSection"))
        parts = [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]
    browser.close()
    whole = Image.new("RGB", (1000, sum(part.height for part in parts)), "white")
    for i, part in enumerate(parts):
        whole.paste(part, (0, sum(above.height for above in parts[:i])))
    whole.quantize(256, method=Image.Quantize.FASTOCTREE).save(IMAGES / "watch.png", optimize=True)


def main() -> None:
    """Train what is missing, and draw all figures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = (
            sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(tempfile.TemporaryDirectory())
        )
        Path(folder).mkdir(exist_ok=True)
        stack.enter_context(contextlib.chdir(folder))
        folders = {
            (network, shuffle): train(network, shuffle)
            for network in NETWORKS
            for shuffle in (False, True)
        }
        summaries = {
            key: json.loads((path / "summary.json").read_text())["summary"]
            for key, path in folders.items()
        }
        draw_data()
        draw_results(summaries)
        for network in NETWORKS:
            run("train", "-c", f"{network}_mnist1d", "-v", "0")
        draw_memory()
        draw_states()
        copy_figures()
        draw_watch(Path(folder))


if __name__ == "__main__":
    main()
