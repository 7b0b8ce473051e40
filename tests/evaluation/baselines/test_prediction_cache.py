"""Predictions of baselines that are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nnzoo.config.preprocess_options import TablePreprocess
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Split, TensorSplit
from nnzoo.data.preprocess import Preprocess
from nnzoo.evaluation.baselines import prediction_cache
from nnzoo.evaluation.baselines.baseline import Problem
from nnzoo.evaluation.baselines.linear import Linear
from nnzoo.evaluation.baselines.prediction_cache import (
    cache_file,
    read_predictions,
    write_predictions,
)
from nnzoo.evaluation.baselines.trees import BoostedTrees
from tests.evaluation.baselines.problems import split_problem

SPEC = DataSpec(InputSpec("table", (1,)), "classification", ["a", "b"], [], [ColumnSpec("x")])


def small(last: float = 3.0) -> Problem:
    split: Split = TensorSplit(
        torch.tensor([[0.0], [1], [2], [last]]).double(), torch.arange(4) % 2
    )
    return split_problem(SPEC, {"train": split, "test": split})


def test_what_decides_predictions_is_in_the_name_of_their_file() -> None:
    base = small()
    file = cache_file(base, Linear(), "test")
    assert cache_file(small(), Linear(), "test") == file
    weighted = small()
    weighted.task.class_weights = torch.tensor([1.0, 2.0])
    scaled = replace(base, preprocess=Preprocess(TablePreprocess(scale="minmax"), SPEC))
    others = [
        cache_file(small(4.0), Linear(), "test"),
        cache_file(base, Linear(), "train"),
        cache_file(base, BoostedTrees(), "test"),
        cache_file(weighted, Linear(), "test"),
        cache_file(scaled, Linear(), "test"),
    ]
    assert len({file, *others}) == 6


def test_predictions_are_read_back_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, outputs = tmp_path / "new" / "a.npz", torch.randn(5, 3).double()
    assert read_predictions(file, 5) is None
    write_predictions(file, outputs, 1.5)
    kept = read_predictions(file, 5)
    assert kept is not None and torch.equal(kept[0], outputs) and kept[1] == 1.5
    assert read_predictions(file, 4) is None
    data = file.read_bytes()
    for damaged in (b"", b"text", data[:-30], b"PK" + data[2:60]):
        file.write_bytes(damaged)
        assert read_predictions(file, 5) is None
    np.savez(file, outputs=np.array([{}], dtype=object), seconds=1.0)  # a pickle, never loaded
    assert read_predictions(file, 1) is None
    monkeypatch.setattr(prediction_cache, "MAX_VALUES", 14)
    write_predictions(tmp_path / "b.npz", outputs, 1.0)
    assert not (tmp_path / "b.npz").exists()
    (tmp_path / "taken").write_text("")
    write_predictions(tmp_path / "taken" / "c.npz", outputs[:1], 1.0)  # no folder: nothing is kept
