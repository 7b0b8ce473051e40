"""`nnzoo train --watch`: the viewer is another process, which ends with training and never disturbs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.cli import viewer_process
from nnzoo.cli.viewer_process import ViewerProcess
from nnzoo.console import Output

ADDRESS = "http://127.0.0.1:4711/token/"
VIEWER = f"""
import os, pathlib, sys
pathlib.Path("started").write_text(f"{{sys.argv[1:]}} {{os.getsid(0) == os.getpid()}}")
print({ADDRESS!r}, flush=True)
sys.stdin.read()
pathlib.Path("ended").touch()
"""


def stands_in(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(viewer_process, "COMMAND", [sys.executable, "-c", program])


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether there is no such process, nor a zombie of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_address_is_printed_once_and_the_viewer_ends_with_the_context(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stands_in(monkeypatch, VIEWER)
    with ViewerProcess(Output.open(2, True)) as viewer:
        viewer.start(Path("runs"))
        wait_for(lambda: viewer.address)
        assert viewer.process is not None
        pid = viewer.process.pid
    printed = capsys.readouterr()
    assert printed.out == f'{{"event": "watch", "address": "{ADDRESS}"}}\n'
    assert printed.err == f"watch: {ADDRESS}\n"
    assert is_gone(pid)
    assert Path("started").read_text() == "['runs'] True"


def test_the_address_is_printed_where_training_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stands_in(monkeypatch, VIEWER)
    with ViewerProcess(Output.open(0, False)) as viewer:
        viewer.start(Path("runs"))
        wait_for(lambda: viewer.address)
    assert capsys.readouterr().err == f"watch: {ADDRESS}\n"


def test_the_real_viewer_serves_the_page(own_folder: Path) -> None:
    with ViewerProcess(Output.open(0, False)) as viewer:
        viewer.start(own_folder)
        wait_for(lambda: viewer.address)
        with urllib.request.urlopen(viewer.address, timeout=10) as response:
            assert b"nnzoo watch" in response.read()


def test_the_viewer_ends_where_training_is_killed() -> None:
    Path("viewer.py").write_text(VIEWER)
    program = f"""
import os, pathlib, signal, sys, time
from nnzoo.cli import viewer_process
from nnzoo.console import Output
viewer_process.COMMAND = [{sys.executable!r}, "viewer.py"]
viewer = viewer_process.ViewerProcess(Output.open(2, False))
viewer.start(pathlib.Path("runs"))
while not viewer.address:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == -9
    wait_for(Path("ended").exists)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; print('Traceback'); sys.exit('no port is free')", "no port is free"),
        (f"print({ADDRESS!r}); import sys; sys.exit(3)", "exit code 3"),
    ],
)
def test_a_viewer_that_fails_is_one_line(
    capsys: pytest.CaptureFixture[str], program: str, reason: str
) -> None:
    words = [sys.executable, "-c", program]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ViewerProcess(Output.open(2, False))._listen(process)  # as the thread does
    line = f"nnzoo watch has ended ({reason}); training is not affected\n"
    assert capsys.readouterr().err.removeprefix(f"watch: {ADDRESS}\n") == line


def test_a_viewer_that_cannot_be_started_or_ended_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(viewer_process, "COMMAND", ["/no/such/program"])
    with ViewerProcess(Output.open(2, False)) as viewer:
        viewer.start(Path("runs"))
        viewer.keep()
    assert "nnzoo watch has ended (No such file or directory)" in capsys.readouterr().err
    monkeypatch.setattr(viewer_process, "PATIENCE", 0.2)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    stands_in(monkeypatch, f"{stubborn} print({ADDRESS!r}, flush=True)\nwhile True: signal.pause()")
    with ViewerProcess(Output.open(2, False)) as viewer:
        viewer.start(Path("runs"))
        wait_for(lambda: viewer.address)
        assert viewer.process is not None
        pid = viewer.process.pid
    wait_for(lambda: is_gone(pid))
    assert "has ended" not in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [False, True])
def test_at_a_terminal_the_page_stays_until_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    stands_in(monkeypatch, VIEWER)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal, raising=False)
    output = Output.open(2, False)
    monkeypatch.setattr(output.stderr, "_force_terminal", True)
    with ViewerProcess(output) as viewer:
        viewer.start(Path("runs"))
        wait_for(lambda: viewer.address)
        process = viewer.process
        assert process is not None

        def ctrl_c() -> int:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            if terminal:
                patch.setattr(process, "wait", ctrl_c)
            viewer.keep()
        assert process.poll() is None
    assert ("the page stays until Ctrl-C" in capsys.readouterr().err) == terminal


def test_training_shows_the_run_or_the_group(
    monkeypatch: pytest.MonkeyPatch, nnzoo: Callable[..., Any]
) -> None:
    stands_in(monkeypatch, VIEWER)
    monkeypatch.setattr(ViewerProcess, "keep", lambda self: wait_for(lambda: self.address))
    fast = ("--config", "mlp", "-s", "train.epochs=1", "-s", "model.hidden=[4]")
    for words, folder in (((), "mlp"), (("--seeds", "2"), "mlp-seeds")):
        Path("started").unlink(missing_ok=True)
        result = nnzoo("train", *fast, "--watch", *words)
        assert result.code == 0
        assert f"watch: {ADDRESS}" in result.err
        assert f"checkpoints/{folder}'" in Path("started").read_text()
    assert nnzoo("train", *fast, "--fresh", "--dry-run", "--watch").code == 0
