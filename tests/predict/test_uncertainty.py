"""Intervals, sets and decisions of `nnzoo predict`, in Python and for tables and series."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
import pytest

from nnzoo.api import load
from nnzoo.errors import DataError, UsageError
from tests.calibrated_runs import series_config, table_config, train, write_series, write_table


def test_intervals_follow_the_signed_errors_of_the_validation_rows(
    nnzoo: Callable[..., Any],
) -> None:
    frame = write_table()
    folder = train(table_config("y"))
    model = load(folder)
    val = frame[frame["part"] == "val"].reset_index(drop=True)
    plain, predicted = model.predict(val), model.predict(val, coverage=0.9)
    assert plain.low is None
    assert predicted.low is not None and predicted.high is not None
    errors = np.sort(val["y"].to_numpy() - plain.values[:, 0])
    # 7.6 of 81 rows may lie outside, 3.8 on each side.
    low, high = 0.2 * errors[2] + 0.8 * errors[3], 0.2 * errors[-3] + 0.8 * errors[-4]
    assert predicted.low[:, 0] - plain.values[:, 0] == pytest.approx(low)
    assert predicted.high[:, 0] - plain.values[:, 0] == pytest.approx(high)
    result = nnzoo("predict", folder, "t.csv", "--coverage", "0.9")
    assert result.out.splitlines()[0] == "row,y,low,high"
    assert (
        "low, high: intervals that held the true value for 0.9 of 80 validation rows" in result.err
    )
    rows = nnzoo("predict", folder, "t.csv", "--coverage", "0.9", "--json").lines
    assert list(rows[0]) == ["row", "y", "low", "high"]
    evaluated = nnzoo("eval", folder, "--json").json["coverage"]
    test = frame["part"] == "test"
    inside = [row["low"] <= y <= row["high"] for row, y in zip(rows, frame["y"], strict=True)]
    assert evaluated["reached"] == np.mean(np.array(inside)[test])


def test_too_few_validation_rows_and_other_slips_are_refused(nnzoo: Callable[..., Any]) -> None:
    write_table()
    folder = train(table_config("y"))
    result = nnzoo("predict", folder, "t.csv", "--coverage", "0.99")
    assert (result.code, result.out) == (2, "")
    assert "coverage 0.99 needs at least 99 validation rows, and this run has 80" in result.err
    result = nnzoo("predict", folder, "t.csv", "--coverage", "90")
    assert "between 0 and 1, got 90; did you mean 0.9?" in result.err
    config = table_config("y", name="without")
    config["data"]["split"] = {"val": 0}
    config["data"]["drop"] = ["kind", "part"]
    model = load(train(config))
    with pytest.raises(DataError, match=r"no validation rows .*data\.split\.val"):
        model.predict("t.csv", coverage=0.9)


def test_sets_hold_the_probable_classes(nnzoo: Callable[..., Any]) -> None:
    frame = write_table()
    folder = train(table_config("kind"))
    predicted = load(folder).predict(frame, coverage=0.9)
    assert load(folder).predict(frame).sets == []
    threshold = load(folder).require_calibration().set_threshold(0.9)
    expected = [
        [name for name, p in zip(predicted.names, row, strict=True) if p >= threshold]
        for row in predicted.values
    ]
    assert predicted.sets == expected
    held = [kind in names for kind, names in zip(frame["kind"], expected, strict=True)]
    assert np.mean(np.array(held)[frame["part"] == "val"]) >= 0.9
    lines = nnzoo("predict", folder, "t.csv", "--coverage", "0.9").out.splitlines()
    assert lines[0] == "row,prediction,probability,set,p_high,p_low,p_mid"
    assert lines[1].split(",")[3] == ";".join(expected[0])
    first = nnzoo("predict", folder, "t.csv", "--coverage", "0.9", "--json").lines[0]
    assert first["set"] == expected[0]


def test_each_step_of_a_forecast_has_an_interval_of_its_own(nnzoo: Callable[..., Any]) -> None:
    write_series()
    folder = train(series_config())
    model = load(folder)
    low, high = (margin.numpy() for margin in model.require_calibration().margins(0.8))
    assert len(low) == 3
    predicted = model.predict(steps=2, coverage=0.8)
    assert predicted.low is not None and predicted.high is not None
    assert (predicted.low - predicted.values)[:, 0] == pytest.approx(low[:2])
    assert (predicted.high - predicted.values)[:, 0] == pytest.approx(high[:2])
    windows = model.predict(np.zeros((2, 8, 1)), coverage=0.8)
    assert windows.low is not None
    assert windows.low - windows.values == pytest.approx(np.stack([low, low]))
    assert nnzoo("predict", folder, "--coverage", "0.8").out.startswith("step,y,low,high\n1,")
    with pytest.raises(UsageError, match="horizon of 3 steps, not for 4"):
        model.predict(steps=4, coverage=0.8)
    coverage = model.evaluate()["coverage"]
    assert [output["name"] for output in coverage["per_output"]] == ["y+1", "y+2", "y+3"]


def test_quantiles_are_sorted_and_calibrated(nnzoo: Callable[..., Any]) -> None:
    frame = write_table()
    quantiles = {"loss": "quantile", "quantiles": [0.1, 0.5, 0.9], "epochs": 8}
    folder = train(table_config("y", train=quantiles))
    predicted = load(folder).predict(frame, coverage=0.9)
    assert predicted.quantiles is not None and predicted.low is not None
    assert (np.diff(predicted.quantiles[:, :, 0]) >= 0).all()
    assert (predicted.quantiles[:, 1] == predicted.values).all()
    val = (frame["part"] == "val").to_numpy()
    scores = np.sort(frame["y"].to_numpy()[val] - predicted.quantiles[val, 0, 0])
    margin = 0.2 * scores[2] + 0.8 * scores[3]
    assert predicted.low[:, 0] - predicted.quantiles[:, 0, 0] == pytest.approx(margin)
    header = nnzoo("predict", folder, "t.csv", "--coverage", "0.9").out.splitlines()[0]
    assert header == "row,y,q0.1,q0.5,q0.9,low,high"
    result = nnzoo("eval", folder, "--json").json
    test = (frame["part"] == "test").to_numpy()
    errors = predicted.values[test, 0] - frame["y"].to_numpy()[test]
    assert result["mae"] == pytest.approx(np.abs(errors).mean())
    assert 0.75 < result["coverage"]["reached"] <= 1


def test_quantiles_of_a_forecast_end_with_its_horizon() -> None:
    write_series()
    model = load(train(series_config(train={"loss": "quantile"})))
    predicted = model.predict(steps=2, coverage=0.8)
    assert list(predicted.columns()) == ["step", "y", "q0.05", "q0.5", "q0.95", "low", "high"]
    assert predicted.quantiles is not None
    assert predicted.quantiles.shape == (2, 3, 1)
    assert (predicted.quantiles[:, 1] == predicted.values).all()
    assert list(model.predict(steps=5).columns()) == ["step", "y"]


def test_columns_name_the_target_if_there_are_several() -> None:
    frame = write_table()
    config = table_config("y")
    config["data"] |= {"target": ["y", "b"]}
    columns = list(load(train(config)).predict(frame, coverage=0.9).columns())
    assert columns == ["row", "y", "b", "low_y", "low_b", "high_y", "high_b"]


def test_the_prediction_follows_the_decision(nnzoo: Callable[..., Any]) -> None:
    frame = write_table()
    folder = train(table_config("kind", eval={"decide": {"recall": 0.95, "of": "high"}}))
    plain = load(folder, sets=["eval.decide=null"]).predict(frame)
    decided = load(folder).predict(frame)
    assert (plain.values == decided.values).all()
    assert plain.labels != decided.labels
    is_val = (frame["part"] == "val").to_numpy()
    high = (frame["kind"] == "high").to_numpy() & is_val
    chosen = np.array([label == "high" for label in decided.labels])
    assert chosen[high].mean() >= 0.95
    column = plain.names.index("high")
    threshold = plain.values[high, column][np.argsort(-plain.values[high, column])]
    needed = int(np.ceil(0.95 * high.sum() - 1e-9))
    assert (chosen == (plain.values[:, column] >= threshold[needed - 1])).all()
    result = nnzoo("predict", folder, "t.csv")
    assert "note: 'high' is predicted from a probability of" in result.err
    frame_of = pandas.read_csv(io.StringIO(result.out))
    assert frame_of["prediction"].tolist() == decided.labels
    evaluated = nnzoo("eval", folder, "--json").json["decision"]
    test = (frame["part"] == "test").to_numpy()
    is_high = (frame["kind"] == "high").to_numpy()
    assert evaluated["achieved_recall"] == pytest.approx(chosen[is_high & test].mean())
    other = nnzoo("eval", folder, "-s", "eval.decide={precision: 0.5, of: low}", "--json")
    assert other.json["decision"]["of"] == "low"
    assert "taken from the validation rows now" in other.err
    wrong = nnzoo("eval", folder, "-s", "eval.decide={recall: 0.5, of: lo}")
    assert (wrong.code, "did you mean 'low'?" in wrong.err) == (2, True)
