"""Errors: what is shown of many issues, of long keys, of text that would steer a terminal; places of keys."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nnzoo.config.run_config import from_dict
from nnzoo.errors import MAX_SHOWN, ConfigError, ConfigIssue, DataError, NnzooError


def tree(**sections: Any) -> dict[str, Any]:
    return {"name": "x", "data": "digits", "model": "mlp"} | sections


def test_thousands_of_issues_are_found_in_time_and_shown_in_part() -> None:
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        from_dict(tree(model={"name": "mlp", "hidden": ["x"] * 9000}), "f")
    assert time.process_time() - began < 3
    lines = str(caught.value).splitlines()
    assert (lines[0], lines[-1]) == ("f: 9,000 problems", f"  and {9000 - MAX_SHOWN:,} more")
    assert len(lines) == MAX_SHOWN + 2


def test_a_key_as_long_as_a_file_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(tree() | {"k" * 100_000: 1, "l": 2}, "f")
    assert max(map(len, str(caught.value).splitlines())) < 300


def test_what_would_steer_a_terminal_is_written_out() -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(tree() | {"\x1b[31m\u202e\ud800é": 1}, "f")
    assert "\\x1b[31m\\u202e\\ud800é" in str(caught.value)


def locate(key: str) -> str:
    return {"": "t.yaml", "data.target": "t.yaml:3:5", "model.pca": "--set"}[key]


@pytest.mark.parametrize("kind", [NnzooError, DataError])
def test_an_error_that_blames_a_key_names_it_with_its_place_once(kind: type[NnzooError]) -> None:
    error = kind.at("data.target", "no column 'x'")
    assert str(error) == "no column 'x'" and isinstance(error, kind)
    for _ in range(2):
        error.locate(locate)
        assert str(error) == "t.yaml:3:5  data.target  no column 'x'"


def test_what_is_no_config_key_stands_before_the_message_at_once() -> None:
    for key in ("--drop", "INPUT", "database"):
        error = DataError.at(key, "no column 'x'")
        error.locate(locate)
        assert str(error) == f"{key}: no column 'x'"


def test_an_error_that_blames_no_key_stays_as_it_is() -> None:
    error = DataError("x.csv is empty")
    error.locate(locate)
    assert str(error) == "x.csv is empty"


def test_the_issues_of_a_config_are_located_one_by_one() -> None:
    issues = [
        ConfigIssue("", "model.pca", "too large", code="E16"),
        ConfigIssue("u.yaml:1:1", "seed", "bad"),
    ]
    error = ConfigError("configuration", issues)
    assert str(error).startswith("configuration: 2 problems\n  config      model.pca  too large\n")
    error.locate(locate)
    assert str(error) == (
        "t.yaml: 2 problems\n  --set       model.pca  too large\n  u.yaml:1:1  seed       bad"
    )
    assert ConfigError.at("model.pca", "too large").issues == [
        ConfigIssue("", "model.pca", "too large", code="E16")
    ]
