"""`nnzoo watch` as a user calls it: one line with the address, and a clean end."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import urllib.request
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nnzoo.cli.watch import _end_with_stdin
from nnzoo.watch.serve import Loader, give_way
from nnzoo.watch.server import WatchServer
from tests.conftest import Result

NNZOO = Callable[..., Result]


def test_it_prints_the_address_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nnzoo", "watch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=10) as response:
            assert b"nnzoo watch" in response.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""
        assert (
            process.stderr.read()
            == "note: checkpoints does not exist yet; the page waits for a run\n"
        )
    assert not Path("checkpoints").exists()


def test_the_browser_gets_an_address_that_works_once(
    nnzoo: NNZOO, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)  # returns None: there is no browser
    monkeypatch.setattr("nnzoo.watch.serve.give_way", lambda: None)

    def stop(server: WatchServer) -> None:
        assert server.token not in opened[-1] and f":{server.server_port}/" in opened[-1]
        server.report("traceback\n")
        raise KeyboardInterrupt

    monkeypatch.setattr(WatchServer, "serve_forever", stop)
    result = nnzoo("watch", own_folder, "--open", "--debug")
    assert result.code == 0 and result.out.startswith("http://127.0.0.1:")
    assert result.err == "note: no browser was found; open the address above\ntraceback\n"
    monkeypatch.setattr(webbrowser, "open", lambda address: True)
    monkeypatch.setattr(WatchServer, "serve_forever", lambda server: server.report("traceback\n"))
    result = nnzoo("watch", own_folder, "--open")
    assert (result.code, result.err) == (0, "")


def test_runs_that_do_not_exist_yet_are_waited_for(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzoo.watch.serve.give_way", lambda: None)
    monkeypatch.setattr(WatchServer, "serve_forever", lambda server: None)
    waiting = "note: checkpoints does not exist yet; the page waits for a run\n"
    assert nnzoo("watch").err == waiting
    Path("checkpoints").mkdir()
    assert nnzoo("watch").err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a folder; give a run folder"),
        (["--port", "70000"], "--port: expected a number up to 65,535, got 70000"),
    ],
)
def test_bad_arguments_are_said(nnzoo: NNZOO, arguments: list[str], message: str) -> None:
    result = nnzoo("watch", *arguments)
    assert result.code == 2 and message in result.err


def test_a_port_that_is_taken_is_said(nnzoo: NNZOO, own_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = nnzoo("watch", own_folder, "--port", port)
    assert result.code == 2
    assert f"--port {port}: Address already in use; leave it out for a free one" in result.err


def test_a_system_without_priorities_is_served_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(increment: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "nice", refuse)
    give_way()


def test_it_ends_where_the_process_that_started_it_does(
    nnzoo: NNZOO, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnzoo.watch.serve.give_way", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert nnzoo("watch", own_folder, "--until-stdin-closes").code == 0
    assert "--until-stdin-closes" not in nnzoo("watch", "--help").out
    stopped: list[bool] = []
    _end_with_stdin(cast(Any, SimpleNamespace(shutdown=lambda: stopped.append(True))))
    assert stopped == [True]


def test_torch_is_loaded_by_a_thread_that_waits_for_it() -> None:
    loader = Loader()
    loader._asked.set()
    loader.run()
    loader.load()
    assert loader._loaded.is_set() and loader.daemon
