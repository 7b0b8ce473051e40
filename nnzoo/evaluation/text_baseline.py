"""Baseline for texts: the weights of their tokens by TF-IDF in a linear model, without the order of the tokens."""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.sequences import SequenceSplit

# Inverse strength of the penalty on the weights, chosen on validation rows of IMDb.
PENALTY = 4.0
# Tokens of the training texts that are read; evenly spaced texts are taken of more.
MAX_TRAIN_TOKENS = 20_000_000
MAX_ITERATIONS = 200


def name(classes: int) -> str:
    """The name of the baseline for a number of classes, 0 for a regression."""
    return f"TF-IDF, {'logistic' if classes else 'ridge'} regression"


def fit_predict(train: SequenceSplit, rows: SequenceSplit, vocabulary: int, classes: int) -> Tensor:
    """Fit to the training texts, and predict others.

    classes: their number, 0 for a regression. Returns log-probabilities (rows, classes) or values (rows, outputs),
    float64. The weights of a class that no training text has are minus infinity.
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    tokens = len(train.values)
    if tokens > MAX_TRAIN_TOKENS:
        count = max(2, len(train) * MAX_TRAIN_TOKENS // tokens)
        train = train.select(torch.linspace(0, len(train) - 1, count).round().long())
    weights = TfidfTransformer(sublinear_tf=True)
    x = weights.fit_transform(_counts(train, vocabulary))
    other = weights.transform(_counts(rows, vocabulary))
    y = train.targets().numpy()
    if classes:
        return _logistic_regression(x, y, other, classes)
    from sklearn.linear_model import Ridge

    model = Ridge(solver="lsqr", random_state=0).fit(x, y)
    return torch.from_numpy(model.predict(other).reshape(len(rows), -1).astype(np.float64))


def _logistic_regression(x: Any, y: np.ndarray, other: Any, classes: int) -> Tensor:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    output = np.full((other.shape[0], classes), -np.inf)
    present = np.unique(y)
    if len(present) == 1:
        output[:, present] = 0.0
        return torch.from_numpy(output)
    model = LogisticRegression(C=PENALTY, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    output[:, model.classes_] = model.predict_log_proba(other)
    return torch.from_numpy(output)


def _counts(split: SequenceSplit, vocabulary: int) -> Any:
    """How often each text has each token: a sparse matrix (texts, vocabulary)."""
    from scipy.sparse import csr_matrix

    # Copies: the matrix sorts its indices in place.
    ids = split.values.flatten().cpu().numpy().copy()
    parts = np.ones(len(ids)), ids, split.offsets.numpy().copy()
    counts = csr_matrix(parts, shape=(len(split), vocabulary))
    counts.sum_duplicates()
    return cast(Any, counts)
