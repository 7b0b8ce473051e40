"""Parameters of estimators, tables as they read them, and their storage."""

from __future__ import annotations

import copy
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV

import nnzoo as package
from nnzoo import Classifier, Regressor
from nnzoo.errors import CheckpointError
from nnzoo.runs import checkpoint

pytestmark = pytest.mark.usefixtures("compiled")

FAST: dict[str, Any] = {"train": {"epochs": 10}, "random_state": 0}
X, Y = load_iris(return_X_y=True)


def mixed_table() -> tuple[pandas.DataFrame, np.ndarray]:
    """Numbers, texts, numbers with a unit, categories, booleans, an id and missing values."""
    rng = np.random.default_rng(0)
    price = rng.normal(10, 3, 200)
    frame = pandas.DataFrame(
        {
            "color": rng.choice(["red", "green", "blue"], 200),
            "size": pandas.Categorical(rng.integers(1, 4, 200)),
            "price": [f"{value:.2f} EUR" for value in price],
            "cheap": price < 8,
            "name": [f"item {i}" for i in range(200)],
            "weight": rng.normal(size=200),
        }
    )
    y = np.where((frame["color"] == "red") ^ (price > 10), "yes", "no")
    frame.loc[3, "color"] = frame.loc[5, "price"] = None
    frame.loc[7, "weight"] = np.nan
    return frame, y


FRAME, CLASSES = mixed_table()


@pytest.fixture(scope="module")
def fitted(native_folder: Path) -> Classifier:
    with pytest.warns(UserWarning, match=r"left out: name \(different in each row\); data="):
        return Classifier(train={"epochs": 30}, random_state=0).fit(FRAME, CLASSES)


def test_a_data_frame_is_understood_as_a_file_would_be(fitted: Classifier) -> None:
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert fitted.feature_names_in_.tolist() == list(FRAME)
    assert fitted.score(FRAME, CLASSES) > 0.95
    assert fitted.notes_ == [
        "left out: name (different in each row)",
        "columns: 2 numbers, 3 categories",
        "read as numbers: 'price' ('12.09 EUR' is 12.09)",
        "missing values filled with the mean: 1 of 'price', 1 of 'weight'",
        "rows without a known category: 1 of 'color'",
    ]
    kinds = {column.name: column.categories for column in fitted.network_.data_spec.columns}
    assert kinds == {
        "price": None,
        "weight": None,
        "color": ["blue", "green", "red"],
        "size": ["1", "2", "3"],
        "cheap": ["False", "True"],
    }


def test_it_is_stored_as_plain_values_and_a_checkpoint(fitted: Classifier) -> None:
    stored = pickle.dumps(fitted)
    strings: list[Any] = []
    called = []
    for opcode, argument, _ in pickletools.genops(stored):
        if opcode.name == "STACK_GLOBAL":
            called.append(tuple(strings[-2:]))
        if isinstance(argument, str):
            strings.append(argument)
    assert called == [("nnzoo.estimators", "Classifier")]
    expected = fitted.predict_proba(FRAME)
    joblib.dump(fitted, "classifier.joblib")
    for other in (
        pickle.loads(stored),
        copy.deepcopy(fitted),
        joblib.load("classifier.joblib"),
    ):
        assert (other.predict_proba(FRAME) == expected).all()
        assert other.classes_.dtype == fitted.classes_.dtype
        assert other.get_params() == fitted.get_params() and other.history_ == fitted.history_
        assert other.feature_names_in_.tolist() == list(FRAME)


def test_an_unfitted_estimator_is_stored_too() -> None:
    assert (
        pickle.loads(pickle.dumps(Regressor(**FAST))).get_params() == Regressor(**FAST).get_params()
    )


def test_a_changed_pickle_is_refused(fitted: Classifier) -> None:
    state = fitted.__getstate__()
    state["network_"] = state["network_"][:-200] + b"\0" + state["network_"][-199:]
    with pytest.raises(CheckpointError, match="the pickled Classifier is damaged"):
        Classifier.__new__(Classifier).__setstate__(state)


