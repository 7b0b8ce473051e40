"""An HTTP server for one person: on 127.0.0.1, behind a random token, read-only.

Every web site that is open in the browser can send requests to this address, and every other user of the machine
can. So a request is answered only if its path begins with the token, its `Host` is this machine (a foreign name that
resolves to 127.0.0.1 is DNS rebinding), and no other page sent it, by the word of the browser. Nothing of a URL reaches
the disk: a path is a key of a table, a parameter is a number.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from nnzoo.web.render import to_inline_json

ADDRESS = "127.0.0.1"
OWN_NAMES = ("127.0.0.1", "localhost")
# Requests that are answered at a time, and seconds that one may take to arrive.
MAX_CONNECTIONS = 32
TIMEOUT = 10
_PARAMETER = re.compile(r"([a-z]{1,20})=([0-9]{1,12})")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_HINTS = {
    HTTPStatus.FORBIDDEN: "Paste the address that nnzoo watch printed into the address bar of a browser.",
    HTTPStatus.NOT_FOUND: "nnzoo watch prints another address each time it is started.",
}
NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"

Endpoint = Callable[[dict[str, int]], Mapping[str, Any]]
"""Responds to a request by its parameters; raises LookupError for what there is not."""


class WatchServer(ThreadingHTTPServer):
    """Serves one page, and endpoints as JSON.

    page: the HTML; policy: its content security policy; endpoints: by name; report: is called with the traceback of an
    unexpected error.
    """

    daemon_threads = True
    # On Windows another program could take over a port that is reused.
    allow_reuse_address = os.name != "nt"

    def __init__(
        self,
        page: bytes,
        policy: str,
        endpoints: Mapping[str, Endpoint],
        port: int = 0,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Listen on a port, 0 for a free one; raises OSError if it is taken."""
        self.page = page
        self.policy = f"{policy}; frame-ancestors 'none'"
        self.endpoints = endpoints
        self.report = report
        self.token = secrets.token_urlsafe(32)
        self._ticket = ""
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((ADDRESS, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/"

    def url_for_once(self) -> str:
        """Return an address that leads to the page once: a command line that starts a browser is seen by other users."""
        self._ticket = secrets.token_urlsafe(32)
        return f"http://{ADDRESS}:{self.server_port}/{self._ticket}/"

    def accepts_ticket(self, word: str) -> bool:
        """Whether this word is the one of `url_for_once`, which it then no longer is."""
        if not self._ticket or not _same(word, self._ticket):
            return False
        self._ticket = ""
        return True

    def server_bind(self) -> None:
        """Bind without asking the network for the name of this machine, as http.server does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closed a connection is no error; anything else is reported."""
        if not isinstance(sys.exception(), ConnectionError):
            self.report(traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    timeout = TIMEOUT

    def do_GET(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(refusal)
            return
        path, _, query = self.path.partition("?")
        first, _, name = path.removeprefix("/").partition("/")
        if not path.startswith("/") or not _same(first, self.server.token):
            if self.server.accepts_ticket(first) and path == f"/{first}/":
                self._send(
                    HTTPStatus.SEE_OTHER, b"", "text/plain", Location=f"/{self.server.token}/"
                )
            else:
                self._refuse(HTTPStatus.NOT_FOUND)
        elif not name and path.endswith("/") and not query:
            self._send(
                HTTPStatus.OK, self.server.page, "text/html; charset=utf-8", self.server.policy
            )
        else:
            self._respond(name, query)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _refusal(self) -> HTTPStatus | None:
        """Why a request is not answered, whatever it asks for; None if it may be."""
        headers = self.headers
        host, origin, site = (
            headers.get_all(name, []) for name in ("Host", "Origin", "Sec-Fetch-Site")
        )
        if len(host) != 1 or _host_name(host[0]) not in OWN_NAMES:
            return HTTPStatus.FORBIDDEN
        if any(value != f"http://{host[0]}" for value in origin):
            return HTTPStatus.FORBIDDEN
        if any(value not in ("same-origin", "none") for value in site):
            return HTTPStatus.FORBIDDEN
        return None

    def _respond(self, name: str, query: str) -> None:
        endpoint = self.server.endpoints.get(name)
        words = query.split("&") if query else []
        matches = [_PARAMETER.fullmatch(word) for word in words]
        if endpoint is None or len(query) > 200 or not all(matches):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        parameters = {match[1]: int(match[2]) for match in matches if match}
        try:
            content = to_inline_json(endpoint(parameters)).encode()
        except LookupError:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        except Exception:
            self.server.report(traceback.format_exc())
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self._send(HTTPStatus.OK, content, "application/json")

    def _refuse(self, status: HTTPStatus) -> None:
        text = " ".join(filter(None, [f"{status.phrase}.", _HINTS.get(status)]))
        self._send(status, f"{text}\n".encode(), "text/plain; charset=utf-8")

    def _send(
        self, status: HTTPStatus, content: bytes, kind: str, policy: str = NO_CONTENT, **more: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", policy)
        for name, value in (_HEADERS | more).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what http.server refuses: another method, or a request that is none."""
        self.command = getattr(self, "command", None) or "GET"
        is_method = code == HTTPStatus.NOT_IMPLEMENTED
        status = HTTPStatus.METHOD_NOT_ALLOWED if is_method else HTTPStatus.BAD_REQUEST
        allow = {"Allow": "GET, HEAD"} if is_method else {}
        self._send(status, f"{status.phrase}.\n".encode(), "text/plain; charset=utf-8", **allow)

    def version_string(self) -> str:
        return "nnzoo"

    def log_message(self, *arguments: Any) -> None:
        """Nothing is logged: a path holds the token."""


def _host_name(host: str) -> str | None:
    """The name in a `Host` header, without its port: behind a tunnel of ssh it is another one."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    is_plain = re.fullmatch(r"[a-z0-9.]+(:[0-9]{1,5})?", host) is not None
    return parts.hostname if is_plain else None


def _same(word: str, secret: str) -> bool:
    """Compare in a time that does not tell how much of a word is right."""
    return hmac.compare_digest(word.encode("utf-8", "surrogateescape"), secret.encode())
