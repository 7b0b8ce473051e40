"""The description of a data set: its stored form is what it was in the first version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec, NumberFormat
from nnzoo.runs import checkpoint

FORMATS = Path(__file__).parents[1] / "formats"

TABLE = {
    "kind": "table",
    "shape": [2],
    "task": "regression",
    "season": 0,
    "balanced": False,
    "fingerprint": "0123456789abcdef",
    "rows": {"train": 7, "val": 2},
    "spec": {
        "columns": [
            {"name": "a", "format": {"decimal": ",", "thousands": "."}},
            {"name": "b", "categories": ["u", "v"], "missing": ["-"]},
        ],
        "target": "2",
        "targets": ["2"],
        "target_format": {"unit": "%"},
        "width": 3,
        "header": True,
        "task": "regression",
    },
}
SERIES = TABLE | {
    "kind": "series",
    "shape": [24, 2],
    "task": "forecasting",
    "season": 7,
    "spec": {
        "columns": [{"name": "y"}, {"name": "x", "fill": 1.5}],
        "targets": ["y"],
        "horizon": 1,
        "task": "forecasting",
    },
}
IMAGES = TABLE | {
    "kind": "image",
    "shape": [1, 8, 8],
    "task": "classification",
    "balanced": True,
    "spec": {"labels": ["a", "b"], "levels": 16, "bits": 10, "task": "classification", "mine": [1]},
}


@pytest.mark.parametrize("stored", [TABLE, SERIES, IMAGES], ids=["table", "series", "image"])
def test_a_stored_description_is_stored_again_as_it_was(stored: dict[str, Any]) -> None:
    assert DataSpec.from_dict(json.loads(json.dumps(stored))).to_dict() == stored


@pytest.mark.parametrize("path", sorted(FORMATS.glob("*/run/*.pt")), ids=lambda path: path.name)
def test_the_description_of_an_older_checkpoint_is_stored_again_as_it_was(path: Path) -> None:
    stored = checkpoint.load(path)["data"]
    assert DataSpec.from_dict(stored).to_dict() == stored


def test_fields_have_their_types() -> None:
    spec = DataSpec.from_dict(TABLE)
    assert spec.input == InputSpec("table", (2,))
    assert spec.columns == [
        ColumnSpec("a", format=NumberFormat(decimal=",", thousands=".")),
        ColumnSpec("b", ["u", "v"], ["-"]),
    ]
    assert spec.column_names == ["a", "b"]
    assert spec.category_sizes == [2]
    assert spec.num_rows == {"train": 7, "val": 2}
    assert (spec.horizon, spec.bits, spec.max_pixel_value, spec.labels) == (1, 16, 255, [])
    assert DataSpec.from_dict(IMAGES).extra == {"mine": [1]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fingerprint", 5),
        ("rows", {"train": "many"}),
        ("season", -1),
        ("shape", [True]),
        ("kind", 1),
    ],
)
def test_values_of_a_wrong_type_are_refused(key: str, value: Any) -> None:
    with pytest.raises(TypeError):
        DataSpec.from_dict(IMAGES | {key: value})


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"labels": "ab"},
        {"labels": [1]},
        {"labels": ["a"], "bits": "8"},
        {"labels": ["a"], "levels": "16"},
        {"labels": ["a"], "levels": None},
        {"labels": ["a"], "levels": 1.5},
        {"labels": ["a"], "columns": [{"name": "a", "categories": [None]}]},
        {"labels": ["a"], "columns": [{"name": "a", "format": {"unit": 1}}]},
        {"labels": ["a"], "target": 1},
    ],
)
def test_a_source_of_wrong_types_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        DataSpec.from_dict(IMAGES | {"spec": spec})


def test_an_input_says_its_shape_and_size() -> None:
    spec = InputSpec("image", (3, 4, 5))
    assert (str(spec), spec.size) == ("image 3×4×5", 60)
    assert torch.zeros(2, *spec.shape).numel() == 2 * spec.size
