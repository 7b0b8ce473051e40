"""Lines of a width, also of wide characters."""

from __future__ import annotations

from nnzoo.explain.wrap import columns_of, wrap


def test_long_lines_break_within_the_width_and_before_no_closing_mark() -> None:
    english = "one two three four five six seven eight nine ten"
    chinese = (
        "卷积神经网络：同一组小窗口权重，在整个输入上滑动（model.kernel_size 是 3），所以能检测。"
    )
    for text in (english, chinese):
        lines = wrap(text, 30, "  ")
        assert len(lines) > 1 and all(columns_of(line) <= 30 for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not any(line.strip()[0] in "，。：）" for line in lines)
    assert wrap("nnzoo train a-config-of-a-long-name.yaml", 20, "") == [
        "nnzoo train a-config-of-a-long-name.yaml"
    ]
    assert wrap("", 20, "") == []


def test_no_line_ends_with_an_opening_mark() -> None:
    text = "损失（见“损失”一节）在（第 3 轮）上升（过拟合），请看《词汇表》（glossary）。"
    for width in range(24, 60):
        lines = wrap(text, width, "")
        assert not any(line[-1] in "（《“" for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
