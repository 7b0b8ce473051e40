"""Paragraphs about layers, and memory."""

from __future__ import annotations

from typing import Any

import pytest

from nnzoo.explain.describe_layers import KNOWN, describe_memory, describe_network, size_text
from nnzoo.explain.walk import Section, Walk, render, walk_texts
from tests.explain.test_layer_summary import layers_of


def text_of(network: Any, layers: Any) -> str:
    section = Section("network")
    describe_network(section, network, layers)
    return "\n".join(render(Walk([section], {}), "en", 10_000))


def test_every_known_layer_has_a_sentence_and_every_sentence_a_layer() -> None:
    names = [key.removeprefix("layer.") for key in walk_texts("en") if key.startswith("layer.")]
    sentences = {name for name in names if name[0].isupper()}
    assert sentences == set(KNOWN)


def test_preprocessing_branches_strides_and_frozen_layers_are_described() -> None:
    network, _, layers = layers_of({"name": "mlp", "hidden": [4], "freeze": ["1.*"]}, "image_pca")
    text = text_of(network, layers)
    assert (
        "from 1×8×8 into 8 numbers" in text and "Training changes 50 of them; 36 are frozen" in text
    )
    assert "frozen: 36 of them" in text
    model = {"name": "cnn", "channels": [2], "branches": [2, 5], "stride": 2, "pool": "none"}
    network, _, layers = layers_of(model | {"head": {"pooling": "max"}}, "series")
    text = text_of(network, layers)
    assert "2 branches read the input side by side" in text and "(stride 2)" in text


def test_a_network_and_a_layer_of_another_package_are_described_by_their_class() -> None:
    network, _, layers = layers_of("mlp", "table_classes")
    object.__setattr__(network.config.model, "name", "mine")
    odd = [*layers[:-1], type(layers[0])(**(layers[0].__dict__ | {"kind": "Swirl"}))]
    text = text_of(network, odd)
    assert "A network from another package" in text and "A layer of class Swirl" in text


def test_memory_counts_weights_gradients_moments_and_activations() -> None:
    network, _, layers = layers_of({"name": "mlp", "hidden": [5]}, "table_classes")
    sizes = describe_memory(Section("memory"), network, layers)
    weights = 4 * (4 * 5 + 5 + 5 * 3 + 3)
    # Linear, ReLU and Linear give numbers; adam keeps two averages.
    assert sizes["weights"] == sizes["gradients"] == weights
    assert sizes["optimizer"] == 2 * weights
    assert sizes["activations"] == 4 * 64 * (5 + 5 + 3)


@pytest.mark.parametrize(
    ("size", "text"),
    [(12, "12 B"), (1500, "1.5 kB"), (150_000, "150 kB"), (2.5e6, "2.5 MB"), (3e9, "3.0 GB")],
)
def test_sizes_have_units(size: float, text: str) -> None:
    assert size_text(size) == text
