"""Pictures of bytes as `pictures.c` scales them."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from nnzoo.native.library import library


def scale_bytes(x: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    """(x - shift) * factor in float32, to the bit as torch computes it, and in a third of the time.

    x (rows, channels, height, width) uint8; shift, factor: one a channel, float32."""
    x = x.contiguous()
    to = torch.empty(x.shape)
    rows, channels, height, width = x.shape
    library().scale_bytes(
        *map(ctypes.c_long, (torch.get_num_threads(), rows, channels, height * width)),
        *(ctypes.c_void_p(each.data_ptr()) for each in (x, shift, factor, to)),
    )
    return to
