"""`nnzoo runs`: states and results of the runs of a folder, whatever else it holds."""

from __future__ import annotations

import io
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from nnzoo.console import tables
from nnzoo.errors import DivergedError
from nnzoo.runs import run_group
from nnzoo.runs.run_index import scan, sort_runs
from nnzoo.runs.train import train
from nnzoo.training.trainer import StepEnd
from tests.zoo import begin, config, finish

pytestmark = pytest.mark.usefixtures("compiled")


def lines(nnzoo: Any, *words: Any) -> dict[str, dict[str, Any]]:
    result = nnzoo("runs", *words, "--json")
    assert result.code == 0
    return {run["run"]: run for run in result.lines}


def test_states_and_results_are_those_of_the_runs(nnzoo: Any) -> None:
    words = ("train", "-c", "mlp", "-s", "model.hidden=[8]", "-s", "train.epochs=2", "--json")
    end = nnzoo(*words, "-s", "name=done").lines[-1]
    stopped = begin(config("mlp", "image", name="stopped"), out="checkpoints")
    list(train(stopped, lambda: stopped.trainer.state.step == 25))
    stopped.lock.release()
    lost = begin(config("mlp", "image", name="lost"), out="checkpoints")
    with pytest.raises(DivergedError):
        for event in train(lost):
            if isinstance(event, StepEnd) and event.step == 3:
                with torch.no_grad():
                    lost.trainer.parameters[0].fill_(math.nan)
    lost.lock.release()
    lock = FileLock("checkpoints/stopped/.lock")
    actual = lines(nnzoo)
    assert {name: run["state"] for name, run in actual.items()} == {
        "done": "complete",
        "lost": "diverged",
        "stopped": "interrupted",
    }
    with lock:
        assert lines(nnzoo)["stopped"]["state"] == "running"
    done = actual["done"]
    assert done["test_accuracy"] == end["test"]["accuracy"]
    assert (done["best_epoch"], done["best"]) == (end["best"]["epoch"], end["best"]["value"])
    assert (done["epoch"], done["epochs"], done["model"], done["data"]) == (2, 2, "mlp", "digits")
    val = nnzoo("eval", "checkpoints/done", "--split", "val", "--json").json
    assert done["val_accuracy"] == val["accuracy"]
    assert 0 <= done["age"] < 100
    assert (actual["stopped"]["epoch"], actual["stopped"]["best_epoch"]) == (1, 1)
    table = nnzoo("runs").out
    for word in ("done", "complete", "interrupted", "diverged", "val_loss", "2/2", "1/2"):
        assert word in table


def test_a_run_that_goes_on_is_no_longer_what_it_was(nnzoo: Any) -> None:
    finish(begin(config("mlp", "table_classes"), out="checkpoints"))
    assert lines(nnzoo)["run"]["state"] == "complete"
    longer = begin(config("mlp", "table_classes", train={"epochs": 5}), out="checkpoints")
    list(train(longer, lambda: longer.trainer.state.epoch == 3))
    longer.lock.release()
    assert lines(nnzoo)["run"]["state"] == "interrupted"


def test_a_run_that_stopped_early_is_complete(nnzoo: Any) -> None:
    early = {"epochs": 40, "early_stopping": {"patience": 1}}
    rows = finish(
        begin(
            config("mlp", "table_classes", optim={"name": "sgd", "lr": 1.0}, train=early),
            out="checkpoints",
        )
    )
    actual = lines(nnzoo)["run"]
    assert len(rows) < 40
    assert (actual["state"], actual["epoch"], actual["epochs"]) == ("complete", len(rows), 40)


def test_a_group_is_one_run_with_its_members_below(nnzoo: Any) -> None:
    words = ("train", "-c", "mlp", "-s", "model.hidden=[8]", "-s", "train.epochs=1", "--json")
    end = nnzoo(*words, "--seeds", 11).lines[-1]
    group = lines(nnzoo)["mlp-seeds"]
    assert [item["run"] for item in group["members"]] == [f"mlp-seeds/seed-{i}" for i in range(11)]
    messages = end["summary"]["test"]["accuracy"]
    assert group["test_accuracy"] == pytest.approx(messages["mean"])
    assert group["std"]["test_accuracy"] == pytest.approx(messages["std"])
    assert (group["state"], group["complete"]) == ("complete", 11)
    Path("checkpoints/mlp-seeds/seed-3/result.json").unlink()
    Path("checkpoints/mlp-seeds/seed-3/metrics.jsonl").write_text("")
    assert "10 of 11 complete, interrupted" in nnzoo("runs").out
    assert "  seed-3 " in nnzoo("runs").out


