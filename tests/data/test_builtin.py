"""The sets inside scikit-learn's wheel, and the generated ones."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets

from nnzoo.config.data_options import (
    AddingOptions,
    BundledTableOptions,
    DigitsOptions,
    SineOptions,
)
from nnzoo.config.split_options import RowSplit, TimeSplit
from nnzoo.data.builtin import load_adding, load_digits, load_sine, load_table
from nnzoo.data.dataset import Dataset, WindowSplit
from nnzoo.data.row_split import split_rows
from nnzoo.errors import DataError


def assert_rows(dataset: Dataset, x: np.ndarray, y: np.ndarray, stratified: bool) -> None:
    rows = split_rows(len(x), RowSplit(), y if stratified else None)
    assert list(dataset.splits) == ["train", "val", "test"]
    for part, split in dataset.splits.items():
        got_x, got_y = split.batch(torch.arange(len(split)))
        np.testing.assert_array_equal(got_x.numpy(), x[rows[part]])
        np.testing.assert_array_equal(got_y.numpy(), y[rows[part]])


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_a_bundled_table_is_what_scikit_learn_loads(name: Any) -> None:
    bunch = getattr(datasets, f"load_{name}")()
    dataset = load_table(BundledTableOptions(name=name))
    assert_rows(dataset, bunch.data, bunch.target, True)
    assert dataset.spec.labels == list(bunch.target_names)
    assert dataset.spec.column_names == list(bunch.feature_names)


def test_diabetes_is_scikit_learns_in_its_own_units() -> None:
    bunch = datasets.load_diabetes(scaled=False)
    dataset = load_table(BundledTableOptions(name="diabetes"))
    assert dataset.spec.task == "regression"
    assert_rows(dataset, bunch.data, bunch.target[:, None], False)
    assert dataset.spec.column_names == list(bunch.feature_names)


def test_digits_are_scikit_learns_images() -> None:
    bunch = datasets.load_digits()
    dataset = load_digits(DigitsOptions(name="digits"))
    assert str(dataset.spec.input) == "image 1×8×8"
    assert dataset.splits["train"].tensors()[0].dtype == torch.uint8
    assert_rows(dataset, bunch.images[:, None].astype(np.uint8), bunch.target, True)


def test_bundled_data_is_read_without_importing_scikit_learn() -> None:
    code = (
        "import sys\nfrom nnzoo.config.data_options import *\nfrom nnzoo.data.builtin import *\n"
        "load_table(BundledTableOptions(name='iris')), load_digits(DigitsOptions(name='digits'))\n"
        "assert not {'sklearn', 'pandas', 'torchvision', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_scikit_learn_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nnzoo.data.builtin.find_spec", lambda name: None)
    with pytest.raises(DataError, match="comes with scikit-learn: pip install scikit-learn"):
        load_table(BundledTableOptions(name="iris"))


def test_a_fingerprint_changes_with_any_value_and_any_row_order() -> None:
    first = load_table(BundledTableOptions(name="iris"))
    assert first.fingerprint() == load_table(BundledTableOptions(name="iris")).fingerprint()
    other = load_table(BundledTableOptions(name="iris", split=RowSplit(seed=1)))
    assert first.fingerprint() != other.fingerprint()
    first.splits["test"].tensors()[0][3, 1] += 1e-9
    assert first.fingerprint() != load_table(BundledTableOptions(name="iris")).fingerprint()


def test_the_sine_wave_is_a_sine_wave() -> None:
    options = SineOptions(name="sine", length=200, period=25, amplitude=3, window=10, horizon=2)
    dataset = load_sine(options)
    x, y = dataset.splits["train"].batch(torch.tensor([0, 7]))
    wave = 3 * np.sin(2 * np.pi * np.arange(200) / 25)
    np.testing.assert_allclose(x[:, :, 0], [wave[:10], wave[7:17]], atol=1e-12)
    np.testing.assert_allclose(y, [wave[10:12], wave[17:19]], atol=1e-12)
    assert dataset.spec.seasonal_period == 25


def test_noise_on_the_sine_wave_has_the_asked_std_and_follows_its_seed() -> None:
    def noise(seed: int) -> torch.Tensor:
        common: Any = {"name": "sine", "length": 20000, "split": TimeSplit(val=0, test=0)}
        clean, noisy = (
            load_sine(SineOptions(**common)),
            load_sine(SineOptions(**common, noise=0.5, seed=seed)),
        )
        a, b = clean.splits["train"], noisy.splits["train"]
        assert isinstance(a, WindowSplit)
        assert isinstance(b, WindowSplit)
        return b.values - a.values

    assert noise(0).std() == pytest.approx(0.5, rel=0.02)
    assert torch.equal(noise(0), noise(0))
    assert not torch.equal(noise(0), noise(1))


def test_the_adding_problem_marks_one_step_in_each_half_and_adds_their_numbers() -> None:
    dataset = load_adding(AddingOptions(name="adding", length=9, train=500, val=30, test=0))
    assert {part: len(split) for part, split in dataset.splits.items()} == {"train": 500, "val": 30}
    x, y = dataset.splits["train"].batch(torch.arange(500))
    number, mark = x[..., 0], x[..., 1]
    assert set(mark.unique().tolist()) == {0.0, 1.0}
    assert (mark[:, :4].sum(1) == 1).all()
    assert (mark[:, 4:].sum(1) == 1).all()
    torch.testing.assert_close((number * mark).sum(1, keepdim=True), y)
    assert (mark.sum(0) > 0).all()  # every step is marked somewhere


def test_splits_of_the_adding_problem_have_no_sequence_in_common_and_follow_the_seed() -> None:
    options: Any = {"name": "adding", "length": 4, "train": 50, "val": 50, "test": 50}
    first = load_adding(AddingOptions(**options))
    xs = [split.tensors()[0] for split in first.splits.values()]
    assert not any(torch.equal(xs[i][0], xs[j][0]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert first.fingerprint() == load_adding(AddingOptions(**options)).fingerprint()
    assert first.fingerprint() != load_adding(AddingOptions(**options, seed=1)).fingerprint()


def test_always_answering_one_scores_a_sixth_on_the_adding_problem() -> None:
    dataset = load_adding(AddingOptions(name="adding", length=10, train=20000))
    assert ((dataset.splits["train"].targets() - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.03)
