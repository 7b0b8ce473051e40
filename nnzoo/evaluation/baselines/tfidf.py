"""Baseline for texts: the weights of their tokens by TF-IDF in a linear model, without the order of the tokens."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.dataset import Split
from nnzoo.data.sequences import SequenceSplit
from nnzoo.evaluation.baselines.baseline import Predict, Problem, evenly_spaced
from nnzoo.evaluation.baselines.budget import Budget

# Inverse strength of the penalty on the weights, chosen on validation rows of IMDb.
PENALTY = 4.0
# Tokens of the training texts that are read; evenly spaced texts are taken of more.
MAX_TRAIN_TOKENS = 20_000_000
MAX_ITERATIONS = 200


# Seconds that importing scikit-learn takes, and those per count and class of a fit, by which its time is estimated.
IMPORT_SECONDS = 1.0
FIT_SECONDS = 3e-7


class TextLinear:
    """Logistic or ridge regression on the weights of tokens by TF-IDF."""

    name = "linear"
    is_free = False

    def label(self, problem: Problem) -> str:
        return f"TF-IDF, {'logistic' if problem.num_classes else 'ridge'} regression"

    def supports(self, problem: Problem) -> bool:
        return problem.spec.input.kind == "tokens" and isinstance(problem.train, SequenceSplit)

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        """Fit to the training texts; the score of a class that none of them has is minus infinity."""
        train, classes = problem.train, problem.num_classes
        vocabulary = problem.spec.input.vocabulary
        assert isinstance(train, SequenceSplit)
        row_weights = problem.row_weights(train)
        if len(train.values) > MAX_TRAIN_TOKENS:
            chosen = evenly_spaced(len(train), len(train) * MAX_TRAIN_TOKENS // len(train.values))
            train = train.select(chosen)
            row_weights = None if row_weights is None else row_weights[chosen]
        counts = _counts(train, vocabulary)
        budget.require(import_seconds() + FIT_SECONDS * counts.nnz * max(1, classes))
        from sklearn.feature_extraction.text import TfidfTransformer

        transformer = TfidfTransformer(sublinear_tf=True)
        x = transformer.fit_transform(counts)
        y = train.targets().numpy()
        weights = None if row_weights is None else row_weights.numpy()
        fit = _logistic_regression if classes else _ridge_regression
        predictor = fit(x, y, weights, classes)

        def predict_split(rows: Split) -> Tensor:
            assert isinstance(rows, SequenceSplit)
            outputs = predictor(transformer.transform(_counts(rows, vocabulary)))
            return torch.from_numpy(outputs.astype(np.float64))

        return predict_split


def import_seconds() -> float:
    """Seconds that importing scikit-learn's models takes; 0 where they are imported."""
    return 0.0 if "sklearn.linear_model" in sys.modules else IMPORT_SECONDS


Predictor = Callable[[Any], np.ndarray]


def _ridge_regression(x: Any, y: np.ndarray, weights: np.ndarray | None, classes: int) -> Predictor:
    from sklearn.linear_model import Ridge

    model = Ridge(solver="lsqr", random_state=0).fit(x, y, weights)
    return lambda other: model.predict(other).reshape(other.shape[0], -1)


def _logistic_regression(
    x: Any, y: np.ndarray, weights: np.ndarray | None, classes: int
) -> Predictor:
    """A function that gives log-probabilities (rows, classes)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    present = np.unique(y)
    model = LogisticRegression(C=PENALTY, max_iter=MAX_ITERATIONS)
    if len(present) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y, weights)

    def predict(other: Any) -> np.ndarray:
        output = np.full((other.shape[0], classes), -np.inf)
        output[:, present] = model.predict_log_proba(other) if len(present) > 1 else 0.0
        return output

    return predict


def _counts(split: SequenceSplit, vocabulary: int) -> Any:
    """How often each text has each token: a sparse matrix (texts, vocabulary)."""
    from scipy.sparse import csr_matrix

    # Copies: the matrix sorts its indices in place.
    ids = split.values.flatten().cpu().numpy().copy()
    parts = np.ones(len(ids)), ids, split.offsets.numpy().copy()
    counts = csr_matrix(parts, shape=(len(split), vocabulary))
    counts.sum_duplicates()
    return cast(Any, counts)
