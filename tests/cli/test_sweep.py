"""`nnzoo sweep`: its events, its exit codes, and how it goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnzoo.sweep.open_study import open_study
from tests.sweep.studies import CONFIG, NNZOO, config, files

pytestmark = pytest.mark.usefixtures("compiled", "no_figure_layout")


@pytest.fixture(autouse=True)
def config_file(own_folder: Path) -> None:
    Path("flowers.yaml").write_text(CONFIG)


def test_a_sweep_ends_with_its_trials_a_page_and_a_config_that_trains_to_its_score(
    nnzoo: NNZOO,
) -> None:
    result = nnzoo("sweep", "flowers.yaml", "-v", "2")
    assert result.code == 0, result.err
    folder = Path("checkpoints/flowers")
    assert "no study in checkpoints/flowers/sweep.db: starting one of 8 trials" in result.err
    assert len(re.findall(r"^trial \d/8  (complete|pruned  )  ", result.err, re.M)) == 8
    assert {"best.yaml", "sweep.html", "sweep.db", "trials"} <= files(folder)
    study = open_study(config(), Path("checkpoints"))
    best = study.best()
    assert best is not None and best.value is not None
    assert (
        f"best: trial {best.number}, val_loss {best.value:.4f} at epoch {best.epoch}" in result.out
    )
    again = nnzoo("train", folder / "best.yaml", "--json")
    assert again.code == 0, again.err
    assert again.lines[-1]["best"] == {
        "epoch": best.epoch,
        "monitor": "val_loss",
        "value": best.value,
    }
    assert again.lines[-1]["run_dir"] == "checkpoints/flowers-best"
    assert result.out.count("page:") == 1 and str(folder / "sweep.html") in result.out
    for row in study.records():
        left = files(folder / "trials" / str(row.number)) - {".lock", ".trial"}
        weights = {"best.pt", "result.json"} if row.state == "complete" else set()
        assert left == {"config.yaml", "metrics.jsonl"} | weights
    assert nnzoo("eval", folder / "trials" / str(best.number), "--split", "val").code == 0


def test_the_same_command_again_shows_the_result_and_more_trials_go_on(nnzoo: NNZOO) -> None:
    first = nnzoo("sweep", "flowers.yaml", "--trials", "3")
    again = nnzoo("sweep", "flowers.yaml", "--trials", "3")
    assert (again.code, again.out) == (0, first.out)
    assert "joined the study in checkpoints/flowers/sweep.db: 3 of 3 trials finished" in again.err
    events = nnzoo("sweep", "flowers.yaml", "--trials", "5", "--json").lines
    assert [event["number"] for event in events if "best" in event and "number" in event] == [3, 4]


def test_trials_that_are_there_count_also_where_fewer_are_asked_for(nnzoo: NNZOO) -> None:
    first = nnzoo("sweep", "flowers.yaml", "--trials", "6")
    fewer = nnzoo("sweep", "flowers.yaml", "--trials", "1")
    assert fewer.code == 0 and fewer.out == first.out
    assert "6 of 6 trials finished" in fewer.err


def test_json_tells_the_start_each_trial_and_the_end(nnzoo: NNZOO) -> None:
    result = nnzoo("sweep", "flowers.yaml", "--json", "--trials", "2")
    start, *trials, end = result.lines
    assert start == {
        "event": "start",
        "study": "flowers",
        "folder": "checkpoints/flowers",
        "storage": "checkpoints/flowers/sweep.db",
        "monitor": "val_loss",
        "trials": 2,
        "over": 0,
    }
    assert [(trial["number"], trial["state"]) for trial in trials] == [
        (0, "running"),
        (0, "complete"),
        (1, "running"),
        (1, "complete"),
    ]
    assert trials[1]["params"].keys() == {"optim.lr", "model.hidden", "model.dropout"}
    assert end["trials"] == {"complete": 2}
    assert end["best"]["value"] == min(item["value"] for item in (trials[1], trials[3]))
    assert Path(end["config"]).exists() and Path(end["page"]).exists()


def test_verbosity_0_is_silent(nnzoo: NNZOO) -> None:
    result = nnzoo("sweep", "flowers.yaml", "--trials", "1", "-v", "0")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_where_all_diverge_the_exit_code_says_so(nnzoo: NNZOO) -> None:
    sets = ("-s", "sweep.space={optim.lr: [1e25, 1e26]}", "-s", "sweep.sampler=grid")
    for _ in range(2):  # also of a study that is at its end
        result = nnzoo("sweep", "flowers.yaml", *sets)
        assert result.code == 4
        assert "no trial of 2 finished:\n  trial 0: training diverged" in result.err
        assert "No trial is complete yet." in Path("checkpoints/flowers/sweep.html").read_text()


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_trial_and_says_how_to_go_on(sign: signal.Signals, code: int) -> None:
    words = ["-s", "train.epochs=2000", "-s", "sweep.pruner=none", "--trials", "2"]
    command = [sys.executable, "-m", "nnzoo", "sweep", "flowers.yaml", "--json"]
    with subprocess.Popen(
        [*command, *words, "--fresh"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "trial":
                break
        time.sleep(0.3)
        process.send_signal(sign)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    name = "Ctrl-C" if sign == signal.SIGINT else "SIGTERM"
    shown = "nnzoo sweep flowers.yaml --json " + " ".join(words)
    assert f"{name}: trial 0 is saved; resume with:\n  {shown}\n" in err
    assert "Traceback" not in err and out == ""
    assert Path("checkpoints/flowers/trials/0/last.pt").exists()
