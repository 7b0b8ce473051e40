"""Edges that no run of the other tests comes to."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import nn

from nnzoo import file_io
from nnzoo.config.train_options import AdamOptions
from nnzoo.errors import CheckpointError, DivergedError
from nnzoo.evaluation import diagnostics
from nnzoo.runs.run_dir import OLD_RUN, RunDir
from nnzoo.training import ensemble_trainer
from nnzoo.training.optim import Optimizer
from tests import zoo


def test_nothing_is_written_into_a_device() -> None:
    with pytest.raises(CheckpointError, match="not a plain file"):
        file_io.append(Path(os.devnull), b"x")


def test_an_interrupted_fresh_start_that_another_process_finishes_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = zoo.begin(zoo.config("mlp", "image")).folder
    old_run = folder.path / OLD_RUN
    old_run.mkdir()
    monkeypatch.setattr(RunDir, "acquire", lambda self, lock: old_run.rmdir())
    assert folder.finish_archive(FileLock(folder.path / "other.lock")) == []


def test_parameters_without_a_gradient_are_named() -> None:
    assert diagnostics.diagnose_missing_gradients([]) == []
    (finding,) = diagnostics.diagnose_missing_gradients([f"branch.{i}" for i in range(7)])
    assert "'branch.0'" in str(finding) and "7 weight tensors" in str(finding)


@pytest.mark.parametrize("native", [False, True])
def test_a_step_without_any_gradient_changes_nothing(native: bool) -> None:
    model = nn.Linear(3, 2)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = Optimizer(AdamOptions(name="adam"), model, native)
    assert optimizer.grad_norms() == [0.0]
    optimizer.step(0.1, [0.0])
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert len(optimizer.without_gradient) == 2


def test_a_group_without_gradients_is_passed_over() -> None:
    """Weights have gradients here, biases none."""
    model = nn.Linear(3, 2)
    bias = model.bias.detach().clone()
    weight = model.weight.detach().clone()
    optimizer = Optimizer(AdamOptions(name="adam"), model)
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step(0.1, optimizer.grad_norms())
    assert torch.equal(model.bias, bias) and not torch.equal(model.weight, weight)


def test_many_classes_of_many_members_are_trained_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    monkeypatch.setattr(ensemble_trainer, "MAX_CONFUSION_BYTES", 1)
    assert "confusion matrices" in ensemble_trainer.unsupported_reason([run.trainer])


def test_a_single_member_that_diverges_is_reported_as_in_a_group() -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    with torch.no_grad():
        next(iter(run.network.model.parameters())).fill_(math.nan)
    (error,) = (
        ensemble_trainer.EnsembleTrainer([run.trainer]).train_step(torch.arange(4)[None]).values()
    )
    assert isinstance(error, DivergedError)


def test_divergence_names_layers_that_have_gradients() -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    names = [name for name, _ in run.network.model.named_parameters()]
    for i, parameter in enumerate(run.network.model.parameters()):
        parameter.grad = None if i == 0 else torch.ones_like(parameter)
    text = str(run.trainer._divergence_error(0.1, math.nan))
    assert names[-1].rpartition(".")[0] in text
