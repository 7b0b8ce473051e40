"""The JSON Schema of the language: for editors, and its nodes in words for error messages and listings."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from nnzoo.config.eval_options import EvalOptions
from nnzoo.config.optim_options import DEFAULT_OPTIMIZER
from nnzoo.config.options import NAME_PATTERN, Options
from nnzoo.config.registry import DATA, MODELS, OPTIMIZERS, Registry
from nnzoo.config.sweep_options import SweepOptions
from nnzoo.config.train_options import TrainOptions
from nnzoo.config.yaml_parser import Path

Node = dict[str, Any]


def branches(node: Node, root: Node) -> list[Node]:
    """The alternatives of a node, with references resolved; the node itself if it has none."""
    node = _resolve(node, root)
    alternatives = node.get("anyOf") or node.get("oneOf")
    if not alternatives:
        return [node]
    return [leaf for branch in alternatives for leaf in branches(branch, root)]


def _resolve(node: Node, root: Node) -> Node:
    """A node with its $ref replaced; keys beside the $ref take precedence."""
    while "$ref" in node:
        target = root["$defs"][node["$ref"].rsplit("/", 1)[1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def node_at(root: Node, raw: Any, path: Path) -> Node:
    """The schema of the place that `path` names in the value `raw`; {} if there is none."""
    nodes, value = [root], raw
    for part in path:
        children: list[Node] = []
        for branch in (branch for node in nodes for branch in branches(node, root)):
            if isinstance(part, int):
                children += [branch["items"]] if "items" in branch else []
            elif _matches_name(branch, value, root):
                # In a mapping with free keys all values have one schema.
                free = branch.get("additionalProperties")
                child = branch.get("properties", {}).get(part, free)
                children += [child] if child else []
        nodes = children
        value = value[part] if has_key(value, part) else None
    if not nodes:
        return {}
    return nodes[0] if len(nodes) == 1 else {"anyOf": nodes}


def has_key(value: Any, part: str | int) -> bool:
    """Whether a mapping has that key, or a list that index."""
    if isinstance(part, str):
        return isinstance(value, dict) and part in value
    return isinstance(value, list) and part < len(value)


def _matches_name(branch: Node, value: Any, root: Node) -> bool:
    """Whether a value's `name` is the constant name of a branch; true for branches without one."""
    const = _resolve(branch.get("properties", {}).get("name", {}), root).get("const")
    return const is None or (isinstance(value, dict) and value.get("name") == const)


def properties(root: Node, raw: Any, path: Path) -> list[str]:
    """The keys that are legal at a place."""
    value = raw
    for part in path:
        value = value[part] if has_key(value, part) else None
    names: dict[str, None] = {}
    for branch in branches(node_at(root, raw, path) if path else root, root):
        if _matches_name(branch, value, root):
            names |= dict.fromkeys(branch.get("properties", {}))
    return list(names)


def choices(node: Node, root: Node) -> list[str]:
    """The words that a node accepts."""
    words: list[str] = []
    for branch in branches(node, root):
        words += [word for word in branch.get("enum", []) if isinstance(word, str)]
        if isinstance(branch.get("const"), str):
            words.append(branch["const"])
        name = branch.get("properties", {}).get("name", {})
        words += [name["const"]] if "const" in name else []
    return words


def accepts(node: Node, value: Any, root: Node) -> bool:
    """Whether a node accepts a value; a section is accepted whatever is in it."""
    return any(_accepts(branch, value, root) for branch in branches(node, root))


def _accepts(branch: Node, value: Any, root: Node) -> bool:
    if "const" in branch or "enum" in branch:
        return isinstance(value, str) and value in [branch.get("const"), *branch.get("enum", [])]
    type_name = branch.get("type")
    if isinstance(value, list):
        items = all(accepts(branch.get("items", {}), item, root) for item in value)
        return type_name == "array" and _has_length(branch, len(value), "Items") and items
    if isinstance(value, str):
        matches = re.search(branch.get("pattern", ""), value) is not None
        return type_name == "string" and matches and _has_length(branch, len(value), "Length")
    if isinstance(value, bool) or not isinstance(value, int | float):
        types = {"boolean": bool, "null": type(None), "object": dict}
        return types.get(str(type_name)) is type(value)
    return (
        type_name in (("integer", "number") if isinstance(value, int) else ("number",))
        and branch.get("minimum", -math.inf) <= value <= branch.get("maximum", math.inf)
        and branch.get("exclusiveMinimum", -math.inf)
        < value
        < branch.get("exclusiveMaximum", math.inf)
    )


def _has_length(branch: Node, length: int, suffix: str) -> bool:
    return branch.get(f"min{suffix}", 0) <= length <= branch.get(f"max{suffix}", length)


