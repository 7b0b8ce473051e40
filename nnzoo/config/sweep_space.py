"""The search space of a sweep: its validation, the points of a grid, and the tree of a trial's values."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.hints import did_you_mean, nearest
from nnzoo.config.registry import SECTIONS
from nnzoo.config.renamed_keys import current_path
from nnzoo.config.section_issues import Issue, preview
from nnzoo.config.sections import validate_section
from nnzoo.config.sweep_options import MAX_TRIALS, RangeOptions, SweepOptions
from nnzoo.config.yaml_parser import Path, dotted

DEFAULT_TRIALS = 30
StorageType = Literal["auto", "sqlite", "journal", "server"]


@dataclass(frozen=True)
class Sweep:
    """A valid search space over one file.

    base: the file's plain values without the section `sweep`; integer_keys: the keys whose range has
    whole numbers only; source: the file, for messages.
    """

    options: SweepOptions
    base: dict[str, Any]
    source: str
    integer_keys: set[str] = field(default_factory=set)

    @property
    def trials(self) -> int:
        """The number of trials to run, by all processes together."""
        trials = self.options.trials
        if self.options.sampler != "grid":
            return DEFAULT_TRIALS if trials == "auto" else trials
        return self.grid_size if trials == "auto" else min(trials, self.grid_size)

    @property
    def grid_size(self) -> int:
        """The number of combinations in a grid."""
        return math.prod(self.num_values(key) for key in self.options.space)

    def num_values(self, key: str) -> int:
        """The number of values that a key has in a grid."""
        values = self.options.space[key]
        if isinstance(values, list):
            return len(values)
        low, step = Decimal(str(values.low)), Decimal(str(values.step or 1))
        return int((Decimal(str(values.high)) - low) / step) + 1

    def grid_point(self, number: int) -> dict[str, int]:
        """The combination of trial `number`: key -> index of its value; the last key changes fastest."""
        index = {}
        for key in reversed(self.options.space):
            number, index[key] = divmod(number, self.num_values(key))
        return index

    def parents(self, key: str) -> dict[str, list[Any]]:
        """The keys with listed values that a key is inside of, the outermost first -> their values."""
        outer = {
            other: values
            for other, values in self.options.space.items()
            if key.startswith((f"{other}.", f"{other}[")) and isinstance(values, list)
        }
        return {other: outer[other] for other in sorted(outer, key=len)}

    def parent_choices(self, key: str) -> Iterator[tuple[tuple[str, Any], ...]]:
        """Combinations of the parent keys' choices, as (key, value) pairs; once () without parents."""
        choices = self.parents(key).items()
        return itertools.product(
            *([(other, value) for value in values] for other, values in choices)
        )

    @property
    def num_checks(self) -> int:
        """The number of values to validate, each with every combination of parent choices."""
        return sum(
            (len(values) if isinstance(values, list) else 2)
            * math.prod(map(len, self.parents(key).values()))
            for key, values in self.options.space.items()
        )

    def tree(self, values: dict[str, Any]) -> dict[str, Any]:
        """The base with a value for each key, of whole sections first."""
        tree = deepcopy(self.base)
        for key in sorted(values, key=lambda key: len(key_path(key))):
            set_at_path(tree, current_path(tree, key_path(key)), deepcopy(values[key]))
        return tree


def range_end(values: RangeOptions) -> float | Decimal:
    """The last value of a range; with a step the last multiple of it within the range."""
    if values.step is None:
        return values.high
    low, step = Decimal(str(values.low)), Decimal(str(values.step))
    return low + (Decimal(str(values.high)) - low) // step * step


def storage_kind(storage: str) -> StorageType | None:
    """The type of a storage by its text; None if it is not recognized."""
    if storage == "auto":
        return "auto"
    if re.match(r"[a-z][a-z0-9+]*://.", storage):
        return "server"
    if storage.endswith((".db", ".sqlite", ".sqlite3")):
        return "sqlite"
    return "journal" if storage.endswith((".log", ".journal")) else None


def key_path(key: str) -> Path:
    """Parse a key as --set takes it: "model.hidden[0]" is ("model", "hidden", 0); () if it is malformed."""
    if not re.fullmatch(r"[^.\[\]]+(\.[^.\[\]]+|\[[0-9]{1,6}\])*", key):
        return ()
    first, *others = re.findall(r"[^.\[\]]+", key)
    return (first, *(int(part) if re.fullmatch("[0-9]{1,6}", part) else part for part in others))


