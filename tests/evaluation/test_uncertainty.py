"""Intervals, sets and probabilities of networks with few, easy or odd validation rows, in all places that show them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas
import pytest
import torch
import yaml
from sklearn.metrics import log_loss

from nnzoo import export
from nnzoo.api import Model, load
from nnzoo.evaluation.uncertainty import DRIFT, _chance, _coverage_report
from nnzoo.export_interface import metadata
from tests.calibrated_runs import series_config, table_config, train, write_series, write_table

pytestmark = pytest.mark.usefixtures("shared_onnx_registry")

QUANTILES = {"loss": "quantile", "quantiles": [0.01, 0.5, 0.99]}


def keep_validation_rows(count: int) -> pandas.DataFrame:
    """A table of which only so many validation rows are left."""
    frame = write_table()
    is_spare = (frame["part"] == "val") & (frame.groupby("part").cumcount() >= count)
    frame = frame[~is_spare].reset_index(drop=True)
    frame.to_csv("t.csv", index=False)
    return frame


def onnx_of(model: Model, split: str = "test") -> tuple[Any, Any, dict[str, str]]:
    """The predictions of onnxruntime for a split, its targets, and the file's metadata."""
    export.export(model.network, "onnx", Path("n.onnx"))
    session = onnxruntime.InferenceSession("n.onnx")
    raw, targets = model.raw(split, torch.arange(len(model.dataset.splits[split])))
    predictions = session.run(None, {"input": raw.numpy()})[0]
    return predictions, targets.numpy(), session.get_modelmeta().custom_metadata_map


@pytest.mark.parametrize(("rows", "possible"), [(3, 0.75), (8, 0.88), (20, 0.952)])
@pytest.mark.parametrize("target", ["y", "kind"])
def test_few_validation_rows_give_what_they_can(
    target: str, rows: int, possible: float, nnzoo: Callable[..., Any]
) -> None:
    keep_validation_rows(rows)
    folder = train(table_config(target, train={"epochs": 1}))
    for coverage, needed in ((0.99, 99), (0.999, 999)):
        for words in (("eval", folder), ("predict", folder, "t.csv")):
            refused = nnzoo(*words, "--coverage", coverage)
            assert (refused.code, refused.out) == (2, "")
            assert (
                f"coverage {coverage} needs at least {needed} validation rows, and this run has {rows}; ask for at "
                f"most {possible}, or train with more (data.split.val)"
            ) in refused.err
    for coverage in (0.5, possible):
        assert nnzoo("predict", folder, "t.csv", "--coverage", coverage).code == 0
        assert (
            nnzoo("eval", folder, "--coverage", coverage, "--json").json["coverage"]["asked"]
            == coverage
        )
    assert ("coverage" in nnzoo("eval", folder, "--json").json) == (rows >= 9)


def test_ends_of_narrow_intervals_from_wide_quantiles_do_not_cross() -> None:
    frame = write_table()
    model = load(train(table_config("y", train=QUANTILES | {"epochs": 6})))
    low, high = model.require_calibration().margins(0.05)
    test = (frame["part"] == "test").to_numpy()
    predicted = model.predict(frame[test], coverage=0.05)
    assert predicted.low is not None and predicted.high is not None
    assert predicted.quantiles is not None
    ends = predicted.quantiles[:, 0] + low.numpy(), predicted.quantiles[:, -1] + high.numpy()
    assert (ends[0] > ends[1]).any() and (ends[0] < ends[1]).any()
    assert (predicted.low <= predicted.high).all()
    y = frame["y"].to_numpy()[test, None]
    report = model.evaluate(coverage=0.05)["coverage"]
    assert report["reached"] == ((predicted.low <= y) & (y <= predicted.high)).mean()
    assert report["mean_width"] == pytest.approx((predicted.high - predicted.low).mean())


def test_classes_that_are_perfectly_separated_have_no_temperature_to_apply(
    nnzoo: Callable[..., Any],
) -> None:
    frame = write_table()
    frame["a"] = frame["kind"].map({"low": -50.0, "mid": 0.0, "high": 50.0})
    frame.to_csv("t.csv", index=False)
    sections = {"eval": {"temperature": "apply"}, "optim": {"name": "adam", "lr": 0.05}}
    folder = train(table_config("kind", train={"epochs": 40}, **sections))
    shown = nnzoo("eval", folder)
    assert "no temperature: every validation row is classified correctly" in shown.out
    result = nnzoo("eval", folder, "--json").json
    assert result["accuracy"] == 1
    assert result["calibration"]["applied"] is False and "after" not in result["calibration"]
    assert nnzoo("predict", folder, "t.csv", "--coverage", 0.9).code == 0
    values = json.loads(metadata(load(folder).network)["calibration"])
    assert (values["temperature"], values["temperature_applied"]) == (None, False)


