"""Walk-throughs of runs: figures against those of nnzoo eval, in both languages, with data and without."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from nnzoo.explain import describe_result, walk_run
from nnzoo.explain.walk import Walk, render
from nnzoo.explain.wrap import columns_of
from nnzoo.report.run_report import RunReport
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_dir import RunDir
from tests.target_data import target_data
from tests.text_data import PLAY, TEXT_MODELS
from tests.zoo import begin, config, finish

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two runs, trained once: `classes` and `numbers`."""
    out = tmp_path_factory.mktemp("runs")
    chosen = config("cnn", "image", name="classes", optim={"lr": 0.01})
    finish(begin(chosen, out))
    numbers = {"name": "mlp", "hidden": [8]}
    few = {"eval": {"baselines": ["linear", "mean"]}, "train": {"epochs": 8}}
    finish(begin(config(numbers, "table_number", name="numbers", **few), out))
    return out


def walked(path: Path, sets: list[str] | None = None) -> Walk:
    walk = walk_run.walk_run(path, CPU, sets)
    for language in ("en", "zh"):
        lines = render(walk, language, 90)
        assert all(columns_of(line) <= 90 or "nnzoo " in line for line in lines)
    json.dumps(walk.figures)
    return walk


def text(walk: Walk) -> str:
    return "\n".join(render(walk, "en", 10_000))


def test_classes(trained: Path) -> None:
    walk = walked(trained / "classes")
    expected = LoadedRun.open(trained / "classes", CPU).measure()
    result, errors = walk.figures["result"], walk.figures["errors"]
    assert result["accuracy"] == expected["accuracy"] and result["n"] == expected["n"]
    matrix = np.array(expected["confusion_matrix"])
    wrong = matrix - np.diag(np.diag(matrix))
    assert errors["count"] == wrong.max() and errors["errors"] == wrong.sum()
    assert matrix[int(errors["truth"]), int(errors["taken"])] == errors["count"]
    recalls = {entry["label"]: entry["recall"] for entry in expected["per_class"]}
    assert recalls[errors["worst_class"]] == min(recalls.values())
    report = text(walk)
    assert (
        f"{100 * expected['accuracy']:.1f} % of {expected['n']} rows are predicted correctly"
        in report
    )
    assert "than majority class" in report and "nnzoo report" in report and "nnzoo watch" in report
    assert walk.figures["training"]["epochs"] == 2 and "Training took" in report
    assert "the number of epochs is about right" not in report


def test_numbers(trained: Path) -> None:
    walk = walked(trained / "numbers")
    expected = LoadedRun.open(trained / "numbers", CPU).measure()
    result, errors = walk.figures["result"], walk.figures["errors"]
    assert result["rmse"] == expected["rmse"]
    low, high = result["rmse_ci95"]
    # The interval is that of the mean squared error, by the deviation of squares.
    half = (high**2 - low**2) / 2
    assert (high**2 + low**2) / 2 == pytest.approx(expected["mse"]) and half > 0
    assert abs(errors["predicted"] - errors["actual"]) > errors["typical"]
    assert 0.1 < errors["largest_tenth"] <= 1 and "R²" in text(walk)
    assert {"W20", "W21"} & set(walk.figures["codes"]) and "--seeds 5" in text(walk)


def test_an_interval_of_squared_errors_covers_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        squares = draw.normal(size=200) ** 2
        half = describe_result.NORMAL_95 * squares.std(ddof=1) / math.sqrt(200)
        hits += abs(squares.mean() - 1) < half
    assert 0.91 < hits / 400 < 0.97


@pytest.mark.parametrize("kind", ["labels", "language_model", "series"])
def test_other_tasks(kind: str) -> None:
    if kind == "labels":
        chosen = config("mlp", target_data("labels"))
    elif kind == "series":
        chosen = config("rnn", "series")
    else:
        Path("play.txt").write_text(PLAY * 8)
        data = {"name": "corpus", "path": "play.txt", "window": 8, "tokens": "characters"}
        chosen = config(TEXT_MODELS["lstm"], data)
    finish(begin(chosen))
    walk = walked(Path("out/run"))
    key = {"labels": "worst_label", "series": "actual", "language_model": ""}[kind]
    assert not key or key in walk.figures["errors"]
    assert ("The gradient at the first time steps is" in text(walk)) == (kind != "labels")
    assert ("rmse_ci95" in walk.figures["result"]) is False


def test_data_that_is_gone_leaves_what_the_run_recorded(trained: Path) -> None:
    Path("table.csv").write_text("a,b,y\n" + "".join(f"{i},{i % 3},{i % 5}.5\n" for i in range(40)))
    data = {"name": "csv", "path": "table.csv", "target": "y", "split": {"val": 0}}
    run = begin(config({"name": "mlp", "hidden": [4]}, data))
    finish(run)
    run.finish()
    Path("table.csv").rename("moved.csv")
    walk = walked(Path("out/run"))
    report = text(walk)
    assert "The data cannot be read here" in report and "rmse: " in report
    assert "The weights are those of epoch 2" in report and "validation loss" not in report
    assert "result" not in walk.figures and "table.csv" in walk.figures["missing"]
    assert "result" in walked(Path("out/run"), ["data.path=moved.csv"]).figures


