"""Networks for other programs: ONNX, torch.export and safetensors, each checked before it is written."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from nnzoo import __version__, file_io
from nnzoo.config.formatting import to_json
from nnzoo.data.preprocess import OneHot, Scale
from nnzoo.errors import NnzooError, require
from nnzoo.evaluation.tasks import Regression
from nnzoo.models.layers import Linear
from nnzoo.models.network import Network
from nnzoo.models.rnn import GRU, LSTM, RNN, Recurrent, ReluLSTM, reference_layer, run_layers

INPUT = "input"
LIMIT = 1e-4
# Neither of them is the batch that was traced, and 1 is the one that exporters take for fixed.
BATCHES = (1, 7)
TRACED = 2
# Of inputs with more numbers seven at once would take seven times what one may take.
LARGE = 1 << 20
LARGE_BATCHES = (1, 3)


@torch.no_grad()
def export(network: Network, form: str, path: Path) -> dict[str, Any]:
    """Write a network, on the CPU, to a file of one of FORMATS and tell what it is.

    The file is checked in memory first, on raw inputs like the data's: its answers differ from
    PyTorch's by at most LIMIT, a probability, or a value over the spread of its target (`unlike`).
    Raises UsageError where a package is missing, NnzooError where the network cannot be exported or
    the answers differ (nothing is written then), and CheckpointError where it cannot be written.
    """
    network.precision = "fp32"
    network.eval()
    content, difference = FORMATS[form][1](network)
    if not difference <= LIMIT:
        raise NnzooError(
            f"the exported network differs from PyTorch by {difference:.2g}, more than {LIMIT:.0e}; "
            "nothing was written. This is a bug in nnzoo or in the exporter: report it"
        )
    file_io.write(path, content)
    input_spec = network.preprocess.input_spec
    dtype = "uint8" if input_spec.kind == "image" else "float64"
    answer = "float32" if network.task.is_classification else "float64"
    return {
        "file": str(path), "format": form, "bytes": len(content), "difference": difference,
        "inputs": {INPUT: {"type": dtype, "shape": ["batch", *input_spec.shape]}},
        "outputs": {_output(network): {"type": answer, "shape": ["batch", network.task.outputs]}},
    }  # fmt: skip


def _output(network: Network) -> str:
    return "probabilities" if network.task.is_classification else "values"


def description(network: Network) -> dict[str, str]:
    """What a program needs to know to use the network; lists as JSON."""
    spec = network.data_spec
    texts = {
        "kind": spec.input.kind, "shape": to_json(list(spec.input.shape)), "task": spec.task
    }  # fmt: skip
    stored = spec.source_dict()
    texts |= {
        key: to_json(stored[key])
        for key in ("labels", "targets", "horizon", "columns") if key in stored
    }  # fmt: skip
    return {"nnzoo": __version__, "run": network.config.name, **texts}


# A type of module, and what makes the `forward` of one that an exporter can trace.
_Forwards = dict[type[nn.Module], Callable[[Any], Callable[..., Any]]]
# Our autograd functions cannot be traced; torch's modules have the same parameters and numbers.
_TORCHS: _Forwards = {
    Linear: nn.Linear.forward.__get__,
    RNN: nn.RNN.forward.__get__,
    GRU: nn.GRU.forward.__get__,
    LSTM: nn.LSTM.forward.__get__,
}


def _traced(network: Network, forwards: _Forwards) -> ExportedProgram:
    """The program of raw inputs to answers, of any batch size."""
    answering: Any = copy.deepcopy(network)
    for module in answering.modules():
        make = (_TORCHS | forwards).get(type(module))
        if make is not None:
            module.forward = make(module)
    answering.forward = answering.predict
    batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(
        answering, (examples(network, TRACED),), dynamic_shapes=batch, strict=False
    )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def _unrolled(rnn: ReluLSTM) -> Callable[[Tensor], Any]:
    """The forward of a ReluLSTM, step by step in torch's own operations."""

    def forward(x: Tensor) -> Any:
        states, hidden, cell = run_layers(rnn, x, partial(reference_layer, rnn))
        return states, (hidden, cell)

    return forward


def _torch(network: Network) -> tuple[bytes, float]:
    with _exporter():
        program = _traced(network, {ReluLSTM: _unrolled})
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={"nnzoo.json": to_json(description(network))})
        file.seek(0)
        loaded = torch.export.load(file).module()
    return file.getvalue(), unlike(network, loaded)


# ONNX's operator, its order of torch's gates, and its activations, by the module's mode.
_OPERATORS: dict[str, tuple[str, tuple[int, ...], list[str]]] = {
    "RNN_TANH": ("RNN", (0,), ["Tanh"]),
    "RNN_RELU": ("RNN", (0,), ["Relu"]),
    "LSTM": ("LSTM", (0, 3, 1, 2), ["Sigmoid", "Tanh", "Tanh"]),
    "GRU": ("GRU", (1, 0, 2), ["Sigmoid", "Tanh"]),
}


