"""Error messages as a terminal shows them: places in colour, the line at fault quoted, wrapped at words."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.config.show import wrapped
from nnzoo.errors import visible

if TYPE_CHECKING:
    from nnzoo.errors import ConfigError

BOLD, RED, CYAN = "1", "31", "36"
# "  cnn.yaml:7:3  model.chanels  unknown key; …"
_PLACED = re.compile(r"( *)(\S.*?):(\d+):(\d+)(  +)(\S*)( *)(.*)")
# A word in quotes, or what stands up to a separator.
_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s:,\[\]{}]+|.")
MAX_QUOTED = 100


def show_error(message: str) -> None:
    """Write an error's message to stderr."""
    sys.stderr.write(f"{render(visible(message), *_terminal())}\n")
    sys.stderr.flush()


def _terminal() -> tuple[int | None, bool]:
    """Columns of stderr, None where it is no terminal; and whether it takes colours."""
    terminal = sys.stderr.isatty()
    color = (terminal and os.environ.get("TERM") != "dumb") or bool(os.environ.get("FORCE_COLOR"))
    return (
        shutil.get_terminal_size().columns if terminal else None,
        color and not os.environ.get("NO_COLOR"),
    )


def render(text: str, width: int | None = None, color: bool = False) -> str:
    """A message; below a line that begins with a place in a config the line of the file, with a mark
    under what is at fault. width: where lines are wrapped."""
    lines = []
    for line in text.split("\n"):
        place = _PLACED.fullmatch(line)
        if place is None:
            lines.append(line if width is None else wrapped(line, width))
            continue
        file, key = f"{place[2]}:{place[3]}:{place[4]}", place[6]
        body = line
        if width is not None:  # columns would leave little room beside them
            body = wrapped(f"{place[1]}{file}  {key}{'  ' * bool(key)}{place[8]}", width)
        if color:
            body = body.replace(file, _paint(file, CYAN), 1)
            body = body.replace(f"  {key}", f"  {_paint(key, BOLD)}", 1) if key else body
        lines.append(body)
        if not place[8].startswith("missing"):
            most = MAX_QUOTED if width is None else max(20, width - 10)
            lines += _quoted(place[2], (int(place[3]), int(place[4])), most, color)
    if color and len(lines) > 1:
        lines[0] = _paint(lines[0], BOLD)
    return "\n".join(lines)


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _quoted(source: str, position: tuple[int, int], most: int, color: bool) -> list[str]:
    """A line of a config, at most so many characters of it, with a mark under the word at a position;
    empty where the file cannot be read."""
    from nnzoo.config.load import source_file
    from nnzoo.config.yaml_parser import MAX_BYTES

    number, column = position
    try:
        with Path(source_file(source)).open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8-sig")
        line = text.splitlines()[number - 1]
    except (OSError, ValueError, IndexError):
        return []
    start = column - most // 2 if len(line) > most and column > most // 2 else 0
    word = _TOKEN.match(line, column - 1)
    shown = "".join(each if each.isprintable() else " " for each in line[start : start + most])
    end = min(word.end(), start + most) if word else column
    mark = " " * (column - 1 - start) + "^" * max(1, end - column + 1)
    head = f"{number:>7} | "
    return [f"{head}{shown}".rstrip(), f"{'':>7} | {_paint(mark, RED) if color else mark}"]


def issues(error: ConfigError) -> list[dict[str, Any]]:
    """The problems of a configuration as plain values, for `nnzoo check --json`."""
    found = []
    for fault in error.faults:
        place = re.fullmatch(r"(.*):(\d+):(\d+)", fault.where)
        found.append({
            "file": place[1] if place else None if fault.where == "--set" else fault.where,
            "line": int(place[2]) if place else None,
            "column": int(place[3]) if place else None,
            "key": fault.path,
            "message": fault.message,
        })  # fmt: skip
    return found
