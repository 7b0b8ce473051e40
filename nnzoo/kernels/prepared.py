"""Calls of entry points that are prepared once: arguments stay where they are, and several calls are one call of C."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nnzoo.kernels.build import library
from nnzoo.kernels.call import CPU, Arguments, CallPlan, dense, structure

_FIELD_BYTES = 8  # of every field of args.h


class PreparedCall:
    """An entry point and the address of its argument struct; held: what the arguments point to."""

    def __init__(self, function: Any, pointer: int, held: object) -> None:
        self.function = ctypes.cast(function, ctypes.c_void_p).value
        self.pointer = pointer
        self.held = held


def prepare(function: Any, plan: CallPlan, arguments: Arguments) -> PreparedCall:
    """Prepare a call of a plan's entry point with all its tensors (None: null) and numbers by field, outputs too.

    Raises TypeError or ValueError for a tensor that C cannot take as it is."""
    fields = plan.fields.copy()
    for name, value in arguments.items():
        if isinstance(value, Tensor):
            pointer = value.data_ptr()
            if dense(value, plan.specs[name]).data_ptr() != pointer:
                raise ValueError(f"{name} is not laid out as native code takes it")
            fields[name] = pointer
        else:
            fields[name] = value or 0
    memory = ctypes.create_string_buffer(plan.pack(*fields.values()))
    return PreparedCall(function, ctypes.addressof(memory), (memory, arguments))


def outputs_of(plan: CallPlan, names: Sequence[str]) -> dict[str, Tensor]:
    """Allocate tensors of a plan by their fields."""
    specs = {name: plan.specs[name] for name in names}
    return {name: torch.empty(spec.shape, dtype=spec.dtype) for name, spec in specs.items()}


def copy_rows(x: Tensor, width: int, y: Tensor) -> PreparedCall:
    """Prepare a copy of the first `width` elements of each row of x (rows, n), float32, into those of y (rows, m)."""
    row = x.stride(0)
    if not (x.shape[0] == y.shape[0] and width <= min(x.shape[1], y.shape[1])):
        raise ValueError(f"rows of {tuple(x.shape)} do not fit {tuple(y.shape)}")
    args = structure("copy_args")(threads=1, rows=len(x), width=width, x_row=row, y_row=y.stride(0))
    args.x, args.y = x.data_ptr(), y.data_ptr()
    function = library(torch.float32).nnzoo_copy_rows
    return PreparedCall(function, ctypes.addressof(args), (args, x, y))


class Gather:
    """Take rows of a data set and their targets.

    x (count, ...): float32, or uint8 images (count, channels, height, width), of which (x - offset) * scale is taken,
    offset and scale (channels) float32. targets (count, ...); all are dense. Results are in `x` and `targets`.
    """

    def __init__(
        self, x: Tensor, targets: Tensor, rows: int, terms: tuple[Tensor, Tensor] | None
    ) -> None:
        tensors = (x, targets, *(terms or ()))
        if not all(t.is_contiguous() and t.is_cpu and len(t) for t in tensors):
            raise ValueError("a data set is dense and not empty")
        if x.dtype is not (torch.float32 if terms is None else torch.uint8):
            raise TypeError(f"a data set is not {x.dtype}")
        channels = 1 if terms is None else x.shape[1]
        if terms is not None and {terms[0].numel(), terms[1].numel()} != {channels}:
            raise ValueError("each channel has an offset and a scale")
        self.x = torch.empty((rows, *x.shape[1:]), dtype=torch.float32, device=CPU)
        self.targets = torch.empty((rows, *targets.shape[1:]), dtype=targets.dtype, device=CPU)
        self.rows, self.held = rows, tensors
        self.wrong_row = ctypes.c_int64(-1)
        self.args = structure("gather_args")(
            threads=torch.get_num_threads(),
            count=min(len(x), len(targets)),
            rows=rows,
            channels=channels,
            pixels=x[0].numel() // channels,
            is_bytes=terms is not None,
            x=x.data_ptr(),
            offset=None if terms is None else terms[0].data_ptr(),
            scale=None if terms is None else terms[1].data_ptr(),
            target_bytes=targets[0].nbytes,
            targets=targets.data_ptr(),
            taken=self.x.data_ptr(),
            taken_targets=self.targets.data_ptr(),
            wrong_row=ctypes.addressof(self.wrong_row),
        )
        function = library().nnzoo_gather
        self.call = PreparedCall(function, ctypes.addressof(self.args), self)

    def choose(self, numbers: Tensor) -> None:
        """Set the rows (rows,) int64 that the next calls take."""
        if numbers.dtype is not torch.int64 or numbers.shape != (self.rows,):
            raise TypeError(f"{self.rows} row numbers are expected, not {tuple(numbers.shape)}")
        self.numbers = numbers.contiguous()
        self.args.numbers = self.numbers.data_ptr()

    def check(self) -> None:
        """Raise IndexError if one of the rows did not exist."""
        if self.wrong_row.value >= 0:
            raise IndexError(f"number {self.wrong_row.value} of the rows is none of the data set")


class CallSequence:
    """A sequence of prepared calls without Python in between."""

    def __init__(self, calls: Sequence[PreparedCall]) -> None:
        self.calls = list(calls)
        pairs = [pointer for call in calls for pointer in (call.function, call.pointer)]
        self._array = (ctypes.c_void_p * len(pairs))(*pairs)
        self._count = ctypes.c_long(len(calls))
        self._run = library().nnzoo_run_calls

    def run(self) -> None:
        self._run(self._array, self._count)
