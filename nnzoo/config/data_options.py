"""Options of the section `data`: sources, splits, preprocessing and augmentation."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from nnzoo.config.options import (
    Count,
    NonNegative,
    Options,
    PixelCount,
    Positive,
    PositiveInt,
    Size,
    field_error,
    option,
    sanity_limit,
)
from nnzoo.config.preprocess_options import ScaleOptions, SeriesPreprocess, TablePreprocess
from nnzoo.config.split_options import Column, GroupSplit, RowSplit, TimeSplit, ValSplit
from nnzoo.errors import DataError, shell_word

# Keys of `data` that are paths; relative ones are relative to the config file.
PATH_KEYS = ("path", "test_path", "targets", "labels", "root")

Columns = Annotated[list[Column], Field(min_length=1)]
LabelSeparator = Literal["auto"] | Annotated[str, Field(min_length=1, max_length=3)]
Steps = Annotated[PositiveInt, sanity_limit(10_000_000)]


class AugmentOptions(Options):
    """Random changes of training images, drawn anew for each batch and done on the whole batch."""

    shift: PixelCount = option(0, "up to this many pixels in each direction")
    rotate: Annotated[float, Field(ge=0, le=180)] = option(0.0, "up to this many degrees")
    flip: Literal["none", "horizontal", "vertical", "both"] = option(
        "none", "mirror with probability one half"
    )
    crop: Annotated[float, Field(gt=0, le=1)] = option(
        1.0, "zoom into a random part with at least this fraction of each side"
    )
    erase: Annotated[float, Field(ge=0, le=1)] = option(
        0.0, "probability of blanking a random rectangle (2 to 20 % of the area)"
    )


class DataOptions(Options):
    name: str


class ImageOptions(DataOptions):
    preprocess: ScaleOptions = option(ScaleOptions(), "scale, pca, whiten")
    augment: AugmentOptions | None = option(None, "shift, rotate, flip, crop, erase")
    class_weights: Literal["none", "balanced"] = option(
        "none", "balanced: rare classes count as much as frequent ones in the loss"
    )


class TableOptions(DataOptions):
    preprocess: TablePreprocess = option(
        TablePreprocess(), "impute, scale, clip, pca, whiten, target"
    )
    class_weights: Literal["none", "balanced"] = option(
        "none", "balanced: rare classes count as much as frequent ones in the loss"
    )


class WindowOptions(DataOptions):
    preprocess: SeriesPreprocess = option(SeriesPreprocess(), "scale, pca, whiten, target")


class DigitsOptions(ImageOptions):
    """1,797 handwritten digits of 8x8 gray pixels (UCI, in scikit-learn's wheel)."""

    name: Literal["digits"]
    split: RowSplit = option(RowSplit(), "val, test, stratify, seed")


class BundledTableOptions(TableOptions):
    """A table from scikit-learn's wheel: iris, wine, breast_cancer (classes), diabetes (number)."""

    name: Literal["iris", "wine", "breast_cancer", "diabetes"]
    split: RowSplit = option(RowSplit(), "val, test, stratify, seed")


class DownloadedOptions(DataOptions):
    """Files that are downloaded into a folder when they are missing."""

    root: str | None = option(None, "folder of the files; default: NNZOO_DATA or ./data")
    _may_write: bool = PrivateAttr(True)
    _is_offline: bool = PrivateAttr(False)

    @property
    def folder(self) -> Path:
        """`root`, or NNZOO_DATA, or ./data; raises DataError if there is no home folder for its '~'."""
        try:
            return Path(self.root or os.environ.get("NNZOO_DATA") or "data").expanduser()
        except RuntimeError:
            raise DataError(
                "NNZOO_DATA: there is no home folder that '~' could stand for; write the whole path",
                code="E30",
            ) from None

    def check_download(self, name: str, download: bool, files: str = "") -> None:
        """Raise DataError unless `name` may be downloaded: nothing is to be, or only a config file names a folder
        elsewhere. files: what is missing."""
        missing = f"'{name}' is not in {self.folder}"
        if not download or self._is_offline:
            raise DataError.at(
                "data.root", f"{missing}; 'nnzoo train' downloads it{files}", code="E30"
            )
        if not self._may_write:
            raise DataError.at(
                "data.root",
                f"{missing}, and a config file names no folder to write to but its own and the working one; -s "
                f"data.root={shell_word(self.folder)} downloads it there",
                code="E30",
            )

    def offline(self) -> Self:
        """A copy for commands that never download, whatever the folder."""
        copy = self.model_copy()
        copy._is_offline = True
        return copy

    def without_download(self) -> Self:
        """A copy that never downloads."""
        copy = self.model_copy()
        copy._may_write = False
        return copy


class TorchvisionOptions(DownloadedOptions, ImageOptions):
    """A published image set read by torchvision; downloaded into `root` when missing."""

    name: Literal["mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "svhn", "usps"]
    split: ValSplit = option(ValSplit(), "val, stratify, seed")


class EmnistOptions(TorchvisionOptions):
    """EMNIST: handwritten letters and digits in six arrangements, read by torchvision."""

    name: Literal["emnist"]  # type: ignore[assignment]
    subset: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = option(
        "balanced", "which arrangement"
    )


def _check_delimiter(text: str) -> str:
    if len(text) > 3 or not text.isascii() or set(text) & set('"\r\n\0'):
        raise field_error(
            "", f"expected one to three ASCII characters, no quote or line end, got {text!r}"
        )
    return text


def _check_encoding(name: str) -> str:
    try:
        known = name == "auto" or getattr(codecs.lookup(name), "_is_text_encoding", True)
        codecs.getincrementaldecoder("ascii" if name == "auto" else name)
    except (LookupError, ValueError):
        known = False
    if not known:
        raise field_error(
            "", f"expected auto or an encoding such as utf-8, cp1252 or utf-16, got {name!r}"
        )
    return name


Delimiter = Annotated[str, Field(min_length=1), AfterValidator(_check_delimiter)]
Encoding = Annotated[str, Field(max_length=40), AfterValidator(_check_encoding)]


def _check_date_format(value: str) -> str:
    if value not in ("auto", "day_first", "month_first") and "%" not in value:
        raise field_error("", "expected auto, day_first, month_first, or a form such as %d.%m.%Y")
    return value


class ReadingOptions(Options):
    """How a file of columns is read: CSV (also packed with gzip or zip), Parquet or Excel."""

    header: Literal["auto"] | bool = option("auto", "whether the first row has the column names")
    delimiter: Literal["auto"] | Delimiter = option(
        "auto",
        "between values; ' ' is any run of blanks, '\\t+' one of tabs; auto: comma, semicolon, tab, "
        "pipe (`|`), or plainly blanks, runs of tabs or `::`",
    )
    encoding: Encoding = option(
        "auto",
        "of the text, such as utf-8 or cp1252; auto: UTF-8, or UTF-16 and UTF-32 by their mark",
    )
    skip_rows: Literal["auto"] | Count = option(
        "auto", "lines above the header; auto: skips a title or comments and reports them"
    )
    decimal: Literal["auto", ".", ","] = option(
        "auto", "decimal separator; auto: by the values of each column"
    )
    thousands: Literal["auto", "none", ",", ".", " ", "'"] = option(
        "auto", "thousands separator; auto: by the values of each column"
    )
    missing: list[str] = option([], "additional words for a missing value, such as unknown")
    date_format: Annotated[str, AfterValidator(_check_date_format)] = option(
        "auto",
        "of dates: day_first, month_first or as in strptime, such as %d.%m.%Y; auto: by the values",
    )


class PathOptions(DataOptions):
    path: str = option(..., "the file")


class FileOptions(ReadingOptions, PathOptions):
    """A file of columns, and how it is read."""


class LabeledImages(ReadingOptions):
    """Images whose targets are in a table, one row per image."""

    labels: str | None = option(
        None,
        "file of a table with the targets of the images, which then need no class folders: CSV or what csv reads",
    )
    file: Column | None = option(
        None,
        "with labels: column of the image files, with or without folder and extension; default: inferred",
    )
    target: Column | Columns | None = option(
        None,
        "with labels: column, or columns of numbers or of labels, to predict; default: by its name, else the only "
        "other column",
    )
    task: Literal["auto", "classification", "regression", "multilabel"] = option(
        "auto",
        "with labels: classes, numbers, or several labels per image; auto looks at the target",
    )
    label_separator: LabelSeparator = option(
        "auto", "with multilabel and one target column: between the labels of a cell"
    )
    weight: Column | None = option(
        None,
        "with labels: column of the weight of each image, from 0 on, in the loss and beside it in the metrics",
    )

    @model_validator(mode="after")
    def _need_labels(self) -> Self:
        stated = self.model_fields_set & {*LabeledImages.model_fields} - {"labels"}
        for key in sorted(stated) if self.labels is None else []:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise field_error(key, "is for images with a file of labels: set 'labels' too")
        return self


class ImageFolderOptions(LabeledImages, ImageOptions):
    """Your images: one folder per class, in train/, val/ and test/ where you have them; or a table of files and labels."""

    name: Literal["image_folder"]
    path: str = option(..., "the folder")
    size: Size = option(64, "images are resized to this, a number or [height, width]")
    color: bool = option(True, "three channels, or one (gray)")
    broken: Literal["stop", "skip"] = option(
        "stop", "for images that cannot be decoded: list them all and stop, or leave them out"
    )
    classes: Annotated[list[str], Field(min_length=2)] | None = option(
        None, "names of the class folders; default: all, unless they look like parts or masks"
    )
    preprocess: SeriesPreprocess = option(SeriesPreprocess(), "scale, pca, whiten, target")
    split: GroupSplit = option(
        GroupSplit(),
        "val, test, stratify, seed, duplicates, for the parts that have no folder; with labels also group, by, column",
    )

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if self.labels is not None and self.classes is not None:
            raise field_error(
                "classes", "is for class folders, and 'labels' names a file of labels"
            )
        return self


class CsvOptions(FileOptions, TableOptions):
    """Your table: CSV or Parquet, one row per sample."""

    name: Literal["csv"]
    test_path: str | None = option(None, "test rows in a file of their own")
    target: Column | Columns = option(
        -1,
        "name or position of the column to predict, or a list of columns of numbers or of labels",
    )
    task: Literal["auto", "classification", "regression", "multilabel"] = option(
        "auto",
        "classes, numbers, or several labels per row; auto looks at the target's training rows",
    )
    label_separator: LabelSeparator = option(
        "auto",
        "with multilabel and one target column: between the labels of a cell; auto: semicolon, pipe (`|`) or comma",
    )
    numbers: list[Column] = option([], "columns to read as numbers; others are inferred")
    categories: list[Column] = option([], "columns to read as categories")
    drop: list[Column] = option([], "columns to leave out")
    weight: Column | None = option(
        None,
        "column of the weight of each row, a number from 0 on, in the loss and beside it in the metrics",
    )
    max_categories: PositiveInt = option(
        100, "text columns with more distinct values are rejected instead of one-hot encoded"
    )
    split: GroupSplit = option(
        GroupSplit(), "val, test, stratify, seed, group, by, column, duplicates"
    )


class SeriesOptions(FileOptions, WindowOptions):
    """Your time series: a CSV or Parquet in order of time, cut into windows."""

    name: Literal["series"]
    time: Column | Columns | None = option(
        None, "column of dates, or columns: date and time, or year, month, …; default: inferred"
    )
    target: Column | Columns = option(-1, "column or columns to predict")
    covariates: Literal["none", "all"] | list[Column] = option(
        "none", "further columns that the network sees up to the present"
    )
    group: Column | Columns | None = option(
        None, "column, or columns, that identify the series (such as a shop)"
    )
    window: Steps = option(24, "past time steps the network sees (n_steps, look_back)")
    horizon: Steps = option(1, "future time steps it predicts at once (n_steps_out)")
    difference_from_last: bool = option(
        True,
        "the network sees and predicts differences from the last value of its window",
        formerly="relative",
    )
    season: Literal["auto"] | Count = option(
        "auto", "time steps of a season, for the baseline; auto: by the dates; 0: none"
    )
    split: TimeSplit = option(TimeSplit(), "train, val, test")


class SineOptions(WindowOptions):
    """A sine wave, generated: the usual first exercise of forecasting."""

    name: Literal["sine"]
    length: Steps = option(1000, "time steps")
    period: Annotated[Positive, sanity_limit(1e9)] = option(40.0, "time steps of one oscillation")
    amplitude: Positive = option(1.0, "height")
    noise: NonNegative = option(0.0, "standard deviation of added Gaussian noise")
    seed: Count = option(0, "seed of the noise")
    window: Steps = option(20, "past time steps the network sees (n_steps, look_back)")
    horizon: Steps = option(1, "future time steps it predicts at once (n_steps_out)")
    split: TimeSplit = option(TimeSplit(), "train, val, test")

    @model_validator(mode="after")
    def _check_period(self) -> SineOptions:
        if self.length / self.period > 1e12:
            raise field_error(
                "period", "too short: the phase of its last oscillations would be lost to rounding"
            )
        return self


MAX_TOTAL_STEPS = 100_000_000  # 32 bytes each while they are made


class AddingOptions(DataOptions):
    """The adding problem (Hochreiter & Schmidhuber 1997): add two marked numbers of a sequence."""

    name: Literal["adding"]
    length: Annotated[int, Field(ge=2), sanity_limit(MAX_TOTAL_STEPS)] = option(
        100, "time steps of a sequence"
    )
    train: PositiveInt = option(20000, "training sequences")
    val: Count = option(1000, "validation sequences")
    test: Count = option(1000, "test sequences")
    seed: Count = option(0, "seed of the sequences")
    preprocess: SeriesPreprocess = option(
        SeriesPreprocess(scale="none", target="none"), "scale, pca, whiten, target"
    )

    @model_validator(mode="after")
    def _check_total_steps(self) -> AddingOptions:
        steps = (self.train + self.val + self.test) * self.length
        if steps > MAX_TOTAL_STEPS:
            raise field_error(
                "train",
                f"{steps:,} time steps in all sequences together; at most {MAX_TOTAL_STEPS:,}",
            )
        return self
