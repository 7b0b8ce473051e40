"""Augmentation: each change is what its name says, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.config.data_options import AugmentOptions
from nnzoo.data.augment import RowGenerators, augment
from nnzoo.data.sampling import BatchShard

OPTIONS: dict[str, dict[str, Any]] = {
    "shift": {"shift": 2},
    "horizontal": {"flip": "horizontal"},
    "vertical": {"flip": "vertical"},
    "both": {"flip": "both"},
    "rotate": {"rotate": 20.0},
    "crop": {"crop": 0.7},
    "erase": {"erase": 1.0},
    "all": {"shift": 1, "flip": "both", "rotate": 10.0, "crop": 0.9, "erase": 0.5},
}


def images(rows: int = 40, channels: int = 2, height: int = 6, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (rows, channels, height, width)
    return torch.randint(1, 256, shape, generator=generator, dtype=torch.uint8)


def changed(x: Tensor, seed: int = 0, **options: Any) -> Tensor:
    return augment(x, AugmentOptions(**options), RowGenerators(torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shape_and_type_stay_but_for_a_resampling_of_bytes(name: str, dtype: torch.dtype) -> None:
    x = images().to(dtype)
    before = x.clone()
    y = changed(x, **OPTIONS[name])
    assert y.shape == x.shape
    assert y.dtype == (torch.float32 if name in ("rotate", "crop", "all") else dtype)
    assert not torch.equal(y, x.to(y.dtype))
    assert torch.equal(x, before)
    assert y.min() >= 0
    assert y.max() <= 255.001


@pytest.mark.parametrize("name", OPTIONS)
def test_the_generator_alone_decides(name: str) -> None:
    x = images()
    torch.manual_seed(1)
    first = changed(x, 5, **OPTIONS[name])
    torch.manual_seed(2)
    assert torch.equal(first, changed(x, 5, **OPTIONS[name]))
    assert not torch.equal(first, changed(x, 6, **OPTIONS[name]))


def test_without_options_nothing_changes() -> None:
    x = images()
    assert changed(x) is x
    assert torch.equal(changed(x, erase=0.0, crop=1.0, rotate=0.0, shift=0, flip="none"), x)


def test_a_shift_moves_whole_pixels_and_fills_with_zeros() -> None:
    x = images(rows=200)
    seen = set()
    for before, after in zip(x, changed(x, shift=2), strict=True):
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                padded = torch.nn.functional.pad(before, (2, 2, 2, 2))
                if torch.equal(after, padded[:, 2 + dy : 8 + dy, 2 + dx : 10 + dx]):
                    seen.add((dy, dx))
                    break
            else:
                continue
            break
        else:
            raise AssertionError("no shift of up to two pixels gives this image")
    assert len(seen) == 25  # each is drawn


@pytest.mark.parametrize(
    ("flip", "axes"),
    [
        ("horizontal", [(), (2,)]),
        ("vertical", [(), (1,)]),
        ("both", [(), (1,), (2,), (1, 2)]),
    ],
)
def test_a_flip_mirrors_about_half_of_the_images(flip: str, axes: list[tuple[int, ...]]) -> None:
    x = images(rows=400)
    counts = dict.fromkeys(axes, 0)
    for before, after in zip(x, changed(x, flip=flip), strict=True):
        matches = [
            axis for axis in axes if torch.equal(after, before.flip(axis) if axis else before)
        ]
        assert len(matches) == 1
        counts[matches[0]] += 1
    for count in counts.values():
        assert abs(count / 400 - 1 / len(axes)) < 0.1


def turned(x: Tensor, position: float, monkeypatch: pytest.MonkeyPatch, rotate: float) -> Tensor:
    """Each image turned by (2 * share - 1) * rotate degrees."""
    monkeypatch.setattr(torch, "rand", lambda shape, generator: torch.full(shape, position))
    return changed(x, rotate=rotate)


@pytest.mark.parametrize(("position", "quarters"), [(1.0, 1), (0.0, -1)])
def test_a_quarter_turn_of_a_square_is_torch_rot90(
    position: float, quarters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = images(height=7, width=7)
    y = turned(x, position, monkeypatch, 90.0)
    torch.testing.assert_close(y, torch.rot90(x, quarters, (2, 3)).float(), rtol=0, atol=0.01)


def test_a_half_turn_keeps_the_proportions_of_a_rectangle(monkeypatch: pytest.MonkeyPatch) -> None:
    x = images()
    y = turned(x, 1.0, monkeypatch, 180.0)
    torch.testing.assert_close(y, x.flip(2, 3).float(), rtol=0, atol=0.01)


def test_a_quarter_turn_of_a_rectangle_does_not_stretch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(1, 1, 4, 8)
    x[:, :, 1:3, 3:5] = 1  # a square in the middle stays one
    torch.testing.assert_close(turned(x, 1.0, monkeypatch, 90.0), x, rtol=0, atol=1e-4)


def test_a_crop_zooms_into_the_image_and_never_beyond_its_edge() -> None:
    ones = torch.ones(300, 1, 16, 16)
    # Bilinear sampling fades only where it looks past the outermost pixel's centre.
    assert changed(ones, crop=0.5)[:, :, 1:-1, 1:-1].min() == pytest.approx(1, abs=1e-5)
    ramp = torch.arange(16.0).expand(300, 1, 16, 16).contiguous()
    steps = changed(ramp, crop=0.5)[:, :, 8].diff(dim=-1)[..., 2:-2]
    zoom = steps.mean((1, 2))
    assert zoom.min() >= 0.5 - 1e-3
    assert zoom.max() <= 1 + 1e-3
    assert zoom.max() - zoom.min() > 0.3


def test_erasing_blanks_one_rectangle_of_2_to_20_percent() -> None:
    x = torch.ones(500, 2, 32, 32)
    holes = changed(x, erase=1.0) == 0
    assert torch.equal(holes[:, 0], holes[:, 1])
    rows, columns = holes[:, 0].any(2).sum(1), holes[:, 0].any(1).sum(1)
    area = holes[:, 0].sum((1, 2))
    assert torch.equal(area, rows * columns)  # a full rectangle
    fraction = area / 32**2
    assert 0.015 <= fraction.min() < 0.04
    assert 0.15 < fraction.max() <= 0.23


def test_erasing_takes_the_asked_fraction_of_images() -> None:
    x = torch.ones(2000, 1, 8, 8)
    erased = (changed(x, erase=0.3) == 0).any(3).any(2).any(1)
    assert abs(erased.float().mean() - 0.3) < 0.05


@pytest.mark.parametrize("name", OPTIONS)
def test_a_process_changes_its_rows_as_one_process_does_also_where_it_has_none(name: str) -> None:
    x = images(3)
    whole = changed(x, **OPTIONS[name])
    for start, stop in ((0, 3), (1, 2), (2, 2)):
        shard = BatchShard(start, stop, 3)
        draws = RowGenerators(torch.Generator().manual_seed(0), shard=shard)
        part = augment(shard.of(x), AugmentOptions(**OPTIONS[name]), draws)
        assert torch.equal(part, whole[start:stop]) and part.dtype == whole.dtype
