"""Turns of several seeds: those behind catch up, those ahead wait, and no bit depends on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.runs import checkpoint, run_group
from nnzoo.runs import train as runs_train
from nnzoo.training.lockstep import lockstep
from nnzoo.training.trainer import StepEnd
from tests.training.group_cases import CPU, SEEDS, far, group_of, last, single_run, spoil, train
from tests.zoo import begin, config, same

pytestmark = pytest.mark.usefixtures("compiled")


def test_an_interrupted_group_goes_on_with_the_same_bits() -> None:
    run_config = config("mlp", "image", train={"epochs": 3})
    straight = group_of(run_config, out="straight")
    train(straight)
    steps = iter(range(1000))
    broken = group_of(run_config)
    train(broken, stop=lambda: next(steps) == 30)
    assert not broken.ended
    (step,) = {last(broken, i)["trainer"]["position"]["step"] for i in range(SEEDS)}
    assert 20 < step < 40  # in the middle of the second epoch
    again = group_of(run_config)
    train(again, resume="must")
    assert again.ended
    for i in range(SEEDS):
        a, b = last(again, i), last(straight, i)
        assert same(a["model"], b["model"]) and same(a["best_model"], b["best_model"])
        assert same(a["trainer"]["optimizer"], b["trainer"]["optimizer"])


def test_a_members_checkpoint_goes_on_alone_and_the_group_catches_up_with_it() -> None:
    run_config = config("mlp", "image", train={"epochs": 4})
    steps = iter(range(1000))
    train(group_of(run_config), stop=lambda: next(steps) == 5)
    one = replace(run_config, seed=1, name="seed-1")
    run = begin(one, out="out/run-seeds")
    assert run.state == "resumed"
    events = iter(runs_train.train(run, lambda: run.trainer.state.step == 50))
    assert isinstance(
        list(events)[-1], StepEnd
    )  # saved in the middle of another epoch, ahead of the others
    run.lock.release()
    group = group_of(run_config)
    train(group)
    assert group.ended
    for i in range(SEEDS):
        _, content = single_run(run_config, i)
        assert far(last(group, i)["model"], content["model"]) < 2e-6
        assert len(group.members[i].folder.rows()) == 4


def test_members_stop_early_each_at_its_own_epoch() -> None:
    run_config = config(
        "mlp",
        "table_classes",
        optim={"name": "adam", "lr": 0.05},
        train={"epochs": 40, "early_stopping": {"patience": 2}, "monitor": "val_accuracy"},
    )
    group = group_of(run_config, 5)
    train(group)
    epochs = [member.epochs for member in group.members]
    assert len(set(epochs)) > 1 and max(epochs) < 40
    for i, member in enumerate(group.members):
        its_rows, _ = single_run(run_config, i)
        assert len(its_rows) == member.epochs
        assert member.state == "complete"


def test_the_last_member_left_diverges_too(monkeypatch: pytest.MonkeyPatch) -> None:
    run_config = config("mlp", "image", train={"epochs": 2, "save_every": "1 epoch"})
    train(group_of(replace(run_config, seed=1), 2))  # seeds 1 and 2 are complete
    group = group_of(run_config)
    for happened in group.events(CPU):
        run = group.members[0].run
        if isinstance(happened.get(0), StepEnd) and run and run.trainer.state.step == 4:
            spoil(run.trainer)
    assert [member.state for member in group.members] == ["diverged", "complete", "complete"]


class _Killed(BaseException):
    """As if the process had ended at this place."""


@pytest.mark.parametrize("kernels", ["auto", "torch"])
@pytest.mark.parametrize("saves", [1, 4, 5])
def test_a_kill_between_the_saves_of_two_members_changes_no_bit(
    saves: int, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members behind are computed beside as many networks as without the kill."""
    run_config = config(
        data={"name": "digits"},
        model={"name": "cnn", "channels": [6], "norm": "batch"},
        train={
            "epochs": 2,
            "batch_size": 200,
            "save_every": "3 steps",
            "kernels": kernels,
            "precision": "fp32",
            "threads": 1,
        },
    )

    def weights(out: str) -> list[dict[str, torch.Tensor]]:
        group = run_group.seeds(run_config, 3, Path(out))
        for _ in group.events(CPU):
            pass
        return [checkpoint.load(member.folder.last)["model"] for member in group.members]

    whole = weights("whole")
    real, count = runs_train.save, [0]

    def save(content: Any) -> None:
        real(content)
        count[0] += 1
        if count[0] == saves:
            raise _Killed

    with monkeypatch.context() as patched:
        patched.setattr(runs_train, "save", save)
        with pytest.raises(_Killed):
            weights("killed")
    again = weights("killed")
    for one, other in zip(whole, again, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_member_behind_takes_its_turns_beside_placeholders_of_which_nothing_is_kept() -> None:
    run_config = config("mlp", "image", train={"epochs": 1, "save_every": "1 epoch"})
    runs = [begin(replace(run_config, seed=seed, name=f"s{seed}")) for seed in (0, 1)]
    behind, ahead = trainers = [run.trainer for run in runs]
    for _, turn in zip(range(3), lockstep([ahead], ()), strict=False):
        turn.advance()
    assert (behind.state.step, ahead.state.step) == (0, 3)
    weights = [p.detach().clone() for p in ahead.parameters]
    turns = lockstep(trainers, ())
    for step in range(3):
        turn = next(turns)
        assert (turn.members, turn.active) == ([0, 1], frozenset({0}))
        first, second = turn.tuner.stack.trainers
        assert first is behind and second is not ahead and second.is_placeholder
        turn.advance()
        assert (behind.state.step, ahead.state.step) == (step + 1, 3)
    assert all(torch.equal(a, b) for a, b in zip(weights, ahead.parameters, strict=True))
    turn = next(turns)
    assert turn.active == frozenset({0, 1}) and turn.tuner.stack.trainers == trainers
    for run in runs:
        run.lock.release()


def test_a_member_that_is_stopped_takes_no_further_turn() -> None:
    runs = [begin(replace(config("mlp", "image"), seed=seed, name=f"s{seed}")) for seed in (0, 1)]
    stopped: set[int] = set()
    turns = lockstep([run.trainer for run in runs], stopped)
    assert next(turns).members == [0, 1]
    stopped.add(0)
    turn = next(turns)
    assert (turn.members, turn.active) == ([1], frozenset({1}))
    stopped.add(1)
    assert list(turns) == []
    for run in runs:
        run.lock.release()
