"""Fixtures of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.first_config import FIRST


@pytest.fixture
def first() -> Path:
    path = Path("first.yaml")
    path.write_text(FIRST)
    return path
