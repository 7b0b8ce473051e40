"""Which of torch's operators a computation calls, and whether a bit of its result may depend on the number of threads.

Native kernels give the same bits with any team. torch's operators divide their work among the threads: sums are then
added up in another order, and functions such as tanh are computed by other code at the end of each thread's part. Only
operators that round each element once, or not at all, are safe, and others as long as their work is not divided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

# Fewer elements are never divided (at::internal::GRAIN_SIZE).
GRAIN_SIZE = 32_768

_VIEWS = """
alias as_strided as_strided_ chunk contiguous detach expand expand_as flatten movedim narrow permute reshape resize_
resolve_conj resolve_neg select slice split split_with_sizes squeeze squeeze_ t transpose unbind unflatten unfold
unsqueeze unsqueeze_ view view_as _reshape_alias _unsafe_view
"""
_COPIES = """
_to_copy arange cat clone constant_pad_nd copy_ empty empty_like empty_strided fill_ flip full full_like gather index
index_select item lift_fresh masked_fill masked_fill_ new_empty new_empty_strided new_full new_ones new_zeros ones
ones_like pad repeat repeat_interleave roll scalar_tensor set_ stack to where zero_ zeros zeros_like
_local_scalar_dense
"""
_ROUNDED_ONCE = """
abs bitwise_and bitwise_not bitwise_or div div_ eq ge gt is_nonzero isfinite le logical_and logical_not logical_or lt
max_pool1d max_pool2d max_pool2d_with_indices mul mul_ ne neg reciprocal relu sqrt threshold_backward
"""
# The generator gives one number after the other; a thread of bernoulli_ skips those of the others.
_RANDOM = "bernoulli_ rand randint randn random_ uniform_ normal_"
# A thread computes whole images.
_BY_IMAGE = "grid_sampler_2d"
# Made of other operators, which are recorded too.
_COMPOSITE = """
adaptive_avg_pool2d affine_grid_generator dropout grid_sampler select_backward slice_backward
"""
_SAFE = frozenset(f"{_VIEWS} {_COPIES} {_ROUNDED_ONCE} {_RANDOM} {_BY_IMAGE} {_COMPOSITE}".split())
_DIVIDED = """
add add_ all any argmax clamp cos exp linspace log max mean min pow rsub sigmoid sin sub sub_ sum tanh
"""
_SAFE_IF_SMALL = frozenset(_DIVIDED.split())
# Batches of products with fewer multiplications each are not left to a library (aten/src/ATen/native/LinearAlgebra.cpp).
_SMALL_PRODUCT = 400

Call = tuple[str, Sequence[Sequence[int]]]


def operators_of(compute: Callable[[], Any]) -> tuple[Any, list[Call] | None]:
    """The result of `compute`, and the operators that it called on this thread, with the shapes of their tensors; None
    if torch does not tell."""
    profiler: Any = torch.autograd
    try:
        kind = profiler.ProfilerState.CPU
        more = torch._C._profiler._ExperimentalConfig()
        config = profiler.ProfilerConfig(kind, True, False, False, False, False, more)
        profiler._enable_profiler_legacy(config)
    except (AttributeError, TypeError, RuntimeError):  # another version, or someone is profiling
        return compute(), None
    records: Any = []
    try:
        result = compute()
    finally:
        records = profiler._disable_profiler_legacy()
    calls = [(e.name(), e.shapes()) for thread in records for e in thread if e.kind() == "push"]
    return result, calls


def thread_dependent(calls: Iterable[Call]) -> str:
    """Return the name of the first operator whose result may depend on the number of threads; empty if there is none."""
    for name, shapes in calls:
        space, _, operator = name.partition("::")
        if (
            not operator
            or space in ("autograd", "torch")
            or (operator in _SAFE and space == "aten")
        ):
            continue
        if operator == "bmm" and _multiplications(shapes) < _SMALL_PRODUCT:
            continue
        if space != "aten" or operator not in _SAFE_IF_SMALL or _elements(shapes) >= GRAIN_SIZE:
            return name
    return ""


def _multiplications(shapes: Sequence[Sequence[int]]) -> int:
    """The number of multiplications of each product of matrices (batch, rows, inner) and (batch, inner, columns)."""
    return math.prod(shapes[0][1:]) * shapes[1][2]


def _elements(shapes: Sequence[Sequence[int]]) -> int:
    """The number of elements of the result of an element-wise operator; of a sum, those of its input."""
    try:
        return math.prod(torch.broadcast_shapes(*map(tuple, shapes)))
    except RuntimeError:  # of another kind: more than it can have
        return math.prod(max(1, math.prod(shape)) for shape in shapes)
