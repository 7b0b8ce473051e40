"""`--fresh`, killed at any instant, leaves the old run or study in one folder once it is run again."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from nnzoo.runs import run_dir
from nnzoo.runs.run_dir import OLD_RUN, RunDir
from tests import zoo

Nnzoo = Callable[..., Any]
CONFIG = """
name: flowers
data: iris
model: {name: mlp, hidden: [4]}
train: {epochs: 1}
sweep: {trials: 1, space: {optim.lr: [0.01]}}
"""
OUT = Path("checkpoints")
RUN = {"last.pt", "best.pt", "config.yaml", "metrics.jsonl", "result.json", ".lock"}
STUDY = {"trials", "best.yaml", "sweep.html", "sweep.db"}


class Killed(BaseException):
    """A stand-in for SIGKILL: nothing behind it is done."""


@contextmanager
def killed_before(number: int) -> Iterator[None]:
    """Die before the n-th change of the file system that moves a folder's files, from 0."""
    calls = itertools.count()

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) == number:
                raise Killed
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", dying(os.replace))
        for name in ("mkdir", "rename"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        yield


def names(path: Path) -> set[str]:
    return {item.name for item in path.iterdir()}


def run_and_study(folder: Path) -> None:
    (folder / "trials" / "0").mkdir(parents=True)
    for name in (RUN | STUDY) - {"trials"}:
        (folder / name).write_text(f"old {name}")


@pytest.mark.parametrize("move", [run_dir.archive_run, run_dir.archive_study])
def test_a_move_that_was_killed_ends_in_one_folder(
    move: Callable[[Path], Path], tmp_path: Path
) -> None:
    moved, kept = (RUN, STUDY) if move is run_dir.archive_run else (STUDY, RUN)
    for number in itertools.count():
        folder = tmp_path / str(number) / "flowers"
        run_and_study(folder)
        try:
            with killed_before(number):
                move(folder)
            break
        except Killed:
            pass
        (folder / ".lock").write_text("new")  # whoever finishes it holds the lock
        target = move(folder)
        assert {target, folder} == set(folder.parent.iterdir())
        assert names(target) == moved
        assert kept <= names(folder) <= kept | {".lock"}
        for name in moved - {"trials", ".lock"}:
            assert (target / name).read_text() == f"old {name}"
    assert number == len(moved) + 2  # a folder made, each moved, the folder named


def test_an_interrupted_fresh_of_a_run_is_finished_by_the_next_start(nnzoo: Nnzoo) -> None:
    Path("flowers.yaml").write_text(CONFIG)
    nnzoo("sweep", "flowers.yaml")
    assert nnzoo("train", "flowers.yaml").code == 0
    weights = Path(OUT, "flowers/last.pt").read_bytes()
    for fresh in ((), ("--fresh",)):
        old = OUT / "flowers" / run_dir.OLD_RUN
        old.mkdir()
        for name in ("best.pt", ".lock", "config.yaml"):  # killed before the others
            os.replace(OUT / "flowers" / name, old / name)
        before = names(OUT)
        result = nnzoo("train", "flowers.yaml", *fresh)
        assert result.code == 0, result.err
        (target,) = names(OUT) - before
        assert "an interrupted --fresh is finished: the old run was moved to" in " ".join(
            result.err.split()
        )
        assert names(OUT / target) >= RUN
        assert Path(OUT, target, "last.pt").read_bytes() == weights
        assert names(OUT / "flowers") >= RUN | STUDY
        weights = Path(OUT, "flowers/last.pt").read_bytes()
    assert RunDir(OUT / "flowers").finish_archive(None) == []  # type: ignore[arg-type]


def test_an_interrupted_fresh_of_a_study_is_finished_by_the_next_start(nnzoo: Nnzoo) -> None:
    Path("flowers.yaml").write_text(CONFIG)
    assert nnzoo("sweep", "flowers.yaml").code == 0
    for fresh in ((), ("--fresh",)):
        old = OUT / "flowers" / run_dir.OLD_STUDY
        old.mkdir()
        for name in ("trials", "best.yaml"):  # killed before sweep.db
            os.replace(OUT / "flowers" / name, old / name)
        before = names(OUT)
        result = nnzoo("sweep", "flowers.yaml", *fresh)
        assert result.code == 0, result.err
        (target,) = names(OUT) - before
        text = " ".join(result.err.split())
        assert "an interrupted --fresh is finished: the old study was moved to" in text
        assert "starting one of 1 trials" in text
        assert names(OUT / target) >= STUDY and "0" in names(OUT / target / "trials")


def test_a_link_in_place_of_the_collecting_folder_is_not_followed(tmp_path: Path) -> None:
    run_and_study(tmp_path / "flowers")
    (tmp_path / "elsewhere").mkdir()
    for name, move in (
        (run_dir.OLD_RUN, run_dir.archive_run),
        (run_dir.OLD_STUDY, run_dir.archive_study),
    ):
        (tmp_path / "flowers" / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="is a link"):
            move(tmp_path / "flowers")
    assert names(tmp_path / "elsewhere") == set()


def test_an_interrupted_fresh_start_that_another_process_finishes_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = zoo.begin(zoo.config("mlp", "image")).folder
    old_run = folder.path / OLD_RUN
    old_run.mkdir()
    monkeypatch.setattr(RunDir, "acquire", lambda self, lock: old_run.rmdir())
    assert folder.finish_archive(FileLock(folder.path / "other.lock")) == []
