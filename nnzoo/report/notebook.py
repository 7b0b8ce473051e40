"""HTML of a training in a notebook: its state, its notes, and its learning curves."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from nnzoo.report import charts
from nnzoo.text import labeled

# The CSS variables of the charts, in the light colors of the report.
_COLORS = "--ink: #1f2933; --line: #d8dee4; --paper: #ffffff; --c1: #2563eb; --c2: #d9480f"
_CURVES = (
    ("loss", ("train_loss", "val_loss")),
    ("accuracy", ("train_accuracy", "val_accuracy")),
    ("exact match", ("train_exact_match", "val_exact_match")),
    ("rmse", ("val_rmse",)),
)


def training_html(
    title: str, notes: list[str], rows: list[dict[str, Any]], best_epoch: int | None
) -> str:
    """Return a fragment of HTML. rows: those of metrics.jsonl; best_epoch: marked in the curves."""
    parts = [f"<b>{escape(title)}</b>", *(f"<div>{escape(labeled(note))}</div>" for note in notes)]
    drawings: list[Markup] = []
    for name, keys in _CURVES:
        lines = {
            key.replace("_", " "): line for key, line in charts.metric_lines(rows, keys).items()
        }
        if lines:
            drawings.append(charts.curves(f"{name} by epoch", lines, name, mark=best_epoch))
    frame = "width: 340px; background: #ffffff"
    figures = "".join(f'<div style="{frame}">{drawing}</div>' for drawing in drawings)
    parts.append(f'<div style="display: flex; flex-wrap: wrap; {_COLORS}">{figures}</div>')
    return "".join(map(str, parts))
