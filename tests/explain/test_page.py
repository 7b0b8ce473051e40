"""The layout of pages."""

from __future__ import annotations

from nnzoo.explain.page import Page, Row, render_page
from nnzoo.explain.wrap import columns_of

PAGE = Page(
    "W03 梯度消失",
    [
        ("", [Row("很长的一段文字，" * 20)]),
        ("values", [Row("a `code` word", term="x"), Row("b " * 60, term="longer")]),
        ("nothing", []),
        ("example", [Row("nnzoo train -c mlp " + "-s a=b " * 20, is_command=True)]),
    ],
)


def test_lines_fit_the_width_but_commands_stay_whole() -> None:
    lines = render_page(PAGE, 60, color=False)
    assert all(columns_of(line) <= 60 for line in lines if "nnzoo" not in line)
    assert sum("nnzoo train" in line for line in lines) == 1 and "nothing" not in lines
    assert "  x       a `code` word" in lines and "\x1b" not in "".join(lines)


def test_colors() -> None:
    lines = render_page(PAGE, 60, color=True)
    assert lines[0] == "\x1b[1mW03 梯度消失\x1b[0m"
    assert any("\x1b[36mcode\x1b[0m" in line for line in lines)
