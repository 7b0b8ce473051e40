"""Several labels per row: columns of yes and no, cells with separators, and what is neither."""

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
from nnzoo.data.columns.label_sets import find_separator, rarest_labels
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.read_dataset import read_dataset
from nnzoo.data.tables import load_csv
from nnzoo.errors import DataError
from nnzoo.export_interface import describe_io, metadata
from nnzoo.predict.predictions import predict_split
from nnzoo.runs.loaded_run import LoadedRun
from tests import zoo

NNZOO = Callable[..., Any]
FLAGS = "x,is_a,is_b,is_c\n1,Yes,0,True\n2,no,1,false\n3,NO,1.0,TRUE\n,y,0.0,F\n"
TAGS = "x;tags\n1;cat, dog\n2;Dog\n3;\n4;emu,cat\n5;dog,dog\n"


def load(text: str, **options: Any) -> Dataset:
    """A CSV of this text; without split options every row trains."""
    Path("d.csv").write_text(text)
    values: dict[str, Any] = {"split": GroupSplit(val=0, test=0)} | options
    return load_csv(CsvOptions(name="csv", path="d.csv", **values))


def refused(text: str, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        load(text, **options)
    return str(error.value)


def test_columns_of_yes_and_no_are_labels() -> None:
    columns = ["is_a", "is_b", "is_c"]
    dataset = load(FLAGS, target=columns)
    assert (dataset.spec.task, dataset.spec.labels) == ("multilabel", columns)
    assert dataset.spec.target_names == columns and dataset.spec.targets == []
    y = dataset.splits["train"].targets()
    assert y.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0]] and y.dtype is torch.float32
    stored = json.loads(json.dumps(dataset.spec.to_dict()))
    assert DataSpec.from_dict(stored) == dataset.spec
    stored["spec"]["labels"] = []
    with pytest.raises(TypeError, match="without labels"):
        DataSpec.from_dict(stored)
    assert load(FLAGS, target=["is_b", "x"]).spec.task == "regression"
    assert load(FLAGS, target=["is_b"], task="multilabel").spec.labels == ["is_b"]


def test_a_cell_has_several_labels() -> None:
    dataset = load(TAGS, target="tags", task="multilabel")
    assert dataset.spec.labels == ["cat", "dog", "emu"]
    assert dataset.spec.extra == {"separator": ","}
    y = dataset.splits["train"].targets().tolist()
    assert y == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert "labels are separated by ',' (data.label_separator)" in dataset.notes
    assert "labels typed in several ways are read as one: 'Dog' as 'dog'" in dataset.notes
    fewer = load(TAGS, target="tags", task="multilabel", missing=["Dog"])
    assert len(fewer.splits["train"]) == 4
    assert "1 of 5 rows have no labels and are left out, first data row 2" in str(fewer.notes)
    one = load("x,t\n1,a\n2,b\n3,a\n", target="t", task="multilabel")
    assert one.spec.labels == ["a", "b"]
    assert "no row has several labels (data.label_separator)" in one.notes
    stated = load(TAGS, target="tags", task="multilabel", label_separator="dog")
    assert stated.spec.labels == [",", "Dog", "cat,", "emu,cat"]


@pytest.mark.parametrize(
    "text, options, message",
    [
        (
            FLAGS.replace("NO", "maybe"),
            {"target": ["is_a", "is_b"]},
            "the label 'is_a' should be 1 or 0, yes or no, true or false, but has 'maybe' in data row 3",
        ),
        (FLAGS.replace("NO", ""), {"target": ["is_a", "is_b"]}, "but is empty in data row 3"),
        (TAGS, {"target": "y"}, "no column 'y'"),
        ("x,t\n1,\n2,\n", {"target": "t"}, "no training row has a label in 't'"),
        ("x,a,b\n1,,\n2,,\n", {"target": ["a", "b"]}, "no row has labels"),
        (
            "x,t\n" + "".join(f"{i},w{i}\n" for i in range(30)),
            {"target": "t"},
            "30 labels in 30 training rows",
        ),
    ],
)
def test_what_is_no_label_is_refused(text: str, options: dict[str, Any], message: str) -> None:
    assert message in refused(text, task="multilabel", **options)


def test_rows_without_any_label_column_are_left_out() -> None:
    dataset = load("x,a,b\n1,1,0\n2,,\n3,0,1\n", target=["a", "b"])
    assert len(dataset.splits["train"]) == 2
    assert "1 of 3 rows have no labels and are left out, first data row 2" in str(dataset.notes)


def test_labels_that_no_training_row_has_are_counted_and_left_out() -> None:
    Path("t.csv").write_text("x;tags\n1;cat\n2;yak,cat\n3;yak\n")
    dataset = load(TAGS, target="tags", task="multilabel", test_path="t.csv")
    assert dataset.cuts == ["labels in test rows that no training row has are left out: 'yak' in 2"]
    assert dataset.splits["test"].targets().sum(1).tolist() == [1, 1, 0]
    assert dataset.cuts[0] in dataset.notes


def test_a_label_without_a_training_row_is_refused() -> None:
    Path("d.csv").write_text("x,a,b\n" + "".join(f"{i},{i % 2},0\n" for i in range(20)))
    data = {"name": "csv", "path": "d.csv", "target": ["a", "b"]}
    with pytest.raises(DataError, match="no training row has the label 'b'; leave it out"):
        read_dataset(zoo.config("mlp", data))


