"""Walk-throughs of configs: all networks and sources, in both languages, with data and without."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.config.run_config import from_dict
from nnzoo.explain import first_batch
from nnzoo.explain.walk import Walk, render
from nnzoo.explain.walk_config import walk_config
from nnzoo.explain.wrap import columns_of
from tests.target_data import target_data
from tests.text_data import PLAY, TEXT_MODELS
from tests.zoo import begin, config, finish

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_batch, "OVERFIT_SECONDS", 0.05)
    monkeypatch.setattr("nnzoo.training.autotune.SECONDS", 0.001)
    monkeypatch.setattr("nnzoo.training.autotune.ROUNDS", 1)


def walked(chosen: Any) -> Walk:
    """The walk-through, of which both languages are rendered."""
    walk = walk_config(chosen, CPU, "mine.yaml")
    for language in ("en", "zh"):
        lines = render(walk, language, 90)
        # Commands and paths are not broken.
        wide = [line for line in lines if columns_of(line) > 90]
        assert all("nnzoo " in line or max(map(len, line.split())) > 60 for line in wide)
    json.dumps(walk.figures)
    return walk


def text(walk: Walk) -> str:
    return "\n".join(render(walk, "en", 10_000))


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        ("cnn", "image", "10 classes: 0, 1, 2"),
        ("mlp", "table_number", "always predicting the mean has a root mean squared error of"),
        ("lstm", "series", "3 time steps into the future"),
        ("rnn", "sequences", "a sequence of 8 time steps with 2 values each"),
        ("gru", "image", "reads backward"),
    ],
)
def test_each_network_and_kind_of_data(model: str, data: str, expected: str) -> None:
    walk = walked(config(model, data))
    assert expected in text(walk)
    figures = walk.figures
    rows = figures["data"]["rows"]["train"]
    assert figures["training"]["steps"] == 2 * -(-rows // 64)
    assert (
        figures["time"]["seconds"] >= figures["training"]["steps"] * figures["time"]["step_seconds"]
    )
    assert len(figures["checks"]) == 6 and figures["layers"][-1]["shape"]
    assert {check["verdict"] for check in figures["checks"]} <= {"ok", "skipped", "look"}
    # Nothing is written; the cache of the tests holds compiled kernels.
    assert os.listdir() == ["cache"] and not Path("cache/tuned").exists()


def texts(model: str) -> Any:
    lines = [f'"{"good" if i % 2 else "bad"} film {i % 7}",{i % 2}' for i in range(80)]
    Path("reviews.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    data = {"name": "text", "path": "reviews.csv", "text": "text", "target": "label"}
    return config(TEXT_MODELS[model], data)


@pytest.mark.parametrize("model", ["mlp", "cnn", "lstm"])
def test_texts(model: str) -> None:
    walk = walked(texts(model))
    assert "a text of" in text(walk) and "Inputs are tokens" in text(walk)


def test_running_text() -> None:
    Path("play.txt").write_text(PLAY * 8)
    data = {"name": "corpus", "path": "play.txt", "window": 8, "tokens": "characters"}
    walk = walked(config(TEXT_MODELS["gru"] | {"bidirectional": False}, data))
    vocabulary = walk.figures["layers"][0]["details"]["vocabulary"]
    assert walk.figures["data"]["baseline_loss"] == pytest.approx(math.log(vocabulary))
    assert f"ln {vocabulary}" in text(walk)


@pytest.mark.parametrize("kind", ["labels", "numbers", "image_labels"])
def test_several_targets(kind: str) -> None:
    walk = walked(config("mlp", target_data(kind)))
    assert ("ln 2 = 0.693" in text(walk)) == ("labels" in kind)


def test_recordings_of_different_lengths(shared_data: Path) -> None:
    path = next((shared_data / "sequences").glob("JapaneseVowels*TRAIN*"), None)
    if path is None:
        pytest.skip("no recordings of different lengths")
    data = {"name": "recordings", "path": str(path)}
    model = {"name": "cnn", "channels": [4], "head": {"pooling": "average"}, "pool": "none"}
    walk = walked(config(model, data))
    assert "a sequence of up to" in text(
        walk
    ) and "receptive field: each value depends on 3" in text(walk)


def test_what_is_known_without_the_data() -> None:
    walk = walked(config("cnn", {"name": "mnist", "root": "nowhere"}))
    expected = text(walk)
    assert "the data cannot be read here: " in expected and "'nnzoo train' downloads it" in expected
    assert walk.figures["training"]["steps_per_epoch"] == 844 and "time" not in walk.figures
    assert walk.figures["layers"][0]["inputs"] == [1, 28, 28] and not Path("nowhere").exists()
    walk = walked(config("lstm", {"name": "csv", "path": "gone.csv", "target": "y"}))
    assert "gone.csv" in text(walk) and "depend on the data" in text(walk)
    assert "layers" not in walk.figures and walk.figures["training"]["epochs"] == 2


def test_random_numbers_and_weights_of_a_run_stay_as_they_are(nnzoo: Any) -> None:
    """A run after a walk-through of its config in the same process is the run without it."""
    tree = config("cnn", "image", train={"epochs": 1}).to_dict()
    plain = finish(begin(from_dict(tree, "test"), "a"))
    walked(from_dict(tree, "test"))
    assert finish(begin(from_dict(tree, "test"), "b")) == plain


def test_codes_of_checks_are_shown_and_rows_that_validate_may_be_missing() -> None:
    data = {"name": "wine", "preprocess": {"scale": "none"}, "split": {"val": 0}}
    walk = walked(config("mlp", data))
    codes = {check["code"] for check in walk.figures["checks"]}
    assert "W30" in codes and "W30 inputs not scaled: nnzoo explain W30" in text(walk)
    assert "no validation rows" in text(walk)


def test_commands_repeat_what_the_user_gave() -> None:
    walk = walk_config(config("mlp", "table_classes"), CPU, "my table.yaml", ["optim.lr=0.1"])
    assert "nnzoo train 'my table.yaml' -s optim.lr=0.1" in text(walk)


def test_the_command(nnzoo: Any, small_config: None, monkeypatch: pytest.MonkeyPatch) -> None:
    done = nnzoo("explain", "cnn", "-s", "model.channels=[4]", "--lang", "zh")
    assert done.code == 0 and "感受野" in done.out and "model.channels=[4]" in done.out
    done = nnzoo("explain", "cnn", "-s", "model.channels=[4]", "--json")
    assert done.json["layers"][0]["parameters"] == 3 * 3 * 1 * 4 + 4
    assert nnzoo("explain", "cnn", "-s", "model.channels=0").code == 2
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = nnzoo("explain", "cnn", "-s", "model.channels=[4]").out.splitlines()
    assert lines[0] == "\x1b[1mData\x1b[0m" and "\x1b" not in lines[1]
