"""The training loop: accumulation, losses, early stopping, divergence, skipped steps, compiled networks."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.errors import ConfigError, DivergedError
from nnzoo.evaluation.tasks.task import LossResult
from nnzoo.runs import checkpoint
from nnzoo.runs.run import Run
from nnzoo.runs.train import save as run_save
from nnzoo.runs.train import train
from nnzoo.training.train_step import train_single_step
from nnzoo.training.trainer import StepEnd
from tests.training.trainer_cases import TINY, record_epoch, without_times
from tests.zoo import DATA, MODELS, begin, config, finish, same


def test_the_optimizers_rate_follows_from_the_position() -> None:
    """A run that goes on behind its last step takes none, and still ends with the same optimizer."""
    run_config = config(train=TINY, optim={"name": "sgd", "schedule": "cosine"})
    whole = begin(run_config, "whole")
    finish(whole)
    cut = begin(run_config, "cut")
    for _ in train(cut, lambda: cut.trainer.state.step == cut.trainer.total_steps):
        pass
    cut.lock.release()
    cut = begin(run_config, "cut")
    finish(cut)
    assert same(without_times(cut.folder.path), without_times(whole.folder.path))


# Steps.


def test_accumulation_takes_the_step_of_one_large_batch() -> None:
    weights: list[Any] = []
    for train_options in ({"batch_size": 50, "accumulate_grad_batches": 4}, {"batch_size": 200}):
        model = {"name": "mlp", "hidden": [16]}
        data = DATA["image"] | {"class_weights": "balanced"}
        run = begin(
            config(
                model, data, train=train_options | {"epochs": 1}, optim={"name": "sgd", "lr": 0.1}
            ),
            f"out{len(weights)}",
        )
        assert len(run.trainer.step_sizes) == 7  # 1,258 rows: the last group has 58
        (row,) = finish(run)
        weights.append((run.network.model.state_dict(), row["train_loss"]))
    for name, tensor in weights[0][0].items():
        torch.testing.assert_close(tensor, weights[1][0][name], rtol=1e-4, atol=1e-6)
    assert weights[0][1] == pytest.approx(weights[1][1], rel=1e-5)


def test_label_smoothing_and_class_weights_give_torchs_loss() -> None:
    data = DATA["image"] | {"class_weights": "balanced"}
    run = begin(config("mlp", data, train={"label_smoothing": 0.2}))
    split = run.trainer.splits["train"]
    task: Any = run.network.task
    output, target = torch.randn(200, 10), split.batch(torch.arange(200))[1]
    stock = nn.CrossEntropyLoss(task.class_weights, label_smoothing=0.2)
    ours = task.loss(output, target) / task.denominator(target)
    torch.testing.assert_close(ours, stock(output, target))
    counts = torch.bincount(run.dataset.splits["train"].targets())
    torch.testing.assert_close(task.class_weights, 1258 / (10 * counts.float()))


@pytest.mark.parametrize(
    ("loss", "stock"),
    [("mse", nn.MSELoss()), ("mae", nn.L1Loss()), ("huber", nn.HuberLoss(delta=0.5))],
)
def test_number_losses_are_torchs(loss: str, stock: nn.Module) -> None:
    run = begin(config("mlp", "series", train={"loss": loss, "huber_delta": 0.5}))
    output, target = torch.randn(50, 3), torch.randn(50, 3)
    task = run.network.task
    torch.testing.assert_close(
        task.loss(output, target) / task.denominator(target), stock(output, target)
    )


# When to stop.


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ((math.nan, 0.9, 0.8, 0.7, 0.6, 0.5), []),  # it improves in every epoch but the first
        ((math.nan, math.nan, 0.9, 0.8, 0.7, 0.6), []),
        ((0.9, math.nan, 0.8, math.nan, 0.7, 0.6), []),
        ((math.nan, 0.9, 1.0, math.nan, 1.1), [5]),
        ((math.nan, math.nan, math.nan), [3]),
    ],
)
def test_nan_in_an_epoch_is_no_improvement_and_nothing_to_compare_with(
    values: tuple[float, ...], stops: list[int]
) -> None:
    schedule = {"name": "plateau", "patience": 3}
    trainer = begin(
        config(
            train={"early_stopping": {"patience": 3}, "epochs": 99},
            optim={"name": "sgd", "schedule": schedule},
        )
    ).trainer
    stopped = []
    for epoch, loss in enumerate(values, start=1):
        trainer.state.epoch = epoch
        record_epoch(trainer, loss)
        stopped += [epoch] if trainer.stopped_early else []
    assert stopped == stops
    assert (trainer.state.lr_scale < 1.0) == bool(stops)


def test_a_run_from_before_that_compared_with_nan_goes_on_to_improve() -> None:
    trainer = begin(config(train={"early_stopping": {"patience": 2}, "epochs": 99})).trainer
    trainer.state.reference_value, trainer.state.epochs_without_improvement = math.nan, 1
    record_epoch(trainer, 0.5)
    assert (trainer.state.epochs_without_improvement, trainer.state.reference_value) == (0, 0.5)


def test_evaluating_between_steps_changes_nothing() -> None:
    weights = []
    for looks in (False, True):
        run = begin(config("mlp", train=TINY), f"out{looks}")
        for event in train(run):
            if looks and isinstance(event, StepEnd) and run.trainer.best_weights:
                assert run.result() is not None
        weights.append(run.network.model.state_dict())
    assert same(*weights)


def test_without_validation_rows_the_last_epoch_is_kept() -> None:
    data = {"name": "iris", "split": {"val": 0}}
    run = begin(config("mlp", data))
    rows = finish(run)
    assert not any(name.startswith("val") for name in rows[0])
    assert run.trainer.state.best_epoch == 2
    assert same(checkpoint.load(run.folder.best)["model"], run.network.model.state_dict())
    for train_options in ({"monitor": "val_loss"}, {"early_stopping": {"patience": 3}}):
        with pytest.raises(ConfigError, match=r"needs validation rows; data\.split\.val is 0"):
            begin(config("mlp", data, train=train_options), "other")


def test_a_monitor_of_another_task_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="'val_accuracy' is not measured here; one of val_loss, val_mse"
    ):
        begin(config("mlp", "table_number", train={"monitor": "val_accuracy"}))


@pytest.mark.parametrize(
    ("data", "loss", "message"),
    [
        ("image", "mse", "'mse' is for numbers, but the target has classes"),
        (
            "table_number",
            "cross_entropy",
            "'cross_entropy' is for classes, but the target is a number",
        ),
    ],
)
def test_a_loss_of_another_task_is_refused(data: str, loss: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        begin(config("mlp", data, train={"loss": loss}))


def poison(run: Run, steps: set[int], value: float = math.nan) -> None:
    """Make the loss of these steps (from 0) another number, as a broken batch would."""
    task: Any = run.network.task
    compute_loss = task.compute_loss

    def poisoned(*args: Any) -> LossResult:
        outcome: LossResult = compute_loss(*args)
        return outcome._replace(loss_sums=[value]) if run.trainer.state.step in steps else outcome

    task.compute_loss = poisoned


def test_a_diverged_run_stops_before_the_weights_are_touched() -> None:
    run = begin(
        config(
            "mlp",
            "table_number",
            optim={"name": "sgd", "lr": 1e18},
            train={"epochs": 5, "batch_size": 64},
        )
    )
    with pytest.raises(DivergedError) as raised:
        finish(run)
    assert re.fullmatch(
        r"training diverged at step \d+ \(epoch 1\), learning rate 1e\+18: the (loss|gradient) is not "
        r"a finite number\n"
        r"largest gradients by layer: \d \S+, \d \S+ \(norm \S+ at the last good step\)\n"
        r"try a lower optim\.lr, optim\.clip=\{norm: 1\.0\}, a warm-up .*\n"
        r"no checkpoint was written yet",
        str(raised.value),
    )
    assert all(torch.isfinite(p).all() for p in run.network.model.parameters())
    assert DivergedError.exit_code == 4


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_at_its_step_and_leaves_the_last_checkpoint(
    value: float,
) -> None:
    run_config = config(train={"epochs": 2, "save_every": "1 step"})
    whole = begin(run_config, "whole")
    for _ in train(whole, lambda: whole.trainer.state.step == 7):
        pass
    run = begin(run_config)
    poison(run, {7}, value)
    with pytest.raises(DivergedError, match=r"at step 8 .*: the loss is not") as raised:
        finish(run)
    assert "the last checkpoint, out/run/last.pt, is from before it" in str(raised.value)
    left, good = (checkpoint.load(item.folder.last) for item in (run, whole))
    assert same(left["model"], good["model"])
    assert same(left["trainer"]["optimizer"], good["trainer"]["optimizer"])
    assert same(dict(run.network.model.state_dict()), dict(good["model"]))


def test_a_gradient_of_one_layer_is_named_first() -> None:
    run = begin(config())
    train_single_step(run.trainer, torch.arange(8))
    layers = dict(run.network.model.named_parameters())
    last = [name for name in layers if name.endswith("weight")][-1]
    layers[last].register_hook(lambda grad: grad * math.inf)
    with pytest.raises(DivergedError) as raised:
        train_single_step(run.trainer, torch.arange(8))
    name = last.rpartition(".")[0]
    assert f"the gradient is not a finite number\nlargest gradients by layer: {name} " in str(
        raised.value
    )


def test_skipped_steps_leave_weights_buffers_optimizer_and_metrics_alone() -> None:
    model = {"name": "cnn", "channels": [4], "norm": "batch"}
    run = begin(config(model, train={"epochs": 1, "on_nan": "skip", "accumulate_grad_batches": 2}))
    poison(run, {1, 2})
    trainer = run.trainer
    batches = torch.arange(128).split(32)
    train_single_step(trainer, batches[0])
    before = {k: v.clone() for k, v in run.network.model.state_dict().items()}
    sums = {k: v.clone() for k, v in trainer.running_loss.state().items()}
    moments = {
        k: {n: t.clone() for n, t in v.items()}
        for k, v in trainer.optimizer.state_dict(0.1)["state"].items()
    }
    train_single_step(trainer, batches[1])
    train_single_step(trainer, batches[2])
    assert same(dict(run.network.model.state_dict()), before)
    assert same(trainer.running_loss.state(), sums)
    assert same(trainer.optimizer.state_dict(0.1)["state"], moments)
    assert (trainer.state.step, trainer.state.skipped, trainer.state.skipped_in_row) == (3, 2, 2)
    train_single_step(trainer, batches[3])
    assert (trainer.state.step, trainer.state.skipped, trainer.state.skipped_in_row) == (4, 2, 0)
    assert not same(dict(run.network.model.state_dict()), before)


def test_skipping_is_counted_by_epoch_and_survives_a_stop() -> None:
    run_config = config(train={"epochs": 2, "on_nan": "skip", "batch_size": 256})
    bad = {1, 2, 3, 7}
    whole = begin(run_config, "whole")
    poison(whole, bad)
    rows = finish(whole)
    assert [row["skipped"] for row in rows] == [3, 1]
    assert all(math.isfinite(row["train_loss"]) for row in rows)
    cut = begin(run_config, "cut")
    poison(cut, bad)
    for _ in train(cut, lambda: cut.trainer.state.step == 3):
        pass
    cut.lock.release()
    cut = begin(run_config, "cut")
    assert (cut.trainer.state.skipped, cut.trainer.state.skipped_in_row) == (2, 2)
    poison(cut, bad)
    assert same(finish(cut), rows)
    assert same(cut.network.model.state_dict(), whole.network.model.state_dict())


def test_skipping_gives_up_after_so_many_steps_in_a_row() -> None:
    run = begin(config(train={"epochs": 2, "on_nan": "skip", "max_skipped": 3}))
    poison(run, {1, 2, 4, 5, 6, 7})
    with pytest.raises(DivergedError, match=r"at step 7 .* not a finite number, 3 times in a row"):
        finish(run)
    assert run.trainer.state.step == 6


def test_skipped_steps_are_shown(nnzoo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnzoo.evaluation.tasks.classification import Classification

    compute_loss, calls = Classification.compute_loss, []

    def poisoned(self: Any, *args: Any) -> LossResult:
        calls.append(1)
        outcome = compute_loss(self, *args)
        return outcome._replace(loss_sums=[math.nan]) if len(calls) == 3 else outcome

    monkeypatch.setattr(Classification, "compute_loss", poisoned)
    Path("c.yaml").write_text("data: digits\nmodel: mlp\ntrain: {epochs: 1, on_nan: skip}\n")
    result = nnzoo("train", "-c", "c.yaml")
    assert result.code == 0
    assert "skipped 1  train_accuracy" in result.err
    assert ", 1 step skipped (train.on_nan)" in result.err


def test_weights_are_refused_by_what_they_are_and_not_by_their_norm() -> None:
    trainer = begin(config("mlp")).trainer
    weights = trainer.parameters
    with torch.no_grad():
        weights[0].fill_(1e30)  # whose square is beyond float32
    trainer.check_weights()
    with torch.no_grad():
        weights[-1][0] = math.nan
    last = list(trainer.model.state_dict())[-1]
    with pytest.raises(DivergedError, match=f"'{last}' is not finite"):
        trainer.check_weights()


def test_weights_that_are_no_numbers_are_never_saved() -> None:
    """A finite gradient can still take a weight past the largest number."""
    run = begin(config(train={"epochs": 3, "save_every": "1 step"}))
    events = train(run)
    next(events)
    kept = run.folder.last.read_bytes()
    with torch.no_grad():
        next(run.network.model.parameters())[0, 0] = math.inf
    with pytest.raises(DivergedError, match=r"after step 1 \(epoch 1\) '1\.weight' is not finite"):
        run_save(run)
    with pytest.raises(DivergedError, match="is not finite"):
        run.trainer.finish_epoch()
    assert run.folder.last.read_bytes() == kept


def test_a_last_batch_of_one_row_does_not_break_batch_norm() -> None:
    data = {"name": "iris", "split": {"val": 0, "test": 29}}  # 121 rows: 7 * 16 + 9, 5 * 24 + 1
    model = {"name": "mlp", "hidden": [8], "norm": "batch"}
    run = begin(config(model, data, train={"batch_size": 24, "epochs": 1}))
    assert run.trainer.step_sizes == [24, 24, 24, 24, 25]
    finish(run)


def test_batch_norm_with_batches_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch norm needs batches of at least two rows"):
        begin(config({"name": "mlp", "norm": "batch"}, train={"batch_size": 1}))


@pytest.mark.parametrize("name", ["mlp", "cnn", "rnn", "lstm", "gru"])
@pytest.mark.parametrize("kernels", ["auto", "torch"])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_compiled_network_trains_as_one_that_is_not(
    name: str, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the trace matters here; to turn it into C++ takes half a minute.
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile_(model, backend="aot_eager"))
    options = {"epochs": 1, "precision": "fp32", "threads": 1, "kernels": kernels}
    model = MODELS[name] | {"dropout": 0.0}  # compiled, torch's own draws
    plain = finish(begin(config(model, train=options), "plain"))
    compiled = begin(config(model, train=options | {"compile": True}), "compiled")
    assert compiled.network.compiled is not None
    assert finish(compiled)[-1]["train_loss"] == pytest.approx(plain[-1]["train_loss"], rel=1e-4)