def test_splits_keep_rare_labels() -> None:
    assert rarest_labels(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]])).tolist() == [
        1,
        0,
        -1,
        2,
    ]
    lines = "".join(f"{i},a{';rare' * (i % 10 == 0)}\n" for i in range(100))
    dataset = load(f"x,t\n{lines}", target="t", task="multilabel", split=GroupSplit())
    counts = {part: int(split.targets()[:, 1].sum()) for part, split in dataset.splits.items()}
    assert counts == {"train": 7, "val": 1, "test": 2}


def table(rows: int = 150) -> str:
    """Three labels of numbers, of which a row has none to all."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 4)).round(3)
    y = np.stack([x[:, 0] > 0, x[:, 1] > 0.5, x[:, 2] > x[:, 3]], 1)
    names = np.array(["cat", "dog", "emu"])
    lines = [
        ",".join(map(str, row)) + "," + ";".join(names[has])
        for row, has in zip(x.tolist(), y, strict=True)
    ]
    return "u,v,w,z,tags\n" + "\n".join(lines) + "\n"


def test_labels_from_init_to_every_output(nnzoo: NNZOO) -> None:
    Path("pets.csv").write_text(table())
    made = nnzoo("init", "pets.csv", "--target", "tags", "--task", "multilabel")
    assert made.code == 0, made.err
    text = Path("pets.yaml").read_text()
    assert "the target is 3 labels (cat, dog, emu)" in text and "task: multilabel" in text
    assert "target: 3 labels" in nnzoo("check", "pets.yaml").out
    smoothed = ("-s", "train.label_smoothing=0.02", "-s", "data.class_weights=balanced")
    monitor = ("-s", "train.monitor=val_f1_macro", "-s", "train.epochs=9")
    trained = nnzoo("train", "-c", "pets.yaml", *smoothed, *monitor, "--verbose", "2")
    assert trained.code == 0 and "val_exact_match" in trained.err, trained.err
    folder = Path("checkpoints/pets")
    result = nnzoo("eval", folder, "--json").json
    run = LoadedRun.open(folder, torch.device("cpu"))
    split = predict_split(run.network, run.prepared("test"))
    assert split.targets is not None
    f1 = metrics.f1_score(split.targets, split.values >= 0.5, average="macro")
    assert result["f1_macro"] == pytest.approx(f1, abs=1e-12)
    shown = nnzoo("eval", folder).out
    assert "exact_match" in shown and "average_precision" in shown and "emu" in shown
    Path("new.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in table(4).split("\n")))
    lines = [
        json.loads(line) for line in nnzoo("predict", folder, "new.csv", "--json").out.splitlines()
    ]
    predicted = nnzoo("predict", folder, "new.csv", "--out", "p.csv")
    assert predicted.code == 0, predicted.err
    frame = pandas.read_csv("p.csv", keep_default_na=False)
    assert list(frame) == ["row", "prediction", "p_cat", "p_dog", "p_emu"]
    for line, (_, row) in zip(lines, frame.iterrows(), strict=True):
        above = [name for name, p in line["probabilities"].items() if p >= 0.5]
        assert line["prediction"] == above and row["prediction"] == ";".join(above)
    page = nnzoo("report", folder)
    assert page.code == 0, page.err
    html = (folder / "report.html").read_text()
    assert "Per label" in html and "Exact match" in html and "Largest errors" in html
    assert nnzoo("inspect", folder).code == 0
    _, outputs = describe_io(run.network)
    assert outputs == {"probabilities": {"type": "float32", "shape": ["batch", 3]}}
    values = metadata(run.network)
    assert json.loads(values["labels"]) == ["cat", "dog", "emu"]
    assert json.loads(values["thresholds"]) == [0.5] * 3 and values["task"] == "multilabel"


def test_members_and_resumed_runs_have_the_bits_of_single_ones(nnzoo: NNZOO) -> None:
    Path("pets.csv").write_text(table())
    data = {"name": "csv", "path": "pets.csv", "target": "tags", "task": "multilabel"}
    models = {}
    for name, epochs in (("a", [4]), ("b", [2, 4])):
        for count in epochs:
            run = zoo.begin(zoo.config("mlp", data, name=name, train={"epochs": count}))
            rows = zoo.finish(run)
        models[name] = run.network.model.state_dict(), rows[-1]
        best = run.best()
    assert zoo.same(models["a"], models["b"])
    Path("g.yaml").write_text(json.dumps({"data": data, "model": zoo.MODELS["mlp"]}))
    grouped = nnzoo("train", "-c", "g.yaml", "--seeds", "2", "-s", "train.epochs=4", "--json")
    assert grouped.code == 0, grouped.err
    end = [json.loads(line) for line in grouped.out.splitlines()][-1]
    # The first member has the seed of the single run, and is it but for rounding.
    first = end["members"][0]
    assert first["best"]["epoch"] == best["epoch"]
    assert first["best"]["value"] == pytest.approx(best["value"], rel=1e-5)
    assert first["val"]["exact_match"] == pytest.approx(models["a"][1]["val_exact_match"])
    assert "test" in end["summary"] and "exact_match" in end["summary"]["test"]
    compared = nnzoo("report", "checkpoints/g-seeds/seed-0", "checkpoints/g-seeds/seed-1")
    assert compared.code == 0, compared.err


def test_the_separator_in_most_cells_separates() -> None:
    """One semicolon among commas made two labels of 'cat, dog' one."""
    column = pandas.Series(["cat, dog", "dog, owl", "cat; dog"])
    assert find_separator(column) == ","
    assert find_separator(pandas.Series(["a,b", "a;b"])) == ";"
