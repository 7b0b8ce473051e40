"""Figures show the values that they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnzoo.inspect import draw


def test_the_gray_of_a_drawn_sum_is_that_of_the_numbers() -> None:
    maps = np.random.default_rng(0).random((4, 6, 6)).astype(np.float32)
    figure = draw.channels("layer", maps)
    shown: Any = figure.subfigs[0].axes[0].images[0]
    assert np.array_equal(shown.get_array(), maps.sum(0))
    assert shown.get_cmap().name == "gray"
    single: list[Any] = [
        axes.images[0].get_array() for axes in figure.subfigs[1].axes if axes.images
    ]
    assert np.array_equal(np.stack(single), maps)


def test_weights_of_a_series_are_curves_with_the_largest_first() -> None:
    weights = np.array([[[0.1, 0.2, -0.1]], [[-3.0, 2.0, 1.0]]])  # (units, channels, time)
    first, second = draw.filters(weights).axes
    for axes, unit in ((first, 1), (second, 0)):
        zero, curve = axes.lines
        assert not np.any(zero.get_ydata())
        assert np.array_equal(curve.get_ydata(), weights[unit, 0])
        assert axes.get_ylim() == pytest.approx((-3.3, 3.3))
