"""Exported networks answer as PyTorch does, from raw inputs, whatever the batch."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from nnzoo import __version__, export, export_lengths
from nnzoo.data.dataset import Dataset
from nnzoo.data.read_dataset import read_dataset
from nnzoo.errors import NnzooError, UsageError
from nnzoo.models.network import Network, build_network
from tests.zoo import DATA, MODELS, config

pytestmark = pytest.mark.usefixtures("shared_onnx_registry")

MORE_DATA: dict[str, dict[str, Any]] = {
    "table_mixed": {"name": "csv", "path": "mixed.csv", "target": "y"},
    "table_quantiles": {
        "name": "csv",
        "path": "mixed.csv",
        "target": "y",
        "preprocess": {"scale": "quantile", "clip": 3},
    },
    "table_pca": {
        "name": "csv",
        "path": "mixed.csv",
        "target": "y",
        "preprocess": {"pca": 4, "whiten": True, "impute": "median", "scale": "minmax"},
    },
    "series_many": {
        "name": "series",
        "path": "many.csv",
        "target": ["a", "b"],
        "window": 9,
        "horizon": 3,
        "covariates": "all",
    },
    "series_pca": {
        "name": "series",
        "path": "many.csv",
        "target": "a",
        "window": 9,
        "covariates": "all",
        "difference_from_last": False,
        "preprocess": {"pca": 2, "whiten": True, "target": "none"},
    },
}
CNN = {"name": "cnn", "channels": [4, 6]}
MORE: dict[str, tuple[dict[str, Any], str]] = {
    "residual, batch norm": (
        CNN | {"residual": True, "norm": "batch", "stride": [1, 2], "pool": "none"},
        "image",
    ),
    "layer norm, even kernels": (CNN | {"norm": "layer", "kernel_size": [2, 4]}, "image"),
    "lp pooling, gelu": (CNN | {"pool": "lp", "activation": "gelu"}, "image"),
    "average pooling, head": (
        CNN | {"pool": "avg", "head": {"pooling": "average", "hidden": [5], "dropout": 0.2}},
        "image",
    ),
    "1-D, residual, lp pooling": (
        CNN | {"residual": True, "pool": ["lp", "none"], "norm": "batch"},
        "series_many",
    ),
    "mlp on windows": (MODELS["mlp"], "series_many"),
    "mlp, batch norm": ({"name": "mlp", "hidden": [6, 5], "norm": "batch"}, "table_mixed"),
    "mlp, layers of tables": (
        {
            "name": "mlp",
            "hidden": [6],
            "activation": "mish",
            "learn_activation": True,
            "input_scale": True,
            "numeric_embedding": {"size": 3, "frequencies": 4},
            "category_embedding": {"size": 2, "above": 2},
            "ensemble": 3,
        },
        "table_quantiles",
    ),
    "mlp, layer norm, silu": (
        {"name": "mlp", "hidden": [6], "norm": "layer", "activation": "silu"},
        "table_pca",
    ),
    **{
        f"{readout} of {name}": (
            {
                "name": name,
                "hidden_size": 4,
                "num_layers": 2,
                "bidirectional": True,
                "readout": readout,
                "dropout": 0.1,
            },
            data,
        )
        for name, readout, data in (
            ("rnn", "last", "series_many"),
            ("lstm", "mean", "image"),
            ("gru", "max", "series_pca"),
            ("lstm", "max", "series_many"),
        )
    },
    "bidirectional lstm, relu": (
        MODELS["lstm_relu"] | {"num_layers": 2, "bidirectional": True},
        "series_many",
    ),
    "rnn, relu": (MODELS["rnn"] | {"nonlinearity": "relu"}, "series_pca"),
}


# Each network on images, each kind of data with an MLP, and series with both kinds of layers over time.
PAIRS = {(model, "image") for model in MODELS} | {("mlp", data) for data in DATA}
PAIRS |= {(model, data) for model in ("cnn", "lstm") for data in ("series", "sequences")}
CASES = [
    pytest.param(MODELS[model], data, id=f"{model} on {data}") for model, data in sorted(PAIRS)
] + [pytest.param(*case, id=name) for name, case in MORE.items()]


def build(model: str | dict[str, Any], data: str, **more: Any) -> tuple[Network, Dataset]:
    """A network as after some training: no weight is zero, and no average at its start."""
    draw = np.random.default_rng(1)
    if data in MORE_DATA:
        rows = [
            f"{a:.3f},{b:.3f},{kind},{a + b:.2f}"
            for a, b, kind in zip(
                draw.normal(50, 9, 60),
                draw.normal(0, 1e-3, 60),
                draw.choice(["x", "y", "z"], 60),
                strict=True,
            )
        ]
        rows[::7] = ["," + row.split(",", 1)[1] for row in rows[::7]]
        Path("mixed.csv").write_text("\n".join(["a,b,kind,y", *rows]))
        walk = 1e4 + draw.normal(0, 1, (80, 3)).cumsum(0)
        lines = [",".join(f"{item:.3f}" for item in row) for row in walk]
        Path("many.csv").write_text("\n".join(["a,b,c", *lines]))
    run_config = config(model, MORE_DATA.get(data, data), **more)
    dataset = read_dataset(run_config)
    network = build_network(run_config, dataset, torch.device("cpu"))
    torch.manual_seed(2)
    for parameter in network.model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.2)
    for module in network.model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval(), dataset


def raw_inputs(dataset: Dataset, count: int) -> Tensor:
    """Rows of the data, and in a table also a missing number and an unknown category."""
    raw = dataset.splits["train"].batch(torch.arange(count))[0].clone()
    if dataset.spec.input.kind == "table":
        raw[0, 0] = torch.nan
        columns = dataset.spec.columns
        raw[0, [i for i, column in enumerate(columns) if column.categories is not None]] = -1
    return raw


def onnx_outputs(path: Path, raw: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(path)
    return torch.from_numpy(session.run(None, {"input": raw.numpy()})[0])


@pytest.mark.parametrize(("model", "data"), CASES)
def test_onnxruntime_predicts_as_pytorch(model: dict[str, Any], data: str) -> None:
    network, dataset = build(model, data)
    messages = export.export(network, "onnx", Path("n.onnx"))
    assert messages["difference"] < 1e-4
    scale = torch.tensor(1.0)
    if not network.task.is_classification:
        scale = network.predict(raw_inputs(dataset, 40)).detach().std(0)
    for count in (1, 5, 7):
        raw = raw_inputs(dataset, count)
        expected, values = network.predict(raw).detach(), onnx_outputs(Path("n.onnx"), raw)
        assert (values.dtype, values.shape) == (expected.dtype, expected.shape)
        assert float(((values - expected).abs() / scale).max()) < 1e-4


@pytest.mark.parametrize(
    ("model", "data"),
    [("mlp", "table_mixed"), ("cnn", "image"), *((name, "series_many") for name in MODELS)],
)
def test_a_program_of_torch_export_predicts_without_nnzoo(model: str, data: str) -> None:
    network, dataset = build(model, data)
    messages = export.export(network, "torch", Path("n.pt2"))
    assert messages["difference"] < 1e-4
    assert b"nnzoo/export.py" not in Path("n.pt2").read_bytes()
    notes = {"nnzoo.json": ""}
    program = torch.export.load("n.pt2", extra_files=notes).module()
    expected = network.predict(raw_inputs(dataset, 5))
    torch.testing.assert_close(program(raw_inputs(dataset, 5)), expected, rtol=1e-5, atol=1e-5)
    assert json.loads(notes["nnzoo.json"])["nnzoo"] == __version__


@pytest.mark.parametrize(("model", "data"), [("lstm", "series_many"), ("cnn", "image")])
def test_safetensors_hold_every_tensor_and_the_config(model: str, data: str) -> None:
    network, _ = build(model, data)
    export.export(network, "state-dict", Path("n.safetensors"))
    tensors = safetensors.torch.load_file("n.safetensors")
    local = {name: tensors[name] for name in network.model.state_dict()}
    network.model.load_state_dict(local)
    for part in ("preprocess", "task"):
        names = {f"{part}.{name}" for name in getattr(network, part).state_dict()}
        assert names <= tensors.keys()
    with safetensors.safe_open("n.safetensors", "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["config"]) == network.config.to_dict()
    assert metadata["nnzoo"] == __version__


def test_the_file_tells_what_it_holds_and_nothing_of_this_machine() -> None:
    network, _ = build("mlp", "table_mixed")
    messages = export.export(network, "onnx", Path("n.onnx"))
    model = onnx.load("n.onnx")
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(metadata["columns"])[2] == {"name": "kind", "categories": ["x", "y", "z"]}
    assert json.loads(metadata["targets"]) == ["y"]
    assert (metadata["kind"], json.loads(metadata["shape"])) == ("table", [3])
    assert (model.producer_name, model.producer_version) == ("nnzoo", __version__)
    (values,), (output,) = model.graph.input, model.graph.output
    assert (values.name, output.name) == ("input", "values")
    assert values.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert output.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert b".py" not in Path("n.onnx").read_bytes()
    assert messages["inputs"] == {"input": {"type": "float64", "shape": ["batch", 3]}}
    assert messages["outputs"] == {"values": {"type": "float64", "shape": ["batch", 1]}}


def test_recurrent_layers_are_one_operator_each_however_long_the_window() -> None:
    network, _ = build(MODELS["rnn"], "image")
    export.export(network, "onnx", Path("n.onnx"))
    operators = [node.op_type for node in onnx.load("n.onnx").graph.node]
    assert operators.count("RNN") == 1
    assert len(operators) < 40


def test_a_network_trained_in_bfloat16_is_exported_in_float32() -> None:
    network, dataset = build("mlp", "image")
    expected = network.predict(raw_inputs(dataset, 7))
    network.precision = "bf16"
    assert not torch.allclose(network.predict(raw_inputs(dataset, 7)), expected, atol=1e-4)
    export.export(network, "onnx", Path("n.onnx"))
    torch.testing.assert_close(
        onnx_outputs(Path("n.onnx"), raw_inputs(dataset, 7)), expected.detach()
    )


def test_a_wrong_translation_is_found_and_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = build("gru", "series_many")
    wrong = ("GRU", (0, 1, 2), ["Sigmoid", "Tanh"])  # torch's order of the gates
    monkeypatch.setitem(export_lengths._OPERATORS, "GRU", wrong)
    with pytest.raises(NnzooError, match=r"differs from PyTorch by .*nothing was written"):
        export.export(network, "onnx", Path("n.onnx"))
    assert not list(Path().glob("n.onnx*"))


def test_what_torch_cannot_export_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = build("mlp", "image")

    def by_value(x: Tensor) -> Tensor:
        return x.flatten(1)[:, :10].float() if x.sum() > 0 else x.flatten(1)[:, 10:20].float()

    monkeypatch.setattr(network.model, "forward", by_value)
    with pytest.raises(NnzooError, match="torch cannot export this network: ") as caught:
        export.export(network, "torch", Path("n.pt2"))
    assert "\n" not in str(caught.value)


def test_nan_on_one_side_alone_is_a_difference() -> None:
    network, _ = build("mlp", "image")
    bias = list(network.model.parameters())[-1]
    bias.data[0] = torch.nan
    assert export.max_abs_difference(network, network.predict) == 0
    assert export.max_abs_difference(
        network, lambda raw: network.predict(raw).nan_to_num(0)
    ) == float("inf")


@pytest.mark.parametrize(
    ("form", "package"), [("onnx", "onnxscript"), ("state-dict", "safetensors")]
)
def test_a_missing_package_is_reported_with_the_command(
    monkeypatch: pytest.MonkeyPatch, form: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"needs {package}: pip install 'nnzoo\[export\]'$"):
        export.export(build("mlp", "image")[0], form, Path("n"))


def test_the_example_in_the_documentation_runs(
    nnzoo: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    nnzoo("train", "--config", "cnn", "-s", "train.epochs=1")
    assert nnzoo("export", "checkpoints/cnn").code == 0
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["probabilities"].shape == (3, 10)
    assert capsys.readouterr().out.count("'") == 6
