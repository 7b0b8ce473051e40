"""The order of the time steps of sequences of different lengths in one tensor."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pack_padded_sequence

from nnzoo.kernels.packing import Packing


def test_of_one_member_it_is_the_order_of_torch() -> None:
    lengths = torch.tensor([4, 2, 2, 1])
    packing = Packing(lengths[None])
    values = torch.arange(16).view(4, 4)  # (batch, time)
    packed = pack_padded_sequence(values, lengths, batch_first=True)
    step, sequence = packing.places
    assert torch.equal(values[sequence, step], packed.data)
    assert torch.equal(packing.counts[0], packed.batch_sizes)
    assert packing.shape == (1, 4, 4, 9)


def test_members_come_one_after_the_other() -> None:
    packing = Packing(torch.tensor([[3, 1], [2, 2]]))
    assert packing.counts.tolist() == [[2, 1, 1], [2, 2, 0]]
    assert packing.offsets.tolist() == [[0, 2, 3, 4], [4, 6, 8, 8]]
    step, sequence = packing.places
    assert step.tolist() == [0, 0, 1, 2, 0, 0, 1, 1]
    assert sequence.tolist() == [0, 1, 0, 0, 2, 3, 2, 3]


def test_the_reverse_of_a_step_is_as_far_from_the_end_of_its_sequence() -> None:
    packing = Packing(torch.tensor([[3, 1], [2, 2]]))
    step, sequence = packing.places
    reverse = packing.reverse
    assert torch.equal(sequence[reverse], sequence)
    assert torch.equal(step[reverse], packing.lengths.flatten()[sequence] - 1 - step)
    assert torch.equal(reverse[reverse], torch.arange(packing.rows))


def test_later_changes_of_the_lengths_are_not_seen() -> None:
    lengths = torch.tensor([[3, 1]])
    packing = Packing(lengths)
    lengths[0, 0] = 99
    assert packing.lengths.tolist() == [[3, 1]]
