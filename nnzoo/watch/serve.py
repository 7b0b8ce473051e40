"""The server of `nnzoo watch` for a folder, in a process that gives way to every other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nnzoo.errors import UsageError
from nnzoo.watch.server import WatchServer
from nnzoo.watch.viewer import Viewer
from nnzoo.web.render import Script, content_policy, render

SCRIPTS = (
    "watch/line_chart.js",
    "watch/canvas.js",
    "watch/run.js",
    "watch/curves.js",
    "watch/boundary.js",
    "watch/samples.js",
    "watch/page.js",
)


class Loader(threading.Thread):
    """Imports PyTorch when it is asked to, at the priority at which it was started: beside a training that uses every core
    it would take minutes at the priority of a process that gives way, and a second at this one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._asked, self._loaded = threading.Event(), threading.Event()

    def run(self) -> None:
        self._asked.wait()
        try:
            import nnzoo.watch.frames  # noqa: F401
        finally:
            self._loaded.set()

    def load(self) -> None:
        """Return once PyTorch is there, or could not be imported, which the next import reports."""
        self._asked.set()
        self._loaded.wait()


def open_server(
    path: Path,
    port: int = 0,
    wait: bool = False,
    load: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = lambda text: None,
) -> WatchServer:
    """Make the server for a run folder or a folder of runs; it responds once `serve_forever` is called.

    port: 0 for a free one; wait: whether the folder may come into being later; load: as `Viewer` takes it; report: as
    `WatchServer` does. Raises UsageError.
    """
    viewer = Viewer(path, wait, load)
    script = Script(SCRIPTS, connects=True)
    page = render("watch/templates/watch.html", {"title": "watch"}, script).encode()
    try:
        return WatchServer(page, content_policy(script), viewer.endpoints, port, report)
    except OSError as error:
        raise UsageError(
            f"--port {port}: {error.strerror}; leave it out for a free one", code="E02"
        ) from None


def give_way() -> None:
    """Lower the priority of this thread and of those that it starts, and compute on one thread.

    Beside processes that use every core it gets 1.5 % of one. With SCHED_IDLE it would be 0.3 %, and a page take minutes.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with suppress(OSError, AttributeError):
        os.nice(19)
