"""Steps for which the host does not wait, on an emulated GPU: what they change, count and say is what eager steps do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import nnzoo
from nnzoo.errors import DivergedError
from nnzoo.training import device_step
from nnzoo.training.device_state import COUNTERS
from nnzoo.training.device_step import eager_reason, send
from nnzoo.training.train_step import TrainerStack, train_single_step
from nnzoo.training.updates import Update
from tests.cuda_cases import AUGMENTED, CASES, CNN, IMAGES, MLP, OPTIMIZERS, SERIES, settings
from tests.emulated_cuda import EmulatedCuda, emulated

pytestmark = pytest.mark.filterwarnings("error")

PLAIN = {"name": "mlp", "hidden": [8], "norm": "batch"}


@pytest.fixture
def cuda(own_folder: Path) -> Iterator[EmulatedCuda]:
    with emulated() as devices:
        yield devices


def open_run(tree: dict[str, Any], out: str = "out") -> Any:
    return nnzoo.train(tree, out=out, device="cuda").run


def open_stack(tree: dict[str, Any], out: str = "out") -> tuple[Any, TrainerStack, list[Tensor]]:
    """A trainer, its stack, and the rows of each step of its first epoch."""
    trainer = open_run(tree, out).trainer
    stack = TrainerStack([trainer])
    return trainer, stack, list(stack.start_epoch())


def spoil(monkeypatch: pytest.MonkeyPatch, stack: TrainerStack, steps: set[int]) -> None:
    """Make the loss of some steps (counted from 0) NaN."""
    compute_loss = stack.task.compute_loss

    def spoiled(*arguments: Any) -> Any:
        result: Any = compute_loss(*arguments)
        if stack.trainers[0].state.step not in steps:
            return result
        losses = torch.mul(result.loss_sums, math.nan)
        return result._replace(output=result.output * math.nan, loss_sums=losses)

    monkeypatch.setattr(stack.task, "compute_loss", spoiled)


def values(trainer: Any) -> list[Tensor]:
    """Copies of all weights, buffers and moments of a trainer."""
    state = trainer.optimizer.state_dict(0.0)["state"].values()
    tensors = [*trainer.model.state_dict().values(), *(t for kept in state for t in kept.values())]
    return [tensor.detach().cpu().clone() for tensor in tensors]


WAITING = CASES | {
    "weights of classes": (IMAGES | {"class_weights": "balanced"}, PLAIN, {}),
    "quantiles": (SERIES, PLAIN, {"loss": "quantile"}),
    "skips": (IMAGES, CNN, {"on_nan": "skip"}),
}


@pytest.mark.parametrize("case", WAITING)
def test_no_step_waits_or_copies_from_the_host(case: str, cuda: EmulatedCuda) -> None:
    trainer, stack, steps = open_stack(settings(WAITING[case]))
    stack.train_step(steps[0])
    cuda.counts.clear()
    for rows in steps[1:]:
        stack.train_step(rows)
    assert (cuda.counts["wait"], cuda.counts["upload"]) == (0, 0)
    assert trainer.running_loss.totals["rows"] == sum(rows.shape[1] for rows in steps)
    assert cuda.counts["wait"] == 1


@pytest.mark.parametrize("optim", OPTIMIZERS)
def test_steps_are_those_that_the_host_waits_for(
    optim: str, cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: list[Any] = []
    for reason in ("", "so that the host waits"):
        monkeypatch.setattr(device_step, "eager_reason", lambda trainers, reason=reason: reason)
        options = {"epochs": 1, "accumulate_grad_batches": 2, "batch_size": 32}
        # A bias before batch norm has rounding errors alone as its gradient, which Adam enlarges.
        plain = PLAIN | {"norm": "none"}
        tree = settings((AUGMENTED, plain, options), OPTIMIZERS[optim])
        training = nnzoo.train(tree, out=f"out{len(results)}", device="cuda").fit()
        trainer = training.run.trainer
        assert (trainer.counters is None) == bool(reason)
        results.append((values(trainer), training.history[0], trainer.optimizer.counts[0].steps))
    (tensors, row, steps), (eager, eager_row, eager_steps) = results
    assert steps == eager_steps > 0
    # The learning rate is float32 on the GPU.
    for one, other in zip(tensors, eager, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=2e-6)
    for name in ("train_loss", "train_accuracy", "gradient_norm", "gradient_norm_max", "val_loss"):
        assert row[name] == pytest.approx(eager_row[name], rel=1e-4), name


@pytest.mark.parametrize("optim", ["sgd, nesterov", "adam, clipped norm", "rmsprop, momentum"])
def test_a_step_that_is_not_finite_changes_nothing_and_is_reported_later(
    optim: str, cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzoo.training.device_step.CHUNK_SECONDS", math.inf)
    plain = PLAIN | {"norm": "none"}  # running averages of a run that ends are not restored
    tree = settings((IMAGES, plain, {"batch_size": 32}), OPTIMIZERS[optim])
    trainer, stack, steps = open_stack(tree)
    spoil(monkeypatch, stack, {3, 5})
    for rows in steps[:3]:
        stack.train_step(rows)
    sums, before = dict(trainer.running_loss.totals), values(trainer)
    events = [stack.train_step(rows)[0] for rows in steps[3:8]]
    assert not any(isinstance(event, DivergedError) for event in events)
    with pytest.raises(DivergedError, match=r"diverged at step 4 \(epoch 1\)") as caught:
        trainer.check_weights()
    rate = trainer.lr_at(3)
    text = str(caught.value)
    assert f"learning rate {rate:g}: the loss is not a finite number" in text
    assert "largest gradients by layer: " in text and " nan" in text
    assert f"(norm {trainer.last_norm:.3g} at the last good step)" in text
    assert (trainer.state.step, trainer.state.step_in_epoch) == (3, 3)
    assert trainer.running_loss.totals == sums
    for one, other in zip(values(trainer), before, strict=True):
        assert torch.equal(one, other)
    assert stack.train_step(steps[8])[0] is caught.value


def test_the_end_is_noticed_without_waiting(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzoo.training.device_step.CHUNK_SECONDS", 0.0)
    trainer, stack, steps = open_stack(settings((IMAGES, PLAIN, {"batch_size": 16})))
    spoil(monkeypatch, stack, {2})
    events = [stack.train_step(rows)[0] for rows in steps[:6]]
    # One copy is begun, the next look reads it.
    assert [isinstance(event, DivergedError) for event in events] == [False] * 4 + [True] * 2
    assert trainer.state.step == 2


def test_steps_are_skipped_without_the_host(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = settings((IMAGES, PLAIN, {"batch_size": 16, "on_nan": "skip", "max_skipped": 2}))
    trainer, stack, steps = open_stack(tree)
    spoil(monkeypatch, stack, {1, 3, 4})
    stack.train_step(steps[0])
    trainer.synchronize()
    before = values(trainer)
    stack.train_step(steps[1])
    trainer.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(values(trainer), before, strict=True))
    state = trainer.state
    assert (state.step, state.skipped, state.skipped_in_row) == (2, 1, 1)
    stack.train_step(steps[2])
    trainer.synchronize()
    assert (state.skipped_in_row, trainer.optimizer.counts[0].steps) == (0, 2)
    assert state.first_loss is not None and math.isfinite(state.norm_sum)
    for rows in steps[3:7]:
        stack.train_step(rows)
    with pytest.raises(DivergedError, match=r"step 5 .*2 times in a row"):
        trainer.check_weights()
    assert (state.step, state.skipped) == (4, 3)


def test_parameters_without_gradient_stay_and_their_steps_are_not_counted(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, stack, steps = open_stack(settings((IMAGES, PLAIN, {"batch_size": 16})))
    optimizer, first = trainer.optimizer, trainer.optimizer.dense[0]
    gradients, before = optimizer.gradients, first.detach().clone()

    def without_first() -> Any:
        first.grad = None
        return gradients()

    with monkeypatch.context() as patch:
        patch.setattr(optimizer, "gradients", without_first)
        for rows in steps[:3]:
            stack.train_step(rows)
    assert torch.equal(first.detach().cpu(), before.cpu())
    stack.train_step(steps[3])
    trainer.synchronize()
    assert optimizer.without_gradient == {optimizer.names[0]}
    saved = [int(kept["step"]) for kept in optimizer.state_dict(0.1)["state"].values()]
    assert sorted(saved) == [1] + [4] * (len(saved) - 1)


def test_a_run_with_images_larger_than_the_plan_and_dropout_goes_on_exactly(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans of any number of steps give the same weights."""
    ends = []
    for steps in (64, 2):
        monkeypatch.setattr("nnzoo.training.device_step.PLAN_STEPS", steps)
        tree = settings((AUGMENTED, MLP, {"epochs": 1, "batch_size": 64}))
        ends.append(values(nnzoo.train(tree, out=f"{steps}", device="cuda").fit().run.trainer))
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_what_is_sent_arrives_in_its_shapes(cuda: EmulatedCuda) -> None:
    parts = [torch.arange(6.0).view(2, 3), torch.tensor(7.0), torch.zeros(0, 4)]
    sent = send(parts, torch.device("cuda:1"))
    assert cuda.counts["upload"] == 1
    for part, there in zip(parts, sent, strict=True):
        assert there.device == torch.device("cuda:1") and torch.equal(there.cpu(), part)


