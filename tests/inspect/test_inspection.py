"""Figures and files of `nnzoo inspect`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.data.tokenizer import Tokenizer
from nnzoo.inspect.inspection import format_targets, make_arrays, make_figures
from nnzoo.inspect.tokens import make_pieces
from nnzoo.inspect.units import FollowingUnit, streams
from nnzoo.models.network import Network
from tests import sequence_data, text_data, zoo


def trained(model: Any, data: Any = "image", rows: int = 3) -> tuple[Network, torch.Tensor]:
    """A network after an epoch, and a few raw inputs."""
    run = zoo.begin(zoo.config(model, data, train={"epochs": 1}), fresh=True)
    zoo.finish(run)
    x, _ = run.dataset.splits["test"].batch(torch.arange(rows))
    run.network.eval()
    return run.network, x


# A table, and the components of a PCA, are inputs of an mlp only.
ONLY_MLP = ("table_classes", "table_number", "image_pca")
PAIRS = [(m, d) for m in zoo.MODELS for d in zoo.DATA if m == "mlp" or d not in ONLY_MLP]


@pytest.mark.parametrize(("model", "data"), PAIRS)
def test_every_network_on_every_kind_of_data_has_a_figure(model: str, data: str) -> None:
    network, raw = trained(model, data)
    stems = [image.stem for image in make_figures(network, raw)]
    if model in ("rnn", "lstm", "lstm_relu", "gru"):
        assert any(stem.startswith("gates-l") for stem in stems)
    if data.startswith("image"):
        assert stems[0] == "sheet"
    assert stems and ("attributions" in stems) == (data in ("series", "sequences"))


@pytest.mark.parametrize("is_class", [True, False])
@pytest.mark.parametrize("model", sequence_data.MODELS)
def test_sequences_are_shown_at_their_own_length(model: str, is_class: bool) -> None:
    data = sequence_data.dataset(is_class=is_class)
    network = sequence_data.network(model, data).eval()
    raw, targets = data.splits["test"].batch(torch.arange(4))
    stems = [figure.stem for figure in make_figures(network, raw, format_targets(data, targets))]
    assert "attributions" in stems
    assert any(stem.startswith("channels" if "cnn" in model else "gates-l") for stem in stems)
    arrays = make_arrays(network, raw)
    assert arrays["lengths"].tolist() == raw.lengths.tolist()
    for i, length in enumerate(raw.lengths.tolist()):
        row = make_arrays(network, raw.values[i : i + 1, :length])
        for name, array in row.items():
            kept = arrays[name][i][tuple(slice(size) for size in array.shape[1:])]
            np.testing.assert_array_equal(kept, array[0])
        assert np.isnan(arrays["attributions"][i, length:]).all()


@pytest.mark.parametrize("is_class", [True, False])
@pytest.mark.parametrize("model", text_data.TEXT_MODELS)
def test_texts_are_drawn_and_stored_token_by_token(model: str, is_class: bool) -> None:
    data = text_data.text_dataset(is_class=is_class)
    network = text_data.text_network(model, data)
    raw, targets = data.splits["test"].batch(torch.arange(4))
    figures = list(make_figures(network, raw, format_targets(data, targets)))
    stems = [figure.stem for figure in figures]
    assert stems[0] == "attributions"
    if model != "mlp":
        assert any(stem.startswith("channels" if model == "cnn" else "gates-l") for stem in stems)
    arrays = make_arrays(network, raw)
    lengths = raw.lengths.tolist()
    assert arrays["lengths"].tolist() == lengths
    for i, length in enumerate(lengths):
        assert np.isnan(arrays["attributions"][i, length:]).all()
        assert np.isfinite(arrays["attributions"][i, :length]).all()
        assert arrays["input"][i, :length, 0].tolist() == raw.values[i, :length, 0].tolist()


def test_a_language_model_is_drawn_over_a_text() -> None:
    options = {"name": "lstm", "hidden_size": 6, "embedding": 4}
    network = text_data.language_model(options)
    tokens = text_data.corpus_dataset().splits["train"].tensors()[0]
    raw = streams(network, tokens)
    pieces = make_pieces(
        network.data_spec.tokenizer or Tokenizer("bytes", False, []), [1, 2], [1, -1]
    )
    unit = FollowingUnit("inside quotes", "l0", 3, 0.8, pieces)
    stems = [figure.stem for figure in make_figures(network, raw, None, [unit])]
    assert stems == ["units", "gates-l0"]
    arrays = make_arrays(network, raw)
    assert arrays["state/l0"].shape == (*raw.shape[:2], 6)
    assert network.model.state is None
