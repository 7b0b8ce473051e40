"""YAML text to plain values, with the line and column of every key and value.

Plain PyYAML reads `1e-3` as text, `no` as False, `3:30` as 210 and silently keeps the
last of two equal keys. This parser follows YAML 1.2's core schema, reports equal keys, never builds
anything but dict, list, str, int, float, bool and None, refuses tags, and is bounded in bytes,
depth and nodes (aliases count as often as they are expanded), so that no file can make it hang.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from nnzoo.errors import ConfigIssue

MAX_BYTES = 200_000
MAX_DEPTH = 20
MAX_NODES = 10_000

Path = tuple[str | int, ...]
Position = tuple[int, int]

_INT = re.compile(r"[-+]?[0-9]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {word: True for word in ("true", "True", "TRUE")}
_WORDS |= {word: False for word in ("false", "False", "FALSE")}
# PyYAML's messages -> what is wrong in the words of someone who writes a config.
FRIENDLY_MESSAGES = {
    "found character '\\t' that cannot start any token": "a tab; indent with spaces",
    "but found another document": "a second document ('---'); a config is one",
    "mapping values are not allowed here": "a ':' that does not belong here: wrong indentation, "
    "a line above that is not 'key: value', or text with ': ' but no quotes",
    "could not find expected ':'": "a line without ':'; a key is written 'key: value'",
    "found unexpected end of stream": "a quote is not closed",
    "expected ',' or ']'": "a '[' is not closed, or a ',' is missing",
    "expected ',' or '}'": "a '{' is not closed, or a ',' is missing",
    "expected the node content": "a value is missing, or a '[' or '{' is not closed",
    "second occurrence": "this anchor ('&') is given twice",
    "found undefined alias": "no anchor of that name; text that begins with '*' needs quotes",
    "found unknown escape": "a '\\' in double quotes; in single quotes it stands for itself",
    "found character": "text that begins with this character needs quotes",
    "expected <block end>": "this does not belong here; is the indentation right?",
}


@dataclass
class Document:
    """A parsed file: its value, and (line, column), from 1, of each key and value by path."""

    value: Any = None
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)
    issues: list[ConfigIssue] = field(default_factory=list)


def dotted(path: Path) -> str:
    """("model", "channels", 0) as "model.channels[0]"."""
    text = ""
    for part in path:
        name = part if part != "" else "''"
        text += f"[{part}]" if isinstance(part, int) else f".{name}" if text else str(name)
    return text


def scalar(text: str) -> Any:
    """The value of a plain (unquoted) scalar under YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    for pattern, base in ((_INT, 10), (_HEX, 16), (_OCTAL, 8)):
        # Beyond 64 bits nothing can use it as a whole number; and Python's int() has a limit.
        if pattern.match(text) and len(text) <= 64:
            number = int(text.removeprefix("0o"), base)
            return number if -(2**63) <= number < 2**63 else float(number)
    return float(text) if _FLOAT.match(text) else _SPECIAL.get(text.lower(), text)


def parse_yaml(text: str | bytes, source: str) -> Document:
    """Parse one YAML document; problems of the text are in `issues`, never raised."""
    document = Document()
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    if len(data) > MAX_BYTES:
        message = f"larger than {MAX_BYTES:,} bytes; that is no config"
        document.issues.append(ConfigIssue(source, "", message, code="E10"))
        return document
    try:
        composer = _Composer(data.decode("utf-8-sig"))
        root = composer.get_single_node()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8 text (byte {error.start + 1}); save the file as UTF-8"
        document.issues.append(_issue(source, (line, 1), (), message))
    except yaml.MarkedYAMLError as error:
        document.issues.append(_marked_issue(source, error))
    except yaml.reader.ReaderError as error:
        before = data.decode("utf-8-sig")[: error.position]
        position = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        message = f"not valid YAML: a control character (U+{int(error.character):04X})"
        document.issues.append(_issue(source, position, (), message))
    except (ValueError, OverflowError):
        # An escape such as "\\UFFFFFFFF", which PyYAML hands to chr() unchecked.
        position = (composer.line + 1, composer.column + 1)
        message = "not valid YAML: a number here is too large"
        document.issues.append(_issue(source, position, (), message))
    else:
        for mark, tag in composer.tags:
            message = f"the tag '{tag[:60]}' is not allowed"
            position = (mark.line + 1, mark.column + 1)
            document.issues.append(_issue(source, position, (), message))
        if root is not None:
            document.value = _Builder(document, source).build(root, ())
    return document


def _issue(source: str, position: Position, path: Path, message: str) -> ConfigIssue:
    return ConfigIssue(
        f"{source}:{position[0]}:{position[1]}", dotted(path), message, position, code="E10"
    )


def _marked_issue(source: str, error: yaml.MarkedYAMLError) -> ConfigIssue:
    problem = error.problem or ""
    plain = next(
        (text for known, text in FRIENDLY_MESSAGES.items() if problem.startswith(known)), None
    )
    mark = error.problem_mark or error.context_mark
    if problem.startswith(("could not find", "found unexpected end", "expected ','")):
        # PyYAML notices the problem only further down; blame the place where it began.
        mark = error.context_mark or mark
    position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return _issue(source, position, (), f"not valid YAML: {plain or problem}")


class _Composer(yaml.SafeLoader):
    """PyYAML's composer with bounds on depth and nodes, since it recurses once per level."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.count = 0
        self.tags: list[tuple[yaml.Mark, str]] = []

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.tags.append((event.start_mark, tag.replace("tag:yaml.org,2002:", "!!")))
        self.count += 1
        if self.depth == MAX_DEPTH or self.count > MAX_NODES:
            what = f"deeper than {MAX_DEPTH} levels" if self.depth == MAX_DEPTH else "too long"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Builder:
    """Builds plain values from a node tree, and records positions and issues in the document."""

    def __init__(self, document: Document, source: str) -> None:
        self.document = document
        self.source = source
        self.count = 0
        self.ancestors: list[yaml.Node] = []

    def issue(self, node: yaml.Node, path: Path, message: str) -> None:
        self.document.issues.append(_issue(self.source, _position(node), path, message))

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.count += 1
        if self.count == MAX_NODES:
            self.issue(node, path, "aliases expand to too many values")
        if self.count >= MAX_NODES:
            return None
        if any(node is outer for outer in self.ancestors):
            self.issue(node, path, "an alias that contains itself")
            return None
        if len(self.ancestors) == MAX_DEPTH:
            self.issue(node, path, f"aliases expand deeper than {MAX_DEPTH} levels")
            return None
        self.document.values[path] = _position(node)
        self.ancestors.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
            quoted = getattr(node, "style", None) is not None
            return node.value if quoted else scalar(node.value)
        finally:
            self.ancestors.pop()

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.issue(key_node, path, "a key must be a word")
                continue
            key = key_node.value
            if key == "<<" and key_node.style is None:
                self.issue(key_node, path, "merge keys ('<<') are not part of YAML 1.2")
                continue
            where = (*path, key)
            if key in result:
                line = self.document.keys[where][0]
                self.issue(key_node, where, f"given twice; first on line {line}")
                continue
            self.document.keys[where] = _position(key_node)
            result[key] = self.build(value_node, where)
        return result


def _position(node: yaml.Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1
