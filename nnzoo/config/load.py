"""A file or bundled name, plus --set, to a RunConfig, or to all faults at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nnzoo.config import reader, schema
from nnzoo.config.describe import expected, node_at, properties
from nnzoo.config.reader import Document
from nnzoo.config.shelf import DATA, MODELS, OPTIMIZERS, Shelf
from nnzoo.errors import ConfigError, Fault, UsageError

SHELVES: dict[str, Shelf] = {"data": DATA, "model": MODELS, "optim": OPTIMIZERS}
SECTIONS = ("name", "seed", "data", "model", "optim", "train")
# Relative paths in a file are relative to that file.
PATH_KEYS = ("path", "test_path", "root")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_OTHER_SECTIONS = {
    "clip": "optim.clip",
    "lr": "optim.lr",
    "learning_rate": "optim.lr",
    "schedule": "optim.schedule",
    "weight_decay": "optim.weight_decay",
    "momentum": "optim.momentum",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "loss": "train.loss",
    "label_smoothing": "train.label_smoothing",
    "monitor": "train.monitor",
    "early_stopping": "train.early_stopping",
    "patience": "train.early_stopping.patience",
    "save_every": "train.save_every",
    "augment": "data.augment",
    "preprocess": "data.preprocess",
    "split": "data.split",
    "class_weights": "data.class_weights",
    "window": "data.window",
    "horizon": "data.horizon",
    "dropout": "model.dropout",
    "init": "model.init",
    "activation": "model.activation",
    "device": "the option --device",
    "verbose": "the option --verbose",
    "out": "the option --out",
}


@dataclass(frozen=True)
class RunConfig:
    """A valid configuration; every default is filled in."""

    name: str
    seed: int
    data: schema.DataOptions
    model: schema.ModelOptions
    optim: schema.OptimOptions
    train: schema.TrainOptions
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Dotted path -> "cnn.yaml:7" or "--set"; what is not here is a default."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in the order of the language; `parse` of it gives this config again."""
        result: dict[str, Any] = {"name": self.name, "seed": self.seed}
        for key in ("data", "model", "optim", "train"):
            result[key] = getattr(self, key).model_dump(mode="json")
        return result

    def flat(self) -> dict[str, Any]:
        """Dotted path -> value; a list is one value."""
        return dict(_flatten(self.to_dict(), ""))


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
    """A path; else a name in ./configs; else a bundled one. `cnn` and `cnn.yaml` mean the same."""
    name = source if source.endswith((".yaml", ".yml")) else f"{source}.yaml"
    candidates = [Path(source), Path(name)]
    if not Path(source).is_absolute():
        candidates += [Path("configs") / name, bundled_folder() / name]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    known = [path.stem for path in bundled_configs()]
    near = get_close_matches(Path(name).stem, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "'nnzoo configs' lists the bundled ones"
    raise UsageError(f"no config '{source}': not a file, not in ./configs, not bundled; {hint}")


def load_config(source: str, sets: Sequence[str] = ()) -> RunConfig:
    """The configuration of a file or bundled name with --set values applied.

    Raises UsageError (no such file) or ConfigError (every fault at once).
    """
    path = find_config(source)
    try:
        with path.open("rb") as file:
            text = file.read(reader.MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    shown = _shown(path)
    document = reader.read(text, shown)
    if document.value is None and not document.faults:
        document.faults.append(Fault(shown, "", "the file is empty; 'nnzoo init cnn' writes one"))
    return parse(document, shown, sets, folder=path.parent, default_name=path.stem)


def parse(
    document: Document,
    source: str,
    sets: Sequence[str] = (),
    folder: Path | None = None,
    default_name: str | None = None,
) -> RunConfig:
    """The configuration in a parsed document; raises ConfigError with every fault."""
    return _Parser(document, source).parse(sets, folder, default_name)


def from_dict(value: dict[str, Any], source: str) -> RunConfig:
    """The configuration in plain values, as `RunConfig.to_dict` makes them."""
    return parse(Document(value=value), source)


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


class _Parser:
    def __init__(self, document: Document, source: str) -> None:
        self.document = document
        self.source = source
        self.faults = list(document.faults)
        self.set_paths: dict[reader.Path, str] = {}

    def parse(
        self, sets: Sequence[str], folder: Path | None, default_name: str | None
    ) -> RunConfig:
        tree = self.document.value
        if tree is None:
            tree = {}
        if not isinstance(tree, dict):
            if not self.faults:
                self.fault((), "expected sections (data, model, optim, train) with their keys")
            raise ConfigError(self.source, self.faults)
        if not tree and self.faults:
            raise ConfigError(self.source, self.faults)
        for text in sets:
            self.apply_set(tree, text)
        for key in tree:
            if key not in (*SECTIONS, "environment"):
                self.unknown((key,), key, list(SECTIONS))
        name = tree.get("name", default_name)
        if not isinstance(name, str) or not _NAME.match(name):
            self.fault(("name",), "expected a word of letters, digits, '.', '_' and '-' "
                       f"for the run's folder, got {name!r}")
        seed = tree.get("seed", 0)
        if type(seed) is not int or not 0 <= seed < 2**63:
            self.fault(("seed",), f"expected a whole number from 0 to 2^63 - 1, got {seed!r}")
        if folder is not None:
            self.resolve_paths(tree, folder)
        options: dict[str, Any] = {key: self.shelf_section(tree, key) for key in SHELVES}
        train_tree = tree.get("train", {})
        options["train"] = self.validate(
            schema.TrainOptions, {} if train_tree is None else train_tree, ("train",)
        )
        if self.faults:
            raise ConfigError(self.source, self.faults)
        return RunConfig(name=name, seed=seed, **options, origins=self.origins())

    # Command line values.

    def apply_set(self, tree: dict[str, Any], text: str) -> None:
        key, equals, value_text = text.partition("=")
        parts: list[str | int] = []
        for part in re.split(r"\.|(?=\[)", key.strip()):
            index = re.fullmatch(r"\[?(\d+)\]?", part)
            parts.append(int(index[1]) if index else part)
        if not equals or not all(part == 0 or part for part in parts) or isinstance(parts[0], int):
            self.faults.append(Fault("--set", text, "expected key=value, as in model.dropout=0.5"))
            return
        parsed = reader.read(value_text, "--set")
        if parsed.faults:
            self.faults += [
                Fault("--set", key, fault.message, fault.order) for fault in parsed.faults
            ]
            return
        target: Any = tree
        for i, part in enumerate(parts[:-1]):
            if isinstance(target, dict) and isinstance(part, str):
                following = target.get(part)
                if isinstance(following, str) and part == "schedule":
                    following = {"name": following}
                if not isinstance(following, dict | list):
                    following = {}
                target[part] = following
                target = following
            elif isinstance(target, list) and isinstance(part, int) and part < len(target):
                target = target[part]
            else:
                self.faults.append(
                    Fault("--set", key, f"nothing at '{reader.dotted(tuple(parts[: i + 1]))}'")
                )
                return
        last = parts[-1]
        if (isinstance(target, dict) and isinstance(last, str)) or (
            isinstance(target, list) and isinstance(last, int) and last < len(target)
        ):
            target[last] = parsed.value  # type: ignore[index]
            self.set_paths[tuple(parts)] = "--set"
        else:
            self.faults.append(Fault("--set", key, "nothing at that place to set"))

    def resolve_paths(self, tree: dict[str, Any], folder: Path) -> None:
        data = tree.get("data")
        if not isinstance(data, dict):
            return
        for key in PATH_KEYS:
            value = data.get(key)
            if isinstance(value, str) and value:
                base = Path.cwd() if ("data", key) in self.set_paths else folder
                data[key] = str((base / Path(value).expanduser()).resolve())

    # Validation.

    def shelf_section(self, tree: dict[str, Any], key: str) -> Any:
        shelf = SHELVES[key]
        section = tree.get(key, {"name": "adam"} if key == "optim" else None)
        if isinstance(section, str) and section:
            section = {"name": section}
        if not isinstance(section, dict):
            example = {"data": "digits", "model": "cnn", "optim": "adam"}[key]
            self.fault((key,), f"expected a section with 'name' in it, as in 'name: {example}'")
            return None
        name = section.get("name", "adam" if key == "optim" else None)
        if not isinstance(name, str):
            names = ", ".join(shelf.names())
            got = "" if name is None else f", got {name!r}"
            self.fault((key, "name"), f"expected one of {names}{got}")
            return None
        entry = shelf.get(name)
        if entry is None:
            near = get_close_matches(name, shelf.names(), n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(shelf.names())}"
            self.fault((key, "name"), f"unknown {key} '{name}'; {hint}")
            return None
        return self.validate(entry.options, {"name": name, **section}, (key,))

    def validate(self, options: type[schema.Options], raw: Any, prefix: reader.Path) -> Any:
        from pydantic import ValidationError

        if not isinstance(raw, dict):
            self.fault(prefix, f"expected a section, got {raw!r}")
            return None
        try:
            return options.model_validate(raw)
        except ValidationError as error:
            self.translate(options, raw, prefix, error.errors(include_url=False))
            return None

    def translate(
        self, options: type[schema.Options], raw: Any, prefix: reader.Path, errors: Sequence[Any]
    ) -> None:
        """pydantic's errors as faults: where in the file, what was expected, what was found."""
        found: dict[reader.Path, list[Any]] = {}
        for error in errors:
            found.setdefault(_real_path(raw, error), []).append(error)
        schema_root = options.model_json_schema()
        for path, group in found.items():
            if any(other != path and other[: len(path)] == path for other in found) and not any(
                error["type"] in ("extra_forbidden", "field_fault") for error in group
            ):
                continue  # another branch of a union got further, and says more
            where = (*prefix, *path)
            first = group[0]
            kind = first["type"]
            if kind == "extra_forbidden":
                self.unknown(where, str(path[-1]), properties(schema_root, raw, path[:-1]))
            elif kind == "missing":
                node = node_at(schema_root, raw, path)
                self.fault(where, f"missing: {node.get('description', 'needs a value')}")
            elif kind in ("field_fault", "duration"):
                inner = first.get("ctx", {}).get("field", "")
                self.fault((*where, inner) if inner else where, first["msg"])
            else:
                value = _value_at(raw, path)
                text = expected(schema_root, raw, path)
                near = _near(value, node_at(schema_root, raw, path), schema_root)
                self.fault(where, f"expected {text}, got {_brief(value)}{near}")

    def unknown(self, where: reader.Path, key: str, known: list[str]) -> None:
        near = get_close_matches(key, known, n=1)
        if near:
            hint = f"did you mean '{near[0]}'?"
        elif key in _OTHER_SECTIONS and _OTHER_SECTIONS[key] != reader.dotted(where):
            hint = f"it is {_OTHER_SECTIONS[key]}"
        else:
            hint = f"known here: {', '.join(known)}"
        self.fault(where, f"unknown key; {hint}", at_key=True)

    def fault(self, path: reader.Path, message: str, at_key: bool = False) -> None:
        if any(path[: len(given)] == given for given in self.set_paths):
            self.faults.append(Fault("--set", reader.dotted(path), message))
            return
        tables = [self.document.values, self.document.keys]
        if at_key:
            tables.reverse()
        position = (1, 1)
        # A missing key has no place of its own: blame the section that should hold it.
        for length in range(len(path), 0, -1):
            hit = next((table[path[:length]] for table in tables if path[:length] in table), None)
            if hit:
                position = hit
                break
        located = f"{self.source}:{position[0]}:{position[1]}" if self.document.values else self.source
        self.faults.append(Fault(located, reader.dotted(path), message, position))

    def origins(self) -> dict[str, str]:
        origins = {
            reader.dotted(path): f"{self.source}:{position[0]}"
            for path, position in self.document.values.items()
        }
        return origins | {reader.dotted(path): text for path, text in self.set_paths.items()}


def _real_path(raw: Any, error: Any) -> reader.Path:
    """pydantic's location without the names of union branches, which the file does not hold."""
    path: list[str | int] = []
    here = raw
    for i, part in enumerate(error["loc"]):
        last = i == len(error["loc"]) - 1
        if isinstance(here, dict) and part in here and isinstance(part, str):
            here = here[part]
            path.append(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
            path.append(part)
        elif last and error["type"] == "missing":
            path.append(part)
    return tuple(path)


def _value_at(raw: Any, path: reader.Path) -> Any:
    for part in path:
        raw = raw[part]
    return raw


def _brief(value: Any) -> str:
    text = repr(value) if value is not None else "nothing"
    return text if len(text) <= 60 else text[:57] + "..."


def _near(value: Any, node: dict[str, Any], root: dict[str, Any]) -> str:
    from nnzoo.config.describe import choices

    near = get_close_matches(str(value), choices(node, root), n=1)
    return f"; did you mean '{near[0]}'?" if near and isinstance(value, str) else ""
