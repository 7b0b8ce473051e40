"""MNIST-1D: the published arrays, the permutation, and what each network makes of a curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.config.recording_options import Mnist1dOptions
from nnzoo.data.mnist1d import generate, load_mnist1d
from nnzoo.errors import DataError
from tests.zoo import begin, config

# From mnist1d_data.pkl in github.com/greydanus/mnist1d (commit of 2024).
FIRST = [-0.33200567, -0.47191037, -0.77869708, -1.00974083]  # x[0, :4]
LAST = [-0.51932871, -0.69872276, -1.28103769, -2.16101485]  # x_test[999, :4]
DIGITS = [2, 6, 4, 5, 6, 6, 6, 0, 3, 1, 6, 9]  # y[:12]
PROJECTIONS = (
    -265.4909489234991,
    -98.57793372350422,
)  # of x and x_test, on cosines along rows and columns


def options(**values: Any) -> Mnist1dOptions:
    return Mnist1dOptions(name="mnist1d", **values)


@pytest.fixture(scope="module")
def published() -> tuple[np.ndarray, np.ndarray]:
    return generate(options())


def test_the_default_options_give_the_published_data_set(
    published: tuple[np.ndarray, np.ndarray],
) -> None:
    curves, digits = published
    assert curves.shape == (5000, 40)
    np.testing.assert_allclose(curves[0, :4], FIRST, atol=1e-8)
    np.testing.assert_allclose(curves[-1, :4], LAST, atol=1e-8)
    assert digits[:12].tolist() == DIGITS
    for rows, value in zip((curves[:4000], curves[4000:]), PROJECTIONS, strict=True):
        projection = rows @ np.cos(np.arange(40)) @ np.cos(np.arange(len(rows)))
        assert projection == pytest.approx(value, abs=1e-9)


def test_the_first_rows_train_and_validate_and_the_last_test(
    published: tuple[np.ndarray, np.ndarray],
) -> None:
    curves, digits = published
    dataset = load_mnist1d(options())
    sizes = {part: len(split) for part, split in dataset.splits.items()}
    assert sizes == {"train": 3600, "val": 400, "test": 1000}
    x, y = dataset.splits["test"].batch(torch.arange(1000))
    np.testing.assert_array_equal(x[:, :, 0].numpy(), curves[4000:])
    np.testing.assert_array_equal(y.numpy(), digits[4000:])
    assert str(dataset.spec.input) == "series 40×1"


def test_shuffle_moves_the_positions_of_all_rows_alike(
    published: tuple[np.ndarray, np.ndarray],
) -> None:
    ordered, digits = published
    shuffled, same_digits = generate(options(shuffle=True))
    np.testing.assert_array_equal(digits, same_digits)
    # A value occurs once in its row, so the first row shows the permutation.
    permutation = [int(np.flatnonzero(ordered[0] == value)[0]) for value in shuffled[0]]
    assert sorted(permutation) == list(range(40))
    assert permutation != list(range(40))
    np.testing.assert_array_equal(shuffled, ordered[:, permutation])


def test_other_sizes_are_balanced_and_other_seeds_are_other_curves() -> None:
    curves, digits = generate(options(train=150, test=23))
    assert sorted(np.bincount(digits)) == [17] * 7 + [18] * 3
    assert (curves.mean(), curves.std()) == pytest.approx((0, 1))
    assert abs(generate(options(train=150, test=23, seed=7))[0] - curves).max() > 1


def test_a_digit_that_no_training_row_has_is_reported() -> None:
    from nnzoo.data.read_dataset import read_dataset

    run_config = config("mlp", {"name": "mnist1d", "train": 6, "test": 30})
    with pytest.raises(DataError, match="that no training row has"):
        read_dataset(run_config)


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        ({"name": "mlp", "hidden": []}, torch.nn.Linear(40, 10)),
        ({"name": "cnn", "channels": [4], "kernel_size": 5}, torch.nn.Conv1d(1, 4, 5)),
        ({"name": "gru", "hidden_size": 4}, torch.nn.GRU(1, 4)),
    ],
)
def test_each_network_reads_a_curve_in_its_own_way(
    model: dict[str, Any], layer: torch.nn.Module
) -> None:
    """An MLP 40 numbers, a CNN one channel, a recurrent network one number per time step."""
    run = begin(config(model, {"name": "mnist1d", "train": 100, "test": 20}))
    first = next(run.network.model.parameters())
    assert first.shape == next(layer.parameters()).shape
    run.lock.release()
