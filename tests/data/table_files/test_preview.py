"""`nnzoo check` beside the data, and columns that `predict` carries along."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result

NNZOO = Callable[..., Result]
ROWS = "".join(
    f'{i + 1},"{1000 + 7 * i:,}",{"unknown" if i % 5 == 0 else i % 40},{"uvw"[i % 3]},{"no" if i % 2 else "yes"}\n'
    for i in range(60)
)
CONFIG = (
    "data: {{name: csv, path: t.csv{}}}\nmodel: {{name: mlp, hidden: [4]}}\ntrain: {{epochs: 1}}\n"
)


def write(extra: str = "") -> None:
    Path("t.csv").write_text("id,sum,age,kind,answer\n" + ROWS)
    Path("c.yaml").write_text(CONFIG.format(extra))


def test_check_prints_what_each_column_is_read_as(nnzoo: NNZOO) -> None:
    write(", drop: [id]")
    result = nnzoo("check", "c.yaml")
    assert result.code == 0
    for line in (
        "t.csv: 60 rows, 5 columns",
        "id      dropped",
        "counts the rows",
        "sum     number",
        "'1,000' is 1000",
        "age     number                  12         32",
        "'unknown' in 12 rows counts as missing",
        "kind    category                 0          3",
        "answer  target: 2 classes        0          2",
    ):
        assert line in result.out, result.out


def test_check_names_columns_that_are_not_there_with_file_line_and_column(nnzoo: NNZOO) -> None:
    write(", target: anser, drop: [idd, 9]")
    result = nnzoo("check", "c.yaml")
    assert result.code == 2
    assert "c.yaml:1:40  data.target" in result.err
    assert "no column 'anser'; did you mean 'answer'?" in result.err
    assert "data.drop[0]  no column 'idd'; did you mean 'id'?" in result.err
    assert "data.drop[1]  no column 9; the file has 5 columns" in result.err
    listed = nnzoo("check", "c.yaml", "--json")
    assert (listed.code, len(listed.json["issues"])) == (2, 3)
    assert nnzoo("check", "c.yaml", "-s", "data.target=4", "-s", "data.drop=[]").code == 0


def test_check_names_columns_that_have_a_role(nnzoo: NNZOO) -> None:
    write(", split: {by: id}, weight: age, missing: [unknown]")
    result = nnzoo("check", "c.yaml")
    assert "id      order" in result.out and "age     weight" in result.out
    write(", split: {column: prt}")
    result = nnzoo("check", "c.yaml")
    assert "data.split.column  no column 'prt'" in result.err + result.out


def test_check_says_what_training_would_refuse(nnzoo: NNZOO) -> None:
    write(", max_categories: 2")
    assert "training stops here: " in nnzoo("check", "c.yaml").out
    assert "'kind' is text with 3 different values" in nnzoo("check", "c.yaml").out


def test_check_of_data_that_are_not_there_yet_says_so(nnzoo: NNZOO) -> None:
    write()
    Path("t.csv").unlink()
    result = nnzoo("check", "c.yaml")
    assert result.code == 0
    assert "data.path: no file" in result.out


def test_check_of_a_series_tells_its_time(nnzoo: NNZOO) -> None:
    days = "".join(f"2020-{1 + i // 28:02d}-{1 + i % 28:02d},{i}.5\n" for i in range(84))
    Path("s.csv").write_text("day,y\n" + days)
    Path("s.yaml").write_text("data: {name: series, path: s.csv, target: yy}\nmodel: lstm\n")
    assert "no column 'yy'; did you mean 'y'?" in nnzoo("check", "s.yaml").err
    result = nnzoo("check", "s.yaml", "-s", "data.target=y")
    assert "time: day" in result.out


def test_check_of_data_loads_no_torch() -> None:
    write()
    script = (
        "import sys\nfrom nnzoo.cli import app\n"
        "try:\n    app(['check', 'c.yaml'])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_predict_carries_columns_along(nnzoo: NNZOO) -> None:
    write(", drop: [id]")
    assert nnzoo("train", "c.yaml").code == 0
    new = Path("t.csv").read_text().splitlines()
    Path("new.csv").write_text("\n".join([new[0], *new[11:14]]) + "\n")
    result = nnzoo("predict", "checkpoints/c", "new.csv", "--keep", "id", "--keep", "kind")
    lines = result.out.splitlines()
    assert lines[0].startswith("row,id,kind,prediction,probability,p_no,p_yes")
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["1", "11", "v"],
        ["2", "12", "w"],
        ["3", "13", "u"],
    ]
    assert "words that count as missing: 1 of 'age' (unknown)" in result.err
    assert "missing values filled as in training: 1 of 'age'" in result.err
    typed = nnzoo("predict", "checkpoints/c", "new.csv", "--keep", "id", "--json").lines
    assert typed[0]["id"] == "11"
    wrong = nnzoo("predict", "checkpoints/c", "new.csv", "--keep", "ids")
    assert (wrong.code, "did you mean 'id'?" in wrong.err) == (3, True)


@pytest.mark.parametrize("name", ["row", "prediction"])
def test_a_carried_column_may_not_hide_the_predictions(nnzoo: NNZOO, name: str) -> None:
    write(", drop: [id]")
    assert nnzoo("train", "c.yaml").code == 0
    Path("new.csv").write_text(Path("t.csv").read_text().replace("id,", f"{name},", 1))
    result = nnzoo("predict", "checkpoints/c", "new.csv", "--keep", name)
    assert (result.code, "is the name of a column of the predictions" in result.err) == (2, True)
