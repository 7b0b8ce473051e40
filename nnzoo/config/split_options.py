"""Options of splits: which rows train, validate and test."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nnzoo.config.options import (
    Count,
    OpenFraction,
    Options,
    PositiveInt,
    field_error,
    option,
    sanity_limit,
)

Column = str | int


class ValSplit(Options):
    """Rows held out of the training rows, where the source has test rows of its own."""

    val: OpenFraction | Count = option(0.1, "for validation: a fraction, or a number of rows")
    stratify: bool = option(True, "keep the class proportions")
    seed: Count = option(0, "seed of the split; independent of the run's seed")
    folds: Annotated[int, Field(ge=2), sanity_limit(1000)] | None = option(
        None,
        "number of cross-validation folds made of the non-test rows; replaces `val`; 'nnzoo "
        "train --folds' trains a run for each",
    )
    fold: PositiveInt = option(1, "with folds: the fold that validates, from 1; the others train")

    @model_validator(mode="after")
    def _check_fold(self) -> Self:
        if self.folds is None and self.fold > 1:
            raise field_error("fold", "needs 'folds'")
        if self.folds is not None and self.fold > self.folds:
            raise field_error(
                "fold", f"expected at most {self.folds}, which is 'folds', got {self.fold}"
            )
        return self


class RowSplit(ValSplit):
    """Rows held out for validation and test, drawn at random."""

    test: OpenFraction | Count = option(0.2, "for testing: a fraction, or a number of rows")


class GroupSplit(RowSplit):
    """Rows held out for validation and test: at random, whole groups, by time, or as a column says."""

    group: Column | None = option(
        None,
        "column of the person, device or site of each row: none is on both sides of a split, or "
        "in two folds",
    )
    by: Column | None = option(
        None,
        "column of times or numbers: the rows with the latest test, those before them validate, the "
        "earliest train; with folds each validates on the rows that follow its training rows",
    )
    column: Column | None = option(
        None, "column that says of each row whether it is for train, val (validation, dev) or test"
    )
    duplicates: Literal["keep", "together", "drop"] = option(
        "keep",
        "rows whose inputs are equal; together: on one side of a split, as if they were a group; drop: the first "
        "stays, in training if it can",
    )

    @model_validator(mode="before")
    @classmethod
    def _order_decides(cls, values: Any) -> Any:
        """Switch `stratify` off where `by` is given, unless it is stated."""
        if isinstance(values, dict) and values.get("by") is not None:
            return {"stratify": False} | values
        return values

    @model_validator(mode="after")
    def _check_by(self) -> Self:
        if self.by is not None:
            if self.stratify:
                raise field_error(
                    "stratify", "not with 'by': the order in time decides, not the classes"
                )
            for key in ("group", "column"):
                if getattr(self, key) is not None:
                    raise field_error("by", f"not with '{key}': both would decide where a row goes")
        ordered = "by" if self.by is not None else "column" if self.column is not None else None
        if ordered and self.duplicates == "together":
            raise field_error(
                "duplicates", f"'together' is not for '{ordered}', which places each row; take drop"
            )
        return self


class TimeSplit(Options):
    """The earliest time steps train, the next validate, the latest test."""

    train: OpenFraction | PositiveInt | None = option(
        None, "a fraction, or a number of time steps; default: the rest"
    )
    val: OpenFraction | Count = option(0.1, "a fraction, or a number of time steps")
    test: OpenFraction | Count = option(0.2, "a fraction, or a number of time steps")
