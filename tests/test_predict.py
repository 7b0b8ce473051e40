"""Predictions for new data: those that `eval` counts, on every kind of data, in little memory."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from nnzoo.config.data_options import RowSplit, SeriesOptions
from nnzoo.data.dataset import split_rows
from nnzoo.data.image_files.tree import EXTENSIONS
from nnzoo.data.table_files import csv_reader
from nnzoo.data.timestamps.axis import TimeAxis, describe_time
from nnzoo.errors import CheckpointError, DataError, UsageError
from nnzoo.models.network import Network
from nnzoo.predict import images as reading
from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from nnzoo.runs.loaded_run import load_network
from nnzoo.text import format_metric
from tests.zoo import begin, config, finish

Nnzoo = Callable[..., Any]
RUN = Path("out/run")


def train(model: Any, data: Any, epochs: int = 1, **more: Any) -> Network:
    """The best weights of a run in RUN, as `predict` loads them."""
    finish(begin(config(model, data, train={"epochs": epochs}, **more)))
    return load_network(RUN, torch.device("cpu"))[0]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def refused(error: type[Exception], *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        list(predict(*arguments, **options))
    return str(caught.value)


# The same answers as `eval`.


def write_table(task: str, rows: int = 200) -> list[list[str]]:
    """d.csv with gaps, a category and a target; its rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    cells = [
        [f"{a:.4f}", "" if i % 9 == 3 else f"{b:.4f}", "uvw"[i % 3],
         f"{a + c:.5f}" if task == "regression" else ("yes, indeed" if a + c > 0 else 'a "no"')]
        for i, (a, b, c) in enumerate(x)
    ]  # fmt: skip
    with open("d.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "kind", "y"], *cells])
    return cells


TABLE = {"name": "csv", "path": "d.csv"}


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_without_their_target_get_the_answers_that_eval_counts(
    nnzoo: Nnzoo, task: str
) -> None:
    cells = write_table(task)
    train("mlp", TABLE, epochs=3)
    classes = np.unique([row[3] for row in cells], return_inverse=True)[1]
    test = split_rows(200, RowSplit(), classes if task == "classification" else None)["test"]
    with open("new.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "kind"], *(cells[i][:3] for i in test)])
    report = nnzoo("eval", RUN, "--json").json
    result = nnzoo("predict", RUN, "new.csv")
    assert (result.code, result.err) == (
        0, "note: missing values filled as in training: 3 of 'b'\n",
    )  # fmt: skip
    answers = rows_of(result.out)
    assert [row["row"] for row in answers] == [str(i + 1) for i in range(len(test))]
    truth = [cells[i][3] for i in test]
    if task == "classification":
        labels = report["labels"]
        found = np.zeros((2, 2), int)
        for row, label in zip(answers, truth, strict=True):
            found[labels.index(label), labels.index(row["prediction"])] += 1
            shares = [float(row[f"p_{each}"]) for each in labels]
            assert float(row["probability"]) == max(shares)
            assert sum(shares) == pytest.approx(1, abs=2e-6)
        assert found.tolist() == report["confusion_matrix"]
        assert found.min() > 0 or found.trace() < len(test)
    else:
        errors = np.array([float(row["y"]) for row in answers]) - np.array(truth, float)
        assert format_metric(float(np.sqrt((errors**2).mean()))) == format_metric(report["rmse"])
        assert format_metric(float(np.abs(errors).mean())) == format_metric(report["mae"])


def write_pictures(folder: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for label, low in (("dark", 0), ("light", 60)):
        place = Path(folder) / label
        place.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(low, low + 190, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).resize((12, 10)).save(place / f"{i:02d}.png")


PICTURES = {"name": "image_folder", "path": "p", "size": [6, 8], "color": False}


def test_pictures_get_the_answers_that_eval_counts(nnzoo: Nnzoo) -> None:
    write_pictures("p/train", 20, 0)
    write_pictures("p/test", 15, 1)
    train("cnn", PICTURES)
    report = nnzoo("eval", RUN, "--json").json
    result = nnzoo("predict", RUN, "p/test", "--json")
    assert result.code == 0
    labels = report["labels"]
    found = np.zeros((2, 2), int)
    for line in result.lines:
        assert list(line) == ["file", "prediction", "probability", "probabilities"]
        assert line["probability"] == max(line["probabilities"].values())
        found[labels.index(Path(line["file"]).parent.name), labels.index(line["prediction"])] += 1
    assert found.tolist() == report["confusion_matrix"]
    assert 0 < found.trace() < 30  # counts that a constant answer or chance would not give
    files = [line["file"] for line in result.lines]
    assert files == sorted(files) == [str(each) for each in sorted(Path("p/test").rglob("*.png"))]


@pytest.mark.parametrize("data", ["image", "image_pca", "table_classes", "table_number", "series",
                                  "sequences"])  # fmt: skip
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
    answers = Predictions.concat(predict(network, raw))
    assert network.training
    expected = network.task.postprocess(outputs).numpy()
    np.testing.assert_allclose(answers.values, expected, rtol=1e-5, atol=1e-6)
    assert answers.index == {"row": list(range(1, len(split) + 1))}
    if answers.is_classification:
        assert answers.labels == [run.dataset.spec.labels[i] for i in outputs.argmax(1)]
    else:
        assert answers.names == network.task.names  # type: ignore[union-attr]


# Pictures.


def save_digits(folder: str, inverted: bool = False) -> np.ndarray:
    """Some digits of the data set as pictures of 0 to 255; what they are there."""
    run = begin(config("mlp", "image"), "digits", write=False)
    raw = run.dataset.splits["test"].batch(torch.arange(30))[0]
    Path(folder).mkdir()
    for i, image in enumerate(raw[:, 0].numpy()):
        pixels = np.round(image * (255 / 16)).astype(np.uint8)
        Image.fromarray(255 - pixels if inverted else pixels).save(f"{folder}/{i:02d}.png")
    return raw.numpy()


def test_pictures_are_scaled_to_the_sixteen_levels_of_digits(nnzoo: Nnzoo) -> None:
    network = train("mlp", "image", epochs=3)
    raw = save_digits("d")
    of_pictures, of_arrays = (
        Predictions.concat(predict(network, "d")),
        Predictions.concat(predict(network, raw)),
    )
    np.testing.assert_array_equal(of_pictures.values, of_arrays.values)
    assert of_pictures.notes == []
    assert nnzoo("predict", RUN, "d").err == ""


def test_pictures_that_seem_inverted_are_noted_once(nnzoo: Nnzoo) -> None:
    train("mlp", "image")
    save_digits("d", inverted=True)
    result = nnzoo("predict", RUN, "d")
    assert result.code == 0
    assert result.err == (
        "note: the images are much brighter than those of training (mean 0.70 against 0.31; black "
        "is 0, white 1): are they inverted, ink dark on light against light on dark?\n"
    )


def test_pictures_far_from_trainings_brightness_are_noted_and_minmax_knows_none() -> None:
    rng = np.random.default_rng(0)
    for label in "ab":
        Path(f"p/{label}").mkdir(parents=True)
        for i in range(9):
            pixels = rng.integers(100, 120, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(f"p/{label}/{i}.png")
    Path("new").mkdir()
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save("new/x.png")
    (note,) = Predictions.concat(predict(train("mlp", PICTURES), "new")).notes
    assert "much darker than those of training (mean 0.35 against 0.43" in note
    finish(begin(config("mlp", PICTURES | {"preprocess": {"scale": "minmax"}}, name="other")))
    other = load_network(Path("out/other"), torch.device("cpu"))[0]
    assert Predictions.concat(predict(other, "new")).notes == []


def test_a_broken_picture_is_named_and_all_others_are_answered(nnzoo: Nnzoo) -> None:
    train("mlp", "image")
    save_digits("d")
    Path("d/05.png").write_bytes(b"no picture")
    data = Path("d/07.png").read_bytes()
    Path("d/07.png").write_bytes(data[: len(data) // 2])
    result = nnzoo("predict", RUN, "d", "--out", "answers.csv")
    assert (result.code, result.out) == (3, "")
    assert result.err.splitlines()[-1] == "2 of 30 images could not be read"
    assert result.err.count("broken picture d/05.png: cannot identify image file") == 1
    assert result.err.count("broken picture d/07.png: ") == 1
    answered = [row["file"] for row in rows_of(Path("answers.csv").read_text())]
    assert answered == [f"d/{i:02d}.png" for i in range(30) if i not in (5, 7)]
    result = nnzoo("predict", RUN, "d/05.png")
    assert result.code == 3
    assert result.out.splitlines() == ["file,prediction,probability," + ",".join(
        f"p_{i}" for i in range(10)
    )]  # fmt: skip


def test_folders_are_searched_in_order_without_hidden_files_and_named_files_are_taken() -> None:
    network = train("mlp", "image")
    for name in ("d/b/2.png", "d/a.PNG", "d/b/1.jpg", "d/.c/x.png", "d/.y.png", "d/c.png", "z.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9)).save(name)
    Path("d/notes.txt").write_text("no picture")
    files = Predictions.concat(predict(network, ["z.png", "d", Path("z.png")])).index["file"]
    assert files == ["z.png", "d/a.PNG", "d/b/1.jpg", "d/b/2.png", "d/c.png", "z.png"]


def test_pictures_stream_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network = train("mlp", "image")
    save_digits("d")
    whole = Predictions.concat(predict(network, "d"))
    monkeypatch.setattr("nnzoo.evaluation.evaluate.MAX_BATCH_ROWS", 7)
    read = 0
    decode = reading.decode_in_turn

    def counted(*arguments: Any) -> np.ndarray:
        nonlocal read
        read += 1
        return decode(*arguments)

    monkeypatch.setattr(reading, "decode_in_turn", counted)
    pieces = predict(network, "d")
    assert (len(next(pieces)), read) == (7, 7)
    rest = list(pieces)
    assert [len(each) for each in rest] == [7, 7, 7, 2, 0]
    np.testing.assert_allclose(
        Predictions.concat([*predict(network, "d")]).values, whole.values, rtol=1e-5, atol=1e-7
    )


# Tables.


def test_a_csv_streams_and_its_row_numbers_run_on(
    nnzoo: Nnzoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = write_table("classification")
    network = train("mlp", TABLE)
    whole = Predictions.concat(predict(network, "d.csv"))
    monkeypatch.setattr(csv_reader, "CHUNK", 500)
    pieces = list(predict(network, "d.csv"))
    assert len(pieces) > 5
    parts = Predictions.concat(pieces)
    assert parts.index == whole.index == {"row": list(range(1, 201))}
    np.testing.assert_allclose(parts.values, whole.values, rtol=1e-5)
    cells[150][0] = "x"
    with open("d.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "kind", "y"], *cells])
    result = nnzoo("predict", RUN, "d.csv", "--out", "answers.csv")
    assert result.code == 3
    assert result.err.startswith("d.csv: column 'a' holds numbers, but data row 151 has 'x'")
    assert [path for path in Path().iterdir() if "answers" in path.name] == []


def test_labels_with_commas_and_quotes_make_a_valid_csv(nnzoo: Nnzoo) -> None:
    write_table("classification")
    train("mlp", TABLE)
    result = nnzoo("predict", RUN, "d.csv")
    header, *rows = csv.reader(io.StringIO(result.out))
    assert header == ["row", "prediction", "probability", 'p_a "no"', "p_yes, indeed"]
    assert {row[1] for row in rows} <= {'a "no"', "yes, indeed"}
    assert {len(row) for row in rows} == {5}


def test_values_that_training_never_saw_are_counted_and_told(nnzoo: Nnzoo) -> None:
    write_table("regression")
    train("mlp", TABLE)
    Path("new.csv").write_text("kind,extra,b,a\nx,1,2,3\nu,1,,3\nz,1,2,3\n,1,2,3\nx,1,2,3\n")
    result = nnzoo("predict", RUN, "new.csv")
    assert result.code == 0
    assert (
        result.err == "note: values that training never saw count as missing: 3 of 'kind' (x, z)\n"
        "note: missing values filled as in training: 1 of 'b'\n"
    )
    answers = [row["y"] for row in rows_of(result.out)]
    assert answers[0] == answers[2] == answers[3]


def test_of_many_values_and_columns_a_few_are_named() -> None:
    rng = np.random.default_rng(0)
    table = pandas.DataFrame(rng.choice(list("uv"), (40, 6)), columns=[*"abcde", "y"])
    table.to_csv("d.csv", index=False)
    network = train("mlp", TABLE)
    new = table.assign(a=[f"w{i}" for i in range(40)], b="x", c="x", d="x", e="x")
    new.to_csv("new.csv", index=False)
    assert Predictions.concat(predict(network, "new.csv")).notes == [
        "values that training never saw count as missing: 40 of 'a' (w0, w1, w2, …), 40 of 'b' (x), "
        "40 of 'c' (x), and in 2 more columns"
    ]


def test_several_files_are_told_apart(nnzoo: Nnzoo) -> None:
    write_table("regression", 40)
    network = train("mlp", TABLE)
    frame = pandas.read_csv("d.csv").drop(columns="y")
    frame.iloc[:15].to_csv("one.csv", index=False)
    frame.iloc[15:].to_parquet("two.parquet")
    answers = rows_of(nnzoo("predict", RUN, "one.csv", "two.parquet").out)
    assert [(row["file"], row["row"]) for row in answers] == [
        *(("one.csv", str(i + 1)) for i in range(15)),
        *(("two.parquet", str(i + 1)) for i in range(25)),
    ]
    whole = Predictions.concat(predict(network, frame)).values[:, 0]
    assert [float(row["y"]) for row in answers] == pytest.approx(list(whole), rel=1e-5)


@pytest.mark.parametrize("target", [0, 1, 2, -1])
@pytest.mark.parametrize("drop", [[], [-1]])
def test_a_headless_file_that_lacks_the_target_is_read_like_one_that_has_it(
    target: int, drop: list[int]
) -> None:
    rng = np.random.default_rng(1)
    table = pandas.DataFrame(rng.normal(size=(60, 5)))
    table.to_csv("d.csv", index=False, header=False)
    if drop and target == -1:
        target = -2
    network = train("mlp", TABLE | {"target": target, "drop": drop})
    table.drop(columns=table.columns[target]).to_csv("new.csv", index=False, header=False)
    with_target, without = (
        Predictions.concat(predict(network, "d.csv")),
        Predictions.concat(predict(network, "new.csv")),
    )
    np.testing.assert_array_equal(with_target.values, without.values)
    table.iloc[:1].to_csv("one.csv", index=False, header=False)
    np.testing.assert_allclose(
        Predictions.concat(predict(network, "one.csv")).values, with_target.values[:1]
    )


def test_a_file_has_a_header_where_the_training_file_had_one() -> None:
    Path("d.csv").write_text("k,l,y\n" + "p,q,u\nr,q,v\np,s,v\n" * 5)
    network = train("mlp", TABLE)
    Path("new.csv").write_text("l,k\nq,p\n")
    assert len(Predictions.concat(predict(network, "new.csv"))) == 1
    Path("new.csv").write_text("q,p\nq,p\n")
    message = "new.csv: column 'k' is missing; the network was trained with it"
    assert refused(DataError, network, "new.csv") == message
    Path("d.csv").write_text("p,p,u\nr,q,v\np,s,v\n" * 5)
    finish(begin(config("mlp", TABLE, name="headless")))
    headless = load_network(Path("out/headless"), torch.device("cpu"))[0]
    Path("new.csv").write_text("p,q\n")  # by itself it could be a header
    assert len(Predictions.concat(predict(headless, "new.csv"))) == 1


def test_a_bundled_table_reads_files_with_its_column_names(nnzoo: Nnzoo) -> None:
    network = train("mlp", "table_classes", epochs=5)
    raw, _ = network_data("mlp", "table_classes")
    names = network.data_spec.column_names
    pandas.DataFrame(raw.numpy(), columns=names)[names[::-1]].to_csv("new.csv", index=False)
    answers = rows_of(nnzoo("predict", RUN, "new.csv").out)
    expected = Predictions.concat(predict(network, raw))
    assert [row["prediction"] for row in answers] == expected.labels
    assert len(set(expected.labels)) > 1


def network_data(model: str, data: str) -> tuple[torch.Tensor, torch.Tensor]:
    split = begin(config(model, data), "elsewhere", write=False).dataset.splits["test"]
    return split.batch(torch.arange(len(split)))


def test_a_target_of_the_same_name_as_a_column_of_the_answer_hides_nothing(nnzoo: Nnzoo) -> None:
    write_table("regression")
    Path("d.csv").write_text(Path("d.csv").read_text().replace("kind,y", "kind,row"))
    train("mlp", TABLE)
    assert nnzoo("predict", RUN, "d.csv").out.splitlines()[0] == "row,predicted_row"
    assert list(nnzoo("predict", RUN, "d.csv", "--json").lines[0]) == ["row", "predicted_row"]


# Forecasts.


def write_series(rows: int = 120, **columns: Any) -> None:
    time = np.arange(rows)
    table: dict[str, Any] = {
        "day": pandas.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d"),
        "y": np.round(10 + 0.1 * time + np.sin(time / 3), 4),
    }
    pandas.DataFrame(table | columns).to_csv("s.csv", index=False)


SERIES = {"name": "series", "path": "s.csv", "target": "y", "window": 8}


def by_hand(network: Network, past: np.ndarray, steps: int) -> np.ndarray:
    """Forecasts one horizon after the other, on what was known and forecast before."""
    horizon = network.data_spec.horizon
    targets = len(network.data_spec.targets)
    network.eval()
    values = past
    for _ in range(-(-steps // horizon)):
        with torch.no_grad():
            answer = network.predict(torch.tensor(values[None, -8:]))
        values = np.concatenate([values, answer.numpy().reshape(horizon, targets)])
    return values[len(past) :][:steps]


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("relative", [True, False])
def test_forecasts_beyond_the_horizon_feed_back_the_networks_own(
    nnzoo: Nnzoo, horizon: int, relative: bool
) -> None:
    write_series(z=np.cos(np.arange(120) / 5))
    network = train(
        "gru", SERIES | {"horizon": horizon, "difference_from_last": relative, "target": ["z", "y"]}
    )
    past = pandas.read_csv("s.csv")[["z", "y"]].to_numpy()
    expected = by_hand(network, past, 10)
    result = nnzoo("predict", RUN, "--steps", "10")
    assert (result.code, result.err) == (0, "")
    answers = rows_of(result.out)
    assert list(answers[0]) == ["step", "time", "z", "y"]
    assert [row["step"] for row in answers] == [str(i) for i in range(1, 11)]
    assert answers[0]["time"] == "2020-04-30"
    assert answers[-1]["time"] == "2020-05-09"
    found = np.array([[float(row["z"]), float(row["y"])] for row in answers])
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    assert len(rows_of(nnzoo("predict", RUN).out)) == horizon
    of_windows = Predictions.concat(predict(network, past[None, -8:], steps=10))
    np.testing.assert_allclose(of_windows.values.reshape(10, 2), expected, rtol=1e-6)
    assert of_windows.names[:3] == ["z+1", "y+1", "z+2"]


def test_a_file_is_continued_from_its_own_end(nnzoo: Nnzoo) -> None:
    write_series()
    network = train("rnn", SERIES)
    frame = pandas.read_csv("s.csv")
    frame.iloc[:50].to_csv("new.csv", index=False)
    frame.iloc[:70].to_parquet("more.parquet")
    (line,) = nnzoo("predict", RUN, "new.csv", "--json").lines
    assert (line["step"], line["time"]) == (1, "2020-02-20")
    assert line["y"] == pytest.approx(by_hand(network, frame[["y"]].to_numpy()[:50], 1)[0, 0], 1e-6)
    both = rows_of(nnzoo("predict", RUN, "new.csv", "more.parquet", "--steps", "2").out)
    assert [(row["file"], row["step"]) for row in both] == [
        ("new.csv", "1"), ("new.csv", "2"), ("more.parquet", "1"), ("more.parquet", "2"),
    ]  # fmt: skip
    of_frame = Predictions.concat(predict(network, frame.iloc[:50], steps=2))
    assert [f"{each:.7g}" for each in of_frame.values[:, 0]] == [row["y"] for row in both[:2]]
    assert of_frame.index == {"step": [1, 2], "time": ["2020-02-20", "2020-02-21"]}


def test_each_group_is_continued(nnzoo: Nnzoo) -> None:
    time = np.arange(60.0)
    days = [str(day.date()) for day in pandas.date_range("2021-01-01", periods=60)]
    pandas.DataFrame(
        {"g": ["Brest"] * 60 + ["Ajaccio"] * 60, "day": days * 2, "y": [*time, *(time + 500)]}
    ).to_csv("s.csv", index=False)
    network = train("rnn", SERIES | {"group": "g"})
    answers = rows_of(nnzoo("predict", RUN, "--steps", "2").out)
    assert [(row["group"], row["step"], row["time"]) for row in answers] == [
        (name, step, day)
        for name in ("Ajaccio", "Brest")
        for step, day in (("1", "2021-03-02"), ("2", "2021-03-03"))
    ]
    expected = [by_hand(network, (time + start)[:, None], 2) for start in (500, 0)]
    found = [float(row["y"]) for row in answers]
    np.testing.assert_allclose(found, np.concatenate(expected)[:, 0], rtol=1e-5)


def test_the_generated_sine_is_continued(nnzoo: Nnzoo) -> None:
    network = train("rnn", {"name": "sine", "length": 200, "window": 8, "horizon": 2})
    wave = np.sin(2 * np.pi * np.arange(200) / 40)[:, None]
    answers = rows_of(nnzoo("predict", RUN, "--steps", "5").out)
    assert list(answers[0]) == ["step", "sine"]
    found = [float(row["sine"]) for row in answers]
    np.testing.assert_allclose(found, by_hand(network, wave, 5)[:, 0], rtol=1e-5, atol=1e-7)
    pandas.DataFrame({"sine": wave[:, 0]}).to_csv("new.csv", index=False)
    np.testing.assert_allclose(
        Predictions.concat(predict(network, "new.csv", 5)).values[:, 0], found, 1e-5
    )
    np.savetxt("bare.csv", wave, fmt="%.9g")
    np.testing.assert_allclose(
        Predictions.concat(predict(network, "bare.csv", 5)).values[:, 0], found, 1e-5
    )


def test_covariates_are_read_within_the_horizon_and_forbid_more() -> None:
    write_series(x=np.arange(120))
    network = train("rnn", SERIES | {"covariates": ["x"], "horizon": 4})
    assert len(Predictions.concat(predict(network, steps=4))) == 4
    assert refused(UsageError, network, steps=5) == (
        "5 steps: this network forecasts 4 from covariates (x), which are known up to the present "
        "only; train one with a larger data.horizon, or without covariates"
    )


def days(freq: str, rows: int = 30, start: str = "2020-01-31") -> pandas.Series:
    return pandas.Series([str(day) for day in pandas.date_range(start, periods=rows, freq=freq)])


@pytest.mark.parametrize(
    ("past", "future"),
    [
        (days("ME", 20), ["2021-09-30", "2021-10-31", "2021-11-30"]),
        (days("MS", 20), ["2021-10-01", "2021-11-01", "2021-12-01"]),
        (days("QE", 8), ["2022-03-31", "2022-06-30", "2022-09-30"]),
        (days("YS", 8), ["2029-01-01", "2030-01-01", "2031-01-01"]),
        (days("D"), ["2020-03-01", "2020-03-02", "2020-03-03"]),
        (days("W"), ["2020-08-30", "2020-09-06", "2020-09-13"]),
        (days("h"), ["2020-02-01 06:00:00", "2020-02-01 07:00:00", "2020-02-01 08:00:00"]),
        (days("12h", 4), ["2020-02-02 00:00:00", "2020-02-02 12:00:00", "2020-02-03 00:00:00"]),
        (days("D").str[:10].str.replace("-", "/"), ["2020-03-01", "2020-03-02", "2020-03-03"]),
        (days("h") + "+01:00",
         ["2020-02-01 06:00:00+01:00", "2020-02-01 07:00:00+01:00", "2020-02-01 08:00:00+01:00"]),
        (pandas.concat([days("h") + "+01:00", days("h", 30, "2020-02-01 05:00") + "+00:00"]),
         ["2020-02-02 11:00:00+00:00", "2020-02-02 12:00:00+00:00", "2020-02-02 13:00:00+00:00"]),
        (days("D").drop([7, 19]), ["2020-03-01", "2020-03-02", "2020-03-03"]),  # two days are missing
        (days("B"), ["2020-03-13", "2020-03-16", "2020-03-17"]),
        (days("D", 2), None),
        (pandas.Series(["2020-01-01", None, "2020-01-03", "2020-01-04"]), None),
        (pandas.Series([1, 2, 3, 4]), ["5", "6", "7"]),
        (days("YS", 280, "1970"), ["2250-01-01", "2251-01-01", "2252-01-01"]),
    ],
)  # fmt: skip
def test_the_dates_that_follow_keep_their_distance(
    past: pandas.Series, future: list[str] | None
) -> None:
    assert axis_of(past).following("", 3) == future


def axis_of(past: pandas.Series) -> TimeAxis:
    frame = pandas.DataFrame({"day": past.reset_index(drop=True), "y": 1.0})
    return describe_time(frame, SeriesOptions(name="series", path="", time="day"), ["y"])


@pytest.mark.parametrize(("freq", "steps"), [("YS", 9000), ("W", 10**6)])
def test_dates_beyond_the_calendar_are_left_out(freq: str, steps: int) -> None:
    axis = axis_of(days(freq, 20))
    assert axis.following("", steps) is None
    assert axis.why_no_dates() == "the dates that follow are beyond the calendar"


# Sequences.


def test_a_file_is_one_sequence_with_named_or_unnamed_columns(nnzoo: Nnzoo) -> None:
    network = train("lstm", "sequences")
    raw, _ = network_data("lstm", "sequences")
    for i, name in enumerate(("named.csv", "swapped.csv", "bare.csv")):
        frame = pandas.DataFrame(raw[i].numpy(), columns=["number", "mark"])
        frame = frame[["mark", "number"]] if name == "swapped.csv" else frame
        frame.to_csv(name, index=False, header=name != "bare.csv")
    answers = rows_of(nnzoo("predict", RUN, "named.csv", "swapped.csv", "bare.csv").out)
    assert [row["file"] for row in answers] == ["named.csv", "swapped.csv", "bare.csv"]
    expected = Predictions.concat(predict(network, raw[:3])).values[:, 0]
    np.testing.assert_allclose([float(row["sum"]) for row in answers], expected, rtol=1e-5)
    of_frame = Predictions.concat(predict(network, pandas.read_csv("named.csv")))
    np.testing.assert_allclose(of_frame.values[0], expected[0], rtol=1e-5)
    for change, message in (
        (lambda text: text + "1,0\n", "new.csv has 9 time steps; this network reads 8"),
        (lambda text: text.replace("mark", "mrk"), "new.csv: column 'mark' is missing; the network was trained with it"),
        (lambda text: text[: text.rindex(",") + 1] + "\n", "new.csv: 'mark' is missing in data row 8"),
    ):  # fmt: skip
        Path("new.csv").write_text(change(Path("named.csv").read_text()))
        assert refused(DataError, network, "new.csv") == message


# What is refused.


def test_what_a_network_does_not_read_is_refused_in_words(nnzoo: Nnzoo) -> None:
    train("mlp", "image")
    formats = ", ".join(each[1:] for each in EXTENSIONS)
    pictures = f"this network reads images ({formats}) and folders of them\n"
    Path("empty").mkdir()
    os.mkfifo("pipe.png")
    Path("new.csv").write_text("a,b\n1,2\n")
    for words, code, message in (
        (["none.png"], 3, "no file none.png\n"),
        (["new.csv"], 3, f"new.csv is not an image; {pictures}"),
        (["empty"], 3, f"empty has no images; {pictures}"),
        ([], 2, f"missing input: nnzoo predict {RUN} photos/\n"),
        (["pipe.png"], 3, "not a regular file: pipe.png\n"),
        (["new.csv", "--steps", "0"], 2, "--steps: expected a whole number of at least 1, got 0\n"),
        (["new.csv", "--json", "--out", "x"], 2,
         "give one of the two: --json writes to stdout, --out to a file\n"),
        (["new.csv", "--out", "new.csv"], 2,
         "--out new.csv would replace an INPUT; name another file\n"),
        (["new.csv", "--weights", "worst"], 2, "--weights: expected one of best, last, got worst\n"),
    ):  # fmt: skip
        result = nnzoo("predict", RUN, *words)
        assert (result.code, result.out, result.err) == (code, "", message)
    result = nnzoo("predict", RUN, "empty", "--steps", "2")
    assert (result.code, result.err) == (2, f"steps are for forecasts; {pictures[:-1]}, and its predictions are classes\n")  # fmt: skip
    assert nnzoo("predict").err == "missing run and input: nnzoo predict checkpoints/cnn photos/\n"
    assert nnzoo("predict", "empty", "new.csv").code == 5
    assert Path("new.csv").read_text() == "a,b\n1,2\n"


def test_a_picture_or_folder_for_a_table_is_refused(nnzoo: Nnzoo) -> None:
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
    assert result.err == "new.csv: column 'sepal width (cm)' is missing; the network was trained with it\n"  # fmt: skip


def test_a_series_with_gaps_of_the_target_is_continued_and_they_are_named(nnzoo: Nnzoo) -> None:
    write_series()
    train("rnn", SERIES)
    rows = "".join(f"2020-01-{i:02d},{i % 9 or ''}\n" for i in range(1, 20))
    Path("gap.csv").write_text(f"day,y\n{rows}")
    result = nnzoo("predict", RUN, "gap.csv")
    assert result.code == 0
    assert (
        "left out inside the series: 2 rows without a value of 'y', first data row 9" in result.err
    )


def test_a_series_that_cannot_be_continued_is_refused(nnzoo: Nnzoo) -> None:
    write_series()
    train("rnn", SERIES)
    Path("short.csv").write_text("day,y\n2020-01-01,1\n2020-01-02,2\n")
    Path("other.csv").write_text("day,z\n2020-01-01,1\n2020-01-02,2\n")
    for words, code, message in (
        (["short.csv"], 3, "short.csv has 2 time steps; this network reads the last 8\n"),
        (["other.csv"], 3, "other.csv: column 'y' is missing; the network was trained with it\n"),
        (["--steps", "1000001"], 2, "steps: expected 1 to 1,000,000, got 1000001\n"),
    ):
        result = nnzoo("predict", RUN, *words)
        assert (result.code, result.out, result.err) == (code, "", message)
    Path("s.csv").unlink()
    result = nnzoo("predict", RUN)
    assert result.code == 3
    assert result.err.endswith("s.csv\nIf the data has moved, give its file as INPUT\n")


@pytest.mark.parametrize(
    ("data", "x", "message"),
    [
        ("image", np.zeros((2, 1, 8, 8)), "expected pixels from 0 to 16 as uint8, got float64; scale, round and cast them"),
        ("image", np.full((8, 8), 17, np.uint8), "expected pixels from 0 to 16, got 17"),
        ("image", np.zeros((8, 8, 3), np.uint8), "expected images of shape (rows, 1, 8, 8), or one of them; got (8, 8, 3)"),
        ("image", np.zeros((0, 1, 8, 8), np.uint8), "expected images of shape (rows, 1, 8, 8), or one of them; got (0, 1, 8, 8)"),
        ("image", pandas.DataFrame({"a": [1]}), "a DataFrame holds no images; this network reads images"),
        ("image", 3, "expected a path, a list of paths, a DataFrame, or an array or tensor of raw inputs; got int"),
        ("table_classes", np.zeros((2, 5)), "expected rows of shape (rows, 4), or one of them; got (2, 5)"),
        ("table_classes", np.zeros((2, 4), bool), "expected numbers, got bool"),
        ("table_classes", np.array([["a"] * 4]), "expected numbers, got <U1"),
        ("table_classes", np.array([[None] * 4]), "expected numbers, got object"),
        ("table_classes", pandas.DataFrame(), "the table has no rows"),
        ("series", np.full((1, 20, 1), np.nan), "expected finite numbers; there are missing or infinite ones"),
        ("series", np.zeros((3, 19, 1)), "expected windows of shape (rows, 20, 1), or one of them; got (3, 19, 1)"),
    ],
)  # fmt: skip
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


def test_one_picture_one_window_and_one_row_are_answered() -> None:
    for data, shapes in (
        ("image", [(8, 8), (1, 8, 8)]), ("series", [(20, 1)]), ("table_classes", [(4,)]),
    ):  # fmt: skip
        network = load_or_train(data)
        for shape in shapes:
            x = np.ones(shape, np.uint8 if data == "image" else np.float32)
            alone = Predictions.concat(predict(network, x))
            assert len(alone) == 1
            whole = torch.from_numpy(x).reshape(1, *network.data_spec.input.shape)
            np.testing.assert_array_equal(
                alone.values, Predictions.concat(predict(network, whole)).values
            )


def load_or_train(data: str) -> Network:
    run = begin(config("mlp", data), data)
    finish(run)
    return run.network


def test_an_array_for_categories_is_refused() -> None:
    write_table("regression")
    network = train("mlp", TABLE)
    assert refused(DataError, network, np.zeros((2, 3))) == (
        "column 'kind' holds categories; give the rows as a DataFrame"
    )


def test_levels_out_of_a_strange_checkpoint_are_refused() -> None:
    network = train("mlp", "image")
    for levels in (0, 10**9):
        network.data_spec = replace(network.data_spec, max_pixel_value=levels)
        assert refused(CheckpointError, network, np.zeros((8, 8), np.uint8)) == (
            f"the checkpoint has images of {levels} levels"
        )


# Where answers go.


def test_a_file_is_written_whole_or_not_at_all(nnzoo: Nnzoo) -> None:
    write_table("regression")
    train("mlp", TABLE)
    shown = nnzoo("predict", RUN, "d.csv")
    for name in ("x.csv", "x.txt"):
        assert nnzoo("predict", RUN, "d.csv", "--out", name).out == ""
        assert Path(name).read_text() == shown.out
    lines = nnzoo("predict", RUN, "d.csv", "--json")
    for name in ("x.json", "x.JSONL"):
        nnzoo("predict", RUN, "d.csv", "--out", name)
        assert Path(name).read_text() == lines.out
    Path("x.txt").write_text("older")
    nnzoo("predict", RUN, "d.csv", "--out", "x.txt")
    assert Path("x.txt").read_text() == shown.out
    Path("bad.csv").write_text(Path("d.csv").read_text() + "1,2\n")
    before = sorted(os.listdir())
    assert nnzoo("predict", RUN, "bad.csv", "--out", "x.csv").code == 3
    assert Path("x.csv").read_text() == shown.out
    assert sorted(os.listdir()) == before
    for name, reason in (("none/x.csv", "No such file or directory"), ("out", "it is a folder")):
        result = nnzoo("predict", RUN, "d.csv", "--out", name)
        assert (result.code, result.err) == (2, f"--out: cannot write {name}: {reason}\n")


def test_numbers_have_six_and_seven_digits(nnzoo: Nnzoo) -> None:
    write_table("regression")
    network = train("mlp", TABLE)
    answers = Predictions.concat(predict(network, "d.csv"))
    assert answers.values.dtype == np.float64
    (first, *_) = rows_of(nnzoo("predict", RUN, "d.csv").out)
    assert first["y"] == f"{answers.values[0, 0]:.7g}"
    assert f"{float(first['y']):.6g}" != first["y"]
    finish(begin(config("mlp", "table_classes", name="other")))
    header = ",".join(
        f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")
    )
    Path("new.csv").write_text(f"{header}\n5,3,1,0.2\n")
    (row,) = rows_of(nnzoo("predict", "out/other", "new.csv").out)
    shares = nnzoo("predict", "out/other", "new.csv", "--json").json["probabilities"]
    network = load_network(Path("out/other"), torch.device("cpu"))[0]
    exact = Predictions.concat(predict(network, "new.csv")).values[0].tolist()
    assert list(shares.values()) == [float(f"{share:.6g}") for share in exact]
    assert [row[f"p_{label}"] for label in shares] == [f"{share:.6g}" for share in exact]


@pytest.mark.parametrize("files", [1, 40])
def test_a_reader_that_goes_away_ends_it_quietly(files: int) -> None:
    """Whether the output would have fitted into the pipe or not."""
    write_table("regression", 3000 if files > 1 else 20)
    train("mlp", TABLE)
    script = "from nnzoo.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "predict", str(RUN), *["d.csv"] * files],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    if files > 1:
        assert process.stdout.readline() == b"file,row,y\n"
    process.stdout.close()
    said = process.communicate()[1]
    assert (process.returncode, said) == (141, b"")


def test_a_file_whose_name_is_no_text_is_answered(nnzoo: Nnzoo) -> None:
    train("mlp", "image")
    Path("d").mkdir()
    Image.new("L", (8, 8)).save("d/a.png")
    try:
        os.rename("d/a.png", b"d/caf\xe9.png")
    except OSError:
        pytest.skip("this file system has names of text alone")
    assert nnzoo("predict", RUN, "d").out.splitlines()[1].startswith("d/caf\\udce9.png,")
    nnzoo("predict", RUN, "d", "--out", "x.csv")
    assert Path("x.csv").read_text().splitlines()[1].startswith("d/caf\\udce9.png,")
