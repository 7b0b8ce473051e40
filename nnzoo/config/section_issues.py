"""Issues of a section that is not valid: what was expected, what is there, and what may have been meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from nnzoo.config.formatting import value_text
from nnzoo.config.hints import (
    KEY_SYNONYMS,
    SECTION_SYNONYMS,
    did_you_mean,
    key_hint,
    nearest,
    nearest_value,
    value_hint,
)
from nnzoo.config.json_schema import (
    accepts,
    choices,
    describe_expected,
    has_key,
    node_at,
    properties,
)
from nnzoo.config.options import Options, is_name, is_seed
from nnzoo.config.registry import REGISTRIES, RUN_SECTIONS, SECTIONS, is_known, options_class
from nnzoo.config.renamed_keys import former_keys, nested_class
from nnzoo.config.yaml_parser import Path
from nnzoo.text import shorten

_NOUNS = {"data": "data source", "model": "model", "optim": "optimizer"}


class Issue(NamedTuple):
    """An issue whose place is not known yet. at_key: the key is to blame, not its value; code: of its kind."""

    path: Path
    message: str
    at_key: bool = False
    code: str = "E13"


def keys_of_file(tree: Mapping[str, Any]) -> dict[str, str]:
    """The keys that the sections of this file can have, former names too -> their dotted paths."""
    paths: dict[str, str] = {}
    for section in ("train", "eval", *REGISTRIES):
        options = options_class(tree, section)
        if options is not None:
            names = {key: key for key in options.model_fields if key != "name"}
            names |= former_keys(options)
            paths |= {name: f"{section}.{key}" for name, key in names.items()}
    return paths


def file_issues(
    tree: Mapping[str, Any], name: Any, seed: Any
) -> tuple[list[Issue], dict[str, str]]:
    """Issues of name, seed and unknown sections; section -> the misspelled key that was meant to be it."""
    issues, misnamed = [], {}
    for key in tree:
        if is_known(key):
            continue
        hint = key_hint((key,), {name: name for name in SECTIONS}, keys_of_file(tree))
        issues.append(Issue((key,), f"unknown key; {hint}", at_key=True, code="E11"))
        section = SECTION_SYNONYMS.get(key.casefold()) or nearest(key, RUN_SECTIONS)
        if section in RUN_SECTIONS and section not in tree:
            misnamed[section] = key
    if not is_name(name):
        issues.append(Issue(("name",), _name_message(name, "name" in tree)))
    if not is_seed(seed):
        expected = "a whole number of at least 0 and below 2^63"
        issues.append(Issue(("seed",), f"expected {expected}, got {preview(seed)}"))
    return issues, misnamed


def _name_message(name: Any, is_given: bool) -> str:
    """Why a name cannot be a folder's."""
    rule = "letters, digits, '.', '_', '-', the first a letter or digit, at most 100"
    if is_given:
        quotes = f"; in quotes: '{name}'" if type(name) is int else ""
        return f"expected a folder's name ({rule}), got {preview(name)}{quotes}"
    if name is None:
        return f"missing: the name of the run's folder ({rule})"
    return f"the file's name cannot name the run's folder ({rule}); write 'name: …' in it"


def preview(value: Any) -> str:
    """A value as it is in a file, cut to fit on a line."""
    if value is None:
        return "nothing"
    return shorten(repr(value) if isinstance(value, str) else value_text(value), 60)


def name_issue(raw: Any, section: str) -> Issue:
    """Why a section of `REGISTRIES` is no mapping with a known `name`."""
    names = ", ".join(REGISTRIES[section].names())
    if not isinstance(raw, dict):
        got = "" if raw is None else f", got {preview(raw)}"
        return Issue((section,), f"expected a section with a 'name' ({names}){got}", code="E14")
    name = raw.get("name")
    if isinstance(name, str):
        hint = did_you_mean(nearest_value(name, REGISTRIES[section].names()), f"one of {names}")
        message = f"unknown {_NOUNS[section]} '{shorten(name, 60)}'; {hint}"
    elif "name" in raw:
        message = f"expected one of {names}, got {preview(name)}"
    else:
        synonym = next((key for key in raw if KEY_SYNONYMS.get(key) == ("name",)), None)
        message = f"missing: one of {names}"
        message += f"; it is 'name', not '{synonym}'" if synonym else ""
    return Issue((section, "name"), message, code="E14")


