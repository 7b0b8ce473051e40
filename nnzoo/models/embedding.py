"""Vectors of token ids, with which every network of text begins."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.config.model_options import ModelOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.sequences import PaddedSequences
from nnzoo.kernels.embedding import EmbeddingMeans, EmbeddingRows, supports_embedding
from nnzoo.models.layers import Dropout
from nnzoo.models.packed import PackedRows, packed_dropout
from nnzoo.models.padded import PaddedMaps, run_padded

STD = 0.1
"""Standard deviation of the vectors before training."""


class Embedding(nn.Embedding):
    """The vector of each token; the gradient has the rows of a batch's tokens alone.

    Input: ids (batch, time, 1) int32, or sequences of different lengths of them; output: the same with vectors as
    features, zero behind the end of a sequence. Vectors in place of ids pass through.
    """

    use_native = True
    """Whether native kernels may be used; the network sets it by `train.kernels`."""

    def __init__(self, options: ModelOptions, input_spec: InputSpec) -> None:
        chosen = options.token_embedding
        super().__init__(input_spec.vocabulary, chosen.size, sparse=True)
        nn.init.normal_(self.weight, std=STD)
        self.drop = Dropout(chosen.dropout)

    def forward(self, x: Any) -> Any:
        if (x if isinstance(x, Tensor) else x.values).is_floating_point():
            return x
        if isinstance(x, PackedRows):
            values = self.look_up(x.values)
            if self.training and self.drop.p:
                values = packed_dropout(values, x, self.drop.p)
            return x.with_values(values)
        if isinstance(x, PaddedSequences):
            # Padding is not looked up: it would count as a use of the token whose id it has.
            batch, time, _ = x.values.shape
            places = x.mask.flatten().nonzero().squeeze(1)
            vectors = self.look_up(x.values.flatten(0, 1).index_select(0, places))
            values = vectors.new_zeros(batch * time, self.embedding_dim)
            values = values.index_copy(0, places, vectors).view(batch, time, -1)
            if not (self.training and self.drop.p):
                return x.with_values(values)
            # Dropped values must not depend on the time to which a batch is padded.
            dropped = run_padded(self.drop, PaddedMaps.of(x.with_values(values)))
            return x.with_values(dropped.values.transpose(1, 2))
        return self.drop(self.look_up(x))

    @property
    def is_plain(self) -> bool:
        """Whether its output is nothing but the tokens' vectors, which nobody else looks at."""
        hooks = self._forward_hooks or self._forward_pre_hooks or self._backward_hooks
        return not (hooks or (self.training and self.drop.p))

    def look_up(self, ids: Tensor) -> Tensor:
        """The vectors (..., size) of ids (..., 1)."""
        if self.use_native and self.sparse and supports_embedding(ids, self.weight):
            rows = cast(Tensor, EmbeddingRows.apply(ids.flatten(), self.weight))
            return rows.view(*ids.shape[:-1], self.embedding_dim)
        return functional.embedding(ids.squeeze(-1), self.weight, sparse=self.sparse)


class EmbeddingMean(Embedding):
    """The mean of the vectors of each text's tokens, (batch, size): a bag of words (Joulin et al. 2016, fastText).

    Vectors in place of ids are averaged as they are.
    """

    def forward(self, x: Any) -> Tensor:
        if (x if isinstance(x, Tensor) else x.values).is_floating_point():
            return self.drop(self.mean(x))
        if isinstance(x, PaddedSequences):
            ids, lengths = _concatenated(x), x.lengths
        else:
            ids, lengths = x.flatten(), torch.full((len(x),), x.shape[1])
        if self.use_native and self.sparse and supports_embedding(ids, self.weight):
            means = cast(Tensor, EmbeddingMeans.apply(ids.flatten(), lengths, self.weight))
            return self.drop(means)
        offsets = lengths.cumsum(0) - lengths
        mean = functional.embedding_bag(
            ids.flatten(), self.weight, offsets.to(ids), mode="mean", sparse=self.sparse
        )
        return self.drop(mean)

    def mean(self, vectors: Tensor | PaddedSequences) -> Tensor:
        """The mean over the tokens of each text, of vectors (batch, time, size)."""
        if isinstance(vectors, Tensor):
            return vectors.mean(1)
        real = vectors.values.masked_fill(~vectors.mask.unsqueeze(-1), 0)
        return real.sum(1) / vectors.lengths.to(real.device).unsqueeze(1)


def _concatenated(x: PaddedSequences) -> Tensor:
    """The steps of all sequences without padding, one sequence behind the other: (steps, features)."""
    rows, starts = x.rows_and_starts()
    before = x.lengths.cumsum(0) - x.lengths
    index = torch.repeat_interleave(starts - before, x.lengths)
    index += torch.arange(len(index))
    return rows.index_select(0, index.to(rows.device))