def _operators(rnn: nn.RNNBase) -> Callable[[Tensor], Any]:
    """The forward of a recurrent module as ONNX's operators RNN, LSTM and GRU.

    The exporter would unroll an RNN over time, and knows no LSTM with relu; these take any length.
    """
    name, order, activations = _OPERATORS[rnn.mode]
    if isinstance(rnn, ReluLSTM):
        activations = ["Sigmoid", "Relu", "Relu"]
    attributes: dict[str, Any] = {"hidden_size": rnn.hidden_size, "activations": activations}
    if name == "GRU":
        attributes["linear_before_reset"] = 1  # as torch: reset after the product
    for parameter in rnn.parameters():
        gates = parameter.data.chunk(len(order))
        parameter.data = torch.cat([gates[i] for i in order])

    def kernel(
        x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> tuple[Tensor, ...]:
        last = (1, x.shape[1], rnn.hidden_size)
        shapes = [(x.shape[0], *last), last, last][: 3 if name == "LSTM" else 2]
        inputs = [x, w_ih[None], w_hh[None], torch.cat([b_ih, b_hh])[None]]
        states, *lasts = torch.onnx.ops.symbolic_multi_out(
            name, inputs, attributes, dtypes=[x.dtype] * len(shapes), shapes=shapes
        )
        return states[:, 0], *(each[0] for each in lasts)

    def forward(x: Tensor) -> Any:
        states, *lasts = run_layers(rnn, x, kernel)
        return states, lasts[0] if len(lasts) == 1 else tuple(lasts)

    return forward


def _onnx(network: Network) -> tuple[bytes, float]:
    require("export", "ONNX", "onnx", "onnxscript", "onnxruntime")
    with _exporter():
        import onnx
        import onnxruntime

        forwards: _Forwards = {}
        if isinstance(network.model, Recurrent):
            forwards = {type(network.model.rnn): _operators}
        program = torch.onnx.export(
            _traced(network, forwards), dynamo=True, verbose=False,
            input_names=[INPUT], output_names=[_output(network)],
        )  # fmt: skip
        model = cast(Any, program).model_proto
        _tidy(model.graph)
        model.producer_name, model.producer_version = "nnzoo", __version__
        onnx.helper.set_model_props(model, description(network))
        content = model.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

    def answer(raw: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {INPUT: raw.numpy()})[0])

    return content, unlike(network, answer)


def _tidy(graph: Any) -> None:
    """Name the free dimension, and drop what the exporter notes of itself, half of a small file."""
    values = [*graph.input, *graph.output, *graph.value_info]
    free = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in values:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == free:
                size.dim_param = "batch"
    for each in [graph, *values, *graph.node, *graph.initializer]:
        each.ClearField("metadata_props")


def _state_dict(network: Network) -> tuple[bytes, float]:
    require("export", "a state-dict", "safetensors")
    import safetensors.torch

    tensors = dict(network.model.state_dict())
    for part in ("preprocess", "task"):
        state = getattr(network, part).state_dict()
        tensors |= {f"{part}.{name}": tensor for name, tensor in state.items()}
    # Recurrent weights share storage, which the format does not know.
    tensors = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    metadata = description(network) | {"config": to_json(network.config.to_dict()), "format": "pt"}
    content = safetensors.torch.save(tensors, metadata)
    loaded = safetensors.torch.load(content)
    same = loaded.keys() == tensors.keys() and all(
        torch.equal(loaded[name], tensor) for name, tensor in tensors.items()
    )
    return content, 0.0 if same else float("inf")


FORMATS: dict[str, tuple[str, Callable[[Network], tuple[bytes, float]]]] = {
    "onnx": (".onnx", _onnx),
    "torch": (".pt2", _torch),
    "state-dict": (".safetensors", _state_dict),
}


def examples(network: Network, count: int) -> Tensor:
    """Raw inputs like the data's: pixels and numbers of the mean and spread of the training rows
    (any pixels where these were not measured), in tables one in five missing, any category or none."""
    input_spec = network.preprocess.input_spec
    draw = torch.Generator().manual_seed(count)
    shape = (count, *input_spec.shape)
    scale = cast(Scale, network.preprocess.get_submodule("scale"))
    if input_spec.kind == "image" and scale.how == "none":
        return torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
    x = torch.randn(shape, generator=draw, dtype=torch.float64)
    if input_spec.kind == "image":
        pixels = x * scale.spread.view(-1, 1, 1) + scale.shift.view(-1, 1, 1)
        return pixels.round().clamp(0, 255).to(torch.uint8)
    numbers = x[..., : len(scale.shift)]
    numbers.mul_(scale.spread).add_(scale.shift)
    if input_spec.kind == "table":
        numbers[torch.rand(numbers.shape, generator=draw) < 0.2] = torch.nan
        sizes = cast(OneHot, network.preprocess.get_submodule("one_hot")).sizes
        for i, size in enumerate(sizes, start=len(scale.shift)):
            x[:, i] = torch.randint(-1, size, (count,), generator=draw)
    return x


def batches(network: Network) -> tuple[int, ...]:
    """The sizes of the batches on which an exported file is compared."""
    return BATCHES if network.preprocess.input_spec.size <= LARGE else LARGE_BATCHES


@torch.no_grad()
def unlike(network: Network, answer: Callable[[Tensor], Tensor]) -> float:
    """By how much answers to raw inputs differ from PyTorch's, at most, over `batches`.

    Probabilities as they are; values divided by the spread of the training targets, or the range of
    the answers where that is larger.
    """
    largest = 0.0
    for count in batches(network):
        raw = examples(network, count)
        wanted, given = network.predict(raw), answer(raw)
        unit: Tensor | float = 1.0
        if isinstance(network.task, Regression):
            spread = network.task.scale.spread.repeat(network.task.horizon)
            unit = torch.maximum(spread, wanted.amax(0) - wanted.amin(0))
        both_nan = wanted.isnan() & given.isnan()
        apart = ((wanted - given).abs() / unit).masked_fill((wanted == given) | both_nan, 0.0)
        largest = max(largest, float(apart.nan_to_num(torch.inf).max()))
    return largest


@contextmanager
def _exporter() -> Iterator[None]:
    """Exporters warn, log and print of their own affairs; of what they cannot do they raise
    exceptions of many kinds."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise NnzooError(
            f"torch cannot export this network: {type(error).__name__}: {first[:200]}"
        ) from error
    finally:
        logging.disable(before)
