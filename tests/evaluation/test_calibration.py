"""Values that runs learn from validation rows: kept, resumed, untouched by test rows, shown by eval, report and export."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nnzoo as api
from nnzoo.api import load
from nnzoo.errors import CheckpointError, ConfigError
from nnzoo.evaluation.calibration import Calibration
from nnzoo.evaluation.uncertainty_text import uncertainty_lines
from nnzoo.export_interface import metadata
from nnzoo.runs import checkpoint
from tests.calibrated_runs import series_config, table_config, train, write_series, write_table

DECIDE = {"decide": {"recall": 0.9, "of": "high"}}


def stored(folder: Path) -> Any:
    return checkpoint.load(folder / "best.pt")["calibration"]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.parametrize("target", ["y", "kind"])
def test_test_rows_move_nothing_that_is_learned(target: str) -> None:
    sections = {"eval": DECIDE} if target == "kind" else {}
    write_table()
    clean = stored(train(table_config(target, **sections)))
    write_table(poison=50.0)
    poisoned = stored(train(table_config(target, name="poisoned", **sections)))
    assert clean["rows"] == 80
    assert same(clean, poisoned)
    if target == "kind":
        assert clean["temperature"] > 0
        assert 0 < clean["threshold"] < 1


def test_a_crash_before_best_pt_is_calibrated_is_made_good() -> None:
    write_table()
    folder = train(table_config("kind"))
    expected = checkpoint.load(folder / "best.pt")
    lost = {key: value for key, value in expected.items() if key != "calibration"}
    checkpoint.save(folder / "best.pt", lost)
    before = (folder / "last.pt").read_bytes()
    train(table_config("kind"))
    assert same(checkpoint.load(folder / "best.pt"), expected)
    assert (folder / "last.pt").read_bytes() == before


def test_another_decision_replaces_that_of_a_complete_run() -> None:
    write_table()
    folder = train(table_config("kind"))
    assert stored(folder)["threshold"] is None
    train(table_config("kind", eval=DECIDE))
    assert 0 < stored(folder)["threshold"] < 1
    assert load(folder).network.decision is not None


def test_an_unfinished_run_is_calibrated_when_it_is_read(nnzoo: Callable[..., Any]) -> None:
    write_table()
    training = api.train(table_config("kind"), out="out")
    training.fit(stop=lambda: training.run.trainer.state.epoch == 2)
    training.close()
    assert "calibration" not in checkpoint.load(training.folder / "best.pt")
    result = nnzoo("eval", training.folder)
    assert "temperature and decision are taken from the validation rows now" in result.err
    assert "coverage 0.9: " in result.out
    assert nnzoo("eval", training.folder, "--split", "val", "--coverage", "0.8").code == 0


def test_a_calibration_that_does_not_fit_is_refused() -> None:
    write_table()
    folder = train(table_config("y"))
    content = checkpoint.load(folder / "best.pt")
    state = content["calibration"]
    for change in (
        {"rows": 0},
        {"lower": state["lower"].float()},
        {"lower": state["lower"][:, :0]},
        {"upper": torch.full_like(state["upper"], torch.nan)},
        {"temperature": -1.0},
        {"threshold": "x"},
        {"decide": {"x": 1}},
    ):
        checkpoint.save(folder / "best.pt", content | {"calibration": state | change})
        with pytest.raises(CheckpointError, match="its calibration does not fit this network"):
            load(folder)
    assert Calibration.from_state(None, load(folder, weights="last").network.task, "x") is None


def test_an_applied_temperature_scales_the_logits() -> None:
    frame = write_table()
    folder = train(table_config("kind"))
    temperature = stored(folder)["temperature"]
    plain, applied = load(folder), load(folder, sets=["eval.temperature=apply"])
    logits = torch.from_numpy(plain.predict(frame).values).log()
    expected = (logits / temperature).softmax(1)
    assert applied.predict(frame).values == pytest.approx(expected.numpy(), abs=1e-6)
    before, after = plain.evaluate(), applied.evaluate()
    assert after["accuracy"] == before["accuracy"]
    assert after["loss"] == pytest.approx(before["calibration"]["after"]["log_loss"], rel=1e-5)
    assert before["loss"] == pytest.approx(before["calibration"]["before"]["log_loss"], rel=1e-5)
    assert before["calibration"]["applied"] is False
    assert after["calibration"]["applied"] is True
    with pytest.raises(ConfigError, match=r"eval.temperature .*is for classes"):
        train(table_config("y", eval={"temperature": "apply"}))


def test_a_decision_that_cannot_be_found_loses_no_run(nnzoo: Callable[..., Any]) -> None:
    frame = write_table()
    is_low = (frame["part"] == "val") & (frame["kind"] == "low")
    frame.loc[is_low, "kind"] = "mid"
    frame.to_csv("t.csv", index=False)
    config = table_config("kind", eval={"decide": {"recall": 0.9, "of": "low"}})
    training = api.train(config, out="out").fit()
    result = training.result()
    training.close()
    assert result is not None
    assert "no validation row has the class 'low'" in result["decision"]["problem"]
    refused = nnzoo("eval", training.folder)
    assert refused.code == 3
    assert "eval.decide.of: no validation row has the class 'low'" in refused.err
    assert nnzoo("eval", training.folder, "-s", "eval.decide=null").code == 0


def test_a_run_that_decides_by_costs_is_opened_again(nnzoo: Callable[..., Any]) -> None:
    write_table()
    kinds = ("high", "low", "mid")
    costs = {actual: {other: 5 for other in kinds if other != actual} for actual in kinds}
    training = api.train(table_config("kind", eval={"decide": {"cost": costs}}), out="out").fit()
    training.close()
    result = nnzoo("eval", training.folder, "--json")
    assert result.code == 0, result.err
    wrong = 1 - result.json["accuracy"]
    assert result.json["decision"]["cost_per_row_before"] == pytest.approx(5 * wrong)


def test_lines_of_eval(nnzoo: Callable[..., Any]) -> None:
    write_table()
    folder = train(
        table_config("kind", eval={"decide": {"cost": [[0, 9, 9], [1, 0, 1], [1, 1, 0]]}})
    )
    shown = nnzoo("eval", folder).out
    assert re.search(r"coverage 0\.9: .* % reached \[.*\]; sets of .* classes on average", shown)
    assert re.search(
        r"calibration: log loss .* → .*, ECE .* → .*; temperature .*, not applied", shown
    )
    assert re.search(r"decision by cost: .* per row, .* with the most probable class", shown)
    threshold = nnzoo("eval", folder, "-s", "eval.decide={recall: 0.9, of: low}").out
    assert re.search(
        r"decision: 'low' from a probability of .* on \(recall 0\.9 asked\)", threshold
    )
    lines = uncertainty_lines(
        {
            "decision": {"problem": "why"},
            "coverage": {
                "asked": 0.9,
                "reached": 0.5,
                "ci95": [0.4, 0.6],
                "validation_rows": 50,
                "mean_width": 2.0,
                "drift": "far",
            },
        }
    )
    assert lines[1:] == ["far", "no decision: why"]
    assert "; mean width 2.0000 (from 50" in lines[0]


def test_drift_is_named(nnzoo: Callable[..., Any]) -> None:
    write_table(poison=50.0)
    folder = train(table_config("y"))
    assert re.search(
        r"coverage \S+ instead of 0\.9: more than chance explains; .*\(drift\)",
        nnzoo("eval", folder).out,
    )


def test_exports_hold_what_others_need() -> None:
    write_table()
    folder = train(table_config("kind", eval=DECIDE))
    values = json.loads(metadata(load(folder).network)["calibration"])
    assert values["set_threshold"] == load(folder).require_calibration().set_threshold(0.9)
    assert values["decision"]["threshold"] == stored(folder)["threshold"]
    write_series()
    texts = metadata(load(train(series_config(train={"loss": "quantile"}))).network)
    assert texts["quantiles"] == "[0.05, 0.5, 0.95]"
    assert len(json.loads(texts["calibration"])["low"]) == 3
