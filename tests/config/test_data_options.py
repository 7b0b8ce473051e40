"""Options of data: splits, preprocessing and files, and the values that they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nnzoo.config.data_options import (
    CsvOptions,
    ImageFolderOptions,
    SineOptions,
    TorchvisionOptions,
)
from nnzoo.config.preprocess_options import ScaleOptions
from nnzoo.config.split_options import RowSplit, ValSplit
from nnzoo.errors import DataError


def error_of(options: type[Any], **values: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        options.model_validate(values)
    return str(raised.value)


@pytest.mark.parametrize("value", [0, 0.5, 30])
def test_a_part_is_a_fraction_or_a_number_of_rows(value: float) -> None:
    assert RowSplit(val=value, test=value).test == value


@pytest.mark.parametrize("value", [-1, -0.1, 1.5, "half"])
def test_a_part_is_nothing_else(value: Any) -> None:
    assert "val" in error_of(RowSplit, val=value)


def test_a_fold_is_one_of_the_folds() -> None:
    assert ValSplit(folds=3, fold=3).fold == 3
    assert "needs 'folds'" in error_of(ValSplit, fold=2)
    assert "expected at most 3, which is 'folds', got 4" in error_of(ValSplit, folds=3, fold=4)
    assert "folds" in error_of(ValSplit, folds=1)


def test_whitening_needs_principal_components() -> None:
    assert ScaleOptions(pca=2, whiten=True).whiten
    assert "needs 'pca'" in error_of(ScaleOptions, whiten=True)


@pytest.mark.parametrize("delimiter", [";", "::", "\t+"])
def test_a_delimiter_has_one_to_three_characters(delimiter: str) -> None:
    options = CsvOptions(name="csv", path="t.csv", delimiter=delimiter)
    assert options.delimiter == delimiter


@pytest.mark.parametrize("delimiter", ["", "abcd", '"', "\n", "§"])
def test_a_delimiter_that_cannot_separate_is_refused(delimiter: str) -> None:
    assert "delimiter" in error_of(CsvOptions, name="csv", path="t.csv", delimiter=delimiter)


@pytest.mark.parametrize("encoding", ["auto", "utf-8", "cp1252", "UTF-16"])
def test_an_encoding_is_one_that_python_has(encoding: str) -> None:
    assert CsvOptions(name="csv", path="t.csv", encoding=encoding).encoding == encoding


@pytest.mark.parametrize("encoding", ["utf-7x", "base64", "rot13", "\0"])
def test_what_encodes_no_text_is_refused(encoding: str) -> None:
    text = error_of(CsvOptions, name="csv", path="t.csv", encoding=encoding)
    assert "expected auto or an encoding such as utf-8" in text


def test_a_date_format_is_an_order_or_a_form() -> None:
    for value in ("auto", "day_first", "%d.%m.%Y"):
        assert CsvOptions(name="csv", path="t.csv", date_format=value).date_format == value
    text = error_of(CsvOptions, name="csv", path="t.csv", date_format="dd.mm.yyyy")
    assert "or a form such as %d.%m.%Y" in text


def test_classes_of_a_folder_are_at_least_two() -> None:
    assert "classes" in error_of(ImageFolderOptions, name="image_folder", path="d", classes=["a"])


def test_defaults_are_not_shared_between_configs() -> None:
    one = CsvOptions(name="csv", path="a.csv")
    other = CsvOptions(name="csv", path="b.csv")
    one.missing.append("unknown")
    assert other.missing == [] and SineOptions(name="sine").split == SineOptions(name="sine").split


def test_downloaded_files_need_a_home_folder_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNZOO_DATA", "~nobody-of-this-name/data")
    with pytest.raises(DataError, match="NNZOO_DATA: there is no home folder"):
        _ = TorchvisionOptions(name="mnist").folder
    monkeypatch.setenv("NNZOO_DATA", "some/folder")
    assert str(TorchvisionOptions(name="mnist").folder) == "some/folder"
