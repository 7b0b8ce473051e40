"""`nnzoo explain`."""

from __future__ import annotations

from tests.cli.first_config import NNZOO


def test_without_an_argument_the_codes_are_listed(nnzoo: NNZOO) -> None:
    result = nnzoo("explain")
    assert (result.code, result.err) == (0, "")
    assert "W03  vanishing gradient\n" in result.out


def test_a_code_is_explained(nnzoo: NNZOO) -> None:
    result = nnzoo("explain", "W03")
    assert result.code == 0 and result.out.startswith("W03 vanishing gradient\n")
