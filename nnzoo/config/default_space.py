"""The search space of `nnzoo sweep` for a config without a section `sweep`."""

from __future__ import annotations

from typing import Any

from nnzoo.config.formatting import flow_yaml
from nnzoo.config.model_options import CnnOptions, MlpOptions, RecurrentOptions
from nnzoo.config.run_config import RunConfig


def default_space(config: RunConfig) -> dict[str, Any]:
    """Ranges around the config's learning rate, and usual sizes of its model."""
    lr = config.optim.lr
    space: dict[str, Any] = {
        "optim.lr": {"low": float(f"{lr / 10:.1g}"), "high": float(f"{lr * 10:.1g}"), "log": True},
        "optim.schedule": ["constant", "cosine", "one_cycle"],
        "train.batch_size": [16, 32, 64, 128],
    }
    model = config.model
    if isinstance(model, MlpOptions):
        space["model.hidden"] = [[32], [128], [128, 64], [512, 256]]
    elif isinstance(model, CnnOptions) and not any(
        # One value per layer: the number of layers stays, and with it their widths.
        isinstance(getattr(model, key), list)
        for key in ("kernel_size", "stride", "padding", "pool", "pool_size", "dropout")
    ):
        depth = len(model.channels)
        space["model.channels"] = [[width * 2**i for i in range(depth)] for width in (8, 16, 32)]
    elif isinstance(model, RecurrentOptions):
        space["model.hidden_size"] = [32, 64, 128, 256]
        space["model.num_layers"] = [1, 2]
    if isinstance(getattr(model, "dropout", None), int | float):
        space["model.dropout"] = {"low": 0.0, "high": 0.5, "step": 0.1}
    return space


def section_text(space: dict[str, Any]) -> str:
    """The section `sweep` as it can be pasted into a file."""
    return "\n".join(
        ["sweep:", "  space:", *(f"    {key}: {flow_yaml(space[key])}" for key in space)]
    )
