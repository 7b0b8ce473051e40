"""HTML pages: a template, one inline script, and the data that the script reads.

A page's content security policy allows its own script by its hash and nothing else. Data are a JSON block, which
browsers do not execute.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from nnzoo import __version__
from nnzoo.errors import escape_controls
from nnzoo.text import format_metric, format_percent, shorten

# `<` could end the block, `&` and `>` are escaped for readers that take it for HTML.
_JSON_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


@dataclass(frozen=True)
class Script:
    """The script of a page. names: files of nnzoo/web/scripts, in their order after core.js; data: what it
    reads, of any nesting; connects: whether it may ask the server of the page for more."""

    names: Sequence[str]
    data: Mapping[str, Any] = field(default_factory=dict)
    connects: bool = False

    @cached_property
    def text(self) -> str:
        """The content of the script element."""
        folder = files("nnzoo.web").joinpath("scripts")
        names = ["core.js", *self.names]
        return "\n".join(folder.joinpath(name).read_text("utf-8") for name in names)


def content_policy(script: Script | None) -> str:
    """Return the content security policy of a page: no request, no script but its own."""
    rules = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]
    if script is not None:
        digest = hashlib.sha256(script.text.encode()).digest()
        rules.append(f"script-src 'sha256-{base64.b64encode(digest).decode()}'")
        rules += ["connect-src 'self'"] if script.connects else []
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def render(
    template: str,
    parts: Mapping[str, Any],
    script: Script | None = None,
    **filters: Callable[[Any], str],
) -> str:
    """Render a template of this package, such as "report/templates/run.html".

    filters: beside number, percent, count and shorten.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nnzoo", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": format_metric,
        "percent": format_percent,
        "count": "{:,}".format,
        "shorten": shorten,
    } | filters
    environment.globals |= {
        "version": __version__,
        "policy": content_policy(script),
        "script": None if script is None else Markup(script.text),
        "data": None if script is None else Markup(to_inline_json(script.data)),
    }
    return environment.get_template(template).render(parts)


def to_inline_json(data: Any) -> str:
    """Write data as JSON for a script element: text without control characters, numbers that are not finite as
    null."""
    text = json.dumps(_to_plain(data), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.translate(_JSON_ESCAPES)


def encode_array(array: Any, keep_float64: bool = False) -> dict[str, Any]:
    """Return an array of float32, uint8 or int32 (others become float32) for the script's `nnzoo.array`:
    {type, shape, values: base64 of little-endian numbers}."""
    values = np.asarray(array)
    kept = (np.uint8, np.int32, *[np.float64] * keep_float64)
    if values.dtype not in kept:
        values = values.astype(np.float32)
    little_endian = values.astype(values.dtype.newbyteorder("<"))
    encoded = base64.b64encode(little_endian.tobytes()).decode()
    return {"type": values.dtype.name, "shape": list(values.shape), "values": encoded}


def data_url(image: bytes, form: str = "png") -> str:
    """Return the address of an image that is part of the page."""
    return f"data:image/{form};base64,{base64.b64encode(image).decode()}"


def _to_plain(value: Any) -> Any:
    if isinstance(value, str):
        return escape_controls(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {escape_controls(str(key)): _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _to_plain(value.tolist())
    return value


def _finalize(value: Any) -> Any:
    """Write out control characters of a text, such as those that turn the writing direction of what follows."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return escape_controls(value) if is_text else value
