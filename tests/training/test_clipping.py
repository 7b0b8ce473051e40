"""Gradient clipping by value and by norm, for one network and for several members, against torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nnzoo.config.optim_options import ClipOptions
from nnzoo.training.clipping import clip_by_value, clip_divisor, divide_members, global_norms


def gradients(members: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(members)
    return [torch.randn(members, *shape, generator=generator) for shape in ((4, 3), (4,))]


def test_the_divisor_clips_larger_norms_only() -> None:
    assert clip_divisor(3.0, None) is None
    assert clip_divisor(3.0, ClipOptions(value=1.0)) is None
    assert clip_divisor(0.5, ClipOptions(norm=0.5)) is None
    assert clip_divisor(3.0, ClipOptions(norm=0.5)) == pytest.approx(6.0, rel=1e-5)


def test_values_are_clamped_on_both_sides() -> None:
    grads = gradients(1)
    expected = [grad.clamp(-0.1, 0.1) for grad in grads]
    clip_by_value(grads, 0.1)
    assert all(map(torch.equal, grads, expected))
    clip_by_value([], 0.1)


@pytest.mark.parametrize("members", [1, 3])
def test_members_are_clipped_by_their_own_norms(members: int) -> None:
    grads = gradients(members)
    whole = torch.cat([grad.flatten(1) for grad in grads], 1).norm(dim=1)
    norms = global_norms(grads, members)
    assert norms == pytest.approx(whole.tolist())
    expected = [grad / norm for grad in grads for norm in [whole.view(-1, *[1] * (grad.ndim - 1))]]
    divide_members(grads, torch.tensor(norms))
    for grad, target in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, target)
