"""A closed terminal saves a run as SIGTERM does, and streams that are closed or full end nothing wrongly."""

from __future__ import annotations

import gc
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.runs import checkpoint
from nnzoo.training.train_step import TrainerStack
from tests.forks import Fork

pytestmark = pytest.mark.usefixtures("compiled")

TRAIN = [
    "train",
    "--config",
    "cnn",
    "-s",
    "train.batch_size=32",
    "-s",
    "train.save_every=1000 s",
    "-s",
    "train.epochs=400",
    "-s",
    "train.precision=fp32",
    "-s",
    "train.threads=1",
    "-s",
    "train.kernels=torch",
]
SWEEP = ["sweep", "--config", "s.yaml"]


def start(words: list[str], **options: Any) -> Fork:
    return Fork(["-m", "nnzoo", *words], os.environ | {"OMP_NUM_THREADS": "1"}, **options)


def ignore_hangup() -> None:
    """As nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def wait_for(process: subprocess.Popen[str], beginning: str) -> list[str]:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if beginning in line:
            return lines
    raise AssertionError("".join(lines))


@pytest.mark.parametrize("extra", [[], ["--seeds", "2"]], ids=["a run", "a group"])
def test_a_hangup_saves_and_ends_with_129(extra: list[str]) -> None:
    process = start([*TRAIN, *extra, "--verbose", "2"])
    process.wait_for("epoch   2/400")
    # The kernel and the shell may both send it.
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(60)
    assert process.returncode == 129
    assert "SIGHUP (the terminal was closed): saved" in err
    folder = Path("checkpoints/cnn-seeds/seed-0" if extra else "checkpoints/cnn")
    assert checkpoint.load(folder / "last.pt")["trainer"]["position"]["epoch"] >= 1


@pytest.mark.parametrize("verbose", ["1", "2"])
def test_closing_the_terminal_itself_saves(verbose: str) -> None:
    """The other end of a pseudo-terminal is closed: the kernel sends SIGHUP, and writing fails."""
    parent, child = pty.openpty()

    def become_foreground() -> None:
        os.setsid()
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    options: Any = {"stdin": child, "stdout": child, "stderr": child}
    process = subprocess.Popen(
        [sys.executable, "-m", "nnzoo", *TRAIN, "--verbose", verbose],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        **options | {"preexec_fn": become_foreground},
    )
    os.close(child)
    seen = b""
    while b"2/400" not in seen:
        seen += os.read(parent, 1 << 16)
    os.close(parent)
    assert process.wait(60) == 129
    position = checkpoint.load(Path("checkpoints/cnn/last.pt"))["trainer"]["position"]
    assert position["epoch"] >= 1


def test_a_run_under_nohup_goes_on() -> None:
    process = start([*TRAIN, "--verbose", "2"], prepare=ignore_hangup)
    process.wait_for("epoch   2/400")
    process.send_signal(signal.SIGHUP)
    process.wait_for("epoch  12/400")
    process.send_signal(signal.SIGTERM)
    process.communicate(60)
    assert process.returncode == 143


def test_a_hangup_does_not_count_as_the_first_of_two_signals() -> None:
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
    command = [sys.executable, "-c", script, *TRAIN, "--verbose", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_for(process, "in the step")
        for number, ended in (
            (signal.SIGHUP, None),
            (signal.SIGHUP, None),
            (signal.SIGTERM, None),
            (signal.SIGTERM, 143),
        ):
            process.send_signal(number)
            time.sleep(0.3)
            assert process.poll() == ended


def test_a_hangup_saves_the_trial_of_a_sweep() -> None:
    pytest.importorskip("optuna")
    Path("s.yaml").write_text(
        "data: digits\nmodel: {name: mlp, hidden: [256]}\n"
        "train: {epochs: 2000, precision: fp32, threads: 1, kernels: torch}\n"
        "sweep: {trials: 2, space: {optim.lr: [0.001, 0.002]}}\n"
    )
    process = start(SWEEP)
    first = Path("checkpoints/s/trials/0/metrics.jsonl")
    while not first.exists() or first.read_text().count("\n") < 3:
        assert process.returncode is None
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 129
    assert "SIGHUP (the terminal was closed): trial 0 is saved" in err


# Streams as a caller may have left them.

FAST = ["train", "t.yaml"]


@pytest.fixture
def table(own_folder: Path) -> None:
    rows = "".join(f"{i},{i % 7},{'nö' if i % 2 else 'já ×'}\n" for i in range(60))
    Path("t.csv").write_text(f"a,b,kind\n{rows}")
    Path("t.yaml").write_text(
        "data: {name: csv, path: t.csv}\nmodel: {name: mlp, hidden: [4]}\n"
        "train: {epochs: 3, precision: fp32, threads: 1, kernels: torch}\n"
    )


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = f"{sys.executable} -m nnzoo {line}"
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        check=False,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("train t.yaml >&-", 0),
        ("train t.yaml 2>&-", 0),
        ("train t.yaml >&- 2>&- <&-", 0),
        ("train t.yaml --json >&-", 0),
        ("train t.yaml 2>/dev/full", 0),
        ("train t.yaml -v 1 2>/dev/full", 0),
        ("train t.yaml >/dev/full", 2),
        ("train t.yaml --json >/dev/full", 2),
        ("check t.yaml >/dev/full", 2),
        ("models >/dev/full", 2),
        ("train none.yaml 2>/dev/full", 2),
        ("train none.yaml 2>&-", 2),
    ],
)
def test_closed_and_full_streams(line: str, code: int) -> None:
    result = shell(line)
    assert b"internal error" not in result.stderr and b"Traceback" not in result.stderr
    assert b"Exception ignored" not in result.stderr
    assert result.returncode == code
    if ">/dev/full" in line.replace("2>", ""):
        assert b"No space left on device" in result.stderr
    if line.startswith("train t.yaml") and "--json >/dev/full" not in line:  # its first line
        assert Path("checkpoints/t/last.pt").exists()


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_an_old_encoding_gets_what_it_lacks_written_out(encoding: str) -> None:
    old = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    script = """
