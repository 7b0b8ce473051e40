"""Counts at every threshold are those of scikit-learn, of few rows and of many."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from nnzoo.evaluation.decision import Decision
from nnzoo.predict.predictions import Predictions
from nnzoo.report import thresholds
from nnzoo.report.run_report import RunReport


def report_of(predictions: Predictions, **more: Any) -> RunReport:
    """A report of predictions alone, whose data has no validation rows."""
    scores = [{"f1": 1 - i / 9} for i in range(len(predictions.names))]
    loaded = SimpleNamespace(dataset=SimpleNamespace(splits={"test": None}))
    run = SimpleNamespace(
        predictions=predictions,
        split="test",
        loaded=loaded,
        network=SimpleNamespace(is_of_folds=False),
        spec=SimpleNamespace(task="multilabel" if predictions.thresholds is not None else ""),
        result={"per_class": scores, "per_label": scores} | more,
    )
    return cast(RunReport, run)


def classes(rows: int, names: int = 3) -> Predictions:
    random = np.random.default_rng(0)
    values = random.dirichlet(np.ones(names), rows).astype(np.float32).round(2)
    targets = np.where(random.random(rows) < 0.5, values.argmax(1), random.integers(0, names, rows))
    return Predictions([f"class {i}" for i in range(names)], True, values, targets=targets)


def check(described: dict[str, Any], predictions: Predictions) -> None:
    """Compare the counts of all labels with precision and recall of scikit-learn."""
    for i, label in enumerate(described["labels"]):
        (part,) = label["splits"]
        known = part.get("thresholds", label["grid"])
        tp, fp = np.cumsum(part["tp"]), np.cumsum(part["fp"])
        assert predictions.targets is not None
        positive = predictions.targets == i
        scores = np.array([float(str(score)) for score in predictions.values[:, i]])
        assert (part["n"], part["positives"]) == (len(scores), positive.sum())
        for threshold, right, wrong in zip(known, tp, fp, strict=True):
            predicted = scores >= threshold
            assert (right, wrong) == ((predicted & positive).sum(), (predicted & ~positive).sum())
        if label["grid"] is None:
            precision, recall, scored = precision_recall_curve(positive, scores)
            assert known == scored[::-1].tolist()
            np.testing.assert_allclose((tp / (tp + fp))[::-1], precision[:-1])
            np.testing.assert_allclose((tp / positive.sum())[::-1], recall[:-1])


def test_every_threshold_of_few_rows_is_known() -> None:
    predictions = classes(300)
    described = thresholds.describe_thresholds(report_of(predictions))
    assert described["splits"] == ["test"] and described["first"] == 2
    check(described, predictions)


def test_counts_of_many_rows_are_exact_at_some_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "MAX_EXACT_ROWS", 100)
    monkeypatch.setattr(thresholds, "MAX_GRID", 200)
    predictions = classes(300)
    predictions.decision = Decision(predictions.names, None, 1, 0.37, ("recall", 0.9))
    described = thresholds.describe_thresholds(report_of(predictions))
    assert all(101 <= len(label["grid"]) <= 200 for label in described["labels"])
    assert {0.5, 0.37} <= set(described["labels"][1]["grid"])
    assert described["labels"][1]["marks"][1] == {"name": "eval.decide", "value": 0.37}
    assert described["first"] == 1
    check(described, predictions)


def test_frequent_classes_and_labels_with_a_threshold() -> None:
    predictions = classes(2000, 40)
    described = thresholds.describe_thresholds(report_of(predictions, weighted={}))
    assert (len(described["labels"]), described["num_labels"]) == (30, 40)
    assert described["weighted"] and described["labels"][0]["grid"] is not None
    two = classes(50, 2)
    assert thresholds.describe_thresholds(report_of(two))["first"] == 1
    labels = Predictions(
        ["a", "b"],
        False,
        two.values,
        targets=np.eye(2)[two.targets],
        thresholds=np.array([0.5, 0.3], np.float32),
    )
    described = thresholds.describe_thresholds(report_of(labels))
    assert described["labels"][1]["marks"][1] == {"name": "the network's", "value": 0.3}
    assert len(described["labels"][0]["marks"]) == 1 and described["several"]
    values = Predictions(["y"], False, two.values[:, :1], targets=two.values[:, :1])
    assert thresholds.describe_thresholds(report_of(values)) == {}
