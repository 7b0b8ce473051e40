"""Recurrent layers that take tokens of a small vocabulary: results of the layers that take their vectors."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.config.model_options import GruOptions, LstmOptions, RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.kernels import build
from nnzoo.kernels.tokens import TOKENS_PER_ROW, Cell, TokenLayer, gate_table
from nnzoo.models.rnn import Recurrent
from tests.kernels.cases import refuses
from tests.zoo import difference

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")
KINDS: dict[str, Any] = {
    "rnn": RnnOptions(name="rnn", embedding=7, hidden_size=33),
    "rnn relu": RnnOptions(name="rnn", embedding=7, hidden_size=16, nonlinearity="relu"),
    "lstm": LstmOptions(name="lstm", embedding=7, hidden_size=33, num_layers=2),
    "lstm relu": LstmOptions(name="lstm", embedding=16, hidden_size=20, activation="relu"),
    "gru": GruOptions(name="gru", embedding=7, hidden_size=24),
}
VOCABULARY = 11


def language_model(kind: str) -> Recurrent:
    torch.manual_seed(3)
    spec = InputSpec("tokens", (9, 1), vocabulary=VOCABULARY, per_step=True)
    return Recurrent(KINDS[kind], spec, VOCABULARY)


def results(model: Recurrent, ids: Tensor, state: Any) -> list[Tensor]:
    """Outputs, the state at the end, and all gradients."""
    model.state = state
    output = model(ids)
    loss = functional.cross_entropy(output.float(), ids.long().flatten())
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    assert model.state is not None
    return [output.detach(), *model.state, *(g.to_dense() for g in gradients)]


def from_vectors(model: Recurrent, *arguments: Any) -> list[Tensor]:
    """The same by the layers that take vectors."""
    hook = model.embedding.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    try:
        return results(model, *arguments)
    finally:
        hook.remove()


@pytest.mark.parametrize("is_carried", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_those_of_vectors(kind: str, is_carried: bool) -> None:
    model = language_model(kind)
    ids = torch.randint(VOCABULARY, (7, 20, 1), dtype=torch.int32)
    options = KINDS[kind]
    shape = options.num_layers, 7, options.hidden_size
    state = tuple(torch.randn(shape) for _ in "hc"[: 1 + (options.name == "lstm")])
    first = state if is_carried else None
    assert model.tokens(ids, None) is not None
    assert difference(results(model, ids, first), from_vectors(model, ids, first)) < 1e-6
    if build.supports_dtype(torch.bfloat16):
        exact = results(model, ids, first)
        with torch.autocast("cpu", torch.bfloat16):
            rough = results(model, ids, first)
        for one, other in zip(rough, exact, strict=True):
            assert float((one - other).norm() / other.norm()) < (0.1 if "relu" in kind else 0.03)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_gradients_are_those_of_differences(kind: Any) -> None:
    torch.manual_seed(1)
    gates, torchs = {"rnn": (1, 1), "lstm": (4, 4), "gru": (4, 3)}[kind]
    ids = torch.randint(5, (3, 4), dtype=torch.int32)
    shapes = (5, gates * 3), (torchs * 3, 3)
    values = [torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in shapes]
    first = [torch.randn(4, 3, dtype=torch.float64) for _ in "hc"[: 1 + (kind == "lstm")]]
    function = partial(TokenLayer.apply, Cell(kind, False, torch.float64), ids)
    torch.autograd.gradcheck(function, values)
    torch.autograd.gradcheck(lambda *a: function(*a, *first), values)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    model = language_model("gru")
    ids = torch.randint(VOCABULARY, (130, 90, 1), dtype=torch.int32)  # several chunks of time
    before, actual = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 11):
            torch.set_num_threads(threads)
            actual.append(results(model, ids, None))
    finally:
        torch.set_num_threads(before)
    assert all(all(map(torch.equal, item, actual[0])) for item in actual[1:])


def test_a_large_vocabulary_and_dropped_vectors_are_read_as_vectors() -> None:
    model = language_model("lstm")
    few = torch.zeros(1, TOKENS_PER_ROW * VOCABULARY - 1, 1, dtype=torch.int32)
    many = torch.zeros(1, TOKENS_PER_ROW * VOCABULARY, 1, dtype=torch.int32)
    assert model.tokens(few, None) is None and model.tokens(many, None) is not None
    assert model.tokens(torch.zeros(1, 99, 7), None) is None  # vectors
    assert model.embedding is not None
    model.embedding.drop.p = 0.5
    assert model.tokens(many, None) is None
    model.eval()
    assert model.tokens(many, None) is not None
    model.embedding.use_native = False
    assert model.tokens(many, None) is None
    model.embedding.use_native = True
    model.rnn = nn.LSTM(7, 33, 2, batch_first=True)
    assert model.tokens(many, None) is None


def test_tensors_that_do_not_fit_are_refused() -> None:
    ids, table, w_hh = torch.zeros(3, 4, dtype=torch.int32), torch.randn(5, 12), torch.randn(12, 3)
    apply = partial(TokenLayer.apply, Cell("lstm", False, torch.float32))
    for wrong in (-1, 5):
        with pytest.raises(IndexError, match="not within the 5"):
            apply(ids + wrong, table, w_hh)
    refuses(apply, ids.long(), table, w_hh)
    refuses(apply, ids, table[:, 1:], w_hh)
    refuses(apply, ids, table, w_hh[:, 1:])
    refuses(apply, ids, table.double(), w_hh)
    refuses(apply, ids, table, w_hh, torch.randn(4, 3))
    weights = [torch.randn(s) for s in ((12, 7), (12,), (12,))]
    assert gate_table("lstm", torch.randn(5, 7), *weights).shape == (5, 12)


def test_ids_that_hooks_have_changed_are_looked_at_again() -> None:
    ids = torch.zeros(3, 4, dtype=torch.int32)
    table, w_hh = torch.randn(5, 12, requires_grad=True), torch.randn(12, 3)

    def swap(x: Tensor) -> Tensor:
        return x + 9 if x.dtype is torch.int32 else x

    with torch.autograd.graph.saved_tensors_hooks(lambda x: x, swap):
        states, *_ = TokenLayer.apply(Cell("lstm", False, torch.float32), ids, table, w_hh)
    with pytest.raises(IndexError):
        states.sum().backward()
