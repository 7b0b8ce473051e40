"""Texts as a data set: documents as token ids, each with a class or a number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nnzoo.config.text_options import TextOptions
from nnzoo.data.columns.target import NamedTargets, infer_target
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, row_weights
from nnzoo.data.divide import PartRows, divide
from nnzoo.data.duplicates import content_codes, duplicate_notes
from nnzoo.data.sequences import SequenceSplit
from nnzoo.data.text_files.documents import Documents
from nnzoo.data.text_files.forms import read_documents
from nnzoo.data.text_files.table import target_options
from nnzoo.data.token_ids import Cut, Encoder, TokenCounts, TokenIds, token_notes
from nnzoo.data.tokenizer import Tokenizer
from nnzoo.errors import DataError
from nnzoo.status import status
from nnzoo.text import plural, reworded

Array = np.ndarray[Any, Any]


def load_text(options: TextOptions, spec: DataSpec | None = None) -> Dataset:
    """Read documents in any form; those of `test_path`, or of the folders val/ and test/, are those splits.

    spec: of a checkpoint, whose tokenizer and labels are used; without one both come from the training rows.
    Raises DataError naming the document.
    """
    parts = _read_parts(options)
    notes: list[str] = []
    known = spec or _infer_target_spec(parts["train"], options, notes)
    y = {part: _encode_targets(one, known) for part, one in parts.items()}
    contents = content_codes(
        {part: [text or None for text in one.texts] for part, one in parts.items()}
    )
    divided = {
        part: PartRows(one.source, one.names, one.roles, contents[part])
        for part, one in parts.items()
    }
    division = divide(divided, options, y["train"] if known.is_classification else None)
    rows = division.by_file()
    chosen = {part: parts[file].select(index) for part, (file, index) in rows.items()}
    codes = {part: contents[file][index] for part, (file, index) in rows.items()}
    y = {part: y[file][index] for part, (file, index) in rows.items()}
    ids, tokenizer = _tokenize(chosen, options, known.tokenizer)
    if spec is None:
        longest = int(ids["train"].lengths.max())
        shape = InputSpec("tokens", (longest, 1), True, tokenizer.size)
        known = replace(known, input=shape, tokenizer=tokenizer)
    splits = {
        part: SequenceSplit(
            torch.from_numpy(one.values[:, None]),
            torch.from_numpy(one.offsets),
            torch.from_numpy(y[part]),
            row_weights(division.weights, part),
        )
        for part, one in ids.items()
    }
    of_files = [
        reworded(note, f"{one.source}: {note}")
        if len(parts) > 1 and one.source not in note
        else note
        for one in parts.values()
        for note in one.notes
    ]
    counts = {part: TokenCounts.of(one) for part, one in ids.items()}
    cuts = token_notes(counts, Cut.of(options), tokenizer.unit)
    about = _about(ids, tokenizer)
    repeated = duplicate_notes(codes, y, ("text", "word for word"), within=True)
    notes = [about, *of_files, *notes, *division.notes, *repeated, *cuts]
    names = {part: one.names for part, one in chosen.items()}
    return Dataset(known, dict(splits), notes, cuts=cuts, row_names=names)


@status("reading the texts")
def _read_parts(options: TextOptions) -> dict[str, Documents]:
    """The documents of each part that has a file or folder of its own."""
    parts = read_documents(options.path, options)
    if options.test_path is not None:
        train = parts["train"]
        same: dict[str, Any] = {}
        if train.form == "table":
            # A few rows alone may not show these: they are as in the training file.
            same = {"header": train.header, "text": train.text, "target": train.target}
        read = read_documents(
            options.test_path, options.model_copy(update=same), key="data.test_path"
        )
        if len(read) > 1 or "test" in parts:
            raise DataError.at(
                "data.test_path", "the test texts have a folder of their own here", code="E43"
            )
        parts["test"] = read["train"]
    return parts


def _infer_target_spec(train: Documents, options: TextOptions, notes: list[str]) -> DataSpec:
    """The labels, or the form of the numbers, of the training documents; the input is that of no text yet."""
    import pandas

    column = pandas.Series(train.targets, name=train.target, dtype=object)
    task = options.task if train.form == "table" else "classification"
    described, more = infer_target(column, target_options(options, train.source), task)
    notes += more
    return DataSpec(
        InputSpec("tokens", (1, 1), True),
        described.task,
        described.labels,
        [] if described.labels else [train.target],
        target=train.target,
        target_format=described.format,
        header=train.header,
        width=train.width,
        extra={"form": train.form} | ({} if train.text is None else {"text": train.text}),
    )


def _encode_targets(documents: Documents, spec: DataSpec) -> Array:
    """Classes (documents,) int64 or numbers (documents, 1) float64; raises DataError naming the document."""
    targets = documents.targets or []
    named = NamedTargets(documents.source, targets, documents.names, "document")
    return named.encode(spec.labels, spec.target_format)


@status("cutting the texts into tokens")
def _tokenize(
    parts: dict[str, Documents], options: TextOptions, tokenizer: Tokenizer | None
) -> tuple[dict[str, TokenIds], Tokenizer]:
    """The token ids of each split, and the tokenizer, which is fitted to the training split if there is none."""
    lowercase = options.lowercase if tokenizer is None else tokenizer.lowercase
    unit = options.tokens if tokenizer is None else tokenizer.unit
    encoder = Encoder(unit, lowercase, Cut.of(options), tokenizer)
    ids = {part: encoder.encode_all(one.texts, one.source) for part, one in parts.items()}
    if tokenizer is not None:
        return ids, tokenizer
    fitted = encoder.fit(ids["train"], options.vocabulary, options.min_count)
    if fitted.size < 2:
        raise DataError.at(
            "data.min_count",
            f"{options.path}: no token occurs {options.min_count:,} times in the training texts; lower it",
            code="E51",
        )
    return {part: encoder.renumber(one, fitted) for part, one in ids.items()}, fitted


def _about(ids: dict[str, TokenIds], tokenizer: Tokenizer) -> str:
    lengths = np.concatenate([one.lengths for one in ids.values()])
    low, high = int(lengths.min()), int(lengths.max())
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    kinds = (
        "of bytes"
        if tokenizer.unit == "bytes"
        else f"a vocabulary of {tokenizer.size:,} {tokenizer.unit}"
    )
    half = int(np.median(lengths))
    return f"texts: {plural(len(lengths), 'document')} of {span} tokens, half of them up to {half:,}; {kinds}"
