"""Issues of a config's values: expected words, names, places and order."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from nnzoo.config import DATA, MODELS, OPTIMIZERS
from nnzoo.config.model_options import Activation
from nnzoo.config.run_config import from_dict
from nnzoo.config.train_options import MonitorName
from nnzoo.errors import ConfigError
from tests.config.config_cases import issues, message


def test_five_issues_are_listed_at_once_each_with_its_place(nnzoo: Callable[..., Any]) -> None:
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


ONE = "a whole number of at least 1"


FRACTION = "a number of at least 0 and below 1"


SPLIT = "a number above 0 and below 1 or a whole number of at least 0"


SCHEDULES = "constant, cosine, one_cycle, step, linear, plateau, coslog"


ACTIVATIONS = f"one of {', '.join(get_args(Activation))}"


STEPS = "text like '1 epoch' or '500 steps'"


QUOTES = "text that looks like a number needs quotes"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # Lists.
        (
            "model: {name: cnn, channels: 5}",
            "a list of one or more whole numbers of at least 1, got 5",
        ),
        (
            "model: {name: cnn, channels: []}",
            "a list of one or more whole numbers of at least 1, got []",
        ),
        ("model: {name: cnn, channels: [0]}", f"{ONE}, got 0"),
        ("model: {name: mlp, hidden: [8, true]}", f"{ONE}, got true"),
        ("model: {name: mlp, hidden: [8, 1.5]}", f"{ONE}, got 1.5"),
        ("model: {name: mlp, hidden: [[8]]}", f"{ONE}, got [8]"),
        ("model: {name: mlp, hidden: 8}", "a list of whole numbers of at least 1, got 8"),
        ("model: {name: mlp, hidden: {a: 8}}", "a list of whole numbers of at least 1, got {a: 8}"),
        ("optim: {betas: 0.9}", "a list of two numbers of at least 0 and below 1, got 0.9"),
        ("optim: {betas: [0.9]}", "a list of two numbers of at least 0 and below 1, got [0.9]"),
        ("optim: {betas: [0.9, 1]}", f"{FRACTION}, got 1"),
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
        ("model: {name: cnn, dropout: 1}", f"{FRACTION}, got 1"),
        ("model: {name: cnn, dropout: [0.1, 2]}", f"{FRACTION}, got 2"),
        ("model: {name: cnn, dropout: .nan}", f"{FRACTION}, got .nan"),
        ("model: {name: cnn, dropout: -0.1}", f"{FRACTION}, got -0.1"),
        # Words.
        ("model: {name: cnn, residual: yes}", "true or false, got 'yes'"),
        ("model: {name: cnn, residual: 1}", "true or false, got 1"),
        ("model: {name: cnn, norm: 3}", "one of none, batch, layer, got 3"),
        ("model: {name: cnn, norm: }", "one of none, batch, layer, got nothing"),
        (
            "train: {monitor: val_acc}",
            f"one of {', '.join(get_args(MonitorName))}, got 'val_acc'; did you mean 'val_accuracy'?",
        ),
        (
            "model: {name: mlp, activation: Relu}",
            f"{ACTIVATIONS}, got 'Relu'; did you mean 'relu'?",
        ),
        ("model: {name: mlp, activation: rel}", f"{ACTIVATIONS}, got 'rel'; did you mean 'relu'?"),
        ("data: {name: csv, path: x, header: no}", "auto, true or false, got 'no'"),
        ("data: {name: csv, path: x, delimiter: ''}", "auto or text, got ''"),
        ("data: {name: csv, path: x, numbers: a}", "a list of text or whole numbers, got 'a'"),
        (
            "data: {name: csv, path: x, target: []}",
            "text, a whole number or a list of one or more of these, got []",
        ),
        ("data: {name: csv, path: x, target: 1.5}", f"a whole number, got 1.5; {QUOTES}"),
        (
            "data: {name: csv, path: x, target: true}",
            "text, a whole number or a list of one or more of these, got true",
        ),
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
        (
            "data: {name: digits, augment: {rotate: 181}}",
            "a number of at least 0 and at most 180, got 181",
        ),
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
        (
            "train: [epochs]",
            "a section (epochs, batch_size, accumulate_grad_batches, loss, …), got [epochs]",
        ),
        ("train: {early_stopping: true}", "a section (patience, min_delta) or null, got true"),
        (
            "model: {name: cnn, head: average}",
            "a section (pooling, hidden, dropout), got 'average'",
        ),
        ("optim: {clip: 1.0}", "a section (norm, value) or null, got 1.0"),
        ("model: [cnn]", "a section with a 'name' (mlp, cnn, rnn, lstm, gru), got [cnn]"),
        ("model:", "a section with a 'name' (mlp, cnn, rnn, lstm, gru)"),
        ("model: {name: 3}", "one of mlp, cnn, rnn, lstm, gru, got 3"),
        # Durations and schedules.
        ("train: {save_every: 5}", "text like '0.5 %', '1 epoch', '500 steps' or '60 s', got 5"),
        (
            "train: {save_every: 5 min}",
            "text like '0.5 %', '1 epoch', '500 steps' or '60 s', got '5 min'",
        ),
        (
            "train: {save_every: 60 ss}",
            "text like '0.5 %', '1 epoch', '500 steps' or '60 s', got '60 ss'",
        ),
        ("optim: {schedule: {name: step, step_size: 60 s}}", f"{STEPS}, got '60 s'"),
        ("optim: {schedule: {name: cosine, final: 1}}", f"{FRACTION}, got 1"),
        ("optim: {schedule: cosin}", f"one of {SCHEDULES}, got 'cosin'; did you mean 'cosine'?"),
        (
            "optim: {schedule: {name: cosin}}",
            f"one of {SCHEDULES}, got 'cosin'; did you mean 'cosine'?",
        ),
        ("optim: {schedule: {name: [x]}}", f"one of {SCHEDULES}, got [x]"),
        ("optim: {schedule: 3}", f"{SCHEDULES} or a section with a 'name', got 3"),
        ("optim: {schedule: }", f"{SCHEDULES} or a section with a 'name', got nothing"),
    ],
)
def test_a_wrong_value_is_met_with_what_is_expected_in_words(line: str, expected: str) -> None:
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
def test_what_is_missing_unknown_or_contradictory_is_named(line: str, expected: str) -> None:
    assert message(line) == expected


def test_no_issue_speaks_of_pydantic() -> None:
    messages = 0
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
                            messages += 1
                            assert not any(
                                word in text.lower()
                                for word in (
                                    "should",
                                    "valid ",
                                    "literal",
                                    "none,got",
                                    "another value",
                                    "python",
                                    "dict",
                                    "instance",
                                )
                            ), text
                            assert not re.search(r"\binput\b", text.lower()), text
                            assert "of []" not in text
                            assert len(text) < 260, text
    assert messages > 1000


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
def test_an_issue_is_located_where_the_value_is_or_should_be(text: str, where: str) -> None:
    assert [result[0] for result in issues(text)] == [where]


def test_issues_are_ordered_as_the_file_is() -> None:
    text = "train: {epochs: 0}\noptim: {lr: 0}\nmodel: x\ndata: x\nbogus: 1\n"
    assert [result[0] for result in issues(text)] == [
        "f.yaml:1:17",
        "f.yaml:2:13",
        "f.yaml:3:8",
        "f.yaml:4:7",
        "f.yaml:5:1",
    ]
