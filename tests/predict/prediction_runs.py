"""Helpers of the tests of `predict`: a trained run, a table, the text of an error."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.models.network import Network
from nnzoo.predict.inputs import predict
from nnzoo.runs.loaded_run import load_network
from tests.zoo import begin, config, finish

Nnzoo = Callable[..., Any]
RUN = Path("out/run")
TABLE = {"name": "csv", "path": "d.csv"}


def train(model: Any, data: Any, epochs: int = 1, **more: Any) -> Network:
    """The best weights of a run in RUN, as `predict` loads them."""
    finish(begin(config(model, data, train={"epochs": epochs}, **more)))
    return load_network(RUN, torch.device("cpu"))[0]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def refused(error: type[Exception], *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        list(predict(*arguments, **options))
    return str(caught.value)


def write_table(task: str, rows: int = 200) -> list[list[str]]:
    """d.csv with gaps, a category and a target; its rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    cells = [
        [
            f"{a:.4f}",
            "" if i % 9 == 3 else f"{b:.4f}",
            "uvw"[i % 3],
            f"{a + c:.5f}" if task == "regression" else ("yes, indeed" if a + c > 0 else 'a "no"'),
        ]
        for i, (a, b, c) in enumerate(x)
    ]
    with open("d.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "kind", "y"], *cells])
    return cells
