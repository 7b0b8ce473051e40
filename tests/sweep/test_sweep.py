"""`nnzoo sweep`: exactly as many trials as asked for, by however many processes, killed or not, and a
best config that trains to the score that was reported; docs/sweep.md has the campaign's figures."""

from __future__ import annotations

import io
import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState
from rich.console import Console

from nnzoo import errors
from nnzoo.config import RunConfig
from nnzoo.config.default_space import default_space, section_text
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.load import load_config
from nnzoo.console import trials
from nnzoo.errors import CheckpointError, UsageError
from nnzoo.runs import run
from nnzoo.sweep import search as searching
from nnzoo.sweep.open_study import open_study
from nnzoo.sweep.report import page
from nnzoo.sweep.search import TrialEnd, TrialStart, finish, search
from nnzoo.sweep.storage import cached_backend
from nnzoo.sweep.study import FINISHED, Study, TrialRecord
from tests.browser import CHROMIUM, open_page
from tests.zoo import SCRIPTS

pytestmark = pytest.mark.usefixtures("compiled")

NNZOO = Callable[..., Any]
CPU = torch.device("cpu")

CONFIG = """
name: flowers
data: iris
model: {name: mlp, hidden: [8]}
optim: {name: sgd, lr: 0.05}
train: {epochs: 4, batch_size: 16, precision: fp32, threads: 1}
sweep:
  trials: 8
  grace: 2
  space:
    optim.lr: {low: 1e-3, high: 1e-1, log: true}
    model.hidden: [[4], [8, 8]]
    model.dropout: {low: 0.0, high: 0.4, step: 0.1}
"""


@pytest.fixture(autouse=True)
def config_file(own_folder: Path) -> None:
    Path("flowers.yaml").write_text(CONFIG)


def config(*sets: str) -> RunConfig:
    return load_config("flowers.yaml", sets)


def searched(*sets: str, out: str = "out", stop: Callable[[], bool] = lambda: False) -> Study:
    """A study after this process has made what there is to make."""
    study = open_study(config(*sets), Path(out))
    list(search(study, CPU, stop))
    return study


def outcomes(study: Study) -> list[tuple[Any, ...]]:
    """The parts of a study that must be the same in two."""
    return [(r.number, r.state, r.values, r.value, r.epoch, r.epochs) for r in study.records()]


def files(path: Path) -> set[str]:
    return {item.name for item in path.iterdir()}


# The result.


def test_a_sweep_ends_with_its_trials_a_page_and_a_config_that_trains_to_its_score(
    nnzoo: NNZOO,
) -> None:
    result = nnzoo("sweep", "flowers.yaml", "-v", "2")
    assert result.code == 0, result.err
    folder = Path("checkpoints/flowers")
    assert "no study in checkpoints/flowers/sweep.db: starting one of 8 trials" in result.err
    assert len(re.findall(r"^trial \d/8  (complete|pruned  )  ", result.err, re.M)) == 8
    assert {"best.yaml", "sweep.html", "sweep.db", "trials"} <= files(folder)
    study = open_study(config(), Path("checkpoints"))
    best = study.best()
    assert best is not None and best.value is not None
    assert (
        f"best: trial {best.number}, val_loss {best.value:.4f} at epoch {best.epoch}" in result.out
    )
    again = nnzoo("train", folder / "best.yaml", "--json")
    assert again.code == 0, again.err
    assert again.lines[-1]["best"] == {
        "epoch": best.epoch,
        "monitor": "val_loss",
        "value": best.value,
    }
    assert again.lines[-1]["run_dir"] == "checkpoints/flowers-best"
    assert result.out.count("page:") == 1 and str(folder / "sweep.html") in result.out
    for row in study.records():
        left = files(folder / "trials" / str(row.number)) - {".lock", ".trial"}
        weights = {"best.pt", "result.json"} if row.state == "complete" else set()
        assert left == {"config.yaml", "metrics.jsonl"} | weights
    assert nnzoo("eval", folder / "trials" / str(best.number), "--split", "val").code == 0


