"""Studies: samplers, pruners, claims of trials and their records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState

from nnzoo.config.formatting import flow_yaml
from nnzoo.sweep import search as searching
from nnzoo.sweep.open_study import open_study
from nnzoo.sweep.search import TrialEnd, search
from nnzoo.sweep.study import Study, TrialRecord
from tests.sweep.studies import CPU, NNZOO, config, outcomes, searched

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_two_sweeps_of_one_process_are_the_same_to_the_bit(sampler: str) -> None:
    sets = [f"sweep.sampler={sampler}", "sweep.trials=12", "train.epochs=2"]
    if sampler == "grid":
        sets += ["sweep.space={model.hidden: [[4], [8]], optim.lr: [0.1, 0.01, 0.001]}"]
    one, other = searched(*sets, out="one"), searched(*sets, out="other")
    assert outcomes(one) == outcomes(other)
    assert len({flow_yaml(row.values) for row in one.records()}) == (6 if sampler == "grid" else 12)
    if sampler != "grid":
        third = searched(*sets, "seed=1", "sweep.trials=1", out="third")
        assert third.records()[0].values != one.records()[0].values


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_what_does_not_learn_draws_the_same_for_any_number_of_processes(sampler: str) -> None:
    space = "sweep.space={model.hidden: [[4], [8]], model.dropout: {low: 0, high: 0.4, step: 0.1}}"
    sets = [
        f"sweep.sampler={sampler}",
        "sweep.trials=6",
        space,
        "train.epochs=1",
        "sweep.pruner=none",
    ]
    single = searched(*sets, out="alone")
    two = [open_study(config(*sets), Path("two")) for _ in range(2)]
    makers = [search(study, CPU) for study in two]
    ended = []
    while makers:  # in turns, each in the middle of a trial while the other goes on
        for maker in list(makers):
            try:
                event = next(maker)
            except StopIteration:
                makers.remove(maker)
                continue
            ended += [event.record.number] if isinstance(event, TrialEnd) else []
    assert sorted(ended) == list(range(6))
    assert outcomes(two[0]) == outcomes(single)


def test_drawn_numbers_lie_in_their_range_and_on_its_steps() -> None:
    space = (
        "sweep.space={optim.lr: {low: 1e-3, high: 1e-1, log: true}, train.batch_size: {low: 5, high: "
        "22, step: 5}, model.dropout: {low: 0.1, high: 0.45, step: 0.1}, train.epochs: {low: 1, high: 2}}"
    )
    rows = searched(space, "sweep.sampler=random", "sweep.trials=12", "sweep.pruner=none").records()
    drawn = {key: {row.values[key] for row in rows} for key in rows[0].values}
    assert all(1e-3 <= value <= 1e-1 for value in drawn["optim.lr"])
    assert drawn["train.batch_size"] <= {5, 10, 15, 20}
    assert drawn["model.dropout"] <= {0.1, 0.2, 0.3, 0.4}
    assert drawn["train.epochs"] == {1, 2}
    assert {type(value) for value in drawn["train.batch_size"] | drawn["train.epochs"]} == {int}


def test_tpe_finds_better_rates_than_chance() -> None:
    """On a parabola instead of a network: nothing but the sampler decides."""

    def best_of(sampler: str) -> float:
        space = "sweep.space={optim.lr: {low: 1e-6, high: 1, log: true}, model.dropout: {low: 0, high: 0.9}}"
        study = open_study(
            config(f"sweep.sampler={sampler}", "sweep.trials=30", space), Path(sampler)
        )
        while (claim := study.claim()) is not None:
            row = study.record(claim)
            distance = (torch.tensor(row.values["optim.lr"]).log10() + 2) ** 2 / 10
            value = float(distance) + (row.values["model.dropout"] - 0.3) ** 2
            study.finish(claim, replace(row, state="complete", value=value, epoch=1))
            claim.release()
        best = study.best()
        assert best is not None and best.value is not None
        return best.value

    assert best_of("tpe") < best_of("random")


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_hopeless_trials_end_early_and_never_before_their_grace(pruner: str) -> None:
    # Rates from hopeless to good, in this order after five that are good.
    rates = [0.1, 0.09, 0.08, 0.07, 0.06, 1e-6, 1e-7, 1e-8]
    sets = [f"sweep.space={{optim.lr: {rates}}}", "sweep.sampler=grid", "sweep.trials=auto"]
    rows = searched(*sets, f"sweep.pruner={pruner}", "train.epochs=12", "sweep.grace=3").records()
    pruned = [row for row in rows if row.state == "pruned"]
    assert {row.number for row in pruned} >= {6, 7}
    assert all(3 <= row.epochs < 12 for row in pruned)
    assert all(row.value is None for row in pruned)
    assert rows[0].state == "complete"


def test_a_trial_of_another_machine_is_waited_for_or_given_up(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = ("-s", f"sweep.storage={Path.cwd() / 'shared.log'}", "--trials", "2")
    settings = config(*(item for item in sets if "=" in item), "sweep.trials=2")
    monkeypatch.setattr("platform.node", lambda: "far-away")
    claim = open_study(settings, Path("far")).claim()
    assert claim is not None
    claim.release()  # its process is dead, which nobody here can see
    monkeypatch.setattr("platform.node", lambda: "here")
    result = nnzoo("sweep", "flowers.yaml", *sets)
    assert result.code == 0
    assert "still running in other processes: trial 0 (far-away)" in result.err
    assert "--lost HOST" in result.err
    result = nnzoo("sweep", "flowers.yaml", *sets, "--lost", "far-away")
    assert "1 trial of far-away will be restarted" in result.err
    study = open_study(settings, Path("checkpoints"))
    assert [(row.state, row.host) for row in study.records()] == [("complete", "here")] * 2


def test_one_trial_is_never_taken_by_two_places() -> None:
    here, there = (
        open_study(config(f"sweep.storage={Path.cwd() / 'x.db'}"), Path(out)) for out in "ab"
    )
    one, two = here.claim(), there.claim()
    assert one is not None and two is not None
    assert (one.number, two.number) == (0, 1)
    waiting = here.storage.get_trial(one.trial._trial_id)
    waiting.state = TrialState.WAITING  # what `there` saw a moment before
    assert not there._set_running(waiting)
    assert here._is_here(here.storage.get_trial(one.trial._trial_id))


def test_rows_say_what_is_known(study: Study) -> None:
    rows = [row.to_dict() for row in study.records()]
    assert rows[0]["state"] == "complete" and "reason" not in rows[0]
    assert rows[4]["reason"] and rows[4]["value"] is None
    assert isinstance(study.records()[0], TrialRecord)
    assert searching.best_config(study, study.records()[0]).name == "flowers-best"
