"""Subjects that arguments of `nnzoo explain` name."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnzoo.errors import UsageError
from nnzoo.explain.subject import Subject, find_subject


def test_a_code_is_found_in_lower_case_too() -> None:
    assert find_subject("w03") == Subject("code", "W03")


def test_configs_and_runs_are_distinguished_by_their_files() -> None:
    for folder, name in (
        ("configs", "mine.yaml"),
        ("run", "config.yaml"),
        ("group", "summary.json"),
    ):
        Path(folder).mkdir()
        (Path(folder) / name).write_text("")
    assert find_subject("mine") == Subject("config", "mine")
    assert find_subject("cnn") == Subject("config", "cnn")
    assert find_subject("any.yaml") == Subject("config", "any.yaml")
    for name in ("run", "group", "best.pt"):
        assert find_subject(name) == Subject("run", name)


def test_a_code_is_found_by_its_name_or_a_part_of_it() -> None:
    assert find_subject("Vanishing gradient") == find_subject("梯度消失") == Subject("code", "W03")
    assert find_subject("fitting") == Subject("code", "W10")
    with pytest.raises(UsageError, match="several codes: W03 vanishing gradient, W04"):
        find_subject("vanishing")


def test_an_unknown_word_is_an_error() -> None:
    with pytest.raises(UsageError, match="no code, key, config or run 'W99'"):
        find_subject("W99")


def test_configs_runs_and_words_for_several_keys() -> None:
    Path("run").mkdir()
    Path("run/config.yaml").write_text("")
    assert find_subject("run") == Subject("run", "run")
    assert find_subject("cnn") == Subject("config", "cnn")
    Path("configs").mkdir()
    Path("configs/own.yaml").write_text("")
    assert find_subject("own") == Subject("config", "own")
    with pytest.raises(UsageError, match=r"a key in several places: .*; give one of them"):
        find_subject("channels")
