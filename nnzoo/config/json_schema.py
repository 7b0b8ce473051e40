"""JSON Schema of the language, and its nodes in words, for error messages and listings."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from nnzoo.config.optim_options import DEFAULT_OPTIMIZER
from nnzoo.config.options import NAME_PATTERN, Options
from nnzoo.config.registry import DATA, MODELS, OPTIMIZERS, Registry
from nnzoo.config.train_options import SweepOptions, TrainOptions

Node = dict[str, Any]


def resolve(node: Node, root: Node) -> Node:
    """A node with its $ref followed; what stands beside the $ref wins."""
    while "$ref" in node:
        target = root["$defs"][node["$ref"].rsplit("/", 1)[1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def branches(node: Node, root: Node) -> list[Node]:
    """The alternatives of a node; itself where it has none."""
    node = resolve(node, root)
    found = node.get("anyOf") or node.get("oneOf")
    if not found:
        return [node]
    return [leaf for branch in found for leaf in branches(branch, root)]


def node_at(root: Node, raw: Any, path: tuple[str | int, ...]) -> Node:
    """The schema of the place that `path` names in the value `raw`; {} where there is none."""
    nodes = [root]
    here = raw
    for part in path:
        following: list[Node] = []
        for node in nodes:
            for branch in branches(node, root):
                if isinstance(part, str):
                    if _fits(branch, here, root):
                        # Of a mapping whose keys are free, each value is alike.
                        free = branch.get("additionalProperties")
                        child = branch.get("properties", {}).get(part, free)
                        following += [child] if child else []
                elif "items" in branch:
                    following.append(branch["items"])
        nodes = following
        here = here[part] if has_key(here, part) else None
    if not nodes:
        return {}
    return nodes[0] if len(nodes) == 1 else {"anyOf": nodes}


def has_key(value: Any, part: str | int) -> bool:
    """Whether a mapping has that key, or a list that index."""
    if isinstance(part, str):
        return isinstance(value, dict) and part in value
    return isinstance(value, list) and part < len(value)


def _fits(branch: Node, value: Any, root: Node) -> bool:
    """Whether a branch told apart by its constant `name` is the one that `value` means."""
    const = resolve(branch.get("properties", {}).get("name", {}), root).get("const")
    return const is None or (isinstance(value, dict) and value.get("name") == const)


def properties(root: Node, raw: Any, path: tuple[str | int, ...]) -> list[str]:
    """The keys that are legal at a place."""
    value = raw
    for part in path:
        value = value[part] if has_key(value, part) else None
    names: dict[str, None] = {}
    for branch in branches(node_at(root, raw, path) if path else root, root):
        if _fits(branch, value, root):
            names.update(dict.fromkeys(branch.get("properties", {})))
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
    """Whether a value may stand at a node; of a section only that it is one."""
    return any(_accepts(branch, value, root) for branch in branches(node, root))


def _accepts(node: Node, value: Any, root: Node) -> bool:
    if "const" in node or "enum" in node:
        return isinstance(value, str) and value in [node.get("const"), *node.get("enum", [])]
    kind = node.get("type")
    if isinstance(value, list):
        items = all(accepts(node.get("items", {}), item, root) for item in value)
        return kind == "array" and _within(node, len(value), "Items") and items
    if isinstance(value, str):
        fits = re.search(node.get("pattern", ""), value) is not None
        return kind == "string" and fits and _within(node, len(value), "Length")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (kind, type(value)) in (("boolean", bool), ("null", type(None)), ("object", dict))
    return (
        kind in (("integer", "number") if isinstance(value, int) else ("number",))
        and value >= node.get("minimum", -math.inf)
        and value <= node.get("maximum", math.inf)
        and value > node.get("exclusiveMinimum", -math.inf)
        and value < node.get("exclusiveMaximum", math.inf)
    )


def _within(node: Node, length: int, what: str) -> bool:
    return node.get(f"min{what}", 0) <= length <= node.get(f"max{what}", length)


def describe_expected(node: Node, value: Any, root: Node) -> str:
    """What may stand at a node, in words; where a wrong number was found, which numbers may."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = [each for each in branches(node, root) if each.get("type") in ("integer", "number")]
        node = {"anyOf": found} if found else node
    return describe_type(node, root)


def describe_type(node: Node, root: Node) -> str:
    """A node in words: "a whole number of at least 1", "one of max, avg"."""
    texts = _alternatives(node, root)
    if len(texts) > 1 and len(texts) == len(set(choices(node, root))):
        return f"one of {', '.join(texts)}"
    return _either(texts) or "another value"


def _alternatives(node: Node, root: Node) -> list[str]:
    """Each word that a node accepts, then each other kind of value."""
    texts = list(dict.fromkeys(choices(node, root)))
    for branch in sorted(branches(node, root), key=lambda each: each.get("type") == "null"):
        if "enum" in branch or "const" in branch:
            continue
        if branch.get("type") == "boolean":
            texts += ["true", "false"]
        else:
            text = _describe_branch(branch, root, said=texts)
            texts += [text] if text and text not in texts else []
    return texts


def _either(texts: list[str]) -> str:
    return " or ".join(part for part in (", ".join(texts[:-1]), *texts[-1:]) if part)


def _describe_branch(node: Node, root: Node, said: Sequence[str] = (), many: bool = False) -> str:
    """One kind of value in words; `said` are those named before it, `many` asks for the plural."""
    kind = node.get("type")
    if kind == "array":
        inner = node.get("items", {})
        low, high = node.get("minItems", 0), node.get("maxItems")
        count = "two " if low == high == 2 else "one or more " if low else ""
        if said and set(_alternatives(inner, root)) <= set(said):
            items = f"{count and count + 'of '}these"
        else:
            plural = [_describe_branch(each, root, many=True) for each in branches(inner, root)]
            items = count + _either([*choices(inner, root), *(text for text in plural if text)])
        return f"{'lists' if many else 'a list'} of {items}"
    if kind in ("integer", "number"):
        noun = "whole number" if kind == "integer" else "number"
        low, above = node.get("minimum"), node.get("exclusiveMinimum")
        high, below = node.get("maximum"), node.get("exclusiveMaximum")
        limits = []
        limits += [f"of at least {low:g}"] if low is not None else []
        limits += [f"above {above:g}"] if above is not None else []
        limits += [f"below {below:g}"] if below is not None else []
        limits += [f"at most {high:g}"] if high is not None else []
        return " ".join([f"{noun}s" if many else f"a {noun}", " and ".join(limits)]).strip()
    if kind == "object":
        return f"{'sections' if many else 'a section'} {_keys(node)}".strip()
    if kind == "string":
        if "examples" in node:
            return f"text like {_either([repr(example) for example in node['examples']])}"
        return "one character" if node.get("maxLength") == 1 else "text"
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "")


def _keys(node: Node) -> str:
    keys = list(node.get("properties", {}))
    if "const" in node.get("properties", {}).get("name", {}):
        return "with a 'name'"
    return f"({', '.join(keys[:4])}{', …' if len(keys) > 4 else ''})" if keys else ""


def default_text(value: Any) -> str:
    """A default as it would stand in a file, text without quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {default_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(default_text(item) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    return str(value)


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
    mappings, alone = [], []
    for options, group in names.items():
        node = _class_schema(options, definitions)
        required = [key for key in node.get("required", []) if key != "name"]
        alone += [] if required else group
        node["required"] = required if default in group else ["name", *required]
        mappings.append(node)
    return [{"enum": alone}, {"oneOf": mappings}]


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
