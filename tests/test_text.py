"""Tests of `nnzoo.text`: metrics, percentages, counts and lists as messages show them."""

from __future__ import annotations

import math
import pickle

from nnzoo.text import (
    Note,
    codes_of,
    format_metric,
    format_percent,
    labeled,
    list_some,
    note_line,
    plural,
    reworded,
    shorten,
)


def test_metrics_are_shown_with_the_digits_that_count() -> None:
    shown = [format_metric(v) for v in (None, math.nan, 12345, 0.12345, 123.456, 1e-4, 0.0, -2.5e7)]
    assert shown == ["–", "–", "12,345", "0.1235", "123.5", "1.000e-04", "0.0000", "-2.500e+07"]
    assert format_percent(0.99436) == "99.44 %"


def test_long_texts_and_lists_end_in_an_ellipsis() -> None:
    assert [shorten("abcd", 4), shorten("abcde", 4)] == ["abcd", "abc…"]
    assert [list_some(["a", "b"]), list_some(list("abcd")), list_some(list("ab"), 1)] == [
        "a, b",
        "a, b, c, …",
        "a, …",
    ]


def test_a_count_agrees_with_its_noun() -> None:
    assert plural(1, "row") == "1 row"
    assert plural(1000, "row") == "1,000 rows"
    assert plural(0, "class", "classes") == "0 classes"


def test_a_note_is_its_text_with_a_code() -> None:
    note = Note("N04", "read as numbers: 'a'")
    assert note == "read as numbers: 'a'" and note.code == "N04"
    assert labeled(note) == "N04 read as numbers: 'a'" and labeled("plain") == "plain"
    assert note_line(note) == "note N04: read as numbers: 'a'" and note_line("x") == "note: x"
    assert codes_of([note, "plain"]) == ["N04", ""]
    assert reworded(note, f"f.csv: {note}").code == "N04"  # type: ignore[attr-defined]
    assert type(reworded("plain", "f.csv: plain")) is str


def test_a_note_is_pickled_as_a_plain_text() -> None:
    assert type(pickle.loads(pickle.dumps(Note("N04", "x")))) is str
