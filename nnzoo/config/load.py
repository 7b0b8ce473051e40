"""Loading of a configuration: a file or bundled name, plus --set, to a RunConfig or to all issues at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from itertools import takewhile
from pathlib import Path
from typing import Any

from nnzoo.config import yaml_parser
from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.hints import did_you_mean, nearest
from nnzoo.config.registry import RUN_SECTIONS
from nnzoo.config.renamed_keys import current_path, rename_former_keys, rename_note
from nnzoo.config.run_config import RunConfig
from nnzoo.config.section_issues import preview
from nnzoo.config.sections import validate_sections
from nnzoo.config.source_map import SourceMap
from nnzoo.config.sweep_options import RangeOptions
from nnzoo.config.sweep_space import key_path, set_at_path, storage_kind, validate_sweep
from nnzoo.config.yaml_parser import Document
from nnzoo.errors import ConfigError, ConfigIssue, UsageError, shell_word
from nnzoo.text import shorten

_BUNDLED = "bundled "
_MODEL_PATHS = (
    ("model", "embedding", "vectors"),
    ("model", "start_from"),
    ("model", "start_from", "path"),
)
_DATA_FILES = tuple(
    [".csv", ".tsv", ".parquet", ".pq", ".xlsx", ".xls", ".gz", ".zip", ".png", ".jpg", ".jpeg"]
)


def bundled_folder() -> Path:
    """The folder of the bundled configs: inside the wheel, else beside the package in a checkout."""
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
            f"{source} is data, not a config; write one for it: nnzoo init {shell_word(source)}",
            code="E15",
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
                f"nnzoo init {shell_word(source)}",
                code="E15",
            )
    known = [path.stem for path in bundled_configs()]
    near = nearest(Path(name).stem, known)
    hint = did_you_mean(near, "'nnzoo configs' lists the bundled ones")
    raise UsageError(
        f"no config '{shorten(source, 60)}': not a file, not in ./configs, not bundled; {hint}",
        code="E15",
    )


def load_config(source: str, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration of a file or bundled name with --set values applied.

    Raises UsageError (no such file) or ConfigError (every issue at once).
    """
    path = find_config(source)
    try:
        with path.open("rb") as file:
            text = file.read(yaml_parser.MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="E31") from None
    shown = _shown(path)
    document = yaml_parser.parse_yaml(text, shown)
    if document.value is None and not document.issues:
        document.issues.append(
            ConfigIssue(shown, "", "the file is empty; 'nnzoo init cnn' writes one", code="E10")
        )
    return parse(document, shown, overrides, folder=path.parent, default_name=path.stem)


def parse(
    document: Document,
    source: str,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    default_name: str | None = None,
) -> RunConfig:
    """The configuration in a parsed document; raises ConfigError with every issue."""
    return _Loader(document, source).load(overrides, folder, default_name)


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


class _Loader:
    """One configuration on its way from a parsed document to a RunConfig, with the issues so far."""

    def __init__(self, document: Document, source: str) -> None:
        self.source = source
        self.issues = list(document.issues)
        self.tree = deepcopy(document.value)
        self.map = SourceMap(document, source)
        self.notes: list[str] = []

    def load(
        self, overrides: Sequence[str], folder: Path | None, default_name: str | None
    ) -> RunConfig:
        tree = self.tree = {} if self.tree is None else self.tree
        if not isinstance(tree, dict):
            if not self.issues:
                self.issue((), "expected sections (data, model, optim, train) with their keys")
            raise ConfigError(self.source, self.issues)
        if not tree and self.issues:
            raise ConfigError(self.source, self.issues)
        self.rename_keys()
        for text in overrides:
            self.apply_override(text)
        self.rename_keys()
        if folder is not None:
            self.resolve_paths(folder)
        values, issues = validate_sections(tree, default_name)
        sweep, sweep_issues = validate_sweep(tree, self.source)
        for issue in (*issues, *sweep_issues):
            self.issue(*issue)
        if self.issues:
            raise ConfigError(self.source, self.issues)
        return RunConfig(
            **values,
            source=self.source,
            origins=self.map.origins(),
            notes=tuple(self.notes),
            sweep=sweep,
        )

    def issue(
        self, path: yaml_parser.Path, message: str, at_key: bool = False, code: str = "E13"
    ) -> None:
        self.issues.append(self.map.issue(path, message, at_key, code))

    def override_issue(self, key: str, message: str) -> None:
        self.issues.append(ConfigIssue("--set", key, message, code="E10"))

    def rename_keys(self) -> None:
        """Replace former names of keys by the current ones, with a note."""
        for section in (*RUN_SECTIONS, "sweep"):
            for old, new in rename_former_keys(self.tree, section):
                self.note_rename(self.map.locate(old, at_key=True)[0], old, new)
                self.map.rename(old, new)

    def note_rename(self, where: str, old: yaml_parser.Path, new: yaml_parser.Path) -> None:
        self.notes.append(rename_note(where, old, new))

    def apply_override(self, text: str) -> None:
        """Set the value of "key=value" in the tree, or note what is wrong with it."""
        key, equals, value_text = text.partition("=")
        path = _join_space_key(key_path(key.strip()))
        if not equals or not path:
            self.override_issue(text, "expected key=value, as in model.dropout=0.5")
            return
        if len(path) > yaml_parser.MAX_DEPTH:
            self.override_issue(key, f"deeper than {yaml_parser.MAX_DEPTH} levels")
            return
        parsed = yaml_parser.parse_yaml(value_text, "--set")
        if parsed.issues:
            self.issues += [
                ConfigIssue("--set", key, issue.message, code="E10") for issue in parsed.issues
            ]
            return
        current = current_path(self.tree, path)
        if current != path:
            self.note_rename("--set", path, current)
        replaced = set_at_path(self.tree, current, parsed.value)
        if replaced is not None:
            for old in replaced:
                self.map.forget(old)
            self.map.record_override(current, parsed)
            return
        message = "not in the file, so there is no item to replace"
        if any(isinstance(part, int) for part in path):
            names = tuple(takewhile(lambda part: isinstance(part, str), path))
            message += f"; give the whole list: {yaml_parser.dotted(names)}=[…]"
        self.override_issue(yaml_parser.dotted(path), message)

    def resolve_paths(self, folder: Path) -> None:
        """Make paths absolute: those in the file relative to it, those of --set to the working folder."""
        paths = (*(("data", key) for key in PATH_KEYS), ("sweep", "storage"), *_MODEL_PATHS)
        for path in paths:
            section: Any = self.tree
            for key in path[:-1]:
                section = section.get(key) if isinstance(section, dict) else None
            value = section.get(path[-1]) if isinstance(section, dict) else None
            if path[0] == "sweep" and storage_kind(str(value)) not in ("sqlite", "journal"):
                continue
            if isinstance(value, str) and value:
                overridden = any(path[:end] in self.map.overrides for end in (2, len(path)))
                base = Path.cwd() if overridden else folder
                try:
                    section[path[-1]] = str((base / Path(value).expanduser()).resolve())
                except (RuntimeError, ValueError):  # "~stranger/x", a NUL
                    self.issue(path, f"cannot be a path: {preview(value)}")


def _join_space_key(path: yaml_parser.Path) -> yaml_parser.Path:
    """A path of --set in which a key of sweep.space, "optim.lr", is one part, as it is in a file."""
    if path[:2] != ("sweep", "space") or len(path) == 2:
        return path
    inner = (path[-1],) if path[-1] in RangeOptions.model_fields and len(path) > 3 else ()
    return (*path[:2], yaml_parser.dotted(path[2 : len(path) - len(inner)]), *inner)
