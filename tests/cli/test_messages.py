"""Errors as a terminal shows them: places, quoted lines, colors, words that are not broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.cli.messages import render
from nnzoo.config.completion import complete_setting
from nnzoo.text import wrap_text

Nnzoo = Callable[..., Any]


def test_a_terminal_gets_lines_broken_at_words_and_the_line_to_blame() -> None:
    Path("c.yaml").write_text("data: digits\nmodel: {name: cnn, activation: softmx}\n")
    message = (
        "c.yaml: 1 problem\n"
        "  c.yaml:2:32  model.activation  expected one of relu, leaky_relu, tanh, sigmoid, gelu, silu, "
        "elu, got 'softmx'"
    )
    assert render(message, width=80) == (
        "c.yaml: 1 problem\n"
        "  c.yaml:2:32  model.activation  expected one of relu, leaky_relu, tanh,\n"
        "    sigmoid, gelu, silu, elu, got 'softmx'\n"
        "      2 | model: {name: cnn, activation: softmx}\n"
        "        |                                ^^^^^^"
    )
    colored = render(message, width=80, color=True)
    assert "\x1b[36mc.yaml:2:32\x1b[0m" in colored and "\x1b[31m" in colored
    assert re.sub(r"\x1b\[\d+m", "", colored) == render(message, width=80)


def test_a_line_that_cannot_be_quoted_is_left_out() -> None:
    message = "x.yaml: 1 problem\n  x.yaml:2:3  model.x  unknown key"
    assert render(message) == message


def test_a_long_line_is_quoted_around_the_place() -> None:
    text = f"data: {{name: csv, drop: [{'a, ' * 60}b], targt: 1}}\n"
    Path("c.yaml").write_text(text)
    message = f"  c.yaml:1:{text.index('targt') + 1}  data.targt  unknown key"
    lines = render(message, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    start = lines[2].index("^")
    assert lines[1][start : start + 5] == "targt" and lines[2].strip(" |") == "^^^^^"


def test_wrapping_keeps_paths_and_commands_whole() -> None:
    path = "/a" * 60
    assert path in wrap_text(f"cannot read {path} now", 80).split("\n")[1]
    command = f"  nnzoo train --config {path}"
    assert wrap_text(f"resume with:\n{command}", 40) == f"resume with:\n{command}"


def test_data_given_as_a_config_leads_to_init(nnzoo: Nnzoo) -> None:
    Path("passengers.csv").write_text("a,b\n1,2\n")
    Path("photos").mkdir()
    for source, message in (
        (
            "passengers.csv",
            "passengers.csv is data, not a config; write one for it: nnzoo init passengers.csv",
        ),
        ("photos", "photos is a folder, not a config; if it holds your data: nnzoo init photos"),
    ):
        result = nnzoo("train", source)
        assert (result.code, result.out, result.err) == (2, "", f"{message}\n")


def test_a_bundled_config_has_a_short_name_in_messages(nnzoo: Nnzoo) -> None:
    result = nnzoo("check", "cnn", "-s", "model.x=1")
    assert result.err.startswith("bundled cnn.yaml: 1 problem\n")
    assert "# bundled cnn.yaml:" in nnzoo("check", "cnn", "--all").out


def test_the_page_of_words_names_keys_of_the_language() -> None:
    page = (Path(__file__).parents[2] / "docs" / "words.md").read_text()
    named = set(re.findall(r"`((?:data|model|optim|train)\.[a-z_.]+)", page)) - {
        "model.summary",
        "model.save",
    }
    assert len(named) > 20
    for key in named:
        assert complete_setting(key, {}), key
    for word in ("softmax", "n_steps", "n_features", "SVD", ".pth"):
        assert word in page


def test_color_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch, nnzoo: Nnzoo) -> None:
    Path("c.yaml").write_text("data: digits\nmodel: {name: cnn, chanels: [3]}\n")
    assert "\x1b[" not in nnzoo("check", "c.yaml").err
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[36mc.yaml:2:20\x1b[0m" in nnzoo("check", "c.yaml").err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in nnzoo("check", "c.yaml").err


def test_a_file_of_another_program_is_not_taken_for_a_damaged_checkpoint(nnzoo: Nnzoo) -> None:
    Path("model.pth").write_bytes(b"PK\x03\x04" + bytes(100))
    result = nnzoo("eval", "model.pth")
    assert result.code == 5
    assert (
        "model.pth is not a checkpoint of nnzoo, which loads none of other programs" in result.err
    )
