"""A file or bundled name, plus --set, to a RunConfig, or to all faults at once."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from nnzoo.config import yaml_parser
from nnzoo.config.data_options import DataOptions
from nnzoo.config.hints import key_hint, nearest, nearest_value, value_hint
from nnzoo.config.json_schema import (
    accepts,
    choices,
    default_text,
    describe_expected,
    has_key,
    node_at,
    properties,
)
from nnzoo.config.model_options import ModelOptions
from nnzoo.config.optim_options import DEFAULT_OPTIMIZER, OptimOptions
from nnzoo.config.options import NAME_PATTERN, Options
from nnzoo.config.registry import DATA, MODELS, OPTIMIZERS, Registry
from nnzoo.config.sweep_space import Sweep, key_path, set_at_path, storage_kind
from nnzoo.config.synonyms import KEYS
from nnzoo.config.synonyms import SECTIONS as SECTION_WORDS
from nnzoo.config.train_options import MAX_TRIALS, RangeOptions, SweepOptions, TrainOptions
from nnzoo.config.yaml_parser import Document
from nnzoo.errors import ConfigError, ConfigIssue, NnzooError, UsageError, shell_word

_P = ParamSpec("_P")
_T = TypeVar("_T")
REGISTRIES: dict[str, Registry] = {"data": DATA, "model": MODELS, "optim": OPTIMIZERS}
SECTIONS = ("name", "seed", "data", "model", "optim", "train", "sweep")
NOUNS = {"data": "data source", "model": "model", "optim": "optimizer"}
# Relative paths in a file are relative to that file.
PATH_KEYS = ("path", "test_path", "root")
_BUNDLED = "bundled "
_DATA_FILES = (
    ".csv", ".tsv", ".parquet", ".pq", ".xlsx", ".xls", ".gz", ".zip", ".png", ".jpg", ".jpeg",
)  # fmt: skip
# What a sweep does not try, with what lies below it.
_OTHER_ROWS = "it decides what is learned from what, so trials could not be compared"
NOT_SEARCHED = {
    "name": "it names the study",
    "seed": "the best of many seeds is luck, not a choice",
    "sweep": "it describes the search",
    "train.monitor": "it decides what is best, so trials could not be compared",
    **{
        f"data.{key}": _OTHER_ROWS
        for key in ("name", "split", "task", "target", "horizon", *PATH_KEYS)
    },
}
# Values looked at, each in every company; a second's worth.
MAX_CHECKS = 5000
# What changes the meaning of val_loss: the loss itself, and the units of a number.
_MEASURES = ("train.loss", "train.huber_delta", "data.preprocess.target")


@dataclass(frozen=True)
class RunConfig:
    """A valid configuration; every default is filled in."""

    name: str
    seed: int
    data: DataOptions
    model: ModelOptions
    optim: OptimOptions
    train: TrainOptions
    source: str = field(default="configuration", compare=False)
    """The file it was read from, for messages."""
    origins: Mapping[str, yaml_parser.Position | None] = field(default_factory=dict, compare=False)
    """Dotted path -> line and column in the file, None for --set; what is not here is a deissue."""
    sweep: Sweep | None = field(default=None, compare=False)
    """What `nnzoo sweep` searches; no part of the run itself."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in the order of the language; `parse` of it gives this config again."""
        result: dict[str, Any] = {"name": self.name, "seed": self.seed}
        for key in ("data", "model", "optim", "train"):
            result[key] = getattr(self, key).model_dump(mode="json")
        return result

    def flat(self) -> dict[str, Any]:
        """Dotted path -> value; a list is one value."""
        return dict(_flatten(self.to_dict(), ""))

    def place(self, path: str) -> str:
        """Where a key has its value from: "cnn.yaml:7:3", or "--set"; of a default, where the section
        is that could hold it, else the file."""
        below = [key for key in self.origins if path and key.startswith((f"{path}.", f"{path}["))]
        if path not in self.origins and any(self.origins[key] is None for key in below):
            return "--set"
        while path:
            if path in self.origins:
                position = self.origins[path]
                return f"{self.source}:{position[0]}:{position[1]}" if position else "--set"
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.source


