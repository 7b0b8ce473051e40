"""The configuration for a table in memory: the recipe of `nnzoo init`, changed by given sections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from nnzoo.config import RunConfig
from nnzoo.data.memory import MemoryTable
from nnzoo.errors import ConfigError
from nnzoo.init_config.memory import SECTIONS, choose_columns, memory_config
from nnzoo.init_config.table import table_recipe


def config(rows: int = 500, **sections: Any) -> RunConfig:
    frame = pandas.DataFrame(np.zeros((rows, 3)), columns=list("abc"))
    table = MemoryTable(
        frame, np.zeros(rows, dtype=np.int64), "classification", ["u", "v"], np.ones(rows)
    )
    return memory_config(dict.fromkeys(SECTIONS) | sections, table, 7, "Classifier")


def test_the_defaults_are_the_recipe_of_init() -> None:
    made, recipe = config().to_dict(), table_recipe(500, 3, "classification")
    for section in ("model", "optim", "train"):
        for key, value in recipe[section].items():
            assert made[section][key] == value or key in ("schedule", "clip", "early_stopping"), key
    assert made["seed"] == made["data"]["split"]["seed"] == 7
    assert made["train"]["threads"] == 1 and made["data"]["split"]["test"] == 0


def test_given_sections_change_it() -> None:
    made = config(model={"hidden": (8,)}, optim="sgd", data={"split": {"val": 0.3}}).to_dict()
    assert made["model"]["hidden"] == [8] and made["model"]["dropout"] > 0
    assert made["optim"]["name"] == "sgd" and made["optim"]["weight_decay"] == 0.0
    assert made["data"]["split"]["val"] == 0.3


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"data": {"path": "x.csv"}},
            "data.path +is no option of a table in memory, which has pre",
        ),
        (
            {"data": {"split": {"group": "a"}}},
            "data.split.group +is no option of a table in memory",
        ),
        ({"train": {"tensorboard": True}}, "train.tensorboard +is about a run folder"),
        (
            {"model": {"hiden": [3]}},
            r"Classifier +model\.hiden +unknown key; did you mean 'hidden'",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**sections)


def test_texts_that_identify_rows_are_left_out_unless_they_are_named() -> None:
    frame = pandas.DataFrame(
        {
            "name": [f"person {i}" for i in range(60)],
            "color": ["red", "blue"] * 30,
            "size": ["1", "2", "3"] * 20,
            "count": np.arange(60.0),
        }
    )
    data: Any = config().data
    chosen = choose_columns(frame, ["size"], data)
    assert chosen.dropped == ["name"] and chosen.categories == ["size"]
    assert chosen.notes() == ["left out: name (different in each row)"]
    named = data.model_copy(update={"categories": [0], "drop": ["size"]})
    chosen = choose_columns(frame, ["size"], named)
    assert chosen.categories == ["name"] and chosen.dropped == ["size"] and not chosen.notes()


def test_numbers_that_are_read_as_categories_get_no_embedding() -> None:
    model: Any = config(2_000).model
    assert model.numeric_embedding.std == 0.3
    model = config(2_000, data={"categories": ["a", "b"], "drop": ["c"]}).model
    assert model.numeric_embedding is None
