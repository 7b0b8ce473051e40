"""Pictures of a network's inside, as matplotlib figures."""

from __future__ import annotations

import io
import math
import re
import warnings
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from nnzoo.status import notice

INK = "#1f2933"
ACCENT = "#2563eb"
WRONG = "#c81e1e"
MAX_CHANNELS = 64
MAX_FILTERS = 64
# DejaVu Sans comes with matplotlib and has no Chinese, Japanese or Korean letters.
FALLBACK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC",
    "Droid Sans Fallback", "Arial Unicode MS", "Noto Sans",
)  # fmt: skip
_INSTALLED = {font.name for font in font_manager.fontManager.ttflist}
STYLE: Any = {
    "font.family": ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in _INSTALLED)],
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


def png(figure: Figure) -> bytes:
    """A PNG file; the same numbers give the same bytes on a machine with the same fonts.

    Letters that no installed font has are reported.
    """
    file = io.BytesIO()
    options: Any = {"metadata": {"Software": None}, "bbox_inches": "tight", "pad_inches": 0.15}
    with matplotlib.rc_context(STYLE), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(file, format="png", **options)
    glyphs = [re.search(r"Glyph (\d+) ", str(each.message)) for each in caught]
    letters = sorted({chr(int(glyph[1])) for glyph in glyphs if glyph})
    if letters:
        notice(
            f"no font on this machine has {' '.join(letters[:6])}{' …' * (len(letters) > 6)}: they are "
            "drawn as boxes; install a font that has them, such as Noto Sans CJK"
        )
    return file.getvalue()


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def to_picture(image: Tensor, top: float) -> np.ndarray[Any, Any]:
    """A raw image (channels, height, width) with values up to `top` as grey (h, w) or colour (h, w, 3)
    from 0 to 1."""
    array = (image.double() / top).clamp(0, 1).cpu().numpy()
    return array[0] if len(array) != 3 else array.transpose(1, 2, 0)


def _show(axes: Any, picture: Any, **options: Any) -> None:
    array = np.asarray(picture)
    axes.imshow(array, cmap=options.pop("cmap", "gray"), interpolation="nearest", **options)
    if not 1 / 3 < array.shape[0] / array.shape[1] < 3:  # states over time, not a picture
        axes.set_aspect("auto")
        axes.set_box_aspect(1)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _about_zero(picture: Any) -> dict[str, Any]:
    """Red above zero, blue below, white at it."""
    most = float(np.abs(np.asarray(picture)).max()) or 1.0
    return {"cmap": "RdBu_r", "vmin": -most, "vmax": most}


def sheet(
    pictures: list[Any],
    sums: dict[str, list[np.ndarray[Any, Any]]],
    gradients: list[np.ndarray[Any, Any]],
    answers: list[tuple[str, bool]],
) -> Figure:
    """A row an input: the picture, the channels of each layer summed up (by the column's title), and
    what in the picture moves the answer. answers: what stands beside each row, and whether it is right.
    """
    columns = ["input", *sums, "input\ngradient"]
    with matplotlib.rc_context(STYLE):
        figure = _figure(1.25 * len(columns) + 1.6, 1.3 * len(pictures) + 0.4)
        grid = figure.subplots(len(pictures), len(columns), squeeze=False)
        for i, row in enumerate(grid):
            _show(row[0], pictures[i], vmin=0, vmax=1)
            for axes, values in zip(row[1:-1], sums.values(), strict=True):
                _show(axes, values[i])
            _show(row[-1], gradients[i], cmap="inferno")
            text, right = answers[i]
            row[0].set_ylabel(text, rotation=0, ha="right", va="center", labelpad=8,
                              color=INK if right else WRONG)  # fmt: skip
        for axes, name in zip(grid[0], columns, strict=True):
            axes.set_title(name)
    return figure


def channels(name: str, maps: np.ndarray[Any, Any]) -> Figure:
    """The sum of all channels, large, beside the single ones (channels, height, width)."""
    shown = maps[:MAX_CHANNELS]
    columns = math.ceil(math.sqrt(len(shown) * 1.6))
    rows = math.ceil(len(shown) / columns)
    with matplotlib.rc_context(STYLE):
        figure = _figure(2.6 + 0.75 * columns, max(2.8, 0.75 * rows + 0.4))
        halves: Any = figure.subfigures(1, 2, width_ratios=[2.4, 0.75 * columns])
        left, right = halves
        axes = left.subplots()
        _show(axes, maps.sum(0))
        axes.set_title(f"'{name}': sum of {len(maps)} channels")
        low, high = float(shown.min()), float(shown.max())
        for i, each in enumerate(np.ravel(right.subplots(rows, columns, squeeze=False))):
            if i < len(shown):
                _show(each, shown[i], vmin=low, vmax=high)
            else:
                each.axis("off")
    return figure


