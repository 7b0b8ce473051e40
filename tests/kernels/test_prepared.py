"""Prepared calls: rows of a data set, copies, and what is refused."""

from __future__ import annotations

import pytest
import torch

from nnzoo.kernels import build
from nnzoo.kernels.prepared import CallSequence, Gather, copy_rows

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


def test_rows_of_images_are_taken_and_scaled_to_the_bit() -> None:
    x = torch.randint(0, 256, (9, 3, 5, 7), dtype=torch.uint8)
    y, terms = torch.arange(9), (torch.randn(3, 1, 1), torch.randn(3, 1, 1))
    numbers = torch.tensor([8, 0, 3, 3])
    gather = Gather(x, y, 4, terms)
    gather.choose(numbers)
    CallSequence([gather.call]).run()
    gather.check()
    assert torch.equal(gather.x, torch.sub(x[numbers], terms[0]).mul_(terms[1]))
    assert torch.equal(gather.targets, numbers)
    for wrong in (9, -1):
        gather.choose(torch.tensor([0, 1, wrong, 2]))
        CallSequence([gather.call]).run()
        with pytest.raises(IndexError, match="number 2 of the rows"):
            gather.check()
    with pytest.raises(TypeError):
        gather.choose(numbers[:3])


def test_rows_of_numbers_are_copied() -> None:
    x, y = torch.randn(6, 4), torch.randn(6, 2)
    gather = Gather(x, y, 2, None)
    numbers = torch.tensor([5, 1])
    gather.choose(numbers)
    part = torch.zeros(2, 3)
    CallSequence([gather.call, copy_rows(gather.x, 3, part)]).run()
    assert torch.equal(gather.x, x[numbers]) and torch.equal(gather.targets, y[numbers])
    assert torch.equal(part, x[numbers, :3])


def test_what_c_cannot_take_is_refused() -> None:
    x, y = torch.randn(6, 4), torch.arange(6)
    with pytest.raises(ValueError, match="dense"):
        Gather(x.t(), y, 2, None)
    with pytest.raises(TypeError):
        Gather(x.double(), y, 2, None)
    with pytest.raises(ValueError, match="channel"):
        terms = torch.zeros(2), torch.zeros(2)
        Gather(torch.zeros(6, 3, 2, 2, dtype=torch.uint8), y, 2, terms)
    with pytest.raises(ValueError, match="rows of"):
        copy_rows(x, 5, torch.zeros(6, 5))
