"""Reports of what takes a while: nobody listens, a log, a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from nnzoo import status
from nnzoo.cli.messages import StatusDisplay


class Recorder:
    """A listener that keeps what it is sent."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.done: list[int] = []
        self.notices: list[str] = []

    @contextmanager
    def status(self, text: str, total: int | None, log: bool) -> Iterator[status.Advance]:
        self.texts.append(text)
        yield self.done.append

    def notice(self, text: str) -> None:
        self.notices.append(text)


def test_a_listener_hears_of_operations_until_it_is_gone() -> None:
    recorder = Recorder()
    with status.listening(recorder), status.status("decoding", total=2) as advance:
        advance(1)
        advance(2)
        status.notice("3 files left out")
    with status.status("unheard") as advance:
        advance(1)
    assert (recorder.texts, recorder.done) == (["decoding"], [1, 2])
    assert recorder.notices == ["3 files left out"]


def test_a_notice_that_nobody_hears_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="torch's layers are used"):
        status.notice("no C compiler: torch's layers are used")


def test_a_log_gets_one_line_for_what_takes_long_and_none_for_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with status.listening(StatusDisplay(delays=(0, 0.05))):
        with status.status("compiling"):
            time.sleep(0.3)
        with status.status("hashing"):
            pass
        with status.status("loading PyTorch", log=False):
            time.sleep(0.1)
    assert capsys.readouterr().err == "compiling …\n"


def test_a_terminal_gets_a_line_with_a_bar_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    with status.listening(StatusDisplay(delays=(0, 0))):
        with status.status("decoding images", total=300) as advance:
            advance(120)
            time.sleep(0.4)
        time.sleep(0.1)
    text = capsys.readouterr().err
    assert "decoding images" in text
    assert "120/300" in text
    assert "\x1b[2K" in text[text.rindex("120/300") :]  # the line is cleared


def test_commands_listen_but_for_verbose_0(
    nnzoo: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bool] = []
    run_thread = threading.Thread.start

    def start(self: threading.Thread) -> None:
        heard.append(isinstance(self, threading.Timer))
        run_thread(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    words = ("train", "mlp", "-s", "train.epochs=1", "--dry-run")
    nnzoo(*words, "--verbose", "0")
    assert True not in heard
    nnzoo(*words)
    assert True in heard
