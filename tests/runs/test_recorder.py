"""The record of a run in training: as that of a run left alone after any interruption, and never in its way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nnzoo import file_io
from nnzoo.errors import CheckpointError, DivergedError
from nnzoo.runs import recorder
from nnzoo.runs.history import History
from nnzoo.runs.run import Run
from nnzoo.runs.run_dir import RunDir
from nnzoo.runs.run_group import seeds
from nnzoo.runs.train import PROGRESS_SECONDS, train
from nnzoo.status import listening
from nnzoo.training.trainer import StepEnd
from tests.zoo import MODELS, begin, config, finish

# Ten sigmoid layers, whose first ones get no gradient.
DEEP = {"name": "mlp", "hidden": [8] * 10, "activation": "sigmoid"}
RUN = RunDir(Path("out/run"))


def epochs(path: str | Path = "out/run") -> list[int] | None:
    history = History.open(RunDir(Path(path)))
    return None if history is None else history.epochs


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder, "history").iterdir())}


def stop_after(run: Run, steps: int) -> None:
    """Train until the run has taken so many steps; it is then saved."""
    for _ in train(run, lambda: run.trainer.state.step >= steps):
        pass
    run.lock.release()


class Notices:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)

    def status(self, *_: Any) -> Any:
        raise AssertionError


def test_a_run_that_was_stopped_has_the_record_of_one_left_alone() -> None:
    options = {"epochs": 6, "history": 7, "batch_size": 256}
    finish(begin(config(DEEP, train=options), "alone"))
    warnings = [
        json.loads(line) for line in Path("alone/run/warnings.jsonl").read_text().splitlines()
    ]
    assert [(row["epoch"], row["code"], row["kind"]) for row in warnings] == [
        (1, "W03", "vanishing")
    ]
    assert warnings[0]["layer"] and "barely train" in warnings[0]["message"]
    for steps in (2, 9, 20, 25):  # of 30
        stop_after(begin(config(DEEP, train=options)), steps)
    # As after a kill: what the last checkpoint does not know of, and half a record.
    with open("out/run/history/weights.bin", "ab") as file:
        file.write(files("alone/run")["weights.bin"][-700:])
    with open("out/run/warnings.jsonl", "a") as file:
        file.write('{"epoch": 5, "kind": "dead", "layer": "1"}\n{"epoch"')
    finish(begin(config(DEEP, train=options)))
    assert files("out/run") == files("alone/run")
    assert RUN.findings() == warnings
    assert not RUN.progress.exists()


def test_more_epochs_thin_out_what_is_there() -> None:
    finish(begin(config(train={"epochs": 6, "history": 5})))
    assert epochs() == [0, 1, 2, 3, 6]
    finish(begin(config(train={"epochs": 12, "history": 5})))
    assert epochs() == [0, 1, 3, 7, 12]
    history = History.open(RUN)
    assert history is not None and all(history.state_dict(epoch) for epoch in history.epochs)


def test_another_number_of_epochs_is_the_same_run_and_none_keeps_none() -> None:
    stop_after(begin(config(train={"epochs": 3, "history": 4, "batch_size": 300})), 6)
    assert epochs() == [0, 1]
    stop_after(begin(config(train={"epochs": 3, "history": "none", "batch_size": 300})), 11)
    assert epochs() == [0, 1]
    finish(begin(config(train={"epochs": 3, "history": "none"}, name="without")))
    assert not Path("out/without/history").exists()
    Path("out/without/last.pt").unlink()
    Path("out/without/previous.pt").unlink(missing_ok=True)
    Path("out/without/best.pt").unlink()
    # A run that was killed before its first checkpoint leaves its start behind.
    begin(config(train={"history": 4}, name="without")).lock.release()
    assert epochs("out/without") == [0]
    finish(begin(config(train={"history": "none"}, name="without")))
    assert epochs("out/without") is None


def test_automatic_histories_stop_where_they_cost_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_COST", 1e9)
    finish(begin(config(train={"epochs": 60, "batch_size": 2000}), "all"))
    kept = epochs("all/run")
    assert kept is not None and len(kept) == 50 and kept[:5] == [0, 1, 2, 3, 4] and kept[-1] == 60
    monkeypatch.setattr(recorder, "MAX_COST", 0.0)
    finish(begin(config(train={"epochs": 5}), "last"))
    assert epochs("last/run") == [0, 5]
    monkeypatch.setattr(recorder, "MAX_BYTES", 3 * 4700)  # of 4,840 bytes of weights
    run = begin(config(train={"epochs": 5}), "large")
    assert not any("history" in note for note in run.notes)
    finish(run)
    monkeypatch.setattr(recorder, "MAX_BYTES", 4700)
    run = begin(config(train={"epochs": 5}), "none")
    assert [note for note in run.notes if "no history for nnzoo watch" in note]
    finish(run)
    assert epochs("none/run") is None


def test_the_first_epochs_may_use_a_tenth_of_the_whole_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "MAX_COST", 0.005)
    budget = recorder._Budget(epochs=100, first_cost=0.001)
    allowed = []
    for epoch in range(1, 101):
        budget.add_epoch(0.1)
        if budget.allows(epoch == 100):
            budget.add_record(0.001)
            allowed.append(epoch)
    # 10 s in all: 5 ms at once, and 0.4 ms per epoch; a millisecond is left for epoch 100.
    assert allowed[:7] == [1, 2, 3, 4, 5, 6, 8] and allowed[-1] == 100
    assert sum(budget.times) <= 0.005 * budget.trained
    # A record that had to wait for a processor does not end the recording; a slow disk does.
    budget.times[-1] = 1.0
    budget.add_epoch(1.0)
    assert budget.allows(False)
    budget.times += [1.0] * len(budget.times)
    assert not budget.allows(False)


def test_members_of_groups_leave_a_history_only_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for history in ("auto", 3):
        group = seeds(
            config(DEEP, train={"epochs": 2, "history": history}), 2, Path(f"out-{history}")
        )
        for _ in group.events(begin(config(), write=False).network.device):
            pass
        for seed in (0, 1):
            folder = RunDir(group.path / f"seed-{seed}")
            assert epochs(folder.path) == (None if history == "auto" else [0, 1, 2])
            assert [row["code"] for row in folder.findings()] == ["W03"]
            assert not folder.progress.exists()


def test_progress_is_written_by_the_clock_and_removed_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("nnzoo.runs.train.time.monotonic", lambda: clock[0])
    run = begin(config(train={"epochs": 2, "batch_size": 256, "save_every": "1 epoch"}))
    seen = []
    for event in train(run):
        if isinstance(event, StepEnd):
            seen.append(json.loads(RUN.progress.read_text())["step"])
            clock[0] += PROGRESS_SECONDS / 2
    assert seen == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9]
    assert not RUN.progress.exists()
    run.lock.release()


def test_progress_names_the_step_and_the_loss_so_far() -> None:
    run = begin(config(train={"epochs": 2, "batch_size": 256}))
    events = train(run)
    next(events)
    progress = json.loads(RUN.progress.read_text())
    loss = run.trainer.running_loss.compute()["loss"]
    expected = {
        "epoch": 1,
        "step_in_epoch": 1,
        "steps_per_epoch": 5,
        "step": 1,
        "steps": 10,
        "loss": loss,
    }
    assert {key: progress[key] for key in expected} == expected
    # As a kill leaves it.
    left = RUN.progress.read_bytes()
    events.close()
    RUN.progress.write_bytes(left)
    Path("out/run/progress.json.tmp").touch()
    run.lock.release()
    run = begin(config(train={"epochs": 2, "batch_size": 256}))
    assert not {"progress.json", "progress.json.tmp"} & set(os.listdir("out/run"))
    run.lock.release()


def test_a_full_disk_ends_the_record_with_one_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    append = file_io.append

    def full(path: Path, data: bytes) -> None:
        if path.name == "weights.bin" and path.exists():
            append(path, data[:100])
            raise CheckpointError(f"cannot write {path}: No space left on device")
        append(path, data)

    monkeypatch.setattr(file_io, "append", full)
    listener: Any = Notices()
    run = begin(config(DEEP, train={"epochs": 4, "history": 5}))
    with listening(listener):
        rows = finish(run)
    assert len(rows) == 4 and run.trainer.finished
    (text,) = listener.texts
    assert text.startswith(
        "training continues without the history of the weights for nnzoo watch: cannot"
    )
    assert "No space left on device" in text
    assert epochs() == [0, 1]
    assert Path("out/run/history/weights.bin").stat().st_size % 2 == 0


def test_a_history_that_cannot_be_started_or_continued_is_a_note() -> None:
    Path("out/run").mkdir(parents=True)
    Path("out/run/history").write_text("a file")
    run = begin(config(train={"history": 3}))
    assert any(note.startswith("training continues without the history") for note in run.notes)
    finish(run)
    options = {"epochs": 2, "history": 3, "batch_size": 300}
    stop_after(begin(config(train=options), "damaged"), 6)
    Path("damaged/run/history/start.pt").write_text("no checkpoint")
    run = begin(config(train=options), "damaged")
    assert any("start.pt" in note for note in run.notes)
    finish(run)
    assert run.trainer.finished


def test_runs_without_a_history_resume_without_one() -> None:
    options = {"epochs": 2, "history": 3, "batch_size": 300}
    stop_after(begin(config(train=options)), 6)
    for name in ("start.pt", "weights.bin"):
        Path("out/run/history", name).unlink()
    os.rmdir("out/run/history")
    run = begin(config(train=options))
    assert run.state == "resumed"
    finish(run)
    assert epochs() is None


def test_a_dry_run_leaves_nothing() -> None:
    run = begin(config(), write=False)
    assert run.recorder is None
    assert not Path("out").exists()


def test_a_divergence_is_a_warning_with_its_reason() -> None:
    run = begin(config(optim={"name": "sgd", "lr": 1e20}, train={"epochs": 3, "batch_size": 300}))
    with pytest.raises(DivergedError):
        finish(run)
    row = RUN.findings()[-1]
    assert (row["epoch"], row["code"], row["kind"]) == (1, DivergedError.code, "diverged")
    assert "is not a finite number" in row["message"] and "try a lower optim.lr" in row["message"]


def test_fresh_moves_the_record_with_the_run() -> None:
    finish(begin(config(DEEP, train={"epochs": 2, "history": 3})))
    run = begin(config(MODELS["mlp"], train={"history": 3}), fresh=True)
    (old,) = (path for path in Path("out").iterdir() if path.name != "run")
    assert epochs(old) == [0, 1, 2] and epochs() == [0]
    assert (old / "warnings.jsonl").exists() and not RUN.warnings.exists()
    run.lock.release()
