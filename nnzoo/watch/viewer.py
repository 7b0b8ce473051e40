"""The endpoints of the page of `nnzoo watch`: runs, the state of one, its samples, epochs and frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.errors import NnzooError
from nnzoo.watch.run_list import ListedRun, RunList, newest
from nnzoo.watch.run_state import RunState

if TYPE_CHECKING:
    from nnzoo.watch.frames import Frames

# Runs whose frames are kept.
MAX_OPEN = 4


class Viewer:
    """Endpoints about the runs of a folder. Nothing is written, and PyTorch is loaded when a frame is asked for."""

    def __init__(
        self, path: Path, wait: bool = False, load: Callable[[], None] = lambda: None
    ) -> None:
        """path, wait: as `RunList` takes them; load: is called before PyTorch is needed. Raises UsageError."""
        self.list = RunList(path, wait)
        self._load = load
        self._lock = threading.Lock()
        self._frames_lock = threading.Lock()
        self._states: dict[int, RunState] = {}
        self._frames: dict[int, tuple[Any, Frames | None]] = {}

    @property
    def endpoints(self) -> Mapping[str, Callable[[dict[str, int]], dict[str, Any]]]:
        return {
            "runs": self.runs,
            "state": self.state,
            "samples": self.samples,
            "epochs": self.epochs,
            "frame": self.frame,
        }

    def runs(self, parameters: dict[str, int]) -> dict[str, Any]:
        """The runs, with the number of the newest."""
        with self._lock:
            listed = self.list.runs()
            latest = newest(listed)
            return {
                "folder": str(self.list.path),
                "runs": [
                    {"number": run.number, "name": run.name, "group": run.group}
                    | self._state(run).summary()
                    for run in listed
                ],
                "newest": None if latest is None else latest.number,
                "notes": self.list.notes,
            }

    def state(self, parameters: dict[str, int]) -> dict[str, Any]:
        """The state of `run`, and its metrics from row `start` on, as `RunState.snapshot` has them; {"gone": True} of a
        run whose folder has been removed."""
        with self._lock:
            if self.list.is_gone(parameters["run"]):
                return {"gone": True}
            run = self.list[parameters["run"]]
            state = self._state(run)
            return state.snapshot(parameters.get("start", 0), parameters.get("generation", -1))

    def _state(self, run: ListedRun) -> RunState:
        if run.number not in self._states:
            self._states[run.number] = RunState(run.path)
        return self._states[run.number]

    def samples(self, parameters: dict[str, int]) -> dict[str, Any]:
        """The samples of `run` that its history holds."""
        return self._of_frames(parameters, lambda frames: frames.describe())

    def epochs(self, parameters: dict[str, int]) -> dict[str, Any]:
        """The recorded epochs of `run`, and what is known of those from `start` on."""
        start = parameters.get("start", 0)
        return self._of_frames(parameters, lambda frames: frames.epochs(start))

    def frame(self, parameters: dict[str, int]) -> dict[str, Any]:
        """The frame of an `epoch` of `run`, and of sample `row` over time."""
        epoch, row = parameters["epoch"], parameters.get("row", 0)
        return self._of_frames(parameters, lambda frames: frames.frame(epoch, row))

    def _of_frames(
        self, parameters: dict[str, int], compute: Callable[[Frames], dict[str, Any]]
    ) -> dict[str, Any]:
        """The result of `compute`, or {"error": why there is nothing} in words."""
        with self._lock:
            if self.list.is_gone(parameters["run"]):
                return {"error": "the run folder is gone"}
            run = self.list[parameters["run"]]
        try:
            with self._frames_lock:
                frames = self._open(run)
            return {"error": "no history"} if frames is None else compute(frames)
        except NnzooError as error:
            return {"error": str(error)}

    def _open(self, run: ListedRun) -> Frames | None:
        """The frames of a run, opened again when its history was begun anew."""
        self._load()
        from nnzoo.runs.run_dir import RunDir
        from nnzoo.watch.frames import Frames

        start = run.path / "history" / "start.pt"
        try:
            stats = start.lstat()
            key: Any = (stats.st_ino, stats.st_mtime_ns, stats.st_size)
        except OSError:
            key = None
        if run.number not in self._frames or self._frames[run.number][0] != key:
            self._frames.pop(run.number, None)
            self._frames[run.number] = key, Frames.open(RunDir(run.path))
            while len(self._frames) > MAX_OPEN:
                del self._frames[next(iter(self._frames))]
        return self._frames[run.number][1]
