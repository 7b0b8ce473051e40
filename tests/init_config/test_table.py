"""Configs that `init` writes for tables."""

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


def data() -> Any:
    return load_config("t").data


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


def test_a_table_of_a_few_rows_trains_as_init_writes_it(nnzoo: NNZOO) -> None:
    """No rows are left for validation, so nothing stops early."""
    Path("few.csv").write_text("a,b,y\n" + "".join(f"{i},{i * i},{i % 2}\n" for i in range(8)))
    assert nnzoo("init", "few.csv").code == 0
    result = nnzoo("train", "few", "-v", "0")
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    ("rows", "has_number", "target", "scale", "monitor", "std"),
    [
        (1_999, True, "classes", "standardize", "auto", None),
        (2_000, True, "classes", "quantile", "val_accuracy", 0.3),
        (10_000, True, "classes", "quantile", "val_accuracy", 1.0),
        (2_000, False, "classes", "standardize", "val_accuracy", None),
        (2_000, True, "number", "standardize", "auto", None),
    ],
)
def test_classes_of_many_rows_get_embeddings_of_their_numbers(
    nnzoo: NNZOO,
    rows: int,
    has_number: bool,
    target: str,
    scale: str,
    monitor: str,
    std: float | None,
) -> None:
    numbers = [f"{(i * 7919) % rows}.5" for i in range(rows)]
    kinds = [["red", "green", "blue"][i % 3] for i in range(rows)]
    goal = [["u", "v"][i % 2] for i in range(rows)] if target == "classes" else numbers[::-1]
    columns = {"number": numbers} if has_number else {}
    write(**columns, kind=kinds, y=goal)
    assert nnzoo("init", "t.csv").code == 0
    config: Any = load_config("t")
    embedding = config.model.numeric_embedding
    assert (config.data.preprocess.scale, config.train.monitor) == (scale, monitor)
    assert (embedding and embedding.std) == std
    assert nnzoo("check", "t").code == 0
