"""The HTML pages of a report: one run in detail, or several runs side by side."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import numpy as np
import torch
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from nnzoo.config import RunConfig
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.train_options import higher_is_better
from nnzoo.data.dataset import WindowSplit
from nnzoo.data.sequences import single_rows
from nnzoo.evaluation import diagnostics
from nnzoo.inspect import draw, inspection
from nnzoo.predict.images import max_pixel_value
from nnzoo.report import charts, texts
from nnzoo.report.forecasts import describe_forecasts, row_label
from nnzoo.report.interactive import CHART_SCRIPTS, run_script
from nnzoo.report.network_data import network_data
from nnzoo.report.run_report import RunReport
from nnzoo.report.uncertainty import reliability_parts, uncertainty_parts
from nnzoo.text import format_metric, shorten
from nnzoo.web.render import Script, data_url, render

MAX_MISTAKES = 12
MAX_COLUMNS = 12
MAX_CONFUSIONS = 5
MAX_GRADIENT_LAYERS = 8
MAX_OUTPUTS = 6
# Figures with every channel of a layer are too much for a page; `nnzoo inspect` writes them.
LEFT_OUT = "layer-"
CURVES = (
    ("Loss", "loss", ("train_loss", "val_loss")),
    ("Accuracy", "accuracy", ("train_accuracy", "val_accuracy")),
    ("Exact match", "rows with all labels correct", ("train_exact_match", "val_exact_match")),
    ("F1", "validation F1", ("val_f1_macro", "val_f1_micro")),
    ("Error", "validation rmse", ("val_rmse",)),
    ("Bits per character", "bits per character", ("val_bits_per_character",)),
    ("Bits per byte", "bits per byte", ("val_bits_per_byte",)),
    ("Perplexity", "perplexity", ("val_perplexity",)),
)
COMPARED_METRICS: tuple[str, ...] = (
    "bits_per_character",
    "bits_per_byte",
    "perplexity",
    "accuracy",
    "exact_match",
    "auc",
    "f1_macro",
    "f1_micro",
)
COMPARED_METRICS += ("rmse", "mae", "r2", "loss")
TEXT_CURVES = ("Bits per character", "Bits per byte", "Perplexity")
COMPARED_CURVES = (
    ("val_loss", "validation loss", True),
    ("val_accuracy", "validation accuracy", False),
    ("train_loss", "training loss", True),
)


def render_run(run: RunReport) -> str:
    """Render the page of one run."""
    curves = _overlaid_curves(_member_rows(run)) if run.members else _learning_curves(run)
    parts: dict[str, Any] = {"title": run.name, "run": run, "curves": curves}
    if run.members and not run.data_error:
        parts["result"] = run.result
    elif not run.data_error:
        prepared = run.loaded.prepared(run.split)
        stats = diagnostics.collect_split_stats(run.network, prepared, inspection.STATS_ROWS)
        gradients = stats.time_gradients
        parts |= {
            "result": run.result,
            "stats": stats,
            "findings": [str(finding) for finding in diagnostics.diagnose(stats, run.config)],
            "gradient_over_time": gradients
            and charts.gradient_over_time(gradients, run.spec.input.variable_length),
            "figures": _inspection_figures(run),
            "network": network_data(run, sum(layer.multiply_adds for layer in stats.layers)),
        }
    if not run.data_error:
        parts |= _text_parts(run) | uncertainty_parts(run)
        if run.spec.is_classification:
            parts |= _classification_parts(run)
        elif run.spec.task == "multilabel":
            parts |= _multilabel_parts(run)
        elif run.spec.task != "language_model":
            parts |= _value_parts(run)
    return render("report/templates/run.html", parts, run_script(run, parts.get("network")))


def _text_parts(run: RunReport) -> dict[str, Any]:
    """Return what a page shows of texts alone; empty values for other data."""
    parts: dict[str, Any] = {key: [] for key in ("samples", "units", "texts", "neighbors")}
    if run.spec.tokenizer is None or run.members:
        return parts
    parts["neighbors"] = texts.embedding_neighbors(run.network)
    if run.spec.input.per_step:
        return parts | {"samples": texts.samples(run), "units": texts.unit_texts(run)}
    return parts | {"texts": texts.representative_texts(run)}


def render_comparison(runs: list[RunReport]) -> str:
    """Render the page of several runs side by side."""
    counts = Counter(run.name for run in runs)
    names = [str(run.folder.path) if counts[run.name] > 1 else run.name for run in runs]
    results = [{} if run.data_error else run.result for run in runs]
    metrics = [metric for metric in COMPARED_METRICS if any(metric in result for result in results)]
    overlays = _overlaid_curves({name: run.epochs for name, run in zip(names, runs, strict=True)})
    parts = {
        "title": f"{len(runs)} runs",
        "runs": dict(zip(names, runs, strict=True)),
        "metrics": metrics,
        "best": {metric: _best_value(metric, results) for metric in metrics},
        "differing": _config_differences([run.config for run in runs]),
        "curves": overlays,
    }
    return render("report/templates/runs.html", parts, Script(CHART_SCRIPTS))


def _member_rows(run: RunReport) -> dict[str, list[dict[str, Any]]]:
    return {member.path.name: member.rows() for member in run.members}


def _overlaid_curves(rows: dict[str, list[dict[str, Any]]]) -> list[tuple[str, Markup]]:
    """Draw the main curves of several runs over each other: (caption, chart); rows: of metrics.jsonl by run."""
    overlays = []
    for key, label, log in COMPARED_CURVES:
        lines = {
            name: line
            for name, epochs in rows.items()
            for line in charts.metric_lines(epochs, [key]).values()
        }
        if lines:
            overlays.append((label, charts.curves(label.capitalize(), lines, label, log)))
    return overlays


def _best_value(metric: str, results: list[dict[str, Any]]) -> float | None:
    """Return the best value of a metric; None if there is nothing to compare, as losses of different
    runs are in different units."""
    values = [result[metric] for result in results if isinstance(result.get(metric), float)]
    if len(values) < 2 or metric == "loss":
        return None
    return max(values) if higher_is_better(metric) else min(values)


def _config_differences(configs: list[RunConfig]) -> dict[str, list[str]]:
    """Return the keys in which configs differ, with the value of each config as text."""
    flat = [config.flat() for config in configs]
    keys = dict.fromkeys(key for values in flat for key in values if key != "name")
    return {
        key: [flow_yaml(values[key]) if key in values else "–" for values in flat]
        for key in keys
        if any(values.get(key) != flat[0].get(key) for values in flat)
    }


def _learning_curves(run: RunReport) -> list[tuple[str, Markup]]:
    """Draw the metrics over epochs: (caption, chart)."""
    rows = run.epochs
    mark = run.best_epoch if len(rows) > 1 else None
    drawn: list[tuple[str, Markup]] = []
    for caption, label, keys in CURVES:
        lines = {
            key.replace("_", " ").replace("val ", "validation "): line
            for key, line in charts.metric_lines(rows, keys).items()
        }
        if caption == "Perplexity" and drawn and drawn[-1][0] in TEXT_CURVES:
            continue  # the same curve by another scale
        if lines and caption in TEXT_CURVES and not run.data_error:
            baseline = texts.ngram_line(run, keys[0])
            if baseline is not None:
                epochs = [row["epoch"] for row in rows]
                lines[baseline[0]] = epochs, [baseline[1]] * len(epochs)
        if lines:
            log = caption == "Loss"
            drawn.append((caption, charts.curves(f"{caption} by epoch", lines, label, log, mark)))
    if len({row.get("lr") for row in rows}) > 1:
        lines = charts.metric_lines(rows, ["lr"])
        chart = charts.curves("Learning rate by epoch", lines, "learning rate")
        drawn.append(("Learning rate", chart))
    rows = [row for row in rows if row.get("gradient_norms")]
    if rows:
        norms = [{"epoch": row["epoch"], **row["gradient_norms"]} for row in rows]
        layers = list(rows[0]["gradient_norms"])
        # The first layer, the last, and some between.
        some = np.linspace(0, len(layers) - 1, MAX_GRADIENT_LAYERS).round().astype(int)
        lines = charts.metric_lines(norms, [layers[i] for i in np.unique(some)])
        chart = charts.curves("Gradient norm of each layer", lines, "norm", True)
        drawn.append(("Gradient by layer", chart))
    return drawn


def _classification_parts(run: RunReport) -> dict[str, Any]:
    """Return the confusions, the calibration and the most confident errors."""
    predictions = run.predictions
    labels, classes, targets = predictions.names, predictions.classes, predictions.targets
    assert targets is not None
    errors = predictions.most_confident_errors
    return {
        "confusions": _frequent_confusions(run.result),
        **reliability_parts(run),
        "num_wrong": len(errors),
        "mistakes": [
            {
                "row": row_label(run.loaded.dataset, run.split, row),
                "target": labels[targets[row]],
                "prediction": labels[classes[row]],
                "confidence": float(predictions.confidence[row]),
                "input": _show_input(run, row),
            }
            for row in errors[:MAX_MISTAKES].tolist()
        ],
    }


def _multilabel_parts(run: RunReport) -> dict[str, Any]:
    """Return the rows with a wrong label, those with the largest error first."""
    predictions, dataset = run.predictions, run.loaded.dataset
    assert predictions.targets is not None
    errors = predictions.most_confident_errors
    shown = errors[:MAX_MISTAKES]
    actual = inspection.format_targets(dataset, torch.from_numpy(predictions.targets[shown]))
    return {
        "num_wrong": len(errors),
        "mistakes": [
            {
                "row": row_label(dataset, run.split, row),
                "target": text,
                "prediction": inspection.list_labels(predictions.label_sets[row]),
                "input": _show_input(run, row),
            }
            for row, text in zip(shown.tolist(), actual, strict=True)
        ],
    }


def _frequent_confusions(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the most frequent pairs of different classes: {count, target, prediction, cell}."""
    labels, counts = result["labels"], np.array(result["confusion_matrix"])
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:MAX_CONFUSIONS]
    pairs = [divmod(int(i), len(labels)) for i in order]
    return [
        {
            "count": int(counts[i, j]),
            "target": labels[i],
            "prediction": labels[j],
            "cell": f"{i},{j}",
        }
        for i, j in pairs
        if counts[i, j]
    ]


