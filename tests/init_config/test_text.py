"""`nnzoo init` on texts: a column of long, different values beside a target, folders of .txt files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nnzoo.config.load import load_config
from tests.conftest import Result
from tests.data.text_files.writing import (
    WRITERS,
    some_documents,
    write_folder,
    write_lines,
    write_tsv,
)

NNZOO = Callable[..., Result]


def init(nnzoo: NNZOO, *words: str) -> tuple[Any, str]:
    """The config that init writes, and its notes."""
    result = nnzoo("init", words[0], "made.yaml", "--force", *words[1:])
    assert result.code == 0, result.err
    return load_config("made"), result.err


def write(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with open("t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


@pytest.mark.parametrize("form", WRITERS)
def test_each_form_is_found_and_trains(form: str, nnzoo: NNZOO, own_folder: Path) -> None:
    path = WRITERS[form](own_folder, some_documents())["path"]
    config, notes = init(nnzoo, Path(path).name)
    assert config.data.name == "text", notes
    trained = nnzoo("train", "--config", "made", "-s", "train.epochs=1")
    assert trained.code == 0, trained.err
    if form == "csv":
        assert (config.data.text, config.data.target) == ("review", "label")
        assert "read as texts, one per row: 'review'" in notes
    if form == "tsv":
        assert (config.data.text, config.data.target, config.data.header) == (1, 0, False)


def test_ids_and_other_columns_are_named_as_not_used(nnzoo: NNZOO, own_folder: Path) -> None:
    texts = some_documents()
    write(
        ["id", "review", "stars", "country"],
        [[i, text, i % 5, ["de", "fr", "it"][i % 3]] for i, (text, _) in enumerate(texts)],
    )
    config, notes = init(nnzoo, "t.csv")
    assert (config.data.name, config.data.text, config.data.target) == ("text", "review", "stars")
    assert "not used: 'id', 'country'; the network reads the text alone" in notes
    config, _ = init(nnzoo, "t.csv", "--target", "country")
    assert config.data.target == "country"
    assert init(nnzoo, "t.csv", "--table", "--target", "stars")[0].data.name == "csv"


def test_names_addresses_and_categories_make_no_texts(nnzoo: NNZOO, own_folder: Path) -> None:
    rows = [
        [
            f"Braund {i}, Mr. Owen",
            "a very common long category text",
            i * 7 % 50,
            i % 3,
            "ab"[i % 2],
        ]
        for i in range(60)
    ]
    write(["name", "kind", "age", "class_", "survived"], rows)
    assert init(nnzoo, "t.csv")[0].data.name == "csv"
    write(
        ["address", "age", "rooms", "price"],
        [[f"{i} Long Main Street Springfield Illinois", i % 9, i % 4, i * 3.7] for i in range(60)],
    )
    assert init(nnzoo, "t.csv")[0].data.name == "csv"
    assert init(nnzoo, "t.csv", "--text")[0].data.name == "text"
    write(["x", "y"], [[i, i * 2] for i in range(30)])
    result = nnzoo("init", "t.csv", "made.yaml", "--force", "--text")
    assert result.code == 3 and "--text: no column of text beside a target" in result.err


def test_words_without_blanks_are_characters(nnzoo: NNZOO, own_folder: Path) -> None:
    write(
        ["text", "label"],
        [[f"这部电影很好看我非常喜欢它的故事和演员{i}", "ab"[i % 2]] for i in range(40)],
    )
    config, _ = init(nnzoo, "t.csv")
    assert config.data.name == "text" and config.data.tokens == "characters"


def test_the_test_part_is_found_by_its_name(nnzoo: NNZOO, own_folder: Path) -> None:
    for part in ("train", "test"):
        write(["review", "label"], some_documents(40))
        Path("t.csv").rename(f"x-{part}.csv")
    config, notes = init(nnzoo, "x-train.csv")
    assert config.data.test_path.endswith("x-test.csv") and "test_path: x-test.csv" in notes


def test_long_documents_get_a_bag_of_words_and_short_ones_convolutions(
    nnzoo: NNZOO, own_folder: Path
) -> None:
    documents = some_documents(40)
    write(["review", "label"], documents)
    assert init(nnzoo, "t.csv")[0].model.name == "cnn"
    write(["review", "label"], [*documents, ("word " * 2000, "pos")])
    assert init(nnzoo, "t.csv")[0].data.max_length == 400
    write(["review", "label"], [(text + " and so on" * 60, label) for text, label in documents])
    assert init(nnzoo, "t.csv")[0].model.name == "mlp"


def test_folders_of_numbers_are_recordings_and_of_prose_texts(
    nnzoo: NNZOO, own_folder: Path
) -> None:
    write_folder(own_folder, some_documents(20))
    assert init(nnzoo, "folder")[0].data.name == "text"
    write_lines(own_folder, some_documents(20))
    assert init(nnzoo, "lines")[0].data.name == "text"
    for label in "ab":
        Path("numbers", label).mkdir(parents=True)
        for i in range(4):
            Path("numbers", label, f"{i}.txt").write_text("0.5,1.5\n" * 9)
    assert init(nnzoo, "numbers")[0].data.name == "recordings"


def test_texts_that_cannot_train_yet_say_why(nnzoo: NNZOO, own_folder: Path) -> None:
    write(["review", "label"], [(text, "same") for text, _ in some_documents(30)])
    result = nnzoo("init", "t.csv", "--text", "--target", "label")
    assert "cannot train yet: " in result.err and "one class" in result.err


def test_quotes_between_tabs_are_raw_in_texts_alone(nnzoo: NNZOO, own_folder: Path) -> None:
    Path("t.tsv").write_text("".join(f'{i}\t"a"b\t{i % 2}\n' for i in range(20)))
    assert "quotes are read as they are" not in nnzoo("init", "t.tsv").err
    documents = [('"so" it goes and goes on ' + text, label) for text, label in some_documents()]
    write_tsv(own_folder, documents)
    config, notes = init(nnzoo, "texts.tsv")
    assert config.data.name == "text" and "quotes are read as they are" in notes
