"""How a file or folder is seen as recordings: its form, and the roles of the columns of a table."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnzoo.data.columns.checks import name_words
from nnzoo.errors import DataError
from nnzoo.init_config.group import find_group, is_group_name
from nnzoo.text import Note, list_some, quoted_name

if TYPE_CHECKING:
    import pandas

_ID_WORDS = frozenset(
    [
        *("id", "ids", "uid", "uuid", "recording", "rec", "trial", "sample", "sequence", "seq"),
        *("segment", "case", "instance", "episode", "experiment", "exp", "run", "session", "file"),
        *(
            "series",
            "filename",
            "window",
            "clip",
            "gesture",
            "utterance",
            "beat",
            "trajectory",
            "track",
        ),
    ]
)
# Rows of a recording on average, and time steps of a row, below which a table stays a table.
MIN_STEPS = 3
MIN_WIDE = 20
MAX_ROWS_OF_WIDE = 1000
# Names of the columns of any table; time steps are called t0, step_1, 0, or after what is measured.
_FEATURE = re.compile(r"(?i)(x|v|f|var|variable|feat|feature|attr|attribute|col|column)[\W_]*\d+")
# Files beside a long table that may hold the targets.
MAX_BESIDE = 50


@dataclass(frozen=True)
class RecordingsPlan:
    """Keys of the section `data` beside `path`, each with a comment, and notes for the terminal."""

    keys: dict[str, tuple[object, str]]
    notes: list[str] = field(default_factory=list)


def file_in_folder(folder: Path) -> Path | None:
    """The training file of the one problem of the UCR/UEA archive in a folder; raises DataError where there
    are several."""
    files = [
        path for path in folder.iterdir() if re.search(r"(?i)_train\.(ts|tsv|arff)$", path.name)
    ]
    by_format = {
        suffix: [f for f in files if f.suffix == suffix] for suffix in (".ts", ".tsv", ".arff")
    }
    files = next((some for some in by_format.values() if some), [])
    if len(files) > 1:
        listed = list_some(sorted(path.name for path in files), 4, counted=True)
        raise DataError(
            f"{folder} has several problems ({listed}); give one of these files", code="E57"
        )
    return files[0] if files else None


def has_recordings(folder: Path) -> bool:
    """Whether a folder holds tables in class folders, more of them than images."""
    from nnzoo.data.image_files.tree import scan
    from nnzoo.data.recording_files.folder import scan_tables

    tree = scan_tables(str(folder))
    tables = sum(1 for below in tree.folders.values() for _ in below.walk())
    return tables > 1 and tables > scan(str(folder)).count()


def test_part_beside(path: Path) -> Path | None:
    """The file of the test part beside that of the training part, by its name."""

    def as_test(match: re.Match[str]) -> str:
        word = "test"
        return word.upper() if match[0].isupper() else word.title() if match[0].istitle() else word

    name = re.sub(r"(?i)train(?:ing)?(?![a-z])", as_test, path.name)
    other = path.with_name(name)
    return other if name != path.name and other.is_file() else None


def plan_wide(
    frame: pandas.DataFrame, path: Path, forced: bool, target: str | None
) -> RecordingsPlan | None:
    """A table with a recording per row, where it is one: many columns that are named like time steps, or not at
    all, whose values change little from one to the next. None for others."""
    from nnzoo.data.columns.values import ValueOptions
    from nnzoo.data.recording_files.columns import NumberColumns, TableOptions
    from nnzoo.data.recording_files.wide_table import plan_wide as roles_of_columns
    from nnzoo.data.table_files.table_io import ReadOptions, numbered

    named = not numbered(frame)
    sample = frame.iloc[:MAX_ROWS_OF_WIDE]
    options = TableOptions(ReadOptions(), target=target)
    plan = roles_of_columns(sample, str(path), options, named)
    steps = [name for channel in plan.steps for name in channel]
    count = len(plan.steps[0])
    if count < 2 or (
        not forced and (count < MIN_WIDE or len(steps) < 0.9 * (len(frame.columns) - 2))
    ):
        return None
    if not forced and named and not _is_numbered(steps):
        return None
    if not forced and named and len(plan.steps) == 1 and all(map(_FEATURE.fullmatch, steps)):
        return None
    try:
        numbers = NumberColumns(str(path), ValueOptions(), together=True)
        values = numbers.read(sample[steps]).reshape(len(sample), len(plan.steps), count)
    except DataError:
        if forced:
            raise
        return None
    if not forced and not _is_smooth(values):
        return None
    position = list(frame.columns).index(plan.target) if plan.target else 0
    value: object = plan.target if named else -1 if position == len(frame.columns) - 1 else position
    channels = f" of {len(plan.steps)} channels" if len(plan.steps) > 1 else ""
    text = f"read as recordings, a row each: {count:,} time steps{channels}"
    note = Note("N47", f"{text} (--table if columns are in no order)")
    keys = {"target": (value, "the first or last column; for another its name or position")}
    return RecordingsPlan(keys, [] if forced else [note])


def _is_numbered(names: list[str]) -> bool:
    """Whether all names have a number, and none is one of a pixel."""
    return all(re.search(r"\d", name) and not re.search(r"(?i)pix|px", name) for name in names)


def _is_smooth(values: np.ndarray) -> bool:
    """Whether neighboring time steps (rows, channels, time) are alike, and not whole numbers as pixels are."""
    known = values[np.isfinite(values)]
    if not len(known) or (known == np.round(known)).all():
        return False
    changes = np.diff(values, axis=-1)
    deviations = values - np.nanmean(values, axis=-1, keepdims=True)
    # Without any order the mean square of a change is twice the variance.
    return bool(np.nanmean(changes**2) < np.nanmean(deviations**2))


def plan_long(
    frame: pandas.DataFrame, path: Path, forced: bool, target: str | None
) -> RecordingsPlan | None:
    """A table with a time step per row, where a column tells recordings apart and another is constant within
    each; None for others."""
    names = [name for name in frame.columns if name != target]
    if len(frame) < 2 * MIN_STEPS:
        return None
    usual = [name for name in names if _is_id_name(name) or is_group_name(name)]
    usual.sort(key=lambda name: not _is_id_name(name))
    candidates = usual if usual or not forced else names
    candidates = [name for name in candidates if _may_be_id(frame[name])][:6]
    for count in (1, 2):
        for ids in combinations(candidates, count):
            if not any(_is_id_name(name) for name in ids) and not forced:
                continue
            plan = _with_ids(frame, path, list(ids), target)
            if plan is not None and (forced or not _is_panel(frame, plan)):
                return plan
    return None


def _is_panel(frame: pandas.DataFrame, plan: RecordingsPlan) -> bool:
    """Whether the rows are rather dated values of several series, such as the sales of shops, whose columns that are
    constant say what a series is of: the time is of the calendar, and no column is named like a target."""
    from nnzoo.data.columns.values import looks_numeric
    from nnzoo.data.recording_files.columns import named_target
    from nnzoo.data.timestamps.numeric import part_of

    time = plan.keys.get("time", (None, ""))[0]
    if time is None or (looks_numeric(frame[time]) and part_of(str(time)) is None):
        return False
    target = plan.keys.get("target", (None, ""))[0]
    return target is None or named_target([str(target)]) is None


def _is_id_name(name: str) -> bool:
    words = name_words(name)
    return bool(words) and (words[-1] in _ID_WORDS or words[0] in _ID_WORDS)


def _may_be_id(column: pandas.Series) -> bool:
    import pandas

    distinct = column.nunique()
    if not 2 <= distinct <= len(column) / 2 or column.isna().any():
        return False
    numbers = pandas.to_numeric(column, errors="coerce").dropna()
    return bool((numbers == numbers.round()).all())


def _with_ids(
    frame: pandas.DataFrame, path: Path, ids: list[str], asked: str | None
) -> RecordingsPlan | None:
    """The plan with some columns as the ids; None where they tell no recordings apart."""
    from nnzoo.data.columns.description import describe_columns
    from nnzoo.data.recording_files.columns import named_target, time_column

    grouped = frame.groupby(ids, sort=False)
    count = grouped.ngroups
    if len(frame) < MIN_STEPS * count or count < 2:
        return None
    codes = grouped.ngroup().to_numpy()
    rest = [name for name in frame.columns if name not in ids]
    time = time_column(frame, [name for name in rest if name != asked], codes)
    rest = [name for name in rest if name != time]
    constant = [name for name in rest if int(grouped[name].nunique(dropna=False).max()) == 1]
    if len(np.flatnonzero(np.diff(codes))) + 1 > count and _restarts(frame, codes, time):
        return None
    described = describe_columns(frame.iloc[:MAX_ROWS_OF_WIDE])
    channels = [name for name in rest if name not in constant and described[name].numbers]
    if not channels or (asked is not None and asked not in constant):
        return None
    firsts = grouped.head(1)
    group = find_group(firsts, [name for name in (*ids, *constant) if name != asked])
    usable = [name for name in constant if firsts[name].nunique() > 1]
    if len(usable) > 1 or asked is not None:
        usable = [name for name in usable if name != group]
    elif usable == [group]:  # there is nothing else to predict
        group = None
    target = (
        asked
        or named_target(usable)
        or next(
            (name for name in usable[::-1] if firsts[name].nunique() <= max(2, count // 2)), None
        )
    )
    targets_file = None if target is not None else _targets_beside(path, ids, firsts)
    named = any(map(_is_id_name, ids)) and time is not None
    if target is None and targets_file is None and not named:
        return None
    left_out = [name for name in rest if name not in (*channels, target, group)]
    columns = {"time": time, "target": target, "targets": targets_file, "group": group}
    return _long_plan(ids, columns, channels, left_out)


def _long_plan(
    ids: list[str], columns: dict[str, str | None], channels: list[str], left_out: list[str]
) -> RecordingsPlan:
    """The keys of a long table, with a comment each, and what is to be reported."""
    comments = {
        "time": "orders the steps of each",
        "target": "constant within each recording; --target NAME for another",
        "targets": "file with the target of each id",
        "group": "",
    }
    keys: dict[str, tuple[object, str]] = {
        "id": (ids[0] if len(ids) == 1 else ids, "tells recordings apart")
    }
    keys |= {key: (name, comments[key]) for key, name in columns.items() if name is not None}
    if left_out:
        keys["channels"] = (channels, "")
    notes: list[str] = [
        Note(
            "N47",
            f"read as recordings told apart by {' and '.join(map(quoted_name, ids))} (--table or --series for "
            "another reading)",
        )
    ]
    if left_out:
        text = (
            f"no channels: {list_some([quoted_name(name) for name in left_out], 6, counted=True)}"
        )
        notes.append(Note("N08", text))
    return RecordingsPlan(keys, notes)


def _restarts(frame: pandas.DataFrame, codes: np.ndarray, time: str | None) -> bool:
    """Whether ids that come back have times that they had before, as other recordings would."""
    if time is None:
        return True
    import pandas

    return bool(pandas.DataFrame({"id": codes, "time": frame[time].to_numpy()}).duplicated().any())


def _targets_beside(path: Path, ids: list[str], firsts: pandas.DataFrame) -> str | None:
    """The name of a file beside a long table that has each id once, and a further column."""
    from nnzoo.data.recording_files.folder import TABLES
    from nnzoo.data.table_files.table_io import ReadOptions, read_chunks

    known = set(map(tuple, firsts[ids].astype(str).to_numpy().tolist()))
    others = [p for p in sorted(path.parent.iterdir()) if p != path and TABLES.search(p.name)]
    for other in others[:MAX_BESIDE]:
        if not other.is_file() or other.stat().st_size > path.stat().st_size:
            continue
        try:
            frame = next(iter(read_chunks(str(other), ReadOptions(keep_words=True)))).frame
        except DataError:
            continue
        if not set(ids) < set(frame.columns):
            continue
        keys = set(map(tuple, frame[ids].astype(str).to_numpy().tolist()))
        if len(keys) == len(frame) and keys >= known:
            return os.path.relpath(other, path.parent)
    return None
