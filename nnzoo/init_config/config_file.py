"""A first configuration for a file or a folder: images, recordings, texts, running text, a series or a table."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from nnzoo.config.formatting import quote_yaml
from nnzoo.config.options import NAME_PATTERN
from nnzoo.errors import DataError, UsageError, shell_word
from nnzoo.init_config.config_text import ConfigText, DataFile, one_line
from nnzoo.init_config.corpus import corpus_config, is_running_text
from nnzoo.init_config.find_recordings import (
    file_in_folder,
    has_recordings,
    plan_long,
    plan_wide,
)
from nnzoo.init_config.find_texts import has_texts, plan_texts
from nnzoo.init_config.images import images_config
from nnzoo.init_config.labeled_images import (
    find_labels_file,
    folder_of_images,
    labeled_config,
)
from nnzoo.init_config.recordings import recordings_config
from nnzoo.init_config.series import plan_series, series_config
from nnzoo.init_config.table import table_config
from nnzoo.init_config.target import Choices, position_or_name
from nnzoo.init_config.text import text_config
from nnzoo.text import Note


def init_config(
    data: Path, out: Path, choices: Choices = Choices(), schema: str = ""
) -> tuple[str, list[str]]:
    """A configuration as text, and notes on what was chosen.

    Paths below the folder of `out` are relative to it; schema: the JSON Schema's address for editors.
    Raises DataError if a file has no rows that can be read, or lacks a column of `choices`.
    """
    path = os.path.relpath(data.resolve(), out.resolve().parent)
    if path.startswith(".."):
        path = str(data.resolve())
    if choices.kind == "corpus" or (choices.kind is None and is_running_text(data)):
        made = corpus_config(data, path)
    elif data.is_dir():
        made = _folder_config(data, path, choices)
    else:
        made = _file_config(data, path, choices)
    name = ""
    if not re.fullmatch(NAME_PATTERN, out.stem):
        plain = re.sub("[^A-Za-z0-9]+", "-", out.stem).strip("-")[:100]
        name = f"name: {quote_yaml(plain or 'mine')}\n"
    editor = f"# yaml-language-server: $schema={schema}\n" if schema else ""
    command = f"nnzoo train --config {shell_word(out.stem)}"
    return f"{editor}# {one_line(made.about)}\n#   {command}\n{name}{made.sections}", made.notes


def _folder_config(folder: Path, config_path: str, choices: Choices) -> ConfigText:
    """The configuration of a folder of texts or recordings, if it has more of their files than images, else of
    images."""
    if (file := file_in_folder(folder)) is not None:
        made = _file_config(file, os.path.join(config_path, file.name), choices)
        return replace(
            made, notes=[Note("N47", f"path: {file.name}, the training part"), *made.notes]
        )
    labels = find_labels_file(folder) if choices.kind is None else None
    if labels is not None:
        return labeled_config(labels, folder, config_path, choices)
    if choices.targets or choices.task is not None:
        raise UsageError(
            f"--target and --task are for files and for images with a table of labels; {folder} has none of its images",
            code="E57",
        )
    if choices.kind == "text" or (choices.kind is None and has_texts(folder)):
        return text_config(folder, config_path, choices)
    if choices.kind == "recordings" or has_recordings(folder):
        return recordings_config(folder, config_path, choices)
    return images_config(folder, config_path)


def _file_config(path: Path, config_path: str, choices: Choices) -> ConfigText:
    """The configuration of texts, recordings or of a series where the file holds them, else of a table."""
    from nnzoo.data.columns.description import describe_columns
    from nnzoo.data.recording_files.forms import find_form
    from nnzoo.data.table_files.table_io import (
        QUOTES_NOTE,
        ReadOptions,
        read_with_fallback_encoding,
        without_stray_rows,
    )
    from nnzoo.data.text_files.documents import check_lines

    if find_form(str(path), has_ids=False) in ("ts", "arff", "ragged"):
        return recordings_config(path, config_path, choices)
    check_lines(str(path))
    asked = ReadOptions(keep_words=True, raw_quotes=True)
    table, reading = read_with_fallback_encoding(str(path), asked)
    file = DataFile(path, config_path, table, reading)
    made = None
    images = folder_of_images(table.frame, path) if choices.kind is None else None
    if images is not None:
        base = os.path.dirname(config_path)
        inner = os.path.normpath(os.path.join(base, os.path.relpath(images, path.parent)))
        return labeled_config(path, images, inner, choices)
    if len(choices.targets) > 1:
        choices = replace(choices, kind="table")
    if choices.kind in (None, "text"):
        texts = plan_texts(table.frame, path, choices)
        if texts is not None:
            made = text_config(path, config_path, choices, texts, file)
        elif QUOTES_NOTE in table.notes:  # which only texts are read with
            table, reading = read_with_fallback_encoding(str(path), ReadOptions(keep_words=True))
            file = DataFile(path, config_path, table, reading)
    if made is None and choices.kind in (None, "recordings"):
        made = _recordings_in_table(file, choices)
    if made is None and choices.kind != "table" and choices.task is None:
        made = _series_in_table(file, choices)
    if made is None:
        kept, strays = without_stray_rows(table.frame, table.named)
        table = replace(table, frame=kept, notes=[*table.notes, *strays])
        columns = describe_columns(table.frame)
        made = table_config(replace(file, table=table), columns, choices)
    return replace(made, notes=[*table.notes, *made.notes])


def _series_in_table(file: DataFile, choices: Choices) -> ConfigText | None:
    """The configuration of a series; None where a table holds none. Raises DataError where it was asked for."""
    from nnzoo.data.columns.values import column_name, mark_missing

    frame, forced = mark_missing(file.table.frame), choices.kind == "series"
    target = choices.target
    if target is not None:
        target = column_name(frame, position_or_name(target), "--target")
    drop = [column_name(frame, position_or_name(name), "--drop") for name in choices.drop]
    plan = plan_series(frame, file.path.name, target, drop, forced=forced)
    if plan is None and forced:
        raise DataError(f"{file.path}: --series: no column of numbers to forecast", code="E57")
    return None if plan is None else series_config(file, plan)


def _recordings_in_table(file: DataFile, choices: Choices) -> ConfigText | None:
    """The configuration of recordings in a long or a wide table; None where it holds none.

    Raises DataError where they were asked for.
    """
    from nnzoo.data.columns.values import column_name

    frame, forced = file.table.frame, choices.kind == "recordings"
    target = choices.target
    if target is not None:
        target = column_name(frame, position_or_name(target), "--target")
    drop = {column_name(frame, position_or_name(name), "--drop") for name in choices.drop}
    frame = frame[[name for name in frame.columns if name not in drop]]
    if len(frame.columns) < 2:
        return None
    plan = plan_long(frame, file.path, forced, target)
    if plan is None and not drop:
        plan = plan_wide(frame, file.path, forced, target)
    if plan is None and forced:
        raise DataError(
            f"{file.path}: --recordings: no column tells recordings apart, and no row is one",
            code="E57",
        )
    return (
        None
        if plan is None
        else recordings_config(file.path, file.config_path, choices, plan, file)
    )
