"""Runs to one HTML page: what was trained on what, what came out, where it fails, what it looks like
inside, and the commands that repeat it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import torch
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from nnzoo import __version__
from nnzoo.config import RunConfig
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.train_options import higher_is_better
from nnzoo.config.yaml_parser import MAX_BYTES
from nnzoo.data.dataset import WindowSplit
from nnzoo.errors import CheckpointError, DataError
from nnzoo.evaluation import diagnostics
from nnzoo.file_io import read_plain
from nnzoo.inspect import draw, inspection
from nnzoo.inspect.images import pictures
from nnzoo.predict.images import levels
from nnzoo.report import charts, summary
from nnzoo.report.forecasts import describe_forecasts, row_label
from nnzoo.report.predictions import Compared, answers, calibration
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_dir import Folder
from nnzoo.text import format_metric, format_percent

MAX_MATRIX = 26
MAX_MISTAKES = 12
MAX_COLUMNS = 12
# Too much for a page: every layer's channels, of which `nnzoo inspect` writes files.
NOT_SHOWN = "layer-"


@dataclass
class RunFacts:
    """A run folder, opened; what needs the data is there where they are."""

    folder: Folder
    trained: LoadedRun

    @classmethod
    def of(cls, path: Path, device: torch.device, sets: list[str] | None = None) -> RunFacts:
        """Raises CheckpointError where it is no run folder with a best.pt."""
        if not path.is_dir():
            raise CheckpointError(f"{path} is not a run folder; give one, such as checkpoints/cnn")
        return cls(Folder(path), LoadedRun.open(path, device, "best", sets))

    @property
    def name(self) -> str:
        return self.trained.network.config.name

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return self.folder.rows()

    @cached_property
    def missing(self) -> str:
        """Why the data are not there; "" where they are."""
        try:
            self.trained.read()
        except DataError as error:
            return str(error)
        return ""

    @cached_property
    def split(self) -> str:
        return inspection.split_to_look_at(self.trained.dataset)

    @cached_property
    def result(self) -> dict[str, Any]:
        return self.trained.measure(self.split)

    @cached_property
    def answers(self) -> Compared:
        return answers(self.trained, self.split)

    @cached_property
    def best_epoch(self) -> int:
        """The epoch of the weights in best.pt."""
        return self.folder.best_epoch() or 0


def one_run(run: RunFacts) -> str:
    """The page of a run."""
    network = run.trained.network
    parts: dict[str, Any] = {
        "title": run.name,
        "run": run,
        "facts": summary.facts(run),
        "data_notes": summary.data_notes(run),
        "remarks": summary.remarks(run),
        "curves": _curves(run),
        "config": shown_file(run.folder.config),
        "commands": summary.commands(run),
        "missing": run.missing,
        "date": summary.written_on(run.folder.best),
        "sentence": "" if run.missing else summary.in_words(run),
    }
    if not run.missing:
        look = diagnostics.look_at(network, run.trained.prepared(run.split), inspection.LOOKED)
        parts |= {
            "result": run.result,
            "headline": summary.headline(run.result),
            "metrics": summary.metric_rows(run.result),
            "layers": look.layers,
            "findings": [str(each) for each in diagnostics.diagnose(look, network.config)],
            "time": charts.gradient_over_time(look.time_gradients) if look.time_gradients else None,
            "pictures": _pictures(run),
        }
        parts |= _classes(run) if network.task.is_classification else _numbers(run)
    return render("run.html", parts)


def shown_file(path: Path) -> str:
    """A config as it stands, to be shown and no more; "" where there is none, or a link."""
    try:
        data = b"" if path.is_symlink() else read_plain(path, MAX_BYTES + 1)
    except OSError:
        return ""
    return data.decode("utf-8", "replace") if len(data) <= MAX_BYTES else ""


def several_runs(runs: list[RunFacts]) -> str:
    """The page of some runs beside each other."""
    names = _names(runs)
    configs = [run.trained.network.config for run in runs]
    keys: dict[str, list[str]] = {}
    for i, config in enumerate(configs):
        for key, (first, other) in _differing(configs[0], config).items():
            keys.setdefault(key, [first] * len(runs))[i] = other
    results = [None if run.missing else run.result for run in runs]
    shown = ["accuracy", "auc", "f1_macro", "rmse", "mae", "r2", "loss"]
    metrics = [m for m in shown if any(result and m in result for result in results)]
    table = []
    for name, run, result in zip(names, runs, results, strict=True):
        row: dict[str, Any] = {"name": name, "folder": str(run.folder.path), "result": result or {}}
        row["facts"] = dict(summary.facts(run))
        row["baseline"] = result["baseline"] if result else {}
        table.append(row)
    best = {m: _best([result.get(m) if result else None for result in results], m) for m in metrics}
    epochs: list[list[float]] = [[row["epoch"] for row in run.rows] for run in runs]
    overlays = []
    for key, label, log in (("val_loss", "validation loss", True), ("val_accuracy", "validation accuracy", False),
                            ("train_loss", "training loss", True)):  # fmt: skip
        lines: dict[str, charts.Line] = {
            name: (x, [charts.value(row.get(key)) for row in run.rows])
            for name, x, run in zip(names, epochs, runs, strict=True)
            if any(key in row for row in run.rows)
        }
        if lines:
            overlays.append((label, charts.curves(label.capitalize(), lines, label, log)))
    return render("runs.html", {
        "title": f"{len(runs)} runs", "names": names, "table": table, "metrics": metrics, "best": best,
        "differing": keys, "curves": overlays,
        "missing": {name: run.missing for name, run in zip(names, runs, strict=True) if run.missing},
    })  # fmt: skip


def render(template: str, parts: dict[str, Any], **filters: Callable[[Any], str]) -> str:
    """A template with its parts; filters: what it calls beside `number` and `percent`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nnzoo.report", "templates"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": format_metric, "percent": format_percent} | filters
    defaults: dict[str, Any] = {"version": __version__, "result": None}
    return environment.get_template(template).render(defaults | parts)


