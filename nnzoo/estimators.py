"""scikit-learn estimators: `Classifier` and `Regressor` train a network on a table in memory.

They leave no files, and the process as it was: threads, random state, deterministic mode, signal handlers, logging.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast

import numpy as np
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from nnzoo.data.memory import MemoryTable
from nnzoo.evaluation.tasks.multilabel import Multilabel
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.network_estimator import NetworkEstimator

Array = np.ndarray[Any, Any]


def _validated(
    estimator: NetworkEstimator, x: Any, y: Any, y_numeric: bool = False
) -> tuple[Array, Any]:
    """x and y as scikit-learn checks them; missing values in x are left to the network's preprocessing."""
    checked = validate_data(
        estimator,
        x,
        y,
        dtype=None,
        ensure_all_finite="allow-nan",
        ensure_min_samples=2,
        multi_output=True,
        y_numeric=y_numeric,
    )
    return cast(tuple[Array, Any], checked)


def _names(columns: Sequence[Any], default: list[str]) -> list[str]:
    """The names of columns, if all of them are texts."""
    names = list(columns)
    usable = len(names) == len(default) and all(isinstance(name, str) and name for name in names)
    return names if usable else default


class Classifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that classifies the rows of a table.

    model, optim, train, data: the sections of a config file, as mappings; what they leave out is what `nnzoo init`
    writes for such a table. A name alone is short for a mapping with it: "mlp", "adamw". Options are reached as
    `model__hidden` by `set_params` and searches. data: its keys without a file (DATA_KEYS): preprocess, numbers,
    categories, missing, class_weights, split (val, stratify), …
    random_state: None, a number or a numpy RandomState; equal numbers give equal bits. device: auto, cpu or cuda.

    After `fit`: `classes_`, `n_features_in_`, `feature_names_in_` (of a DataFrame), `n_iter_` epochs, `history_`, a
    dictionary per epoch, `notes_`, lines on what was guessed or left out, and `network_`, an nn.Module.
    """

    _tasks = ("classification", "multilabel")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X (rows, columns), a DataFrame or an array, and their classes y (rows,), or several labels per
        row, y (rows, labels) of 0 and 1.

        sample_weight: (rows,) numbers of at least 0. A row of weight 2 counts like two equal rows. Raises
        ValueError for data and parameters that do not fit, DivergedError.
        """
        columns = getattr(y, "columns", [])
        checked, y = _validated(self, X, y)
        check_classification_targets(y)
        weights = _check_sample_weight(sample_weight, checked, ensure_non_negative=True)
        if type_of_target(y) == "multilabel-indicator":
            y = np.asarray(y.toarray() if hasattr(y, "toarray") else y, dtype=np.float32)
            names = _names(columns, [f"label_{i}" for i in range(y.shape[1])])
            present = np.arange(y.shape[1])
            self._train(X, lambda frame: MemoryTable(frame, y, "multilabel", names, weights))
        else:
            y = column_or_1d(y, warn=True)
            present = np.unique(y[weights > 0])
            if len(present) < 2:
                raise ValueError(
                    f"y has {len(present)} class; at least 2 classes are needed to learn from"
                )
            codes = np.searchsorted(present, y).clip(max=len(present) - 1)
            names = [str(label) for label in present.tolist()]
            self._train(
                X, lambda frame: MemoryTable(frame, codes, "classification", names, weights)
            )
        self.classes_ = present
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (rows, classes) in the order of `classes_`; of several labels the probability of each."""
        return self._outputs(X)

    def predict(self, X: Any) -> Array:
        """The most likely class of each row (rows,), or its labels (rows, labels) as 0 and 1."""
        outputs = self._outputs(X)
        task = self.network_.task
        if isinstance(task, Multilabel):
            return (outputs >= task.thresholds.cpu().numpy()).astype(np.int64)
        return self.classes_[outputs.argmax(1)]


class Regressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that predicts one or several numbers for each row of a table; parameters: see Classifier."""

    _tasks = ("regression",)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X (rows, columns) and their numbers y, (rows,) or (rows, targets); see Classifier.fit."""
        columns = getattr(y, "columns", [getattr(y, "name", None)])
        checked, y = _validated(self, X, y, y_numeric=True)
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        count = target.shape[1]
        names = _names(columns, [f"target_{i}" for i in range(count)] if count > 1 else ["target"])
        weights = _check_sample_weight(sample_weight, checked, ensure_non_negative=True)
        self._train(X, lambda frame: MemoryTable(frame, target, "regression", names, weights))
        return self

    def predict(self, X: Any) -> Array:
        """Numbers (rows,), or (rows, targets) if `fit` got several."""
        values = torch.from_numpy(self._outputs(X))
        outputs: Array = cast(Regression, self.network_.task).point(values).numpy()
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
