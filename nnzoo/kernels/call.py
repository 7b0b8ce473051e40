"""Call C entry points: which tensors they take, and how their arguments are packed.

C gets addresses and sizes and cannot check either. So a layer asks `supports` (and the predicate of its operation in
ops.py) whether a case is one for native kernels, and leaves all others to torch; and every address that a layer
passes to C comes from `call`, which raises if a tensor is not what the entry point was planned for.
"""

from __future__ import annotations

import ctypes
import functools
import math
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from nnzoo.kernels import build
from nnzoo.kernels.build import FOLDER, library, supports_dtype

Shape = tuple[int, ...]
Arguments = dict[str, Tensor | float | None]
PLAIN_TYPES = (Tensor, Parameter)
CPU = torch.device("cpu")
_FLOATS = (torch.float32, torch.float64)


# Which tensors.


def is_eager() -> bool:
    """Whether operations run eagerly and under torch's reverse-mode autograd alone: not compiled or traced, not
    transformed (vmap, jvp and others of torch.func), in no dispatch mode, without forward-mode derivatives."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
    )


def is_dense_cpu_tensor(x: object) -> bool:
    """Whether it is a strided CPU Tensor or Parameter: no subclass, no negative bit."""
    return (
        type(x) in PLAIN_TYPES
        and x.is_cpu  # type: ignore[attr-defined]
        and x.layout is torch.strided  # type: ignore[attr-defined]
        and not x.is_neg()  # type: ignore[attr-defined]
    )


def supports(x: Tensor, *parameters: Tensor | None) -> bool:
    """Whether there are native kernels for this input of a layer with these parameters: all of them plain, not empty,
    and of one type, float32 or float64; under autocast the input may also be bfloat16."""
    if parameters[0] is None or not is_eager():
        return False
    dtype, x_dtype = parameters[0].dtype, x.dtype
    autocast = dtype is torch.float32 and torch.is_autocast_enabled("cpu")
    if x_dtype is not dtype and not (autocast and x_dtype is torch.bfloat16):
        return False
    if dtype not in _FLOATS:
        return False
    for tensor in cast(tuple[Tensor, ...], (x, *parameters)):
        # Inlined `is_dense_cpu_tensor`: a call takes as long as the checks.
        if type(tensor) not in PLAIN_TYPES or not tensor.is_cpu or not tensor.numel():
            return False
        if tensor.layout is not torch.strided or tensor.is_neg():
            return False
        if tensor.dtype is not dtype and tensor is not x:
            return False
    if autocast:
        return supports_dtype(torch.get_autocast_dtype("cpu"))
    loaded = build._loaded.get(dtype)  # inlined `library`
    return (loaded or (library(dtype),))[0] is not None


def product_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type in which layers with parameters of a type multiply: under autocast its type instead of float32."""
    if dtype is torch.float32 and torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return dtype


def uses_bf16(dtype: torch.dtype, product: torch.dtype) -> bool:
    """Whether products of parameters of `dtype` are bfloat16; raises TypeError if there is no C for the two types."""
    bf16 = product is torch.bfloat16 and dtype is torch.float32
    if dtype not in _FLOATS or not (bf16 or product is dtype) or not supports_dtype(product):
        raise TypeError(f"there is no native code for weights of {dtype} and products of {product}")
    return bf16


# How arguments are packed.


@cache
def struct_fields(name: str) -> tuple[str, dict[str, float]]:
    """Format (of the struct module) and fields of a C struct in args.h; each field maps to 0."""
    text = re.sub(r"/\*.*?\*/", "", (FOLDER / "args.h").read_text(), flags=re.DOTALL)
    declarations = text.partition(f"struct {name} {{")[2].partition("}")[0]
    layout, fields = "", dict[str, float]()
    for declaration in filter(None, map(str.strip, declarations.split(";"))):
        for field in declaration.split(","):
            is_pointer = "*" in field
            layout += "P" if is_pointer else "d" if declaration.startswith("double") else "q"
            fields[re.findall(r"\w+", field)[-1]] = 0
    return layout, fields


_C_TYPES: dict[str, Any] = {"q": ctypes.c_long, "d": ctypes.c_double, "P": ctypes.c_void_p}


@cache
def structure(name: str) -> Any:
    """The class of a C struct in args.h, a ctypes.Structure; pointers are addresses."""
    fields = [(field, _C_TYPES[code]) for code, field in zip(*struct_fields(name), strict=True)]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


class Spec(NamedTuple):
    """A tensor as an entry point takes it. memory_format: None if rows may be any distance apart; is_output: written in
    place, so that a copy cannot replace it."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    memory_format: torch.memory_format | None = torch.contiguous_format
    is_output: bool = False


@dataclass(frozen=True, slots=True)
class CallPlan:
    """Everything about the calls of a layer that follows from types, shapes and options."""

    forward: Any
    backward: Any
    """The C functions."""
    pack: Callable[..., bytes]
    fields: dict[str, float]
    """Fields of the C struct in order, with sizes filled in and 0 elsewhere."""
    specs: dict[str, Spec]
    """The tensors by their field."""
    parameters: tuple[str, ...] = ()
    """Fields of the layer's parameters, in the order in which its function takes them."""
    grads: tuple[tuple[Shape, Shape, int], ...] = ()
    """Shape, strides and offset of each parameter's gradient in the tensor `grads`."""


