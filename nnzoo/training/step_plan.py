"""A training step as a plan: which native calls it makes, with which buffers, is decided once per model and shape.

From the rows of a batch to the norm of its gradients, a planned step is one call of C and draws dropout masks before
it. It makes the same calls in the same order as a step under autograd, so that no bit differs; whatever cannot be
planned is a step under autograd.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nnzoo.data.dataset import TensorSplit
from nnzoo.data.preprocess import Scale
from nnzoo.evaluation.tasks.classification import Classification
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.evaluation.tasks.task import Task
from nnzoo.kernels.call import is_eager
from nnzoo.kernels.openmp import fit_threads
from nnzoo.kernels.prepared import CallSequence, Gather, PreparedCall
from nnzoo.kernels.step import LossMemory, NativeLoss, supports_loss, supports_normalize
from nnzoo.models.fused import FusedSequential, has_hooks
from nnzoo.models.network import Network
from nnzoo.models.planned import ModelPlan, NotPlannedError
from nnzoo.models.rnn import Recurrent

if TYPE_CHECKING:
    from nnzoo.training.train_step import TrainerStack


class StepResult(NamedTuple):
    """The summed loss, the number of correct predictions, the denominator of the loss and the norm of the gradients of
    each member."""

    losses: list[float]
    num_correct: list[int]
    denominators: list[Tensor | float]
    norms: list[float]


class StepPlans:
    """The plans of a stack of trainers by the number of rows; made when a step first has that number."""

    def __init__(self, stack: TrainerStack) -> None:
        self.stack = stack
        self._plans: dict[int, StepPlan | None] = {}
        self.key: object = None
        """Everything that they depend on; None if nothing is planned."""
        self._seen: object = None
        self._unplanned: object = None
        """A key that has no plan."""

    def start_epoch(self) -> None:
        """Look whether anything that plans depend on has changed."""
        if self.stack.network.device.type == "cpu":
            fit_threads()
        self._seen = self._now()
        key = self._describe()
        if key == self._unplanned:
            key = None
        if key != self.key:
            self.key, self._plans = key, {}

    def compute(self, rows: Tensor) -> StepResult | None:
        """Compute the gradients of a step's rows (members, n) into `.grad`; None if it is not planned. Call it while there
        is a key."""
        if self._now() != self._seen:
            self.start_epoch()
        count = rows.shape[1]
        if count not in self._plans:
            self._plans[count] = self._plan(rows)
        plan = self._plans[count]
        return None if plan is None else plan.run(rows)

    def _now(self) -> tuple[int, int, bool]:
        """Values that change when hooks are registered, the number of threads is set, or the loss is replaced."""
        is_replaced = "compute_loss" in self.stack.task.__dict__
        return RemovableHandle.next_id, torch.get_num_threads(), is_replaced

    def _describe(self) -> object:
        """Everything of the network that plans depend on, as it is now; None if nothing is planned."""
        stack = self.stack
        network, task, split = stack.network, stack.task, stack.split
        first = stack.trainers[0]
        is_plain = (
            network.device.type == "cpu"
            and network.native
            and network.compiled is stack.stacked
            and type(network) is Network
            and not network.num_anchor_features
            and not stack.processes.is_distributed
            and stack.targets_per_row == stack.copies == 1
            and first.carried is None
            and split.weights is None
            and type(task) in (Classification, Regression)
            and task.use_native
            and getattr(task, "class_weights", None) is None
            and is_eager()
            and not torch.is_anomaly_enabled()
        )
        modules = list(network.modules())
        if not is_plain or any(has_hooks(m) or "forward" in m.__dict__ for m in modules):
            return None
        if "compute_loss" in task.__dict__ or _planned_functions(type(task)) != _FUNCTIONS:
            return None
        parameters = list(network.model.parameters())
        if any(p._backward_hooks or not p.requires_grad for p in parameters):
            return None
        if any(p._post_accumulate_grad_hooks for p in parameters):
            return None
        state = [(id(p), p.data_ptr()) for p in parameters]
        return (
            network.precision,
            torch.get_num_threads(),
            list(map(_describe_module, modules)),
            state,
        )

    def _plan(self, rows: Tensor) -> StepPlan | None:
        if self.key is None or rows.shape[1] > self.stack.options.batch_size + 1:
            return None
        try:
            return StepPlan(self.stack, rows)
        except NotPlannedError:
            self._unplanned, self.key = self.key, None
            return None


def _planned_functions(task: type[Task]) -> tuple[object, ...]:
    """The functions whose work a plan does, as they are now: someone may have put others in their place."""
    of_models = (Network.forward, Network._run_model, FusedSequential.forward, Recurrent.forward)
    return (task.compute_loss, *of_models)


_FUNCTIONS = _planned_functions(Task)


def _describe_module(module: nn.Module) -> tuple[object, ...]:
    """The properties that its plan depends on."""
    return id(module), type(module), getattr(module, "p", None), getattr(module, "use_native", None)


class StepPlan:
    """A step on `rows` (members, n) of a stack of trainers. Raises NotPlannedError."""

    def __init__(self, stack: TrainerStack, rows: Tensor) -> None:
        self.stack = stack
        self.members, self.batch = rows.shape
        network, optimizer = stack.network, stack.optimizer
        x, y = stack.split.batch(rows.flatten()[:1])
        if not isinstance(x, Tensor) or rows.dtype is not torch.int64:
            raise NotPlannedError
        self.gather = self._plan_gather(network)
        if self.gather is not None:
            self.x, self.y = self.gather.x, self.gather.targets
        else:
            shape = network.preprocess.output_spec.shape
            self.x = torch.empty(rows.numel(), *shape)
            dtype = y.dtype if stack.task.is_classification else torch.float32
            self.y = torch.empty((rows.numel(), *y.shape[1:]), dtype=dtype)
        is_bf16 = network.precision == "bf16"
        with torch.autocast("cpu", torch.bfloat16) if is_bf16 else nullcontext():
            self.model = self._plan_model()
        output, loss = self.model.output, cast(NativeLoss, stack.task.native_loss)
        if loss is None or not supports_loss(output, self.y, loss):
            raise NotPlannedError
        self.denominators: list[Tensor | float] = [float(self.batch)] * self.members
        self.loss = LossMemory(output, self.y, loss, cast(list[float], self.denominators))
        with torch.autocast("cpu", torch.bfloat16) if is_bf16 else nullcontext():
            self.model.set_gradient(self.loss.grad)
        by_parameter = {id(p): gradient for p, gradient in self.model.gradients}
        if by_parameter.keys() != {id(p) for p in optimizer.parameters} or optimizer.embeddings:
            raise NotPlannedError
        self.gradients = [by_parameter[id(p)] for p in optimizer.dense]
        packed = ctypes.create_string_buffer(self.loss.packed)
        loss_call = PreparedCall(self.loss.function, ctypes.addressof(packed), packed)
        calls = [self.gather.call] if self.gather is not None else []
        calls += [*self.model.forward, loss_call, *self.model.backward]
        self.table = optimizer.table if optimizer.native else None
        if self.table is not None:
            norms, args = self.table.native.nnzoo_grad_norms, self.table.args
            calls.append(PreparedCall(norms, ctypes.addressof(args), self.table))
        self.calls = CallSequence(calls)

    def run(self, rows: Tensor) -> StepResult | None:
        """Take the rows, draw dropout masks, and make the calls."""
        stack, table = self.stack, self.table
        if table is not None and stack.optimizer.table is not table:
            raise RuntimeError("the optimizer's weights have moved within an epoch")
        stack.optimizer.take_gradients(self.gradients)
        numbers = rows.flatten()
        if self.gather is not None:
            self.gather.choose(numbers)
        else:
            self._fill(numbers)
        for draw in self.model.mask_drawers:
            draw()
        self.calls.run()
        if self.gather is not None:
            self.gather.check()
        losses, num_correct = self.loss.results()
        norms = stack.optimizer.grad_norms() if table is None else table.norms[:]
        return StepResult(losses, num_correct, self.denominators, norms)

    def _fill(self, numbers: Tensor) -> None:
        """Prepare the inputs and targets of rows by torch."""
        x, y = self.stack.split.batch(numbers)
        network = self.stack.network
        x = cast(Tensor, self.stack.augmented(x, 0, None))
        is_image = network.preprocess.input_spec.kind == "image"
        self.x.copy_(network.preprocess(x) if is_image else x)
        self.y.copy_(y)

    def _plan_gather(self, network: Network) -> Gather | None:
        """The native way to the inputs, if they are images to be scaled, or rows as they are."""
        split: Any = self.stack.split
        steps = list(network.preprocess)
        if type(split) is not TensorSplit or split.rows is not None or split.pages is not None:
            return None
        x, y = split.x, split.y
        if not (x.is_contiguous() and y.is_contiguous() and x.is_cpu):
            return None
        if not self.stack.task.is_classification and y.dtype is not torch.float32:
            return None
        terms = None
        if network.preprocess.input_spec.kind == "image":
            if self.stack.augment is not None or len(steps) != 1 or type(steps[0]) is not Scale:
                return None
            terms = steps[0].terms(torch.float32, x.ndim)
            if not steps[0].use_native or not supports_normalize(x, *terms):
                return None
        elif x.dtype is not torch.float32:
            return None
        return Gather(x, y, self.members * self.batch, terms)

    def _plan_model(self) -> ModelPlan:
        stack = self.stack
        if stack.stacked is None:
            return ModelPlan(stack.network.model, self.x, lambda m, name: m._parameters.get(name))
        if not stack.stacked.use_native:
            raise NotPlannedError
        find: Callable[[nn.Module, str], Tensor | None] = stack.stacked.stacked
        return ModelPlan(stack.stacked.model, self.x, find, self.members, stack.stacked.generators)
