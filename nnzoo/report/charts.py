"""Charts of a report as inline SVG: learning curves, calibration, forecasts, residuals, sweep trials.

Matplotlib draws them in placeholder colors that become the page's CSS variables, so that charts are
light or dark as the page is.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
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

from nnzoo.errors import escape_controls
from nnzoo.report.hover import describe_chart, tag_lines

# Placeholder colors, each of which becomes a CSS variable.
INK, LINE, PAPER = "#010101", "#020202", "#030303"
SERIES = [f"#0{i}0a0{i}" for i in range(1, 9)]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_VARIABLES = {INK: "var(--ink)", LINE: "var(--line)", PAPER: "var(--paper)"} | {
    color: f"var(--c{i + 1})" for i, color in enumerate(SERIES)
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
MAX_POINTS = 1500
MAX_LINES = 40
Array = np.ndarray[Any, Any]
Line = tuple[Sequence[float], Sequence[float]]


class _Chart:
    """A drawn chart; `svg` is set when its context ends."""

    svg: Markup


@contextmanager
def _chart(alt: str, width: float = 4.6, height: float = 3.0) -> Iterator[tuple[Any, _Chart]]:
    """Yield axes and a chart, whose `svg` is set afterwards. alt: description for screen readers."""
    chart = _Chart()
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": alt}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks: the browser's may have them
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        axes.set_axisbelow(True)
        yield axes, chart
        tag_lines(axes)
        file = io.StringIO()
        figure.savefig(
            file,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    numbers = describe_chart(axes, _VARIABLES)
    chart.svg = _inline_svg(file.getvalue(), alt, json.dumps(numbers, separators=(",", ":")))


def _inline_svg(svg: str, alt: str, numbers: str) -> Markup:
    svg = escape_controls(svg[svg.index("<svg") :])
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    # Ids of elements would occur twice in a page; those that are referred to have a hash.
    svg = re.sub(r' id="[A-Za-z]+[A-Za-z0-9]*_[0-9]+"', "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"'DejaVu Sans'", "system-ui", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r' id="(line|legend)-([0-9]+)"', r' data-\1="\2"', svg)
    hover = Markup(' data-chart="{}"').format(numbers)
    label = Markup.escape(alt)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{label}"{hover}', 1))


def _logarithmic(axes: Any) -> None:
    """Set a logarithmic y axis with plain labels: math text is off, since names may hold a dollar."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    low, high = axes.get_ylim()
    if high < 10 * low:  # there may be no power of ten in the range
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    else:
        axes.yaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Any) -> None:
    """Put the legend above the axes, where it covers no line."""
    names = axes.get_legend_handles_labels()[1]
    columns = 2 if max(map(len, names)) > 14 else min(4, len(names))
    axes.legend(fontsize=8, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def to_float(value: Any) -> float:
    """Return a metric to draw; nan if there is none."""
    return float(value) if isinstance(value, int | float) else math.nan


def metric_lines(rows: list[dict[str, Any]], keys: Iterable[str]) -> dict[str, Line]:
    """Return the (epochs, values) of the metrics that `rows` of metrics.jsonl have, by key."""
    epochs = [row["epoch"] for row in rows]
    return {
        key: (epochs, [to_float(row.get(key)) for row in rows])
        for key in keys
        if any(key in row for row in rows)
    }


def curves(
    title: str, lines: dict[str, Line], label: str, log: bool = False, mark: float | None = None
) -> Markup:
    """Draw learning curves. lines: (epochs, values) by name; mark: an epoch to highlight."""
    with _chart(title) as (axes, chart):
        for i, (name, (x, y)) in enumerate(lines.items()):
            dashed = name.startswith("train") and len(lines) > 1
            gaps = len(x) > 1 and max(b - a for a, b in itertools.pairwise(x)) > 1
            marker = MARKERS[i % len(MARKERS)] if len(x) == 1 or gaps else None
            style = {"ls": "--" if dashed else "-", "marker": marker, "ms": 5}
            axes.plot(x, y, label=name, color=SERIES[i % len(SERIES)], **style)
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


def calibration(curves: dict[str, list[dict[str, Any]]]) -> Markup:
    """Draw a reliability diagram. curves: by name, bins {confidence, accuracy, rows} each."""
    with _chart("Accuracy of predictions by their confidence") as (axes, chart):
        axes.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
        for (name, bins), color in zip(curves.items(), SERIES, strict=False):
            largest = max(b["rows"] for b in bins)
            sizes = [12 + 160 * b["rows"] / largest for b in bins]
            x, y = [b["confidence"] for b in bins], [b["accuracy"] for b in bins]
            axes.plot(x, y, color=color, lw=1, label=name or "accuracy")
            axes.scatter(x, y, s=sizes, color=color, clip_on=False, zorder=3)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
        if len(curves) > 1:
            _legend(axes)
    return chart.svg


def coverage(asked: Sequence[float], reached: Sequence[float]) -> Markup:
    """Draw the coverage that intervals or sets reach against the one that is asked for."""
    with _chart("Coverage reached against the coverage asked for") as (axes, chart):
        ends = [min(*asked, *reached), 1]
        axes.plot(ends, ends, color=INK, lw=0.8, ls=":")
        axes.plot(asked, reached, color=SERIES[0], marker="o", ms=4, label="reached")
        axes.set(xlabel="coverage asked for", ylabel="fraction of rows")
    return chart.svg


def over_time(
    targets: Array,
    predictions: Array,
    name: str,
    times: Array | None = None,
    series: str = "",
    band: tuple[Array, Array] | None = None,
) -> Markup:
    """Draw forecasts and actual values (rows,). times: datetime64 or numbers; default: time steps. band: the ends of
    intervals (rows,)."""
    alt = "Forecast and truth over time" + f": {series}" * bool(series)
    with _chart(alt, width=9.2, height=2.8) as (axes, chart):
        x = np.arange(len(targets)) if times is None else times
        axes.plot(x, targets, color=INK, lw=4, alpha=0.25, label="truth")
        axes.plot(x, predictions, color=SERIES[0], lw=1.4, label="forecast")
        if band is not None:
            axes.fill_between(x, *band, color=SERIES[0], alpha=0.2, lw=0, label="interval")
        if x.dtype.kind == "M":
            axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
        else:
            axes.set_xlabel("time step" if times is None else "time")
        axes.set_ylabel(name)
        axes.legend(fontsize=8, ncols=3)
    return chart.svg


def scatter(targets: Array, predictions: Array, name: str) -> Markup:
    """Draw predicted against actual values (rows,)."""
    with _chart("Predicted against actual values") as (axes, chart):
        ends = [
            float(min(targets.min(), predictions.min())),
            float(max(targets.max(), predictions.max())),
        ]
        axes.plot(ends, ends, color=INK, lw=0.8, ls=":")
        some = slice(None, None, max(1, len(targets) // MAX_POINTS))
        axes.plot(targets[some], predictions[some], "o", color=SERIES[0], ms=3, alpha=0.5, mew=0)
        axes.set(xlabel=f"actual {name}", ylabel="predicted")
    return chart.svg


def residual_edges(errors: Array) -> Array:
    """Return the ends of the bars of `residuals`."""
    bins = min(40, max(8, int(np.sqrt(len(errors)))))
    return np.histogram_bin_edges(errors, bins)


def residuals(errors: Array, name: str) -> Markup:
    """Draw a histogram of predicted minus actual values (rows,)."""
    with _chart("Errors: predicted minus actual") as (axes, chart):
        axes.hist(errors, bins=residual_edges(errors), color=SERIES[0], alpha=0.8)
        axes.axvline(0, color=INK, lw=0.8, ls=":")
        axes.set(xlabel=f"predicted minus actual ({name})", ylabel="rows")
    return chart.svg


def error_by_step(errors: dict[str, Line]) -> Markup:
    """Draw the rmse over steps ahead. errors: (steps, rmse) by target."""
    with _chart("Error by how far ahead") as (axes, chart):
        for i, (target, line) in enumerate(errors.items()):
            axes.plot(*line, marker="o", ms=4, color=SERIES[i % len(SERIES)], label=target)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="steps ahead", ylabel="rmse", ylim=(0, None))
        if len(errors) > 1:
            _legend(axes)
    return chart.svg


def gradient_over_time(norms: list[float], from_end: bool = False) -> Markup:
    """Draw the norm of the loss's gradient at the input of each time step; from_end: counted back from the
    end of each sequence."""
    with _chart("The loss's gradient at each time step of the input") as (axes, chart):
        steps = np.arange(len(norms)) - (len(norms) - 1) * from_end
        axes.plot(steps, norms, marker="o", ms=3, color=SERIES[0], label="gradient norm")
        if min(norms) > 0:
            _logarithmic(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        label = "time step from the end of each sequence" if from_end else "time step of the input"
        axes.set(xlabel=label, ylabel="gradient norm")
    return chart.svg


def sparkline(values: Array) -> Markup:
    """Draw a small curve of an input series (time,)."""
    with _chart("The input", width=1.6, height=0.8) as (axes, chart):
        axes.plot(values, color=SERIES[0], lw=1)
        axes.axis("off")
    return chart.svg


def recording(values: Array) -> Markup:
    """Draw all channels of a recording (time, channels) as lines over its steps; of very many, evenly spaced ones."""
    time, channels = values.shape
    steps = np.unique(np.linspace(0, time - 1, min(time, MAX_POINTS)).round().astype(int))
    shown = np.unique(np.linspace(0, channels - 1, min(channels, MAX_LINES)).round().astype(int))
    with _chart("The recording", width=1.9, height=1.3) as (axes, chart):
        for i in shown:
            marker = "o" if time == 1 else None
            color = SERIES[i % len(SERIES)]
            axes.plot(steps, values[steps, i], color=color, lw=0.9, marker=marker, ms=3)
        axes.tick_params(labelsize=7, length=2)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.set_xlabel("time step", fontsize=7)
    return chart.svg


@dataclass(frozen=True)
class Axis:
    """One of several parallel axes. positions: where each line crosses it, from 0 to 1; ticks:
    (position, label)."""

    name: str
    positions: list[float]
    ticks: list[tuple[float, str]]


def parallel(title: str, scales: list[Axis], good: list[bool], best: int | None) -> Markup:
    """Draw one line per trial over parallel axes; `good` trials are highlighted, and the best more."""
    width = max(4.6, 1.5 * len(scales))
    with _chart(title, width=width, height=3.6) as (axes, chart):
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set(xlim=(-0.15, len(scales) - 0.35), ylim=(-0.06, 1.04), yticks=[])
        axes.set_xticks(range(len(scales)), [axis.name for axis in scales], fontsize=8)
        axes.tick_params(length=0)
        order = sorted(range(len(good)), key=lambda i: (i == best, good[i]))
        for i in order:
            style = {"color": SERIES[0] if good[i] else INK, "alpha": 0.85 if good[i] else 0.22}
            if i == best:
                style = {"color": SERIES[1], "lw": 2.6}
            axes.plot([axis.positions[i] for axis in scales], **{"lw": 1.2} | style)
        for x, axis in enumerate(scales):
            axes.axvline(x, color=LINE, lw=1.2, zorder=0)
            for position, label in axis.ticks:
                box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 1.2}
                axes.text(x + 0.05, position, label, fontsize=7.5, va="center", zorder=4, bbox=box)
    return chart.svg


def bars(title: str, fractions: dict[str, float], label: str) -> Markup:
    """Draw fractions by name, the largest on top."""
    with _chart(title, height=0.7 + 0.32 * max(3, len(fractions))) as (axes, chart):
        names = sorted(fractions, key=lambda name: fractions[name])
        axes.barh(
            names, [fractions[name] for name in names], color=SERIES[0], alpha=0.8, height=0.6
        )
        axes.set(xlim=(0, 1), xlabel=label)
        axes.tick_params(axis="y", length=0)
    return chart.svg


def progress(
    title: str, points: dict[int, float], best: dict[int, float], label: str, log: bool
) -> Markup:
    """Draw the value of each trial by its number, and the best so far as a line."""
    with _chart(title) as (axes, chart):
        style: Any = {"color": SERIES[0], "ms": 4, "alpha": 0.5, "mew": 0, "label": "trial"}
        axes.plot(list(points), list(points.values()), "o", **style)
        axes.step(
            list(best), list(best.values()), where="post", color=SERIES[1], label="best so far"
        )
        if log:
            _logarithmic(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set(xlabel="trial", ylabel=label)
        axes.legend(fontsize=8)
    return chart.svg
