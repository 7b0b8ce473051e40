"""Export of a network for other programs: ONNX, torch.export, safetensors; checked before it is written."""

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
from nnzoo.data.sequences import PaddedSequences
from nnzoo.errors import NnzooError, UsageError, require
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.export_interface import describe_io, metadata, tokenizer_path
from nnzoo.export_lengths import max_pool_forward, onnx_forward, onnx_layer, scale_recordings
from nnzoo.export_text import (
    is_language_model,
    mean_forward,
    padded_ids,
    predict_steps,
    random_ids,
    step_forward,
    tokenizer_values,
    vectors_forward,
)
from nnzoo.models.embedding import Embedding, EmbeddingMean
from nnzoo.models.layers import Linear
from nnzoo.models.network import Network
from nnzoo.models.recurrent_layers import GRU, LSTM, RNN, ReluLSTM, reference_layer, run_layers
from nnzoo.models.rnn import Recurrent

# Largest difference from PyTorch that is accepted (`max_abs_difference`).
TOLERANCE = 1e-4
# Exporters may specialize on the traced batch size, and on 1.
TRACED_BATCH = 2
CHECKED_BATCHES = (1, 7)
# A batch of 7 inputs with more values would take too much memory.
LARGE_INPUT = 1 << 20
# Sequences of different lengths are compared at up to so many time steps, and a few more.
MAX_CHECKED_STEPS = 1000
CHECKED_BATCHES_LARGE = (1, 3)


@torch.no_grad()
def export(network: Network, format_: str, path: Path) -> dict[str, Any]:
    """Write a network on the CPU to a file in one of FORMATS; returns the object of `--json`.

    The exported network is compared with PyTorch on random raw inputs before anything is written.
    Raises UsageError if a package is missing, NnzooError if the network cannot be exported or its
    predictions differ by more than TOLERANCE, and CheckpointError if the file cannot be written.
    """
    for one in network.networks:
        one.precision = "fp32"
    network.eval()
    content, difference = FORMATS[format_][1](network)
    if not difference <= TOLERANCE:
        raise NnzooError(
            f"the exported network differs from PyTorch by {difference:.2g}, more than "
            f"{TOLERANCE:.0e}; nothing was written. This is a bug in nnzoo or in the exporter: report it",
            code="E76",
        )
    file_io.write(path, content)
    result: dict[str, Any] = {"file": str(path), "format": format_, "bytes": len(content)}
    if network.data_spec.tokenizer is not None:
        result["tokenizer"] = str(tokenizer_path(path))
        file_io.write(tokenizer_path(path), to_json(tokenizer_values(network)).encode())
    inputs, outputs = describe_io(network, format_ != "state-dict")
    return result | {"difference": difference, "inputs": inputs, "outputs": outputs}


# By type of module, a function that makes a traceable `forward` for one.
_Forwards = dict[type[nn.Module], Callable[[Any], Callable[..., Any]]]
# Native autograd functions cannot be traced; torch's modules have the same parameters and results.
_TORCH_FORWARDS: _Forwards = {
    Linear: nn.Linear.forward.__get__,
    RNN: nn.RNN.forward.__get__,
    GRU: nn.GRU.forward.__get__,
    LSTM: nn.LSTM.forward.__get__,
    Embedding: vectors_forward,
    EmbeddingMean: mean_forward,
}


def _trace(network: Network, forwards: _Forwards) -> ExportedProgram:
    """Trace the network from raw inputs to predictions, for any batch size."""
    traced: Any = copy.deepcopy(network)
    has_lengths = network.preprocess.input_spec.variable_length
    if has_lengths:
        forwards = forwards | {nn.MaxPool1d: max_pool_forward}
    for module in traced.modules():
        make = (_TORCH_FORWARDS | forwards).get(type(module))
        if make is not None:
            module.forward = make(module)
    per_recording = _scale_per_recording(network)

    def predict(raw: Tensor, lengths: Tensor | None = None) -> Tensor:
        if network.preprocess.input_spec.kind == "tokens":
            return cast(Tensor, traced.predict(padded_ids(raw, cast(Tensor, lengths))))
        if per_recording:
            raw = scale_recordings(raw, lengths, per_recording)
        return cast(
            Tensor, traced.predict(raw if lengths is None else PaddedSequences(raw, lengths))
        )

    traced.forward = predict
    inputs = random_inputs(network, TRACED_BATCH)
    batch = torch.export.Dim("batch")
    shapes: Any = ({0: batch},)
    if is_language_model(network):
        traced.forward = step_forward(traced)
        shapes = ({0: batch, 1: torch.export.Dim.DYNAMIC}, tuple({1: batch} for _ in inputs[1:]))
    elif has_lengths:
        for one in traced.networks:
            if isinstance(one.model, Recurrent):
                cast(Any, one.model).forward = onnx_forward(one.model)
        shapes = ({0: batch, 1: torch.export.Dim.DYNAMIC}, {0: batch})
    program = torch.export.export(traced, inputs, dynamic_shapes=shapes, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # contains paths of this machine
    return program


def _scale_per_recording(network: Network) -> str:
    """Return the method by which each recording is scaled by its own statistics; "" if it is not."""
    options = getattr(network.config.data, "preprocess")
    method = options.scale if getattr(options, "per", "channel") == "recording" else "none"
    return "" if method == "none" else str(method)


def _unrolled_forward(rnn: ReluLSTM) -> Callable[[Tensor], Any]:
    """Make a forward of a ReluLSTM that is unrolled over time in plain torch operations."""

    def forward(x: Tensor) -> Any:
        states, hidden, cell = run_layers(rnn, x, partial(reference_layer, rnn))
        return states, (hidden, cell)

    return forward


def _export_torch(network: Network) -> tuple[bytes, float]:
    is_free = network.preprocess.input_spec.variable_length or is_language_model(network)
    if is_free and isinstance(network.model, Recurrent):
        raise UsageError(
            "torch.export unrolls recurrent layers over time, so that sequences cannot have lengths of their own; use "
            "--format onnx, which takes lengths, or --format state-dict",
            code="E08",
        )
    with _quiet_exporter():
        program = _trace(network, {ReluLSTM: _unrolled_forward})
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={"nnzoo.json": to_json(metadata(network))})
        file.seek(0)
        loaded = torch.export.load(file).module()
    return file.getvalue(), max_abs_difference(network, loaded)