@cache
def _schema_of(options: type[Options]) -> dict[str, Any]:
    return options.model_json_schema()


class ErrorTranslator:
    """Turns pydantic's errors into issues: what was expected, what is there, what may have been meant."""

    def __init__(
        self, options: type[Options], raw: Any, section: str, tree: Mapping[str, Any]
    ) -> None:
        self.options, self.raw, self.section, self.tree = options, raw, section, tree
        self.schema = _schema_of(options)

    def issues(self, errors: Sequence[Any]) -> Iterator[Issue]:
        by_path: dict[Path, Any] = {}
        for error in errors:
            path = self.strip_union_tags(error)
            # Among the branches of a union a validator's message says more than a list of types.
            if path not in by_path or error["type"] == "field_error":
                by_path[path] = error
        # The number of errors at a path or below it.
        counts = Counter(path[:length] for path in by_path for length in range(len(path) + 1))
        for path, error in by_path.items():
            error_type = error["type"]
            if error_type == "extra_forbidden":
                yield self.unknown_key(path)
            elif error_type == "missing":
                text = node_at(self.schema, self.raw, path)["description"]
                yield Issue((self.section, *path), f"missing: {text}", code="E12")
            elif error_type == "field_error":
                field = error.get("ctx", {}).get("field", "")
                yield Issue((self.section, *path, *([field] if field else [])), error["msg"])
            elif error_type.startswith("union_tag"):
                yield self.bad_discriminator(path)
            elif not self.from_other_union_branch(path, counts):
                yield self.wrong_value(path)

    def strip_union_tags(self, error: Any) -> Path:
        """pydantic's location without the names of union branches, which the file does not hold."""
        path: list[str | int] = []
        value = self.raw
        for i, part in enumerate(error["loc"]):
            if has_key(value, part):
                value = value[part]
                path.append(part)
            elif i == len(error["loc"]) - 1 and error["type"] == "missing":
                path.append(part)
        return tuple(path)

    def value_at(self, path: Path) -> Any:
        value = self.raw
        for part in path:
            value = value[part]
        return value

    def from_other_union_branch(self, path: Path, counts: Counter[Path]) -> bool:
        """Whether an error comes from a branch of a union that was not meant: if another error is deeper,
        or if the value is right and a sibling is wrong."""
        if counts[path] > 1:
            return True
        node = node_at(self.schema, self.raw, path)
        return counts[path[:-1]] > 1 and accepts(node, self.value_at(path), self.schema)

    def unknown_key(self, path: Path) -> Issue:
        where = (self.section, *path)
        former = former_keys(self.class_at(path[:-1]))
        if path[-1] in former:
            return Issue(
                where, f"'{former[path[-1]]}', its new name, is given, too", at_key=True, code="E11"
            )
        known = {key: key for key in properties(self.schema, self.raw, path[:-1])} | former
        hint = key_hint(where, known, keys_of_file(self.tree))
        return Issue(where, f"unknown key; {hint}", at_key=True, code="E11")

    def class_at(self, path: Path) -> type[Options]:
        """The options class of the mapping at a path; `Options` where several are possible."""
        options = self.options
        for i, part in enumerate(path):
            options = nested_class(options, part, self.value_at(path[: i + 1])) or Options
        return options

    def bad_discriminator(self, path: Path) -> Issue:
        """A section inside a section, such as a schedule, whose `name` is missing or unknown."""
        node, value = node_at(self.schema, self.raw, path), self.value_at(path)
        value = {"name": value} if isinstance(value, str) else value
        message = f"one of {', '.join(dict.fromkeys(choices(node, self.schema)))}"
        if "name" not in value:
            message = f"missing: {message}"
        else:
            hint = value_hint(value["name"], node, self.schema)
            message = f"expected {message}, got {preview(value['name'])}{hint}"
        return Issue((self.section, *path, "name"), message, code="E14")

    def wrong_value(self, path: Path) -> Issue:
        value, node = self.value_at(path), node_at(self.schema, self.raw, path)
        expected = describe_expected(node, value, self.schema)
        hint = value_hint(value, node, self.schema, str(path[-1]))
        return Issue((self.section, *path), f"expected {expected}, got {preview(value)}{hint}")
