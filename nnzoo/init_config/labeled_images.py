"""A first configuration for images whose targets are in a table."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.config.formatting import flow_yaml, quote_yaml
from nnzoo.config.split_options import GroupSplit
from nnzoo.errors import DataError
from nnzoo.init_config.config_text import ConfigText, comment_lines
from nnzoo.init_config.group import find_group, group_lines
from nnzoo.init_config.images import image_sections
from nnzoo.init_config.target import Choices, choose_target, position_or_name
from nnzoo.text import Note, plural

if TYPE_CHECKING:
    import pandas

# Files and folders that are looked at, and names of each column.
MAX_TABLES, MAX_FOLDERS, SAMPLED = 5, 50, 12
TABLES = (".csv", ".tsv", ".parquet")


def find_labels_file(folder: Path) -> Path | None:
    """The table in a folder of images without class folders that names most of its images; None if there is none."""
    from nnzoo.data.image_files.folder import describe_folder
    from nnzoo.data.image_files.labels_file import ImageIndex, find_file_column
    from nnzoo.data.image_files.split_names import split_of_folder
    from nnzoo.data.table_files.table_io import ReadOptions, read_table

    names = (entry.name for entry in os.scandir(folder) if entry.is_file())
    tables = [name for name in names if os.path.splitext(name)[1].lower() in TABLES]
    tables.sort(
        key=lambda name: (split_of_folder(Path(name).stem) != "train", "label" not in name, name)
    )
    if not tables or not describe_folder(folder).issues:
        return None
    index = ImageIndex(str(folder), str(folder))
    for name in tables[:MAX_TABLES]:
        try:
            frame = read_table(str(folder / name), ReadOptions(keep_words=True)).frame
        except DataError:
            continue
        if len(frame.columns) > 1 and find_file_column(frame, index) is not None:
            return folder / name
    return None


def folder_of_images(frame: pandas.DataFrame, path: Path) -> Path | None:
    """The folder that a column of a table names images in: that of the table, or one in it; None if none does."""
    from nnzoo.data.columns.values import to_text
    from nnzoo.data.image_files.tree import EXTENSIONS

    parent = path.resolve().parent
    if len(frame.columns) < 2:
        return None
    columns = [to_text(frame[name]).dropna().unique()[:SAMPLED].tolist() for name in frame.columns]
    entries = islice((entry for entry in os.scandir(parent) if entry.is_dir()), MAX_FOLDERS)
    folders = [parent, *(Path(entry.path) for entry in sorted(entries, key=lambda one: one.name))]
    for texts in columns:
        # Names without extension may be any texts, and few are tried.
        named = any(text.strip().lower().endswith(EXTENSIONS) for text in texts)
        tried = texts if named else texts[:2]
        for folder in folders:
            there = [
                any(_is_file(folder, text.strip() + end) for end in ("", *EXTENSIONS))
                for text in tried
            ]
            if there and sum(there) > len(there) / 2:
                return folder
    return None


def _is_file(folder: Path, name: str) -> bool:
    try:
        return os.path.isfile(os.path.join(folder, name))
    except ValueError:  # a zero byte
        return False


def labeled_config(
    labels: Path, folder: Path, config_path: str, choices: Choices = Choices()
) -> ConfigText:
    """The configuration of the images that a table names; config_path: the folder as the config names it.

    Also where it cannot train yet: comments say why.
    """
    from nnzoo.data.columns.label_sets import looks_like_label_sets
    from nnzoo.data.columns.values import column_name
    from nnzoo.data.image_files.labels_file import describe_labeled, read_labels_file

    config_labels = os.path.join(config_path, os.path.relpath(labels.resolve(), folder.resolve()))
    values: dict[str, Any] = {"path": str(folder), "labels": str(labels)}
    rows = read_labels_file(ImageFolderOptions(name="image_folder", **values))
    others = [str(name) for name in rows.frame.columns if name != rows.column]
    named = [
        column_name(rows.frame, position_or_name(name), "--target") for name in choices.targets
    ]
    targets, reason = named, ""
    group = find_group(rows.frame, [name for name in others if name not in targets])
    if not targets:
        target, reason = _choose(rows.frame[[name for name in others if name != group]], choices)
        targets = [target]
    from_data = choices.task is None and looks_like_label_sets(rows.frame[targets[0]])
    task = "multilabel" if from_data else choices.task
    values |= {"file": rows.column, "target": targets if len(targets) > 1 else targets[0]}
    values |= {"task": task} if task else {}
    values |= {} if group is None else {"split": GroupSplit(group=group)}
    options = ImageFolderOptions(name="image_folder", **values)
    try:
        notes, refusal = describe_labeled(options), ""
    except DataError as error:
        notes, refusal = [], Note("N48", f"cannot train yet: {error}")
    head = [
        f"  path: {quote_yaml(config_path)}",
        f"  labels: {quote_yaml(os.path.normpath(config_labels))}",
    ]
    head.append(f"  file: {flow_yaml(rows.column)}    # the column that names the images")
    comment = f"    # {reason}; for another column: its name" if reason else ""
    head.append(f"  target: {flow_yaml(options.target)}{comment}")
    head += [f"  task: {task}"] * (task is not None)
    head += group_lines(group, "") if group is not None else []
    head += comment_lines([*notes, *[refusal] * bool(refusal)])
    chosen = f"target: '{targets[0]}', {reason} (--target NAME for another)"
    notes += [Note("N01", chosen)] * bool(reason)
    several = f"'{targets[0]}' has several labels per image (--task for another reading)"
    notes += [Note("N47", several)] * from_data
    notes += [refusal] * bool(refusal)
    about = f"{labels.name}: {plural(len(rows.files), 'image')}; {_what(targets)}."
    return ConfigText(about, image_sections(head, len(rows.files), rows.files, []), notes)


def _choose(frame: pandas.DataFrame, choices: Choices) -> tuple[str, str]:
    from nnzoo.data.columns.description import describe_columns

    if not len(frame.columns):
        raise DataError("the table has no column of targets beside the names of images", code="E57")
    return choose_target(frame, describe_columns(frame), choices, set())


def _what(targets: list[str]) -> str:
    names = ", ".join(f"'{name}'" for name in targets[:6])
    return f"the target is {names}" if len(targets) == 1 else f"the targets are {names}"
