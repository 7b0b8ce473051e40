"""`nnzoo inspect`: images of a network's weights and activations, and a table of its layers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nnzoo.cli.common import (
    DebugOption,
    DeviceOption,
    JsonOption,
    RunArgument,
    SetOption,
    SplitOption,
    WeightsOption,
    load_torch,
    note,
)
from nnzoo.errors import UsageError
from nnzoo.status import status
from nnzoo.text import Note

if TYPE_CHECKING:
    from rich.console import Console

    from nnzoo.data.sequences import Inputs
    from nnzoo.evaluation.diagnostics import Finding
    from nnzoo.inspect.units import FollowingUnit
    from nnzoo.models.network import Network
    from nnzoo.runs.loaded_run import LoadedRun


InputsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        help="Images, or texts and .txt files, to inspect [default: rows of a split]",
        show_default=False,
    ),
]
RowsOption = Annotated[
    list[int] | None,
    typer.Option(
        "--row", metavar="N", help="A row of the split, from 0; may be given several times."
    ),
]
SurfaceOption = Annotated[
    bool, typer.Option("--surface", help="Also draw the loss along two random directions.")
]
FiguresOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where to write the images [default: RUN/inspect]",
        show_default=False,
    ),
]


def inspect(
    checkpoint: RunArgument,
    inputs: InputsArgument = None,
    rows: RowsOption = None,
    split: SplitOption = "test",
    surface: SurfaceOption = False,
    out: FiguresOption = None,
    weights: WeightsOption = "best",
    set_: SetOption = None,
    device: DeviceOption = "auto",
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Draw what the network learned, and print a table of its layers."""
    if inputs and rows:
        raise UsageError("give inputs or --row, not both", code="E01")
    load_torch()
    from nnzoo import console
    from nnzoo.console import tables
    from nnzoo.device import choose_device
    from nnzoo.evaluation import diagnostics
    from nnzoo.inspect import inspection
    from nnzoo.runs.loaded_group import require_single
    from nnzoo.runs.loaded_run import LoadedRun

    trained = LoadedRun.open(checkpoint, choose_device(device), weights, set_)
    require_single(trained.network, checkpoint, "inspect draws the layers")
    used_split = _available_split(trained, split)
    raw, truth = _samples(trained, used_split, inputs or [], rows or [])
    folder = out or (checkpoint if checkpoint.is_dir() else checkpoint.parent) / "inspect"
    surface_split, network = "train" if surface else None, trained.network
    with status("drawing", log=False):
        units = _following_units(network, raw)
        written = inspection.write_figures(trained, raw, truth, folder, surface_split, units)
    drawn = trained.prepared(used_split)
    stats = diagnostics.collect_split_stats(network, drawn, inspection.STATS_ROWS)
    findings = diagnostics.diagnose(stats, network.config)
    layers = [layer.to_dict() for layer in stats.layers]
    if json_:
        values: dict[str, Any] = {"checkpoint": str(trained.file), "split": used_split}
        values |= {"layers": layers, "gradient_over_time": stats.time_gradients}
        console.print_json(values | _result_values(findings, units, written))
        return
    stdout, _ = console.make_consoles()
    stdout.print(f"{trained.file}", style="bold", markup=False, soft_wrap=True)
    tables.print_layers(stdout, layers)
    _print_findings(stdout, findings)
    if units is not None:
        _print_units(stdout, units)
    _print_files(stdout, folder, written)


def _following_units(network: Network, raw: Inputs) -> list[FollowingUnit] | None:
    """The units of a language model that follow something in a text; None of another network."""
    from torch import Tensor

    from nnzoo.inspect.units import following_units

    if not network.data_spec.input.per_step:
        return None
    return following_units(network, cast(Tensor, raw))


def _result_values(
    findings: list[Finding], units: list[FollowingUnit] | None, written: list[tuple[Path, str]]
) -> dict[str, Any]:
    """Findings, units and files, as --json has them."""
    values: dict[str, Any] = {"findings": [asdict(finding) for finding in findings]}
    if units is not None:
        values["units"] = [unit.to_dict() for unit in units]
    return values | {"files": [{"file": str(path), "shows": caption} for path, caption in written]}


def _available_split(trained: LoadedRun, split: str) -> str:
    """The split to draw, the training rows where there is no such one; prints the notes of the run."""
    from nnzoo.inspect.inspection import available_split

    used_split = available_split(trained.dataset, split)
    notes = list(trained.notes)
    if trained.data_changed:
        notes.append(Note("W50", "the data has changed since the run was trained"))
    if used_split != split:
        notes.append(Note("N45", f"there is no {split} split; these are training rows"))
    for text in notes:
        note(text)
    return used_split


def _samples(
    trained: LoadedRun, split: str, inputs: list[str], rows: list[int]
) -> tuple[Inputs, list[str] | None]:
    """Raw inputs of images or texts, or of rows of a split; and the targets of rows as text."""
    import torch

    from nnzoo.inspect import inspection
    from nnzoo.inspect.texts import encode_texts
    from nnzoo.predict.images import read_image

    network, dataset = trained.network, trained.dataset
    if inputs and network.data_spec.tokenizer is not None:
        return encode_texts(network, inputs), None
    if inputs:
        raw = torch.stack([read_image(network, Path(file)) for file in inputs])
        return raw.to(network.device), None
    if network.data_spec.input.per_step:
        return inspection.running_text(trained, split, rows), None
    raw, targets = trained.raw(split, inspection.select_rows(dataset, split, rows))
    return raw, inspection.format_targets(dataset, targets)


def _print_findings(stdout: Console, findings: list[Finding]) -> None:
    from nnzoo.console import print_text

    stdout.print()
    for finding in findings:
        print_text(stdout, str(finding), style="yellow")
    if not findings:
        stdout.print("no vanishing or exploding gradient, no layer of dead units")


def _print_units(stdout: Console, units: list[FollowingUnit]) -> None:
    from nnzoo.console import print_columns

    stdout.print()
    if not units:
        stdout.print("no unit follows quotes, brackets, case, digits or the position in the text")
        return
    stdout.print("units that follow something, on text by which they were not chosen:")
    columns = {
        "follows": [unit.feature for unit in units],
        "layer": [unit.layer for unit in units],
        "unit": [str(unit.unit) for unit in units],
        "correlation": [f"{unit.correlation:.2f}" for unit in units],
    }
    print_columns(stdout, columns, left=("follows", "layer"))


def _print_files(stdout: Console, folder: Path, written: list[tuple[Path, str]]) -> None:
    from nnzoo.console import print_text

    stdout.print()
    stdout.print(f"{folder}", style="bold", markup=False, soft_wrap=True)
    width = max(len(path.name) for path, _ in written)
    for path, caption in written:
        print_text(stdout, f"  {path.name:<{width}}  {caption}", hang=width + 2)
