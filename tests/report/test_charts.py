"""Charts are inline SVG in the colors of the page, with a description."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnzoo.report import charts


def test_metrics_of_rows_become_lines_with_gaps() -> None:
    rows: list[dict[str, Any]] = [
        {"epoch": 1, "loss": 1.0},
        {"epoch": 2, "loss": None, "accuracy": 0.5},
    ]
    lines = charts.metric_lines(rows, ["loss", "accuracy", "rmse"])
    assert list(lines) == ["loss", "accuracy"]
    epochs, values = lines["loss"]
    assert (list(epochs), values[0], math.isnan(values[1])) == ([1, 2], 1.0, True)


def test_colors_are_variables_of_the_page_and_names_are_text() -> None:
    svg = charts.curves("Loss & <more>", {"a$_b": ([1, 2], [1.0, 2.0])}, "loss", log=True)
    assert svg.startswith('<svg role="img" aria-label="Loss &amp; &lt;more&gt;"')
    assert "var(--c1)" in svg and "#01" not in svg and "<metadata" not in svg
    assert "width=" not in svg[: svg.index(">")]


def test_every_chart_is_drawn() -> None:
    x = np.arange(5.0)
    days = np.arange("2020-01-01", "2020-01-06", dtype="datetime64[D]")
    bins = [{"confidence": 0.9, "accuracy": 0.8, "rows": 3}]
    axes = [charts.Axis("lr", [0.1, 0.9], [(0.5, "0.1")]), charts.Axis("loss", [0.2, 0.3], [])]
    for svg in (
        charts.calibration({"": bins}),
        charts.over_time(x, x + 1, "y", days, "north"),
        charts.scatter(x, x + 1, "y"),
        charts.residuals(x, "y"),
        charts.error_by_step({"y": ([1, 2], [0.1, 0.2]), "z": ([1, 2], [0.3, 0.2])}),
        charts.gradient_over_time([0.1, 0.2]),
        charts.gradient_over_time([0.1, 0.2], from_end=True),
        charts.sparkline(x),
        charts.recording(np.stack([x, -x], 1)),
        charts.recording(np.zeros((1, 100))),
        charts.parallel("trials", axes, [True, False], 0),
        charts.bars("importance", {"lr": 0.7}, "fraction"),
        charts.progress("scores", {1: 0.5}, {1: 0.5}, "loss", True),
    ):
        assert svg.startswith("<svg role") and svg.rstrip().endswith("</svg>")
