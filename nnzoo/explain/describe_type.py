"""The type of a key in Chinese words; `nnzoo.config.json_schema.describe_type` gives them in English."""

from __future__ import annotations

from typing import Any

from nnzoo.config.json_schema import branches, choices

_LIMITS = (
    ("minimum", "不小于"),
    ("exclusiveMinimum", "大于"),
    ("exclusiveMaximum", "小于"),
    ("maximum", "不大于"),
)
_PLAIN = {"boolean": "true 或 false", "null": "null", "string": "文字", "object": "一节"}


def describe_type_zh(node: dict[str, Any], root: dict[str, Any]) -> str:
    """A node of a JSON Schema in words: "不小于 1 的整数", "max、avg 之一"."""
    words = list(dict.fromkeys(choices(node, root)))
    others = list(dict.fromkeys(filter(None, (_branch(b, root) for b in _in_order(node, root)))))
    if words and not others:
        return f"{'、'.join(words)} 之一" if len(words) > 1 else words[0]
    return "，或".join([*(["、".join(words)] if words else []), *others])


def _in_order(node: dict[str, Any], root: dict[str, Any]) -> list[dict[str, Any]]:
    """The branches, null last."""
    return sorted(branches(node, root), key=lambda branch: branch.get("type") == "null")


def _branch(branch: dict[str, Any], root: dict[str, Any]) -> str:
    if "enum" in branch or "const" in branch:
        return ""
    kind = str(branch.get("type", ""))
    if kind in ("integer", "number"):
        noun = "整数" if kind == "integer" else "数"
        limits = [f"{word} {branch[key]:g}" for key, word in _LIMITS if key in branch]
        return f"{'且'.join(limits)} 的{noun}" if limits else noun
    if kind == "array":
        return f"{_count(branch)}{describe_type_zh(branch.get('items', {}), root) or '值'}的列表"
    if kind == "object":
        return _section(branch)
    if kind == "string" and "examples" in branch:
        return f"形如 {'、'.join(map(repr, branch['examples']))} 的文字"
    if kind == "string" and branch.get("maxLength") == 1:
        return "一个字符"
    return _PLAIN.get(kind, "")


def _count(branch: dict[str, Any]) -> str:
    low, high = branch.get("minItems", 0), branch.get("maxItems")
    return "两个" if low == high == 2 else "一个或多个" if low else ""


def _section(branch: dict[str, Any]) -> str:
    keys = list(branch.get("properties", {}))
    if "const" in branch.get("properties", {}).get("name", {}):
        return "带 'name' 的一节"
    return f"一节（{'、'.join(keys[:4])}{'……' if len(keys) > 4 else ''}）" if keys else "一节"
