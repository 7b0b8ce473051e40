"""Completion of KEY=VALUE: keys as far as the next dot, then values, by the options and the config so far."""

from __future__ import annotations

import csv
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from nnzoo.config import yaml_parser
from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.load import find_config
from nnzoo.config.options import Options, nested_options
from nnzoo.config.registry import REGISTRIES, RUN_SECTIONS, options_class
from nnzoo.config.split_options import Column
from nnzoo.config.sweep_space import key_path, set_at_path
from nnzoo.errors import NnzooError

Candidate = tuple[str, str]
"""A completed word, and a short description of it."""
MAX_HEADER = 1 << 16
MAX_FILES = 200


def config_so_far(source: str | None, sets: Sequence[str]) -> dict[str, Any]:
    """Return the plain values of a config with --set applied, as far as they can be read; nothing is validated.

    The folder of the config is under the key "": paths in it are relative to that.
    """
    tree: dict[str, Any] = {}
    if source:
        with suppress(OSError, ValueError, NnzooError, RecursionError):
            path = find_config(source)
            with path.open("rb") as file:
                value = yaml_parser.parse_yaml(file.read(yaml_parser.MAX_BYTES), "").value
            if isinstance(value, dict):
                tree = value | {"": str(path.parent)}
    for section in RUN_SECTIONS:
        if isinstance(tree.get(section), str):
            tree[section] = {"name": tree[section]}
    for text in sets:
        key, _, value = text.partition("=")
        if path_of_key := key_path(key):
            set_at_path(tree, path_of_key, yaml_parser.scalar(value))
    return tree


def complete_setting(incomplete: str, tree: dict[str, Any]) -> list[Candidate]:
    """Return the continuations of `KEY=VALUE`: keys as far as the next dot, or behind "=" values.

    A single key is continued with what follows it, so that no shell puts a space behind it.
    """
    if "=" in incomplete:
        key, _, value = incomplete.partition("=")
        return [(f"{key}={text}", help_) for text, help_ in complete_value(key, value, tree)]
    prefix, dot, last = incomplete.rpartition(".")
    keys = [
        (f"{prefix}{dot}{key}", help_)
        for key, help_ in _keys_at(prefix.split(".") if prefix else [], tree)
        if key.startswith(last)
    ]
    if len(keys) != 1:
        return keys
    ((only, help_),) = keys
    if only.endswith("."):
        return complete_setting(only, tree)
    values = complete_value(only[:-1], "", tree)
    return [(only, help_), *((f"{only}{text}", words) for text, words in values)]


def _keys_at(path: list[str], tree: dict[str, Any]) -> list[Candidate]:
    """The keys at a path, those that hold others with a dot behind them, others with "="."""
    if not path:
        sections = [(f"{section}.", "") for section in RUN_SECTIONS]
        return [*sections, ("name=", "of the run and its folder"), ("seed=", "of the run")]
    keys: dict[str, str] = {}
    classes = _classes_at(path, tree)
    if len(path) == 1 and path[0] in REGISTRIES:
        keys["name="] = ", ".join(REGISTRIES[path[0]].names())
    for options in classes:
        for key, info in options.model_fields.items():
            meaning = info.description or ""
            if key == "name" and len(path) > 1:
                keys.setdefault("name=", "")
            if key == "name":
                continue
            nested = nested_options(info.annotation)
            if nested:
                keys.setdefault(f"{key}.", meaning)
            if not nested or _plain_values(info.annotation) or len(nested) > 1:
                keys.setdefault(f"{key}=", meaning)
    return sorted(keys.items())


def _classes_at(path: list[str], tree: dict[str, Any]) -> list[type[Options]]:
    """The options classes that a section may have: those that the config's `name` chooses, else all."""
    section, *rest = path
    classes: list[type[Options]] = []
    if section in RUN_SECTIONS:
        chosen = options_class(tree, section) if section != "optim" or tree else None
        every = {entry.options: None for _, entry in REGISTRIES.get(section, ())}
        classes = list(every) if chosen is None else [chosen]
    value: Any = tree.get(section)
    for key in rest:
        value = value.get(key) if isinstance(value, dict) else None
        fields = [options.model_fields[key] for options in classes if key in options.model_fields]
        nested = {inner: None for info in fields for inner in nested_options(info.annotation)}
        name = value.get("name") if isinstance(value, dict) else value
        named = [inner for inner in nested if name in _names_of(inner)]
        classes = named or list(nested)
    return classes


def _names_of(options: type[Options]) -> list[str]:
    """The names by which an options class is chosen; empty if it is by its key alone."""
    info = options.model_fields.get("name")
    return [] if info is None else list(_choices(info.annotation))


