"""The target that `init` chooses: by its name, by its place, by asking."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nnzoo.config.load import load_config
from tests.conftest import Result

NNZOO = Callable[..., Result]


init_command: Any = import_module("nnzoo.cli.init")


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


@pytest.mark.parametrize("name", ["target", "Label", "Class", "SalePrice", "y", "hasChurned"])
def test_a_name_that_says_so_is_the_target_wherever_it_stands(nnzoo: NNZOO, name: str) -> None:
    write(**{name: ["a", "b"] * 30, "width": [f"{i * 37 % 100}.{i % 7}" for i in range(60)]})
    result = nnzoo("init", "t.csv")
    assert data().target == name
    assert f"target: '{name}', by its name (--target NAME for another)" in result.err


@pytest.mark.parametrize("name", ["salary", "y", "travel_class", "status"])
def test_a_name_that_may_be_an_inputs_is_not(nnzoo: NNZOO, name: str) -> None:
    width = [f"{i * 37 % 100}.{i % 7}" for i in range(60)]
    write(**{"x": width, name: width[::-1], "left": ["a", "b"] * 30})
    nnzoo("init", "t.csv")
    assert data().target == "left"


def test_else_the_last_column_that_can_be_one_and_it_is_said(nnzoo: NNZOO) -> None:
    write(
        width=[f"{i * 37 % 100}.5" for i in range(60)],
        pole=[f"{i * 53 % 100}.5" for i in range(60)],
        name=[f"n{i}" for i in range(60)],
    )
    result = nnzoo("init", "t.csv")
    assert (data().target, data().drop) == ("pole", ["name"])
    assert "target: 'pole', the last column that can be one" in result.err


def test_on_a_terminal_it_asks_where_no_name_says(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        width=[f"{i * 37 % 100}.5" for i in range(60)],
        pole=[f"{i * 53 % 100}.5" for i in range(60)],
    )
    asked: list[str] = []

    def prompt(text: str, default: str, err: bool) -> str:
        asked.append(f"{text} {default}")
        return "nothing" if len(asked) == 1 else "width"

    monkeypatch.setattr(init_command.typer, "prompt", prompt)
    monkeypatch.setattr(init_command, "_is_terminal", lambda: True)
    result = nnzoo("init", "t.csv")
    assert asked == ["which column is the target? pole"] * 2
    assert "columns: width, pole\nno column 'nothing'\n" in result.err
    assert data().target == "width"
    table(label=["a", "b"] * 30)
    assert nnzoo("init", "t.csv", "--force").code == 0
    assert (len(asked), data().target) == (2, "label")


def test_of_several_names_that_could_be_the_target_the_others_are_said(nnzoo: NNZOO) -> None:
    """A passenger's class is an input beside whether they survived."""
    rows = [f"{i % 3 + 1},{i * 7 % 40 + 20},{i % 2},{i * 1.5:.1f}" for i in range(60)]
    Path("ship.csv").write_text("class,age,survived,fare\n" + "\n".join(rows) + "\n")
    result = nnzoo("init", "ship.csv")
    assert "target: 'survived', by its name, which could also be 'class'" in result.err
    Path("iris.csv").write_text(
        "a,b,class\n" + "".join(f"{i},{i % 5},{i % 3}\n" for i in range(60))
    )
    assert "target: 'class', by its name" in nnzoo("init", "iris.csv").err
