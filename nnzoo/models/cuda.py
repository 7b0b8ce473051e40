"""Layers as CUDA needs them, so that a network trains there as it does on the CPU.

cuDNN's recurrent layers are float16 under autocast, whatever type it asks for, and float16 without a scaled
loss loses small gradients and overflows with large ones. Dropout draws in other orders than the CPU's, and
between cuDNN's layers from a state of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nnzoo.models.rnn import ReluLSTM
from nnzoo.models.sync_layers import BatchDropout, Changed, become, split_layers


def adapt_layers(model: nn.Module) -> None:
    """Let recurrent layers stay float32 under autocast, and dropout draw alike for one process and for a
    shard of the batch. The model lies on its CUDA device; parameters and names stay as they are."""
    for module in model.modules():
        if isinstance(module, nn.Dropout) and module.p:
            become(module, BatchDropout)
        elif isinstance(module, nn.RNNBase):
            split_layers(module)
            if uses_cudnn(module):
                become(module, Float32)


def uses_cudnn(module: nn.Module) -> bool:
    """Whether cuDNN computes a module's recurrent layers on CUDA."""
    return isinstance(module, nn.RNNBase) and not isinstance(module, ReluLSTM)


def flatten_layers(model: nn.Module) -> None:
    """Put the weights of recurrent layers into one piece of memory each, as cuDNN wants them: those of a
    copied model are not. They move: to be called before there is an optimizer."""
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()


class Float32(Changed):
    """Recurrent layers in float32, also where autocast asks for less."""

    def forward(self: Any, x: Any, *state: Any) -> Any:
        if not torch.is_autocast_enabled("cuda"):
            return super().forward(x, *state)  # type: ignore[misc]
        with torch.autocast("cuda", enabled=False):
            return super().forward(x.float(), *state)  # type: ignore[misc]
