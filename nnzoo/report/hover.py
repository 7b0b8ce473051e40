"""The numbers behind a chart for the script of a page: its lines, and where its axes are in the drawing.

They are JSON in an attribute of the SVG, so that a chart needs nothing else to be read with mouse or keyboard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from nnzoo.errors import escape_controls

Array = np.ndarray[Any, Any]

MAX_POINTS = 600
"""Of a line; a longer one keeps evenly spaced points, and the page notes it."""
MAX_NUMBERS = 12_000
"""Of all lines of a chart together."""
Y_DIGITS, X_DIGITS = 6, 9


def tag_lines(axes: Any) -> None:
    """Give each named line or band of some axes, and its entry in the legend, an id (line-0, legend-0)."""
    for i, artist in enumerate(axes.get_legend_handles_labels()[0]):
        artist.set_gid(f"line-{i}")
    legend = axes.get_legend()
    for i, text in enumerate(legend.get_texts() if legend else []):
        text.set_gid(f"legend-{i}")


def describe_chart(axes: Any, colors: Mapping[str, str]) -> dict[str, Any]:
    """Return the named lines and bands of drawn axes.

    colors: those of the page by those of the drawing. Lines are {name, color, x, y}, bands have `high` too; x is
    left out where it is that of the first line. `box` and the limits of both axes give the place of a value.
    """
    artists, names = axes.get_legend_handles_labels()
    size = MAX_NUMBERS // max(1, len(artists))
    lines: list[dict[str, Any]] = []
    for artist, name in zip(artists, names, strict=True):
        columns = _line(artist) if isinstance(artist, Line2D) else _band(artist)
        count = len(columns[0])
        kept = np.linspace(0, count - 1, min(count, MAX_POINTS, max(2, size))).round().astype(int)
        x = _rounded(columns[0][kept], X_DIGITS)
        values = [_rounded(column[kept], Y_DIGITS) for column in columns[1:]]
        color = colors.get(_color(artist), "var(--ink)")
        line: dict[str, Any] = {"name": escape_controls(name), "color": color, "x": x}
        line |= dict(zip(("y", "high"), values, strict=False))
        if len(kept) < count:
            line["of"] = count
        lines.append(line)
    for line in lines[1:]:
        if line["x"] == lines[0]["x"]:
            del line["x"]
    return _axes(axes) | {"lines": lines}


def _axes(axes: Any) -> dict[str, Any]:
    """The box of the axes in units of the SVG (left, top, right, bottom), and what each axis shows."""
    box, (width, height) = axes.get_position(), 72 * axes.figure.get_size_inches()
    edges = [box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height]
    dates = any(np.asarray(line.get_xdata(orig=True)).dtype.kind == "M" for line in axes.lines)
    described: dict[str, Any] = {"box": [round(float(edge), 2) for edge in edges]}
    for key, axis, limits in (
        ("x", axes.xaxis, axes.get_xlim()),
        ("y", axes.yaxis, axes.get_ylim()),
    ):
        described[key] = {
            "label": escape_controls(axis.get_label_text()),
            "limits": [float(f"{limit:.8g}") for limit in limits],
            "log": axis.get_scale() == "log",
        }
    return described | ({"dates": True} if dates else {})


def _line(line: Line2D) -> list[Array]:
    return [np.asarray(column, dtype=float) for column in line.get_data(orig=False)]


def _band(band: Any) -> list[Array]:
    """The x, lower and upper ends of a band between two curves."""
    x, y = band.get_paths()[0].vertices.T
    steps, index = np.unique(x, return_inverse=True)
    low, high = np.full(len(steps), np.inf), np.full(len(steps), -np.inf)
    np.minimum.at(low, index, y)
    np.maximum.at(high, index, y)
    return [steps, low, high]


def _color(artist: Any) -> str:
    """The color of a line or a band as it is written in the drawing."""
    color = artist.get_color() if isinstance(artist, Line2D) else artist.get_facecolor()[0]
    return str(to_hex(color))


def _rounded(values: Array, digits: int) -> list[float | int | None]:
    """Numbers with some significant digits, whole ones as such; None for those that are not finite."""
    numbers = [float(f"{value:.{digits}g}") for value in values.tolist()]
    return [
        None
        if not np.isfinite(number)
        else int(number)
        if number.is_integer() and abs(number) < 2**53
        else number
        for number in numbers
    ]
