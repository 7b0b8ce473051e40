"""Predictions for recordings in every form, as files, frames and arrays of any length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from nnzoo.errors import DataError
from nnzoo.models.network import Network
from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from nnzoo.runs.loaded_run import load_network
from tests.data.recording_files.writing import (
    WRITERS,
    long_frame,
    some_recordings,
    write_long,
    write_ts,
)
from tests.predict.prediction_runs import RUN, refused
from tests.zoo import begin, config, finish

GRU = {"name": "gru", "hidden_size": 4, "num_layers": 1}
RECORDINGS = some_recordings(30)
NEW = some_recordings(7, seed=5)


def train_on(data: dict[str, Any], model: Any = GRU) -> Network:
    finish(begin(config(model, {"name": "recordings", **data}, train={"epochs": 1})))
    return load_network(RUN, torch.device("cpu"))[0]


def predicted(network: Network, x: Any) -> Predictions:
    return Predictions.concat(predict(network, x))


@pytest.mark.parametrize("trained", ["ts", "folder", "bare_folder", "long", "wide"])
def test_new_recordings_in_any_form_have_the_same_predictions(
    trained: str, own_folder: Path, tmp_path: Path
) -> None:
    network = train_on(WRITERS[trained](tmp_path, RECORDINGS))
    reference = predicted(network, [values for values, _ in NEW])
    assert len(reference) == 7 and reference.index["recording"] == list("1234567")
    for form in ("ts", "arff", "folder", *(["long"] if trained == "long" else []), "wide"):
        new = tmp_path / f"new_{form}"
        new.mkdir()
        path = WRITERS[form](new, NEW)["path"]
        if form == "wide" and trained in ("folder", "bare_folder"):
            continue
        got = predicted(network, path)
        assert len(got) == 7
        ours, theirs = (np.sort(x.values[:, 0]) for x in (got, reference))
        assert np.array_equal(ours, theirs), form


def test_a_single_file_is_a_recording(own_folder: Path, tmp_path: Path) -> None:
    network = train_on(WRITERS["folder"](tmp_path, RECORDINGS))
    values = NEW[0][0]
    pandas.DataFrame(values, columns=["c0", "c1"]).to_csv("one.csv", index=False)
    expected = predicted(network, [values]).values
    assert np.array_equal(predicted(network, "one.csv").values, expected)
    assert np.array_equal(
        predicted(network, pandas.DataFrame(values, columns=["c0", "c1"])).values, expected
    )
    assert np.array_equal(predicted(network, values).values, expected)
    assert np.array_equal(predicted(network, values.tolist()).values, expected)
    two = predicted(network, ["one.csv", "one.csv"])
    assert two.index == {"file": ["one.csv"] * 2, "recording": ["one.csv"] * 2}


def test_a_long_table_has_a_row_per_id_with_or_without_targets(
    own_folder: Path, tmp_path: Path
) -> None:
    network = train_on(write_long(tmp_path, RECORDINGS))
    frame = long_frame(NEW)
    with_targets = predicted(network, frame)
    assert with_targets.index["recording"] == [f"r{i}" for i in range(7)][::-1]
    without = predicted(network, frame.drop(columns="label"))
    assert np.array_equal(without.values, with_targets.values)
    frame.assign(label="never seen").to_csv("new.csv", index=False)
    assert np.array_equal(predicted(network, "new.csv").values, with_targets.values)


def test_cuts_and_own_statistics_are_those_of_training(own_folder: Path, tmp_path: Path) -> None:
    options = {"max_length": 5, "keep": "end", "length": 4, "preprocess": {"per": "recording"}}
    network = train_on({**write_ts(tmp_path, RECORDINGS), **options})
    values = NEW[0][0]
    first = predicted(network, [values])
    assert np.array_equal(
        predicted(network, [values * 8 + 16]).values.round(6), first.values.round(6)
    )
    tail = predicted(network, [values[-5:]])
    assert np.array_equal(tail.values, first.values)
    assert any("cut to the last 5 time steps" in note for note in first.notes)
    assert any("resampled to 4 time steps" in note for note in first.notes)


def test_recordings_that_the_network_cannot_read_are_named(
    own_folder: Path, tmp_path: Path
) -> None:
    same = some_recordings(30, lengths=(6, 6))
    network = train_on(write_ts(tmp_path, same))
    assert "expected 6 time steps, recording 2 of the input has 5; train with data.length: 6" in (
        refused(DataError, network, [np.zeros((6, 2)), np.zeros((5, 2))])
    )
    assert refused(DataError, network, [np.zeros((6, 3))]) == (
        "recording 1: expected an array of shape (time, 2), got (6, 3)"
    )
    assert "numbers" in refused(DataError, network, [[["a", "b"]]])
    Path("three.ts").write_text("@data\n1,2:3,4:5,6\n")
    assert "has 3 channels ('0', '1', '2'); training has 2 channels" in refused(
        DataError, network, "three.ts"
    )
    Path("empty").mkdir()
    assert "has no CSV or Parquet files" in refused(DataError, network, "empty")
