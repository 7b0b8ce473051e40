"""A small config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NNZOO = Callable[..., Any]


FIRST = "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1}\n"
