"""Inputs of predict: arrays, frames and files of every kind; what a network does not read is refused."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

import nnzoo
from nnzoo.data.image_files.tree import EXTENSIONS
from nnzoo.errors import DataError
from nnzoo.models.network import Network
from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from tests.predict.prediction_runs import RUN, TABLE, Nnzoo, refused, train, write_table
from tests.zoo import begin, config, finish


def load_or_train(data: str) -> Network:
    run = begin(config("mlp", data), data)
    finish(run)
    return run.network


@pytest.mark.parametrize(
    "data", ["image", "image_pca", "table_classes", "table_number", "series", "sequences"]
)
def test_raw_inputs_of_every_kind_get_the_outputs_that_eval_sees(data: str) -> None:
    run = begin(config("mlp", data))
    finish(run)
    split, network = run.dataset.splits["test"], run.network
    raw = split.batch(torch.arange(len(split)))[0]
    prepared = network.prepare(split)
    network.eval()
    with torch.no_grad():
        outputs = network(prepared.batch(torch.arange(len(split)))[0])
    network.train()
    predictions = Predictions.concat(predict(network, raw))
    assert network.training
    expected = network.task.postprocess(outputs).numpy()
    np.testing.assert_allclose(predictions.values, expected, rtol=1e-5, atol=1e-6)
    assert predictions.index == {"row": list(range(1, len(split) + 1))}
    if predictions.is_classification:
        assert predictions.labels == [run.dataset.spec.labels[i] for i in outputs.argmax(1)]
    else:
        assert predictions.names == network.task.names


def test_what_a_network_does_not_read_is_refused_in_words(nnzoo: Nnzoo) -> None:
    train("mlp", "image")
    formats = ", ".join(extension[1:] for extension in EXTENSIONS)
    images = f"this network reads images ({formats}) and folders of them\n"
    Path("empty").mkdir()
    os.mkfifo("pipe.png")
    Path("new.csv").write_text("a,b\n1,2\n")
    for words, code, message in (
        (["none.png"], 3, "no file none.png\n"),
        (["new.csv"], 3, f"new.csv is not an image; {images}"),
        (["empty"], 3, f"empty has no images; {images}"),
        ([], 2, f"missing input: nnzoo predict {RUN} photos/\n"),
        (["pipe.png"], 3, "not a regular file: pipe.png\n"),
        (["new.csv", "--steps", "0"], 2, "--steps: expected a whole number of at least 1, got 0\n"),
        (
            ["new.csv", "--json", "--out", "x"],
            2,
            "give one of the two: --json writes to stdout, --out to a file\n",
        ),
        (
            ["new.csv", "--out", "new.csv"],
            2,
            "--out new.csv would replace an INPUT; name another file\n",
        ),
    ):
        result = nnzoo("predict", RUN, *words)
        assert (result.code, result.out, result.err) == (code, "", message)
    result = nnzoo("predict", RUN, "empty", "--steps", "2")
    assert (result.code, result.err) == (
        2,
        f"steps are for forecasts; {images[:-1]}, and its predictions are classes\n",
    )
    assert nnzoo("predict").err == "missing run and input: nnzoo predict checkpoints/cnn photos/\n"
    assert nnzoo("predict", "empty", "new.csv").code == 5
    assert Path("new.csv").read_text() == "a,b\n1,2\n"


def test_an_image_or_folder_for_a_table_is_refused(nnzoo: Nnzoo) -> None:
    train("mlp", "table_classes")
    Image.new("L", (8, 8)).save("x.png")
    Path("f").mkdir()
    reads = (
        "this network reads tables: CSV or Parquet files with the columns sepal length (cm), "
        "sepal width (cm), petal length (cm), petal width (cm)\n"
    )
    assert nnzoo("predict", RUN, "x.png").err == f"x.png is an image; {reads}"
    assert nnzoo("predict", RUN, "f").err == f"f is a folder; {reads}"
    assert nnzoo("predict", RUN).err == f"missing input: nnzoo predict {RUN} new.csv\n"
    Path("new.csv").write_text("sepal length (cm)\n1\n")
    result = nnzoo("predict", RUN, "new.csv")
    assert result.code == 3
    assert (
        result.err
        == "new.csv: column 'sepal width (cm)' is missing; the network was trained with it\n"
    )


@pytest.mark.parametrize(
    ("data", "x", "message"),
    [
        (
            "image",
            np.zeros((2, 1, 8, 8)),
            "expected pixels from 0 to 16 as uint8, got float64; scale, round and cast them",
        ),
        ("image", np.full((8, 8), 17, np.uint8), "expected pixels from 0 to 16, got 17"),
        (
            "image",
            np.zeros((8, 8, 3), np.uint8),
            "expected images of shape (rows, 1, 8, 8), or one of them; got (8, 8, 3)",
        ),
        (
            "image",
            np.zeros((0, 1, 8, 8), np.uint8),
            "expected images of shape (rows, 1, 8, 8), or one of them; got (0, 1, 8, 8)",
        ),
        (
            "image",
            pandas.DataFrame({"a": [1]}),
            "a DataFrame holds no images; this network reads images",
        ),
        (
            "image",
            3,
            "expected a path, a list of paths, a DataFrame, or an array or tensor of raw inputs; got int",
        ),
        (
            "table_classes",
            np.zeros((2, 5)),
            "expected rows of shape (rows, 4), or one of them; got (2, 5)",
        ),
        ("table_classes", np.zeros((2, 4), bool), "expected numbers, got bool"),
        ("table_classes", np.array([["a"] * 4]), "expected numbers, got <U1"),
        ("table_classes", np.array([[None] * 4]), "expected numbers, got object"),
        ("table_classes", pandas.DataFrame(), "the table has no rows"),
        (
            "series",
            np.full((1, 20, 1), np.nan),
            "expected finite numbers; there are missing or infinite ones",
        ),
        (
            "series",
            np.zeros((3, 19, 1)),
            "expected windows of shape (rows, 20, 1), or one of them; got (3, 19, 1)",
        ),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(data: str, x: Any, message: str) -> None:
    assert refused(DataError, train("mlp", data), x).startswith(message)


def test_arrays_that_cannot_be_written_or_lie_backwards_are_answered() -> None:
    network = train("mlp", "image")
    raw = np.random.default_rng(0).integers(0, 17, (5, 1, 8, 8)).astype(np.uint8)
    raw.flags.writeable = False
    forth, back = (
        Predictions.concat(predict(network, raw)),
        Predictions.concat(predict(network, raw[::-1])),
    )
    np.testing.assert_allclose(forth.values, back.values[::-1], rtol=1e-5)


def test_one_image_one_window_and_one_row_are_predicted() -> None:
    for data, shapes in (
        ("image", [(8, 8), (1, 8, 8)]),
        ("series", [(20, 1)]),
        ("table_classes", [(4,)]),
    ):
        network = load_or_train(data)
        for shape in shapes:
            x = np.ones(shape, np.uint8 if data == "image" else np.float32)
            single = Predictions.concat(predict(network, x))
            assert len(single) == 1
            whole = torch.from_numpy(x).reshape(1, *network.data_spec.input.shape)
            np.testing.assert_array_equal(
                single.values, Predictions.concat(predict(network, whole)).values
            )


def test_an_array_for_categories_is_refused() -> None:
    write_table("regression")
    network = train("mlp", TABLE)
    assert refused(DataError, network, np.zeros((2, 3))) == (
        "column 'kind' holds categories; give the rows as a DataFrame"
    )


def test_threads_that_predict_with_one_model_get_the_bits_of_one(tmp_path: Path) -> None:
    train({"name": "mlp", "hidden": [32], "dropout": 0.2}, {"name": "digits"})
    model = nnzoo.load(RUN)
    images = np.random.default_rng(0).integers(0, 17, (64, 1, 8, 8), dtype=np.uint8)
    expected = [model.predict(image).values for image in images]
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda image: model.predict(image).values, images))
    assert all(np.array_equal(a, b) for a, b in zip(expected, results, strict=True))
    assert torch.get_num_threads() == threads and not model.network.training


def test_a_network_in_training_mode_predicts_as_one_in_evaluation_and_stays_in_it(
    tmp_path: Path,
) -> None:
    network = train({"name": "mlp", "hidden": [32], "dropout": 0.5}, {"name": "digits"})
    image = np.full((1, 8, 8), 9, np.uint8)
    (expected,) = predict(network.eval(), image)
    network.model.train()  # a part of it
    (part,) = predict(network, image)
    (whole,) = predict(network.train(), image)
    assert np.array_equal(part.values, expected.values)
    assert np.array_equal(whole.values, expected.values)
    assert network.training and network.model.training
