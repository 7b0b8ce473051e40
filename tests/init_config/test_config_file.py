"""Decisions of `nnzoo init` for a table, and how the caller decides otherwise."""

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


def test_series_or_table_is_as_stated(nnzoo: NNZOO) -> None:
    days = [f"2020-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(60)]
    write(day=days, sales=[f"{100 + i * 7 % 30}.5" for i in range(60)])
    assert nnzoo("init", "t.csv").code == 0
    assert data().name == "series"
    assert nnzoo("init", "t.csv", "--force", "--table").code == 0
    assert data().name == "csv"


@pytest.mark.parametrize(
    "columns",
    [
        {"a": ["1", "2", "3"], "y": ["u", "u", "u"]},  # one class
        {"a": [f"n{i}" for i in range(40)], "y": [f"m{i}" for i in range(40)]},  # texts alone
        {"a": ["", "", ""], "y": ["1", "2", "3"]},  # nothing to learn from
        {"y": ["a", "b", "c"]},  # one column of words
        {"a": ["1", "2", "3"], "y": ["", "", ""]},  # no target
        {"a": ["5 km", "3 m"] * 20, "y": ["1.5", "2.5"] * 20},  # several units
    ],
)
def test_a_config_is_written_also_where_nothing_can_be_learned(
    nnzoo: NNZOO, columns: dict[str, list[str]]
) -> None:
    write(**columns)
    result = nnzoo("init", "t.csv", "--table")
    assert result.code == 0, result.err
    assert load_config("t").data.name == "csv"
    assert nnzoo("train", "t", "-s", "train.epochs=1").code == 3
    assert "# cannot train yet: " in Path("t.yaml").read_text()


def test_numbers_that_count_the_rows_stay_where_there_is_nothing_else(nnzoo: NNZOO) -> None:
    write(x=[str(i) for i in range(40)], y=[f"{2 * i + 1}.5" for i in range(40)])
    assert nnzoo("init", "t.csv", "--table").code == 0
    assert data().drop == []


def test_options_for_files_are_refused_for_configs_and_folders(nnzoo: NNZOO) -> None:
    assert "are for data files; cnn is a config" in nnzoo("init", "cnn", "--target", "a").err
    Path("f").mkdir()
    assert nnzoo("init", "f", "--target", "a").code == 2


def test_a_table_of_passengers_goes_from_init_to_predictions_unedited(nnzoo: NNZOO) -> None:
    import random

    draw = random.Random(7)
    rows = []
    for i in range(300):
        sex, kind = draw.choice(["male", "female"]), draw.choice("123")
        survived = int(draw.random() < (0.8 if sex == "female" else 0.2))
        name = f'"Ford, {"Mr." if sex == "male" else "Mrs."} {draw.choice(["Ivan", "Anna", "Bo"])} {i}"'
        age = "" if draw.random() < 0.2 else f"{draw.uniform(1, 70):.1f}"
        cabin = f"{draw.choice('ABC')}{draw.randrange(130)}" if draw.random() < 0.3 else ""
        rows.append(
            f"{i + 1},{kind},{name},{sex},{age},{survived},T/{draw.randrange(250)},{draw.uniform(5, 90):.4f},"
            f"{cabin},{draw.choice(['S', 'C', 'Q', ''])}"
        )
    head = "PassengerId,Pclass,Name,Sex,Age,Survived,Ticket,Fare,Cabin,Embarked"
    Path("t.csv").write_text("\n".join([head, *rows[:280]]) + "\n")
    Path("new.csv").write_text("\n".join([head, *rows[280:]]) + "\n")
    assert nnzoo("init", "t.csv").code == 0
    assert (data().target, data().drop) == ("Survived", ["PassengerId", "Name", "Ticket", "Cabin"])
    trained = nnzoo("train", "t", "-s", "train.epochs=3")
    assert trained.code == 0, trained.err
    assert "missing values filled with the mean: " in trained.err
    assert "columns: 3 numbers, 2 categories" in trained.err
    result = nnzoo("predict", "checkpoints/t", "new.csv", "--keep", "PassengerId")
    assert result.code == 0, result.err
    assert result.out.splitlines()[1].startswith("1,281,")


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


def test_a_table_of_a_few_rows_trains_as_init_writes_it(nnzoo: NNZOO) -> None:
    """No rows are left for validation, so nothing stops early."""
    Path("few.csv").write_text("a,b,y\n" + "".join(f"{i},{i * i},{i % 2}\n" for i in range(8)))
    assert nnzoo("init", "few.csv").code == 0
    result = nnzoo("train", "few", "-v", "0")
    assert result.code == 0, result.err
