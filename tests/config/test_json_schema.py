"""The JSON Schema for editors agrees with the loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nnzoo.config import DATA, MODELS, yaml_parser
from nnzoo.config.formatting import resolved_lines
from nnzoo.config.json_schema import accepts, json_schema, node_at
from nnzoo.config.load import bundled_configs, load_config
from nnzoo.config.registry import DOCUMENTED_OPTIONS
from nnzoo.config.train_options import TrainOptions
from nnzoo.errors import ConfigError
from tests.config.config_cases import FIRST, config

SCHEMA = json_schema()


def schema_issues(text: str) -> list[str]:
    value = yaml_parser.parse_yaml(text, "f").value
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(value)]


def test_the_schema_is_valid_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", bundled_configs(), ids=lambda path: path.stem)
def test_every_bundled_config_fits_the_schema_as_written_and_as_resolved(path: Path) -> None:
    assert schema_issues(path.read_text()) == []
    assert schema_issues("\n".join(resolved_lines(load_config(str(path))))) == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (FIRST, True),
        (f"{FIRST}optim: sgd\ntrain:\n", True),
        (f"{FIRST}optim:\n", True),
        (f"{FIRST}optim: {{lr: 0.1, schedule: cosine}}\n", True),
        (
            f"{FIRST}optim: {{name: sgd, momentum: 0.5, schedule: {{name: step, step_size: 2 epochs}}}}",
            True,
        ),
        (f"{FIRST}environment: {{anything: 1}}\n", True),
        ("data: {name: wine}\nmodel: {name: mlp, hidden: [3]}\n", True),
        ("data: digits\n", False),
        ("data: csv\nmodel: mlp\n", False),
        ("data: {name: csv}\nmodel: mlp\n", False),
        ("data: digits\nmodel: {name: mlp, hiden: [3]}\n", False),
        ("data: digits\nmodel: {name: mlq}\n", False),
        ("data: {name: iris, path: x}\nmodel: mlp\n", False),
        (f"{FIRST}optim: {{momentum: 0.5}}\n", False),
        (f"{FIRST}optim: {{schedule: cosin}}\n", False),
        (f"{FIRST}optim: {{schedule: {{name: step, step_size: 60 s}}}}\n", False),
        (f"{FIRST}train: {{save_every: 5 minutes}}\n", False),
        (f"{FIRST}trian: {{}}\n", False),
        (f"{FIRST}name: ../x\n", False),
        (f"{FIRST}seed: -1\n", False),
    ],
)
def test_the_schema_and_check_agree_on_what_is_right(text: str, good: bool) -> None:
    assert (schema_issues(text) == []) == good
    try:
        config(text)
        assert good
    except ConfigError:
        assert not good


def test_every_default_fits_its_own_schema() -> None:
    for name, entry in [*DATA, *MODELS, *DOCUMENTED_OPTIONS]:
        space = {"optim.lr": [0.1]}
        known: Any = {"name": name.removeprefix("schedule "), "path": "p", "space": space}
        known["problem"] = "GunPoint"
        example = {key: known[key] for key in known if key in entry.options.model_fields}
        options = entry.options.model_validate(example)
        node = entry.options.model_json_schema()
        jsonschema.validate(options.model_dump(mode="json"), node)
        assert entry.options.model_validate(options.model_dump(mode="json")) == options


def test_the_words_of_a_issue_and_the_validator_agree() -> None:
    """`accepts` decides which branch of a union an issue belongs to: it must agree with pydantic."""
    values: list[Any] = [
        None,
        True,
        0,
        1,
        2**62,
        -1,
        0.5,
        1.0,
        float("nan"),
        float("inf"),
        "",
        "auto",
        "mse",
        "1 epoch",
        "1 ep",
        [],
        [1],
        {},
        {"patience": 1},
    ]
    root = TrainOptions.model_json_schema()
    for key in TrainOptions.model_fields:
        for value in values:
            try:
                TrainOptions.model_validate({key: value})
                right = True
            except ValueError:
                right = False
            assert accepts(node_at(root, {}, (key,)), value, root) == right, (key, value)


def test_a_place_that_the_language_has_not_is_an_empty_schema() -> None:
    root = TrainOptions.model_json_schema()
    assert node_at(root, {"epochs": 1}, ("epochs", "deeper")) == {}
    assert node_at(root, {}, ("no such key",)) == {}
