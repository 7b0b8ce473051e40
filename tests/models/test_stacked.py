"""Models of several members: what they support, and the memory of their stacks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.config.model_options import RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.models.rnn import Recurrent
from nnzoo.models.stacked import StackedModel, unsupported_reason
from nnzoo.training import train_step
from tests.training.group_cases import CPU
from tests.zoo import begin, config

pytestmark = pytest.mark.usefixtures("compiled")


class Strange(nn.Module):
    pass


def test_what_cannot_be_computed_as_one_is_named() -> None:
    run = begin(config("mlp", "image"))
    run.lock.release()
    model: Any = run.network.model
    cuda = torch.device("cuda")
    assert unsupported_reason(model, CPU) == ""
    assert "one generator draws dropout" in unsupported_reason(model, cuda)
    recurrent = begin(config("lstm_relu", "series", name="two"))
    recurrent.lock.release()
    assert "cuDNN" in unsupported_reason(recurrent.network.model, cuda)
    assert unsupported_reason(Strange(), CPU) == "Strange is not one of nnzoo's models"
    model.append(Strange())
    assert unsupported_reason(model, CPU) == "Strange cannot be stacked"
    other = begin(config("mlp", "image", name="three", train={"precision": "bf16"}))
    other.lock.release()
    assert "precision" in train_step.unsupported_reason([recurrent.trainer, other.trainer])
    other.network.compiled = lambda x: x
    assert "compile" in train_step.unsupported_reason([other.trainer])


def test_the_stacks_and_the_members_are_the_same_memory() -> None:
    runs = [begin(config("cnn", "image", name=f"r{i}", seed=i)) for i in range(2)]
    stacked = StackedModel([run.network.model for run in runs])
    for run in runs:
        run.lock.release()
    for name, stack in stacked.parameters.items():
        for i, run in enumerate(runs):
            part = run.network.model.get_parameter(name)
            assert part.data_ptr() == stack[i].data_ptr() and torch.equal(part, stack[i])


def test_members_of_an_rnn_with_relu_have_the_activation_of_each() -> None:
    """Before any of them has computed something, too."""
    options = RnnOptions(name="rnn", hidden_size=6, nonlinearity="relu")
    models: list[nn.Module] = [Recurrent(options, InputSpec("series", (9, 4)), 3) for _ in range(2)]
    x = torch.randn(10, 9, 4)
    actual = StackedModel(models)(x)
    expected = torch.cat([model(rows) for model, rows in zip(models, x.chunk(2), strict=True)])
    torch.testing.assert_close(actual, expected)
