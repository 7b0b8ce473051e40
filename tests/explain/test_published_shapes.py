"""Published sets without their files."""

from __future__ import annotations

from typing import Any

import pytest

from nnzoo.explain.published_shapes import published_spec
from tests.zoo import config


@pytest.mark.parametrize(
    ("data", "shape", "classes", "rows"),
    [
        ({"name": "mnist"}, (1, 28, 28), 10, {"train": 54_000, "val": 6000, "test": 10_000}),
        (
            {"name": "cifar100", "split": {"val": 500}},
            (3, 32, 32),
            100,
            {"train": 49_500, "val": 500, "test": 10_000},
        ),
        (
            {"name": "emnist", "subset": "letters"},
            (1, 28, 28),
            26,
            {"train": 112_320, "val": 12_480, "test": 20_800},
        ),
    ],
)
def test_shapes_and_rows_are_known(
    data: dict[str, Any], shape: tuple[int, ...], classes: int, rows: dict[str, int]
) -> None:
    spec = published_spec(config("mlp", data).data)
    assert spec is not None
    assert spec.input.shape == shape and len(spec.labels) == classes and spec.num_rows == rows


def test_other_sources_are_not() -> None:
    assert published_spec(config("mlp", "table_classes").data) is None
