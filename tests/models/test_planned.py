"""Models as prepared calls, against the same kernels under autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnzoo.kernels import build
from nnzoo.kernels.prepared import CallSequence
from nnzoo.models.planned import ModelPlan, NotPlannedError
from tests.zoo import difference

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


def test_calls_give_outputs_and_gradients_of_an_mlp_of_odd_widths() -> None:
    from nnzoo.config.model_options import MlpOptions
    from nnzoo.data.data_spec import InputSpec
    from nnzoo.models.mlp import MLP

    torch.manual_seed(0)
    model = MLP(MlpOptions(name="mlp", hidden=[19, 33]), InputSpec("table", (7,)), 3)
    x, gradient = torch.randn(5, 7), torch.randn(5, 3)
    plan = ModelPlan(model, x, lambda module, name: module._parameters.get(name))
    plan.set_gradient(gradient)
    CallSequence([*plan.forward, *plan.backward]).run()
    output = model(x)
    output.backward(gradient)
    assert torch.equal(plan.output, output)
    planned = {id(p): g for p, g in plan.gradients}
    for p in model.parameters():
        assert p.grad is not None and difference([planned[id(p)]], [p.grad]) == 0


def test_a_model_of_others_is_not_planned() -> None:
    with pytest.raises(NotPlannedError):
        ModelPlan(nn.Linear(3, 2), torch.zeros(4, 3), lambda *_: None)
