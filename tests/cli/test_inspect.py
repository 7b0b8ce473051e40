"""`nnzoo inspect`: its figures, its table, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NNZOO = Callable[..., Any]


def test_inspect_writes_figures_and_shows_the_layers(nnzoo: NNZOO) -> None:
    nnzoo("train", "--config", "cnn", "-s", "train.epochs=2", "-s", "model.channels=[8, 8]")
    result = nnzoo("inspect", "checkpoints/cnn")
    assert result.code == 0, result.err
    assert "features.0" in result.out and "multiply-adds" in result.out
    assert "no vanishing or exploding gradient, no layer of dead units" in result.out
    folder = Path("checkpoints/cnn/inspect")
    files = {path.name for path in folder.iterdir()}
    assert {"sheet.png", "filters.png", "layer-features.0.png", "arrays.npz"} <= files
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 100
    with np.load(folder / "arrays.npz") as kept:
        assert kept["input"].shape == (10, 1, 8, 8)


def test_inspect_tells_what_is_wrong_in_json_too(nnzoo: NNZOO) -> None:
    nnzoo(
        "train",
        "--config",
        "mlp",
        "-s",
        f"model.hidden={[16] * 10}",
        "-s",
        "model.activation=sigmoid",
        "-s",
        "train.epochs=1",
    )
    shown = nnzoo(
        "inspect", "checkpoints/mlp", "--json", "--out", "images", "--row", "3", "--row", "5"
    )
    assert [item["kind"] for item in shown.json["findings"]] == ["vanishing"]
    assert shown.json["layers"][1]["multiply_adds"] == 64 * 16
    assert shown.json["files"][0]["file"] == "images/sheet.png"
    with np.load("images/arrays.npz") as kept:
        assert len(kept["input"]) == 2
    first = Path("images/sheet.png").read_bytes()
    again = nnzoo("inspect", "checkpoints/mlp", "--out", "again", "--row", "3", "--row", "5")
    assert Path("again/sheet.png").read_bytes() == first
    assert "vanishing gradient: layer 1 of" in again.out


def test_own_images_can_be_inspected(nnzoo: NNZOO) -> None:
    nnzoo("train", "--config", "mlp", "-s", "train.epochs=1")
    Image.new("L", (20, 30), 255).save("white.png")
    result = nnzoo("inspect", "checkpoints/mlp", "white.png", "--out", "here")
    assert result.code == 0, result.err
    with np.load("here/arrays.npz") as kept:
        assert (kept["input"] == 16).all() and kept["input"].shape == (1, 1, 8, 8)


def test_what_cannot_be_inspected_is_reported(nnzoo: NNZOO) -> None:
    nnzoo("train", "--config", "mlp", "-s", "data={name: iris}", "-s", "train.epochs=1")
    run = "checkpoints/mlp"
    assert "x.png: this network reads tables: CSV" in nnzoo("inspect", run, "x.png").err
    result = nnzoo("inspect", run, "--row", "9999")
    assert result.code == 2 and "--row 9999: the test split has rows 0 to 29" in result.err
    assert nnzoo("inspect", run, "x.png", "--row", "1").code == 2
    Path("file").write_text("")
    result = nnzoo("inspect", run, "--out", "file")
    assert result.code == 5 and "choose another folder with --out" in result.err


def test_without_test_rows_training_rows_are_shown(nnzoo: NNZOO) -> None:
    nnzoo("train", "--config", "mlp", "-s", "train.epochs=1", "-s", "data.split.test=0")
    result = nnzoo("inspect", "checkpoints/mlp", "--row", "0")
    assert (
        result.code == 0 and "note: there is no test split; these are training rows" in result.err
    )


def test_the_surface_is_drawn_where_asked(nnzoo: NNZOO) -> None:
    nnzoo("train", "--config", "mlp", "-s", "data={name: iris}", "-s", "train.epochs=1")
    assert nnzoo("inspect", "checkpoints/mlp", "--surface").code == 0
    assert Path("checkpoints/mlp/inspect/surface.png").exists()
