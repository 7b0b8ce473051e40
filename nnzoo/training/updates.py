"""Parameters of one weight decay and learning rate with their moments, and the update of each optimizer on them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nnzoo.config.optim_options import AdamOptions, OptimOptions, RmspropOptions, SgdOptions


class ParameterGroup:
    """Parameters with one weight decay and one factor of the learning rate, and the moments of each."""

    def __init__(
        self,
        parameters: Sequence[Tensor],
        decay: float,
        moments: list[str],
        lr_factor: float = 1.0,
    ) -> None:
        # The parameters themselves: a tensor detached from one would stay behind in the old memory where
        # torch moves it (flatten_parameters on CUDA), and be stepped on in its place.
        self.parameters: list[Tensor] = list(parameters)
        self.decay = decay
        self.lr_factor = lr_factor
        self.moments = {name: [torch.zeros_like(w) for w in self.weights] for name in moments}
        self.missed = [0] * len(parameters)
        """The number of steps in which each had no gradient."""

    def with_gradients(self) -> tuple[ParameterGroup, list[Tensor]]:
        """Return the group of those parameters that have a gradient, and the gradients."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if len(gradients) == len(self.parameters):
            return self, gradients
        chosen = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        part = copy.copy(self)
        part.parameters = [self.parameters[i] for i in chosen]
        part.missed = [self.missed[i] for i in chosen]
        part.moments = {name: [m[i] for i in chosen] for name, m in self.moments.items()}
        return part, gradients

    def rows(self, rows: Tensor) -> ParameterGroup:
        """Return a group of copies of some rows of the one parameter and its moments."""
        part = copy.copy(self)
        part.parameters = [weight[rows] for weight in self.weights]
        part.moments = {name: [m[0][rows]] for name, m in self.moments.items()}
        return part

    def set_rows(self, rows: Tensor, part: ParameterGroup) -> None:
        """Take over the rows that `rows` has copied."""
        self.weights[0].index_copy_(0, rows, part.parameters[0])
        for name, moment in self.moments.items():
            moment[0].index_copy_(0, rows, part.moments[name][0])

    @property
    def weights(self) -> list[Tensor]:
        """The parameters' memory as it is now, without their gradients' history."""
        return [p.detach() for p in self.parameters]


class Update(NamedTuple):
    """A step: its learning rate, the divisor of all gradients if they are clipped, and its number (from 1).

    On a GPU all are tensors () there, and `taken` () bool is false for a step that changes nothing.
    """

    lr: float | Tensor
    divisor: Tensor | None
    steps: int | Tensor
    taken: Tensor | None = None

    @property
    def found_inf(self) -> Tensor | None:
        """Value that torch's fused kernels read: 1 for a step that changes nothing."""
        return None if self.taken is None else (~self.taken).float()

    def scaled(self, group: ParameterGroup) -> Update:
        """The step of a group, with its factor of the learning rate."""
        return self._replace(lr=self.lr * group.lr_factor)


def moment_names(options: OptimOptions) -> list[str]:
    if isinstance(options, AdamOptions):
        return ["exp_avg", "exp_avg_sq"]
    squares = ["square_avg"] if isinstance(options, RmspropOptions) else []
    return squares + (["momentum_buffer"] if getattr(options, "momentum", 0) else [])


def _sgd(
    options: SgdOptions, group: ParameterGroup, gradients: list[Tensor], update: Update
) -> None:
    torch._fused_sgd_(
        group.parameters,
        gradients,
        group.moments.get("momentum_buffer", []),
        weight_decay=group.decay,
        momentum=options.momentum,
        lr=update.lr,
        dampening=0.0,
        nesterov=options.nesterov,
        maximize=False,
        is_first_step=False,
        grad_scale=update.divisor,
        found_inf=update.found_inf,
    )


def _adam(
    options: AdamOptions, group: ParameterGroup, gradients: list[Tensor], update: Update
) -> None:
    kernel = torch._fused_adam_ if options.name == "adam" else torch._fused_adamw_
    counts = {missed: update.steps - missed for missed in group.missed}
    tensors = {
        missed: n if isinstance(n, Tensor) else torch.full((), float(n), device=gradients[0].device)
        for missed, n in counts.items()
    }
    steps = [tensors[missed] for missed in group.missed]
    kernel(
        group.parameters,
        gradients,
        group.moments["exp_avg"],
        group.moments["exp_avg_sq"],
        [],
        steps,
        lr=update.lr,
        beta1=options.betas[0],
        beta2=options.betas[1],
        weight_decay=group.decay,
        eps=options.eps,
        amsgrad=False,
        maximize=False,
        grad_scale=update.divisor,
        found_inf=update.found_inf,
    )


def _rmsprop(
    options: RmspropOptions, group: ParameterGroup, gradients: list[Tensor], update: Update
) -> None:
    changed = [group.parameters, *group.moments.values()]
    before = None if update.taken is None else [[t.clone() for t in part] for part in changed]
    if update.divisor is not None:
        torch._foreach_div_(gradients, update.divisor)
    if group.decay:
        gradients = list(torch._foreach_add(gradients, group.parameters, alpha=group.decay))
    squares = group.moments["square_avg"]
    torch._foreach_mul_(squares, options.alpha)
    torch._foreach_addcmul_(squares, gradients, gradients, value=1 - options.alpha)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, options.eps)
    if options.momentum:
        buffers = group.moments["momentum_buffer"]
        torch._foreach_mul_(buffers, options.momentum)
        torch._foreach_addcdiv_(buffers, gradients, roots)
        _subtract(group.parameters, buffers, update.lr)
    elif isinstance(update.lr, Tensor):
        _subtract(group.parameters, list(torch._foreach_div(gradients, roots)), update.lr)
    else:
        torch._foreach_addcdiv_(group.parameters, gradients, roots, value=-update.lr)
    if before is not None and update.taken is not None:
        for part, copies in zip(changed, before, strict=True):
            for tensor, old in zip(part, copies, strict=True):
                tensor.copy_(torch.where(update.taken, tensor, old))


def _subtract(tensors: list[Tensor], directions: list[Tensor], lr: float | Tensor) -> None:
    """Subtract `lr` times the directions in place."""
    if isinstance(lr, Tensor):
        torch._foreach_sub_(tensors, torch._foreach_mul(directions, lr))
    else:
        torch._foreach_add_(tensors, directions, alpha=-lr)


UPDATES: dict[str, Callable[..., None]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adam,
    "rmsprop": _rmsprop,
}
