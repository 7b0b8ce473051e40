"""`nnzoo export`: a network for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from nnzoo.cli.common import DebugOption, JsonOption, load_torch, note, one_of
from nnzoo.cli.usage import complete_words
from nnzoo.errors import UsageError
from nnzoo.status import status


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder, or a .pt file.", show_default=False),
    ],
    format_: Annotated[
        str, typer.Option("--format", metavar="onnx|torch|state-dict",
            autocompletion=complete_words("onnx", "torch", "state-dict"), help="The format.")
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", show_default=False,
                     help="The file; default: the run's name, beside its checkpoint."),
    ] = None,
    weights: Annotated[str, typer.Option(metavar="best|last", autocompletion=complete_words("best", "last"), help="Which weights of the run.")] = "best",
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing file.")
    ] = False,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:  # fmt: skip
    """Export the model, preprocessing included, for use in other programs."""
    one_of("--format", format_, ("onnx", "torch", "state-dict"))
    one_of("--weights", weights, ("best", "last"))
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"--out: {out} is not a file in a folder that exists")
    load_torch()
    import torch

    from nnzoo import console
    from nnzoo.export import FORMATS, batches, export
    from nnzoo.runs.run import load_network

    network, file, fallback = load_network(checkpoint, torch.device("cpu"), cast(Any, weights))
    if fallback:
        note(fallback)
    path = out or file.with_name(f"{network.config.name}{FORMATS[format_][0]}")
    own = out is None and checkpoint.is_dir()  # what an earlier export of this run wrote
    if path.exists() and not (own or force):
        raise UsageError(f"{path} exists; --force writes over it")
    with status("exporting", log=False):
        result = export(network, format_, path)
    if json_:
        console.print_json(result)
        return
    compared = " and ".join(map(str, batches(network)))
    checked = f"agrees with PyTorch to {result['difference']:.1e} (batch {compared})"
    if format_ == "state-dict":
        checked = "holds the weights, read back unchanged"
    sys.stdout.write(f"{path} {checked}; {result['bytes']:,} bytes\n")
