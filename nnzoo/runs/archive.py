"""Moving some of a folder's files out of the way, so that a crash half-way splits them over no two
folders: they are collected in a hidden folder beside them, which gets its name last. As long as that
is there the move is not over, and whoever opens the folder next finishes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

# What a study (`nnzoo sweep`) keeps in the folder of the run that has its name.
STUDY = (
    "trials", "best.yaml", "sweep.html", "sweep.db", "sweep.db-wal", "sweep.db-shm", "sweep.db.lock",
)  # fmt: skip
OLD_RUN, OLD_STUDY = ".old-run", ".old-study"


def free_path(folder: Path, infix: str = "") -> Path:
    """A path beside a folder that is not taken: its name, `infix` and the time."""
    stem = f"{folder.name}{infix}.{datetime.now():%Y%m%d-%H%M%S}"
    path, count = folder.with_name(stem), 1
    while os.path.lexists(path):
        count += 1
        path = folder.with_name(f"{stem}-{count}")
    return path


def files_of_run(folder: Path) -> set[str]:
    """What lies in a folder, but for a study."""
    return {each.name for each in folder.iterdir()} - {*STUDY, OLD_RUN, OLD_STUDY}


def archive_run(folder: Path) -> Path:
    """Move a run out of the way; returns its new path. A study of the same name stays. Raises OSError."""
    target = free_path(folder)
    if any(os.path.lexists(folder / name) for name in (*STUDY, OLD_STUDY)):
        _move(folder, sorted(files_of_run(folder)), OLD_RUN, target)
    else:
        folder.rename(target)
    return target


def archive_study(folder: Path) -> Path:
    """Move a study out of the way; returns its new path. A run of the same name stays. Raises OSError."""
    target = free_path(folder, ".sweep")
    names = [name for name in STUDY if os.path.lexists(folder / name)]
    _move(folder, names, OLD_STUDY, target)
    return target


def _move(folder: Path, names: Iterable[str], hidden: str, target: Path) -> None:
    collected = folder / hidden
    if collected.is_symlink():
        raise OSError(errno.ELOOP, f"{collected} is a link")
    collected.mkdir(exist_ok=True)
    for name in names:
        # One that is there already was moved before a crash; its namesake is newer.
        if not os.path.lexists(collected / name):
            os.replace(folder / name, collected / name)
    collected.rename(target)
