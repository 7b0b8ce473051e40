"""Texts that are no UTF-8: the encoding that init guesses, and says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "written", "guess"),
    [
        (["城市", "北京", "上海", "广州", "高", "低"], "gbk", "gb18030"),
        (["𠀀𠀁", "𠀂𠀃", "𠮷𠀄", "𡀀", "𠀅", "𠀆"], "gb18030", "gb18030"),
        (["道路", "𠮷野", "𠀀村", "广州", "高", "低"], "gb18030", "gb18030"),
        (["도시", "서울", "부산", "대구", "높음", "낮음"], "cp949", "cp949"),
        (["город", "москва", "омск", "казань", "Да", "нет"], "cp1251", "cp1251"),
        (["Größe", "schön", "groß", "Österreich", "für", "ungünstig"], "cp1252", "cp1252"),
        (["région", "Île", "forêt", "côté", "très", "à côté"], "cp1252", "cp1252"),
    ],
)
def test_encoding_is_guessed_by_the_bytes(
    nnzoo: Any, own_folder: Path, words: list[str], written: str, guess: str
) -> None:
    name, one, two, three, yes, no = words
    rows = [f"{(one, two, three)[i % 3]},{i % 7},{(yes, no)[i % 2]}" for i in range(60)]
    (own_folder / "t.csv").write_text("\n".join([f"{name},n,y", *rows]) + "\n", encoding=written)
    result = nnzoo("init", "t.csv")
    assert result.code == 0
    assert f"not UTF-8: read as {guess}, which is a guess (data.encoding)" in result.err
    config = (own_folder / "t.yaml").read_text(encoding="utf-8")
    assert f"encoding: {guess}" in config and yes in config and no in config
    assert "2 classes" in config
