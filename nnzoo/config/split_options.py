"""Options of splits: which rows train, validate and test."""

from __future__ import annotations

from typing import Annotated, Self

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
    """Rows held out for validation and test; with `group` those of one group stay together."""

    group: Column | None = option(
        None,
        "column of the person, device or site of each row: none is on both sides of a split, or "
        "in two folds",
    )


class TimeSplit(Options):
    """The earliest time steps train, the next validate, the latest test."""

    train: OpenFraction | PositiveInt | None = option(
        None, "a fraction, or a number of time steps; default: the rest"
    )
    val: OpenFraction | Count = option(0.1, "a fraction, or a number of time steps")
    test: OpenFraction | Count = option(0.2, "a fraction, or a number of time steps")
