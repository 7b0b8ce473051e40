"""Sections as parameters: merged with defaults, read and set by paths."""

from __future__ import annotations

import numpy as np
import pytest

from nnzoo.config.nested_options import (
    as_mapping,
    flat_options,
    merge_options,
    plain_value,
    with_option,
)

RECIPE = {"name": "adamw", "lr": 0.002, "schedule": "cosine", "clip": {"norm": 1.0}}


def test_given_options_join_the_defaults_of_the_same_name() -> None:
    merged = merge_options(RECIPE, {"lr": np.float64(0.1), "schedule": {"final": 0.2}})
    assert merged == RECIPE | {"lr": 0.1, "schedule": {"name": "cosine", "final": 0.2}}
    assert type(merged["lr"]) is float
    assert merge_options(RECIPE, {}) == RECIPE


def test_another_name_has_no_default_of_this_one() -> None:
    assert merge_options(RECIPE, {"name": "sgd"}) == {"name": "sgd"}
    merged = merge_options(RECIPE, {"schedule": {"name": "step", "gamma": 0.5}})
    assert merged["schedule"] == {"name": "step", "gamma": 0.5}


def test_alternatives_replace_each_other() -> None:
    assert merge_options(RECIPE, {"clip": {"value": 0.5}})["clip"] == {"value": 0.5}


def test_options_are_read_and_set_by_their_paths() -> None:
    section = with_option("adamw", ["schedule", "final"], 0.1)
    assert section == {"name": "adamw", "schedule": {"final": 0.1}}
    changed = with_option(section, ["schedule", "final"], 0.2)
    assert section["schedule"] == {"final": 0.1}  # a copy was changed
    assert flat_options(changed, "optim") == {
        "optim__name": "adamw",
        "optim__schedule": {"final": 0.2},
        "optim__schedule__final": 0.2,
    }
    assert flat_options("adamw", "optim") == {}


def test_what_is_no_section_is_refused() -> None:
    assert as_mapping(None, "train") == {}
    with pytest.raises(TypeError, match="train: expected a mapping of options or a name, got int"):
        as_mapping(3, "train")


def test_values_of_numpy_become_plain() -> None:
    assert plain_value({"hidden": (np.int64(64), 32), "x": np.ones(2)}) == {
        "hidden": [64, 32],
        "x": [1.0, 1.0],
    }
