"""Texts in a report: colored, escaped, and what a language model writes and follows."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.inspect.tokens import Piece
from nnzoo.models.embedding import Embedding
from nnzoo.report.texts import colored, embedding_neighbors
from tests.browser import CHROMIUM, Browser
from tests.report.test_page import check_page, text_of, without_script
from tests.text_data import PLAY, SENTENCES, WORDS, language_model, text_network

NNZOO = Callable[..., Any]
EVIL = "<script>alert(1)</script> &amp <img src=x onerror=alert(2)> \x1b[31m\u202e"


def write_reviews(extra: str = "") -> None:
    """A CSV of reviews, each with a text that must stay one."""
    with Path("reviews.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["review", "kind"])
        for i in range(120):
            label = f"good{extra}" if i % 2 else f"bad{extra}"
            word = WORDS["good" if i % 2 else "bad"][i % 3]
            rows.writerow([f"{SENTENCES[i % 3].format(word, word)} {extra} {i}", label])


def train(nnzoo: NNZOO, data: dict[str, Any], model: dict[str, Any]) -> Any:
    tree = {"name": "run", "data": data, "model": model, "train": {"epochs": 1}}
    Path("run.yaml").write_text(json.dumps(tree))
    result = nnzoo("train", "--config", "run.yaml")
    assert result.code == 0, result.err
    return result


def test_colors_follow_the_values_and_markup_is_text() -> None:
    pieces = [
        Piece("a<b>", 9, True),
        Piece("c", 9, False),
        Piece("d", -3, True),
        Piece("e", 0, False),
    ]
    assert colored(pieces) == '<i class="u9">a&lt;b&gt; c</i><i class="d3">d</i> e'
    line = [Piece("x", 0, True), Piece("↵", 0, True, True), Piece("y", 0, True)]
    assert colored(line) == "x↵\ny"


def test_neighbors_point_the_same_way() -> None:
    network = text_network("mlp")
    embedding = next(m for m in network.model.modules() if isinstance(m, Embedding))
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    ids = tokenizer.ids
    with torch.no_grad():
        embedding.weight.mul_(0.01)
        embedding.weight[ids["great"]] = torch.tensor([3.0, 4, 0, 0, 0])
        embedding.weight[ids["lovely"]] = torch.tensor([6.0, 8, 0, 0, 0])
        embedding.weight[0] = torch.tensor([6.0, 8, 0, 0, 0])  # <unknown> is none
    listed = {token.token: token.nearest for token in embedding_neighbors(network)}
    (name, cosine), *_ = listed["great"]
    assert (name, round(cosine, 6)) == ("lovely", 1)
    assert all(len(nearest) == 5 for nearest in listed.values())
    assert embedding_neighbors(language_model({"name": "gru", "hidden_size": 4}))


def test_hostile_text_stays_text_in_the_page_and_on_the_terminal(
    nnzoo: NNZOO, tmp_path: Path
) -> None:
    write_reviews(EVIL)
    model = {"name": "gru", "hidden_size": 4, "embedding": 4}
    data = {"name": "text", "path": "reviews.csv", "text": "review", "target": "kind"}
    trained = train(nnzoo, data | {"tokens": "characters", "lowercase": False}, model)
    outputs = [trained, nnzoo("report", "checkpoints/run"), nnzoo("inspect", "checkpoints/run")]
    outputs.append(nnzoo("inspect", "checkpoints/run", f"{EVIL} great"))
    for result in outputs:
        assert result.code == 0, result.err
        assert not {"\x1b", "\u202e"} & set(result.out + result.err)
    page = Path("checkpoints/run/report.html").read_text()
    assert not {"\x1b", "\u202e", "\0"} & set(page)
    assert "<script" not in without_script(page) and "<img src=x" not in page
    inside = "".join(re.findall(r'<div class="text[^>]*>(.*?)</div>', page, flags=re.S))
    shown = html.unescape(re.sub(r"<[^>]+>", "", inside))
    assert "<script>alert(1)</script> &amp <img src=x" in shown and r"\x1b[31m\u202e" in shown


@pytest.mark.parametrize("unit", ["characters", "bytes"])
def test_a_hostile_corpus_stays_text(unit: str, nnzoo: NNZOO) -> None:
    nul = "\0" * (unit == "bytes")  # no text file has one
    Path("play.txt").write_text(f"{PLAY}{EVIL} {nul}\u200f\n" * 30)
    data: dict[str, Any] = {"name": "corpus", "path": "play.txt", "window": 16, "tokens": unit}
    data["split"] = {"val": 0.1, "test": 0.3}
    outputs = [train(nnzoo, data, {"name": "gru", "hidden_size": 12, "embedding": 6})]
    outputs += [nnzoo("report", "checkpoints/run"), nnzoo("inspect", "checkpoints/run", "--json")]
    for result in outputs:
        assert result.code == 0, result.err
        assert not {"\x1b", "\u202e", "\0"} & set(result.out + result.err)
    page = Path("checkpoints/run/report.html").read_text()
    assert not {"\x1b", "\u202e", "\0", "\u200f"} & set(page)
    assert "<script" not in without_script(page) and "<img src=x" not in page


def test_a_page_of_texts_marks_words_and_lists_neighbors(nnzoo: NNZOO) -> None:
    write_reviews()
    data = {"name": "text", "path": "reviews.csv", "text": "review", "target": "kind"}
    train(nnzoo, data | {"max_length": 5}, {"name": "mlp", "hidden": [], "embedding": 4})
    assert nnzoo("report", "checkpoints/run").code == 0
    page = Path("checkpoints/run/report.html").read_text()
    text = text_of(page)
    assert "Which words move the prediction" in text and "Nearest neighbors of embeddings" in text
    assert "cut to the first 5 tokens" in text
    assert re.search(r'<i class="[ud]\d">', page)


@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)
def test_a_language_model_shows_what_it_writes_in_a_browser(nnzoo: NNZOO, browser: Browser) -> None:
    Path("play.txt").write_text(PLAY * 40)
    data = {"name": "corpus", "path": "play.txt", "window": 16, "split": {"val": 0.1, "test": 0.3}}
    train(nnzoo, data, {"name": "lstm", "hidden_size": 12, "embedding": 6})
    assert nnzoo("report", "checkpoints/run").code == 0
    page = Path("checkpoints/run/report.html")
    text = text_of(page.read_text())
    assert "bits per character" in text and "Units that follow something" in text
    assert "baseline: counted n-grams" in text and "the next character" in text
    command = "nnzoo generate checkpoints/run --temperature 0.8 --top-k 0 --length 400"
    assert command in text
    written = nnzoo(*command.split()[1:]).out.split()
    assert " ".join(written) in text
    for width in (1280, 380):
        check_page(page, browser, width)
    assert nnzoo("report", "checkpoints/run", "checkpoints/run/../run").code == 2
