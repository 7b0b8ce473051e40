"""The server answers its own page on this machine, and nobody else."""

from __future__ import annotations

import json
import os
import socket
import socketserver
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from nnzoo.watch import server as module
from nnzoo.watch.server import WatchServer

NOT_FOUND = b"Not Found. nnzoo watch prints another address each time it is started.\n"
FORBIDDEN = (
    b"Forbidden. Paste the address that nnzoo watch printed into the address bar of a browser.\n"
)


def fail(parameters: dict[str, int]) -> dict[str, int]:
    raise RuntimeError("secret words")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[WatchServer, list[str]]]:
    """A server that handles a request when `exchange` sends one, in this thread, and what it reports."""
    reports: list[str] = []
    endpoints = {
        "echo": lambda parameters: parameters,
        "fail": fail,
        "none": lambda p: {"x": p["x"]},
    }
    with pytest.MonkeyPatch.context() as patch:
        inline = lambda self, request, address: self.process_request_thread(request, address)  # noqa: E731
        patch.setattr(socketserver.ThreadingMixIn, "process_request", inline)
        with WatchServer(
            b"<p>page", "default-src 'none'", endpoints, report=reports.append
        ) as server:
            yield server, reports


@pytest.fixture
def server(served: tuple[WatchServer, list[str]]) -> WatchServer:
    return served[0]


def exchange(server: WatchServer, request: bytes) -> bytes:
    """Send a request and return the response."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
        connection.sendall(request)
        server.handle_request()
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def ask(
    server: WatchServer, path: str, method: str = "GET", host: str = "", **headers: str
) -> tuple[int, bytes, Message]:
    """Status, content and headers of a request; `{}` in the path is the token."""
    default = {"Host": host or f"127.0.0.1:{server.server_port}"}
    lines = [f"{method} {path.replace('{}', server.token)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (default | headers).items()]
    response = exchange(server, "\r\n".join([*lines, "", ""]).encode())
    head, _, content = response.partition(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    return int(status.split()[1]), content, message_from_bytes(fields)


def test_it_listens_on_this_machine_alone(server: WatchServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    assert len(server.token) >= 43  # 256 bits


def test_the_page_has_headers_that_keep_others_out(server: WatchServer) -> None:
    status, content, headers = ask(server, "/{}/")
    assert (status, content) == (200, b"<p>page")
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Server"] == "nnzoo"
    assert "Access-Control-Allow-Origin" not in headers


def test_responses_are_json_of_numbers_asked_for(server: WatchServer) -> None:
    status, content, headers = ask(server, "/{}/echo?run=3&epoch=12")
    assert (status, json.loads(content)) == (200, {"run": 3, "epoch": 12})
    assert headers["Content-Type"] == "application/json"
    status, content, headers = ask(server, "/{}/echo", "HEAD")
    assert (status, content, headers["Content-Length"]) == (200, b"", "2")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/wrong/",
        "/{}x/",
        "/{}",
        "/{}//",
        "/{}/?x=1",
        "/{}/unknown",
        "/{}/../../etc/passwd",
        "/{}/..%2f..%2fetc%2fpasswd",
        "/{}/echo/../echo",
        "/{}/echo?run=../x",
        "/{}/echo?run=-1",
        "/{}/echo?run=1;x=2",
        "/{}/echo?run=" + "1" * 13,
        "/{}/echo?" + "&".join(["x=1"] * 60),
        "/{}/none?y=1",
        "http://127.0.0.1/{}/",
        "/%ff%fe/",
    ],
)
def test_other_paths_are_not_found(server: WatchServer, path: str) -> None:
    status, content, _ = ask(server, path)
    assert (status, content) == (404, NOT_FOUND)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "[::1]", "127.0.0.1:x", "@", ""],
)
def test_another_name_of_this_machine_is_refused(server: WatchServer, host: str) -> None:
    request = f"GET /{server.token}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
    assert exchange(server, request.encode()).startswith(b"HTTP/1.0 403 ")


def test_a_host_is_named_once(server: WatchServer) -> None:
    host = f"Host: 127.0.0.1:{server.server_port}\r\n"
    for hosts in ("", host * 2):
        request = f"GET /{server.token}/ HTTP/1.1\r\n{hosts}\r\n"
        assert exchange(server, request.encode()).startswith(b"HTTP/1.0 403 ")


def test_a_tunnel_of_ssh_may_have_another_port(server: WatchServer) -> None:
    assert ask(server, "/{}/", host="localhost:9999")[0] == 200
    assert ask(server, "/{}/echo", host="localhost:9999", Origin="http://localhost:9999")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none", "Origin": "http://evil.example"},
    ],
)
def test_what_another_page_sends_is_refused(server: WatchServer, headers: dict[str, str]) -> None:
    assert ask(server, "/{}/", **headers)[:2] == (403, FORBIDDEN)


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "X"]
)
def test_other_methods_are_refused(server: WatchServer, method: str) -> None:
    status, _, headers = ask(server, "/{}/", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_an_error_is_reported_to_the_terminal_alone(served: tuple[WatchServer, list[str]]) -> None:
    server, reports = served
    assert ask(server, "/{}/fail")[:2] == (500, b"Internal Server Error.\n")
    assert "secret words" in reports.pop()


def test_what_is_no_request_is_refused_without_a_word_about_why(server: WatchServer) -> None:
    response = exchange(server, b"\x16\x03\x01 nonsense \x00\r\n\r\n")
    assert b"Bad Request" in response and b"nonsense" not in response


def test_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    with WatchServer(b"", "", {}) as server:
        address = "127.0.0.1", server.server_port
        for _ in range(2):
            server._slots.acquire()
        with socket.create_connection(address, timeout=5) as connection:
            server.handle_request()
            assert connection.recv(100) == b""  # closed without an answer
        server._slots.release()
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            server.handle_request()
            assert connection.recv(100).startswith(b"HTTP/1.0 403 ")


def test_the_address_for_a_browser_works_once(server: WatchServer) -> None:
    path = "/" + server.url_for_once().split("/")[3] + "/"
    status, _, headers = ask(server, path)
    assert (status, headers["Location"]) == (303, f"/{server.token}/")
    assert ask(server, path)[0] == 404


def test_a_port_that_is_taken_is_an_error(server: WatchServer, tmp_path: Path) -> None:
    from nnzoo.errors import UsageError
    from nnzoo.watch.serve import open_server

    with pytest.raises(UsageError, match="leave it out for a free one"):
        open_server(tmp_path, server.server_port)


def test_names_are_not_state_now_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda *_: os.abort())
    WatchServer(b"", "", {}).server_close()


def test_a_connection_that_breaks_is_no_error(
    served: tuple[WatchServer, list[str]],
) -> None:
    server, reports = served
    for kind, expected in ((BrokenPipeError, 0), (ConnectionResetError, 0), (ValueError, 1)):
        try:
            raise kind
        except kind:
            server.handle_error(None, None)
        assert len(reports) == expected
    assert "ValueError" in reports.pop()
