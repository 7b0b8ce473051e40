"""Exported networks on sequences of different lengths: lengths are a second input, and padding does not matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from nnzoo import export
from nnzoo.data.recording_files.recording import _scaled
from nnzoo.data.sequences import PaddedSequences, pad
from nnzoo.errors import UsageError
from nnzoo.export_lengths import scale_recordings
from nnzoo.models.network import Network
from tests import sequence_data

pytestmark = pytest.mark.usefixtures("shared_onnx_registry")

CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"name": "rnn"},
    "rnn relu": {"name": "rnn", "nonlinearity": "relu"},
    "lstm": {"name": "lstm"},
    "lstm relu": {"name": "lstm", "activation": "relu"},
    "gru": {"name": "gru"},
}
SHAPES: list[tuple[str, bool, int]] = [("last", False, 1), ("mean", False, 2), ("last", True, 2)]
SHAPES += [("max", True, 1)]
CNN: dict[str, Any] = {"name": "cnn", "channels": [4, 6], "head": {"pooling": "average"}}
CNNS: dict[str, dict[str, Any]] = {
    "batch norm, even kernels": {"norm": "batch", "kernel_size": [8, 5], "pool": "none"},
    "layer norm, lp pooling": {"norm": "layer", "pool": ["lp", "max"], "activation": "sigmoid"},
    "residual": {"residual": True, "norm": "batch", "stride": [2, 1], "pool": "none"},
    "max, valid": {"padding": "valid", "pool": ["avg", "none"], "head": {"pooling": "max"}},
}
CASES = [
    pytest.param(
        cell | {"hidden_size": 5, "readout": readout, "bidirectional": both, "num_layers": layers},
        id=f"{name} {readout} {both} {layers}",
    )
    for i, (name, cell) in enumerate(CELLS.items())
    for readout, both, layers in (SHAPES[i % 4], SHAPES[(i + 2) % 4])
] + [pytest.param(CNN | more, id=f"cnn {name}") for name, more in CNNS.items()]


def trained(model: dict[str, Any], is_class: bool = True) -> Network:
    """A network as after some training: no weight is zero, and no average at its start."""
    network = sequence_data.network(model, sequence_data.dataset(is_class=is_class))
    torch.manual_seed(2)
    for parameter in network.model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.2)
    for name, buffer in network.model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return network.eval()


def recordings(lengths: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [3 + torch.randn(n, 2, dtype=torch.float64, generator=generator) for n in lengths]


def run_onnx(path: Path, x: PaddedSequences) -> Tensor:
    # Values behind the end of a row must not matter.
    values = x.values.masked_fill(~x.mask.unsqueeze(-1), 1e6)
    session = onnxruntime.InferenceSession(path)
    inputs = {"input": values.numpy(), "lengths": x.lengths.numpy()}
    return torch.from_numpy(session.run(None, inputs)[0])


@pytest.mark.parametrize("model", CASES)
def test_onnxruntime_predicts_each_row_as_pytorch_does_on_its_own(model: dict[str, Any]) -> None:
    network = trained(model)
    result = export.export(network, "onnx", Path("n.onnx"))
    assert result["difference"] < 1e-5
    assert result["inputs"]["lengths"] == {"type": "int64", "shape": ["batch"]}
    for lengths in ([9], [8, 31, 12, 17, 8], [40] * 3):
        rows = recordings(lengths)
        expected = torch.cat([network.predict(row[None]) for row in rows]).detach()
        actual = run_onnx(Path("n.onnx"), pad(rows))
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_a_number_is_exported_in_its_own_units() -> None:
    network = trained(CELLS["gru"] | {"hidden_size": 5}, is_class=False)
    export.export(network, "onnx", Path("n.onnx"))
    rows = recordings([9, 1, 30])
    expected = torch.cat([network.predict(row[None]) for row in rows]).detach()
    actual = run_onnx(Path("n.onnx"), pad(rows))
    assert actual.dtype == torch.float64
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_the_file_names_its_inputs_and_free_dimensions() -> None:
    network = trained(CELLS["lstm"] | {"hidden_size": 5, "bidirectional": True})
    export.export(network, "onnx", Path("n.onnx"))
    model = onnx.load("n.onnx")
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    }
    assert shapes == {"input": ["batch", "time", 2], "lengths": ["batch"]}
    assert {node.op_type for node in model.graph.node} >= {"LSTM"}
    notes = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(notes["labels"]) == sequence_data.LABELS


@pytest.mark.parametrize("name", CNNS)
def test_a_cnn_is_a_program_of_torch_export_with_lengths(name: str) -> None:
    network = trained(CNN | CNNS[name])
    assert export.export(network, "torch", Path("n.pt2"))["difference"] < 1e-5
    program = torch.export.load("n.pt2").module()
    rows = recordings([8, 31, 12])
    expected = torch.cat([network.predict(row[None]) for row in rows])
    x = pad(rows)
    torch.testing.assert_close(program(x.values, x.lengths), expected, rtol=0, atol=1e-5)


def test_recurrent_layers_are_refused_by_torch_export_and_kept_as_a_state_dict() -> None:
    network = trained(CELLS["gru"] | {"hidden_size": 5})
    with pytest.raises(UsageError, match="use --format onnx, which takes lengths"):
        export.export(network, "torch", Path("n.pt2"))
    assert not Path("n.pt2").exists()
    result = export.export(network, "state-dict", Path("n.safetensors"))
    assert result["difference"] == 0


@pytest.mark.parametrize("method", ["standardize", "minmax"])
def test_recordings_are_scaled_as_when_they_are_read(method: str) -> None:
    rows = recordings([9, 1, 30])
    rows[0][:, 1] = 7.0
    x = pad(rows)
    values = x.values.masked_fill(~x.mask.unsqueeze(-1), 1e6)
    scaled = scale_recordings(values, x.lengths, method)
    for i, row in enumerate(rows):
        expected = _scaled(row.numpy(), method)
        np.testing.assert_allclose(scaled[i, : len(row)], expected, rtol=1e-9, atol=1e-12)
        assert not scaled[i, len(row) :].any()
        np.testing.assert_allclose(scale_recordings(row[None], None, method)[0], expected)
