"""A first configuration for a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.formatting import flow_yaml, quote_yaml
from nnzoo.config.split_options import GroupSplit
from nnzoo.errors import DataError
from nnzoo.init_config.config_text import (
    ConfigText,
    DataFile,
    comment_lines,
    join_sections,
    one_line,
)
from nnzoo.init_config.group import find_group, find_part, split_lines
from nnzoo.init_config.target import Choices, choose_target, position_or_name, unfit_reason
from nnzoo.text import Note, list_some

if TYPE_CHECKING:
    from nnzoo.data.columns.description import ColumnDescription
    from nnzoo.data.columns.number_format import OddText
    from nnzoo.data.data_spec import DataSpec

# So many columns that are left out have a line with the reason.
MAX_REASONS = 30
# A run of a table takes so many steps, or twice as many, whatever its size, in epochs within these bounds.
STEPS = 3000
EPOCHS = (10, 200)
# Below SMALL rows embeddings and the accuracy of few validation rows are more noise than use; from LARGE rows on
# embeddings of higher frequencies find thresholds, and fewer steps do.
SMALL, LARGE = 2_000, 10_000


def table_config(
    file: DataFile, columns: dict[str, ColumnDescription], choices: Choices
) -> ConfigText:
    """The configuration of a table.

    Also where it cannot train yet: comments say why. Raises DataError if a column that the caller
    named does not exist.
    """
    from nnzoo.data.columns.label_sets import looks_like_label_sets

    plan = _plan_columns(file, columns, choices)
    labels_note = ""
    if choices.task is None and looks_like_label_sets(file.table.frame[plan.targets[0]]):
        choices = replace(choices, task="multilabel")
        labels_note = Note(
            "N47", f"'{plan.targets[0]}' has several labels per row (--task for another reading)"
        )
    options = _options(file, plan, choices)
    group = find_group(file.table.frame, [*plan.inputs, *plan.reasoned_ids(columns)])
    reading = _try_reading(_with_group(options, group))
    refused_group = ""
    if group is not None and reading.refusal:
        refused_group, reading = reading.refusal, _try_reading(options)
    spec, notes, refusal = reading
    lines = file.head_lines("csv") + _column_lines(file, plan, list(columns), choices, spec)
    if not refusal:
        lines += split_lines(plan.part, group, refused_group)
    refused = [f"cannot train yet: {refusal}"] * bool(refusal)
    lines += comment_lines(refused + notes)
    recipe = _recipe_for(file, spec)
    lines += [f"  {key}: {flow_yaml(value)}" for key, value in recipe.pop("data").items()]
    notes = plan.notes() + [labels_note] * bool(labels_note) + refused
    return ConfigText(_about(file, spec), join_sections(lines, recipe), notes)


def _options(file: DataFile, plan: _ColumnPlan, choices: Choices) -> CsvOptions:
    """The options of a reading of the planned columns, without a group."""
    options = CsvOptions(
        name="csv",
        path=str(file.path),
        target=list(plan.targets) if len(plan.targets) > 1 else plan.targets[0],
        drop=list(plan.dropped),
        missing=plan.words,
        task=choices.task or "auto",
        header=file.header,
        encoding=file.reading.encoding,
    )
    if plan.part is None:
        return options
    return options.model_copy(update={"split": GroupSplit(column=plan.part)})


def _column_lines(
    file: DataFile, plan: _ColumnPlan, columns: list[str], choices: Choices, spec: DataSpec | None
) -> list[str]:
    """The lines `target`, `task`, `drop` and `missing`, as far as they are needed."""
    labels = {name: quote_yaml(name) if file.table.named else name for name in columns}
    if not file.table.named and plan.targets == [columns[-1]]:
        labels[plan.targets[0]] = "-1"
    comment = (
        f"    # {plan.reason}; for another column: its name or position" if plan.reason else ""
    )
    target = ", ".join(labels[name] for name in plan.targets)
    lines = [f"  target: {f'[{target}]' if len(plan.targets) > 1 else target}{comment}"]
    task = choices.task or (
        "multilabel" if spec is not None and spec.task == "multilabel" else None
    )
    lines += [f"  task: {task}"] * (task is not None)
    lines += _drop_lines(plan.dropped, labels)
    if plan.words:
        lines.append(
            f"  missing: {flow_yaml(plan.words)}    # not numbers: {_positions(plan.odd)}; correct them, or "
            "count as missing"
        )
    return lines


@dataclass(frozen=True)
class _ColumnPlan:
    """The targets, the inputs and the columns left out of a table. reason: why the target was chosen, empty if the
    caller has named it; dropped: column -> why, empty if the caller asked for it; odd: cells that are not numbers;
    part: the column that says the part of each row."""

    targets: list[str]
    reason: str
    inputs: list[str]
    dropped: dict[str, str]
    odd: list[OddText]
    part: str | None = None

    @property
    def words(self) -> list[str]:
        """The texts of the cells that are not numbers."""
        return list(dict.fromkeys(cell.text.strip() for cell in self.odd))

    def reasoned_ids(self, columns: dict[str, ColumnDescription]) -> list[str]:
        """The columns that are left out for what they hold, not because the caller asked for it."""
        return [name for name, why in self.dropped.items() if why and columns[name].role != "empty"]

    def notes(self) -> list[str]:
        """Lines for the terminal."""
        notes: list[str] = []
        if self.reason:
            text = f"target: '{self.targets[0]}', {self.reason} (--target NAME for another)"
            notes.append(Note("N01", text))
        if self.part is not None:
            notes.append(Note("N47", f"split: as the column '{self.part}' says"))
        if self.dropped:
            names = [f"{name} ({why})" if why else name for name, why in self.dropped.items()]
            notes.append(Note("N08", f"left out: {list_some(names, 6, counted=True)}"))
        return notes


def _plan_columns(
    file: DataFile, columns: dict[str, ColumnDescription], choices: Choices
) -> _ColumnPlan:
    from nnzoo.data.columns.values import column_name

    frame = file.table.frame
    dropped = {column_name(frame, position_or_name(name), "--drop"): "" for name in choices.drop}
    named = [column_name(frame, position_or_name(name), "--target") for name in choices.targets]
    targets, reason = list(dict.fromkeys(named)), ""
    if both := [name for name in targets if name in dropped]:
        raise DataError(
            f"--drop: '{both[0]}' is {'the' if len(targets) == 1 else 'a'} target", code="E57"
        )
    part = find_part(frame, [name for name in columns if name not in (*targets, *dropped)])
    no_target = {*dropped, *([] if part is None else [part])}
    if not targets:
        target, reason = choose_target(frame, columns, choices, no_target)
        targets = [target]
    max_categories = CsvOptions.model_fields["max_categories"].default
    unfit = {
        name: unfit_reason(column, max_categories)
        for name, column in columns.items()
        if name not in (*targets, *no_target)
    }
    dropped |= {name: why for name, why in unfit.items() if why}
    inputs = [name for name in columns if name not in (*targets, *no_target, *dropped)]
    if not inputs:  # numbers that count the rows are better than nothing
        inputs = [name for name, why in unfit.items() if why and columns[name].numbers]
        dropped = {name: why for name, why in dropped.items() if name not in inputs}
    read = [*inputs, *(targets if choices.task in (None, "regression") else [])]
    odd = [cell for name in read if columns[name].numbers for cell in columns[name].odd]
    return _ColumnPlan(targets, reason, inputs, dropped, odd, part)


def _recipe_for(file: DataFile, spec: DataSpec | None) -> dict[str, Any]:
    if spec is None:
        return table_recipe(len(file.table.frame), 0, "classification")
    numbers = sum(column.categories is None for column in spec.columns)
    return table_recipe(len(file.table.frame), numbers, spec.task)


def table_recipe(rows: int, numbers: int, task: str) -> dict[str, Any]:
    """The sections `data` (preprocessing alone), `model`, `optim` and `train` for a table of `rows` rows with `numbers`
    columns of numbers.

    Chosen on other tables than those of docs/benchmarks.md, by `benchmarks/starter_tables.py` and for the embeddings as
    docs/decisions reports: a high learning rate with strong weight decay, wider layers, larger batches and fewer epochs
    where rows are many, and a stop where validation no longer improves. With enough rows classes get embeddings of
    their numbers, and the epoch of the best accuracy; a smooth function of few numbers is learned better without.
    """
    hidden, lr = ([128, 64], 4e-3) if rows < SMALL else ([256, 128], 2e-3)
    batch = 32 if rows < 3_000 else 64 if rows < 8_000 else 128 if rows < 20_000 else 256
    is_classification = task == "classification" and rows >= SMALL
    steps = STEPS if rows < SMALL or (is_classification and rows >= LARGE) else 2 * STEPS
    steps_per_epoch = max(1.0, 0.7 * rows / batch)
    epochs = max(EPOCHS[0], min(EPOCHS[1], round(steps / steps_per_epoch)))
    data, model, train = {}, {"name": "mlp", "hidden": hidden, "dropout": 0.1}, {}
    if is_classification:
        train = {"label_smoothing": 0.1, "monitor": "val_accuracy"}
        std = 0.3
        if rows >= LARGE:
            model["dropout"], lr, std = 0.2, 1e-3, 1.0
        if numbers:
            data = {"preprocess": {"scale": "quantile"}}
            model["numeric_embedding"] = {"size": 8, "frequencies": 16, "std": std}
    # With fewer rows none may be left for validation.
    if rows >= 20:
        train["early_stopping"] = {"patience": max(5, epochs // 4)}
    return {
        "data": data,
        "model": model,
        "optim": {
            "name": "adamw",
            "lr": lr,
            "weight_decay": 0.3,
            "schedule": "cosine",
            "clip": {"norm": 1.0},
        },
        "train": {"epochs": epochs, "batch_size": batch, **train},
    }


class _Reading(NamedTuple):
    """The result of reading a file with the options that are to be written."""

    spec: DataSpec | None
    notes: list[str]
    refusal: str
    """Why no network can be trained on it; empty if one can."""


def _with_group(options: CsvOptions, group: str | None) -> CsvOptions:
    if group is None:
        return options
    return options.model_copy(update={"split": options.split.model_copy(update={"group": group})})


def _try_reading(options: CsvOptions) -> _Reading:
    from nnzoo.data.tables import load_csv

    try:
        dataset = load_csv(options)
    except DataError as error:
        return _Reading(None, [], str(error))
    # The first note counts the columns, which the config lists.
    return _Reading(dataset.spec, dataset.notes[1:], "")


def _drop_lines(dropped: dict[str, str], labels: dict[str, str]) -> list[str]:
    """The columns that are left out, each with its reason where they are not too many."""
    if not dropped:
        return []
    if len(dropped) > MAX_REASONS or not any(dropped.values()):
        return [f"  drop: [{', '.join(labels[name] for name in dropped)}]"]
    width = min(40, max(len(labels[name]) for name in dropped))
    lines = ["  drop:    # not used as inputs"]
    for name, reason in dropped.items():
        comment = f"  # {one_line(reason)}" if reason else ""
        lines.append(f"    - {labels[name]:<{width}}{comment}".rstrip())
    return lines


def _positions(odd: list[OddText]) -> str:
    cells = [f"'{one_line(cell.text)[:40]}' in data row {cell.first}" for cell in odd]
    return list_some(cells, 3, counted=True)


def _about(file: DataFile, spec: DataSpec | None) -> str:
    from nnzoo.data.columns.inputs import describe_counts

    rows = f"{file.path.name}: {len(file.table.frame):,} rows"
    if spec is None:
        return f"{rows}, {len(file.table.frame.columns):,} columns."
    target = "the target is a number"
    if spec.task == "multilabel":
        target = f"the target is {len(spec.labels)} labels ({list_some(spec.labels, 6)})"
    elif spec.is_classification:
        target = f"the target is {len(spec.labels)} classes ({list_some(spec.labels, 6)})"
    elif len(spec.targets) > 1:
        target = f"the targets are {len(spec.targets)} numbers ({list_some(spec.targets, 6)})"
    return f"{rows}, {describe_counts(spec.columns)}; {target}."
