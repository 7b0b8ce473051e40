"""Embeddings whose gradient has a row per different token of the batch, by embedding.c."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.kernels.build import library
from nnzoo.kernels.call import (
    CPU,
    Spec,
    dense,
    differentiable_once,
    is_dense_cpu_tensor,
    pointer_to,
    supports,
)

LARGEST_VOCABULARY = 2**31 - 1
"""Ids are int32."""


def supports_embedding(ids: Tensor, weight: Tensor) -> bool:
    """Whether the functions below take ids (int32) of rows of a weight (vocabulary, size)."""
    return (
        is_dense_cpu_tensor(ids)
        and ids.dtype is torch.int32
        and ids.numel() > 0
        and supports(weight, weight)
        and weight.ndim == 2
        and len(weight) <= LARGEST_VOCABULARY
    )


class EmbeddingRows(torch.autograd.Function):
    """The rows (tokens, size) of a weight (vocabulary, size) float32 or float64 for ids (tokens,) int32.

    The weight's gradient is sparse and coalesced."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.vocabulary = len(weight)
        return weight.index_select(0, ids)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> Any:
        (ids,) = ctx.saved_tensors
        return None, sum_by_id(ids, grad, ctx.vocabulary)


class EmbeddingMeans(torch.autograd.Function):
    """The mean of the rows of a weight (vocabulary, size) over each text's ids, (texts, size).

    ids (tokens,) int32 of all texts; lengths (texts,) int64, at least 1. The weight's gradient is sparse and coalesced."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, lengths: Tensor, weight: Tensor) -> Tensor:
        if int(lengths.min()) < 1 or int(lengths.sum()) != len(ids):
            raise ValueError(f"texts of these lengths do not have {len(ids)} tokens")
        offsets = lengths.cumsum(0) - lengths
        ctx.save_for_backward(ids, lengths)
        ctx.vocabulary = len(weight)
        return functional.embedding_bag(ids, weight, offsets.to(ids), mode="mean")

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, grad: Tensor) -> Any:
        ids, lengths = ctx.saved_tensors
        text = torch.repeat_interleave(lengths)
        return None, None, sum_by_id(ids, grad / lengths.unsqueeze(1), ctx.vocabulary, text)


def sum_by_id(ids: Tensor, rows: Tensor, vocabulary: int, source: Tensor | None = None) -> Tensor:
    """The sum of the rows of each id as a coalesced sparse tensor (vocabulary, width).

    ids (n,) int32; rows (n, width) float32 or float64, or with source (n,) int64 the one of each id. Raises IndexError for
    an id that is not within the vocabulary, or a source that is not a row."""
    n, width = len(ids), rows.shape[1]
    order, different, scratch = torch.empty(3, n, dtype=torch.int64, device=CPU)
    starts = torch.empty(n + 1, dtype=torch.int64, device=CPU)
    native = library(rows.dtype)
    pointers = [ids := dense(ids, Spec(torch.int32, (n,))), order, different, starts, scratch]
    count = native.nnzoo_sort_ids(
        ctypes.c_long(n),
        ctypes.c_long(vocabulary),
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in pointers),
    )
    if count < 0:
        raise IndexError(f"an id is not within the {vocabulary} of the vocabulary")
    if source is not None:
        order = source.index_select(0, order)
        if int(source.min()) < 0 or int(source.max()) >= len(rows):
            raise IndexError(f"a source is not one of {len(rows)} rows")
    rows = dense(rows, Spec(rows.dtype, (n if source is None else len(rows), width)))
    sums = torch.empty(count, width, dtype=rows.dtype, device=CPU)
    native.nnzoo_sum_rows(
        *map(ctypes.c_long, (torch.get_num_threads(), count, width)),
        ctypes.c_void_p(pointer_to(order, torch.int64, (n,))),
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (starts, rows, sums)),
    )
    indices = different[:count].unsqueeze(0)
    # The indices are as the invariants say: torch would look at each again.
    options: dict[str, Any] = {"check_invariants": False, "is_coalesced": True}
    return torch.sparse_coo_tensor(indices, sums, (vocabulary, width), **options)


def coalesce_rows(gradient: Tensor) -> Tensor:
    """A sparse gradient (vocabulary, width) with one row per index."""
    if gradient.is_coalesced():
        return gradient
    indices, values = gradient._indices()[0], gradient._values()
    if len(indices) < 2 or bool((indices[1:] > indices[:-1]).all()):
        return gradient._coalesced_(True)
    if not supports(values, values) or values.ndim != 2 or len(gradient) > LARGEST_VOCABULARY:
        return gradient.coalesce()
    return sum_by_id(indices.to(torch.int32), values, len(gradient))
