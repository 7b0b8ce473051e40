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
from multiprocessing import forkserver
from pathlib import Path

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


def run(words: list[str], environment: dict[str, str], folder: str, streams: list[str]) -> None:
    """Become the command: `words` follow the name of Python, `streams` are files for stdout and stderr."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for descriptor, path in enumerate([os.devnull, *streams]):
        opened = os.open(path, os.O_WRONLY if descriptor else os.O_RDONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


class Fork:
    """A started command, as subprocess.Popen has it with the text of both streams."""

    def __init__(self, words: list[str], environment: dict[str, str], folder: Path | str = "."):
        assert environment["OMP_NUM_THREADS"] == "1", "as the server has it"
        start_server()
        self.folder = tempfile.TemporaryDirectory()
        self.streams = [Path(self.folder.name, name) for name in ("out", "err")]
        for stream in self.streams:
            stream.touch()
        self.process = SERVER.Process(
            target=run,
            args=(words, environment, str(Path(folder).resolve()), [str(s) for s in self.streams]),
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

    def communicate(self, timeout: float) -> tuple[str, str]:
        """The text of both streams, when the command has ended."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            raise subprocess.TimeoutExpired("a fork", timeout)
        out, err = (stream.read_text() for stream in self.streams)
        self.folder.cleanup()
        return out, err
