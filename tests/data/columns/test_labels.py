"""Labels: which texts are one, which stay apart, and what the notes report."""

from __future__ import annotations

import pytest

from nnzoo.data.columns.labels import LabelIndex, clean_label, merge_labels, merge_notes


def merged(*texts: str, verbatim: bool = False) -> dict[str, str]:
    return merge_labels(dict.fromkeys(texts, 1), verbatim).of


def test_blanks_invisible_marks_and_unicode_forms_never_count() -> None:
    assert clean_label("\u200b  cafe\u0301\ufeff ") == "café"
    assert merged("yes", " yes ", verbatim=True) == {"yes": "yes", " yes ": "yes"}


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (("Yes", "Yes ", "yes", "YES"), "Yes"),
        (("New York", "new  york", "New York"), "New York"),
        (("1.0", "1", "01", "+1"), "1"),
        (("0", "-0", "0.00", ".0"), "0"),
    ],
)
def test_spellings_of_a_word_or_number_are_one(texts: tuple[str, ...], label: str) -> None:
    rows: dict[str, int] = {}
    for text in texts:
        rows[text] = rows.get(text, 0) + 1
    assert set(merge_labels(rows).of.values()) == {label}
    assert len(merge_labels(rows, verbatim=True).names) > 1, "as the caller asks for"


def test_the_most_frequent_spelling_names_a_label_and_ties_are_sorted() -> None:
    assert merge_labels({"cat": 1, "Cat": 5}).names == ["Cat"]
    assert merge_labels({"cat": 2, "Cat": 2}).names == ["Cat"]


def test_single_letters_differ_by_case_unless_they_abbreviate_two_words() -> None:
    letters = merge_labels({"a": 3, "A": 3, "b": 1})
    assert sorted(letters.names) == ["A", "a", "b"] and letters.apart == [("A", "a")]
    assert merged("y", "n", "N") == {"y": "y", "n": "N", "N": "N"}
    assert merged("1e3", "1000") == {"1e3": "1e3", "1000": "1000"}, "no number as people write it"


def test_a_code_is_found_for_other_spellings_but_not_for_an_ambiguous_one() -> None:
    index = LabelIndex(["No", "Yes", "7"])
    assert [index.code(text) for text in ("Yes", " YES", "no", "7.0", "maybe", "")] == [
        1,
        1,
        0,
        2,
        -1,
        -1,
    ]
    apart = LabelIndex(["ab", "AB"])
    assert [apart.code(text) for text in ("ab", "AB", "Ab")] == [0, 1, -1]
    assert LabelIndex(["y", "n"]).code("Y") == 0 and LabelIndex(["a", "b"]).code("A") == -1


def test_notes_name_what_was_merged_and_what_was_not() -> None:
    color = merge_labels({"Red": 3, "red": 1, "a": 1, "A": 2})
    (one, two) = merge_notes({"color": color}, "categories")
    assert one == "categories typed in several ways are read as one: 'red' as 'Red' in 'color'"
    assert two == "differ by case alone, and are not one: 'A' and 'a' in 'color'"
    (classes,) = merge_notes({"y": merge_labels({"Red": 3, "red": 1})}, "classes")
    assert classes.endswith("'red' as 'Red' (data.categories: [y] keeps them)")
    assert merge_notes({"y": merge_labels({"a": 1, "b": 1})}, "classes") == []
