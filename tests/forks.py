"""Commands in forks of a process that has imported torch and the package: each starts in a tenth of a second
instead of one and a half. A test about the start of an interpreter itself takes a real one."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "pandas",
        "torch.distributed",
        "torch.distributed.run",
        "nnzoo.cli.train",
        "nnzoo.console",
        "nnzoo.data.builtin",
        "nnzoo.evaluation.evaluate",
        "nnzoo.models.cnn",
        "nnzoo.models.mlp",
        "nnzoo.models.rnn",
        "nnzoo.process_group",
        "nnzoo.runs.train",
    ]
)


def start_server() -> None:
    """Start the server if it does not run yet. It has one thread: libgomp reads that once, when it is loaded."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def nothing() -> None:
    """Prepare nothing."""


def run(
    words: list[str],
    environment: dict[str, str],
    folder: str,
    streams: list[str],
    prepare: Callable[[], Any],
) -> None:
    """Become the command: `words` follow the name of Python, `streams` are files for stdin, stdout and stderr."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prepare()
    for descriptor, path in enumerate(streams):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, descriptor)
        os.close(opened)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


class Fork:
    """A started command, as subprocess.Popen has it with the text of both streams; prepare: a function of a module,
    called before the command."""

    def __init__(
        self,
        words: list[str],
        environment: dict[str, str],
        folder: Path | str = ".",
        prepare: Callable[[], Any] = nothing,
    ):
        assert environment["OMP_NUM_THREADS"] == "1", "as the server has it"
        start_server()
        self.folder = tempfile.TemporaryDirectory()
        self.out, self.err = (Path(self.folder.name, name) for name in ("out", "err"))
        for stream in (self.out, self.err):
            stream.touch()
        streams = [os.devnull, str(self.out), str(self.err)]
        self.process = SERVER.Process(
            target=run,
            args=(words, environment, str(Path(folder).resolve()), streams, prepare),
            daemon=True,  # a test that fails leaves none
        )
        self.process.start()

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()

    def wait_for(self, text: str, timeout: float = 120) -> None:
        """Wait until the command has written this on stderr."""
        deadline = time.monotonic() + timeout
        while text not in (written := self.err.read_text()):
            assert self.process.is_alive() and time.monotonic() < deadline, written
            time.sleep(0.02)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """The text of both streams, when the command has ended."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            raise subprocess.TimeoutExpired("a fork", timeout)
        out, err = self.out.read_text(), self.err.read_text()
        self.folder.cleanup()
        return out, err
