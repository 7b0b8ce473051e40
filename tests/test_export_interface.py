"""Inputs, outputs and metadata of exported networks, by kind of data and network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo import __version__
from nnzoo.data.read_dataset import read_dataset
from nnzoo.export_interface import describe_io, metadata, tokenizer_path
from nnzoo.models.network import Network, build_network
from tests import sequence_data
from tests.text_data import language_model, text_dataset, text_network
from tests.zoo import config


def network_on(data: str) -> Network:
    chosen = config("mlp", data)
    return build_network(chosen, read_dataset(chosen), torch.device("cpu"))


@pytest.mark.parametrize(
    ("path", "tokenizer"),
    [
        ("out/run.onnx", "out/run.tokenizer.json"),
        ("run.v2.onnx", "run.v2.tokenizer.json"),
        ("run", "run.tokenizer.json"),
    ],
)
def test_the_tokenizer_lies_beside_the_network(path: str, tokenizer: str) -> None:
    assert tokenizer_path(Path(path)) == Path(tokenizer)


def test_images_are_bytes_and_classes_probabilities() -> None:
    inputs, outputs = describe_io(network_on("image"))
    assert inputs == {"input": {"type": "uint8", "shape": ["batch", 1, 8, 8]}}
    assert outputs == {"probabilities": {"type": "float32", "shape": ["batch", 10]}}


def test_series_are_numbers_and_so_are_forecasts() -> None:
    inputs, outputs = describe_io(network_on("series"))
    assert inputs == {"input": {"type": "float64", "shape": ["batch", 20, 1]}}
    assert outputs == {"values": {"type": "float64", "shape": ["batch", 3]}}


@pytest.mark.parametrize("has_lengths", [True, False])
def test_sequences_of_different_lengths_bring_them(has_lengths: bool) -> None:
    data = sequence_data.dataset(is_class=True)
    network = sequence_data.network("gru", data)
    inputs, outputs = describe_io(network, has_lengths)
    steps, channels = data.spec.input.shape
    assert list(inputs) == (["input", "lengths"] if has_lengths else ["input"])
    expected = ["batch", "time" if has_lengths else steps, channels]
    assert inputs["input"] == {"type": "float64", "shape": expected}
    if has_lengths:
        assert inputs["lengths"] == {"type": "int64", "shape": ["batch"]}
    assert outputs["probabilities"]["shape"] == ["batch", network.task.outputs]


@pytest.mark.parametrize("is_class", [True, False])
def test_texts_are_ids_of_any_length(is_class: bool) -> None:
    inputs, outputs = describe_io(text_network("cnn", text_dataset(is_class=is_class)))
    assert inputs == {
        "ids": {"type": "int64", "shape": ["batch", "time"]},
        "lengths": {"type": "int64", "shape": ["batch"]},
    }
    name, width, kind = ("probabilities", 2, "float32") if is_class else ("values", 1, "float64")
    assert outputs == {name: {"type": kind, "shape": ["batch", width]}}


@pytest.mark.parametrize(
    ("cell", "states"), [("rnn", ["hidden"]), ("gru", ["hidden"]), ("lstm", ["hidden", "cell"])]
)
def test_a_language_model_takes_and_returns_its_state(cell: str, states: list[str]) -> None:
    network = language_model({"name": cell, "hidden_size": 5, "embedding": 3, "num_layers": 2})
    inputs, outputs = describe_io(network)
    assert list(inputs) == ["ids", *states]
    assert list(outputs) == ["probabilities", *(f"{name}_out" for name in states)]
    vocabulary = network.data_spec.input.vocabulary
    assert outputs["probabilities"]["shape"] == ["batch", "time", vocabulary]
    for name in states:
        assert inputs[name] == {"type": "float32", "shape": [2, "batch", 5]}
        assert outputs[f"{name}_out"] == inputs[name]


def test_metadata_of_images_are_their_labels() -> None:
    texts = metadata(network_on("image"))
    assert texts == {
        "nnzoo": __version__,
        "run": "run",
        "kind": "image",
        "shape": "[1, 8, 8]",
        "task": "classification",
        "labels": json.dumps([str(i) for i in range(10)]),
    }


def test_metadata_of_forecasts_are_their_targets_and_horizon() -> None:
    texts = metadata(network_on("series"))
    assert json.loads(texts["targets"]) == ["sine"] and texts["horizon"] == "3"
    assert "labels" not in texts and "max_length" not in texts


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"max_length": 7}, {"max_length": "7", "keep": "start"}),
        ({"max_length": 7, "keep": "both"}, {"max_length": "7", "keep": "both"}),
        ({"keep": "end"}, {}),  # nothing is cut
    ],
)
def test_metadata_say_what_is_kept_of_a_text(
    options: dict[str, Any], expected: dict[str, str]
) -> None:
    texts = metadata(text_network("mlp", **options))
    assert {key: texts[key] for key in ("max_length", "keep") if key in texts} == expected
    assert all(isinstance(value, str) for value in texts.values())
    tokenizer = json.loads(texts["tokenizer"])
    assert tokenizer["vocabulary"][tokenizer["unknown_id"]] == tokenizer["unknown"]
    assert tokenizer["keep"] == expected.get("keep")


def test_metadata_of_a_language_model_have_its_tokenizer_and_no_cut() -> None:
    texts = metadata(language_model({"name": "gru", "hidden_size": 5, "embedding": 3}))
    assert texts["task"] == "language_model" and "max_length" not in texts
    assert "empty" not in json.loads(texts["tokenizer"])
