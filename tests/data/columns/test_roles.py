"""Columns that have a role are no inputs, unless they are named as such."""

from __future__ import annotations

from pathlib import Path

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.tables import load_csv
from tests.data.division_cases import write


def test_columns_of_a_role_are_inputs_where_they_are_named_as_such(tmp_path: Path) -> None:
    rows = [[2000 + i, i * 7 % 5, ["no", "yes"][i % 2]] for i in range(30)]
    path = write(tmp_path / "t.csv", "year,x,label", rows)
    by = GroupSplit(by="year", val=5, test=5)
    data = load_csv(CsvOptions(name="csv", path=path, split=by))
    assert data.spec.column_names == ["x"]
    assert "column 'year' orders the rows in time, and is no input" in data.notes
    named = load_csv(CsvOptions(name="csv", path=path, split=by, numbers=["year"]))
    assert named.spec.column_names == ["year", "x"]
    years = {part: split.tensors()[0][:, 0] for part, split in named.splits.items()}
    assert years["train"].max() < years["val"].min() <= years["val"].max() < years["test"].min()
