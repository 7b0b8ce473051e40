"""JSON Schema of the language, and its nodes in words, for error messages and listings."""

from __future__ import annotations

from typing import Any

from nnzoo.config import schema
from nnzoo.config.shelf import DATA, MODELS, OPTIMIZERS, Shelf

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
                    if "oneOf" not in node or _fits(branch, here, root):
                        child = branch.get("properties", {}).get(part)
                        following += [child] if child else []
                elif "items" in branch:
                    following.append(branch["items"])
        nodes = following
        here = here[part] if _holds(here, part) else None
    if not nodes:
        return {}
    return nodes[0] if len(nodes) == 1 else {"anyOf": nodes}


def _holds(value: Any, part: str | int) -> bool:
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
        value = value[part] if _holds(value, part) else None
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


def expected(root: Node, raw: Any, path: tuple[str | int, ...]) -> str:
    """What may stand at a place, in words."""
    return words_for(node_at(root, raw, path), root)


def words_for(node: Node, root: Node) -> str:
    """A node in words: "a whole number of at least 1", "one of max, avg"."""
    texts: dict[str, None] = {}
    words = choices(node, root)
    for branch in branches(node, root):
        if "enum" not in branch and "const" not in branch:
            texts.setdefault(_one(branch, root))
    if words:
        texts = {", ".join(dict.fromkeys(words)): None, **texts}
        if len(words) > 1 and len(texts) == 1:
            return f"one of {', '.join(dict.fromkeys(words))}"
    return " or ".join(text for text in texts if text) or "another value"


def _one(node: Node, root: Node) -> str:
    kind = node.get("type")
    if kind == "array":
        few = {(2, 2): "two", (1, None): "at least one"}
        count = few.get((node.get("minItems", 0), node.get("maxItems")), "")
        inner = words_for(node.get("items", {}), root)
        return f"a list of {count + ' of ' if count else ''}[{inner}]"
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        low, above = node.get("minimum"), node.get("exclusiveMinimum")
        high, below = node.get("maximum"), node.get("exclusiveMaximum")
        limits = []
        limits += [f"of at least {_number(low)}"] if low is not None else []
        limits += [f"above {_number(above)}"] if above is not None else []
        limits += [f"below {_number(below)}"] if below is not None else []
        limits += [f"at most {_number(high)}"] if high is not None else []
        return " ".join([noun, " and ".join(limits)]).strip()
    return {
        "string": "text",
        "boolean": "true or false",
        "object": "a mapping",
        "null": "nothing",
    }.get(str(kind), "")


def _number(value: float) -> str:
    return f"{value:g}"


def default_text(value: Any) -> str:
    """A default as it would stand in a file."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {default_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(default_text(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def json_schema() -> Node:
    """The whole language as one JSON Schema (draft 2020-12)."""
    definitions: Node = {}

    def add(options: type[schema.Options]) -> Node:
        node = options.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(node.pop("$defs", {}))
        return node

    def section(shelf: Shelf) -> Node:
        seen = {entry.options: None for _, entry in shelf}
        return {"oneOf": [{**add(options), "required": ["name"]} for options in seen]}

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nnzoo run",
        "type": "object",
        "additionalProperties": False,
        "required": ["data", "model"],
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"},
            "seed": {"type": "integer", "minimum": 0},
            "data": section(DATA),
            "model": section(MODELS),
            "optim": section(OPTIMIZERS),
            "train": add(schema.TrainOptions),
            "environment": {"type": "object"},
        },
        "$defs": definitions,
    }
