"""The network and some of its inputs as a page computes them: feature maps, time steps, what-if."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.dataset import Dataset
from nnzoo.data.sequences import single_rows
from nnzoo.evaluation.layer_stats import eval_in_fp32
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.inspect import inspection
from nnzoo.models.cnn import CNN
from nnzoo.models.network import Network
from nnzoo.models.rnn import Recurrent
from nnzoo.predict.images import max_pixel_value
from nnzoo.report.forecasts import row_label
from nnzoo.report.run_report import RunReport
from nnzoo.web.program import UndescribedError, describe
from nnzoo.web.render import encode_array

SCRIPTS = ["forward.js", "layers.js", "explore.js", "places.js", "maps.js", "steps.js", "whatif.js"]
"""The scripts that compute and show it, in their order."""
MAX_INPUTS = 10
MAX_STEPS = 1000
"""Time steps of a shown sequence."""
MAX_NUMBERS = 200_000
"""Numbers of all shown inputs together."""
MAX_MULTIPLY_ADDS = 100_000_000
"""Of one input: about half a second in a browser."""
MAX_COLUMNS = 100
"""Columns of a table that what-if shows."""


def network_data(run: RunReport, multiply_adds: int) -> dict[str, Any]:
    """Return what the page's scripts read about the network: {"widgets": [], "reason"} if the page computes nothing.

    multiply_adds: of one input. widgets: the ids of the elements that scripts fill. program: the network; inputs, predictions:
    raw inputs, and PyTorch's predictions for them in float32; units: the unit in which each output is compared.
    """
    widgets = _widgets(run.network)
    if not widgets:
        return {"widgets": [], "reason": ""}
    columns = len(run.spec.columns)
    if widgets == ["what-if"] and columns > MAX_COLUMNS:
        reason = f"it reads {columns} columns; what-if is for up to {MAX_COLUMNS}"
        return {"widgets": [], "reason": reason}
    try:
        return {"widgets": widgets, "reason": ""} | _computed(run, multiply_adds)
    except UndescribedError as error:
        return {"widgets": [], "reason": str(error)}


def _widgets(network: Network) -> list[str]:
    """Return the parts of the page that compute this network."""
    kind, model = network.data_spec.input.kind, network.model
    if isinstance(model, Recurrent):
        return ["time-steps"]
    if kind == "table":
        return ["what-if"]
    has_maps = kind in ("image", "series") or isinstance(model, CNN)
    return ["feature-maps"] if has_maps else []


def _computed(run: RunReport, multiply_adds: int) -> dict[str, Any]:
    """Return the network and inputs; raises UndescribedError."""
    if multiply_adds > MAX_MULTIPLY_ADDS:
        raise UndescribedError(
            f"one input takes {multiply_adds:,} multiply-adds; a page computes up to {MAX_MULTIPLY_ADDS:,}"
        )
    raw, titles, left_out = _shown_inputs(run)
    if not raw:
        raise UndescribedError(
            f"its inputs are too large: over {MAX_STEPS} time steps, or {MAX_NUMBERS:,} numbers"
        )
    program = describe(run.network, _all_ids(run, raw))
    predictions = [_prediction(run.network, x) for x in raw]
    return {
        "program": program,
        "inputs": [encode_array(_as_array(x[0]), keep_float64=True) for x in raw],
        "titles": titles,
        "left_out": left_out,
        "predictions": [
            encode_array(prediction.numpy(), keep_float64=True) for prediction in predictions
        ],
        "units": _units(run.network, predictions),
        **_names(run, raw),
    }


def _shown_inputs(run: RunReport) -> tuple[list[Tensor], list[str], int]:
    """Return inputs that the page shows, each as a batch of one, a title for each, and how many were too large."""
    dataset, network = run.loaded.dataset, run.network
    if run.spec.input.per_step:
        text = inspection.running_text(run.loaded, run.split, [])
        return [text[:1, : inspection.MAX_DRAWN_TOKENS]], ["the beginning of the text"], 0
    rows = _rows(dataset, run.split)
    inputs, targets = run.loaded.raw(run.split, rows)
    labels = inspection.format_targets(dataset, targets)
    shown, titles, numbers = [], [], 0
    kind = network.data_spec.input.kind
    for x, row, label in zip(single_rows(inputs), rows.tolist(), labels, strict=True):
        numbers += x.numel()
        is_long = kind in ("series", "tokens") and x.shape[1] > MAX_STEPS
        if is_long or numbers > MAX_NUMBERS:
            numbers -= x.numel()
            continue
        shown.append(x)
        titles.append(f"{row_label(dataset, run.split, row)}: actual {label}")
    return shown, titles, len(rows) - len(shown)


def _rows(dataset: Dataset, split: str) -> Tensor:
    rows = inspection.representative_rows(dataset, split)
    if dataset.spec.input.kind != "table":
        return rows
    if dataset.spec.is_classification:
        targets = dataset.splits[split].targets()[rows]
        first = [(targets == i).nonzero()[:4, 0] for i in range(len(dataset.spec.labels))]
        return rows[torch.cat(first)[:MAX_INPUTS]]
    return rows[:: max(1, len(rows) // MAX_INPUTS)][:MAX_INPUTS]


def _all_ids(run: RunReport, raw: list[Tensor]) -> Tensor | None:
    """Return the tokens of all shown texts; None of other inputs."""
    if run.spec.tokenizer is None:
        return None
    return torch.cat([x.flatten() for x in raw])


def _as_array(x: Tensor) -> Any:
    """Return a raw input in the type in which it is written: images of bytes and ids stay whole numbers."""
    array = x.cpu().numpy()
    return array if array.dtype in (np.uint8, np.int32) else array.astype(np.float64)


@torch.no_grad()
def _prediction(network: Network, x: Tensor) -> Tensor:
    """Return the prediction for one input (steps or 1, outputs), float64."""
    with eval_in_fp32(network):
        return network.predict(x).double().cpu()


def _units(network: Network, predictions: list[Tensor]) -> list[float]:
    """Return the unit of each output: 1 of probabilities, of numbers the standard deviation of the training targets, or
    the range of the predictions if that is larger."""
    task = network.task
    if not isinstance(task, Regression):
        return [1.0]
    std = task.scale.spread.cpu().repeat(task.outputs // len(task.scale.spread))
    values = torch.cat(predictions).nan_to_num(0.0, 0.0, 0.0)
    return [float(unit) for unit in torch.maximum(std, values.amax(0) - values.amin(0))]


def _names(run: RunReport, raw: list[Tensor]) -> dict[str, Any]:
    """Return the names of outputs, columns and tokens, and what is particular to the kind of input."""
    network, spec = run.network, run.spec
    task = network.task
    quantiles = task.quantiles if isinstance(task, Regression) else []
    names = [f"{name} at {q:g}" for q in quantiles for name in task.names] or list(task.names)
    named: dict[str, Any] = {"names": names, "probabilities": task.gives_probabilities}
    named["exclusive"] = task.is_classification
    if spec.input.kind == "image":
        named["levels"] = float(max_pixel_value(network))
    elif spec.tokenizer is not None:
        vocabulary = spec.tokenizer.vocabulary
        named["tokens"] = [[vocabulary[i] for i in x.flatten().tolist()] for x in raw]
        named["unit"] = spec.tokenizer.unit
    elif spec.input.kind == "series":
        named["columns"] = [{"name": name} for name in spec.column_names]
    else:
        named["columns"] = _columns(run.loaded.dataset)
    return named


def _columns(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the columns of a table: the categories of each, or the range of its numbers in training rows."""
    rows = dataset.splits["train"].tensors()[0]
    columns: list[dict[str, Any]] = []
    for i, column in enumerate(dataset.spec.columns):
        if column.categories is not None:
            columns.append({"name": column.name, "categories": list(column.categories)})
            continue
        values = rows[:, i][~rows[:, i].isnan()]
        low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
        whole = bool((values == values.round()).all())
        columns.append(
            {"name": column.name, "low": float(low), "high": float(high), "whole": whole}
        )
    return columns
