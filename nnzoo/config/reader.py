"""YAML text to plain values, with the line and column of every key and value.

Plain PyYAML reads `1e-3` as text, `no` as False, `3:30` as 210 and keeps the last of two equal
keys in silence. This reader follows YAML 1.2's core schema, reports equal keys, never builds
anything but dict, list, str, int, float, bool and None, and is bounded in bytes, depth and nodes
(aliases count as often as they are expanded), so that no file can hang it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from nnzoo.errors import Fault

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NODES = 20_000

Path = tuple[str | int, ...]
Position = tuple[int, int]

_INT = re.compile(r"[-+]?[0-9]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {word: True for word in ("true", "True", "TRUE")}
_WORDS |= {word: False for word in ("false", "False", "FALSE")}
MAX_DIGITS = 4000


@dataclass
class Document:
    """A parsed file: its value, and (line, column), from 1, of each key and value by path."""

    value: Any = None
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def dotted(path: Path) -> str:
    """("model", "channels", 0) as "model.channels[0]"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def scalar(text: str) -> Any:
    """The value of a plain (unquoted) scalar under YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) < MAX_DIGITS:
        if _INT.match(text):
            return int(text)
        if _HEX.match(text):
            return int(text, 16)
        if _OCTAL.match(text):
            return int(text[2:], 8)
        if _FLOAT.match(text):
            return float(text)
    return _SPECIAL.get(text.lower(), text)


def read(text: str | bytes, source: str) -> Document:
    """Parse one YAML document; problems of the text are in `faults`, never raised."""
    document = Document()
    size = len(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        message = f"the file has {size:,} bytes; at most {MAX_BYTES:,} are read"
        document.faults.append(Fault(source, "", message))
        return document
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        root = _compose(text)
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text (byte {error.start + 1})"
        document.faults.append(Fault(source, "", message))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = " ".join(part for part in (error.context, error.problem) if part)
        document.faults.append(_fault(source, position, (), f"not valid YAML: {problem}"))
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        document.faults.append(_fault(source, (1, 1), (), f"not valid YAML: {reason}"))
    else:
        if root is not None:
            document.value = _Builder(document, source).build(root, ())
    return document


def _fault(source: str, position: Position, path: Path, message: str) -> Fault:
    return Fault(f"{source}:{position[0]}:{position[1]}", dotted(path), message, position)


def _compose(text: str) -> yaml.Node | None:
    """The node tree, after a look at the events that bounds depth and size without recursion."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            what = f"deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else "too long"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=event.start_mark)
    return yaml.compose(text, Loader=yaml.SafeLoader)


class _Builder:
    """Walks a node tree into plain values, noting positions and faults in the document."""

    def __init__(self, document: Document, source: str) -> None:
        self.document = document
        self.source = source
        self.count = 0
        self.open: list[yaml.Node] = []

    def fault(self, node: yaml.Node, path: Path, message: str) -> None:
        self.document.faults.append(_fault(self.source, _position(node), path, message))

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.count += 1
        if self.count == MAX_NODES:
            self.fault(node, path, "aliases expand to too many values")
        if self.count >= MAX_NODES:
            return None
        if any(node is outer for outer in self.open):
            self.fault(node, path, "an alias that contains itself")
            return None
        self.document.values[path] = _position(node)
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
            return self.scalar(node, path)
        finally:
            self.open.pop()

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.fault(key_node, path, "a key must be a word")
                continue
            key = key_node.value
            if key == "<<":
                self.fault(key_node, path, "merge keys ('<<') are not part of YAML 1.2")
                continue
            where = (*path, key)
            if key in result:
                line = self.document.keys[where][0]
                self.fault(key_node, where, f"given twice; first on line {line}")
                continue
            self.document.keys[where] = _position(key_node)
            result[key] = self.build(value_node, where)
        return result

    def scalar(self, node: yaml.Node, path: Path) -> Any:
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        known = ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")
        if tag not in known:
            self.fault(node, path, f"the tag '!{tag.lstrip('!')}' is not allowed")
            return None
        return node.value if node.style is not None else scalar(node.value)


def _position(node: yaml.Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1
