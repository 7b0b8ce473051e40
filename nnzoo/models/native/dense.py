"""Linear layers in a row as `dense.c` computes them."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nnzoo.models.native.library import library, padded, product_type


class _Layer(ctypes.Structure):
    """`struct layer`."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("ins", "outs", "in_padded", "out_padded")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "x", "y")),
        ("relu", ctypes.c_long),
        ("mask", ctypes.c_void_p),
        ("factor", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("dy", "d", "d_turned", "dweight", "dbias", "dx")),
    )


class Dense(torch.autograd.Function):
    """Linear layers in a row, each but the last alone or with relu, or relu and dropout, behind it.

    x (rows, in); follows: for each layer None, or (mask, factor) of the dropout behind its relu: uint8
    (rows, out) of ones where a value is kept, or None, and what the kept ones are multiplied by; then
    weight (out, in) and bias (out) of each, or those of several members, (members, out, in) and
    (members, out), whose rows follow each other. Gives (rows, out of the last) in the weights' type.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, follows: list[tuple[Tensor | None, float] | None], *parameters: Tensor
    ) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        real, dtype = weights[0].dtype, product_type(weights[0])
        lib = library(real)
        lanes, rows = lib.vector_length(), len(x)
        members = len(weights[0]) if weights[0].ndim == 3 else 1
        last = weights[-1].shape[-2]
        widths = [padded(w.shape[-1], lanes) for w in weights] + [padded(last, lanes)]
        inputs = [_padded_rows(x, widths[0], dtype)]
        inputs += [torch.empty(rows, width, dtype=dtype) for width in widths[1:-1]]
        outputs = [torch.empty(rows, width, dtype=real) for width in widths[1:]]
        threads = torch.get_num_threads()
        packed = torch.empty(threads, lib.panel_size(), dtype=real)
        masks = [None if f is None or f[0] is None else _padded_rows(f[0], width, torch.uint8)
                 for f, width in zip(follows, widths[1:], strict=True)]  # fmt: skip
        layers = (_Layer * len(weights))()
        for i, layer in enumerate(layers):
            layer.outs, layer.ins = weights[i].shape[-2:]
            layer.in_padded, layer.out_padded = widths[i : i + 2]
            follow, mask = follows[i], masks[i]
            layer.relu, layer.factor = follow is not None, 1.0 if follow is None else follow[1]
            layer.mask = None if mask is None else mask.data_ptr()
            for name, tensor in (("weight", weights[i]), ("bias", biases[i]), ("x", inputs[i]),
                                 ("y", outputs[i])):  # fmt: skip
                setattr(layer, name, tensor.data_ptr())
        ctx.shape = ctypes.c_long(members), ctypes.c_long(rows // members)
        ctx.layers, ctx.widths, ctx.x_type = layers, widths, x.dtype
        lib.dense_forward(
            dtype == torch.bfloat16, threads, *ctx.shape, layers, ctypes.c_long(len(layers)),
            ctypes.c_void_p(packed.data_ptr()),
        )  # fmt: skip
        ctx.save_for_backward(packed, *inputs, *parameters)
        return outputs[-1][:, :last].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        layers, widths = ctx.layers, ctx.widths
        packed, *saved = ctx.saved_tensors
        inputs, weights = saved[: len(layers)], saved[len(layers) :: 2]
        real, dtype, rows = weights[0].dtype, inputs[0].dtype, len(grad)
        lib = library(real)
        lanes = lib.vector_length()
        low = dtype == torch.bfloat16
        stack = weights[0].shape[:-2]
        batch = ctx.shape[1].value
        units = padded((batch + 1) // 2 if low else batch, lanes)
        last = _padded_rows(grad, widths[-1], real)
        if last.data_ptr() == grad.data_ptr():
            last = last.clone()  # the layers write into it
        gradients = [torch.empty(rows, width, dtype=real) for width in widths[:-1]] + [last]
        if not ctx.needs_input_grad[0]:
            gradients[0] = None  # type: ignore[call-overload]
        kept: list[Tensor] = []
        found: list[Tensor] = []
        for i, layer in enumerate(layers):
            width = widths[i + 1]
            out, ins = weights[i].shape[-2:]
            dweight = torch.empty(*stack, out, widths[i], dtype=real)
            dbias = torch.empty(*stack, width, dtype=real)
            turned = torch.empty(*stack, width, units, dtype=real)
            d = torch.empty(rows if low else 0, width, dtype=dtype)
            kept += [turned, d]
            found += [dweight[..., :ins], dbias[..., :out]]
            for name, tensor in (("dweight", dweight), ("dbias", dbias), ("d_turned", turned),
                                 ("d", d), ("dy", gradients[i + 1]), ("dx", gradients[i])):  # fmt: skip
                setattr(layer, name, None if tensor is None else tensor.data_ptr())
        lib.dense_backward(
            low, len(packed), *ctx.shape, layers, ctypes.c_long(len(layers)),
            ctypes.c_void_p(packed.data_ptr()),
        )  # fmt: skip
        dx = gradients[0]
        if dx is not None:
            dx = dx[:, : weights[0].shape[-1]].to(ctx.x_type).contiguous()
        return dx, None, *found


def _padded_rows(x: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """x (rows, n) as a contiguous (rows, width) of this type, zeros behind."""
    if x.shape[1] == width:
        return x.detach().to(dtype).contiguous()
    wide = x.new_zeros(len(x), width, dtype=dtype)
    wide[:, : x.shape[1]].copy_(x)
    return wide
