"""Subjects that arguments of `nnzoo explain` name."""

from __future__ import annotations

import pytest

from nnzoo.errors import UsageError
from nnzoo.explain.subject import Subject, find_subject


def test_a_code_is_found_in_lower_case_too() -> None:
    assert find_subject("w03") == Subject("code", "W03")


def test_an_unknown_word_is_an_error() -> None:
    with pytest.raises(UsageError, match="no code, key, config or run 'W99'"):
        find_subject("W99")
