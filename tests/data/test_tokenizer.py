"""Tokenizers: what a word is, ids and back, and stored values of anyone."""

from __future__ import annotations

import json
import random
import unicodedata
from typing import Any

import pytest

from nnzoo.data.tokenizer import (
    BYTES,
    UNKNOWN,
    UNKNOWN_ID,
    Tokenizer,
    Unit,
    split_text,
    to_bytes,
    word_pattern,
)

UNITS: tuple[Unit, ...] = ("words", "characters", "bytes")
HOSTILE = "a\0b\x1b[31m\u202e\ufeff \U0001f469\u200d\U0001f4bb\ue000\U0010ffff\udcff\udc80"


def fit(*texts: str, unit: Unit = "words", lowercase: bool = False, size: int = 1000) -> Tokenizer:
    return Tokenizer.fit(texts, unit, lowercase, size, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3.5 o'clock!", ["It's", "3", ".", "5", "o'clock", "!"]),
        ("don\u2019t", ["don\u2019t"]),
        ("\u2018quoted\u2019 'words'", ["\u2018", "quoted", "\u2019", "'", "words", "'"]),
        ("rock'n'roll ''", ["rock'n", "'", "roll", "'", "'"]),
        ("snake_case a-b", ["snake_case", "a", "-", "b"]),
        ("\u00e9t\u00e9 e\u0301te\u0301", ["\u00e9t\u00e9", "e\u0301te\u0301"]),
        ("हिन्दी भाषा।", ["हिन्दी", "भाषा", "।"]),
        ("สวัสดี", ["สวัสดี"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("a\u00a0b\u3000c\u2028d", ["a", "b", "c", "d"]),
        ("\U0001f642\U0001f642", ["\U0001f642", "\U0001f642"]),
        ("...", [".", ".", "."]),
        ("", []),
        (" \t\r\n", []),
    ],
)
def test_what_a_word_is(text: str, words: list[str]) -> None:
    assert split_text(text, "words", False) == words


def test_words_lose_white_space_alone() -> None:
    """Whatever the characters, the tokens are the text without what is blank, in its order."""
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(
            chr(rng.choice((rng.randrange(0x300), rng.randrange(0xD800)))) for _ in "x" * 20
        )
        tokens = split_text(text, "words", False)
        assert "".join(tokens) == "".join(text.split())
        assert all(token and not token.isspace() for token in tokens)


def test_every_accent_stays_with_its_letter() -> None:
    for i in range(0x300, 0x10000):
        if unicodedata.category(chr(i)).startswith("M"):
            assert len(split_text(f"a{chr(i)}b", "words", False)) == 1, hex(i)


def test_lower_case_may_be_longer() -> None:
    assert split_text("İstanbul", "words", True) == ["i\u0307stanbul"]
    assert split_text("İ", "characters", True) == "i\u0307"
    assert list(split_text("İ", "bytes", True)) == ["i", "\xcc", "\x87"]
    for unit in UNITS:
        tokenizer = fit("İI ßẞ", unit=unit, lowercase=True)
        assert tokenizer.encode("İI ßẞ") == tokenizer.encode("İI ßẞ".lower())
        assert len(tokenizer.encode("İI ßẞ")) == len(tokenizer.split("İI ßẞ"))


@pytest.mark.parametrize("unit", ["characters", "bytes"])
@pytest.mark.parametrize("text", [HOSTILE, "é 猫\r\n\t", "e\u0301", ""])
def test_characters_and_bytes_come_back(unit: Unit, text: str) -> None:
    text = text if unit == "characters" else text.replace("\udcff\udc80", "")
    tokenizer = fit(text, unit=unit)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_bytes_of_anything_are_those_of_the_file() -> None:
    data = bytes(range(256))
    tokenizer = fit(unit="bytes")
    assert tokenizer.size == BYTES and tokenizer.encode(
        data.decode("utf-8", "surrogateescape")
    ) == list(data)
    assert tokenizer.decode(data).count("\ufffd") == 128
    assert tokenizer.decode([0xC3, 0xA9, 0xC3]) == "é\ufffd"
    with pytest.raises(ValueError, match="range"):
        tokenizer.decode([256])


def test_halves_of_surrogate_pairs_are_replaced_not_fatal() -> None:
    assert to_bytes("a\ud83d\udcffb\udfff") == b"a\xef\xbf\xbd\xffb\xef\xbf\xbd"
    tokenizer = fit(unit="bytes")
    assert tokenizer.decode(tokenizer.encode("a\ud83db")) == "a\ufffdb"
    assert len(tokenizer.split("\ud83d")) == len(tokenizer.encode("\ud83d")) == 3
    characters = fit("a\ud83db", unit="characters")
    assert characters.decode(characters.encode("a\ud83db")) == "a\ud83db"


def test_words_come_back_with_blanks_between_them() -> None:
    text = 'so, "it" is (really) fine: yes; no! why? 5 % [a] {b}.'
    tokenizer = fit(text)
    decoded = tokenizer.decode(tokenizer.encode(text))
    assert decoded == 'so, " it " is ( really) fine: yes; no! why? 5% [ a] { b}.'
    assert tokenizer.encode(decoded) == tokenizer.encode(text)
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode([UNKNOWN_ID, *tokenizer.encode(".")]) == "<unknown>."


@pytest.mark.parametrize("unit", UNITS)
def test_ids_are_within_the_vocabulary_and_unknown_ones_zero(unit: Unit) -> None:
    tokenizer = fit("the cat", unit=unit)
    ids = tokenizer.encode(f"the dog <unknown> {HOSTILE}")
    assert all(0 <= i < tokenizer.size for i in ids)
    assert (UNKNOWN_ID in ids) == (unit != "bytes" or "\0" in HOSTILE)
    assert [tokenizer.ids[token] for token in tokenizer.vocabulary] == list(range(tokenizer.size))


def test_the_vocabulary_is_the_most_frequent_tokens_then_the_order_of_unicode() -> None:
    texts = ["b b c", "a c d é Z"]
    assert list(fit(*texts).vocabulary) == [UNKNOWN, "b", "c", "Z", "a", "d", "é"]
    assert list(fit(*texts, size=3).vocabulary) == [UNKNOWN, "b", "c"]
    assert list(fit(*texts, size=1).vocabulary) == [UNKNOWN]
    assert list(Tokenizer.fit(texts, "words", True, 9, 2).vocabulary) == [UNKNOWN, "b", "c"]
    assert list(fit().vocabulary) == [UNKNOWN]
    one = Tokenizer.from_counts({"b": 2, "a": 2, "c": 1}, "characters", False, 9, 1)
    other = Tokenizer.from_counts({"c": 1, "a": 2, "b": 2}, "characters", False, 9, 1)
    assert list(one.vocabulary) == list(other.vocabulary) == [UNKNOWN, "a", "b", "c"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("lowercase", [True, False])
def test_stored_values_make_the_same_tokenizer(unit: Unit, lowercase: bool) -> None:
    tokenizer = fit("The cat, é 猫", unit=unit, lowercase=lowercase)
    values = json.loads(json.dumps(tokenizer.to_dict()))
    again = Tokenizer.from_dict(values)
    assert again == tokenizer and again.encode("THE é") == tokenizer.encode("THE é")
    assert ("vocabulary" in values) == (unit != "bytes")


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "letters"},
        {"unit": ["words"]},
        {"unit": None},
        {"vocabulary": []},
        {"vocabulary": "<unknown>"},
        {"vocabulary": {"<unknown>": 0}},
        {"vocabulary": [UNKNOWN, 1]},
        {"vocabulary": [UNKNOWN, None]},
        {"vocabulary": [UNKNOWN, ["a"]]},
        {"vocabulary": [UNKNOWN, "a", "a"]},
        {"vocabulary": ["a", UNKNOWN]},
        {"vocabulary": [UNKNOWN, "ab"], "unit": "characters"},
        {"vocabulary": [UNKNOWN, ""], "unit": "characters"},
    ],
)
def test_stored_values_of_anyone_are_refused(changes: dict[str, Any]) -> None:
    values = {"unit": "words", "lowercase": True, "vocabulary": [UNKNOWN, "a"]}
    assert Tokenizer.from_dict(values).size == 2
    with pytest.raises(TypeError):
        Tokenizer.from_dict(values | changes)


@pytest.mark.parametrize("values", [None, "words", [], 3, {}, {"unit": "words"}, {"unit": "bytes"}])
def test_stored_values_that_are_no_tokenizer(values: Any) -> None:
    with pytest.raises((TypeError, KeyError)):
        Tokenizer.from_dict(values)


def test_a_stored_vocabulary_of_bytes_is_not_looked_at() -> None:
    values = {"unit": "bytes", "lowercase": 1, "vocabulary": ["x"] * 3}
    tokenizer = Tokenizer.from_dict(values)
    assert tokenizer.size == BYTES and tokenizer.lowercase is False


def test_the_pattern_is_short_enough_to_read_and_has_no_character_of_its_own() -> None:
    """It is part of an export, for the regular expressions of other languages."""
    pattern = word_pattern().pattern
    assert pattern.isascii() and len(pattern) < 6000