def _names(runs: list[RunFacts]) -> list[str]:
    """The runs' names; their folders where names come twice."""
    names = [run.name for run in runs]
    return [str(run.folder.path) if names.count(run.name) > 1 else run.name for run in runs]


def _best(values: list[Any], metric: str) -> list[int]:
    """The places of the best of some values; none where there is nothing to compare: a loss is in
    units of its own."""
    there = [value for value in values if isinstance(value, float)]
    if len(there) < 2 or metric == "loss":
        return []
    best = max(there) if higher_is_better(metric) else min(there)
    return [i for i, value in enumerate(values) if value == best]


def _shown(values: dict[str, Any], key: str) -> str:
    """A config's value as a file has it."""
    return flow_yaml(values[key]) if key in values else "–"


def _differing(first: RunConfig, other: RunConfig) -> dict[str, tuple[str, str]]:
    """The keys in which two configurations differ, with both values as text."""
    before, after = first.flat(), other.flat()
    return {
        key: (_shown(before, key), _shown(after, key))
        for key in dict.fromkeys([*before, *after])
        if key != "name" and before.get(key) != after.get(key)
    }


def _curves(run: RunFacts) -> list[tuple[str, Markup]]:
    rows = run.rows
    if not rows:
        return []
    epochs = [row["epoch"] for row in rows]

    def lines(*keys: str) -> dict[str, Any]:
        return {
            key.replace("_", " ").replace("val ", "validation "): (epochs, [charts.value(r.get(key)) for r in rows])
            for key in keys if any(key in row for row in rows)
        }  # fmt: skip

    mark = run.best_epoch if len(rows) > 1 else None
    found = [
        (
            "Loss",
            charts.curves("Loss by epoch", lines("train_loss", "val_loss"), "loss", True, mark),
        )
    ]
    for keys, name in ((("train_accuracy", "val_accuracy"), "Accuracy"), (("val_rmse",), "Error")):
        if got := lines(*keys):
            label = "accuracy" if name == "Accuracy" else "validation rmse"
            found.append((name, charts.curves(f"{name} by epoch", got, label, mark=mark)))
    if len({row.get("lr") for row in rows}) > 1:
        chart = charts.curves("Learning rate by epoch", lines("lr"), "learning rate")
        found.append(("Learning rate", chart))
    looked = [row for row in rows if row.get("gradient_norms")]
    if looked:
        layers = list(looked[0]["gradient_norms"])
        # Of many layers the first, the last, and some between.
        few = [layers[i] for i in sorted({round(i * (len(layers) - 1) / 7) for i in range(8)})]
        got = {name: ([r["epoch"] for r in looked], [charts.value(r["gradient_norms"].get(name)) for r in looked])
               for name in few}  # fmt: skip
        found.append(
            ("Gradient by layer", charts.curves("Gradient norm of each layer", got, "norm", True))
        )
    return found