def complete_value(key: str, value: str, tree: dict[str, Any]) -> list[Candidate]:
    """Return the values of a dotted key that continue `value`: choices, names, columns, files, and the default."""
    *path, last = key.split(".")
    candidates: list[Candidate] = []
    if last == "name" and len(path) == 1 and path[0] in REGISTRIES:
        candidates = [(name, "") for name in REGISTRIES[path[0]].names()]
    elif path and last == "name":
        classes = _classes_at(path, {})
        candidates = [(name, "") for options in classes for name in _names_of(options)]
    else:
        for info in _fields(path, last, tree):
            candidates += _values_of(info, last, value, tree)
    unique: dict[str, str] = {}
    for text, help_ in candidates:
        if text.startswith(value):
            unique.setdefault(text, help_)
    return list(unique.items())


def _fields(path: list[str], key: str, tree: dict[str, Any]) -> list[FieldInfo]:
    if not path:
        return []
    classes = _classes_at(path, tree)
    return [options.model_fields[key] for options in classes if key in options.model_fields]


def _values_of(info: FieldInfo, key: str, value: str, tree: dict[str, Any]) -> list[Candidate]:
    """The values of a field, its default first unless it is one of the choices."""
    choices = list(_choices(info.annotation))
    nested = nested_options(info.annotation)
    if len(nested) > 1:
        choices += [name for options in nested for name in _names_of(options)]
    candidates: list[Candidate] = []
    default = None if info.is_required() else _compact(info.default)
    if default is not None and default not in choices:
        candidates.append((default, "default"))
    candidates += [(text, "default" if text == default else "") for text in choices]
    if _holds_column(info.annotation):
        candidates += [(name, "column") for name in _columns(tree)]
    if key in (*PATH_KEYS, "start_from", "vectors"):
        candidates += [(path, "") for path in files_below(value)]
    return candidates


def _compact(value: Any) -> str | None:
    """A default as a word of a command line; of options their name, None without one."""
    if isinstance(value, Options):
        return getattr(value, "name", None)
    return flow_yaml(value).replace(", ", ",")


def _choices(annotation: Any) -> Iterator[str]:
    """The words that an annotation allows: of Literal, booleans and null."""
    origin = get_origin(annotation)
    if annotation is bool:
        yield from ("true", "false")
    elif annotation is types.NoneType:
        yield "null"
    elif origin is Literal:
        yield from (str(choice) for choice in get_args(annotation))
    elif origin is Annotated:
        yield from _choices(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _choices(part)


def _plain_values(annotation: Any) -> bool:
    """Whether a key that holds options of its own may also have a plain value, such as null or a number."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain_values(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(_plain_values(part) for part in get_args(annotation))
    return not (isinstance(annotation, type) and issubclass(annotation, Options))


def _holds_column(annotation: Any) -> bool:
    """Whether a value names a column: a text or a position."""
    parts = get_args(annotation)
    return set(get_args(Column)) <= set(parts) or any(map(_holds_column, parts))


def _columns(tree: dict[str, Any]) -> list[str]:
    """The columns in the first line of the config's text table that are words; empty for other files."""
    data = tree.get("data")
    path = data.get("path") if isinstance(data, dict) else None
    if not isinstance(path, str) or not path.lower().endswith((".csv", ".tsv", ".txt")):
        return []
    for file in (Path(path), Path(str(tree.get("", "."))) / path):
        with suppress(OSError, ValueError, csv.Error):
            if not file.is_file():
                continue
            with file.open(encoding="utf-8-sig", errors="replace") as lines:
                header = lines.readline(MAX_HEADER).rstrip("\r\n")
            delimiter = max(",;\t|", key=header.count)
            names = next(csv.reader([header], delimiter=delimiter), [])
            return [name for name in names if name.isprintable() and name.strip() == name != ""]
    return []


def files_below(
    incomplete: str, endings: tuple[str, ...] = (), is_whole: Callable[[Path], bool] | None = None
) -> list[str]:
    """Return files and folders (with "/") that continue a path; endings: of the files, all by default.

    A single folder is continued with its content, so that no shell puts a space behind it. is_whole: whether a folder is
    offered itself, without "/".
    """
    folder, slash, name = incomplete.rpartition("/")
    paths: list[str] = []
    with suppress(OSError, ValueError):
        base = Path(folder).expanduser() if folder else Path("/" if slash else ".")
        for entry in sorted(base.iterdir()):
            path = f"{folder}{slash}{entry.name}"
            is_hidden = entry.name.startswith(".") and not name
            if is_hidden or not (entry.name.startswith(name) and entry.name.isprintable()):
                continue
            if entry.is_dir():
                paths.append(path if is_whole is not None and is_whole(entry) else f"{path}/")
            elif not endings or entry.name.endswith(endings):
                paths.append(path)
    if len(paths) == 1 and paths[0].endswith("/"):
        return files_below(paths[0], endings, is_whole) or paths
    return paths[:MAX_FILES]
