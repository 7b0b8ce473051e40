"""Parquet files, and bounds on what they unfold to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.table_io import read_table
from nnzoo.errors import DataError
from tests.data.table_files.reading import (
    quick,
    refused,
)

LONG = "k" * 100_000


def nested_bomb(kind: str) -> pyarrow.Array:
    """So many rows that each name one text of 100 kB, in a type that holds others."""
    count = 30_000
    same = pyarrow.DictionaryArray.from_arrays(np.zeros(count, np.int32), [LONG])
    offsets = np.arange(count + 1, dtype=np.int32)
    if kind == "struct":
        return pyarrow.StructArray.from_arrays([same], ["f"])
    if kind == "list":
        return pyarrow.ListArray.from_arrays(offsets, same)
    return pyarrow.ListArray.from_arrays(
        offsets, pyarrow.StructArray.from_arrays([same, same], ["key", "value"])
    )


@pytest.mark.parametrize("kind", ["struct", "list", "list of structs"])
@pytest.mark.parametrize("form", ["parquet", "feather"])
def test_nested_columns_are_not_unfolded(kind: str, form: str) -> None:
    table = pyarrow.table({"n": nested_bomb(kind), "y": np.arange(30_000)})
    if form == "parquet":
        pyarrow.parquet.write_table(table, "d", compression="zstd", store_schema=False)
    else:
        pyarrow.feather.write_feather(table, "d", compression="zstd")
    began = time.process_time()
    actual = read_table("d")
    assert time.process_time() - began < 2
    assert actual.frame["n"].isna().all()
    assert list(actual.frame["y"]) == list(range(30_000))
    assert actual.notes[0].startswith("columns of lists, maps or structs are not read: 'n' (")


@pytest.mark.parametrize(
    ("column", "options"),
    [
        (lambda: np.zeros(70_000_000, bool), {}),
        (lambda: np.zeros(12_000_000, "datetime64[s]"), {}),
        (lambda: pyarrow.DictionaryArray.from_arrays(np.zeros(50_000, np.int32), [LONG]), {}),
        (
            lambda: pyarrow.chunked_array([pyarrow.array([LONG] * 220)] * 100),
            {"use_dictionary": False, "column_encoding": {"c": "DELTA_BYTE_ARRAY"}},
        ),
        (
            lambda: pyarrow.chunked_array(
                [pyarrow.array([b"x" * 5000] * 11_000, pyarrow.binary(5000))] * 10
            ),
            {},
        ),
    ],
    ids=["booleans", "timestamps", "dictionary", "prefixes", "fixed"],
)
def test_a_column_of_few_bytes_that_unfolds_to_gigabytes_is_refused(
    column: Callable[[], Any], options: Any
) -> None:
    table = pyarrow.table({"c": column()})
    pyarrow.parquet.write_table(table, "d.parquet", compression="zstd", **options)
    assert Path("d.parquet").stat().st_size < 2_000_000
    assert "d.parquet unpacks to " in quick(lambda: refused(name="d.parquet"))


def test_a_footer_that_lies_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes in the footer are one byte's; the pages say what they are."""
    table = pyarrow.table({"c": np.zeros(1_000_000)})
    pyarrow.parquet.write_table(table, "d.parquet", compression="zstd", use_dictionary=False)
    data = bytearray(Path("d.parquet").read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    chunk = pyarrow.parquet.read_metadata("d.parquet").row_group(0).column(0)
    for size in {chunk.total_uncompressed_size}:
        old = varint(2 * size)
        place = data.find(old, footer)
        while place >= 0:
            data[place : place + len(old)] = bytes([0x82]) + b"\x80" * (len(old) - 2) + b"\0"
            place = data.find(old, place + 1)
    Path("d.parquet").write_bytes(data)
    assert (
        pyarrow.parquet.read_metadata("d.parquet").row_group(0).column(0).total_uncompressed_size
        < 10
    )
    monkeypatch.setattr(limits, "MAX_PARQUET_BYTES", 1_000_000)
    assert "d.parquet unpacks to 8," in refused(name="d.parquet")


def varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])


def test_claims_of_a_footer_cost_no_memory() -> None:
    """A list of a hundred million row groups, in some bytes."""
    pyarrow.parquet.write_table(pyarrow.table({"c": [1]}), "d.parquet")
    data = Path("d.parquet").read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    claim = footer.replace(b"\x19\x1c", b"\x19\xfc" + varint(100_000_000), 2)
    assert claim != footer
    Path("d.parquet").write_bytes(
        data[: -8 - size] + claim + len(claim).to_bytes(4, "little") + b"PAR1"
    )
    message = quick(lambda: refused(name="d.parquet"))
    assert message.startswith("d.parquet is not a readable Parquet file: ")


def test_damaged_files_of_columns_end_in_a_message() -> None:
    frame = pandas.DataFrame({"a": range(300), "t": ["u", "v", "w"] * 100})
    frame.to_parquet("d.parquet")
    frame.to_feather("d.feather")
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for name in ("d.parquet", "d.feather"):
        whole = Path(name).read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 1):
                data[place] = rng.integers(256)
            Path(name).write_bytes(data)
            try:
                read_table(name)
                outcomes["read"] += 1
            except DataError as error:
                outcomes["refused"] += 1
                assert "\n" not in str(error)
    assert min(outcomes.values()) > 5
