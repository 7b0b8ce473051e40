"""Configurations as text: what is printed reads back as the same configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnzoo.config import yaml_parser
from nnzoo.config.formatting import config_with_sweep, resolved_lines, to_yaml
from nnzoo.config.load import bundled_configs, load_config, parse
from nnzoo.config.option_tables import header_comment
from nnzoo.config.run_config import from_dict
from tests.config.config_cases import config

BUNDLED = bundled_configs()


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_every_bundled_config_is_valid_and_what_check_prints_is_the_same_config(path: Path) -> None:
    result = load_config(str(path))
    assert from_dict(result.to_dict(), "again") == result
    shown = ("\n".join(resolved_lines(result)), config_with_sweep(result))
    for text, tree in (shown, (to_yaml(result.to_dict()), result.to_dict())):
        document = yaml_parser.parse_yaml(text, "again")
        assert document.issues == []
        assert document.value == tree
        assert parse(document, "again") == result


@given(st.text(min_size=1), st.lists(st.text(), max_size=3), st.floats(1e-300, 1e30))
@settings(max_examples=100, deadline=None)
def test_any_text_and_number_survives_being_printed(
    target: str, drop: list[str], lr: float
) -> None:
    tree = {
        "name": "f",
        "data": {"name": "csv", "path": target, "target": target, "drop": drop},
        "model": "mlp",
        "optim": {"lr": lr},
    }
    result = from_dict(tree, "f")
    document = yaml_parser.parse_yaml("\n".join(resolved_lines(result)), "again")
    assert document.issues == []
    assert parse(document, "again") == result


def test_check_says_where_each_value_came_from() -> None:
    text = "data: digits\nmodel:\n  name: cnn\n  channels: [4, 8]\noptim: {schedule: {name: step, gamma: 0.5}}\n"
    result = config(text, "optim.schedule=cosine", "model.channels[0]=2", "train.epochs=3")
    lines = {
        line.split("#")[0].strip(): line.split("#")[1].strip()
        for line in resolved_lines(result)
        if "#" in line
    }
    assert lines["name: f"] == "from the file's name"
    assert lines["seed: 0"] == "default"
    assert lines["name: digits"] == "f.yaml:1"
    assert lines["name: cnn"] == "f.yaml:3"
    assert lines["channels: [2, 8]"] == "--set"
    assert lines["name: cosine"] == "--set"
    assert lines["final: 0.0"] == "default"
    assert lines["epochs: 3"] == "--set"


def test_a_header_may_be_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("# one\n#two\n")
    assert header_comment(tmp_path / "f.yaml") == ["one", "two"]
