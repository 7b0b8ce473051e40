"""CHANGELOG.md begins with the version of the package, and its entries have dates."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import nnzoo

TEXT = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_newest_version_is_that_of_the_package() -> None:
    versions = re.findall(r"^## (\S+)", TEXT, flags=re.M)
    assert versions[0] == nnzoo.__version__


def test_versions_and_changes_have_dates_newest_first() -> None:
    for heading in re.findall(r"^## (.*)", TEXT, flags=re.M):
        assert re.fullmatch(r"\S+ \((unreleased|\d{4}-\d\d-\d\d)\)", heading), heading
    days = re.findall(r"^### (\S+): ", TEXT, flags=re.M)
    assert len(days) == len(re.findall(r"^### ", TEXT, flags=re.M))
    parsed = [date.fromisoformat(day) for day in days]
    assert parsed == sorted(parsed, reverse=True)
