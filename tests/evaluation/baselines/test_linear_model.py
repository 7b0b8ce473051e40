"""Penalized linear models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from nnzoo.evaluation.baselines.baseline import Link
from nnzoo.evaluation.baselines.budget import Budget, OverBudgetError
from nnzoo.evaluation.baselines.linear_model import (
    DEFAULT_PENALTY,
    LOGISTIC_PENALTIES,
    RIDGE_PENALTIES,
    Rows,
    Standardize,
    fit_linear,
    logistic_regression,
    minimize,
)


def rows(count: int, classes: int = 3, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 4))
    y = (x[:, 0] + rng.standard_normal(count) > 0).astype(int) + (x[:, 1] > 1) * (classes > 2)
    weights = rng.random(count) + 0.5
    return Rows(*map(torch.from_numpy, (x, y, weights)))


def targets(y: torch.Tensor, link: Link) -> torch.Tensor:
    """Classes, or a column of labels or values."""
    if link == "softmax":
        return y
    return (y.double() if link == "identity" else (y > 0).double())[:, None]


def test_logistic_regression_with_weights_is_scikit_learns() -> None:
    data = rows(120)
    start = torch.zeros(4, 3).double(), torch.zeros(3).double()
    coefficients, bias = logistic_regression(data, "softmax", 2.0, start)
    model = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000)
    model.fit(
        data.x.numpy(), data.y.numpy(), data.weights.numpy() if data.weights is not None else None
    )
    expected = model.predict_proba(data.x.numpy())
    np.testing.assert_allclose((data.x @ coefficients + bias).softmax(1), expected, atol=2e-4)


def test_each_label_has_its_weights_as_binary_cross_entropy_has() -> None:
    data = rows(120)
    labels = torch.stack([data.y > 0, data.y > 1], 1).double()
    weights = torch.where(labels > 0.5, torch.tensor([2.0, 5.0]).double(), 1.0)
    start = torch.zeros(4, 2).double(), torch.zeros(2).double()
    coefficients, bias = logistic_regression(Rows(data.x, labels, weights), "sigmoid", 2.0, start)
    for i in (0, 1):
        model = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000)
        model.fit(data.x.numpy(), labels[:, i].numpy(), weights[:, i].numpy())
        expected = model.decision_function(data.x.numpy())
        np.testing.assert_allclose((data.x @ coefficients + bias)[:, i], expected, atol=5e-3)


def test_weights_of_two_are_rows_given_twice() -> None:
    data = rows(60)
    double = Rows(data.x, data.y, torch.ones(60).double() + (torch.arange(60) < 20))
    twice = Rows(torch.cat([data.x, data.x[:20]]), torch.cat([data.y, data.y[:20]]))
    held_out = rows(50, seed=1)
    links: list[tuple[Link, int]] = [("softmax", 3), ("sigmoid", 1), ("identity", 1)]
    for link, outputs in links:
        fits = []
        for train in (double, twice):
            y = targets(train.y, link)
            y_val = targets(held_out.y, link)
            val = Rows(held_out.x, y_val)
            fits.append(fit_linear(Rows(train.x, y, train.weights), val, link, outputs, Budget()))
        np.testing.assert_allclose(
            fits[0][0], fits[1][0], atol=1e-9 if link == "identity" else 1e-3
        )


def test_ridge_regression_is_scikit_learns_with_the_best_penalty_of_validation_rows() -> None:
    rng = np.random.default_rng(0)
    x, x_val = rng.standard_normal((30, 20)), rng.standard_normal((40, 20))
    w = rng.standard_normal((20, 2)) * 0.2
    y, y_val = (part @ w + 5 + rng.standard_normal((len(part), 2)) for part in (x, x_val))
    train, val = (
        Rows(torch.from_numpy(a), torch.from_numpy(b)) for a, b in ((x, y), (x_val, y_val))
    )
    models = [Ridge(penalty).fit(x, y) for penalty in RIDGE_PENALTIES]
    best = min(models, key=lambda model: ((model.predict(x_val) - y_val) ** 2).mean())
    assert best.alpha not in (RIDGE_PENALTIES[0], RIDGE_PENALTIES[-1])
    coefficients, bias = fit_linear(train, val, "identity", 2, Budget())
    np.testing.assert_allclose(x_val @ coefficients.numpy() + bias.numpy(), best.predict(x_val))


def test_validation_rows_choose_a_strong_penalty_where_inputs_say_nothing() -> None:
    rng = np.random.default_rng(1)
    x, y = torch.from_numpy(rng.standard_normal((60, 30))), torch.from_numpy(rng.integers(0, 2, 60))
    val = Rows(
        torch.from_numpy(rng.standard_normal((60, 30))), torch.from_numpy(rng.integers(0, 2, 60))
    )
    chosen = fit_linear(Rows(x, y), val, "softmax", 2, Budget())[0]
    assert chosen.norm() < fit_linear(Rows(x, y), None, "softmax", 2, Budget())[0].norm()
    assert tuple(sorted(LOGISTIC_PENALTIES, reverse=True)) == LOGISTIC_PENALTIES


def test_of_many_rows_the_default_penalty_is_taken() -> None:
    train, start = rows(401), (torch.zeros(4, 3).double(), torch.zeros(3).double())
    plain, val = Rows(train.x, train.y), Rows(rows(50, seed=1).x, rows(50, seed=1).y)
    chosen = fit_linear(plain, val, "softmax", 3, Budget())
    expected = logistic_regression(plain, "softmax", DEFAULT_PENALTY, start)
    assert torch.equal(chosen[0], expected[0])


def test_a_fit_that_takes_too_long_ends_early() -> None:
    data = rows(200)
    links: list[tuple[Link, int]] = [("softmax", 3), ("identity", 1)]
    for link, outputs in links:
        same = Rows(data.x, targets(data.y, link))
        with pytest.raises(OverBudgetError):
            fit_linear(same, same, link, outputs, Budget(1e-7))


def test_a_quadratic_function_is_minimized_and_rounding_ends_the_search() -> None:
    scales = torch.tensor([1.0, 10.0, 1000.0]).double()
    minimum = minimize(
        lambda x: (float(((x - 1) ** 2 * scales).sum()), 2 * scales * (x - 1)), 0 * scales
    )
    np.testing.assert_allclose(minimum, 1, atol=1e-5)
    stuck = minimize(lambda x: (1.0, torch.ones(3).double()), torch.zeros(3).double())
    assert torch.equal(stuck, torch.zeros(3).double())


def test_a_constant_feature_is_zero_whatever_it_is_later() -> None:
    standardize = Standardize(torch.tensor([[0.1, 1.0], [0.1, 3.0]]).double())
    assert standardize(torch.tensor([[5.0, 2.0], [1e300, 4.0]]).double()).tolist() == [
        [0, 0],
        [0, 2],
    ]
