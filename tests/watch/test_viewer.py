"""The endpoints of the page: runs, states, frames, and errors in words."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nnzoo.watch import run_list, viewer
from nnzoo.watch.viewer import Viewer


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in [folder, *folder.rglob("*")]
    }


def test_everything_is_answered_and_nothing_is_written(run_folder: Path) -> None:
    before = files(run_folder)
    endpoints = Viewer(run_folder).endpoints
    listed = endpoints["runs"]({})
    assert [run["name"] for run in listed["runs"]] == ["book", "cloud", "digits"]
    assert [run["model"] for run in listed["runs"]] == ["lstm", "mlp", "cnn"]
    assert listed["newest"] == listed["runs"][0]["number"] and listed["notes"] == []
    for run in listed["runs"]:
        which = {"run": run["number"]}
        assert len(endpoints["state"](which)["rows"]) == 4
        assert endpoints["samples"](which)["shown"] > 1
        assert len(endpoints["epochs"](which | {"start": 0})["known"]) == 5
        assert endpoints["frame"](which | {"epoch": 1, "row": 1})["row"] == 1
    assert files(run_folder) == before


@pytest.mark.parametrize("name", ["state", "samples", "epochs", "frame"])
def test_a_run_that_there_is_not_is_not_found(run_folder: Path, name: str) -> None:
    for parameters in ({}, {"run": 99, "epoch": 1}):
        with pytest.raises(LookupError):
            Viewer(run_folder).endpoints[name](parameters)


def test_damaged_and_missing_histories_are_errors_in_words(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "INTERVAL", 0.0)
    folder = tmp_path / "runs" / "run"
    shutil.copytree(run_folder / "cloud", folder)
    endpoints = Viewer(tmp_path / "runs").endpoints
    assert "error" not in endpoints["samples"]({"run": 0})
    weights = folder / "history" / "weights.bin"
    data = weights.read_bytes()
    weights.write_bytes(data[:-7])
    course = endpoints["epochs"]({"run": 0})
    assert (course["recorded"], course["damage"]) == ([0, 1, 2, 3], None)
    weights.write_bytes(data[:-7] + b"damaged")
    shutil.copy(folder / "history" / "start.pt", folder / "history" / "other.pt")
    os.replace(folder / "history" / "other.pt", folder / "history" / "start.pt")
    course = endpoints["epochs"]({"run": 0})
    assert course["recorded"] == [record["epoch"] for record in course["known"]] == [0, 1, 2, 3]
    assert "the weights of epoch 4 are damaged" in course["damage"]
    start = folder / "history" / "start.pt"
    start.write_bytes(start.read_bytes()[:-100])
    assert "is cut short" in endpoints["samples"]({"run": 0})["error"]
    shutil.rmtree(folder / "history")
    assert endpoints["samples"]({"run": 0}) == {"error": "no history"}
    (folder / "history").symlink_to(run_folder / "cloud" / "history")
    assert "is a link" in endpoints["samples"]({"run": 0})["error"]


def test_few_histories_stay_open(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "MAX_OPEN", 1)
    watched = Viewer(run_folder)
    for run in (0, 1, 0):
        watched.samples({"run": run})
    assert list(watched._frames) == [0]


def test_torch_is_loaded_for_frames_alone(run_folder: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from nnzoo.watch.serve import Loader, give_way, open_server\n"
        "loader = Loader()\n"
        "loader.start()\n"
        "give_way()\n"
        f"server = open_server(Path({str(run_folder)!r}), load=loader.load)\n"
        "endpoints = server.endpoints\n"
        "endpoints['runs']({}), endpoints['state']({'run': 0})\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'matplotlib', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import os\n"
        "nice = [os.getpriority(os.PRIO_PROCESS, thread) for thread in (0, loader.native_id)]\n"
        "print(*nice, os.environ['OMP_NUM_THREADS'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("19 0 1\n", "")


def test_a_run_that_was_removed_is_gone_in_words(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "INTERVAL", 0.0)
    shutil.copytree(run_folder / "cloud", tmp_path / "runs" / "run")
    endpoints = Viewer(tmp_path / "runs").endpoints
    assert endpoints["state"]({"run": 0})["epoch"] == 4
    shutil.rmtree(tmp_path / "runs" / "run")
    assert endpoints["state"]({"run": 0}) == {"gone": True}
    assert endpoints["frame"]({"run": 0, "epoch": 1}) == {"error": "the run folder is gone"}


def test_folders_without_permission_hide_no_other_run(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "INTERVAL", 0.0)
    runs = tmp_path / "runs"
    for name in ("closed", "open"):
        shutil.copytree(run_folder / "cloud", runs / name)
    closed = [runs / "closed", runs / "open" / "history"]
    stat, scandir, lstat = os.stat, os.scandir, os.lstat

    def guard(path: Any) -> Any:
        """As for a user who may not enter these folders."""
        if isinstance(path, str | os.PathLike) and any(p in Path(path).parents for p in closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return path

    monkeypatch.setattr(os, "stat", lambda path, **options: stat(guard(path), **options))
    monkeypatch.setattr(os, "lstat", lambda path, **options: lstat(guard(path), **options))
    monkeypatch.setattr(os, "scandir", lambda path: scandir(guard(path / "x").parent))
    endpoints = Viewer(runs).endpoints
    listed = endpoints["runs"]({})
    assert [run["name"] for run in listed["runs"]] == ["open"]
    assert listed["notes"] == ["folders that may not be read are left out: closed"]
    assert endpoints["state"]({"run": 0})["history"] == 0
    start = runs / "open" / "history" / "start.pt"
    for name in ("samples", "epochs"):
        assert endpoints[name]({"run": 0}) == {"error": f"cannot read {start}: Permission denied"}