def test_where_the_host_has_to_wait_the_reason_is_known(cuda: EmulatedCuda) -> None:
    trainer = open_run(settings((IMAGES, PLAIN, {}))).trainer
    assert eager_reason([trainer]) == ""
    assert "several networks" in eager_reason([trainer, trainer])


def test_steps_outside_of_an_epoch_have_rows_of_their_own(cuda: EmulatedCuda) -> None:
    """As those that are timed."""
    trainer = open_run(settings((AUGMENTED, PLAIN, {"batch_size": 64}))).trainer
    stack = TrainerStack([trainer])
    rows = torch.arange(7).to("cuda")[None]
    for _ in range(len(trainer.step_sizes) + 2):
        stack.train_step(rows)
    trainer.check_weights()
    assert trainer.running_loss.totals["rows"] == 7 * (len(trainer.step_sizes) + 2)


def test_reasons_of_embeddings_and_lengths(cuda: EmulatedCuda) -> None:
    trainer = open_run(settings((IMAGES, PLAIN, {}))).trainer
    trainer.splits = {"train": SimpleNamespace(lengths=torch.ones(3))}
    assert "different lengths" in eager_reason([trainer])
    trainer.optimizer.embeddings = [trainer.optimizer.groups[0]]
    assert "rows of an embedding" in eager_reason([trainer])