def _onnx_rnn_forward(rnn: nn.RNNBase) -> Callable[[Tensor], Any]:
    """Make a forward of a recurrent module from ONNX's operators RNN, LSTM and GRU, for any length.

    The exporter would unroll an RNN over time, and has no LSTM with relu.
    """
    layer = onnx_layer(rnn)

    def forward(x: Tensor) -> Any:
        states, *final = run_layers(rnn, x, layer)
        return states, final[0] if len(final) == 1 else tuple(final)

    return forward


def _export_onnx(network: Network) -> tuple[bytes, float]:
    require("export", "ONNX", "onnx", "onnxscript", "onnxruntime")
    with _quiet_exporter():
        import onnx
        import onnxruntime

        forwards: _Forwards = {}
        has_lengths = network.preprocess.input_spec.variable_length
        is_free = has_lengths or is_language_model(network)
        if isinstance(network.model, Recurrent) and not is_free:
            forwards = {type(network.model.rnn): _onnx_rnn_forward}
        traced = _trace(network, forwards)
        input_names, output_names = map(list, describe_io(network))
        program = torch.onnx.export(
            traced, dynamo=True, verbose=False, input_names=input_names, output_names=output_names
        )
        model = cast(Any, program).model_proto
        _strip_metadata(model.graph)
        model.producer_name, model.producer_version = "nnzoo", __version__
        onnx.helper.set_model_props(model, metadata(network))
        content = model.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

    def predict(*inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        arrays = [tensor.numpy() for tensor in inputs]
        outputs = session.run(None, dict(zip(input_names, arrays, strict=True)))
        tensors = tuple(map(torch.from_numpy, outputs))
        return tensors if is_language_model(network) else tensors[0]

    return content, max_abs_difference(network, predict)


def _strip_metadata(graph: Any) -> None:
    """Name the free dimensions "batch" and "time", and drop the exporter's notes, which are half of a small file."""
    values = [*graph.input, *graph.output, *graph.value_info]
    dims = graph.input[0].type.tensor_type.shape.dim[:2]
    names = {dim.dim_param: name for dim, name in zip(dims, ("batch", "time"), strict=False)}
    for value in values:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = names.get(size.dim_param, size.dim_param)
    for part in [graph, *values, *graph.node, *graph.initializer]:
        part.ClearField("metadata_props")


def _export_state_dict(network: Network) -> tuple[bytes, float]:
    require("export", "a state-dict", "safetensors")
    if len(network.networks) > 1:
        raise UsageError(
            "a state-dict holds the weights of one network; give a run of this group, or export the group with --format onnx",
            code="E08",
        )
    import safetensors.torch

    tensors = dict(network.model.state_dict())
    for part in ("preprocess", "task"):
        state = getattr(network, part).state_dict()
        tensors |= {f"{part}.{name}": tensor for name, tensor in state.items()}
    # Recurrent weights share storage, which safetensors does not support.
    tensors = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    texts = metadata(network) | {"config": to_json(network.config.to_dict()), "format": "pt"}
    content = safetensors.torch.save(tensors, texts)
    loaded = safetensors.torch.load(content)
    same = loaded.keys() == tensors.keys() and all(
        torch.equal(loaded[name], tensor) for name, tensor in tensors.items()
    )
    return content, 0.0 if same else float("inf")


# By name: the file's suffix, and a function that returns the file's content and its difference from
# PyTorch.
FORMATS: dict[str, tuple[str, Callable[[Network], tuple[bytes, float]]]] = {
    "onnx": (".onnx", _export_onnx),
    "torch": (".pt2", _export_torch),
    "state-dict": (".safetensors", _export_state_dict),
}


def random_inputs(network: Network, count: int) -> tuple[Tensor, ...]:
    """Draw the inputs of an exported network: raw ones, and the lengths of sequences that have different ones, behind whose
    ends there are values that must not matter."""
    input_spec = network.preprocess.input_spec
    if input_spec.kind == "tokens":
        return random_ids(network, count, min(input_spec.shape[0], MAX_CHECKED_STEPS) + count)
    if not input_spec.variable_length:
        return (_random_raw(network, (count, *input_spec.shape)),)
    generator = torch.Generator().manual_seed(count)
    shortest = getattr(network.model, "min_length", 1)
    longest = max(shortest, min(input_spec.shape[0], MAX_CHECKED_STEPS)) + count
    lengths = torch.randint(shortest, longest + 1, (count,), generator=generator)
    lengths[0] = longest
    return _random_raw(network, (count, longest, input_spec.shape[1])), lengths


def _random_raw(network: Network, shape: tuple[int, ...]) -> Tensor:
    """Draw the inputs of an exported network: raw ones, and lengths where sequences have different ones, which are then
    followed by values that must not matter.

    Draw raw inputs distributed as the training rows: pixels and numbers of their mean and standard
    deviation (any pixels if these were not measured); in tables a fifth is missing, and categories are
    any or unknown."""
    input_spec, count = network.preprocess.input_spec, shape[0]
    generator = torch.Generator().manual_seed(count)
    scale = cast(Scale, network.preprocess.get_submodule("scale"))
    if input_spec.kind == "image" and scale.method == "none":
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    if input_spec.kind == "image":
        pixels = x * scale.spread.view(-1, 1, 1) + scale.shift.view(-1, 1, 1)
        return pixels.round().clamp(0, 255).to(torch.uint8)
    numbers = x[..., : len(scale.shift)]
    numbers.mul_(scale.spread).add_(scale.shift)
    if input_spec.kind == "table":
        numbers[torch.rand(numbers.shape, generator=generator) < 0.2] = torch.nan
        sizes = cast(OneHot, network.preprocess.get_submodule("one_hot")).sizes
        for i, size in enumerate(sizes, start=len(scale.shift)):
            x[:, i] = torch.randint(-1, size, (count,), generator=generator)
    return x


def checked_batches(network: Network) -> tuple[int, ...]:
    """Return the batch sizes on which an exported network is compared with PyTorch."""
    is_large = network.preprocess.input_spec.size > LARGE_INPUT
    return CHECKED_BATCHES_LARGE if is_large else CHECKED_BATCHES


@torch.no_grad()
def max_abs_difference(
    network: Network, predict: Callable[..., Tensor | tuple[Tensor, ...]]
) -> float:
    """Return the largest difference between predictions and PyTorch's, over `checked_batches`; of a language model also
    between the states.

    Values of a regression are divided by the standard deviation of the training targets, or by the
    range of the predictions if that is larger.
    """
    largest = 0.0
    for count in checked_batches(network):
        inputs = random_inputs(network, count)
        output = predict(*inputs)
        if isinstance(output, tuple):
            pairs = zip(predict_steps(network, *inputs), output, strict=True)
            # The states of relu have no bound.
            sizes = [(float((a - b).abs().max()), float(a.abs().max())) for a, b in pairs]
            largest = max(largest, *(size / max(1.0, unit) for size, unit in sizes))
            continue
        expected, actual = _expected(network, *inputs), output
        unit: Tensor | float = 1.0
        if isinstance(network.task, Regression):
            std = network.task.scale.spread.repeat(
                network.task.outputs // len(network.task.scale.spread)
            )
            unit = torch.maximum(std, expected.amax(0) - expected.amin(0))
        same = (expected == actual) | (expected.isnan() & actual.isnan())
        difference = ((expected - actual).abs() / unit).masked_fill(same, 0.0)
        largest = max(largest, float(difference.nan_to_num(torch.inf).max()))
    return largest


def _expected(network: Network, raw: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return PyTorch's predictions; each sequence is computed as a batch of one, at its own length."""
    if network.preprocess.input_spec.kind == "tokens":
        raw = raw.unsqueeze(-1)
    method = _scale_per_recording(network)
    if lengths is None:
        return network.predict(scale_recordings(raw, None, method) if method else raw)
    rows = [raw[i : i + 1, :length] for i, length in enumerate(lengths.tolist())]
    if method:
        rows = [scale_recordings(row, None, method) for row in rows]
    return torch.cat([network.predict(row) for row in rows])


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the warnings, logs and prints of exporters, and turn their many exceptions to one."""
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
            f"torch cannot export this network: {type(error).__name__}: {first[:200]}", code="E08"
        ) from error
    finally:
        logging.disable(before)
