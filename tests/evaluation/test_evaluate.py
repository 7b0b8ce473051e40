"""The result of a run: the same at the end of training, by `nnzoo eval` and in the report."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from nnzoo.evaluation.evaluate import MAX_BATCH_ROWS, eval_batch_size
from nnzoo.evaluation.uncertainty_text import uncertainty_lines
from nnzoo.evaluation.verdicts import baseline_lines
from tests.calibrated_runs import series_config, table_config, write_series, write_table

CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "numbers": lambda: table_config("y"),
    "quantiles": lambda: table_config("y", train={"loss": "quantile"}),
    "classes": lambda: table_config(
        "kind",
        eval={
            "temperature": "apply",
            "decide": {"recall": 0.9, "of": "high"},
            "baselines": ["majority", "linear"],
        },
    ),
    "forecast": lambda: series_config(eval={"baselines": ["last_value", "linear"]}),
}


@pytest.mark.parametrize("case", CASES)
def test_train_eval_and_report_agree(case: str, nnzoo: Callable[..., Any]) -> None:
    write_table()
    write_series()
    config = CASES[case]()
    Path("run.yaml").write_text(yaml.safe_dump(config | {"name": "run"}))
    trained = nnzoo("train", "run.yaml", "--out", "out", "--json").lines[-1]
    evaluated = nnzoo("eval", "out/run", "--json").json
    assert {key: evaluated[key] for key in trained["test"]} == trained["test"]
    assert {"baseline", "coverage"} <= trained["test"].keys()
    assert nnzoo("report", "out/run").code == 0
    page = unescape(Path("out/run/report.html").read_text())
    verdicts = baseline_lines(evaluated)
    assert verdicts
    shown = nnzoo("eval", "out/run").out
    for line in verdicts:
        assert line in shown and line in trained["remarks"] and line in page
    for line in uncertainty_lines(evaluated):
        assert line in shown


def test_batches_of_large_rows_are_smaller() -> None:
    assert eval_batch_size(1) == MAX_BATCH_ROWS
    assert 1 <= eval_batch_size(1 << 19) < MAX_BATCH_ROWS
    assert eval_batch_size(1 << 40) == 1
