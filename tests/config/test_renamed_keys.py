"""Former names of renamed keys: accepted in files, by --set, in sweeps and schemas, and named once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nnzoo.config import RunConfig, yaml_parser
from nnzoo.config.json_schema import json_schema
from nnzoo.config.load import parse
from nnzoo.config.option_tables import option_table
from nnzoo.config.options import Options, nested_options
from nnzoo.config.registry import DATA, DOCUMENTED_OPTIONS, MODELS
from nnzoo.config.renamed_keys import current_path, former_keys
from nnzoo.config.run_config import from_dict
from nnzoo.errors import ConfigError

SERIES = "data: {name: series, path: s.csv%s}\nmodel: gru\n"
IRIS = "data: iris\nmodel: mlp\n"
# (file, former key, current key, value)
RENAMED = [
    (SERIES % ", relative: false", "data.relative", "data.difference_from_last", False),
    (IRIS + "train: {accumulate: 3}", "train.accumulate", "train.accumulate_grad_batches", 3),
    *(
        (
            IRIS + f"optim: {{schedule: {{name: {name}, {old}: {value}}}}}",
            f"optim.schedule.{old}",
            f"optim.schedule.{new}",
            value,
        )
        for name, old, new, value in (
            ("one_cycle", "rise", "pct_start", 0.2),
            ("step", "every", "step_size", "3 epochs"),
            ("plateau", "gamma", "factor", 0.3),
            ("plateau", "floor", "min_factor", 0.01),
        )
    ),
]


def load(text: str, *overrides: str) -> RunConfig:
    return parse(yaml_parser.parse_yaml(text, "f.yaml"), "f.yaml", overrides, default_name="f")


def all_options() -> Iterator[type[Options]]:
    pending = [
        entry.options for registry in (DATA, MODELS, DOCUMENTED_OPTIONS) for _, entry in registry
    ]
    seen: set[type[Options]] = set()
    while pending:
        options = pending.pop()
        if options not in seen:
            seen.add(options)
            yield options
            for info in options.model_fields.values():
                pending += nested_options(info.annotation)


def test_every_renamed_key_is_in_the_list_of_this_test_and_hides_no_other_key() -> None:
    renamed = {pair for options in all_options() for pair in former_keys(options).items()}
    assert renamed == {(old.split(".")[-1], new.split(".")[-1]) for _, old, new, _ in RENAMED}
    for options in all_options():
        assert not former_keys(options).keys() & options.model_fields.keys()


@pytest.mark.parametrize(("text", "old", "new", "value"), RENAMED)
def test_a_file_with_the_former_name_gives_the_same_config_and_a_note(
    text: str, old: str, new: str, value: Any
) -> None:
    config = load(text)
    assert config.flat()[new] == value and old not in config.flat()
    current = load(
        text.replace(f"{old.rsplit('.', maxsplit=1)[-1]}:", f"{new.rsplit('.', maxsplit=1)[-1]}:")
    )
    assert (config, current.notes) == (current, ())
    assert config.location(new) == f"f.yaml:{config.origins[new][0]}:{config.origins[new][1]}"  # type: ignore[index]
    (note,) = config.notes
    where, _, message = note.partition("  ")
    assert message == f"{old} is now called {new}; the old name keeps working"
    line, column = map(int, where.removeprefix("f.yaml:").split(":"))
    assert text.splitlines()[line - 1][column - 1 :].startswith(old.rsplit(".", maxsplit=1)[-1])


@pytest.mark.parametrize(("text", "old", "new", "value"), RENAMED)
def test_set_takes_both_names_and_wins_over_the_file(
    text: str, old: str, new: str, value: Any
) -> None:
    changed = {False: "true", 3: "4", 0.2: "0.5", "3 epochs": "5 steps", 0.3: "0.4", 0.01: "0.02"}[
        value
    ]
    for key in (old, new):
        config = load(text, f"{key}={changed}")
        assert config.flat()[new] == yaml_parser.scalar(changed)
        assert config.location(new) == "--set"
    assert (
        f"--set  {old} is now called {new}; the old name keeps working"
        in load(text, f"{old}={changed}").notes
    )


@pytest.mark.parametrize(("text", "old", "new", "value"), RENAMED)
def test_editors_accept_the_former_name_as_deprecated(
    text: str, old: str, new: str, value: Any
) -> None:
    schema = json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(yaml_parser.parse_yaml(text, "f").value)
    assert "formerly" not in str(schema) and "'deprecated': True" in str(schema)


def test_both_names_at_once_are_an_issue_of_the_former_one() -> None:
    with pytest.raises(ConfigError) as caught:
        load(IRIS + "train: {accumulate: 3, accumulate_grad_batches: 2}")
    (issue,) = caught.value.issues
    assert (issue.where, issue.path) == ("f.yaml:3:9", "train.accumulate")
    assert issue.message == "'accumulate_grad_batches', its new name, is given, too"


def test_an_invalid_value_is_reported_under_the_current_name_at_its_place() -> None:
    with pytest.raises(
        ConfigError, match=r"f\.yaml:3:21 +train\.accumulate_grad_batches  expected a"
    ):
        load(IRIS + "train: {accumulate: 0}")


def test_a_former_name_in_another_section_is_recognised() -> None:
    with pytest.raises(
        ConfigError, match=r"optim\.accumulate  unknown key; it is train\.accumulate_gr"
    ):
        load(IRIS + "optim: {accumulate: 2}")


def test_stored_plain_values_and_sweeps_keep_former_names() -> None:
    tree = {"name": "x", "data": "iris", "model": "mlp", "train": {"accumulate": 2}}
    assert from_dict(tree, "x").train.accumulate_grad_batches == 2
    for base in ("train: {accumulate: 2}", "train: {accumulate_grad_batches: 2}", "optim: adam"):
        space = "sweep: {space: {train.accumulate: [1, 2], optim.schedule: [{name: step, every: 1 epoch}]}}"
        sweep = load(f"{IRIS}{base}\n{space}").sweep
        assert sweep is not None
        trial = from_dict(sweep.tree({"train.accumulate": 4}) | {"name": "x"}, "x")
        assert trial.train.accumulate_grad_batches == 4
    with pytest.raises(
        ConfigError, match=r"sweep\.space\.train\.accumulate\[1\]  expected a whole numb"
    ):
        load(f"{IRIS}sweep: {{space: {{train.accumulate: [1, -2]}}}}")


def test_a_path_is_followed_as_far_as_the_tree_shows_its_classes() -> None:
    tree = {"optim": {"schedule": "plateau"}}
    assert current_path(tree, ("optim", "schedule", "gamma")) == ("optim", "schedule", "factor")
    assert current_path({}, ("optim", "schedule", "gamma")) == ("optim", "schedule", "gamma")
    assert current_path({}, ("train", "accumulate")) == ("train", "accumulate_grad_batches")
    assert current_path({}, ("seed",)) == ("seed",)


def test_listings_name_the_former_key() -> None:
    train = DOCUMENTED_OPTIONS.entries["train"].options
    meanings = {key: meaning for key, _, meaning in option_table(train)}
    assert meanings["accumulate_grad_batches"].endswith("(formerly `accumulate`)")


def test_check_and_train_name_the_current_key(nnzoo: Callable[..., Any], own_folder: Path) -> None:
    Path("f.yaml").write_text(IRIS + "train: {accumulate: 2, epochs: 1}\n")
    line = (
        "train.accumulate is now called train.accumulate_grad_batches; the old name keeps working"
    )
    assert f"  note N24: f.yaml:3:9  {line}\n" in nnzoo("check", "f.yaml").out
    result = nnzoo("train", "f.yaml")
    assert result.code == 0 and line in " ".join((result.out + result.err).split())
