"""Runs that are killed again and again end as if they had been left alone; docs/reliability.md has
the campaign of 1,000 kills."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nnzoo.config import OPTIMIZERS, RunConfig
from nnzoo.config.load import load_config
from nnzoo.runs import checkpoint
from tests.zoo import SCRIPTS, begin, config, finish, load_script

pytestmark = pytest.mark.usefixtures("compiled")

SCRIPT = SCRIPTS / "kill_campaign.py"


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module; the environment that it sets is put back."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    return load_script("kill_campaign")


def test_25_kills_change_no_bit() -> None:
    words = [sys.executable, str(SCRIPT), "--kills", "25"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n25 of 25 kills, " in done.stdout
    last = done.stdout.splitlines()[-1]
    runs = last.split(", ")[1].split()
    assert runs[0] == runs[2] and int(runs[0]) >= 5, last


def test_a_writer_that_unlinks_before_it_renames_is_found_by_one_kill() -> None:
    mutant = """
import inspect, runpy, sys
from nnzoo import file_io
source = inspect.getsource(inspect.unwrap(file_io.write))
rename = "os.replace(temporary, path)"
assert source.count(rename) == 1
exec(source.replace(rename, "path.unlink(missing_ok=True); " + rename), vars(file_io))
sys.argv = [SCRIPT, "--kills", "1"]
runpy.run_path(SCRIPT, run_name="__main__")
"""
    words = [sys.executable, "-c", f"SCRIPT = {str(SCRIPT)!r}{mutant}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "last.pt" in done.stdout and "after a kill: " in done.stdout
    assert "\n0 of 1 kills, 0 of 1 runs identical, " in done.stdout


def test_the_campaign_covers_what_training_offers(campaign: ModuleType) -> None:
    def options(text: str) -> RunConfig:
        Path("run.yaml").write_text(text)
        return load_config("run.yaml", [])

    configs = [options(text) for text in campaign.SCENARIOS.values()]
    assert [item.model.name for item in configs][:5] == list(campaign.NETWORKS)
    assert {item.optim.name for item in configs} == set(OPTIMIZERS.names())
    assert {item.optim.schedule.name for item in configs} == {
        "constant",
        "cosine",
        "one_cycle",
        "step",
        "linear",
        "plateau",
    }
    losses = {item.train.loss for item in configs}
    assert losses == {"auto", "mse", "mae", "huber"}  # auto: cross_entropy, of the digits and iris
    assert {item.train.save_every.split()[-1].rstrip("s") for item in configs} == {
        "step",
        "epoch",
        "",
        "%",
    }
    clips = [item.optim.clip for item in configs if item.optim.clip is not None]
    assert any(clip.norm for clip in clips) and any(clip.value for clip in clips)
    assert any(item.train.early_stopping for item in configs)
    assert any(item.train.accumulate_grad_batches > 1 for item in configs)
    assert any(getattr(item.data, "augment", None) for item in configs)


def test_the_comparison_sees_every_difference(campaign: ModuleType) -> None:
    finish(begin(config(train={"epochs": 2, "batch_size": 256})))
    reference = Path("out/run")
    shutil.copytree(reference, "copy")
    assert campaign.differences(reference, Path("copy")) == []

    def altered(name: str) -> Path:
        shutil.copytree(reference, name)
        return Path(name)

    weights = altered("weights") / "last.pt"
    content = checkpoint.load(weights)
    name = next(iter(content["model"]))
    moved = content["model"][name].clone()  # the best weights may be the same tensor
    moved.view(-1)[0] *= 1 + 1e-6
    checkpoint.save(weights, content | {"model": content["model"] | {name: moved}})
    assert campaign.differences(reference, weights.parent) == [f"/last.pt/model/{name}"]

    best = altered("best") / "best.pt"
    checkpoint.save(best, checkpoint.load(best) | {"epoch": 9})
    assert campaign.differences(reference, best.parent) == ["/best.pt/epoch"]

    lines = altered("lines") / "metrics.jsonl"
    first, second = map(json.loads, lines.read_text().splitlines())
    lines.write_text(f"{json.dumps(first | {'seconds': 0})}\n{json.dumps(second | {'lr': 0.5})}\n")
    assert campaign.differences(reference, lines.parent) == ["/metrics.jsonl/1/lr"]
    lines.write_text(json.dumps(first))
    assert campaign.differences(reference, lines.parent) == [
        "/metrics.jsonl (2 and 1 entries, or other keys)"
    ]

    damaged = altered("damaged") / "last.pt"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (damaged.parent / "last.pt.tmp").touch()
    actual, left = campaign.differences(reference, damaged.parent)
    assert str(damaged) in actual and left == "last.pt.tmp was left over"


def test_the_campaign_fails_where_no_kill_lands(
    campaign: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = campaign.Worker(tmp_path / "work", ["mlp_digits"], 5, "0", None)
    monkeypatch.setattr(worker, "check_command", lambda name: None)
    monkeypatch.setattr(worker, "kill", lambda name, budget: None)
    with pytest.raises(RuntimeError, match="mlp_digits: no kill has landed in 20 runs"):
        worker.work_off()


def test_the_campaign_notices_a_checkpoint_that_a_kill_has_lost(
    campaign: ModuleType, tmp_path: Path
) -> None:
    worker = campaign.Worker(tmp_path / "work", ["mlp_digits"], 5, "0", None)
    folder = tmp_path / "work" / "mlp_digits" / "killed" / "run"
    folder.mkdir(parents=True)
    assert worker.lost("mlp_digits", 0) == []
    checkpoint.save(folder / "last.pt", {"config": {}})
    assert worker.lost("mlp_digits", 1) == []
    (missing,) = worker.lost("mlp_digits", 2)
    assert "previous.pt" in missing
    checkpoint.save(folder / "last.pt", {"config": {}}, keep=folder / "previous.pt")
    assert worker.lost("mlp_digits", 3) == []
    (folder / "last.pt").unlink()
    assert "last.pt" in worker.lost("mlp_digits", 3)[0]
