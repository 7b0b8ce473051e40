"""Convolutions as `winograd.c` and `direct.c` compute them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nnzoo.native.library import library, product_type, takes

_SIZES = (
    "low", "threads", "batch", "in", "out", "height", "width", "top", "left", "rows", "columns",
    "kernel_rows", "kernel_columns", "down", "across",
)  # fmt: skip
# Pictures have so many channels at most; the first layer's kernels are computed one by one.
FEW = 4


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
    lanes = library(layer.weight.dtype).vector_length()
    if layer.dilation != (1, 1) or layer.groups != 1 or layer.out_channels % lanes:
        return False
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return False
    small = layer.kernel_size == (3, 3) and layer.stride == (1, 1)
    return _is_direct(layer.in_channels) or (small and layer.in_channels % lanes == 0)


def convolves(layer: nn.Conv2d, x: Tensor) -> bool:
    """Whether `Convolution` computes a layer for x (rows, in, height, width); of few channels it gives no
    gradient of x, which pictures do not need."""
    if x.ndim != 4 or not takes(x, layer.weight) or not has_case(layer):
        return False
    return not (_is_direct(layer.in_channels) and x.requires_grad)


def _is_direct(channels: int) -> bool:
    return channels <= FEW


def shape_of(
    x: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
) -> tuple[int, ...]:
    """What a convolution gives (rows, out, height, width)."""
    rows, columns = (
        (size + 2 * side - kernel) // step + 1
        for size, side, kernel, step in zip(
            x.shape[2:], padding, weight.shape[2:], stride, strict=True
        )
    )
    return len(x), len(weight), rows, columns


class Convolution(torch.autograd.Function):
    """A convolution that `convolves`, and what stands behind it, of float32 or float64.

    x (rows, in, height, width), weight (out, in, kernel's height and width), bias (out) or None; gamma and
    beta (out) of batch norm or None; stride: down and across; padding: zeros around x, above and below, left
    and right. Gives `behind.shape(shape_of(...))` with the channels last in memory.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, gamma: Tensor | None, beta: Tensor | None,
        stride: tuple[int, ...], padding: tuple[int, ...], behind: Behind,
    ) -> Tensor:  # fmt: skip
        ctx.x_type, low = x.dtype, product_type(weight) == torch.bfloat16
        real, norm = weight.dtype, behind.norm
        threads = min(torch.get_num_threads(), len(x))  # each takes some pictures
        x, weight = _channels_last(x.to(real)), weight.contiguous()
        mask = None if behind.mask is None else _channels_last(behind.mask)
        raw = shape_of(x, weight, stride, padding)
        shape = behind.shape(raw)
        y = _pictures(real, *shape)
        largest = _pictures(torch.uint8, *shape) if behind.pool else None
        z = _pictures(real, *raw) if norm else None
        found = y.new_empty(2, raw[1]) if norm else None
        call = _Call(
            low, threads, len(x), x.shape[1], len(weight), *x.shape[2:], *padding, *raw[2:],
            *weight.shape[2:], *stride, norm is not None, behind.pool, behind.relu, behind.factor,
            *((norm.epsilon, norm.momentum) if norm else (0, 0)), *map(_at, (x, weight, bias, gamma, beta)),
            *(map(_at, norm[:2]) if norm else (None, None)), _at(mask),
        )  # fmt: skip
        call.z, call.largest, call.y = map(_at, (z, largest, y))
        if found is not None:
            call.mean, call.inverse = map(_at, found)
        _run(call, real, back=False)
        ctx.call = call
        ctx.save_for_backward(
            x, weight, bias, gamma, beta, z, found, largest, y if behind.relu else None
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        call, (x, weight, *more) = ctx.call, ctx.saved_tensors
        grad = _channels_last(grad.to(x.dtype))
        dweight = torch.empty_like(weight)
        dbias, dgamma, dbeta = (None if p is None else torch.empty_like(p) for p in more[:3])
        dx = _pictures(x.dtype, *x.shape) if ctx.needs_input_grad[0] else None
        call.dy, call.dweight, call.dbias, call.dx = map(_at, (grad, dweight, dbias, dx))
        call.dgamma, call.dbeta = map(_at, (dgamma, dbeta))
        _run(call, x.dtype, back=True)
        dx = None if dx is None else dx.to(ctx.x_type)
        return dx, dweight, dbias, dgamma, dbeta, None, None, None


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _pictures(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


def _at(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _run(call: _Call, dtype: torch.dtype, back: bool) -> None:
    sizes = tuple(getattr(call, name) for name in _SIZES)
    work = torch.empty(_work(dtype, back, *sizes), dtype=torch.uint8)
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
