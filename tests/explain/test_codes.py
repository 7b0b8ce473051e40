"""The table of codes."""

from __future__ import annotations

from nnzoo.explain.codes import CODE, all_codes


def test_every_code_has_a_name_and_a_meaning() -> None:
    codes = all_codes("en")
    assert len(codes) > 15
    for code in codes.values():
        assert CODE.fullmatch(code.id) and code.name and code.meaning