def test_the_same_command_again_shows_the_result_and_more_trials_go_on(nnzoo: NNZOO) -> None:
    first = nnzoo("sweep", "flowers.yaml", "--trials", "3")
    again = nnzoo("sweep", "flowers.yaml", "--trials", "3")
    assert (again.code, again.out) == (0, first.out)
    assert "joined the study in checkpoints/flowers/sweep.db: 3 of 3 trials finished" in again.err
    events = nnzoo("sweep", "flowers.yaml", "--trials", "5", "--json").lines
    assert [event["number"] for event in events if "best" in event and "number" in event] == [3, 4]


def test_trials_that_are_there_count_also_where_fewer_are_asked_for(nnzoo: NNZOO) -> None:
    first = nnzoo("sweep", "flowers.yaml", "--trials", "6")
    fewer = nnzoo("sweep", "flowers.yaml", "--trials", "1")
    assert fewer.code == 0 and fewer.out == first.out
    assert "6 of 6 trials finished" in fewer.err


def test_a_run_of_the_same_name_and_the_study_leave_each_other_alone(nnzoo: NNZOO) -> None:
    nnzoo("sweep", "flowers.yaml", "--trials", "2")
    assert nnzoo("train", "flowers.yaml").code == 0
    before = files(Path("checkpoints/flowers/trials"))
    assert nnzoo("train", "flowers.yaml", "--fresh").code == 0
    assert files(Path("checkpoints/flowers/trials")) == before
    (aside,) = Path("checkpoints").glob("flowers.2*")
    assert {"best.pt", "last.pt", "config.yaml"} <= files(aside) and "trials" not in files(aside)
    assert "2 of 2 trials finished" in nnzoo("sweep", "flowers.yaml", "--trials", "2").err


def test_trials_differ_by_their_values_alone() -> None:
    study = searched("train.precision=auto", "sweep.trials=1")
    assert study.records()[0].resolved["precision"] == "fp32"


def test_what_decides_must_be_measured(nnzoo: NNZOO) -> None:
    result = nnzoo("sweep", "flowers.yaml", "-s", "train.monitor=val_rmse")
    assert result.code == 2 and "'val_rmse' is not measured here" in result.err
    assert not Path("checkpoints").exists()


def test_a_space_of_fewer_combinations_than_trials_is_pointed_out() -> None:
    study = open_study(config("sweep.space={optim.lr: [0.1, 0.2]}", "sweep.trials=3"), Path("out"))
    assert study.notes[0].startswith(
        "the space has 2 combinations, so some of 3 trials are the same"
    )


def test_json_tells_the_start_each_trial_and_the_end(nnzoo: NNZOO) -> None:
    result = nnzoo("sweep", "flowers.yaml", "--json", "--trials", "2")
    start, *trials, end = result.lines
    assert start == {
        "event": "start",
        "study": "flowers",
        "folder": "checkpoints/flowers",
        "storage": "checkpoints/flowers/sweep.db",
        "monitor": "val_loss",
        "trials": 2,
        "over": 0,
    }
    assert [(trial["number"], trial["state"]) for trial in trials] == [
        (0, "running"),
        (0, "complete"),
        (1, "running"),
        (1, "complete"),
    ]
    assert trials[1]["params"].keys() == {"optim.lr", "model.hidden", "model.dropout"}
    assert end["trials"] == {"complete": 2}
    assert end["best"]["value"] == min(item["value"] for item in (trials[1], trials[3]))
    assert Path(end["config"]).exists() and Path(end["page"]).exists()


def test_a_metric_of_which_more_is_better_is_searched_upwards() -> None:
    study = searched("train.monitor=val_accuracy", "sweep.trials=4")
    values = [row.value for row in study.records() if row.value is not None]
    best = study.best()
    assert best is not None and best.value == max(values)
    # The first of equals: the order in which trials end decides nothing.
    assert best.number == min(row.number for row in study.records() if row.value == best.value)


def test_verbosity_0_is_silent(nnzoo: NNZOO) -> None:
    result = nnzoo("sweep", "flowers.yaml", "--trials", "1", "-v", "0")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_test_rows_take_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnzoo.training import trainer

    seen = []
    real = trainer.evaluate

    def evaluate(network: Any, split: Any, *more: Any) -> Any:
        seen.append(len(split))
        return real(network, split, *more)

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    monkeypatch.setattr(run, "evaluate_split", lambda *_: pytest.fail("a split was measured"))
    study = searched("data.split.val=17", "data.split.test=29", "sweep.trials=3")
    finish(study)
    assert set(seen) == {17}


