"""The runs below a folder, with numbers that stay the same while others come and go."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nnzoo.errors import UsageError
from nnzoo.file_io import SUMMARY
from nnzoo.runs.run_index import MARKS
from nnzoo.text import Note, shorten

MAX_RUNS = 300
# Folders that are looked into, and seconds between two looks.
MAX_FOLDERS = 5_000
INTERVAL = 2.0


@dataclass(frozen=True)
class ListedRun:
    """A run below the watched folder. name: its path below it; group: that of the group or study it belongs to, or ""."""

    number: int
    name: str
    group: str
    path: Path


class RunList:
    """The runs of a folder: itself, those in it, and those of groups and studies in it.

    Links are left out: the folder may be anyone's, and they could lead anywhere.
    """

    def __init__(self, path: Path, wait: bool = False) -> None:
        """wait: whether the folder may come into being later. Raises UsageError if it is none."""
        if not path.is_dir() and not (wait and not os.path.lexists(path)):
            raise UsageError(
                f"{path} is not a folder; give a run folder, or a folder of runs: nnzoo watch checkpoints/cnn",
                code="E61",
            )
        self.path = path
        self.notes: list[str] = []
        """What is left out, in words."""
        self._numbers: dict[Path, int] = {}
        self._runs: list[ListedRun] = []
        self._time = -INTERVAL

    def runs(self) -> list[ListedRun]:
        """Return the runs in the order of their names, looked for again every two seconds."""
        if time.monotonic() - self._time >= INTERVAL:
            self._runs, self.notes = self._find()
            self._time = time.monotonic()
        return self._runs

    def __getitem__(self, number: int) -> ListedRun:
        """Return a run by its number; raises LookupError."""
        for run in self.runs():
            if run.number == number:
                return run
        raise LookupError(number)

    def is_gone(self, number: int) -> bool:
        """Whether there was a run of this number, and is none now."""
        return number in self._numbers.values() and all(run.number != number for run in self.runs())

    def _find(self) -> tuple[list[ListedRun], list[str]]:
        scan = _Scan(self.path)
        candidates: list[tuple[Path, str, str]] = []
        if _is_run(self.path):
            candidates.append((self.path, self.path.resolve().name, ""))
        # The folder of a group.
        root_group = self.path.resolve().name if os.path.isfile(self.path / SUMMARY) else ""
        for path in scan.folders(self.path):
            if _is_run(path):
                candidates.append((path, path.name, root_group))
            for inner, group in ((path, path.name), (path / "trials", f"{path.name}/trials")):
                for member in filter(_is_run, scan.folders(inner)):
                    candidates.append((member, f"{group}/{member.name}", group))
        notes: list[str] = []
        if scan.links:
            notes.append(Note("N50", f"links are left out ({scan.links}): give the folder itself"))
        if scan.closed:
            names = ", ".join(shorten(path.name, 40) for path in sorted(scan.closed)[:3])
            more = "" if len(scan.closed) < 4 else f" and {len(scan.closed) - 3:,} more"
            notes.append(Note("N50", f"folders that may not be read are left out: {names}{more}"))
        if scan.is_cut:
            notes.append(Note("N50", f"only the first {MAX_FOLDERS:,} folders are looked into"))
        if len(candidates) > MAX_RUNS:
            text = f"the newest {MAX_RUNS} of {len(candidates):,} runs; to see another, give its folder"
            notes.append(Note("N50", text))
            candidates.sort(key=lambda item: _changed(item[0]), reverse=True)
            candidates = candidates[:MAX_RUNS]
        candidates.sort(key=lambda item: _natural_key(item[1]))
        return [
            ListedRun(self._numbers.setdefault(path, len(self._numbers)), name, group, path)
            for path, name, group in candidates
        ], notes


class _Scan:
    """Folders in folders, and what was left out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.links, self.count, self.is_cut = 0, 0, False
        self.closed: set[Path] = set()

    def folders(self, path: Path) -> list[Path]:
        """The folders in a folder by name, without links and hidden ones; none if it cannot be read."""
        folders: list[Path] = []
        if path != self.root and os.path.islink(path):
            return folders
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if self.count >= MAX_FOLDERS:
                        self.is_cut = True
                        break
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                        self.count += 1
                    elif entry.is_symlink() and entry.is_dir():
                        self.links += 1
        except PermissionError:
            if path.parent not in self.closed:
                self.closed.add(path)
        except OSError:
            pass
        return sorted(folders)


def _is_run(path: Path) -> bool:
    """Whether a folder is a run folder, by plain files; False if it cannot be read."""
    files = [path / name for name in MARKS]
    return any(os.path.isfile(file) and not os.path.islink(file) for file in files)


def _changed(path: Path) -> float:
    """When the newest file of a run was written."""
    times = [0.0]
    for name in ("progress.json", "result.json", *MARKS):
        with suppress(OSError):
            times.append(os.lstat(path / name).st_mtime)
    return max(times)


def newest(runs: list[ListedRun]) -> ListedRun | None:
    """Return the run that changed last."""
    return max(runs, key=lambda run: _changed(run.path), default=None)


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts seed-2 before seed-10."""
    return [
        (0, int(part), "") if part.isdecimal() and len(part) < 19 else (1, 0, part)
        for part in re.split(r"([0-9]+)", name)
    ]