def test_a_group_has_the_members_that_were_asked_for(nnzoo: Any) -> None:
    words = ("train", "-c", "mlp", "-s", "model.hidden=[8]", "-s", "train.epochs=1", "-v", 0)
    nnzoo(*words, "--seeds", 2)
    before = lines(nnzoo)["mlp-seeds"]
    nnzoo(*words, "--seeds", 2, "--fresh")  # the old ones lie beside the new
    again = lines(nnzoo)["mlp-seeds"]
    assert len(list(Path("checkpoints/mlp-seeds").glob("seed-*"))) == 4
    assert [item["run"] for item in again["members"]] == [f"mlp-seeds/seed-{i}" for i in (0, 1)]
    assert again["best"] == pytest.approx(before["best"], rel=1e-3)
    nnzoo(*words, "--seeds", 3)
    assert len(lines(nnzoo)["mlp-seeds"]["members"]) == 3
    shutil.rmtree("checkpoints/mlp-seeds/seed-2")  # as if it had been stopped before
    assert "2 of 3 complete, interrupted" in nnzoo("runs").out
    left = nnzoo("eval", "checkpoints/mlp-seeds")
    assert left.code == 0 and "ensemble of 2" in left.out and "(missing)" in left.err
    assert "it is a run itself" in nnzoo("runs", "checkpoints/mlp-seeds/seed-0").err


def test_a_sweep_is_its_best_trial(nnzoo: Any) -> None:
    pytest.importorskip("optuna")
    search = "sweep={trials: 12, grace: 1, space: {optim.lr: {low: 1e-5, high: 0.1, log: true}}}"
    nnzoo("sweep", "mlp", "-s", "model.hidden=[8]", "-s", "train.epochs=3", "-s", search, "-v", 0)
    sweep = lines(nnzoo)["mlp/trials"]
    states = [item["state"] for item in sweep["members"]]
    assert [item["run"] for item in sweep["members"]] == [f"mlp/trials/{i}" for i in range(12)]
    assert set(states) == {"complete", "pruned"} and sweep["state"] == "complete"
    values = [item["best"] for item in sweep["members"] if item["state"] == "complete"]
    assert sweep["best"] == min(values)
    shown = nnzoo("runs").out
    assert f"(trial {sweep['trial']})" in shown and f"{states.count('pruned')} pruned" in shown
    assert list(lines(nnzoo, "checkpoints/mlp/trials")) == [str(i) for i in range(12)]
    first = next(iter(lines(nnzoo, "checkpoints/mlp/trials", "--sort", "best")))
    assert first == sweep["trial"]
    pruned = states.index("pruned")
    Path(f"checkpoints/mlp/trials/{pruned}/last.pt").write_bytes(b"")  # as one that was stopped has
    assert lines(nnzoo)["mlp/trials"]["state"] == "interrupted"


def test_a_narrow_terminal_shows_the_state_and_a_pipe_everything() -> None:
    run = {
        "run": "a" * 30,
        "data": "d" * 20,
        "model": "mlp",
        "epochs": 3,
        "epoch": 3,
        "age": 5.0,
        "state": "complete",
        "best_epoch": 1,
        "monitor": "val_loss",
        "best": 0.5,
        "test_accuracy": 0.25,
    }
    messages = {}
    for terminal in (True, False):
        stream = io.StringIO()
        shown = Console(file=stream, width=60, force_terminal=terminal, color_system=None)
        tables.print_runs(shown, [run], "test_accuracy")
        messages[terminal] = stream.getvalue()
    assert max(map(len, messages[True].splitlines())) <= 60
    assert (
        "0.2500" in messages[True] and "complete" in messages[True] and "ddd" not in messages[True]
    )
    assert all(item in messages[False] for item in ("a" * 30, "d" * 20, "0.2500", "5 s"))


junk = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"{",
            b"[" * 5000,
            b"null",
            b'{"epoch": NaN}',
            b'{"epoch": 1e999, "best": []}',
            b'{"epoch": true}\n',
            b'{"epoch": 3, "val_loss": "x"}\n{"epoch"',
            b'{"best": {"epoch": [1]}, "test": 5, "state": {}}',
            b"train: [1]\ndata: x",
            b"train: {epochs: 9, monitor: [a]}\ndata: {name: {}}",
            b'{"epoch": 1, "val_loss": 1e400}\n',
        ]
    ),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["config.yaml", "metrics.jsonl", "result.json", "last.pt", ".lock"]), junk
    )
)
def test_whatever_lies_there_it_is_listed(nnzoo: Any, files: dict[str, bytes]) -> None:
    folder = Path("checkpoints/strange")
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for key in ("run", "age", "epoch", "state"):
        actual = scan(Path("checkpoints"))
        sort_runs(actual, key) if actual else None
    assert nnzoo("runs").code == 0


def test_what_may_not_be_read_is_listed_too() -> None:
    finish(begin(config("mlp", "table_classes"), out="checkpoints"))
    os.remove("checkpoints/run/config.yaml")
    os.mkdir("checkpoints/run/config.yaml")
    os.remove("checkpoints/run/result.json")
    (run,) = scan(Path("checkpoints"))
    assert (run["state"], run["epoch"], run["data"]) == ("damaged", 2, None)


def test_looking_at_a_lock_does_not_take_it(nnzoo: Any) -> None:
    group = run_group.seeds(config("mlp", "table_classes"), 2, Path("checkpoints"))
    for _ in group.events(torch.device("cpu")):
        assert lines(nnzoo)["run-seeds"]["state"] == "running"
    assert lines(nnzoo)["run-seeds"]["state"] == "complete"
