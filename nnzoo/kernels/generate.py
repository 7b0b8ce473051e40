"""A language model's layers in C that read and sample tokens: generate.c."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nnzoo.kernels.build import lanes_of, library
from nnzoo.kernels.call import CPU, pointer_to, round_up, struct_fields
from nnzoo.kernels.plan import CellType, rnn_plan


class Sampling(NamedTuple):
    """How tokens are sampled.

    temperature: the logits are divided by it; 0: always the most likely token. top_k: how many of the most likely tokens
    may be sampled; 0: all. excluded: a token that is never sampled, or -1."""

    temperature: float = 1.0
    top_k: int = 0
    seed: int = 0
    excluded: int = -1


class Parts(NamedTuple):
    """A language model's layers: type, relu instead of tanh, w_ih, w_hh, b_ih and b_hh of each recurrent layer, then the
    vectors of tokens (vocabulary, size), and the output layer's weight (vocabulary, hidden) and bias (vocabulary,)."""

    cell_type: CellType
    relu: bool
    layers: Sequence[Sequence[Tensor]]
    embedding: Tensor
    head: Tensor
    bias: Tensor


class NativeWriter:
    """Reads and samples tokens one by one, on one thread; weights are packed once, in float32.

    Raises TypeError or ValueError for parts that do not fit together."""

    def __init__(self, parts: Parts) -> None:
        vocabulary, size = parts.embedding.shape
        hidden = parts.layers[0][1].shape[-1]
        self.vocabulary, self.native, self.position = vocabulary, library(), 0
        self.held: list[Tensor] = []
        """Memory whose addresses C gets."""
        self.layers = ctypes.create_string_buffer(
            b"".join(
                self._layer(parts, weights, hidden if i else size)
                for i, weights in enumerate(parts.layers)
            )
        )
        lanes = lanes_of(torch.float32)
        padded = round_up(vocabulary, lanes)
        if parts.head.shape != (vocabulary, hidden) or parts.bias.shape != (vocabulary,):
            raise ValueError("an output layer that does not fit the recurrent layers and tokens")
        rows = torch.zeros(padded, hidden)
        rows[:vocabulary] = parts.head.detach()
        bias = torch.zeros(padded)
        bias[:vocabulary] = parts.bias.detach()
        # The columns of a panel are its LANES outputs.
        panels = rows.view(-1, lanes, hidden).transpose(1, 2).contiguous()
        layout, fields = struct_fields("generate_args")
        self.layout = f"@{layout}"
        self.fields = fields | {
            "layers": len(parts.layers),
            "vocabulary": vocabulary,
            "size": size,
            "hidden": hidden,
            "embedding": self._hold(parts.embedding.detach().float()),
            "head": self._hold(panels),
            "bias": self._hold(bias),
            "logits": self._hold(torch.zeros(padded)),
            "weights": self._hold(torch.zeros(vocabulary, dtype=torch.float64)),
            "candidates": self._hold(torch.zeros(vocabulary, dtype=torch.int64)),
        }
        self.native.nnzoo_generate_start(ctypes.c_long(len(parts.layers)), self.layers)

    def _hold(self, x: Tensor) -> int:
        x = x.contiguous()
        self.held.append(x)
        return pointer_to(x, x.dtype, x.shape)

    def _layer(self, parts: Parts, weights: Sequence[Tensor], features: int) -> bytes:
        """The struct rnn_args of a layer."""
        weights = [weight.detach().float() for weight in weights]
        options, dtypes = (parts.cell_type, parts.relu, False, 1), (torch.float32,) * 3
        shapes = [tuple(weight.shape) for weight in weights]
        plan = rnn_plan(options, dtypes, None, (1, 1, features), *shapes).call
        if shapes[1][-1] != parts.layers[0][1].shape[-1]:
            raise ValueError("recurrent layers of different sizes")
        fields = plan.fields | {"carried": 1}
        for name, weight in zip(plan.parameters, weights, strict=True):
            fields[name] = self._hold(weight)
        for name in ("z", "workspace"):
            spec = plan.specs[name]
            fields[name] = self._hold(torch.zeros(spec.shape, dtype=spec.dtype, device=CPU))
        return plan.pack(*fields.values())

    def _pack(self, sampling: Sampling) -> Any:
        top_k = min(sampling.top_k or self.vocabulary, self.vocabulary)
        options = {
            "top_k": top_k,
            "excluded": sampling.excluded,
            "temperature": sampling.temperature,
            "seed": sampling.seed,
            "position": self.position,
        }
        return struct.pack(self.layout, *(self.fields | options).values())

    def read(self, ids: Sequence[int]) -> None:
        """Read tokens. Raises IndexError for one that is not within the vocabulary."""
        array = np.array(ids, dtype=np.int32)
        arguments = self._pack(Sampling()), self.layers, ctypes.c_long(len(array))
        if self.native.nnzoo_generate_read(*arguments, ctypes.c_void_p(array.ctypes.data)):
            raise IndexError(f"a token is not within the {self.vocabulary} of the vocabulary")

    def sample(self, count: int, sampling: Sampling) -> list[int]:
        """Sample and read so many tokens; fewer if the outputs are not finite."""
        array = np.empty(count, dtype=np.int32)
        arguments = self._pack(sampling), self.layers, ctypes.c_long(count)
        made = self.native.nnzoo_generate(*arguments, ctypes.c_void_p(array.ctypes.data))
        self.position += made
        return [int(id_) for id_ in array[:made]]
