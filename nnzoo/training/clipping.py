"""Gradient clipping by value and by norm (`optim.clip`)."""

from __future__ import annotations

import torch
from torch import Tensor

from nnzoo.config.optim_options import ClipOptions


def clip_by_value(gradients: list[Tensor], limit: float) -> None:
    """Clamp all elements in place to [-limit, limit]."""
    if gradients:
        torch._foreach_clamp_max_(gradients, limit)
        torch._foreach_clamp_min_(gradients, -limit)


def global_norms(gradients: list[Tensor], members: int) -> list[float]:
    """Return the norm of each member's gradients together; those of several are (members, *shape)."""
    if members == 1:
        return [torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).item()]
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    return list(torch.linalg.vector_norm(torch.stack(norms), dim=0).tolist())


def clip_divisor(norm: float, clip: ClipOptions | None) -> float | None:
    """Return the divisor that clips gradients of this norm to `clip.norm`; None if they are not clipped."""
    if clip is None or clip.norm is None or norm <= clip.norm:
        return None
    return (norm + 1e-6) / clip.norm


def clip_divisors(norms: Tensor, clip: ClipOptions) -> Tensor | None:
    """Return `clip_divisor` of norms on the device, 1 where they are not clipped; None if none ever is."""
    if clip.norm is None:
        return None
    return torch.where(norms > clip.norm, (norms + 1e-6) / clip.norm, 1.0)


def divide_members(gradients: list[Tensor], divisors: Tensor) -> None:
    """Divide gradients (members, *shape) in place by each member's divisor (members,)."""
    for gradient in gradients:
        gradient.div_(divisors.view(-1, *[1] * (gradient.ndim - 1)))
