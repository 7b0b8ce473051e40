"""Frozen parameters (`model.freeze`): training leaves them as they are, and with them the statistics of batch norms."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nnzoo.errors import ConfigError
from nnzoo.models.layers import FrozenNorm
from nnzoo.text import list_some

KEY = "model.freeze"
# Names that a message lists.
MAX_LISTED = 20


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude the parameters whose names match one of the patterns (fnmatch) from training.

    Raises ConfigError for a pattern that matches none, and if nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    listed = list_some(list(parameters), MAX_LISTED, counted=True)
    for i, pattern in enumerate(patterns):
        matched = [name for name in parameters if fnmatchcase(name, pattern)]
        if not matched:
            raise ConfigError.at(
                f"{KEY}[{i}]",
                f"'{pattern}' matches no parameter; those of this network: {listed}",
                code="E20",
            )
        for name in matched:
            parameters[name].requires_grad_(False)
    if patterns and not any(p.requires_grad for p in parameters.values()):
        raise ConfigError.at(
            KEY, f"all parameters are frozen, so there is nothing to train: {listed}", code="E20"
        )
    for module in model.modules():
        parts = list(module.parameters(recurse=False))
        if isinstance(module, _BatchNorm) and parts and not any(p.requires_grad for p in parts):
            first: Any = type(module)
            module.__class__ = type(first.__name__, (FrozenNorm, first), {})
            module.eval()
