"""The description of a data set that a network keeps: its inputs, columns, labels and targets.

A checkpoint stores it as plain values (`DataSpec.to_dict`), from which new data is read as the
training rows were. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from nnzoo.data.tokenizer import Tokenizer

InputKind = Literal["image", "table", "series", "tokens"]
TaskName = Literal["classification", "multilabel", "regression", "forecasting", "language_model"]
# Gray values of more than 8 bits are read as of so many, where the training images say no less.
GRAY_BITS = 16
MAX_UINT8 = 255


@dataclass(frozen=True)
class InputSpec:
    """The shape of one sample: image (channels, height, width), table (features,), series
    (time steps, features) or tokens (tokens, 1), of ids below `vocabulary`.

    variable_length: of a series or tokens, whether samples have time steps of their own number; the shape is
    that of the longest training sample. per_step: whether an output is asked for at each time step. category_sizes: of a
    preprocessed table, the number of one-hot columns of each column of categories, which are the last features.
    """

    kind: InputKind
    shape: tuple[int, ...]
    variable_length: bool = False
    vocabulary: int = 0
    per_step: bool = False
    category_sizes: tuple[int, ...] = ()

    def __str__(self) -> str:
        upto = "up to " if self.variable_length else ""
        if self.kind == "tokens":
            return f"{upto}{self.shape[0]} tokens of {self.vocabulary:,}"
        return f"{self.kind} {upto}{'×'.join(map(str, self.shape))}"

    @property
    def size(self) -> int:
        """The number of values in one sample."""
        return math.prod(self.shape)


COMPOUND_UNITS = ("seconds", "inches", "pounds", "ounces", "degrees", "first year")
"""Units in which values of several parts are read; columns/number_text.py has a reader for each."""


@dataclass(frozen=True)
class NumberFormat:
    """The notation of numbers in the texts of a column; the default is that of programs.

    thousands: the separators that are removed; unit: the text before or behind the numbers, in one
    spelling; compound: the unit in which values of several parts, such as 1:05:30 or 6'9", are read
    (`COMPOUND_UNITS`); missing: words of this column for a missing value, beside the usual ones.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    compound: str = ""
    missing: tuple[str, ...] = ()

    def to_spec(self) -> dict[str, Any]:
        """Plain values for a checkpoint: what differs from the default."""
        values = {"decimal": self.decimal, "thousands": self.thousands, "unit": self.unit}
        spec: dict[str, Any] = {
            key: value for key, value in values.items() if value != getattr(NumberFormat, key)
        }
        if self.compound == "seconds":  # as older checkpoints have it
            spec["duration"] = True
        elif self.compound:
            spec["compound"] = self.compound
        return spec | ({"missing": list(self.missing)} if self.missing else {})

    @classmethod
    def from_spec(cls, values: Any) -> NumberFormat:
        """The format of a checkpoint; raises TypeError where it holds something else."""
        if not isinstance(values, dict):
            raise TypeError("a number format that is none")
        values = dict(values)
        if values.pop("duration", False):
            values["compound"] = "seconds"
        missing = values.pop("missing", [])
        known = set(values) <= {"decimal", "thousands", "unit", "compound"}
        texts = [*values.values(), *missing]
        if not known or not all(isinstance(text, str) for text in texts):
            raise TypeError("a number format that is none")
        if values.get("compound", "") not in ("", *COMPOUND_UNITS):
            raise TypeError("a number format that is none")
        return cls(**values, missing=tuple(missing))


@dataclass(frozen=True)
class ColumnSpec:
    """An input column of a table or series.

    categories: the known ones, sorted; None for a column of numbers. missing: further words that
    count as missing in a column of categories. format: how numbers are written. fill: the value
    before the first known one of a series.
    """

    name: str
    categories: list[str] | None = None
    missing: list[str] = field(default_factory=list)
    format: NumberFormat = field(default_factory=NumberFormat)
    fill: float | None = None

    @cached_property
    def codes(self) -> dict[str, int]:
        """The code of each known category."""
        return {category: code for code, category in enumerate(self.categories or [])}

    def to_dict(self) -> dict[str, Any]:
        values: dict[str, Any] = {"name": self.name}
        if self.categories is not None:
            values["categories"] = list(self.categories)
        optional = {"missing": list(self.missing), "format": self.format.to_spec()}
        values |= {key: value for key, value in optional.items() if value}
        return values if self.fill is None else values | {"fill": self.fill}

    @classmethod
    def from_dict(cls, values: Any) -> ColumnSpec:
        """The column of stored values; raises TypeError where they have wrong types."""
        categories, fill = values.get("categories"), values.get("fill")
        return cls(
            _text(values["name"]),
            None if categories is None else _texts(categories),
            _texts(values.get("missing", [])),
            NumberFormat.from_spec(values.get("format", {})),
            None if fill is None else float(fill),
        )


