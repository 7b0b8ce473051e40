"""The layers of a network as a table: type, output shape, parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def layers(network: nn.Module, model: nn.Module, batch: Tensor) -> list[dict[str, Any]]:
    """What each layer of `model` gives when `network` answers `batch`; shapes without the batch."""
    rows: list[dict[str, Any]] = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            shown = output[0] if isinstance(output, tuple) else output
            rows.append(
                {
                    "name": name,
                    "type": type(layer).__name__,
                    "shape": list(shown.shape[1:]),
                    "parameters": sum(p.numel() for p in layer.parameters()),
                }
            )

        return hook

    leaves = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    handles = [layer.register_forward_hook(note(name)) for name, layer in leaves]
    was_training = network.training
    try:
        network.eval()
        network(batch)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return rows
