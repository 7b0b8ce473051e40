"""Tokens that C samples are those of torch's layers and Python's sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.config.model_options import GruOptions, LstmOptions, RnnOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.generate import TorchWriter, parts_of, sample_token, uniform
from nnzoo.kernels import build
from nnzoo.kernels.generate import NativeWriter, Sampling
from nnzoo.models.rnn import Recurrent

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")
KINDS: dict[str, Any] = {
    "rnn": RnnOptions(name="rnn", embedding=7, hidden_size=33),
    "rnn relu": RnnOptions(name="rnn", embedding=7, hidden_size=16, nonlinearity="relu"),
    "lstm": LstmOptions(name="lstm", embedding=7, hidden_size=33, num_layers=2),
    "lstm relu": LstmOptions(name="lstm", embedding=16, hidden_size=20, activation="relu"),
    "gru": GruOptions(name="gru", embedding=7, hidden_size=33, num_layers=3),
}
SAMPLINGS = [
    Sampling(1.0, 0, 3, 0),
    Sampling(0.5, 5, 2**63 - 1),
    Sampling(2.0, 1, 3),
    Sampling(0.0, 0, 0, 0),
]


def language_model(kind: str, vocabulary: int = 37) -> Recurrent:
    torch.manual_seed(3)
    spec = InputSpec("tokens", (9, 1), vocabulary=vocabulary, per_step=True)
    return Recurrent(KINDS[kind], spec, vocabulary)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_torch(kind: str, sampling: Sampling) -> None:
    model = language_model(kind)
    native, torchs = NativeWriter(parts_of(model)), TorchWriter(model)
    for writer in (native, torchs):
        writer.read([5, 36, 0])
    expected = torchs.sample(30, sampling)
    # In any number of calls.
    assert [*native.sample(11, sampling), *native.sample(0, sampling)] == expected[:11]
    assert native.sample(19, sampling) == expected[11:]
    if sampling.excluded == 0:
        assert 0 not in expected
    for writer in (native, torchs):
        writer.read([1])
    assert native.sample(5, sampling) == torchs.sample(5, sampling)


def test_frequencies_are_those_of_the_outputs() -> None:
    logits = np.log([0.1, 0.2, 0.3, 0.4])
    counts = np.bincount([sample_token(logits, Sampling(), i) or 0 for i in range(20_000)])
    np.testing.assert_allclose(counts / 20_000, [0.1, 0.2, 0.3, 0.4], atol=0.01)
    hot = Sampling(temperature=0.5, top_k=2, seed=9)
    counts = np.bincount([sample_token(logits, hot, i) or 0 for i in range(20_000)], minlength=4)
    np.testing.assert_allclose(counts / 20_000, [0, 0, 9 / 25, 16 / 25], atol=0.01)


def test_numbers_of_seeds_and_positions_are_even_and_differ() -> None:
    values = np.array([uniform(seed, i) for seed in (0, 1, 2**63 - 1) for i in range(4000)])
    assert len(set(values)) == len(values) and values.min() >= 0 and values.max() < 1
    np.testing.assert_allclose(np.histogram(values, 8, (0, 1))[0] / len(values), 1 / 8, atol=0.01)


def test_of_equally_likely_tokens_top_k_takes_those_with_lower_ids() -> None:
    model = language_model("gru", 200)
    torch.nn.init.zeros_(model.head.weight), torch.nn.init.zeros_(model.head.bias)
    native, torchs = NativeWriter(parts_of(model)), TorchWriter(model)
    sampling = Sampling(1.0, 7, 1, 0)
    tokens = native.sample(300, sampling)
    assert tokens == torchs.sample(300, sampling)
    assert set(tokens) == set(range(1, 8))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_outputs_that_are_not_finite_end_the_text(value: float) -> None:
    model = language_model("lstm")
    with torch.no_grad():
        model.head.bias[-1] = value
    for writer in (NativeWriter(parts_of(model)), TorchWriter(model)):
        writer.read([1])
        assert writer.sample(5, Sampling()) == []


def test_tokens_and_parts_that_do_not_fit_are_refused() -> None:
    model = language_model("lstm")
    parts = parts_of(model)
    native = NativeWriter(parts)
    native.read([1])
    expected = NativeWriter(parts)
    expected.read([1])
    for ids in ([1, 37], [-1]):
        with pytest.raises(IndexError):
            native.read(ids)
    assert native.sample(20, Sampling()) == expected.sample(20, Sampling())
    for wrong in (
        {"head": parts.head[:-1]},
        {"bias": parts.bias[:-1]},
        {"embedding": parts.embedding[:, :-1]},
        {"layers": [parts.layers[0], parts.layers[0]]},
    ):
        with pytest.raises((TypeError, ValueError)):
            NativeWriter(parts._replace(**wrong))
