"""`nnzoo predict`: answers for new data, as CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnzoo.cli.common import (
    DebugOption,
    DeviceOption,
    JsonOption,
    OptionalRunArgument,
    WeightsOption,
    load_torch,
    note,
)
from nnzoo.errors import DataError, UsageError, shell_word, visible

if TYPE_CHECKING:
    from nnzoo.predict.predictions import Predictions


def predict(
    checkpoint: OptionalRunArgument = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="INPUT",
            show_default=False,
            help="Images and folders of them, or CSV and Parquet files, as the network reads them; "
            "without any, its own series is forecast.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write to this file instead of stdout: .json and .jsonl get JSON lines, others CSV.",
        ),
    ] = None,
    json_: JsonOption = False,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="N", help="Number of time steps to forecast; default: the horizon."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="COLUMN",
            show_default=False,
            help="Carry a column of the table along, such as an id; may be given again.",
        ),
    ] = None,
    weights: WeightsOption = "best",
    device: DeviceOption = "auto",
    debug: DebugOption = False,
) -> None:
    """Predict labels or values for images and rows, or forecast a series."""
    if checkpoint is None:
        raise UsageError("missing run and input: nnzoo predict checkpoints/cnn photos/")
    if json_ and out is not None:
        raise UsageError("give one of the two: --json writes to stdout, --out to a file")
    if steps is not None and steps < 1:
        raise UsageError(f"--steps: expected a whole number of at least 1, got {steps}")
    inputs = inputs or []
    if out is not None and any(_same(out, each) for each in inputs):
        raise UsageError(f"--out {out} would replace an INPUT; name another file")
    load_torch()
    from nnzoo.device import choose_device
    from nnzoo.predict.inputs import predict_files
    from nnzoo.predict.predictions import forecasts
    from nnzoo.runs.loaded_run import LoadedRun

    trained = LoadedRun.open(checkpoint, choose_device(device), weights)
    network = trained.network
    for text in trained.notes:
        note(text)
    if not inputs and not forecasts(network):
        example = "photos/" if network.data_spec.input.kind == "image" else "new.csv"
        raise UsageError(f"missing input: nnzoo predict {shell_word(checkpoint)} {example}")
    as_json = json_ or (out is not None and out.suffix.lower() in (".json", ".jsonl"))
    answered = broken = 0
    with _destination(out) as write:
        for i, answers in enumerate(predict_files(network, inputs, steps, keep or [])):
            write(_json_lines(answers) if as_json else _csv_lines(answers, header=i == 0))
            sys.stderr.write("".join(f"{visible(error)}\n" for error in answers.errors))
            for text in answers.notes:
                note(text)
            answered += len(answers)
            broken += len(answers.errors)
    if broken:
        raise DataError(f"{broken:,} of {answered + broken:,} images could not be read")


@contextmanager
def _destination(out: Path | None) -> Iterator[Callable[[str], object]]:
    """What writes text to stdout, or to a file that takes its name when all is written."""
    if out is None:
        encoding = sys.stdout.encoding or "utf-8"

        def write(text: str) -> None:
            shown = visible(text).encode(encoding, "backslashreplace").decode(encoding)
            sys.stdout.write(shown)
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
        raise UsageError(f"--out: cannot write {out}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def _csv_lines(answers: Predictions, header: bool) -> str:
    """Rows of a CSV: where, then the class, its probability and those of all, or the values."""
    columns: dict[str, Any] = dict(answers.places)
    numbers = [[_text(answers, each) for each in column] for column in answers.numbers.T.tolist()]
    if answers.is_classification:
        best = [_text(answers, each) for each in answers.numbers.max(1, initial=0).tolist()]
        columns |= {"prediction": answers.labels, "probability": best}
        columns |= dict(zip((f"p_{name}" for name in answers.names), numbers, strict=True))
    else:
        columns |= dict(zip(answers.value_columns, numbers, strict=True))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _json_lines(answers: Predictions) -> str:
    """The same, an object a line."""
    from nnzoo.config.formatting import to_json

    lines, labels = [], answers.labels if answers.is_classification else []
    places = zip(*answers.places.values(), strict=True)
    for i, (place, row) in enumerate(zip(places, answers.numbers.tolist(), strict=True)):
        numbers = [float(_text(answers, each)) for each in row]
        line = dict(zip(answers.places, place, strict=True))
        if answers.is_classification:
            line |= {"prediction": labels[i], "probability": max(numbers)}
            line["probabilities"] = dict(zip(answers.names, numbers, strict=True))
        else:
            line |= dict(zip(answers.value_columns, numbers, strict=True))
        lines.append(to_json(line))
    return "".join(f"{line}\n" for line in lines)


def _text(answers: Predictions, number: float) -> str:
    """A probability with 6 digits that count; a value with 7, which is what float32 holds."""
    return f"{number:.6g}" if answers.is_classification else f"{number:.7g}"
