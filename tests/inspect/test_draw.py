"""Figures show the values that they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnzoo.inspect import draw


def test_the_grey_of_a_drawn_sum_is_that_of_the_numbers() -> None:
    maps = np.random.default_rng(0).random((4, 6, 6)).astype(np.float32)
    figure = draw.channels("layer", maps)
    shown: Any = figure.subfigs[0].axes[0].images[0]
    assert np.array_equal(shown.get_array(), maps.sum(0))
    assert shown.get_cmap().name == "gray"
    single: list[Any] = [
        axes.images[0].get_array() for axes in figure.subfigs[1].axes if axes.images
    ]
    assert np.array_equal(np.stack(single), maps)
