"""Figures of colored text: every token has its place, and a font of one width its columns."""

from __future__ import annotations

from typing import Any

from matplotlib.colors import to_rgb

from nnzoo.inspect import draw, draw_text
from nnzoo.inspect.tokens import Piece, wrap

LINES = wrap([Piece("good", 2.0, True), Piece("film", -1.0, False), Piece("電影", 0.5, False)], 92)


def test_each_token_has_a_box_of_its_color_at_its_columns() -> None:
    figure = draw_text.labeled_texts([LINES], [("good 90 %", True)], "red raises, blue lowers")
    (axes,) = figure.axes
    patches: list[Any] = list(axes.patches)
    boxes = [(patch.get_x(), patch.get_width(), patch.get_facecolor()) for patch in patches]
    assert [box[:2] for box in boxes] == [(0, 4), (5, 4), (10, 4)]
    red, blue = (to_rgb(box[2]) for box in boxes[:2])
    assert red[0] > red[2] and blue[2] > blue[0]
    texts = [(text.get_position()[0], text.get_text()) for text in axes.texts]
    assert texts[:4] == [(0, "good"), (5, "film"), (10, "電"), (12, "影")]


def test_texts_with_titles_do_not_overlap() -> None:
    lines = [line[:2] for line in LINES]
    figure = draw_text.titled_texts([("a", lines), ("b", lines * 5)])
    tops = [axes.get_position().y1 for axes in figure.axes]
    bottoms = [axes.get_position().y0 for axes in figure.axes]
    assert 1 > tops[0] > bottoms[0] > tops[1] > bottoms[1] > 0
    assert draw.png(figure) == draw.png(figure)
