"""Plan the calls of native kernels: everything that follows from types, shapes and options.

Per operation a predicate, `supports_...`, and a cached plan, which raises TypeError or ValueError for a case that the
predicate refuses. `dtype` is the type of the weights, `product` that of matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from nnzoo.kernels.build import lanes_of
from nnzoo.kernels.call import (
    CallPlan,
    Shape,
    Spec,
    contiguous_strides,
    make_plan,
    round_up,
    struct_fields,
    supports,
    uses_bf16,
)
from nnzoo.kernels.packing import PackedShape

SHAPE = attrgetter("shape")
"""C function for `x.shape`, for `map`: a comprehension takes a Python call."""
CACHED = 256
"""Plans, and answers of predicates, that are kept per operation."""


# Chains of linear layers.


def supports_linear(x: Tensor, parameters: Sequence[Tensor | None]) -> bool:
    """Whether `LinearChain` computes these layers, weight and bias of each, for x (rows, in)."""
    return supports(x, *parameters) and _linear_shapes_fit(x.shape, *map(SHAPE, parameters))


@lru_cache(CACHED)
def _linear_shapes_fit(x: Shape, *parameters: Shape) -> bool:
    """Whether each layer's input size is the output size of the one before it, and each output has a bias."""
    if len(x) != 2:
        return False
    features, stack = x[1], parameters[0][:-2]
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        if len(weight) < 2 or (weight[-1], weight[:-2], bias) != (features, stack, weight[:-1]):
            return False
        features = weight[-2]
        if not features:
            return False
    members = math.prod(stack)
    return len(stack) < 2 and min(members, *x) > 0 and x[0] % members == 0


