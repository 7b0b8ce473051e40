"""Tables of results, layers and groups in a terminal: nothing is cut, 80 columns are enough."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nnzoo.console import print_columns
from nnzoo.console.tables import print_group, print_layers, print_result

Nnzoo = Callable[..., Any]


@pytest.fixture
def tiny() -> str:
    Path("tiny.yaml").write_text(
        "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1, early_stopping: null}\n"
    )
    return "tiny.yaml"


def narrow(width: int = 80) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=width, force_terminal=True, color_system=None), stream


def test_a_table_leaves_columns_out_and_cuts_no_cell() -> None:
    columns = {
        "layer": ["a.long.name"],
        "mean": ["0.123456789"],
        "std": ["0.987654321"],
        "type": ["Conv2d"],
    }
    terminal, stream = narrow(40)
    print_columns(terminal, columns, drop=("mean", "std"), left=("layer", "type"))
    assert stream.getvalue() == (
        "layer                std  type  \n"
        "a.long.name  0.987654321  Conv2d\n"
        "no room here for: mean\n"
    )
    pipe = Console(file=(stream := io.StringIO()), width=40)
    print_columns(pipe, columns, drop=("mean", "std"))
    assert "0.123456789" in stream.getvalue() and "no room" not in stream.getvalue()


def test_a_table_that_cannot_fit_wraps_its_names_without_a_loss() -> None:
    terminal, stream = narrow(30)
    print_columns(terminal, {"run": ["x" * 50], "state": ["complete"]}, drop=(), left=("run",))
    text = stream.getvalue()
    assert text.count("x") == 50 and "…" not in text and "complete" in text


def test_layers_fit_80_columns(nnzoo: Nnzoo) -> None:
    layers = nnzoo("train", "cnn", "--dry-run", "--json").json["layers"]
    for layer in layers:  # as `inspect` has them
        layer |= {"gradient": 1.25e-3} if layer["parameters"] else {}
    terminal, stream = narrow()
    print_layers(terminal, layers)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in stream.getvalue()
    assert lines[-1] == "no room here for: mean, std, weight"
    for layer in layers:
        assert any(line.startswith(f"{layer['name']} ") for line in lines)


def test_weighted_metrics_are_beside_the_others() -> None:
    terminal, stream = narrow()
    names = ("rmse", "mae", "r2", "mse")
    result = {"task": "regression", "split": "test", "n": 9, **dict.fromkeys(names, 0.25)}
    result |= {"weighted": dict.fromkeys(names, 0.5), "baseline": {"name": "mean", "rmse": 1.0}}
    print_result(terminal, result, detail=False)
    assert stream.getvalue().splitlines()[1].split() == ["rmse", "0.2500", "0.5000", "1.0000"]


def test_a_confusion_matrix_of_long_names_has_numbers_at_its_head() -> None:
    labels = [f"a rather long class name {i}" for i in range(6)]
    result = {
        "split": "test",
        "n": 6,
        "task": "classification",
        "labels": labels,
        "accuracy": 1.0,
        "accuracy_ci95": [0.5, 1.0],
        "baseline": {
            "name": "majority class",
            "label": labels[0],
            "accuracy": 0.2,
            "comparison": {
                "metric": "accuracy",
                "difference": 0.8,
                "verdict": "network",
                "p_value": 0.01,
            },
        },
        "per_class": [
            {
                "label": label,
                "precision": 1.0,
                "recall": 1.0,
                "f1": 1.0,
                "support": 1,
                "tp": 1,
                "fp": 0,
                "fn": 0,
                "tn": 5,
            }
            for label in labels
        ],
        "confusion_matrix": [[int(i == j) for j in range(6)] for i in range(6)],
    }
    terminal, stream = narrow()
    print_result(terminal, result, detail=True)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert re.search(r"^3 a rather long class name 2 +· +· +1 +· +· +·", text, re.M)


def test_a_group_shows_its_baseline_and_fits_80_columns(nnzoo: Nnzoo, tiny: str) -> None:
    named = "eval.baselines=[majority]"
    end = nnzoo("train", tiny, "--seeds", "2", "--json", "-s", named).lines[-1]
    (baseline,) = end["summary"]["baselines"]
    single = nnzoo("eval", "checkpoints/tiny-seeds/seed-0", "--json").json["baseline"]
    assert baseline["name"] == single["name"]
    assert baseline["accuracy"]["mean"] == single["accuracy"]
    terminal, stream = narrow()
    print_group(terminal, end)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert "majority class, the best baseline, against each seed on the same test rows" in text
    assert "95 % CI low" in text and re.search(r"^majority class .* 0\.1", text, re.M)
