"""Batches of sequences of different lengths without their padding, as recurrent layers take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnzoo.data.sampling import BatchShard, current_shard
from nnzoo.data.sequences import PaddedSequences
from nnzoo.kernels.call import supports
from nnzoo.kernels.ops import pack_rows
from nnzoo.kernels.packing import Packing, is_sorted
from nnzoo.models.layers import fill_dropout_mask


@dataclass(frozen=True)
class PackedRows:
    """The time steps of a batch of sequences as rows, in the order of `packing`.

    values: (rows, features); lengths: (members * batch,) of the batch as it came; order: (members * batch,) int64, which
    sequence of the batch each of the packing is, or None if the batch came sorted.
    """

    values: Tensor
    lengths: Tensor
    packing: Packing
    order: Tensor | None

    def __len__(self) -> int:
        return len(self.lengths)

    def with_values(self, values: Tensor) -> PackedRows:
        """The same steps with other values (rows, ...)."""
        return PackedRows(values, self.lengths, self.packing, self.order)

    def float(self) -> PackedRows:
        return self.with_values(self.values.float())

    def padded(self) -> PaddedSequences:
        """The batch as it came, (members * batch, time, features) and zero behind the end of each sequence."""
        step, sequence = self.packing.places
        steps = self.packing.steps
        target = (sequence if self.order is None else self.order[sequence]) * steps + step
        shape = len(self), steps, self.values.shape[1]
        flat = self.values.new_zeros(shape[0] * steps, shape[2])
        filled = flat.index_copy(0, target.to(flat.device), self.values)
        return PaddedSequences(filled.view(shape), self.lengths)

    def unsorted(self, x: Tensor) -> Tensor:
        """Rows (members * batch, ...) of the sequences, in the order of the packing, as the batch came."""
        if self.order is None:
            return x
        inverse = torch.empty_like(self.order)
        inverse[self.order] = torch.arange(len(inverse))
        return x.index_select(0, inverse.to(x.device))


def pack(x: PaddedSequences, members: int = 1) -> PackedRows:
    """Drop the padding of a batch (members * batch, time, features), member by member."""
    lengths, order = x.lengths.view(members, -1), None
    if not all(map(is_sorted, lengths.tolist())):
        lengths, within = lengths.sort(dim=1, descending=True, stable=True)
        order = (within + torch.arange(members).unsqueeze(1) * lengths.shape[1]).flatten()
    packing = Packing(lengths)
    rows, starts = x.rows_and_starts()
    if order is not None:
        starts = starts[order]
    is_ids = rows.dtype is torch.int32
    # C copies the bits of ids as those of numbers.
    bits = rows.view(torch.float32) if is_ids and rows.is_cpu else rows
    if supports(bits, bits) and not (rows.requires_grad and torch.is_grad_enabled()):
        values = pack_rows(bits, starts, packing).view(rows.dtype)
    else:
        step, sequence = packing.places
        values = rows.index_select(0, (starts[sequence] + step).to(rows.device))
    return PackedRows(values, x.lengths, packing, order)


def packed_dropout(
    values: Tensor,
    x: PackedRows,
    dropout: float,
    generators: Sequence[torch.Generator | None] = (None,),
) -> Tensor:
    """Dropout of values (rows, width) of the steps of `x`, with a generator per member.

    Masks are drawn for the whole batch, time step by time step, by generators whose seed is one draw: a shard of a batch,
    which is packed and may be shorter, drops what the whole batch does.
    """
    packing = x.packing
    step, sequence = packing.places
    row = sequence if x.order is None else x.order[sequence]
    shard = current_shard()
    if shard is None or shard.rows != packing.batch or packing.members > 1:
        shard = BatchShard(0, packing.batch, packing.batch)
    index = step * shard.total + row % packing.batch + shard.start
    masks, scale, width = [], 1.0, values.shape[1]
    for generator, offsets in zip(generators, packing.offsets.tolist(), strict=True):
        seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
        mask = torch.empty(packing.steps * shard.total * width, dtype=torch.uint8)
        scale = fill_dropout_mask(mask, dropout, (torch.Generator().manual_seed(seed),))
        masks.append(mask.view(-1, width).index_select(0, index[offsets[0] : offsets[-1]]))
    return values * torch.cat(masks).to(values.device) * scale
