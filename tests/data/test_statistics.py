"""Weighted statistics are those of repeated rows."""

from __future__ import annotations

import pytest
import torch

from nnzoo.data.statistics import weighted_mean_and_std


@pytest.mark.parametrize("shape", [(9000, 3), (50, 7, 2)])
def test_mean_and_std_of_weights_are_those_of_repeated_rows(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape) * 3 + 5
    weights = torch.randint(4, (len(x),))
    mean, std = weighted_mean_and_std(x, weights.double())
    repeated = x.double().repeat_interleave(weights, 0).flatten(0, -2)
    torch.testing.assert_close(mean, repeated.mean(0))
    torch.testing.assert_close(std, repeated.std(0, correction=0))
