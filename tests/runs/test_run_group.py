"""Folds: every row that does not test validates once, and each run is as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nnzoo.config.data_options import RowSplit, ValSplit
from nnzoo.data.dataset import split_rows
from nnzoo.errors import DataError
from nnzoo.runs import checkpoint


@given(
    total=st.integers(20, 200),
    folds=st.integers(2, 8),
    test=st.floats(0.0, 0.3),
    counts=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_every_row_that_does_not_test_validates_in_exactly_one_fold(
    total: int, folds: int, test: float, counts: int, seed: int
) -> None:
    classes = np.random.default_rng(seed).integers(0, counts, total)
    plain = split_rows(total, RowSplit(test=test or 0, seed=seed), classes)
    validated = []
    for fold in range(1, folds + 1):
        split = RowSplit(test=test or 0, seed=seed, folds=folds, fold=fold)
        rows = split_rows(total, split, classes)
        assert list(rows) == ["train", "val", "test"]
        assert sorted(np.concatenate(list(rows.values()))) == list(range(total))
        assert np.array_equal(rows["test"], plain["test"])
        validated.append(rows["val"])
    sizes = [len(item) for item in validated]
    assert max(sizes) - min(sizes) <= 1
    together = np.concatenate(validated)
    assert len(set(together)) == len(together) == total - len(plain["test"])


@given(
    folds=st.integers(2, 6),
    rows_per_class=st.integers(12, 60),
    count=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_equal_classes_have_equal_fractions_of_each_fold(
    folds: int, rows_per_class: int, count: int, seed: int
) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(count), rows_per_class))
    for fold in range(1, folds + 1):
        split = ValSplit(seed=seed, folds=folds, fold=fold)
        rows = split_rows(len(classes), split, classes, test=False)
        assert list(rows) == ["train", "val"]
        got = np.bincount(classes[rows["val"]], minlength=count)
        assert np.abs(got - len(rows["val"]) / count).max() < 2


def test_more_folds_than_rows_are_refused() -> None:
    with pytest.raises(DataError, match="6 rows do not fill 7 parts"):
        split_rows(8, RowSplit(test=2, folds=7))


def test_folds_are_runs_of_their_own_with_one_summary(nnzoo: Any) -> None:
    words = ("train", "-c", "mlp_diabetes", "-s", "train.epochs=3", "-s", "model.hidden=[8]")
    result = nnzoo(*words, "--folds", 3, "--json")
    assert result.code == 0
    assert "3 folds, trained sequentially: each fold has other rows to train on" in result.err
    end = result.lines[-1]
    assert end["run_dir"] == "checkpoints/mlp_diabetes-3-folds"
    assert [member["fold"] for member in end["members"]] == [1, 2, 3]
    assert end["summary"]["val"]["rmse"]["n"] == end["summary"]["test"]["rmse"]["n"] == 3
    rows = 0
    for member in end["members"]:
        val = nnzoo("eval", member["run_dir"], "--split", "val", "--json").json
        rows += val["n"]
        assert val["rmse"] == pytest.approx(member["val"]["rmse"])
        assert nnzoo("eval", member["run_dir"], "--json").json["rmse"] == member["test"]["rmse"]
    test = nnzoo("eval", end["members"][0]["run_dir"], "--json").json["n"]
    assert rows + test == 442
    again = nnzoo(*words, "--folds", 3)
    assert again.code == 0 and again.err.count("is complete") == 3 and "epoch 1/3" not in again.err
    # One of them is an ordinary run of its config.
    local = nnzoo(
        *words,
        "-s",
        "data.split.folds=3",
        "-s",
        "data.split.fold=2",
        "-s",
        "name=fold-2",
        "--out",
        "checkpoints/mlp_diabetes-3-folds",
    )
    assert local.code == 0 and "is complete" in local.err


def test_what_is_fitted_is_fitted_on_the_rows_that_train(nnzoo: Any) -> None:
    nnzoo("train", "-c", "mlp_diabetes", "-s", "train.epochs=1", "--folds", 2, "--verbose", 0)
    folder = Path("checkpoints/mlp_diabetes-2-folds")
    shifts = [checkpoint.load(folder / f"fold-{i}" / "best.pt")["preprocess"] for i in (1, 2)]
    assert any(not (shifts[0][key] == shifts[1][key]).all() for key in shifts[0])


def test_a_series_has_no_folds(nnzoo: Any) -> None:
    for name in ("lstm_sine", "lstm_adding"):
        result = nnzoo("train", "-c", name, "--folds", 3)
        assert result.code == 2 and "--folds is for tables and images" in result.err


def test_images_with_a_validation_folder_have_no_folds(nnzoo: Any) -> None:
    for part in ("train", "val"):
        for label in ("a", "b"):
            Path(f"images/{part}/{label}").mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (8, 8), (i * 20, 0, 0)).save(f"images/{part}/{label}/{i}.png")
    Path("mine.yaml").write_text(
        "data: {name: image_folder, path: images, size: 8}\nmodel: {name: mlp, hidden: [4]}\n"
    )
    result = nnzoo("train", "-c", "mine.yaml", "--folds", 2)
    assert result.code == 3 and "have a folder of their own" in result.err


@pytest.mark.parametrize(
    "sets, message",
    [
        (["data.split.fold=2"], "needs 'folds'"),
        (
            ["data.split.folds=3", "data.split.fold=4"],
            "expected at most 3, which is 'folds', got 4",
        ),
        (["data.split.folds=1"], "expected a whole number of at least 2"),
    ],
)
def test_a_fold_is_one_of_the_folds(nnzoo: Any, sets: list[str], message: str) -> None:
    words = [word for item in sets for word in ("-s", item)]
    result = nnzoo("train", "-c", "mlp", *words)
    assert result.code == 2 and message in result.err
