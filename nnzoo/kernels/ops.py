"""Layers of linear.c, rnn_*.c and conv_*.c as autograd functions.

Weights are laid out as in torch's modules. All functions raise TypeError or ValueError for tensors that do not fit
together or that plan.py has no plan for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import starmap
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.nn import functional

from nnzoo.kernels.build import library
from nnzoo.kernels.call import (
    CPU,
    Arguments,
    CallPlan,
    Spec,
    call,
    dense,
    differentiable_once,
    pointer_to,
    supports,
)
from nnzoo.kernels.openmp import partitions
from nnzoo.kernels.packing import Packing
from nnzoo.kernels.plan import (
    SHAPE,
    CellType,
    RnnPlan,
    conv_plan,
    linear_plan,
    packed_rnn_plan,
    rnn_plan,
)


class LinearChain(torch.autograd.Function):
    """Linear layers in a row, each but the last alone or followed by ReLU, or by ReLU and dropout.

    x (rows, in); epilogues: per layer None, or (mask, scale) of the dropout after its ReLU: uint8 (rows, out) of ones
    where a value is kept, or None, and the factor of kept values; then weight (out, in) and bias (out) of each layer,
    or those of several members, (members, out, in) and (members, out), whose rows follow member by member. Returns
    (rows, out of the last layer) in the weights' type.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        epilogues: list[tuple[Tensor | None, float] | None],
        *parameters: Tensor,
    ) -> Tensor:
        dtype, ctx.x_dtype = parameters[0].dtype, x.dtype
        autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        dtypes = dtype, autocast, x.dtype
        scales = tuple([None if epilogue is None else epilogue[1] for epilogue in epilogues])
        threads = torch.get_num_threads()
        plan = linear_plan(dtypes, threads, scales, x.shape, *map(SHAPE, parameters))
        x = x.to(plan.specs["x"].dtype)
        arguments: Arguments = {"x": x, **dict(zip(plan.parameters, parameters, strict=True))}
        for i, epilogue in enumerate(epilogues):
            if epilogue is not None and epilogue[0] is not None:
                mask, padded = epilogue[0], plan.specs[f"dropout_mask{i}"].shape
                width = parameters[2 * i].shape[-2]
                if mask.shape != (len(x), width):
                    raise ValueError(f"a dropout mask is {(len(x), width)}, not {mask.shape}")
                pad = padded[1] - width
                arguments[f"dropout_mask{i}"] = functional.pad(mask, (0, pad)) if pad else mask
        y, workspace = call(plan.forward, plan, ("y", "workspace"), arguments)
        ctx.plan = plan
        ctx.save_for_backward(x if plan.fields["x_packed"] else None, workspace, *parameters)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> Any:
        plan: CallPlan = ctx.plan
        # Read once: hooks may return other tensors each time.
        x, workspace, *parameters = ctx.saved_tensors
        outputs = ("grads", "scratch", "dx") if ctx.needs_input_grad[0] else ("grads", "scratch")
        dy = grad.to(plan.specs["dy"].dtype)
        arguments: Arguments = {"x": x, "workspace": workspace, "dy": dy}
        arguments |= zip(plan.parameters, parameters, strict=True)
        grads, _, *dx = call(plan.backward, plan, outputs, arguments)
        features = plan.specs["x"].shape[1]
        input_grad = dx[0][:, :features].to(ctx.x_dtype).contiguous() if dx else None
        return input_grad, None, *starmap(grads.as_strided, plan.grads)


class RecurrentLayer(torch.autograd.Function):
    """One layer in one direction; formulas of torch.nn.RNN, LSTM and GRU.

    relu: instead of tanh (RNN, LSTM). x (time, batch, features); tensors: w_ih, w_hh, b_ih, b_hh as in torch, and unless
    the state starts at zero, the first one (batch, hidden) and, of an LSTM, the first cell, in the weights' type, to
    which there is no gradient. Returns all states (time, batch, hidden) in `product`, the last one (batch, hidden)
    and, of an LSTM, the last cell. With several members weights are (members, ...), and the others have that
    dimension before the batch. With a packing of sequences of different lengths, whose states start at zero, x is
    (rows, features) and the states (rows, hidden), also of several members.
    """

    @staticmethod
    def forward(
        ctx: Any,
        cell_type: CellType,
        relu: bool,
        product: torch.dtype,
        packing: Packing | None,
        x: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        weights, first = tensors[:4], tensors[4:]
        dtype, ctx.x_dtype = weights[1].dtype, x.dtype
        options = cell_type, relu, any(ctx.needs_input_grad), torch.get_num_threads()
        dtypes, shapes = (dtype, product, x.dtype), map(SHAPE, weights)
        if packing is None:
            plan = rnn_plan(options, dtypes, None, x.shape, *shapes)
        else:
            plan = packed_rnn_plan(options, dtypes, packing.shape, tuple(shapes))
        x, strides = dense_rows("x", x, plan.call)
        arguments: Arguments = {
            "x": x,
            **strides,
            **_lengths(packing),
            **dict(zip(plan.call.parameters, weights, strict=True)),
        }
        if first:
            arguments |= first_states(cell_type, first, packing, any(ctx.needs_input_grad[9:]))
        z, workspace, *lasts = call(plan.call.forward, plan.call, plan.forward, arguments)
        ctx.plan, ctx.packing, ctx.num_first = plan, packing, len(first)
        ctx.save_for_backward(z, workspace, *weights)
        ctx.set_materialize_grads(False)
        return z.as_strided(*plan.states), *lasts

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor | None, *lasts: Tensor | None) -> Any:
        plan: RnnPlan = ctx.plan
        # Read once: hooks may return other tensors each time.
        z, workspace, *weights = ctx.saved_tensors
        arguments: Arguments = {"z": z, "workspace": workspace, **_lengths(ctx.packing)}
        arguments["carried"] = bool(ctx.num_first)
        arguments |= zip(plan.call.parameters, weights, strict=True)
        if grad is not None:
            arguments["dy"], strides = dense_rows("dy", grad, plan.call)
            arguments |= strides
        for name, last in zip(("dlast", "dcell"), lasts, strict=False):
            arguments[name] = None if last is None else last.to(plan.call.specs[name].dtype)
        outputs = (*plan.backward, "dx") if ctx.needs_input_grad[4] else plan.backward
        grads, _, *dx = call(plan.call.backward, plan.call, outputs, arguments)
        input_grad = dx[0].to(ctx.x_dtype) if dx else None
        weight_grads = starmap(grads.as_strided, plan.call.grads)
        return None, None, None, None, input_grad, *weight_grads, *[None] * ctx.num_first


