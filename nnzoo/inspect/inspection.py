"""Inspection of a network: which rows to look at, the figures and arrays of its inside, and their files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from nnzoo import file_io
from nnzoo.data.corpus import CorpusSplit
from nnzoo.data.dataset import Dataset
from nnzoo.data.sequences import Inputs, PaddedSequences, single_rows
from nnzoo.errors import CheckpointError, UsageError
from nnzoo.evaluation.diagnostics import first_of_classes, linspace_rows
from nnzoo.inspect import draw, internals, texts
from nnzoo.inspect.units import FollowingUnit, states, streams
from nnzoo.models.network import Network
from nnzoo.predict.images import max_pixel_value
from nnzoo.predict.predictions import predict_raw
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.text import list_some, shorten

Array = np.ndarray[Any, Any]

MAX_INPUTS = 10
# Rows of layer statistics and of the loss surface, which takes 289 evaluations.
STATS_ROWS = 512
SURFACE_ROWS = 256
# Time steps of texts whose gates and channels are drawn.
MAX_DRAWN_TOKENS = 60


@dataclass(frozen=True)
class CaptionedFigure:
    """A figure, the stem of its file's name, and a sentence on what it shows."""

    stem: str
    caption: str
    figure: Figure


def available_split(dataset: Dataset, preferred: str = "test") -> str:
    """Return the preferred split, or "train" if the data has no such split."""
    return preferred if preferred in dataset.splits else "train"


def representative_rows(dataset: Dataset, split: str) -> Tensor:
    """Return rows of a split (int64): the first of each class, or evenly spaced ones; many of a table,
    whose figures are means over rows."""
    rows = dataset.splits[split]
    if dataset.spec.input.kind == "table":
        return linspace_rows(len(rows), STATS_ROWS, torch.device("cpu"))
    return first_of_classes(rows, dataset.spec, MAX_INPUTS)


def select_rows(dataset: Dataset, split: str, rows: Sequence[int]) -> Tensor:
    """Return the requested rows, or representative ones; raises UsageError if there is no such row."""
    if not rows:
        return representative_rows(dataset, split)
    length = len(dataset.splits[split])
    invalid = [row for row in rows if not 0 <= row < length]
    if invalid:
        raise UsageError(
            f"--row {invalid[0]}: the {split} split has rows 0 to {length - 1}", code="E55"
        )
    return torch.tensor(list(rows))


def running_text(run: LoadedRun, split: str, rows: Sequence[int]) -> Tensor:
    """Return consecutive tokens of a language model's split as streams (streams, steps, 1), from a row on."""
    chosen = run.dataset.splits[split]
    assert isinstance(chosen, CorpusSplit)
    first = int(select_rows(run.dataset, split, rows)[0]) if rows else 0
    text = streams(run.network, chosen.tokens, first * chosen.window)
    return text.to(run.network.device)


def format_targets(dataset: Dataset, targets: Tensor) -> list[str]:
    """Return targets as text: the class, the labels, or the first values."""
    if dataset.spec.task == "multilabel":
        labels = dataset.spec.labels
        return [
            list_labels([labels[i] for i in row.nonzero()[:, 0].tolist()]) for row in targets > 0.5
        ]
    if dataset.spec.is_classification:
        return [dataset.spec.labels[int(label)] for label in targets]
    return [", ".join(f"{value:.4g}" for value in row[:3].tolist()) for row in targets]


def list_labels(labels: list[str]) -> str:
    """Several labels as a short text."""
    return list_some([shorten(label, 16) for label in labels], 3) or "no label"


def format_predictions(
    network: Network, raw: Inputs, targets: list[str] | None = None
) -> list[tuple[str, bool]]:
    """Return the prediction for each raw input in a line or two, with the target if it is known, and
    whether it is correct as far as that is known."""
    predictions = predict_raw(network, raw, {})
    lines = []
    for i, values in enumerate(predictions.values):
        correct = True
        if predictions.is_classification:
            label = predictions.names[int(predictions.classes[i])]
            text = f"{shorten(label, 16)} {float(values.max()):.0%}"
            correct = targets is None or targets[i] == label
        elif predictions.thresholds is not None:
            text = list_labels(predictions.label_sets[i])
            correct = targets is None or targets[i] == text
        else:
            text = list_some([f"{value:.4g}" for value in values.tolist()])
        actual = (
            f"\nactual {shorten(targets[i], 40 if predictions.thresholds is not None else 16)}"
            if targets
            else ""
        )
        lines.append((text + actual, correct))
    return lines


