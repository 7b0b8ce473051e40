"""The server of `nnzoo watch` for a folder, in a process that gives way to every other."""

from __future__ import annotations

import os
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


def open_server(
    path: Path, port: int = 0, wait: bool = False, report: Callable[[str], None] = lambda text: None
) -> WatchServer:
    """Make the server for a run folder or a folder of runs; it responds once `serve_forever` is called.

    port: 0 for a free one; wait: whether the folder may come into being later; report: as `WatchServer` takes it. Raises
    UsageError.
    """
    viewer = Viewer(path, wait)
    script = Script(SCRIPTS, connects=True)
    page = render("watch/templates/watch.html", {"title": "watch"}, script).encode()
    try:
        return WatchServer(page, content_policy(script), viewer.endpoints, port, report)
    except OSError as error:
        raise UsageError(
            f"--port {port}: {error.strerror}; leave it out for a free one", code="E02"
        ) from None


def give_way() -> None:
    """Let this process run only when no other wants the processor, as far as the system can, on one thread."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with suppress(OSError, AttributeError):
        os.nice(19)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
