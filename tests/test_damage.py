"""The campaign against damaged checkpoints, made small; and that it would notice."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.runs import checkpoint
from tests.zoo import SCRIPTS, load_script

SCRIPT = SCRIPTS / "damage_campaign.py"


@pytest.fixture(scope="module")
def campaign() -> Any:
    return load_script("damage_campaign")


def test_three_thousand_damaged_checkpoints_do_no_harm() -> None:
    command = [sys.executable, str(SCRIPT), "--files", "3000"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failures, " in done.stdout.splitlines()[-1]
    assert int(done.stdout.splitlines()[-1].split()[0].replace(",", "")) > 3000


def test_a_loader_that_runs_what_is_inside_would_be_caught(
    campaign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(path: Path) -> Any:
        return torch.load(path, weights_only=False)

    monkeypatch.setattr(checkpoint, "load", careless)
    cases = dict(campaign.attacks())
    name = "posix.system inside, stored, sealed"
    report, watch = io.StringIO(), campaign.Watch()
    campaign.work([(name, cases[name])], False, [], watch, report)
    failure = report.getvalue().splitlines()[-1].split("\t")[-1]
    assert "did [" in failure and "os.system" in failure
    assert Path("owned").exists()


def test_a_loader_that_believes_any_bytes_would_be_caught(
    campaign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(Path("x.pt"), {"model": {"a": torch.arange(40.0)}})
    whole = Path("x.pt").read_bytes()
    good = [checkpoint.load(Path("x.pt"))]
    monkeypatch.setattr(checkpoint, "_check_checksum", lambda data, path: None)
    monkeypatch.setattr(campaign, "network_from_checkpoint", lambda *arguments: None)
    report = io.StringIO()
    campaign.work(list(campaign.bits(whole))[::5], True, good, campaign.Watch(), report)
    assert "loaded with other numbers" in report.getvalue()
