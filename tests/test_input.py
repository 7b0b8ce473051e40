"""Hostile input: a small campaign of scripts/input_campaign.py, and the bounds that it relies on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from zoo import SCRIPTS, begin, config, load_script

from nnzoo.config.load import from_dict
from nnzoo.errors import MAX_SHOWN, ConfigError
from nnzoo.models import network

SCRIPT = SCRIPTS / "input_campaign.py"


@pytest.fixture
def campaign() -> ModuleType:
    return load_script("input_campaign")


def test_hostile_configs_and_tables_are_accepted_or_refused_in_words() -> None:
    """In a process of its own: it forks, and measures memory beyond what is loaded."""
    words = ["--configs", "1500", "--csvs", "150", "--seed", "7", "--keep", "kept"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert "configs: 1,500, 0 failed" in done.stdout
    assert "csvs: 150, 0 failed" in done.stdout
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
            data *= 500_000_000
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
    told = capsys.readouterr().out
    for reason in ("KeyError: 'ctx'", "7.00 s", "MemoryError", "died or hung"):
        assert reason in told
    assert "nnzoo check kept/configs-3-0-1/case.yaml --set 'seed=1'" in told


def tree(**sections: Any) -> dict[str, Any]:
    return {"name": "x", "data": "digits", "model": "mlp"} | sections


def refused(**sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        from_dict(tree(**sections), "f")
    (issue,) = caught.value.issues
    return f"{issue.path} {issue.message}"


@pytest.mark.parametrize(
    ("section", "options", "message"),
    [
        ("model", {"name": "mlp", "hidden": [4, 10**12]},
         "model.hidden[1] expected at most 1,000,000, got 1,000,000,000,000"),
        ("model", {"name": "mlp", "hidden": [1] * 5000}, "model.hidden expected at most 1,000 layers, got 5,000"),
        ("model", {"name": "cnn", "channels": [10**9]},
         "model.channels[0] expected at most 1,000,000, got 1,000,000,000"),
        ("model", {"name": "cnn", "kernel_size": 10**9},
         "model.kernel_size expected at most 10,000, got 1,000,000,000"),
        ("model", {"name": "cnn", "padding": [[0, 10**9], [0, 0]]},
         "model.padding[0][1] expected at most 1,000, got 1,000,000,000"),
        ("model", {"name": "lstm", "hidden_size": 10**12},
         "model.hidden_size expected at most 1,000,000, got 1,000,000,000,000"),
        ("model", {"name": "gru", "num_layers": 10**6}, "model.num_layers expected at most 1,000, got 1,000,000"),
        ("data", {"name": "sine", "length": 10**12},
         "data.length expected at most 10,000,000, got 1,000,000,000,000"),
        ("data", {"name": "sine", "period": 1e-300},
         "data.period too short: the phase of its last oscillations would be lost to rounding"),
        ("data", {"name": "series", "path": "x", "window": 10**15},
         "data.window expected at most 10,000,000, got 1,000,000,000,000,000"),
        ("data", {"name": "adding", "length": 10**5, "train": 10**5, "val": 0, "test": 0},
         "data.train 10,000,000,000 time steps in all sequences together; at most 100,000,000"),
        ("data", {"name": "image_folder", "path": "x", "size": [8, 10**6]},
         "data.size[1] expected at most 10,000, got 1,000,000"),
        ("data", {"name": "csv", "path": "x", "delimiter": "é"},
         "data.delimiter expected one to three ASCII characters, no quote or line end, got 'é'"),
        ("optim", {"name": "adam", "clip": {"value": 1e300}},
         "optim.clip.value expected at most 1e+30, got 1e+300"),
        ("train", {"save_every": "0 s"}, "train.save_every a duration above zero, as in '1 epoch'"),
    ],
)  # fmt: skip
def test_what_would_fill_the_memory_is_a_fault_of_the_config(
    section: str, options: dict[str, Any], message: str
) -> None:
    assert refused(**{section: options}) == message


def test_a_model_too_large_to_train_is_refused_before_its_weights_are_filled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = {"name": "mlp", "hidden": [40_000, 40_000]}  # 6.4 GB in one layer alone
    monkeypatch.setattr(network, "memory", lambda: 16_000_000_000)
    began = time.process_time()
    with pytest.raises(ConfigError, match="can train 1,000,000,000"):
        begin(config(many))
    assert time.process_time() - began < 2
    assert begin(config("mlp"), "other", write=False).state == "new"


def test_thousands_of_faults_are_found_in_time_and_told_in_part() -> None:
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        from_dict(tree(model={"name": "mlp", "hidden": ["x"] * 9000}), "f")
    assert time.process_time() - began < 3
    lines = str(caught.value).splitlines()
    assert (lines[0], lines[-1]) == ("f: 9000 problems", f"  and {9000 - MAX_SHOWN:,} more")
    assert len(lines) == MAX_SHOWN + 2


def test_a_key_as_long_as_a_file_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(tree() | {"k" * 100_000: 1, "l": 2}, "f")
    assert max(map(len, str(caught.value).splitlines())) < 300


def test_what_would_steer_a_terminal_is_written_out() -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(tree() | {"\x1b[31m\u202e\ud800é": 1}, "f")
    assert "\\x1b[31m\\u202e\\ud800é" in str(caught.value)


def test_a_set_as_deep_as_it_is_long_is_a_fault() -> None:
    from nnzoo.config.load import load_config

    with pytest.raises(ConfigError, match="deeper than 20 levels"):
        load_config("cnn", ["model" + ".x" * 5000 + "=1"])
