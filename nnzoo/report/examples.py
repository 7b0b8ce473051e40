"""Rows of a split for the script of a page: those of each cell of a confusion matrix, of each decision on a label, of each
bar of residuals, as far as they fit."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nnzoo.data.data_spec import DataSpec
from nnzoo.data.sequences import PaddedSequences, single_rows
from nnzoo.inspect import draw, inspection
from nnzoo.predict.images import max_pixel_value
from nnzoo.predict.predictions import Predictions
from nnzoo.report.charts import residual_edges
from nnzoo.report.forecasts import row_label
from nnzoo.report.run_report import RunReport
from nnzoo.text import format_metric, shorten
from nnzoo.web.render import data_url

Array = np.ndarray[Any, Any]
Cells = dict[str, Array]
"""The rows of each cell, in the order in which they are shown."""

MAX_PER_CELL = 12
MAX_ROWS = 1500
MAX_BYTES = 1_000_000
MAX_CELLS = 2000
"""Of a matrix of very many classes, the most frequent ones."""
CHUNK = 64
MAX_SIDE = 96
MAX_COLUMNS = 24
MAX_TEXT = 500
MAX_STEPS, MAX_CHANNELS = 100, 6
MAX_OUTPUTS = 6


def class_cells(predictions: Predictions) -> Cells:
    """Rows by "actual,predicted" class, the most probable one as in the matrix: of wrong predictions the most confident
    first, of correct ones the least confident."""
    assert predictions.targets is not None
    predicted, targets = predictions.values.argmax(1), predictions.targets
    confidence = predictions.values.max(1, initial=0)
    rows = np.argsort(np.where(predicted == targets, confidence, -confidence), kind="stable")
    pairs = targets[rows] * len(predictions.names) + predicted[rows]
    by_pair = np.argsort(pairs, kind="stable")
    present, starts = np.unique(pairs[by_pair], return_index=True)
    cells = {
        "{},{}".format(*divmod(int(pair), len(predictions.names))): members
        for pair, members in zip(present, np.split(rows[by_pair], starts[1:]), strict=True)
    }
    # Errors come before correct predictions where not everything fits.
    frequent = sorted(cells, key=lambda key: (len({*key.split(",")}) == 1, -len(cells[key])))
    return {key: cells[key] for key in frequent[:MAX_CELLS]}


def label_cells(predictions: Predictions) -> Cells:
    """Rows by "label,tp" (fp, fn, tn) of several labels per row: of wrong decisions the largest error first, of correct
    ones the probability that is nearest to the threshold."""
    assert predictions.targets is not None and predictions.thresholds is not None
    cells = {}
    for i in range(len(predictions.names)):
        scores, threshold = predictions.values[:, i], predictions.thresholds[i]
        predicted, actual = scores >= threshold, predictions.targets[:, i] > 0.5
        distance = np.abs(scores - threshold)
        decisions = {
            "fp": predicted & ~actual,
            "fn": ~predicted & actual,
            "tp": predicted & actual,
            "tn": ~predicted & ~actual,
        }
        for name, is_member in decisions.items():
            rows = np.flatnonzero(is_member)
            order = np.argsort(distance[rows] * (-1 if name[0] == "f" else 1), kind="stable")
            cells[f"{i},{name}"] = rows[order]
    return {key: rows for key, rows in cells.items() if len(rows)}


def value_cells(predictions: Predictions, outputs: int) -> Cells:
    """Rows by "output,bar" of the first outputs' residuals, the largest error first."""
    assert predictions.targets is not None
    cells = {}
    for i in range(outputs):
        errors = predictions.values[:, i] - predictions.targets[:, i]
        edges = residual_edges(errors)
        # As numpy.histogram: each bar holds its lower end, the last one its upper end, too.
        bars = np.clip(np.searchsorted(edges, errors, "right") - 1, 0, len(edges) - 2)
        order = np.argsort(-np.abs(errors), kind="stable")
        for bar in np.unique(bars):
            cells[f"{i},{bar}"] = order[bars[order] == bar]
    return cells


