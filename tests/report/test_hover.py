"""The numbers behind charts: lines, bands and the place of the axes."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import numpy as np
import pytest

from nnzoo.report import charts, hover


def chart_of(svg: str) -> dict[str, Any]:
    """The numbers that an SVG carries."""
    match = re.search(r'data-chart="([^"]*)"', svg)
    assert match is not None
    return dict(json.loads(html.unescape(match[1])))


def test_lines_and_bands_carry_their_values() -> None:
    x = np.arange(4.0)
    days = np.arange("2020-01-01", "2020-01-05", dtype="datetime64[D]")
    svg = charts.over_time(x, x + 1.2345678, "y", days, "north", (x - 1, x + 2))
    chart = chart_of(svg)
    truth, forecast, interval = chart["lines"]
    assert chart["dates"] and truth["x"] == [18262, 18263, 18264, 18265]
    assert [line["name"] for line in chart["lines"]] == ["truth", "forecast", "interval"]
    assert (truth["color"], forecast["color"]) == ("var(--ink)", "var(--c1)")
    assert forecast["y"] == [1.23457, 2.23457, 3.23457, 4.23457] and "x" not in forecast
    assert (interval["y"], interval["high"]) == ([-1, 0, 1, 2], [2, 3, 4, 5])
    assert sorted(set(re.findall(r'data-(?:line|legend)="\d"', svg))) == [
        f'data-{kind}="{i}"' for kind in ("legend", "line") for i in range(3)
    ]


def test_a_long_line_keeps_its_ends_and_names_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hover, "MAX_POINTS", 5)
    lines: dict[str, charts.Line] = {
        "train loss": (range(1, 1001), [1 / i for i in range(1, 1001)])
    }
    chart = chart_of(charts.curves("Loss", lines, "loss", log=True))
    (line,) = chart["lines"]
    assert (line["x"][0], line["x"][-1], len(line["x"]), line["of"]) == (1, 1000, 5, 1000)
    assert chart["y"]["log"] and not chart["x"]["log"] and chart["x"]["label"] == "epoch"


def test_gaps_are_null_and_names_have_no_controls() -> None:
    lines: dict[str, charts.Line] = {"a\u202e\x1b</script>": ([1, 2], [1.0, float("nan")])}
    svg = charts.curves("Loss", lines, "loss")
    assert "</script" not in svg and not {"\u202e", "\x1b"} & set(svg)
    (line,) = chart_of(svg)["lines"]
    assert line["name"] == r"a\u202e\x1b</script>" and line["y"] == [1, None]
    assert chart_of(charts.residuals(np.arange(9.0), "y"))["lines"] == []
