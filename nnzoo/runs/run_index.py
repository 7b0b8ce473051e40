"""What lies in a folder of runs: each one's state and results, read from its text files alone.

No checkpoint is opened, so it takes a moment however many there are; nothing that lies there can make
it fail.
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
from nnzoo.file_io import MAX_METRICS, parse_json, parse_rows, read_plain

# What a run's folder has one of, and how much of a file is read.
MARKS = ("config.yaml", "last.pt", "best.pt", "metrics.jsonl")
# What a group of runs writes of itself.
SUMMARY = "summary.json"
SORTS = ("run", "data", "model", "epoch", "age", "state")


def scan(folder: Path) -> list[dict[str, Any]]:
    """The runs in a folder by name, those of a group (a folder of runs) or of a sweep below it as its
    `members`.

    A run has `run` (its path below the folder), `data`, `model`, `state` (running, complete, diverged,
    interrupted, pruned, or damaged where its files make no sense), `epoch` and `epochs` (done, asked for),
    `best_epoch`, `monitor`, `best`, `val_<metric>` at the best epoch, `test_<metric>`, `age` (s, since
    it last changed); None for what is not known. Of a group they are means over the members, beside
    `std` with their standard deviations; of a sweep those of its best trial, `trial`. Raises UsageError
    where the folder cannot be read.
    """
    found = []
    for path in _folders(folder, loud=True):
        if is_run(path):
            found.append(read_run(path, path.name))
        else:
            found += _several(path, path.name)
        found += _several(path / "trials", f"{path.name}/trials", trials=True)
    return found


def _several(path: Path, name: str, trials: bool = False) -> list[dict[str, Any]]:
    """The group or sweep whose runs lie in a folder; none where there are no runs.

    trials: no other runs than those of a sweep.
    """
    members = [each for each in _folders(path) if is_run(each)]
    sweep = any(map(_is_trial, members))
    asked = [] if trials or sweep else members_of(path)
    # Beside them lie those of an earlier command: set aside, or of more seeds.
    members = [each for each in members if not asked or each.name in asked]
    if not members or (trials and not sweep):
        return []
    runs = sorted((read_run(each, f"{name}/{each.name}") for each in members), key=_number)
    return [_sweep(name, runs) if sweep else _group(name, runs, max(len(asked), len(members)))]


def members_of(path: Path) -> list[str]:
    """The runs that the last command of a group's folder asked for; empty where it is none."""
    listed = _json(path / SUMMARY).get("members")
    names = [_dict(each).get("run") for each in listed] if isinstance(listed, list) else []
    return [name for name in names if isinstance(name, str)]


def _folders(path: Path, loud: bool = False) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError as error:
        if loud:
            raise UsageError(f"cannot list {path}: {error.strerror}") from None
        return []


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run."""
    return any(os.path.isfile(path / name) for name in MARKS)


def _is_trial(path: Path) -> bool:
    """Whether it is a run that a sweep made."""
    return os.path.isfile(path / ".trial")


def _number(run: dict[str, Any]) -> tuple[str, int]:
    """seed-2 before seed-10, and 2 before 10."""
    found = re.fullmatch("(|.*[-/])([0-9]{1,19})", run["run"])
    return (found[1], int(found[2])) if found else (run["run"], -1)


def read_run(path: Path, name: str) -> dict[str, Any]:
    """One run; see `scan`."""
    config = _config(path / "config.yaml")
    rows = _rows(path / "metrics.jsonl")
    result = _json(path / "result.json")
    train = _dict(config.get("train"))
    last = rows[-1] if rows else {}
    monitor = train.get("monitor")
    monitor = monitor if isinstance(monitor, str) and monitor != "auto" else "val_loss"
    told = _dict(result.get("best"))
    best = told.get("epoch") if type(told.get("epoch")) is int else _best_epoch(rows, monitor)
    row = next((row for row in rows if row["epoch"] == best), {})
    epochs = train.get("epochs") if type(train.get("epochs")) is int else None
    found = {
        "run": name,
        "data": _name(config.get("data")),
        "model": _name(config.get("model")),
        "state": _state(path, result, last.get("epoch", 0), epochs, bool(config)),
        "epoch": last.get("epoch", 0),
        "epochs": epochs,
        "best_epoch": best,
        "monitor": monitor,
        "best": _numeric(row.get(monitor)),
        "age": _age(path),
    }
    found |= {
        key: value for key, value in row.items() if key.startswith("val_") and _is_number(value)
    }
    test = _dict(result.get("test"))
    return found | {f"test_{key}": value for key, value in test.items() if _is_number(value)}


def _state(path: Path, result: dict[str, Any], epoch: int, epochs: int | None, known: bool) -> str:
    if _locked(path / ".lock"):
        return "running"
    if result.get("state") in ("complete", "diverged"):
        return str(result["state"])
    if not known:
        return "damaged"
    if epochs is not None and epoch >= epochs:
        return "complete"
    # Of a trial that was ended early no checkpoint is kept.
    ended = epoch > 0 and _is_trial(path) and not os.path.exists(path / "last.pt")
    return "pruned" if ended else "interrupted"


def _locked(path: Path) -> bool:
    """Whether a process holds a run's lock. Asked for a shared one, and for an instant."""
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
    """The first with the best value; where nothing validates, the last."""
    there = [row for row in rows if _is_number(row.get(monitor))]
    if not there:
        return rows[-1]["epoch"] if rows else None
    sign = -1 if higher_is_better(monitor) else 1
    return min(there, key=lambda row: sign * row[monitor])["epoch"]