def test_a_gpu_that_is_not_there_does_not_prevent_loading() -> None:
    if torch.cuda.is_available():
        pytest.skip("for machines without a GPU")
    state = Classifier(**FAST).fit(X, Y).__getstate__() | {"device": "cuda"}
    other = Classifier()
    other.__setstate__(state)
    assert other.network_.device.type == "cpu"


def test_a_saved_estimator_is_a_run(fitted: Classifier, nnzoo: Callable[..., Any]) -> None:
    fitted.save("saved")
    fitted.save("saved.pt")
    expected = fitted.predict_proba(FRAME)
    for path in ("saved", "saved.pt"):
        loaded = Classifier.load(path)
        assert (loaded.predict_proba(FRAME) == expected).all()
        assert loaded.n_iter_ == fitted.n_iter_ and loaded.classes_.tolist() == ["no", "yes"]
    again = clone(Classifier.load("saved").set_params(train__epochs=2)).fit(FRAME, CLASSES)
    assert again.n_iter_ == 2
    assert Classifier.load("saved").history_ == fitted.history_
    np.testing.assert_allclose(package.load("saved").predict(FRAME).values, expected, atol=1e-5)
    FRAME.to_csv("new.csv", index=False)
    lines = nnzoo("predict", "saved", "new.csv").out.splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == fitted.predict(FRAME).tolist()
    assert nnzoo("predict", "saved.pt", "new.csv", "--coverage", "0.9").out.startswith("row,")
    assert "complete" in nnzoo("runs", ".").out
    with pytest.raises(CheckpointError, match="saved holds a run; give another folder"):
        fitted.save("saved")


def test_a_run_of_the_command_line_is_an_estimator(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "-c", "mlp_diabetes", "-s", "train.epochs=1", "-s", "name=run")
    loaded = Regressor.load("checkpoints/run")
    table = load_diabetes(as_frame=True, scaled=False).data
    np.testing.assert_allclose(
        loaded.predict(table),
        package.load("checkpoints/run").predict(table).values[:, 0],
        rtol=1e-5,
    )
    assert loaded.n_iter_ == 1 and loaded.feature_names_in_.tolist() == list(table)
    with pytest.raises(
        CheckpointError, match=r"Classifier is for .*; this network is for regression"
    ):
        Classifier.load("checkpoints/run")
    nnzoo("train", "-c", "mlp_diabetes", "-s", "data.name=iris", "-s", "train.epochs=1")
    classifier = Classifier.load("checkpoints/mlp_diabetes")
    assert classifier.classes_.tolist() == ["setosa", "versicolor", "virginica"]


def test_columns_without_names_have_none_in_a_stored_run() -> None:
    fitted = Classifier(**FAST | {"train": {"epochs": 1}}).fit(X, Y)
    content = fitted._content()
    del content["estimator"]  # as the command line writes it
    checkpoint.save(Path("run.pt"), content)
    loaded = Classifier.load("run.pt")
    assert loaded.n_features_in_ == 4 and not hasattr(loaded, "feature_names_in_")
    assert loaded.classes_.tolist() == ["0", "1", "2"]


def test_searches_reach_single_options() -> None:
    space = {"model__hidden": [(8,), [8, 4]], "optim__schedule__final": np.array([0.0, 0.5])}
    search = GridSearchCV(Classifier(**FAST), space, cv=2).fit(X, Y)
    best = search.best_estimator_
    assert best.network_.config.model.hidden == list(search.best_params_["model__hidden"])
    assert best.network_.config.optim.schedule.name == "cosine"
    with pytest.raises(ValueError, match="Invalid parameter 'hidden'"):
        best.set_params(hidden=[3])


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Classifier(model={"hiden": [3]}), r"Classifier +model\.hiden +unknown key; did you mean"),
        (Classifier(data={"drop": ["age"]}), r"Classifier +data\.drop +no column 'age'"),
        (
            Regressor(data={"path": "x"}),
            r"Regressor +data\.path +is no option of a table in memory",
        ),
        (Classifier(device="tpu"), "expected auto, cpu, cuda or cuda:N"),
    ],
)
def test_wrong_parameters_are_value_errors_with_their_place(estimator: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)
