"""The section `sweep`: what may be searched, told before anything trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nnzoo.config import RunConfig, yaml_parser
from nnzoo.config.formatting import config_with_sweep, resolved_lines
from nnzoo.config.json_schema import json_schema
from nnzoo.config.load import load_config, parse
from nnzoo.config.run_config import from_dict
from nnzoo.config.sweep_space import Sweep, key_path, set_at_path, storage_kind
from nnzoo.errors import ConfigError

BASE = "data: iris\nmodel: {name: mlp, hidden: [8]}\n"


def config(space: str, *sets: str, base: str = BASE, more: str = "") -> RunConfig:
    """A config whose sweep has a space, written in braces, and more keys."""
    text = f"{base}sweep:\n  space: {space}\n{more}"
    return parse(yaml_parser.parse_yaml(text, "f.yaml"), "f.yaml", sets, default_name="f")


def sweep(space: str, *sets: str, **options: str) -> Sweep:
    actual = config(space, *sets, **options).sweep
    assert actual is not None
    return actual


def issues_of(space: str, *sets: str, **options: str) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as caught:
        config(space, *sets, **options)
    return [(issue.where, issue.path, issue.message) for issue in caught.value.issues]


LR = "{optim.lr: {low: 1e-4, high: 1e-1, log: true}}"


@pytest.mark.parametrize(
    ("space", "suffix", "part"),
    [
        # Keys.
        ("{optim.lrr: [1]}", "", "unknown key; did you mean 'lr'?"),
        ("{optim.lrr: {low: 1, high: 2}}", "", "unknown key; did you mean 'lr'?"),
        ("{modle.hidden: [[3]]}", "", "unknown key; did you mean 'model.hidden'?"),
        ("{lr: [1]}", "", "unknown key; expected a key of the file, as in optim.lr"),
        ("{'a..b': [1]}", "", "unknown key; expected a key of the file, as in optim.lr"),
        ("{train.lr: [1]}", "", "unknown key; it is optim.lr"),
        ("{optim.momentum: [0.5]}", "", "unknown key; known here: "),
        ("{name: [a, b]}", "", "cannot be searched: it names the study"),
        ("{seed: [1, 2]}", "", "cannot be searched: the best of many seeds is luck, not a choice"),
        ("{sweep.trials: [1]}", "", "cannot be searched: it describes the search"),
        ("{train.monitor: [val_loss]}", "", "cannot be searched: it decides what is best"),
        ("{data: [iris, wine]}", "", "cannot be searched: it decides what is learned from what"),
        ("{data.name: [iris]}", "", "cannot be searched: it decides what is learned from what"),
        ("{data.split.val: [0.1]}", "", "cannot be searched: it decides what is learned from what"),
        ("{train.loss: [mse, mae]}", "", "it changes what val_loss measures; set train.monitor"),
        ("{data.preprocess.target: [none]}", "", "it changes what val_loss measures"),
        # Values.
        (
            "{model.dropout: [0.1, 1.5]}",
            "[1]",
            "expected a number of at least 0 and below 1, got 1.5",
        ),
        (
            "{model.dropout: {low: 0, high: 2}}",
            ".high",
            "expected a number of at least 0 and below 1",
        ),
        (
            "{model.dropout: {low: -1, high: 0.5}}",
            ".low",
            "expected a number of at least 0 and below 1",
        ),
        ("{model.hidden: [[3], [0]]}", "[1]", "[0]: expected a whole number of at least 1, got 0"),
        ("{'model.hidden[0]': [3, 0]}", "[1]", "expected a whole number of at least 1, got 0"),
        ("{'model.hidden[1]': [3]}", "[0]", "not in the file, so there is no item to replace"),
        (
            "{optim.schedule: [cosine, {name: cosine, finl: 1}]}",
            "[1]",
            "finl: unknown key; did you mean",
        ),
        ("{optim: [adam, {name: sgd, betas: [0.1, 0.2]}]}", "[1]", "betas: unknown key"),
        (
            "{train.epochs: {low: 1.0, high: 9}}",
            ".low",
            "expected a whole number of at least 1, got 1.0",
        ),
        ("{model.init: [torch, orthogonal, torch]}", "[2]", "given twice; the same as value 1"),
        (
            "{model: [mlp, cnn], model.norm: [batch, lyer]}",
            "[1]",
            "with model 'mlp': expected one of",
        ),
        (
            "{train: [{epochs: 2}, {monitor: val_accuracy}]}",
            "[1]",
            "train.monitor is 'val_accuracy' here and 'auto' in the file, and cannot be searched",
        ),
        ("{train: [{loss: mse}, {}]}", "[0]", "train.loss is 'mse' here and 'auto' in the file"),
        # Ranges and lists.
        (
            "{train.batch_size: {low: 8, high: 16, step: 0.5}}",
            ".step",
            "expected a whole number of at least 1, got 8.5, the second value",
        ),
        ("{optim.lr: 0.1}", "", "expected a section (low, high, log, step) or a list"),
        ("{optim.lr: []}", "", "expected"),
        ("{optim.lr: {low: 0.1}}", ".high", "missing: the largest value"),
        ("{optim.lr: {low: 0.1, hihg: 1}}", ".hihg", "unknown key; did you mean 'high'?"),
        (
            "{optim.lr: {low: 0.1, high: 0.1}}",
            ".high",
            "expected a number above 'low' (0.1), got 0.1",
        ),
        (
            "{optim.lr: {low: 0, high: 1, log: true}}",
            ".low",
            "with 'log': expected a number above 0",
        ),
        ("{optim.lr: {low: 1, high: 9, log: true, step: 2}}", ".step", "not with 'log'"),
        ("{optim.lr: {low: 1, high: 9, step: 9}}", ".step", "larger than the range (8)"),
        ("{optim.lr: {low: 1, high: .inf}}", ".high", "expected a"),
        (
            f"{{model.hidden: [{', '.join(f'[{i}]' for i in range(1, 102))}]}}",
            "",
            "at most 100 values",
        ),
    ],
)
def test_what_cannot_be_searched_is_reported_with_its_key(
    space: str, suffix: str, part: str
) -> None:
    actual = issues_of(space)
    key = space[1:].partition(": [")[0].partition(": {")[0].partition(": 0")[0].strip("'")
    if "model: " in space and "model.norm" in space:
        key = "model.norm"
    expected = yaml_parser.dotted(("sweep", "space", key)) + suffix
    assert [part in message for _, path, message in actual if path == expected] == [True], actual


def test_a_section_that_is_none_in_some_trials_takes_no_keys() -> None:
    (issue,) = issues_of("{optim.clip: [null, {norm: 1}], optim.clip.norm: [0.1, 1]}")
    assert issue[1] == "sweep.space.optim.clip.norm"
    assert "is in optim.clip, which is nothing in some trials; write whole sections" in issue[2]


def test_a_section_may_be_tried_where_what_decides_stays_as_it_is() -> None:
    assert config("{train: [{epochs: 2}, {epochs: 3, batch_size: 8}]}").sweep is not None


def test_issues_of_the_sweep_file_and_of_its_space_come_together() -> None:
    actual = issues_of(
        "{optim.lr: {low: 1, high: fast}, optim.lrr: [1], model.dropout: [2]}",
        base="data: iris\nmodel: {name: mlp, hidden: [0]}\n",
        more="  trials: 0\n  sampler: gird\n  storage: here\n",
    )
    assert [(where, path) for where, path, _ in actual] == [
        ("f.yaml:2:29", "model.hidden[0]"),
        ("f.yaml:4:36", "sweep.space.optim.lr.high"),
        ("f.yaml:4:43", "sweep.space.optim.lrr"),
        ("f.yaml:4:75", "sweep.space.model.dropout[0]"),
        ("f.yaml:5:11", "sweep.trials"),
        ("f.yaml:6:12", "sweep.sampler"),
        ("f.yaml:7:12", "sweep.storage"),
    ]
    assert actual[-1][2] == (
        "expected auto, a file *.db or *.log, or a URL (postgresql://…, mysql://…), got 'here'"
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sweep: {}\n", "missing: key: [values]"),
        ("sweep: 3\n", "expected a section (trials, sampler, pruner, grace, …), got 3"),
        ("sweep: {space: 3}\n", "expected a section"),
        ("sweep: {space: {}}\n", "expected"),
        ("sweep: {space: {optim.lr: 3}}\n", "expected"),
    ],
)
def test_a_sweep_that_is_none_is_reported(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(yaml_parser.parse_yaml(BASE + text, "f.yaml"), "f.yaml", default_name="f")
    assert part in caught.value.issues[0].message


def test_a_file_without_a_sweep_has_none() -> None:
    assert (
        from_dict({"name": "x", "data": "iris", "model": "mlp", "sweep": None}, "x").sweep is None
    )


def test_keys_inside_each_other_are_checked_in_every_company() -> None:
    space = "{model: [mlp, {name: mlp, norm: batch}], model.dropout: [0.1]}"
    actual = list(sweep(space).parent_choices("model.dropout"))
    assert actual == [(("model", "mlp"),), (("model", {"name": "mlp", "norm": "batch"}),)]
    ((where, path, message),) = issues_of("{model: [mlp, cnn], model.hidden: [[3], [4]]}")
    assert (where, path) == ("f.yaml:4:44", "sweep.space.model.hidden")
    assert message.startswith("with model 'cnn': unknown key")


def test_more_than_can_be_looked_at_is_refused() -> None:
    widths = ", ".join(f"{{name: mlp, hidden: [{i}]}}" for i in range(1, 90))
    fractions = ", ".join(str(i / 100) for i in range(90))
    actual = issues_of(f"{{model: [{widths}], model.dropout: [{fractions}]}}")
    assert [item[2] for item in actual] == ["too many values of keys inside each other"]


# Content of a space.


def test_a_range_is_of_whole_numbers_where_the_language_takes_no_others() -> None:
    actual = sweep(
        "{train.batch_size: {low: 8, high: 64, log: true}, optim.lr: {low: 1, high: 2},"
        " model.dropout: {low: 0, high: 0.5}, train.epochs: {low: 1, high: 2}}"
    )
    assert actual.integer_keys == {"train.batch_size", "train.epochs"}


def test_a_grid_has_every_combination_once() -> None:
    actual = sweep(
        "{model.dropout: {low: 0.1, high: 0.4, step: 0.1}, train.epochs: {low: 1, high: 3},"
        " model.norm: [none, batch]}",
        more="  sampler: grid\n",
    )
    assert (actual.grid_size, actual.trials) == (4 * 3 * 2, 24)
    places = [tuple(actual.grid_point(i).values()) for i in range(24)]
    assert len(set(places)) == 24
    assert all(0 <= a < 2 and 0 <= b < 3 and 0 <= c < 4 for a, b, c in places)


@pytest.mark.parametrize(
    ("trials", "sampler", "number"),
    [("auto", "tpe", 30), ("7", "tpe", 7), ("auto", "grid", 3), ("2", "grid", 2), ("9", "grid", 3)],
)
def test_the_number_of_trials_follows_from_what_is_asked(
    trials: str, sampler: str, number: int
) -> None:
    more = f"  trials: {trials}\n  sampler: {sampler}\n"
    assert sweep("{model.norm: [none, batch, layer]}", more=more).trials == number


@pytest.mark.parametrize(
    ("space", "suffix", "part"),
    [
        (LR, ".optim.lr.log", "not with a grid; list the values instead"),
        ("{optim.lr: {low: 0.1, high: 0.2}}", ".optim.lr", "a grid needs a 'step' here, or a list"),
        (
            "{optim.lr: {low: 1e-6, high: 1, step: 1e-6}}",
            "",
            "1,000,000 combinations; at most 100,000",
        ),
    ],
)
def test_a_grid_of_what_has_no_points_is_refused(space: str, suffix: str, part: str) -> None:
    ((_, path, message),) = issues_of(space, more="  sampler: grid\n")
    assert path == f"sweep.space{suffix}"
    assert part in message


def test_values_are_put_into_the_file_as_it_was_written() -> None:
    base = f"{BASE}optim: {{name: rmsprop, schedule: cosine}}\n"
    actual = sweep("{optim: [sgd, adam], optim.lr: [0.1], train.epochs: [1]}", base=base)
    tree = actual.tree({"optim.lr": 0.1, "train.epochs": 3, "optim": "sgd"})
    assert tree["optim"] == {"name": "sgd", "lr": 0.1}
    assert tree["train"] == {"epochs": 3}
    assert actual.base["optim"] == {"name": "rmsprop", "schedule": "cosine"}


def test_put_says_what_gave_way_and_where_nothing_can_be_put() -> None:
    tree: dict[str, Any] = {"a": 1, "b": [1, {"c": 2}], "d": "name"}
    assert set_at_path(tree, ("a", "x", "y"), 1) == [("a",), ("a", "x")]
    assert set_at_path(tree, ("b", 1, "c"), 3) == []
    assert set_at_path(tree, ("d", "x"), 1) == []
    assert tree == {"a": {"x": {"y": 1}}, "b": [1, {"c": 3}], "d": {"name": "name", "x": 1}}
    for path in (("b", 2), ("b", "x"), ("b", 5, "x"), ("e", 0)):
        assert set_at_path(tree, path, 1) is None
    assert key_path("model.hidden[0]") == ("model", "hidden", 0)


# The section in the language.


def test_train_passes_over_the_sweep_and_a_run_is_the_same_without_it() -> None:
    searched, plain = config(LR), from_dict(config(LR).to_dict(), "x")
    assert searched == plain
    assert "sweep" not in searched.to_dict()
    assert plain.sweep is None


def test_what_check_prints_holds_the_same_search() -> None:
    space = (
        "{optim.lr: {low: 1e-4, high: 1e-1, log: true}, model.hidden: [[3], [4, 5]],"
        " optim.schedule: [cosine, {name: step, step_size: 2 epochs}], model.init: [torch],"
        " train.label_smoothing: {low: 0.0, high: 0.4, step: 0.1}}"
    )
    first = config(space)
    lines = resolved_lines(first)
    again = parse(yaml_parser.parse_yaml("\n".join(lines), "f.yaml"), "f.yaml")
    assert again == first
    assert again.sweep is not None and first.sweep is not None
    assert again.sweep.options == first.sweep.options
    assert any(line.endswith("# f.yaml:4") and "low: 0.0001" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (f"sweep: {{space: {LR}}}\n", True),
        ("sweep:\n", True),
        ("sweep: {space: {optim.lr: [1, 2]}, trials: 5, pruner: none}\n", True),
        ("sweep: {space: {optim.lr: 5}}\n", False),
        ("sweep: {space: {optim.lr: {low: 5}}}\n", False),
        ("sweep: {trials: 5}\n", False),
        ("sweep: {space: {optim.lr: [1]}, pruner: nobody}\n", False),
    ],
)
def test_the_schema_for_editors_knows_the_sweep(text: str, good: bool) -> None:
    value = yaml_parser.parse_yaml(BASE + text, "f.yaml").value
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(value) == good


@pytest.mark.parametrize(
    ("storage", "kind"),
    [
        ("auto", "auto"),
        ("a/b.db", "sqlite"),
        ("x.sqlite3", "sqlite"),
        ("x.log", "journal"),
        ("y.journal", "journal"),
        ("postgresql+psycopg://u:p@h/d", "server"),
        ("mysql://h/d", "server"),
        ("x", None),
        ("://", None),
    ],
)
def test_a_storage_is_recognised_by_its_text(storage: str, kind: str | None) -> None:
    assert storage_kind(storage) == kind


def test_a_storage_in_a_file_starts_at_the_file_and_one_of_set_where_you_are(
    tmp_path: Path,
) -> None:
    Path("inner").mkdir()
    Path("inner/a.yaml").write_text(f"{BASE}sweep: {{storage: x.log, space: {LR}}}\n")

    def storage(*sets: str) -> str:
        actual = load_config("inner/a.yaml", sets).sweep
        assert actual is not None
        return actual.options.storage

    assert storage() == str(tmp_path / "inner" / "x.log")
    assert storage("sweep.storage=x.log") == str(tmp_path / "x.log")
    assert storage("sweep.storage=auto") == "auto"
    url = "postgresql://user@host/x.db"
    assert storage(f"sweep.storage={url}") == url


def test_set_reaches_into_the_sweep(nnzoo: Callable[..., Any]) -> None:
    Path("a.yaml").write_text(f"{BASE}sweep: {{space: {LR}}}\n")
    actual = nnzoo("check", "a.yaml", "-s", "sweep.trials=5", "--json").json
    assert actual["sweep"]["trials"] == 5
    assert actual["sweep"]["space"]["optim.lr"] == {"low": 1e-4, "high": 0.1, "log": True}
    sets = (
        "sweep.space.optim.lr.high=0.5",
        "sweep.space.model.dropout=[0.1]",
        "sweep.space.model.hidden[0]=[3]",
    )
    words = [word for item in sets for word in ("-s", item)]
    assert nnzoo("check", "a.yaml", *words, "--json").json["sweep"]["space"] == {
        "optim.lr": {"low": 1e-4, "high": 0.5, "log": True},
        "model.dropout": [0.1],
        "model.hidden[0]": [3],
    }
    assert nnzoo("check", "a.yaml", "-s", f"sweep.space={LR}").code == 0
    result = nnzoo("check", "a.yaml", "-s", "sweep.trials=none")
    assert result.code == 2
    assert "--set  sweep.trials  expected auto or a whole number of at least 1" in result.err


def test_checked_is_the_run_and_its_search() -> None:
    assert set(config_with_sweep(config(LR))) - set(config(LR).to_dict()) == {"sweep"}
