"""`nnzoo sweep`: exactly as many trials as asked for, by however many processes, killed or not, and a
best config that trains to the score that was reported; docs/sweep.md has the campaign's figures."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.config import RunConfig
from nnzoo.config.load import load_config
from nnzoo.runs import run
from nnzoo.sweep.open_study import open_study
from nnzoo.sweep.search import TrialStart, finish, search
from nnzoo.sweep.study import FINISHED, Study
from tests.sweep.studies import CPU, NNZOO, config, files, outcomes, searched
from tests.zoo import SCRIPTS

pytestmark = pytest.mark.usefixtures("compiled")


# The result.


def test_a_run_of_the_same_name_and_the_study_leave_each_other_alone(nnzoo: NNZOO) -> None:
    nnzoo("sweep", "flowers.yaml", "--trials", "2")
    assert nnzoo("train", "flowers.yaml").code == 0
    before = files(Path("checkpoints/flowers/trials"))
    assert nnzoo("train", "flowers.yaml", "--fresh").code == 0
    assert files(Path("checkpoints/flowers/trials")) == before
    (aside,) = Path("checkpoints").glob("flowers.2*")
    assert {"best.pt", "last.pt", "config.yaml"} <= files(aside) and "trials" not in files(aside)
    assert "2 of 2 trials finished" in nnzoo("sweep", "flowers.yaml", "--trials", "2").err


def test_what_decides_must_be_measured(nnzoo: NNZOO) -> None:
    result = nnzoo("sweep", "flowers.yaml", "-s", "train.monitor=val_rmse")
    assert result.code == 2 and "'val_rmse' is not measured here" in result.err
    assert not Path("checkpoints").exists()


def test_a_space_of_fewer_combinations_than_trials_is_pointed_out() -> None:
    study = open_study(config("sweep.space={optim.lr: [0.1, 0.2]}", "sweep.trials=3"), Path("out"))
    assert study.notes[0].startswith(
        "the space has 2 combinations, so some of 3 trials are the same"
    )


def test_a_metric_of_which_more_is_better_is_searched_upwards() -> None:
    study = searched("train.monitor=val_accuracy", "sweep.trials=4")
    values = [row.value for row in study.records() if row.value is not None]
    best = study.best()
    assert best is not None and best.value == max(values)
    # The first of equals: the order in which trials end decides nothing.
    assert best.number == min(row.number for row in study.records() if row.value == best.value)


def test_test_rows_take_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnzoo.evaluation import evaluate as evaluation

    seen = []
    real = evaluation.evaluate

    def evaluate(network: Any, split: Any, *more: Any) -> Any:
        seen.append(len(split))
        return real(network, split, *more)

    monkeypatch.setattr("nnzoo.training.trainer.evaluate", evaluate)
    monkeypatch.setattr(run, "evaluate_split", lambda *_: pytest.fail("a split was measured"))
    study = searched("data.split.val=17", "data.split.test=29", "sweep.trials=3")
    finish(study)
    assert set(seen) == {17}


# Failures.


def test_a_trial_that_diverges_is_reported_and_the_sweep_continues(nnzoo: NNZOO) -> None:
    sets = ("-s", "sweep.space={optim.lr: [1e25, 0.05]}", "-s", "sweep.sampler=grid")
    result = nnzoo("sweep", "flowers.yaml", *sets)
    assert result.code == 0, result.err
    assert re.search(r"trial 0/2  diverged  .*training diverged at step", result.err)
    assert "2 trials: 1 diverged, 1 complete" in result.err
    assert files(Path("checkpoints/flowers/trials/0")) <= {
        ".lock",
        ".trial",
        "config.yaml",
        "metrics.jsonl",
        "result.json",
        "warnings.jsonl",
    }


def test_values_that_do_not_go_together_are_reported_with_the_reason(nnzoo: NNZOO) -> None:
    sets: tuple[str, ...] = (
        "-s",
        "sweep.space={data.preprocess.pca: [2, 50]}",
        "-s",
        "sweep.sampler=grid",
        "-s",
        "train.monitor=val_accuracy",
    )
    result = nnzoo("sweep", "flowers.yaml", *sets)
    assert result.code == 0, result.err
    assert re.search(r"trial 1/2  failed .*data.preprocess.pca.*pca.*50", result.err), result.err
    sets = ("-s", "sweep.space={data.preprocess.pca: [60, 50]}", *sets[2:], "-s", "name=other")
    result = nnzoo("sweep", "flowers.yaml", *sets)
    assert result.code == 2
    assert "trial 0: data.preprocess.pca" in result.err


def test_combinations_that_the_language_refuses_fail_as_trials() -> None:
    space = "sweep.space={optim.momentum: [0, 0.5], optim.nesterov: [true, false]}"
    rows = searched(space, "sweep.sampler=grid", "optim.momentum=0.9").records()
    assert [row.state for row in rows] == ["failed", "complete", "complete", "complete"]
    assert rows[0].reason == "optim.nesterov: needs momentum above 0"


def test_a_trial_without_memory_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = run.open_run

    def start(run_config: RunConfig, *more: Any) -> Any:
        if run_config.name == "1":
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return real(run_config, *more)

    monkeypatch.setattr(run, "open_run", start)
    rows = searched("sweep.trials=3").records()
    assert [(row.state, row.reason) for row in rows] == [
        ("complete", ""),
        ("failed", "out of memory"),
        ("complete", ""),
    ]


def test_an_internal_error_is_not_taken_for_a_failed_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(run, "open_run", start)
    study = open_study(config(), Path("out"))
    with pytest.raises(RuntimeError, match="a bug"):
        list(search(study, CPU))
    assert [row.state for row in study.records()] == ["running"]


def test_a_trial_that_validates_other_rows_is_not_compared() -> None:
    Path("t.csv").write_text("a,b,y\n" + "".join(f"{i},{i % 5},{i * 0.5}\n" for i in range(80)))
    Path("t.yaml").write_text(
        "data: {name: csv, path: t.csv, target: y, task: regression}\nmodel: mlp\n"
        "train: {epochs: 1, monitor: val_rmse}\n"
        "sweep: {sampler: grid, space: {data.drop: [[a], [b]], data.test_path: [t.csv]}}\n"
    )
    with pytest.raises(Exception, match="it decides what is learned from what"):
        load_config("t.yaml")
    settings = load_config("t.yaml", ["sweep.space={data.max_categories: [5, 50]}"])
    study = open_study(settings, Path("out"))
    study.identity["targets"] = "those of other rows"
    list(search(study, CPU))
    assert {row.state for row in study.records()} == {"failed"}
    assert "it has other validation rows than the other trials" in study.records()[0].reason


def test_a_value_that_is_no_number_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnzoo.evaluation import evaluate as evaluation

    real = evaluation.evaluate
    monkeypatch.setattr(
        "nnzoo.training.trainer.evaluate", lambda *a: real(*a) | {"loss": float("nan")}
    )
    rows = searched("sweep.trials=1").records()
    assert (rows[0].state, rows[0].reason) == ("failed", "val_loss is not a number")


# Interrupted, killed, taken over.


def stop_after(steps: int) -> Callable[[], bool]:
    counted = iter(range(10**9))
    return lambda: next(counted) >= steps


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_sweep_that_is_stopped_anywhere_ends_as_if_it_had_not_been(pruner: str) -> None:
    sets = (f"sweep.pruner={pruner}", "sweep.trials=8", "train.save_every=3 steps")
    whole = searched(*sets, out="whole")
    starts = 0
    while True:
        study = open_study(config(*sets), Path("parts"))
        events = list(search(study, CPU, stop_after(37)))
        starts += 1
        resumed = [event for event in events if isinstance(event, TrialStart) and event.resumed]
        assert len(resumed) <= 1
        if all(row.state in FINISHED for row in study.records()) and len(study.records()) == 8:
            break
    assert starts > 3
    assert outcomes(study) == outcomes(whole)


def test_a_trial_whose_process_died_is_taken_over_and_others_are_left_alone() -> None:
    first, second = (open_study(config("sweep.trials=3"), Path("out")) for _ in range(2))
    lives, dies = first.claim(), first.claim()
    assert lives is not None and dies is not None
    dies.release()  # as the system does when a process dies
    taken = second.claim()
    assert taken is not None and (taken.number, taken.resumed) == (dies.number, True)
    assert second.record(taken).values == first.record(dies).values
    last = second.claim()
    assert last is not None and (last.number, last.resumed) == (2, False)
    assert second.claim() is None
    assert [row.state for row in second.records()] == ["running"] * 3


def test_a_finished_trial_that_was_not_recorded_is_recorded_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = searched("sweep.trials=2", out="whole")
    study = open_study(config("sweep.trials=2"), Path("out"))
    with monkeypatch.context() as patch:

        def killed(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(Study, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            list(search(study, CPU))
    again = searched("sweep.trials=2")
    assert outcomes(again) == outcomes(whole)


def test_what_a_kill_left_behind_is_tidied_up() -> None:
    study = searched("sweep.trials=2")
    left = study.folder_of(1) / "last.pt"
    left.write_bytes(b"")
    finish(study)
    assert not left.exists()


def test_four_processes_two_of_them_killed_lose_no_trial_and_make_none_twice() -> None:
    # So many that the study is not at its end before the second kill.
    assert "sqlite: {'processes': 4, 'killed': 2, 'trials': 16" in campaign(
        "sqlite", "--trials", "16"
    )


@pytest.mark.slow
def test_four_processes_on_a_journal_lose_no_trial_and_make_none_twice() -> None:
    assert "journal: {'processes': 4, 'killed': 2, 'trials': 12" in campaign(
        "journal", "--trials", "12"
    )


@pytest.mark.slow
def test_one_process_that_is_killed_again_and_again_makes_the_same_trials() -> None:
    assert campaign("alone", "--kills", "10").count("'differences': 0") == 2


def campaign(*words: str) -> str:
    command = [sys.executable, str(SCRIPTS / "sweep_campaign.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
