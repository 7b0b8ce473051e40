"""Runs as a user sees them: starting, resuming, refusing, signals, and what a crash leaves behind."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nnzoo.device import choose_device
from nnzoo.errors import CheckpointError, UsageError
from nnzoo.runs import checkpoint
from nnzoo.runs.train import train
from nnzoo.training.trainer import StepEnd
from tests.runs.cnn_runs import FAST
from tests.zoo import begin, config, same

pytestmark = pytest.mark.usefixtures("compiled", "small_config")


# Starting, going on, refusing.


def test_a_first_run_says_so_and_leaves_its_folder(nnzoo: Callable[..., Any]) -> None:
    result = nnzoo("train", "--config", "cnn.yaml", *FAST)
    assert result.code == 0
    assert "no checkpoint in checkpoints/cnn: starting new" in result.err
    assert "1,258 train" not in result.out
    assert "accuracy" in result.out
    assert "majority class" in result.out
    assert "run: checkpoints/cnn (best weights: epoch 2 of 2)" in result.out
    files = {path.name for path in Path("checkpoints/cnn").iterdir()}
    assert files == {
        "config.yaml",
        "last.pt",
        "previous.pt",
        "best.pt",
        "metrics.jsonl",
        "result.json",
        "history",
        ".lock",
    }
    rows = [
        json.loads(line) for line in Path("checkpoints/cnn/metrics.jsonl").read_text().splitlines()
    ]
    expected = {
        "epoch",
        "step",
        "lr",
        "train_loss",
        "val_loss",
        "val_accuracy",
        "samples_per_second",
        "seconds",
    }
    assert all(expected <= row.keys() for row in rows)


def test_a_complete_run_says_so_and_exits_with_0(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    before = Path("checkpoints/cnn/last.pt").read_bytes()
    result = nnzoo("train", "--config", "cnn", *FAST)
    assert result.code == 0
    assert (
        "checkpoints/cnn is complete: 2 of 2 epochs; raise train.epochs to resume it" in result.err
    )
    assert "accuracy" in result.out
    assert Path("checkpoints/cnn/last.pt").read_bytes() == before


def test_raised_epochs_go_on(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    result = nnzoo("train", "--config", "cnn", *FAST, "-s", "train.epochs=3")
    assert "resumed checkpoints/cnn at epoch 3 of 3" in result.err
    assert yaml.safe_load(Path("checkpoints/cnn/config.yaml").read_text())["train"]["epochs"] == 3


def test_fresh_sets_the_old_folder_aside_and_deletes_nothing(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    before = Path("checkpoints/cnn/last.pt").read_bytes()
    result = nnzoo("train", "--config", "cnn", *FAST, "-s", "model.channels=[4,16]", "--fresh")
    assert result.code == 0
    (aside,) = [path for path in Path("checkpoints").iterdir() if path.name != "cnn"]
    assert f"the old run was moved to {aside}" in result.err
    assert (aside / "last.pt").read_bytes() == before


def test_a_config_that_is_refused_leaves_the_old_run_in_place_despite_fresh(
    nnzoo: Callable[..., Any],
) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    result = nnzoo("train", "--config", "cnn", "--fresh", "-s", "model.channels=[4,4,4,4,4]")
    assert result.code == 2
    assert "leaves nothing" in result.err
    assert [path.name for path in Path("checkpoints").iterdir()] == ["cnn"]


def test_resume_must_and_never(nnzoo: Callable[..., Any]) -> None:
    result = nnzoo("train", "--config", "cnn", *FAST, "--resume", "must")
    assert result.code == 5
    assert "--resume must: no checkpoint in checkpoints/cnn" in result.err
    assert not Path("checkpoints").exists()
    assert nnzoo("train", "--config", "cnn", *FAST, "--resume", "never").code == 0
    result = nnzoo("train", "--config", "cnn", *FAST, "--resume", "never")
    assert result.code == 5
    assert "holds a run; use another name (-s name=cnn-2), or --fresh" in result.err


def test_the_resolved_config_of_a_run_trains_the_same_weights(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    result = nnzoo("train", "--config", "checkpoints/cnn/config.yaml", "--out", "again")
    assert result.code == 0, result.err
    first = checkpoint.load(Path("checkpoints/cnn/last.pt"))
    assert same(first["model"], checkpoint.load(Path("again/cnn/last.pt"))["model"])
    environment = yaml.safe_load(Path("again/cnn/config.yaml").read_text())["environment"]
    assert environment["torch"] == torch.__version__
    assert environment["device"] == "cpu"
    assert environment["data_fingerprint"] == first["data"]["fingerprint"]


def test_dry_run_shows_the_layers_and_writes_nothing(nnzoo: Callable[..., Any]) -> None:
    result = nnzoo("train", "--config", "cnn", "--dry-run")
    assert result.code == 0
    assert "features.0  Conv2d" in result.out
    assert "nothing written" in result.out
    assert sorted(map(str, Path().glob("*"))) == ["cache", "cnn.yaml"]
    assert list(map(str, Path("cache").iterdir())) == ["cache/native"]


def test_dry_run_refuses_what_a_real_run_would_refuse(nnzoo: Callable[..., Any]) -> None:
    assert nnzoo("train", "--config", "cnn", "--dry-run", "--out", "cnn.yaml/x").code == 5
    nnzoo("train", "--config", "cnn", *FAST)
    before = Path("checkpoints/cnn/last.pt").read_bytes()
    other = nnzoo("train", "--config", "cnn", "--dry-run", "-s", "model.channels=[9,9]")
    assert other.code == 0  # it writes nothing, so it disturbs no other run
    assert Path("checkpoints/cnn/last.pt").read_bytes() == before
    assert nnzoo("train", "--config", "mlp", "--dry-run", "-s", "data=csv").code == 2
    wrong = ("-s", "data={name: csv, path: none.csv}")
    assert nnzoo("train", "--config", "mlp", "--dry-run", *wrong).code == 3


# Errors.


def test_cuda_where_there_is_none_is_refused(nnzoo: Callable[..., Any]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    result = nnzoo("train", "--config", "cnn", "--device", "cuda")
    assert result.code == 2
    assert result.err == "--device cuda: this machine has no CUDA device; use --device cpu\n"


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "mps", "meta"])
def test_a_device_that_cannot_be_used_is_refused(nnzoo: Callable[..., Any], device: str) -> None:
    result = nnzoo("train", "--config", "cnn", "--device", device)
    assert result.code == 2
    assert f"--device {device}: " in result.err


def test_a_cuda_device_is_made_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one here: what is asked of torch. And float32 is not TF32."""
    asked: list[Any] = []
    current: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *a, **k: asked.append((a, k)))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert asked == [((True,), {"warn_only": True})] * 2
    assert current == [torch.device("cuda:1")]
    deterministic: Any = torch.utils.deterministic
    assert deterministic.fill_uninitialized_memory is False
    assert not torch.backends.cudnn.allow_tf32
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"  # the user's own is kept
    with pytest.raises(UsageError, match=r"this machine has 2 CUDA device\(s\); use --device cpu"):
        choose_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")


