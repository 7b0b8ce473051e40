"""Wide tables whose rows end where a recording does: no header, the label first or last."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nnzoo.data.columns.labels import LabelIndex
from nnzoo.data.recording_files.recording import Recordings, RecordingsBuilder, Shaping
from nnzoo.data.recording_files.ts import with_gaps
from nnzoo.data.table_files.file_format import find_source
from nnzoo.data.table_files.text_encoding import TextLines, find_encoding
from nnzoo.errors import DataError
from nnzoo.text import Note

MIN_ROWS = 4
# A table in which so many rows have one width is one with a few broken rows.
MAX_FRACTION_OF_WIDTH = 0.6


def ragged_delimiter(lines: list[str]) -> str | None:
    """The delimiter of rows of many different lengths that are all numbers but for the first or last value; None
    where a text is no such table."""
    rows = [line.strip() for line in lines if line.strip()]
    if len(rows) < MIN_ROWS:
        return None
    for delimiter in (",", ";", "\t"):
        cells = [row.split(delimiter) for row in rows]
        widths = Counter(map(len, cells))
        several = len(widths) >= 3 and max(widths.values()) < MAX_FRACTION_OF_WIDTH * len(rows)
        inside = (cell for row in cells for cell in row[1:-1])
        if several and min(widths) >= 3 and all(map(_is_number, inside)):
            return delimiter
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def read_ragged(
    path: str,
    encoding: str,
    shaping: Shaping,
    target: str | int | None = None,
    labels: list[str] | None = None,
) -> Recordings:
    """Read rows of their own lengths.

    target: 0 where the label is first, -1 where it is last, None to see by the values. labels: those known, by which
    it is seen whether there is one at all. Raises DataError naming the line of what cannot be read.
    """
    source = find_source(Path(path), bounded=False)
    codec, notes = find_encoding(source, encoding)
    rows, delimiter = [], None
    lines = TextLines(source, codec)
    try:
        texts = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    finally:
        lines.close()
    delimiter = ragged_delimiter([text for _, text in texts]) or ","
    rows = [(number, text.split(delimiter)) for number, text in texts]
    place = _label_place([cells for _, cells in rows], target, labels)
    builder = RecordingsBuilder(path, shaping)
    builder.notes += notes
    if target is None and place is not None:
        where = "first" if place == 0 else "last"
        builder.notes.append(Note("N01", f"target: the {where} value of each row (data.target)"))
    for number, cells in rows:
        label = None if place is None else cells.pop(place).strip()
        if not cells:
            raise DataError.at("data.path", f"{path}:{number}: a row without values", code="E36")
        values = with_gaps(",".join(cells), f"{path}:{number}")
        count = len(builder.names) + 1
        builder.add(values[:, None], str(count), f"recording {count} (line {number})", label)
    return builder.build(target=str(place) if place is not None else "target")


def _label_place(
    rows: list[list[str]], target: str | int | None, labels: list[str] | None
) -> int | None:
    """The place of the label in each row: 0, -1, or None for none."""
    if str(target) in ("0", "-1"):
        return int(str(target))
    if target is not None:
        raise DataError.at(
            "data.target",
            f"rows of their own lengths have a target at 0 or -1, not '{target}'",
            code="E40",
        )
    for place in (0, -1):
        texts = {row[place].strip() for row in rows}
        if labels is not None:
            index = LabelIndex(labels)
            if all(index.code(text) >= 0 for text in texts):
                return place
        elif len(texts) <= max(2, len(rows) // 2) and all(_is_label(text) for text in texts):
            return place
    return None if labels is not None else -1


def _is_label(text: str) -> bool:
    return not _is_number(text) or float(text) == round(float(text))
