"""Texts as a data set: the same in every form, the vocabulary of training rows, cut, counted and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.config.text_options import TextOptions
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.text import load_text
from nnzoo.errors import DataError
from tests.data.text_files.writing import (
    WRITERS,
    Document,
    some_documents,
    write_csv,
    write_folder,
    write_lines,
)
from tests.zoo import begin, config, finish

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "text"


def load(spec: DataSpec | None = None, **options: Any) -> Dataset:
    return load_text(TextOptions(name="text", **options), spec)


def texts_of(data: Dataset, part: str) -> list[tuple[str, int]]:
    """The decoded texts and classes of a split, sorted."""
    split, tokenizer = data.splits[part], data.spec.tokenizer
    assert tokenizer is not None
    inputs, y = split.batch(torch.arange(len(split)))
    rows = [
        tokenizer.decode(row[:length].flatten().tolist())
        for row, length in zip(inputs.values, inputs.lengths, strict=True)
    ]
    return sorted(zip(rows, y.tolist(), strict=True))


@pytest.mark.parametrize("form", WRITERS)
def test_the_same_documents_in_any_form_are_the_same_texts(form: str, tmp_path: Path) -> None:
    documents = some_documents()
    split: dict[str, Any] = {"split": {"val": 0, "test": 0}, "min_count": 1}
    data = load(**WRITERS[form](tmp_path, documents), **split)
    reference = load(**write_csv(tmp_path, documents), **split)
    assert data.spec.labels == ["neg", "pos"] and data.spec.task == "classification"
    assert data.spec.input == reference.spec.input
    assert data.spec.input.kind == "tokens" and data.spec.input.variable_length
    assert texts_of(data, "train") == texts_of(reference, "train")
    assert DataSpec.from_dict(data.spec.to_dict()) == data.spec


def test_parts_with_folders_of_their_own(tmp_path: Path) -> None:
    documents = some_documents()
    for write in (write_folder, write_lines):
        root = tmp_path / write.__name__
        for part, rows in (
            ("train", documents[:40]),
            ("val", documents[40:50]),
            ("test", documents[50:]),
        ):
            write(tmp_path / "x", rows)
            made = next((tmp_path / "x").iterdir())
            root.mkdir(exist_ok=True)
            made.rename(root / part)
        (root / "train" / ".DS_Store").write_text("")
        (root / "notes").mkdir()
        (root / "notes" / "a.txt").write_text("x")
        data = load(path=str(root))
        assert {part: len(split) for part, split in data.splits.items()} == {
            "train": 40,
            "val": 10,
            "test": 10,
        }
        assert any("neither train, val nor test" in note for note in data.notes)
        assert any("hidden or system" in note for note in data.notes)


def test_no_test_or_validation_row_changes_vocabulary_or_training_rows(tmp_path: Path) -> None:
    documents = some_documents()
    before = load(**write_csv(tmp_path, documents))
    held_out = {*before.row_names["val"], *before.row_names["test"]}
    poisoned: list[Document] = [
        (f"{'poison ' * 30}{i}", label) if f"data row {i + 1}" in held_out else (text, label)
        for i, (text, label) in enumerate(documents)
    ]
    after = load(**write_csv(tmp_path, poisoned))
    assert after.spec.input == before.spec.input
    assert after.spec.tokenizer == before.spec.tokenizer
    for one, other in zip(
        after.splits["train"].tensors(), before.splits["train"].tensors(), strict=True
    ):
        assert torch.equal(one, other)
    assert not torch.equal(after.splits["test"].tensors()[0], before.splits["test"].tensors()[0])


@pytest.mark.parametrize("model", ["mlp", "cnn", "gru"])
def test_no_test_or_validation_row_changes_a_bit_of_the_weights(model: str, tmp_path: Path) -> None:
    """The weights after all epochs: which ones are the best is for validation rows to say."""
    documents = some_documents()
    options = write_csv(tmp_path, documents)
    held_out = load(**options).row_names
    rows = {*held_out["val"], *held_out["test"]}
    weights = []
    for poison in ("", "unheard words and more of them "):
        changed = [
            (f"{poison}{text}" if f"data row {i + 1}" in rows else text, label)
            for i, (text, label) in enumerate(documents)
        ]
        data = {"name": "text", **write_csv(tmp_path, changed)}
        network = {"name": model, "embedding": 8}
        network |= {"head": {"pooling": "max"}} if model == "cnn" else {}
        chosen = config(network, data, train={"epochs": 2})
        finish(begin(chosen, fresh=True))
        stored = torch.load("out/run/last.pt", weights_only=True)
        weights.append((stored["model"], stored["data"]["spec"]["tokenizer"]))
    (one, tokens), (other, other_tokens) = weights
    assert tokens == other_tokens and set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_spec_brings_its_vocabulary_and_labels(tmp_path: Path) -> None:
    first = load(**write_csv(tmp_path, some_documents()))
    other = load(first.spec, **write_csv(tmp_path, some_documents(30, seed=1)), tokens="characters")
    assert other.spec == first.spec
    with pytest.raises(
        DataError, match="data row 3 has the label 'other' that no training document"
    ):
        documents = some_documents(10)
        documents[2] = ("x", "other")
        load(first.spec, **write_csv(tmp_path, documents))


def test_numbers_as_target(tmp_path: Path) -> None:
    documents = [(text, f"{i * 0.37:.2f}") for i, (text, _) in enumerate(some_documents())]
    data = load(**write_csv(tmp_path, documents))
    assert data.spec.task == "regression" and data.spec.targets == ["label"]
    assert data.splits["train"].targets().dtype == torch.float64


def test_notes_on_unknown_cut_empty_and_repeated_texts(tmp_path: Path) -> None:
    documents = [*some_documents(), ("", "pos"), ("  ", "neg"), *some_documents(6)]
    options = write_csv(tmp_path, documents)
    data = load(**options, max_length=5, keep="both", split={"val": 0, "test": 0})
    assert int(data.splits["train"].lengths.max()) == 5  # type: ignore[union-attr]
    assert [note.split(" (")[0] for note in data.cuts] == [
        "tokens that are not in the vocabulary",
        "cut to the first and last 5 tokens",
        "texts without any token, read as one <unknown>: train 2",
    ]
    assert "of the documents" in data.cuts[1]
    assert any(note.startswith("6 texts repeat another word for word") for note in data.notes)
    (tmp_path / "test").mkdir()
    test = write_csv(tmp_path / "test", documents[:4])
    data = load(**options, test_path=test["path"], split={"val": 0})
    assert any(
        "equal a training text word for word: 4 of 4 test texts" in note for note in data.notes
    )


def test_rows_without_a_target_are_left_out_with_a_note(tmp_path: Path) -> None:
    data = load(**write_csv(tmp_path, [*some_documents(20), ("a text", "")]))
    assert any("1 of 21 rows have no target 'label'" in note for note in data.notes)
    assert sum(map(len, data.splits.values())) == 20


def test_groups_stay_together_and_other_columns_are_named(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    rows = [
        f"{text.replace(',', '')},{label},{i // 6}"
        for i, (text, label) in enumerate(some_documents())
    ]
    file.write_text("\n".join(["text,label,author", *rows]))
    data = load(path=str(file))
    assert any(note.startswith("not used: 'author'") for note in data.notes)
    data = load(path=str(file), split={"group": "author"})
    rows_of = {
        part: {(int(name.split()[-1]) - 1) // 6 for name in names}
        for part, names in data.row_names.items()
    }
    assert not rows_of["train"] & rows_of["test"] and not any(
        "not used" in note for note in data.notes
    )


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("text,a,b\nxx yy,1,2\nzz ww,3,4\n", {}, "which of 2 columns is the target"),
        ("text\nxx yy\nzz ww\n", {}, "has one column, 'text', and no target"),
        ("text,label\nxx yy,a\nzz ww,b\n", {"text": "words"}, "no column 'words'"),
        (
            "text,label\nxx yy,a\nzz ww,b\nvv,a\nuu,b\n",
            {"split": {"val": 0, "test": 0}},
            "no token occurs 2 times",
        ),
        ("1,2\n3,4\n", {}, "has no column of text"),
    ],
)
def test_tables_that_cannot_be_read(
    text: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load(path=str(tmp_path / "x.csv"), **options)


@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared/data")
def test_messages_with_quotes_in_a_file_of_tabs() -> None:
    data = load(path=str(SHARED / "sms.tsv"))
    assert sum(map(len, data.splits.values())) == 5574 and data.spec.labels == ["ham", "spam"]
    assert "quotes are read as they are: they do not enclose values" in data.notes
    assert any(note.startswith("403 texts repeat another word for word") for note in data.notes)


def test_columns_decide_the_part_and_the_weight_of_each_text(tmp_path: Path) -> None:
    documents = some_documents(30)
    lines = [
        f'"{text}",{label},{2000 + i * 7 % 30},{("train", "dev", "test")[i % 3]},{1 + i % 2}'
        for i, (text, label) in enumerate(documents)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["text,label,year,part,w", *lines]))
    path: dict[str, Any] = {"path": str(tmp_path / "t.csv"), "target": "label", "text": "text"}
    data = load(**path, split={"by": "year", "val": 5, "test": 5}, weight="w")
    rows = {
        part: [int(name.split()[-1]) - 1 for name in names]
        for part, names in data.row_names.items()
    }
    assert sorted(row * 7 % 30 for row in rows["test"]) == list(range(25, 30))
    weights = data.splits["train"].weights
    assert weights is not None and weights.tolist() == [1 + row % 2 for row in rows["train"]]
    assert not any("not used: 'year'" in note for note in data.notes)
    data = load(**path, split={"column": "part"}, test_path=None)
    assert [len(data.splits[part]) for part in ("train", "val", "test")] == [10, 10, 10]
    whole = [*lines, *lines[:9]]
    (tmp_path / "t.csv").write_text("\n".join(["text,label,year,part,w", *whole]))
    data = load(**path, split={"duplicates": "together"})
    assert not any("equal a training text" in note for note in data.notes)
    data = load(**path, split={"duplicates": "drop"})
    assert sum(map(len, data.splits.values())) == len({text for text, _ in documents})
