"""The commands that list, check and write configs: what they say, where, and with which exit code."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from nnzoo import __version__
from nnzoo.cli import COMMANDS
from nnzoo.config import DATA, MODELS, yaml_parser
from nnzoo.config.load import bundled_configs, load_config
from nnzoo.config.registry import DOCUMENTED_OPTIONS

NNZOO = Callable[..., Any]
FIRST = "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1}\n"


@pytest.fixture
def first() -> Path:
    path = Path("first.yaml")
    path.write_text(FIRST)
    return path


# Help and version.


def test_help_names_every_command_and_where_to_start(nnzoo: NNZOO) -> None:
    result = nnzoo("--help")
    assert (result.code, result.err) == (0, "")
    for command in (
        "train",
        "sweep",
        "eval",
        "check",
        "models",
        "datasets",
        "training",
        "configs",
        "init",
        "schema",
    ):
        assert re.search(rf"^\s+{command} ", result.out, re.MULTILINE), command
    assert "nnzoo train --config cnn" in result.out
    assert nnzoo("-h").out == result.out


@pytest.mark.parametrize("command", ["train", "sweep", "eval", "check", "models", "init", "schema"])
def test_each_command_has_help(nnzoo: NNZOO, command: str) -> None:
    result = nnzoo(command, "--help")
    assert result.code == 0
    assert f"nnzoo {command}" in result.out
    assert "--debug" in result.out


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_is_one_line(nnzoo: NNZOO, option: str) -> None:
    assert nnzoo(option).out == f"nnzoo {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["train", "--bogus"], "No such option: --bogus"),
        (["configs", "cnn", "extra"], "unexpected extra argument(s) (extra)"),
        (["train", "cnn", "--epochs", "5"], "No such option: --epochs; it is -s train.epochs=5"),
        (["train", "cnn", "--lr=0.1"], "No such option: --lr; it is -s optim.lr=0.1"),
        (["train", "cnn", "--batch-size", "32"], "it is -s train.batch_size=32"),
        (["train", "cnn", "--optim.name", "sgd"], "it is -s optim.name=sgd"),
        (["train", "cnn", "--overwrite"], "it is --fresh"),
        (["train", "cnn", "--gpu", "0"], "it is the option --device cuda"),
        (["train", "cnn", "--set", "train.epochs", "5"], "write it with '=': --set train.epochs=5"),
        (["train", "cnn", "epochs=5"], "a value is set with -s train.epochs=5"),
        (["train", "cnn", "--seed", "x"], "'--seed': expected a whole number"),
        (["train", "--verbose", "cnn"], "expected 0 (silent), 1 (live) or 2 (one line per epoch)"),
        (
            ["train", "cnn", "--verbose", "3"],
            "expected 0 (silent), 1 (live) or 2 (one line per epoch)",
        ),
        (["train", "cnn", "--resume", "maybe"], "'maybe' is not one of 'auto', 'must', 'never'."),
        (["eval", "x", "--split", "dev"], "'--split': 'dev' is not one of 'train', 'val', 'test'."),
        (["eval", "x", "--weights", "dev"], "'--weights': 'dev' is not one of 'best', 'last'."),
        (["models", "--epochs", "5"], "No such option: --epochs\n"),
        (["init"], "Missing argument 'NAME|DATA'"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_says_so_on_stderr(
    nnzoo: NNZOO, words: list[str], message: str
) -> None:
    result = nnzoo(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: ")
    assert message in result.err


def test_verbose_without_a_number_says_which_there_are(nnzoo: NNZOO) -> None:
    result = nnzoo("train", "cnn", "--verbose")
    assert (result.code, "expected 0 (silent), 1 (live)" in result.err) == (2, True)


def test_help_at_80_columns_has_whole_sentences_and_no_python(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "..." not in nnzoo("--help").out.replace("[ARGS]...", "")
    for command in COMMANDS:
        out = nnzoo(command, "--help").out
        assert max(map(len, out.splitlines())) <= 80
        assert not re.search(r"<(str|int|path|list)", out), command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "cnn", "-c", "mlp"], "give the config once: as CONFIG, or with --config\n"),
        (
            ["train"],
            "missing config: nnzoo train --config cnn.yaml; 'nnzoo configs' lists the bundled ones\n",
        ),
    ],
)
def test_a_wrong_value_of_an_option_is_one_message(
    nnzoo: NNZOO, words: list[str], message: str
) -> None:
    result = nnzoo(*words)
    assert (result.code, result.out, result.err) == (2, "", message)


# Listings.


@pytest.mark.parametrize(
    ("command", "registry"),
    [("models", MODELS), ("datasets", DATA), ("training", DOCUMENTED_OPTIONS)],
)
def test_a_listing_shows_each_entry_and_each_of_its_options(
    nnzoo: NNZOO, command: str, registry: Any
) -> None:
    result = nnzoo(command, "--json")
    assert (result.code, result.err) == (0, "")
    listed = result.json
    assert set(listed) == {name for name, _ in registry}
    text = nnzoo(command).out
    for name, entry in registry:
        assert name in text
        summary, options = listed[name]["summary"], listed[name]["options"]
        assert summary and summary.split(",")[0] in text
        assert {row["key"].split(".")[0] for row in options} == {
            key for key in entry.options.model_fields if key != "name"
        }
        for row in options:
            assert set(row) == {"key", "default", "meaning"}
            assert row["meaning"], (name, row)


def test_a_listing_shows_defaults_as_they_are_written_in_a_file(nnzoo: NNZOO) -> None:
    def defaults(command: str, name: str) -> dict[str, str]:
        options = nnzoo(command, name, "--json").json[name]["options"]
        return {row["key"]: row["default"] for row in options}

    cnn = defaults("models", "cnn")
    assert cnn["channels"] == "[32, 64]"
    assert cnn["residual"] == "false"
    assert cnn["head.pooling"] == "flatten"
    adam = defaults("training", "adam")
    assert adam["lr"] == "0.001"
    assert adam["schedule"] == "constant"
    assert adam["clip"] == adam["clip.norm"] == "null"
    csv = defaults("datasets", "csv")
    assert csv["path"] == "required"
    assert csv["target"] == "-1"
    adding = defaults("datasets", "adding")
    assert adding["preprocess.scale"] == adding["preprocess.target"] == "none"
    assert defaults("datasets", "sine")["preprocess.target"] == "standardize"


def test_a_listing_names_the_words_that_an_option_takes(nnzoo: NNZOO) -> None:
    out = " ".join(nnzoo("models", "lstm").out.split())
    assert "(one of last, mean, max)" in out
    assert "lstm" in out and "cnn" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["models", "lsm"], "no model 'lsm'; did you mean 'lstm'?"),
        (["models", "CNN"], "no model 'CNN'; did you mean 'cnn'?"),
        (["models", "x"], "no model 'x'; one of mlp, cnn, rnn, lstm, gru"),
        (["datasets", "minst"], "no data source 'minst'; did you mean 'mnist'?"),
        (["training", "admw"], "no entry 'admw'; did you mean 'adamw'?"),
    ],
)
def test_an_unknown_name_is_reported_with_what_was_meant(
    nnzoo: NNZOO, words: list[str], message: str
) -> None:
    for arguments in (words, [*words, "--json"]):
        result = nnzoo(*arguments)
        assert (result.code, result.out, result.err) == (2, "", f"{message}\n")


def test_configs_lists_every_bundled_config_with_its_purpose(nnzoo: NNZOO) -> None:
    listed = nnzoo("configs", "--json").json
    out = nnzoo("configs").out.splitlines()
    assert list(listed) == [path.stem for path in bundled_configs()]
    for path in bundled_configs():
        lines = path.read_text().splitlines()
        comment = [
            line[1:].split()
            for line in itertools.takewhile(lambda line: line.startswith("#"), lines)
        ]
        assert [line.split() for line in listed[path.stem]] == comment
        line = next(line for line in out if line.split()[:1] == [path.stem])
        assert line.split()[1:] == comment[0][: len(line.split()) - 1]
        details = nnzoo("configs", path.stem).out.splitlines()
        assert [line.split() for line in details] == [[path.stem], *comment]


def test_an_unknown_bundled_config_is_suggested(nnzoo: NNZOO) -> None:
    result = nnzoo("configs", "cnn_mnst")
    assert (result.code, result.err) == (
        2,
        "no bundled config 'cnn_mnst'; did you mean 'cnn_mnist'?\n",
    )


# Schema.


def test_schema_is_one_json_schema_that_knows_a_typo(nnzoo: NNZOO) -> None:
    result = nnzoo("schema")
    assert (result.code, result.err) == (0, "")
    validator = jsonschema.Draft202012Validator(json.loads(result.out))
    validator.check_schema(validator.schema)
    assert list(validator.iter_errors(yaml_parser.parse_yaml(FIRST, "f").value)) == []
    assert (
        len(list(validator.iter_errors(yaml_parser.parse_yaml(FIRST + "sed: 1", "f").value))) == 1
    )


# Check.


def test_check_prints_a_config_that_means_the_same(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("check", first, "--set", "optim.lr=0.5", "--all")
    assert (result.code, result.err) == (0, "")
    Path("again.yaml").write_text(result.out)
    assert load_config("again.yaml") == load_config("first.yaml", ["optim.lr=0.5"])
    assert re.search(r"^  lr: 0\.5 +# --set$", result.out, re.MULTILINE)
    assert re.search(r"^  hidden: \[4\] +# first\.yaml:2$", result.out, re.MULTILINE)
    assert re.search(r"^  batch_size: 64 +# default$", result.out, re.MULTILINE)


def test_check_as_json_is_the_resolved_config(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("check", first, "--json")
    assert result.err == ""
    assert result.json == load_config("first.yaml").to_dict()


def test_check_reports_issues_on_stderr_and_exits_with_2(nnzoo: NNZOO) -> None:
    Path("bad.yaml").write_text("data: digits\nmodel: {name: cnn, chanels: [8]}\n")
    result = nnzoo("check", "bad.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "bad.yaml: 1 problem\n"
        "  bad.yaml:2:20  model.chanels  unknown key; did you mean 'channels'?\n"
        "      2 | model: {name: cnn, chanels: [8]}\n"
        "        |                    ^^^^^^^\n"
    )


def test_check_gives_problems_as_json(nnzoo: NNZOO) -> None:
    Path("bad.yaml").write_text("data: digits\nmodel: {name: cnn, chanels: [8]}\n")
    result = nnzoo("check", "bad.yaml", "--json", "-s", "optim.lr=-1")
    assert (result.code, result.err) == (2, "")
    assert result.json == {
        "issues": [
            {
                "file": None,
                "line": None,
                "column": None,
                "key": "optim.lr",
                "message": "expected a number above 0, got -1",
            },
            {
                "file": "bad.yaml",
                "line": 2,
                "column": 20,
                "key": "model.chanels",
                "message": "unknown key; did you mean 'channels'?",
            },
        ]
    }


def test_check_says_in_short_what_a_config_trains(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("check", first)
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "first.yaml: ok\n"
        "  mlp on digits · adam, learning rate 0.001 · 1 epoch of batch size 64 · run folder first\n"
        "every value, and where it comes from: nnzoo check first.yaml --all\n"
    )


def test_check_needs_no_data_to_be_there(nnzoo: NNZOO) -> None:
    Path("later.yaml").write_text("data: {name: csv, path: not/yet.csv}\nmodel: mlp\n")
    assert nnzoo("check", "later.yaml").code == 0


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_command_without_a_config_says_how_to_give_one(nnzoo: NNZOO, command: str) -> None:
    result = nnzoo(command)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "missing config: nnzoo train --config cnn.yaml; 'nnzoo configs' lists the bundled ones\n"
    )


def test_a_config_that_is_not_there_exits_with_2(nnzoo: NNZOO) -> None:
    result = nnzoo("check", "--config", "nope.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("no config 'nope.yaml': not a file")


def test_the_order_and_form_of_options_never_matter(nnzoo: NNZOO, first: Path) -> None:
    groups = [["--config", "first.yaml"], ["--set", "optim.lr=0.5"], ["--seed", "3"], ["--json"]]
    expected = load_config("first.yaml", ["optim.lr=0.5", "seed=3"]).to_dict()
    for order in itertools.permutations(groups):
        assert nnzoo("check", *itertools.chain(*order)).json == expected
    short = nnzoo("check", "--json", "-s", "optim.lr=0.5", "--seed=3", "-c", "first.yaml")
    assert short.json == expected
    assert (
        nnzoo("check", "-s", "optim.lr=0.5", "first.yaml", "--seed", "3", "--json").json == expected
    )


def test_of_two_sets_of_one_key_the_last_one_wins(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("check", "-s", "seed=1", first, "-s", "seed=2", "--json")
    assert result.json["seed"] == 2


@pytest.mark.parametrize("name", [path.stem for path in bundled_configs()])
def test_every_bundled_config_checks_by_its_name(nnzoo: NNZOO, name: str) -> None:
    result = nnzoo("check", "-c", name, "--all")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"name: {name} ")


# Colours.


def test_no_colour_where_it_is_not_wanted_or_no_terminal(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in nnzoo("models").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in nnzoo("models").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", nnzoo("models").out)


# Init.


def test_init_copies_a_bundled_config_and_says_what_is_next(nnzoo: NNZOO) -> None:
    result = nnzoo("init", "cnn")
    assert (result.code, result.out) == (0, "cnn.yaml\n")
    assert result.err == "next: nnzoo train --config cnn.yaml\n"
    bundled = next(path for path in bundled_configs() if path.stem == "cnn")
    assert Path("cnn.yaml").read_text() == bundled.read_text()


def test_init_writes_to_the_path_of_out(nnzoo: NNZOO) -> None:
    assert nnzoo("init", "mlp", "deep/mine.yaml").out == "deep/mine.yaml\n"
    assert load_config("deep/mine.yaml").name == "mine"
    Path("there").mkdir()
    assert nnzoo("init", "mlp", "there").out == "there/mlp.yaml\n"


def test_init_replaces_a_file_only_when_forced(nnzoo: NNZOO) -> None:
    Path("cnn.yaml").write_text("mine")
    result = nnzoo("init", "cnn")
    assert result.code == 2
    assert result.err == ("cnn.yaml exists already; name another file, or --force replaces it\n")
    assert Path("cnn.yaml").read_text() == "mine"
    assert nnzoo("init", "--force", "mlp", "cnn.yaml").code == 0
    assert Path("cnn.yaml").read_text() != "mine"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "cnm",
            "no config 'cnm': not a file, not in ./configs, not bundled; did you mean 'cnn'?\n",
        ),
        ("missing.csv", "no file missing.csv\n"),
    ],
)
def test_init_of_what_is_not_there_exits_with_2(nnzoo: NNZOO, source: str, message: str) -> None:
    result = nnzoo("init", source)
    assert (result.code, result.out, result.err) == (2, "", message)
    assert not list(Path().glob("*.yaml"))


def table(path: str, header: bool = True, classes: str = "abc") -> None:
    draw = random.Random(0)
    rows = [
        f"{draw.random():.3f},{draw.choice(['red', 'blue'])},{draw.choice(classes)}"
        for _ in range(60)
    ]
    Path(path).write_text("\n".join(["width,colour,kind", *rows] if header else rows) + "\n")


def images(folder: str, mode: str) -> None:
    for label, value in (("cat", 40), ("dog", 200)):
        (Path(folder) / label).mkdir(parents=True)
        for i in range(10):
            Image.new(mode, (20, 16), value + i if mode == "L" else (value, i, 9)).save(
                Path(folder) / label / f"{i}.png"
            )


def months(path: str, covariate: bool) -> None:
    rows = [
        f"{1950 + i // 12}-{i % 12 + 1:02d},"
        + ("1.5," if covariate else "")
        + f"{100 + i + 10 * math.sin(i / 2):.1f}"
        for i in range(60)
    ]
    header = "month,fuel,passengers" if covariate else "month,passengers"
    Path(path).write_text("\n".join([header, *rows]) + "\n")


def initialised(nnzoo: NNZOO, source: str) -> dict[str, Any]:
    """The resolved config that `init` wrote, after `check` and a dry run of it."""
    result = nnzoo("init", source)
    assert result.code == 0, result.err
    written = result.out.strip()
    checked = nnzoo("check", written, "--json")
    assert checked.code == 0, checked.err
    dry = nnzoo("train", "--dry-run", "--json", written)
    assert dry.code == 0, dry.err
    assert dry.lines[-1]["event"] == "dry-run"
    assert not Path("checkpoints").exists()
    assert not Path(checked.json["name"]).is_absolute()
    return dict(checked.json)


def after_schema(path: str) -> str:
    """A config that `init` wrote, after the line that names its schema to an editor."""
    first, _, text = Path(path).read_text().partition("\n")
    schema = first.removeprefix("# yaml-language-server: $schema=file://")
    assert json.loads(Path(schema).read_text())["properties"]["data"]
    return text


def test_init_of_a_table_writes_a_config_that_trains_on_it(nnzoo: NNZOO, tmp_path: Path) -> None:
    table("shapes.csv")
    actual = initialised(nnzoo, "shapes.csv")
    assert actual["data"]["name"] == "csv"
    assert actual["data"]["path"] == str(tmp_path / "shapes.csv")
    assert actual["data"]["target"] == "kind"
    assert after_schema("shapes.yaml").startswith(
        "# shapes.csv: 60 rows, 1 number, 1 category; the target is 3 classes (a, b, c).\n"
        "#   nnzoo train --config shapes\n"
    )


def test_init_of_a_table_without_a_header_counts_its_columns(nnzoo: NNZOO) -> None:
    table("bare.csv", header=False)
    actual = initialised(nnzoo, "bare.csv")
    assert actual["data"]["header"] is False
    assert actual["data"]["target"] == -1
    assert after_schema("bare.yaml").startswith("# bare.csv: 60 rows,")


def test_init_of_a_series_finds_its_dates_and_season(nnzoo: NNZOO) -> None:
    months("air.csv", covariate=False)
    actual = initialised(nnzoo, "air.csv")
    assert actual["data"]["name"] == "series"
    assert actual["data"]["target"] == "passengers"
    assert after_schema("air.yaml").startswith(
        "# air.csv: 60 time steps, a season of 12 by its dates.\n"
    )


def test_init_of_a_series_names_the_covariates_that_could_be_used(nnzoo: NNZOO) -> None:
    months("air.csv", covariate=True)
    assert initialised(nnzoo, "air.csv")["data"]["covariates"] == "none"
    assert '# or all, or a list: "fuel"\n' in Path("air.yaml").read_text()


def cities(path: str, first: str = "date,city,y", stacked: bool = True) -> None:
    rows = [
        f"2020-{1 + i // 28:02d}-{1 + i % 28:02d},{city},{value + i}.5"
        for city, value in (("Paris", 10), ("Lyon", 90))
        for i in range(40)
    ]
    rows = rows if stacked else sorted(rows)
    Path(path).write_text("\n".join([*([first] if first else []), *rows]) + "\n")


@pytest.mark.parametrize("stacked", [True, False])
def test_init_of_several_series_names_the_column_that_tells_them_apart(
    nnzoo: NNZOO, stacked: bool
) -> None:
    cities("groups.csv", stacked=stacked)
    data = initialised(nnzoo, "groups.csv")["data"]
    assert (data["name"], data["group"], data["target"]) == ("series", "city", "y")
    assert after_schema("groups.yaml").startswith(
        "# groups.csv: 80 time steps of 2 series, a season of 7 by its dates.\n"
    )


def test_init_of_several_series_without_a_header_goes_by_positions(nnzoo: NNZOO) -> None:
    cities("bare.csv", first="")
    data = initialised(nnzoo, "bare.csv")["data"]
    assert (data["name"], data["header"], data["group"], data["target"]) == (
        "series",
        False,
        "1",
        -1,
    )


def test_init_takes_words_beside_rising_dates_for_a_table(nnzoo: NNZOO) -> None:
    rows = [
        f"2020-{1 + i // 28:02d}-{1 + i % 28:02d},{['sun', 'rain'][i % 2]},{i}.5" for i in range(60)
    ]
    Path("weather.csv").write_text("date,sky,y\n" + "\n".join(rows) + "\n")
    assert initialised(nnzoo, "weather.csv")["data"]["name"] == "csv"


def test_init_of_a_series_without_a_header_takes_its_last_number(nnzoo: NNZOO) -> None:
    rows = [f"{i}.5,2020-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(60)]
    Path("bare.csv").write_text("\n".join(rows) + "\n")
    assert initialised(nnzoo, "bare.csv")["data"]["target"] == "0"


def test_init_does_not_take_thousands_for_dates(nnzoo: NNZOO) -> None:
    rows = [f'"1,{200 + i}",{i % 7}.5' for i in range(60)]
    Path("money.csv").write_text("price,y\n" + "\n".join(rows) + "\n")
    assert nnzoo("init", "money.csv").code == 0
    assert load_config("money").data.name == "csv"


def disordered() -> None:
    months("d.csv", covariate=False)
    first, second, *rest = Path("d.csv").read_text().splitlines()
    Path("d.csv").write_text("\n".join([first, *rest, second]) + "\n")


def gappy() -> None:
    months("d.csv", covariate=False)
    lines = Path("d.csv").read_text().splitlines()
    lines[9] = lines[9].split(",")[0] + ","
    Path("d.csv").write_text("\n".join(lines) + "\n")


def one_class() -> None:
    images("d", "RGB")
    shutil.rmtree("d/cat")


def empty_class() -> None:
    images("d", "RGB")
    Path("d/fox").mkdir()


def no_class() -> None:
    Path("d").mkdir()
    Image.new("RGB", (8, 8)).save("d/a.png")


def test_init_and_train_say_which_rows_of_a_series_have_no_target(nnzoo: NNZOO) -> None:
    gappy()
    assert nnzoo("init", "d.csv").code == 0
    message = "left out inside the series: 1 row without a value of 'passengers', first data row 9"
    assert message in Path("d.yaml").read_text()
    result = nnzoo("train", "--config", "d", "--set", "train.epochs=1")
    assert result.code == 0
    assert message in " ".join(result.err.split())


def test_init_of_a_series_in_disorder_says_that_it_is_sorted(nnzoo: NNZOO) -> None:
    disordered()
    assert initialised(nnzoo, "d.csv")["data"]["name"] == "series"
    note = "1 row is earlier than the row before: the file is sorted by 'month'"
    assert f"# {note}" in Path("d.yaml").read_text()


@pytest.mark.parametrize(
    ("make", "comment"),
    [
        (
            one_class,
            "# cannot train yet: d has 1 class folder(s); a classifier needs at least two (labels come from the names of folders, not from .txt, .csv or other files)",
        ),
        (empty_class, "# left out: 1 folder without images (fox/)"),
        (
            no_class,
            "# cannot train yet: d has no class folders; put each class's images into its own",
        ),
    ],
)
def test_init_of_images_that_cannot_train_writes_a_config_that_says_why(
    nnzoo: NNZOO, make: Callable[[], Any], comment: str
) -> None:
    make()
    assert nnzoo("init", "d").code == 0
    assert comment in Path("d.yaml").read_text().splitlines()
    message = "cannot train" in comment
    result = nnzoo("check", "d")
    assert result.code == (3 if message else 0)
    assert comment.partition(": ")[2] in " ".join((result.out + result.err).split())


def test_init_of_images_sees_their_size_and_colour(nnzoo: NNZOO) -> None:
    images("pets", "RGB")
    actual = initialised(nnzoo, "pets")
    assert (actual["data"]["name"], actual["data"]["size"], actual["data"]["color"]) == (
        "image_folder",
        28,
        True,
    )
    images("grey", "L")
    assert nnzoo("init", "grey").code == 0
    assert load_config("grey").data.color is False  # type: ignore[attr-defined]


def test_init_of_images_leaves_out_what_it_cannot_read(nnzoo: NNZOO) -> None:
    images("pets", "RGB")
    bomb = bytearray(Path("pets/cat/0.png").read_bytes())
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    Path("pets/cat/0.png").write_bytes(bomb)
    assert nnzoo("init", "pets").code == 0
    assert load_config("pets").data.size == 28  # type: ignore[attr-defined]


def test_init_into_another_folder_writes_a_path_that_fits(nnzoo: NNZOO, tmp_path: Path) -> None:
    Path("raw").mkdir()
    table("raw/t.csv")
    assert nnzoo("init", "raw/t.csv", "deep/er/t.yaml").code == 0
    assert f'path: "{tmp_path}/raw/t.csv"' in Path("deep/er/t.yaml").read_text()
    assert load_config("deep/er/t.yaml").data.path == str(tmp_path / "raw" / "t.csv")  # type: ignore[attr-defined]


def test_init_of_a_file_with_an_odd_name_names_the_run(nnzoo: NNZOO) -> None:
    table("my data, 1.csv")
    assert initialised(nnzoo, "my data, 1.csv")["name"] == "my-data-1"
    assert "nnzoo train --config 'my data, 1'\n" in Path("my data, 1.yaml").read_text()


def test_init_survives_names_and_labels_with_line_breaks_and_quotes(nnzoo: NNZOO) -> None:
    kinds = ["do\nwn", "up: #1"]
    rows = "".join(f'{i * 0.37 % 1:.3f},{i * 0.11 % 1:.3f},"{kinds[i % 2]}"\n' for i in range(60))
    Path("odd.csv").write_text('a,b,"the ""kind"",\nof: it"\n' + rows)
    assert nnzoo("init", "odd.csv").code == 0
    actual = load_config("odd")
    assert actual.data.target == 'the "kind",\nof: it'  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", [lambda: Path("d").mkdir(), lambda: Path("d").write_text("")])
def test_init_of_data_that_cannot_be_read_exits_with_3(
    nnzoo: NNZOO, make: Callable[[], Any]
) -> None:
    make()
    result = nnzoo("init", "d")
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("d ") or "d:" in result.err
    assert not Path("d.yaml").exists()


# Train, eval and exit codes.


def test_a_dry_run_shows_the_layers_and_writes_nothing(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("train", first, "--dry-run", "--json", "--out", "runs")
    assert result.code == 0
    shown = result.lines[-1]
    assert [row["type"] for row in shown["layers"]][:2] == ["Flatten", "Linear"]
    assert shown["steps"] == shown["steps_per_epoch"] == 20
    assert not Path("runs").exists()


def test_a_missing_file_is_an_error_of_the_data(nnzoo: NNZOO) -> None:
    Path("a.yaml").write_text("data: {name: csv, path: nowhere.csv}\nmodel: mlp\n")
    result = nnzoo("train", "a.yaml")
    assert (result.code, result.out) == (3, "")
    assert "nowhere.csv" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "give either RUN or --config: nnzoo eval checkpoints/cnn\n"),
        (
            ["a", "-c", "cnn"],
            2,
            "give either RUN or --config: nnzoo eval checkpoints/cnn\n",
        ),
        (["a", "--seed", "1"], 2, "--seed goes with --config: a RUN has its seed\n"),
        (["-c", "cnn"], 2, "no run in checkpoints/cnn; train first: nnzoo train --config cnn\n"),
        (["-c", "cnm"], 2, "no config 'cnm': not a file"),
        (["nowhere"], 5, "no checkpoint nowhere"),
        (["first.yaml"], 5, "first.yaml is "),
    ],
)
def test_eval_without_something_to_evaluate_says_what_to_give(
    nnzoo: NNZOO, first: Path, words: list[str], code: int, text: str
) -> None:
    result = nnzoo("eval", *words)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(text)
    assert "Traceback" not in result.err


def test_an_unknown_device_is_reported(nnzoo: NNZOO, first: Path) -> None:
    result = nnzoo("train", first, "--device", "abacus", "--dry-run")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("--device abacus: expected auto, cpu")


def test_debug_shows_the_traceback(nnzoo: NNZOO) -> None:
    from nnzoo.errors import UsageError

    with pytest.raises(UsageError, match="no config 'nope'"):
        nnzoo("check", "nope", "--debug")


@pytest.mark.parametrize(("word", "code"), [("--version", 0), ("eval", 2)])
def test_the_process_ends_with_all_that_was_said_and_registered(word: str, code: int) -> None:
    script = (
        "import atexit, sys\n"
        "from nnzoo.cli import main\n"
        "atexit.register(lambda: print('registered'))\n"
        "print('said')\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, word], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stdout.startswith("said\n") and done.stdout.endswith("registered\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only where there is /dev/full")
def test_output_that_cannot_be_written_is_no_success() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nnzoo", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode and "No space left" in done.stderr
