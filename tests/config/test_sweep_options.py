"""Options of a search: the range of a number."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nnzoo.config.sweep_options import RangeOptions


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"low": 2, "high": 2}, "expected a number above 'low'"),
        ({"low": 0, "high": 1, "log": True}, "expected a number above 0, got 0"),
        ({"low": 1, "high": 9, "log": True, "step": 1}, "not with 'log'"),
        ({"low": 1, "high": 2, "step": 3}, "larger than the range"),
    ],
)
def test_a_range_that_is_none_is_refused(options: dict[str, float], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        RangeOptions.model_validate(options)
