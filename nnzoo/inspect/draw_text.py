"""Matplotlib figures of text whose tokens are colored by a number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nnzoo.inspect.draw import INK, STYLE, WRONG
from nnzoo.inspect.tokens import Piece, char_width

COLUMNS = 92
FONT_SIZE = 9.0
# Inches: DejaVu Sans Mono advances by 0.602 of its size.
CHAR = 0.602 * FONT_SIZE / 72
LINE = 1.45 * FONT_SIZE / 72
LABEL = 1.7
HEAD = 0.34
GAP = 0.16
MONOSPACE = ["DejaVu Sans Mono", *STYLE["font.family"][1:], "DejaVu Sans"]
# Text stays readable on colors that are far from the ends of the scale.
PALE = 1.7
_styled = matplotlib.rc_context(STYLE)


@_styled
def labeled_texts(
    texts: list[list[list[Piece]]], labels: list[tuple[str, bool]], title: str
) -> Figure:
    """Draw texts, each as lines of pieces, colored by their values within each text.

    labels: what is beside each text, and whether the prediction is correct.
    """
    heights = [max(2.4, len(lines)) * LINE for lines in texts]
    total = HEAD + sum(heights) + GAP * len(heights)
    figure = Figure(figsize=(LABEL + COLUMNS * CHAR, total))
    figure.text(LABEL / (LABEL + COLUMNS * CHAR), 1, title, va="top", fontsize=9)
    top = total - HEAD
    for lines, height, (label, correct) in zip(texts, heights, labels, strict=True):
        axes = _axes(figure, LABEL, top - height, height)
        _draw_lines(axes, lines, _largest(lines))
        color = INK if correct else WRONG
        axes.text(-2, 0, label, ha="right", va="top", color=color, fontsize=9)
        top -= height + GAP
    return figure


@_styled
def titled_texts(texts: list[tuple[str, list[list[Piece]]]]) -> Figure:
    """Draw texts below each other, each with a title and colored by its values."""
    heights = [HEAD + len(lines) * LINE for _, lines in texts]
    total = sum(heights) + GAP * len(heights)
    figure = Figure(figsize=(COLUMNS * CHAR, total))
    top = total
    for (title, lines), height in zip(texts, heights, strict=True):
        axes = _axes(figure, 0, top - height, height - HEAD)
        _draw_lines(axes, lines, _largest(lines))
        axes.text(0, -0.35, title, va="bottom", fontsize=9, fontweight="bold", color=INK)
        top -= height + GAP
    return figure


def _axes(figure: Figure, left: float, bottom: float, height: float) -> Any:
    """Axes of COLUMNS columns and as many lines as fit, at a place in inches."""
    width, total = figure.get_size_inches()
    axes: Any = figure.add_axes(
        (left / width, bottom / total, COLUMNS * CHAR / width, height / total)
    )
    axes.set_xlim(0, COLUMNS)
    axes.set_ylim(height / LINE, 0)
    axes.axis("off")
    return axes


def _largest(lines: list[list[Piece]]) -> float:
    return max((abs(piece.value) for line in lines for piece in line), default=0.0) or 1.0


def _draw_lines(axes: Any, lines: list[list[Piece]], largest: float) -> None:
    colors = matplotlib.colormaps["RdBu_r"]
    for row, line in enumerate(lines):
        column = 0
        for piece in line:
            column += bool(column and not piece.glued)
            color = colors(0.5 + 0.5 * np.clip(piece.value / largest, -1, 1) / PALE)
            place = (column, row + 0.04), max(piece.width, 0.3), 0.92
            axes.add_patch(Rectangle(*place, facecolor=color, linewidth=0))
            for offset, text in _runs(piece.text):
                axes.text(
                    column + offset,
                    row + 0.5,
                    text,
                    family=MONOSPACE,
                    fontsize=FONT_SIZE,
                    va="center_baseline",
                    color=INK,
                )
            column += piece.width


def _runs(text: str) -> Iterator[tuple[int, str]]:
    """Parts of a text that a font of one width sets right, each with its first column: wide letters come alone."""
    column, start, run = 0, 0, ""
    for char in text:
        width = char_width(char)
        if width == 2:
            if run:
                yield start, run
            yield column, char
            start, run = column + 2, ""
        else:
            run += char
        column += width
    if run.strip():
        yield start, run
