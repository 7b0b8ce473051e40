"""Live table, lines and page of a sweep."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nnzoo.sweep.open_study import open_study
from nnzoo.sweep.report import page
from nnzoo.sweep.study import Study
from tests.browser import CHROMIUM, Browser
from tests.report.test_page import without_script
from tests.sweep.studies import NNZOO, config, searched

pytestmark = pytest.mark.usefixtures("compiled")


def text_of(html: str) -> str:
    bare = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<script.*?</script>", " ", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


def test_the_page_tells_the_best_what_decides_and_every_trial(study: Study) -> None:
    html = page(study)
    best = study.best()
    assert best is not None
    for section in ("best", "charts", "trials", "repeat"):
        assert f'<section id="{section}">' in html
    shown = text_of(html)
    assert f"Trial {best.number}: val_loss" in shown
    assert "optim.lr" in shown and "0.001 to 0.1, by orders of magnitude" in shown
    assert "0 to 0.4, in steps of 0.1" in shown and "[4], [8, 8]" in shown
    assert html.count("<svg") == 3
    assert "Importance" in shown and "Trials as lines" in shown and "Course" in shown
    assert "too &lt;b&gt;much" in html
    assert len(re.findall(r"(complete|pruned|diverged|failed)( <span|</td>)", html)) == 16
    assert "nnzoo train out/flowers/best.yaml" in shown
    assert set(re.findall(r'(?:src|href)="(?!#)([a-z]+:)', html)) <= {"data:"}
    assert "<script" not in without_script(html) and "url(http" not in html


def test_the_most_important_key_is_the_one_that_decides(study: Study) -> None:
    chart = re.search(r'aria-label="Importance of each key".*?</svg>', page(study), re.S)
    assert chart is not None
    # The bars are sorted, the largest on top, which is written last.
    assert re.findall(r">(lr|hidden|dropout)<", chart[0])[-1] == "lr"


def test_a_best_value_at_the_edge_is_pointed_out_unless_there_is_nothing_beyond(
    study: Study,
) -> None:
    best = study.best()
    assert best is not None
    from nnzoo.sweep.report import _at_edge

    def edge(key: str, value: float) -> bool:
        return _at_edge(study, replace(best, values=best.values | {key: value}), key)

    assert edge("optim.lr", 0.0999) and edge("optim.lr", 0.001) and not edge("optim.lr", 0.01)
    assert edge("model.dropout", 0.4) and not edge("model.dropout", 0.0)
    assert not edge("model.hidden", 0)


def test_a_page_of_few_trials_leaves_out_what_they_cannot_tell(nnzoo: NNZOO) -> None:
    assert nnzoo("sweep", "flowers.yaml", "--trials", "1").code == 0
    html = Path("checkpoints/flowers/sweep.html").read_text()
    assert html.count("<svg") == 0 and "1 trial of 3 keys" in html
    sets = ("sweep.storage=new.log", "sweep.trials=1")
    empty = open_study(config(*sets), Path("out"))
    claim = empty.claim()
    assert claim is not None
    assert "No trial is complete yet." in text_of(page(empty))


def test_of_very_many_trials_the_best_are_shown(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzoo.sweep.report.MAX_ROWS", 10)
    shown = text_of(page(study))
    assert "The 10 best; 6 more are in the study." in shown


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (380, True)])
def test_a_browser_opens_the_page_without_a_word_and_without_scrolling_sideways(
    width: int, dark: bool, study: Study, browser: Browser
) -> None:
    file = Path("page.html")
    file.write_text(page(study))
    with browser.open(file, width=width, dark=dark) as opened:
        assert opened.complaints == []
        assert opened.requests == [file.resolve().as_uri()]
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        drawn = "[...document.querySelectorAll('svg')].map(each => each.getBoundingClientRect().height > 80)"
        assert opened.evaluate(drawn) == [True] * 3
        # Sorted by its score, a trial keeps the line with its reason; trials without a score come last.
        rows = "[...document.querySelectorAll('.trials tr')].slice(1).map(r => [r.className, r.cells[1]?.textContent])"
        before = [name for name, _ in opened.evaluate(rows)]
        opened.mouse(".trials th:nth-child(2) button")
        after = opened.evaluate(rows)
        names = [name for name, _ in after]
        assert names.count("reason") == before.count("reason") > 0
        assert all(names[i - 1] == "before" for i, name in enumerate(names) if name == "reason")
        scores = [score for name, score in after if name != "reason"]
        known = [float(score) for score in scores if score]
        assert known == sorted(known) and scores[len(known) :] == [""] * (len(scores) - len(known))


def test_trials_with_tensorboard_write_their_curves() -> None:
    pytest.importorskip("tensorboard")
    study = searched("train.tensorboard=true", "sweep.trials=1")
    assert list((study.folder_of(0) / "tensorboard").iterdir())
