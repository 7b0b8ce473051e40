"""The storage of a study: an SQLite file, a journal file or a database server.

A config file, which may be a stranger's, does not decide where files are written: the storage that it
names must be below the folder of runs; every other place is named on the command line.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from sqlalchemy.exc import IntegrityError, ProgrammingError

from nnzoo.config import RunConfig
from nnzoo.config.sweep_space import storage_kind
from nnzoo.errors import ConfigError, UsageError, shell_word
from nnzoo.file_io import file_lock

# Seconds that a process waits for another one's write.
LOCK_TIMEOUT = 120
# Bytes; no line of a journal is longer.
_MAX_JOURNAL_LINE = 1 << 20
# The tables of Optuna's first version, which every later one has too.
_TABLES = {"studies", "trials", "version_info"}


@dataclass(frozen=True)
class StudyStorage:
    """Optuna's storage; name: for messages; lock: for a storage that cannot decide which of two processes
    came first."""

    backend: BaseStorage
    name: str
    lock: FileLock | None = None


def check_location(config: RunConfig, out: Path) -> None:
    """Raise ConfigError if the config file itself, and not the command line, would have something
    written outside of `out`."""
    assert config.sweep is not None
    storage = config.sweep.options.storage
    if storage == "auto" or config.location("sweep.storage") == "--set":
        return
    is_file = storage_kind(storage) != "server"
    if not (is_file and Path(storage).resolve().is_relative_to(out.resolve())):
        raise ConfigError.at(
            "sweep.storage",
            f"a config file may keep a study below {out} alone; for another place name it on the "
            f"command line: -s sweep.storage={shell_word(storage_name(storage, out))}",
            code="E75",
        )


def open_storage(storage: str, folder: Path) -> StudyStorage:
    """Open the storage that `sweep.storage` names, in `folder` if that is 'auto'; raises UsageError if
    something else is in its place, and whatever Optuna and the database raise."""
    kind = storage_kind(storage)
    name = storage_name(storage, folder)
    if kind == "server":
        if storage.startswith("sqlite"):
            raise UsageError.at(
                "sweep.storage", "for SQLite give the file's path, as in study.db", code="E75"
            )
        return StudyStorage(_server(storage), name)
    path = Path(name)
    _check_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "journal":
        return StudyStorage(JournalStorage(_Journal(path)), name)
    return StudyStorage(_sqlite(path), name, file_lock(Path(f"{path}.lock")))


def storage_name(storage: str, folder: Path) -> str:
    """A storage's file, or its URL without the password."""
    kind = storage_kind(storage)
    if kind == "auto":
        return str(folder / "sweep.db")
    if kind != "server":
        return storage
    scheme, _, rest = storage.partition("://")
    login, separator, host = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}{separator}{host}"


def cached_backend(study: optuna.Study, backend: BaseStorage) -> BaseStorage:
    """The copy of a database that a study keeps in front of it, which reads finished trials only once.

    The only private name of Optuna that nnzoo uses; without it every read goes to the database.
    """
    return getattr(study, "_storage", backend)


def _check_file(path: Path) -> None:
    """Raise UsageError if something other than a plain file is there, or a link to one."""
    for file in (path, Path(f"{path}.lock")):
        try:
            mode = os.lstat(file).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            what = "a link" if stat.S_ISLNK(mode) else "no plain file"
            raise UsageError(f"cannot open the study in {path}: {file} is {what}", code="E75")


class _Journal(JournalFileBackend):
    """A journal that a killed writer leaves usable: a line that was cut short is dropped, and the lock
    is the system's (Optuna's own would block the others for half a minute)."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, file_lock(Path(f"{path}.lock"))
        super().__init__(str(path), cast(Any, self.lock))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        for log in super().read_logs(log_number_from):
            if not isinstance(log, dict) or type(log.get("op_code")) is not int:
                raise ValueError("not a journal of Optuna: a line has no op_code")
            yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.lock:  # a line that is cut short now stays so: nobody else is writing
            size = self.path.stat().st_size
            with self.path.open("rb+") as file:
                file.seek(max(0, size - _MAX_JOURNAL_LINE))
                tail = file.read()
                if tail and not tail.endswith(b"\n"):
                    file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
            super().append_logs(logs)


def _sqlite(path: Path) -> RDBStorage:
    """SQLite that waits for other processes rather than fail, and lets them read meanwhile."""
    # One process at a time: two would create the tables twice.
    with file_lock(Path(f"{path}.lock")):
        _check_tables(path)
        with contextlib.closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        url = f"sqlite:///{path}"
        return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT}})


def _check_tables(path: Path) -> None:
    """Raise ValueError if an SQLite file holds tables, and not a study's; nothing is changed."""
    if not path.exists() or not path.stat().st_size:
        return
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=LOCK_TIMEOUT)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if names and not names >= _TABLES:
        raise ValueError("it is a database, but not a study's")


def _server(url: str) -> RDBStorage:
    """A database server; retried where another machine creates the same tables at this moment."""
    for _ in range(20):
        try:
            return RDBStorage(url)
        except (IntegrityError, ProgrammingError) as error:
            failure = error
            time.sleep(0.25)
    raise failure
