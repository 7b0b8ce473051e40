"""`nnzoo report`: one HTML page about a run, or several side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nnzoo.cli.common import DebugOption, DeviceOption, SetOption, load_torch, note
from nnzoo.cli.completion import complete_run
from nnzoo.errors import UsageError
from nnzoo.status import status
from nnzoo.text import Note


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", autocompletion=complete_run, help="Run folders.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The file to write [default: RUN/report.html, or report.html for several]",
            show_default=False,
        ),
    ] = None,
    set_: SetOption = None,
    device: DeviceOption = "auto",
    debug: DebugOption = False,
) -> None:
    """Write one HTML page about a run, or several runs side by side."""
    if set_ and len(runs) > 1:
        raise UsageError("--set is for a single run, whose data have moved", code="E01")
    folders = [path.resolve() for path in runs]
    repeated = [path for path in runs if folders.count(path.resolve()) > 1]
    if repeated:
        raise UsageError(f"{repeated[0]} is given twice; each run once", code="E01")
    load_torch()
    from nnzoo import file_io
    from nnzoo.device import choose_device
    from nnzoo.report.page import render_comparison, render_run
    from nnzoo.report.run_report import RunReport

    where = choose_device(device)
    with status("evaluating", log=False):
        opened = [RunReport.open(path, where, set_) for path in runs]
    for run in opened:
        for text in run.loaded.notes:
            note(text)
    with status("drawing", log=False):
        text = render_run(opened[0]) if len(runs) == 1 else render_comparison(opened)
    file = out or (runs[0] / "report.html" if len(runs) == 1 else Path("report.html"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", code="E04") from None
    file_io.write(file, text.encode())
    for run in opened:
        if run.data_error:
            note(Note("N46", f"{run.name}: left out what needs the data: {run.data_error}"))
    sys.stdout.write(f"{file}\n")