def describe_expected(node: Node, value: Any, root: Node) -> str:
    """The values that a node accepts, in words; in place of a wrong number only the numbers."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        numbers = [
            branch for branch in branches(node, root) if branch.get("type") in ("integer", "number")
        ]
        node = {"anyOf": numbers} if numbers else node
    return describe_type(node, root)


def describe_type(node: Node, root: Node) -> str:
    """A node in words: "a whole number of at least 1", "one of max, avg"."""
    texts = _alternatives(node, root)
    if len(texts) > 1 and len(texts) == len(set(choices(node, root))):
        return f"one of {', '.join(texts)}"
    return _join_or(texts) or "another value"


def _alternatives(node: Node, root: Node) -> list[str]:
    """The words that a node accepts, then its other types of value."""
    texts = list(dict.fromkeys(choices(node, root)))
    for branch in sorted(branches(node, root), key=lambda branch: branch.get("type") == "null"):
        if "enum" in branch or "const" in branch:
            continue
        if branch.get("type") == "boolean":
            texts += ["true", "false"]
        else:
            text = _describe_branch(branch, root, seen=texts)
            texts += [text] if text and text not in texts else []
    return texts


def _join_or(texts: list[str]) -> str:
    return " or ".join(part for part in (", ".join(texts[:-1]), *texts[-1:]) if part)


def _describe_branch(
    branch: Node, root: Node, seen: Sequence[str] = (), plural: bool = False
) -> str:
    """One type of value in words; `seen` are the alternatives named before it."""
    type_name = branch.get("type")
    if type_name == "array":
        return f"{'lists' if plural else 'a list'} of {_describe_items(branch, root, seen)}"
    if type_name in ("integer", "number"):
        noun = "whole number" if type_name == "integer" else "number"
        limits = [
            f"{words} {branch[key]:g}"
            for key, words in (
                ("minimum", "of at least"),
                ("exclusiveMinimum", "above"),
                ("exclusiveMaximum", "below"),
                ("maximum", "at most"),
            )
            if key in branch
        ]
        return f"{f'{noun}s' if plural else f'a {noun}'} {' and '.join(limits)}".strip()
    if type_name == "object":
        return f"{'sections' if plural else 'a section'} {_describe_keys(branch)}".strip()
    if type_name == "string":
        if "examples" in branch:
            return f"text like {_join_or([repr(example) for example in branch['examples']])}"
        return "one character" if branch.get("maxLength") == 1 else "text"
    return {"boolean": "true or false", "null": "null"}.get(str(type_name), "")


def _describe_items(branch: Node, root: Node, seen: Sequence[str]) -> str:
    item = branch.get("items", {})
    low, high = branch.get("minItems", 0), branch.get("maxItems")
    count = "two " if low == high == 2 else "one or more " if low else ""
    if seen and set(_alternatives(item, root)) <= set(seen):
        return f"{count}of these" if count else "these"
    others = [branch for branch in branches(item, root) if not {"enum", "const"} & branch.keys()]
    types = [_describe_branch(inner, root, plural=True) for inner in others]
    return count + _join_or([*choices(item, root), *filter(None, types)])


def _describe_keys(branch: Node) -> str:
    keys = list(branch.get("properties", {}))
    if "const" in branch.get("properties", {}).get("name", {}):
        return "with a 'name'"
    return f"({', '.join(keys[:4])}{', …' if len(keys) > 4 else ''})" if keys else ""


def json_schema() -> Node:
    """The whole language as one JSON Schema (draft 2020-12)."""
    definitions: Node = {}
    optional = {"type": "null"}
    optim = _section_schema(OPTIMIZERS, definitions, DEFAULT_OPTIMIZER)
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nnzoo run",
        "type": "object",
        "additionalProperties": False,
        "required": ["data", "model"],
        "properties": {
            "name": {"type": "string", "pattern": NAME_PATTERN},
            "seed": {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63},
            "data": {"anyOf": _section_schema(DATA, definitions)},
            "model": {"anyOf": _section_schema(MODELS, definitions)},
            "optim": {"anyOf": [*optim, optional]},
            "train": {"anyOf": [_class_schema(TrainOptions, definitions), optional]},
            "eval": {"anyOf": [_class_schema(EvalOptions, definitions), optional]},
            "sweep": {"anyOf": [_class_schema(SweepOptions, definitions), optional]},
            "environment": {"type": "object"},
        },
        "$defs": definitions,
    }
    _add_former_keys(root)
    return root


def _class_schema(options: type[Options], definitions: Node) -> Node:
    """The schema of one class; those of the classes in it go into `definitions`."""
    node = options.model_json_schema(ref_template="#/$defs/{model}")
    definitions.update(node.pop("$defs", {}))
    return node


def _section_schema(registry: Registry, definitions: Node, default: str = "") -> list[Node]:
    """The alternatives of a section: a name alone, or a mapping whose `name` selects the entry."""
    names: dict[type[Options], list[str]] = {}
    for name, entry in registry:
        names.setdefault(entry.options, []).append(name)
    mappings, short_forms = [], []
    for options, group in names.items():
        node = _class_schema(options, definitions)
        required = [key for key in node.get("required", []) if key != "name"]
        short_forms += [] if required else group
        node["required"] = required if default in group else ["name", *required]
        mappings.append(node)
    return [{"enum": short_forms}, {"oneOf": mappings}]


def _add_former_keys(node: Any) -> None:
    """Accept the former names of renamed keys, in place; editors show them as deprecated."""
    if isinstance(node, list):
        for item in node:
            _add_former_keys(item)
    elif isinstance(node, dict):
        for key, item in list(node.items()):
            _add_former_keys(item)
            if isinstance(item, dict) and "formerly" in item:
                old = item.pop("formerly")
                node[old] = item | {"deprecated": True, "description": f"now called {key}"}
