"""Edges that no run of the other tests comes to."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import nn

from nnzoo import file_io
from nnzoo.config import registry
from nnzoo.config.default_space import default_space
from nnzoo.config.load import bundled_folder, from_dict, parse, source_file
from nnzoo.config.optim_options import AdamOptions
from nnzoo.config.yaml_parser import Document
from nnzoo.errors import CheckpointError, ConfigError, DivergedError, UsageError
from nnzoo.evaluation import diagnostics, ensemble_trainer
from nnzoo.runs.run_dir import OLD_RUN, Folder
from nnzoo.training.optim import Optimizer
from tests import zoo


def test_a_default_search_of_a_cnn_has_widths_where_no_list_names_each_layer() -> None:
    plain: dict[str, Any] = {
        "name": "x",
        "data": "digits",
        "model": {"name": "cnn", "channels": [4, 8, 8]},
    }
    space = default_space(from_dict(plain, "x"))
    assert space["model.channels"] == [[8, 16, 32], [16, 32, 64], [32, 64, 128]]
    assert "model.dropout" in space
    plain["model"] |= {"dropout": [0.1, 0.2, 0.1]}
    listed = default_space(from_dict(plain, "x"))
    assert "model.channels" not in listed and "model.dropout" not in listed


def test_a_networks_type_is_its_name() -> None:
    model = {"name": "cnn", "type": "cnn"}
    with pytest.raises(ConfigError, match=r"model\.type\s+unknown key; it is 'name'"):
        parse(Document(value={"name": "x", "data": "digits", "model": model}), "x", [], Path.cwd())


def test_a_bundled_config_is_found_by_what_messages_call_it() -> None:
    assert source_file("bundled cnn.yaml") == bundled_folder() / "cnn.yaml"
    assert source_file("mine.yaml") == Path("mine.yaml")


def test_an_error_for_the_user_stays_one_when_a_plugin_raises_it_on_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "polite_zoo.py").write_text(
        "from nnzoo.errors import UsageError\nraise UsageError('polite_zoo needs a licence')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "LOADED_PLUGINS", set())
    with pytest.raises(UsageError, match="needs a licence"):
        registry.Entry(object, "polite_zoo:net").load()  # type: ignore[arg-type]
    assert registry.plugin_error(ValueError("of nobody")) is None


def test_nothing_is_written_into_a_device() -> None:
    with pytest.raises(CheckpointError, match="not a plain file"):
        file_io.append(Path(os.devnull), b"x")


def test_an_interrupted_fresh_start_that_another_process_finishes_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = zoo.begin(zoo.config("mlp", "image")).folder
    begun = folder.path / OLD_RUN
    begun.mkdir()
    monkeypatch.setattr(Folder, "acquire", lambda self, lock: begun.rmdir())
    assert folder.finish_archive(FileLock(folder.path / "other.lock")) == []


def test_parameters_without_a_gradient_are_named() -> None:
    assert diagnostics.without_gradient([]) == []
    (finding,) = diagnostics.without_gradient([f"branch.{i}" for i in range(7)])
    assert "'branch.0'" in str(finding) and "7 weight tensors" in str(finding)


@pytest.mark.parametrize("native", [False, True])
def test_a_step_without_any_gradient_changes_nothing(native: bool) -> None:
    model = nn.Linear(3, 2)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = Optimizer(AdamOptions(name="adam"), model, native)
    assert optimizer.norms() == [0.0]
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
    optimizer.step(0.1, optimizer.norms())
    assert torch.equal(model.bias, bias) and not torch.equal(model.weight, weight)


def test_many_classes_of_many_members_are_trained_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    monkeypatch.setattr(ensemble_trainer, "MATRICES", 1)
    assert "confusion matrices" in ensemble_trainer.unsupported_reason([run.trainer])


def test_a_member_alone_that_diverges_is_told_as_in_a_group() -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    with torch.no_grad():
        next(iter(run.network.model.parameters())).fill_(math.nan)
    (error,) = ensemble_trainer._alone(run.trainer, torch.arange(4)).values()
    assert isinstance(error, DivergedError)


def test_divergence_names_layers_that_have_gradients() -> None:
    run = zoo.begin(zoo.config("mlp", "image"))
    names = [name for name, _ in run.network.model.named_parameters()]
    for i, parameter in enumerate(run.network.model.parameters()):
        parameter.grad = None if i == 0 else torch.ones_like(parameter)
    text = str(run.trainer.diverged(0.1, math.nan))
    assert names[-1].rpartition(".")[0] in text
