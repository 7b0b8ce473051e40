"""The state of a run: incremental, bounded, and right whatever its files hold."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from nnzoo import file_io
from nnzoo.runs.run_dir import RunDir
from nnzoo.watch import run_state
from nnzoo.watch.run_state import RunState

CONFIG = """name: r
data: {name: csv}
model: {name: mlp}
optim: {name: adam}
train: {epochs: 10, monitor: val_loss, early_stopping: {patience: 3}}
"""


@pytest.fixture
def state(tmp_path: Path) -> RunState:
    folder = RunDir(tmp_path / "run")
    folder.path.mkdir()
    folder.config.write_text(CONFIG)
    return RunState(folder.path)


def add(state: RunState, *epochs: int, **values: Any) -> None:
    for epoch in epochs:
        RunDir(state.path).append_metrics({"epoch": epoch, "train_loss": 1 / epoch, **values})


def epochs(state_now: dict[str, Any]) -> list[int]:
    return [row["epoch"] for row in state_now["rows"]]


def test_only_new_rows_are_sent_and_read(state: RunState, monkeypatch: pytest.MonkeyPatch) -> None:
    add(state, 1, 2)
    state_now = state.snapshot()
    assert (epochs(state_now), state_now["total"], state_now["generation"]) == ([1, 2], 2, 0)
    add(state, 3)
    sizes: list[int] = []
    read = file_io.read_plain

    def counted(path: Path, *arguments: Any, **options: Any) -> bytes:
        data = read(path, *arguments, **options)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(run_state, "read_plain", counted)
    assert epochs(state.snapshot(2, 0)) == [3]
    line = len(json.dumps({"epoch": 3, "train_loss": 1 / 3})) + 1
    assert sizes == [run_state.OVERLAP + line]
    assert epochs(state.snapshot(3, 0)) == [] and len(sizes) == 1


def test_a_line_that_is_being_written_waits(state: RunState) -> None:
    add(state, 1)
    with RunDir(state.path).metrics.open("a") as file:
        file.write('{"epoch": 2, "train')
        file.flush()
        assert epochs(state.snapshot()) == [1]
        file.write('_loss": 0.5}\n')
    assert state.snapshot(1, 0)["rows"] == [{"epoch": 2, "train_loss": 0.5}]


def test_rows_that_were_taken_back_are_sent_again(state: RunState) -> None:
    add(state, 1, 2, 3)
    state.snapshot()
    file_io.write(RunDir(state.path).metrics, b'{"epoch": 1, "train_loss": 1.0}\n')
    add(state, 2)
    state_now = state.snapshot(3, 0)
    assert (state_now["generation"], state_now["start"], epochs(state_now)) == (1, 0, [1, 2])
    # In place, and longer than before.
    RunDir(state.path).metrics.write_text(
        "".join(f'{{"epoch": {i}, "x": 1}}\n' for i in range(5, 15))
    )
    state_now = state.snapshot(2, 1)
    assert (state_now["generation"], epochs(state_now)) == (2, list(range(5, 15)))
    RunDir(state.path).metrics.unlink()
    assert state.snapshot(10, 2)["total"] == 0


def test_many_rows_come_in_parts(state: RunState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_state, "MAX_ROWS", 2)
    add(state, 1, 2, 3)
    assert epochs(state.snapshot(0, 0)) == [1, 2]
    assert epochs(state.snapshot(2, 0)) == [3]


def test_numbers_alone_are_passed_on(state: RunState) -> None:
    RunDir(state.path).metrics.write_text(
        '{"epoch": 1, "train_loss": NaN, "val_loss": Infinity, "name": "<script>", "list": [1], '
        '"flag": true, "gradient_norms": {"0": 1.5, "1": "x"}, "gradient_norm": null}\n'
        "broken\n"
        '{"epoch": "2"}\n'
    )
    state_now = state.snapshot()
    expected = {"epoch": 1, "train_loss": None, "val_loss": None, "gradient_norms": {"0": 1.5}}
    assert (state_now["rows"], state_now["bad"]) == ([expected], 2)


def test_a_line_without_end_is_read_once(state: RunState, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = state.path / "metrics.jsonl"
    metrics.write_bytes(b'{"epoch": 1}\n' + bytes(run_state.MAX_LINE + 1))
    assert epochs(state.snapshot()) == [1]
    monkeypatch.setattr(run_state, "read_plain", None)  # which would fail
    assert state.snapshot()["total"] == 1


def test_config_result_warnings_and_progress_are_read(state: RunState) -> None:
    folder = RunDir(state.path)
    folder.write_result(
        {"state": "complete", "best": {"epoch": 2}, "test": {"rmse": 0.5, "x": "y"}}
    )
    row = {"epoch": 1, "code": "W03", "kind": "vanishing", "layer": "0", "message": "m" * 1000}
    (folder.path / "warnings.jsonl").write_text(json.dumps(row) + "\n")
    state_now = state.snapshot()
    assert state_now["config"] == {
        "name": "r",
        "model": "mlp",
        "data": "csv",
        "optim": "adam",
        "epochs": 10,
        "monitor": "val_loss",
        "stops_early": True,
    }
    assert state_now["result"] == {"state": "complete", "best": {"epoch": 2}, "test": {"rmse": 0.5}}
    (warning,) = state_now["warnings"]
    assert (warning["code"], len(warning["message"])) == ("W03", run_state.MAX_TEXT)
    assert state_now["state"] == "complete"
    assert state.summary() == {"model": "mlp", "data": "csv", "state": "complete"}


def progress(step: int, seconds: float) -> str:
    values = {"epoch": 1, "step_in_epoch": step, "steps_per_epoch": 10, "step": step, "steps": 100}
    return json.dumps(values | {"time": seconds, "loss": 2.0})


def test_a_run_that_trains_has_progress_and_a_time_left(state: RunState) -> None:
    with FileLock(state.path / ".lock"):
        state_now = state.snapshot()
        assert (state_now["state"], state_now["left"], state_now["progress"]) == (
            "training",
            None,
            None,
        )
        RunDir(state.path).progress.write_text(progress(4, 100.0))
        assert state.snapshot()["left"] is None  # nothing to go by yet
        RunDir(state.path).progress.write_text(progress(8, 102.0))
        state_now = state.snapshot()
        assert state_now["progress"]["step_in_epoch"] == 8
        assert state_now["left"] == pytest.approx(92 * 0.5)
        add(state, 1, seconds=20.0, step=10)
        assert state.snapshot()["left"] == pytest.approx(90 * 2.0)
        add(state, 2, 3, seconds=20.0)
        assert state.snapshot()["left"] == pytest.approx(92 * 2.0)
        RunDir(state.path).progress.unlink()
        assert state.snapshot()["left"] == pytest.approx(7 * 20.0)
        RunDir(state.path).config.write_text(CONFIG.replace("epochs: 10, ", ""))
        assert state.snapshot()["left"] is None
    assert state.snapshot()["progress"] is None


def test_without_locks_a_run_trains_while_its_files_change(
    state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(state, 1)
    os.utime(RunDir(state.path).metrics, (1, 1))
    os.utime(RunDir(state.path).config, (1, 1))
    state_now = state.snapshot()
    assert state_now["state"] == "interrupted" and state_now["news"] > 1e9
    add(state, 2)
    os.utime(RunDir(state.path).metrics, (5, 5))  # the other machine's clock is wrong
    state_now = state.snapshot()
    assert state_now["state"] == "training" and state_now["news"] < 5
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2 * run_state.FRESH)
    assert state.snapshot()["state"] == "interrupted"
    add(state, 10)
    assert state.snapshot()["state"] == "complete"


def test_a_history_is_known_by_its_size(state: RunState) -> None:
    assert state.snapshot()["history"] == 0
    RunDir(state.path).history.mkdir()
    (RunDir(state.path).history / "start.pt").write_bytes(b"1234")
    assert state.snapshot()["history"] == 4
    (RunDir(state.path).history / "weights.bin").write_bytes(b"12")
    assert state.snapshot()["history"] == 6
    before = state.snapshot()["history_start"]
    assert before and state.snapshot()["history_start"] == before
    (RunDir(state.path).history / "start.pt").rename(state.path / "old.pt")
    (RunDir(state.path).history / "start.pt").write_bytes(b"4321")
    assert state.snapshot()["history_start"] not in ("", before)


def test_hostile_files_give_nothing(state: RunState, tmp_path: Path) -> None:
    folder, secret = RunDir(state.path), tmp_path / "secret"
    secret.write_text('{"epoch": 1, "password": 12345}\n')
    folder.metrics.symlink_to(secret)
    os.mkfifo(folder.progress)
    os.mkfifo(folder.path / "warnings.jsonl")
    folder.result.symlink_to(secret)
    folder.config.write_text("train: [1, 2")
    (tmp_path / "start.pt").touch()
    folder.history.symlink_to(tmp_path)
    state_now = state.snapshot()
    assert state_now | {"news": None} == {
        "generation": 0,
        "start": 0,
        "total": 0,
        "rows": [],
        "bad": 0,
        "state": "interrupted",
        "epoch": 0,
        "news": None,
        "config": {},
        "result": {},
        "warnings": [],
        "progress": None,
        "left": None,
        "history": 0,
        "history_start": "",
    }


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"epoch": 1}', '{"steps": "x"}', "[" * 100_000, progress(1, 1e400)]
)
def test_odd_progress_is_none(state: RunState, text: str) -> None:
    RunDir(state.path).progress.write_text(text)
    with FileLock(state.path / ".lock"):
        assert state.snapshot()["progress"] is None


def test_files_that_are_too_large_are_left_out(state: RunState) -> None:
    RunDir(state.path).result.write_bytes(b"1" * 3_000_000)
    assert state.snapshot()["result"] == {}


def test_a_folder_without_files_has_no_news(tmp_path: Path) -> None:
    assert RunState(tmp_path / "gone").snapshot()["news"] is None
