"""Data in words: rows, kinds and targets."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from nnzoo.data.read_dataset import read_dataset
from nnzoo.explain.describe_data import describe_data
from nnzoo.explain.walk import Section, Walk, render
from tests.zoo import config


def described(data: Any) -> tuple[str, dict[str, Any]]:
    chosen = config("mlp", data)
    dataset = read_dataset(chosen)
    section = Section("data")
    figures = describe_data(section, chosen, dataset, "", dataset.spec)
    return "\n".join(render(Walk([section], {}), "en", 10_000)), figures


def test_classes_have_their_majority_and_the_loss_of_knowing_nothing() -> None:
    text, figures = described({"name": "wine"})
    assert "ln 3 = 1.099" in text and figures["baseline_loss"] == math.log(3)
    majority = figures["majority"]
    assert (
        f"{majority['label']}, makes up {100 * majority['fraction']:.1f} % of the training rows"
        in text
    )


def test_classes_of_one_size_have_no_majority() -> None:
    chosen = config("mlp", {"name": "iris", "split": {"val": 0.2, "test": 0.2}})
    dataset = read_dataset(chosen)
    section = Section("data")
    describe_data(section, chosen, dataset, "", dataset.spec)
    text = "\n".join(render(Walk([section], {}), "en", 10_000))
    assert "All classes are equally frequent" in text and "33.3 %" in text


def test_numbers_have_their_mean_and_deviation() -> None:
    text, figures = described("table_number")
    y = read_dataset(config("mlp", "table_number")).splits["train"].targets().double()
    assert f"mean {float(y.mean()):.4g}" in text
    assert figures["target_std"] == pytest.approx([float(y.std(correction=0))])


def test_many_labels_are_cut_and_splits_that_are_missing_are_left_out() -> None:
    chosen = config("mlp", "table_classes")
    dataset = read_dataset(chosen)
    names = [f"class {i}" for i in range(20)]
    spec = replace(dataset.spec, labels=names)
    section = Section("data")
    dataset.splits = {"train": dataset.splits["train"]}
    describe_data(section, chosen, dataset, "", spec)
    text = "\n".join(render(Walk([section], {}), "en", 10_000))
    assert "class 11, …" in text and "class 12" not in text and "rows, all for training" in text
