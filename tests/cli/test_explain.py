"""`nnzoo explain`."""

from __future__ import annotations

import pytest

from nnzoo.errors import DataError
from nnzoo.explain.codes import all_codes
from tests.cli.first_config import NNZOO


def test_without_an_argument_the_codes_are_listed(nnzoo: NNZOO) -> None:
    result = nnzoo("explain", "--lang", "en")
    assert (result.code, result.shown) == (0, "")
    assert "W03  vanishing gradient\n" in result.out
    assert all(f"  {code}  " in result.out for code in all_codes("en"))


def test_a_code_is_explained_in_the_language_of_the_locale(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert nnzoo("explain", "w03").out.startswith("W03 梯度消失\n")
    assert nnzoo("explain", "W03", "--lang", "en").out.startswith("W03 vanishing gradient\n")
    assert nnzoo("explain", "W03", "--json").json["code"] == "W03"


def test_a_key_is_explained(nnzoo: NNZOO) -> None:
    out = nnzoo("explain", "schedule", "--lang", "en").out
    assert out.startswith("optim.schedule\n") and "  -s optim.schedule=cosine\n" in out
    assert nnzoo("explain", "train.epochs", "--json").json["example"] == "-s train.epochs=50"


def test_colors_are_asked_for(nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1m" in nnzoo("explain", "W03").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in nnzoo("explain", "W03").out


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("W99", "did you mean 'W"),
        ("optim.shedule", "did you mean 'optim.schedule'?"),
        ("shedule", "did you mean 'optim.schedule'?"),
        ("xyzzy", "'nnzoo explain' lists the codes"),
    ],
)
def test_an_unknown_word_is_corrected(nnzoo: NNZOO, word: str, hint: str) -> None:
    result = nnzoo("explain", word)
    assert (result.code, result.codes) == (2, ["E03"])
    assert hint in result.err


def test_errors_and_notes_are_shown_with_their_codes(nnzoo: NNZOO) -> None:
    result = nnzoo("train", "none.yaml")
    assert result.codes == ["E15"] and result.shown.startswith("error E15: no config 'none.yaml'")
    result = nnzoo("check", "cnn", "-s", "model.chanels=[8]")
    assert result.codes == ["E11"] and "did you mean 'channels'?" in result.err
    result = nnzoo("check", "cnn", "-s", "model.chanels=[8]", "-s", "model.dropout=2")
    assert result.shown.startswith("error E13, E11: bundled cnn.yaml: 2 problems\n")
    assert DataError("x", code="E38").code in all_codes("en")
