"""Forecasts of a report: one chart per chosen series, errors of each, and labels of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnzoo.data.read_dataset import read_dataset
from nnzoo.predict.predictions import Predictions
from nnzoo.report.forecasts import describe_forecasts, row_label, target_steps
from tests import zoo


def test_series_are_listed_by_their_error() -> None:
    lines = [
        f"{name},2020-01-{i + 1:02d},{i % 5 + j}" for j, name in enumerate("ab") for i in range(30)
    ]
    Path("s.csv").write_text("\n".join(["store,day,sales", *lines]))
    data = {
        "name": "series",
        "path": "s.csv",
        "target": "sales",
        "time": "day",
        "group": "store",
        "window": 4,
    }
    dataset = read_dataset(zoo.config("mlp", data))
    rows = len(dataset.splits["test"])
    targets = np.zeros((rows, 1))
    labels = [row_label(dataset, "test", row) for row in range(rows)]
    is_b = np.array([label.startswith("b") for label in labels])
    values = np.where(is_b, 2.0, 1.0)[:, None]
    forecasts = describe_forecasts(
        dataset, "test", Predictions(["sales"], False, values, {}, targets), "sales"
    )
    assert [series["name"] for series in forecasts.series] == ["b", "a"]
    assert [series["rmse"] for series in forecasts.series] == pytest.approx([2.0, 1.0])
    assert [caption for caption, _ in forecasts.charts] == [
        "b (the largest error)",
        "a (the smallest error)",
    ]
    assert forecasts.more == 0 and len(target_steps(dataset, "test")) == rows
    assert "2020-01-" in labels[0]
