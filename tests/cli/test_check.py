"""`nnzoo check`: the resolved config, and issues."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from nnzoo.config.load import bundled_configs, load_config
from tests.cli.first_config import NNZOO


def test_check_prints_a_config_that_means_the_same(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("check", first, "--set", "optim.lr=0.5", "--all")
    assert (result.code, result.err) == (0, "")
    Path("again.yaml").write_text(result.out)
    assert load_config("again.yaml") == load_config("first.yaml", ["optim.lr=0.5"])
    assert re.search(r"^  lr: 0\.5 +# --set$", result.out, re.MULTILINE)
    assert re.search(r"^  hidden: \[4\] +# first\.yaml:2$", result.out, re.MULTILINE)
    assert re.search(r"^  batch_size: 64 +# default$", result.out, re.MULTILINE)


def test_check_as_json_is_the_resolved_config(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("check", first, "--json")
    assert result.err == ""
    assert result.json == load_config("first.yaml").to_dict()


def test_check_reports_issues_on_stderr_and_exits_with_2(nnzoo: NNZOO) -> None:
    Path("bad.yaml").write_text("data: digits\nmodel: {name: cnn, chanels: [8]}\n")
    result = nnzoo("check", "bad.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "bad.yaml: 1 problem\n"
        "  bad.yaml:2:20  model.chanels  unknown key; did you mean 'channels'?\n"
        "      2 | model: {name: cnn, chanels: [8]}\n"
        "        |                    ^^^^^^^\n"
    )


def test_check_gives_problems_as_json(nnzoo: NNZOO) -> None:
    Path("bad.yaml").write_text("data: digits\nmodel: {name: cnn, chanels: [8]}\n")
    result = nnzoo("check", "bad.yaml", "--json", "-s", "optim.lr=-1")
    assert (result.code, result.err) == (2, "")
    assert result.json == {
        "issues": [
            {
                "file": None,
                "line": None,
                "column": None,
                "key": "optim.lr",
                "code": "E13",
                "message": "expected a number above 0, got -1",
            },
            {
                "file": "bad.yaml",
                "line": 2,
                "column": 20,
                "key": "model.chanels",
                "code": "E11",
                "message": "unknown key; did you mean 'channels'?",
            },
        ]
    }


def test_check_says_in_short_what_a_config_trains(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("check", first)
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "first.yaml: ok\n"
        "  mlp on digits · adam, learning rate 0.001 · 1 epoch of batch size 64 · run folder first\n"
        "every value, and where it comes from: nnzoo check first.yaml --all\n"
    )


def test_check_needs_no_data_to_be_there(nnzoo: NNZOO) -> None:
    Path("later.yaml").write_text("data: {name: csv, path: not/yet.csv}\nmodel: mlp\n")
    assert nnzoo("check", "later.yaml").code == 0


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_command_without_a_config_says_how_to_give_one(nnzoo: NNZOO, command: str) -> None:
    result = nnzoo(command)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "missing config: nnzoo train --config cnn.yaml; 'nnzoo configs' lists the bundled ones\n"
    )


def test_a_config_that_is_not_there_exits_with_2(nnzoo: NNZOO) -> None:
    result = nnzoo("check", "--config", "nope.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("no config 'nope.yaml': not a file")


def test_the_order_and_form_of_options_never_matter(nnzoo: NNZOO, first: Path) -> None:
    groups = [["--config", "first.yaml"], ["--set", "optim.lr=0.5"], ["--seed", "3"], ["--json"]]
    expected = load_config("first.yaml", ["optim.lr=0.5", "seed=3"]).to_dict()
    for order in itertools.permutations(groups):
        assert nnzoo("check", *itertools.chain(*order)).json == expected
    short = nnzoo("check", "--json", "-s", "optim.lr=0.5", "--seed=3", "-c", "first.yaml")
    assert short.json == expected
    assert (
        nnzoo("check", "-s", "optim.lr=0.5", "first.yaml", "--seed", "3", "--json").json == expected
    )


def test_of_two_sets_of_one_key_the_last_one_wins(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("check", "-s", "seed=1", first, "-s", "seed=2", "--json")
    assert result.json["seed"] == 2


@pytest.mark.parametrize("name", [path.stem for path in bundled_configs()])
def test_every_bundled_config_checks_by_its_name(nnzoo: NNZOO, name: str) -> None:
    result = nnzoo("check", "-c", name, "--all")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"name: {name} ")
