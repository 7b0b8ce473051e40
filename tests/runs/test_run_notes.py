"""Notes on data read, guessed, filled in or repeated stay with the run: in its config.yaml, in its
report, and in the start of `--json`."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from nnzoo.config import yaml_parser
from nnzoo.runs import run_dir

Nnzoo = Callable[..., Any]
CONFIG = """
name: t
data: {name: csv, path: t.csv, target: kind, split: {seed: 1}}
model: {name: mlp, hidden: [4]}
train: {epochs: 1}
"""
FILLED = "missing values filled with the mean: 6 of 'b'"
EQUAL = "equal a training row in all inputs: "


@pytest.fixture
def table(own_folder: Path) -> Path:
    """60 rows of which many are the same, six without a value."""
    rows = "".join(f"{i % 5},{'' if i % 10 == 0 else i % 3},{'yn'[i % 2]}\n" for i in range(60))
    Path("t.csv").write_text(f"a,b,kind\n{rows}")
    Path("t.yaml").write_text(CONFIG)
    return own_folder


def page(nnzoo: Nnzoo, folder: str = "checkpoints/t") -> str:
    assert nnzoo("report", folder, "--out", "page.html").code == 0
    return unescape(Path("page.html").read_text())


def test_notes_on_the_data_stand_in_the_run_its_report_and_the_start_event(
    table: Path, nnzoo: Nnzoo
) -> None:
    start = nnzoo("train", "t.yaml", "--json").lines[0]
    recorded = yaml.safe_load(Path("checkpoints/t/config.yaml").read_text())["environment"]
    codes = start["note_codes"]
    shown = [f"{code} {note}".strip() for code, note in zip(codes, start["notes"], strict=True)]
    assert shown[: len(recorded["data_notes"])] == recorded["data_notes"]
    assert start["notes"][-1] == "no checkpoint in checkpoints/t: starting new"
    text = page(nnzoo)
    assert "<h3>What was read</h3>" in text
    for note in (f"N06 {FILLED}", f"W40 {EQUAL}"):
        assert sum(item.startswith(note) for item in recorded["data_notes"]) == 1
        assert f"<li>{note}" in text
    assert nnzoo("train", "checkpoints/t/config.yaml", "--out", "again").code == 0


def test_a_group_starts_with_its_notes_and_each_member_keeps_them(
    table: Path, nnzoo: Nnzoo
) -> None:
    lines = nnzoo("train", "t.yaml", "--seeds", "2", "--json").lines
    assert [line["event"] for line in lines].count("start") == 1 and lines[0]["event"] == "start"
    assert any(line.startswith(EQUAL) for line in lines[0]["notes"])
    assert f"<li>N06 {FILLED}" in page(nnzoo, "checkpoints/t-seeds/seed-1")


def test_a_run_that_recorded_none_is_read_again_and_a_strange_record_is_bounded(
    table: Path, nnzoo: Nnzoo
) -> None:
    nnzoo("train", "t.yaml")
    config = Path("checkpoints/t/config.yaml")
    tree = yaml.safe_load(config.read_text())
    del tree["environment"]["data_notes"]
    config.write_text(yaml.safe_dump(tree))
    page(nnzoo)
    tree["environment"]["data_notes"] = ["<script>" + "x" * 1000, 7] * 100
    config.write_text(yaml.safe_dump(tree))
    assert nnzoo("report", "checkpoints/t", "--out", "page.html").code == 0
    text = Path("page.html").read_text()
    listed = text.partition("What was read")[2].partition("</ul>")[0]
    assert listed.count("<li>") == run_dir.MAX_NOTES + 1
    assert "<script>" not in listed and "x" * run_dir.MAX_NOTE not in listed


def test_many_and_long_notes_leave_the_config_readable() -> None:
    kept = run_dir.recorded_notes(["é" * 5000] * 1000)
    assert len(kept) == run_dir.MAX_NOTES + 1 and kept[-1] == "and 950 more"
    assert len("".join(kept).encode()) < yaml_parser.MAX_BYTES / 4
