"""Random changes of training images, done on the whole batch at once.

Shift and flip are one gather of raw pixels; rotation and crop one bilinear resampling. What comes
in from outside the picture is 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.config.schema import AugmentOptions
from nnzoo.data.batches import Share

MIN_ERASE, MAX_ERASE = 0.02, 0.2


class _Draws:
    """Random numbers for each image of a batch, of which this process may have a share."""

    def __init__(self, generator: torch.Generator, share: Share) -> None:
        self.generator = generator
        self.share = share

    def uniform(self, *shape: int) -> Tensor:
        """(images, *shape) from 0 to 1."""
        return self.share.of(torch.rand(self.share.total, *shape, generator=self.generator))

    def whole(self, low: int, high: int) -> Tensor:
        """(images, 1) whole numbers from `low` to below `high`."""
        size = (self.share.total, 1)
        return self.share.of(torch.randint(low, high, size, generator=self.generator))


def augment(
    images: Tensor, options: AugmentOptions, generator: torch.Generator, share: Share | None = None
) -> Tensor:
    """Images (batch, channels, height, width) of any type, changed; float32 after a resampling.

    All draws come from `generator` (on the CPU), so that they are the same on every device; share:
    of which batch the images are a part, else they are all of it.
    """
    draws = _Draws(generator, share or Share(0, len(images), len(images)))
    if options.shift or options.flip != "none":
        images = _shift_and_flip(images, options, draws)
    if options.rotate or options.crop < 1:
        images = _resample(images, options, draws)
    if options.erase:
        images = _erase(images, options.erase, draws)
    return images


def _shift_and_flip(x: Tensor, options: AugmentOptions, draws: _Draws) -> Tensor:
    batch, _, height, width = x.shape

    def indices(length: int, flip: bool) -> Tensor:
        index = torch.arange(length).expand(batch, length)
        if flip:
            flipped = draws.uniform(1) < 0.5
            index = torch.where(flipped, length - 1 - index, index)
        if options.shift:
            index = index + draws.whole(-options.shift, options.shift + 1)
        return index

    rows = indices(height, options.flip in ("vertical", "both")).to(x.device)
    columns = indices(width, options.flip in ("horizontal", "both")).to(x.device)
    samples = torch.arange(batch, device=x.device)[:, None, None]
    # Advanced indices around a slice put the channels last.
    moved = x[
        samples, :, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ].permute(0, 3, 1, 2)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    return moved * inside[:, None]


def _resample(x: Tensor, options: AugmentOptions, draws: _Draws) -> Tensor:
    height, width = x.shape[2:]
    angle = (draws.uniform() * 2 - 1) * math.radians(options.rotate)
    scale = options.crop + (1 - options.crop) * draws.uniform()
    # The part that is seen may lie anywhere inside the picture.
    room = (1 - scale)[:, None] * (draws.uniform(2) * 2 - 1)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    ratio = height / width
    theta = torch.stack(
        [
            torch.stack([cos, -sin * ratio, room[:, 0]], 1),
            torch.stack([sin / ratio, cos, room[:, 1]], 1),
        ],
        1,
    ).to(x.device)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x.float(), grid, align_corners=False)


def _erase(x: Tensor, probability: float, draws: _Draws) -> Tensor:
    height, width = x.shape[2:]
    area = MIN_ERASE + (MAX_ERASE - MIN_ERASE) * draws.uniform()
    shape = torch.exp((draws.uniform() * 2 - 1) * math.log(3))
    sides = []
    for length, part in ((height, (area * shape).sqrt()), (width, (area / shape).sqrt())):
        side = (part.clamp(max=1) * length).round().clamp(min=1)
        start = (draws.uniform() * (length - side + 1)).floor()
        position = torch.arange(length)
        sides.append((position >= start[:, None]) & (position < (start + side)[:, None]))
    chosen = draws.uniform() < probability
    hole = sides[0][:, :, None] & sides[1][:, None, :] & chosen[:, None, None]
    return x * ~hole[:, None].to(x.device)
