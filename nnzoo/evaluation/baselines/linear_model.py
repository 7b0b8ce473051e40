"""Penalized linear models: logistic regression by L-BFGS, ridge regression in closed form; validation rows choose the
penalty."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.evaluation.baselines.baseline import Link
from nnzoo.evaluation.baselines.budget import Budget

# Weights of half the squared coefficients against the summed loss, strong to weak.
LOGISTIC_PENALTIES = (300.0, 30.0, 3.0, 0.3)
RIDGE_PENALTIES = (1e4, 1e3, 1e2, 1e1, 1.0, 0.1)
DEFAULT_PENALTY = 1.0
"""Where nothing validates, scikit-learn's default."""
# Limits of L-BFGS: iterations, steps that it remembers, halvings of a step, and the largest entry of the gradient of the mean
# loss at which it ends.
MAX_ITERATIONS = 150
HISTORY = 10
MAX_BACKTRACKS = 20
TOLERANCE = 1e-5
MANY_ROWS = 100
"""Rows per feature beyond which the penalty hardly matters, and the default one is taken."""
EVALUATIONS = 40
"""Evaluations of the loss that a fit usually takes, by which its time is estimated."""
FLOPS = 2e10
"""Operations per second in float64 by which the time of a closed form is estimated."""


@dataclass(frozen=True)
class Rows:
    """Standardized inputs (rows, features) float64; targets: classes (rows,) int64, or labels or values (rows, outputs)
    float64; and weights where they differ: (rows,), or of labels also (rows, outputs)."""

    x: Tensor
    y: Tensor
    weights: Tensor | None = None


Coefficients = tuple[Tensor, Tensor]
"""Coefficients (features, outputs) and intercepts (outputs,)."""


class Standardize:
    """(x - mean) / standard deviation of training rows; a feature that is constant there becomes 0, whatever it is
    later.

    alike: whether the features have one unit, such as pixels, so that all are divided by their mean deviation: on its own
    scale a pixel that hardly ever changes would be as large as any other.
    """

    def __init__(self, x: Tensor, alike: bool = False) -> None:
        """x: (rows, features) float64."""
        self.mean, std = x.mean(0), x.std(0, correction=0)
        varies = std > 1e-12 * self.mean.abs()
        if alike:
            std = std.square().mean().sqrt().expand_as(std)
        self.std = torch.where(varies, std, torch.inf)

    def __call__(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.std).nan_to_num(0.0, 0.0, 0.0)


def fit_linear(
    train: Rows, validation: Rows | None, link: Link, outputs: int, budget: Budget
) -> Coefficients:
    """Fit logistic regression to classes or labels, or ridge regression to values, by the link of the outputs."""
    if link == "identity":
        return _ridge_path(train, validation, budget)
    return _logistic_path(train, validation, (link, outputs), budget)


def _best(
    fits: Sequence[Coefficients] | map[Coefficients], loss: Callable[[Coefficients], float]
) -> Coefficients:
    """The fit of the lowest loss; the first that is worse than the one before it ends the search."""
    best: Coefficients | None = None
    lowest = float("inf")
    for fit in fits:
        value = loss(fit)
        if best is not None and value >= lowest:
            break
        best, lowest = fit, value
    assert best is not None
    return best


def _logistic_path(
    train: Rows, validation: Rows | None, kind: tuple[Link, int], budget: Budget
) -> Coefficients:
    """Fit with each penalty; a fit starts from that of the stronger penalty before it."""
    rows, features = train.x.shape
    penalties: Sequence[float] = LOGISTIC_PENALTIES
    if validation is None or rows > MANY_ROWS * features:
        penalties = (DEFAULT_PENALTY,)
    times: list[float] = []

    def count() -> None:
        times.append(budget.elapsed)
        expected = EVALUATIONS * len(penalties)
        if len(times) > 3:  # the first one warms up
            seconds = (times[-1] - times[1]) / (len(times) - 2)
            budget.require(seconds * max(0, expected - len(times)))

    link, outputs = kind
    shape = features, outputs
    last: Coefficients = torch.zeros(shape).double(), torch.zeros(outputs).double()

    def fit(penalty: float) -> Coefficients:
        nonlocal last
        last = logistic_regression(train, link, penalty, last, count)
        return last

    if validation is None or len(penalties) == 1:
        return fit(DEFAULT_PENALTY)
    return _best(map(fit, penalties), lambda fitted: _log_loss(validation, link, fitted))


