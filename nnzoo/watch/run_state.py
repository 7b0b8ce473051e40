"""How far a run is, read from its text files: metrics, progress, warnings, config, result.

Only what has changed is read, so that a page may ask every second. Every file may be anyone's: of each a limited
number of bytes is read, links are refused, and only numbers and short texts of known keys are passed on.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnzoo.config import yaml_parser
from nnzoo.file_io import MAX_METRICS, parse_json, parse_rows, read_plain
from nnzoo.runs.run_index import is_locked
from nnzoo.text import shorten

# Rows in one answer, values in a row, and characters of a text.
MAX_ROWS, MAX_KEYS, MAX_TEXT = 2_000, 80, 600
MAX_WARNINGS = 100
MAX_EPOCHS = 300_000
# Bytes of a row that is still being written.
MAX_LINE = 1 << 20
# Seconds in which a run without a lock, as on a disk that has none, must have changed to count as training.
FRESH = 10.0
# Bytes before the end of what is read that are read again, to see whether it is still the same file.
OVERLAP = 64
Row = dict[str, Any]


class MetricsTail:
    """The rows of metrics.jsonl, of which only new ones are read.

    generation: a number that changes when rows have been taken back, as when a run is resumed; bad: the number of
    lines that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.generation = 0
        self.bad = 0
        self._offset, self._inode, self._end = 0, -1, b""

    def update(self) -> None:
        """Read what has been appended."""
        try:
            stats = os.lstat(self.path)
        except OSError:
            self._restart()
            return
        if stats.st_ino != self._inode or stats.st_size < self._offset:
            self._restart()
        elif stats.st_size == self._offset:
            return
        self._inode = stats.st_ino
        overlap = len(self._end)
        try:
            data = read_plain(
                self.path,
                max(0, MAX_METRICS - self._offset) + overlap,
                self._offset - overlap,
                follow_links=False,
            )
        except OSError:
            self._restart()
            return
        if data[:overlap] != self._end:
            self._restart()
            self.update()
            return
        whole = data[overlap : data.rfind(b"\n") + 1]
        if len(data) - overlap - len(whole) > MAX_LINE:
            whole = data[overlap:]  # no row; read once, not again and again
        rows, bad = parse_rows(whole)
        self.bad += len(bad)
        self.rows += [clean_row(row) for row in rows][: MAX_EPOCHS - len(self.rows)]
        self._offset += len(whole)
        self._end = (self._end + whole)[-OVERLAP:]

    def _restart(self) -> None:
        self.generation += bool(self.rows)
        self.rows, self.bad = [], 0
        self._offset, self._inode, self._end = 0, -1, b""


def clean_row(row: Row) -> Row:
    """A row of metrics with its numbers alone; of gradient norms by layer too."""
    cleaned = _numbers(row)
    norms = row.get("gradient_norms")
    if isinstance(norms, dict):
        cleaned["gradient_norms"] = _numbers(norms)
    return cleaned


def _numbers(values: Row) -> Row:
    """The numbers of an object by name; a page shows those that are not finite as gaps."""
    return {
        shorten(key, MAX_KEYS): value if math.isfinite(value) else None
        for key, value in list(values.items())[:MAX_KEYS]
        if type(value) in (int, float)
    }


@dataclass
class _CachedFile:
    """The value parsed from a file, until it changes."""

    path: Path
    limit: int
    parse: Callable[[bytes], Any]
    default: Any
    key: tuple[int, ...] = ()
    value: Any = None

    def read(self) -> Any:
        try:
            stats = os.lstat(self.path)
            key = (stats.st_ino, stats.st_size, stats.st_mtime_ns)
            if key != self.key:
                data = read_plain(self.path, self.limit + 1, follow_links=False)
                self.value = self.parse(data) if len(data) <= self.limit else self.default
                self.key = key
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            self.key, self.value = (), self.default
        return self.value