def make_figures(
    network: Network,
    inputs: Inputs,
    targets: list[str] | None = None,
    units: list[FollowingUnit] | None = None,
) -> Iterator[CaptionedFigure]:
    """Draw every figure that the network and its kind of input have.

    inputs: a few (rows, ...) as `Network.predict` takes them; targets: their targets as text; units: of a language model,
    those to draw.
    """
    kind = network.data_spec.input.kind
    # Over time the first sequence is shown, at its own length.
    raw = single_rows(inputs)[0] if kind in ("series", "tokens") else cast(Tensor, inputs)
    if units:
        yield CaptionedFigure("units", *texts.draw_units(units))
    if kind == "tokens" and not network.data_spec.input.per_step:
        shown = inputs[:MAX_INPUTS]
        labels = format_predictions(network, shown, targets and targets[: len(shown)])
        drawn = texts.draw_attributions(network, single_rows(shown), labels)
        yield CaptionedFigure("attributions", *drawn)
    if kind == "tokens":
        raw = raw[:, :MAX_DRAWN_TOKENS]
    with torch.no_grad():
        encoded = network.preprocess(raw)
    hidden = internals.hidden_outputs(network, encoded)
    if kind == "series":
        yield _attributions(network, inputs[:MAX_INPUTS], targets)
    if kind == "image":
        yield _overview(network, raw[:MAX_INPUTS], hidden, targets)
    filters = internals.first_filters(network)
    if filters is not None:
        caption = "The weights of the first layer: what each unit looks for."
        yield CaptionedFigure("filters", caption, draw.filters(_numpy(filters)))
    for name, out in hidden.items():
        if out.ndim == 4 and out[0, 0].numel() > 1:
            caption = (
                f"Layer '{name}' of the first input: all channels summed up, and each of them."
            )
            figure = draw.channels(name, _numpy(out[0]))
            yield CaptionedFigure(f"layer-{name}", caption, figure)
    yield from _over_time(network, encoded, hidden)
    if kind == "table":
        caption = "Mean absolute input gradient (saliency) of each column, over these rows."
        gradient = internals.saliency(network, raw).abs().mean(0).tolist()
        figure = draw.columns(_feature_names(network), gradient)
        yield CaptionedFigure("columns", caption, figure)


def _over_time(
    network: Network, encoded: Tensor, hidden: dict[str, Tensor]
) -> Iterator[CaptionedFigure]:
    """Draw the channels of each layer, or the gates and states of recurrent ones, over time."""
    gates = internals.gates(network, encoded)
    maps = {
        name: _numpy(hidden[name][0]).T
        for name in internals.block_outputs(network, hidden)
        if hidden[name].ndim == 3
    }
    if maps and not gates:
        caption = "The channels of each layer over time, for the first input."
        inputs = _numpy(internals.scaled_inputs(network, encoded)[0])
        figure = draw.over_time(
            inputs, maps, "channels over time", texts.token_names(network, encoded)
        )
        yield CaptionedFigure("channels", caption, figure)
    for name, values in gates.items():
        sequence = _numpy(internals.recurrent_input(network, encoded)[0])
        first = {gate: _numpy(states[0]) for gate, states in values.items()}
        noun = "gates and states" if len(first) > 1 else "states"
        yield CaptionedFigure(
            f"gates-{name.replace(' ', '-')}",
            f"The {noun} of recurrent layer {name} over time, for the first input; one row per unit.",
            draw.over_time(
                sequence,
                first,
                f"{network.config.model.name}, {name}",
                texts.token_names(network, encoded),
            ),
        )


def _attributions(network: Network, raw: Inputs, targets: list[str] | None) -> CaptionedFigure:
    """Draw each sequence with the attribution of the prediction to its steps and channels."""
    sequences = [_numpy(row[0]) for row in single_rows(raw)]
    attributions = _numpy(internals.attributions(network, raw))
    figure = draw.attributions(
        sequences,
        [a[: len(x)] for a, x in zip(attributions, sequences, strict=True)],
        network.data_spec.column_names,
        format_predictions(network, raw, targets and targets[: len(raw)]),
    )
    target = "the predicted class" if network.task.is_classification else "the prediction"
    caption = (
        f"Which steps and channels move the prediction: integrated gradients from zero in scaled units; red raises {target}, "
        "blue lowers it."
    )
    return CaptionedFigure("attributions", caption, figure)


def _overview(
    network: Network, raw: Tensor, hidden: dict[str, Tensor], targets: list[str] | None
) -> CaptionedFigure:
    """Draw each image with the summed channels of each block and the input gradient."""
    columns: dict[str, list[Array]] = {}
    for name in internals.block_outputs(network, hidden):
        out = hidden[name][: len(raw)]
        shape = "×".join(map(str, out.shape[1:]))
        if out.ndim == 4:
            columns[f"{name}\nsum of {out.shape[1]}"] = list(map(_numpy, out.sum(1)))
        elif out.ndim == 3:  # states, with time downwards as an image is read
            columns[f"{name}\n{shape}"] = list(map(_numpy, out))
        else:
            columns[f"{name}\n{shape} units"] = [_as_square(_numpy(units)) for units in out]
    max_value = max_pixel_value(network)
    gradient = internals.saliency(network, raw).abs().amax(1)
    figure = draw.overview(
        [draw.to_display(image, max_value) for image in raw],
        columns,
        list(map(_numpy, gradient)),
        format_predictions(network, raw, targets and targets[: len(raw)]),
    )
    has_maps = any(out.ndim == 4 for out in hidden.values())
    layers = (
        "all channels of each hidden layer summed up into one gray image"
        if has_maps
        else "what each hidden layer makes of it"
    )
    caption = f"Each input, {layers}, and the input gradient (saliency): which pixels matter most."
    return CaptionedFigure("sheet", caption, figure)