# Sampling.


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
    }


def test_where_all_diverge_the_exit_code_says_so(nnzoo: NNZOO) -> None:
    sets = ("-s", "sweep.space={optim.lr: [1e25, 1e26]}", "-s", "sweep.sampler=grid")
    for _ in range(2):  # also of a study that is at its end
        result = nnzoo("sweep", "flowers.yaml", *sets)
        assert result.code == 4
        assert "no trial of 2 finished:\n  trial 0: training diverged" in result.err
        assert "No trial is complete yet." in Path("checkpoints/flowers/sweep.html").read_text()


def test_values_that_do_not_go_together_are_reported_with_the_reason(nnzoo: NNZOO) -> None:
    sets = (
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
    from nnzoo.training import trainer

    real = trainer.evaluate
    monkeypatch.setattr(trainer, "evaluate", lambda *a: real(*a) | {"loss": float("nan")})
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


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_trial_and_says_how_to_go_on(sign: signal.Signals, code: int) -> None:
    words = ["-s", "train.epochs=2000", "-s", "sweep.pruner=none", "--trials", "2"]
    command = [sys.executable, "-m", "nnzoo", "sweep", "flowers.yaml", "--json"]
    with subprocess.Popen(
        [*command, *words, "--fresh"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "trial":
                break
        time.sleep(0.3)
        process.send_signal(sign)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    name = "Ctrl-C" if sign == signal.SIGINT else "SIGTERM"
    shown = "nnzoo sweep flowers.yaml --json " + " ".join(words)
    assert f"{name}: trial 0 is saved; resume with:\n  {shown}\n" in err
    assert "Traceback" not in err and out == ""
    assert Path("checkpoints/flowers/trials/0/last.pt").exists()


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


def test_a_journal_that_was_cut_within_a_line_goes_on() -> None:
    sets = ("sweep.storage=study.log", "sweep.trials=2")
    study = open_study(config(*sets), Path("out"))
    claim = study.claim()
    assert claim is not None
    claim.release()
    with Path("study.log").open("ab") as file:
        file.write(b'{"op_code": 5, "worker')
    again = searched(*sets)
    assert [row.state for row in again.records()] == ["complete"] * 2
    assert all(json.loads(line) for line in Path("study.log").read_text().splitlines())


def test_a_process_that_writes_is_waited_for() -> None:
    study = open_study(config("sweep.trials=1"), Path("out"))
    path = "out/flowers/sweep.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
    list(search(study, CPU))
    assert time.monotonic() - began > 0.5
    assert [row.state for row in study.records()] == ["complete"]


def test_a_storage_that_fails_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study(config(), Path("out"))
    monkeypatch.setattr(study.storage, "get_all_trials", broken)
    with pytest.raises(
        CheckpointError, match=r"cannot be read or written: the disk is full; the same"
    ):
        list(search(study, CPU))


def broken(*_: Any, **__: Any) -> None:
    from optuna.exceptions import StorageInternalError

    raise StorageInternalError("the disk is full\nand more")


# Joining.


def test_another_search_under_the_same_name_is_refused_naming_the_keys(nnzoo: NNZOO) -> None:
    assert nnzoo("sweep", "flowers.yaml", "--trials", "1").code == 0
    result = nnzoo(
        "sweep",
        "flowers.yaml",
        "-s",
        "train.epochs=9",
        "--seed",
        "4",
        "-s",
        "sweep.sampler=random",
        "-s",
        "sweep.space.model.hidden=[[4], [9]]",
    )
    assert result.code == 2
    assert (
        "checkpoints/flowers/sweep.db holds a study of another config. Search this one beside it: "
        in result.err
    )
    assert "  train.epochs: 4 there, 9 here" in result.err
    assert "  seed: 0 there, 4 here" in result.err
    assert "  sweep.sampler: tpe there, random here" in result.err
    assert "  sweep.space.model.hidden: [[4], [8, 8]] there, [[4], [9]] here" in result.err
    assert "start over with --fresh" in result.err
    same = nnzoo("sweep", "flowers.yaml", "--trials", "1", "-s", "train.save_every=1 epoch")
    assert same.code == 0, same.err


def test_other_data_under_the_same_name_is_refused(nnzoo: NNZOO) -> None:
    def write(last: str) -> None:
        Path("t.csv").write_text(
            "a,b,y\n" + "".join(f"{i},{i % 5},{i * 0.5}\n" for i in range(60)) + last
        )

    Path("t.yaml").write_text(
        "data: {name: csv, path: t.csv, task: regression}\nmodel: mlp\ntrain: {epochs: 1}\n"
        "sweep: {trials: 1, space: {optim.lr: [0.1, 0.2]}}\n"
    )
    write("60,0,1.0\n")
    assert nnzoo("sweep", "t.yaml").code == 0
    write("60,0,2.0\n")
    result = nnzoo("sweep", "t.yaml")
    assert result.code == 2
    assert "data: other rows or values there than here" in result.err


def test_fresh_sets_the_old_study_aside_and_loses_nothing(nnzoo: NNZOO) -> None:
    nnzoo("train", "flowers.yaml")
    nnzoo("sweep", "flowers.yaml", "--trials", "2")
    before = {
        path: Path("checkpoints/flowers", path).read_bytes() for path in ("last.pt", "best.yaml")
    }
    result = nnzoo("sweep", "flowers.yaml", "--trials", "1", "--seed", "3", "--fresh")
    assert result.code == 0, result.err
    (aside,) = Path("checkpoints").glob("flowers.sweep.*")
    assert f"the old study was moved to {aside}" in result.err
    assert (aside / "best.yaml").read_bytes() == before["best.yaml"]
    assert {"0", "1"} <= files(aside / "trials") and (aside / "sweep.db").exists()
    # A run under the same name has nothing to do with it.
    assert Path("checkpoints/flowers/last.pt").read_bytes() == before["last.pt"]
    assert len(open_study(config("seed=3"), Path("checkpoints")).records()) == 1
    assert nnzoo("sweep", "flowers.yaml", "--trials", "1", "-s", "name=new", "--fresh").code == 0


def test_fresh_is_refused_while_a_trial_is_made_and_for_a_shared_storage(nnzoo: NNZOO) -> None:
    study = open_study(config(), Path("checkpoints"))
    claim = study.claim()
    assert claim is not None
    result = nnzoo("sweep", "flowers.yaml", "--fresh")
    assert result.code == 5
    assert "another process is making trial 0 of checkpoints/flowers" in result.err
    result = nnzoo("sweep", "flowers.yaml", "--fresh", "-s", "sweep.storage=mysql://u:secret@h/d")
    assert result.code == 2
    assert "--fresh is for a study in its own folder; this one is in mysql://u@h/d" in result.err


def test_trials_of_a_study_that_is_gone_are_not_written_over(nnzoo: NNZOO) -> None:
    nnzoo("sweep", "flowers.yaml", "--trials", "1")
    for left in Path("checkpoints/flowers").glob("sweep.db*"):
        left.unlink()
    result = nnzoo("sweep", "flowers.yaml", "--trials", "1")
    assert result.code == 2
    assert "checkpoints/flowers/trials holds the trials of another study; give this" in result.err
    assert "start over with --fresh" in result.err
    assert nnzoo("sweep", "flowers.yaml", "--trials", "1", "--fresh").code == 0


def test_a_study_of_something_else_is_refused() -> None:
    import optuna

    other = optuna.create_study(storage="sqlite:///x.db", study_name="flowers")
    other.ask()
    with pytest.raises(UsageError, match=r"the study 'flowers' in .*x.db is not one of nnzoo's"):
        open_study(config("sweep.storage=x.db"), Path("out"))


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("mysql://user:secret@nowhere/d", "cannot open the study in mysql://user@nowhere/d: "),
        ("nonsense://x", "cannot open the study in nonsense://x: "),
        ("here.db", "cannot open the study in /.*here.db: "),
    ],
)
def test_a_storage_that_cannot_be_opened_is_one_message(
    storage: str, message: str, nnzoo: NNZOO
) -> None:
    Path("here.db").write_text("this is no database, but long enough to be read as one" * 20)
    result = nnzoo("sweep", "flowers.yaml", "-s", f"sweep.storage={storage}")
    assert (result.code, result.out) == (2, "")
    assert re.match(message, result.err), result.err
    assert "secret" not in result.err and result.err.count("\n") == 1


def test_what_a_study_is_is_said_by_who_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    optuna.create_study(
        storage="sqlite:///x.db", study_name="flowers"
    )  # and died, or is about to say
    monkeypatch.setattr("nnzoo.sweep.open_study.REGISTER_TIMEOUT", 1)
    sets = ("sweep.storage=x.db", "sweep.trials=1")
    first = open_study(config(*sets), Path("a"))
    assert first.is_new and "starting one of 1 trials" in first.notes[-1]
    again = open_study(config(*sets), Path("a"))
    assert not again.is_new and again.site == first.site
    other = open_study(config(*sets), Path("b"))
    assert other.site != first.site


def test_tables_that_another_machine_makes_at_this_moment_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sqlalchemy.exc import IntegrityError

    from nnzoo.sweep import storage as module

    calls = []

    def storage(url: str) -> str:
        calls.append(url)
        if len(calls) < 3:
            raise IntegrityError("CREATE TABLE", {}, Exception("duplicate key"))
        return "opened"

    monkeypatch.setattr(module, "RDBStorage", storage)
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert module._server("mysql://h/d") == "opened"  # type: ignore[comparison-overlap]
    calls[:] = []
    monkeypatch.setattr(module, "RDBStorage", lambda url: storage(calls.clear() or url))  # type: ignore[func-returns-value]
    with pytest.raises(IntegrityError):
        module._server("mysql://h/d")


def test_a_study_of_another_version_is_joined_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    open_study(config(), Path("out"))
    monkeypatch.setattr("nnzoo.sweep.open_study.__version__", "9.9")
    (note, _) = open_study(config(), Path("out")).notes
    assert re.fullmatch(r"the study was created with nnzoo \S+; this is 9.9", note)


def test_a_config_without_a_sweep_or_without_validation_rows_says_what_to_write(
    nnzoo: NNZOO,
) -> None:
    with pytest.raises(UsageError, match="this config has no 'sweep' section; add one"):
        open_study(load_config("cnn"), Path("out"))
    result = nnzoo("sweep", "flowers.yaml", "-s", "data.split.val=0")
    assert result.code == 2
    assert "trials are compared by validation rows; data.split.val is 0" in result.err


@pytest.mark.parametrize("name", ["cnn", "mlp", "rnn", "lstm", "gru", "mlp_csv", "lstm_sine"])
def test_a_config_without_a_sweep_gets_a_space_of_its_model(name: str) -> None:
    plain = load_config(name)
    space = default_space(plain)
    actual = load_config(name, [f"sweep.space={flow_yaml(space)}"])
    assert actual.sweep is not None and list(actual.sweep.options.space) == list(space)
    assert any(key.startswith("model.") for key in space)
    low, high = space["optim.lr"]["low"], space["optim.lr"]["high"]
    assert low < plain.optim.lr < high
    # The text shown can be pasted into the file.
    Path("pasted.yaml").write_text(
        f"data: digits\nmodel: {plain.model.name}\n{section_text(space)}\n"
    )
    pasted = load_config("pasted.yaml").sweep
    assert pasted is not None and pasted.options.space == actual.sweep.options.space


def test_a_sweep_without_a_section_says_what_it_tries_and_what_comes_next(nnzoo: NNZOO) -> None:
    Path("small.yaml").write_text(
        "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1}\n"
    )
    result = nnzoo("sweep", "small.yaml", "--trials", "2")
    assert result.code == 0
    assert "small.yaml has no section 'sweep', so usual values are tried" in result.err
    assert "    optim.lr: {low: 0.0001, high: 0.01, log: true}\n" in result.err
    assert "next: nnzoo train checkpoints/small/best.yaml\n" in result.err
    again = nnzoo("sweep", "small.yaml", "--trials", "2")
    assert "2 of 2 trials finished" in again.err


def test_without_optuna_the_message_says_what_to_install(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    result = nnzoo("sweep", "flowers.yaml")
    assert (result.code, result.err) == (
        2,
        "nnzoo sweep needs optuna: pip install 'nnzoo[sweep]'\n",
    )


def test_a_folder_that_cannot_be_written_is_one_message(nnzoo: NNZOO) -> None:
    Path("file").write_text("")
    result = nnzoo("sweep", "flowers.yaml", "--out", "file/x")
    assert result.code == 5
    assert "cannot write to file/x/flowers" in result.err


# Output and report.


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """A study of many trials, of which only the scores are made up."""
    actual = open_study(config("sweep.trials=18", "sweep.sampler=random"), Path("out"))
    for number in range(16):
        claim = actual.claim()
        assert claim is not None
        row = actual.record(claim)
        value = abs(torch.tensor(row.values["optim.lr"]).log10().item() + 2) + number / 1e3
        state: Any = ("diverged", "failed", "pruned")[number % 3] if number % 5 == 4 else "complete"
        row = replace(
            row,
            state=state,
            epochs=4,
            seconds=1.5,
            reason="too <b>much" if state in ("diverged", "failed") else "",
        )
        if state == "complete":
            row = replace(row, value=value, epoch=3)
        actual.finish(claim, row)
        claim.release()
    finish(actual)
    yield actual


def test_the_live_table_shows_the_last_trials_and_the_best(study: Study) -> None:
    stream = io.StringIO()
    terminal = Console(file=stream, width=110, height=20, force_terminal=True, color_system=None)
    claim = study.claim()
    assert claim is not None
    row = study.record(claim)
    with trials.TrialTable(terminal, study) as shown:
        shown.show(row, epochs=4)
        shown.show(replace(row, epochs=2), score=0.123456)
        terminal.print(shown.table())
    text = stream.getvalue()
    best = study.best()
    assert best is not None
    assert "16 of 18 trials finished" in text
    assert re.search(rf"^ +{best.number} +0\.\d+  complete ★ +3  \d", text, re.M)
    assert re.search(r"^ +16 +0.1235  running +2/4 ", text, re.M)
    assert " lr " in text and "optim.lr" not in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert max(map(len, plain.splitlines())) <= 110


def test_a_narrow_live_table_leaves_out_keys_and_nothing_else(study: Study) -> None:
    stream = io.StringIO()
    terminal = Console(file=stream, width=60, height=20, force_terminal=True, color_system=None)
    with trials.TrialTable(terminal, study) as shown:
        terminal.print(shown.table())
    text = stream.getvalue()
    assert "16 of 18 trials finished (1 more key in the page)" in text and "dropout" not in text
    assert re.search(r"^ +\d+ +0\.\d+  complete", text, re.M)


def test_a_line_a_trial_says_what_it_was_and_how_it_ended(study: Study) -> None:
    lines = [trials.trial_line(study, row, row.number == 0) for row in study.records()]
    assert re.fullmatch(
        r"trial  0/18  complete  val_loss \S+ \(epoch 3\)  optim.lr \S+  model.hidden \[.+\]  "
        r"model.dropout 0(\.\d)?  \*",
        lines[0],
    )
    assert "after 4 epochs" in lines[14] and lines[4].endswith("too <b>much")


def test_keys_are_short_where_that_tells_them_apart() -> None:
    keys = ["optim.lr", "data.augment.shift", "model.dropout", "model.head.dropout"]
    assert list(trials.short_keys(keys).values()) == ["lr", "shift", *keys[2:]]


def text_of(html: str) -> str:
    bare = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


def test_the_page_tells_the_best_what_decides_and_every_trial(study: Study) -> None:
    html = page(study)
    best = study.best()
    assert best is not None
    for section in ("best", "charts", "trials", "repeat"):
        assert f'<section id="{section}">' in html
    shown = text_of(html)
    assert f"Trial {best.number}: val_loss" in shown
    assert "optim.lr" in shown and "0.001 to 0.1, by orders of magnitude" in shown
    assert "0 to 0.4, in steps of 0.1" in shown and "[4], [8, 8]" in shown
    assert html.count("<svg") == 3
    assert "Importance" in shown and "Trials as lines" in shown and "Course" in shown
    assert "too &lt;b&gt;much" in html
    assert len(re.findall(r"(complete|pruned|diverged|failed)( <span|</td>)", html)) == 16
    assert "nnzoo train out/flowers/best.yaml" in shown
    assert set(re.findall(r'(?:src|href)="(?!#)([a-z]+:)', html)) <= {"data:"}
    assert "<script" not in html and "url(http" not in html


def test_the_most_important_key_is_the_one_that_decides(study: Study) -> None:
    chart = re.search(r'aria-label="Importance of each key".*?</svg>', page(study), re.S)
    assert chart is not None
    # The bars are sorted, the largest on top, which is written last.
    assert re.findall(r">(lr|hidden|dropout)<", chart[0])[-1] == "lr"


def test_a_best_value_at_the_edge_is_pointed_out_unless_there_is_nothing_beyond(
    study: Study,
) -> None:
    best = study.best()
    assert best is not None
    from nnzoo.sweep.report import _at_edge

    def edge(key: str, value: float) -> bool:
        return _at_edge(study, replace(best, values=best.values | {key: value}), key)

    assert edge("optim.lr", 0.0999) and edge("optim.lr", 0.001) and not edge("optim.lr", 0.01)
    assert edge("model.dropout", 0.4) and not edge("model.dropout", 0.0)
    assert not edge("model.hidden", 0)


def test_a_page_of_few_trials_leaves_out_what_they_cannot_tell(nnzoo: NNZOO) -> None:
    assert nnzoo("sweep", "flowers.yaml", "--trials", "1").code == 0
    html = Path("checkpoints/flowers/sweep.html").read_text()
    assert html.count("<svg") == 0 and "1 trial of 3 keys" in html
    sets = ("sweep.storage=new.log", "sweep.trials=1")
    empty = open_study(config(*sets), Path("out"))
    claim = empty.claim()
    assert claim is not None
    assert "No trial is complete yet." in text_of(page(empty))


def test_of_very_many_trials_the_best_are_shown(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzoo.sweep.report.MAX_ROWS", 10)
    shown = text_of(page(study))
    assert "The 10 best; 6 more are in the study." in shown


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (380, True)])
def test_a_browser_opens_the_page_without_a_word_and_without_scrolling_sideways(
    width: int, dark: bool, study: Study, tmp_path: Path
) -> None:
    file = Path("page.html")
    file.write_text(page(study))
    with open_page(file, tmp_path / "browser", width=width, dark=dark) as opened:
        assert opened.complaints == []
        assert opened.requests == [file.resolve().as_uri()]
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        drawn = "[...document.querySelectorAll('svg')].map(each => each.getBoundingClientRect().height > 80)"
        assert opened.evaluate(drawn) == [True] * 3


def test_trials_with_tensorboard_write_their_curves() -> None:
    pytest.importorskip("tensorboard")
    study = searched("train.tensorboard=true", "sweep.trials=1")
    assert list((study.folder_of(0) / "tensorboard").iterdir())


def test_rows_say_what_is_known(study: Study) -> None:
    rows = [row.to_dict() for row in study.records()]
    assert rows[0]["state"] == "complete" and "reason" not in rows[0]
    assert rows[4]["reason"] and rows[4]["value"] is None
    assert isinstance(study.records()[0], TrialRecord)
    assert searching.best_config(study, study.records()[0]).name == "flowers-best"


def test_without_optunas_cache_a_study_reads_its_storage_directly() -> None:
    study = open_study(config(), Path("out"))
    assert study.storage is study.optuna_study._storage
    assert cached_backend(object(), study.storage) is study.storage  # type: ignore[arg-type]
    # No other private name of Optuna is used.
    package = Path(open_study.__code__.co_filename).parent
    for path in package.glob("*.py"):
        private = re.findall(
            r"(?:optuna_study|frozen|trial|storage|study)\._[a-z]\w*", path.read_text()
        )
        assert not private, (path.name, private)
