"""The same documents in every form that is read."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = tuple[str, str]
GOOD, BAD = "great lovely fine superb", "awful dull poor boring"
COMMON = "the film was a story of people, and its end came late"


def some_documents(count: int = 60, seed: int = 0) -> list[Document]:
    """Texts of 4 to 20 words with their class, "neg" or "pos", all different."""
    rng = random.Random(seed)
    documents = []
    for i in range(count):
        label = "pos" if i % 2 else "neg"
        words = rng.choices(COMMON.split(), k=rng.randint(2, 18))
        words += rng.choices((GOOD if i % 2 else BAD).split(), k=2)
        rng.shuffle(words)
        documents.append((f"{' '.join(words)} {i}", label))
    return documents


def write_csv(path: Path, documents: list[Document]) -> dict[str, Any]:
    file = path / "texts.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerows([("review", "label"), *documents])
    return {"path": str(file)}


def write_tsv(path: Path, documents: list[Document]) -> dict[str, Any]:
    """Label, tab, text, without a header."""
    file = path / "texts.tsv"
    lines = [f"{label}\t{text}\n" for text, label in documents]
    file.write_text("".join(lines), encoding="utf-8")
    return {"path": str(file)}


def write_parquet(path: Path, documents: list[Document]) -> dict[str, Any]:
    import pandas

    file = path / "texts.parquet"
    pandas.DataFrame(documents, columns=["review", "label"]).to_parquet(file)
    return {"path": str(file)}


def write_folder(path: Path, documents: list[Document]) -> dict[str, Any]:
    """A folder per class with a .txt per document."""
    root = path / "folder"
    for i, (text, label) in enumerate(documents):
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{i}.txt").write_text(text, encoding="utf-8")
    return {"path": str(root)}


def write_lines(path: Path, documents: list[Document]) -> dict[str, Any]:
    """A file per class with a line per document."""
    root = path / "lines"
    root.mkdir(parents=True, exist_ok=True)
    for text, label in documents:
        with (root / f"{label}.txt").open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    return {"path": str(root)}


WRITERS: dict[str, Callable[[Path, list[Document]], dict[str, Any]]] = {
    "csv": write_csv,
    "tsv": write_tsv,
    "parquet": write_parquet,
    "folder": write_folder,
    "lines": write_lines,
}