def locates_errors(
    function: Callable[Concatenate[RunConfig, _P], _T],
) -> Callable[Concatenate[RunConfig, _P], _T]:
    """Decorate a function of a configuration whose errors show only when that meets the data: they
    get the place in the file of the key to blame."""

    @functools.wraps(function)
    def wrapped(config: RunConfig, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(config, *args, **kwargs)
        except NnzooError as error:
            error.locate(config.place)
            raise

    return wrapped


def _flatten(value: Any, prefix: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        return [(prefix, value)]
    pairs = []
    for key, item in value.items():
        pairs += _flatten(item, f"{prefix}.{key}" if prefix else key)
    return pairs


def bundled_folder() -> Path:
    """Where the bundled configs lie: inside the wheel, else beside the package in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def bundled_configs() -> list[Path]:
    return sorted(bundled_folder().glob("*.yaml"))


def find_config(source: str) -> Path:
    """A path; else a name in ./configs; else a bundled one; else that of a run folder. `cnn` and
    `cnn.yaml` mean the same."""
    if source.lower().endswith(_DATA_FILES):
        raise UsageError(
            f"{source} is data, not a config; write one for it: nnzoo init {shell_word(source)}"
        )
    name = source if source.endswith((".yaml", ".yml")) else f"{source}.yaml"
    candidates = [Path(source), Path(name)]
    if not Path(source).is_absolute():
        candidates += [Path("configs") / name, bundled_folder() / name]
    for candidate in candidates:
        with suppress(OSError, ValueError):  # too long for a file's name, a NUL
            if candidate.is_file():
                return candidate
    with suppress(OSError, ValueError):
        if (Path(source) / "config.yaml").is_file():
            return Path(source) / "config.yaml"
        if source and Path(source).is_dir():
            raise UsageError(
                f"{source} is a folder, not a config; if it holds your data: "
                f"nnzoo init {shell_word(source)}"
            )
    known = [path.stem for path in bundled_configs()]
    near = nearest(Path(name).stem, known)
    hint = f"did you mean '{near}'?" if near else "'nnzoo configs' lists the bundled ones"
    raise UsageError(
        f"no config '{_short(source)}': not a file, not in ./configs, not bundled; {hint}"
    )


def load_config(source: str, sets: Sequence[str] = ()) -> RunConfig:
    """The configuration of a file or bundled name with --set values applied.

    Raises UsageError (no such file) or ConfigError (every fault at once).
    """
    path = find_config(source)
    try:
        with path.open("rb") as file:
            text = file.read(yaml_parser.MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    shown = _shown(path)
    document = yaml_parser.parse_yaml(text, shown)
    if document.value is None and not document.issues:
        document.issues.append(
            ConfigIssue(shown, "", "the file is empty; 'nnzoo init cnn' writes one")
        )
    return parse(document, shown, sets, folder=path.parent, default_name=path.stem)


def parse(
    document: Document,
    source: str,
    sets: Sequence[str] = (),
    folder: Path | None = None,
    default_name: str | None = None,
) -> RunConfig:
    """The configuration in a parsed document; raises ConfigError with every issue."""
    return _Parser(document, source).parse(sets, folder, default_name)


def from_dict(value: dict[str, Any], source: str) -> RunConfig:
    """The configuration in plain values, as `RunConfig.to_dict` makes them."""
    return parse(Document(value=value), source)


def _shown(path: Path) -> str:
    """A config's path for messages: relative where it is below the working folder, a bundled one by
    its name."""
    with suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return f"{_BUNDLED}{path.name}" if path.parent == bundled_folder() else str(path)


def source_file(shown: str) -> Path:
    """The file that messages call `shown`."""
    if shown.startswith(_BUNDLED):
        return bundled_folder() / shown.removeprefix(_BUNDLED)
    return Path(shown)


class _Parser:
    def __init__(self, document: Document, source: str) -> None:
        self.source = source
        self.issues = list(document.issues)
        # Copies, in which --set replaces values and forgets the places of what it replaced.
        self.tree = deepcopy(document.value)
        self.keys = dict(document.keys)
        self.values = dict(document.values)
        self.set_paths: set[yaml_parser.Path] = set()

    def parse(
        self, sets: Sequence[str], folder: Path | None, default_name: str | None
    ) -> RunConfig:
        tree = {} if self.tree is None else self.tree
        if not isinstance(tree, dict):
            if not self.issues:
                self.issue((), "expected sections (data, model, optim, train) with their keys")
            raise ConfigError(self.source, self.issues)
        if not tree and self.issues:
            raise ConfigError(self.source, self.issues)
        for text in sets:
            self.apply_set(tree, text)
        misnamed = {}
        for key in tree:
            if key not in (*SECTIONS, "environment"):
                self.unknown((key,), list(SECTIONS))
                section = SECTION_WORDS.get(key.casefold()) or nearest(key, (*REGISTRIES, "train"))
                if section in (*REGISTRIES, "train") and section not in tree:
                    misnamed[section] = key
        name, seed = tree.get("name", default_name), tree.get("seed", 0)
        self.check_name(name, in_file="name" in tree)
        if type(seed) is not int or not 0 <= seed < 2**63:
            text = "expected a whole number of at least 0 and below 2^63"
            self.issue(("seed",), f"{text}, got {_brief(seed)}")
        if folder is not None:
            self.resolve_paths(tree, folder)
        for section, key in misnamed.items():
            self.check_misnamed(section, key)
        options: dict[str, Any] = {
            key: self.section(tree, key) for key in (*REGISTRIES, "train") if key not in misnamed
        }
        sweep = self.sweep_section(tree)
        if self.issues:
            raise ConfigError(self.source, self.issues)
        assert isinstance(name, str) and isinstance(seed, int)
        return RunConfig(
            name=name, seed=seed, **options, source=self.source, origins=self.origins(), sweep=sweep
        )

    def check_misnamed(self, section: str, key: str) -> None:
        """Note the faults inside a section whose name is wrong, so that they are seen at once."""

        def renamed(path: yaml_parser.Path) -> yaml_parser.Path:
            return (section, *path[1:]) if path[:1] == (key,) else path

        tree = {section if each == key else each: value for each, value in self.tree.items()}
        keys, values = [{renamed(path): place for path, place in table.items()}
                  for table in (self.keys, self.values)]  # fmt: skip
        probe = _Parser(Document(tree, keys, values), self.source)
        probe.set_paths = {renamed(path) for path in self.set_paths}
        probe.section(tree, section)
        self.issues += [
            replace(issue, path=key + issue.path.removeprefix(section)) for issue in probe.issues
        ]

    def check_name(self, name: Any, in_file: bool) -> None:
        if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name):
            return
        rule = "letters, digits, '.', '_', '-', the first a letter or digit, at most 100"
        if in_file:
            quotes = f"; in quotes: '{name}'" if type(name) is int else ""
            self.issue(("name",), f"expected a folder's name ({rule}), got {_brief(name)}{quotes}")
        elif name is None:
            self.issue(("name",), f"missing: the name of the run's folder ({rule})")
        else:
            message = (
                f"the file's name cannot name the run's folder ({rule}); write 'name: …' in it"
            )
            self.issue(("name",), message)

    # Command line values.

    def apply_set(self, tree: dict[str, Any], text: str) -> None:
        """Put the value of "key=value" into the tree, or note what is wrong with it."""
        key, equals, value_text = text.partition("=")
        parts = _below_space(key_path(key.strip()))
        if not equals or not parts:
            self.issues.append(
                ConfigIssue("--set", text, "expected key=value, as in model.dropout=0.5")
            )
            return
        if len(parts) > yaml_parser.MAX_DEPTH:
            self.issues.append(
                ConfigIssue("--set", key, f"deeper than {yaml_parser.MAX_DEPTH} levels")
            )
            return
        parsed = yaml_parser.parse_yaml(value_text, "--set")
        if parsed.issues:
            self.issues += [ConfigIssue("--set", key, issue.message) for issue in parsed.issues]
            return
        replaced = set_at_path(tree, parts, parsed.value)
        if replaced is not None:
            for path in replaced:
                self.forget(path)
            self.note_set(parts, parsed)
            return
        message = "not in the file, so there is no item to replace"
        if any(isinstance(part, int) for part in parts):
            names = tuple(takewhile(lambda part: isinstance(part, str), parts))
            message += f"; give the whole list: {yaml_parser.dotted(names)}=[…]"
        self.issues.append(ConfigIssue("--set", yaml_parser.dotted(parts), message))

    def note_set(self, path: yaml_parser.Path, parsed: Document) -> None:
        """Remember that --set gave a value, and forget where the file had another."""
        self.forget(path)
        self.set_paths = {old for old in self.set_paths if old[: len(path)] != path}
        self.set_paths |= {path, *(path + inner for inner in parsed.values)}

    def forget(self, path: yaml_parser.Path) -> None:
        for table in (self.keys, self.values):
            for old in [old for old in table if old[: len(path)] == path]:
                del table[old]

    def resolve_paths(self, tree: dict[str, Any], folder: Path) -> None:
        """Make paths absolute: one in the file starts at the file, one of --set where you are."""
        for place in (*(("data", key) for key in PATH_KEYS), ("sweep", "storage")):
            section: Any = tree.get(place[0])
            value = section.get(place[1]) if isinstance(section, dict) else None
            if place[0] == "sweep" and storage_kind(str(value)) not in ("sqlite", "journal"):
                continue
            if isinstance(value, str) and value:
                base = Path.cwd() if place in self.set_paths else folder
                try:
                    section[place[1]] = str((base / Path(value).expanduser()).resolve())
                except (RuntimeError, ValueError):  # "~stranger/x", a NUL
                    self.issue(place, f"cannot be a path: {_brief(value)}")

    # Validation.

    def registry_section(self, tree: dict[str, Any], key: str) -> Any:
        """The options of `data`, `model` or `optim`; None after a issue."""
        registry = REGISTRIES[key]
        default = DEFAULT_OPTIMIZER if key == "optim" else None
        section = tree.get(key)
        if section is None and default is not None:
            section = {}
        if isinstance(section, str):
            section = {"name": section}
        names = ", ".join(registry.names())
        if not isinstance(section, dict):
            got = "" if section is None else f", got {_brief(section)}"
            self.issue((key,), f"expected a section with a 'name' ({names}){got}")
            return None
        name = section.get("name", default)
        if not isinstance(name, str):
            missing = "name" not in section
            what = f"missing: one of {names}" if missing else f"expected one of {names}"
            other = next((each for each in section if KEYS.get(each) == ("name",)), None)
            instead = f"; it is 'name', not '{other}'" if other else ""
            self.issue((key, "name"), what + instead if missing else f"{what}, got {_brief(name)}")
            return None
        entry = registry.get(name)
        if entry is None:
            near = nearest_value(name, registry.names())
            hint = f"did you mean '{near}'?" if near else f"one of {names}"
            self.issue((key, "name"), f"unknown {NOUNS[key]} '{_short(name)}'; {hint}")
            return None
        return self.validate(entry.options, {"name": name, **section}, (key,))

    def section(self, tree: dict[str, Any], key: str) -> Any:
        """The options of one of the sections that a run has; None after a issue."""
        if key in REGISTRIES:
            return self.registry_section(tree, key)
        train = tree.get("train")
        return self.validate(TrainOptions, {} if train is None else train, ("train",))

    def validate(self, options: type[Options], raw: Any, prefix: yaml_parser.Path) -> Any:
        from pydantic import ValidationError

        if not isinstance(raw, dict):
            keys = ", ".join([*options.model_fields][:4])
            self.issue(prefix, f"expected a section ({keys}, …), got {_brief(raw)}")
            return None
        try:
            return options.model_validate(raw)
        except ValidationError as error:
            self.translate(options, raw, prefix, error.errors(include_url=False))
            return None

    # What a sweep tries: each value of each key must be one that the file could hold.

    def sweep_section(self, tree: dict[str, Any]) -> Sweep | None:
        """The search of the section `sweep`; None without one, or after a issue."""
        raw = tree.get("sweep")
        if raw is None:
            return None
        options = self.validate(SweepOptions, raw, ("sweep",)) or self.what_holds(raw)
        self.check_storage(raw)
        if options is None:
            return None
        base = {key: value for key, value in tree.items() if key not in ("sweep", "environment")}
        fixed = self.fixed_keys(tree)
        sweep = Sweep(options, base, source=self.source)
        if sweep.checks > MAX_CHECKS:
            self.issue(("sweep", "space"), "too many values of keys inside each other")
            return None
        for key in options.space:
            where: yaml_parser.Path = ("sweep", "space", key)
            path = key_path(key)
            reason = _OTHER_ROWS if key == "data" else None
            for other, why in fixed.items():
                if f"{key}.".startswith((f"{other}.", f"{other}[")):
                    reason = why
            if not path or path[0] not in SECTIONS:
                near = nearest(str(path[0]), SECTIONS) if path else None
                meant = f"did you mean '{near}{key[len(str(path[0])) :]}'?" if near else ""
                hint = meant or "expected a key of the file, as in optim.lr"
                self.issue(where, f"unknown key; {hint}", at_key=True)
            elif reason:
                self.issue(where, f"cannot be searched: {reason}", at_key=True)
            else:
                before = len(self.issues)
                self.check_values(sweep, key, where)
                for other in fixed if len(self.issues) == before else ():
                    if other.startswith(f"{key}."):
                        self.check_same(sweep, key, other, fixed[other])
        if options.sampler == "grid" and not self.issues:
            self.check_grid(sweep)
        return sweep

    def fixed_keys(self, tree: dict[str, Any]) -> dict[str, str]:
        """What is the same in all trials, and why."""
        train = tree.get("train")
        monitor = train.get("monitor", "auto") if isinstance(train, dict) else "auto"
        if monitor not in ("auto", "val_loss"):
            return NOT_SEARCHED
        why = "it changes what val_loss measures; set train.monitor, as in val_rmse"
        return NOT_SEARCHED | dict.fromkeys(_MEASURES, why)

    def check_same(self, sweep: Sweep, key: str, inner: str, why: str) -> None:
        """Note the values of a section that is tried as a whole in which a key that all trials have alike
        is not what the file says it is."""
        given = sweep.options.space[key]
        there = self.option_of(sweep.base, inner)
        for i, value in enumerate(given if isinstance(given, list) else ()):
            own = self.option_of(sweep.tree({key: value}), inner)
            if own != there:
                self.issue(
                    ("sweep", "space", key, i),
                    f"{inner} is {_brief(own)} here and {_brief(there)} in the file, and cannot be "
                    f"searched: {why}",
                )

    def option_of(self, tree: dict[str, Any], key: str) -> Any:
        """A key's value in a tree of plain values, defaults included; None where there is none."""
        first, *others = key.split(".")
        found = _Parser(Document(value=tree), self.source).section(tree, first)
        for part in others:
            found = getattr(found, part, None)
        return found

    def what_holds(self, raw: Any) -> SweepOptions | None:
        """Of a section with faults the keys of its space that have none, so that more is found."""
        from pydantic import ValidationError

        space = raw.get("space") if isinstance(raw, dict) else None
        good: dict[str, Any] = {}
        for key, value in space.items() if isinstance(space, dict) else ():
            with suppress(ValidationError):
                good |= SweepOptions(space={key: value}).space
        return SweepOptions(space=good) if good else None

    def check_storage(self, raw: Any) -> None:
        """Note a storage of no known kind, as far as its text tells."""
        storage = raw.get("storage", "auto") if isinstance(raw, dict) else "auto"
        if isinstance(storage, str) and storage and not storage_kind(storage):
            text = "expected auto, a file *.db or *.log, or a URL (postgresql://…, mysql://…)"
            self.issue(("sweep", "storage"), f"{text}, got {_brief(storage)}")

    def check_values(self, sweep: Sweep, key: str, where: yaml_parser.Path) -> None:
        """Note the values of a key that the file could not hold, and find out whether a range is one
        of whole numbers."""
        given = sweep.options.space[key]
        if isinstance(given, list):
            values: dict[int | str, Any] = dict(enumerate(given))
            seen: list[str] = []
            for i, text in enumerate(json.dumps(value, sort_keys=True) for value in given):
                if text in seen:
                    self.issue(
                        (*where, i), f"given twice; the same as value {seen.index(text) + 1}"
                    )
                seen.append(text)
        else:
            values = {"low": given.low, "high": given.high}
            if given.step is not None and not float(given.step).is_integer():
                values["step"] = given.low + given.step
        found = {at: self.misfits(sweep, key, value) for at, value in values.items()}
        if "step" in found and not found["low"] + found["high"]:
            # What stands there is not what was looked at.
            found["step"] = [f"{each}, the second value" for each in found["step"]]
        first = next(iter(found.values()))
        if first and all(each == first for each in found.values()):
            # The key itself is at fault, or there is but one value.
            at_key = first[0].startswith("unknown key")
            self.issue(
                where if at_key or len(found) > 1 else (*where, next(iter(found))), first[0], at_key
            )
            return
        for at, messages in found.items():
            for message in messages[:1]:
                self.issue((*where, at), message)
        if isinstance(given, RangeOptions) and not any(found.values()):
            bounds = (given.low, given.high, given.step or 0)
            whole = all(float(bound).is_integer() for bound in bounds)
            if whole and self.misfits(sweep, key, given.low + 0.5):
                sweep.whole.add(key)

    def misfits(self, sweep: Sweep, key: str, value: Any) -> list[str]:
        """What is wrong with a value of a key, in whatever company it can come."""
        path, found = key_path(key), []
        for company in sweep.companies(key):
            tree = sweep.tree(dict(company))
            before = self.issues_of(tree, str(path[0]))
            replaced = set_at_path(tree, path, deepcopy(value))
            if replaced is None:
                return ["not in the file, so there is no item to replace"]
            for other, choice in company:
                if key_path(other) in replaced:
                    return [
                        f"is in {other}, which is {_brief(choice)} in some trials; write whole sections "
                        f"as the values of {other} instead"
                    ]
            for at, message in self.issues_of(tree, str(path[0])):
                if (at, message) not in before:
                    beside = "".join(
                        f"with {other} {_brief(choice)}: " for other, choice in company
                    )
                    inner = f"{at.removeprefix(key).lstrip('.')}: " if at not in (key, "") else ""
                    found.append(beside + inner + message)
        return found

    def issues_of(self, tree: dict[str, Any], section: str) -> list[tuple[str, str]]:
        """What is wrong with one section of a tree: dotted path and message."""
        probe = _Parser(Document(value=tree), self.source)
        probe.section(tree, section)
        return [(issue.path, issue.message) for issue in probe.issues]

    def check_grid(self, sweep: Sweep) -> None:
        """Note ranges that no grid has points of, and a grid that nobody could wait for."""
        for key, given in sweep.options.space.items():
            where = ("sweep", "space", key)
            if isinstance(given, RangeOptions):
                if given.log:
                    self.issue((*where, "log"), "not with a grid; list the values instead")
                elif given.step is None and key not in sweep.whole:
                    self.issue(where, "a grid needs a 'step' here, or a list of values")
        if not self.issues and sweep.grid_size > MAX_TRIALS:
            self.issue(
                ("sweep", "space"),
                f"{sweep.grid_size:,} combinations; at most {MAX_TRIALS:,}",
            )

    def translate(
        self,
        options: type[Options],
        raw: Any,
        prefix: yaml_parser.Path,
        errors: Sequence[Any],
    ) -> None:
        """pydantic's errors as faults: where in the file, what was expected, what was found."""
        found: dict[yaml_parser.Path, Any] = {}
        for error in errors:
            path = _real_path(raw, error)
            # Of a union's branches, the one that says more than what may stand there.
            if path not in found or error["type"] == "field_error":
                found[path] = error
        # How many errors lie at a path or below it.
        below = Counter(path[:length] for path in found for length in range(len(path) + 1))
        root = options.model_json_schema()
        for path, error in found.items():
            kind = error["type"]
            where = (*prefix, *path)
            if kind == "extra_forbidden":
                self.unknown(where, properties(root, raw, path[:-1]))
            elif kind == "missing":
                self.issue(where, f"missing: {node_at(root, raw, path)['description']}")
            elif kind == "field_error":
                inner = error.get("ctx", {}).get("field", "")
                self.issue((*where, inner) if inner else where, error["msg"])
            elif kind.startswith("union_tag"):
                self.named(where, raw, path, node_at(root, raw, path), root)
            elif not _elsewhere(path, below, root, raw):
                value, node = _value_at(raw, path), node_at(root, raw, path)
                text = f"expected {describe_expected(node, value, root)}, got {_brief(value)}"
                self.issue(where, text + value_hint(value, node, root, str(path[-1])))

    def named(
        self, where: yaml_parser.Path, raw: Any, path: yaml_parser.Path, node: Any, root: Any
    ) -> None:
        """A section inside a section whose `name` is missing or unknown, such as a schedule."""
        value = _value_at(raw, path)
        value = {"name": value} if isinstance(value, str) else value
        names = f"one of {', '.join(dict.fromkeys(choices(node, root)))}"
        if "name" not in value:
            self.issue((*where, "name"), f"missing: {names}")
            return
        hint = value_hint(value["name"], node, root)
        self.issue((*where, "name"), f"expected {names}, got {_brief(value['name'])}{hint}")

    def unknown(self, where: yaml_parser.Path, known: list[str]) -> None:
        hint = key_hint(where, known, self.file_keys())
        self.issue(where, f"unknown key; {hint}", at_key=True)

    def file_keys(self) -> dict[str, str]:
        """The keys that this file's sections can have, with their dotted paths."""
        options: list[tuple[str, type[Options]]] = [("train", TrainOptions)]
        for section, registry in REGISTRIES.items():
            given = self.tree.get(section) if isinstance(self.tree, dict) else None
            name = given.get("name") if isinstance(given, dict) else given
            entry = registry.get(name) if isinstance(name, str) else None
            options += [(section, entry.options)] if entry else []
        return {
            key: f"{section}.{key}"
            for section, each in options for key in each.model_fields if key != "name"
        }  # fmt: skip

    def issue(self, path: yaml_parser.Path, message: str, at_key: bool = False) -> None:
        """Note a fault with the place in the file, or "--set", that is to blame."""
        below = any(path[: len(given)] == given for given in self.set_paths)
        above = any(given[: len(path)] == path for given in self.set_paths)
        if below or (above and path not in self.values):
            self.issues.append(ConfigIssue("--set", yaml_parser.dotted(path), message))
            return
        tables = [self.keys, self.values] if at_key else [self.values, self.keys]
        position = (1, 1)
        # A missing key has no place of its own: blame the section that should hold it.
        for length in range(len(path), 0, -1):
            hit = next((table[path[:length]] for table in tables if path[:length] in table), None)
            if hit:
                position = hit
                break
        located = f"{self.source}:{position[0]}:{position[1]}" if self.values else self.source
        self.issues.append(ConfigIssue(located, yaml_parser.dotted(path), message, position))

    def origins(self) -> dict[str, yaml_parser.Position | None]:
        """Dotted path -> where the value came from; a list one item of which is set counts as set."""
        origins = {yaml_parser.dotted(path): place for path, place in self.values.items() if path}
        names = {tuple(takewhile(lambda part: isinstance(part, str), p)) for p in self.set_paths}
        return origins | {yaml_parser.dotted(path): None for path in names}


def _below_space(path: yaml_parser.Path) -> yaml_parser.Path:
    """A path of --set; in the space of a sweep what follows is one key, and what its range has."""
    if path[:2] != ("sweep", "space") or len(path) == 2:
        return path
    inner = (path[-1],) if path[-1] in RangeOptions.model_fields and len(path) > 3 else ()
    return (*path[:2], yaml_parser.dotted(path[2 : len(path) - len(inner)]), *inner)


def _real_path(raw: Any, error: Any) -> yaml_parser.Path:
    """pydantic's location without the names of union branches, which the file does not hold."""
    path: list[str | int] = []
    here = raw
    for i, part in enumerate(error["loc"]):
        last = i == len(error["loc"]) - 1
        if has_key(here, part):
            here = here[part]
            path.append(part)
        elif last and error["type"] == "missing":
            path.append(part)
    return tuple(path)


def _value_at(raw: Any, path: yaml_parser.Path) -> Any:
    for part in path:
        raw = raw[part]
    return raw


def _elsewhere(
    path: yaml_parser.Path, below: Counter[yaml_parser.Path], root: dict[str, Any], raw: Any
) -> bool:
    """Whether an error comes from a branch of a union that was not meant.

    So it is where another error lies deeper, and where the value is right and a sibling is wrong.
    """
    if below[path] > 1:
        return True
    siblings = below[path[:-1]] > 1
    return siblings and accepts(node_at(root, raw, path), _value_at(raw, path), root)


def _brief(value: Any) -> str:
    """A value as it stands in a file, cut to fit on a line."""
    if value is None:
        return "nothing"
    return _short(repr(value) if isinstance(value, str) else default_text(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
