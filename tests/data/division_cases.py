"""Helpers of tests that divide rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.divide import Division, PartRows, divide
from nnzoo.errors import DataError

RNG = np.random.default_rng(20)


def options(**split: Any) -> CsvOptions:
    return CsvOptions(name="csv", path="t.csv", split=GroupSplit(**split))


def rows_of(
    total: int, source: str = "t.csv", contents: Any = None, **roles: list[Any]
) -> PartRows:
    """The rows of a part, with texts by role."""
    texts = {
        role: [None if x is None else str(x) for x in column] for role, column in roles.items()
    }
    names = [f"data row {i + 1}" for i in range(total)]
    return PartRows(source, names, texts, None if contents is None else np.asarray(contents))


def division(train: PartRows, classes: Any = None, **split: Any) -> Division:
    return divide({"train": train}, options(**split), classes)


def refusal(train: PartRows, **split: Any) -> str:
    with pytest.raises(DataError) as error:
        division(train, **split)
    return str(error.value)


def random_times(count: int) -> list[int]:
    return RNG.integers(0, RNG.choice([count // 3 + 4, 10 * count]), count).tolist()


def write(path: Path, header: str, rows: list[list[Any]]) -> str:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)
