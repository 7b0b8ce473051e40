"""Types of keys in Chinese."""

from __future__ import annotations

import pytest

from nnzoo.explain.describe_type import describe_type_zh
from nnzoo.explain.key_page import key_page


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("train.epochs", "不小于 1 的整数"),
        ("train.precision", "auto、fp32、tf32、bf16 之一"),
        ("optim.lr", "大于 0 的数"),
        ("model.hidden", "不小于 1 的整数的列表"),
        ("data.delimiter", "auto，或文字"),
        ("train.early_stopping", "一节（patience、min_delta），或null"),
        ("optim.betas", "两个"),
        ("train.save_every", "形如 '0.5 %'"),
    ],
)
def test_a_type_in_chinese(key: str, text: str) -> None:
    rows = key_page(key, "zh").parts[1][1]
    assert any(row.term == "类型" and text in row.text for row in rows), rows


def test_a_single_character() -> None:
    assert describe_type_zh({"type": "string", "maxLength": 1}, {}) == "一个字符"
