"""Native code outside of autograd: normalization of images, loss with its gradient, gradient norms and Adam."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from nnzoo.kernels.build import library, supports_dtype
from nnzoo.kernels.call import (
    CPU,
    is_dense_cpu_tensor,
    is_eager,
    overlap,
    pointer_to,
    struct_fields,
)

LOSSES = ("cross_entropy", "mse", "mae", "huber")
_FLOATS = (torch.float32, torch.float64)
_DOUBLE_BYTES = ctypes.sizeof(ctypes.c_double)
# Elements per block in adam.c.
_BLOCK_SIZE = 8192


# Images.


def supports_normalize(x: Tensor, offset: Tensor, scale: Tensor) -> bool:
    """Whether `normalize_uint8` takes these tensors."""
    return (
        is_dense_cpu_tensor(x)
        and x.dtype is torch.uint8
        and x.ndim == 4
        and supports_dtype(torch.float32)
        and all(
            [
                is_dense_cpu_tensor(t) and t.dtype is torch.float32 and t.numel() == x.shape[1]
                for t in (offset, scale)
            ]
        )
    )


def normalize_uint8(x: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    """(x - offset) * scale in float32, bit for bit as torch computes it, in a third of the time.

    x (rows, channels, height, width) uint8; offset and scale: one float32 per channel. Raises TypeError or ValueError
    for other tensors."""
    rows, channels, height, width = x.shape
    x, offset, scale = x.contiguous(), offset.contiguous(), scale.contiguous()
    y = torch.empty(x.shape, dtype=torch.float32, device=CPU)
    sizes = torch.get_num_threads(), rows, channels, height * width
    pointers = (
        pointer_to(x, torch.uint8, x.shape),
        pointer_to(offset.flatten(), torch.float32, (channels,)),
        pointer_to(scale.flatten(), torch.float32, (channels,)),
        y.data_ptr(),
    )
    library().nnzoo_normalize_uint8(*map(ctypes.c_long, sizes), *map(ctypes.c_void_p, pointers))
    return y


# Losses.


class NativeLoss(NamedTuple):
    """A loss of torch.nn.functional, one of LOSSES. option: label smoothing, or the delta of the Huber loss;
    class_weights: (width,)."""

    name: str
    option: float = 0.0
    class_weights: Tensor | None = None


def supports_loss(output: Tensor, target: Tensor, loss: NativeLoss) -> bool:
    """Whether `loss_and_grad` computes a loss; see there."""
    dtype, class_weights = output.dtype, loss.class_weights
    weights_shape = None if class_weights is None else class_weights.shape
    return bool(
        is_eager()
        and is_dense_cpu_tensor(output)
        and is_dense_cpu_tensor(target)
        and (
            class_weights is None
            or (is_dense_cpu_tensor(class_weights) and class_weights.dtype is dtype)
        )
        and _loss_fits(loss.name, dtype, target.dtype, output.shape, target.shape, weights_shape)
        and dtype in _FLOATS
        and supports_dtype(dtype)
    )


@lru_cache(maxsize=256)
def _loss_fits(
    loss: str,
    dtype: torch.dtype,
    target_dtype: torch.dtype,
    output: tuple[int, ...],
    target: tuple[int, ...],
    class_weights: tuple[int, ...] | None,
) -> bool:
    """Whether types and shapes of target and class weights fit an output that is not empty."""
    if len(output) != 2 or not min(output) or class_weights not in (None, output[1:]):
        return False
    if loss == "cross_entropy":
        return target_dtype is torch.int64 and target == output[:1]
    return loss in LOSSES and target_dtype is dtype and target == output


def _check_loss(output: Tensor, target: Tensor, loss: NativeLoss, members: int) -> None:
    """Raise ValueError or TypeError for tensors that `loss_and_grad` does not take."""
    weights, dtype = loss.class_weights, output.dtype
    shape = None if weights is None else weights.shape
    if not _loss_fits(loss.name, dtype, target.dtype, output.shape, target.shape, shape):
        raise ValueError(f"this output, target and class weights do not fit together ({loss.name})")
    if dtype not in _FLOATS or output.shape[0] % members:
        rows = f"{members} members of {len(output)} rows"
        raise TypeError(f"there is no native loss of {dtype} for {rows}")


@lru_cache(maxsize=256)
def _array_types(doubles: int, integers: int) -> tuple[Any, Any]:
    """Array types of such lengths; ctypes takes 7 microseconds to create one."""
    return ctypes.c_double * doubles, ctypes.c_int64 * integers


@lru_cache(maxsize=2)
def _loss_function(dtype: torch.dtype) -> tuple[Any, Any, dict[str, float]]:
    """The C function of a type, and how its arguments are packed."""
    layout, fields = struct_fields("loss_args")
    return library(dtype).nnzoo_loss, struct.Struct(layout).pack, fields


def loss_and_grad(
    output: Tensor,
    target: Tensor,
    loss: NativeLoss,
    denominators: Sequence[float],
    row_weights: Tensor | None = None,
) -> tuple[list[float], list[int], Tensor]:
    """Loss, number of correct predictions and gradient for each of several members, whose rows follow member by member.

    output (members * batch, width) float32 or float64; target: classes int64 (members * batch,), or values like output;
    for values the loss is the mean of a row; denominators: of each member's mean loss; row_weights: (members * batch,)
    float64. Returns losses, times the weights, summed over the rows of each member, numbers of correct predictions, and
    the gradient of the sum of the mean losses. As in torch, a row of class -100 does not count. Raises IndexError for
    any other class that does not exist, TypeError or ValueError for other tensors.
    """
    members, dtype = len(denominators), output.dtype
    _check_loss(output, target, loss, members)
    rows, width = output.shape
    output, target = output.contiguous(), target.contiguous()
    weights = None if loss.class_weights is None else loss.class_weights.contiguous()
    row_weights = None if row_weights is None else row_weights.contiguous()
    grad = torch.empty(output.shape, dtype=dtype, device=CPU)
    doubles, integers = _array_types(2 * members + rows, members)
    # Denominators, each member's loss, and that of each row.
    values, num_correct = doubles(*denominators), integers()
    start = ctypes.addressof(values)
    function, pack, fields = _loss_function(dtype)
    args = fields | {
        "loss": LOSSES.index(loss.name),
        "threads": torch.get_num_threads(),
        "members": members,
        "batch": rows // members,
        "width": width,
        "option": loss.option,
        "output": pointer_to(output, dtype, (rows, width)),
        "target": pointer_to(target, target.dtype, target.shape),
        "class_weights": 0 if weights is None else pointer_to(weights, dtype, (width,)),
        "row_weights": 0
        if row_weights is None
        else pointer_to(row_weights, torch.float64, (rows,)),
        "denominators": start,
        "losses": start + members * _DOUBLE_BYTES,
        "row_losses": start + 2 * members * _DOUBLE_BYTES,
        "num_correct": ctypes.addressof(num_correct),
        "grad": grad.data_ptr(),
    }
    wrong_row = function(pack(*args.values()))
    if wrong_row >= 0:
        raise IndexError(f"Target {int(target[wrong_row])} is out of bounds.")
    return values[members : 2 * members], list(num_correct), grad


# Optimizer.


_C_TYPES: dict[str, Any] = {"q": ctypes.c_long, "d": ctypes.c_double, "P": ctypes.c_void_p}


class _Parameter(ctypes.Structure):
    """`struct adam_param` of args.h."""

    _fields_ = tuple(
        (name, _C_TYPES[code]) for code, name in zip(*struct_fields("adam_param"), strict=True)
    )


class AdamStep(NamedTuple):
    """Options of a step of Adam, as torch.optim.Adam has them, and its number (from 1); decoupled: AdamW."""

    lr: float
    betas: Sequence[float]
    eps: float
    decoupled: bool
    number: int


_pack_adam = struct.Struct(struct_fields("adam_options")[0]).pack


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
        self.per_member = ctypes.c_double * members
        self.table = (_Parameter * len(weights))()
        self.entries = list(self.table)
        self.sizes = ctypes.c_long(members), ctypes.c_long(len(weights))
        # Contents of the table: addresses of gradients, and missed steps per weight.
        self.pointers: list[int | None] = [None] * len(weights)
        self.missed_steps: list[int] = []
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
        self.squares_pointer = ctypes.c_void_p(self.squares.data_ptr())

    def set_lr_factors(self, factors: Sequence[float]) -> None:
        """Set per weight by what the learning rate of a step is multiplied; 1 until then."""
        for entry, factor in zip(self.entries, factors, strict=True):
            entry.lr_factor = factor

    def grad_norms(self, grads: Sequence[Tensor | None]) -> list[float]:
        """L2 norm of each member's gradients together; None: a weight without a gradient."""
        norms, held = self.per_member(), self._bind_gradients(grads)
        threads = ctypes.c_long(torch.get_num_threads())
        self.native.nnzoo_grad_norms(threads, *self.sizes, self.table, self.squares_pointer, norms)
        del held
        return list(norms)

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
        lr, (beta1, beta2), eps, decoupled, count = step
        corrections = 1 - beta1**count, 1 - beta2**count
        options = _pack_adam(lr, beta1, beta2, eps, *corrections, decoupled, count)
        if list(missed_steps) != self.missed_steps:
            counts = missed_steps or [0] * len(self.entries)
            for entry, missed in zip(self.entries, counts, strict=True):
                entry.missed_steps = missed
            self.missed_steps = list(missed_steps)
        held = self._bind_gradients(grads)
        threads = ctypes.c_long(torch.get_num_threads())
        self.native.nnzoo_adam_step(
            threads, *self.sizes, self.table, self.per_member(*clip_divisors), options
        )
        increment_version(self.weights)
        del held

    def _bind_gradients(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Write their addresses to the table; valid as long as the returned tensors are held."""
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
        shape = self.weight.shape
        if not len(rows):
            return
        if int(rows[0]) < 0 or int(rows[-1]) >= shape[0] or not bool((rows[1:] > rows[:-1]).all()):
            raise IndexError(f"these are not some of the {shape[0]} rows in ascending order")
        corrections = 1 - beta1**count, 1 - beta2**count
        options = _pack_adam(lr, beta1, beta2, eps, *corrections, decoupled, count)
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
            options,
        )
        increment_version(self.weight)


def grad_norm(grad: Tensor) -> float:
    """L2 norm of a float32 tensor, the same for any number of threads."""
    grad = grad.contiguous()
    entry = _Parameter(grad.numel(), None, pointer_to(grad, torch.float32, grad.shape))
    norm = ctypes.c_double()
    squares = torch.empty(-(-grad.numel() // _BLOCK_SIZE), dtype=torch.float64, device=CPU)
    library().nnzoo_grad_norms(
        *map(ctypes.c_long, (torch.get_num_threads(), 1, 1)),
        ctypes.byref(entry),
        ctypes.c_void_p(squares.data_ptr()),
        ctypes.byref(norm),
    )
    return norm.value
