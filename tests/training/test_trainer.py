"""The loop: exact stops and starts, schedules, clipping, accumulation, early stopping, divergence."""

from __future__ import annotations

import copy
import math
import re
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.config.train_options import AdamOptions, ClipOptions, OptimOptions
from nnzoo.data.sampling import batch_sizes, derive_seed, epoch_permutation
from nnzoo.errors import ConfigError, DivergedError
from nnzoo.evaluation.tasks import LossResult
from nnzoo.kernels import build
from nnzoo.runs import checkpoint
from nnzoo.runs.run import Run
from nnzoo.runs.train import SaveSchedule, train
from nnzoo.runs.train import save as run_save
from nnzoo.training.clipping import clip_divisor
from nnzoo.training.ensemble_trainer import train_single_step
from nnzoo.training.lr_schedule import lr_factor
from nnzoo.training.optim import Optimizer
from nnzoo.training.trainer import StepEnd
from tests.zoo import DATA, MODELS, begin, config, finish, same

TINY = {"epochs": 3, "batch_size": 64, "accumulate_grad_batches": 2}
SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant"},
    {"name": "cosine", "warmup": "1 epoch"},
    {"name": "one_cycle"},
    {"name": "step", "step_size": "5 steps", "gamma": 0.5},
    {"name": "linear", "final": 0.1},
    {"name": "plateau", "patience": 1, "gamma": 0.5},
]


def without_times(folder: Path) -> tuple[Any, Any]:
    last, best = checkpoint.load(folder / "last.pt"), checkpoint.load(folder / "best.pt")
    for content in (last, best):
        content.get("trainer", {}).get("position", {}).pop("elapsed", None)
    return last, best


# Going on.


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule["name"])
@pytest.mark.parametrize("model", ["mlp", "cnn", "rnn", "lstm", "gru"])
def test_a_run_stopped_after_any_step_ends_with_the_same_bits(
    model: str, schedule: dict[str, Any]
) -> None:
    data = DATA["image"] | {"augment": {"shift": 1, "rotate": 5}, "class_weights": "balanced"}
    sections = {
        "train": TINY
        | {"save_every": "7 steps", "label_smoothing": 0.1, "early_stopping": {"patience": 2}},
        "optim": {"name": "adamw", "lr": 0.003, "schedule": schedule, "clip": {"norm": 1.0}},
    }
    run_config = config(model, data, **sections)
    whole = begin(run_config, "whole")
    rows = finish(whole)

    # Stopped after steps 1, 2, 4, 8, …, each time resumed from the files alone.
    stops, seen = [1, 2, 4, 8, 16, 23], []
    while stops:
        part = begin(run_config, "parts")
        target = stops.pop(0)
        for event in train(
            part, lambda part=part, target=target: part.trainer.state.step >= target
        ):
            if not isinstance(event, StepEnd):
                seen.append(event.row["epoch"])
        part.lock.release()
    part = begin(run_config, "parts")
    finish(part)
    kept = [{k: v for k, v in row.items() if "second" not in k} for row in part.folder.rows()]
    assert kept == rows
    assert same(without_times(whole.folder.path), without_times(part.folder.path))


def test_what_a_crash_left_behind_the_checkpoint_is_done_again() -> None:
    run_config = config(train=TINY | {"epochs": 6, "save_every": "2 epochs"})
    whole = begin(run_config, "whole")
    rows = finish(whole)
    crashed = begin(run_config, "crashed")
    events = train(crashed)  # kept, since closing it would save
    for event in events:  # no save after epoch 3: as if the process had been killed
        if not isinstance(event, StepEnd) and event.row["epoch"] == 3:
            break
    crashed.lock.release()
    assert len(crashed.folder.rows()) == 3
    with crashed.folder.metrics.open("a") as file:
        file.write('{"epoch": 4, "st')  # and a line was cut short
    again = begin(run_config, "crashed")
    assert again.notes[-1] == "resumed crashed/run at epoch 3 of 6"
    assert finish(again) == rows[2:]
    assert [row["epoch"] for row in again.folder.rows()] == [1, 2, 3, 4, 5, 6]
    assert same(without_times(whole.folder.path), without_times(again.folder.path))


def test_a_line_of_an_epoch_whose_last_step_was_saved_is_not_written_twice() -> None:
    """A checkpoint may follow the last step of an epoch that is not over yet."""
    run_config = config(
        data="table_classes", train={"epochs": 3, "batch_size": 16, "save_every": "7 steps"}
    )
    whole = begin(run_config, "whole")
    rows = finish(whole)
    assert len(whole.trainer.step_sizes) == 7
    # Dies after step 9: resumes from step 7, where the first epoch's validation is done again.
    dead = begin(run_config, "dead")
    events = train(dead)  # kept, since closing it would save
    for event in events:
        if isinstance(event, StepEnd) and event.step == 9:
            break
    dead.lock.release()
    run = begin(run_config, "dead")
    assert (run.trainer.state.epoch, run.trainer.state.step_in_epoch) == (0, 7)
    assert same(finish(run), rows)
    assert [row["epoch"] for row in run.folder.rows()] == [1, 2, 3]


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


