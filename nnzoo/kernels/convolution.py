"""Convolutions as `winograd.c` and `direct.c` compute them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from nnzoo.kernels import tensors
from nnzoo.kernels.library import lanes_of, library, product_type
from nnzoo.kernels.openmp import partitions
from nnzoo.kernels.tensors import (
    address,
    addresses,
    differentiable_once,
    is_low,
    is_plain,
    new,
    new_bytes,
    parameter,
)

_CALL = struct.Struct("18q3d20P")
"""`struct call`."""
# Pictures have so many channels at most; the first layer's kernels are computed one by one.
FEW = 4
_CPU = torch.device("cpu")


class Norm(NamedTuple):
    """Batch norm: its running mean and variance (out), which are brought up to date, and its numbers."""

    mean: Tensor
    variance: Tensor
    momentum: float
    epsilon: float


class Behind(NamedTuple):
    """What stands behind a convolution, in this order: batch norm, max pooling of 2x2 at stride 2, relu, and
    dropout, not without relu: mask, uint8 like what comes out, of ones where a value is kept, and what
    the kept ones are multiplied by."""

    norm: Norm | None = None
    pool: bool = False
    relu: bool = False
    mask: Tensor | None = None
    factor: float = 1.0

    def shape(self, given: Sequence[int]) -> tuple[int, ...]:
        """What comes out of a convolution that gives (rows, out, height, width)."""
        rows, out, height, width = given
        return (rows, out, height // 2, width // 2) if self.pool else (rows, out, height, width)


def has_case(layer: nn.Conv2d) -> bool:
    """Whether `Convolution` computes such a layer: with kernels of 3x3 at stride 1, or of few channels; what
    goes in otherwise, and what comes out, are whole vectors."""
    real = parameter(layer, "weight").dtype
    if real not in (torch.float32, torch.float64):
        return False
    lanes = lanes_of(real)
    if layer.dilation != (1, 1) or layer.groups != 1 or layer.out_channels % lanes:
        return False
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return False
    small = layer.kernel_size == (3, 3) and layer.stride == (1, 1)
    return _is_direct(layer.in_channels) or (small and layer.in_channels % lanes == 0)


def convolves(layer: nn.Conv2d, x: Tensor) -> bool:
    """Whether `Convolution` computes a layer for x (rows, in, height, width); of few channels it gives no
    gradient of x, which pictures do not need."""
    weight, bias = parameter(layer, "weight"), parameter(layer, "bias")
    parameters = (weight,) if bias is None else (weight, bias)
    if not tensors.takes(x, *parameters) or not has_case(layer):
        return False
    expected = (layer.out_channels, layer.in_channels, *layer.kernel_size)
    stride, padding = tuple(layer.stride), cast(tuple[int, int], tuple(layer.padding))
    shapes = [each.shape for each in parameters]
    if shapes[0] != expected or not _shapes_fit(stride, padding, x.shape, *shapes):
        return False
    return not (_is_direct(layer.in_channels) and x.requires_grad)


@lru_cache(maxsize=256)
def _shapes_fit(
    stride: tuple[int, ...], padding: tuple[int, ...], x: tuple[int, ...], weight: tuple[int, ...],
    *channels: tuple[int, ...] | None,
) -> bool:  # fmt: skip
    """Whether weight, what there is for each output channel, stride and padding are those of one layer that gives
    something for x (rows, in, height, width)."""
    if len(x) != 4 or len(weight) != 4 or x[1] != weight[1] or not min(x):
        return False
    if any(each is not None and each != weight[:1] for each in channels):
        return False
    if min(*weight, *stride) < 1 or min(padding) < 0:
        return False
    return min(_shape_of(x, weight, stride, padding)) > 0


def normalizes(norm: nn.BatchNorm2d, channels: int, dtype: torch.dtype) -> bool:
    """Whether `Convolution` computes a batch norm behind so many channels of a type."""
    parts: tuple[Any, ...] = (
        parameter(norm, "weight"), parameter(norm, "bias"), norm.running_mean, norm.running_var,
    )  # fmt: skip
    return isinstance(norm.momentum, float) and all([
        is_plain(part) and part.dtype is dtype and part.shape == (channels,) and part.is_contiguous()
        for part in parts
    ])  # fmt: skip


def _is_direct(channels: int) -> bool:
    return channels <= FEW


def shape_of(
    x: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
) -> tuple[int, ...]:
    """What a convolution gives (rows, out, height, width)."""
    return _shape_of(x.shape, weight.shape, tuple(stride), tuple(padding))


@lru_cache(maxsize=256)
def _shape_of(
    x: tuple[int, ...], weight: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> tuple[int, ...]:
    rows, columns = (
        (size + 2 * side - kernel) // step + 1
        for size, side, kernel, step in zip(x[2:], padding, weight[2:], stride, strict=True)
    )
    return x[0], weight[0], rows, columns


class _Case(NamedTuple):
    """What follows from types, shapes and options alone."""

    real: torch.dtype
    sizes: tuple[int, ...]
    """With what a call begins."""
    way: str
    """Which C computes it."""
    x: tuple[int, ...]
    weight: tuple[int, ...]
    raw: tuple[int, ...]
    """What the convolution gives."""
    shape: tuple[int, ...]
    """What comes out."""
    channels: tuple[int]
    work: int
    back: int
    """Bytes of a call's own memory, forward and on the way back."""


