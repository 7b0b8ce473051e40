"""Forms of dates: which form a text has, and its parts."""

from __future__ import annotations

import re

import pytest

from nnzoo.data.timestamps.date_formats import FORMS, plain


def matches(text: str) -> dict[str, re.Match[str]]:
    by_form: dict[str, re.Match[str]] = {}
    for form, patterns in FORMS.items():
        for pattern in patterns:
            if match := pattern.fullmatch(text):
                by_form.setdefault(form, match)
    return by_form


@pytest.mark.parametrize(
    ("text", "form", "parts"),
    [
        ("2021-06-18", "year first", {"year": "2021", "month": "06", "day": "18"}),
        ("20210618", "year first", {"year": "2021", "month": "06", "day": "18"}),
        ("2021年6月18日", "year first", {"year": "2021", "month": "6", "day": "18"}),
        ("18.06.2021", "three", {"a": "18", "b": "06", "c": "2021"}),
        ("2021M06", "month", {"year": "2021", "month": "06"}),
        ("18. Juni 2021", "named", {"day": "18", "word": "Juni", "year": "2021"}),
        ("June 3rd, 2021", "named", {"day": "3", "word": "June", "year": "2021"}),
        ("Jun-21", "named month", {"word": "Jun", "year": "21"}),
        ("2021 Q3", "quarter", {"year": "2021", "quarter": "3"}),
        ("2021-W07-3", "week", {"year": "2021", "week": "07", "weekday": "3"}),
    ],
)
def test_a_date_has_a_form_and_its_parts(text: str, form: str, parts: dict[str, str]) -> None:
    groups = matches(text)[form].groupdict()
    assert {name: groups[name] for name in parts} == parts


def test_a_time_of_day_may_follow_any_date() -> None:
    match = matches("2021-06-18T09:30:05.25+02:00")["year first"]
    assert match.group("hour", "minute", "second", "fraction", "zone") == (
        "09",
        "30",
        "05",
        ".25",
        "+02:00",
    )
    assert matches("18/06/2021 9:30 pm")["three"]["half"] == "p"


@pytest.mark.parametrize("text", ["", "2021", "3.14", "18-06/2021", "2021-Q5", "hello"])
def test_what_is_no_date_has_no_form(text: str) -> None:
    assert matches(text) == {}


def test_words_are_compared_in_small_letters_without_accents() -> None:
    assert plain("FÉVRIER") == plain("février") == "fevrier"
    assert plain("März") == "marz"
