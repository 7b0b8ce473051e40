"""`nnzoo export`: a network as ONNX, torch.export or safetensors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nnzoo.cli.common import (
    DebugOption,
    JsonOption,
    RunArgument,
    SetOption,
    WeightsOption,
    load_torch,
    note,
)
from nnzoo.errors import UsageError
from nnzoo.status import status

if TYPE_CHECKING:
    from nnzoo.models.network import Network

FormatOption = Annotated[
    Literal["onnx", "torch", "state-dict"],
    typer.Option("--format", metavar="onnx|torch|state-dict", help="The file format."),
]


def export(
    checkpoint: RunArgument,
    format_: FormatOption = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            show_default=False,
            help="The file [default: the run's name, beside its checkpoint]",
        ),
    ] = None,
    weights: WeightsOption = "best",
    set_: SetOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Export the model, preprocessing included, for use in other programs."""
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"--out: {out} is not a file in a folder that exists", code="E04")
    load_torch()
    import torch

    from nnzoo import console
    from nnzoo.export import FORMATS, export
    from nnzoo.export_interface import tokenizer_path
    from nnzoo.runs.loaded_run import LoadedRun

    loaded = LoadedRun.open(checkpoint, torch.device("cpu"), weights, set_)
    loaded.calibrate_group()
    network, file = loaded.network, loaded.file
    for text in loaded.notes:
        note(text)
    folder = file if file.is_dir() else file.parent  # that of a group, or of a run
    path = out or folder / f"{network.config.name}{FORMATS[format_][0]}"
    is_earlier_export = out is None and checkpoint.is_dir()
    if not (is_earlier_export or force):
        is_text = network.data_spec.tokenizer is not None
        _check_free(path, *[tokenizer_path(path)][:is_text])
    with status("exporting", log=False):
        result = export(network, format_, path)
    if json_:
        console.print_json(result)
        return
    sys.stdout.write(f"{path} {_outcome(format_, result, network)}; {result['bytes']:,} bytes\n")
    if "tokenizer" in result:
        sys.stdout.write(f"{result['tokenizer']} turns text into its ids\n")


def _outcome(format_: str, result: dict[str, Any], network: Network) -> str:
    """The check that a file has passed, and how well it agrees."""
    from nnzoo.export import checked_batches

    if format_ == "state-dict":
        return "holds the weights, read back unchanged"
    batches = " and ".join(map(str, checked_batches(network)))
    return f"agrees with PyTorch to {result['difference']:.1e} (batch {batches})"


def _check_free(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} exists; --force writes over it", code="E04")