@lru_cache(maxsize=256)
def _case(
    real: torch.dtype, product: torch.dtype, parts: int, options: tuple[Any, ...],
    x: tuple[int, ...], weight: tuple[int, ...], *channels: tuple[int, ...] | None,
) -> _Case:  # fmt: skip
    """The case of these types and shapes; options: stride, padding, whether batch norm, pooling and relu stand
    behind it, whether the gradient of x is wanted; channels: shapes of bias, gamma and beta. Raises TypeError or
    ValueError for what is none."""
    stride, padding, norm, pool, relu, wants_dx = options
    low = is_low(real, product)
    _, gamma, beta = channels
    if not _shapes_fit(stride, padding, x, weight, *channels) or {gamma is None, beta is None} != {
        not norm
    }:
        raise ValueError("these are not an input and the parameters of one convolution")
    _check_case(real, weight, stride, wants_dx)
    raw = _shape_of(x, weight, stride, padding)
    shape = Behind(pool=pool).shape(raw)
    if not min(shape):
        raise ValueError("these layers are not computed behind a convolution")
    sizes = (
        int(low), min(parts, x[0]), x[0], x[1], weight[0], *x[2:], *padding, *raw[2:], *weight[2:], *stride,
        int(norm), int(pool), int(relu),
    )  # fmt: skip
    way = "direct" if _is_direct(x[1]) else "winograd"
    work, back = (_work(real, way, each, sizes) for each in (False, True))
    return _Case(real, sizes, way, x, weight, raw, shape, (weight[0],), work, back)