def set_at_path(tree: dict[str, Any], path: Path, value: Any) -> list[Path] | None:
    """Set a value in a tree of plain values, creating the sections on its path.

    Returns the paths of values that a section replaced; None if the path leads to an item that a list
    does not have.
    """
    replaced = []
    target: Any = tree
    for i, part in enumerate(path[:-1]):
        if isinstance(target, dict) and isinstance(part, str):
            following = target.get(part)
            if not isinstance(following, dict | list):
                if isinstance(path[i + 1], int):
                    return None
                # `schedule: cosine` is short for {name: cosine}; any other value is replaced.
                if isinstance(following, str):
                    following = {"name": following}
                else:
                    following = {}
                    replaced.append(path[: i + 1])
            target[part] = following
            target = following
        elif isinstance(target, list) and isinstance(part, int) and part < len(target):
            target = target[part]
        else:
            return None
    last = path[-1]
    if (isinstance(target, dict) and isinstance(last, str)) or (
        isinstance(target, list) and isinstance(last, int) and last < len(target)
    ):
        target[last] = value  # type: ignore[index]
        return replaced
    return None


# Validation: each value of each key must be one that the file could hold.

# Keys that a sweep does not try, with everything below them, and why.
_CHANGES_DATA = "it decides what is learned from what, so trials could not be compared"
NOT_SEARCHED = {
    "name": "it names the study",
    "seed": "the best of many seeds is luck, not a choice",
    "sweep": "it describes the search",
    "train.monitor": "it decides what is best, so trials could not be compared",
    **{
        f"data.{key}": _CHANGES_DATA
        for key in ("name", "split", "task", "target", "label_separator", "horizon", *PATH_KEYS)
    },
}
# Keys that change the meaning of val_loss: the loss itself, and the units of a number.
_CHANGES_LOSS = ("train.loss", "train.huber_delta", "train.quantiles", "data.preprocess.target")
# Values to validate, each with every combination of parent choices; about a second.
MAX_CHECKS = 5000


def validate_sweep(tree: dict[str, Any], source: str) -> tuple[Sweep | None, list[Issue]]:
    """The search of the section `sweep` (None without one) and the issues of its space.

    tree: plain values of the whole file; source: the file, for messages.
    """
    raw = tree.get("sweep")
    if raw is None:
        return None, []
    options, issues = validate_section(tree, "sweep")
    options = options or _valid_subset(raw)
    issues += _storage_issues(raw)
    if options is None:
        return None, issues
    base = {key: value for key, value in tree.items() if key not in ("sweep", "environment")}
    sweep = Sweep(options, base, source)
    if sweep.num_checks > MAX_CHECKS:
        return None, [
            *issues,
            Issue(_SPACE, "too many values of keys inside each other", code="E22"),
        ]
    fixed = _fixed_keys(tree)
    for key in options.space:
        issues += _key_issues(sweep, key, fixed)
    if options.sampler == "grid" and not issues:
        issues += _grid_issues(sweep)
    return sweep, issues


_SPACE: Path = ("sweep", "space")


def _valid_subset(raw: Any) -> SweepOptions | None:
    """The valid keys of the space of an invalid section, so that their values are validated, too."""
    from pydantic import ValidationError

    space = raw.get("space") if isinstance(raw, dict) else None
    valid: dict[str, Any] = {}
    for key, value in space.items() if isinstance(space, dict) else ():
        with suppress(ValidationError):
            valid |= SweepOptions(space={key: value}).space
    return SweepOptions(space=valid) if valid else None


def _storage_issues(raw: Any) -> list[Issue]:
    storage = raw.get("storage", "auto") if isinstance(raw, dict) else "auto"
    if not isinstance(storage, str) or not storage or storage_kind(storage):
        return []
    expected = "auto, a file *.db or *.log, or a URL (postgresql://…, mysql://…)"
    return [Issue(("sweep", "storage"), f"expected {expected}, got {preview(storage)}", code="E22")]


def _fixed_keys(tree: dict[str, Any]) -> dict[str, str]:
    """The keys that are the same in all trials, and why."""
    train = tree.get("train")
    monitor = train.get("monitor", "auto") if isinstance(train, dict) else "auto"
    if monitor not in ("auto", "val_loss"):
        return NOT_SEARCHED
    reason = "it changes what val_loss measures; set train.monitor, as in val_rmse"
    return NOT_SEARCHED | dict.fromkeys(_CHANGES_LOSS, reason)


def _key_issues(sweep: Sweep, key: str, fixed: dict[str, str]) -> list[Issue]:
    path = key_path(key)
    if not path or path[0] not in SECTIONS:
        near = nearest(str(path[0]), SECTIONS) if path else None
        meant = near and f"{near}{key[len(str(path[0])) :]}"
        hint = did_you_mean(meant, "expected a key of the file, as in optim.lr")
        return [Issue((*_SPACE, key), f"unknown key; {hint}", at_key=True, code="E11")]
    reasons = [
        why for other, why in fixed.items() if f"{key}.".startswith((f"{other}.", f"{other}["))
    ]
    reasons += [_CHANGES_DATA] if key == "data" else []
    if reasons:
        return [Issue((*_SPACE, key), f"cannot be searched: {reasons[0]}", at_key=True, code="E22")]
    issues = _value_issues(sweep, key)
    if not issues:
        for other, why in fixed.items():
            if other.startswith(f"{key}."):
                issues += _changes_fixed_key(sweep, key, other, why)
    return issues