@dataclass
class RunState:
    """The state of a run folder, kept between requests."""

    path: Path
    metrics: MetricsTail = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = MetricsTail(self.path / "metrics.jsonl")
        self._config = _CachedFile(
            self.path / "config.yaml", yaml_parser.MAX_BYTES, _parse_config, {}
        )
        self._result = _CachedFile(
            self.path / "result.json", yaml_parser.MAX_BYTES, _parse_result, {}
        )
        self._progress = _CachedFile(self.path / "progress.json", 10_000, _parse_progress, None)
        self._warnings = _CachedFile(self.path / "warnings.jsonl", 1 << 20, _parse_warnings, [])
        self._seen: tuple[Any, ...] = ()
        self._changed: float | None = None
        self._first_progress: tuple[int, float] | None = None

    def snapshot(self, start: int = 0, generation: int = -1) -> dict[str, Any]:
        """Return the state, and the rows of metrics from number `start` on.

        generation: that of the answer before; if rows have been taken back since, they come from the first one on.
        """
        self.metrics.update()
        config, result, progress = self._config.read(), self._result.read(), self._progress.read()
        news = self._newest_change()
        if self.metrics.generation != generation or start > len(self.metrics.rows):
            start = 0
        rows = self.metrics.rows[start : start + MAX_ROWS]
        epoch = self.metrics.rows[-1]["epoch"] if self.metrics.rows else 0
        state = self._state(result, config, epoch)
        is_training = state == "training"
        return {
            "generation": self.metrics.generation,
            "start": start,
            "total": len(self.metrics.rows),
            "rows": rows,
            "bad": self.metrics.bad,
            "state": state,
            "epoch": epoch,
            "news": news,
            "config": config,
            "result": result,
            "warnings": self._warnings.read(),
            "progress": progress if is_training else None,
            "left": self._seconds_left(config, progress, epoch) if is_training else None,
            "history": self._history_size(),
            "history_start": self._history_start(),
        }

    def summary(self) -> dict[str, Any]:
        """Return what a list of runs shows of it: network, data and state."""
        config, result = self._config.read(), self._result.read()
        self._newest_change()
        return {
            "model": config.get("model"),
            "data": config.get("data"),
            "state": self._state(result, config, None),
        }

    def _state(self, result: Row, config: Row, epoch: int | None) -> str:
        """Return training, complete, diverged or interrupted.

        On a disk without locks, as between machines, a run trains while its files change.
        """
        if is_locked(self.path / ".lock"):
            return "training"
        if result.get("state") in ("complete", "diverged"):
            return str(result["state"])
        epochs = config.get("epochs")
        if epoch is not None and epochs is not None and epoch >= epochs:
            return "complete"
        is_fresh = self._changed is not None and time.monotonic() - self._changed < FRESH
        return "training" if is_fresh else "interrupted"

    def _newest_change(self) -> float | None:
        """Return the seconds since a file of the run has changed; None if there are none.

        Changes that are seen happen between two looks, whatever the clock of the machine that wrote them.
        """
        times = []
        for name in ("metrics.jsonl", "progress.json", "last.pt", "result.json", "config.yaml"):
            with suppress(OSError):
                stats = os.lstat(self.path / name)
                times.append((stats.st_mtime_ns, stats.st_size))
        seen = tuple(times)
        if seen != self._seen:
            if self._seen:
                self._changed = time.monotonic()
            self._seen = seen
        if not times:
            return None
        age = max(0.0, time.time() - max(times)[0] / 1e9)
        return round(
            age if self._changed is None else min(age, time.monotonic() - self._changed), 1
        )

    def _seconds_left(self, config: Row, progress: Row | None, epoch: int) -> float | None:
        """Estimate the seconds to the last epoch, from the last epochs or else from the steps seen so far."""
        epochs = config.get("epochs")
        if epochs is None:
            return None
        seconds = [row.get("seconds") for row in self.metrics.rows[-5:]]
        known = [value for value in seconds if value]
        if progress is None or progress["steps"] <= 0:
            return statistics.median(known) * (epochs - epoch) if known else None
        # The row of an epoch may be newer than progress.json.
        done = max(
            progress["step"], self.metrics.rows[-1].get("step") or 0 if self.metrics.rows else 0
        )
        left = max(0, progress["steps"] - done)
        if known:
            per_step = statistics.median(known) / max(1, progress["steps_per_epoch"])
            return float(per_step * left)
        first = self._first_progress
        if first is None or first[0] > progress["step"]:
            self._first_progress = progress["step"], progress["time"]
            return None
        steps, span = progress["step"] - first[0], progress["time"] - first[1]
        return span / steps * left if steps > 0 and span > 0 else None

    def _history_size(self) -> int:
        """Return the bytes of what was recorded of the network, 0 if there is nothing: more mean new epochs."""
        folder, size = self.path / "history", 0
        for name in ("start.pt", "weights.bin"):
            with suppress(OSError):
                size += 0 if os.path.islink(folder) else os.lstat(folder / name).st_size
        return size

    def _history_start(self) -> str:
        """Return a word that changes when the history is begun anew, as with --fresh; "" if there is none."""
        folder = self.path / "history"
        with suppress(OSError):
            if not os.path.islink(folder):
                stats = os.lstat(folder / "start.pt")
                return f"{stats.st_ino} {stats.st_mtime_ns}"
        return ""


def _parse_config(data: bytes) -> Row:
    """The values of config.yaml that a page shows."""
    tree = yaml_parser.parse_yaml(data, "config.yaml").value
    train = tree.get("train") or {}
    names = {key: _text((tree.get(key) or {}).get("name")) for key in ("model", "data", "optim")}
    epochs = train.get("epochs")
    return names | {
        "name": _text(tree.get("name")),
        "epochs": epochs if type(epochs) is int else None,
        "monitor": _text(train.get("monitor")),
        "stops_early": bool(train.get("early_stopping")),
    }


def _parse_result(data: bytes) -> Row:
    """The values of result.json that a page shows."""
    result = parse_json(data)
    best, test = result.get("best"), result.get("test")
    return {
        "state": _text(result.get("state")),
        "best": _numbers(best) if isinstance(best, dict) else {},
        "test": _numbers(test) if isinstance(test, dict) else {},
    }


def _parse_progress(data: bytes) -> Row | None:
    """The numbers of progress.json; None if one is missing."""
    values = _numbers(parse_json(data))
    keys = ("epoch", "step_in_epoch", "steps_per_epoch", "step", "steps", "time")
    progress = {key: values[key] for key in keys}
    return None if None in progress.values() else progress | {"loss": values.get("loss")}


def _parse_warnings(data: bytes) -> list[Row]:
    rows, _ = parse_rows(data)
    return [
        {"epoch": row["epoch"]}
        | {key: _text(row.get(key)) for key in ("code", "kind", "layer", "message")}
        for row in rows[:MAX_WARNINGS]
    ]


def _text(value: Any) -> str | None:
    return shorten(value, MAX_TEXT) if isinstance(value, str) else None