def test_one_class_in_the_validation_rows(nnzoo: Callable[..., Any]) -> None:
    frame = write_table()
    frame.loc[frame["part"] == "val", "kind"] = "mid"
    frame.to_csv("t.csv", index=False)
    folder = train(table_config("kind", eval={"temperature": "apply"}))
    result = nnzoo("eval", folder, "--json").json
    assert result["coverage"]["validation_rows"] == 80
    assert np.isfinite(result["loss"]) and result["calibration"]["before"]["brier"] > 0
    lines = nnzoo("predict", folder, "t.csv", "--coverage", 0.9, "--json").lines
    in_sets = [
        row["kind"] in line["set"] for line, (_, row) in zip(lines, frame.iterrows(), strict=True)
    ]
    assert np.mean(np.array(in_sets)[frame["part"] == "val"]) >= 0.9
    assert np.mean(np.array(in_sets)[frame["part"] == "test"]) == result["coverage"]["reached"]
    refused = nnzoo("eval", folder, "-s", "eval.decide={recall: 0.9, of: high}")
    assert "eval.decide.of: no validation row has the class 'high'" in refused.err


def test_an_applied_temperature_is_the_same_in_predict_eval_and_onnx() -> None:
    frame = write_table()
    folder = train(table_config("kind", eval={"temperature": "apply"}))
    model = load(folder)
    test = (frame["part"] == "test").to_numpy()
    predicted = model.predict(frame[test], coverage=0.9)
    predictions, targets, texts = onnx_of(model)
    assert predictions == pytest.approx(predicted.values, abs=1e-6)
    result = model.evaluate()
    assert result["loss"] == pytest.approx(log_loss(targets, predictions), rel=1e-5)
    assert result["loss"] == pytest.approx(result["calibration"]["after"]["log_loss"], rel=1e-5)
    plain = load(folder, sets=["eval.temperature=report"]).evaluate()
    assert plain["loss"] == pytest.approx(plain["calibration"]["before"]["log_loss"], rel=1e-5)
    assert plain["loss"] != result["loss"]
    values = json.loads(texts["calibration"])
    assert values["temperature_applied"] is True
    members = predictions >= values["set_threshold"]
    names = json.loads(texts["labels"])
    assert predicted.sets == [[n for n, m in zip(names, row, strict=True) if m] for row in members]


@pytest.mark.parametrize("options", [{}, QUANTILES])
def test_another_program_makes_the_intervals_of_predict(options: dict[str, Any]) -> None:
    frame = write_table()
    model = load(train(table_config("y", train=options)))
    predictions, _, texts = onnx_of(model)
    values = json.loads(texts["calibration"])
    predicted = model.predict(frame[140:], coverage=values["coverage"])
    assert predicted.low is not None and predicted.high is not None
    assert (predictions[:, :1] + values["low"]) == pytest.approx(predicted.low, abs=1e-4)
    assert (predictions[:, -1:] + values["high"]) == pytest.approx(predicted.high, abs=1e-4)


def test_another_program_makes_the_intervals_of_a_forecast() -> None:
    write_series()
    model = load(train(series_config(train=QUANTILES | {"epochs": 1})))
    predictions, _, texts = onnx_of(model)
    values = json.loads(texts["calibration"])
    windows, _ = model.raw("test", torch.arange(len(predictions)))
    predicted = model.predict(windows.numpy(), coverage=values["coverage"])
    assert predicted.low is not None and predicted.high is not None
    quantiles = predictions.reshape(len(predictions), 3, 3)
    assert (quantiles[:, 0] + values["low"]) == pytest.approx(predicted.low, abs=1e-4)
    assert (quantiles[:, -1] + values["high"]) == pytest.approx(predicted.high, abs=1e-4)


def test_the_file_of_a_group_has_the_calibration_of_its_mean(nnzoo: Callable[..., Any]) -> None:
    frame = write_table()
    config = table_config("kind", eval={"temperature": "report"}, train={"epochs": 1})
    Path("run.yaml").write_text(yaml.safe_dump(config))
    assert nnzoo("train", "run.yaml", "--seeds", 2, "--out", "out").code == 0
    exported = nnzoo("export", "out/kind-seeds", "--out", "g.onnx")
    assert exported.code == 0 and "for the mean of the group" in exported.err
    texts = onnxruntime.InferenceSession("g.onnx").get_modelmeta().custom_metadata_map
    values = json.loads(texts["calibration"])
    predicted = load("out/kind-seeds").predict(frame, coverage=0.9)
    names, threshold = predicted.names, values["set_threshold"]
    sets = [
        [n for n, p in zip(names, row, strict=True) if p >= threshold] for row in predicted.values
    ]
    assert predicted.sets == sets
    Path("t.csv").unlink()
    without = nnzoo("export", "out/kind-seeds", "--out", "h.onnx")
    assert without.code == 0 and "without intervals, sets and temperature: " in without.err


def test_a_coverage_is_called_drift_only_where_chance_does_not_explain_it() -> None:
    assert "drift" not in _coverage_report(0.87, 100, 200, 0.9)
    assert "drift" not in _coverage_report(0.95, 100, 200, 0.9)
    far = _coverage_report(0.6, 100, 200, 0.9)["drift"]
    assert far.startswith("coverage 0.6 instead of 0.9") and "chose the epoch" not in far
    assert (
        "the 50 validation rows, which chose the epoch"
        in _coverage_report(0.6, 100, 50, 0.9)["drift"]
    )
    generator = np.random.default_rng(0)
    scores = np.sort(generator.normal(size=(4000, 199)), 1)[:, 179]
    reached = (generator.normal(size=(4000, 100)) <= scores[:, None]).mean(1)
    unlikely = np.mean([_chance(value, 100, 199, 0.9) < DRIFT for value in reached])
    assert unlikely <= 2 * DRIFT
