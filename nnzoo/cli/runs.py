"""`nnzoo runs`: the runs in a folder, read without opening a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnzoo.cli.common import DEFAULT_OUT, DebugOption, JsonOption


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Parent directory of run folders.")
    ] = DEFAULT_OUT,
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="run, age, epoch, state, best, or a metric: val_accuracy, test_rmse. Best first.",
        ),
    ] = "run",
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List runs with their state (running, complete, …) and results."""
    from nnzoo import console
    from nnzoo.console import tables
    from nnzoo.runs.run_index import is_run, scan, sort_runs

    listed = scan(folder)
    if listed:
        listed = sort_runs(listed, sort)
    if json_:
        for run in listed:
            console.print_json(run)
        return
    stdout, stderr = console.make_consoles()
    if listed:
        tables.print_runs(stdout, listed, sort)
    else:
        hint = " (it is a run itself)" if is_run(folder) else ""
        stderr.print(f"no runs in {folder}{hint}", markup=False, soft_wrap=True)