def _classes(run: RunFacts) -> dict[str, Any]:
    """What there is to say of classes."""
    result, given = run.result, run.answers
    labels = result["labels"]
    matrix = None
    if len(labels) <= MAX_MATRIX:
        most = [max(1, sum(row)) for row in result["confusion_matrix"]]
        matrix = [
            (labels[i], [(count, count / most[i], i == j) for j, count in enumerate(row)])
            for i, row in enumerate(result["confusion_matrix"])
        ]
    reliable = calibration(given)
    return {
        "kind": "classes",
        "matrix": matrix,
        "confusions": _confusions(result),
        "mistakes": [_mistake(run, row) for row in given.wrong[:MAX_MISTAKES].tolist()],
        "wrong": len(given.wrong),
        "calibration": charts.calibration(reliable["bins"]),
        "calibration_error": reliable["error"],
    }


def _confusions(result: dict[str, Any]) -> list[tuple[int, str, str]]:
    """The commonest mistakes: count, truth, answer."""
    labels, counts = result["labels"], np.array(result["confusion_matrix"])
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:8]
    pairs = [divmod(int(place), len(labels)) for place in order]
    return [(int(counts[i, j]), labels[i], labels[j]) for i, j in pairs if counts[i, j]]


def _mistake(run: RunFacts, row: int) -> dict[str, Any]:
    given = run.answers
    assert given.sure is not None
    labels = run.trained.dataset.spec.labels
    return {
        "row": f"row {row}",
        "truth": labels[int(given.truth[row])],
        "answer": labels[int(given.answer[row])],
        "sure": float(given.sure[row]),
    } | _input(run, row)


def _input(run: RunFacts, row: int) -> dict[str, Any]:
    """One input as what a page can show: "picture", "curve", or "columns" with their values."""
    network = run.trained.network
    raw, _ = run.trained.raw(run.split, torch.tensor([row]))
    kind = network.preprocess.input_spec.kind
    if kind == "image":
        return {"picture": _pixels(raw[0], levels(network))}
    if kind == "series":
        return {"curve": charts.spark(raw[0, :, 0].cpu().numpy())}
    values = []
    for column, value in zip(network.data_spec.columns, raw[0].tolist(), strict=True):
        if column.categories is not None:
            known = 0 <= value < len(column.categories)
            text = column.categories[int(value)] if known else "–"
        else:
            text = format_metric(value)
        values.append((column.name, text))
    return {"columns": values[:MAX_COLUMNS]}


def _pixels(image: Tensor, top: float) -> str:
    """An image as a data URL."""
    array = (draw.to_picture(image, top) * 255).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG", optimize=True)
    return _data_url(file.getvalue())


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _numbers(run: RunFacts) -> dict[str, Any]:
    """What there is to say of numbers."""
    given, network = run.answers, run.trained.network
    targets = network.data_spec.targets
    steps = network.data_spec.horizon
    name = targets[0] + (f", {steps} steps at once, the first of them" if steps > 1 else "")
    parts: dict[str, Any] = {"kind": "numbers", "forecasts": None, "horizon": None}
    if isinstance(run.trained.dataset.splits[run.split], WindowSplit):
        parts["forecasts"] = describe_forecasts(run.trained.dataset, run.split, given, targets[0])
    if steps > 1:
        each = [{"target": output["name"].rpartition("+")[0], "step": int(output["name"].rpartition("+")[2]),
                 "rmse": output["rmse"]} for output in run.result["per_output"]]  # fmt: skip
        parts["horizon"] = charts.horizon(each)
    first = given.answer[:, 0] - given.truth[:, 0]
    parts["scatter"] = charts.scatter(given.truth[:, 0], given.answer[:, 0], targets[0])
    parts["residuals"] = charts.residuals(first, targets[0])
    parts["mistakes"] = [
        {
            "row": row_label(run.trained.dataset, run.split, row),
            "truth": format_metric(float(given.truth[row, 0])),
            "answer": format_metric(float(given.answer[row, 0])),
        }
        | _input(run, row)
        for row in given.farthest[:MAX_MISTAKES].tolist()
    ]
    parts["target"] = name
    return parts


def _pictures(run: RunFacts) -> list[tuple[str, str]]:
    """What `nnzoo inspect` draws, as data URLs with what each shows."""
    dataset = run.trained.dataset
    raw, targets = run.trained.raw(run.split, inspection.telling_rows(dataset, run.split))
    found = []
    for picture in pictures(run.trained.network, raw, inspection.truth_of(dataset, targets)):
        if not picture.stem.startswith(NOT_SHOWN):
            found.append((_data_url(draw.png(picture.figure)), picture.caption))
    return found
