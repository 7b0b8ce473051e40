"""How a notebook shows a run: its state, its notes, and its curves."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from nnzoo.report import charts

# The colours of the report's page, which its style sheet defines.
_COLOURS = "; ".join(
    f"--{name}: {colour}"
    for name, colour in {
        "ink": "#1f2933", "line": "#d8dee4", "paper": "#ffffff", "c1": "#2563eb", "c2": "#d9480f",
    }.items()
)  # fmt: skip
_CURVES = (
    ("loss", ("train_loss", "val_loss")),
    ("accuracy", ("train_accuracy", "val_accuracy")),
    ("rmse", ("val_rmse",)),
)


def training_html(
    title: str, notes: list[str], rows: list[dict[str, Any]], best_epoch: int | None
) -> str:
    """A fragment of HTML. rows: one per epoch, as in metrics.jsonl; best_epoch: marked in the curves."""
    parts = [f"<b>{escape(title)}</b>", *(f"<div>{escape(note)}</div>" for note in notes)]
    drawings: list[Markup] = []
    epochs = [row["epoch"] for row in rows]
    for name, keys in _CURVES:
        lines: dict[str, charts.Line] = {
            key.replace("_", " "): (epochs, [charts.value(row.get(key)) for row in rows])
            for key in keys
            if any(key in row for row in rows)
        }
        if lines:
            drawings.append(charts.curves(f"{name} by epoch", lines, name, mark=best_epoch))
    frame = "width: 340px; background: #ffffff"
    pictures = "".join(f'<div style="{frame}">{drawing}</div>' for drawing in drawings)
    parts.append(f'<div style="display: flex; flex-wrap: wrap; {_COLOURS}">{pictures}</div>')
    return "".join(map(str, parts))
