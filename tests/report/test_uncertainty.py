"""Coverage on the page of a run: lines, a chart, bands around forecasts."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nnzoo.report import charts
from nnzoo.report.forecasts import describe_forecasts
from nnzoo.report.run_report import RunReport
from nnzoo.report.uncertainty import uncertainty_parts
from tests.calibrated_runs import series_config, table_config, train, write_series, write_table


def test_the_coverage_reached_is_drawn_up_to_what_the_rows_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(charts, "coverage", lambda *lines: drawn.append(lines))
    write_table()
    run = RunReport.open(train(table_config("kind")), torch.device("cpu"))
    parts = uncertainty_parts(run)
    assert [line.partition(" ")[0] for line in parts["uncertainty"]] == ["coverage", "calibration:"]
    ((asked, reached),) = drawn
    assert asked == [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98]
    assert reached[4] == run.result["coverage"]["reached"]
    assert reached == sorted(reached)


def test_forecasts_have_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    bands: list[Any] = []
    monkeypatch.setattr(charts, "over_time", lambda *arguments: bands.append(arguments[-1]))
    drawn: list[Any] = []
    monkeypatch.setattr(charts, "coverage", lambda *lines: drawn.append(lines))
    write_series()
    run = RunReport.open(train(series_config(train={"loss": "quantile"})), torch.device("cpu"))
    describe_forecasts(run.loaded.dataset, run.split, run.predictions, "y")
    ((low, high),) = bands
    assert (low < high).all()
    uncertainty_parts(run)
    ((asked, reached),) = drawn
    # 23 validation windows.
    assert asked[-1] == 0.95
    assert reached[4] == pytest.approx(run.result["coverage"]["reached"])