def _value_parts(run: RunReport) -> dict[str, Any]:
    """Return the charts and the largest errors of a regression, or of the first output of a forecast."""
    dataset, spec, predictions = run.loaded.dataset, run.spec, run.predictions
    values, targets, name = predictions.values, predictions.targets, spec.targets[0]
    assert targets is not None
    parts: dict[str, Any] = {"forecasts": None, "error_by_step": None}
    if isinstance(dataset.splits[run.split], WindowSplit):
        parts["forecasts"] = describe_forecasts(dataset, run.split, predictions, name)
    if spec.horizon > 1:
        # Outputs are ordered by step, then by target.
        rmse = [output["rmse"] for output in run.result["per_output"]]
        steps, count = range(1, spec.horizon + 1), len(spec.targets)
        errors: dict[str, charts.Line] = {
            target: (steps, rmse[i::count]) for i, target in enumerate(spec.targets)
        }
        parts["error_by_step"] = charts.error_by_step(errors)
    names = [name] if spec.horizon > 1 else spec.targets
    parts["outputs"] = [
        (
            name,
            charts.scatter(targets[:, i], values[:, i], name),
            charts.residuals(values[:, i] - targets[:, i], name),
        )
        for i, name in enumerate(names[:MAX_OUTPUTS])
    ]
    parts["more_outputs"] = len(names) - len(parts["outputs"])
    parts["mistakes"] = [
        {
            "row": row_label(dataset, run.split, row),
            "target": _format_values(names, targets[row]),
            "prediction": _format_values(names, values[row]),
            "input": _show_input(run, row),
        }
        for row in predictions.largest_errors[:MAX_MISTAKES].tolist()
    ]
    return parts


