"""Optimizers with their parameter groups; gradients are clipped by clipping.py."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.config.optim_options import AdamOptions, OptimOptions
from nnzoo.kernels.adam import AdamRows, AdamStep, ParameterTable, grad_norm, supports_adam
from nnzoo.training.clipping import clip_by_value, clip_divisor, divide_members, global_norms
from nnzoo.training.updates import UPDATES, ParameterGroup, Update, moment_names


class Optimizer:
    """SGD, Adam, AdamW or RMSprop over the weights of a model, by native kernels or torch's fused ones.

    These are called directly: torch.optim loads torch._dynamo first (1 s), and its overhead exceeds the
    update itself for small networks. Results and `state_dict` are torch.optim's. There is no weight
    decay on biases and norm parameters (1-D tensors).

    A step changes those rows of an embedding that have a gradient, with their moments and decay, and leaves all others
    as they are (torch.optim.SparseAdam): the number of steps, by which Adam corrects its averages, counts them all.
    """

    def __init__(self, options: OptimOptions, model: nn.Module, native: bool = False) -> None:
        names = {name: p for name, p in model.named_parameters() if p.requires_grad}
        embeddings = {
            id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding) and m.sparse
        }
        parameters = [p for p in names.values() if id(p) not in embeddings]
        self.names = [name for name, p in names.items() if id(p) not in embeddings]
        factors = lr_factors(options, model)
        kept: dict[tuple[float, bool], list[Tensor]] = {}
        for has_decay in (True, False):
            for p in parameters:
                if (p.ndim > 1) == has_decay:
                    kept.setdefault((factors.get(id(p), 1.0), has_decay), []).append(p)
        self.options = options
        self.parameters: list[Tensor] = list(names.values())
        self.dense: list[Tensor] = list(parameters)
        """All parameters but embeddings."""
        self.groups = [
            ParameterGroup(
                chosen, options.weight_decay if has_decay else 0.0, moment_names(options), factor
            )
            for (factor, has_decay), chosen in kept.items()
        ]
        self.embeddings = [
            ParameterGroup(
                [p], options.weight_decay, moment_names(options), factors.get(id(p), 1.0)
            )
            for p in names.values()
            if id(p) in embeddings
        ]
        self.members = 1
        self.counts = [_StepCount()]
        self.native = native and supports_adam(parameters)
        self._table: ParameterTable | None = None
        self._planned: Sequence[Tensor] | None = None
        self.clips_values = options.clip is not None and options.clip.value is not None
        # Addresses that native kernels or the stacks of several members rely on, by parameter.
        self._fixed: dict[int, int] = {}
        self.without_gradient: set[str] = set()
        """The parameters that had no gradient in a step: it left them as they were, as torch.optim does."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_table": None, "_planned": None}  # which hold addresses

    def take_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Set `.grad` of each parameter but embeddings to tensors that a plan writes, always the same ones, until
        `zero_grad`; of several sequences the one that is taken last counts."""
        for parameter, gradient in zip(self.dense, gradients, strict=True):
            parameter.grad = gradient
        self._planned = gradients
        if self.native and self.table.bound is not gradients:
            self.table.bind(gradients)
            self.table.bound = gradients

    def gradients(self) -> Sequence[Tensor | None]:
        """Return the gradient of each parameter but embeddings, None if it has none; sparse ones become dense."""
        planned = self._planned
        if planned is not None and self.dense[0].grad is planned[0]:
            return planned
        gradients = [p.grad for p in self.dense]
        for i, gradient in enumerate(gradients):
            if gradient is not None and gradient.layout is not torch.strided:
                gradients[i] = self.dense[i].grad = gradient.to_dense()
        return gradients

    def row_gradients(self) -> list[Tensor]:
        """Return the gradients (rows, size) of the rows of embeddings that have one, summed per row."""
        rows = []
        for group in self.embeddings:
            (p,) = group.parameters
            if p.grad is not None:
                p.grad = _as_rows(p.grad)
                rows.append(p.grad.values())
        return rows

    def grad_norms(self) -> list[float]:
        """Return the norm of each member's gradients together, as they are in `.grad`."""
        norms = self._dense_norms()
        rows = self.row_gradients() if self.embeddings else []
        if not rows:
            return norms
        native = self.native and supports_adam(rows)
        of_rows = [grad_norm(values) if native else float(values.norm()) for values in rows]
        return [math.hypot(*norms, *of_rows)]

    def _dense_norms(self) -> list[float]:
        per_parameter = self.gradients()
        gradients = [gradient for gradient in per_parameter if gradient is not None]
        if not gradients:
            return [0.0] * self.members
        if self.native:
            return (self._table or self.table).grad_norms(per_parameter)
        return global_norms(gradients, self.members)

    def clip_by_value(self) -> None:
        """Clamp the gradients in place to `clip.value` if `clips_values`; `step` clips by norm."""
        clip = self.options.clip
        if clip is not None and clip.value is not None:
            dense = [grad for grad in self.gradients() if grad is not None]
            clip_by_value([*dense, *self.row_gradients()], clip.value)

    def step(self, lr: float, norms: Sequence[float]) -> None:
        """Take a step on the gradients in `.grad`, clipped to `clip.norm`.

        norms: of each member, from `grad_norms` (before clipping by value).
        """
        divisors = [clip_divisor(norm, self.options.clip) for norm in norms]
        for count in self.counts:
            count.steps += 1
        if self.embeddings:
            self._step_embeddings(lr, divisors[0])
        per_parameter = self.gradients()
        gradients = [gradient for gradient in per_parameter if gradient is not None]
        if len(gradients) < len(per_parameter):
            self.note_missing([i for i, grad in enumerate(per_parameter) if grad is None])
        if not gradients:
            return
        if self.native and isinstance(self.options, AdamOptions):
            groups = self._group_and_index() if self.without_gradient else []
            missed = [group.missed[i] for group, i in groups]
            (self._table or self.table).adam_step(
                per_parameter,
                self._adam_options(lr),
                [divisor or 1.0 for divisor in divisors],
                missed,
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
            update = Update(lr, common_divisor, self.counts[0].steps)
            for whole_group in self.groups:
                group, gradients = whole_group.with_gradients()
                if gradients:
                    UPDATES[self.options.name](self.options, group, gradients, update.scaled(group))

    def _adam_options(self, lr: float) -> AdamStep:
        options = self.options
        assert isinstance(options, AdamOptions)
        decoupled = options.name != "adam"
        return AdamStep(lr, options.betas, options.eps, decoupled, self.counts[0].steps)

    @torch.no_grad()
    def _step_embeddings(self, lr: float, divisor: float | None) -> None:
        """Take a step on the rows of embeddings that have a gradient."""
        self.row_gradients()
        for group in self.embeddings:
            (p,) = group.parameters
            if p.grad is None:
                continue
            rows, gradient = p.grad.indices()[0], p.grad.values()
            if self.native and isinstance(self.options, AdamOptions):
                mean, square = (group.moments[name][0] for name in moment_names(self.options))
                native = AdamRows(group.weights[0], mean, square, group.decay, group.lr_factor)
                if native.is_supported and supports_adam([gradient]):
                    native.step(rows, gradient, self._adam_options(lr), divisor or 1.0)
                    continue
            common = None if divisor is None else gradient.new_tensor(divisor)
            part = group.rows(rows)
            update = Update(lr, common, self.counts[0].steps)
            UPDATES[self.options.name](self.options, part, [gradient], update.scaled(part))
            group.set_rows(rows, part)

    def used_rows(self) -> list[Tensor]:
        """Return for each embedding which of its rows have a gradient, as ones among zeros."""
        masks = []
        for group in self.embeddings:
            (p,) = group.parameters
            masks.append(p.new_zeros(len(p)))
            if p.grad is not None:
                masks[-1][_as_rows(p.grad).indices()[0]] = 1
        return masks

    def keep_rows(self, masks: Sequence[Tensor]) -> None:
        """Reduce the dense gradients of embeddings to the rows whose mask is not zero."""
        for group, mask in zip(self.embeddings, masks, strict=True):
            (p,) = group.parameters
            assert p.grad is not None
            rows = mask.nonzero().T
            p.grad = torch.sparse_coo_tensor(
                rows, p.grad[rows[0]], p.shape, is_coalesced=True, check_invariants=False
            )

    def note_missing(self, missing: Sequence[int], steps: int = 1) -> None:
        """Count steps without a gradient for the parameters, by their place, that had none."""
        if not (missing and steps):
            return
        places = self._group_and_index()
        for place in missing:
            group, i = places[place]
            group.missed[i] += steps
            self.without_gradient.add(self.names[place])

    def _group_and_index(self) -> list[tuple[ParameterGroup, int]]:
        """Return the group of each parameter, in their order, and the parameter's index in it."""
        indices = {id(p): (g, i) for g in self.groups for i, p in enumerate(g.parameters)}
        return [indices[id(p)] for p in self.dense]

    @property
    def table(self) -> ParameterTable:
        """The addresses for native steps; rebuilt after a member's weights have moved into a stack."""
        if self._table is None:
            names = moment_names(self.options) if isinstance(self.options, AdamOptions) else []
            kept = {
                id(p): (group.weights[i], group.decay, *(group.moments[name][i] for name in names))
                for group in self.groups
                for i, p in enumerate(group.parameters)
            }
            weights, decays, *averages = zip(*(kept[id(p)] for p in self.dense), strict=True)
            self._table = ParameterTable(weights, decays, self.members, *averages)
            if self.options.lr_factors is not None:
                self._table.set_lr_factors(
                    [group.lr_factor for group, _ in self._group_and_index()]
                )
            self._fixed |= {id(p): p.data_ptr() for p in self.dense}
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
        self._planned = None
        for parameter in self.parameters:
            parameter.grad = None

    @classmethod
    def stacked(cls, optimizers: Sequence[Optimizer], stacks: Sequence[Tensor]) -> Optimizer:
        """Return one optimizer for several members; their moments become slices of its moments.

        stacks: (members, *shape) of each parameter, in the order of the model's. Its step is a step of each
        member with the same learning rate; all must have taken the same number.
        """
        joined = copy.copy(optimizers[0])
        joined.groups, joined.members = [], len(optimizers)
        joined._table = joined._planned = None
        joined.parameters = joined.dense = list(stacks)
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
        for group in (*self.groups, *self.embeddings):
            first = len(state)
            for i in range(len(group.parameters)):
                state[first + i] = {name: moment[i] for name, moment in group.moments.items()}
                if self.options.name != "sgd":
                    steps = self.counts[0].steps - group.missed[i]
                    state[first + i]["step"] = torch.tensor(float(steps))
            options = self.options.model_dump(exclude={"name", "schedule", "clip", "lr_factors"})
            groups.append(
                options
                | {"lr": lr * group.lr_factor, "weight_decay": group.decay}
                | {"params": list(range(first, len(state)))}
            )
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the moments; the options stay those of this run's configuration."""
        steps = [int(saved["step"]) for saved in state["state"].values() if "step" in saved]
        self.counts[0].steps = max(steps, default=self.counts[0].steps)
        moments = iter(state["state"].values())
        for group in (*self.groups, *self.embeddings):
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


def lr_factors(options: OptimOptions, model: nn.Module) -> dict[int, float]:
    """Return the factor of the learning rate of each parameter that `optim.lr_factors` names, by id."""
    if options.lr_factors is None:
        return {}
    factors: dict[int, float] = {}
    for module in model.modules():
        kind = getattr(module, "lr_kind", "")
        if isinstance(module, nn.Embedding):
            kind = "embedding"
        elif isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm):
            kind = "norm"
        for name, p in module.named_parameters(recurse=False):
            chosen = kind or ("bias" if name.startswith("bias") else "")
            if chosen:
                factors[id(p)] = getattr(options.lr_factors, chosen)
    return factors


def _as_rows(gradient: Tensor) -> Tensor:
    """A sparse gradient with one row per index; of a dense one, which a second use of the weights makes, all rows."""
    if not gradient.is_sparse:
        return gradient.to_sparse(1)
    from nnzoo.kernels.embedding import coalesce_rows

    return coalesce_rows(gradient)


@dataclass
class _StepCount:
    """The number of steps that a member has taken."""

    steps: int = 0
