"""Optimizers with their parameter groups; gradients are clipped by clipping.py."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nnzoo.config.train_options import (
    AdamOptions,
    OptimOptions,
    RmspropOptions,
    SgdOptions,
)
from nnzoo.kernels.step import AdamStep, ParameterTable, supports_adam
from nnzoo.training.clipping import clip_by_value, clip_divisor, divide_members, global_norms


class Optimizer:
    """SGD, Adam, AdamW or RMSprop over the weights of a model, by native kernels or torch's fused ones.

    These are called directly: torch.optim loads torch._dynamo first (1 s), and its overhead exceeds the
    update itself for small networks. Results and `state_dict` are torch.optim's. There is no weight
    decay on biases and norm parameters (1-D tensors).
    """

    def __init__(self, options: OptimOptions, model: nn.Module, native: bool = False) -> None:
        names = {name: p for name, p in model.named_parameters() if p.requires_grad}
        parameters = list(names.values())
        self.names = list(names)
        groups = [
            ([p for p in parameters if p.ndim > 1], options.weight_decay),
            ([p for p in parameters if p.ndim <= 1], 0.0),
        ]
        self.options = options
        self.parameters: list[Tensor] = list(parameters)
        self.groups = [
            _Group(chosen, decay, _moments(options)) for chosen, decay in groups if chosen
        ]
        self.members = 1
        self.counts = [_StepCount()]
        self.native = native and supports_adam(parameters)
        self._table: ParameterTable | None = None
        # Addresses that native kernels or the stacks of several members rely on, by parameter.
        self._fixed: dict[int, int] = {}
        self.without_gradient: set[str] = set()
        """The parameters that had no gradient in a step: it left them as they were, as torch.optim does."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_table": None}  # it holds addresses

    def gradients(self) -> list[Tensor | None]:
        """Return the gradient of each parameter, None if it has none; sparse ones become dense."""
        gradients = [p.grad for p in self.parameters]
        for i, gradient in enumerate(gradients):
            if gradient is not None and gradient.layout is not torch.strided:
                gradients[i] = self.parameters[i].grad = gradient.to_dense()
        return gradients

    def grad_norms(self) -> list[float]:
        """Return the norm of each member's gradients together, as they are in `.grad`."""
        per_parameter = self.gradients()
        gradients = [gradient for gradient in per_parameter if gradient is not None]
        if not gradients:
            return [0.0] * self.members
        if self.native:
            return self.table.grad_norms(per_parameter)
        return global_norms(gradients, self.members)

    def clip_by_value(self) -> None:
        """Clamp the gradients in place to `clip.value` if it is set; `step` clips by norm."""
        clip = self.options.clip
        if clip is not None and clip.value is not None:
            clip_by_value([grad for grad in self.gradients() if grad is not None], clip.value)

    def step(self, lr: float, norms: Sequence[float]) -> None:
        """Take a step on the gradients in `.grad`, clipped to `clip.norm`.

        norms: of each member, from `grad_norms` (before clipping by value).
        """
        divisors = [clip_divisor(norm, self.options.clip) for norm in norms]
        for count in self.counts:
            count.steps += 1
        per_parameter = self.gradients()
        gradients = [gradient for gradient in per_parameter if gradient is not None]
        if len(gradients) < len(per_parameter):
            self._note_missing(per_parameter)
        if not gradients:
            return
        if self.native and isinstance(self.options, AdamOptions):
            groups = self._group_and_index() if self.without_gradient else []
            missed = [group.missed[i] for group, i in groups]
            betas, eps, decoupled = (
                self.options.betas,
                self.options.eps,
                self.options.name != "adam",
            )
            step = AdamStep(lr, betas, eps, decoupled, self.counts[0].steps)
            self.table.adam_step(
                per_parameter, step, [divisor or 1.0 for divisor in divisors], missed
            )
            return
        common_divisor = None
        if any(divisors):
            member_divisors = gradients[0].new_tensor([divisor or 1.0 for divisor in divisors])
            if self.members > 1:
                divide_members(gradients, member_divisors)
            else:
                common_divisor = member_divisors.squeeze(0)
        with torch.no_grad():
            update = _Update(lr, common_divisor, self.counts[0].steps)
            for whole_group in self.groups:
                group, gradients = whole_group.with_gradients()
                if gradients:
                    _UPDATES[self.options.name](self.options, group, gradients, update)

    def _note_missing(self, gradients: Sequence[Tensor | None]) -> None:
        """Count a step without a gradient for each parameter that has none."""
        for (group, i), name, gradient in zip(
            self._group_and_index(), self.names, gradients, strict=True
        ):
            if gradient is None:
                group.missed[i] += 1
                self.without_gradient.add(name)

    def _group_and_index(self) -> list[tuple[_Group, int]]:
        """Return the group of each parameter, in their order, and the parameter's index in it."""
        indices = {id(p): (g, i) for g in self.groups for i, p in enumerate(g.parameters)}
        return [indices[id(p)] for p in self.parameters]

    @property
    def table(self) -> ParameterTable:
        """The addresses for native steps; rebuilt after a member's weights have moved into a stack."""
        if self._table is None:
            names = _moments(self.options) if isinstance(self.options, AdamOptions) else []
            kept = {
                id(p): (group.weights[i], group.decay, *(group.moments[name][i] for name in names))
                for group in self.groups
                for i, p in enumerate(group.parameters)
            }
            weights, decays, *averages = zip(*(kept[id(p)] for p in self.parameters), strict=True)
            self._table = ParameterTable(weights, decays, self.members, *averages)
            self._fixed |= {id(p): p.data_ptr() for p in self.parameters}
        return self._table

    def detached_parameters(self, model: nn.Module) -> list[str]:
        """Return the names of the model's parameters that a step does not change: they have been replaced
        by other tensors since the optimizer was made, or were moved in memory."""
        held = {id(p): self._fixed.get(id(p), p.data_ptr()) for p in self.parameters}
        return [
            name
            for name, p in model.named_parameters()
            if p.requires_grad and held.get(id(p)) != p.data_ptr()
        ]

    @property
    def in_lockstep(self) -> bool:
        """Whether all members have taken the same number of steps (skipped ones do not count)."""
        return len({count.steps for count in self.counts}) == 1

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @classmethod
    def stacked(cls, optimizers: Sequence[Optimizer], stacks: Sequence[Tensor]) -> Optimizer:
        """Return one optimizer for several members; their moments become slices of its moments.

        stacks: (members, *shape) of each parameter, in the order of the model's. Its step is a step of each
        member with the same learning rate; all must have taken the same number.
        """
        joined = copy.copy(optimizers[0])
        joined.groups, joined.members, joined._table = [], len(optimizers), None
        joined.parameters = list(stacks)
        joined.counts = [optimizer.counts[0] for optimizer in optimizers]
        order = {id(p): i for i, p in enumerate(optimizers[0].parameters)}
        for groups in zip(*(optimizer.groups for optimizer in optimizers), strict=True):
            group = copy.copy(groups[0])
            group.parameters = [stacks[order[id(p)]] for p in group.parameters]
            group.moments = {
                name: [
                    torch.stack(parts)
                    for parts in zip(*(g.moments[name] for g in groups), strict=True)
                ]
                for name in group.moments
            }
            for i, member in enumerate(groups):
                member.moments = {
                    name: [m[i] for m in stack] for name, stack in group.moments.items()
                }
            joined.groups.append(group)
        joined._fixed = {}
        for optimizer in optimizers:
            optimizer._table = None
            optimizer._fixed = {id(p): p.data_ptr() for p in optimizer.parameters}
        return joined

    def state_dict(self, lr: float) -> dict[str, Any]:
        """Return the state in the layout of torch.optim, which can load it; lr: of the next step."""
        state: dict[int, dict[str, Tensor]] = {}
        groups = []
        for group in self.groups:
            first = len(state)
            for i in range(len(group.parameters)):
                state[first + i] = {name: moment[i] for name, moment in group.moments.items()}
                if self.options.name != "sgd":
                    steps = self.counts[0].steps - group.missed[i]
                    state[first + i]["step"] = torch.tensor(float(steps))
            options = self.options.model_dump(exclude={"name", "schedule", "clip"})
            groups.append(
                options
                | {"lr": lr, "weight_decay": group.decay, "params": list(range(first, len(state)))}
            )
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the moments; the options stay those of this run's configuration."""
        steps = [int(saved["step"]) for saved in state["state"].values() if "step" in saved]
        self.counts[0].steps = max(steps, default=self.counts[0].steps)
        moments = iter(state["state"].values())
        for group in self.groups:
            for i in range(len(group.parameters)):
                saved = next(moments)
                for name, moment in group.moments.items():
                    moment[i].copy_(saved[name])
                if "step" in saved:
                    group.missed[i] = self.counts[0].steps - int(saved["step"])
        self.without_gradient = {
            name
            for (group, i), name in zip(self._group_and_index(), self.names, strict=True)
            if group.missed[i]
        }


