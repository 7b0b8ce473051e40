"""A first configuration for texts: documents, each with a class or a number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnzoo.config.formatting import quote_yaml
from nnzoo.config.text_options import TextOptions
from nnzoo.errors import DataError
from nnzoo.init_config.config_text import ConfigText, DataFile, comment_lines, join_sections
from nnzoo.init_config.find_recordings import test_part_beside
from nnzoo.init_config.find_texts import TextPlan, others_note
from nnzoo.init_config.group import part_line
from nnzoo.init_config.target import Choices
from nnzoo.text import Note, list_some, quoted_name

if TYPE_CHECKING:
    from nnzoo.data.dataset import Dataset

# Tokens of half of the documents, above which a bag of words does as well as a network that sees their order.
LONG = 100
# Tokens that a network of convolutions reads of a document.
MAX_LENGTH = 400


def text_config(
    path: Path,
    config_path: str,
    choices: Choices,
    plan: TextPlan | None = None,
    file: DataFile | None = None,
) -> ConfigText:
    """The configuration of texts; plan, file: of the table that they are in, if it is one.

    Also where it cannot train yet: comments say why.
    """
    head = ["data:", "  name: text", f"  path: {quote_yaml(config_path)}"]
    options: dict[str, Any] = {}
    lines, notes = list[str](), list[str]()
    if file is not None and plan is not None:
        head = file.head_lines("text")
        lines = _column_lines(file, plan, options)
        notes.append(Note("N47", f"read as texts, one per row: {quoted_name(plan.text)}"))
        if plan.reason:
            target = f"target: '{plan.target}', {plan.reason} (--target NAME for another)"
            notes.append(Note("N01", target))
        notes += others_note(plan)
        if plan.part is not None:
            options["split"] = {"column": plan.part}
            lines += ["  split:", part_line(plan.part)]
            notes.append(Note("N47", f"split: as the column '{plan.part}' says"))
    other = test_part_beside(path) if file is not None else None
    if other is not None:
        options["test_path"] = str(other)
        test_path = os.path.join(os.path.dirname(config_path), other.name)
        head.append(f"  test_path: {quote_yaml(test_path)}    # the test part")
        notes.append(Note("N47", f"test_path: {other.name}, the test part"))
    if choices.task is not None:
        options["task"] = choices.task
        lines.append(f"  task: {choices.task}")
    if plan is not None and plan.unspaced:
        options["tokens"] = "characters"
        lines.append("  tokens: characters    # no blanks between words")
    dataset, refusal = _try_loading(path, options)
    refused = [Note("N48", f"cannot train yet: {refusal}")]
    from_data = refused if dataset is None else dataset.notes[1:]
    lines += _length_lines(dataset)
    lines += comment_lines(from_data)
    about = _about(path, dataset)
    # The notes of the file are on the terminal already.
    known = tuple(file.table.notes) if file is not None else ()
    notes += [
        one for one in from_data if not one.endswith(known) and not one.startswith("not used")
    ]
    return ConfigText(about, join_sections([*head, *lines], text_recipe(dataset)), notes)


def _column_lines(file: DataFile, plan: TextPlan, options: dict[str, Any]) -> list[str]:
    """The lines `text` and `target` of a table; options: those of reading it are put there."""
    lines = []
    options |= {"header": file.header, "encoding": file.reading.encoding}
    columns = list(file.table.frame.columns)
    for key, name in (("text", plan.text), ("target", plan.target)):
        options[key] = name if file.table.named else columns.index(name)
        value = quote_yaml(name) if file.table.named else str(options[key])
        comment = f"    # {plan.reason}" * bool(plan.reason and key == "target")
        lines.append(f"  {key}: {value}{comment}")
    return lines


def _try_loading(path: Path, options: dict[str, Any]) -> tuple[Dataset | None, str]:
    """The data as training reads it, or why it cannot."""
    from nnzoo.data.text import load_text

    try:
        options = {"name": "text", "path": str(path), **options}
        return load_text(TextOptions.model_validate(options)), ""
    except DataError as error:
        return None, str(error)


def _about(path: Path, dataset: Dataset | None) -> str:
    if dataset is None:
        return f"{path.resolve().name}: texts."
    count = dataset.notes[0].removeprefix("texts: ")
    spec = dataset.spec
    target = "a number"
    if spec.is_classification:
        target = f"{len(spec.labels)} classes ({list_some(spec.labels, 6)})"
    return f"{path.resolve().name}: {count}; the target is {target}."


def _is_long(dataset: Dataset | None) -> bool:
    """Whether half of the training documents have many tokens."""
    if dataset is None:
        return True
    lengths = dataset.splits["train"].lengths
    assert lengths is not None
    return float(np.median(lengths.numpy())) > LONG


def _length_lines(dataset: Dataset | None) -> list[str]:
    """The limit of a document's length where a network of convolutions would need much memory for few of them."""
    if dataset is None or _is_long(dataset) or dataset.spec.input.shape[0] <= MAX_LENGTH:
        return []
    return [f"  max_length: {MAX_LENGTH}    # of each document; half of them are much shorter"]


def text_recipe(dataset: Dataset | None) -> dict[str, dict[str, Any]]:
    """The sections `model`, `optim` and `train`, chosen on validation rows (docs/text.md): a mean of embeddings for
    long documents, which all its words decide; convolutions of several sizes for short ones."""
    rows = 0 if dataset is None else len(dataset.splits["train"])
    validates = dataset is None or "val" in dataset.splits
    batch = 32 if rows < 10_000 else 64
    if _is_long(dataset):
        model: dict[str, Any] = {
            "name": "mlp",
            "hidden": [],
            "embedding": {"size": 64, "dropout": 0.7},
        }
        lr, epochs, patience = 0.005, 20 if rows < 10_000 else 10, 2
    else:
        model = {
            "name": "cnn",
            "embedding": {"size": 64, "dropout": 0.2},
            "channels": [64],
            "branches": [3, 4, 5],
            "pool": "none",
            "head": {"pooling": "max", "dropout": 0.5},
        }
        lr, epochs, patience = 0.002, 15, 4
    stop: dict[str, Any] = {"early_stopping": {"patience": patience}} if validates else {}
    return {
        "model": model,
        "optim": {"name": "adam", "lr": lr},
        "train": {"epochs": epochs, "batch_size": batch, **stop},
    }
