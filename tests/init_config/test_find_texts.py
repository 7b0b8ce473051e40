"""Which tables and folders are seen as texts: sentences are, ids, names, dates, numbers and categories are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from nnzoo.errors import DataError
from nnzoo.init_config import find_texts
from nnzoo.init_config.find_texts import TextPlan, has_texts, others_note, plan_texts
from nnzoo.init_config.target import Choices

ROWS = 60
FILE = Path("x.csv")
COLUMNS: dict[str, Callable[[int], str]] = {
    "sentence": lambda i: f"what a fine day number {i} this was",
    "review": lambda i: (
        f"it took {i} long and boring hours until this film came to its end at last"
    ),
    "id": lambda i: f"q-{i:05d}",
    "uuid": lambda i: f"{i:08x}-0000-4000-8000-000000000000",
    "name": lambda i: f"Braund {i}, Mr. Owen",
    "address": lambda i: f"{i} Long Main Street Springfield Illinois",
    "category": lambda i: ("a rather long name of a kind", "and another one like it here")[i % 2],
    "short": lambda i: "abc"[i % 3],
    "date": lambda i: f"2026-01-{i % 28 + 1:02d}",
    "long date": lambda i: f"Mon Nov {i % 28 + 1} 17:52:{i:02d} UTC 2026",
    "spoken date": lambda i: f"{i % 28 + 1} March {1990 + i} at 10:{i:02d} pm",
    "number": lambda i: f"{i * 0.37:.2f}",
    "count": lambda i: str(i % 5),
    "vector": lambda i: " ".join(str((i * j) % 255) for j in range(40)),
    "place": lambda i: f"52 31 {i} N 13 24 {i * 2} E",
    "emails": lambda i: f"person{i}@example.com",
    "url": lambda i: f"https://example.com/a/long/path/with/words/{i}",
    "empty": lambda i: "",
    "chinese": lambda i: f"这部电影很好看我非常喜欢它的故事和演员{i}",
}


def table(*names: str) -> pd.DataFrame:
    """A column of texts of each name, as a file is read."""
    return pd.DataFrame({name: [COLUMNS[name](i) for i in range(ROWS)] for name in names})


def plan(*names: str, **choices: object) -> TextPlan | None:
    return plan_texts(table(*names), FILE, Choices(**choices))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["short", "count", "number"])
@pytest.mark.parametrize("text", ["sentence", "review", "chinese"])
def test_sentences_beside_a_target_are_texts(text: str, target: str) -> None:
    texts = plan(text, target)
    assert texts == TextPlan(text, target, "", [], text == "chinese")
    assert plan(target, text) == texts


@pytest.mark.parametrize(
    "column",
    [
        "id",
        "uuid",
        "name",
        "category",
        "short",
        "date",
        "long date",
        "spoken date",
        "number",
        "count",
        "vector",
        "place",
        "emails",
        "url",
        "empty",
    ],
)
@pytest.mark.parametrize("target", ["short", "number"])
def test_other_columns_beside_a_target_are_none(column: str, target: str) -> None:
    if column != target:
        assert plan(column, target) is None


def test_of_several_texts_the_longest_is_read() -> None:
    texts = plan("sentence", "review", "short", "date")
    assert texts is not None and (texts.text, texts.target) == ("review", "short")
    assert texts.others == ["sentence", "date"] and texts.reason
    (line,) = others_note(texts)
    assert line.startswith("not used: 'sentence', 'date'; the network reads the text alone")
    single = plan("review", "short")
    assert single is not None and others_note(single) == []


def test_short_texts_beside_several_inputs_are_part_of_a_table() -> None:
    assert plan("address", "count", "number", "short") is None
    assert plan("sentence", "count", "number", "short") is None
    texts = plan("review", "count", "number", "short")
    assert texts is not None and texts.text == "review"
    # One more column may be anything; ids and dates say nothing.
    assert plan("sentence", "id", "uuid", "date", "short") is not None


def test_a_target_is_named_stated_or_the_last() -> None:
    frame = table("review", "count", "short").rename(columns={"count": "stars"})
    texts = plan_texts(frame, FILE, Choices())
    assert texts is not None and (texts.target, texts.reason) == ("stars", "by its name")
    for stated in ("short", "2", "-1"):
        texts = plan_texts(frame, FILE, Choices([stated]))
        assert texts is not None and (texts.target, texts.reason) == ("short", "")
    with pytest.raises(DataError, match="no column 'shirt'"):
        plan_texts(frame, FILE, Choices(["shirt"]))


def test_columns_that_are_dropped_are_neither_read_nor_named() -> None:
    texts = plan("sentence", "review", "short", "count", drop=["review", "count"])
    assert texts == TextPlan("sentence", "short", "", [], False)
    assert plan("sentence", "short", drop=["short"]) is None
    assert plan("sentence", "short", drop=["0"]) is None
    with pytest.raises(DataError, match="no column 'x'"):
        plan("sentence", "short", drop=["x"])


def test_a_stated_target_is_no_text() -> None:
    texts = plan("review", "sentence", targets=["review"])
    assert texts is not None and (texts.text, texts.target) == ("sentence", "review")
    assert plan("review", "short", targets=["review"]) is None


@pytest.mark.parametrize("column", ["name", "category", "long date", "vector", "url", "id"])
def test_what_is_asked_for_is_read_as_text(column: str) -> None:
    texts = plan(column, "count", kind="text")
    assert texts is not None and (texts.text, texts.target) == (column, "count")


def test_what_cannot_be_read_as_text_says_why() -> None:
    for names in (("count", "number"), ("sentence",), ("empty", "count")):
        with pytest.raises(DataError, match=r"x.csv: --text: no column of text beside a target"):
            plan(*names, kind="text")
    frame = table("sentence", "short").assign(short="a")
    with pytest.raises(DataError, match=r"--text: no target beside the text; name it \(--target\)"):
        plan_texts(frame, FILE, Choices(kind="text"))
    assert plan_texts(frame, FILE, Choices()) is None


def test_gaps_do_not_count() -> None:
    frame = table("sentence", "short")
    frame.loc[frame.index % 2 == 0, "sentence"] = None
    texts = plan_texts(frame, FILE, Choices())
    assert texts is not None and texts.text == "sentence"
    assert plan_texts(frame.iloc[:0], FILE, Choices()) is None


def test_repeated_texts_are_categories_from_half_of_the_rows_on() -> None:
    frame = table("sentence", "short")
    half = [COLUMNS["sentence"](i % (ROWS // 2)) for i in range(ROWS)]
    assert plan_texts(frame.assign(sentence=half), FILE, Choices()) is not None
    fewer = [COLUMNS["sentence"](i % (ROWS // 2 - 1)) for i in range(ROWS)]
    assert plan_texts(frame.assign(sentence=fewer), FILE, Choices()) is None


def test_only_the_first_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_texts, "SAMPLED", 10)
    frame = table("sentence", "short")
    frame.loc[10:, "sentence"] = "x"
    assert plan_texts(frame, FILE, Choices()) is not None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("It was a dark night.\n", True),
        ("1.5 2.5 -3e-5\n4, 5; 6|7\n", False),
        ("time,x\n" + "0.1,0.2\n" * 50, False),
        ("", False),
        (" \n\t", False),
        ("这部电影很好看", True),
        ("a 1", False),
        ("a b 1", True),
    ],
)
def test_a_folder_of_prose_has_texts(content: str, expected: bool, tmp_path: Path) -> None:
    root = tmp_path / "texts"
    root.mkdir()
    for i in range(7):
        (root / f"{i}.txt").write_text(content, encoding="utf-8")
    assert has_texts(root) is expected


def test_folders_of_few_texts_or_more_images_have_none(tmp_path: Path) -> None:
    root = tmp_path / "texts"
    (root / "a").mkdir(parents=True)
    assert not has_texts(root)
    (root / "a" / "1.txt").write_text("one text is none")
    assert not has_texts(root)
    (root / "2.text").write_text("two are some")
    assert has_texts(root)
    for i in range(2):
        (root / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert not has_texts(root)


def test_most_of_the_sampled_files_decide(tmp_path: Path) -> None:
    root = tmp_path / "texts"
    root.mkdir()
    for i in range(10):
        (root / f"{i}.txt").write_text("1 2 3" if i < 4 else "some words")
    assert has_texts(root)  # of 0, 2, 4, 6 and 8 three are prose
    (root / "4.txt").write_text("1 2 3")
    assert not has_texts(root)


def test_files_that_cannot_be_opened_are_no_prose(tmp_path: Path) -> None:
    assert not find_texts._is_prose(str(tmp_path / "none.txt"))
    assert not find_texts._is_prose(str(tmp_path))
