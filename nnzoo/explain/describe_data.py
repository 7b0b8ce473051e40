"""The data in the walk-through of a config: rows, kind, targets, and what knowing nothing loses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from nnzoo.config import RunConfig
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.explain.walk import Section, Statement
from nnzoo.text import shorten

SHOWN_LABELS = 12


def describe_data(
    section: Section, config: RunConfig, dataset: Dataset | None, reason: str, spec: DataSpec | None
) -> dict[str, Any]:
    """Add statements on the data; returns their figures. reason: why there is no dataset; spec: what is known then."""
    name = config.data.name
    path = getattr(config.data, "path", None)
    figures: dict[str, Any] = {"source": name, "path": path, "missing": reason or None}
    source = f"{name} ({Path(path).name})" if path else name
    if dataset is None:
        section.add("data.missing", source=source, reason=" ".join(reason.split()))
        section.add("data.published" if spec is not None else "data.unknown")
    if spec is None:
        return figures
    rows = spec.num_rows
    if dataset is not None:
        rows = {part: len(split) for part, split in dataset.splits.items()}
    held_out = _held_out(rows)
    key = "data.rows" if held_out else "data.rows_alone"
    section.add(key, source=source, train=rows["train"], held_out=held_out)
    figures |= {"rows": rows, "kind": spec.input.kind, "shape": list(spec.input.shape)}
    figures["task"] = spec.task
    _describe_inputs(section, spec)
    return figures | _describe_targets(section, spec, dataset)


def _held_out(rows: dict[str, int]) -> list[Statement]:
    parts = [part for part in ("val", "test") if rows.get(part)]
    return [Statement(f"data.{part}", {"rows": rows[part]}) for part in parts]


def _describe_inputs(section: Section, spec: DataSpec) -> None:
    """Add the kind and size of a row."""
    input_spec, shape = spec.input, spec.input.shape
    variable = "_variable" if input_spec.variable_length else ""
    if input_spec.kind == "image":
        channels, height, width = shape
        values = {"channels": channels, "height": height, "width": width, "size": input_spec.size}
        section.add("data.image", **values)
    elif input_spec.kind == "table":
        categories = len(spec.category_sizes)
        numbers = len(spec.columns) - categories
        section.add("data.table", columns=len(spec.columns), numbers=numbers, categories=categories)
    elif input_spec.kind == "series":
        section.add(f"data.series{variable}", steps=shape[0], features=shape[1])
    else:
        key = "data.running_text" if input_spec.per_step else "data.text"
        section.add(key + variable, tokens=shape[0], vocabulary=input_spec.vocabulary)


def _describe_targets(section: Section, spec: DataSpec, dataset: Dataset | None) -> dict[str, Any]:
    """Add the targets, and the loss of a network that knows nothing."""
    if spec.task == "classification":
        return _describe_classes(section, spec, dataset)
    assert dataset is not None  # only image classes are known without files
    if spec.task == "language_model":
        size = spec.input.vocabulary
        section.add("data.next_token", vocabulary=size, loss=math.log(size))
        return {"baseline_loss": math.log(size)}
    y = dataset.splits["train"].targets().double()
    if spec.task == "multilabel":
        labels = _labels(spec.labels)
        mean = float(y.sum(1).mean())
        section.add("data.labels", count=len(spec.labels), labels=labels, mean=mean)
        return {"labels": spec.labels, "baseline_loss": math.log(2)}
    names = spec.targets
    section.add(
        "data.forecast" if spec.task == "forecasting" else "data.numbers",
        count=len(names),
        names=_labels(names),
        horizon=spec.horizon,
    )
    # The first step of each target, where several are forecast.
    count = len(names)
    means = y[:, :count].mean(0).tolist()
    stds = y[:, :count].std(0, correction=0).tolist()
    for i, name in enumerate(names[:SHOWN_LABELS]):
        section.add(
            "data.number", 1, name=shorten(name), mean=_rounded(means[i], stds[i]), std=stds[i]
        )
    section.add("data.mean_loss")
    return {"targets": names, "horizon": spec.horizon, "target_std": stds}


def _rounded(mean: float, std: float) -> float:
    """A mean, without what is but the rounding of sums of floating-point numbers."""
    return 0.0 if abs(mean) < 1e-9 * std else mean


def _describe_classes(section: Section, spec: DataSpec, dataset: Dataset | None) -> dict[str, Any]:
    count = len(spec.labels)
    figures: dict[str, Any] = {"classes": spec.labels, "baseline_loss": math.log(count)}
    section.add("data.classes", count=count, labels=_labels(spec.labels))
    if dataset is not None:
        counts = torch.bincount(dataset.splits["train"].targets(), minlength=count)
        most, least = int(counts.argmax()), int(counts.argmin())
        fraction = float(counts[most] / counts.sum())
        figures["majority"] = {"label": spec.labels[most], "fraction": fraction}
        if counts[most] == counts[least]:
            section.add("data.balanced", percent=100 * fraction)
        else:
            section.add(
                "data.majority",
                label=shorten(spec.labels[most]),
                percent=100 * fraction,
                rare=shorten(spec.labels[least]),
                rows=int(counts[least]),
            )
    section.add("data.class_loss", count=count, loss=math.log(count), probability=1 / count)
    return figures


def _labels(labels: list[str]) -> list[str]:
    """Names to show, the rest as an ellipsis."""
    shown = [shorten(label) for label in labels[:SHOWN_LABELS]]
    return shown + ["…"] * (len(labels) > SHOWN_LABELS)