def row_order(cells: Cells, evenly: int = 0) -> list[int]:
    """The rows to show, those that matter most first: the first of each cell, the second of each, … up to
    MAX_PER_CELL, then MAX_ROWS evenly spaced ones of the first `evenly` rows."""
    rows = [
        int(members[rank])
        for rank in range(MAX_PER_CELL)
        for members in cells.values()
        if rank < len(members)
    ]
    return list(dict.fromkeys([*rows, *range(0, evenly, max(1, -(-evenly // MAX_ROWS)))]))


def describe_cells(run: RunReport) -> dict[str, Any]:
    """Return what the script shows of single rows: {kind, columns, rows, cells, …}.

    cells: {key: {count, rows}}, the number of rows of each and those that are in `rows`, at most MAX_PER_CELL.
    """
    predictions, spec = run.predictions, run.spec
    more: dict[str, Any] = {}
    evenly = 0
    if spec.is_classification:
        kind, cells = "classes", class_cells(predictions)
        more["labels"] = [shorten(label) for label in predictions.names]
    elif spec.task == "multilabel":
        kind, cells = "labels", label_cells(predictions)
        more["labels"] = [shorten(label) for label in predictions.names]
    else:
        outputs = min(MAX_OUTPUTS, 1 if spec.horizon > 1 else len(spec.targets))
        kind, cells = "values", value_cells(predictions, outputs)
        evenly = len(predictions)
        errors = predictions.values - predictions.targets
        more["edges"] = [residual_edges(errors[:, i]).tolist() for i in range(outputs)]
    rows = _rows_within_limits(run, row_order(cells, evenly))
    shown: dict[str, dict[str, Any]] = {}
    for key, members in cells.items():
        kept = members[np.isin(members, list(rows))][:MAX_PER_CELL].tolist()
        shown[key] = {"count": len(members), "rows": kept}
        if kind == "labels":
            scores = predictions.values[kept, int(key.partition(",")[0])]
            shown[key]["probabilities"] = [round(float(score), 6) for score in scores]
    names = [shorten(column.name) for column in spec.columns] if spec.input.kind == "table" else []
    more |= {"columns": names[:MAX_COLUMNS], "more_columns": max(0, len(names) - MAX_COLUMNS)}
    return more | {
        "kind": kind,
        "n": len(predictions),
        "split": run.split,
        "rows": rows,
        "cells": shown,
    }


def _rows_within_limits(run: RunReport, order: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return rows as the script shows them, from the first on until MAX_ROWS or MAX_BYTES."""
    shown: dict[int, dict[str, Any]] = {}
    size = 0
    order = order[:MAX_ROWS]
    for start in range(0, len(order), CHUNK):
        rows = order[start : start + CHUNK]
        for row, described in zip(rows, _describe_rows(run, rows), strict=True):
            size += len(json.dumps(described))
            if size > MAX_BYTES:
                return shown
            shown[row] = described
    return shown


def _describe_rows(run: RunReport, rows: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Describe rows: {name, actual, predicted} with `confidence` of classes, and their input."""
    predictions, dataset = run.predictions, run.loaded.dataset
    inputs, targets = run.loaded.raw(run.split, torch.tensor(rows))
    actual = inspection.format_targets(dataset, targets)
    for row, raw, target in zip(rows, single_rows(inputs), actual, strict=True):
        described: dict[str, Any] = {"name": row_label(dataset, run.split, row), "actual": target}
        values = predictions.values[row]
        if predictions.is_classification:
            most_probable = int(values.argmax())
            described["predicted"] = predictions.names[most_probable]
            described["confidence"] = round(float(values[most_probable]), 6)
        elif predictions.thresholds is not None:
            described["predicted"] = inspection.list_labels(predictions.label_sets[row])
        else:
            described |= _numbers(run.spec, predictions, row)
        texts = {key: shorten(described[key], 60) for key in ("name", "actual", "predicted")}
        yield described | texts | _input(run, raw)


def _numbers(spec: DataSpec, predictions: Predictions, row: int) -> dict[str, Any]:
    """Describe actual and predicted values of a row: as text, and those of the charts as numbers."""
    assert predictions.targets is not None
    outputs = min(MAX_OUTPUTS, 1 if spec.horizon > 1 else len(spec.targets))
    actual, predicted = (
        [float(f"{value:.7g}") for value in values[row, :outputs].tolist()]
        for values in (predictions.targets, predictions.values)
    )
    texts = [", ".join(map(format_metric, values)) for values in (actual, predicted)]
    return {"actual": texts[0], "predicted": texts[1], "x": actual, "y": predicted}


def _input(run: RunReport, raw: Tensor) -> dict[str, Any]:
    """Describe one input (1, ...): as an image, a curve, a text, or the values of columns."""
    kind, spec = run.spec.input.kind, run.spec
    if kind == "image":
        return {"image": thumbnail_url(raw[0], max_pixel_value(run.network))}
    if kind == "tokens":
        assert spec.tokenizer is not None
        ids = raw.values if isinstance(raw, PaddedSequences) else raw
        return {"text": shorten(spec.tokenizer.decode(ids.flatten().tolist()), MAX_TEXT)}
    if kind == "series":
        values = raw[0].cpu().numpy()
        return {
            "curve": _curve(values[:, :1] if spec.task == "forecasting" else values),
            "steps": len(values),
        }
    texts = []
    for column, value in zip(spec.columns[:MAX_COLUMNS], raw[0].tolist(), strict=False):
        if column.categories is None:
            texts.append(format_metric(value))
        else:
            known = 0 <= value < len(column.categories)
            texts.append(shorten(column.categories[int(value)], 30) if known else "–")
    return {"values": texts}


def _curve(values: Array) -> list[list[float | None]]:
    """Channels of a series (time, channels), with three significant digits and evenly spaced steps of a long one."""
    steps = np.linspace(0, len(values) - 1, min(len(values), MAX_STEPS)).round().astype(int)
    return [
        [float(f"{value:.3g}") if np.isfinite(value) else None for value in channel]
        for channel in values[steps, :MAX_CHANNELS].T.tolist()
    ]


def thumbnail_url(image: Tensor, max_value: float) -> str:
    """A data URL of an image (channels, height, width), with sides of at most MAX_SIDE: PNG, or JPEG if that is smaller."""
    thumbnail = Image.fromarray((draw.to_display(image, max_value) * 255).round().astype(np.uint8))
    thumbnail.thumbnail((MAX_SIDE, MAX_SIDE))
    encoded = []
    for form, options in (("PNG", {"optimize": True}), ("JPEG", {"quality": 85})):
        if form == "JPEG" and max(thumbnail.size) < MAX_SIDE // 2:
            continue  # small ones are shown pixel by pixel
        file = io.BytesIO()
        thumbnail.convert("RGB" if form == "JPEG" else thumbnail.mode).save(
            file, format=form, **options
        )
        encoded.append((file.getvalue(), form.lower()))
    data, form = min(encoded, key=lambda pair: len(pair[0]))
    return data_url(data, form)
