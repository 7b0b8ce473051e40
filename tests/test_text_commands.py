"""Every command on text: classes and numbers by all networks, and language models."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nnzoo as zoo
from tests.text_data import PLAY, TEXT_MODELS, texts

pytestmark = pytest.mark.usefixtures("no_figure_layout")

NNZOO = Callable[..., Any]
LANGUAGE = {"name": "gru", "hidden_size": 8, "embedding": 4}


def write_config(model: dict[str, Any], target: str = "label", **more: Any) -> None:
    """Reviews with a class and a number, and a config that learns one of them."""
    made, classes = texts(60)
    with Path("reviews.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["review", "label", "stars"])
        rows.writerows(
            [f"{text} {i}", ["bad", "good"][y], 1.5 + 3 * y + i % 7 / 10]
            for i, (text, y) in enumerate(zip(made, classes, strict=True))
        )
    data = {"name": "text", "path": "reviews.csv", "text": "review", "target": target}
    tree = {"name": "run", "data": data, "model": model, "train": {"epochs": 1}}
    Path("run.yaml").write_text(json.dumps(tree | more))


def write_play(model: dict[str, Any], **more: Any) -> None:
    """A play and a config of a language model."""
    Path("play.txt").write_text(PLAY * 30)
    data = {"name": "corpus", "path": "play.txt", "window": 16, "split": {"val": 0.1, "test": 0.2}}
    tree = {"name": "run", "data": data, "model": model, "train": {"epochs": 1}}
    Path("run.yaml").write_text(json.dumps(tree | more))


def run(nnzoo: NNZOO, *words: str) -> Any:
    result = nnzoo(*words)
    assert result.code == 0, (words, result.err)
    return result


@pytest.mark.parametrize("model", TEXT_MODELS)
def test_classes_by_every_network(model: str, nnzoo: NNZOO) -> None:
    write_config(TEXT_MODELS[model])
    end = run(nnzoo, "train", "run.yaml", "--json").lines[-1]["test"]
    assert run(nnzoo, "eval", "checkpoints/run", "--json").json["loss"] == end["loss"]
    shown = run(nnzoo, "inspect", "checkpoints/run", "--row", "3", "--json").json
    assert shown["files"][0]["file"].endswith("attributions.png")
    assert shown["layers"][0]["type"].startswith("Embedding")
    run(nnzoo, "report", "checkpoints/run")
    loaded = zoo.load("checkpoints/run")
    assert loaded.evaluate()["loss"] == end["loss"]
    values = loaded.predict(["a great film", "", "\x1b[31m"]).values
    assert values.shape == (3, 2) and abs(values.sum(1) - 1).max() < 1e-6


@pytest.mark.parametrize("model", ["mlp", "cnn", "lstm"])
def test_numbers_by_networks_of_each_kind(model: str, nnzoo: NNZOO) -> None:
    write_config(TEXT_MODELS[model], "stars")
    run(nnzoo, "train", "run.yaml")
    assert "rmse" in run(nnzoo, "eval", "checkpoints/run", "--json").json
    run(nnzoo, "inspect", "checkpoints/run", "what a lovely story")
    run(nnzoo, "report", "checkpoints/run")
    page = Path("checkpoints/run/report.html").read_text()
    assert "raises the prediction" in page and "Largest errors" in page


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_language_models_by_every_recurrent_network(cell: str, nnzoo: NNZOO) -> None:
    write_play(LANGUAGE | {"name": cell})
    end = run(nnzoo, "train", "run.yaml", "--json").lines[-1]["test"]
    assert run(nnzoo, "eval", "checkpoints/run", "--json").json["loss"] == end["loss"]
    shown = run(nnzoo, "inspect", "checkpoints/run", "--json").json
    keys = {"follows", "layer", "unit", "correlation"}
    assert all(unit.keys() == keys for unit in shown["units"])
    of_file = run(nnzoo, "inspect", "checkpoints/run", "play.txt", "--out", "images")
    assert re.search("units that follow something|no unit follows", of_file.out)
    assert Path("images/gates-l0.png").exists()
    run(nnzoo, "report", "checkpoints/run")
    assert zoo.load("checkpoints/run").evaluate()["loss"] == end["loss"]


@pytest.mark.parametrize("is_writer", [False, True])
def test_groups_sweeps_and_checks(is_writer: bool, nnzoo: NNZOO) -> None:
    def write(name: str, **more: Any) -> None:
        if is_writer:
            write_play(LANGUAGE, name=name, **more)
        else:
            write_config(TEXT_MODELS["mlp"], name=name, **more)

    write("text")
    assert "Embedding" in run(nnzoo, "train", "run.yaml", "--dry-run").out
    assert "text" in run(nnzoo, "check", "run.yaml").out
    run(nnzoo, "train", "run.yaml", "--seeds", "2", "-s", "train.tensorboard=true")
    seeds = [f"checkpoints/text-seeds/seed-{i}" for i in range(2)]
    assert list(Path(seeds[0], "tensorboard").iterdir())
    run(nnzoo, "report", *seeds)
    compared = Path("report.html").read_text()
    metric = "bits_per_character" if is_writer else "accuracy"
    assert f">{metric}<" in compared
    assert re.search(rf"{metric} \d", run(nnzoo, "runs", "checkpoints/text-seeds").out)
    folds = nnzoo("train", "run.yaml", "--folds", "2")
    assert folds.code == (2 if is_writer else 0)
    write("sweep", sweep={"trials": 2, "space": {"optim.lr": [0.001, 0.01]}})
    assert "2 trials: 2 complete" in run(nnzoo, "sweep", "run.yaml").err
