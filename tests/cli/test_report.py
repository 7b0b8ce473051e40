"""`nnzoo report`: refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

NNZOO = Callable[..., Any]


def test_what_is_no_run_is_reported(nnzoo: NNZOO) -> None:
    assert "is not a run folder; give one, such as" in nnzoo("report", "nothing").err
    Path("empty").mkdir()
    result = nnzoo("report", "empty")
    assert result.code == 5 and "holds no best.pt; train first" in result.err
