"""Answers for rows of tables, and for sequences, each a table of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nnzoo.data.columns import shorten, to_text
from nnzoo.data.table_io import ReadOptions, numbered, read_pieces, read_table
from nnzoo.data.tables import category_codes, encode_columns
from nnzoo.errors import DataError
from nnzoo.network import Network
from nnzoo.predict.answers import SHOWN, Answers, answer, rows_at_once

if TYPE_CHECKING:
    import pandas


def predict_tables(network: Network, paths: list[str]) -> Iterator[Answers]:
    unseen = Unseen()
    notes: list[str] = []
    for path in paths:
        for table in read_pieces(path, reading_of(network), "INPUT"):
            answers = answer_rows(network, table.frame, path, unseen)
            notes += [f"{path}: {note}" if len(paths) > 1 else note for note in table.notes]
            if len(paths) > 1:
                answers.places = {"file": [path] * len(answers)} | answers.places
            yield answers
    yield answers.only(notes + unseen.notes())


def reading_of(network: Network) -> ReadOptions:
    """How files of new data are read: as the training file was, where there is one.

    They name their columns if it did; "auto" delimiter, encoding and skip_rows are found anew.
    """
    options = ReadOptions.of(network.config.data, keep_words=network.facts["kind"] == "table")
    if options.header != "auto" or not hasattr(network.config.data, "header"):
        return options
    named = network.facts["spec"].get("header", not all(map(str.isdecimal, _names(network))))
    return replace(options, header=named)


def _names(network: Network) -> list[str]:
    """The columns that the network reads, and the target's where it is in the same file."""
    spec = network.facts["spec"]
    names = [column["name"] for column in spec.get("columns", [])]
    return [*names, *([spec["target"]] if "target" in spec else [])]


def answer_rows(network: Network, frame: pandas.DataFrame, source: str, unseen: Unseen) -> Answers:
    columns = network.facts["spec"]["columns"]
    frame = _with_target(network, frame)
    raw = encode_columns(frame, columns, source)
    unseen.add(frame, columns)
    return answer(network, raw, {"row": [int(i) + 1 for i in frame.index]})


def _with_target(network: Network, frame: pandas.DataFrame) -> pandas.DataFrame:
    """Columns that go by their positions, numbered as in the training file: where one is lacking it
    is the target, and what stands behind it moves up."""
    spec, names = network.facts["spec"], _names(network)
    by_position = numbered(frame) and all(map(str.isdecimal, names)) and "header" not in spec
    if "target" not in spec or not by_position:
        return frame
    width = spec.get("width", max(map(int, names)) + 1)
    if len(frame.columns) != width - 1:
        return frame
    target = int(spec["target"])
    return frame.set_axis([str(i + (i >= target)) for i in range(width - 1)], axis=1)


class Unseen:
    """Values of category columns that no training row had."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.values: dict[str, list[str]] = {}

    def add(self, frame: pandas.DataFrame, columns: list[dict[str, Any]]) -> None:
        for column in columns:
            if "categories" not in column:
                continue
            name = column["name"]
            new = frame[name][category_codes(frame[name], column)[1]]
            if len(new):
                self.counts[name] = self.counts.get(name, 0) + len(new)
                named = self.values.setdefault(name, [])
                more = [value for value in to_text(new).unique() if value not in named]
                named += more[: SHOWN + 1 - len(named)]

    def notes(self) -> list[str]:
        if not self.counts:
            return []
        texts = [
            f"{count:,} of '{shorten(name)}' ({', '.join(map(shorten, self.values[name][:SHOWN]))}"
            f"{', …' if len(self.values[name]) > SHOWN else ''})"
            for name, count in list(self.counts.items())[:SHOWN]
        ]
        more = f", and in {len(self.counts) - SHOWN} more columns" * (len(self.counts) > SHOWN)
        return [f"values that training never saw count as missing: {', '.join(texts)}{more}"]


def predict_sequences(network: Network, paths: list[str]) -> Iterator[Answers]:
    files = iter(paths)
    while batch := list(islice(files, rows_at_once(network))):
        found = [
            read_sequence(network, read_table(path, key="INPUT").frame, path) for path in batch
        ]
        yield answer(network, torch.stack(found), {"file": batch})


def read_sequence(network: Network, frame: pandas.DataFrame, source: str) -> Tensor:
    """One sequence, (time, features) float64."""
    steps, features = network.facts["shape"]
    names = [column["name"] for column in network.facts["spec"].get("columns", [])]
    names = names or [str(i) for i in range(features)]
    if numbered(frame) and len(frame.columns) == len(names):
        frame = frame.set_axis(names, axis=1)
    raw = encode_columns(frame, [{"name": name} for name in names], source)
    if len(raw) != steps:
        raise DataError(f"{source} has {len(raw):,} time steps; this network reads {steps:,}")
    if raw.isnan().any():
        row, column = raw.isnan().nonzero()[0].tolist()
        raise DataError(f"{source}: '{shorten(names[column])}' is missing in data row {row + 1}")
    return raw
