"""nnzoo.Classifier and nnzoo.Regressor are estimators of scikit-learn."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnzoo import Classifier, Regressor

pytestmark = pytest.mark.usefixtures("compiled")

FAST: dict[str, Any] = {"train": {"epochs": 10}, "random_state": 0}
X, Y = load_iris(return_X_y=True)


# Fewer epochs than by default, with which all checks pass too, in half a minute.
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        Classifier(train={"epochs": 20}, optim={"lr": 0.01}),
        Regressor(train={"epochs": 15}, model={"hidden": [32]}, optim={"lr": 0.02}),
    ]
)
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_equal_seeds_give_equal_bits_whatever_the_order_of_the_rows() -> None:
    before = torch.get_rng_state(), torch.get_num_threads()
    one = Classifier(**FAST).fit(X, Y).predict_proba(X)
    order = np.random.default_rng(1).permutation(len(X))
    again = Classifier(**FAST).fit(X[order], Y[order]).predict_proba(X)
    assert (one == again).all()
    assert (one != Classifier(**FAST | {"random_state": 1}).fit(X, Y).predict_proba(X)).any()
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == torch.get_num_threads()
    parallel = joblib.Parallel(2, prefer="threads")(
        joblib.delayed(lambda: Classifier(**FAST).fit(X, Y).predict_proba(X))() for _ in range(3)
    )
    assert all((one == other).all() for other in parallel)


def test_weights_decide_between_equal_rows_of_two_classes() -> None:
    x, y = np.repeat([[0.0], [1.0], [2.0]], 2, axis=0), [0, 1] * 3
    whole = Classifier(train={"epochs": 200}, data={"split": {"val": 0}}, random_state=0)
    fitted = whole.fit(x, y, sample_weight=[0.9, 0.1, 0.5, 0.5, 0.1, 0.9])
    np.testing.assert_allclose(fitted.predict_proba(x)[::2, 1], [0.1, 0.5, 0.9], atol=0.02)


def test_no_file_is_left_behind() -> None:
    Regressor(**FAST).fit(X, Y)
    assert not list(Path().glob("[!c]*")) and not Path("checkpoints").exists()


def test_it_works_where_scikit_learns_estimators_do() -> None:
    pipeline = make_pipeline(StandardScaler(), Classifier(**FAST))
    assert cross_val_score(pipeline, X, Y, cv=2).mean() > 0.6
    assert CalibratedClassifierCV(Classifier(**FAST), cv=2).fit(X, Y).predict(X).shape == (150,)


def test_several_numbers_are_predicted_at_once() -> None:
    y = pandas.DataFrame({"length": X[:, 2], "width": X[:, 3]})
    several = Regressor(**FAST | {"train": {"epochs": 40}}).fit(X[:, :2], y)
    assert several.network_.data_spec.targets == ["length", "width"]
    assert several.predict(X[:, :2]).shape == (150, 2) and several.score(X[:, :2], y) > 0.5
    one = Regressor(**FAST).fit(X, pandas.Series(Y, name="kind"))
    assert one.network_.data_spec.targets == ["kind"] and one.predict(X).shape == (150,)


def test_several_labels_per_row() -> None:
    y = pandas.DataFrame({"long": X[:, 2] > 4.3, "wide": X[:, 3] > 1.3}).astype(int)
    fitted = Classifier(**FAST | {"train": {"epochs": 20}}).fit(X, y)
    predicted = fitted.predict(X)
    assert predicted.shape == fitted.predict_proba(X).shape == (150, 2)
    assert fitted.score(X, y) > 0.8  # both labels right
    assert fitted.network_.data_spec.labels == ["long", "wide"]
    assert fitted.classes_.tolist() == [0, 1]
    assert (pickle.loads(pickle.dumps(fitted)).predict(X) == predicted).all()
    sparse = Classifier(**FAST | {"train": {"epochs": 20}}).fit(X, csr_array(y.to_numpy()))
    assert (sparse.predict(X) == predicted).all()


def test_without_validation_rows_it_trains_to_the_end() -> None:
    all_rows = Classifier(**FAST | {"data": {"split": {"val": 0}}}).fit(X, Y)
    assert all_rows.n_iter_ == 10 and "val_loss" not in all_rows.history_[0]


def test_a_regressor_with_quantile_loss_predicts_the_median() -> None:
    x = np.arange(40.0)[:, None]
    model = Regressor(train={"epochs": 2, "loss": "quantile"}, random_state=0).fit(x, x[:, 0])
    predicted = model.predict(x)
    assert predicted.shape == (40,)
    np.testing.assert_allclose(predicted, model._outputs(x)[:, 1])
    assert model.predict(x[:1]).shape == (1,) and np.isfinite(model.score(x, x[:, 0]))


def test_notes_name_what_came_from_other_weights(tmp_path: Path) -> None:
    x = np.arange(40.0)[:, None]
    source = tmp_path / "source.pt"
    Regressor(train={"epochs": 1}, random_state=0).fit(x, x[:, 0]).save(source)
    model = {"name": "mlp", "start_from": str(source)}
    fitted = Regressor(model=model, train={"epochs": 1}, random_state=1).fit(x, x[:, 0])
    assert any(note.startswith("started from") for note in fitted.notes_)
