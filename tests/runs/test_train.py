"""Runs that are stopped, resumed and saved at intervals."""

from __future__ import annotations

from typing import Any

import pytest

from nnzoo.runs import checkpoint
from nnzoo.runs.run import Run
from nnzoo.runs.train import SaveSchedule, train
from nnzoo.training.trainer import StepEnd
from tests.training.trainer_cases import TINY, without_times
from tests.zoo import DATA, begin, config, finish, same

SCHEDULES: list[dict[str, Any]] = [
    {"name": "constant"},
    {"name": "cosine", "warmup": "1 epoch"},
    {"name": "one_cycle"},
    {"name": "step", "step_size": "5 steps", "gamma": 0.5},
    {"name": "linear", "final": 0.1},
    {"name": "plateau", "patience": 1, "gamma": 0.5},
]


# Going on.


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule["name"])
@pytest.mark.parametrize("model", ["mlp", "cnn", "rnn", "lstm", "gru"])
def test_a_run_stopped_after_any_step_ends_with_the_same_bits(
    model: str, schedule: dict[str, Any]
) -> None:
    data = DATA["image"] | {"augment": {"shift": 1, "rotate": 5}, "class_weights": "balanced"}
    sections = {
        "train": TINY
        | {"save_every": "7 steps", "label_smoothing": 0.1, "early_stopping": {"patience": 2}},
        "optim": {"name": "adamw", "lr": 0.003, "schedule": schedule, "clip": {"norm": 1.0}},
    }
    run_config = config(model, data, **sections)
    whole = begin(run_config, "whole")
    rows = finish(whole)

    # Stopped after steps 1, 2, 4, 8, …, each time resumed from the files alone.
    stops, seen = [1, 2, 4, 8, 16, 23], []
    while stops:
        part = begin(run_config, "parts")
        target = stops.pop(0)

        def reached(part: Run = part, target: int = target) -> bool:
            return part.trainer.state.step >= target

        for event in train(part, reached):
            if not isinstance(event, StepEnd):
                seen.append(event.row["epoch"])
        part.lock.release()
    part = begin(run_config, "parts")
    finish(part)
    kept = [{k: v for k, v in row.items() if "second" not in k} for row in part.folder.rows()]
    assert kept == rows
    assert same(without_times(whole.folder.path), without_times(part.folder.path))


def test_what_a_crash_left_behind_the_checkpoint_is_done_again() -> None:
    run_config = config(train=TINY | {"epochs": 6, "save_every": "2 epochs"})
    whole = begin(run_config, "whole")
    rows = finish(whole)
    crashed = begin(run_config, "crashed")
    events = train(crashed)  # kept, since closing it would save
    for event in events:  # no save after epoch 3: as if the process had been killed
        if not isinstance(event, StepEnd) and event.row["epoch"] == 3:
            break
    crashed.lock.release()
    assert len(crashed.folder.rows()) == 3
    with crashed.folder.metrics.open("a") as file:
        file.write('{"epoch": 4, "st')  # and a line was cut short
    again = begin(run_config, "crashed")
    assert again.notes[-1] == "resumed crashed/run at epoch 3 of 6"
    assert finish(again) == rows[2:]
    assert [row["epoch"] for row in again.folder.rows()] == [1, 2, 3, 4, 5, 6]
    assert same(without_times(whole.folder.path), without_times(again.folder.path))


def test_a_line_of_an_epoch_whose_last_step_was_saved_is_not_written_twice() -> None:
    """A checkpoint may follow the last step of an epoch that is not over yet."""
    run_config = config(
        data="table_classes", train={"epochs": 3, "batch_size": 16, "save_every": "7 steps"}
    )
    whole = begin(run_config, "whole")
    rows = finish(whole)
    assert len(whole.trainer.step_sizes) == 7
    # Dies after step 9: resumes from step 7, where the first epoch's validation is done again.
    dead = begin(run_config, "dead")
    events = train(dead)  # kept, since closing it would save
    for event in events:
        if isinstance(event, StepEnd) and event.step == 9:
            break
    dead.lock.release()
    run = begin(run_config, "dead")
    assert (run.trainer.state.epoch, run.trainer.state.step_in_epoch) == (0, 7)
    assert same(finish(run), rows)
    assert [row["epoch"] for row in run.folder.rows()] == [1, 2, 3]


def test_best_pt_is_the_best_epoch_also_when_saving_is_rare() -> None:
    run = begin(
        config(
            train={"epochs": 5, "save_every": "60 s", "batch_size": 16},
            optim={"name": "adam", "lr": 0.05},
        )
    )
    rows = finish(run)
    best = min(rows, key=lambda row: row["val_loss"])
    assert best["epoch"] < 5, "this test needs a run whose last epoch is not its best"
    content = checkpoint.load(run.folder.best)
    assert content["epoch"] == best["epoch"]
    run.network.model.load_state_dict(content["model"])
    from nnzoo.evaluation.evaluate import evaluate_split

    assert evaluate_split(run.network, run.dataset, "val")["loss"] == best["val_loss"]


def test_a_finished_run_goes_on_when_epochs_are_raised() -> None:
    begin_config = config(train=TINY)
    finish(begin(begin_config))
    assert begin(begin_config).state == "complete"
    longer = begin(config(train=TINY | {"epochs": 5}))
    assert longer.notes[-1] == "resumed out/run at epoch 4 of 5"
    rows = finish(longer)
    assert [row["epoch"] for row in rows] == [4, 5]
    straight = begin(config(train=TINY | {"epochs": 5}), "straight")
    assert finish(straight)[3:] == rows


# When to save.


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_a_fraction_of_time_spaces_saves_by_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnzoo.runs.train.time", clock := Clock())
    trainer = begin(config(train={"save_every": "0.5 %"})).trainer
    schedule = SaveSchedule([trainer])

    def save(seconds: float) -> None:
        with schedule.measure_save():
            clock.now += seconds

    first = schedule.cost
    assert 0.005 < first < 0.01  # estimated from the size of the weights
    for cost in (first, 0.02, 0.5):
        save(cost)
        clock.now += cost * 200 - 0.01
        assert not schedule.is_due()
        clock.now += 0.02
        assert schedule.is_due()
    save(0.04)
    trainer.state.epoch = 1
    assert schedule.is_due()  # the end of the first epoch
    trainer.state.step_in_epoch = 1
    assert not schedule.is_due()
    save(0.06)
    trainer.state.step_in_epoch = 0
    assert not schedule.is_due()


@pytest.mark.parametrize(
    ("interval", "due"), [("3 steps", [3, 6, 9]), ("0.5 epochs", [2, 4, 6, 8]), ("1 epoch", [4, 8])]
)
def test_a_number_of_steps_or_epochs_is_kept_exactly(interval: str, due: list[int]) -> None:
    run = begin(config(train={"epochs": 9, "batch_size": 315, "save_every": interval}))
    trainer, schedule, saved = run.trainer, SaveSchedule([run.trainer]), []
    assert len(trainer.step_sizes) == 4
    for trainer.state.step in range(1, 10):
        trainer.state.epoch, trainer.state.step_in_epoch = divmod(trainer.state.step, 4)
        if schedule.is_due():
            with schedule.measure_save():
                saved.append(trainer.state.step)
    assert saved == due