def first_states(
    cell_type: CellType, first: Sequence[Tensor], packing: Packing | None, needs_grad: bool
) -> Arguments:
    """The arguments of a layer that starts from these states."""
    names = ("h0", "c0") if cell_type == "lstm" else ("h0",)
    if len(first) != len(names) or packing is not None or needs_grad:
        raise ValueError(f"a first state of {cell_type} is {' and '.join(names)} without gradients")
    return {"carried": True, **dict(zip(names, first, strict=True))}


def pack_rows(x: Tensor, starts: Tensor, packing: Packing) -> Tensor:
    """The steps of sequences in the order of a packing: x (steps, features) float32 or float64, where sequence i begins
    at row starts[i], (members * batch,) int64; returns (rows, features)."""
    if not supports(x, x) or x.ndim != 2:
        raise ValueError(f"{tuple(x.shape)} {x.dtype} are not steps of sequences")
    x, width = x.contiguous(), x.shape[1]
    y = torch.empty(packing.rows, width, dtype=x.dtype, device=CPU)
    sizes = packing.members, packing.batch, packing.steps, width, len(x)
    pointers = [
        pointer_to(starts, torch.int64, (packing.members * packing.batch,)),
        *_packing_pointers(packing),
        pointer_to(x, x.dtype, x.shape),
        y.data_ptr(),
    ]
    pack = library(x.dtype).nnzoo_pack_rows
    if pack(*map(ctypes.c_long, sizes), *map(ctypes.c_void_p, pointers)):
        raise ValueError(f"a sequence is not within the {len(x)} rows")
    return y


class PoolSteps(torch.autograd.Function):
    """The mean or maximum over time of packed sequences: x (rows, width) float32 or float64 to (members * batch, width)."""

    @staticmethod
    def forward(ctx: Any, packing: Packing, is_max: bool, x: Tensor) -> Tensor:
        if not supports(x, x) or x.ndim != 2 or len(x) != packing.rows:
            raise ValueError(f"{tuple(x.shape)} {x.dtype} are not the rows of {packing.shape}")
        x = x if x.stride(1) == 1 and x.stride(0) > 0 else x.contiguous()
        y = torch.empty(packing.members * packing.batch, x.shape[1], dtype=x.dtype, device=CPU)
        ctx.packing, ctx.is_max = packing, is_max
        _call_pool("forward", packing, is_max, x, y)
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, y = ctx.saved_tensors
        counts, dx = torch.empty_like(y), torch.empty(x.shape, dtype=x.dtype, device=CPU)
        dy = dense(grad, Spec(y.dtype, tuple(y.shape)))
        _call_pool("backward", ctx.packing, ctx.is_max, x, y, dy, counts, dx)
        return None, None, dx


def _call_pool(direction: str, packing: Packing, is_max: bool, x: Tensor, *rows: Tensor) -> None:
    """rows: the further arguments, dense and of x's type."""
    dtype, width = x.dtype, x.shape[1]
    sequences = packing.members, packing.batch, packing.steps
    sizes = torch.get_num_threads(), is_max, *sequences, width, x.stride(0)
    pointers = _packing_pointers(packing)
    if x.dtype is not rows[0].dtype or x.shape != (packing.rows, width) or x.stride(1) != 1:
        raise ValueError("the rows of packed sequences have changed")
    pointers += [x.data_ptr(), *(pointer_to(tensor, dtype, tensor.shape) for tensor in rows)]
    function = getattr(library(dtype), f"nnzoo_pool_{direction}")
    function(*map(ctypes.c_long, sizes), *map(ctypes.c_void_p, pointers))


