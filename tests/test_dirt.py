"""Clean files made dirty: the same weights, or a line that names what differs. In full:
`python scripts/dirt_campaign.py --cases 5000`."""

from __future__ import annotations

import warnings

import pytest

from tests.campaigns import dirt_images, dirt_series, dirt_tables
from tests.campaigns.dirt import Sheet
from tests.campaigns.dirt_runner import MAKERS, Outcome, check_case

CASES = [
    (kind, name)
    for kind, operations in (
        ("table", dirt_tables.OPERATIONS),
        ("series", dirt_series.OPERATIONS),
        ("images", dirt_images.OPERATIONS),
    )
    for name in operations
]
KNOWN: dict[str, Outcome] = {}


@pytest.mark.parametrize("kind, operation", CASES)
def test_dirt_is_understood_or_named(kind: str, operation: str) -> None:
    """One case of each operation alone; a seed where the operation applies."""
    for seed in range(20):
        if MAKERS[kind](seed, operation).operations:
            break
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = check_case(kind, seed, KNOWN, operation)
    assert verdict.kind != "silent", (seed, verdict.unnamed, verdict.dirty.text[-600:])
    assert verdict.case.dirty != verdict.case.clean


def test_an_error_that_nobody_names_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: other numbers without a word are silent."""
    operation = dirt_tables.OPERATIONS["constant_column"]

    def swap(sheet: Sheet, rng: object) -> str:
        sheet.change("height", lambda cell: cell[::-1].strip("."))
        return "height"

    monkeypatch.setitem(dirt_tables.OPERATIONS, "constant_column", swap)
    assert check_case("table", 3, KNOWN, "constant_column").kind == "silent"
    monkeypatch.setitem(dirt_tables.OPERATIONS, "constant_column", operation)
