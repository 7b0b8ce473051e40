"""Issues that only the data reveal: each names the file, line and column of the key to blame."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nnzoo.config.load import load_config
from nnzoo.config.run_config import from_dict
from nnzoo.errors import ConfigError, DataError
from tests.conftest import Result

Nnzoo = Callable[..., Result]
TABLE = """\
name: t
data:
  name: csv
  path: t.csv
  target: kind
model: {name: mlp, hidden: [4]}
train: {epochs: 1}
"""


@pytest.fixture
def table(own_folder: Path) -> Path:
    rows = "".join(f"{i},{i % 7},{'no' if i % 2 else 'yes'}\n" for i in range(40))
    Path("t.csv").write_text(f"a,b,kind\n{rows}")
    Path("t.yaml").write_text(TABLE)
    return own_folder


# (text of the file, its replacement, --set, place and key of the issue)
CASES = {
    "model": ("name: mlp, hidden: [4]", "name: cnn", (), "t.yaml:6:15  model.name"),
    "a model by its name alone": ("{name: mlp, hidden: [4]}", "lstm", (), "t.yaml:6:8  model.name"),
    "loss": ("epochs: 1", "epochs: 1, loss: mse", (), "t.yaml:7:26  train.loss"),
    "monitor": ("epochs: 1", "epochs: 1, monitor: val_rmse", (), "t.yaml:7:29  train.monitor"),
    "batch": (
        "epochs: 1",
        "epochs: 1, batch_size: 1",
        ("model.norm=batch",),
        "t.yaml:7:32  train.b",
    ),
    "pca": ("kind\n", "kind\n  preprocess:\n    pca: 9\n", (), "t.yaml:7:10  data.preprocess.pca"),
    "--set": ("", "", ("train.loss=huber",), "--set  train.loss"),
    "--set of a section": ("", "", ("model={name: gru}",), "--set  model.name"),
    "a default": ("kind\n", "b\n  relative: true\n", (), "unknown key"),
    "column": (
        "target: kind",
        "target: knid",
        (),
        "t.yaml:5:11  data.target  no column 'knid'; did",
    ),
    "columns": ("kind\n", "kind\n  drop: [a, zz]\n", (), "t.yaml:6:9  data.drop  no column 'zz'"),
    "path": ("path: t.csv", "path: u.csv", (), "t.yaml:4:9  data.path  no file"),
    "column by --set": ("", "", ("data.target=KIND",), "--set  data.target  no column 'KIND'; did"),
    "split": (
        "kind\n",
        "kind\n  split:\n    val: 30\n    test: 30\n",
        (),
        "t.yaml:7:5  data.split",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_errors_against_the_data_name_file_line_and_column(
    case: str, table: Path, nnzoo: Nnzoo
) -> None:
    old, new, sets, message = CASES[case]
    Path("t.yaml").write_text(TABLE.replace(old, new) if old else TABLE)
    result = nnzoo("train", "t.yaml", *(word for item in sets for word in ("-s", item)))
    assert message in result.err
    assert result.code == (3 if "data" in message and "pca" not in message else 2)


def test_a_default_is_blamed_on_the_section_that_could_hold_it(table: Path, nnzoo: Nnzoo) -> None:
    Path("t.yaml").write_text(TABLE.replace("  target: kind\n", "  split: {val: 0}\n"))
    result = nnzoo("train", "t.yaml", "-s", "train.early_stopping.patience=2")
    assert "--set  train.early_stopping  needs validation rows" in result.err
    config = load_config("t.yaml")
    assert config.location("data.target") == "t.yaml:3:3"
    assert config.location("optim.lr") == config.location("") == "t.yaml"
    assert config.location("model.hidden[0]") == "t.yaml:6:29"


def test_python_sees_the_same_place(table: Path) -> None:
    import nnzoo

    Path("t.yaml").write_text(TABLE.replace("{name: mlp, hidden: [4]}", "cnn"))
    with pytest.raises(ConfigError, match=r"t\.yaml:6:8  model\.name"):
        nnzoo.train("t.yaml")
    with pytest.raises(DataError, match=r"^the dictionary  data\.target  no column 'x'"):
        nnzoo.train(
            {"name": "d", "data": {"name": "csv", "path": "t.csv", "target": "x"}, "model": "mlp"}
        )


def test_groups_and_sweeps_name_the_place_too(table: Path, nnzoo: Nnzoo) -> None:
    Path("t.yaml").write_text(TABLE.replace("{name: mlp, hidden: [4]}", "rnn"))
    assert "t.yaml:6:8  model.name" in nnzoo("train", "t.yaml", "--seeds", "2").err
    Path("t.yaml").write_text(
        TABLE.replace("kind\n", "kidn\n") + "sweep: {space: {optim.lr: [0.1]}}\n"
    )
    result = nnzoo("sweep", "t.yaml")
    assert (result.code, result.err.startswith("t.yaml:5:11  data.target  no column 'kidn'")) == (
        3,
        True,
    )


TEXTS = "a,b,c,kind\n" + "".join(
    f"{i},{i % 7},t{i},{'no' if i % 2 else 'yes'}\n" for i in range(200)
)
SHOP = "date,sales,temp\n" + "".join(
    f"2024-03-{i % 28 + 1:02},{i % 9},{i % 5}\n" for i in range(28)
)
# (data file, lines below data.path, message)
IN_THE_FILE = {
    "a column of texts": (
        TEXTS,
        "target: kind",
        "t.yaml:3:3  data.drop  t.csv: column 'c' is text",
    ),
    "a column of texts beside others": (
        TEXTS,
        "target: kind\n  drop: [a]",
        "t.yaml:6:9  data.drop  t.csv: column 'c' is text with",
    ),
    "one class": (
        TEXTS.replace("yes", "no"),
        "target: kind\n  drop: [c]",
        "t.yaml:5:11  data.target  t.csv: the target 'kind'",
    ),
    "no target": (
        "a,kind\n" + "1,\n" * 30,
        "target: kind",
        "t.yaml:5:11  data.target  t.csv: the target 'kind' is",
    ),
    "no input": (
        "a,kind\n" + "1,x\n2,y\n" * 30,
        "target: kind\n  drop: [a]",
        "t.yaml:6:9  data.drop  t.csv has no",
    ),
    "in both": (
        TEXTS,
        "target: kind\n  drop: [c]\n  numbers: [a]\n  categories: [a]",
        "t.yaml:8:15  data.categories  'a' is in data.numbers, too",
    ),
    "a number too large": (
        TEXTS.replace("\n3,", "\n1e31,"),
        "target: kind\n  drop: [c]",
        "t.yaml:4:9  data.path  t.csv: column 'a'",
    ),
    "another encoding": (
        TEXTS.replace("t5,", "té,"),
        "target: kind\n  encoding: ascii",
        "t.yaml:6:13  data.encoding  t.csv:7: not ascii text (byte 70)",
    ),
    "a series without a value": (
        re.sub(r",\d,", ",,", SHOP),
        "target: sales",
        "t.yaml:5:11  data.target  t.csv: no row has a value of 'sales'",
    ),
    "a word in a series": (
        SHOP.replace("04,3,", "04,x1,"),
        "target: sales",
        "t.yaml:5:11  data.target  t.csv: the target 'sales'",
    ),
    "an odd date": (
        SHOP.replace("2024-03-09", "sometime"),
        "target: sales\n  time: date",
        "t.yaml:6:9  data.time  t.csv: data row",
    ),
    "a short series": (
        SHOP,
        "target: sales\n  window: 40",
        "t.yaml:6:11  data.window  series has 28 time steps",
    ),
}


@pytest.mark.parametrize("case", IN_THE_FILE)
def test_columns_and_targets_of_the_data_file_name_the_key_to_blame(
    case: str, own_folder: Path, nnzoo: Nnzoo
) -> None:
    rows, options, message = IN_THE_FILE[case]
    Path("t.csv").write_text(rows)
    series = rows.startswith("date")
    name = "series" if series else "csv"
    model = "gru" if series else "mlp"
    Path("t.yaml").write_text(
        f"name: t\ndata:\n  name: {name}\n  path: t.csv\n  {options}\nmodel: {model}\n"
    )
    result = nnzoo("train", "t.yaml")
    text = " ".join(result.err.replace(f"{own_folder}/", "").split())
    assert (result.code, " ".join(message.split()) in text) == (3, True), text


def test_a_folder_of_images_that_cannot_train_is_blamed_on_its_key(
    own_folder: Path, nnzoo: Nnzoo
) -> None:
    Path("d/cat").mkdir(parents=True)
    Path("t.yaml").write_text("data:\n  name: image_folder\n  path: d\nmodel: cnn\n")
    result = nnzoo("train", "t.yaml")
    assert (result.code, result.err.startswith("t.yaml:3:9  data.path  ")) == (3, True)


def test_a_stored_search_is_read_and_its_issues_are_named(table: Path) -> None:
    stored = yaml.safe_load(TABLE)
    search = {"trials": 3, "space": {"optim.lr": {"low": 1e-4, "high": 1e-2, "log": True}}}
    config = from_dict(stored | {"sweep": search}, "stored")
    assert config.sweep is not None and config.sweep.trials == 3
    with pytest.raises(ConfigError, match="trials"):
        from_dict(stored | {"sweep": search | {"trials": 0}}, "stored")
