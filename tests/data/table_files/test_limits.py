"""Tables that would fill the memory are refused before they do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data import dataset as dataset_module
from nnzoo.data.dataset import Dataset
from nnzoo.data.table_files import limits
from nnzoo.data.tables import load_csv
from nnzoo.errors import DataError


def write(text: str | bytes, name: str = "d.csv") -> str:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def load(text: str | bytes | None = None, **options: Any) -> Dataset:
    """A CSV of this text; without split options every row trains."""
    if text is not None:
        write(text)
    options.setdefault("split", GroupSplit(val=0, test=0))
    return load_csv(CsvOptions(name="csv", **{"path": "d.csv", **options}))


def refused(text: str | bytes | None = None, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        load(text, **options)
    return str(error.value)


SMALL = "a,b,kind,y\n1,2.5,u,no\n3,4.5,v,yes\n-1,0.5,u,yes\n"


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        (
            "MAX_CSV_BYTES",
            30,
            "d.csv has 47 bytes; a CSV may have 30. Keep fewer rows or columns, or save it as Parquet",
        ),
        ("MAX_COLUMNS", 3, "d.csv:1: 4 columns; at most 3 are read"),
        (
            "MAX_CELLS",
            11,
            "d.csv has 3 rows of 4 columns; at most 11 values are read. Keep fewer rows or columns",
        ),
        (
            "MAX_NAME",
            3,
            "d.csv: a column's name has 4 characters; at most 3. Is the first row data (data.header: false)?",
        ),
    ],
)
def test_a_csv_beyond_a_limit_is_refused(
    limit: str, value: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, value)
    assert refused(SMALL) == message


def test_a_line_of_millions_of_delimiters_is_not_cut_up() -> None:
    began = time.process_time()
    assert refused("," * 20_000_000) == "d.csv:1: 20,000,001 columns; at most 50,000 are read"
    assert time.process_time() - began < 3


def parquet(columns: dict[str, Any], **options: Any) -> None:
    pyarrow.parquet.write_table(pyarrow.table(columns), "d.parquet", store_schema=False, **options)


def test_a_parquet_file_of_billions_of_rows_in_some_kilobytes_is_refused() -> None:
    zeros = pyarrow.table({name: np.zeros(1_000_000, np.int8) for name in ("a", "b", "y")})
    with pyarrow.parquet.ParquetWriter("d.parquet", zeros.schema, compression="zstd") as writer:
        for _ in range(70):
            writer.write_table(zeros)
    assert Path("d.parquet").stat().st_size < 1_000_000
    began = time.process_time()
    assert refused(path="d.parquet") == (
        "d.parquet has 70,000,000 rows of 3 columns; at most 200,000,000 values are read. Keep fewer "
        "rows or columns"
    )
    assert time.process_time() - began < 2


def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = pyarrow.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["x" * 100_000])
    parquet({"t": one, "y": np.arange(100_000)}, compression="zstd")
    assert Path("d.parquet").stat().st_size < 1_000_000
    assert "d.parquet unpacks to 10,000,000,000 bytes" in refused(path="d.parquet")
    parquet({"t": ["x" * 200_000] * 3, "y": [1, 2, 3]}, compression="zstd")
    assert "column 't' has a value of more than 131,072 characters" in refused(path="d.parquet")
    monkeypatch.setattr(limits, "MAX_PARQUET_BYTES", 2000)
    parquet({"t": pyarrow.array([b"x" * 500] * 9, pyarrow.binary(500)), "y": range(9)})
    assert "d.parquet unpacks to 18,756 bytes" in refused(path="d.parquet")
    parquet({"t": np.arange(1000), "y": np.arange(1000)}, compression="zstd", use_dictionary=False)
    assert "d.parquet unpacks to 8,0" in refused(path="d.parquet")


def test_categories_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "id,y\n" + "".join(f"u{i},{i % 2}\n" for i in range(1000))
    assert load(text, categories=["id"]).spec.input.shape == (1,)
    monkeypatch.setattr(dataset_module, "total_memory", lambda: 10_000_000)
    assert "1,000 rows of 1,000 inputs, a category each would take 0.0 GB" in refused(
        text, categories=["id"]
    )


def test_a_row_that_never_ends_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_ROW", 1000)
    assert refused("a,y\n1,u\n" + "x" * 2000) == "d.csv:3: a row of more than 1,000 characters"
    endless = 'a,y\n1,"' + '\n","'.join(["u"] * 500)
    assert refused(endless) == "d.csv:2: a row of more than 1,000 characters"