def test_best_pt_is_the_best_epoch_also_when_saving_is_rare() -> None:
    run = begin(
        config(
            train={"epochs": 5, "save_every": "60 s", "batch_size": 16},
            optim={"name": "adam", "lr": 0.05},
        )
    )
    rows = finish(run)
    best = min(rows, key=lambda row: row["val_loss"])
    assert best["epoch"] < 5, "this test needs a run whose last epoch is not its best"
    content = checkpoint.load(run.folder.best)
    assert content["epoch"] == best["epoch"]
    run.network.model.load_state_dict(content["model"])
    from nnzoo.evaluation.evaluate import evaluate_split

    assert evaluate_split(run.network, run.dataset, "val")["loss"] == best["val_loss"]


def test_a_finished_run_goes_on_when_epochs_are_raised() -> None:
    begin_config = config(train=TINY)
    finish(begin(begin_config))
    assert begin(begin_config).state == "complete"
    longer = begin(config(train=TINY | {"epochs": 5}))
    assert longer.notes[-1] == "resumed out/run at epoch 4 of 5"
    rows = finish(longer)
    assert [row["epoch"] for row in rows] == [4, 5]
    straight = begin(config(train=TINY | {"epochs": 5}), "straight")
    assert finish(straight)[3:] == rows


# Schedules.


def factors(options: dict[str, Any], total: int = 100, per_epoch: int = 10) -> list[float]:
    optim = OptimOptions.model_validate({"name": "adam", "schedule": options})
    return [lr_factor(optim.schedule, step, total, per_epoch) for step in range(total)]


