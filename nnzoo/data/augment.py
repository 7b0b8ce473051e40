"""Random changes of training images, of a whole batch at once.

Shift and flip move raw pixels; rotation and crop are one bilinear resampling. Pixels from outside
the image are 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

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


class Changes(NamedTuple):
    """Changes of each image of a batch, drawn on the CPU whatever the device: (rows, columns) float32 each, or
    None. Rows are those of the images."""

    flips: Tensor | None
    """Whether it is flipped vertically and horizontally, 0 or 1: (rows, 2)."""
    starts: Tensor | None
    """The first row and column, of the image with a margin of zeros, of what is kept: (rows, 2)."""
    theta: Tensor | None
    """The affine map of a rotation and a crop: (rows, 6)."""
    holes: Tensor | None
    """First row, end, first column and end of what is erased; an end of 0 erases nothing: (rows, 4)."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Changes:
        """The changes with another tensor in place of each."""
        return Changes(*(None if part is None else function(part) for part in self))


def augment(images: Tensor, options: AugmentOptions, generators: RowGenerators) -> Tensor:
    """Images (batch, channels, height, width) of any type, changed; float32 after a resampling."""
    return apply_changes(images, options, draw_changes(images.shape, options, generators))


def draw_changes(
    shape: Sequence[int], options: AugmentOptions, generators: RowGenerators
) -> Changes:
    """Draw how images of this shape (batch, channels, height, width) are changed."""
    flips = starts = theta = holes = None
    if options.shift or options.flip != "none":
        flips, starts = _draw_flips(shape[0], options, generators)
    if options.rotate or options.crop < 1:
        theta = _draw_map(shape, options, generators)
    if options.erase:
        holes = _draw_holes(shape, options.erase, generators)
    return Changes(flips, starts, theta, holes)


def apply_changes(x: Tensor, options: AugmentOptions, changes: Changes) -> Tensor:
    """Images changed as it was drawn. On a GPU no shape depends on what was drawn: the host need not wait for it."""
    if changes.flips is not None:
        for chosen, (dim, ways) in zip(changes.flips.bool().unbind(1), _FLIPS, strict=True):
            if options.flip in ways:
                x = _flip(x, chosen, dim)
    if changes.starts is not None:
        x = _shift(x, options.shift, changes.starts)
    if changes.theta is not None:
        x = x.float()
        if len(x):  # a process may have no row of the batch
            theta = changes.theta.view(-1, 2, 3)
            grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
            x = functional.grid_sample(x, grid, align_corners=False)
    return x if changes.holes is None else _erase(x, changes.holes)


# Dimension of each flip, and the values of `flip` that ask for it.
_FLIPS = ((2, ("vertical", "both")), (3, ("horizontal", "both")))


def _draw_flips(
    batch: int, options: AugmentOptions, generators: RowGenerators
) -> tuple[Tensor | None, Tensor | None]:
    shift = options.shift
    flips, starts = torch.zeros(2, batch), torch.full((2, batch), float(shift))
    for place, (_, ways) in enumerate(_FLIPS):
        if options.flip in ways:
            flips[place] = (generators.rand(batch, 1)[:, 0] < 0.5).float()
        if shift:
            starts[place] += generators.randint(-shift, shift + 1, batch, 1)[:, 0]
        # Cropped from the padded image, mirrored or not.
        starts[place] = torch.where(flips[place] > 0, 2 * shift - starts[place], starts[place])
    drawn = flips.T.contiguous() if options.flip != "none" else None
    return drawn, starts.T.contiguous() if shift else None


def _flip(x: Tensor, chosen: Tensor, dim: int) -> Tensor:
    if x.device.type == "cpu":  # where less is moved so
        which = chosen.nonzero()[:, 0]
        return x.index_copy(0, which, x.index_select(0, which).flip(dim))
    return torch.where(chosen[:, None, None, None], x.flip(dim), x)


def _shift(x: Tensor, shift: int, starts: Tensor) -> Tensor:
    """Crop each image from itself padded with zeros."""
    batch, _, height, width = x.shape
    windows = functional.pad(x, (shift,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    image = torch.arange(batch, device=x.device)
    first, second = starts.long().unbind(1)
    return windows.permute(0, 2, 3, 1, 4, 5)[image, first, second]


def _draw_map(shape: Sequence[int], options: AugmentOptions, generators: RowGenerators) -> Tensor:
    batch, _, height, width = shape
    angle = (generators.rand(batch) * 2 - 1) * math.radians(options.rotate)
    scale = options.crop + (1 - options.crop) * generators.rand(batch)
    # The crop may be anywhere inside the image.
    translation = (1 - scale)[:, None] * (generators.rand(batch, 2) * 2 - 1)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    ratio = height / width
    rows = [cos, -sin * ratio, translation[:, 0], sin / ratio, cos, translation[:, 1]]
    return torch.stack(rows, 1)


def _draw_holes(shape: Sequence[int], probability: float, generators: RowGenerators) -> Tensor:
    batch, _, height, width = shape
    area = MIN_ERASE + (MAX_ERASE - MIN_ERASE) * generators.rand(batch)
    aspect = torch.exp((generators.rand(batch) * 2 - 1) * math.log(3))
    bounds = []
    for length, part in ((height, (area * aspect).sqrt()), (width, (area / aspect).sqrt())):
        side = (part.clamp(max=1) * length).round().clamp(min=1)
        start = (generators.rand(batch) * (length - side + 1)).floor()
        bounds += [start, start + side]
    chosen = generators.rand(batch) < probability
    bounds[1] = torch.where(chosen, bounds[1], 0.0)
    return torch.stack(bounds, 1)


def _erase(x: Tensor, holes: Tensor) -> Tensor:
    inside = []
    for length, bounds in ((x.shape[2], holes[:, :2]), (x.shape[3], holes[:, 2:])):
        position = torch.arange(length, device=x.device)
        inside.append((position >= bounds[:, :1]) & (position < bounds[:, 1:]))
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return x * ~hole[:, None]