def _format_values(names: list[str], values: Any) -> str:
    """A value for a page, or several with their names, as many as there are charts."""
    if len(names) == 1:
        return format_metric(float(values[0]))
    shown = zip(names[:MAX_OUTPUTS], values.tolist(), strict=False)
    return ", ".join(f"{shorten(name)} {format_metric(value)}" for name, value in shown)


def _show_input(run: RunReport, row: int) -> dict[str, Any]:
    """Return one input as a page can show it: "image", "curve", or "columns" with their values."""
    inputs, _ = run.loaded.raw(run.split, torch.tensor([row]))
    (raw,) = single_rows(inputs)
    kind = run.spec.input.kind
    if kind == "image":
        return {"image": _image_url(raw[0], max_pixel_value(run.network))}
    if kind == "series" and run.spec.task != "forecasting":
        return {"curve": charts.recording(raw[0].cpu().numpy())}
    if kind == "series":
        return {"curve": charts.sparkline(raw[0, :, 0].cpu().numpy())}
    if kind == "tokens":
        return {"text": texts.marked_texts(run.network, inputs)[0]}
    columns = {}
    for column, value in zip(run.spec.columns, raw[0].tolist(), strict=True):
        if column.categories is None:
            columns[column.name] = format_metric(value)
        else:
            known = 0 <= value < len(column.categories)
            columns[column.name] = column.categories[int(value)] if known else "–"
    return {"columns": dict(list(columns.items())[:MAX_COLUMNS])}


def _image_url(image: Tensor, max_value: float) -> str:
    array = (draw.to_display(image, max_value) * 255).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG", optimize=True)
    return data_url(file.getvalue())


def _inspection_figures(run: RunReport) -> list[tuple[str, str]]:
    """Draw the figures of `nnzoo inspect`: (data URL, caption)."""
    dataset = run.loaded.dataset
    labels = None
    if run.spec.input.per_step:
        raw: Any = inspection.running_text(run.loaded, run.split, [])
    else:
        rows = inspection.representative_rows(dataset, run.split)
        raw, targets = run.loaded.raw(run.split, rows)
        labels = inspection.format_targets(dataset, targets)
    # Attributions of texts are shown as text.
    left_out = (LEFT_OUT, "attributions") if run.spec.input.kind == "tokens" else LEFT_OUT
    return [
        (data_url(draw.png(figure.figure)), figure.caption)
        for figure in inspection.make_figures(run.network, raw, labels)
        if not figure.stem.startswith(left_out)
    ]
