"""A first configuration for running text: a language model of characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unicodedata import category

from nnzoo.config.formatting import quote_yaml
from nnzoo.data.corpus_files import read_corpus
from nnzoo.errors import DataError
from nnzoo.init_config.config_text import ConfigText, comment_lines, join_sections
from nnzoo.text import Note

SUFFIXES = (".txt", ".md", ".rst")
HEAD_BYTES = 20_000
LONG = 200_000
"""Characters from which a text is worth a network of 256 units."""
TRAINED = 15_000_000
"""Characters that are read in all epochs together, of a text of ordinary length."""
MAX_EPOCHS = 60


def is_running_text(path: Path) -> bool:
    """Whether a file is prose by its name and its first lines, not a table or numbers."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            lines = file.read(HEAD_BYTES).decode("utf-8", "replace").splitlines()[:-1]
    except OSError:
        return False
    lines = [line for line in lines if line.strip()]
    # Letters and marks: half of a Hindi word are vowel signs.
    letters = sum(category(char)[0] in "LM" for line in lines for char in line)
    is_prose = letters > sum(map(len, lines)) / 2
    is_table = any({line.count(mark) for line in lines} in ({1}, {2}, {3}) for mark in "\t;|,")
    return len(lines) > 1 and is_prose and not is_table


def corpus_config(path: Path, config_path: str) -> ConfigText:
    """The configuration of a language model; also where it cannot train yet: comments say why."""
    lines = ["data:", "  name: corpus", f"  path: {quote_yaml(config_path)}"]
    try:
        text, notes = read_corpus(str(path), "characters")
    except DataError as error:
        text, notes = "", [Note("N48", f"cannot train yet: {error}")]
    size = len(text)
    window, batch_size = (128, 64) if size >= LONG else (64, 16)
    lines += [
        f"  window: {window}",
        *comment_lines(notes),
    ]
    epochs = max(3, min(MAX_EPOCHS, round(TRAINED / max(size, 1))))
    recipe: dict[str, dict[str, Any]] = {
        "model": {
            "name": "lstm",
            "hidden_size": 256 if size >= LONG else 128,
            "embedding": 64,
            "dropout": 0.2,
        },
        "optim": {"name": "adam", "lr": 0.008, "schedule": "one_cycle", "clip": {"norm": 1.0}},
        "train": {"epochs": epochs, "batch_size": batch_size},
    }
    kinds = f"{size:,} characters of {len(set(text)):,} kinds"
    about = f"{path.resolve().name}: running text, {kinds}; each is predicted from those before it."
    return ConfigText(
        about, join_sections(lines, recipe), [Note("N47", f"read as running text: {kinds}"), *notes]
    )
