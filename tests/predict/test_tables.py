"""Predictions for rows of tables and for sequences: files, headers, values that training did not have."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch

from nnzoo.config.split_options import RowSplit
from nnzoo.data.row_split import split_rows
from nnzoo.data.table_files import csv_reader
from nnzoo.errors import DataError
from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from nnzoo.runs.loaded_run import load_network
from nnzoo.text import format_metric
from tests.predict.prediction_runs import RUN, TABLE, Nnzoo, refused, rows_of, train, write_table
from tests.zoo import begin, config, finish


def network_data(model: str, data: str) -> tuple[torch.Tensor, torch.Tensor]:
    split = begin(config(model, data), "elsewhere", write=False).dataset.splits["test"]
    return split.batch(torch.arange(len(split)))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_without_their_target_get_the_predictions_that_eval_counts(
    nnzoo: Nnzoo, task: str
) -> None:
    cells = write_table(task)
    train("mlp", TABLE, epochs=3)
    classes = np.unique([row[3] for row in cells], return_inverse=True)[1]
    test = split_rows(200, RowSplit(), classes if task == "classification" else None)["test"]
    with open("new.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "kind"], *(cells[i][:3] for i in test)])
    report = nnzoo("eval", RUN, "--json").json
    result = nnzoo("predict", RUN, "new.csv")
    assert (result.code, result.err) == (
        0,
        "note: missing values filled as in training: 3 of 'b'\n",
    )
    predictions = rows_of(result.out)
    assert [row["row"] for row in predictions] == [str(i + 1) for i in range(len(test))]
    truth = [cells[i][3] for i in test]
    if task == "classification":
        labels = report["labels"]
        actual = np.zeros((2, 2), int)
        for row, label in zip(predictions, truth, strict=True):
            actual[labels.index(label), labels.index(row["prediction"])] += 1
            probabilities = [float(row[f"p_{label}"]) for label in labels]
            assert float(row["probability"]) == max(probabilities)
            assert sum(probabilities) == pytest.approx(1, abs=2e-6)
        assert actual.tolist() == report["confusion_matrix"]
        assert actual.min() > 0 or actual.trace() < len(test)
    else:
        errors = np.array([float(row["y"]) for row in predictions]) - np.array(truth, float)
        assert format_metric(float(np.sqrt((errors**2).mean()))) == format_metric(report["rmse"])
        assert format_metric(float(np.abs(errors).mean())) == format_metric(report["mae"])


def test_a_csv_streams_and_its_row_numbers_run_on(
    nnzoo: Nnzoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = write_table("classification")
    network = train("mlp", TABLE)
    whole = Predictions.concat(predict(network, "d.csv"))
    monkeypatch.setattr(csv_reader, "CHUNK", 500)
    pieces = list(predict(network, "d.csv"))
    assert len(pieces) > 5
    parts = Predictions.concat(pieces)
    assert parts.index == whole.index == {"row": list(range(1, 201))}
    np.testing.assert_allclose(parts.values, whole.values, rtol=1e-5)
    cells[150][0] = "x"
    with open("d.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "kind", "y"], *cells])
    result = nnzoo("predict", RUN, "d.csv", "--out", "answers.csv")
    assert result.code == 3
    assert result.err.startswith("d.csv: column 'a' holds numbers, but data row 151 has 'x'")
    assert [path for path in Path().iterdir() if "answers" in path.name] == []


def test_values_that_training_never_saw_are_counted_and_reported(nnzoo: Nnzoo) -> None:
    write_table("regression")
    train("mlp", TABLE)
    Path("new.csv").write_text("kind,extra,b,a\nx,1,2,3\nu,1,,3\nz,1,2,3\n,1,2,3\nx,1,2,3\n")
    result = nnzoo("predict", RUN, "new.csv")
    assert result.code == 0
    assert (
        result.err == "note: values that training never saw count as missing: 3 of 'kind' (x, z)\n"
        "note: missing values filled as in training: 1 of 'b'\n"
    )
    predictions = [row["y"] for row in rows_of(result.out)]
    assert predictions[0] == predictions[2] == predictions[3]


def test_of_many_values_and_columns_a_few_are_named() -> None:
    rng = np.random.default_rng(0)
    table = pandas.DataFrame(rng.choice(list("uv"), (40, 6)), columns=[*"abcde", "y"])
    table.to_csv("d.csv", index=False)
    network = train("mlp", TABLE)
    new = table.assign(a=[f"w{i}" for i in range(40)], b="x", c="x", d="x", e="x")
    new.to_csv("new.csv", index=False)
    assert Predictions.concat(predict(network, "new.csv")).notes == [
        "values that training never saw count as missing: 40 of 'a' (w0, w1, w2, …), 40 of 'b' (x), "
        "40 of 'c' (x), and in 2 more columns"
    ]


def test_rows_of_several_files_name_their_file(nnzoo: Nnzoo) -> None:
    write_table("regression", 40)
    network = train("mlp", TABLE)
    frame = pandas.read_csv("d.csv").drop(columns="y")
    frame.iloc[:15].to_csv("one.csv", index=False)
    frame.iloc[15:].to_parquet("two.parquet")
    predictions = rows_of(nnzoo("predict", RUN, "one.csv", "two.parquet").out)
    assert [(row["file"], row["row"]) for row in predictions] == [
        *(("one.csv", str(i + 1)) for i in range(15)),
        *(("two.parquet", str(i + 1)) for i in range(25)),
    ]
    whole = Predictions.concat(predict(network, frame)).values[:, 0]
    assert [float(row["y"]) for row in predictions] == pytest.approx(list(whole), rel=1e-5)


@pytest.mark.parametrize("target", [0, 1, 2, -1])
@pytest.mark.parametrize("drop", [[], [-1]])
def test_a_headless_file_that_lacks_the_target_is_read_like_one_that_has_it(
    target: int, drop: list[int]
) -> None:
    rng = np.random.default_rng(1)
    table = pandas.DataFrame(rng.normal(size=(60, 5)))
    table.to_csv("d.csv", index=False, header=False)
    if drop and target == -1:
        target = -2
    network = train("mlp", TABLE | {"target": target, "drop": drop})
    table.drop(columns=table.columns[target]).to_csv("new.csv", index=False, header=False)
    with_target, without = (
        Predictions.concat(predict(network, "d.csv")),
        Predictions.concat(predict(network, "new.csv")),
    )
    np.testing.assert_array_equal(with_target.values, without.values)
    table.iloc[:1].to_csv("one.csv", index=False, header=False)
    np.testing.assert_allclose(
        Predictions.concat(predict(network, "one.csv")).values, with_target.values[:1]
    )


def test_a_file_has_a_header_where_the_training_file_had_one() -> None:
    Path("d.csv").write_text("k,l,y\n" + "p,q,u\nr,q,v\np,s,v\n" * 5)
    network = train("mlp", TABLE)
    Path("new.csv").write_text("l,k\nq,p\n")
    assert len(Predictions.concat(predict(network, "new.csv"))) == 1
    Path("new.csv").write_text("q,p\nq,p\n")
    message = "new.csv: column 'k' is missing; the network was trained with it"
    assert refused(DataError, network, "new.csv") == message
    Path("d.csv").write_text("p,p,u\nr,q,v\np,s,v\n" * 5)
    finish(begin(config("mlp", TABLE, name="headless")))
    headless = load_network(Path("out/headless"), torch.device("cpu"))[0]
    Path("new.csv").write_text("p,q\n")  # by itself it could be a header
    assert len(Predictions.concat(predict(headless, "new.csv"))) == 1


def test_a_bundled_table_reads_files_with_its_column_names(nnzoo: Nnzoo) -> None:
    network = train("mlp", "table_classes", epochs=5)
    raw, _ = network_data("mlp", "table_classes")
    names = network.data_spec.column_names
    pandas.DataFrame(raw.numpy(), columns=names)[names[::-1]].to_csv("new.csv", index=False)
    predictions = rows_of(nnzoo("predict", RUN, "new.csv").out)
    expected = Predictions.concat(predict(network, raw))
    assert [row["prediction"] for row in predictions] == expected.labels
    assert len(set(expected.labels)) > 1


def test_a_file_is_one_sequence_with_named_or_unnamed_columns(nnzoo: Nnzoo) -> None:
    network = train("lstm", "sequences")
    raw, _ = network_data("lstm", "sequences")
    for i, name in enumerate(("named.csv", "swapped.csv", "bare.csv")):
        frame = pandas.DataFrame(raw[i].numpy(), columns=["number", "mark"])
        frame = frame[["mark", "number"]] if name == "swapped.csv" else frame
        frame.to_csv(name, index=False, header=name != "bare.csv")
    predictions = rows_of(nnzoo("predict", RUN, "named.csv", "swapped.csv", "bare.csv").out)
    assert [row["file"] for row in predictions] == ["named.csv", "swapped.csv", "bare.csv"]
    expected = Predictions.concat(predict(network, raw[:3])).values[:, 0]
    np.testing.assert_allclose([float(row["sum"]) for row in predictions], expected, rtol=1e-5)
    of_frame = Predictions.concat(predict(network, pandas.read_csv("named.csv")))
    np.testing.assert_allclose(of_frame.values[0], expected[0], rtol=1e-5)
    for change, message in (
        (lambda text: text + "1,0\n", "new.csv has 9 time steps; this network reads 8"),
        (
            lambda text: text.replace("mark", "mrk"),
            "new.csv: column 'mark' is missing; the network was trained with it",
        ),
        (
            lambda text: text[: text.rindex(",") + 1] + "\n",
            "new.csv: 'mark' is missing in data row 8",
        ),
    ):
        Path("new.csv").write_text(change(Path("named.csv").read_text()))
        assert refused(DataError, network, "new.csv") == message
