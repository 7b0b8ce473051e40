"""Where a study is kept: an SQLite file, a journal or a database server.

A config file, which may be a stranger's, decides nothing about where is written: what it names lies
below the folder of runs, and every other place is named on the command line.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from sqlalchemy.exc import IntegrityError, ProgrammingError

from nnzoo.config import RunConfig
from nnzoo.config.sweep_space import storage_kind
from nnzoo.errors import ConfigError, UsageError, shell_word
from nnzoo.file_io import file_lock

# Seconds that a process waits for another one's write.
PATIENCE = 120
# Bytes; no line of a journal is longer.
_LONGEST = 1 << 20
# What Optuna's first version of its tables has, and every later one.
_TABLES = {"studies", "trials", "version_info"}


def check_place(config: RunConfig, out: Path) -> None:
    """Raise ConfigError where the config file itself, and not the command line, would have something
    written outside of `out`."""
    assert config.sweep is not None
    storage = config.sweep.options.storage
    if storage == "auto" or config.location("sweep.storage") == "--set":
        return
    inside = storage_kind(storage) != "server" and Path(storage).resolve().is_relative_to(
        out.resolve()
    )
    if not inside:
        raise ConfigError.at(
            "sweep.storage",
            f"a config file may keep a study below {out} alone; for another place name it on the "
            f"command line: -s sweep.storage={shell_word(shown(storage))}",
        )


def open_storage(storage: str, path: Path) -> BaseStorage:
    """The storage that a config names, its file at `path`; raises UsageError where that is not a
    study's."""
    kind = storage_kind(storage)
    if kind == "server":
        if storage.startswith("sqlite"):
            raise UsageError("sweep.storage: for SQLite give the file's path, as in study.db")
        return _server(storage)
    _check_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "journal":
        return JournalStorage(_Journal(path))
    return _sqlite(path)


def shown(storage: str) -> str:
    """A storage as it may be said aloud: a URL without its password."""
    if storage_kind(storage) != "server":
        return storage
    scheme, _, rest = storage.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}{at}{host}"


def _check_file(path: Path) -> None:
    """Raise UsageError where something other than a plain file is there, or a link to one."""
    for each in (path, Path(f"{path}.lock")):
        try:
            mode = os.lstat(each).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            what = "a link" if stat.S_ISLNK(mode) else "no plain file"
            raise UsageError(f"cannot open the study in {path}: {each} is {what}")


class _Journal(JournalFileBackend):
    """A journal that survives a writer which was killed, within a line or holding the lock: Optuna's
    own lock would be waited for for half a minute."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, file_lock(Path(f"{path}.lock"))
        super().__init__(str(path), cast(Any, self.lock))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        for log in super().read_logs(log_number_from):
            if not isinstance(log, dict) or type(log.get("op_code")) is not int:
                raise ValueError("a file of something else: a line of a journal has an op_code")
            yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.lock:  # what is cut short now stays so: nobody else is writing
            size = self.path.stat().st_size
            with self.path.open("rb+") as file:
                file.seek(max(0, size - _LONGEST))
                tail = file.read()
                if tail and not tail.endswith(b"\n"):
                    file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
            super().append_logs(logs)


def _sqlite(path: Path) -> RDBStorage:
    """SQLite that waits for other processes rather than fail, and lets them read meanwhile."""
    # One process at a time: tables that two make at once are made twice.
    with file_lock(Path(f"{path}.lock")):
        _check_tables(path)
        with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        url = f"sqlite:///{path}"
        return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": PATIENCE}})


def _check_tables(path: Path) -> None:
    """Raise ValueError where an SQLite file holds tables, and not a study's; nothing is changed."""
    if not path.exists() or not path.stat().st_size:
        return
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if names and not names >= _TABLES:
        raise ValueError("it is a database of something else")


def _server(url: str) -> RDBStorage:
    """A database server; where another machine makes the same tables at this moment, the next look
    finds them made."""
    for _ in range(20):
        try:
            return RDBStorage(url)
        except (IntegrityError, ProgrammingError) as error:
            failure = error
            time.sleep(0.25)
    raise failure
