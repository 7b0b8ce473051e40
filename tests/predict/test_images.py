"""Predictions for images: those that `eval` counts, scaled as in training, in little memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nnzoo.data.image_files.decode import decode_in_thread
from nnzoo.errors import CheckpointError
from nnzoo.predict import images as reading
from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from nnzoo.runs.loaded_run import load_network
from tests.predict.prediction_runs import RUN, Nnzoo, refused, rows_of, train
from tests.zoo import begin, config, finish


def write_images(folder: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for label, low in (("dark", 0), ("light", 60)):
        place = Path(folder) / label
        place.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(low, low + 190, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).resize((12, 10)).save(place / f"{i:02d}.png")


IMAGES = {"name": "image_folder", "path": "p", "size": [6, 8], "color": False}


def save_digits(folder: str, inverted: bool = False) -> np.ndarray:
    """Some digits of the data set as images of 0 to 255; what they are there."""
    run = begin(config("mlp", "image"), "digits", write=False)
    raw = run.dataset.splits["test"].batch(torch.arange(30))[0]
    Path(folder).mkdir()
    for i, image in enumerate(raw[:, 0].numpy()):
        pixels = np.round(image * (255 / 16)).astype(np.uint8)
        Image.fromarray(255 - pixels if inverted else pixels).save(f"{folder}/{i:02d}.png")
    return raw.numpy()


def test_images_get_the_predictions_that_eval_counts(nnzoo: Nnzoo) -> None:
    write_images("p/train", 20, 0)
    write_images("p/test", 15, 1)
    train("cnn", IMAGES)
    report = nnzoo("eval", RUN, "--json").json
    result = nnzoo("predict", RUN, "p/test", "--json")
    assert result.code == 0
    labels = report["labels"]
    actual = np.zeros((2, 2), int)
    for line in result.lines:
        assert list(line) == ["file", "prediction", "probability", "probabilities"]
        assert line["probability"] == max(line["probabilities"].values())
        actual[labels.index(Path(line["file"]).parent.name), labels.index(line["prediction"])] += 1
    assert actual.tolist() == report["confusion_matrix"]
    assert 0 < actual.trace() < 30  # counts that a constant answer or chance would not give
    files = [line["file"] for line in result.lines]
    assert files == sorted(files) == [str(path) for path in sorted(Path("p/test").rglob("*.png"))]


def test_images_are_scaled_to_the_sixteen_levels_of_digits(nnzoo: Nnzoo) -> None:
    network = train("mlp", "image", epochs=3)
    raw = save_digits("d")
    of_images, of_arrays = (
        Predictions.concat(predict(network, "d")),
        Predictions.concat(predict(network, raw)),
    )
    np.testing.assert_array_equal(of_images.values, of_arrays.values)
    assert of_images.notes == []
    assert nnzoo("predict", RUN, "d").err == ""


def test_images_that_seem_inverted_are_noted_once(nnzoo: Nnzoo) -> None:
    train("mlp", "image")
    save_digits("d", inverted=True)
    result = nnzoo("predict", RUN, "d")
    assert result.code == 0
    assert result.err == (
        "note: the images are much brighter than the training images (mean 0.70 against 0.31; black "
        "is 0, white 1): are they inverted, ink dark on light against light on dark?\n"
    )


def test_images_far_from_trainings_brightness_are_noted_and_minmax_knows_none() -> None:
    rng = np.random.default_rng(0)
    for label in "ab":
        Path(f"p/{label}").mkdir(parents=True)
        for i in range(9):
            pixels = rng.integers(100, 120, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(f"p/{label}/{i}.png")
    Path("new").mkdir()
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save("new/x.png")
    (note,) = Predictions.concat(predict(train("mlp", IMAGES), "new")).notes
    assert "much darker than the training images (mean 0.35 against 0.43" in note
    finish(begin(config("mlp", IMAGES | {"preprocess": {"scale": "minmax"}}, name="other")))
    other = load_network(Path("out/other"), torch.device("cpu"))[0]
    assert Predictions.concat(predict(other, "new")).notes == []


def test_a_broken_image_is_named_and_all_others_are_predicted(nnzoo: Nnzoo) -> None:
    train("mlp", "image")
    save_digits("d")
    Path("d/05.png").write_bytes(b"no image")
    data = Path("d/07.png").read_bytes()
    Path("d/07.png").write_bytes(data[: len(data) // 2])
    result = nnzoo("predict", RUN, "d", "--out", "answers.csv")
    assert (result.code, result.out) == (3, "")
    assert result.err.splitlines()[-1] == "2 of 30 images could not be read"
    assert result.err.count("broken image d/05.png: cannot identify image file") == 1
    assert result.err.count("broken image d/07.png: ") == 1
    answered = [row["file"] for row in rows_of(Path("answers.csv").read_text())]
    assert answered == [f"d/{i:02d}.png" for i in range(30) if i not in (5, 7)]
    result = nnzoo("predict", RUN, "d/05.png")
    assert result.code == 3
    assert result.out.splitlines() == [
        "file,prediction,probability," + ",".join(f"p_{i}" for i in range(10))
    ]


def test_folders_are_searched_in_order_without_hidden_files_and_named_files_are_taken() -> None:
    network = train("mlp", "image")
    for name in ("d/b/2.png", "d/a.PNG", "d/b/1.jpg", "d/.c/x.png", "d/.y.png", "d/c.png", "z.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9)).save(name)
    Path("d/notes.txt").write_text("no image")
    files = Predictions.concat(predict(network, ["z.png", "d", Path("z.png")])).index["file"]
    assert files == ["z.png", "d/a.PNG", "d/b/1.jpg", "d/b/2.png", "d/c.png", "z.png"]


def test_images_stream_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network = train("mlp", "image")
    save_digits("d")
    whole = Predictions.concat(predict(network, "d"))
    monkeypatch.setattr("nnzoo.evaluation.evaluate.MAX_BATCH_ROWS", 7)
    read = 0

    def counted(*arguments: Any) -> np.ndarray:
        nonlocal read
        read += 1
        return decode_in_thread(*arguments)

    monkeypatch.setattr(reading, "decode_in_thread", counted)
    pieces = predict(network, "d")
    assert (len(next(pieces)), read) == (7, 7)
    rest = list(pieces)
    assert [len(item) for item in rest] == [7, 7, 7, 2, 0]
    np.testing.assert_allclose(
        Predictions.concat([*predict(network, "d")]).values, whole.values, rtol=1e-5, atol=1e-7
    )


def test_levels_out_of_a_strange_checkpoint_are_refused() -> None:
    network = train("mlp", "image")
    for levels in (0, 10**9):
        network.data_spec = replace(network.data_spec, max_pixel_value=levels)
        assert refused(CheckpointError, network, np.zeros((8, 8), np.uint8)) == (
            f"the checkpoint has images of {levels} levels"
        )
