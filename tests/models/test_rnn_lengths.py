"""Recurrent models on sequences of different lengths: each one has the result that it has by itself."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.config.model_options import GruOptions, LstmOptions, MlpOptions, RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.sequences import PaddedSequences, pad
from nnzoo.errors import ConfigError
from nnzoo.kernels import build as build_c
from nnzoo.kernels.ops import PoolSteps, RecurrentLayer, pack_rows
from nnzoo.kernels.packing import Packing
from nnzoo.models.mlp import MLP
from nnzoo.models.packed import PackedRows, pack
from nnzoo.models.rnn import Recurrent
from nnzoo.models.stacked import StackedModel
from tests.kernels.cases import refuses
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
            module.use_native = native  # type: ignore[assignment]
    return model


def results(model: Any, x: PaddedSequences, row: int) -> list[Tensor]:
    """The output of a row, and the gradients of a loss of this row only: of its own steps and of all parameters."""
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
        single = results(model, pad([one]), 0)
        same_length = model(one[None])
        assert difference([single[0]], [same_length[0].detach()]) < 1e-13
        for _ in range(3):
            assert difference(results(model, *company(one, generator)), single) < 1e-13


needs_c = pytest.mark.skipif(not build_c.available(), reason="needs a C compiler")


def all_equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


@needs_c
@pytest.mark.parametrize("kind", KINDS)
def test_by_c_a_sequence_has_the_same_bits_alone_and_in_any_company(kind: str) -> None:
    """Outputs, gradients of the input and of the parameters; and within rounding of torch's."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    for shape in SHAPES:
        model, by_torch = build(kind, shape, native=True), build(kind, shape, native=False)
        by_torch.load_state_dict(model.state_dict())
        for longest in (1, 9):
            length = int(torch.randint(1, longest + 1, (1,), generator=generator))
            one = torch.randn(length, 4, generator=generator)
            single = results(model, pad([one]), 0)
            for _ in range(4):
                assert all_equal(results(model, *company(one, generator)), single), shape
            assert difference(results(by_torch, *company(one, generator)), single) < 1e-6
            with torch.no_grad():
                model.eval()
                assert torch.equal(model(pad([one]))[0], single[0])
                x, row = company(one, generator)
                assert torch.equal(model(x)[row], single[0])
                model.train()


def batch_of(rows: int, longest: int, features: int = 4) -> PaddedSequences:
    lengths = torch.randint(1, longest + 1, (rows,))
    lengths[rows // 2] = longest
    return pad([torch.randn(length, features) for length in lengths.tolist()])


def batch_results(model: Any, x: PaddedSequences) -> list[Tensor]:
    """Outputs of all rows, and gradients of all of them; of several members, each has the same loss."""
    members = getattr(model, "members", 1)
    parameters = model.parameters
    parameters = list(parameters.values() if isinstance(parameters, dict) else parameters())
    values = x.values.clone().requires_grad_()
    output = model(PaddedSequences(values, x.lengths)).float()
    factors = torch.linspace(-1, 1, output.numel() // members).view(-1, output.shape[1])
    loss = (output * factors.repeat(members, 1)).sum()
    return [output.detach(), *torch.autograd.grad(loss, [values, *parameters])]


WIDE = ((False, 1, "last"), (True, 2, "mean"), (True, 1, "max"))
"""Shapes of the wide networks, which go back in several chunks of time."""


@needs_c
@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_bit(kind: str, low: bool) -> None:
    if low and not build_c.supports_dtype(torch.bfloat16):
        pytest.skip("this processor has no bfloat16 instructions")
    torch.manual_seed(3)
    x = batch_of(41, 24)
    before = torch.get_num_threads()
    for shape in WIDE:
        model, actual = build(kind, shape, native=True, hidden=120), []
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            try:
                for threads in (1, 2, 3, 11):
                    torch.set_num_threads(threads)
                    actual.append(batch_results(model, x))
            finally:
                torch.set_num_threads(before)
        assert all(all_equal(actual[0], other) for other in actual[1:])
        by_torch = build(kind, shape, native=False, hidden=120)
        by_torch.load_state_dict(model.state_dict())
        exact = batch_results(by_torch.double(), PaddedSequences(x.values.double(), x.lengths))
        if not low:
            assert difference(actual[0], exact) < 1e-5
        elif shape[2] != "max" and "relu" not in kind:
            # A maximum may be at another step, a state near 0 on the other side of relu.
            errors = [(a - b).norm() / b.norm() for a, b in zip(actual[0], exact, strict=True)]
            assert max(errors) < 0.03


def module_results(rnn: Any, rows: PackedRows) -> list[Tensor]:
    """All states and the last ones, and gradients of a mean that all of them have a part in."""
    values = rows.values.clone().requires_grad_()
    states, last = rnn(rows.with_values(values))
    lasts = last if isinstance(last, tuple) else (last,)
    factors = torch.linspace(-1, 1, states.values.numel()).view_as(states.values)
    loss = (states.values * factors).mean() + sum((item * item).mean() for item in lasts)
    gradients = torch.autograd.grad(loss, [values, *rnn.parameters()])
    return [states.values.detach(), *(item.detach() for item in lasts), *gradients]


@needs_c
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=17),
    features=st.integers(1, 9),
    hidden=st.integers(1, 40),
    layers=st.integers(1, 2),
    is_double=st.booleans(),
    bidirectional=st.booleans(),
)
def test_states_and_gradients_are_torchs(
    kind: str,
    lengths: list[int],
    features: int,
    hidden: int,
    layers: int,
    is_double: bool,
    bidirectional: bool,
) -> None:
    torch.manual_seed(len(lengths))
    dtype = torch.float64 if is_double else torch.float32
    options = {"hidden_size": hidden, "num_layers": layers, "bidirectional": bidirectional}
    spec = InputSpec("series", (12, features), variable_length=True)
    rnn = Recurrent(KINDS[kind].model_copy(update=options), spec, 2).to(dtype).rnn
    rows = pack(pad([torch.randn(length, features, dtype=dtype) for length in lengths]))
    assert rnn.is_packed_native(rows)  # type: ignore[operator]
    ours = module_results(rnn, rows)
    rnn.use_native = False
    exact = module_results(rnn.double(), rows.with_values(rows.values.double()))
    assert difference(ours, exact) < (1e-12 if is_double else 1e-5)


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_c)])
@pytest.mark.parametrize("kind", KINDS)
def test_several_members_have_the_bits_of_each_alone(kind: str, native: bool) -> None:
    torch.manual_seed(4)
    for shape in WIDE:
        models: list[nn.Module] = [build(kind, shape, native, hidden=40) for _ in range(3)]
        batches = [batch_of(7, longest) for longest in (6, 9, 1)]
        single = [batch_results(model, x) for model, x in zip(models, batches, strict=True)]
        padded = [functional.pad(x.values, (0, 0, 0, 9 - x.values.shape[1])) for x in batches]
        lengths = torch.cat([x.lengths for x in batches])
        stacked = StackedModel(models)
        both = batch_results(stacked, PaddedSequences(torch.cat(padded), lengths))
        for i, (x, expected) in enumerate(zip(batches, single, strict=True)):
            part = [item.chunk(3)[i] for item in both[:2]] + [item[i] for item in both[2:]]
            part[1] = part[1][:, : x.values.shape[1]]
            if native:
                assert all_equal(part, expected)
            assert difference(part, expected) < 1e-5
        stacked.training = False
        for model in models:
            model.eval()
        together = stacked(PaddedSequences(torch.cat(padded), lengths))
        singly = torch.cat([model(x) for model, x in zip(models, batches, strict=True)])
        assert (
            torch.equal(together, singly)
            if native
            else difference([together.detach()], [singly.detach()]) < 1e-6
        )


