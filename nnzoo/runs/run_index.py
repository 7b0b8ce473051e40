"""The runs in a folder: status and results of each, read from its text files only.

No checkpoint is opened, so it is fast however many runs there are; damaged files never raise an error.
"""

from __future__ import annotations

import math
import os
import re
import statistics
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from nnzoo.config import yaml_parser
from nnzoo.config.train_options import higher_is_better
from nnzoo.errors import UsageError
from nnzoo.file_io import MAX_METRICS, SUMMARY, parse_json, parse_rows, read_plain

RunSummary = dict[str, Any]
# Files of which each run folder has at least one.
MARKS = ("config.yaml", "last.pt", "best.pt", "metrics.jsonl")
SORT_COLUMNS = ("run", "data", "model", "epoch", "age", "state")


def scan(folder: Path) -> list[RunSummary]:
    """The runs in a folder by name; those of a group (a folder of runs) or of a sweep are its `members`.

    A run has `run` (its path below the folder), `data`, `model`, `state` (running, complete, diverged,
    interrupted, pruned, or damaged if its files make no sense), `epoch` and `epochs` (done, asked for),
    `best_epoch`, `monitor`, `best`, `val_<metric>` at the best epoch, `test_<metric>`, `age` (s, since
    it last changed); None for what is not known. The values of a group are means over its members, with
    standard deviations in `std`; those of a sweep are its best trial's, `trial`. Raises UsageError if
    the folder cannot be read.
    """
    runs: list[RunSummary] = []
    for path in _folders(folder, strict=True):
        if is_run(path):
            runs.append(read_run(path, path.name))
        else:
            runs += _read_collection(path, path.name)
        runs += _read_collection(path / "trials", f"{path.name}/trials", only_trials=True)
    return runs


def _read_collection(path: Path, name: str, only_trials: bool = False) -> list[RunSummary]:
    """The group or sweep whose runs are in a folder; empty if there are none.

    only_trials: accept the runs of a sweep only.
    """
    folders = [member for member in _folders(path) if is_run(member)]
    is_sweep = any(map(_is_trial, folders))
    asked = [] if only_trials or is_sweep else members_of(path)
    # Beside them may be the runs of an earlier command: archived ones, or those of more seeds.
    folders = [member for member in folders if not asked or member.name in asked]
    if not folders or (only_trials and not is_sweep):
        return []
    members = [read_run(member, f"{name}/{member.name}") for member in folders]
    members.sort(key=_natural_key)
    if is_sweep:
        return [_summarize_sweep(name, members)]
    return [_summarize_group(name, members, max(len(asked), len(members)))]


def members_of(path: Path) -> list[str]:
    """The runs that the last command of a group's folder asked for; empty if it is not a group's."""
    members = _read_json(path / SUMMARY).get("members")
    names = [_dict(member).get("run") for member in members] if isinstance(members, list) else []
    return [name for name in names if isinstance(name, str)]


def _folders(path: Path, strict: bool = False) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError as error:
        if strict:
            raise UsageError(f"cannot list {path}: {error.strerror}", code="E31") from None
        return []


def is_run(path: Path) -> bool:
    """Whether a folder is a run folder."""
    return any(os.path.isfile(path / name) for name in MARKS)


def _is_trial(path: Path) -> bool:
    """Whether a run was made by a sweep."""
    return os.path.isfile(path / ".trial")


def _natural_key(run: RunSummary) -> tuple[str, int]:
    """A key that sorts seed-2 before seed-10, and 2 before 10."""
    match = re.fullmatch("(|.*[-/])([0-9]{1,19})", run["run"])
    return (match[1], int(match[2])) if match else (run["run"], -1)


def read_run(path: Path, name: str) -> RunSummary:
    """One run, as `scan` describes it."""
    config = _read_config(path / "config.yaml")
    rows = _read_metrics(path / "metrics.jsonl")
    result = _read_json(path / "result.json")
    train = _dict(config.get("train"))
    monitor = train.get("monitor")
    monitor = monitor if isinstance(monitor, str) and monitor != "auto" else "val_loss"
    best_epoch = _dict(result.get("best")).get("epoch")
    if type(best_epoch) is not int:
        best_epoch = _best_epoch(rows, monitor)
    best_row = next((row for row in rows if row["epoch"] == best_epoch), {})
    epoch = rows[-1].get("epoch", 0) if rows else 0
    epochs = train.get("epochs") if type(train.get("epochs")) is int else None
    run = {
        "run": name,
        "data": _name(config.get("data")),
        "model": _name(config.get("model")),
        "state": _state(path, result, epoch, epochs, bool(config)),
        "epoch": epoch,
        "epochs": epochs,
        "best_epoch": best_epoch,
        "monitor": monitor,
        "best": best_row.get(monitor) if _is_number(best_row.get(monitor)) else None,
        "age": _age(path),
    }
    run |= {key: x for key, x in best_row.items() if key.startswith("val_") and _is_number(x)}
    test = _dict(result.get("test"))
    return run | {f"test_{key}": x for key, x in test.items() if _is_number(x)}


