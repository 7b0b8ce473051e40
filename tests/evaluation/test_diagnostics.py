"""Diagnostics: vanishing and exploding gradients, dead units, and when they are reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.config.data_options import DownloadedOptions
from nnzoo.config.load import bundled_configs, load_config
from nnzoo.console.progress import sparkline
from nnzoo.data.dataset import TensorSplit
from nnzoo.evaluation import diagnostics
from nnzoo.evaluation.layer_stats import LayerStats, NetworkStats
from nnzoo.runs.train import train
from nnzoo.training.trainer import EpochEnd
from tests import zoo

NNZOO = Callable[..., Any]


DEEP = {"name": "mlp", "hidden": [64] * 10, "activation": "sigmoid"}


WAVE = {"name": "sine", "window": 50, "noise": 0.1}


def findings(config: Any) -> list[diagnostics.Finding]:
    """All findings of a run."""
    run = zoo.begin(config)
    actual = []
    for event in train(run):
        if isinstance(event, EpochEnd):
            actual += event.findings
    run.lock.release()
    return actual


# Configs whose data are not downloaded.
EMBEDDED = [
    path.stem
    for path in bundled_configs()
    if not isinstance(load_config(path.stem, []).data, DownloadedOptions)
]


def test_a_look_takes_no_more_rows_than_there_is_room_for() -> None:
    split = TensorSplit(torch.zeros(100, 3, 300, 300, dtype=torch.uint8), torch.zeros(100).long())
    assert diagnostics.max_rows(split, 64) == 3
    run = zoo.begin(zoo.config(data="image"), write=False)
    assert diagnostics.max_rows(run.trainer.splits["train"], 64) == 64


def test_the_baseline_loss_is_that_of_equal_probabilities_or_the_mean() -> None:
    run = zoo.begin(zoo.config(), write=False)
    assert diagnostics.baseline_loss(run.network, run.trainer.splits["train"]) == math.log(10)
    run = zoo.begin(zoo.config(data="table_number"), write=False)
    loss = diagnostics.baseline_loss(run.network, run.trainer.splits["train"])
    assert loss == pytest.approx(1.0, rel=1e-4)  # standardised targets


def test_a_gradient_that_is_not_finite_is_exploding_and_nothing_else() -> None:
    layer = LayerStats("1", "Linear", [4], 10, 10, gradient=1e-9, weight=1.0)
    above = LayerStats("2", "Linear", [4], 10, 10, gradient=math.inf, weight=1.0)
    actual = diagnostics.diagnose(NetworkStats([layer, above]), zoo.config())
    assert [(item.kind, item.layer) for item in actual] == [("exploding", "2")]


def test_a_deep_sigmoid_network_is_named_as_vanishing() -> None:
    actual = findings(zoo.config(DEEP, train={"epochs": 1}))
    assert [item.kind for item in actual] == ["vanishing"]
    assert actual[0].layer == "1"
    assert "model.activation: relu" in str(actual[0]) and "model.norm: batch" in str(actual[0])


def test_a_deep_network_whose_activation_fits_is_not() -> None:
    assert findings(zoo.config(DEEP | {"activation": "relu"}, train={"epochs": 1})) == []
    normed = zoo.config(DEEP | {"norm": "batch"}, name="normed", train={"epochs": 1})
    assert findings(normed) == []


def test_vanishing_over_time_is_reported() -> None:
    data = {"name": "adding", "length": 100, "train": 200, "val": 20, "test": 20}
    model = {"name": "rnn", "hidden_size": 16, "init": "torch"}
    actual = findings(zoo.config(model, data, train={"epochs": 1}))
    assert [(item.kind, item.layer) for item in actual] == [("vanishing", "time")]
    assert "model.name: lstm or gru" in str(actual[0])


@pytest.mark.parametrize("optim", [{"name": "sgd", "lr": 0.1}, {"name": "adam", "lr": 0.3}])
def test_an_rnn_without_clipping_at_a_high_rate_is_named_as_exploding(
    optim: dict[str, Any],
) -> None:
    actual = findings(
        zoo.config(
            {"name": "rnn", "hidden_size": 32},
            WAVE,
            optim=optim,
            train={"epochs": 2, "batch_size": 64},
        )
    )
    exploding = [item for item in actual if item.kind == "exploding"]
    assert exploding
    assert "optim.clip={norm: 1.0}" in str(exploding[0])


def test_a_loss_that_has_grown_far_is_exploding_too() -> None:
    actual = findings(zoo.config("rnn", optim={"name": "adam", "lr": 10.0}, train={"epochs": 1}))
    assert "exploding" in {item.kind for item in actual}


def test_where_it_ends_at_once_the_error_says_exploding(nnzoo: NNZOO) -> None:
    result = nnzoo(
        "train",
        "--config",
        "rnn",
        "-s",
        "optim={name: sgd, lr: 3}",
        "-s",
        "model.nonlinearity=relu",
    )
    assert result.code == 4
    assert "exploding gradients; largest gradients by layer: rnn" in result.err


@pytest.mark.parametrize("model", [{"name": "mlp"}, {"name": "cnn"}])
def test_a_relu_network_at_a_high_rate_is_named_as_having_dead_units(model: dict[str, Any]) -> None:
    actual = findings(zoo.config(model, optim={"name": "adam", "lr": 0.5}, train={"epochs": 2}))
    assert "dead" in {item.kind for item in actual}
    dead = next(item for item in actual if item.kind == "dead")
    assert "a lower optim.lr (now 0.5), model.activation: leaky_relu" in str(dead)


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_bundled_configs_get_no_warning(name: str) -> None:
    epochs = 1 if name in ("lstm_adding", "lstm_text") else 3
    sets = [f"train.epochs={epochs}", "train.precision=fp32", "name=run"]
    assert findings(load_config(name, sets)) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in bundled_configs() if p.stem not in EMBEDDED])
def test_nor_do_those_on_published_data(path: Path, shared_data: Path) -> None:
    folders = {"imdb": "text", "tiny_shakespeare": "text", "ucr": "sequences"}
    root = shared_data / folders.get(load_config(path.stem, []).data.name, "")
    sets = ["train.epochs=1", "name=run", f"data.root={root}"]
    assert findings(load_config(path.stem, sets)) == []


def test_it_is_looked_after_the_first_epoch_and_every_400_steps() -> None:
    assert [epoch for epoch in range(1, 42) if diagnostics.is_due(epoch, 20)] == [1, 20, 40]
    assert all(diagnostics.is_due(epoch, 400) for epoch in range(1, 5))
    assert [epoch for epoch in range(1, 5) if diagnostics.is_due(epoch, 300)] == [1, 2, 3, 4]


def test_norms_go_into_the_rows_and_are_the_same_after_an_interruption() -> None:
    config = zoo.config("cnn", train={"epochs": 2, "batch_size": 64})
    rows = zoo.finish(zoo.begin(config, "whole"))
    run = zoo.begin(config, "cut")
    for _ in train(run, stop=lambda: run.trainer.state.step == 25):
        pass
    run.lock.release()
    assert zoo.finish(zoo.begin(config, "cut")) == rows[1:]
    assert rows[0]["gradient_norms"].keys() == {"features.0", "features.4", "head.1"}
    assert 0 < rows[0]["gradient_norm"] <= rows[0]["gradient_norm_max"]
    assert "gradient_norms" not in rows[1]


@pytest.mark.parametrize("on_nan", ["stop", "skip"])
def test_what_health_counts_goes_on_after_an_interruption(on_nan: str) -> None:
    options = {"epochs": 2, "batch_size": 64, "accumulate_grad_batches": 2, "on_nan": on_nan}
    config = zoo.config(
        {"name": "mlp", "hidden": [8]}, train=options, optim={"name": "sgd", "lr": 0.05}
    )
    whole = zoo.begin(config, "whole")
    rows = zoo.finish(whole)
    run = zoo.begin(config, "cut")
    for _ in train(run, stop=lambda: run.trainer.state.step == 3):
        pass
    run.lock.release()
    again = zoo.begin(config, "cut")
    assert zoo.finish(again) == rows
    assert again.trainer.state.first_loss == whole.trainer.state.first_loss


def test_a_mean_norm_is_over_the_steps_that_were_taken() -> None:
    config = zoo.config(train={"epochs": 3, "on_nan": "skip"})
    run = zoo.begin(config, write=False)
    trainer = run.trainer
    trainer.state.step = len(trainer.step_sizes)
    trainer.state.skipped, trainer.state.norm_sum, trainer.state.norm_max = (
        3,
        float(len(trainer.step_sizes) - 3),
        1.0,
    )
    assert trainer.finish_epoch().row["gradient_norm"] == 1.0
    assert trainer.state.skipped == 0


def test_a_warning_is_shown_once(nnzoo: NNZOO) -> None:
    words = [
        "train",
        "--config",
        "mlp",
        "-s",
        f"model.hidden={[64] * 10}",
        "-s",
        "model.activation=sigmoid",
        "-s",
        "train={epochs: 3, batch_size: 8}",
    ]
    result = nnzoo(*words)
    assert result.err.count("vanishing gradient: layer 1 of") == 1
    words += ["--fresh", "-s", "train.epochs=1"]
    messages = [line for line in nnzoo(*words, "--json").lines if line["event"] == "warning"]
    assert [(item["epoch"], item["kind"], item["layer"]) for item in messages] == [
        (1, "vanishing", "1")
    ]
    assert nnzoo(*words, "--verbose", "0").err == ""


def test_a_curve_is_a_line_of_blocks() -> None:
    assert sparkline([], 8) == sparkline([1.0], 8) == ""
    assert sparkline([1000.0, 100.0, 10.0, 1.0], 8) == "█▆▃▁"
    assert sparkline([2.0, 2.0], 8) == "▁▁"
    assert sparkline([float(i) for i in range(1, 65)], 8)[-1] == "█"
    assert len(sparkline([float(i) for i in range(1, 65)], 8)) == 8
    assert sparkline([-1.0, math.nan, 0.0, math.inf], 8) == "▁█"


def test_divergence_names_layers_that_have_gradients() -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    names = [name for name, _ in run.network.model.named_parameters()]
    for i, parameter in enumerate(run.network.model.parameters()):
        parameter.grad = None if i == 0 else torch.ones_like(parameter)
    text = str(
        run.trainer.divergence_error(0.1, math.nan, diagnostics.gradient_norms(run.network.model))
    )
    assert names[-1].rpartition(".")[0] in text
