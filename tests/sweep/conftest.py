"""Fixtures of sweep tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnzoo.sweep.study import Study
from tests.sweep.studies import CONFIG, scored_study


@pytest.fixture(autouse=True)
def config_file(own_folder: Path, no_figure_layout: None) -> None:
    Path("flowers.yaml").write_text(CONFIG)


@pytest.fixture
def study() -> Study:
    return scored_study()
