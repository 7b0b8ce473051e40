"""The training forward and backward of a model as a list of prepared native calls, decided once per shape.

A model is planned if native kernels compute all of it: linear layers with ReLU and dropout, recurrent layers in one
direction that are read at the last step. Its numbers are, bit for bit, those of the same kernels under autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nnzoo.kernels.call import Arguments, product_dtype
from nnzoo.kernels.ops import dense_rows
from nnzoo.kernels.plan import SHAPE, linear_plan, rnn_plan, supports_linear, supports_rnn
from nnzoo.kernels.prepared import PreparedCall, copy_rows, outputs_of, prepare
from nnzoo.models.fused import LinearGroup, group_layers
from nnzoo.models.layers import draws_fast, dropout_factor, fill_dropout_mask
from nnzoo.models.mlp import MLP
from nnzoo.models.recurrent_layers import PARAMETERS, NativeRNN
from nnzoo.models.rnn import Recurrent

Find = Callable[[nn.Module, str], Tensor | None]
"""A parameter of a module by its name, or the stack (members, ...) of several members; None: there is none."""


class NotPlannedError(Exception):
    """A part of the model has no native form for these tensors."""


class ModelPlan:
    """Calls that compute the outputs of a model, and all gradients of its parameters, for inputs of one shape.

    x: (members * rows, ...) float32, what the calls read; generators: of each member's dropout, None for torch's own.
    Raises NotPlannedError. Under autocast products are in its type.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        find: Find,
        members: int = 1,
        generators: Sequence[torch.Generator | None] = (None,),
    ) -> None:
        self.find, self.members, self.generators = find, members, generators
        self.threads = torch.get_num_threads()
        self.forward: list[PreparedCall] = []
        self.backward: list[PreparedCall] = []
        self.mask_drawers: list[Callable[[], object]] = []
        """Functions that draw the dropout masks, in the order of the layers."""
        self.gradients: list[tuple[Tensor, Tensor]] = []
        """Each parameter and its gradient."""
        self.output = x
        """(members * rows, outputs)"""
        self._layers: list[Any] = []
        if type(model) is MLP and model.use_native:
            self._add_rows(model)
        elif type(model) is Recurrent:
            self._add_recurrent(model)
        else:
            raise NotPlannedError

    def set_gradient(self, gradient: Tensor) -> None:
        """Prepare the backward calls, which start from the gradient of the output."""
        for layer in reversed(self._layers):
            gradient = layer.plan_backward(self, gradient, layer is not self._layers[0])

    def _add_rows(self, layers: Iterable[nn.Module]) -> None:
        for group in group_layers(list(layers)):
            if isinstance(group, LinearGroup):
                self._layers.append(_LinearLayers(self, group.linears, group.dropouts))
            elif type(group) is nn.Flatten and not self._layers:
                self.output = group(self.output)
            else:
                raise NotPlannedError

    def _add_recurrent(self, model: Recurrent) -> None:
        rnn, x = model.rnn, self.output
        is_plain = model.embedding is None and not model.per_step and model.readout == "last"
        if not is_plain or rnn.bidirectional or not rnn.batch_first or model.dropout.p:
            raise NotPlannedError
        if (model.is_image and x.shape[1] != 1) or not isinstance(rnn, NativeRNN) or rnn.dropout:
            raise NotPlannedError
        if not (rnn.use_native and rnn.bias and model.head.use_native):
            raise NotPlannedError
        x = model.sequence(x)
        if self.members > 1:
            x = x.unflatten(0, (self.members, -1))
        x = x.movedim(-2, 0)
        for i in range(rnn.num_layers):
            layer = _RecurrentLayer(self, rnn, i, x)
            self._layers.append(layer)
            x = layer.states
        self.output = layer.last.flatten(0, -2)
        self._layers.append(_LinearLayers(self, [model.head], [None]))

    def parameters_of(self, module: nn.Module, names: Sequence[str]) -> list[Tensor]:
        parameters = [self.find(module, name) for name in names]
        if not all(p is not None and p.requires_grad and p.is_leaf for p in parameters):
            raise NotPlannedError
        return [p for p in parameters if p is not None]

    def add_gradient(self, parameter: Tensor, view: Tensor) -> None:
        """Take the gradient of a parameter, a view of what C writes, whose rows may be padded."""
        if not view.is_contiguous():
            gradient = torch.empty_like(parameter)
            row = view.stride(-2)
            rows = view.as_strided((view.numel() // view.shape[-1], view.shape[-1]), (row, 1))
            self.backward.append(copy_rows(rows, view.shape[-1], gradient.view(rows.shape)))
            view = gradient
        self.gradients.append((parameter, view))


class _LinearLayers:
    """Linear layers in a row with ReLU and dropout, as `LinearChain` computes them."""

    def __init__(
        self, model: ModelPlan, linears: Sequence[nn.Module], dropouts: Sequence[float | None]
    ) -> None:
        x, names = model.output, ("weight", "bias")
        self.parameters = [p for layer in linears for p in model.parameters_of(layer, names)]
        if dropouts[-1] is not None or not supports_linear(x, self.parameters):
            raise NotPlannedError
        autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        factors = tuple(dropout_factor(d) if d else None if d is None else 1.0 for d in dropouts)
        shapes = map(SHAPE, self.parameters)
        dtypes = torch.float32, autocast, x.dtype
        self.plan = plan = linear_plan(dtypes, model.threads, factors, x.shape, *shapes)
        results = outputs_of(plan, ("y", "workspace"))
        self.arguments: Arguments = {"x": x, "workspace": results["workspace"]}
        self.arguments |= zip(plan.parameters, self.parameters, strict=True)
        masks: Arguments = {}
        for i, dropout in enumerate(dropouts):
            if dropout:
                width = self.parameters[2 * i].shape[-2]
                mask = torch.zeros(plan.specs[f"dropout_mask{i}"].shape, dtype=torch.uint8)
                masks[f"dropout_mask{i}"] = mask
                model.mask_drawers.append(_mask_drawer(model, x, mask, width, dropout))
        arguments = self.arguments | masks | {"y": results["y"]}
        model.forward.append(prepare(plan.forward, plan, arguments))
        model.output = results["y"]

    def plan_backward(self, model: ModelPlan, dy: Tensor, needs_dx: bool) -> Tensor:
        plan, names = self.plan, ("grads", "scratch", *["dx"] * needs_dx)
        results = outputs_of(plan, names)
        arguments = self.arguments | {"dy": dy} | results
        model.backward.append(prepare(plan.backward, plan, arguments))
        for parameter, layout in zip(self.parameters, plan.grads, strict=True):
            model.add_gradient(parameter, results["grads"].as_strided(*layout))
        if not needs_dx:
            return dy
        dx, width = results["dx"], plan.specs["x"].shape[1]
        if dx.shape[1] != width:
            padded, dx = dx, torch.empty(len(dx), width)
            model.backward.append(copy_rows(padded, width, dx))
        return dx


def _mask_drawer(
    model: ModelPlan, x: Tensor, mask: Tensor, width: int, dropout: float
) -> Callable[[], object]:
    """A function that draws a mask (rows, padded width) as the layers do under autograd."""
    members, generators = model.members, model.generators
    if members > 1 and not draws_fast(x):
        raise NotPlannedError
    if mask.shape[1] == width:
        flat = mask.view(members, -1)
        return lambda: fill_dropout_mask(flat, dropout, generators)
    drawn = torch.empty(len(mask), width, dtype=torch.uint8)
    flat, part = drawn.view(members, -1), mask[:, :width]

    def draw() -> None:
        fill_dropout_mask(flat, dropout, generators)
        part.copy_(drawn)

    return draw


class _RecurrentLayer:
    """A layer of a recurrent module, as `RecurrentLayer` computes it from a zero state.

    x: (time, [members,] batch, features)."""

    def __init__(self, model: ModelPlan, rnn: Any, index: int, x: Tensor) -> None:
        names = [f"{name}_l{index}" for name in PARAMETERS]
        self.parameters = model.parameters_of(rnn, names)
        if not supports_rnn(rnn.cell_type, x, *self.parameters):
            raise NotPlannedError
        product = product_dtype(torch.float32)
        if index and product is not torch.float32:  # gradients between layers would be rounded
            raise NotPlannedError
        dtypes, shapes = (torch.float32, product, x.dtype), map(SHAPE, self.parameters)
        options = rnn.cell_type, rnn.relu, True, model.threads
        plan = rnn_plan(options, dtypes, None, x.shape, *shapes)
        self.plan, self.is_lower = plan.call, index + 1 < rnn.num_layers
        x, strides = dense_rows("x", x, self.plan)
        results = outputs_of(self.plan, plan.forward)
        weights: Arguments = dict(zip(self.plan.parameters, self.parameters, strict=True))
        arguments = {"x": x, **strides, **weights, **results}
        model.forward.append(prepare(self.plan.forward, self.plan, arguments))
        self.arguments = weights | {name: results[name] for name in ("z", "workspace")}
        self.states, self.last = results["z"].as_strided(*plan.states), results["last"]

    def plan_backward(self, model: ModelPlan, gradient: Tensor, needs_dx: bool) -> Tensor:
        """gradient: of all states, or in the top layer of the last one."""
        plan, names = self.plan, ("grads", "scratch", *["dx"] * needs_dx)
        results = outputs_of(plan, names)
        arguments = self.arguments | results
        if self.is_lower:
            dy, strides = dense_rows("dy", gradient, plan)
            arguments |= {"dy": dy, **strides}
        else:
            arguments["dlast"] = gradient.view(plan.specs["dlast"].shape)
        model.backward.append(prepare(plan.backward, plan, arguments))
        for parameter, layout in zip(self.parameters, plan.grads, strict=True):
            model.add_gradient(parameter, results["grads"].as_strided(*layout))
        return results.get("dx", gradient)