def test_schedules_follow_their_formulas() -> None:
    assert set(factors({"name": "constant"})) == {1.0}
    cosine = factors({"name": "cosine", "final": 0.2})
    assert cosine == [
        pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi * s / 100)) / 2) for s in range(100)
    ]
    assert factors({"name": "linear"}) == [pytest.approx(1 - s / 100) for s in range(100)]
    step = factors({"name": "step", "step_size": "2 epochs", "gamma": 0.5})
    assert step == [pytest.approx(0.5 ** (s // 20)) for s in range(100)]
    cycle = factors({"name": "one_cycle", "pct_start": 0.25, "start": 0.1, "final": 0.01})
    assert cycle[0] == pytest.approx(0.1)
    assert cycle[25] == max(cycle) == pytest.approx(1.0)
    assert cycle[-1] == pytest.approx(0.01, abs=0.01)
    assert all(b > a for a, b in pairwise(cycle[:26]))
    assert all(b < a for a, b in pairwise(cycle[25:]))


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step", "linear", "plateau"])
def test_every_schedule_has_a_warm_up(name: str) -> None:
    warm = factors({"name": name, "warmup": "2 epochs"})
    first = warm[19]
    assert warm[:20] == [pytest.approx(first * (s + 1) / 20) for s in range(20)]
    assert factors({"name": name, "warmup": "20 steps"}) == warm
    assert all(0 <= factor <= 1 for factor in warm)


def test_plateau_lowers_the_rate_after_patience_epochs_without_improvement() -> None:
    schedule = {"name": "plateau", "patience": 2, "factor": 0.1, "min_factor": 0.005}
    trainer = begin(config(optim={"name": "sgd", "lr": 1.0, "schedule": schedule})).trainer
    rates = []
    for loss in (1.0, 0.9, 0.95, 0.95, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9):
        record_epoch(trainer, loss)
        rates.append(round(trainer.lr_at(0), 6))
    assert rates == [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005]


def record_epoch(trainer: Any, value: float) -> None:
    options = trainer.config
    trainer.state.record_epoch(
        value, trainer.monitor, options.train.early_stopping, options.optim.schedule
    )


# Steps.


def test_accumulation_takes_the_step_of_one_large_batch() -> None:
    weights = []
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


OPTIMIZERS = [
    (
        {"name": "sgd", "lr": 0.1, "momentum": 0.8, "nesterov": True},
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
    ),
    ({"name": "sgd", "lr": 0.1, "momentum": 0.0}, torch.optim.SGD, {}),
    (
        {"name": "adam", "betas": [0.8, 0.9], "eps": 1e-6},
        torch.optim.Adam,
        {"betas": (0.8, 0.9), "eps": 1e-6},
    ),
    ({"name": "adamw", "lr": 0.01}, torch.optim.AdamW, {}),
    ({"name": "rmsprop", "alpha": 0.9}, torch.optim.RMSprop, {"alpha": 0.9}),
    ({"name": "rmsprop", "momentum": 0.5}, torch.optim.RMSprop, {"momentum": 0.5}),
]


@pytest.mark.parametrize("clip", [None, {"norm": 0.5}, {"norm": 1e6}, {"value": 0.05}], ids=str)
@pytest.mark.parametrize(("options", "cls", "keys"), OPTIMIZERS, ids=str)
def test_optimizers_and_clipping_take_torchs_steps(
    options: dict[str, Any], cls: Any, keys: dict[str, Any], clip: Any
) -> None:
    """Weight decay acts on weights but not on biases and norms."""
    run_config = config(
        {"name": "mlp", "hidden": [8], "norm": "layer"},
        optim=options | {"weight_decay": 0.3, "clip": clip},
    )
    trainer = begin(run_config).trainer
    stock_model = copy.deepcopy(trainer.network)
    named = dict(stock_model.model.named_parameters())
    decayed = [named["1.weight"], named["4.weight"]]
    rest = [p for p in named.values() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.3}, {"params": rest, "weight_decay": 0.0}]
    lr = run_config.optim.lr
    stock = cls(groups, lr=lr, **keys)
    stock_model.train()
    for i in range(5):
        rows = torch.arange(i * 16, i * 16 + 16)
        train_single_step(trainer, rows)
        x, y = trainer.splits["train"].batch(rows)
        stock.zero_grad()
        (trainer.task.loss(stock_model(x), y) / 16).backward()
        if clip and "norm" in clip:
            nn.utils.clip_grad_norm_(named.values(), clip["norm"])
        elif clip:
            nn.utils.clip_grad_value_(named.values(), clip["value"])
        stock.step()
    for name, tensor in trainer.model.named_parameters():
        torch.testing.assert_close(tensor, named[name], rtol=1e-5, atol=1e-6)
    # torch.optim resumes from our state.
    saved = checkpoint.to_plain(trainer.optimizer.state_dict(lr))
    stock.load_state_dict(saved)
    for group, other in zip(stock.param_groups, groups, strict=True):
        assert (group["lr"], group["weight_decay"]) == (lr, other["weight_decay"])
        for parameter in group["params"]:
            for name, tensor in stock.state[parameter].items():
                if tensor is not None:
                    assert tensor.shape == (() if name == "step" else parameter.shape)


@pytest.mark.parametrize("kernels", ["torch", "auto"])
@pytest.mark.parametrize("how", ["another tensor", "other memory"])
def test_a_parameter_that_steps_no_longer_reach_is_an_error(kernels: str, how: str) -> None:
    """Unless the optimizer, which holds the parameters themselves, reaches it where it now lies."""
    run = begin(config(train={"epochs": 2, "kernels": kernels}))
    reached = kernels == "torch" and how == "other memory"
    message = "'1.weight' is no longer the tensor that the optimizer changes"
    model: Any = run.network.model
    with nullcontext() if reached else pytest.raises(RuntimeError, match=message):
        for event in train(run):
            if isinstance(event, StepEnd) and event.step == event.steps_per_epoch:
                layer = model[1]
                if how == "other memory":
                    layer.weight.data = layer.weight.data.clone()
                else:
                    layer.weight = nn.Parameter(layer.weight.detach().clone())
                before = layer.weight.detach().clone()
    assert torch.equal(layer.weight, before) is not reached


def test_the_norm_before_clipping_is_that_of_all_gradients_together() -> None:
    model = nn.Linear(3, 4)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape)
    whole = torch.cat([p.grad.flatten() for p in model.parameters()])
    for clip in (None, ClipOptions(norm=0.5)):
        for native in (False, build.available()):
            options = AdamOptions(name="adam", lr=0.1, clip=clip)
            (norm,) = Optimizer(options, model, native).grad_norms()
            assert norm == pytest.approx(float(whole.norm()))
    assert clip_divisor(3.0, None) is None
    assert clip_divisor(3.0, ClipOptions(value=1.0)) is None
    assert clip_divisor(0.5, ClipOptions(norm=0.5)) is None
    assert clip_divisor(3.0, ClipOptions(norm=0.5)) == pytest.approx(6.0, rel=1e-5)


def test_label_smoothing_and_class_weights_give_torchs_loss() -> None:
    data = DATA["image"] | {"class_weights": "balanced"}
    run = begin(config("mlp", data, train={"label_smoothing": 0.2}))
    task, split = run.network.task, run.trainer.splits["train"]
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


def test_early_stopping_waits_for_patience_epochs_and_min_delta() -> None:
    early = {"patience": 3, "min_delta": 0.1}
    trainer = begin(config(train={"early_stopping": early, "epochs": 99})).trainer
    stops = []
    for loss in (1.0, 0.95, 0.92, 0.88, 0.87, 0.86, 0.85):  # 1.0 to 0.88 is a gain that counts
        record_epoch(trainer, loss)
        stops.append(trainer.stopped_early)
    assert stops == [False] * 6 + [True]
    assert trainer.state.best_value == 0.85


@pytest.mark.parametrize(("monitor", "higher"), [("val_accuracy", True), ("val_loss", False)])
def test_the_monitor_decides_which_epoch_is_best(monitor: str, higher: bool) -> None:
    trainer = begin(config(train={"monitor": monitor})).trainer
    for epoch, value in enumerate((0.5, 0.7, 0.3, 0.6), start=1):
        trainer.state.epoch = epoch
        record_epoch(trainer, value)
    assert (trainer.state.best_epoch, trainer.state.best_value) == (
        (2, 0.7) if higher else (3, 0.3)
    )


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


def test_an_epoch_whose_metric_is_nan_is_never_kept_as_the_best() -> None:
    trainer = begin(config()).trainer
    for epoch, value in enumerate((math.nan, 0.7, math.nan, 0.6), start=1):
        trainer.state.epoch = epoch
        record_epoch(trainer, value)
    assert (trainer.state.best_epoch, trainer.state.best_value) == (4, 0.6)


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
    compute_loss = run.network.task.compute_loss

    def poisoned(*args: Any) -> LossResult:
        outcome = compute_loss(*args)
        return outcome._replace(loss_sums=[value]) if run.trainer.state.step in steps else outcome

    run.network.task.compute_loss = poisoned


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
    from nnzoo.evaluation.tasks import Classification

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


# When to save.


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_a_fraction_of_time_spaces_saves_by_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnzoo.runs.train.time", clock := Clock())
    trainer = begin(config(train={"save_every": "0.5 %"})).trainer
    schedule = SaveSchedule([trainer])

    def save(seconds: float) -> None:
        with schedule.measure_save():
            clock.now += seconds

    first = schedule.cost
    assert 0.005 < first < 0.01  # estimated from the size of the weights
    for cost in (first, 0.02, 0.5):
        save(cost)
        clock.now += cost * 200 - 0.01
        assert not schedule.is_due()
        clock.now += 0.02
        assert schedule.is_due()
    save(0.04)
    trainer.state.epoch = 1
    assert schedule.is_due()  # the end of the first epoch
    trainer.state.step_in_epoch = 1
    assert not schedule.is_due()
    save(0.06)
    trainer.state.step_in_epoch = 0
    assert not schedule.is_due()


@pytest.mark.parametrize(
    ("interval", "due"), [("3 steps", [3, 6, 9]), ("0.5 epochs", [2, 4, 6, 8]), ("1 epoch", [4, 8])]
)
def test_a_number_of_steps_or_epochs_is_kept_exactly(interval: str, due: list[int]) -> None:
    run = begin(config(train={"epochs": 9, "batch_size": 315, "save_every": interval}))
    trainer, schedule, saved = run.trainer, SaveSchedule([run.trainer]), []
    assert len(trainer.step_sizes) == 4
    for trainer.state.step in range(1, 10):
        trainer.state.epoch, trainer.state.step_in_epoch = divmod(trainer.state.step, 4)
        if schedule.is_due():
            with schedule.measure_save():
                saved.append(trainer.state.step)
    assert saved == due


# Derived randomness.


def test_batches_cover_every_row_once_and_never_end_with_a_single_row() -> None:
    for rows in range(1, 40):
        for size in range(1, 9):
            sizes = batch_sizes(rows, size)
            assert sum(sizes) == rows
            assert max(sizes) <= size + 1
            assert size == 1 or rows == 1 or min(sizes) > 1


def test_the_order_of_an_epoch_follows_from_seed_and_epoch_alone() -> None:
    first = epoch_permutation(100, 7, 3)
    torch.rand(5)
    assert torch.equal(first, epoch_permutation(100, 7, 3))
    assert sorted(first.tolist()) == list(range(100))
    others = [epoch_permutation(100, 7, 4), epoch_permutation(100, 8, 3)]
    assert not any(torch.equal(first, other) for other in others)
    assert (
        len(
            {
                derive_seed(0, *path)
                for path in [("step", 1), ("step", 2), ("augment", 1), (11,), (1, 1)]
            }
        )
        == 5
    )


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
