"""`nnzoo predict`: predictions for new data, as CSV or JSON lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnzoo.cli.common import (
    CoverageOption,
    DebugOption,
    DeviceOption,
    JsonOption,
    OptionalRunArgument,
    SetOption,
    WeightsOption,
    load_torch,
    note,
)
from nnzoo.errors import DataError, UsageError, escape_controls, shell_word
from nnzoo.text import Note

if TYPE_CHECKING:
    from nnzoo.models.network import Network
    from nnzoo.predict.predictions import Predictions


InputsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT",
        show_default=False,
        help="Images, recordings, texts, folders of them, or files of a table or series; a text itself; - for a "
        "text per line of stdin. Without any, the run's own series is forecast.",
    ),
]
OutFileOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write to this file instead of stdout: .json and .jsonl get JSON lines, others CSV.",
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", metavar="N", help="Time steps to forecast [default: the horizon]"),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="COLUMN",
        show_default=False,
        help="Copy a column of the table to the output, such as an id; may be given several times.",
    ),
]


def predict(
    checkpoint: OptionalRunArgument = None,
    inputs: InputsArgument = None,
    out: OutFileOption = None,
    json_: JsonOption = False,
    steps: StepsOption = None,
    keep: KeepOption = None,
    coverage: CoverageOption = None,
    set_: SetOption = None,
    weights: WeightsOption = "best",
    device: DeviceOption = "auto",
    debug: DebugOption = False,
) -> None:
    """Predict labels or values for images and rows, or forecast a series."""
    if checkpoint is None:
        raise UsageError("missing run and input: nnzoo predict checkpoints/cnn photos/", code="E01")
    inputs = inputs or []
    _check_options(out, json_, steps, inputs)
    load_torch()
    from nnzoo.device import choose_device
    from nnzoo.predict.csv_lines import csv_lines
    from nnzoo.predict.inputs import predict
    from nnzoo.runs.loaded_run import LoadedRun

    trained = LoadedRun.open(checkpoint, choose_device(device), weights, set_)
    network = trained.network
    if coverage is not None:
        trained.require_calibration()
    decision = [Note("N44", network.decision.describe())] if network.decision else []
    for text in [*trained.notes, *decision]:
        note(text)
    if not inputs and _reads_stdin(network):
        inputs = ["-"]
    if not inputs:
        _check_forecasts(network, checkpoint)
    as_json = json_ or (out is not None and out.suffix.lower() in (".json", ".jsonl"))
    predicted = broken = 0
    with _destination(out) as write:
        for i, batch in enumerate(predict(network, _as_paths(inputs), steps, keep or [], coverage)):
            write(_json_lines(batch) if as_json else csv_lines(batch, header=i == 0))
            sys.stderr.write("".join(f"{escape_controls(error)}\n" for error in batch.errors))
            for text in batch.notes:
                note(text)
            predicted += len(batch)
            broken += len(batch.errors)
    if broken:
        count = f"{broken:,} of {predicted + broken:,} images"
        raise DataError(f"{count} could not be read", code="E48")


def _check_options(out: Path | None, json_: bool, steps: int | None, inputs: list[str]) -> None:
    """Raise UsageError for options that do not go together."""
    if json_ and out is not None:
        reason = "--json writes to stdout, --out to a file"
        raise UsageError(f"give one of the two: {reason}", code="E01")
    if steps is not None and steps < 1:
        raise UsageError(f"--steps: expected a whole number of at least 1, got {steps}", code="E02")
    if out is not None and any(_same(out, Path(path)) for path in inputs):
        raise UsageError(f"--out {out} would replace an INPUT; name another file", code="E04")


def _check_forecasts(network: Network, checkpoint: Path) -> None:
    """Raise UsageError for a network that predicts nothing without an input, unlike one of a series."""
    if network.data_spec.task != "forecasting":
        examples = {"image": "photos/", "tokens": "'some text'"}
        example = examples.get(network.data_spec.input.kind, "new.csv")
        raise UsageError(
            f"missing input: nnzoo predict {shell_word(checkpoint)} {example}", code="E07"
        )


def _reads_stdin(network: Network) -> bool:
    """Whether texts may be waiting in a pipe."""
    is_text = network.data_spec.input.kind == "tokens"
    return is_text and network.data_spec.task != "language_model" and not sys.stdin.isatty()


def _as_paths(inputs: list[str]) -> list[str | Path]:
    """Inputs that exist as files or folders, and stdin, as paths; others, which may be texts, as they are."""
    return [Path(one) if one == "-" or (one and os.path.exists(one)) else one for one in inputs]


@contextmanager
def _destination(out: Path | None) -> Iterator[Callable[[str], object]]:
    """A function that writes text to stdout, or to a file that gets its name when all is written."""
    if out is None:
        encoding = sys.stdout.encoding or "utf-8"

        def write(text: str) -> None:
            escaped = escape_controls(text).encode(encoding, "backslashreplace").decode(encoding)
            sys.stdout.write(escaped)
            sys.stdout.flush()

        yield write
        return
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        if out.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with temporary.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file.write
        os.replace(temporary, out)
    except OSError as error:
        raise UsageError(
            f"--out: cannot write {out}: {error.strerror or error}", code="E04"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _json_lines(predictions: Predictions) -> str:
    """The columns of the CSV as one object per line; those of all classes are an object in it."""
    from nnzoo.config.formatting import to_json
    from nnzoo.predict.csv_lines import value_format

    # Numbers with the digits of the CSV.
    digits = value_format(predictions)
    columns = predictions.columns(lambda value: float(digits % value))
    labels = [] if predictions.thresholds is None else predictions.label_sets
    lines = []
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        line = dict(zip(columns, values, strict=True))
        if predictions.thresholds is not None:
            line["prediction"] = labels[i]
        if predictions.has_probabilities:
            line["probabilities"] = {name: line.pop(f"p_{name}") for name in predictions.names}
        lines.append(f"{to_json(line)}\n")
    return "".join(lines)
