"""Gradient norms, and steps of Adam and AdamW, by adam.c."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from nnzoo.kernels.build import library
from nnzoo.kernels.call import (
    CPU,
    is_dense_cpu_tensor,
    overlap,
    pointer_to,
    struct_fields,
    structure,
)

# Elements per block in adam.c.
_BLOCK_SIZE = 8192
_Parameter = structure("adam_param")


class AdamStep(NamedTuple):
    """Options of a step of Adam, as torch.optim.Adam has them, and its number (from 1); decoupled: AdamW."""

    lr: float
    betas: Sequence[float]
    eps: float
    decoupled: bool
    number: int


_ADAM_OPTIONS = struct.Struct(struct_fields("adam_options")[0])


def supports_adam(weights: Sequence[Tensor]) -> bool:
    """Whether `ParameterTable` takes these weights."""
    plain = all(
        is_dense_cpu_tensor(w) and w.dtype is torch.float32 and w.is_contiguous() for w in weights
    )
    return plain and not overlap(weights) and library() is not None


class ParameterTable:
    """Weights of one member, or stacks (members, ...) of several, float32 and contiguous, with their weight decay and,
    for `adam_step`, the averages of the gradient and of its square. All keep their place in memory, and none overlaps
    another. Raises TypeError or ValueError for other tensors."""

    def __init__(
        self,
        weights: Sequence[Tensor],
        weight_decays: Sequence[float],
        members: int,
        exp_avgs: Sequence[Tensor] = (),
        exp_avg_sqs: Sequence[Tensor] = (),
    ) -> None:
        self.held = [*weights, *exp_avgs, *exp_avg_sqs]
        self.weights = list(weights)
        self.shapes = [w.shape for w in weights]
        self.native = library()
        self.norms, self.divisors = ((ctypes.c_double * members)() for _ in range(2))
        self.table = (_Parameter * len(weights))()
        self.entries = list(self.table)
        # Contents of the table: addresses of gradients, and missed steps per weight.
        self.pointers: list[int | None] = [None] * len(weights)
        self.missed_steps: list[int] = []
        self.bound: Sequence[Tensor | None] | None = None
        """The gradients whose addresses are in the table, where they are to be kept."""
        if overlap(self.held):
            raise ValueError("weights and averages share memory")
        for i, entry in enumerate(self.entries):
            shape = weights[i].shape
            if weights[i].numel() % members:
                raise ValueError(f"{tuple(shape)} are not the weights of {members} members")
            entry.size, entry.weight_decay = weights[i].numel() // members, weight_decays[i]
            entry.lr_factor = 1.0
            entry.weight = pointer_to(weights[i], torch.float32, shape, is_output=True)
            if exp_avgs:
                entry.exp_avg = pointer_to(exp_avgs[i], torch.float32, shape, is_output=True)
                entry.exp_avg_sq = pointer_to(exp_avg_sqs[i], torch.float32, shape, is_output=True)

        blocks = sum(members * -(-entry.size // _BLOCK_SIZE) for entry in self.entries)
        self.squares = torch.empty(blocks, dtype=torch.float64, device=CPU)
        self.args = structure("adam_args")(
            members=members,
            count=len(weights),
            params=ctypes.addressof(self.table),
            squares=self.squares.data_ptr(),
            norms=ctypes.addressof(self.norms),
            clip_divisors=ctypes.addressof(self.divisors),
        )
        self.options = ctypes.create_string_buffer(_ADAM_OPTIONS.size)
        self.args.options = ctypes.addressof(self.options)
        self.pointer = ctypes.c_void_p(ctypes.addressof(self.args))

    def set_lr_factors(self, factors: Sequence[float]) -> None:
        """Set per weight by what the learning rate of a step is multiplied; 1 until then."""
        for entry, factor in zip(self.entries, factors, strict=True):
            entry.lr_factor = factor

    def grad_norms(self, grads: Sequence[Tensor | None]) -> list[float]:
        """L2 norm of each member's gradients together; None: a weight without a gradient."""
        held = self.bind(grads)
        self.native.nnzoo_grad_norms(self.pointer)
        del held
        return self.norms[:]

    def adam_step(
        self,
        grads: Sequence[Tensor | None],
        step: AdamStep,
        clip_divisors: Sequence[float],
        missed_steps: Sequence[int] = (),
    ) -> None:
        """Take a step of torch.optim.Adam, or with `decoupled` weight decay AdamW.

        clip_divisors: each member's gradients are divided by its one. missed_steps: per weight, in how many steps before
        this one it had no gradient, if any had none; a weight without a gradient now stays as it is."""
        if list(missed_steps) != self.missed_steps:
            counts = missed_steps or [0] * len(self.entries)
            for entry, missed in zip(self.entries, counts, strict=True):
                entry.missed_steps = missed
            self.missed_steps = list(missed_steps)
        held = self.bind(grads)
        lr, (beta1, beta2), eps, decoupled, count = step
        corrections = 1 - beta1**count, 1 - beta2**count
        numbers = lr, beta1, beta2, eps, *corrections, decoupled, count
        self.divisors[:], self.options.raw = list(clip_divisors), _ADAM_OPTIONS.pack(*numbers)
        self.native.nnzoo_adam_step(self.pointer)
        increment_version(self.weights)
        del held

    def bind(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Write the addresses of gradients to the table; valid as long as the returned tensors are held."""
        self.args.threads = torch.get_num_threads()
        if grads is self.bound:
            return grads
        self.bound = None
        held, dtype = grads, torch.float32
        # 0: not as C takes it.
        pointers = [
            None
            if g is None
            else g.data_ptr()
            if g.dtype is dtype and g.shape == shape and g.is_cpu and g.is_contiguous()
            else 0
            for g, shape in zip(grads, self.shapes, strict=True)
        ]
        if 0 in pointers:
            held = [None if g is None else g.contiguous() for g in grads]
            pointers = [
                None if g is None else pointer_to(g, dtype, shape)
                for g, shape in zip(held, self.shapes, strict=True)
            ]
        if pointers != self.pointers:
            for entry, pointer in zip(self.entries, pointers, strict=True):
                entry.grad = pointer
            self.pointers = pointers
        return held


class AdamRows(NamedTuple):
    """A weight (rows, width) of which a step changes some rows, and its averages of the same shape, float32."""

    weight: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor
    weight_decay: float
    lr_factor: float = 1.0

    @property
    def is_supported(self) -> bool:
        """Whether `step` takes these tensors."""
        return self.weight.ndim == 2 and supports_adam(self[:3])

    def step(self, rows: Tensor, grad: Tensor, step: AdamStep, clip_divisor: float) -> None:
        """Take a step of Adam on some rows: their indices int64, ascending and all different, and gradients.

        Raises IndexError, TypeError or ValueError for others."""
        lr, (beta1, beta2), eps, decoupled, count = step
        corrections = 1 - beta1**count, 1 - beta2**count
        numbers = lr, beta1, beta2, eps, *corrections, decoupled, count
        shape = self.weight.shape
        if not len(rows):
            return
        if int(rows[0]) < 0 or int(rows[-1]) >= shape[0] or not bool((rows[1:] > rows[:-1]).all()):
            raise IndexError(f"these are not some of the {shape[0]} rows in ascending order")
        rows, grad = rows.contiguous(), grad.contiguous()
        weight, exp_avg, exp_avg_sq = (
            pointer_to(tensor, torch.float32, shape, is_output=True) for tensor in self[:3]
        )
        grad_pointer = pointer_to(grad, torch.float32, (len(rows), shape[1]))
        factors = self.weight_decay, self.lr_factor
        entry = _Parameter(0, weight, grad_pointer, exp_avg, exp_avg_sq, *factors, 0)
        sizes = torch.get_num_threads(), len(rows), shape[1]
        library().nnzoo_adam_rows(
            *map(ctypes.c_long, sizes),
            ctypes.c_void_p(pointer_to(rows, torch.int64, (len(rows),))),
            ctypes.byref(entry),
            ctypes.c_double(clip_divisor),
            _ADAM_OPTIONS.pack(*numbers),
        )
        increment_version(self.weight)


def grad_norm(grad: Tensor) -> float:
    """L2 norm of a float32 tensor, the same for any number of threads."""
    table = ParameterTable([grad.contiguous()], [0.0], 1)
    return table.grad_norms([table.weights[0]])[0]
