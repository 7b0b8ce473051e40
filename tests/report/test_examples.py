"""Rows of cells: which, in which order, and how many fit."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from nnzoo.predict.predictions import Predictions
from nnzoo.report import charts, examples


def test_cells_hold_every_row_once_and_begin_with_what_matters() -> None:
    values = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.45, 0.55]])
    predictions = Predictions(["a", "b"], True, values, targets=np.array([0, 0, 1, 0, 0]))
    cells = examples.class_cells(predictions)
    assert {key: rows.tolist() for key, rows in cells.items()} == {
        "0,1": [3, 4],
        "0,0": [1, 0],
        "1,1": [2],
    }
    assert next(iter(cells)) == "0,1"
    # The first of each cell, then the second of each, then the others.
    assert examples.row_order(cells) == [3, 1, 2, 4, 0]
    assert examples.row_order({"0,1": cells["0,1"]}, evenly=5) == [3, 4, 0, 1, 2]


def test_labels_have_four_cells_each() -> None:
    values = np.array([[0.9], [0.6], [0.4], [0.1], [0.55]])
    targets = np.array([[1], [0], [1], [0], [0]])
    predictions = Predictions(["a"], False, values, targets=targets, thresholds=np.array([0.5]))
    cells = examples.label_cells(predictions)
    assert {key: rows.tolist() for key, rows in cells.items()} == {
        "0,fp": [1, 4],
        "0,fn": [2],
        "0,tp": [0],
        "0,tn": [3],
    }


def test_bars_hold_the_rows_of_the_histogram() -> None:
    random = np.random.default_rng(0)
    targets, values = random.normal(size=(2, 200, 2))
    cells = examples.value_cells(Predictions(["y", "z"], False, values, targets=targets), 2)
    for i in range(2):
        errors = values[:, i] - targets[:, i]
        edges = charts.residual_edges(errors)
        counts, _ = np.histogram(errors, edges)
        assert [len(cells.get(f"{i},{bar}", [])) for bar in range(len(counts))] == counts.tolist()
    largest = int(np.abs(values[:, 0] - targets[:, 0]).argmax())
    assert any(rows[0] == largest for key, rows in cells.items() if key[0] == "0")


@pytest.mark.parametrize("size, form", [(8, "PNG"), (300, "JPEG")])
def test_images_become_small_ones(size: int, form: str) -> None:
    image = torch.rand(3, size, size)
    url = examples.thumbnail_url(image, 1.0)
    assert url.startswith(f"data:image/{form.lower()};base64,")
    opened = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert (opened.format, opened.size) == (form, (min(size, 96),) * 2)
