"""What a report says about a run in words and in a few figures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.config import RunConfig
from nnzoo.errors import shell_word
from nnzoo.evaluation.observations import about_curves, against_baseline
from nnzoo.runs.run_dir import MAX_NOTE, MAX_NOTES
from nnzoo.text import format_metric, format_percent, shorten

if TYPE_CHECKING:
    from nnzoo.report.page import RunFacts


def written_on(file: Path) -> str:
    """The day on which a file was written."""
    return time.strftime("%Y-%m-%d", time.localtime(file.stat().st_mtime))


def in_words(run: RunFacts) -> str:
    """What the first figure means."""
    result, spec = run.result, run.trained.network.data_spec
    target = shorten(spec.target or ", ".join(spec.targets) or "the class")
    rows = f"{result['n']:,} {result['split']} rows that it did not learn from"
    if "accuracy" in result:
        right = round(result["accuracy"] * result["n"])
        return f"It predicts {target} correctly for {right:,} of {rows}."
    mean = next((each for each in result.get("baselines", []) if each["name"] == "mean"), None)
    beside = f"; always predicting the mean is off by {format_metric(mean['mae'])}" if mean else ""
    return f"Its predictions of {target} are off by {format_metric(result['mae'])} on average{beside}, on {rows}."


def facts(run: RunFacts) -> list[tuple[str, str]]:
    """What was trained on what, in lines of a table."""
    network = run.trained.network
    config, spec = network.config, network.data_spec
    seconds = sum(row.get("seconds") or 0.0 for row in run.rows)
    rates = sorted(filter(None, (row.get("samples_per_second") for row in run.rows)))
    lines = [
        (
            "network",
            f"{config.model.name}, {sum(p.numel() for p in network.model.parameters()):,} parameters",
        ),
        ("data", f"{_source(config)}, {network.preprocess.input_spec}"),
        ("rows", ", ".join(f"{count:,} {name}" for name, count in spec.num_rows.items())),
        ("task", spec.task),
    ]
    if spec.target is not None:
        lines.append(("target", shorten(spec.target)))
    if spec.labels:
        shown = ", ".join(map(shorten, spec.labels[:12])) + ", …" * (len(spec.labels) > 12)
        lines.append(("classes", f"{len(spec.labels)}: {shown}"))
    elif spec.target is None:
        ahead = f", {spec.horizon} steps ahead" if spec.horizon > 1 else ""
        lines.append(("target", ", ".join(spec.targets) + ahead))
    epochs = f"{len(run.rows)} of {config.train.epochs}" if run.rows else "unknown"
    lines.append(("epochs", f"{epochs}, best weights from epoch {run.best_epoch}"))
    lines.append(
        (
            "optimizer",
            f"{config.optim.name}, learning rate {config.optim.lr:g}, {config.optim.schedule.name}",
        )
    )
    lines.append(("computed in", f"{config.train.precision}, {config.train.threads} thread"
                  f"{'s' if config.train.threads != 1 else ''}, seed {config.seed}"))  # fmt: skip
    if rates:
        lines.append(("time", f"{seconds:,.1f} s, {rates[len(rates) // 2]:,.0f} samples/s"))
    lines.append(("data fingerprint", spec.fingerprint))
    return lines


def data_notes(run: RunFacts) -> list[str]:
    """What was guessed, left out or filled in when the run's data were read; of a run that has not
    recorded it, what reading them now tells."""
    recorded = run.folder.environment().get("data_notes")
    if isinstance(recorded, list):
        return [shorten(str(note), MAX_NOTE) for note in recorded[: MAX_NOTES + 1]]
    return [] if run.missing else list(run.trained.dataset.notes)


def _source(config: RunConfig) -> str:
    """The data's source, and the name of its file or folder."""
    path = getattr(config.data, "path", None)
    return f"{config.data.name} {Path(path).name}" if path else config.data.name


def commands(run: RunFacts) -> list[str]:
    path = run.folder.path
    return [
        f"nnzoo train --config {shell_word(path / 'config.yaml')} --out elsewhere",
        f"nnzoo eval {shell_word(path)}",
        f"nnzoo inspect {shell_word(path)}",
    ]


def remarks(run: RunFacts) -> list[str]:
    """What the curves and the result say, in words."""
    found = about_curves(run.rows, run.best_epoch, run.trained.network.config)
    return found if run.missing else found + against_baseline(run.result)


def headline(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures to see first: name, value, and what stands below it."""
    base = result["baseline"]
    name = base["name"] + (f" '{shorten(base['label'])}'" if "label" in base else "")
    if "accuracy" in result:
        low, high = result["accuracy_ci95"]
        return [
            (
                "accuracy",
                format_percent(result["accuracy"]),
                f"95 % interval {format_percent(low)} to {format_percent(high)}",
            ),
            (name, format_percent(base["accuracy"]), "baseline"),
            (
                "F1 (macro)",
                format_metric(result["f1_macro"]),
                f"{result['n']:,} {result['split']} rows",
            ),
        ]
    return [
        ("rmse", format_metric(result["rmse"]), "in the target's own units"),
        (name, format_metric(base["rmse"]), "best baseline"),
        ("r²", format_metric(result["r2"]), f"{result['n']:,} {result['split']} rows"),
    ]


def metric_rows(result: dict[str, Any]) -> dict[str, Any]:
    """Metrics of the network beside each baseline."""
    trivial = result.get("baselines") or [result["baseline"]]
    names = [
        "accuracy",
        "auc",
        "average_precision",
        "f1_macro",
        "precision_macro",
        "recall_macro",
        "top5_accuracy",
        "rmse",
        "mae",
        "r2",
        "mse",
        "loss",
    ]
    return {
        "heads": ["network", *(each["name"] for each in trivial)],
        "rows": [
            (name, [result[name], *(each.get(name) for each in trivial)])
            for name in names if name in result
        ],
    }  # fmt: skip
