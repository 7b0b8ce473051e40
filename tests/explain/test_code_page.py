"""The page of a code."""

from __future__ import annotations

from nnzoo.explain.code_page import code_page
from nnzoo.explain.page import render_page


def test_a_page_says_what_how_and_what_to_try() -> None:
    lines = render_page(code_page("W03", "en"), 80, color=False)
    assert lines[0] == "W03 vanishing gradient"
    assert [line for line in lines if line and line[0] != " "][1:] == [
        "how it is found",
        "what to try",
        "example",
        "documentation, with a figure",
    ]
    assert any(line.startswith("  nnzoo train -c mlp") for line in lines)
    assert lines[-2].endswith("/docs/codes.md#w03")
    assert lines[-1].endswith("/docs/images/codes/W03.png")


def test_a_page_in_chinese_without_an_example() -> None:
    lines = render_page(code_page("E63", "zh"), 80, color=False)
    assert lines[0] == "E63 训练正在使用中" and "可以试试" in lines and "例子" not in lines