import json, sys
from pathlib import Path
from nnzoo import cli
cli.fast_exit = lambda code: None  # one process for all commands
codes = []
for line in ("train t.yaml", "eval checkpoints/t", "predict checkpoints/t t.csv", "runs"):
    sys.argv = ["nnzoo", *line.split()]
    try:
        cli.main()
    except SystemExit as stop:
        codes.append(stop.code or 0)
Path("codes.json").write_text(json.dumps(codes))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=False,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | old,
    )
    assert json.loads(Path("codes.json").read_text()) == [0, 0, 0, 0], done.stderr
    missing = shell("train missing-×–.yaml", **old)
    assert missing.returncode == 2
    for result in (done, missing):
        assert b"internal error" not in result.stderr and b"Traceback" not in result.stderr
        result.stdout.decode(encoding)
        result.stderr.decode(encoding)


def test_who_stops_iterating_loses_no_step(nnzoo: Callable[..., Any]) -> None:
    import nnzoo as zoo

    Path("c.yaml").write_text(
        "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 5, save_every: 1000 s}\n"
    )
    training = zoo.train("c.yaml")
    for event in training:
        if getattr(event, "step", 0) == 57:
            break
    position = checkpoint.load(Path("checkpoints/c/last.pt"))["trainer"]["position"]
    assert position["step"] == 57
    assert nnzoo("train", "c.yaml").code == 0
    assert nnzoo("train", "c.yaml", "--out", "whole").code == 0
    one, other = (checkpoint.load(Path(out) / "c/last.pt") for out in ("checkpoints", "whole"))
    assert all(bool((one["model"][name] == other["model"][name]).all()) for name in one["model"])


def test_a_cell_of_a_notebook_can_be_run_again() -> None:
    import nnzoo as zoo
    from nnzoo.errors import CheckpointError

    Path("c.yaml").write_text(
        "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 3, save_every: 1000 s}\n"
    )
    first = zoo.train("c.yaml")
    second = zoo.train("c.yaml")  # never iterated over
    kept = iter(second)
    for _ in range(9):
        next(kept)
    third = zoo.train("c.yaml")
    assert (
        third.run.trainer.state.step == 9
    )  # the iteration that was kept has been closed, and saved
    for old in (first, second):
        with pytest.raises(CheckpointError, match=r"opened again by a later nnzoo\.train"):
            next(iter(old))
    with pytest.raises(StopIteration):
        next(kept)
    assert len(third.fit().history) == 3
    assert zoo.train("c.yaml").run.trainer.finished


def test_objects_are_frozen_for_the_garbage_collector_while_a_command_trains(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    finish_epoch = TrainerStack.finish_epoch

    def counting(self: TrainerStack) -> Any:
        counts.append(gc.get_freeze_count())
        return finish_epoch(self)

    monkeypatch.setattr(TrainerStack, "finish_epoch", counting)
    assert nnzoo("train", "--config", "mlp", "-s", "train.epochs=2").code == 0
    assert len(counts) == 2 and all(counts)
    assert gc.get_freeze_count() == 0
