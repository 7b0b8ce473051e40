"""Texts as pieces with values: blanks where a reader expects them, characters from bytes, lines at words."""

from __future__ import annotations

import pytest

from nnzoo.data.tokenizer import Tokenizer, Unit
from nnzoo.inspect.tokens import Piece, char_width, make_pieces, strongest_lines, wrap


def pieces(text: str, unit: Unit, values: list[float] | None = None) -> list[Piece]:
    tokenizer = Tokenizer.fit([text], unit, False, 1000, 1)
    ids = tokenizer.encode(text)
    return make_pieces(tokenizer, ids, values or [0.0] * len(ids))


def shown(lines: list[list[Piece]]) -> list[str]:
    return [
        "".join(" " * bool(i and not p.glued) + p.text for i, p in enumerate(line))
        for line in lines
    ]


def test_words_have_blanks_and_punctuation_has_none() -> None:
    text = "Good (really), she said: it's fine!"
    assert shown([pieces(text, "words")]) == [text]


def test_bytes_are_shown_as_characters_with_the_sum_of_their_values() -> None:
    made = pieces("aé電", "bytes", [1, 2, 3, 4, 5, 6])
    assert [(piece.text, piece.value) for piece in made] == [("a", 1), ("é", 5), ("電", 15)]
    tokenizer = Tokenizer("bytes", False, [chr(i) for i in range(256)])
    broken = make_pieces(tokenizer, [0xE9, 0x9B, 65], [1, 2, 4])
    assert [(piece.text, piece.value) for piece in broken] == [(r"\xe9", 1), (r"\x9b", 2), ("A", 4)]


@pytest.mark.parametrize("unit", ["characters", "bytes"])
def test_what_would_steer_a_terminal_or_a_page_is_written_out(unit: Unit) -> None:
    text = "a\x1b[31m\u202eb\x00\r"
    line = "".join(piece.text for piece in pieces(text, unit))
    assert line == r"a\x1b[31m\u202eb\x00\r"


def test_lines_break_at_words_and_where_the_text_does() -> None:
    lines = wrap(pieces("one two\nthree four five sixsixsixsix", "characters"), 10)
    assert shown(lines) == ["one two↵", "three four ", "five ", "sixsixsixs", "ix"]
    assert shown(wrap(pieces("one two three", "words"), 8)) == ["one two", "three"]
    assert sum(map(len, lines)) == len("one two\nthree four five sixsixsixsix")
    assert wrap([], 10) == []


def test_wide_letters_take_two_columns_and_marks_none() -> None:
    assert [char_width(char) for char in "a電\u0301🎬"] == [1, 2, 0, 2]
    assert shown(wrap(pieces("電影很好看", "characters"), 6)) == ["電影很", "好看"]


def test_of_a_long_text_the_strongest_lines_are_kept() -> None:
    lines = [[Piece(str(i), value, True)] for i, value in enumerate([0, 0, -5, 4, 0, 0])]
    assert shown(strongest_lines(lines, 2)) == ["…", "2", "3", "…"]
    assert strongest_lines(lines, 6) == lines