def make_arrays(network: Network, raw: Inputs) -> dict[str, Array]:
    """Return the values behind the figures: "input", "gradient", "sum/<layer>" and "layer/<layer>"
    (rows, ...), "gates/<layer>/<gate>" (rows, time, units), "attributions" (rows, time, channels) of sequences and (rows,
    time) of texts; nan behind the end of sequences of different lengths, which are in "lengths". A language
    model has "state/<layer>" (streams, steps, units) for all tokens, layers and gates for the first ones alone."""
    if isinstance(raw, PaddedSequences):
        rows = [make_arrays(network, row) for row in single_rows(raw)]
        arrays = {name: _stack([row[name][0] for row in rows]) for name in rows[0]}
        return arrays | {"lengths": raw.lengths.numpy()}
    input_spec = network.data_spec.input
    tensors: dict[str, Tensor] = {"input": raw}
    if input_spec.per_step:
        tensors |= {f"state/{name}": values for name, values in states(network, raw).items()}
        raw = raw[:1, :MAX_DRAWN_TOKENS]
    elif input_spec.kind == "tokens":
        raw = tensors["input"] = raw[:, : texts.MAX_ATTRIBUTED_TOKENS]
        tensors["attributions"] = internals.token_attributions(network, raw)
    else:
        tensors["gradient"] = internals.saliency(network, raw)
    with torch.no_grad():
        encoded = network.preprocess(raw)
    hidden = internals.hidden_outputs(network, encoded)
    if input_spec.kind == "series":
        tensors["attributions"] = internals.attributions(network, raw)
    tensors |= {f"layer/{name}": out for name, out in hidden.items()}
    tensors |= {f"sum/{name}": out for name, out in internals.channel_sums(hidden).items()}
    for name, values in internals.gates(network, encoded).items():
        tensors |= {f"gates/{name}/{gate}": states for gate, states in values.items()}
    return {name: _numpy(tensor) for name, tensor in tensors.items()}


def write_figures(
    run: LoadedRun,
    raw: Inputs,
    targets: list[str] | None,
    folder: Path,
    surface: str | None = None,
    units: list[FollowingUnit] | None = None,
) -> list[tuple[Path, str]]:
    """Write every figure of some raw inputs as PNG, and the values behind them as arrays.npz; returns
    each file with its caption.

    surface: the split of the loss surface, if it is drawn too; units: as in `make_figures`. Raises CheckpointError if the folder
    cannot be written.
    """
    files: list[tuple[Path, str]] = []

    def write(name: str, content: bytes, caption: str) -> None:
        file_io.write(folder / name, content)
        files.append((folder / name, caption))

    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a link; name where to write with --out", code="E68")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for figure in make_figures(run.network, raw, targets, units):
            write(f"{figure.stem}.png", draw.png(figure.figure), figure.caption)
        if surface is not None:
            split = run.prepared(surface)
            rows = linspace_rows(len(split), SURFACE_ROWS, run.network.device)
            steps, losses = internals.loss_surface(run.network, split, rows)
            png = draw.png(draw.surface(steps, losses.cpu().numpy()))
            write("surface.png", png, "The loss along two random directions around the weights.")
        content = io.BytesIO()
        arrays: dict[str, Any] = make_arrays(run.network, raw)
        np.savez_compressed(content, **arrays)
        write("arrays.npz", content.getvalue(), "The values behind the figures.")
    except OSError as error:
        raise CheckpointError(
            f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out",
            code="E68",
        ) from None
    return files


def _stack(arrays: list[Array]) -> Array:
    """Stack arrays of one number of dimensions, nan where one is smaller than the largest."""
    shape = np.max([array.shape for array in arrays], 0, initial=0)
    dtype = np.result_type(arrays[0].dtype, np.float32)  # ids of tokens are whole numbers
    stacked = np.full((len(arrays), *shape.astype(int)), np.nan, dtype)
    for target, array in zip(stacked, arrays, strict=True):
        target[tuple(slice(size) for size in array.shape)] = array
    return stacked


def _feature_names(network: Network) -> list[str]:
    """Return the features that the network sees: columns of numbers, then one per category."""
    columns = network.data_spec.columns
    names = [column.name for column in columns if column.categories is None]
    for column in columns:
        names += [f"{column.name} = {category}" for category in column.categories or []]
    return names


def _as_square(units: Array) -> Array:
    """Arrange units (count,) row by row in a square, padded with nan."""
    width = int(np.ceil(np.sqrt(len(units))))
    padded = np.full(width * int(np.ceil(len(units) / width)), np.nan)
    padded[: len(units)] = units
    return padded.reshape(-1, width)


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()
