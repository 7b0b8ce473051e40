"""Decisions of `nnzoo init` for a table, and how the caller decides otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.config.load import load_config
from tests.conftest import Result

NNZOO = Callable[..., Result]


def write(**columns: list[str]) -> None:
    rows = zip(*columns.values(), strict=True)
    Path("t.csv").write_text("\n".join([",".join(columns), *map(",".join, rows)]) + "\n")


def table(**more: list[str]) -> None:
    write(
        **(
            {
                "width": [f"{i * 37 % 100}.{i % 7}" for i in range(60)],
                "status": [f"{'uvw'[i % 3]}" for i in range(60)],
                "depth": [f"{i * 53 % 100}.{i % 9}" for i in range(60)],
            }
            | more
        )
    )


def data() -> Any:
    return load_config("t").data


def test_the_caller_names_target_columns_and_task(nnzoo: NNZOO) -> None:
    table()
    result = nnzoo("init", "t.csv", "--target", "width", "--drop", "depth", "--task", "regression")
    assert result.code == 0, result.err
    assert (data().target, data().drop, data().task) == ("width", ["depth"], "regression")
    assert nnzoo("init", "t.csv", "--force", "--target", "-1").code == 0
    assert data().target == "depth"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--target", "widht"], 3, "--target: no column 'widht'; did you mean 'width'?"),
        (["--drop", "dept"], 3, "--drop: no column 'dept'; did you mean 'depth'?"),
        (["--target", "depth", "--drop", "depth"], 3, "--drop: 'depth' is the target"),
        (["--task", "guess"], 2, "'guess' is not one of 'classification', 'regression'"),
    ],
)
def test_what_the_caller_names_wrongly_is_said(
    nnzoo: NNZOO, words: list[str], code: int, message: str
) -> None:
    table()
    result = nnzoo("init", "t.csv", "--table", *words)
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert not Path("t.yaml").exists()


def test_series_or_table_is_as_stated(nnzoo: NNZOO) -> None:
    days = [f"2020-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(60)]
    write(day=days, sales=[f"{100 + i * 7 % 30}.5" for i in range(60)])
    assert nnzoo("init", "t.csv").code == 0
    assert data().name == "series"
    assert nnzoo("init", "t.csv", "--force", "--table").code == 0
    assert data().name == "csv"


def test_options_for_files_are_refused_for_configs_and_folders(nnzoo: NNZOO) -> None:
    assert "are for data files; cnn is a config" in nnzoo("init", "cnn", "--target", "a").err
    Path("f").mkdir()
    assert nnzoo("init", "f", "--target", "a").code == 2
