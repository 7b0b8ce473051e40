"""Options of splits: which go together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nnzoo.config.split_options import GroupSplit


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"by": "t", "stratify": True}, "not with 'by': the order in time decides"),
        ({"by": "t", "group": "g"}, "not with 'group'"),
        ({"by": "t", "column": "c"}, "not with 'column'"),
        ({"by": "t", "duplicates": "together"}, "'together' is not for 'by'"),
        ({"column": "c", "duplicates": "together"}, "'together' is not for 'column'"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(split: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GroupSplit(**split)


def test_a_resolved_config_reads_back() -> None:
    split = GroupSplit(by="t")
    assert split.stratify is False and GroupSplit(**split.model_dump()) == split
