"""Shared fixtures: one thread, a folder of its own for each test, and nnzoo as a user calls it."""

from __future__ import annotations

import functools
import gc
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.kernels import build
from nnzoo.training import autotune
from tests.browser import Browser

SHARED = Path(__file__).parents[2] / "shared" / "data"


# Compiled modules are kept, or each process that a test starts would compile the package anew, and each
# worker of pytest all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure() -> None:
    # As `nnzoo` itself has it: with torch loaded each search for garbage among all objects takes 0.2 s.
    gc.set_threshold(50_000)
    # Tests that are started under nohup would start programs that no closed terminal ends.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # A shell's background jobs ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Small networks on two threads of a busy machine wait for each other most of the time.
    torch.set_num_threads(1)
    # Coverage is of the main thread, where all it counts runs: before 3.12 a thread that sets its
    # own trace function fails where another is just setting one (python/cpython#98257).
    threading.settrace(None)


# "error E12: …", "note N04: …", and lines that begin with the code of a note.
_SHOWN_CODE = re.compile(
    r"^(?:error (?=[WEN]\d\d[:,] )|(note) (?=[WEN]\d\d: ))?([WEN]\d\d(?:, E\d\d)*)(: | )", re.M
)


@dataclass
class Result:
    """Result of a command: exit code, stdout, stderr as it was shown."""

    code: int
    out: str
    shown: str

    @property
    def err(self) -> str:
        """Stderr without the codes of errors and notes, which `codes` has."""
        return _SHOWN_CODE.sub(lambda match: f"{match[1]}: " if match[1] else "", self.shown)

    @property
    def codes(self) -> list[str]:
        return [match[2] for match in _SHOWN_CODE.finditer(self.shown)]

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def native_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of native kernels in the cache of whoever runs the tests: compiled once for all tests."""
    try:
        return build.private_folder()
    except build.BuildError:
        return tmp_path_factory.mktemp("native")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, native_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test runs in a folder of its own, with its own data root and cache; only native kernels are shared."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "native").symlink_to(native_folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NNZOO_DATA", raising=False)
    # Choices by a clock have tests of their own.
    monkeypatch.setattr(autotune, "native_bf16", lambda device: False)
    monkeypatch.setattr(autotune, "ALL_THREADS", 1)
    monkeypatch.setattr("nnzoo.cli.messages.DELAYS", (60.0, 60.0))
    monkeypatch.setattr(autotune, "BUSY", 0.0)
    monkeypatch.setattr(autotune, "OTHERS", float("inf"))
    # Nothing is read after a power failure, for which alone a disk is waited for.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return tmp_path


@pytest.fixture
def compiled(own_folder: Path) -> None:
    """Native kernels are compiled before the test, not by each process that it starts."""
    build.available()


@pytest.fixture(scope="session")
def shared_onnx_registry() -> Iterator[None]:
    """torch's table of translations to ONNX, which it makes anew for each export, is made once."""
    with pytest.MonkeyPatch.context() as patch:
        try:
            from torch.onnx._internal.exporter._registration import ONNXRegistry

            once = functools.cache(ONNXRegistry.from_torchlib)
            patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(once))
        except (ImportError, AttributeError):  # another torch: each export takes a second more
            pass
        yield


@pytest.fixture(scope="session")
def command_group() -> Any:
    """All commands with their options, which typer would collect anew for each call."""
    import typer.main

    from nnzoo.cli import app

    return typer.main.get_command(app)


@pytest.fixture
def nnzoo(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command_group: Any
) -> Callable[..., Result]:
    """Run a command line in this process; the arguments are its words."""

    def call(*arguments: str | Path) -> Result:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["nnzoo", *words])
        capsys.readouterr()
        code = 0
        try:
            command_group(words, prog_name="nnzoo")
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all pages."""
    started = Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


@pytest.fixture
def no_figure_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, but nothing in them makes room for labels, which takes half of the time; tests/inspect and
    tests/report look at figures as they are."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda engine, figure: {})


@pytest.fixture
def shared_data() -> Path:
    """Data beside the checkout on the developers' machines."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}: real data sets for tests lie there, where present")
    return SHARED


@pytest.fixture
def small_config(own_folder: Path) -> None:
    """./cnn.yaml comes before the bundled config of that name."""
    Path("cnn.yaml").write_text("data: digits\nmodel: cnn\n")