@lru_cache(CACHED)
def linear_plan(
    dtypes: tuple[torch.dtype, torch.dtype | None, torch.dtype],
    threads: int,
    dropout_scales: tuple[float | None, ...],
    x: Shape,
    *parameters: Shape,
) -> CallPlan:
    """Plan a LinearChain. dtypes: of weights, autocast (or None) and x; dropout_scales: per layer None without ReLU, 1
    without dropout."""
    dtype, autocast, x_dtype = dtypes
    product = autocast if autocast and dtype is torch.float32 else dtype
    if not _linear_shapes_fit(x, *parameters):
        raise ValueError("each linear layer takes what the one before it returns")
    bf16, lanes = uses_bf16(dtype, product), lanes_of(dtype)
    if x_dtype not in (product, dtype):
        x_dtype = product
    stack, rows = parameters[0][:-2], x[0]
    members = math.prod(stack)
    layout, fields = struct_fields("linear_args")
    fields = fields | {"bf16": bf16, "threads": threads, "members": members}
    fields |= {"batch": rows // members, "layers": len(dropout_scales)}
    fields |= {"x_bf16": x_dtype is torch.bfloat16}
    fields |= {"x_packed": x_dtype is product and x[1] % lanes == 0}
    specs = {"x": Spec(x_dtype, x)}
    layer_layout, layer_fields = struct_fields("linear_layer_args")
    names, grads, offset = [], [], 0
    for i, scale in enumerate(dropout_scales):
        weight, bias = parameters[2 * i : 2 * i + 2]
        out, features = weight[-2:]
        sizes = layer_fields | {"in": features, "out": out, "relu": scale is not None}
        sizes |= {"dropout_scale": scale or 1.0}
        fields |= {f"{name}{i}": value for name, value in sizes.items()}
        names += [f"weight{i}", f"bias{i}"]
        out_padded, row = round_up(out, lanes), round_up(features, lanes)
        specs[f"weight{i}"], specs[f"bias{i}"] = Spec(dtype, weight), Spec(dtype, bias)
        specs[f"dropout_mask{i}"] = Spec(torch.uint8, (rows, out_padded))
        grads.append((weight, (*(out * row for _ in stack), row, 1), offset))
        offset += members * out * row
        grads.append((bias, (*(out_padded for _ in stack), 1), offset))
        offset += members * out_padded
    specs["y"] = specs["dy"] = Spec(dtype, (rows, parameters[-1][-1]))
    specs["grads"], specs["dx"] = Spec(dtype, (offset,)), Spec(dtype, (rows, round_up(x[1], lanes)))
    arguments = layout + layer_layout * len(dropout_scales), fields
    return make_plan("linear", dtype, arguments, specs, tuple(names), tuple(grads))


# Recurrent layers.

CellType = Literal["rnn", "lstm", "gru"]
CELL_TYPES: tuple[CellType, ...] = ("rnn", "lstm", "gru")
GATES: dict[CellType, int] = {"rnn": 1, "lstm": 4, "gru": 3}


def supports_rnn(cell_type: CellType, x: Tensor, *weights: Any) -> bool:
    """Whether `RecurrentLayer` computes a layer, w_ih, w_hh, b_ih and b_hh, for x (time, [members,] batch, features)."""
    return supports(x, *weights) and _rnn_shapes_fit(cell_type, x.shape, *map(SHAPE, weights))


def supports_packed_rnn(cell_type: CellType, x: Tensor, *weights: Any) -> bool:
    """Whether `RecurrentLayer` computes a layer for the rows x (rows, features) of a packing."""
    return supports(x, *weights) and _packed_shapes_fit(cell_type, x.shape, *map(SHAPE, weights))


@lru_cache(CACHED)
def _rnn_shapes_fit(cell_type: CellType, x: Shape, *weights: Shape) -> bool:
    stack = weights[1][:-2]
    fit = len(x) == len(stack) + 3 and x[1:-2] == stack and min(x) > 0
    return fit and _weights_fit(cell_type, x[-1], *weights)


def _packed_shapes_fit(cell_type: CellType, x: Shape, *weights: Shape) -> bool:
    return len(x) == 2 and min(x) > 0 and _weights_fit(cell_type, x[-1], *weights)


@lru_cache(CACHED)
def _weights_fit(
    cell_type: CellType, features: int, w_ih: Shape, w_hh: Shape, *biases: Shape
) -> bool:
    if len(w_hh) not in (2, 3):
        return False
    hidden = w_hh[-1]
    rows = (*w_hh[:-2], GATES[cell_type] * hidden)
    fit = w_hh[:-1] == rows and w_ih == (*rows, features) and hidden > 0
    return fit and biases == (rows, rows)


class RnnPlan(NamedTuple):
    call: CallPlan
    states: tuple[Shape, Shape, int]
    """Shape, strides and offset of the states in z."""
    forward: tuple[str, ...]
    backward: tuple[str, ...]
    """Outputs of the calls, without dx."""


def state_layout(
    shape: Shape, row: int, packed: PackedShape | None
) -> tuple[Shape, tuple[Shape, Shape, int]]:
    """The shape of z, whose rows have `row` elements, and shape, strides and offset of the states in it.

    shape: ([members,] steps, batch, hidden).
    """
    *stack, steps, batch, hidden = shape
    if packed is not None:
        first_states = packed.members * batch
        z: Shape = (first_states + packed.rows, row)
        return z, ((packed.rows, hidden), (row, 1), first_states * row)
    z = (*stack, steps + 1, batch, row)
    *of_member, step, _, _ = contiguous_strides(z)
    return z, ((steps, *stack, batch, hidden), (step, *of_member, row, 1), step)


@lru_cache(CACHED)
def rnn_plan(
    options: tuple[CellType, bool, bool, int],
    dtypes: tuple[torch.dtype, ...],
    packed: PackedShape | None,
    x: Shape,
    *weights: Shape,
) -> RnnPlan:
    """Plan a RecurrentLayer. options: cell type, relu, whether backward may follow, threads; dtypes: of weights, products
    and x; packed: of sequences of different lengths, whose x is (rows, features)."""
    cell_type, relu, keep, threads = options
    dtype, product, x_dtype = dtypes
    fits = _rnn_shapes_fit if packed is None else _packed_shapes_fit
    if not fits(cell_type, x, *weights):
        raise ValueError(f"these are not an input and the parameters of one {cell_type} layer")
    bf16, lanes = uses_bf16(dtype, product), lanes_of(dtype)
    if x_dtype not in (product, dtype):
        x_dtype = product
    stack, hidden, features = weights[1][:-2], weights[1][-1], x[-1]
    members = math.prod(stack)
    if packed is not None and (packed.members, packed.rows) != (members, x[0]):
        raise ValueError(f"a packing of {packed} does not belong to these rows and weights")
    steps, batch = (x[0], x[-2]) if packed is None else (packed.steps, packed.batch)
    layout, fields = struct_fields("rnn_args")
    fields = fields | {"cell_type": CELL_TYPES.index(cell_type), "bf16": bf16, "relu": relu}
    fields |= {"threads": threads, "members": members, "steps": steps, "batch": batch}
    fields |= {"features": features, "hidden": hidden, "keep": keep}
    fields |= {"x_bf16": x_dtype is torch.bfloat16, "dy_bf16": product is torch.bfloat16}
    row = round_up(hidden, lanes) + round_up(features + 1, lanes)
    last = Spec(dtype, (*stack, batch, hidden))
    names = ("w_ih", "w_hh", "b_ih", "b_hh")
    specs = {name: Spec(dtype, shape) for name, shape in zip(names, weights, strict=True)}
    z, states = state_layout((*stack, steps, batch, hidden), row, packed)
    if packed is not None:
        # Not null, so that C asks for the memory that lengths need.
        fields |= {"packed_rows": packed.rows, "lengths": 1, "offsets": 1}
        specs["lengths"] = Spec(torch.int64, (members, batch))
        specs["offsets"] = Spec(torch.int64, (members, steps + 1))
    offsets = [0, *accumulate(map(math.prod, weights))]
    specs |= {"x": Spec(x_dtype, x, None), "z": Spec(product, z), "dx": Spec(dtype, x)}
    specs |= {"dy": Spec(product, states[0], None), "grads": Spec(dtype, (offsets[-1],))}
    specs |= dict.fromkeys(("h0", "c0", "last", "cell", "dlast", "dcell"), last)
    grads = tuple(
        (w, contiguous_strides(w), offset) for w, offset in zip(weights, offsets, strict=False)
    )
    plan = make_plan("rnn", dtype, (layout, fields), specs, names, grads)
    outputs = ("z", "workspace", "last", *(["cell"] if cell_type == "lstm" else []))
    return RnnPlan(plan, states, outputs, ("grads", "scratch"))


def packed_rnn_plan(
    options: tuple[CellType, bool, bool, int],
    dtypes: tuple[torch.dtype, ...],
    packed: PackedShape,
    weights: tuple[Shape, ...],
) -> RnnPlan:
    """Plan a RecurrentLayer for sequences of different lengths.

    Almost every batch has another number of rows and steps, and a plan takes as long as a small layer: it is made for a
    number of rows rounded up, and adapted."""
    members, batch, steps, rows = packed
    granule = 1 << max(0, rows.bit_length() - 4)
    base, capacity = _packed_base_plan(
        options, dtypes, members, batch, -(-rows // granule) * granule, weights
    )
    plan = base.call
    x, z, dx, dy = (plan.specs[name] for name in ("x", "z", "dx", "dy"))
    states = (rows, dy.shape[1])
    specs = {
        **plan.specs,
        "x": Spec(x.dtype, (rows, x.shape[1]), None),
        "dx": Spec(dx.dtype, (rows, dx.shape[1])),
        "dy": Spec(dy.dtype, states, None),
        "z": Spec(z.dtype, (z.shape[0] - capacity + rows, z.shape[1])),
        "offsets": Spec(torch.int64, (members, steps + 1)),
    }
    fields = {**plan.fields, "steps": steps}
    call = CallPlan(
        plan.forward, plan.backward, plan.pack, fields, specs, plan.parameters, plan.grads
    )
    return RnnPlan(call, (states, *base.states[1:]), base.forward, base.backward)


@lru_cache(CACHED)
def _packed_base_plan(
    options: tuple[CellType, bool, bool, int],
    dtypes: tuple[torch.dtype, ...],
    members: int,
    batch: int,
    capacity: int,
    weights: tuple[Shape, ...],
) -> tuple[RnnPlan, int]:
    """A plan for one step of this number of rows, and the number."""
    shape = PackedShape(members, batch, 1, capacity)
    return rnn_plan(options, dtypes, shape, (capacity, weights[0][-1]), *weights), capacity


# Convolutions.

MAX_DIRECT_CHANNELS = 4
"""Input channels up to which a convolution is computed directly: those of images."""


class ConvOptions(NamedTuple):
    """A layer's options as torch.nn.Conv2d has them."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] | str = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    padding_mode: str = "zeros"


@lru_cache(CACHED)
def conv_shape(
    x: Shape, weight: Shape, stride: Shape, padding: Shape, max_pool: bool = False
) -> Shape:
    """Output shape (rows, out, height, width) of a convolution, halved by the pooling after it."""
    height, width = (
        (size + 2 * pad - kernel) // step + 1
        for size, pad, kernel, step in zip(x[2:], padding, weight[2:], stride, strict=True)
    )
    return (
        (x[0], weight[0], height // 2, width // 2) if max_pool else (x[0], weight[0], height, width)
    )


def supports_conv(x: Tensor, options: ConvOptions, *parameters: Tensor) -> bool:
    """Whether `Convolution` computes a layer for x (rows, in, height, width); parameters: its weight, then those per output
    channel.

    The gradient of x is not computed for images."""
    return supports(x, *parameters) and _conv_fits(
        parameters[0].dtype, x.requires_grad, options, x.shape, *map(SHAPE, parameters)
    )


@lru_cache(CACHED)
def _conv_fits(
    dtype: torch.dtype,
    needs_dx: bool,
    options: ConvOptions,
    x: Shape,
    weight: Shape,
    *channels: Shape,
) -> bool:
    """Whether these are an input and the parameters of one layer that there is C for: 3x3 kernels at stride 1, or any for
    images; whole vectors of output and, unless they are images, input channels."""
    stride, padding, dilation, groups, padding_mode = options
    if len(x) != 4 or len(weight) != 4 or x[1] != weight[1] or not min(x):
        return False
    if any(shape != weight[:1] for shape in channels) or min(*weight, *stride) < 1:
        return False
    if isinstance(padding, str) or min(padding) < 0 or padding_mode != "zeros":
        return False
    if dilation != (1, 1) or groups != 1 or min(conv_shape(x, weight, stride, padding)) < 1:
        return False
    lanes = lanes_of(dtype)
    if x[1] <= MAX_DIRECT_CHANNELS:
        return weight[0] % lanes == 0 and not needs_dx
    return (
        weight[0] % lanes == 0 and x[1] % lanes == 0 and weight[2:] == (3, 3) and stride == (1, 1)
    )


@lru_cache(CACHED)
def conv_plan(
    options: tuple[Any, ...],
    dtypes: tuple[torch.dtype, torch.dtype | None],
    x: Shape,
    weight: Shape,
    *channels: Shape,
) -> CallPlan:
    """Plan a Convolution. options: stride, padding, batch norm, pooling, ReLU, whether dx is needed, parts of the batch,
    threads; dtypes: of weights and autocast (or None)."""
    stride, padding, norm, max_pool, relu, needs_dx, parts, threads = options
    parts = min(parts, x[0])
    dtype, autocast = dtypes
    product = autocast if autocast and dtype is torch.float32 else dtype
    bf16 = uses_bf16(dtype, product)
    if not _conv_fits(dtype, needs_dx, ConvOptions(stride, padding), x, weight, *channels):
        raise ValueError(
            "there is no native code for an input and the parameters of such a convolution"
        )
    raw, y = (conv_shape(x, weight, stride, padding, pooled) for pooled in (False, max_pool))
    if not min(y):
        raise ValueError("the output is too small to be pooled")
    layout, fields = struct_fields("conv_args")
    sizes = (
        *(bf16, parts, min(threads, parts), x[0], x[1], weight[0], *x[2:], *padding, *raw[2:]),
        *(*weight[2:], *stride, norm, max_pool, relu),
    )
    fields = fields | dict(zip(fields, map(int, sizes), strict=False))
    per_channel = (weight[0],)
    channel_specs = Spec(dtype, per_channel), Spec(dtype, per_channel, is_output=True)
    specs = dict.fromkeys(("bias", "dbias", "gamma", "dgamma", "beta", "dbeta"), channel_specs[0])
    specs |= dict.fromkeys(("running_mean", "running_var"), channel_specs[1])
    specs |= dict.fromkeys(("x", "dx"), Spec(dtype, x, torch.channels_last))
    specs |= dict.fromkeys(("weight", "dweight"), Spec(dtype, weight))
    specs |= dict.fromkeys(("y", "dy"), Spec(dtype, y, torch.channels_last))
    specs |= dict.fromkeys(("dropout_mask", "argmax"), Spec(torch.uint8, y, torch.channels_last))
    specs |= {"z": Spec(dtype, raw, torch.channels_last), "stats": Spec(dtype, (2, *per_channel))}
    algorithm = "direct" if x[1] <= MAX_DIRECT_CHANNELS else "winograd"
    return make_plan(f"conv_{algorithm}", dtype, (layout, fields), specs)
