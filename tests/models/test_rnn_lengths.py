"""Recurrent models on sequences of different lengths: each one's result is what it is alone."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnzoo.config.model_options import GruOptions, LstmOptions, MlpOptions, RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.sequences import PaddedSequences, pad
from nnzoo.errors import ConfigError
from nnzoo.models.ensemble import BatchedModel
from nnzoo.models.mlp import MLP
from nnzoo.models.rnn import Recurrent
from tests.zoo import difference

SPEC = InputSpec("series", (9, 4), variable_length=True)
KINDS: dict[str, Any] = {
    "rnn tanh": RnnOptions(name="rnn"),
    "rnn relu": RnnOptions(name="rnn", nonlinearity="relu"),
    "lstm tanh": LstmOptions(name="lstm"),
    "lstm relu": LstmOptions(name="lstm", activation="relu"),
    "gru": GruOptions(name="gru"),
}
SHAPES = list(itertools.product((False, True), (1, 2, 3), ("last", "mean", "max")))
"""Both directions, layers and readout."""


def build(kind: str, shape: tuple[bool, int, str], native: bool, hidden: int = 6) -> Recurrent:
    names = ("bidirectional", "num_layers", "readout")
    options = KINDS[kind].model_copy(
        update={"hidden_size": hidden, **dict(zip(names, shape, strict=True))}
    )
    model = Recurrent(options, SPEC, 3)
    for module in model.modules():
        if hasattr(module, "use_native"):
            module.use_native = native
    return model


def results(model: Any, x: PaddedSequences, row: int) -> list[Tensor]:
    """The output of a row, and the gradients of a loss of it alone: of its own steps and of all parameters."""
    values = x.values.clone().requires_grad_()
    output = model(PaddedSequences(values, x.lengths))[row]
    loss = (output * torch.tensor([1.0, -2.0, 0.5]).to(output)).sum()
    gradient, *more = torch.autograd.grad(loss, [values, *model.parameters()])
    assert not gradient[torch.arange(len(x)) != row].any()
    assert not gradient[row, x.lengths[row] :].any()
    return [output.detach(), gradient[row, : x.lengths[row]], *more]


def company(of: Tensor, generator: torch.Generator) -> tuple[PaddedSequences, int]:
    """A batch with a sequence somewhere among up to eight others, in any order, and its row."""
    count = int(torch.randint(9, (1,), generator=generator))
    lengths = torch.randint(1, 10, (count,), generator=generator).tolist()
    others = [torch.randn(length, of.shape[1], generator=generator).to(of) for length in lengths]
    row = int(torch.randint(count + 1, (1,), generator=generator))
    return pad([*others[:row], of, *others[row:]]), row


@pytest.mark.parametrize("kind", KINDS)
def test_by_torch_padding_changes_nothing(kind: str) -> None:
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    for shape in SHAPES:
        model = build(kind, shape, native=False).double()
        one = torch.randn(int(torch.randint(1, 10, (1,))), 4, dtype=torch.float64)
        alone = results(model, pad([one]), 0)
        same_length = model(one[None])
        assert difference([alone[0]], [same_length[0].detach()]) < 1e-13
        for _ in range(3):
            assert difference(results(model, *company(one, generator)), alone) < 1e-13


@pytest.mark.parametrize("kind", KINDS)
def test_several_members_take_sequences_of_their_own(kind: str) -> None:
    torch.manual_seed(1)
    shape = True, 2, "mean"
    models: list[nn.Module] = [build(kind, shape, native=False) for _ in range(2)]
    batches = [pad([torch.randn(n, 4) for n in lengths]) for lengths in ((3, 9, 1), (2, 9, 9))]
    expected = [model(x).detach() for model, x in zip(models, batches, strict=True)]
    together = PaddedSequences(
        torch.cat([x.values for x in batches]), torch.cat([x.lengths for x in batches])
    )
    actual = BatchedModel(models)(together).detach()
    torch.testing.assert_close(actual, torch.cat(expected))


def test_an_mlp_refuses_them_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"model\.name.*data\.length: N"):
        MLP(MlpOptions(name="mlp"), SPEC, 3)
