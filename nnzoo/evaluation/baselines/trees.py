"""Gradient-boosted trees for tables: scikit-learn's HistGradientBoosting with its defaults."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.dataset import Split
from nnzoo.evaluation.baselines.baseline import Predict, Problem
from nnzoo.evaluation.baselines.budget import Budget

ITERATIONS = 100
"""Trees per output; validation rows choose after how many the model ends."""
FIRST_ITERATIONS = 10
"""Those after which the time of all is estimated."""
MAX_CATEGORIES = 255
"""Categories that scikit-learn can tell apart in a column; rarer ones count as missing."""
SMALL_VALUES = 200_000
"""Values of the training rows up to which one thread is the fastest."""
# By these seconds the time of a fit is estimated before it starts: of importing scikit-learn, and of a tree, that of
# each of its features and that of each value that it reads.
IMPORT_SECONDS = 1.0
TREE_SECONDS, FEATURE_SECONDS, VALUE_SECONDS = 5e-4, 4e-5, 4e-9


class BoostedTrees:
    """Trees on the columns as they are: missing numbers and categories need no preprocessing."""

    name = "boosted_trees"
    is_free = False

    def label(self, problem: Problem) -> str:
        return "boosted trees"

    def supports(self, problem: Problem) -> bool:
        return problem.spec.input.kind == "table"

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        train, validation = problem.train, problem.validation
        raw = _inputs(train)
        # Several labels are predicted one by one, as are several numbers.
        classes = 2 if problem.link == "sigmoid" else problem.num_classes
        outputs = 1 if problem.link == "softmax" else len(problem.task.names)
        trees = ITERATIONS * outputs * (classes if classes > 2 else 1)
        tree_seconds = TREE_SECONDS + raw.shape[1] * (FEATURE_SECONDS + len(raw) * VALUE_SECONDS)
        is_imported = "sklearn.ensemble" in sys.modules
        budget.require(trees * tree_seconds + (0.0 if is_imported else IMPORT_SECONDS))
        from threadpoolctl import threadpool_limits

        encode = _Encoder(problem, raw)
        x, held_out = encode(raw), None if validation is None else encode(_inputs(validation))
        models = []
        # Threads wait for each other longer than they work on small tables.
        threads = 1 if raw.size * outputs < SMALL_VALUES else None
        for i in range(outputs):
            done = (i + FIRST_ITERATIONS / ITERATIONS) / outputs
            model = _Fit(encode.is_category, classes, budget, done)
            with threadpool_limits(threads, "openmp"):
                model.train(x, *_targets(problem, train, i))
            if validation is not None:
                model.choose_iterations(held_out, *_targets(problem, validation, i))
            models.append(model)

        def predict(rows: Split) -> Tensor:
            x = encode(_inputs(rows))
            if problem.link == "softmax":
                return torch.from_numpy(models[0].predict(x))
            if problem.link == "identity":
                return torch.from_numpy(np.stack([model.predict(x) for model in models], 1))
            positive = np.stack([model.predict(x)[:, 1] for model in models], 1)
            return torch.from_numpy(positive.clip(1e-12, 1 - 1e-12)).logit()

        return predict


def _inputs(split: Split) -> np.ndarray:
    return split.tensors()[0].double().numpy()


def _targets(problem: Problem, split: Split, output: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Classes (rows,), or an output's labels or numbers (rows,), and the weights of the rows."""
    y, weights = split.targets(), problem.row_weights(split)
    if y.ndim == 2:
        y = y[:, output].long() if problem.link == "sigmoid" else y[:, output].double()
    if weights is not None and weights.ndim == 2:
        weights = weights[:, output]
    return y.numpy(), None if weights is None else weights.numpy()


class _Encoder:
    """Codes of categories as scikit-learn takes them, numbers as they are.

    is_category: (columns,) bool. The most frequent ones of more than MAX_CATEGORIES in the training rows are kept.
    """

    def __init__(self, problem: Problem, raw: np.ndarray) -> None:
        sizes = [len(column.categories or []) for column in problem.spec.columns]
        self.is_category = np.array([c.categories is not None for c in problem.spec.columns])
        self.codes: dict[int, np.ndarray] = {}
        for column in np.flatnonzero(np.array(sizes) > MAX_CATEGORIES):
            known = raw[:, column][raw[:, column] >= 0].astype(np.int64)
            order = np.argsort(-np.bincount(known, minlength=sizes[column]), kind="stable")
            codes = np.full(sizes[column] + 1, -1.0)  # the last one is that of none
            codes[order[:MAX_CATEGORIES]] = np.arange(MAX_CATEGORIES)
            self.codes[int(column)] = codes

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        x = raw.copy()
        for column, codes in self.codes.items():
            x[:, column] = codes[raw[:, column].astype(np.int64)]
        x[:, self.is_category] = np.where(
            x[:, self.is_category] < 0, np.nan, x[:, self.is_category]
        )
        return x


class _Fit:
    """Boosted trees for one output.

    progress: of all outputs, the part that is done after the first iterations of this one.
    """

    def __init__(
        self, is_category: np.ndarray, classes: int, budget: Budget, progress: float
    ) -> None:
        from sklearn import ensemble

        options: dict[str, Any] = {
            "categorical_features": is_category if is_category.any() else None,
            "early_stopping": False,
            "random_state": 0,
            "warm_start": True,
        }
        kind = "Classifier" if classes else "Regressor"
        self.model: Any = getattr(ensemble, f"HistGradientBoosting{kind}")(**options)
        self.classes, self.budget, self.progress = classes, budget, progress
        self.present = np.arange(classes)
        """The classes that training rows have."""
        self.iterations = ITERATIONS

    def train(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> None:
        if self.classes:
            self.present = np.unique(y)
            if len(self.present) == 1:
                return
        self.model.set_params(max_iter=FIRST_ITERATIONS).fit(x, y, weights)
        self.budget.progress(self.progress)
        self.model.set_params(max_iter=ITERATIONS).fit(x, y, weights)

    def choose_iterations(self, x: Any, y: np.ndarray, weights: np.ndarray | None) -> None:
        """Keep as many iterations as validation rows have the lowest loss with."""
        if self.classes and len(self.present) == 1:
            return
        losses = [np.average(self._losses(stage, y), weights=weights) for stage in self._stages(x)]
        self.iterations = int(np.argmin(losses)) + 1

    def _stages(self, x: np.ndarray) -> Any:
        """Predictions after each iteration: probabilities of the classes present, or values."""
        model = self.model
        return model.staged_predict_proba(x) if self.classes else model.staged_predict(x)

    def _losses(self, stage: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The loss of each row: its log loss, or its squared error."""
        if not self.classes:
            return np.asarray((stage - y) ** 2)
        return -np.log(self._scores(stage).clip(1e-12))[np.arange(len(y)), y]

    def _scores(self, stage: np.ndarray) -> np.ndarray:
        """Probabilities (rows, classes), zero for those that no training row has."""
        scores = np.zeros((len(stage), self.classes))
        scores[:, self.present] = stage
        return scores

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Probabilities (rows, classes), or values (rows,)."""
        if self.classes and len(self.present) == 1:
            return self._scores(np.ones((len(x), 1)))
        stages = enumerate(self._stages(x), start=1)
        stage = next(stage for count, stage in stages if count == self.iterations)
        return self._scores(stage) if self.classes else stage