def filters(weights: np.ndarray[Any, Any]) -> Figure:
    """First-layer weights (units, channels, height, width), the largest ones first: what each unit
    looks for."""
    sizes = np.abs(weights).sum((1, 2, 3))
    order = np.argsort(-sizes, kind="stable")[:MAX_FILTERS]
    columns = math.ceil(math.sqrt(len(order) * 1.6))
    rows = math.ceil(len(order) / columns)
    scale = _about_zero(weights[order])
    colour = weights.shape[1] == 3
    with matplotlib.rc_context(STYLE):
        figure = _figure(0.75 * columns, 0.75 * rows + 0.4)
        for i, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
            if i >= len(order):
                axes.axis("off")
            elif colour:
                each = weights[order[i]].transpose(1, 2, 0)
                _show(axes, 0.5 + 0.5 * each / scale["vmax"])
            else:
                _show(axes, weights[order[i]].mean(0), **scale)
        more = f", the largest {len(order)} of {len(weights)}" if len(weights) > len(order) else ""
        what = "" if colour else " (red above zero, blue below)"
        figure.suptitle(f"weights of the first layer{more}{what}", fontsize=9)
    return figure


def over_time(
    read: np.ndarray[Any, Any], values: dict[str, np.ndarray[Any, Any]], title: str
) -> Figure:
    """Gates and states (time, units) over time, below what was read (time, features)."""
    with matplotlib.rc_context(STYLE):
        figure = _figure(7.5, 1.25 * (len(values) + 1) + 0.5)
        grid = np.ravel(figure.subplots(len(values) + 1, 1, sharex=True))
        time = np.arange(len(read))
        if read.shape[1] <= 3:
            for feature in range(read.shape[1]):
                grid[0].plot(time, read[:, feature], lw=1.6, marker="o", ms=2.5)
        else:
            grid[0].imshow(read.T, aspect="auto", cmap="gray", interpolation="nearest")
            grid[0].set_yticks([])
        grid[0].set_ylabel("what it\nreads", rotation=0, ha="right", va="center")
        grid[0].set_title(title)
        for axes, (name, each) in zip(grid[1:], values.items(), strict=True):
            gate = (
                each.min() >= 0 and each.max() <= 1 and name not in ("cell", "hidden", "candidate")
            )
            scale = {"cmap": "viridis", "vmin": 0, "vmax": 1} if gate else _about_zero(each)
            # Units that move together stand together.
            order = np.argsort(each.mean(0), kind="stable")
            drawn = axes.imshow(
                each[:, order].T, aspect="auto", interpolation="nearest",
                extent=(-0.5, len(read) - 0.5, each.shape[1], 0), **scale,
            )  # fmt: skip
            axes.set_yticks([])
            label = f"{name} gate" if gate else name
            axes.set_ylabel(f"{label}\n{each.shape[1]} units", rotation=0, ha="right", va="center")
            figure.colorbar(drawn, ax=axes, pad=0.01, aspect=8)
        grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        grid[-1].set_xlabel("time step")
    return figure


def columns(names: list[str], influence: list[float]) -> Figure:
    """How much each input column moves the answer, the strongest first."""
    order = sorted(range(len(names)), key=lambda i: -influence[i])[:30]
    with matplotlib.rc_context(STYLE):
        figure = _figure(6.5, 0.24 * len(order) + 0.9)
        axes = figure.subplots()
        shown = [name if len(name) <= 32 else f"{name[:31]}…" for name in (names[i] for i in order)]
        axes.barh(range(len(order)), [influence[i] for i in order], color=ACCENT)
        axes.set_yticks(range(len(order)), shown)
        axes.invert_yaxis()
        axes.set_xlabel("mean absolute gradient of the output w.r.t. the standardized input")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def surface(at: list[float], losses: np.ndarray[Any, Any]) -> Figure:
    """The loss over two random directions around the weights, which are in the middle."""
    with matplotlib.rc_context(STYLE):
        figure = _figure(5.6, 4.6)
        axes = figure.subplots()
        # Far off the loss grows by orders, near the weights by parts.
        shown = np.log10(np.maximum(losses, 1e-12))
        drawn = axes.contourf(at, at, shown.T, levels=24, cmap="viridis")
        axes.contour(at, at, shown.T, levels=12, colors="white", linewidths=0.4, alpha=0.6)
        axes.plot(0, 0, "o", color="white", mec=INK)
        middle = losses[len(at) // 2, len(at) // 2]
        axes.set_title(f"loss along two random directions; {middle:.4g} at the weights")
        axes.set_xlabel("first direction (1: as long as the weights)")
        axes.set_ylabel("second direction")
        axes.set_aspect("equal")
        figure.colorbar(drawn, ax=axes, label="log10 of the loss")
    return figure