def _packing_pointers(packing: Packing) -> list[int]:
    members, batch, steps, _ = packing.shape
    return [
        pointer_to(packing.lengths, torch.int64, (members, batch)),
        pointer_to(packing.offsets, torch.int64, (members, steps + 1)),
    ]


def _lengths(packing: Packing | None) -> dict[str, Tensor]:
    return {} if packing is None else {"lengths": packing.lengths, "offsets": packing.offsets}


def dense_rows(field: str, x: Tensor, plan: CallPlan) -> tuple[Tensor, dict[str, float]]:
    """x (time, [members,] batch, n) in its spec's type with the elements of a row side by side, and its strides."""
    x = x.to(plan.specs[field].dtype)
    if x.ndim != len(plan.specs[field].shape):
        raise ValueError(f"{field} has {x.ndim} dimensions here")
    if x.stride(-1) != 1 or (x.is_cpu and x.data_ptr() % x.element_size()):
        x = x.clone(memory_format=torch.contiguous_format)
    strides = x.stride()
    member = strides[1] if len(strides) == 4 else 0
    return x, {
        f"{field}_time": strides[0],
        f"{field}_member": member,
        f"{field}_batch": strides[-2],
    }


class BatchNorm(NamedTuple):
    """Batch norm after a convolution; its running statistics (out) are updated."""

    running_mean: Tensor
    running_var: Tensor
    momentum: float
    eps: float


class Epilogue(NamedTuple):
    """Layers after a convolution, in this order: batch norm, max pooling of 2x2 at stride 2, ReLU, and dropout, which
    needs ReLU: a uint8 mask like the output, ones where a value is kept, and the factor of kept values."""

    norm: BatchNorm | None = None
    max_pool: bool = False
    relu: bool = False
    dropout_mask: Tensor | None = None
    dropout_scale: float = 1.0


class Convolution(torch.autograd.Function):
    """A convolution for which `supports_conv` holds, and its epilogue.

    x (rows, in, height, width), weight (out, in, kernel height and width); channels: bias (out) or None, then gamma and
    beta (out) of batch norm or None. Returns `conv_shape(...)` of plan.py, channels last.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        epilogue: Epilogue,
        *channels: Tensor | None,
    ) -> Tensor:
        bias, gamma, beta = channels
        norm, dtype, ctx.x_dtype = epilogue.norm, weight.dtype, x.dtype
        if {gamma is None, beta is None} != {norm is None}:
            raise ValueError("batch norm has a weight and a bias")
        if epilogue.dropout_mask is not None and not epilogue.relu:
            raise ValueError("dropout in a convolution's epilogue needs ReLU")
        layers = norm is not None, epilogue.max_pool, epilogue.relu
        work = partitions(), torch.get_num_threads()
        options = tuple(stride), tuple(padding), *layers, ctx.needs_input_grad[0], *work
        autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        dtypes = dtype, autocast
        shapes = [c.shape for c in channels if c is not None]
        plan = conv_plan(options, dtypes, x.shape, weight.shape, *shapes)
        x = x.to(dtype)
        arguments: Arguments = {"x": x, "weight": weight, "bias": bias, "gamma": gamma}
        arguments["beta"] = beta
        arguments |= {"dropout_mask": epilogue.dropout_mask}
        scalars: Arguments = {"dropout_scale": epilogue.dropout_scale}
        outputs = ["y", "scratch", *(["argmax"] if epilogue.max_pool else [])]
        if norm is not None:
            arguments |= {"running_mean": norm.running_mean, "running_var": norm.running_var}
            scalars |= {"epsilon": norm.eps, "momentum": norm.momentum}
            outputs += ["stats", "z"]
        results = call(plan.forward, plan, outputs, arguments | scalars)
        if norm is not None:
            increment_version((norm.running_mean, norm.running_var))
        kept = dict(zip(outputs, results, strict=True))
        y = kept["y"]
        ctx.plan, ctx.scalars, ctx.has_bias = plan, scalars, bias is not None
        ctx.save_for_backward(
            x, weight, gamma, *map(kept.get, ("stats", "z", "argmax")), y if epilogue.relu else None
        )
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> Any:
        plan: CallPlan = ctx.plan
        # Read once: hooks may return other tensors each time.
        names = ("x", "weight", "gamma", "stats", "z", "argmax", "y")
        arguments = ctx.scalars | dict(zip(names, ctx.saved_tensors, strict=True))
        arguments["dy"] = grad.to(plan.specs["dy"].dtype)
        outputs = ["dweight", "scratch", *["dbias"] * ctx.has_bias]
        outputs += ["dgamma", "dbeta"] * bool(plan.fields["batch_norm"])
        outputs += ["dx"] * ctx.needs_input_grad[0]
        results = call(plan.backward, plan, outputs, arguments)
        grads = dict(zip(outputs, results, strict=True))
        dx = grads["dx"].to(ctx.x_dtype) if "dx" in grads else None
        channels = map(grads.get, ("dbias", "dgamma", "dbeta"))
        return dx, grads["dweight"], None, None, None, *channels
