"""`nnzoo watch`: a local page about runs while they train and afterwards."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnzoo.cli.common import DEFAULT_OUT, DebugOption, note
from nnzoo.cli.completion import complete_run
from nnzoo.errors import UsageError

if TYPE_CHECKING:
    from nnzoo.watch.server import WatchServer

MAX_PORT = 65_535


def watch(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FOLDER",
            autocompletion=complete_run,
            help="A run folder, or a folder of runs.",
        ),
    ] = DEFAULT_OUT,
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="The port of the page; 0 for a free one.")
    ] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    until_stdin_closes: Annotated[
        bool,
        typer.Option(hidden=True, help="End when standard input is closed (nnzoo train --watch)."),
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Show runs as a page while they train, and replay them epoch by epoch; Ctrl-C ends it."""
    if not 0 <= port <= MAX_PORT:
        raise UsageError(f"--port: expected a number up to {MAX_PORT:,}, got {port}", code="E02")
    from nnzoo.watch.serve import Loader, give_way, open_server

    wait = folder == DEFAULT_OUT

    def report(text: str) -> None:
        if debug:
            sys.stderr.write(text)

    loader = Loader()
    loader.start()
    with open_server(folder, port, wait, loader.load, report) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        if wait and not folder.exists():
            note(f"{folder} does not exist yet; the page waits for a run")
        if open_:
            import webbrowser

            if not webbrowser.open(server.url_for_once()):
                note("no browser was found; open the address above")
        give_way()
        if until_stdin_closes:
            threading.Thread(target=_end_with_stdin, args=[server], daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def _end_with_stdin(server: WatchServer) -> None:
    sys.stdin.read()
    server.shutdown()
