"""Hostile input: a small campaign of scripts/input_campaign.py, and the bounds that it relies on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nnzoo.config.run_config import from_dict
from nnzoo.errors import ConfigError
from tests.zoo import SCRIPTS, load_script

SCRIPT = SCRIPTS / "input_campaign.py"


@pytest.fixture
def campaign() -> ModuleType:
    return load_script("input_campaign")


def test_hostile_configs_and_tables_are_accepted_or_refused_in_words() -> None:
    """In a process of its own: it forks, and measures memory beyond what is loaded."""
    words = ["--configs", "600", "--csvs", "70", "--seed", "7", "--keep", "kept"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert "configs: 600, 0 failed" in done.stdout
    assert "csvs: 70, 0 failed" in done.stdout
    for group in ("text", "tree", "--set", "bomb", "hypothesis", "csv", "series"):
        assert f"  {group}  " in done.stdout, group
    assert not Path("kept").exists()


@pytest.mark.filterwarnings("ignore")  # of forking, from Python 3.12 on
def test_the_campaign_sees_what_is_raised_is_slow_eats_memory_or_dies(
    campaign: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(data: bytes, sets: list[str], through_command: bool) -> tuple[str, float]:
        if data == b"raise":
            raise KeyError("ctx")
        if data == b"eat":
            data *= 7_000_000_000  # more than a long-lived test process has kept of freed memory
        if data == b"die":
            os._exit(9)
        return "accepted", 7.0 if data == b"slow" else 0.0

    bad = [b"raise", b"slow", b"eat", b"die"]
    cases = [("text", data, ["seed=1"]) for data in (b"good", *bad, b"good")]
    monkeypatch.setattr(campaign, "check_config", check)
    monkeypatch.setattr(campaign, "config_cases", lambda *_: cases)
    monkeypatch.setattr(campaign, "BLOCK", len(cases))
    tally = campaign.campaign("configs", len(cases), 3, Path("kept"))
    assert dict(tally.outcomes) == {("text", "accepted"): 2, ("text", "failed"): 4}
    assert [path.read_bytes() for path in sorted(Path("kept").glob("*/case.yaml"))] == bad
    messages = capsys.readouterr().out
    for reason in ("KeyError: 'ctx'", "7.00 s", "MemoryError", "died or hung"):
        assert reason in messages
    assert "nnzoo check kept/configs-3-0-1/case.yaml --set 'seed=1'" in messages


def tree(**sections: Any) -> dict[str, Any]:
    return {"name": "x", "data": "digits", "model": "mlp"} | sections


def refused(**sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        from_dict(tree(**sections), "f")
    (issue,) = caught.value.issues
    return f"{issue.path} {issue.message}"
