"""A first configuration for a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.formatting import flow_yaml, quote_yaml
from nnzoo.errors import DataError
from nnzoo.init_config.target import Choices, choose_target, position_or_name, unfit_reason

if TYPE_CHECKING:
    from nnzoo.data.columns.description import ColumnDescription
    from nnzoo.data.columns.number_format import Odd
    from nnzoo.data.data_spec import DataSpec
    from nnzoo.data.table_files.table_io import ReadOptions, Table

# So many columns that are left out have a line with the reason.
MAX_REASONS = 30


def reading_lines(table: Table, reading: ReadOptions) -> list[str]:
    """How the file is read, where it is not as by default or could be taken otherwise."""
    from nnzoo.data.table_files.table_io import numbered

    lines = []
    if reading.encoding != "auto":
        lines.append(f"  encoding: {reading.encoding}    # a guess: it is not UTF-8")
    if not table.named:
        lines.append(
            "  header: false    # the first row looks like data; does it name columns? true"
        )
    elif numbered(table.frame):
        lines.append("  header: true    # the first row counts; is it data? false")
    return lines


def table_config(
    table: Table,
    reading: ReadOptions,
    found: dict[str, ColumnDescription],
    data: Path,
    path: str,
    choices: Choices,
) -> tuple[str, str, list[str]]:
    """(a sentence about the file, the sections of a config, lines for the terminal); path: how the
    config names the file.

    Also where it cannot train yet: why is said in comments. Raises DataError where a column that the
    caller named is not there.
    """
    from nnzoo.data.columns.values import column_name

    frame, columns = table.frame, list(table.frame.columns)
    dropped = {column_name(frame, position_or_name(each), "--drop"): "" for each in choices.drop}
    if choices.target is not None:
        target = column_name(frame, position_or_name(choices.target), "--target")
        why = ""
        if target in dropped:
            raise DataError(f"--drop: '{target}' is the target")
    else:
        target, why = choose_target(frame, found, choices, set(dropped))
    reasons = {
        name: unfit_reason(each, CsvOptions.model_fields["max_categories"].default)
        for name, each in found.items() if name not in (target, *dropped)
    }  # fmt: skip
    dropped |= {name: reason for name, reason in reasons.items() if reason}
    inputs = [name for name in columns if name not in (target, *dropped)]
    if not inputs:  # numbers that count the rows are better than nothing
        inputs = [name for name, reason in reasons.items() if reason and found[name].numbers]
        dropped = {name: reason for name, reason in dropped.items() if name not in inputs}
    odd = [each for name in inputs for each in found[name].odd if found[name].numbers]
    if found[target].numbers and choices.task != "classification":
        odd += found[target].odd
    words = list(dict.fromkeys(each.text.strip() for each in odd))
    options = CsvOptions(
        name="csv", path=str(data), target=target, drop=list(dropped), missing=words,
        task=choices.task or "auto", header="auto" if table.named else False, encoding=reading.encoding,
    )  # fmt: skip
    spec, notes, obstacle = _tried(options)
    by_position = not table.named
    shown = {name: name if by_position else quote_yaml(name) for name in columns}
    if by_position and target == columns[-1]:
        shown[target] = "-1"
    comment = f"    # {why}; another column? its name or position" if why else ""
    lines = ["data:", "  name: csv", f"  path: {quote_yaml(path)}"]
    lines += reading_lines(table, reading)
    lines += [f"  target: {shown[target]}{comment}"]
    lines += [f"  task: {choices.task}"] * (choices.task is not None)
    lines += _drop_lines(dropped, shown)
    if words:
        lines.append(
            f"  missing: {flow_yaml(words)}    # no numbers: {_places(odd)}; correct them, or count as missing"
        )
    if obstacle:
        lines.append(f"  # 'nnzoo train' stops here: {_comment(obstacle)}")
    lines += [f"  # {_comment(note)}" for note in notes]
    about = _about(table, data, spec)
    terminal = [f"target: '{target}', {why} (--target NAME for another)"] if why else []
    left_out = [f"{name} ({reason})" if reason else name for name, reason in dropped.items()]
    if left_out:
        more = f" and {len(left_out) - 6} more" if len(left_out) > 6 else ""
        terminal.append(f"left out: {', '.join(left_out[:6])}{more}")
    if obstacle:
        terminal.append(obstacle)
    recipe = table_recipe(len(frame), len(inputs), spec.task if spec else "classification")
    return about, "\n".join(lines) + "\n" + _recipe_lines(recipe), terminal


def _recipe_lines(recipe: dict[str, Any]) -> str:
    lines = []
    for section, keys in recipe.items():
        lines += [f"{section}:", *(f"  {key}: {flow_yaml(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


# What a run of a table takes: as many steps whatever its size, in epochs within these bounds.
STEPS = 3000
EPOCHS = (10, 200)


def table_recipe(rows: int, columns: int, task: str) -> dict[str, Any]:
    """The model and its training for a table of so many rows and input columns.

    Chosen by `benchmarks/starter_tables.py` among twenty recipes on eighteen tables (docs/results.md):
    a higher learning rate with strong weight decay, larger batches and fewer epochs where rows are
    many, and a stop where validation no longer gains.
    """
    batch = 32 if rows < 3_000 else 64 if rows < 8_000 else 128 if rows < 20_000 else 256
    steps_per_epoch = max(1.0, 0.7 * rows / batch)
    epochs = max(EPOCHS[0], min(EPOCHS[1], round(STEPS / steps_per_epoch)))
    # Of fewer rows none may be left for validation.
    stop = {"early_stopping": {"patience": max(5, epochs // 4)}} if rows >= 20 else {}
    return {
        "model": {"name": "mlp", "hidden": [128, 64], "dropout": 0.1},
        "optim": {"name": "adamw", "lr": 4e-3, "weight_decay": 0.3, "schedule": "cosine",
                  "clip": {"norm": 1.0}},
        "train": {"epochs": epochs, "batch_size": batch, **stop},
    }  # fmt: skip


def _tried(options: CsvOptions) -> tuple[DataSpec | None, list[str], str]:
    """What reading the file with these options gives: the spec, notes, and why it cannot train."""
    from nnzoo.data.tables import load_csv

    try:
        dataset = load_csv(options)
    except DataError as error:
        return None, [], str(error)
    return dataset.spec, dataset.notes[1:], ""


def _drop_lines(dropped: dict[str, str], shown: dict[str, str]) -> list[str]:
    """The columns that are left out, each with its reason where they are not too many."""
    if not dropped:
        return []
    if len(dropped) > MAX_REASONS or not any(dropped.values()):
        return [f"  drop: [{', '.join(shown[name] for name in dropped)}]"]
    width = min(40, max(len(shown[name]) for name in dropped))
    rows = [
        f"    - {shown[name]:<{width}}  # {_comment(reason)}" if reason else f"    - {shown[name]}"
        for name, reason in dropped.items()
    ]
    return ["  drop:    # no inputs", *rows]


def _places(odd: list[Odd]) -> str:
    shown = [f"'{_comment(each.text)[:40]}' in data row {each.first}" for each in odd[:3]]
    return ", ".join(shown) + (f" and {len(odd) - 3} more" if len(odd) > 3 else "")


def _comment(text: str) -> str:
    """A text on one line of a comment: names and values come from the data."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def _about(table: Table, data: Path, spec: DataSpec | None) -> str:
    from nnzoo.data.columns.inputs import describe_counts

    rows = f"{data.name}: {len(table.frame):,} rows"
    if not spec:
        return f"{rows}, {len(table.frame.columns):,} columns."
    what = "a number"
    if spec.is_classification:
        labels = ", ".join(spec.labels[:6]) + (", …" if len(spec.labels) > 6 else "")
        what = f"{len(spec.labels)} classes ({labels})"
    return f"{rows}, {describe_counts(spec.columns)}; the target is {what}."
