"""Vectors of words from a file, in the text format of GloVe or fastText, from which an embedding starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nnzoo.config.model_options import EmbeddingOptions
from nnzoo.config.options import MAX_MAGNITUDE
from nnzoo.data.table_files.file_format import find_source
from nnzoo.data.tokenizer import Tokenizer
from nnzoo.errors import ConfigError, DataError
from nnzoo.text import plural, shorten

Array = np.ndarray[Any, Any]
KEY = "model.embedding.vectors"
# Bytes of a line; the longest vectors that are published have 1,024 numbers.
MAX_LINE = 1 << 20


@torch.no_grad()
def load_vectors(model: nn.Module, options: EmbeddingOptions, tokenizer: Tokenizer) -> str:
    """Set the rows of a network's embedding to the vectors of a file, and return a note; tokens that the file lacks
    keep their random ones.

    Raises ConfigError for a file that is missing or of vectors of another size, DataError naming a line that is none.
    """
    assert options.vectors is not None
    if tokenizer.unit == "bytes":
        raise ConfigError.at(KEY, "is for words and characters; data.tokens is bytes", code="E21")
    ids, vectors = read_vectors(options.vectors, tokenizer, options.size)
    known = tokenizer.size - 1
    if not len(ids):
        raise ConfigError.at(
            KEY,
            f"{options.vectors} has none of the {plural(known, 'token')} of the vocabulary",
            code="E21",
        )
    embedding = next(module for module in model.modules() if isinstance(module, nn.Embedding))
    weight = embedding.weight
    weight[torch.from_numpy(ids).to(weight.device)] = torch.from_numpy(vectors).to(weight)
    return (
        f"{options.vectors}: vectors of {len(ids):,} of {plural(known, 'token')}; the other {known - len(ids):,} start "
        "at random"
    )


def read_vectors(path: str, tokenizer: Tokenizer, size: int) -> tuple[Array, Array]:
    """The ids (found,) int64 of the tokens that a file has, and their vectors (found, size) float32.

    With a tokenizer in lower case the first spelling of a word counts. Memory is that of the vocabulary.
    """
    rows: dict[int, Array] = {}
    ids = tokenizer.ids
    for number, line in _lines(path):
        parts = line.split(b" ")
        if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
            _check_size(path, int(parts[1]), size)
            continue
        if number == 1:
            _check_size(path, len(parts) - 1, size)
        # A few words of GloVe have blanks in them.
        word, *values = line.rsplit(b" ", size)
        token = word.decode("utf-8", "replace")
        id_ = ids.get(token.lower() if tokenizer.lowercase else token, 0)
        if len(values) == size and (not id_ or id_ in rows):
            continue
        vector = _numbers(values)
        if len(values) != size or vector is None:
            raise DataError.at(
                KEY,
                f"{path}:{number}: expected a word and {plural(size, 'number')}, got '{shorten(line.decode('utf-8', 'replace'))}'",
                code="E21",
            )
        rows[id_] = vector
    known = np.array(sorted(rows), dtype=np.int64)
    vectors = [rows[id_] for id_ in known.tolist()]
    return known, np.stack(vectors) if vectors else np.zeros((0, size), dtype=np.float32)


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, without their ends, and their numbers."""
    if not Path(path).is_file():
        raise ConfigError.at(KEY, f"no file {path}", code="E21")
    try:
        source = find_source(Path(path), bounded=False)
        if source.format != "text":
            raise DataError.at(
                KEY, f"{path} is no text; expected a word and its numbers per line", code="E21"
            )
        with closing(source.open()) as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE:
                    raise DataError.at(
                        KEY, f"{path}:{number}: a line of more than {MAX_LINE:,} bytes", code="E21"
                    )
                if stripped := line.rstrip():
                    yield number, stripped.replace(b"\t", b" ")
    except OSError as error:
        raise DataError.at(
            KEY, f"cannot read {path}: {error.strerror or error}", code="E21"
        ) from None


def _check_size(path: str, actual: int, size: int) -> None:
    if actual != size:
        raise ConfigError.at(
            KEY,
            f"{path} has vectors of {plural(actual, 'number')}, and model.embedding.size is {size}; they must be equal",
            code="E21",
        )


def _numbers(values: list[bytes]) -> Array | None:
    """The numbers of a line (size,) float32; None where one is none, or not finite."""
    try:
        vector = np.array([float(value) for value in values])
    except ValueError:
        return None
    return vector.astype(np.float32) if (np.abs(vector) <= MAX_MAGNITUDE).all() else None
