"""Matplotlib figures of a network's inside: activations, filters, gates over time, saliency, loss surface."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from nnzoo.status import notice
from nnzoo.text import Note, shorten

Array = np.ndarray[Any, Any]

INK = "#1f2933"
ACCENT = "#2563eb"
WRONG = "#c81e1e"
MAX_CHANNELS = 64
MAX_FILTERS = 64
MAX_COLUMNS = 30
MAX_MARKED_STEPS = 40
MAX_NAMED_CHANNELS = 6
GATES = ("input", "forget", "output", "reset", "update")
# DejaVu Sans, which comes with matplotlib, has no Chinese, Japanese or Korean letters.
FALLBACK_FONTS = """
    Noto Sans CJK SC, Noto Sans CJK JP, Noto Sans SC, Source Han Sans SC, WenQuanYi Micro Hei,
    WenQuanYi Zen Hei, Microsoft YaHei, SimHei, PingFang SC, Hiragino Sans GB, Heiti SC,
    Droid Sans Fallback, Arial Unicode MS, Noto Sans
"""
_INSTALLED = {font.name for font in font_manager.fontManager.ttflist}
STYLE: Any = {
    "font.family": [
        "DejaVu Sans",
        *(name for name in re.split(r",\s+", FALLBACK_FONTS.strip()) if name in _INSTALLED),
    ],
    "font.size": 9,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa5b1",
    "axes.titlesize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "savefig.facecolor": "white",
}
_styled = matplotlib.rc_context(STYLE)


@_styled
def png(figure: Figure) -> bytes:
    """Render a PNG file; equal values give equal bytes on a machine with the same fonts.

    Letters that no installed font has are reported in a notice.
    """
    file = io.BytesIO()
    options: Any = {"metadata": {"Software": None}, "bbox_inches": "tight", "pad_inches": 0.15}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(file, format="png", **options)
    glyphs = [re.search(r"Glyph (\d+) ", str(warning.message)) for warning in caught]
    letters = sorted({chr(int(glyph[1])) for glyph in glyphs if glyph})
    if letters:
        notice(
            Note(
                "N42",
                f"no font on this machine has {' '.join(letters[:6])}{' …' * (len(letters) > 6)}: they are "
                "drawn as boxes; install a font that has them, such as Noto Sans CJK",
            )
        )
    return file.getvalue()


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def to_display(image: Tensor, max_value: float) -> Array:
    """Convert a raw image (channels, height, width) to gray (height, width) or color (height, width, 3)
    from 0 to 1."""
    array = (image.double() / max_value).clamp(0, 1).cpu().numpy()
    return array[0] if len(array) != 3 else array.transpose(1, 2, 0)


def _show(axes: Any, image: Any, **options: Any) -> None:
    array = np.asarray(image)
    axes.imshow(array, cmap=options.pop("cmap", "gray"), interpolation="nearest", **options)
    if not 1 / 3 < array.shape[0] / array.shape[1] < 3:  # states over time rather than an image
        axes.set_aspect("auto")
        axes.set_box_aspect(1)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _grid_shape(count: int) -> tuple[int, int]:
    """Return rows and columns of a grid that is wider than high."""
    columns = math.ceil(math.sqrt(count * 1.6))
    return math.ceil(count / columns), columns


def _show_grid(figure: Any, count: int, show: Callable[[Any, int], None]) -> None:
    """Fill a grid of axes: `show` draws the image of an index on its axes."""
    for i, axes in enumerate(np.ravel(figure.subplots(*_grid_shape(count), squeeze=False))):
        if i < count:
            show(axes, i)
        else:
            axes.axis("off")


def _diverging(values: Any) -> dict[str, Any]:
    """Color scale that is white at zero, red above and blue below."""
    largest = float(np.abs(np.asarray(values)).max()) or 1.0
    return {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}


@_styled
def overview(
    images: list[Any],
    layers: dict[str, list[Array]],
    saliency: list[Array],
    labels: list[tuple[str, bool]],
) -> Figure:
    """Draw one row per input: the image, each hidden layer (by column title) and the input gradient.

    labels: the text beside each row, and whether the prediction is correct.
    """
    titles = ["input", *layers, "input\ngradient"]
    figure = _figure(1.25 * len(titles) + 1.6, 1.3 * len(images) + 0.4)
    grid = figure.subplots(len(images), len(titles), squeeze=False)
    for i, row in enumerate(grid):
        _show(row[0], images[i], vmin=0, vmax=1)
        for axes, values in zip(row[1:-1], layers.values(), strict=True):
            _show(axes, values[i])
        _show(row[-1], saliency[i], cmap="inferno")
        text, correct = labels[i]
        style = {"ha": "right", "va": "center", "color": INK if correct else WRONG}
        row[0].set_ylabel(text, rotation=0, labelpad=8, **style)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    return figure


@_styled
def channels(name: str, maps: Array) -> Figure:
    """Draw the sum of the channels (channels, height, width), large, beside the single channels."""
    shown = maps[:MAX_CHANNELS]
    rows, columns = _grid_shape(len(shown))
    figure = _figure(2.6 + 0.75 * columns, max(2.8, 0.75 * rows + 0.4))
    halves: Any = figure.subfigures(1, 2, width_ratios=[2.4, 0.75 * columns])
    left, right = halves
    axes = left.subplots()
    _show(axes, maps.sum(0))
    axes.set_title(f"'{name}': sum of {len(maps)} channels")
    scale = {"vmin": float(shown.min()), "vmax": float(shown.max())}
    _show_grid(right, len(shown), lambda axes, i: _show(axes, shown[i], **scale))
    return figure


@_styled
def filters(weights: Array) -> Figure:
    """Draw first-layer weights, images (units, channels, height, width) or curves (units, channels, time), the largest
    first."""
    sizes = np.abs(weights).reshape(len(weights), -1).sum(1)
    order = np.argsort(-sizes, kind="stable")[:MAX_FILTERS]
    rows, columns = _grid_shape(len(order))
    scale = _diverging(weights[order])
    is_color = weights.ndim == 4 and weights.shape[1] == 3

    def show(axes: Any, i: int) -> None:
        if weights.ndim == 3:
            _show_curves(axes, weights[order[i]], scale["vmax"])
        elif is_color:
            _show(axes, 0.5 + 0.5 * weights[order[i]].transpose(1, 2, 0) / scale["vmax"])
        else:
            _show(axes, weights[order[i]].mean(0), **scale)

    figure = _figure(0.75 * columns, 0.75 * rows + 0.4)
    _show_grid(figure, len(order), show)
    more = f", the largest {len(order)} of {len(weights)}" if len(weights) > len(order) else ""
    legend = "" if is_color else " (red above zero, blue below)"
    if weights.ndim == 3:
        legend = f" over time (each from {-scale['vmax']:.2g} to {scale['vmax']:.2g})"
    figure.suptitle(f"weights of the first layer{more}{legend}", fontsize=9)
    return figure


def _show_curves(axes: Any, curves: Array, limit: float) -> None:
    """Draw curves (channels, time) around a line at zero."""
    axes.axhline(0, color="#9aa5b1", linewidth=0.6)
    axes.plot(curves.T, marker=".", markersize=3, linewidth=1)
    axes.set(ylim=(-1.1 * limit, 1.1 * limit), xticks=[], yticks=[])


@_styled
def over_time(
    inputs: Array, values: dict[str, Array], title: str, tokens: list[str] | None = None
) -> Figure:
    """Draw gates and states (time, units), by name, below the inputs (time, features).

    tokens: the text of each time step, if the inputs are vectors of tokens.
    """
    figure = _figure(7.5, 1.25 * (len(values) + 1) + 0.5)
    grid = np.ravel(figure.subplots(len(values) + 1, 1, sharex=True))
    if inputs.shape[1] <= 3:
        for feature in inputs.T:
            grid[0].plot(np.arange(len(inputs)), feature, lw=1.6, marker="o", ms=2.5)
    else:
        grid[0].imshow(inputs.T, aspect="auto", cmap="gray", interpolation="nearest")
        grid[0].set_yticks([])
    grid[0].set_ylabel("what it\nreads", rotation=0, ha="right", va="center")
    grid[0].set_title(title)
    for axes, (name, states) in zip(grid[1:], values.items(), strict=True):
        is_gate = name in GATES
        scale = {"cmap": "viridis", "vmin": 0, "vmax": 1} if is_gate else _diverging(states)
        order = np.argsort(states.mean(0), kind="stable")  # similar units side by side
        extent = (-0.5, len(inputs) - 0.5, states.shape[1], 0)
        drawn = axes.imshow(
            states[:, order].T, aspect="auto", interpolation="nearest", extent=extent, **scale
        )
        axes.set_yticks([])
        label = f"{name} gate" if is_gate else name
        axes.set_ylabel(f"{label}\n{states.shape[1]} units", rotation=0, ha="right", va="center")
        figure.colorbar(drawn, ax=axes, pad=0.01, aspect=8)
    if tokens:
        width = max(map(len, tokens))
        rotation = {"rotation": 90} if width > 1 else {}
        grid[-1].set_xticks(range(len(tokens)), tokens, fontsize=7, **rotation)
        return figure
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    grid[-1].set_xlabel("time step")
    return figure


@_styled
def attributions(
    sequences: list[Array],
    values: list[Array],
    channels: list[str],
    labels: list[tuple[str, bool]],
) -> Figure:
    """Draw one row per sequence (time, channels): its channels as lines, and beside them the attribution
    of each step and channel, both over its own steps.

    labels: the text beside each row, and whether the prediction is correct.
    """
    figure = _figure(9.0, 1.2 * len(sequences) + 0.7)
    grid = figure.subplots(len(sequences), 2, squeeze=False)
    for (left, right), sequence, value, (text, correct) in zip(
        grid, sequences, values, labels, strict=True
    ):
        marker = {"marker": "o", "ms": 2} if len(sequence) <= MAX_MARKED_STEPS else {}
        left.plot(np.arange(len(sequence)), sequence, lw=1.0, **marker)
        style = {"ha": "right", "va": "center", "color": INK if correct else WRONG}
        left.set_ylabel(text, rotation=0, labelpad=22, **style)
        left.tick_params(labelsize=7)
        left.set_xlim(-0.5, len(sequence) - 0.5)
        right.imshow(value.T, aspect="auto", interpolation="nearest", **_diverging(value))
        right.tick_params(labelsize=7)
        right.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        if len(channels) == value.shape[1] <= MAX_NAMED_CHANNELS:
            names = [shorten(name, 12) for name in channels]
            right.set_yticks(range(len(names)), names, fontsize=7)
            for label, line in zip(right.get_yticklabels(), left.get_lines(), strict=True):
                label.set_color(line.get_color())
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid[0, 0].set_title("channels")
    grid[0, 1].set_title("attribution (red raises, blue lowers)")
    for axes in grid[-1]:
        axes.set_xlabel("time step")
    return figure


@_styled
def columns(names: list[str], influence: list[float]) -> Figure:
    """Draw the mean absolute input gradient of each column as bars, the largest first."""
    order = sorted(range(len(names)), key=lambda i: -influence[i])[:MAX_COLUMNS]
    figure = _figure(6.5, 0.24 * len(order) + 0.9)
    axes = figure.subplots()
    axes.barh(range(len(order)), [influence[i] for i in order], color=ACCENT)
    axes.set_yticks(range(len(order)), [shorten(names[i], 32) for i in order])
    axes.invert_yaxis()
    axes.set_xlabel("mean absolute gradient of the output w.r.t. the standardized input")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


@_styled
def surface(steps: list[float], losses: Array) -> Figure:
    """Draw losses (steps, steps) over two random directions; the weights are in the middle."""
    figure = _figure(5.6, 4.6)
    axes = figure.subplots()
    # The loss grows by orders of magnitude far from the weights.
    shown = np.log10(np.maximum(losses, 1e-12))
    drawn = axes.contourf(steps, steps, shown.T, levels=24, cmap="viridis")
    axes.contour(steps, steps, shown.T, levels=12, colors="white", linewidths=0.4, alpha=0.6)
    axes.plot(0, 0, "o", color="white", mec=INK)
    middle = losses[len(steps) // 2, len(steps) // 2]
    axes.set_title(f"loss along two random directions; {middle:.4g} at the weights")
    axes.set_xlabel("first direction (1: as long as the weights)")
    axes.set_ylabel("second direction")
    axes.set_aspect("equal")
    figure.colorbar(drawn, ax=axes, label="log10 of the loss")
    return figure
