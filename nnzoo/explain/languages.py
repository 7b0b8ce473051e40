"""The languages of `nnzoo explain`, and which one the locale asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


def default_language(environ: Mapping[str, str] = os.environ) -> Language:
    """Return Chinese if the locale of messages is Chinese, else English; LC_ALL counts before LC_MESSAGES and LANG."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((environ[name] for name in names if environ.get(name)), "")
    return "zh" if locale.lower().startswith("zh") else "en"