class Convolution(torch.autograd.Function):
    """A convolution that `convolves`, and what stands behind it, of float32 or float64.

    x (rows, in, height, width), weight (out, in, kernel's height and width), bias (out) or None; gamma and
    beta (out) of batch norm or None; stride: down and across; padding: zeros around x, above and below, left
    and right. Gives `behind.shape(shape_of(...))` with the channels last in memory. Raises TypeError or
    ValueError for tensors that are not such.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, gamma: Tensor | None, beta: Tensor | None,
        stride: tuple[int, ...], padding: tuple[int, ...], behind: Behind,
    ) -> Tensor:  # fmt: skip
        norm, x_type = behind.norm, x.dtype
        case = _case(
            weight.dtype, product_type(weight), partitions(),
            (tuple(stride), tuple(padding), norm is not None, behind.pool, behind.relu, ctx.needs_input_grad[0]),
            x.shape, weight.shape, *[None if each is None else each.shape for each in (bias, gamma, beta)],
        )  # fmt: skip
        if behind.mask is not None and not behind.relu:
            raise ValueError("these layers are not computed behind a convolution")
        real, shape, channels = case.real, case.shape, case.channels
        x, at_x = _picture(x if x_type is real else x.to(real), real, case.x)
        held, (at_weight, *places) = addresses(
            [each for each in (weight, bias, gamma, beta) if each is not None], real,
            [case.weight, *[channels for each in (bias, gamma, beta) if each is not None]],
        )  # fmt: skip
        at_bias = 0 if bias is None else places.pop(0)
        at_gamma, at_beta = places or (0, 0)
        at_mean = at_variance = at_mask = at_z = at_found = 0
        found = z = mask = largest = None
        if norm:
            at_mean = address(norm.mean, real, channels)
            at_variance = address(norm.variance, real, channels)
            z, found = _pictures(real, *case.raw), new(real, 2, *channels)
            at_z, at_found = z.data_ptr(), found.data_ptr()
        if behind.mask is not None:
            mask, at_mask = _picture(behind.mask, torch.uint8, shape)
        if behind.pool:
            largest = _pictures(torch.uint8, *shape)
        y, work = _pictures(real, *shape), new_bytes(case.work)
        call = _CALL.pack(
            *case.sizes, behind.factor, *((norm.epsilon, norm.momentum) if norm else (0, 0)), at_x,
            at_weight, at_bias, at_gamma, at_beta, at_mean, at_variance, at_mask, work.data_ptr(),
            at_found, _second(at_found, found), at_z, _at(largest), y.data_ptr(), 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
        getattr(library(real), f"{case.way}_forward")(call)
        del held, mask
        if norm:
            increment_version((norm.mean, norm.variance))
        ctx.case = case, behind.factor, x_type, bias is not None
        ctx.save_for_backward(x, weight, gamma, z, found, largest, y if behind.relu else None)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> Any:
        case, factor, x_type, has_bias = ctx.case
        # Asked for once: hooks may make them anew each time, where they like.
        x, weight, gamma, z, found, largest, y = ctx.saved_tensors
        real, shape, channels = case.real, case.shape, case.channels
        x, at_x = _picture(x, real, case.x)
        grad, at_grad = _picture(grad if grad.dtype is real else grad.to(real), real, shape)
        (weight,), (at_weight,) = addresses((weight,), real, (case.weight,))
        at_z = at_found = at_largest = at_y = at_gamma = 0
        dgamma = dbeta = None
        if z is not None:
            z, at_z = _picture(z, real, case.raw)
            (gamma, found), (at_gamma, at_found) = addresses(
                (gamma, found), real, (channels, (2, *channels))
            )
            dgamma, dbeta = new(real, *channels), new(real, *channels)
        if largest is not None:
            largest, at_largest = _picture(largest, torch.uint8, shape)
        if y is not None:
            y, at_y = _picture(y, real, shape)
        dweight = new(real, *case.weight)
        dbias = new(real, *channels) if has_bias else None
        dx = _pictures(real, *case.x) if ctx.needs_input_grad[0] else None
        work = new_bytes(case.back)
        call = _CALL.pack(
            *case.sizes, factor, 0, 0, at_x, at_weight, 0, at_gamma, 0, 0, 0, 0, work.data_ptr(),
            at_found, _second(at_found, found), at_z, at_largest, at_y, at_grad, dweight.data_ptr(),
            _at(dbias), _at(dgamma), _at(dbeta), _at(dx),
        )  # fmt: skip
        getattr(library(real), f"{case.way}_backward")(call)
        dx = None if dx is None else dx.to(x_type)
        return dx, dweight, dbias, dgamma, dbeta, None, None, None


def _check_case(
    real: torch.dtype, weight: tuple[int, ...], stride: tuple[int, ...], wants_dx: bool
) -> None:
    """Raise ValueError for a shape of kernels that there is no code for; see `has_case`."""
    lanes = lanes_of(real)
    out, channels, *kernel = weight
    direct = _is_direct(channels) and not wants_dx
    small = not _is_direct(channels) and channels % lanes == 0 and stride == (1, 1)
    if out % lanes or not (direct or (small and kernel == [3, 3])):
        raise ValueError("there is no native code for such a convolution")


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _picture(x: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> tuple[Tensor, int]:
    """A tensor (rows, channels, height, width) with the channels last in memory, a copy where it is not so, and its
    `address`."""
    if x.dtype is dtype and x.shape == shape and x.is_cpu:
        where = x.data_ptr()
        if where and x.is_contiguous(memory_format=torch.channels_last):
            return x, where
    x = _channels_last(x)
    rows, channels, height, width = shape
    return x, address(x.permute(0, 2, 3, 1), dtype, (rows, height, width, channels))


def _pictures(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.empty(*shape, dtype=dtype, device=_CPU, memory_format=torch.channels_last)


def _at(x: Tensor | None) -> int:
    """Where memory of this module's own is."""
    return 0 if x is None else x.data_ptr()


def _second(where: int, rows: Tensor | None) -> int:
    """Where the second of two rows is that begin there."""
    return 0 if rows is None else where + rows.element_size() * rows.shape[1]


def _work(real: torch.dtype, way: str, back: bool, sizes: tuple[int, ...]) -> int:
    """Bytes of a call's own memory."""
    function = getattr(library(real), f"{way}_work")
    function.restype = ctypes.c_long
    size: int = function(_CALL.pack(*sizes, 0, 0, 0, *[0] * 20), back)
    return size
