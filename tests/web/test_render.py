"""Pages: their script runs under their policy and no other does; data reach it as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnzoo.web.render import Script, content_policy, encode_array, render, to_inline_json
from tests.browser import CHROMIUM, Browser

HOSTILE = "</script><script>document.title='bad'</script><!-- \u2028 \x1b[2J \u202e"
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)


def page(data: dict[str, Any]) -> str:
    return render("web/templates/base.html", {"title": "page"}, Script([], data))


def test_inline_json_keeps_values_and_cannot_end_its_element() -> None:
    data = {
        "text": HOSTILE,
        "numbers": (1, 0.1, float("nan"), float("inf")),
        "array": np.eye(2),
        "true": True,
        "none": None,
    }
    text = to_inline_json(data)
    assert not set("<>&\x1b\u202e\u2028") & set(text)
    read = json.loads(text)
    assert read["numbers"] == [1, 0.1, None, None] and read["array"] == [[1.0, 0.0], [0.0, 1.0]]
    assert (read["true"], read["none"]) == (True, None)
    assert read["text"].startswith("</script><script>") and read["text"].endswith(r"\x1b[2J \u202e")


def test_a_page_without_script_allows_none() -> None:
    assert "<script" not in render("web/templates/base.html", {"title": "page"})
    assert "script-src" not in content_policy(None) and "connect-src" not in content_policy(None)
    assert "connect-src 'self'" in content_policy(Script([], connects=True))


@needs_browser
def test_the_script_reads_the_data_and_a_changed_one_does_not_run(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    array = np.array([[1.5, -2.0], [0.0, 1e-30]], np.float32)
    text = page(
        {
            "label": HOSTILE,
            "array": encode_array(array),
            "bytes": encode_array(np.array([7, 255], np.uint8)),
        }
    )
    file.write_text(text, "utf-8")
    with browser.open(file) as opened:
        assert opened.complaints == []
        assert opened.evaluate("document.title") == "page · nnzoo"
        assert opened.evaluate("nnzoo.data.label.startsWith('</script><script>')")
        read = opened.evaluate("[...nnzoo.array(nnzoo.data.array).values]")
        assert np.array(read, np.float32).tolist() == array.ravel().tolist()
        assert opened.evaluate("[...nnzoo.array(nnzoo.data.bytes).values]") == [7, 255]
    file.write_text(text.replace('"use strict"', '"Use strict"', 1), "utf-8")
    with browser.open(file) as opened:
        assert any("Content Security Policy" in line for line in opened.complaints)
        assert opened.evaluate("typeof nnzoo") == "undefined"