def test_an_output_folder_that_cannot_be_written_is_one_message(nnzoo: Callable[..., Any]) -> None:
    Path("file").write_text("")
    result = nnzoo("train", "--config", "cnn", *FAST, "--out", "file/below")
    assert result.code == 5
    assert (
        "cannot write to file/below/cnn: Not a directory; choose another folder with --out"
        in result.err
    )


def test_two_processes_cannot_train_in_one_folder() -> None:
    first = begin(config())
    with pytest.raises(CheckpointError, match="another process is training in out/run"):
        begin(config())
    first.lock.release()
    begin(config()).lock.release()


def test_an_internal_error_is_one_message_with_exit_code_1(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("nnzoo.runs.run.open_run", broken)
    result = nnzoo("train", "--config", "cnn")
    assert result.code == 1
    assert "internal error (a bug in nnzoo): ZeroDivisionError: deep inside" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to …"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …"),
    ],
)
def test_too_little_memory_says_what_decides_how_much_is_needed(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr("nnzoo.training.train_step.TrainerStack.train_step", full)
    result = nnzoo("train", "--config", "cnn", "--verbose", "0")
    assert result.code == 2
    assert result.err.startswith("out of memory; train.batch_size, data.window, data.size and the ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("unsupported memory format option Preserve"),
        ValueError("out of memory"),
        OSError(errno.EPERM, "not enough memory"),
    ],
)
def test_what_merely_speaks_of_memory_is_an_internal_error(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr("nnzoo.runs.run.open_run", broken)
    result = nnzoo("train", "--config", "cnn")
    assert (result.code, result.err.partition(":")[0]) == (1, "internal error (a bug in nnzoo)")


def test_a_signal_saves_at_the_step_and_prints_the_command_that_goes_on() -> None:
    goes_on = [
        "train",
        "--config",
        "cnn",
        "-s",
        "train.epochs=8",
        "-s",
        "train.batch_size=32",
        "-s",
        "train.save_every=1000 s",
        "--verbose",
        "2",
    ]
    program = [sys.executable, "-m", "nnzoo"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    resumed = []
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        lines = []
        with subprocess.Popen(
            [*program, *goes_on, "--resume", "never", "--fresh"],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if line.startswith("epoch 2/8"):
                    process.send_signal(number)
                    break
            lines += process.stderr.readlines()
            assert process.wait(60) == code
        assert lines[-1].strip() == "nnzoo " + shlex.join(goes_on)
        saved = checkpoint.load(Path("checkpoints/cnn/last.pt"))["trainer"]["position"]
        assert f"saved at step {saved['step']} " in "".join(lines)
        again = subprocess.run(
            [*program, *goes_on],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )
        assert f"resumed checkpoints/cnn at epoch {saved['epoch'] + 1} of 8" in again.stderr
        assert again.returncode == 0
        resumed.append(checkpoint.load(Path("checkpoints/cnn/last.pt")))
    straight = subprocess.run(
        [*program, *goes_on, "--out", "whole"],
        check=False,
        env=environment,
        timeout=120,
        capture_output=True,
    )
    assert straight.returncode == 0
    whole = checkpoint.load(Path("whole/cnn/last.pt"))
    for interrupted in resumed:
        assert same(interrupted["model"], whole["model"])
        assert same(interrupted["trainer"]["optimizer"], whole["trainer"]["optimizer"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_a_long_step_at_once(number: signal.Signals, code: int) -> None:
    script = (
        "import sys, time\n"
        "from nnzoo.cli import main\n"
        "from nnzoo.training.train_step import TrainerStack\n"
        "def long_step(*_):\n"
        "    print('in the step', file=sys.stderr, flush=True)\n"
        "    time.sleep(100)\n"
        "TrainerStack.train_step = long_step\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script, "train", "--config", "cnn"]
    # Nothing is timed before the run begins.
    command += ["-s", "train.precision=fp32", "-s", "train.threads=1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "in the step" not in process.stderr.readline():
            pass
        process.send_signal(number)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(10) == code
        assert "saved at step" not in process.stderr.read()


# Leftovers of a crash, of a second process, or of an edit.


def test_a_damaged_last_pt_is_reported_and_the_one_before_it_resumed(
    nnzoo: Callable[..., Any],
) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    nnzoo("train", "--config", "cnn", *FAST, "--out", "whole")
    last = Path("checkpoints/cnn/last.pt")
    last.write_bytes(last.read_bytes()[:1000])
    result = nnzoo("train", "--config", "cnn", *FAST)
    assert result.code == 0
    assert "last.pt is cut short, was changed, or is not a checkpoint of nnzoo" in result.err
    assert "going back to checkpoints/cnn/previous.pt" in result.err
    assert "resumed checkpoints/cnn at epoch 2 of 2" in result.err
    # Its remains are kept, and never become the previous one.
    assert Path("checkpoints/cnn/damaged.pt").stat().st_size == 1000
    assert checkpoint.load(Path("checkpoints/cnn/previous.pt"))
    whole = checkpoint.load(Path("whole/cnn/last.pt"))
    assert same(checkpoint.load(last)["model"], whole["model"])
    for name in ("last.pt", "previous.pt"):
        Path("checkpoints/cnn", name).write_bytes(b"")
    result = nnzoo("train", "--config", "cnn", *FAST)
    assert result.code == 5
    assert (
        "nothing to resume: --fresh starts over and keeps checkpoints/cnn under another name"
        in result.err
    )


def test_a_missing_last_pt_is_reported_and_the_one_before_it_resumed(
    nnzoo: Callable[..., Any],
) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    Path("checkpoints/cnn/last.pt").unlink()
    result = nnzoo("train", "--config", "cnn", *FAST)
    assert result.code == 0
    assert "no checkpoint checkpoints/cnn/last.pt; going back to" in result.err
    assert not Path("checkpoints/cnn/damaged.pt").exists()


def test_a_damaged_last_pt_that_cannot_be_moved_is_one_message(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    Path("checkpoints/cnn/last.pt").write_bytes(b"")
    monkeypatch.setattr(os, "replace", refuse)
    result = nnzoo("train", "--config", "cnn", *FAST)
    assert result.code == 5
    assert "cannot set checkpoints/cnn/last.pt aside: Permission denied" in result.err


def refuse(*arguments: Any) -> None:
    raise PermissionError(13, "Permission denied")


def test_setting_aside_never_takes_a_name_that_is_taken(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Noon(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Noon:
            return cls(2026, 1, 1, 12)

    monkeypatch.setattr("nnzoo.runs.run_dir.datetime", Noon)
    for _ in range(4):
        assert nnzoo("train", "--config", "cnn", *FAST, "--fresh").code == 0
    names = {path.name for path in Path("checkpoints").iterdir()}
    aside = {f"cnn.20260101-120000{end}" for end in ("", "-2", "-3")}
    assert names == {"cnn"} | aside
    monkeypatch.setattr(Path, "rename", refuse)
    result = nnzoo("train", "--config", "cnn", *FAST, "--fresh")
    assert (result.code, result.err) == (5, "cannot set checkpoints/cnn aside: Permission denied\n")


def test_metrics_deleted_under_a_run_do_not_stop_it() -> None:
    run = begin(config(train={"epochs": 2, "save_every": "5 steps"}))
    for event in train(run):
        assert isinstance(event, StepEnd)
        if event.step == 10:
            run.folder.metrics.unlink(missing_ok=True)
        if event.step == 15:
            break
    assert checkpoint.load(run.folder.last)["trainer"]["position"]["step"] == 15


def test_a_missing_or_stale_best_pt_is_written_again(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    best = Path("checkpoints/cnn/best.pt")
    whole = checkpoint.load(best)
    stale = whole | {"epoch": 1, "model": {k: v * 0 for k, v in whole["model"].items()}}
    for damage in (
        best.unlink,
        lambda: checkpoint.save(best, stale),
        lambda: best.write_bytes(b""),
    ):
        damage()
        trained = nnzoo("train", "--config", "cnn", *FAST, "--json").lines[-1]["test"]
        assert same(checkpoint.load(best)["model"], whole["model"])
        assert nnzoo("eval", "checkpoints/cnn", "--json").json == trained


def test_weights_alone_cannot_go_on_and_are_not_lost(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    folder = Path("checkpoints/cnn")
    (folder / "previous.pt").unlink()
    (folder / "best.pt").replace(folder / "last.pt")
    result = nnzoo("train", "--config", "cnn", *FAST)
    assert result.code == 5
    assert "holds weights alone, nothing to resume; --fresh starts over" in result.err
    (folder / "last.pt").replace(folder / "best.pt")
    result = nnzoo("train", "--config", "cnn", *FAST)
    assert result.code == 5
    assert (folder / "best.pt").exists()


def test_a_run_that_died_before_its_first_checkpoint_starts_new(nnzoo: Callable[..., Any]) -> None:
    begin(config(name="cnn"), "checkpoints").lock.release()
    with Path("checkpoints/cnn/metrics.jsonl").open("a") as file:
        file.write('{"epoch": 1, "step": 20}\n[1]\n')
    result = nnzoo("train", "--config", "cnn", *FAST)
    assert "starting new" in result.err
    assert len(Path("checkpoints/cnn/metrics.jsonl").read_text().splitlines()) == 2


def test_fresh_does_not_take_the_folder_from_a_process_that_trains_in_it(
    nnzoo: Callable[..., Any],
) -> None:
    first = begin(config(name="cnn"), "checkpoints")
    result = nnzoo("train", "--config", "cnn", *FAST, "--fresh")
    assert result.code == 5
    assert "another process is training in checkpoints/cnn" in result.err
    assert [path.name for path in Path("checkpoints").iterdir()] == ["cnn"]
    first.lock.release()


def test_a_longer_schedule_is_explained_when_it_goes_on(nnzoo: Callable[..., Any]) -> None:
    cosine = ("-s", "optim.schedule=cosine")
    nnzoo("train", "--config", "cnn", *FAST, *cosine)
    result = nnzoo("train", "--config", "cnn", *FAST, *cosine, "-s", "train.epochs=4")
    assert (
        "train.epochs was 2: the cosine schedule now runs over 4 epochs, and the learning rate continues at "
        "0.0005" in result.err
    )


def test_patience_may_be_raised_after_an_early_stop(nnzoo: Callable[..., Any]) -> None:
    early = ("-s", "optim.lr=0.3", "-s", "train.epochs=30")
    nnzoo("train", "-c", "cnn", *FAST, *early, "-s", "train.early_stopping={patience: 1}")
    result = nnzoo("train", "-c", "cnn", *FAST, *early, "-s", "train.early_stopping={patience: 1}")
    assert "stopped early after epoch" in result.err
    assert "raise train.early_stopping.patience to resume it" in result.err
    result = nnzoo("train", "-c", "cnn", *FAST, *early, "-s", "train.early_stopping={patience: 2}")
    assert "resumed checkpoints/cnn at epoch" in result.err


def test_fewer_epochs_than_there_are_is_said(nnzoo: Callable[..., Any]) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    result = nnzoo("train", "--config", "cnn", *FAST, "-s", "train.epochs=1")
    assert "it has 2 epochs, more than the 1 asked for" in result.err
