"""Several seeds at once: each member is what it would be alone, and whatever happens stays with it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.errors import DivergedError
from nnzoo.evaluation.tasks.task import LossResult
from nnzoo.kernels import build
from nnzoo.runs import checkpoint, run_group
from nnzoo.training import train_step
from nnzoo.training.trainer import StepEnd
from tests import zoo
from tests.recordings_file import write_recordings
from tests.training.group_cases import CPU, SEEDS, far, group_of, last, single_run, spoil, train
from tests.zoo import config

pytestmark = pytest.mark.usefixtures("compiled")


RECORDINGS = {"name": "recordings", "path": "recordings.csv", "id": "id"}
# Configs that a single network and a group are compared on: model, data, and the other sections.
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "mlp": ("mlp", "image", {}),
    # Adam takes steps of full size on the rounding errors that are the gradients of a bias in front of
    # batch norm; sgd does not.
    "mlp_batch_norm": (
        {"name": "mlp", "hidden": [16, 8], "dropout": 0.2, "norm": "batch"},
        "image",
        {"optim": {"name": "sgd"}},
    ),
    "mlp_batch_norm_exact": (
        {"name": "mlp", "hidden": [16, 8], "dropout": 0.2, "norm": "batch"},
        "image",
        {"optim": {"name": "sgd"}, "train": {"epochs": 3, "batch_size": 150}},
    ),
    "cnn_batch_norm_exact": (
        {
            "name": "cnn",
            "channels": [16, 32],
            "pool": ["max", "none"],
            "dropout": 0.1,
            "norm": "batch",
        },
        "image",
        {"train": {"epochs": 2, "batch_size": 150}},
    ),
    "mlp_layer_norm": (
        {"name": "mlp", "hidden": [16, 8], "norm": "layer", "activation": "tanh"},
        "table_classes",
        {},
    ),
    "mlp_without_validation": (
        "mlp",
        {"name": "iris", "split": {"val": 0}},
        {"optim": {"name": "adamw"}},
    ),
    "mlp_number": ({"name": "mlp", "hidden": [16, 8]}, "table_number", {}),
    "mlp_augment": (
        "mlp",
        {
            "name": "digits",
            "augment": {"shift": 1, "rotate": 10, "flip": "both", "crop": 0.8, "erase": 0.5},
        },
        {},
    ),
    "mlp_clip_norm": ("mlp", "image", {"optim": {"name": "adam", "clip": {"norm": 0.5}}}),
    "mlp_clip_value": (
        "mlp",
        "image",
        {
            "optim": {
                "name": "rmsprop",
                "momentum": 0.5,
                "weight_decay": 0.01,
                "clip": {"value": 0.01},
            }
        },
    ),
    "mlp_plateau": (
        "mlp",
        "table_classes",
        {
            "optim": {"name": "adam", "lr": 0.1, "schedule": {"name": "plateau", "patience": 1}},
            "train": {"epochs": 8},
        },
    ),
    "mlp_accumulate": (
        "mlp",
        {"name": "iris", "class_weights": "balanced"},
        {"train": {"epochs": 3, "accumulate_grad_batches": 3, "batch_size": 7, "on_nan": "skip"}},
    ),
    "mlp_bf16": ("mlp", "image", {"train": {"epochs": 2, "precision": "bf16"}}),
    "cnn": ("cnn", "image", {}),
    "cnn_residual": (
        {
            "name": "cnn",
            "channels": [4, 8],
            "dropout": 0.1,
            "norm": "batch",
            "residual": True,
            "head": {"pooling": "average", "dropout": 0.2},
        },
        "image",
        {"optim": {"name": "sgd"}},
    ),
    "cnn_layer_norm": (
        {
            "name": "cnn",
            "channels": [4, 8],
            "dropout": 0.1,
            "norm": "layer",
            "head": {"hidden": [8], "dropout": 0.2},
        },
        "image",
        {},
    ),
    "cnn_native": (
        {
            "name": "cnn",
            "channels": [16, 32, 16],
            "pool": ["max", "none", "max"],
            "dropout": 0.1,
            "norm": "batch",
            "head": {"hidden": [8], "dropout": 0.2},
        },
        "image",
        {},
    ),
    "cnn_native_bf16": (
        {
            "name": "cnn",
            "channels": [16, 32],
            "dropout": [0.1, 0.0],
            "activation": "gelu",
            "head": {"pooling": "average"},
        },
        "image",
        {"train": {"epochs": 2, "precision": "bf16"}},
    ),
    "cnn_native_residual": (
        {"name": "cnn", "channels": [16, 32], "dropout": 0.1, "norm": "batch", "residual": True},
        "image",
        {},
    ),
    "cnn_series": ("cnn", "series", {}),
    "cnn_series_even": (
        {"name": "cnn", "channels": [4, 8], "dropout": 0.1, "kernel_size": 4},
        "series",
        {},
    ),
    "rnn": ("rnn", "image", {}),
    "lstm": ("lstm", "series", {}),
    "lstm_relu": ("lstm_relu", "series", {}),
    "gru": ("gru", "series", {}),
    "gru_deep": (
        {"name": "gru", "hidden_size": 8, "num_layers": 2, "dropout": 0.2, "readout": "mean"},
        "sequences",
        {},
    ),
    # In torch's operations, as where there is no compiler.
    "mlp_torch": ("mlp", "image", {"train": {"epochs": 2, "kernels": "torch"}}),
    "mlp_clip_norm_torch": (
        "mlp",
        "image",
        {
            "optim": {"name": "adam", "clip": {"norm": 0.5}},
            "train": {"epochs": 2, "kernels": "torch"},
        },
    ),
    "rnn_torch": ("rnn", "image", {"train": {"epochs": 2, "kernels": "torch"}}),
    "lstm_torch": ("lstm", "series", {"train": {"epochs": 2, "kernels": "torch"}}),
    "lstm_relu_torch": ("lstm_relu", "series", {"train": {"epochs": 2, "kernels": "torch"}}),
    "gru_torch": (
        {"name": "gru", "hidden_size": 8, "num_layers": 2, "dropout": 0.2, "readout": "mean"},
        "sequences",
        {"train": {"epochs": 2, "kernels": "torch"}},
    ),
    # Sequences of different lengths.
    "lstm_recordings": (
        {"name": "lstm", "hidden_size": 8, "num_layers": 2, "dropout": 0.2, "bidirectional": True},
        RECORDINGS,
        {},
    ),
    "gru_recordings_mean": ({"name": "gru", "hidden_size": 8, "readout": "mean"}, RECORDINGS, {}),
    "gru_recordings_torch": (
        {"name": "gru", "hidden_size": 8, "readout": "max"},
        RECORDINGS,
        {"train": {"epochs": 2, "kernels": "torch"}},
    ),
    "cnn_recordings": (
        {
            "name": "cnn",
            "channels": [4],
            "pool": "none",
            "norm": "batch",
            "head": {"pooling": "average"},
        },
        RECORDINGS,
        {"optim": {"name": "sgd"}},
    ),
}


# Cases that are equal to the bit, all layers being native.
NATIVE = {
    "mlp",
    "mlp_without_validation",
    "mlp_number",
    "mlp_augment",
    "mlp_clip_norm",
    "mlp_clip_value",
    "mlp_plateau",
    "mlp_accumulate",
    "mlp_bf16",
    "rnn",
    "lstm",
    "lstm_relu",
    "gru",
    "gru_deep",
    "lstm_recordings",
    "gru_recordings_mean",
    "cnn_native",
    "cnn_native_bf16",
    "cnn_native_residual",
}


@pytest.mark.parametrize("case", CASES)
def test_each_member_is_what_it_would_be_alone(case: str) -> None:
    model, data, more = CASES[case]
    if data is RECORDINGS:
        write_recordings(Path("recordings.csv"))
    run_config = config(model, data, seed=5, **more)
    group = group_of(run_config)
    rows = train(group)
    assert group.sequential_reason == ""
    for i, member in enumerate(group.members):
        its_rows, content = single_run(run_config, member.number)
        assert far(rows[i], its_rows) < 1e-4
        mine = last(group, i)
        distance = far(mine["model"], content["model"])
        assert distance == 0 if case in NATIVE and build.available() else distance < 2e-6
        assert far(mine["trainer"], content["trainer"]) < 1e-4
        assert mine["config"]["seed"] == member.number == 5 + i
        assert far(mine["best_model"], content["best_model"]) < 2e-6


def test_members_have_their_data_in_common_and_nothing_else() -> None:
    group = group_of(config("mlp", "image"))
    events = group.events(CPU)
    while not isinstance(next(events).get(0), StepEnd):
        pass
    runs = [member.run for member in group.members if member.run]
    assert (
        len({id(run.dataset) for run in runs}) == len({id(run.trainer.splits) for run in runs}) == 1
    )
    weights = [run.network.model.state_dict()["1.weight"] for run in runs]
    assert not torch.equal(weights[0], weights[1])


def poison(monkeypatch: pytest.MonkeyPatch, member: int, step: int) -> None:
    """The loss of a member becomes nan at one step."""
    original = train_step.TrainerStack.train_step

    def poisoned(self: train_step.TrainerStack, rows: Tensor) -> Any:
        seeds = [trainer.config.seed for trainer in self.trainers]
        if member not in seeds or self.trainers[0].state.step != step:
            return original(self, rows)
        place = seeds.index(member)
        compute_loss = self.task.compute_loss

        def spoiled(*args: Any) -> LossResult:
            outcome = compute_loss(*args)
            losses, _ = outcome.to_lists()
            losses[place] = math.nan
            if outcome.gradient is not None:
                outcome.gradient.view(len(losses), -1)[place] = math.nan
            return outcome._replace(loss_sums=losses)

        with monkeypatch.context() as patch:
            patch.setattr(self.task, "compute_loss", spoiled)
            return original(self, rows)

    monkeypatch.setattr(train_step.TrainerStack, "train_step", poisoned)


def test_a_member_that_diverges_ends_alone(nnzoo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        "train",
        "--config",
        "mlp",
        "-s",
        "model.hidden=[16]",
        "-s",
        "train.epochs=2",
        "-s",
        "train.precision=fp32",
    )
    poison(monkeypatch, 1, 25)
    result = nnzoo(*words, "--seeds", SEEDS, "--json", "--verbose", 0)
    assert result.code == 4
    end = result.lines[-1]
    assert [item["state"] for item in end["members"]] == ["complete", "diverged", "complete"]
    assert end["summary"]["diverged"] == [1] and end["summary"]["complete"] == 2
    assert end["summary"]["test"]["accuracy"]["n"] == 2
    error = end["members"][1]["error"]
    assert "diverged at step 26" in error and "seed-1/last.pt, is from before it" in error
    assert [line["seed"] for line in result.lines if line["event"] == "diverged"] == [1]
    messages = json.loads(Path("checkpoints/mlp-seeds/seed-1/result.json").read_text())
    assert messages["state"] == "diverged"
    for seed in (0, 2):
        code = nnzoo(*words, "--seed", seed, "--out", "alone", "--verbose", 0).code
        assert code == 0
        a = checkpoint.load(Path(f"checkpoints/mlp-seeds/seed-{seed}/last.pt"))
        b = checkpoint.load(Path("alone/mlp/last.pt"))
        assert far(a["model"], b["model"]) < 2e-6
        Path("alone/mlp").rename(f"alone/{seed}")


def test_a_step_that_is_skipped_is_skipped_by_its_member_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_config = config(
        CASES["mlp_batch_norm"][0],
        "image",
        optim={"name": "adam"},
        train={"epochs": 2, "on_nan": "skip"},
    )
    poison(monkeypatch, 1, 3)
    group = group_of(run_config)
    rows = train(group)
    assert [[row["skipped"] for row in item] for item in rows] == [[0, 0], [1, 0], [0, 0]]
    counts = [last(group, i)["trainer"]["optimizer"]["state"][0]["step"] for i in range(SEEDS)]
    assert counts[0] - counts[1] == 1 and counts[0] == counts[2]
    norms = [int(last(group, i)["model"]["2.num_batches_tracked"]) for i in range(SEEDS)]
    assert norms[0] - norms[1] == 1


@pytest.mark.parametrize("step", [5, 20])  # in the middle of the first epoch, and its last
def test_weights_that_are_no_numbers_are_never_saved(step: int) -> None:
    run_config = config("mlp", "image", train={"epochs": 2, "save_every": "1 step"})
    group = group_of(run_config)
    errors = {}
    for happened in group.events(CPU):
        for i, event in happened.items():
            run = group.members[i].run
            if isinstance(event, DivergedError):
                errors[i] = str(event)
            if isinstance(event, StepEnd) and event.step == step and i == 1:
                assert run is not None
                if step == 20:
                    assert event.step_in_epoch == event.steps_per_epoch
                spoil(run.trainer)
    assert (list(errors) == [1] and "not finite" in errors[1]) or "not a finite" in errors[1]
    assert [member.state for member in group.members] == ["complete", "diverged", "complete"]
    content = last(group, 1)
    assert all(t.isfinite().all() for t in content["model"].values())


def test_a_save_that_finds_weights_that_are_no_numbers_ends_that_member(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    update = train_step.TrainerStack._update_weights

    def spoiled(self: train_step.TrainerStack, *arguments: Any) -> None:
        update(self, *arguments)
        for trainer in self.trainers:
            if trainer.config.seed == 2 and trainer.state.step == 7:
                spoil(trainer)

    monkeypatch.setattr(train_step.TrainerStack, "_update_weights", spoiled)
    group = group_of(config("mlp", "image", train={"epochs": 1, "save_every": "1 step"}))
    train(group)
    assert [member.state for member in group.members] == ["complete", "complete", "diverged"]
    assert last(group, 2)["trainer"]["position"]["step"] == 7


def test_members_that_cannot_be_computed_as_one_train_in_turn_and_it_is_said(
    nnzoo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", "-c", "mlp", "-s", "model.hidden=[8]", "-s", "train.epochs=2", "--seeds", 2)
    at_once = nnzoo(*words, "--json", "--out", "a")
    assert "2 seeds, trained in one batch" in at_once.err
    monkeypatch.setattr(run_group, "unsupported_reason", lambda trainers: "of a reason")
    sequential = nnzoo(*words, "--json", "--out", "b")
    assert "2 seeds, trained sequentially: of a reason" in sequential.err
    a, b = at_once.lines[-1]["summary"], sequential.lines[-1]["summary"]
    assert far(a, b) < 1e-5 and a["complete"] == 2


def test_a_member_that_diverges_in_turn_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_group, "unsupported_reason", lambda trainers: "of a reason")
    group = group_of(config("mlp", "image"))
    for happened in group.events(CPU):
        run = group.members[1].run
        if isinstance(happened.get(1), StepEnd) and run and run.trainer.state.step == 4:
            spoil(run.trainer)
    assert [member.state for member in group.members] == ["complete", "diverged", "complete"]
    assert "no checkpoint was written yet" in group.members[1].error


def test_many_classes_of_many_members_are_trained_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    monkeypatch.setattr(train_step, "MAX_CONFUSION_BYTES", 1)
    assert "confusion matrices" in train_step.unsupported_reason([run.trainer])


def test_a_single_member_that_diverges_is_reported_as_in_a_group() -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    with torch.no_grad():
        next(iter(run.network.model.parameters())).fill_(math.nan)
    (error,) = train_step.TrainerStack([run.trainer]).train_step(torch.arange(4)[None]).values()
    assert isinstance(error, DivergedError)