def logistic_regression(
    train: Rows,
    link: Link,
    penalty: float,
    start: Coefficients,
    count: Callable[[], None] = lambda: None,
) -> Coefficients:
    """Minimize the summed log loss plus the penalty on half the squared coefficients.

    count: called before each evaluation of the loss.
    """
    shape, rows = start[0].shape, len(train.x)
    targets, weights = _weighted_targets(train, link, shape[1])

    def loss_and_gradient(parameters: Tensor) -> tuple[float, Tensor]:
        """The loss per row; parameters: (features * outputs + outputs,)."""
        count()
        coefficients, bias = parameters[: -shape[1]].view(shape), parameters[-shape[1] :]
        output = torch.addmm(bias, train.x, coefficients)
        if link == "softmax":
            log_p = functional.log_softmax(output, 1)
            loss = -torch.sum(log_p * targets)
            error = log_p.exp_().mul_(weights).sub_(targets)
        else:
            loss = torch.sum(functional.softplus(output) * weights - output * targets)
            error = output.sigmoid_().mul_(weights).sub_(targets)
        loss = loss + penalty / 2 * coefficients.square().sum()
        gradient = torch.cat(
            [torch.addmm(coefficients, train.x.T, error, beta=penalty).flatten(), error.sum(0)]
        )
        return float(loss) / rows, gradient / rows

    fitted = minimize(loss_and_gradient, torch.cat([start[0].flatten(), start[1]]))
    return fitted[: -shape[1]].view(shape), fitted[-shape[1] :]


def _weighted_targets(rows: Rows, link: Link, outputs: int) -> tuple[Tensor, Tensor]:
    """Targets times weights (rows, outputs), and weights (rows, 1) or (rows, outputs)."""
    weights = torch.ones(len(rows.x)).double() if rows.weights is None else rows.weights
    weights = weights[:, None] if weights.ndim == 1 else weights
    y = rows.y
    if link == "softmax":
        y = functional.one_hot(y, outputs)
    return y * weights, weights


def _log_loss(rows: Rows, link: Link, fitted: Coefficients) -> float:
    """The log loss, summed over the rows by their weights."""
    output = rows.x @ fitted[0] + fitted[1]
    targets, weights = _weighted_targets(rows, link, output.shape[1])
    if link == "softmax":
        return float(-(functional.log_softmax(output, 1) * targets).sum())
    return float((functional.softplus(output) * weights - output * targets).sum())


def minimize(loss_and_gradient: Callable[[Tensor], tuple[float, Tensor]], start: Tensor) -> Tensor:
    """Minimize a smooth convex function by L-BFGS with backtracking (Nocedal & Wright 2006, algorithms 3.1 and 7.4).

    Those of torch and SciPy take longer to import than most fits: 1.5 s and 0.35 s.
    """
    point = start
    loss, gradient = loss_and_gradient(point)
    pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=HISTORY)
    for _ in range(MAX_ITERATIONS):
        if float(gradient.abs().max()) <= TOLERANCE:
            break
        direction = _direction(gradient, pairs)
        slope = float(direction @ gradient)
        step = 1.0 if pairs else min(1.0, 1 / float(gradient.abs().sum()))
        for _ in range(MAX_BACKTRACKS):
            new_loss, new_gradient = loss_and_gradient(point + step * direction)
            if new_loss <= loss + 1e-4 * step * slope:
                break
            step /= 2
        else:
            break  # no descent is left within rounding
        change, difference = step * direction, new_gradient - gradient
        if float(change @ difference) > 0:
            pairs.append((change, difference))
        point, loss, gradient = point + change, new_loss, new_gradient
    return point


def _direction(gradient: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Minus the gradient times the inverse Hessian that steps and differences of gradients stand for."""
    direction, factors = -gradient, []
    for change, difference in reversed(pairs):
        factor = (change @ direction) / (change @ difference)
        direction = direction - factor * difference
        factors.append(factor)
    if pairs:
        change, difference = pairs[-1]
        direction = direction * ((change @ difference) / (difference @ difference))
    for (change, difference), factor in zip(pairs, reversed(factors), strict=True):
        correction = (difference @ direction) / (change @ difference)
        direction = direction + (factor - correction) * change
    return direction


def _ridge_path(train: Rows, validation: Rows | None, budget: Budget) -> Coefficients:
    rows, features = train.x.shape
    penalties = RIDGE_PENALTIES if validation is not None else (DEFAULT_PENALTY,)
    budget.require((2 * rows * features**2 + len(penalties) * features**3) / FLOPS)
    weights = torch.ones(rows).double() if train.weights is None else train.weights
    center, mean = (weights @ tensor / weights.sum() for tensor in (train.x, train.y))
    x = train.x - center
    gram = x.T @ (x * weights[:, None])
    moment = x.T @ ((train.y - mean) * weights[:, None])

    def fit(penalty: float) -> Coefficients:
        penalized = gram.clone()
        penalized.diagonal().add_(penalty)
        coefficients = torch.linalg.solve(penalized, moment)
        return coefficients, mean - center @ coefficients

    if validation is None:
        return fit(DEFAULT_PENALTY)

    def loss(fitted: Coefficients) -> float:
        errors = (validation.x @ fitted[0] + fitted[1] - validation.y).square().mean(1)
        return (errors if validation.weights is None else errors * validation.weights).sum().item()

    return _best(map(fit, penalties), loss)