def _changes_fixed_key(sweep: Sweep, key: str, inner: str, why: str) -> list[Issue]:
    """Issues of the values of a whole section in which a fixed key differs from the file."""
    values = sweep.options.space[key]
    fixed = _option_of(sweep.base, inner)
    issues = []
    for i, value in enumerate(values if isinstance(values, list) else ()):
        changed = _option_of(sweep.tree({key: value}), inner)
        if changed != fixed:
            message = (
                f"{inner} is {preview(changed)} here and {preview(fixed)} in the file, and cannot be "
                f"searched: {why}"
            )
            issues.append(Issue((*_SPACE, key, i), message, code="E22"))
    return issues


def _option_of(tree: dict[str, Any], key: str) -> Any:
    """The value of a key in a tree of plain values, defaults included; None if there is none."""
    section, *rest = key.split(".")
    value, _ = validate_section(deepcopy(tree), section)
    for part in rest:
        value = getattr(value, part, None)
    return value


def _value_issues(sweep: Sweep, key: str) -> list[Issue]:
    """Issues of the values of a key that the file could not hold. Records in the sweep whether a range
    has whole numbers only."""
    where, values = (*_SPACE, key), sweep.options.space[key]
    issues = []
    if isinstance(values, list):
        samples: dict[int | str, Any] = dict(enumerate(values))
        texts = [json.dumps(value, sort_keys=True) for value in values]
        for i, text in enumerate(texts):
            if text in texts[:i]:
                message = f"given twice; the same as value {texts.index(text) + 1}"
                issues.append(Issue((*where, i), message, code="E22"))
    else:
        samples = {"low": values.low, "high": values.high}
        if values.step is not None and not float(values.step).is_integer():
            samples["step"] = values.low + values.step
    reasons = {name: _invalid_reasons(sweep, key, value) for name, value in samples.items()}
    if "step" in reasons and not reasons["low"] + reasons["high"]:
        # The value of 'step' is not the one that was validated.
        reasons["step"] = [f"{reason}, the second value" for reason in reasons["step"]]
    first_name, first = next(iter(reasons.items()))
    if first and all(other == first for other in reasons.values()):
        # The key itself is to blame, or there is only one value.
        at_key = first[0].startswith("unknown key")
        at_value = not at_key and len(reasons) == 1
        return [
            *issues,
            Issue((*where, first_name) if at_value else where, first[0], at_key, "E22"),
        ]
    issues += [
        Issue((*where, name), texts[0], code="E22") for name, texts in reasons.items() if texts
    ]
    if isinstance(values, RangeOptions) and not any(reasons.values()):
        bounds = (values.low, values.high, values.step or 0)
        whole = all(float(bound).is_integer() for bound in bounds)
        if whole and _invalid_reasons(sweep, key, values.low + 0.5):
            sweep.integer_keys.add(key)
    return issues


def _invalid_reasons(sweep: Sweep, key: str, value: Any) -> list[str]:
    """The reasons why a value of a key is invalid, with any combination of its parents' choices."""
    path, reasons = key_path(key), []
    section = str(path[0])
    for choices in sweep.parent_choices(key):
        tree = sweep.tree(dict(choices))
        before = _messages(tree, section)
        current = current_path(tree, path)
        replaced = set_at_path(tree, current, deepcopy(value))
        if replaced is None:
            return ["not in the file, so there is no item to replace"]
        for other, choice in choices:
            if key_path(other) in replaced:
                return [
                    f"is in {other}, which is {preview(choice)} in some trials; write whole sections "
                    f"as the values of {other} instead"
                ]
        for where, message in _messages(tree, section):
            if (where, message) not in before:
                context = "".join(f"with {other} {preview(choice)}: " for other, choice in choices)
                inner = where.removeprefix(dotted(current)).lstrip(".")
                reasons.append(context + (f"{inner}: " if inner else "") + message)
    return reasons


def _messages(tree: dict[str, Any], section: str) -> list[tuple[str, str]]:
    """The issues of one section of a tree: dotted path and message."""
    _, issues = validate_section(tree, section)
    return [(dotted(issue.path), issue.message) for issue in issues]


def _grid_issues(sweep: Sweep) -> list[Issue]:
    """Issues of ranges without a step, and of a grid that is too large."""
    issues = []
    for key, values in sweep.options.space.items():
        where = (*_SPACE, key)
        if isinstance(values, RangeOptions) and values.log:
            issues.append(
                Issue((*where, "log"), "not with a grid; list the values instead", code="E22")
            )
        elif isinstance(values, RangeOptions) and not values.step and key not in sweep.integer_keys:
            issues.append(
                Issue(where, "a grid needs a 'step' here, or a list of values", code="E22")
            )
    if not issues and sweep.grid_size > MAX_TRIALS:
        message = f"{sweep.grid_size:,} combinations; at most {MAX_TRIALS:,}"
        issues.append(Issue(_SPACE, message, code="E22"))
    return issues
