"""Which tensors native code takes, and their addresses: the one place that decides.

C sees an address and sizes, and believes both. So a module asks `takes` (of its layer's module here) whether a
case is one for native code, and leaves all others to torch; and every address that goes to C comes from `address`,
which raises where a tensor is not what the C of that entry is compiled for, whoever calls it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from nnzoo.kernels.library import product_type, supports

_PLAIN = (Tensor, Parameter)
_REAL = (torch.float32, torch.float64)
_CPU = torch.device("cpu")


def is_eager() -> bool:
    """Whether what is computed now is computed at once and by torch's autograd alone: not compiled or traced, not
    transformed (vmap, jvp and others of torch.func), in no dispatch mode, without forward-mode derivatives."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
    )


def is_plain(x: object) -> bool:
    """Whether it is a tensor whose numbers lie in this machine's memory as its type and strides say."""
    return (
        type(x) in _PLAIN
        and x.is_cpu  # type: ignore[attr-defined]
        and x.layout is torch.strided  # type: ignore[attr-defined]
        and not x.is_neg()  # type: ignore[attr-defined]
    )


def takes(x: Tensor, *parameters: Tensor | None) -> bool:
    """Whether native layers with these parameters take this input: all plain tensors of one type that native code
    is compiled for, none of them empty; under autocast the input may be of either type."""
    if not (is_eager() and is_plain(x)) or parameters[0] is None:
        return False
    real, kind = parameters[0].dtype, x.dtype
    if real not in _REAL:
        return False
    if kind is not real and not (
        kind is torch.bfloat16 and real is torch.float32 and torch.is_autocast_enabled("cpu")
    ):
        return False
    strided = torch.strided
    # `is_plain`, written out: a call for each costs as much as what it asks.
    for each in cast(tuple[Tensor, ...], parameters):
        if not (
            type(each) in _PLAIN and each.dtype is real and each.is_cpu
            and each.layout is strided and not each.is_neg() and each.numel()
        ):  # fmt: skip
            return False
    return bool(x.numel()) and supports(product_type(parameters[0]))


def parameter(module: nn.Module, name: str) -> Any:
    """A module's parameter (None where it has none), or what stands in its place: a parametrization, which has only
    a name. By its name torch finds either with six lookups, a third of a microsecond each time."""
    kept = module._parameters
    return kept[name] if name in kept else getattr(module, name)


def is_low(real: torch.dtype, product: torch.dtype) -> bool:
    """Whether products of weights of type `real` are bfloat16; raises TypeError where there is no C for the two."""
    low = product is torch.bfloat16 and real is torch.float32
    if real not in _REAL or not (low or product is real) or not supports(product):
        raise TypeError(f"there is no native code for weights of {real} and products of {product}")
    return low


def address(x: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> int:
    """Where a tensor's numbers are, which lie behind each other; valid as long as the tensor is held.

    Raises TypeError where it is of another type or device, ValueError where it has not as many numbers as this
    shape, or not behind each other."""
    if x.dtype is dtype and x.shape == shape and x.is_cpu and x.is_contiguous():
        where = x.data_ptr()
        if where:
            return where
    if x.dtype is not dtype or not x.is_cpu:
        raise TypeError(f"native code takes {dtype} on the CPU here, not {x.dtype} on {x.device}")
    count = math.prod(shape)
    where = x.data_ptr()
    if x.numel() != count or not x.is_contiguous() or (count and not where):
        raise ValueError(
            f"native code takes {count} numbers behind each other here, not {tuple(x.shape)} with "
            f"strides {x.stride()}"
        )
    return where


def optional_address(x: Tensor | None, dtype: torch.dtype, shape: tuple[int, ...]) -> int | None:
    """`address`, or None of None."""
    return None if x is None else address(x, dtype, shape)


def compact(x: Tensor) -> Tensor:
    """A tensor with its numbers behind each other, each at a multiple of its size; a copy where it is not so."""
    x = x.contiguous()
    return x.clone() if x.data_ptr() % x.element_size() else x


def addresses(
    tensors: Sequence[Tensor], dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]
) -> tuple[Sequence[Tensor], list[int]]:
    """Tensors with their numbers behind each other, copies where they are not so, and the `address` of each."""
    # As in `address`, written out: it is asked of every weight on both ways of every step.
    places = [
        x.data_ptr()
        if x.dtype is dtype and x.shape == shape and x.is_cpu and x.is_contiguous()
        else 0
        for x, shape in zip(tensors, shapes, strict=True)
    ]
    if 0 not in places:
        return tensors, places
    held = [x.contiguous() for x in tensors]
    return held, [address(x, dtype, shape) for x, shape in zip(held, shapes, strict=True)]


def new(dtype: torch.dtype, *shape: int) -> Tensor:
    """Memory on the CPU for a tensor, whatever torch's default type and device are."""
    return torch.empty(*shape, dtype=dtype, device=_CPU)  # a tuple takes torch half as long again


def new_bytes(count: int) -> Tensor:
    """So many bytes of memory on the CPU."""
    return torch.empty(count, dtype=torch.uint8, device=_CPU)


def differentiable_once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """torch's `once_differentiable`, which needs two microseconds, only where a gradient of gradients may be asked
    for."""
    guarded = once_differentiable(backward)

    @functools.wraps(backward)
    def run(ctx: Any, *gradients: Tensor | None) -> Any:
        return (guarded if torch.is_grad_enabled() else backward)(ctx, *gradients)

    return run


def overlap(tensors: Iterable[Tensor]) -> bool:
    """Whether two of these contiguous tensors share memory."""
    ends = sorted((t.data_ptr(), t.data_ptr() + t.numel() * t.element_size()) for t in tensors)
    ends = [each for each in ends if each[0] < each[1]]
    return any(end > start for (_, end), (start, _) in pairwise(ends))
