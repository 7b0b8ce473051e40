"""Storages of studies: journals and databases that are cut, busy, broken or new."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nnzoo.errors import CheckpointError
from nnzoo.sweep.open_study import open_study
from nnzoo.sweep.search import search
from nnzoo.sweep.storage import cached_backend
from tests.sweep.studies import CPU, NNZOO, config, searched

pytestmark = pytest.mark.usefixtures("compiled")


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
