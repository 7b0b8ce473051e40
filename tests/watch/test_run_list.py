"""The runs below a folder: all kinds of folders, and what is left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nnzoo.errors import UsageError
from nnzoo.watch import run_list
from nnzoo.watch.run_list import RunList, newest


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "metrics.jsonl").touch()


def names(listed: RunList) -> list[tuple[str, str]]:
    return [(run.name, run.group) for run in listed.runs()]


def test_runs_groups_and_trials_are_found(tmp_path: Path) -> None:
    make(tmp_path, "b", "a", "seeds/seed-10", "seeds/seed-2", "b/trials/0", "search/trials/1")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".old-run").mkdir()
    assert names(RunList(tmp_path)) == [
        ("a", ""),
        ("b", ""),
        ("b/trials/0", "b/trials"),
        ("search/trials/1", "search/trials"),
        ("seeds/seed-2", "seeds"),
        ("seeds/seed-10", "seeds"),
    ]
    assert names(RunList(tmp_path / "a")) == [("a", "")]
    (tmp_path / "seeds" / "summary.json").touch()
    assert names(RunList(tmp_path / "seeds")) == [("seed-2", "seeds"), ("seed-10", "seeds")]


def test_numbers_stay_while_runs_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "INTERVAL", 0.0)
    make(tmp_path, "b")
    listed = RunList(tmp_path)
    (b,) = listed.runs()
    make(tmp_path, "a")
    a, same = listed.runs()
    assert (a.name, same) == ("a", b) and a.number != b.number
    assert listed[b.number] == b
    (tmp_path / "b" / "metrics.jsonl").unlink()
    assert listed.runs() == [a]
    with pytest.raises(LookupError):
        listed[b.number]


def test_the_newest_run_is_the_one_that_changed_last(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    os.utime(tmp_path / "b" / "metrics.jsonl", (1, 1))
    latest = newest(RunList(tmp_path).runs())
    assert latest is not None and latest.name == "a"
    assert newest([]) is None


def test_links_are_left_out_and_said(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    make(secret, "run")
    make(tmp_path / "runs", "a")
    (tmp_path / "runs" / "link").symlink_to(secret / "run")
    (tmp_path / "runs" / "b").mkdir()
    (tmp_path / "runs" / "b" / "trials").symlink_to(secret)
    (tmp_path / "runs" / "c").mkdir()
    (tmp_path / "runs" / "c" / "metrics.jsonl").symlink_to(secret / "run" / "metrics.jsonl")
    listed = RunList(tmp_path / "runs")
    assert names(listed) == [("a", "")]
    assert listed.notes == ["links are left out (2): give the folder itself"]


def test_many_folders_and_runs_are_cut_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs"
    make(folder, *"abcd")
    os.utime(folder / "b" / "metrics.jsonl", (1, 1))
    monkeypatch.setattr(run_list, "MAX_RUNS", 3)
    listed = RunList(folder)
    assert names(listed) == [("a", ""), ("c", ""), ("d", "")]
    assert listed.notes == ["the newest 3 of 4 runs; to see another, give its folder"]
    monkeypatch.setattr(run_list, "MAX_FOLDERS", 2)
    listed = RunList(folder)
    assert len(listed.runs()) == 2
    assert listed.notes == ["only the first 2 folders are looked into"]


def test_a_folder_must_exist_unless_it_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder; give a run folder"):
        RunList(tmp_path / "runs")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        RunList(tmp_path / "file", wait=True)
    assert RunList(tmp_path / "runs", wait=True).runs() == []
