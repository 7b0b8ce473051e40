"""Existing run folders, resumed or moved away, and runs of every kind of target that go on after a kill."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from nnzoo.errors import CheckpointError
from nnzoo.file_io import file_lock
from nnzoo.runs import checkpoint, resume
from nnzoo.runs.run import Run
from nnzoo.runs.run_dir import RunDir
from nnzoo.runs.run_group import Group, folds, seeds
from nnzoo.runs.train import train
from tests.target_data import target_data
from tests.zoo import begin, config, finish, same

CPU = torch.device("cpu")
KINDS = ["labels", "numbers", "image_labels", "image_numbers"]
MLP = {"name": "mlp", "hidden": [6], "dropout": 0.2}
CNN = {"name": "cnn", "channels": [3], "norm": "batch", "dropout": 0.2}
OPTIONS = {"epochs": 3, "batch_size": 16, "save_every": "2 steps"}


def config_of(kind: str, name: str, **split: Any) -> Any:
    data = target_data(kind)
    model = CNN if kind.startswith("image") else MLP
    return config(model, data | ({"split": split} if split else {}), name=name, train=OPTIONS)


def trained(name: str = "run", **more: Any) -> Run:
    run = begin(config({"name": "mlp", "hidden": [4]}, "table_classes", name=name, **more))
    finish(run)
    return run


def lock_of(folder: RunDir) -> FileLock:
    folder.path.mkdir(parents=True, exist_ok=True)
    return file_lock(folder.path / ".lock")


@pytest.mark.parametrize("stop", [3, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_cut_off_ends_with_the_same_bits(kind: str, stop: int) -> None:
    whole = begin(config_of(kind, "whole"))
    rows = finish(whole)
    first = begin(config_of(kind, "parts"))
    for _ in train(first):
        if first.trainer.state.step == stop:
            break
    first.lock.release()
    second = begin(config_of(kind, "parts"))
    assert second.state == "resumed"
    finish(second)
    contents = [checkpoint.load(run.folder.last) for run in (whole, second)]
    for key in ("model", "best_model", "preprocess", "task"):
        assert same(contents[0][key], contents[1][key]), key
    optimizers = [content["trainer"]["optimizer"] for content in contents]
    assert same(*optimizers)
    kept = [
        {key: value for key, value in row.items() if "second" not in key}
        for row in second.folder.rows()
    ]
    assert kept == rows


def run_group(kind: str, name: str, of_folds: bool, stop: int | None = None) -> Group:
    """A group, until its networks have taken `stop` steps, or to the end."""
    if of_folds:
        group = folds(config_of(kind, name, test=0.2), 3, Path("out"))
    else:
        group = seeds(config_of(kind, name), 2, Path("out"))
    events = group.events(CPU)
    for i, _ in enumerate(events):
        if i == stop:
            break
    events.close()
    return group


@pytest.mark.parametrize("of_folds", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_group_that_is_cut_off_ends_with_the_same_bits(kind: str, of_folds: bool) -> None:
    whole = run_group(kind, "whole", of_folds)
    run_group(kind, "parts", of_folds, stop=6)
    parts = run_group(kind, "parts", of_folds)
    assert len(whole.members) == len(parts.members) == (3 if of_folds else 2)
    for ours, theirs in zip(parts.members, whole.members, strict=True):
        contents = [checkpoint.load(member.folder.last) for member in (ours, theirs)]
        assert contents[0]["trainer"]["position"]["epoch"] == 3
        for key in ("model", "best_model", "preprocess", "task"):
            assert same(contents[0][key], contents[1][key]), key


def test_what_resume_asks_for_is_compared_with_the_folder() -> None:
    folder, empty = trained().folder, RunDir(Path("out/none"))
    assert resume.is_resumed(folder, "auto", fresh=False, write=True)
    assert resume.is_resumed(folder, "must", fresh=False, write=False)
    assert not resume.is_resumed(folder, "auto", fresh=True, write=True)
    assert not resume.is_resumed(folder, "auto", fresh=False, write=False)
    assert not resume.is_resumed(empty, "auto", fresh=False, write=True)
    assert not resume.is_resumed(empty, "never", fresh=False, write=True)
    with pytest.raises(CheckpointError, match="--resume must: no checkpoint in out/none"):
        resume.is_resumed(empty, "must", fresh=False, write=True)
    with pytest.raises(CheckpointError, match=r"out/run holds a run.*-s name=run-2"):
        resume.is_resumed(folder, "never", fresh=False, write=True)


def test_weights_alone_are_nothing_to_resume() -> None:
    folder = trained().folder
    shutil.copyfile(folder.best, folder.last)
    lock = lock_of(folder)
    with pytest.raises(CheckpointError, match="holds weights alone, nothing to resume"):
        resume.load_for_resume(folder, lock, write=True)
    assert lock.is_locked
    lock.release()
    with pytest.raises(CheckpointError, match="holds weights alone"):
        resume.load_for_resume(folder, lock, write=False)
    assert not lock.is_locked


def test_the_newest_whole_checkpoint_is_resumed_and_the_damage_named() -> None:
    folder = trained(train={"epochs": 3, "save_every": "1 epochs"}).folder
    content, note = resume.load_for_resume(folder, lock_of(folder), write=False)
    assert content["trainer"]["position"]["epoch"] == 3 and not note
    folder.last.write_bytes(folder.last.read_bytes()[:400])
    shutil.copyfile(folder.best, folder.previous)
    with pytest.raises(CheckpointError, match="weights alone"):
        resume.load_for_resume(folder, lock_of(folder), write=False)
    folder.previous.unlink()
    with pytest.raises(CheckpointError, match=r"is cut short.*nothing to resume"):
        resume.load_for_resume(folder, lock_of(folder), write=False)


def test_a_new_folder_is_taken_and_the_old_run_moved_with_fresh() -> None:
    folder = trained().folder
    before = folder.best.read_bytes()
    lock = lock_of(folder)
    with pytest.raises(CheckpointError, match="another process has just trained in"):
        resume.take_new_folder(folder, lock, fresh=False)
    lock.release()
    (note,) = resume.take_new_folder(folder, lock, fresh=True)
    moved = Path(note.removeprefix("the old run was moved to "))
    assert (moved / "best.pt").read_bytes() == before
    assert lock.is_locked and not folder.holds_run
    lock.release()
    other = RunDir(Path("out/other"))
    other_lock = lock_of(other)
    assert resume.take_new_folder(other, other_lock, fresh=True) == []
    assert other_lock.is_locked
    other_lock.release()


def test_steps_of_this_run_alone_are_counted() -> None:
    run = trained()
    assert resume.steps_in_folder(run.folder, run.network.config) == run.trainer.state.step > 0
    other = trained("other", seed=4)
    assert resume.steps_in_folder(run.folder, other.network.config) == -1
    assert resume.steps_in_folder(RunDir(Path("out/none")), run.network.config) == -1
    run.folder.previous.unlink(missing_ok=True)
    run.folder.last.write_bytes(b"damaged")
    assert resume.steps_in_folder(run.folder, run.network.config) == -1


def test_a_launch_knows_the_runs_that_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained()
    assert not resume.started_by_this_launch(run.folder)
    for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    assert not resume.started_by_this_launch(run.folder)
    run.folder.write_config(run.network.config, {"launch": "mine"})
    assert resume.started_by_this_launch(run.folder)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    run.folder.write_config(run.network.config, {"launch": "none"})
    assert not resume.started_by_this_launch(run.folder)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert resume.started_by_this_launch(run.folder)