@needs_c
def test_dropout_between_layers_is_drawn_for_each_member_as_if_alone() -> None:
    models: list[nn.Module] = []
    for _ in range(2):
        options = GruOptions(name="gru", hidden_size=6, num_layers=2, dropout=0.5)
        models.append(Recurrent(options, SPEC, 3))
    stacked, x = StackedModel(models), batch_of(5, 9)
    expected = []
    for seed, model in enumerate(models):
        torch.manual_seed(seed)
        expected.append(model(x).detach())
        stacked.generators[seed].manual_seed(seed)
    assert torch.equal(stacked(x.repeat_rows(2)), torch.cat(expected))


@pytest.mark.parametrize(
    "lengths", [[[1, 2]], [[2, 0]], [[-1]], [2, 1], [[]], [[2.0, 1.0]], torch.ones(1, 2).int()]
)
def test_a_packing_refuses_lengths_that_are_none_or_not_sorted(lengths: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Packing(torch.as_tensor(lengths))


@needs_c
def test_rows_are_taken_from_within_their_tensor_only() -> None:
    packing, rows = Packing(torch.tensor([[3, 1]])), torch.arange(10.0).view(5, 2)
    starts = torch.tensor([1, 4])
    assert pack_rows(rows, starts, packing).tolist() == rows[[1, 4, 2, 3]].tolist()
    for wrong in ([3, 4], [1, 5], [-1, 4], [1, 2**62], [-(2**63), 4]):
        refuses(pack_rows, rows, torch.tensor(wrong), packing)
    refuses(pack_rows, rows, starts[:1], packing)
    refuses(pack_rows, rows, starts.int(), packing)
    refuses(pack_rows, rows[0], starts, packing)
    refuses(pack_rows, rows.half(), starts, packing)


@needs_c
def test_rows_and_weights_that_do_not_belong_to_a_packing_are_refused() -> None:
    packing = Packing(torch.tensor([[3, 1]]))
    weights = [torch.zeros(4, 2), torch.zeros(4, 4), torch.zeros(4), torch.zeros(4)]
    for x in (torch.zeros(3, 2), torch.zeros(5, 2), torch.zeros(4, 3), torch.zeros(2, 2, 2)):
        refuses(RecurrentLayer.apply, "rnn", False, torch.float32, packing, x, *weights)
        refuses(PoolSteps.apply, packing, False, x[:3])
    stacks = [weight.expand(2, *weight.shape).contiguous() for weight in weights]
    x = torch.zeros(4, 2)
    refuses(RecurrentLayer.apply, "rnn", False, torch.float32, packing, x, *stacks)


def test_an_mlp_refuses_them_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"model\.name.*data\.length: N"):
        MLP(MlpOptions(name="mlp"), SPEC, 3)
