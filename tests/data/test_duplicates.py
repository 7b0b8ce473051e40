"""Equal rows are counted exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.tables import load_csv
from tests.data.division_cases import write


@pytest.mark.parametrize("i", range(6))
def test_duplicates_of_a_table_are_counted_as_a_brute_force_counts_them(
    i: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(i)
    spellings = {1: ["1", "1.0"], 2: ["2", "02"], 3: ["", "NA"]}

    def table(count: int) -> tuple[list[list[Any]], list[Any]]:
        keys = [(*rng.integers(1, 4, 2).tolist(), "abc"[rng.integers(3)]) for _ in range(count)]
        cells = [
            [rng.choice(spellings[x]), rng.choice(spellings[y]), z, ["no", "yes"][rng.integers(2)]]
            for x, y, z in keys
        ]
        return cells, keys

    train, keys = table(40)
    test, test_keys = table(15)
    for j, row in enumerate(train):
        row += [("train", "val")[int(j >= 30)], j]
    path = write(tmp_path / "t.csv", "x,y,z,label,split,w", train)
    other = write(tmp_path / "u.csv", "x,y,z,label", test)
    data = load_csv(
        CsvOptions(
            name="csv",
            path=path,
            test_path=other,
            target="label",
            drop=["w"],
            split=GroupSplit(column="split"),
        )
    )
    assert "column 'split' says the part of each row, and is no input" in data.notes
    assert data.spec.column_names == ["x", "y", "z"]
    known = {
        key: {row[3] for row, k in zip(train[:30], keys, strict=False) if k == key}
        for key in keys[:30]
    }
    val = sum(key in known for key in keys[30:])
    both = sum(key in known for key in test_keys)
    differ = sum(
        key in known and row[3] not in known[key]
        for row, key in [
            *zip(train[30:], keys[30:], strict=True),
            *zip(test, test_keys, strict=True),
        ]
    )
    of_val = sum(key in {*keys[30:]} for key in test_keys)
    counts = [f"{val} of 10 val rows"] * bool(val) + [f"{both} of 15 test rows"] * bool(both)
    line = f"equal a training row in all inputs: {', '.join(counts)}"
    line += f"; {differ} of these with another target" * bool(differ)
    line += f"; equal a val row in all inputs: {of_val} of 15 test rows" * bool(of_val)
    assert line in data.notes
