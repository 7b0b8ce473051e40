"""Units that follow something in a text are by_feature on one half and measured on the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.inspect import units
from nnzoo.models.network import Network
from tests.text_data import PLAY, corpus_dataset, language_model

LSTM = {"name": "lstm", "hidden_size": 6, "embedding": 4}


def stream(network: Network) -> torch.Tensor:
    tokens = corpus_dataset(repeats=40).splits["train"].tensors()[0]
    return units.streams(network, tokens)


def test_features_are_those_of_the_text_read_so_far() -> None:
    text = 'a "Bc" (d)\n  [e\n\nf'
    features = units.text_features(text, "characters")
    marks = {name: "".join("x" if value else "." for value in v) for name, v in features.items()}
    assert marks["inside quotes"] == "..xxx............."
    assert marks["inside brackets"] == ".......xx....xxx.."
    assert marks["upper case"] == "...x.............."
    assert features["indent"].tolist()[10:] == [0, 1, 2, 2, 2, 0, 0, 0]
    assert features["position in the line"].tolist()[8:13] == [9, 10, 0, 1, 2]
    words = units.text_features(["“", "Yes", ",", "we", "”", ".", "No"], "words")
    assert words["inside quotes"].tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert words["position in the sentence"].tolist() == [1, 2, 3, 4, 5, 0, 1]


def test_correlations_are_pearsons_and_constants_have_none() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random(50), rng.random((50, 3))
    y[:, 1] = 2.5
    r = units.correlations(x, y)
    np.testing.assert_allclose(r[[0, 2]], [np.corrcoef(x, y[:, i])[0, 1] for i in (0, 2)])
    assert r[1] == 0


def test_a_unit_that_follows_something_is_found_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    network = language_model(LSTM)
    text = stream(network)
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    read = [tokenizer.vocabulary[i] for i in text.flatten().tolist()]
    feature = torch.from_numpy(units.text_features(read, "characters")["inside quotes"])
    states = torch.rand(*text.shape[:2], 6, generator=torch.Generator().manual_seed(0))
    states[:, :, 4] = 0.2 * states[:, :, 4] - feature.view(text.shape[:2])
    monkeypatch.setattr(units, "states", lambda *_: {"l0": states})
    by_feature = {unit.feature: unit for unit in units.following_units(network, text)}
    unit = by_feature["inside quotes"]
    assert (unit.layer, unit.unit) == ("l0", 4) and unit.correlation < -0.95
    assert all(other.unit == 4 for other in by_feature.values()), "the other units are noise"
    assert {piece.text for piece in unit.pieces} <= {*PLAY, "↵"}
    quoted = [piece.value for piece in unit.pieces if piece.text == "k"]  # of "speak"
    assert quoted and max(quoted) < 0
    assert unit.to_dict()["follows"] == "inside quotes"


def test_noise_is_no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    network = language_model(LSTM)
    text = stream(network)
    noise = torch.rand(*text.shape[:2], 6, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(units, "states", lambda *_: {"l0": noise})
    assert units.following_units(network, text) == []


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_states_are_those_of_the_network(cell: str) -> None:
    network = language_model(LSTM | {"name": cell})
    text = stream(network)[:2, :20]
    states = units.states(network, text)["l0"]
    model: Any = network.model
    model(text)
    last = model.state
    expected = torch.tanh(last[1][0]) if cell == "lstm" else last[0][0]
    torch.testing.assert_close(states[:, -1], expected, rtol=0, atol=1e-5)


def test_a_short_text_is_one_stream() -> None:
    network = language_model(LSTM)
    assert units.streams(network, torch.arange(60)).shape == (1, 60, 1)
    assert units.streams(network, torch.zeros(100_000)).shape == (16, 1024, 1)
    assert units.streams(network, torch.arange(100_000), 500)[0, 0, 0] == 500
