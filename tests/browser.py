"""Headless Chromium through its DevTools protocol, over a pipe: what a page does when it is opened."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
# A browser at its start would look for updates and the like.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]


MESSAGES = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
KEYS = {
    "Enter": 13,
    " ": 32,
    "Escape": 27,
    "Tab": 9,
    "Home": 36,
    "End": 35,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


@dataclass
class Opened:
    """A page that has loaded."""

    tab: _Tab

    @property
    def requests(self) -> list[str]:
        """The addresses that the page has asked for until now, its own first."""
        return [
            event["params"]["request"]["url"]
            for event in self._events()
            if event.get("method") == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self) -> list[str]:
        """Console messages, exceptions and what the browser has logged until now."""
        return [
            json.dumps(event["params"])
            for event in self._events()
            if event.get("method") in MESSAGES
        ]

    def _events(self) -> list[dict[str, Any]]:
        self.tab.call(
            "Runtime.evaluate", expression="1"
        )  # whatever came until now is in the events
        return self.tab.events

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, of a promise what it becomes."""
        reply = self.tab.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def point(self, selector: str, x: float = 0.5, y: float = 0.5) -> tuple[float, float]:
        """A point of an element in the window, after scrolling to it. x, y: fractions of its width and height."""
        left, top, width, height = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'}); "
            "const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()"
        )
        return left + x * width, top + y * height

    def mouse(self, selector: str, x: float = 0.5, y: float = 0.5, click: bool = True) -> None:
        """Move the mouse over an element, and click. x, y: fractions of its width and height."""
        position = dict(zip("xy", self.point(selector, x, y), strict=True))
        steps = ("mouseMoved", "mousePressed", "mouseReleased") if click else ("mouseMoved",)
        for step in steps:
            button = "none" if step == "mouseMoved" else "left"
            self.tab.call(
                "Input.dispatchMouseEvent", type=step, button=button, clickCount=1, **position
            )

    def press(self, key: str) -> None:
        """Press a key of KEYS, or a character, where the focus is."""
        code = KEYS.get(key, ord(key[0]))
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        self.tab.call(
            "Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text
        )
        self.tab.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path) -> None:
        shot = self.tab.call("Page.captureScreenshot", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(shot["data"]))

    def part(self, first: str, last: str | None = None) -> bytes:
        """A screenshot (PNG) of the page in its full width, from the top of an element to its bottom or that of another."""
        self.evaluate("scrollTo(0, 0)")
        top, bottom = self.evaluate(
            f"[document.querySelector({json.dumps(first)}).getBoundingClientRect().top,"
            f" document.querySelector({json.dumps(last or first)}).getBoundingClientRect().bottom]"
        )
        clip = {"x": 0, "y": top, "width": self.evaluate("innerWidth"), "height": bottom - top}
        shot = self.tab.call(
            "Page.captureScreenshot", clip=clip | {"scale": 1}, captureBeyondViewport=True
        )
        return base64.b64decode(shot["data"])


class _Tab:
    """Commands to one tab, and the events that came meanwhile."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.events: list[dict[str, Any]] = []
        # A context of its own: no cookie, cache or storage of the pages before.
        self.context = self.call("Target.createBrowserContext")["browserContextId"]
        created = self.call("Target.createTarget", url="about:blank", browserContextId=self.context)
        attached = self.call("Target.attachToTarget", targetId=created["targetId"], flatten=True)
        self.session = attached["sessionId"]

    session: str | None = None

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = self.browser.send(method, parameters, self.session)
        while True:
            received = self.browser.receive()
            if received.get("id") == number:
                assert "error" not in received, received
                return dict(received["result"])
            self.note(received)

    def note(self, event: dict[str, Any]) -> None:
        """Keep an event of this tab; a tab that was closed may still have sent some."""
        if event.get("sessionId") == self.session:
            self.events.append(event)

    def wait_for(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.note(self.browser.receive())

    def close(self) -> None:
        self.session = None
        self.call("Target.disposeBrowserContext", browserContextId=self.context)


class Browser:
    """A browser that is started once and opens one page after another."""

    def __init__(self, folder: Path) -> None:
        """folder: where the browser may keep what it needs."""
        assert CHROMIUM is not None
        read, self.to = os.pipe()
        self.back, write = os.pipe()

        def as_three_and_four() -> None:
            # Over other numbers first: one of the two may be 3 or 4 itself.
            high = [os.dup2(read, 100), os.dup2(write, 101)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder}"],
            preexec_fn=as_three_and_four,  # noqa: PLW1509
            pass_fds=(3, 4, read, write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self.count = 0
        self.rest = b""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.back)

    def send(self, method: str, parameters: dict[str, Any], session: str | None) -> int:
        """Send a command; returns its number."""
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        return self.count

    def receive(self) -> dict[str, Any]:
        """Receive a reply or an event."""
        while b"\0" not in self.rest:
            piece = os.read(self.back, 1 << 16)
            assert piece, "the browser has ended"
            self.rest += piece
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))

    @contextmanager
    def open(
        self,
        page: Path | str,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        scripts: bool = True,
    ) -> Iterator[Opened]:
        """A file or an address in a window of some size. scripts: whether those of the page may run."""
        tab = _Tab(self)
        for domain in ("Page", "Network", "Runtime", "Log"):
            tab.call(f"{domain}.enable")
        tab.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.call("Emulation.setEmulatedMedia", features=[theme])
        if not scripts:
            tab.call("Emulation.setScriptExecutionDisabled", value=True)
        tab.events.clear()
        address = page if isinstance(page, str) else page.resolve().as_uri()
        tab.call("Page.navigate", url=address)
        tab.wait_for("Page.loadEventFired")
        yield Opened(tab)
        tab.close()


@contextmanager
def open_page(
    page: Path, folder: Path, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[Opened]:
    """A file in a browser that is started for it; folder: where it may keep what it needs."""
    browser = Browser(folder)
    try:
        with browser.open(page, width, height, dark) as opened:
            yield opened
    finally:
        browser.close()
