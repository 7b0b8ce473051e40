"""Options of the sources of recordings: many sequences, each with a class or a number."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nnzoo.config.data_options import (
    Columns,
    DownloadedOptions,
    FileOptions,
    Steps,
    WindowOptions,
)
from nnzoo.config.options import NAME_PATTERN, Count, PositiveInt, option, sanity_limit
from nnzoo.config.preprocess_options import SeriesPreprocess
from nnzoo.config.split_options import Column, GroupSplit, ValSplit

Rows = Annotated[PositiveInt, sanity_limit(1_000_000)]


class RecordingsPreprocess(SeriesPreprocess):
    per: Literal["channel", "recording"] = option(
        "channel",
        "scale by the statistics of each channel over all training recordings, or of each recording "
        "by its own",
    )


class RecordingsShape(WindowOptions):
    """Changes of each recording before a network sees it, and options that all sources of recordings have."""

    preprocess: RecordingsPreprocess = option(
        RecordingsPreprocess(), "scale, per, pca, whiten, target"
    )
    class_weights: Literal["none", "balanced"] = option(
        "none", "balanced: rare classes count as much as frequent ones in the loss"
    )
    max_length: Steps | None = option(None, "time steps that are kept of a longer recording")
    keep: Literal["start", "end"] = option("start", "with max_length: which end of it is kept")
    length: Steps | None = option(
        None,
        "resample every recording to this many time steps by linear interpolation over its own span",
    )


class RecordingsOptions(FileOptions, RecordingsShape):
    """Your recordings, each a sequence with a class or a number: a folder per class, one long or wide table,
    .ts, .tsv or .arff."""

    name: Literal["recordings"]
    path: str = option(..., "the file, or a folder with a folder of CSV files per class")
    test_path: str | None = option(None, "test recordings in a file or folder of their own")
    channels: Literal["all"] | Columns = option(
        "all", "columns, or numbers of dimensions, that the network sees"
    )
    id: Column | Columns | None = option(
        None, "of a long table: column, or columns, that tell recordings apart"
    )
    time: Column | None = option(
        None, "column that orders the time steps of a recording; default: by its name, or none"
    )
    target: Column | None = option(
        None, "column to predict; default: by its name, else the last, of .tsv the first"
    )
    targets: str | None = option(
        None, "file with the target of each recording: a column as `id`, and `target`"
    )
    task: Literal["auto", "classification", "regression"] = option(
        "auto", "classes or a number; auto looks at the target"
    )
    weight: Column | None = option(
        None,
        "column of the weight of each recording, a number from 0 on, in the loss and beside it in the metrics",
    )
    split: GroupSplit = option(
        GroupSplit(),
        "val, test, stratify, seed, group, by, column, duplicates; for the parts that have no file or folder",
    )


class UcrOptions(DownloadedOptions, RecordingsShape):
    """A problem of the UCR/UEA archive (timeseriesclassification.com); downloaded into `root` when missing."""

    name: Literal["ucr"]
    problem: Annotated[str, Field(pattern=NAME_PATTERN)] = option(
        ..., "its name, such as JapaneseVowels or GunPoint"
    )
    split: ValSplit = option(
        ValSplit(), "val, stratify, seed; the archive's test part is the test split"
    )


class Mnist1dOptions(WindowOptions):
    """MNIST-1D (Greydanus & Kobak 2024), generated: curves of 40 values in ten classes, on which the networks differ
    far more than on MNIST."""

    name: Literal["mnist1d"]
    shuffle: bool = option(
        False, "permute the 40 positions, by one random permutation for all rows of all splits"
    )
    train: Rows = option(4000, "rows that train and validate")
    test: Rows = option(1000, "test rows")
    seed: Annotated[Count, Field(lt=2**32)] = option(
        42, "seed of the generator; with the other defaults 42 gives the published data set"
    )
    preprocess: SeriesPreprocess = option(
        SeriesPreprocess(scale="none"), "scale, pca, whiten, target"
    )
    split: ValSplit = option(ValSplit(), "val, stratify, seed")
