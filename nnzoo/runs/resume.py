"""Decisions on an existing run folder: which run it holds, whether to resume it, and taking a new one."""

from __future__ import annotations

from typing import Any, Literal

from filelock import FileLock

from nnzoo.config import RunConfig
from nnzoo.config.run_config import from_dict
from nnzoo.distributed import RESTART_WAIT, restart_count, torchrun_id
from nnzoo.errors import CheckpointError, NnzooError
from nnzoo.file_io import file_lock
from nnzoo.runs.config_diff import config_diff, free_name, inherit_auto_values
from nnzoo.runs.run_dir import RunDir
from nnzoo.text import Note

Resume = Literal["auto", "must", "never"]


def started_by_this_launch(folder: RunDir) -> bool:
    """Whether this launch of torchrun, before a restart, has trained in the folder."""
    launch = torchrun_id()  # "none" without a name: then its count of restarts decides
    if launch is None or (launch == "none" and not restart_count()):
        return False
    return folder.was_started_by(launch)


def steps_in_folder(folder: RunDir, config: RunConfig) -> int:
    """Return how many steps of this run the folder on this machine holds; -1 if it does not hold it."""
    try:
        content, _ = folder.load()
        stored = from_dict(content["config"], str(folder.last))
        is_other = config_diff(stored, inherit_auto_values(config, stored))
        return -1 if is_other else int(content["trainer"]["position"]["step"])
    except (NnzooError, LookupError, TypeError, ValueError):
        return -1  # reported by the main rank, if this is it


def is_resumed(folder: RunDir, resume: Resume, fresh: bool, write: bool) -> bool:
    """Whether the folder holds a run to resume; raises CheckpointError if that contradicts --resume."""
    resuming = folder.holds_run and not fresh and (write or resume == "must")
    if resume == "must" and not resuming:
        raise CheckpointError(f"--resume must: no checkpoint in {folder.path}", code="E67")
    if resume == "never" and resuming:
        raise CheckpointError(
            f"--resume never: {folder.path} holds a run; use another name "
            f"(-s name={free_name(folder.path)}), or --fresh to start over (the old folder is kept)",
            code="E67",
        )
    return resuming


def load_for_resume(folder: RunDir, lock: FileLock, write: bool) -> tuple[dict[str, Any], str]:
    """Load the newest checkpoint, with the folder locked if it is to be written; see `RunDir.load`."""
    if write:
        folder.acquire(lock, RESTART_WAIT if restart_count() else 0)
    content, note = folder.load()
    if "trainer" not in content:
        raise CheckpointError(
            f"{folder.last} holds weights alone, nothing to resume; --fresh starts over "
            f"and keeps {folder.path} under another name",
            code="E67",
        )
    return content, note


def take_new_folder(folder: RunDir, lock: FileLock, fresh: bool) -> list[str]:
    """Lock the folder of a new run; with `fresh` an existing run is moved away first. Returns notes."""
    notes: list[str] = []
    if fresh and not folder.is_empty:
        old_lock = file_lock(folder.path / ".lock")
        folder.acquire(old_lock)
        notes.append(Note("N32", f"the old run was moved to {folder.archive()}"))
        old_lock.release()
    folder.acquire(lock, RESTART_WAIT if restart_count() else 0)
    if folder.holds_run:
        raise CheckpointError(
            f"another process has just trained in {folder.path}; run the same command again to resume",
            code="E63",
        )
    return notes