def test_a_skipped_step_clears_the_carried_state(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = settings((IMAGES, PLAIN, {"batch_size": 16, "on_nan": "skip"}))
    trainer, stack, steps = open_stack(tree)
    nothing = dict.fromkeys(("start", "keep", "finish"), lambda *_: None)
    trainer.carried = SimpleNamespace(tensors=(torch.ones(3).to("cuda"),), **nothing)
    spoil(monkeypatch, stack, {1})
    for rows, expected in zip(steps[:2], (1.0, 0.0), strict=True):
        stack.train_step(rows)
        assert trainer.carried.tensors[0].tolist() == [expected] * 3


def test_a_group_of_weights_without_gradients_stays(cuda: EmulatedCuda) -> None:
    trainer, stack, steps = open_stack(settings((IMAGES, PLAIN, {})))
    stack.train_step(steps[0])
    before = values(trainer)
    trainer.optimizer.zero_grad()
    one = torch.ones(()).to("cuda")
    assert stack.device_step is not None
    stack.device_step._update_weights(Update(one, None, one, one > 0))
    assert all(torch.equal(a, b) for a, b in zip(values(trainer), before, strict=True))


def test_a_single_step_that_diverges_raises_at_once(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, stack, steps = open_stack(settings((IMAGES, PLAIN, {"batch_size": 16})))
    spoil(monkeypatch, stack, {0})
    with pytest.raises(DivergedError, match="at step 1 "):
        train_single_step(trainer, steps[0][0])


def test_a_copy_that_is_under_way_is_not_read(cuda: EmulatedCuda) -> None:
    trainer, stack, steps = open_stack(settings((IMAGES, PLAIN, {"batch_size": 16})))
    stack.train_step(steps[0])
    trainer.counters._copied = SimpleNamespace(query=lambda: False)
    trainer.counters._copy[COUNTERS.index("ended")] = 1
    trainer.counters.peek()
    assert trainer.counters.error is None and trainer.counters.is_sent
