"""From a file and --set to a configuration, or to all its issues: names, overrides, paths, finding a file."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnzoo.config import DATA, MODELS, yaml_parser
from nnzoo.config.load import (
    bundled_configs,
    bundled_folder,
    find_config,
    load_config,
    parse,
    source_file,
)
from nnzoo.config.registry import DOCUMENTED_OPTIONS
from nnzoo.config.run_config import from_dict
from nnzoo.errors import ConfigError, UsageError
from tests.config.config_cases import FIRST, config, issues, message


@pytest.mark.parametrize("text", ["- a\n", "hello", "5", "[]"])
def test_a_file_without_sections_says_what_they_are(text: str) -> None:
    assert [result[2] for result in issues(text)] == [
        "expected sections (data, model, optim, train) with their keys"
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_says_so(text: str) -> None:
    Path("empty.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config("empty.yaml")
    assert str(caught.value).splitlines()[1].split("  ")[-1] == (
        "the file is empty; 'nnzoo init cnn' writes one"
    )


# The run's name.


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "a\\b", "/tmp/x", ".", "..", ".hidden", "''", "a b", "é", "x" * 101, "5"],
)
def test_a_name_that_is_no_plain_folder_name_is_refused(name: str) -> None:
    text = message(f"name: {name}")
    assert text.startswith(
        "expected a folder's name (letters, digits, '.', '_', '-', the first a letter or digit, "
        "at most 100), got "
    )
    assert text.endswith("; in quotes: '5'") == (name == "5")


def test_the_name_is_the_files_own_unless_it_is_given() -> None:
    Path("mine.v2.yaml").write_text(FIRST)
    assert load_config("mine.v2.yaml").name == "mine.v2"
    assert load_config("mine.v2.yaml", ["name=other"]).name == "other"


def test_a_file_whose_name_cannot_be_a_folders_says_what_to_write() -> None:
    Path("my config.yaml").write_text(FIRST)
    with pytest.raises(ConfigError, match=r"the file's name cannot name the run's folder.*'name: "):
        load_config("my config.yaml")
    assert load_config("my config.yaml", ["name=fine"]).name == "fine"


def test_set_replaces_what_the_file_says_and_the_last_one_wins() -> None:
    text = f"{FIRST}optim: {{lr: 0.1}}\n"
    assert config(text, "optim.lr=0.2").optim.lr == 0.2
    assert config(text, "optim.lr=0.2", "optim.lr=0.3").optim.lr == 0.3


def test_set_reaches_into_short_forms_sections_that_are_not_there_and_lists() -> None:
    text = "data: digits\nmodel: {name: cnn, channels: [4, 8]}\noptim: {schedule: cosine}\n"
    changed = config(
        text,
        "data.split.val=0.3",
        "train.early_stopping.patience=3",
        "model.channels[1]=16",
        "optim.schedule.final=0.5",
        "model.head={pooling: average}",
        "name=x",
        "seed=7",
    )
    assert changed.data.split.val == 0.3  # type: ignore[attr-defined]
    assert changed.data.name == "digits"
    assert changed.train.early_stopping.patience == 3  # type: ignore[union-attr]
    assert changed.model.channels == [4, 16]  # type: ignore[attr-defined]
    assert changed.optim.schedule.name == "cosine"
    assert changed.optim.schedule.final == 0.5
    assert changed.model.head.pooling == "average"  # type: ignore[attr-defined]
    assert (changed.name, changed.seed) == ("x", 7)


@pytest.mark.parametrize(
    ("value", "read"),
    [("1e-3", 0.001), ("2", 2), (" 0.5 ", 0.5), ("3  # a comment", 3)],
)
def test_the_value_of_set_is_yaml(value: str, read: float) -> None:
    assert config(FIRST, f"optim.lr={value}").optim.lr == read


@pytest.mark.parametrize(
    "text",
    [
        "optim.lr",
        "=3",
        "",
        "optim..lr=1",
        ".lr=1",
        "[0]=1",
        "model.channels[-1]=3",
        "model.channels[=3",
        "model.channels[99999999999]=1",
    ],
)
def test_set_without_a_path_and_a_value_is_refused(text: str) -> None:
    result = issues(FIRST, text)
    assert result == [("--set", text, "expected key=value, as in model.dropout=0.5")]


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("optim.lr=fast", "optim.lr", "expected a number above 0, got 'fast'"),
        ("optim.lr=", "optim.lr", "expected a number above 0, got nothing"),
        ("optim.lrr=1", "optim.lrr", "unknown key; did you mean 'lr'?"),
        (
            "foo.bar=1",
            "foo",
            "unknown key; known here: name, seed, data, model, optim, train, eval, sweep",
        ),
        ("train.epochs.x=1", "train.epochs", "expected a whole number of at least 1, got {x: 1}"),
        (
            "model.channels=[8, 0]",
            "model.channels[1]",
            "expected a whole number of at least 1, got 0",
        ),
        (
            "model.channels[0]=0",
            "model.channels[0]",
            "expected a whole number of at least 1, got 0",
        ),
        (
            "model={name: cnn, kernel_size: 0}",
            "model.kernel_size",
            "expected a whole number of at least 1, got 0",
        ),
        ("seed=x", "seed", "expected a whole number of at least 0 and below 2^63, got 'x'"),
        (
            "model.channels[2]=4",
            "model.channels[2]",
            "not in the file, so there is no item to replace; give the whole list: model.channels=[…]",
        ),
        (
            "model.kernel_size[0]=4",
            "model.kernel_size[0]",
            "not in the file, so there is no item to replace; give the whole list: model.kernel_size=[…]",
        ),
        ("optim.lr=!!int 5", "optim.lr", "the tag '!!int' is not allowed"),
        ("optim.lr=[1", "optim.lr", "not valid YAML: a '[' is not closed, or a ',' is missing"),
        ("optim={lr: 1, lr: 2}", "optim", "given twice; first on line 1"),
    ],
)
def test_an_issue_of_set_is_located_there(text: str, path: str, expected: str) -> None:
    file = (
        "data: digits\nmodel: {name: cnn, channels: [4, 8]}\noptim: {lr: 0.1}\ntrain: {epochs: 3}\n"
    )
    assert issues(file, text) == [("--set", path, expected)]


def test_an_issue_that_set_uncovers_in_the_file_is_located_in_the_file() -> None:
    file = "data: digits\nmodel:\n  name: cnn\n  channels: [4]\n"
    assert [result[:2] for result in issues(file, "model.name=mlp")] == [
        ("f.yaml:4:3", "model.channels")
    ]


def test_issues_of_the_file_and_of_set_come_together() -> None:
    result = issues(f"{FIRST}optim: {{lr: 0}}\n", "train.epochs=0")
    assert [item[0] for item in result] == ["--set", "f.yaml:3:13"]


def test_reading_a_document_again_gives_the_file_without_the_sets_before() -> None:
    document = yaml_parser.parse_yaml(FIRST, "f.yaml")
    parse(document, "f.yaml", ["optim.lr=0.5"], default_name="f")
    assert parse(document, "f.yaml", default_name="f").optim.lr == 0.001


# Paths.


def test_a_path_in_a_file_starts_at_the_file_and_one_of_set_where_you_are(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(
        "data: {name: csv, path: ../t.csv, test_path: u.csv}\nmodel: mlp\n"
    )
    result = load_config("deep/er/a.yaml", ["data.test_path=v.csv"])
    assert result.data.path == str(tmp_path / "deep" / "t.csv")  # type: ignore[attr-defined]
    assert result.data.test_path == str(tmp_path / "v.csv")  # type: ignore[attr-defined]


def test_a_home_folder_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("a.yaml").write_text("data: {name: csv, path: ~/t.csv}\nmodel: mlp\n")
    assert load_config("a.yaml").data.path == str(tmp_path / "t.csv")  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["~no-such-user-here/t.csv", '"a\\0b"'])
def test_a_path_that_cannot_be_one_is_an_issue(path: str) -> None:
    Path("a.yaml").write_text(f"data: {{name: csv, path: {path}}}\nmodel: mlp\n")
    with pytest.raises(ConfigError, match=r"a.yaml:1:25  data.path  cannot be a path: '"):
        load_config("a.yaml")


# Finding a config.


def test_a_config_is_a_path_then_one_of_configs_then_a_bundled_one() -> None:
    bundled = find_config("cnn")
    assert bundled == find_config("cnn.yaml")
    assert bundled in bundled_configs()
    Path("configs").mkdir()
    Path("configs/cnn.yaml").write_text(FIRST)
    assert find_config("cnn") == find_config("cnn.yaml") == Path("configs/cnn.yaml")
    Path("cnn.yaml").write_text(FIRST)
    assert find_config("cnn") == Path("cnn.yaml")
    Path("odd.txt").write_text(FIRST)
    assert find_config("odd.txt") == Path("odd.txt")


@pytest.mark.parametrize("source", ["", "no\0pe", "x" * 5000, "a/b/c"])
def test_a_config_that_is_not_there_is_a_usage_error(source: str) -> None:
    with pytest.raises(UsageError, match=r"not a file, not in \./configs, not bundled"):
        load_config(source)


def test_a_config_that_is_nearly_there_is_suggested() -> None:
    with pytest.raises(UsageError, match=r"no config 'lstn'.*did you mean 'lstm'"):
        find_config("lstn")


# Anything at all.


TEXTS = [path.read_text() for path in bundled_configs()] + [
    "data: {name: series, path: x, target: [a, 1], split: {train: 0.5}}\nmodel: lstm\n"
    "optim: {clip: {norm: 1}, schedule: {name: step, step_size: 2 epochs}}\ntrain: {save_every: 60 s}\n",
    "data:\n  name: image_folder\n  path: x\n  augment: {shift: 2, flip: both}\n  size: [8, 9]\n"
    "model:\n  name: cnn\n  channels: [4, 8]\n  padding: [same, 1]\n  head: {hidden: [4]}\n",
]


KEYS = sorted(
    {
        key
        for registry in (DATA, MODELS, DOCUMENTED_OPTIONS)
        for _, entry in registry
        for key in entry.options.model_fields
    }
    | {"data", "model", "optim", "train"}
)


VALUES = [
    "",
    "null",
    "true",
    "-1",
    "0",
    "1",
    "1.5",
    "1e400",
    ".nan",
    "9" * 30,
    "x",
    "''",
    "no",
    "[]",
    "{}",
    "[1]",
    "[x, 1]",
    "[[1, 2], 3]",
    "{name: x}",
    "{name: cosine}",
    "{x: 1}",
    "[",
    "}",
    "*a",
    "&a [*a]",
    "!!int 1",
    "same",
    "1 epoch",
    "~x/y",
    '"\\0"',
    "cnn",
    "digits",
    "adam",
    "# x",
    "- 1",
    "a: b",
    "\t",
    "\x07",
]


lines = st.builds(
    lambda indent, key, value: f"{' ' * indent}{key}: {value}",
    st.integers(0, 4),
    st.sampled_from(KEYS) | st.text(max_size=4),
    st.sampled_from(VALUES) | st.text(max_size=5),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    rows = draw(st.sampled_from(TEXTS)).splitlines()
    for _ in range(draw(st.integers(0, 4))):
        position = draw(st.integers(0, len(rows)))
        what = draw(st.sampled_from(["delete", "insert", "replace", "value", "characters"]))
        if what == "insert":
            rows.insert(position, draw(lines))
        elif position < len(rows):
            if what == "delete":
                del rows[position]
            elif what == "replace":
                rows[position] = draw(lines)
            elif what == "value":
                rows[position] = rows[position].split(":")[0] + ": " + draw(st.sampled_from(VALUES))
            else:
                cut = draw(st.integers(0, len(rows[position])))
                rows[position] = (
                    rows[position][:cut] + draw(st.text(max_size=3)) + rows[position][cut + 1 :]
                )
    return "\n".join(rows)


names = st.sampled_from(KEYS) | st.sampled_from(["[0]", "[9]", "1", "", "name"])


set_texts = st.text(max_size=8) | st.builds(
    lambda parts, value: ".".join(parts).replace(".[", "[") + "=" + value,
    st.lists(names, min_size=1, max_size=4),
    st.sampled_from(VALUES) | st.text(alphabet=string.printable, max_size=5),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(mutated(), st.lists(set_texts, max_size=2))
def test_any_file_with_any_set_gives_a_config_or_its_issues(text: str, sets: list[str]) -> None:
    document = yaml_parser.parse_yaml(text, "f.yaml")
    try:
        result = parse(document, "f.yaml", sets, folder=Path("/tmp"), default_name="f")
    except ConfigError as error:
        assert error.issues
        assert all(
            issue.message and issue.where.startswith(("f.yaml", "--set")) for issue in error.issues
        )
    else:
        assert from_dict(result.to_dict(), "again") == result
        assert result.flat()["name"] == result.name


# Corners.


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f.yaml").write_text(FIRST)

    def refuse(*arguments: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match=r"cannot read \S*f\.yaml: Permission denied"):
        load_config(str(tmp_path / "f.yaml"))


def test_a_list_whose_text_has_an_issue_gives_that_issue_alone() -> None:
    assert issues("- a: !!python/name:os.system\n") == [
        ("f.yaml:1:6", "", "the tag '!!python/name:os.system' is not allowed")
    ]


def test_plain_values_without_a_name_say_so() -> None:
    with pytest.raises(ConfigError, match=r"name +missing: the name of the run's folder"):
        from_dict({"data": "digits", "model": "cnn"}, "x")


def test_set_reaches_into_lists_of_lists() -> None:
    text = "data: digits\nmodel: {name: cnn, kernel_size: [[3, 3], [5, 5]]}\n"
    assert config(text, "model.kernel_size.1.0=7").model.kernel_size == [[3, 3], [7, 5]]  # type: ignore[attr-defined]
    for place in ("model.kernel_size.5.0", "model.kernel_size.0.9", "model.kernel_size.0.0.0"):
        assert issues(text, f"{place}=1") == [
            (
                "--set",
                yaml_parser.dotted(tuple(int(p) if p.isdigit() else p for p in place.split("."))),
                "not in the file, so there is no item to replace; give the whole list: "
                "model.kernel_size=[…]",
            )
        ]


def test_a_name_below_a_list_is_refused() -> None:
    text = "data: digits\nmodel: {name: cnn, channels: [4, 8]}\n"
    assert issues(text, "model.channels.x=1") == [
        ("--set", "model.channels.x", "not in the file, so there is no item to replace")
    ]


def test_a_bundled_config_is_found_by_what_messages_call_it() -> None:
    assert source_file("bundled cnn.yaml") == bundled_folder() / "cnn.yaml"
    assert source_file("mine.yaml") == Path("mine.yaml")


def test_a_set_as_deep_as_it_is_long_is_an_issue() -> None:
    with pytest.raises(ConfigError, match="deeper than 20 levels"):
        load_config("cnn", ["model" + ".x" * 5000 + "=1"])
