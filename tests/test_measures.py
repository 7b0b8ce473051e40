"""Limits on the structure of the package, measured by scripts/measure_house.py.

To be lowered when less is reached, never raised without a reason in docs/decisions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.zoo import load_script

house = load_script("measure_house")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def static() -> Any:
    return house.measure_static(ROOT)


LIMITS = {
    "spine_files": 96,
    "spine_lines": 17_600,
    "modules": 346,
    "lines": 63_000,
    "fmt_skips": 0,
    "ignored_rules": 11,
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_package_is_no_larger_than_its_limit(static: Any, name: str) -> None:
    assert getattr(static, name) <= LIMITS[name]


@pytest.mark.parametrize(
    ("name", "limit"),
    [("longest_file", 400), ("longest_function", 50), ("most_parameters", 6)],
)
def test_no_file_or_function_is_longer_than_its_limit(static: Any, name: str, limit: int) -> None:
    size, module = getattr(static, name)
    assert size <= limit, module


def test_an_error_about_a_config_key_can_be_located(static: Any) -> None:
    assert len(static.unplaced_errors) <= 3, static.unplaced_errors


def test_modules_have_a_test_file_of_their_name(static: Any) -> None:
    assert len(static.untested_modules) <= 11, static.untested_modules


def test_there_is_as_much_test_as_code(static: Any) -> None:
    assert static.test_ratio >= 0.9


def test_what_is_counted(tmp_path: Path) -> None:
    package = tmp_path / "nnzoo"
    (package / "runs").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.ruff.lint]\nignore = ['E501']\n")
    (package / "__init__.py").write_text('"""Empty."""\n')
    (package / "runs" / "__init__.py").write_text('"""Runs."""\n')
    (package / "runs" / "run.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from nnzoo import data\n"
        "if TYPE_CHECKING:\n    from nnzoo import types_only\n"
        "def open_run(path, *, strict):\n"
        "    from nnzoo.late import reader\n"
        "    raise DataError(f'{path}: set data.target')\n"
        "    raise DataError(f'data.target: no column {path}')\n"
        "    raise DataError(f'{path} lacks data.target', key='data.target')\n"
    )
    for name in ("data", "types_only", "late"):
        (package / f"{name}.py").write_text("reader = 1\n")
    (tmp_path / "tests" / "test_data.py").write_text("x = 1\n" * 7)
    measured = house.measure_static(tmp_path)
    assert (measured.spine_files, measured.spine_lines) == (2, 12)
    assert measured.spine_late_files == 3
    assert measured.modules == 4
    assert measured.longest_function == (5, "nnzoo.runs.run.open_run")
    assert measured.most_parameters == (2, "nnzoo.runs.run.open_run")
    assert measured.unplaced_errors == ["nnzoo.runs.run:7"]
    assert measured.untested_modules == ["nnzoo.late", "nnzoo.runs.run", "nnzoo.types_only"]
    assert (measured.test_lines, measured.ignored_rules, measured.fmt_skips) == (7, 1, 0)
