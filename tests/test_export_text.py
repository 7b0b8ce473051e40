"""Exported networks on text: ids by the tokenizer's JSON alone, then onnxruntime, predict as `nnzoo predict` does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from nnzoo import export
from nnzoo.data.sequences import pad
from nnzoo.data.tokenizer import Unit
from nnzoo.errors import UsageError
from nnzoo.export_text import tokenizer_values
from nnzoo.models.network import Network
from tests.text_data import TEXT_MODELS, language_model, text_dataset, text_network

pytestmark = pytest.mark.usefixtures("shared_onnx_registry")

STRINGS = ["A lovely, LOVELY film!", "unheard-of words", "it's dull", "", "x" * 40, "電影 🎬 great"]


def reference_ids(file: Path, text: str) -> list[int]:
    """The ids of a text, by a program that has nothing but the JSON file."""
    values = json.loads(file.read_text(encoding="utf-8"))
    text = text.lower() if values["lowercase"] else text
    if values["unit"] == "bytes":
        ids = list(text.encode(values["encoding"]))
    else:
        known = {token: i for i, token in enumerate(values["vocabulary"])}
        tokens = re.findall(values["pattern"], text) if values["unit"] == "words" else list(text)
        ids = [known.get(token, values["unknown_id"]) for token in tokens]
    most = values.get("max_length")
    if most is not None and len(ids) > most:
        back = {"start": 0, "end": most, "both": most // 2}[values["keep"]]
        ids = ids[: most - back] + ids[len(ids) - back :]
    return ids or values["empty"]


def expected(network: Network, text: str) -> torch.Tensor:
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    ids = torch.tensor(tokenizer.encode(text) or [0], dtype=torch.int32)
    return network.predict(ids[None, :, None]).detach()


def run_texts(file: Path, texts: list[str]) -> torch.Tensor:
    ids = [reference_ids(file.with_suffix(".tokenizer.json"), text) for text in texts]
    batch = np.full((len(ids), max(map(len, ids))), 10**6)  # what is behind an end must not matter
    for row, one in zip(batch, ids, strict=True):
        row[: len(one)] = one
    session = onnxruntime.InferenceSession(file)
    lengths = np.array([len(one) for one in ids])
    return torch.from_numpy(session.run(None, {"ids": batch, "lengths": lengths})[0])


@pytest.mark.parametrize(
    ("model", "unit"),
    [*((model, "words") for model in TEXT_MODELS), ("cnn", "characters"), ("lstm", "bytes")],
)
def test_strings_to_predictions_by_the_files_alone(model: str, unit: Unit) -> None:
    network = text_network(model, text_dataset(unit), tokens=unit)
    result = export.export(network, "onnx", Path("n.onnx"))
    assert result["difference"] < 1e-5
    assert result["inputs"]["ids"] == {"type": "int64", "shape": ["batch", "time"]}
    assert result["tokenizer"] == "n.tokenizer.json"
    predictions = run_texts(Path("n.onnx"), STRINGS)
    reference = torch.cat([expected(network, text) for text in STRINGS])
    torch.testing.assert_close(predictions, reference, rtol=0, atol=1e-5)
    notes = {prop.key: prop.value for prop in onnx.load("n.onnx").metadata_props}
    assert json.loads(notes["tokenizer"]) == json.loads(Path("n.tokenizer.json").read_text())


def test_a_number_is_in_its_own_units() -> None:
    network = text_network("gru", text_dataset(is_class=False))
    export.export(network, "onnx", Path("n.onnx"))
    predictions = run_texts(Path("n.onnx"), STRINGS)
    reference = torch.cat([expected(network, text) for text in STRINGS])
    assert predictions.dtype == torch.float64
    torch.testing.assert_close(predictions, reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("keep", ["start", "end", "both"])
def test_the_json_says_how_a_long_text_is_cut(keep: str) -> None:
    network = text_network("mlp", max_length=5, keep=keep)
    Path("n.tokenizer.json").write_text(json.dumps(tokenizer_values(network)))
    ids = reference_ids(Path("n.tokenizer.json"), "the film was lovely : really great !")
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    words = {
        "start": "the film was lovely :",
        "end": "lovely : really great !",
        "both": "the film was great !",
    }
    assert ids == tokenizer.encode(words[keep])


@pytest.mark.parametrize(
    ("cell", "layers"), [("rnn", 1), ("lstm", 2), ("lstm relu", 1), ("gru", 2)]
)
def test_a_language_model_goes_on_from_its_state(cell: str, layers: int) -> None:
    name, _, relu = cell.partition(" ")
    options: dict[str, Any] = {"name": name, "hidden_size": 7, "embedding": 4, "num_layers": layers}
    network = language_model(options | ({"activation": "relu"} if relu else {}))
    result = export.export(network, "onnx", Path("n.onnx"))
    assert result["difference"] < 1e-5
    ids = np.array([reference_ids(Path("n.tokenizer.json"), "ROMEO: speak again!")])
    session = onnxruntime.InferenceSession("n.onnx")
    names = [value.name for value in session.get_inputs()]
    state = {key: np.zeros((layers, 1, 7), np.float32) for key in names[1:]}
    assert names == ["ids", "hidden", "cell"][: 3 if name == "lstm" else 2]
    parts = []
    for piece in (ids[:, :1], ids[:, 1:9], ids[:, 9:]):
        outputs = session.run(None, {"ids": piece} | state)
        parts.append(outputs[0])
        state = dict(zip(state, outputs[1:], strict=True))
    reference = network.predict(torch.from_numpy(ids)[:, :, None].int()).detach()
    np.testing.assert_allclose(np.concatenate(parts, 1)[0], reference, rtol=0, atol=1e-5)


def test_other_formats_take_lengths_or_are_refused() -> None:
    network = text_network("cnn")
    assert export.export(network, "torch", Path("n.pt2"))["difference"] < 1e-5
    rows = [torch.tensor([3, 4, 5, 6]), torch.tensor([7, 1, 2])]
    x = pad([row[:, None] for row in rows])
    predictions = torch.export.load("n.pt2").module()(x.values[:, :, 0], x.lengths)
    reference = torch.cat([network.predict(row[None, :, None]) for row in rows])
    torch.testing.assert_close(predictions, reference, rtol=0, atol=1e-5)
    model = language_model({"name": "gru", "hidden_size": 5})
    with pytest.raises(UsageError, match="use --format onnx"):
        export.export(model, "torch", Path("m.pt2"))
    assert export.export(model, "state-dict", Path("m.safetensors"))["difference"] == 0
    assert Path("m.tokenizer.json").exists()