def make_plan(
    operation: str,
    dtype: torch.dtype,
    arguments: tuple[str, dict[str, float]],
    specs: dict[str, Spec],
    parameters: tuple[str, ...] = (),
    grads: tuple[tuple[Shape, Shape, int], ...] = (),
) -> CallPlan:
    """The plan of an operation such as "rnn"; asks C for the sizes of workspace and scratch.

    arguments: format and fields of the C struct, with sizes filled in."""
    (layout, fields), native = arguments, library(dtype)
    pack = struct.Struct(layout).pack
    query = getattr(native, f"nnzoo_{operation}_workspace")
    sizes = [query(pack(*fields.values()), backward) for backward in (0, 1)]
    if "workspace" in fields:
        specs["workspace"], scratch = Spec(torch.uint8, (sizes[0],)), sizes[1]
    else:
        scratch = max(sizes)
    specs["scratch"] = Spec(torch.uint8, (scratch,))
    forward, backward = (
        getattr(native, f"nnzoo_{operation}_{direction}") for direction in ("forward", "backward")
    )
    return CallPlan(forward, backward, pack, fields, specs, parameters, grads)


def call(
    function: Any,
    plan: CallPlan,
    outputs: Iterable[str],
    arguments: Arguments,
) -> list[Tensor]:
    """Call an entry point of a plan with tensors (None: null) and numbers by field; allocates its outputs and returns them.

    A tensor that is not dense is copied. Raises TypeError or ValueError if it does not fit its spec."""
    fields, specs, copies, allocated = plan.fields.copy(), plan.specs, [], []
    for name, value in arguments.items():
        if not isinstance(value, Tensor):
            fields[name] = value or 0
            continue
        dtype, shape, memory_format, _ = specs[name]
        pointer = 0
        is_dense = memory_format is None or value.is_contiguous(memory_format=memory_format)
        if is_dense and value.dtype is dtype and value.shape == shape and value.is_cpu:
            pointer = value.data_ptr()
        if not pointer or pointer % dtype.itemsize:
            copies.append(dense(value, specs[name]))
            pointer = copies[-1].data_ptr()
        fields[name] = pointer
    for name in outputs:
        dtype, shape, memory_format, _ = specs[name]
        # On the CPU, whatever torch's default device is.
        x = torch.empty(*shape, dtype=dtype, device=CPU, memory_format=memory_format)
        fields[name] = x.data_ptr()
        allocated.append(x)
    function(plan.pack(*fields.values()))
    return allocated


def dense(x: Tensor, spec: Spec) -> Tensor:
    """A tensor as its spec says, a copy if it is laid out differently or not aligned to its element size.

    Raises TypeError if it has another type or device, ValueError if it has another shape, or would have to be
    copied and is an output."""
    if x.dtype is not spec.dtype or not x.is_cpu:
        raise TypeError(
            f"native code takes {spec.dtype} on the CPU here, not {x.dtype} on {x.device}"
        )
    memory_format = spec.memory_format or torch.contiguous_format
    copy = x
    if x.shape == spec.shape and spec.memory_format is not None:
        copy = x.contiguous(memory_format=memory_format)
        copy = copy.clone() if copy.data_ptr() % x.element_size() else copy
    is_row_major = spec.memory_format is not None or x.stride(-1) == 1
    if x.shape != spec.shape or not is_row_major or (spec.is_output and copy is not x):
        raise ValueError(
            f"native code takes a dense tensor {spec.shape} here, not {tuple(x.shape)} with strides {x.stride()}"
        )
    if copy.numel() and not copy.data_ptr():
        raise ValueError("native code takes tensors that have memory")
    return copy


def pointer_to(x: Tensor, dtype: torch.dtype, shape: Sequence[int], is_output: bool = False) -> int:
    """Address of a dense tensor, valid as long as the tensor is held; raises TypeError or ValueError for another."""
    is_dense = x.is_contiguous() and x.data_ptr()
    if is_dense and x.dtype is dtype and x.shape == shape and x.is_cpu:
        return x.data_ptr()
    if dense(x, Spec(dtype, tuple(shape), is_output=is_output)) is not x:
        raise ValueError(f"native code takes a dense tensor here, not strides {x.stride()}")
    return x.data_ptr()


def overlap(tensors: Iterable[Tensor]) -> bool:
    """Whether two of these contiguous tensors share memory."""
    ends = sorted((t.data_ptr(), t.data_ptr() + t.numel() * t.element_size()) for t in tensors)
    ends = [end for end in ends if end[0] < end[1]]
    return any(end > start for (_, end), (start, _) in pairwise(ends))


def round_up(count: int, lanes: int) -> int:
    """Round `count` up to a multiple of `lanes` (SIMD lanes)."""
    return -(-count // lanes) * lanes


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a dense row-major tensor, in elements."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def differentiable_once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """torch's `once_differentiable`, which takes two microseconds, only if a gradient of gradients may be needed."""
    guarded = once_differentiable(backward)

    @functools.wraps(backward)
    def run(ctx: Any, *gradients: Tensor | None) -> Any:
        return (guarded if torch.is_grad_enabled() else backward)(ctx, *gradients)

    return cast(Callable[..., Any], run)
