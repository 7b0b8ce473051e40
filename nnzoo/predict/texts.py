"""Predictions for texts: strings, .txt files and folders of them, tables with a column of text, lines of stdin."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nnzoo.data.columns.values import column_name, to_text
from nnzoo.data.sequences import GatheredSequences
from nnzoo.data.table_files.table_io import ReadOptions, Table, numbered, read_chunks
from nnzoo.data.text_files.documents import (
    MAX_CHARACTERS,
    check_length,
    check_lines,
    read_text_file,
)
from nnzoo.data.text_files.folder import TEXTS, iter_lines, scan_texts
from nnzoo.data.text_files.table import mean_lengths
from nnzoo.data.token_ids import Cut, Encoder, TokenCounts, token_notes
from nnzoo.errors import DataError, UsageError
from nnzoo.evaluation.evaluate import MAX_BATCH_ROWS, MAX_BATCH_VALUES
from nnzoo.models.network import Network
from nnzoo.predict.predictions import Predictions, predict_raw
from nnzoo.text import Note, list_some, quoted_name, reworded, shorten

if TYPE_CHECKING:
    import pandas

STDIN = "-"
# Tokens of one text; a network of convolutions would need gigabytes for more.
MAX_TOKENS = 2_000_000
# Texts that are cut into tokens at once, and characters of one in the column that names it.
GROUP = 1024
SHOWN = 80
_TABLE_NAMES = (".csv", ".tsv", ".parquet", ".pq", ".xlsx", ".json", ".jsonl", ".gz", ".txt")


@dataclass
class _Inputs:
    """Texts as they are read, each with its id; kept: further columns of the index; notes: on how files are read."""

    kept: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Text:
    """A text, the values that name it in the columns of the index, and its name for messages."""

    text: str
    index: tuple[Any, ...]
    name: str


def predict_texts(network: Network, x: Any, keep: Sequence[str] = ()) -> Iterator[Predictions]:
    """Predict texts: a string, a path, several of them, a column or a DataFrame.

    A string that names an existing file is read as one where its name ends like one; "-" are the lines of stdin.
    keep: columns of tables that are carried along. Raises DataError naming a text that cannot be read.
    """
    pandas = sys.modules.get("pandas")
    inputs = _Inputs(keep)
    if pandas is not None and isinstance(x, pandas.DataFrame):
        frame = x.reset_index(drop=True)
        frame.columns = frame.columns.map(str)
        table = Table(frame, named=True)
        texts = _rows_of(network, "the table", [table], inputs)
        yield from _predict(network, texts, ("row", *keep), inputs)
        return
    items = [x] if isinstance(x, str | Path) else _as_list(x)
    for item in items:
        if not isinstance(item, str | Path):
            raise DataError(f"expected texts, got {type(item).__name__}", code="E54")
    if not items:
        raise UsageError("nothing to predict; give texts", code="E07")
    paths = [_path_of(item) for item in items]
    tables = all(path is not None and is_table(path) for path in paths)
    if keep and not tables:
        raise UsageError("--keep is for tables", code="E01")
    columns = ("row", *keep) if tables else ("text",)
    columns = ("file", *columns) if tables and len(items) > 1 else columns
    texts = _all_texts(network, items, paths, inputs, columns)
    yield from _predict(network, texts, columns, inputs)


def _as_list(x: Any) -> list[Any]:
    """The items of a list, a column or an array; raises DataError where it is none of them."""
    if hasattr(x, "tolist"):
        x = x.tolist()
    if not isinstance(x, Sequence) or isinstance(x, bytes):
        raise DataError(
            f"expected a text, a list of texts, paths or a DataFrame; got {type(x).__name__}",
            code="E54",
        )
    # A missing value of a column is an empty text.
    return ["" if item is None or (isinstance(item, float) and isnan(item)) else item for item in x]


def _path_of(item: str | Path) -> str | None:
    """The path that an input names; None for a text. Raises DataError where a file is meant that does not exist."""
    if isinstance(item, Path):
        return str(item)
    like_file = item.lower().endswith(_TABLE_NAMES) and len(item.split()) == 1
    if like_file and not os.path.exists(item):
        raise DataError(f"no file {shorten(item)}", code="E30")
    return item if like_file else None


def is_table(path: str) -> bool:
    """Whether a path is that of a table, not of a folder or of a file of texts."""
    return path != STDIN and not os.path.isdir(path) and not TEXTS.search(path)


def _all_texts(
    network: Network,
    items: Sequence[str | Path],
    paths: Sequence[str | None],
    inputs: _Inputs,
    columns: Sequence[str],
) -> Iterator[_Text]:
    """The texts of all inputs, in their order."""
    by_line = network.data_spec.extra.get("form") != "folder"
    encoding = getattr(network.config.data, "encoding", "auto")
    for number, (item, path) in enumerate(zip(items, paths, strict=True), 1):
        if path is None:
            text = str(item)
            check_length(text, f"text {number}")
            yield _Text(text, (shorten(text, SHOWN),), f"text {number}")
        elif path == STDIN:
            yield from _stdin_lines()
        elif os.path.isdir(path):
            files = list(scan_texts(path).walk())
            if not files:
                raise DataError(f"{path} has no .txt files", code="E37")
            for file in files:
                yield from _of_file(file, by_line and _holds_lines(network), encoding)
        elif is_table(path):
            check_lines(path)
            tables = read_chunks(path, _reading(network), "INPUT")
            for row in _rows_of(network, path, tables, inputs):
                index = row.index if columns[0] != "text" else (f"{path}:{row.index[0]}",)
                index = (path, *index) if columns[0] == "file" else index
                yield replace(row, index=index)
        else:
            if not os.path.isfile(path):
                raise DataError(
                    f"{'not a regular file:' if os.path.exists(path) else 'no file'} {path}",
                    code="E30",
                )
            if by_line:
                inputs.notes.append(Note("N16", f"{path}: a text per line"))
            yield from _of_file(path, by_line, encoding)


def _holds_lines(network: Network) -> bool:
    return network.data_spec.extra.get("form") == "lines"


def _of_file(file: str, by_line: bool, encoding: str) -> Iterator[_Text]:
    """The text of a file, or of each of its lines that is not blank."""
    if not by_line:
        yield _Text(read_text_file(file, encoding), (file,), file)
        return
    for number, line in iter_lines(file, encoding):
        name = f"{file}:{number}"
        check_length(line, name)
        if line.strip():
            yield _Text(line.rstrip("\r\n"), (name,), name)


def _stdin_lines() -> Iterator[_Text]:
    """The lines of stdin, also blank ones: each has an answer."""
    number = 0
    while line := sys.stdin.buffer.readline(4 * MAX_CHARACTERS + 1):
        number += 1
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeError as error:
            place = getattr(error, "start", 0) + 1
            raise DataError(
                f"stdin:{number}: not UTF-8 text (byte {place} of the line)", code="E35"
            ) from None
        check_length(text, f"stdin:{number}")
        yield _Text(text, (shorten(text, SHOWN),), f"stdin:{number}")


def _reading(network: Network) -> ReadOptions:
    """How tables are read: as in training, with a header where there was one."""
    reading = ReadOptions.of(network.config.data, keep_words=True, raw_quotes=True)
    header = network.data_spec.header
    return (
        reading if reading.header != "auto" or header is None else replace(reading, header=header)
    )


def _rows_of(
    network: Network, path: str, tables: Iterable[Table], inputs: _Inputs
) -> Iterator[_Text]:
    """The texts in the rows of a table."""
    for table in tables:
        frame = table.frame
        column = _text_column(network, table, path)
        inputs.notes += [reworded(note, f"{path}: {note}") for note in table.notes]
        rows = (frame.index.to_numpy() + 1).tolist()
        kept = [_kept(frame, name) for name in inputs.kept]
        for i, (row, text) in enumerate(zip(rows, to_text(frame[column]), strict=True)):
            text = text if isinstance(text, str) else ""
            name = f"{path}: data row {row:,}"
            check_length(text, name)
            yield _Text(text, (row, *(values[i] for values in kept)), name)


def _kept(frame: pandas.DataFrame, column: str) -> list[str | None]:
    """The values of a column that is carried along."""
    position = int(column) if column.lstrip("-").isdecimal() else column
    values = to_text(frame[column_name(frame, position, "--keep")])
    return [value if isinstance(value, str) else None for value in values]


def _text_column(network: Network, table: Table, path: str) -> str:
    """The column of text of a table: of the name that it has in training, or the only one that holds texts."""
    spec, frame = network.data_spec, table.frame
    name, names = spec.extra.get("text"), [str(column) for column in frame.columns]
    if name in names and (table.named or len(names) == spec.width):
        return str(name)
    if numbered(frame) and str(name).isdecimal() and len(names) == (spec.width or 0) - 1:
        # Without the target, the columns behind it move up.
        return str(int(str(name)) - (int(str(name)) > int(spec.target or 0)))
    if len(names) == 1:
        return names[0]
    texts = list(mean_lengths(frame))
    if len(texts) == 1:
        return texts[0]
    shown = list_some([quoted_name(column) for column in names], 6, counted=True)
    expected = f"a column {quoted_name(str(name))}" if name is not None else "one column of text"
    raise DataError(
        f"{path}: expected {expected}, which training has; the file has {shown}", code="E54"
    )


def _predict(
    network: Network, texts: Iterator[_Text], columns: Sequence[str], inputs: _Inputs
) -> Iterator[Predictions]:
    """Predict texts in batches; the last, empty one has the notes."""
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    cut = Cut.of(network.config.data)
    encoder = Encoder(tokenizer.unit, tokenizer.lowercase, cut, tokenizer)
    counts = TokenCounts()
    for group in _grouped(texts):
        ids = encoder.encode_all(one.text for one in group)
        counts += TokenCounts.of(ids)
        if (ids.lengths > MAX_TOKENS).any():
            row = int(ids.lengths.argmax())
            raise DataError(
                f"{group[row].name} has {int(ids.lengths[row]):,} tokens; at most {MAX_TOKENS:,} are read. Cut it "
                "into parts",
                code="E34",
            )
        values, offsets = torch.from_numpy(ids.values[:, None]), torch.from_numpy(ids.offsets)
        for rows in _batches(ids.lengths.tolist()):
            lengths = torch.from_numpy(ids.lengths[rows.start : rows.stop])
            raw = GatheredSequences(values, offsets[rows.start : rows.stop], lengths)
            index: dict[str, list[Any]] = {
                name: [group[row].index[i] for row in rows] for i, name in enumerate(columns)
            }
            yield predict_raw(network, raw, index)
    if not counts.texts:
        raise UsageError("nothing to predict: there is no text", code="E07")
    notes = token_notes({"": counts}, cut, tokenizer.unit)
    empty = predict_raw(network, torch.zeros(0), {name: [] for name in columns})
    yield empty.empty_with_notes([*dict.fromkeys(inputs.notes), *notes])


def _grouped(texts: Iterator[_Text]) -> Iterator[list[_Text]]:
    """Texts in groups, of few where they are long."""
    group: list[_Text] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text.text)
        if len(group) == GROUP or size > MAX_CHARACTERS:
            yield group
            group, size = [], 0
    if group:
        yield group


def _batches(lengths: list[int]) -> Iterator[range]:
    """Runs of texts whose padded tokens are few enough for a batch."""
    start = longest = 0
    for row, length in enumerate(lengths):
        longest = max(longest, length)
        if row > start and (
            row - start == MAX_BATCH_ROWS or longest * (row + 1 - start) > MAX_BATCH_VALUES
        ):
            yield range(start, row)
            start, longest = row, length
    yield range(start, len(lengths))
