"""From a file and --set to a configuration, or to every fault at once in words."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnzoo.config import DATA, MODELS, OPTIMIZERS, RunConfig, load_config, yaml_parser
from nnzoo.config.formatting import config_with_sweep, header_comment, resolved_lines, to_yaml
from nnzoo.config.json_schema import accepts, json_schema, node_at
from nnzoo.config.load import bundled_configs, find_config, from_dict, parse
from nnzoo.config.model_options import Activation
from nnzoo.config.options import parse_duration
from nnzoo.config.registry import DOCUMENTED_OPTIONS
from nnzoo.config.train_options import MonitorName, TrainOptions
from nnzoo.errors import ConfigError, UsageError
from nnzoo.evaluation.tasks import CLASSIFICATION_METRICS, RANKING_METRICS, REGRESSION_METRICS

FIRST = "data: digits\nmodel: cnn\n"


def config(text: str, *sets: str) -> RunConfig:
    return parse(yaml_parser.parse_yaml(text, "f.yaml"), "f.yaml", sets, default_name="f")


def faults(text: str, *sets: str) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as caught:
        config(text, *sets)
    return [(issue.where, issue.path, issue.message) for issue in caught.value.issues]


def message(line: str, *sets: str) -> str:
    """The one message about a section that replaces the same one of a valid file."""
    section = line.partition(":")[0]
    kept = [each for each in FIRST.splitlines() if not each.startswith(f"{section}:")]
    found = faults("\n".join([*kept, line]), *sets)
    assert len(found) == 1, found
    return found[0][2]


# Every fault at once.


def test_five_faults_are_told_in_one_go_each_with_its_place(nnzoo: Callable[..., Any]) -> None:
    Path("five.yaml").write_text(
        "data: digits\n"
        "model:\n"
        "  name: cmn\n"
        "optim:\n"
        "  name: sgd\n"
        "  lr: fast\n"
        "  momentum: 1.5\n"
        "train:\n"
        "  epoks: 3\n"
        "  batch_size: 8\n"
        "  batch_size: 16\n"
    )
    result = nnzoo("train", "--config", "five.yaml")
    assert result.code == 2
    assert result.out == ""
    assert result.err == (
        "five.yaml: 5 problems\n"
        "  five.yaml:3:9   model.name        unknown model 'cmn'; did you mean 'cnn'?\n"
        "      3 |   name: cmn\n"
        "        |         ^^^\n"
        "  five.yaml:6:7   optim.lr          expected a number above 0, got 'fast'\n"
        "      6 |   lr: fast\n"
        "        |       ^^^^\n"
        "  five.yaml:7:13  optim.momentum    expected a number of at least 0 and below 1, got 1.5\n"
        "      7 |   momentum: 1.5\n"
        "        |             ^^^\n"
        "  five.yaml:9:3   train.epoks       unknown key; did you mean 'epochs'?\n"
        "      9 |   epoks: 3\n"
        "        |   ^^^^^\n"
        "  five.yaml:11:3  train.batch_size  given twice; first on line 10\n"
        "     11 |   batch_size: 16\n"
        "        |   ^^^^^^^^^^\n"
    )


def test_the_example_of_the_design_reads_as_it_is_written_there() -> None:
    text = (
        "data: digits\nmodel:\n  name: cnn\n  chanels: [8]\n  kernel_size: 0\noptim:\n  lr: fast\n"
    )
    assert faults(text) == [
        ("f.yaml:4:3", "model.chanels", "unknown key; did you mean 'channels'?"),
        ("f.yaml:5:16", "model.kernel_size", "expected a whole number of at least 1, got 0"),
        ("f.yaml:7:7", "optim.lr", "expected a number above 0, got 'fast'"),
    ]


# What is expected, in words.

ONE = "a whole number of at least 1"
SHARE = "a number of at least 0 and below 1"
SPLIT = "a number above 0 and below 1 or a whole number of at least 0"
SCHEDULES = "constant, cosine, one_cycle, step, linear, plateau"
ACTIVATIONS = f"one of {', '.join(get_args(Activation))}"
STEPS = "text like '1 epoch' or '500 steps'"
QUOTES = "text that looks like a number needs quotes"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # Lists.
        ("model: {name: cnn, channels: 5}", "a list of one or more whole numbers of at least 1, got 5"),
        ("model: {name: cnn, channels: []}", "a list of one or more whole numbers of at least 1, got []"),
        ("model: {name: cnn, channels: [0]}", f"{ONE}, got 0"),
        ("model: {name: mlp, hidden: [8, true]}", f"{ONE}, got true"),
        ("model: {name: mlp, hidden: [8, 1.5]}", f"{ONE}, got 1.5"),
        ("model: {name: mlp, hidden: [[8]]}", f"{ONE}, got [8]"),
        ("model: {name: mlp, hidden: 8}", "a list of whole numbers of at least 1, got 8"),
        ("model: {name: mlp, hidden: {a: 8}}", "a list of whole numbers of at least 1, got {a: 8}"),
        ("optim: {betas: 0.9}", "a list of two numbers of at least 0 and below 1, got 0.9"),
        ("optim: {betas: [0.9]}", "a list of two numbers of at least 0 and below 1, got [0.9]"),
        ("optim: {betas: [0.9, 1]}", f"{SHARE}, got 1"),
        # One value, or one a layer.
        ("model: {name: cnn, kernel_size: [3, 0]}", f"{ONE}, got 0"),
        (
            "model: {name: cnn, kernel_size: three}",
            f"{ONE}, a list of two of these or a list of these, got 'three'",
        ),
        ("model: {name: cnn, kernel_size: [[3, 0], 3]}", f"{ONE}, got 0"),
        ("model: {name: cnn, padding: -1}", "a whole number of at least 0, got -1"),
        (
            "model: {name: cnn, padding: [same, vald]}",
            "same, valid, a whole number of at least 0 or a list of two of these, got 'vald'; "
            "did you mean 'valid'?",
        ),
        (
            "model: {name: cnn, pool: mxa}",
            "max, avg, lp, none or a list of these, got 'mxa'; did you mean 'max'?",
        ),
        (
            "model: {name: cnn, pool: [max, mxa]}",
            "one of max, avg, lp, none, got 'mxa'; did you mean 'max'?",
        ),
        ("model: {name: cnn, dropout: 1}", f"{SHARE}, got 1"),
        ("model: {name: cnn, dropout: [0.1, 2]}", f"{SHARE}, got 2"),
        ("model: {name: cnn, dropout: .nan}", f"{SHARE}, got .nan"),
        ("model: {name: cnn, dropout: -0.1}", f"{SHARE}, got -0.1"),
        # Words.
        ("model: {name: cnn, residual: yes}", "true or false, got 'yes'"),
        ("model: {name: cnn, residual: 1}", "true or false, got 1"),
        ("model: {name: cnn, norm: 3}", "one of none, batch, layer, got 3"),
        ("model: {name: cnn, norm: }", "one of none, batch, layer, got nothing"),
        (
            "train: {monitor: val_acc}",
            f"one of {', '.join(get_args(MonitorName))}, got 'val_acc'; did you mean 'val_accuracy'?",
        ),
        ("model: {name: mlp, activation: Relu}", f"{ACTIVATIONS}, got 'Relu'; did you mean 'relu'?"),
        ("model: {name: mlp, activation: rel}", f"{ACTIVATIONS}, got 'rel'; did you mean 'relu'?"),
        ("data: {name: csv, path: x, header: no}", "auto, true or false, got 'no'"),
        ("data: {name: csv, path: x, delimiter: ''}", "auto or text, got ''"),
        ("data: {name: csv, path: x, numbers: a}", "a list of text or whole numbers, got 'a'"),
        ("data: {name: csv, path: x, target: [a]}", "text or a whole number, got [a]"),
        ("data: {name: csv, path: x, target: 1.5}", f"a whole number, got 1.5; {QUOTES}"),
        ("data: {name: csv, path: x, target: true}", "text or a whole number, got true"),
        ("data: {name: csv, path: 5}", f"text, got 5; {QUOTES}"),
        (
            "data: {name: series, path: x, covariates: al}",
            "none, all or a list of text or whole numbers, got 'al'; did you mean 'all'?",
        ),
        (
            "data: {name: series, path: x, target: []}",
            "text, a whole number or a list of one or more of these, got []",
        ),
        # Numbers.
        ("data: {name: digits, split: {val: 1.5}}", f"{SPLIT}, got 1.5"),
        ("data: {name: digits, split: {val: true}}", f"{SPLIT}, got true"),
        ("data: {name: digits, split: {test: -1}}", f"{SPLIT}, got -1"),
        ("data: {name: digits, preprocess: {pca: 0}}", f"{ONE}, got 0"),
        ("data: {name: digits, augment: {rotate: 181}}", "a number of at least 0 and at most 180, got 181"),
        ("data: {name: sine, period: .inf}", "a number above 0, got .inf"),
        ("optim: {lr: 0}", "a number above 0, got 0"),
        ("optim: {lr: 1e400}", "a number above 0, got .inf"),
        ("optim: {lr: -.inf}", "a number above 0, got -.inf"),
        ("optim: {lr: .nan}", "a number above 0, got .nan"),
        ("optim: {lr: true}", "a number above 0, got true"),
        ("optim: {lr: }", "a number above 0, got nothing"),
        ("optim: {lr: '1e-3'}", "a number above 0, got '1e-3'; write it without quotes"),
        ("train: {epochs: 1e2}", f"{ONE}, got 100.0; write 100"),
        ("train: {epochs: true}", f"{ONE}, got true"),
        ("train: {epochs: 1_000}", f"{ONE}, got '1_000'"),
        ("train: {epochs: 99999999999999999999}", f"{ONE}, got 1e+20"),
        ("seed: -1", "a whole number of at least 0 and below 2^63, got -1"),
        ("seed: true", "a whole number of at least 0 and below 2^63, got true"),
        ("seed:", "a whole number of at least 0 and below 2^63, got nothing"),
        # Sections.
        ("train: 5", "a section (epochs, batch_size, accumulate_grad_batches, loss, …), got 5"),
        ("train: [epochs]", "a section (epochs, batch_size, accumulate_grad_batches, loss, …), got [epochs]"),
        ("train: {early_stopping: true}", "a section (patience, min_delta) or null, got true"),
        ("model: {name: cnn, head: average}", "a section (pooling, hidden, dropout), got 'average'"),
        ("optim: {clip: 1.0}", "a section (norm, value) or null, got 1.0"),
        ("model: [cnn]", "a section with a 'name' (mlp, cnn, rnn, lstm, gru), got [cnn]"),
        ("model:", "a section with a 'name' (mlp, cnn, rnn, lstm, gru)"),
        ("model: {name: 3}", "one of mlp, cnn, rnn, lstm, gru, got 3"),
        # Durations and schedules.
        ("train: {save_every: 5}", "text like '0.5 %', '1 epoch', '500 steps' or '60 s', got 5"),
        ("train: {save_every: 5 min}", "text like '0.5 %', '1 epoch', '500 steps' or '60 s', got '5 min'"),
        ("train: {save_every: 60 ss}", "text like '0.5 %', '1 epoch', '500 steps' or '60 s', got '60 ss'"),
        ("optim: {schedule: {name: step, step_size: 60 s}}", f"{STEPS}, got '60 s'"),
        ("optim: {schedule: {name: cosine, final: 1}}", f"{SHARE}, got 1"),
        ("optim: {schedule: cosin}", f"one of {SCHEDULES}, got 'cosin'; did you mean 'cosine'?"),
        ("optim: {schedule: {name: cosin}}", f"one of {SCHEDULES}, got 'cosin'; did you mean 'cosine'?"),
        ("optim: {schedule: {name: [x]}}", f"one of {SCHEDULES}, got [x]"),
        ("optim: {schedule: 3}", f"{SCHEDULES} or a section with a 'name', got 3"),
        ("optim: {schedule: }", f"{SCHEDULES} or a section with a 'name', got nothing"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_in_words_what_may_stand_there(line: str, expected: str) -> None:
    assert message(line) == f"expected {expected}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("model: {}", "missing: one of mlp, cnn, rnn, lstm, gru"),
        ("model: mlpp", "unknown model 'mlpp'; did you mean 'mlp'?"),
        ("model: transformer", "unknown model 'transformer'; one of mlp, cnn, rnn, lstm, gru"),
        ("data: minst", "unknown data source 'minst'; did you mean 'mnist'?"),
        ("optim: Adam", "unknown optimizer 'Adam'; did you mean 'adam'?"),
        ("optim: ADAM", "unknown optimizer 'ADAM'; did you mean 'adam'?"),
        ("data: {name: csv}", "missing: the file"),
        ("optim: {schedule: {final: 0.1}}", f"missing: one of {SCHEDULES}"),
        ("optim: {clip: {}}", "give either 'norm' or 'value'"),
        ("optim: {clip: {norm: 1, value: 1}}", "give either 'norm' or 'value'"),
        ("optim: {name: sgd, nesterov: true, momentum: 0}", "needs momentum above 0"),
        ("data: {name: digits, preprocess: {whiten: true}}", "needs 'pca'"),
        ("model: {name: cnn, dropout: [0, 0, 0]}", "3 values for 2 layers of 'channels'"),
        ("model: {name: cnn, kernel_size: [3, 3, 3]}", "3 values for 2 layers of 'channels'"),
        ("model: {name: cnn, pool: [max]}", "1 values for 2 layers of 'channels'"),
    ],
)
def test_what_is_missing_unknown_or_contradicts_is_told(line: str, expected: str) -> None:
    assert message(line) == expected


def test_the_monitor_is_auto_or_a_metric_of_some_task() -> None:
    metrics = (*CLASSIFICATION_METRICS, *RANKING_METRICS, *REGRESSION_METRICS)
    measured = [f"val_{name}" for name in metrics]
    assert set(get_args(MonitorName)) == {"auto", *measured}


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("model: {name: cnn, chanels: [8]}", "did you mean 'channels'?"),
        ("model: {name: cnn, Channels: [8]}", "did you mean 'channels'?"),
        ("model: {name: lstm, hidden: 8}", "it is 'hidden_size'"),
        ("model: {name: cnn, head: {poling: flatten}}", "did you mean 'pooling'?"),
        ("optim: {schedule: {name: step, evry: 1 epoch}}", "did you mean 'step_size'?"),
        ("optimizer: adam", "it is 'optim'"),
        ("training: {epochs: 1}", "it is 'train'"),
        # Keys that live in another section.
        ("train: {clip: 1}", "it is optim.clip"),
        ("train: {learning_rate: 1}", "it is optim.lr"),
        ("train: {patience: 3}", "it is train.early_stopping.patience"),
        ("train: {seed: 3}", "it is seed, beside the sections"),
        ("model: {name: mlp, augment: {}}", "it is data.augment"),
        ("epochs: 3", "it is train.epochs"),
        ("device: cpu", "it is the option --device"),
        # Neither.
        ("optim: {momentum: 0.9}",
         "known here: name, lr, weight_decay, schedule, clip, betas, eps"),
        ("optim: {schedule: {name: cosine, gamma: 1}}", "known here: name, warmup, final"),
        ("5: 5", "known here: name, seed, data, model, optim, train, sweep"),
    ],
)  # fmt: skip
def test_an_unknown_key_says_what_was_meant_or_what_is_known(line: str, hint: str) -> None:
    assert message(line) == f"unknown key; {hint}"


def test_no_fault_speaks_of_pydantic() -> None:
    told = 0
    wrong: list[Any] = [None, True, -1, 1.5, "x", [], ["x"], {}, {"x": 1}, [[1]], {"name": "x"}]
    for section, registry in (("data", DATA), ("model", MODELS), ("optim", OPTIMIZERS)):
        for name, entry in {entry.options: (name, entry) for name, entry in registry}.values():
            for key in entry.options.model_fields:
                for value in wrong:
                    tree = {"name": "f", "data": "digits", "model": "mlp"}
                    tree[section] = {"name": name, "path": "p", key: value}  # type: ignore[assignment]
                    try:
                        from_dict(tree, "f")
                    except ConfigError as error:
                        for issue in error.issues:
                            text = issue.message
                            told += 1
                            assert not any(
                                word in text.lower()
                                for word in ("input", "should", "valid ", "literal", "none,got",
                                             "another value", "python", "dict", "instance")
                            ), text  # fmt: skip
                            assert "of []" not in text
                            assert len(text) < 260, text
    assert told > 1000


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("model: mlp\n", "f.yaml:1:1"),
        ("model: mlp\ndata:\n", "f.yaml:2:6"),
        ("model: mlp\ndata: {}\n", "f.yaml:2:7"),
        ("model: mlp\ndata:\n  name: csv\n", "f.yaml:3:3"),
        ("model: mlp\ndata:\n  name: digits\n  split:\n    val: 2.5\n", "f.yaml:5:10"),
        ("data: digits\nmodel:\n  name: cnn\n  padding:\n  - same\n  - vald\n", "f.yaml:6:5"),
    ],
)
def test_a_fault_stands_where_the_value_is_or_should_be(text: str, where: str) -> None:
    assert [found[0] for found in faults(text)] == [where]


@pytest.mark.parametrize("text", ["- a\n", "hello", "5", "[]"])
def test_a_file_without_sections_says_what_they_are(text: str) -> None:
    assert [found[2] for found in faults(text)] == [
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


def test_faults_are_ordered_as_the_file_is() -> None:
    text = "train: {epochs: 0}\noptim: {lr: 0}\nmodel: x\ndata: x\nbogus: 1\n"
    assert [found[0] for found in faults(text)] == [
        "f.yaml:1:17", "f.yaml:2:13", "f.yaml:3:8", "f.yaml:4:7", "f.yaml:5:1",
    ]  # fmt: skip


# Short forms.


def test_a_name_alone_is_short_for_a_section() -> None:
    short = config("data: digits\nmodel: mlp\noptim: {name: sgd, schedule: cosine}\n")
    long = config(
        "data: {name: digits}\nmodel: {name: mlp}\n"
        "optim: {name: sgd, schedule: {name: cosine}}\ntrain: {}\n"
    )
    assert short == long


def test_an_empty_optim_or_train_section_has_its_defaults() -> None:
    assert config(f"{FIRST}optim:\ntrain:\n") == config(FIRST)


def test_optim_without_a_name_is_adam() -> None:
    assert config(f"{FIRST}optim: {{lr: 0.5}}").optim.name == "adam"


def test_options_per_layer_take_one_value_or_one_a_layer() -> None:
    text = "data: digits\nmodel: {name: cnn, channels: [4, 8, 8], %s}\n"

    def layers(option: str, key: str) -> list[Any]:
        return config(text % option).model.per_layer(key)  # type: ignore[attr-defined]

    assert layers("kernel_size: 5", "kernel_size") == [5, 5, 5]
    assert layers("kernel_size: [5, 3, 1]", "kernel_size") == [5, 3, 1]
    assert layers("kernel_size: [5, 3]", "kernel_size") == [[5, 3]] * 3
    assert layers("kernel_size: [[5, 3], 3, [1, 1]]", "kernel_size") == [[5, 3], 3, [1, 1]]
    assert layers("padding: [same, valid, 1]", "padding") == ["same", "valid", 1]
    assert layers("pool: [max, none, avg]", "pool") == ["max", "none", "avg"]
    assert layers("dropout: [0, 0.1, 0.2]", "dropout") == [0, 0.1, 0.2]


def test_two_numbers_in_a_network_of_two_layers_are_one_a_layer() -> None:
    model = config("data: digits\nmodel: {name: cnn, channels: [4, 8], kernel_size: [5, 3]}").model
    assert model.per_layer("kernel_size") == [5, 3]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("1 epoch", (1.0, "epoch")),
        ("0.5 epochs", (0.5, "epoch")),
        ("500 steps", (500.0, "step")),
        ("60 s", (60.0, "s")),
        ("60s", (60.0, "s")),
    ],
)
def test_a_duration_is_an_amount_and_a_unit(text: str, parsed: tuple[float, str]) -> None:
    assert config(f"{FIRST}train: {{save_every: {text}}}").train.save_every == text
    assert parse_duration(text) == parsed


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


# --set.


def test_set_replaces_what_the_file_says_and_the_last_one_wins() -> None:
    text = f"{FIRST}optim: {{lr: 0.1}}\n"
    assert config(text, "optim.lr=0.2").optim.lr == 0.2
    assert config(text, "optim.lr=0.2", "optim.lr=0.3").optim.lr == 0.3


def test_set_reaches_into_short_forms_sections_that_are_not_there_and_lists() -> None:
    text = "data: digits\nmodel: {name: cnn, channels: [4, 8]}\noptim: {schedule: cosine}\n"
    changed = config(
        text, "data.split.val=0.3", "train.early_stopping.patience=3", "model.channels[1]=16",
        "optim.schedule.final=0.5", "model.head={pooling: average}", "name=x", "seed=7",
    )  # fmt: skip
    assert changed.data.split.val == 0.3  # type: ignore[attr-defined]
    assert changed.data.name == "digits"
    assert changed.train.early_stopping.patience == 3  # type: ignore[union-attr]
    assert changed.model.channels == [4, 16]  # type: ignore[attr-defined]
    assert changed.optim.schedule.name == "cosine"
    assert changed.optim.schedule.final == 0.5  # type: ignore[union-attr]
    assert changed.model.head.pooling == "average"  # type: ignore[attr-defined]
    assert (changed.name, changed.seed) == ("x", 7)


@pytest.mark.parametrize(
    ("value", "read"),
    [("1e-3", 0.001), ("2", 2), (" 0.5 ", 0.5), ("3  # a comment", 3)],
)
def test_the_value_of_set_is_yaml(value: str, read: float) -> None:
    assert config(FIRST, f"optim.lr={value}").optim.lr == read


@pytest.mark.parametrize(
    "text", ["optim.lr", "=3", "", "optim..lr=1", ".lr=1", "[0]=1", "model.channels[-1]=3",
             "model.channels[=3", "model.channels[99999999999]=1"],
)  # fmt: skip
def test_set_without_a_path_and_a_value_is_refused(text: str) -> None:
    found = faults(FIRST, text)
    assert found == [("--set", text, "expected key=value, as in model.dropout=0.5")]


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("optim.lr=fast", "optim.lr", "expected a number above 0, got 'fast'"),
        ("optim.lr=", "optim.lr", "expected a number above 0, got nothing"),
        ("optim.lrr=1", "optim.lrr", "unknown key; did you mean 'lr'?"),
        ("foo.bar=1", "foo", "unknown key; known here: name, seed, data, model, optim, train, sweep"),
        ("train.epochs.x=1", "train.epochs", "expected a whole number of at least 1, got {x: 1}"),
        ("model.channels=[8, 0]", "model.channels[1]", "expected a whole number of at least 1, got 0"),
        ("model.channels[0]=0", "model.channels[0]", "expected a whole number of at least 1, got 0"),
        ("model={name: cnn, kernel_size: 0}", "model.kernel_size", "expected a whole number of at least 1, got 0"),
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
)  # fmt: skip
def test_a_fault_of_set_is_located_there(text: str, path: str, expected: str) -> None:
    file = (
        "data: digits\nmodel: {name: cnn, channels: [4, 8]}\noptim: {lr: 0.1}\ntrain: {epochs: 3}\n"
    )
    assert faults(file, text) == [("--set", path, expected)]


def test_a_fault_that_set_uncovers_in_the_file_is_located_in_the_file() -> None:
    file = "data: digits\nmodel:\n  name: cnn\n  channels: [4]\n"
    assert [found[:2] for found in faults(file, "model.name=mlp")] == [
        ("f.yaml:4:3", "model.channels")
    ]


def test_faults_of_the_file_and_of_set_come_together() -> None:
    found = faults(f"{FIRST}optim: {{lr: 0}}\n", "train.epochs=0")
    assert [each[0] for each in found] == ["--set", "f.yaml:3:13"]


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
    found = load_config("deep/er/a.yaml", ["data.test_path=v.csv"])
    assert found.data.path == str(tmp_path / "deep" / "t.csv")  # type: ignore[attr-defined]
    assert found.data.test_path == str(tmp_path / "v.csv")  # type: ignore[attr-defined]


def test_a_home_folder_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("a.yaml").write_text("data: {name: csv, path: ~/t.csv}\nmodel: mlp\n")
    assert load_config("a.yaml").data.path == str(tmp_path / "t.csv")  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["~no-such-user-here/t.csv", '"a\\0b"'])
def test_a_path_that_cannot_be_one_is_a_fault(path: str) -> None:
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


# Round trips.

BUNDLED = bundled_configs()


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_every_bundled_config_is_valid_and_what_check_prints_is_the_same_config(path: Path) -> None:
    found = load_config(str(path))
    assert from_dict(found.to_dict(), "again") == found
    shown = ("\n".join(resolved_lines(found)), config_with_sweep(found))
    for text, tree in (shown, (to_yaml(found.to_dict()), found.to_dict())):
        document = yaml_parser.parse_yaml(text, "again")
        assert document.issues == []
        assert document.value == tree
        assert parse(document, "again") == found


@given(st.text(min_size=1), st.lists(st.text(), max_size=3), st.floats(1e-300, 1e30))
@settings(max_examples=100, deadline=None)
def test_any_text_and_number_survives_being_printed(
    target: str, drop: list[str], lr: float
) -> None:
    tree = {"name": "f", "data": {"name": "csv", "path": target, "target": target, "drop": drop},
            "model": "mlp", "optim": {"lr": lr}}  # fmt: skip
    found = from_dict(tree, "f")
    document = yaml_parser.parse_yaml("\n".join(resolved_lines(found)), "again")
    assert document.issues == []
    assert parse(document, "again") == found


def test_check_says_where_each_value_came_from() -> None:
    text = "data: digits\nmodel:\n  name: cnn\n  channels: [4, 8]\noptim: {schedule: {name: step, gamma: 0.5}}\n"  # fmt: skip
    found = config(text, "optim.schedule=cosine", "model.channels[0]=2", "train.epochs=3")
    lines = {line.split("#")[0].strip(): line.split("#")[1].strip()
             for line in resolved_lines(found) if "#" in line}  # fmt: skip
    assert lines["name: f"] == "from the file's name"
    assert lines["seed: 0"] == "default"
    assert lines["name: digits"] == "f.yaml:1"
    assert lines["name: cnn"] == "f.yaml:3"
    assert lines["channels: [2, 8]"] == "--set"
    assert lines["name: cosine"] == "--set"
    assert lines["final: 0.0"] == "default"
    assert lines["epochs: 3"] == "--set"


# JSON Schema.

SCHEMA = json_schema()


def schema_faults(text: str) -> list[str]:
    value = yaml_parser.parse_yaml(text, "f").value
    return [each.message for each in jsonschema.Draft202012Validator(SCHEMA).iter_errors(value)]


def test_the_schema_is_valid_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_every_bundled_config_fits_the_schema_as_written_and_as_resolved(path: Path) -> None:
    assert schema_faults(path.read_text()) == []
    assert schema_faults("\n".join(resolved_lines(load_config(str(path))))) == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (FIRST, True),
        (f"{FIRST}optim: sgd\ntrain:\n", True),
        (f"{FIRST}optim:\n", True),
        (f"{FIRST}optim: {{lr: 0.1, schedule: cosine}}\n", True),
        (f"{FIRST}optim: {{name: sgd, momentum: 0.5, schedule: {{name: step, step_size: 2 epochs}}}}", True),
        (f"{FIRST}environment: {{anything: 1}}\n", True),
        ("data: {name: wine}\nmodel: {name: mlp, hidden: [3]}\n", True),
        ("data: digits\n", False),
        ("data: csv\nmodel: mlp\n", False),
        ("data: {name: csv}\nmodel: mlp\n", False),
        ("data: digits\nmodel: {name: mlp, hiden: [3]}\n", False),
        ("data: digits\nmodel: {name: mlq}\n", False),
        ("data: {name: iris, path: x}\nmodel: mlp\n", False),
        (f"{FIRST}optim: {{momentum: 0.5}}\n", False),
        (f"{FIRST}optim: {{schedule: cosin}}\n", False),
        (f"{FIRST}optim: {{schedule: {{name: step, step_size: 60 s}}}}\n", False),
        (f"{FIRST}train: {{save_every: 5 minutes}}\n", False),
        (f"{FIRST}trian: {{}}\n", False),
        (f"{FIRST}name: ../x\n", False),
        (f"{FIRST}seed: -1\n", False),
    ],
)  # fmt: skip
def test_the_schema_and_check_agree_on_what_is_right(text: str, good: bool) -> None:
    assert (schema_faults(text) == []) == good
    try:
        config(text)
        assert good
    except ConfigError:
        assert not good


def test_every_default_fits_its_own_schema() -> None:
    for name, entry in [*DATA, *MODELS, *DOCUMENTED_OPTIONS]:
        space = {"optim.lr": [0.1]}
        known: Any = {"name": name.removeprefix("schedule "), "path": "p", "space": space}
        given_ = {key: known[key] for key in known if key in entry.options.model_fields}
        options = entry.options.model_validate(given_)
        node = entry.options.model_json_schema()
        jsonschema.validate(options.model_dump(mode="json"), node)
        assert entry.options.model_validate(options.model_dump(mode="json")) == options


def test_the_words_of_a_fault_and_the_validator_agree() -> None:
    """`accepts` decides which branch of a union a fault is about: it must judge as pydantic does."""
    values: list[Any] = [None, True, 0, 1, 2**62, -1, 0.5, 1.0, float("nan"), float("inf"), "", "auto",
                         "mse", "1 epoch", "1 ep", [], [1], {}, {"patience": 1}]  # fmt: skip
    root = TrainOptions.model_json_schema()
    for key in TrainOptions.model_fields:
        for value in values:
            try:
                TrainOptions.model_validate({key: value})
                right = True
            except ValueError:
                right = False
            assert accepts(node_at(root, {}, (key,)), value, root) == right, (key, value)


# Anything at all.

TEXTS = [path.read_text() for path in BUNDLED] + [
    "data: {name: series, path: x, target: [a, 1], split: {train: 0.5}}\nmodel: lstm\n"
    "optim: {clip: {norm: 1}, schedule: {name: step, step_size: 2 epochs}}\ntrain: {save_every: 60 s}\n",
    "data:\n  name: image_folder\n  path: x\n  augment: {shift: 2, flip: both}\n  size: [8, 9]\n"
    "model:\n  name: cnn\n  channels: [4, 8]\n  padding: [same, 1]\n  head: {hidden: [4]}\n",
]
KEYS = sorted({key for registry in (DATA, MODELS, DOCUMENTED_OPTIONS) for _, entry in registry
               for key in entry.options.model_fields} | {"data", "model", "optim", "train"})  # fmt: skip
VALUES = [
    "", "null", "true", "-1", "0", "1", "1.5", "1e400", ".nan", "9" * 30, "x", "''", "no", "[]", "{}", "[1]",
    "[x, 1]", "[[1, 2], 3]", "{name: x}", "{name: cosine}", "{x: 1}", "[", "}", "*a", "&a [*a]", "!!int 1",
    "same", "1 epoch", "~x/y", '"\\0"', "cnn", "digits", "adam", "# x", "- 1", "a: b", "\t", "\x07",
]  # fmt: skip
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
        at = draw(st.integers(0, len(rows)))
        what = draw(st.sampled_from(["delete", "insert", "replace", "value", "characters"]))
        if what == "insert":
            rows.insert(at, draw(lines))
        elif at < len(rows):
            if what == "delete":
                del rows[at]
            elif what == "replace":
                rows[at] = draw(lines)
            elif what == "value":
                rows[at] = rows[at].split(":")[0] + ": " + draw(st.sampled_from(VALUES))
            else:
                cut = draw(st.integers(0, len(rows[at])))
                rows[at] = rows[at][:cut] + draw(st.text(max_size=3)) + rows[at][cut + 1 :]
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
def test_any_file_with_any_set_gives_a_config_or_its_faults(text: str, sets: list[str]) -> None:
    document = yaml_parser.parse_yaml(text, "f.yaml")
    try:
        found = parse(document, "f.yaml", sets, folder=Path("/tmp"), default_name="f")
    except ConfigError as error:
        assert error.issues
        assert all(
            issue.message and issue.where.startswith(("f.yaml", "--set")) for issue in error.issues
        )
    else:
        assert from_dict(found.to_dict(), "again") == found
        assert found.flat()["name"] == found.name


# Corners.


def test_a_place_that_the_language_has_not_is_an_empty_schema() -> None:
    root = TrainOptions.model_json_schema()
    assert node_at(root, {"epochs": 1}, ("epochs", "deeper")) == {}
    assert node_at(root, {}, ("no such key",)) == {}


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f.yaml").write_text(FIRST)

    def refuse(*arguments: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match=r"cannot read \S*f\.yaml: Permission denied"):
        load_config(str(tmp_path / "f.yaml"))


def test_a_list_whose_text_has_a_fault_gives_that_fault_alone() -> None:
    assert faults("- a: !!python/name:os.system\n") == [
        ("f.yaml:1:6", "", "the tag '!!python/name:os.system' is not allowed")
    ]


def test_plain_values_without_a_name_say_so() -> None:
    with pytest.raises(ConfigError, match=r"name +missing: the name of the run's folder"):
        from_dict({"data": "digits", "model": "cnn"}, "x")


def test_set_reaches_into_lists_of_lists() -> None:
    text = "data: digits\nmodel: {name: cnn, kernel_size: [[3, 3], [5, 5]]}\n"
    assert config(text, "model.kernel_size.1.0=7").model.kernel_size == [[3, 3], [7, 5]]  # type: ignore[attr-defined]
    for place in ("model.kernel_size.5.0", "model.kernel_size.0.9", "model.kernel_size.0.0.0"):
        assert faults(text, f"{place}=1") == [
            ("--set", yaml_parser.dotted(tuple(int(p) if p.isdigit() else p for p in place.split("."))),
             "not in the file, so there is no item to replace; give the whole list: "
             "model.kernel_size=[…]")
        ]  # fmt: skip


def test_a_name_below_a_list_is_refused() -> None:
    text = "data: digits\nmodel: {name: cnn, channels: [4, 8]}\n"
    assert faults(text, "model.channels.x=1") == [
        ("--set", "model.channels.x", "not in the file, so there is no item to replace")
    ]


def test_a_header_may_be_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("# one\n#two\n")
    assert header_comment(tmp_path / "f.yaml") == ["one", "two"]
