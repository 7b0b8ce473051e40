"""Several targets of a table: which columns they are, which rows have them, how their numbers are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from sklearn import metrics

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.data_spec import DataSpec, NumberFormat
from nnzoo.data.dataset import Dataset
from nnzoo.data.tables import load_csv
from nnzoo.errors import DataError
from nnzoo.predict.predictions import predict_split
from nnzoo.runs.loaded_run import LoadedRun
from tests import zoo

NNZOO = Callable[..., Any]

TWO = "x;a;b\n1;1,5;$1,000.50\n2;2,5;$2,000.00\n3;;$3,000.00\n4;0,5;NA\n5;3,5;$5.00\n"


def load(text: str, **options: Any) -> Dataset:
    """A CSV of this text; without split options every row trains."""
    Path("d.csv").write_text(text)
    values: dict[str, Any] = {"target": ["a", "b"], "split": GroupSplit(val=0, test=0)} | options
    return load_csv(CsvOptions(name="csv", path="d.csv", **values))


def refused(text: str, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        load(text, **options)
    return str(error.value)


def test_each_target_has_its_notation_and_rows_without_one_are_left_out() -> None:
    dataset = load(TWO)
    spec = dataset.spec
    assert (spec.task, spec.targets, spec.target) == ("regression", ["a", "b"], None)
    assert [form.decimal for form in spec.target_formats] == [",", "."]
    assert spec.target_names == ["a", "b"] and spec.column_names == ["x"]
    assert dataset.splits["train"].targets().tolist() == [[1.5, 1000.5], [2.5, 2000], [3.5, 5]]
    assert (
        "d.csv: 2 of 5 rows lack a target (1 of 'a', 1 of 'b') and are left out, first data row 3"
        in dataset.notes
    )
    again = DataSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    one = load(TWO, target="a", drop=["b"]).spec
    assert (one.target, one.target_columns) == ("a", []) and one.target_formats == [
        NumberFormat(",")
    ]
    assert "target_columns" not in one.source_dict()


def test_copies_of_a_target_among_the_inputs_are_named_with_it() -> None:
    rows = "\n".join(f"{i},{i * i},{2 * i + 1}" for i in range(12))
    (line,) = [note for note in load(f"x,a,b\n{rows}\n").notes if "other words" in note]
    assert line.startswith("'b': the target is among the inputs") and "'x' (a straight" in line


@pytest.mark.parametrize(
    "options, message",
    [
        ({"target": ["a", 1]}, "'a' is in the list already"),
        ({"target": ["a", "c"]}, "no column 'c'"),
        ({"task": "classification"}, "classes are read from one target column"),
        ({"drop": ["b"]}, "'b' is a target"),
        ({"target": ["x", "a", "b"]}, "no column to learn from but the target 'x', 'a', 'b'"),
    ],
)
def test_lists_that_name_no_targets_are_refused(options: dict[str, Any], message: str) -> None:
    assert message in refused(TWO, **options)


def test_words_among_the_numbers_are_refused_with_their_row() -> None:
    text = "x,a,b\n1,1,2\n2,two,3\n3,4,5\n4,5,6\n"
    assert "should be a number, but data row 2 has 'two'" in refused(text)
    nothing = refused("x,a,b\n1,,2\n2,1,\n")
    assert "no row has all targets; missing values: 1 of 'a', 1 of 'b'" in nothing
    Path("t.csv").write_text("x,a\n1,2\n")
    message = refused("x,a,b\n1,1,2\n2,2,3\n", test_path="t.csv")
    assert "t.csv: no column 'b', which is a target" in message


def test_quantiles_of_two_targets_are_in_the_units_of_each() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 2))
    frame = pandas.DataFrame({"u": x[:, 0], "a": x[:, 0] + 5, "b": 1000 * x[:, 1] - 5000})
    frame.to_csv("d.csv", index=False)
    data = {"name": "csv", "path": "d.csv", "target": ["a", "b"]}
    train = {"epochs": 2, "loss": "quantile", "quantiles": [0.1, 0.5, 0.9]}
    run = zoo.begin(zoo.config("mlp", data, train=train))
    zoo.finish(run)
    predictions = predict_split(run.network, run.trainer.splits["val"])
    assert predictions.values.shape == (6, 2)
    np.testing.assert_allclose(predictions.values.mean(0), [5, -5000], rtol=0.3)


def test_two_targets_from_init_to_the_report(nnzoo: NNZOO) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 3)).round(3)
    frame = pandas.DataFrame(x, columns=list("uvw"))
    frame["height"] = [f"{v:.3f}".replace(".", ",") for v in x[:, 0] * 2 + x[:, 1]]
    frame["price"] = [f"${v:,.2f}" for v in 1000 + 300 * x[:, 2]]
    frame.to_csv("two.csv", index=False, sep=";")
    made = nnzoo("init", "two.csv", "--target", "height", "--target", "price")
    assert made.code == 0, made.err
    text = Path("two.yaml").read_text()
    assert "the targets are 2 numbers (height, price)" in text
    assert '  target: ["height", "price"]\n' in text
    assert "height  target: a number" in nnzoo("check", "two.yaml").out
    trained = nnzoo("train", "-c", "two.yaml", "-s", "train.epochs=8", "--verbose", "2")
    assert trained.code == 0, trained.err
    result = nnzoo("eval", "checkpoints/two", "--json").json
    assert [output["name"] for output in result["per_output"]] == ["height", "price"]
    frame.drop(columns=["height", "price"]).to_csv("new.csv", index=False)
    predicted = nnzoo("predict", "checkpoints/two", "new.csv", "--out", "p.csv")
    assert predicted.code == 0, predicted.err
    written = pandas.read_csv("p.csv")
    assert list(written) == ["row", "height", "price"]
    # The rows of the test split are found by their targets.
    run = LoadedRun.open(Path("checkpoints/two"), torch.device("cpu"))
    targets = run.dataset.splits["test"].targets().numpy()
    rows = [
        int(np.flatnonzero(np.isclose(1000 + 300 * x[:, 2], t[1], atol=0.01))[0]) for t in targets
    ]
    values = written.iloc[rows, 1:].to_numpy()
    for i, output in enumerate(result["per_output"]):
        rmse = metrics.root_mean_squared_error(targets[:, i], values[:, i])
        assert output["rmse"] == pytest.approx(rmse, rel=1e-5)
    mean = metrics.root_mean_squared_error(targets, values)
    assert result["rmse"] == pytest.approx(mean, rel=1e-5)
    page = nnzoo("report", "checkpoints/two")
    assert page.code == 0, page.err
    html = Path("checkpoints/two/report.html").read_text()
    assert "Each target" in html and "Residuals: price" in html and "height " in html
