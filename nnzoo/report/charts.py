"""Charts as SVG for a page: drawn by matplotlib in colours that stand for the page's own, so that they
are light or dark as it is."""

from __future__ import annotations

import io
import itertools
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from markupsafe import Markup
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

# A colour that nothing else has -> the CSS variable in its place.
INK, LINE, PAPER = "#010101", "#020202", "#030303"
SERIES = [f"#0{i}0a0{i}" for i in range(1, 9)]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_VARIABLES = {INK: "var(--ink)", LINE: "var(--line)", PAPER: "var(--paper)"} | {
    colour: f"var(--c{i + 1})" for i, colour in enumerate(SERIES)
}
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=SERIES),
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
Array = np.ndarray[Any, Any]
Line = tuple[Sequence[float], Sequence[float]]


class _Chart:
    svg: Markup


@contextmanager
def _chart(alt: str, width: float = 4.6, height: float = 3.0) -> Iterator[tuple[Any, _Chart]]:
    """Axes to draw on; afterwards the chart has its SVG. alt: what it shows, for those who cannot see."""
    made = _Chart()
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": alt}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks: the page's may have them
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        axes.set_axisbelow(True)
        yield axes, made
        file = io.StringIO()
        figure.savefig(
            file,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    made.svg = _for_the_page(file.getvalue(), alt)


def _for_the_page(svg: str, alt: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    # Names of parts, which would come twice in a page; what is referred to has a hash for its name.
    svg = re.sub(r' id="[A-Za-z]+[A-Za-z0-9]*_[0-9]+"', "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"'DejaVu Sans'", "system-ui", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    label = Markup.escape(alt)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))


def _logarithmic(axes: Any) -> None:
    """The y axis in powers, its labels plain: formulas are not read, as names may hold a dollar."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    low, high = axes.get_ylim()
    if high < 10 * low:  # no power of ten may lie in between
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    else:
        axes.yaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Any) -> None:
    """Names above the axes, where they cover no line."""
    names = axes.get_legend_handles_labels()[1]
    columns = 2 if max(map(len, names)) > 14 else min(4, len(names))
    axes.legend(fontsize=8, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def value(value: Any) -> float:
    """A metric to draw; nan where there is none."""
    return float(value) if isinstance(value, int | float) else math.nan


def curves(
    title: str, lines: dict[str, Line], label: str,
    log: bool = False, mark: float | None = None,
) -> Markup:  # fmt: skip
    """Lines over epochs: name -> (epochs, values); mark: an epoch to point out."""
    with _chart(title) as (axes, chart):
        for i, (name, (x, y)) in enumerate(lines.items()):
            dashed = name.startswith("train") and len(lines) > 1
            gaps = (
                len(x) > 1 and max(b - a for a, b in itertools.pairwise(x)) > 1
            )  # looked at rarely
            marker = MARKERS[i % len(MARKERS)] if len(x) == 1 or gaps else None
            axes.plot(x, y, label=name, ls="--" if dashed else "-", marker=marker, ms=5,
                      color=SERIES[i % len(SERIES)])  # fmt: skip
        positive = all(v > 0 for _, y in lines.values() for v in y if np.isfinite(v))
        if log and positive:
            _logarithmic(axes)
        if mark is not None:
            axes.axvline(mark, color=INK, lw=0.8, ls=":")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if all(len(x) == 1 for x, _ in lines.values()):
            only = next((x[0] for x, _ in lines.values()), 1)
            axes.set_xticks([only])
            axes.set_xlim(only - 0.5, only + 0.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        if len(lines) > 1:
            _legend(axes)
    return chart.svg


def calibration(bins: list[dict[str, Any]]) -> Markup:
    """Accuracy by confidence. bins: each {sure, right, rows}, means of the bin's rows."""
    with _chart("Accuracy of predictions by their confidence") as (axes, chart):
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
        sizes = [12 + 160 * b["rows"] / max(each["rows"] for each in bins) for b in bins]
        axes.plot([b["sure"] for b in bins], [b["right"] for b in bins], color=SERIES[0], lw=1)
        axes.scatter(
            [b["sure"] for b in bins], [b["right"] for b in bins], s=sizes, color=SERIES[0],
            clip_on=False, zorder=3,
        )  # fmt: skip
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    return chart.svg


def over_time(
    truth: Array, answer: Array, name: str, times: Array | None = None, series: str = ""
) -> Markup:
    """Forecasts beside the truth over time: dates (datetime64) or numbers, else time steps."""
    alt = "Forecast and truth over time" + f": {series}" * bool(series)
    with _chart(alt, width=9.2, height=2.8) as (axes, chart):
        x = np.arange(len(truth)) if times is None else times
        axes.plot(x, truth, color=INK, lw=4, alpha=0.25, label="truth")
        axes.plot(x, answer, color=SERIES[0], lw=1.4, label="forecast")
        if x.dtype.kind == "M":
            axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
        else:
            axes.set_xlabel("time step" if times is None else "time")
        axes.set_ylabel(name)
        axes.legend(fontsize=8, ncols=2)
    return chart.svg


def scatter(truth: Array, answer: Array, name: str) -> Markup:
    with _chart("Predicted against actual values") as (axes, chart):
        low, high = float(min(truth.min(), answer.min())), float(max(truth.max(), answer.max()))
        axes.plot([low, high], [low, high], color=INK, lw=0.8, ls=":")
        few = slice(None, None, max(1, len(truth) // 1500))
        axes.plot(truth[few], answer[few], "o", color=SERIES[0], ms=3, alpha=0.5, mew=0)
        axes.set(xlabel=f"actual {name}", ylabel="predicted")
    return chart.svg


def residuals(errors: Array, name: str) -> Markup:
    with _chart("Errors: predicted minus actual") as (axes, chart):
        axes.hist(
            errors, bins=min(40, max(8, int(np.sqrt(len(errors))))), color=SERIES[0], alpha=0.8
        )
        axes.axvline(0, color=INK, lw=0.8, ls=":")
        axes.set(xlabel=f"predicted minus actual ({name})", ylabel="rows")
    return chart.svg


def horizon(rows: list[dict[str, Any]]) -> Markup:
    """rmse of each output that is a step ahead: rows of {target, step, rmse}."""
    with _chart("Error by how far ahead") as (axes, chart):
        for i, target in enumerate(dict.fromkeys(row["target"] for row in rows)):
            own = [row for row in rows if row["target"] == target]
            axes.plot([r["step"] for r in own], [r["rmse"] for r in own], marker="o", ms=4,
                      color=SERIES[i % len(SERIES)], label=target)  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="steps ahead", ylabel="rmse", ylim=(0, None))
        if len({row["target"] for row in rows}) > 1:
            _legend(axes)
    return chart.svg


def gradient_over_time(norms: list[float]) -> Markup:
    with _chart("The loss's gradient at each time step of the input") as (axes, chart):
        axes.plot(norms, marker="o", ms=3, color=SERIES[0])
        if min(norms) > 0:
            _logarithmic(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="time step of the input", ylabel="gradient norm")
    return chart.svg


def spark(values: Array) -> Markup:
    """A small curve of one input series (time,), the last one of several features on top."""
    with _chart("The input", width=1.6, height=0.8) as (axes, chart):
        axes.plot(values, color=SERIES[0], lw=1)
        axes.axis("off")
    return chart.svg


@dataclass(frozen=True)
class Axis:
    """One of several scales beside each other. places: where each line crosses it, from 0 to 1; ticks:
    (place, label)."""

    name: str
    places: list[float]
    ticks: list[tuple[float, str]]


def parallel(title: str, axes_: list[Axis], good: list[bool], best: int | None) -> Markup:
    """A line for each trial over parallel axes: those of `good` stand out, and more so the best."""
    width = max(4.6, 1.5 * len(axes_))
    with _chart(title, width=width, height=3.6) as (axes, chart):
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.15, len(axes_) - 0.35), ylim=(-0.06, 1.04), yticks=[])
        axes.set_xticks(range(len(axes_)), [axis.name for axis in axes_], fontsize=8)
        axes.tick_params(length=0)
        order = sorted(range(len(good)), key=lambda i: (i == best, good[i]))
        for i in order:
            y = [axis.places[i] for axis in axes_]
            if i == best:
                axes.plot(y, color=SERIES[1], lw=2.6)
            else:
                axes.plot(
                    y, color=SERIES[0] if good[i] else INK, lw=1.2, alpha=0.85 if good[i] else 0.22
                )
        for x, axis in enumerate(axes_):
            axes.axvline(x, color=LINE, lw=1.2, zorder=0)
            for place, label in axis.ticks:
                # The lines that cross a label go behind it.
                axes.text(x + 0.05, place, label, fontsize=7.5, va="center", zorder=4,
                          bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1.2})  # fmt: skip
    return chart.svg


def bars(title: str, shares: dict[str, float], label: str) -> Markup:
    """Shares by name, the largest on top."""
    with _chart(title, height=0.7 + 0.32 * max(3, len(shares))) as (axes, chart):
        names = sorted(shares, key=lambda name: shares[name])
        axes.barh(names, [shares[name] for name in names], color=SERIES[0], alpha=0.8, height=0.6)
        axes.set(xlim=(0, 1), xlabel=label)
        axes.tick_params(axis="y", length=0)
    return chart.svg


def progress(
    title: str, points: dict[int, float], best: dict[int, float], label: str, log: bool
) -> Markup:
    """The value of each trial by its number, and the best so far as a line."""
    with _chart(title) as (axes, chart):
        axes.plot(list(points), list(points.values()), "o", color=SERIES[0], ms=4, alpha=0.5, mew=0)
        axes.step(
            list(best), list(best.values()), where="post", color=SERIES[1], label="best so far"
        )
        if log:
            _logarithmic(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set(xlabel="trial", ylabel=label)
        axes.legend(fontsize=8)
    return chart.svg