def _state(path: Path, result: RunSummary, epoch: int, epochs: int | None, has_config: bool) -> str:
    if is_locked(path / ".lock"):
        return "running"
    if result.get("state") in ("complete", "diverged"):
        return str(result["state"])
    if not has_config:
        return "damaged"
    if epochs is not None and epoch >= epochs:
        return "complete"
    # A pruned trial keeps no checkpoint.
    is_pruned = epoch > 0 and _is_trial(path) and not os.path.exists(path / "last.pt")
    return "pruned" if is_pruned else "interrupted"


def is_locked(path: Path) -> bool:
    """Whether a process holds a run's lock; tested with a shared lock that is held for an instant."""
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    except (ImportError, OSError):
        pass
    return False


def _best_epoch(rows: list[dict[str, Any]], monitor: str) -> int | None:
    """The first epoch with the best value; the last one if there are no values."""
    scored = [row for row in rows if _is_number(row.get(monitor))]
    if not scored:
        return rows[-1]["epoch"] if rows else None
    sign = -1 if higher_is_better(monitor) else 1
    return min(scored, key=lambda row: sign * row[monitor])["epoch"]


def _summarize_group(name: str, members: list[RunSummary], asked: int) -> RunSummary:
    first = members[0]
    states = [member["state"] for member in members] + ["interrupted"] * (asked - len(members))
    worst_first = ("running", "diverged", "damaged", "interrupted")
    group: RunSummary = {
        "run": name,
        **{key: first[key] for key in ("data", "model", "epochs", "monitor")},
        "state": next((state for state in worst_first if state in states), "complete"),
        "complete": states.count("complete"),
        "asked": asked,
        "epoch": min(member["epoch"] for member in members),
        "age": _newest(members),
        "best_epoch": None,
        "best": None,
    }
    std = {}
    for key in dict.fromkeys(key for member in members for key in member):
        values = [member[key] for member in members if _is_number(member.get(key))]
        if (key == "best" or key.startswith(("val_", "test_"))) and values:
            group[key] = statistics.fmean(values)
            std[key] = statistics.stdev(values) if len(values) > 1 else None
    return group | {"std": std, "members": members}


def _summarize_sweep(name: str, members: list[RunSummary]) -> RunSummary:
    complete = [member for member in members if member["state"] == "complete"]
    scored = [member for member in complete if member["best"] is not None]
    sign = -1 if higher_is_better(members[0]["monitor"]) else 1
    best = min(scored, key=lambda member: sign * member["best"], default=members[0])
    states = [member["state"] for member in members]
    sweep = {key: x for key, x in best.items() if scored or not key.startswith("val_")}
    return sweep | {
        "run": name,
        "state": next((s for s in ("running", "interrupted") if s in states), "complete"),
        "complete": len(complete),
        "age": _newest(members),
        "trial": best["run"].rpartition("/")[2] if scored else None,
        "members": members,
    }


def _newest(members: list[RunSummary]) -> float | None:
    return min((member["age"] for member in members if member["age"] is not None), default=None)


def sort_runs(runs: list[RunSummary], key: str) -> list[RunSummary]:
    """Runs by a column or metric, the best first: high accuracies, low losses, the newest; those without
    a value last. Raises UsageError if no run has it."""
    columns = (*SORT_COLUMNS, "best")
    names = dict.fromkeys(name for run in runs for name in run)
    known = [name for name in names if name in columns or name.startswith(("val_", "test_"))]
    if key not in known:
        raise UsageError(
            f"--sort: no run has '{key}'; there is {', '.join(sorted(known))}", code="E03"
        )
    if key == "run":
        return sorted(runs, key=_natural_key)
    metric = next((run["monitor"] for run in runs), "val_loss") if key == "best" else key
    scored = [run for run in runs if run.get(key) is not None]
    scored.sort(key=lambda run: run[key], reverse=higher_is_better(metric) or key == "epoch")
    return scored + [run for run in runs if run.get(key) is None]


# Files that may hold anything.


def _read_config(path: Path) -> dict[str, Any]:
    try:
        text = read_plain(path, yaml_parser.MAX_BYTES + 1)
        return _dict(yaml_parser.parse_yaml(text, "config.yaml").value)
    except (OSError, ValueError, RecursionError):
        return {}


def _read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that are whole."""
    with suppress(OSError):
        return parse_rows(read_plain(path, MAX_METRICS))[0]
    return []


def _read_json(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return _dict(parse_json(read_plain(path, yaml_parser.MAX_BYTES)))
    return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(section: Any) -> str | None:
    """The name in a section of a config."""
    name = _dict(section).get("name")
    return name if isinstance(name, str) else None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _age(path: Path) -> float | None:
    times = list(_times(path / name for name in (*MARKS, "result.json")))
    return max(0.0, round(time.time() - max(times), 1)) if times else None


def _times(paths: Iterable[Path]) -> Iterable[float]:
    for path in paths:
        with suppress(OSError):
            yield path.stat().st_mtime
