"""`nnzoo predict`: its CSV and JSON lines, and the file that it writes."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from nnzoo.runs.loaded_run import load_network
from tests.predict.prediction_runs import RUN, TABLE, Nnzoo, rows_of, train, write_table
from tests.zoo import begin, config, finish


def test_labels_with_commas_and_quotes_make_a_valid_csv(nnzoo: Nnzoo) -> None:
    write_table("classification")
    train("mlp", TABLE)
    result = nnzoo("predict", RUN, "d.csv")
    header, *rows = csv.reader(io.StringIO(result.out))
    assert header == ["row", "prediction", "probability", 'p_a "no"', "p_yes, indeed"]
    assert {row[1] for row in rows} <= {'a "no"', "yes, indeed"}
    assert {len(row) for row in rows} == {5}


def test_a_target_named_like_a_column_of_the_predictions_hides_nothing(nnzoo: Nnzoo) -> None:
    write_table("regression")
    Path("d.csv").write_text(Path("d.csv").read_text().replace("kind,y", "kind,row"))
    train("mlp", TABLE)
    assert nnzoo("predict", RUN, "d.csv").out.splitlines()[0] == "row,predicted_row"
    assert list(nnzoo("predict", RUN, "d.csv", "--json").lines[0]) == ["row", "predicted_row"]


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
    predictions = Predictions.concat(predict(network, "d.csv"))
    assert predictions.values.dtype == np.float64
    (first, *_) = rows_of(nnzoo("predict", RUN, "d.csv").out)
    assert first["y"] == f"{predictions.values[0, 0]:.7g}"
    assert f"{float(first['y']):.6g}" != first["y"]
    finish(begin(config("mlp", "table_classes", name="other")))
    header = ",".join(
        f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")
    )
    Path("new.csv").write_text(f"{header}\n5,3,1,0.2\n")
    (row,) = rows_of(nnzoo("predict", "out/other", "new.csv").out)
    probabilities = nnzoo("predict", "out/other", "new.csv", "--json").json["probabilities"]
    network = load_network(Path("out/other"), torch.device("cpu"))[0]
    exact = Predictions.concat(predict(network, "new.csv")).values[0].tolist()
    assert list(probabilities.values()) == [float(f"{probability:.6g}") for probability in exact]
    assert [row[f"p_{label}"] for label in probabilities] == [
        f"{probability:.6g}" for probability in exact
    ]


@pytest.mark.parametrize("files", [1, 40])
def test_a_reader_that_goes_away_ends_it_quietly(files: int) -> None:
    """Whether the output would have fitted into the pipe or not."""
    write_table("regression", 3000 if files > 1 else 20)
    train("mlp", TABLE)
    script = "from nnzoo.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "predict", str(RUN), *["d.csv"] * files],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    if files > 1:
        assert process.stdout.readline() == b"file,row,y\n"
    process.stdout.close()
    message = process.communicate()[1]
    assert (process.returncode, message) == (141, b"")


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
