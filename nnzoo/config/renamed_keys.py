"""Renamed keys: former names in files, --set and stored configurations are replaced as they are read.

The table is in the option classes: `option(..., formerly="old_name")`; the loader, the JSON Schema and
the reference read it from there. Words of other tools (hints.py) never were keys: they only give hints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from nnzoo.config.options import Options, nested_options
from nnzoo.config.registry import options_class
from nnzoo.config.yaml_parser import Path, dotted
from nnzoo.text import Note


def former_keys(options: type[Options]) -> dict[Any, str]:
    """Former name -> current name, of the renamed keys of one class."""
    extras = {key: info.json_schema_extra for key, info in options.model_fields.items()}
    return {
        extra["formerly"]: key
        for key, extra in extras.items()
        if isinstance(extra, dict) and "formerly" in extra
    }


def nested_class(options: type[Options], key: Any, value: Any) -> type[Options] | None:
    """The class of a section inside a section; among several the one that the value's `name` chooses."""
    info = options.model_fields.get(key)
    classes = nested_options(info.annotation) if info else []
    if len(classes) < 2:
        return next(iter(classes), None)
    name = value.get("name") if isinstance(value, dict) else value
    matching = (
        nested for nested in classes if name in get_args(nested.model_fields["name"].annotation)
    )
    return next(matching, None)


def rename_note(where: str, old: Path, new: Path) -> str:
    """The note on a former name, read at a place of a file or in --set."""
    return Note(
        "N24", f"{where}  {dotted(old)} is now called {dotted(new)}; the old name keeps working"
    )


def rename_former_keys(tree: Mapping[str, Any], section: str) -> list[tuple[Path, Path]]:
    """Replace the former names in one section of plain values, in place; (old, new) path of each.

    A former name beside the current one stays, so that validation reports it.
    """
    return list(_rename(options_class(tree, section), tree.get(section), (section,)))


def _rename(options: type[Options] | None, value: Any, path: Path) -> Iterator[tuple[Path, Path]]:
    if options is None or not isinstance(value, dict):
        return
    for old, new in former_keys(options).items():
        if old in value and new not in value:
            items = {new if key == old else key: item for key, item in value.items()}
            value.clear()
            value.update(items)
            yield (*path, old), (*path, new)
    for key, inner in value.items():
        yield from _rename(nested_class(options, key, inner), inner, (*path, key))


def current_path(tree: Mapping[str, Any], path: Path) -> Path:
    """A path with former names replaced, as far as the tree shows which classes it leads through."""
    options, value = options_class(tree, str(path[0])), tree.get(str(path[0]))
    parts = [path[0]]
    for part in path[1:]:
        parts.append(former_keys(options).get(part, part) if options else part)
        value = value.get(parts[-1]) if isinstance(value, dict) else None
        options = nested_class(options, parts[-1], value) if options else None
    return tuple(parts)
