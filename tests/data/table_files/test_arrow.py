"""Arrow and Feather files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest

from nnzoo.data.table_files import limits
from nnzoo.data.table_files.table_io import read_table
from tests.data.table_files.reading import (
    quick,
    refused,
)


def test_feather_and_streams_of_arrow_are_read() -> None:
    frame = pandas.DataFrame(
        {"a": [1, 2, None], "t": ["u", None, "w"], "flag": [True, False, True]}
    )
    for packing in ("zstd", "lz4", "uncompressed"):
        frame.to_feather("d.feather", compression=packing)
        actual = read_table("d.feather").frame
        assert list(actual["a"])[:2] == [1.0, 2.0]
        assert pandas.isna(actual["a"][2])
        assert list(actual["t"].fillna("?")) == ["u", "?", "w"]
        assert list(actual["flag"]) == ["True", "False", "True"]
    whole = pyarrow.table({"n": pyarrow.array([2**53 + 1, None]), "v": ["x", "y"]})
    whole = whole.set_column(1, "v", whole["v"].cast(pyarrow.string_view()))
    with (
        pyarrow.OSFile("d.arrows", "wb") as file,
        pyarrow.ipc.new_stream(file, whole.schema) as out,
    ):
        out.write_table(whole)
    stream = read_table("d.arrows").frame
    assert (stream["n"][0], list(stream["v"])) == (2**53 + 1, ["x", "y"])
    Path("d.feather").write_bytes(Path("d.feather").read_bytes()[:200])
    assert "d.feather is not a readable Arrow file" in refused(name="d.feather")


def test_packed_parts_of_arrow_are_added_up_before_they_are_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pyarrow.feather.write_feather(
        pyarrow.table({"c": np.zeros(1_000_000)}), "d.feather", compression="zstd"
    )
    assert Path("d.feather").stat().st_size < 20_000
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MAX_PARQUET_BYTES", 1_000_000)
        patch.setattr(pyarrow.ipc, "open_stream", None)
        assert "d.feather unpacks to " in refused(name="d.feather")
    same = pyarrow.DictionaryArray.from_arrays(np.zeros(50_000, np.int32), ["k" * 100_000])
    pyarrow.feather.write_feather(pyarrow.table({"c": same}), "d.feather", compression="zstd")
    assert "d.feather unpacks to 5,000,000,000 bytes" in quick(lambda: refused(name="d.feather"))
