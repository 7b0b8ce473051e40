"""The live table of trials, and the line of each."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from nnzoo.console import trials
from nnzoo.sweep.study import Study
from tests.sweep.studies import scored_study

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture
def study() -> Study:
    return scored_study()


def test_the_live_table_shows_the_last_trials_and_the_best(study: Study) -> None:
    stream = io.StringIO()
    terminal = Console(file=stream, width=110, height=20, force_terminal=True, color_system=None)
    claim = study.claim()
    assert claim is not None
    row = study.record(claim)
    with trials.TrialTable(terminal, study) as shown:
        shown.show(row, epochs=4)
        shown.show(replace(row, epochs=2), score=0.123456)
        terminal.print(shown.table())
    text = stream.getvalue()
    best = study.best()
    assert best is not None
    assert "16 of 18 trials finished" in text
    assert re.search(rf"^ +{best.number} +0\.\d+  complete ★ +3  \d", text, re.M)
    assert re.search(r"^ +16 +0.1235  running +2/4 ", text, re.M)
    assert " lr " in text and "optim.lr" not in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert max(map(len, plain.splitlines())) <= 110


def test_a_narrow_live_table_leaves_out_keys_and_nothing_else(study: Study) -> None:
    stream = io.StringIO()
    terminal = Console(file=stream, width=60, height=20, force_terminal=True, color_system=None)
    with trials.TrialTable(terminal, study) as shown:
        terminal.print(shown.table())
    text = stream.getvalue()
    assert "16 of 18 trials finished (1 more key in the page)" in text and "dropout" not in text
    assert re.search(r"^ +\d+ +0\.\d+  complete", text, re.M)


def test_a_line_a_trial_says_what_it_was_and_how_it_ended(study: Study) -> None:
    lines = [trials.trial_line(study, row, row.number == 0) for row in study.records()]
    assert re.fullmatch(
        r"trial  0/18  complete  val_loss \S+ \(epoch 3\)  optim.lr \S+  model.hidden \[.+\]  "
        r"model.dropout 0(\.\d)?  \*",
        lines[0],
    )
    assert "after 4 epochs" in lines[14] and lines[4].endswith("too <b>much")


def test_keys_are_short_where_that_tells_them_apart() -> None:
    keys = ["optim.lr", "data.augment.shift", "model.dropout", "model.head.dropout"]
    assert list(trials.short_keys(keys).values()) == ["lr", "shift", *keys[2:]]
