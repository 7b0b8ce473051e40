"""Predictions: labels, confidence, errors, columns, and batches that are joined."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from nnzoo.predict.predictions import Predictions, note_nan


def classes() -> Predictions:
    values = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.5, 0.5]], np.float32)
    return Predictions(["a", "b"], True, values, {"row": [1, 2, 3, 4]}, np.array([0, 0, 0, 1]))


def test_classes_have_labels_confidence_and_their_most_confident_errors() -> None:
    predictions = classes()
    assert predictions.labels == ["a", "b", "b", "a"]
    assert predictions.confidence.tolist() == pytest.approx([0.9, 0.8, 0.6, 0.5])
    assert predictions.most_confident_errors.tolist() == [1, 2, 3]
    assert predictions.numbers is predictions.values
    predictions.values[1] = np.nan
    assert predictions.labels[1] == ""


def test_errors_of_several_outputs_are_compared_by_the_std_of_their_targets() -> None:
    targets = np.array([[0.0, 0.0], [0.0, 1000.0], [1.0, 0.0]])
    values = targets + np.array([[0.0, 100.0], [0.5, 0.0], [0.05, 0.0]])
    predictions = Predictions(["x", "y"], False, values, {}, targets)
    assert predictions.largest_errors.tolist() == [1, 0, 2]


def test_columns_are_those_of_the_csv() -> None:
    columns = classes().columns("{:.1f}".format)
    assert list(columns) == ["row", "prediction", "probability", "p_a", "p_b"]
    assert columns["p_a"] == ["0.9", "0.2", "0.4", "0.5"]
    frame = classes().to_frame()
    assert list(frame.columns) == list(columns) and frame["p_a"].dtype == np.float32
    hidden = Predictions(["row", "y"], False, np.ones((1, 2)), {"row": [1]})
    assert list(hidden.columns()) == ["row", "predicted_row", "y"]


def test_batches_are_joined_with_their_errors_and_notes() -> None:
    first, last = classes(), classes().empty_with_notes(["a note"])
    first.errors = ["broken.png"]
    joined = Predictions.concat([first, last])
    assert len(joined) == 4 and joined.index == {"row": [1, 2, 3, 4]}
    assert (joined.errors, joined.notes) == (["broken.png"], ["a note"])


def test_predictions_that_are_nan_are_noted_at_the_end() -> None:
    def batches() -> Iterator[Predictions]:
        yield classes()
        bad = classes()
        bad.values[2:] = np.nan
        yield bad

    *_, last = note_nan(batches())
    assert len(last) == 0
    assert last.notes[0].startswith("2 of 8 answers are not numbers (nan), the first: row 3; ")
    assert len([*note_nan(iter([classes()]))]) == 1
