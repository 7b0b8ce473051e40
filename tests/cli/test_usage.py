"""Help, version and wrong command lines."""

from __future__ import annotations

import re

import pytest

from nnzoo import __version__
from nnzoo.cli import COMMANDS
from tests.cli.first_config import NNZOO


def test_help_names_every_command_and_where_to_start(nnzoo: NNZOO) -> None:
    result = nnzoo("--help")
    assert (result.code, result.err) == (0, "")
    for command in (
        "train",
        "sweep",
        "eval",
        "check",
        "models",
        "datasets",
        "training",
        "configs",
        "init",
        "schema",
    ):
        assert re.search(rf"^\s+{command} ", result.out, re.MULTILINE), command
    assert "nnzoo train --config cnn" in result.out
    assert nnzoo("-h").out == result.out


@pytest.mark.parametrize("command", ["train", "sweep", "eval", "check", "models", "init", "schema"])
def test_each_command_has_help(nnzoo: NNZOO, command: str) -> None:
    result = nnzoo(command, "--help")
    assert result.code == 0
    assert f"nnzoo {command}" in result.out
    assert "--debug" in result.out


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_is_one_line(nnzoo: NNZOO, option: str) -> None:
    assert nnzoo(option).out == f"nnzoo {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["train", "--bogus"], "No such option: --bogus"),
        (["configs", "cnn", "extra"], "unexpected extra argument(s) (extra)"),
        (["train", "cnn", "--epochs", "5"], "No such option: --epochs; it is -s train.epochs=5"),
        (["train", "cnn", "--lr=0.1"], "No such option: --lr; it is -s optim.lr=0.1"),
        (["train", "cnn", "--batch-size", "32"], "it is -s train.batch_size=32"),
        (["train", "cnn", "--optim.name", "sgd"], "it is -s optim.name=sgd"),
        (["train", "cnn", "--overwrite"], "it is --fresh"),
        (["train", "cnn", "--gpu", "0"], "it is the option --device cuda"),
        (["train", "cnn", "--set", "train.epochs", "5"], "write it with '=': --set train.epochs=5"),
        (["train", "cnn", "epochs=5"], "a value is set with -s train.epochs=5"),
        (["train", "cnn", "--seed", "x"], "'--seed': expected a whole number"),
        (["train", "--verbose", "cnn"], "expected 0 (silent), 1 (live) or 2 (one line per epoch)"),
        (
            ["train", "cnn", "--verbose", "3"],
            "expected 0 (silent), 1 (live) or 2 (one line per epoch)",
        ),
        (["train", "cnn", "--resume", "maybe"], "'maybe' is not one of 'auto', 'must', 'never'."),
        (["eval", "x", "--split", "dev"], "'--split': 'dev' is not one of 'train', 'val', 'test'."),
        (["eval", "x", "--weights", "dev"], "'--weights': 'dev' is not one of 'best', 'last'."),
        (["models", "--epochs", "5"], "No such option: --epochs\n"),
        (["init"], "Missing argument 'NAME|DATA'"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_says_so_on_stderr(
    nnzoo: NNZOO, words: list[str], message: str
) -> None:
    result = nnzoo(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: ")
    assert message in result.err


def test_verbose_without_a_number_says_which_there_are(nnzoo: NNZOO) -> None:
    result = nnzoo("train", "cnn", "--verbose")
    assert (result.code, "expected 0 (silent), 1 (live)" in result.err) == (2, True)


def test_help_at_80_columns_has_whole_sentences_and_no_python(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "..." not in nnzoo("--help").out.replace("[ARGS]...", "")
    for command in COMMANDS:
        out = nnzoo(command, "--help").out
        assert max(map(len, out.splitlines())) <= 80
        assert not re.search(r"<(str|int|path|list)", out), command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "cnn", "-c", "mlp"], "give the config once: as CONFIG, or with --config\n"),
        (
            ["train"],
            "missing config: nnzoo train --config cnn.yaml; 'nnzoo configs' lists the bundled ones\n",
        ),
    ],
)
def test_a_wrong_value_of_an_option_is_one_message(
    nnzoo: NNZOO, words: list[str], message: str
) -> None:
    result = nnzoo(*words)
    assert (result.code, result.out, result.err) == (2, "", message)