class _Group:
    """Parameters with one weight decay, and the moments of each."""

    def __init__(self, parameters: Sequence[Tensor], decay: float, moments: list[str]) -> None:
        # The parameters themselves: a tensor detached from one would stay behind in the old memory where
        # torch moves it (flatten_parameters on CUDA), and be stepped on in its place.
        self.parameters: list[Tensor] = list(parameters)
        self.decay = decay
        self.moments = {name: [torch.zeros_like(w) for w in self.weights] for name in moments}
        self.missed = [0] * len(parameters)
        """The number of steps in which each had no gradient."""

    def with_gradients(self) -> tuple[_Group, list[Tensor]]:
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

    @property
    def weights(self) -> list[Tensor]:
        """The parameters' memory as it is now, without their gradients' history."""
        return [p.detach() for p in self.parameters]


@dataclass
class _StepCount:
    """The number of steps that a member has taken."""

    steps: int = 0


class _Update(NamedTuple):
    """A step: its learning rate, the divisor of all gradients if they are clipped, and its number (from 1)."""

    lr: float
    divisor: Tensor | None
    steps: int


def _moments(options: OptimOptions) -> list[str]:
    if isinstance(options, AdamOptions):
        return ["exp_avg", "exp_avg_sq"]
    squares = ["square_avg"] if isinstance(options, RmspropOptions) else []
    return squares + (["momentum_buffer"] if getattr(options, "momentum", 0) else [])


def _sgd(options: SgdOptions, group: _Group, gradients: list[Tensor], update: _Update) -> None:
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
    )


def _adam(options: AdamOptions, group: _Group, gradients: list[Tensor], update: _Update) -> None:
    kernel = torch._fused_adam_ if options.name == "adam" else torch._fused_adamw_
    counts = {update.steps - missed for missed in group.missed}
    tensors = {n: torch.full((), float(n), device=gradients[0].device) for n in counts}
    steps = [tensors[update.steps - missed] for missed in group.missed]
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
    )


def _rmsprop(
    options: RmspropOptions, group: _Group, gradients: list[Tensor], update: _Update
) -> None:
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
        torch._foreach_add_(group.parameters, buffers, alpha=-update.lr)
    else:
        torch._foreach_addcdiv_(group.parameters, gradients, roots, value=-update.lr)


_UPDATES: dict[str, Callable[..., None]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adam,
    "rmsprop": _rmsprop,
}