def _group(name: str, members: list[dict[str, Any]], asked: int) -> dict[str, Any]:
    first = members[0]
    states = [each["state"] for each in members] + ["interrupted"] * (asked - len(members))
    state = next(
        (s for s in ("running", "diverged", "damaged", "interrupted") if s in states), "complete"
    )
    found: dict[str, Any] = {
        "run": name,
        **{key: first[key] for key in ("data", "model", "epochs", "monitor")},
        "state": state,
        "complete": states.count("complete"),
        "asked": asked,
        "epoch": min(each["epoch"] for each in members),
        "age": min((each["age"] for each in members if each["age"] is not None), default=None),
        "best_epoch": None,
        "best": None,
    }
    spread = {}
    for key in dict.fromkeys(key for each in members for key in each):
        values = [each[key] for each in members if _is_number(each.get(key))]
        if (key == "best" or key.startswith(("val_", "test_"))) and values:
            found[key] = statistics.fmean(values)
            spread[key] = statistics.stdev(values) if len(values) > 1 else None
    return found | {"std": spread, "members": members}


def _sweep(name: str, members: list[dict[str, Any]]) -> dict[str, Any]:
    complete = [each for each in members if each["state"] == "complete"]
    there = [each for each in complete if each["best"] is not None]
    sign = -1 if higher_is_better(members[0]["monitor"]) else 1
    best = min(there, key=lambda each: sign * each["best"], default=members[0])
    states = [each["state"] for each in members]
    state = next((each for each in ("running", "interrupted") if each in states), "complete")
    ages = [each["age"] for each in members if each["age"] is not None]
    found = {key: value for key, value in best.items() if there or not key.startswith("val_")}
    own = {"run": name, "state": state, "complete": len(complete), "age": min(ages, default=None)}
    trial = best["run"].rpartition("/")[2] if there else None
    return found | own | {"trial": trial, "members": members}


def ordered(runs: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Runs by a column or metric, the best first: high accuracies, low losses, the newest; those that
    have none last. Raises UsageError where no run has it."""
    known = [name for name in dict.fromkeys(name for run in runs for name in run) if _sorts(name)]
    if key not in known:
        raise UsageError(f"--sort: no run has '{key}'; there is {', '.join(sorted(known))}")
    if key == "run":
        return sorted(runs, key=_number)
    metric = next((run["monitor"] for run in runs), "val_loss") if key == "best" else key
    there = [run for run in runs if run.get(key) is not None]
    there.sort(key=lambda run: run[key], reverse=higher_is_better(metric) or key == "epoch")
    return there + [run for run in runs if run.get(key) is None]


def _sorts(name: str) -> bool:
    return name in (*SORTS, "best") or name.startswith(("val_", "test_"))


# Files that may hold anything.


def _config(path: Path) -> dict[str, Any]:
    try:
        return _dict(
            yaml_parser.parse_yaml(read_plain(path, yaml_parser.MAX_BYTES + 1), "config.yaml").value
        )
    except (OSError, ValueError, RecursionError):
        return {}


def _rows(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that are whole."""
    with suppress(OSError):
        return parse_rows(read_plain(path, MAX_METRICS))[0]
    return []


def _json(path: Path) -> dict[str, Any]:
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


def _numeric(value: Any) -> float | None:
    return value if _is_number(value) else None


def _age(path: Path) -> float | None:
    times = list(_times(path / name for name in (*MARKS, "result.json")))
    return max(0.0, round(time.time() - max(times), 1)) if times else None


def _times(paths: Iterable[Path]) -> Iterable[float]:
    for path in paths:
        with suppress(OSError):
            yield path.stat().st_mtime
