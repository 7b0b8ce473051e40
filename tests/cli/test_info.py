"""Listings of models, optimizers and configs; the schema."""

from __future__ import annotations

import itertools
import json
from typing import Any

import jsonschema
import pytest

from nnzoo.config import DATA, MODELS, yaml_parser
from nnzoo.config.load import bundled_configs
from nnzoo.config.registry import DOCUMENTED_OPTIONS
from tests.cli.first_config import FIRST, NNZOO

# Listings.


@pytest.mark.parametrize(
    ("command", "registry"),
    [("models", MODELS), ("datasets", DATA), ("training", DOCUMENTED_OPTIONS)],
)
def test_a_listing_shows_each_entry_and_each_of_its_options(
    nnzoo: NNZOO, command: str, registry: Any
) -> None:
    result = nnzoo(command, "--json")
    assert (result.code, result.err) == (0, "")
    listed = result.json
    assert set(listed) == {name for name, _ in registry}
    text = nnzoo(command).out
    for name, entry in registry:
        assert name in text
        summary, options = listed[name]["summary"], listed[name]["options"]
        assert summary and summary.split(",")[0] in text
        assert {row["key"].split(".")[0] for row in options} == {
            key for key in entry.options.model_fields if key != "name"
        }
        for row in options:
            assert set(row) == {"key", "default", "meaning"}
            assert row["meaning"], (name, row)


def test_a_listing_shows_defaults_as_they_are_written_in_a_file(nnzoo: NNZOO) -> None:
    def defaults(command: str, name: str) -> dict[str, str]:
        options = nnzoo(command, name, "--json").json[name]["options"]
        return {row["key"]: row["default"] for row in options}

    cnn = defaults("models", "cnn")
    assert cnn["channels"] == "[32, 64]"
    assert cnn["residual"] == "false"
    assert cnn["head.pooling"] == "flatten"
    adam = defaults("training", "adam")
    assert adam["lr"] == "0.001"
    assert adam["schedule"] == "constant"
    assert adam["clip"] == adam["clip.norm"] == "null"
    csv = defaults("datasets", "csv")
    assert csv["path"] == "required"
    assert csv["target"] == "-1"
    adding = defaults("datasets", "adding")
    assert adding["preprocess.scale"] == adding["preprocess.target"] == "none"
    assert defaults("datasets", "sine")["preprocess.target"] == "standardize"


def test_a_listing_names_the_words_that_an_option_takes(nnzoo: NNZOO) -> None:
    out = " ".join(nnzoo("models", "lstm").out.split())
    assert "(one of last, mean, max)" in out
    assert "lstm" in out and "cnn" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["models", "lsm"], "no model 'lsm'; did you mean 'lstm'?"),
        (["models", "CNN"], "no model 'CNN'; did you mean 'cnn'?"),
        (["models", "x"], "no model 'x'; one of mlp, cnn, rnn, lstm, gru"),
        (["datasets", "minst"], "no data source 'minst'; did you mean 'mnist'?"),
        (["training", "admw"], "no entry 'admw'; did you mean 'adamw'?"),
    ],
)
def test_an_unknown_name_is_reported_with_what_was_meant(
    nnzoo: NNZOO, words: list[str], message: str
) -> None:
    for arguments in (words, [*words, "--json"]):
        result = nnzoo(*arguments)
        assert (result.code, result.out, result.err) == (2, "", f"{message}\n")


def test_configs_lists_every_bundled_config_with_its_purpose(nnzoo: NNZOO) -> None:
    listed = nnzoo("configs", "--json").json
    out = nnzoo("configs").out.splitlines()
    assert list(listed) == [path.stem for path in bundled_configs()]
    for path in bundled_configs():
        lines = path.read_text().splitlines()
        comment = [
            line[1:].split()
            for line in itertools.takewhile(lambda line: line.startswith("#"), lines)
        ]
        assert [line.split() for line in listed[path.stem]] == comment
        line = next(line for line in out if line.split()[:1] == [path.stem])
        assert line.split()[1:] == comment[0][: len(line.split()) - 1]
        details = nnzoo("configs", path.stem).out.splitlines()
        assert [line.split() for line in details] == [[path.stem], *comment]


def test_an_unknown_bundled_config_is_suggested(nnzoo: NNZOO) -> None:
    result = nnzoo("configs", "cnn_mnst")
    assert (result.code, result.err) == (
        2,
        "no bundled config 'cnn_mnst'; did you mean 'cnn_mnist'?\n",
    )


# Schema.


def test_schema_is_one_json_schema_that_knows_a_typo(nnzoo: NNZOO) -> None:
    result = nnzoo("schema")
    assert (result.code, result.err) == (0, "")
    validator = jsonschema.Draft202012Validator(json.loads(result.out))
    validator.check_schema(validator.schema)
    assert list(validator.iter_errors(yaml_parser.parse_yaml(FIRST, "f").value)) == []
    assert (
        len(list(validator.iter_errors(yaml_parser.parse_yaml(FIRST + "sed: 1", "f").value))) == 1
    )
