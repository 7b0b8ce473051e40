"""Recurrent layers: first states, what native kernels take, packed sequences, each against plain loops or torch.nn."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nnzoo.data.sequences import pad
from nnzoo.kernels import build
from nnzoo.models.packed import PackedRows, pack
from nnzoo.models.recurrent_layers import (
    GRU,
    LSTM,
    PARAMETERS,
    RNN,
    ReluLSTM,
    TokenInput,
    gates_over_time,
    pool_packed,
    reference_layer,
    reference_packed_layer,
    run_layers,
    run_packed_layers,
)
from tests.zoo import difference

needs_compiler = pytest.mark.skipif(not build.available(), reason="needs a C compiler")
MODULES: dict[str, Any] = {
    "rnn": RNN,
    "rnn relu": partial(RNN, nonlinearity="relu"),
    "lstm": LSTM,
    "lstm relu": ReluLSTM,
    "gru": GRU,
}
LENGTHS = [6, 4, 4, 1]


def module(name: str, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    return MODULES[name](5, 7, batch_first=True, **options)


def first_state(rnn: Any, batch: int, make: Any = torch.randn) -> Any:
    """A first state as the module takes it."""
    shape = rnn.num_layers * (2 if rnn.bidirectional else 1), batch, rnn.hidden_size
    states = [make(shape) for _ in "hc"]
    return tuple(states) if rnn.cell_type == "lstm" else states[0]


def tensors(states: Any, last: Any) -> list[Tensor]:
    """States and last states of a module, in a list."""
    return [t.detach() for t in ([states, *last] if isinstance(last, tuple) else [states, last])]


def weights(rnn: Any, suffix: str = "_l0") -> list[Tensor]:
    return [getattr(rnn, f"{name}{suffix}") for name in PARAMETERS]


def packed_rows() -> tuple[PackedRows, list[Tensor]]:
    """Sequences, packed and one by one (time, features)."""
    torch.manual_seed(3)
    sequences = [torch.randn(length, 5) for length in LENGTHS]
    return pack(pad(sequences)), sequences


# First states.


@pytest.mark.parametrize("layers", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("name", MODULES)
def test_the_reference_takes_first_states_as_the_modules_do(
    name: str, layers: dict[str, Any]
) -> None:
    rnn = module(name, **layers)
    x, start = torch.randn(3, 6, 5), first_state(rnn, 3)
    first = start if isinstance(start, tuple) else (start,)
    expected = tensors(*rnn(x, start))
    with torch.no_grad():
        actual = list(run_layers(rnn, x, partial(reference_layer, rnn), first=first))
    assert difference(actual, expected) < 1e-6
    rnn.use_native = False
    assert difference(tensors(*rnn(x, start)), expected) < 1e-6


@pytest.mark.parametrize("use_native", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_zeros_are_no_first_state_and_others_are_one(name: str, use_native: bool) -> None:
    rnn = module(name, num_layers=2)
    rnn.use_native = use_native
    x = torch.randn(3, 6, 5)
    without = tensors(*rnn(x))
    zeros = tensors(*rnn(x, first_state(rnn, 3, torch.zeros)))
    ones = tensors(*rnn(x, first_state(rnn, 3, torch.ones)))
    assert difference(zeros, without) < 1e-7
    assert all(not torch.equal(a, b) for a, b in zip(ones, without, strict=True))


@pytest.mark.parametrize("use_native", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_only_a_rows_own_first_state_changes_it(name: str, use_native: bool) -> None:
    rnn = module(name)
    rnn.use_native = use_native
    x, start = torch.randn(3, 6, 5), first_state(rnn, 3)
    before = rnn(x, start)[0]
    for state in start if isinstance(start, tuple) else (start,):
        state[:, 1] += 1
    after = rnn(x, start)[0]
    assert torch.equal(after[[0, 2]], before[[0, 2]]) and not torch.equal(after[1], before[1])


@pytest.mark.parametrize("name", MODULES)
def test_gradients_reach_a_first_state_by_torch(name: str) -> None:
    """Native kernels have none for it: a state that needs them is left to torch."""
    rnn = module(name).double()
    x = torch.randn(2, 3, 5, dtype=torch.float64)
    start = first_state(rnn, 2, partial(torch.randn, dtype=torch.float64, requires_grad=True))
    states = start if isinstance(start, tuple) else (start,)
    assert not rnn.is_native(x, start)

    def last(*changed: Tensor) -> Any:
        return rnn(x, changed if isinstance(start, tuple) else changed[0])[0][:, -1]

    torch.autograd.gradcheck(last, states)


# Inputs of native kernels.


@needs_compiler
@pytest.mark.parametrize("name", MODULES)
def test_what_native_kernels_do_not_take_is_torchs(name: str) -> None:
    rnn = module(name)
    x, start = torch.randn(3, 6, 5), first_state(rnn, 3)
    assert rnn.is_native(x) and rnn.is_native(x, start)
    assert not rnn.is_native(x[0]) and not rnn.is_native(x.double())
    other = first_state(rnn, 2)
    assert not rnn.is_native(x, other)
    rnn.use_native = False
    assert not rnn.is_native(x)
    rnn.use_native = True
    assert not module(name, bias=False).is_native(x)
    rnn.batch_first = False
    assert not rnn.is_native(x)
    assert not rnn.reads_tokens(torch.zeros(2, 99, dtype=torch.int32), torch.randn(3, 5))


@needs_compiler
@pytest.mark.parametrize("name", MODULES)
def test_first_states_of_another_kind_are_not_taken(name: str) -> None:
    rnn = module(name)
    x, start = torch.randn(3, 6, 5), first_state(rnn, 3)
    states = list(start) if isinstance(start, tuple) else [start]
    for wrong in (
        [s.double() for s in states],
        [s[:, :, :6] for s in states],
        [torch.cat([s, s]) for s in states],
        [s.to("meta") for s in states],
        states + states,
        [*states[1:], None],
        [],
    ):
        assert not rnn.is_native(x, tuple(wrong)), [getattr(w, "shape", w) for w in wrong]
    assert rnn.is_native(x, states)  # a list is as good as a tuple


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


@needs_compiler
@pytest.mark.parametrize("name", ["rnn", "gru"])
def test_weights_that_are_computed_are_left_to_torch(name: str) -> None:
    rnn = module(name)
    x = torch.randn(3, 6, 5)
    parametrize.register_parametrization(rnn, "weight_hh_l0", Doubled())
    assert not rnn.is_native(x)
    mixed = module(name, num_layers=2)
    assert mixed.is_native(x)
    mixed.weight_hh_l1.data = mixed.weight_hh_l1.data.double()
    assert not mixed.is_native(x)


# Tokens.


@needs_compiler
@pytest.mark.parametrize("has_state", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_tokens_are_their_vectors_in_every_layer(name: str, has_state: bool) -> None:
    rnn = module(name, num_layers=2)
    ids, vectors = torch.randint(9, (4, 30), dtype=torch.int32), torch.randn(9, 5)
    start = first_state(rnn, 4) if has_state else None
    assert rnn.reads_tokens(ids, vectors, start)
    actual = tensors(*rnn(TokenInput(ids, vectors), start))
    assert difference(actual, tensors(*rnn(vectors[ids.long()], start))) < 1e-6


@needs_compiler
@pytest.mark.parametrize("name", MODULES)
def test_tokens_that_are_read_as_vectors(name: str) -> None:
    rnn = module(name)
    ids, vectors = torch.zeros(4, 30, dtype=torch.int32), torch.randn(9, 5)
    assert rnn.reads_tokens(ids, vectors) and rnn.reads_tokens(ids, vectors, first_state(rnn, 4))
    for other, table in (
        (ids.long(), vectors),
        (ids[0], vectors),
        (ids[:, :1], vectors),
        (ids, vectors[:, :4]),
        (ids, vectors.double()),
        (ids, vectors[:0]),
    ):
        assert not rnn.reads_tokens(other, table)
    assert not rnn.reads_tokens(ids, vectors, first_state(rnn, 3))
    rnn.use_native = False
    assert not rnn.reads_tokens(ids, vectors)


# Sequences of different lengths.


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_packed_sequences_are_each_read_as_one(name: str, bidirectional: bool) -> None:
    rnn = module(name, num_layers=2, bidirectional=bidirectional).requires_grad_(False)
    x, sequences = packed_rows()
    single = [tensors(*rnn(sequence.unsqueeze(0))) for sequence in sequences]
    for use_native in (True, False):
        rnn.use_native = use_native
        states, last = rnn(x)
        step, sequence = x.packing.places
        for row, (i, j) in enumerate(zip(step.tolist(), sequence.tolist(), strict=True)):
            assert difference([states.values[row]], [single[j][0][0, i]]) < 1e-6
        lasts = last if isinstance(last, tuple) else (last,)
        for k, state in enumerate(lasts):
            expected = torch.cat([one[1 + k] for one in single], 1)
            assert difference([state], [expected]) < 1e-6


@pytest.mark.parametrize("name", MODULES)
def test_a_packed_reference_has_the_gradients_of_single_sequences(name: str) -> None:
    rnn = module(name, num_layers=2, bidirectional=True).double()
    x, sequences = packed_rows()
    x = x.with_values(x.values.double())
    layer = partial(reference_packed_layer, rnn, x.packing)
    states, *lasts = run_packed_layers(rnn, x, layer)
    loss = states.values.square().sum() + sum(last.square().sum() for last in lasts)
    actual = torch.autograd.grad(loss, list(rnn.parameters()))
    total = torch.zeros((), dtype=torch.float64)
    for sequence in sequences:
        one = run_layers(rnn, sequence[None].double(), partial(reference_layer, rnn))
        total = total + sum(tensor.square().sum() for tensor in one)
    expected = torch.autograd.grad(total, list(rnn.parameters()))
    assert difference(list(actual), list(expected)) < 1e-12


def test_dropout_is_between_layers_alone() -> None:
    rnn = module("gru", num_layers=3, bidirectional=True)
    x, _ = packed_rows()
    seen: list[tuple[int, ...]] = []

    def drop(values: Tensor) -> Tensor:
        seen.append(tuple(values.shape))
        return torch.zeros_like(values)

    layer = partial(reference_packed_layer, rnn, x.packing)
    states, _ = run_packed_layers(rnn, x, layer, dropout=drop)
    assert seen == [(15, 14), (15, 14)]
    again, _ = run_packed_layers(rnn, x.with_values(x.values + 1), layer, dropout=drop)
    assert torch.equal(states.values, again.values)  # nothing passes
    seen.clear()
    run_layers(rnn, torch.randn(3, 6, 5), partial(reference_layer, rnn), dropout=drop)
    assert seen == [(6, 3, 14), (6, 3, 14)]


def test_layers_may_take_other_weights_by_name() -> None:
    rnn, other = module("lstm", num_layers=2), module("lstm", 1, num_layers=2)
    x, asked = torch.randn(3, 6, 5), []

    def weight(name: str) -> Tensor:
        asked.append(name)
        return other.get_parameter(name)

    with torch.no_grad():
        actual = run_layers(rnn, x, partial(reference_layer, rnn), weight)
    assert difference(list(actual), tensors(*other(x))) < 1e-6
    assert asked == [f"{name}_l{i}" for i in (0, 1) for name in PARAMETERS]


@pytest.mark.parametrize("use_native", [True, False])
@pytest.mark.parametrize("readout", ["mean", "max"])
def test_pooling_is_over_each_sequences_own_steps(readout: str, use_native: bool) -> None:
    x, sequences = packed_rows()
    # Padding of zeros would be a maximum, and part of a mean.
    x = x.with_values(x.values - 10)
    pooled = pool_packed(x, readout, use_native)
    expected = [s.mean(0) if readout == "mean" else s.amax(0) for s in (t - 10 for t in sequences)]
    assert difference([pooled], [torch.stack(expected)]) < 1e-6
    half = pool_packed(x.with_values(x.values.bfloat16()), readout, use_native)
    assert difference([half.float()], [torch.stack(expected)]) < 0.02 and half.isfinite().all()


def test_pooling_has_the_same_gradients_by_both_ways() -> None:
    x, _ = packed_rows()
    for readout in ("mean", "max"):
        gradients: list[Tensor] = []
        for use_native in (True, False):
            values = x.values.clone().requires_grad_()
            pooled = pool_packed(x.with_values(values), readout, use_native)
            ramp = torch.linspace(-1, 1, pooled.numel()).view_as(pooled)
            gradients += torch.autograd.grad((pooled * ramp).sum(), values)
        assert difference([gradients[0]], [gradients[1]]) < 1e-6


# Gates.


@pytest.mark.parametrize("name", MODULES)
def test_a_first_state_enters_the_gates_of_the_first_step(name: str) -> None:
    rnn = module(name)
    x, start = torch.randn(6, 3, 5), first_state(rnn, 3)
    states = start if isinstance(start, tuple) else (start,)
    values = gates_over_time(rnn, x, *weights(rnn), *(state[0] for state in states))
    without = gates_over_time(rnn, x, *weights(rnn))
    assert not torch.equal(values["hidden"][0], without["hidden"][0])
    # A run from the second step on, that starts with the states of the first, goes on as the whole.
    middle = [values[key][0] for key in ("hidden", "cell") if key in values]
    rest = gates_over_time(rnn, x[1:], *weights(rnn), *middle)
    for key, value in rest.items():
        torch.testing.assert_close(value, values[key][1:])


def test_gates_of_closed_cells_keep_the_state() -> None:
    """With a forget gate that is open and an input gate that is closed, a cell stays as it was."""
    rnn = module("lstm")
    w_ih, w_hh, b_ih, b_hh = (tensor.detach().zero_() for tensor in weights(rnn))
    b_ih[:7], b_ih[7:14] = -math.inf, math.inf
    cell = torch.randn(3, 7)
    values = gates_over_time(
        rnn, torch.randn(6, 3, 5), w_ih, w_hh, b_ih, b_hh, torch.randn(3, 7), cell
    )
    assert all(torch.equal(step, cell) for step in values["cell"])
    gru = module("gru")
    w_ih, w_hh, b_ih, b_hh = (tensor.detach().zero_() for tensor in weights(gru))
    b_ih[7:14] = math.inf
    values = gates_over_time(gru, torch.randn(6, 3, 5), w_ih, w_hh, b_ih, b_hh, cell)
    assert all(torch.equal(step, cell) for step in values["hidden"])