@dataclass(frozen=True)
class DataSpec:
    """Everything that a network keeps of the data it is trained on.

    labels: the classes in order of their index, or the labels that a row can have; targets: the names of numeric targets, of which
    `horizon` time steps are predicted. columns: of tables and series. target, target_format: the
    target column of a table and how its numbers are written; target_columns: the same of several
    targets; header: True where a file has a
    header although its names look like positions; width: the number of columns of a table without
    names. bits: of gray values, max_pixel_value: of images that do not reach 255. extra: further
    plain values of a plugin. seasonal_period: time steps of a season, 0 for none.
    tokenizer: of text. balanced, fingerprint, num_rows (by split) are those of the training data, once it is read.
    """

    input: InputSpec
    task: TaskName
    labels: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    columns: list[ColumnSpec] = field(default_factory=list)
    horizon: int = 1
    target: str | None = None
    target_format: NumberFormat = field(default_factory=NumberFormat)
    header: bool | None = None
    width: int | None = None
    bits: int = GRAY_BITS
    max_pixel_value: int = MAX_UINT8
    extra: dict[str, Any] = field(default_factory=dict)
    seasonal_period: int = 0
    balanced: bool = False
    fingerprint: str = ""
    num_rows: dict[str, int] = field(default_factory=dict)
    tokenizer: Tokenizer | None = None
    target_columns: list[ColumnSpec] = field(default_factory=list)

    @property
    def is_classification(self) -> bool:
        return self.task == "classification"

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def target_names(self) -> list[str]:
        """The target columns of a table, in order; empty where the target is in no column."""
        if self.target is not None:
            return [self.target]
        return [column.name for column in self.target_columns]

    @property
    def target_formats(self) -> list[NumberFormat]:
        """How the numbers of each of `target_names` are written."""
        return [column.format for column in self.target_columns] or [self.target_format]

    @property
    def category_sizes(self) -> list[int]:
        """The number of categories of each column that has some, in order."""
        return [len(column.categories) for column in self.columns if column.categories is not None]

    def source_dict(self) -> dict[str, Any]:
        """The description by the source as plain values, without those at their defaults."""
        values = {
            "labels": list(self.labels),
            "targets": list(self.targets),
            "columns": [column.to_dict() for column in self.columns],
            "target_format": self.target_format.to_spec(),
            "target_columns": [column.to_dict() for column in self.target_columns],
        }
        values = {key: value for key, value in values.items() if value}
        optional = {"target": self.target, "header": self.header, "width": self.width}
        values |= {key: value for key, value in optional.items() if value is not None}
        if self.task == "forecasting" or self.horizon > 1:
            values["horizon"] = self.horizon
        if self.bits != GRAY_BITS:
            values["bits"] = self.bits
        if self.max_pixel_value != MAX_UINT8:
            values["levels"] = self.max_pixel_value
        if self.tokenizer is not None:
            values["tokenizer"] = self.tokenizer.to_dict()
        return self.extra | values | {"task": self.task}

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the form that checkpoints have had since the first version."""
        return {
            "kind": self.input.kind,
            "shape": list(self.input.shape),
            "task": self.task,
            "spec": self.source_dict(),
            "season": self.seasonal_period,
            "balanced": self.balanced,
            "fingerprint": self.fingerprint,
            "rows": dict(self.num_rows),
        } | ({"variable_length": True} if self.input.variable_length else {})

    @classmethod
    def from_dict(cls, values: Any) -> DataSpec:
        """The description that a checkpoint stores, which may be anyone's.

        Raises TypeError or KeyError where a value is missing or of a wrong type.
        """
        spec = dict(values["spec"])
        spec.pop("task", None)
        task = cast(TaskName, _text(values["task"]))
        target, width = spec.pop("target", None), spec.pop("width", None)
        tokenizer = _tokenizer(spec.pop("tokenizer", None))
        target_columns = _list(spec.pop("target_columns", []))
        built = cls(
            InputSpec(
                cast(InputKind, _text(values["kind"])),
                tuple(_counts(values["shape"])),
                values.get("variable_length", False) is True,
                0 if tokenizer is None else tokenizer.size,
                task == "language_model",
            ),
            task,
            _texts(spec.pop("labels", [])),
            _texts(spec.pop("targets", [])),
            [ColumnSpec.from_dict(column) for column in _list(spec.pop("columns", []))],
            _count(spec.pop("horizon", 1)),
            None if target is None else _text(target),
            NumberFormat.from_spec(spec.pop("target_format", {})),
            spec.pop("header", None),
            None if width is None else _count(width),
            _count(spec.pop("bits", GRAY_BITS)),
            _count(spec.pop("levels", MAX_UINT8)),
            spec,
            _count(values["season"]),
            bool(values["balanced"]),
            _text(values["fingerprint"]),
            {_text(split): _count(rows) for split, rows in values["rows"].items()},
            tokenizer,
            [ColumnSpec.from_dict(column) for column in target_columns],
        )
        if (built.input.kind == "tokens") != (tokenizer is not None):
            raise TypeError("tokens and a tokenizer go together")
        if built.task in ("classification", "multilabel") and not built.labels:
            raise TypeError("classes without labels")
        return built


def _tokenizer(value: Any) -> Tokenizer | None:
    if value is None:
        return None
    from nnzoo.data.tokenizer import Tokenizer

    return Tokenizer.from_dict(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _type_error(value)
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise _type_error(value)
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise _type_error(value)
    return value


def _texts(value: Any) -> list[str]:
    return [_text(item) for item in _list(value)]


def _counts(value: Any) -> list[int]:
    return [_count(item) for item in value]


def _type_error(value: Any) -> TypeError:
    return TypeError(f"the description of its data has {str(value)[:40]!r} in a wrong place")
