"""The default language."""

from __future__ import annotations

from nnzoo.explain.languages import default_language


def test_the_first_variable_of_the_locale_that_is_set_decides() -> None:
    assert default_language({}) == "en"
    assert default_language({"LANG": "zh_CN.UTF-8"}) == "zh"
    assert default_language({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}) == "en"
    assert default_language({"LC_ALL": "", "LC_MESSAGES": "zh_TW", "LANG": "C"}) == "zh"