@pytest.mark.parametrize(
    ("run", "curve", "code", "advice"),
    [
        ("numbers", [1.0, 0.5, 2.0], "W10", "-s model.dropout=0.3"),
        ("classes", [1.0, 0.5, 2.0], "W10", "-s optim.weight_decay=0.01"),
        ("classes", [3.0, 2.0, 1.0], "W11", "-s train.epochs=4"),
        ("classes", [1.0, 0.5, 0.5], "", "the number of epochs is about right"),
        ("classes", [1.0, 0.5, 0.53], "", "the validation loss rose by 6 %"),
    ],
)
def test_codes_of_the_curves_bring_advice(
    trained: Path, run: str, curve: list[float], code: str, advice: str
) -> None:
    shutil.copytree(trained / run, "copy")
    file = RunDir(Path("copy")).metrics
    row = json.loads(file.read_text().splitlines()[0])
    lines = [
        json.dumps(row | {"epoch": i + 1, "val_loss": loss, "train_loss": 1 / (i + 1)})
        for i, loss in enumerate(curve)
    ]
    file.write_text("\n".join(lines) + "\n")
    walk = walked(Path("copy"))
    assert advice in text(walk)
    assert [c for c in walk.figures["codes"] if c in ("W10", "W11")] == [code] * bool(code)


@pytest.mark.parametrize(
    ("last", "best", "is_best", "key"),
    [
        (0.5, 0.5, True, "went.open"),
        (0.5, 0.5, False, "went.steady"),
        (0.53, 0.5, False, "went.rose"),
    ],
)
def test_a_last_epoch_that_is_the_best_does_not_say_that_training_was_long_enough(
    last: float, best: float, is_best: bool, key: str
) -> None:
    section = Mock()
    walk_run._add_settled(section, last, best, is_best)
    assert section.add.call_args.args[0] == key


def test_warnings_of_training_and_their_layers_are_listed(trained: Path) -> None:
    folder = Path("classes")
    shutil.copytree(trained / "classes", folder)
    lines = [
        {"epoch": 1, "code": "W02", "kind": "dead", "layer": "features.1", "message": "…"},
        {"epoch": 2, "code": "W01", "kind": "exploding", "layer": "", "message": "…"},
        {"epoch": 3, "code": 5},
        {"epoch": 4, "code": "W99", "layer": "x"},
        {"epoch": 5, "code": ["W01"]},
        {"epoch": 6, "code": "W03", "layer": "\x1b[31mred {0} \n" + "y" * 999},
    ]
    RunDir(folder).warnings.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    walk = walked(folder)
    assert walk.figures["codes"][:3] == ["W02", "W01", "W03"]
    assert "\x1b" not in text(walk) and "y" * 99 not in text(walk)
    assert "Warning in epoch 1, at features.1" in text(walk)


def test_a_checkpoint_alone_and_a_group(trained: Path) -> None:
    shutil.copy(trained / "classes" / "best.pt", "alone.pt")
    report = text(walked(Path("alone.pt")))
    assert "no record of its epochs" in report and "nnzoo report" not in report
    assert "nnzoo inspect alone.pt" in report


def test_the_command(nnzoo: Any, trained: Path) -> None:
    done = nnzoo("explain", trained / "classes", "--lang", "zh")
    assert done.code == 0 and "最常见的混淆" in done.out
    assert nnzoo("explain", trained / "classes", "--json").json["model"] == "cnn"


def test_a_group_is_walked_through_as_one(nnzoo: Any) -> None:
    words = ["-s", "train.epochs=1", "-s", "model.hidden=[4]", "-s", "eval.baselines=[majority]"]
    assert nnzoo("train", "mlp", "--seeds", "2", "-v", "0", *words).code == 0
    (folder,) = Path("checkpoints").iterdir()
    walk = walked(folder)
    report = text(walk)
    assert "a group of 2 runs" in report and "layers" not in walk.figures
    assert "nnzoo inspect" not in report and walk.figures["result"]["accuracy"] > 0
    assert "majority class: accuracy" in report


def test_trained_weights_dead_units_and_origins_are_described(trained: Path) -> None:
    folder = Path("classes")
    shutil.copytree(trained / "classes", folder)
    file = folder / "config.yaml"
    file.write_text(file.read_text() + "  started_from: {path: checkpoints/before}\n")
    loaded = LoadedRun.open(folder, CPU)
    with torch.no_grad():
        loaded.network.model.get_parameter("features.0.bias").fill_(-1e3)
    report = RunReport(RunDir(folder), loaded)
    walk = walk_run._RunWalk(report, folder).walk()
    lines = text(walk)
    assert walk.figures["layers"]["dead"]["features.2"] == 4 and "W02" in walk.figures["codes"]
    assert "4 of 4 units give the same output" in lines and "Many dead units:" in lines
    assert "started from the weights in checkpoints/before" in lines
