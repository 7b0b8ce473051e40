"""A recurrent layer whose input is tokens of a small vocabulary: instead of a product of each token's vector there is a
table of each token's part in the gates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from nnzoo.kernels.build import lanes_of
from nnzoo.kernels.call import (
    Arguments,
    Shape,
    Spec,
    call,
    differentiable_once,
    is_dense_cpu_tensor,
    make_plan,
    round_up,
    struct_fields,
    supports,
    uses_bf16,
)
from nnzoo.kernels.ops import LinearChain, dense_rows, first_states
from nnzoo.kernels.plan import CACHED, CELL_TYPES, GATES, CellType, RnnPlan, state_layout

TOKENS_PER_ROW = 4
"""Tokens of a batch per row of the table from which on a table is faster than the products."""


def supports_tokens(
    cell_type: CellType, ids: Tensor, vectors: Tensor, w_ih: Tensor, w_hh: Tensor, *biases: Tensor
) -> bool:
    """Whether a layer takes ids (batch, time) int32 of vectors (vocabulary, features), and a table pays."""
    return (
        is_dense_cpu_tensor(ids)
        and ids.dtype is torch.int32
        and ids.ndim == vectors.ndim == w_ih.ndim == w_hh.ndim == 2
        and 0 < TOKENS_PER_ROW * len(vectors) <= ids.numel()
        and supports(vectors, w_ih, w_hh, *biases)
        and w_ih.shape == (GATES[cell_type] * w_hh.shape[1], vectors.shape[1])
        and len(w_hh) == len(w_ih)
        and all(bias.shape == w_ih.shape[:1] for bias in biases)
    )


def gate_table(
    cell_type: CellType, vectors: Tensor, w_ih: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """The part of each token in the gates of rnn.h: (vocabulary, gates * hidden)."""
    if cell_type == "gru":
        (r, z, n), of_input, of_state = w_ih.chunk(3), b_ih.chunk(3), b_hh.chunk(3)
        weight = torch.cat([n, r, z, torch.zeros_like(n)])
        both = of_input[0] + of_state[0], of_input[1] + of_state[1]
        bias = torch.cat([of_input[2], *both, of_state[2]])
    else:
        weight, bias = w_ih, b_ih + b_hh
    with torch.autocast("cpu", enabled=False):
        # Not torch's product, whose bits depend on the number of threads.
        return cast(Tensor, LinearChain.apply(vectors, [None], weight, bias))


class Cell(NamedTuple):
    """The kind of a layer: the type of its cells, whether with ReLU instead of tanh, and the type of its products."""

    cell_type: CellType
    relu: bool
    product: torch.dtype


class TokenLayer(torch.autograd.Function):
    """`RecurrentLayer` of one member for tokens.

    ids (time, batch) int32; table (vocabulary, gates * hidden) of `gate_table`; w_hh as in torch; first: the state (and
    cell) unless it starts at zero, without gradients. Raises IndexError for an id that is not within the vocabulary."""

    @staticmethod
    def forward(
        ctx: Any, cell: Cell, ids: Tensor, table: Tensor, w_hh: Tensor, *first: Tensor
    ) -> tuple[Tensor, ...]:
        cell_type, relu, product = cell
        options = cell_type, relu, any(ctx.needs_input_grad), torch.get_num_threads()
        plan = _token_plan(options, (table.dtype, product), ids.shape, table.shape, w_hh.shape)
        arguments: Arguments = {**_ids(ids, plan), "table": table, "w_hh": w_hh}
        if first:
            arguments |= first_states(cell_type, first, None, any(ctx.needs_input_grad[4:]))
        z, workspace, *lasts = call(plan.call.forward, plan.call, plan.forward, arguments)
        ctx.plan, ctx.num_first = plan, len(first)
        ctx.save_for_backward(z, workspace, ids, w_hh)
        ctx.set_materialize_grads(False)
        return z.as_strided(*plan.states), *lasts

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor | None, *lasts: Tensor | None) -> Any:
        plan: RnnPlan = ctx.plan
        # Read once: hooks may return other tensors each time.
        z, workspace, ids, w_hh = ctx.saved_tensors
        arguments: Arguments = {"z": z, "workspace": workspace, "w_hh": w_hh, **_ids(ids, plan)}
        arguments["carried"] = bool(ctx.num_first)
        if grad is not None:
            arguments["dy"], strides = dense_rows("dy", grad, plan.call)
            arguments |= strides
        for name, last in zip(("dlast", "dcell"), lasts, strict=False):
            arguments[name] = None if last is None else last.to(plan.call.specs[name].dtype)
        grads, _, dtable = call(plan.call.backward, plan.call, plan.backward, arguments)
        return None, None, dtable, grads, *[None] * ctx.num_first


def _ids(ids: Tensor, plan: RnnPlan) -> Arguments:
    """The ids and their strides."""
    vocabulary = int(plan.call.fields["vocabulary"])
    if ids.shape != plan.call.specs["ids"].shape or ids.dtype is not torch.int32 or not ids.is_cpu:
        raise ValueError(f"{tuple(ids.shape)} {ids.dtype} are not the ids of this layer")
    if int(ids.min()) < 0 or int(ids.max()) >= vocabulary:
        raise IndexError(f"an id is not within the {vocabulary} of the vocabulary")
    if ids.data_ptr() % ids.element_size():
        ids = ids.clone()
    return {"ids": ids, "x_time": ids.stride(0), "x_batch": ids.stride(1)}


@lru_cache(CACHED)
def _token_plan(
    options: tuple[CellType, bool, bool, int],
    dtypes: tuple[torch.dtype, torch.dtype],
    ids: Shape,
    table: Shape,
    w_hh: Shape,
) -> RnnPlan:
    """Plan a TokenLayer. options: cell type, relu, whether backward may follow, threads; dtypes: of weights and products."""
    cell_type, relu, keep, threads = options
    dtype, product = dtypes
    bf16, lanes = uses_bf16(dtype, product), lanes_of(dtype)
    (steps, batch), hidden = ids, w_hh[-1]
    gates = 1 if cell_type == "rnn" else 4
    if min(*ids, *table, *w_hh) < 1 or table[1:] != (gates * hidden,):
        raise ValueError("a table that does not fit the recurrent weights")
    if w_hh != (GATES[cell_type] * hidden, hidden):
        raise ValueError(f"these are not the recurrent weights of one {cell_type} layer")
    layout, fields = struct_fields("rnn_args")
    fields = fields | {"cell_type": CELL_TYPES.index(cell_type), "bf16": bf16, "relu": relu}
    fields |= {"threads": threads, "members": 1, "steps": steps, "batch": batch, "keep": keep}
    fields |= {"hidden": hidden, "vocabulary": table[0], "dy_bf16": product is torch.bfloat16}
    z, states = state_layout((steps, batch, hidden), round_up(hidden, lanes), None)
    last = Spec(dtype, (batch, hidden))
    specs = dict.fromkeys(("h0", "c0", "last", "cell", "dlast", "dcell"), last)
    specs |= {"ids": Spec(torch.int32, ids, None), "z": Spec(product, z)}
    specs |= dict.fromkeys(("table", "dtable"), Spec(dtype, table))
    specs |= dict.fromkeys(("w_hh", "grads"), Spec(dtype, w_hh))
    specs["dy"] = Spec(product, states[0], None)
    plan = make_plan("rnn", dtype, (layout, fields), specs, ("table", "w_hh"))
    outputs = ("z", "workspace", "last", *(["cell"] if cell_type == "lstm" else []))
    return RnnPlan(plan, states, outputs, ("grads", "scratch", "dtable"))
