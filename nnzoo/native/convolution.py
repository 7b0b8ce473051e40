"""Convolutions as `winograd.c` and `direct.c` compute them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from nnzoo.native import tensors
from nnzoo.native.library import lanes_of, library, product_type
from nnzoo.native.openmp import partitions
from nnzoo.native.tensors import (
    address,
    differentiable_once,
    is_low,
    is_plain,
    new,
    new_bytes,
    optional_address,
)

_SIZES = (
    "low", "threads", "batch", "in", "out", "height", "width", "top", "left", "rows", "columns",
    "kernel_rows", "kernel_columns", "down", "across",
)  # fmt: skip
# Pictures have so many channels at most; the first layer's kernels are computed one by one.
FEW = 4
_CPU = torch.device("cpu")


class _Call(ctypes.Structure):
    """`struct call`."""

    _fields_ = (
        *((name, ctypes.c_long) for name in (*_SIZES, "norm", "pool", "relu")),
        *((name, ctypes.c_double) for name in ("factor", "epsilon", "momentum")),
        *((name, ctypes.c_void_p) for name in (
            "x", "weight", "bias", "gamma", "beta", "mean_so_far", "variance_so_far", "mask", "work",
            "mean", "inverse", "z", "largest", "y", "dy", "dweight", "dbias", "dgamma", "dbeta",
            "dx",
        )),
    )  # fmt: skip


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
    if layer.weight.dtype not in (torch.float32, torch.float64):
        return False
    lanes = lanes_of(layer.weight.dtype)
    if layer.dilation != (1, 1) or layer.groups != 1 or layer.out_channels % lanes:
        return False
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return False
    small = layer.kernel_size == (3, 3) and layer.stride == (1, 1)
    return _is_direct(layer.in_channels) or (small and layer.in_channels % lanes == 0)


def convolves(layer: nn.Conv2d, x: Tensor) -> bool:
    """Whether `Convolution` computes a layer for x (rows, in, height, width); of few channels it gives no
    gradient of x, which pictures do not need."""
    parameters = (layer.weight,) if layer.bias is None else (layer.weight, layer.bias)
    if not tensors.takes(x, *parameters) or not has_case(layer):
        return False
    expected = (layer.out_channels, layer.in_channels, *layer.kernel_size)
    if layer.weight.shape != expected or not _fits(x, *parameters, layer.stride, layer.padding):
        return False
    return not (_is_direct(layer.in_channels) and x.requires_grad)


def _fits(x: Tensor, weight: Tensor, *more: Any) -> bool:
    """Whether weight, bias if there is one, stride and padding are those of one layer that gives something for
    x (rows, in, height, width)."""
    *bias, stride, padding = more
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1] or not x.numel():
        return False
    if any(each is not None and each.shape != weight.shape[:1] for each in bias):
        return False
    if min(weight.numel(), *stride) < 1 or min(padding) < 0:
        return False
    return min(shape_of(x, weight, stride, padding)) > 0


def normalizes(norm: nn.BatchNorm2d, channels: int, dtype: torch.dtype) -> bool:
    """Whether `Convolution` computes a batch norm behind so many channels of a type."""
    parts: tuple[Any, ...] = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return isinstance(norm.momentum, float) and all(
        is_plain(part) and part.dtype is dtype and part.shape == (channels,) and part.is_contiguous()
        for part in parts
    )  # fmt: skip


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
        real, norm = weight.dtype, behind.norm
        low = is_low(real, product_type(weight))
        if not _fits(x, weight, bias, gamma, beta, stride, padding):
            raise ValueError("these are not an input and the parameters of one convolution")
        _check_case(weight, stride, ctx.needs_input_grad[0])
        raw = shape_of(x, weight, stride, padding)
        shape, channels = behind.shape(raw), raw[1:2]
        if not min(shape) or (behind.mask is not None and not behind.relu):
            raise ValueError("these layers are not computed behind a convolution")
        x_type, x, weight = x.dtype, _channels_last(x.to(real)), weight.contiguous()
        bias, gamma, beta = (None if p is None else p.contiguous() for p in (bias, gamma, beta))
        mask = None if behind.mask is None else _channels_last(behind.mask)
        y = _pictures(real, *shape)
        largest = _pictures(torch.uint8, *shape) if behind.pool else None
        z = _pictures(real, *raw) if norm else None
        found = new(real, 2, raw[1]) if norm else None
        sizes = (
            low, min(partitions(), len(x)), len(x), x.shape[1], len(weight), *x.shape[2:], *padding,
            *raw[2:], *weight.shape[2:], *stride, norm is not None, behind.pool, behind.relu,
        )  # fmt: skip
        call = _Call(*sizes, behind.factor, *((norm.epsilon, norm.momentum) if norm else (0, 0)))
        held = _bind(call, real, x, weight, gamma)
        call.bias = optional_address(bias, real, channels)
        if norm:
            call.beta = address(cast(Tensor, beta), real, channels)
            call.mean_so_far = address(norm.mean, real, channels)
            call.variance_so_far = address(norm.variance, real, channels)
        call.mask = None if mask is None else _address(mask, torch.uint8, shape)
        call.z, call.largest, call.y = map(_at, (z, largest, y))
        if found is not None:
            call.mean, call.inverse = map(_at, found)
        _run(call, real, back=False)
        del held
        if norm:
            increment_version((norm.mean, norm.variance))
        ctx.case = real, sizes, behind.factor, raw, shape, x_type, bias is not None
        ctx.save_for_backward(x, weight, gamma, z, found, largest, y if behind.relu else None)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> Any:
        real, sizes, factor, raw, shape, x_type, has_bias = ctx.case
        # Asked for once: hooks may make them anew each time, where they like.
        x, weight, gamma, z, found, largest, y = ctx.saved_tensors
        call = _Call(*sizes, factor)
        x, grad, weight = _channels_last(x), _channels_last(grad.to(real)), weight.contiguous()
        z, largest, y = (None if each is None else _channels_last(each) for each in (z, largest, y))
        gamma = None if gamma is None else gamma.contiguous()
        held = _bind(call, real, x, weight, gamma)
        channels = raw[1:2]
        if z is not None:
            found = found.contiguous()
            call.z = _address(z, real, raw)
            call.mean, call.inverse = (address(each, real, channels) for each in found)
        call.largest = None if largest is None else _address(largest, torch.uint8, shape)
        call.y = None if y is None else _address(y, real, shape)
        call.dy = _address(grad, real, shape)
        dweight = new(real, *weight.shape)
        dbias = new(real, *channels) if has_bias else None
        dgamma, dbeta = (new(real, *channels) if gamma is not None else None for _ in "ab")
        dx = _pictures(real, *x.shape) if ctx.needs_input_grad[0] else None
        call.dweight, call.dbias, call.dx = map(_at, (dweight, dbias, dx))
        call.dgamma, call.dbeta = map(_at, (dgamma, dbeta))
        _run(call, real, back=True)
        del held
        dx = None if dx is None else dx.to(x_type)
        return dx, dweight, dbias, dgamma, dbeta, None, None, None


def _check_case(weight: Tensor, stride: tuple[int, ...], wants_dx: bool) -> None:
    """Raise ValueError for a shape of kernels that there is no code for; see `has_case`."""
    lanes = lanes_of(weight.dtype)
    out, channels, *kernel = weight.shape
    direct = _is_direct(channels) and not wants_dx
    small = not _is_direct(channels) and channels % lanes == 0 and tuple(stride) == (1, 1)
    if out % lanes or not (direct or (small and kernel == [3, 3])):
        raise ValueError("there is no native code for such a convolution")


def _bind(
    call: _Call, real: torch.dtype, x: Tensor, weight: Tensor, gamma: Tensor | None
) -> list[Tensor | None]:
    """Enter what both ways read into a call; valid as long as what is returned is held."""
    held = [x, weight, gamma]
    pictures = (call.batch, getattr(call, "in"), call.height, call.width)
    kernels = (call.out, getattr(call, "in"), call.kernel_rows, call.kernel_columns)
    call.x, call.weight = _address(x, real, pictures), address(weight, real, kernels)
    call.gamma = address(cast(Tensor, gamma), real, (call.out,)) if call.norm else None
    return held


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _address(x: Tensor, dtype: torch.dtype, shape: Sequence[int]) -> int:
    """`address` of (rows, channels, height, width) with the channels last in memory."""
    if x.dtype is dtype and x.shape == shape and x.is_cpu:
        where = x.data_ptr()
        if where and x.is_contiguous(memory_format=torch.channels_last):
            return where
    rows, channels, height, width = shape
    return address(x.permute(0, 2, 3, 1), dtype, (rows, height, width, channels))


def _pictures(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=_CPU, memory_format=torch.channels_last)


def _at(x: Tensor | None) -> int | None:
    """Where memory of this module's own is."""
    return None if x is None else x.data_ptr()


def _run(call: _Call, dtype: torch.dtype, back: bool) -> None:
    sizes = tuple(getattr(call, name) for name in _SIZES)
    work = new_bytes(_work(dtype, back, *sizes))
    call.work = work.data_ptr()
    _function(dtype, call, "backward" if back else "forward")(ctypes.byref(call))


def _function(dtype: torch.dtype, call: _Call, name: str) -> Any:
    way = "direct" if _is_direct(getattr(call, "in")) else "winograd"
    return getattr(library(dtype), f"{way}_{name}")


@lru_cache(maxsize=256)
def _work(dtype: torch.dtype, back: bool, *sizes: int) -> int:
    """Bytes of a call's own memory."""
    call = _Call(*sizes)
    function = _function(dtype, call, "work")
    function.restype = ctypes.c_long
    size: int = function(ctypes.byref(call), back)
    return size
