"""Random changes of training images, of a whole batch at once.

Shift and flip move raw pixels; rotation and crop are one bilinear resampling. Pixels from outside
the image are 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.config.data_options import AugmentOptions
from nnzoo.data.sampling import BatchShard

MIN_ERASE, MAX_ERASE = 0.02, 0.2


class RowGenerators:
    """Random draws for the rows of a batch: from one generator (on the CPU, so that every device
    gets the same), or from several, each for an equal number of rows. shard: the position of the
    rows in the whole batch, where they are not all of it."""

    def __init__(self, *generators: torch.Generator, shard: BatchShard | None = None) -> None:
        self.generators = generators
        self.shard = shard

    def rand(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), of this shape, rows first."""
        return self._joined(torch.rand, *shape)

    def randint(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers of at least `low`, below `high`."""
        return self._joined(partial(torch.randint, low, high), *shape)

    def _joined(self, draw: Callable[..., Tensor], rows: int, *rest: int) -> Tensor:
        if self.shard is not None:
            (generator,) = self.generators
            return self.shard.of(draw((self.shard.total, *rest), generator=generator))
        rows_per_generator = rows // len(self.generators)
        parts = [
            draw((rows_per_generator, *rest), generator=generator) for generator in self.generators
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def augment(images: Tensor, options: AugmentOptions, generators: RowGenerators) -> Tensor:
    """Images (batch, channels, height, width) of any type, changed; float32 after a resampling."""
    if options.shift or options.flip != "none":
        images = _shift_and_flip(images, options, generators)
    if options.rotate or options.crop < 1:
        images = _resample(images, options, generators)
    if options.erase:
        images = _erase(images, options.erase, generators)
    return images


def _shift_and_flip(x: Tensor, options: AugmentOptions, generators: RowGenerators) -> Tensor:
    """Crop each image from itself padded with zeros, mirrored or not."""
    batch, _, height, width = x.shape
    shift = options.shift
    starts = []
    for dim, ways in ((2, ("vertical", "both")), (3, ("horizontal", "both"))):
        flips = generators.rand(batch, 1)[:, 0] < 0.5 if options.flip in ways else None
        start = torch.full((batch,), shift)
        if shift:
            start = start + generators.randint(-shift, shift + 1, batch, 1)[:, 0]
        if flips is not None:
            start = torch.where(flips, 2 * shift - start, start)
            which = flips.nonzero()[:, 0].to(x.device)
            x = x.index_copy(0, which, x.index_select(0, which).flip(dim))
        starts.append(start.to(x.device))
    if not shift:
        return x
    windows = functional.pad(x, (shift,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    image = torch.arange(batch, device=x.device)
    return windows.permute(0, 2, 3, 1, 4, 5)[image, starts[0], starts[1]]


def _resample(x: Tensor, options: AugmentOptions, generators: RowGenerators) -> Tensor:
    batch, _, height, width = x.shape
    angle = (generators.rand(batch) * 2 - 1) * math.radians(options.rotate)
    scale = options.crop + (1 - options.crop) * generators.rand(batch)
    # The crop may be anywhere inside the image.
    translation = (1 - scale)[:, None] * (generators.rand(batch, 2) * 2 - 1)
    if not batch:  # of a process that has no row of the batch
        return x.float()
    cos, sin = angle.cos() * scale, angle.sin() * scale
    ratio = height / width
    theta = torch.stack(
        [
            torch.stack([cos, -sin * ratio, translation[:, 0]], 1),
            torch.stack([sin / ratio, cos, translation[:, 1]], 1),
        ],
        1,
    ).to(x.device)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x.float(), grid, align_corners=False)


def _erase(x: Tensor, probability: float, generators: RowGenerators) -> Tensor:
    batch, _, height, width = x.shape
    area = MIN_ERASE + (MAX_ERASE - MIN_ERASE) * generators.rand(batch)
    shape = torch.exp((generators.rand(batch) * 2 - 1) * math.log(3))
    sides = []
    for length, part in ((height, (area * shape).sqrt()), (width, (area / shape).sqrt())):
        side = (part.clamp(max=1) * length).round().clamp(min=1)
        start = (generators.rand(batch) * (length - side + 1)).floor()
        position = torch.arange(length)
        sides.append((position >= start[:, None]) & (position < (start + side)[:, None]))
    chosen = generators.rand(batch) < probability
    hole = sides[0][:, :, None] & sides[1][:, None, :] & chosen[:, None, None]
    return x * ~hole[:, None].to(x.device)
