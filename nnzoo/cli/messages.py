"""Error messages and progress reports on stderr, as a terminal or a log shows them."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnzoo.errors import escape_controls
from nnzoo.status import Advance
from nnzoo.text import labeled, wrap_text

if TYPE_CHECKING:
    from rich.progress import Progress

    from nnzoo.errors import ConfigError

BOLD, RED, CYAN = "1", "31", "36"
# "  cnn.yaml:7:3  model.chanels  unknown key; …"
_PLACED = re.compile(r"( *)(\S.*?):(\d+):(\d+)(  +)(\S*)( *)(.*)")
# A quoted word, or the text up to a separator.
_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s:,\[\]{}]+|.")
MAX_QUOTED = 100


def show_error(message: str) -> None:
    """Write an error's message to stderr."""
    sys.stderr.write(f"{render(escape_controls(message), *_terminal())}\n")
    sys.stderr.flush()


def _terminal() -> tuple[int | None, bool]:
    """The columns of stderr, None unless it is a terminal; and whether it supports colors."""
    terminal = sys.stderr.isatty()
    color = (terminal and os.environ.get("TERM") != "dumb") or bool(os.environ.get("FORCE_COLOR"))
    return (
        shutil.get_terminal_size().columns if terminal else None,
        color and not os.environ.get("NO_COLOR"),
    )


def render(text: str, width: int | None = None, color: bool = False) -> str:
    """A message; below a line that begins with a place in a config the line of the file, with a mark
    under the word to blame. width: where lines are wrapped."""
    lines = []
    for line in text.split("\n"):
        match = _PLACED.fullmatch(line)
        if match is None:
            lines.append(line if width is None else wrap_text(line, width))
            continue
        file, key = f"{match[2]}:{match[3]}:{match[4]}", match[6]
        body = line
        if width is not None:  # columns would leave little room beside them
            body = wrap_text(f"{match[1]}{file}  {key}{'  ' * bool(key)}{match[8]}", width)
        if color:
            body = body.replace(file, _paint(file, CYAN), 1)
            body = body.replace(f"  {key}", f"  {_paint(key, BOLD)}", 1) if key else body
        lines.append(body)
        if not match[8].startswith("missing"):
            most = MAX_QUOTED if width is None else max(20, width - 10)
            lines += _quoted(match[2], (int(match[3]), int(match[4])), most, color)
    if color and len(lines) > 1:
        lines[0] = _paint(lines[0], BOLD)
    return "\n".join(lines)


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _quoted(source: str, position: tuple[int, int], most: int, color: bool) -> list[str]:
    """A line of a config, at most `most` characters of it, with a mark under the word at a position;
    empty if the file cannot be read."""
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
    quote = "".join(
        letter if letter.isprintable() else " " for letter in line[start : start + most]
    )
    end = min(word.end(), start + most) if word else column
    mark = " " * (column - 1 - start) + "^" * max(1, end - column + 1)
    head = f"{number:>7} | "
    return [f"{head}{quote}".rstrip(), f"{'':>7} | {_paint(mark, RED) if color else mark}"]


def issues(error: ConfigError) -> list[dict[str, Any]]:
    """The issues of a configuration as plain values, for `nnzoo check --json`."""
    rows = []
    for issue in error.issues:
        match = re.fullmatch(r"(.*):(\d+):(\d+)", issue.where)
        rows.append(
            {
                "file": match[1] if match else None if issue.where == "--set" else issue.where,
                "line": int(match[2]) if match else None,
                "column": int(match[3]) if match else None,
                "key": issue.path,
                "code": issue.code,
                "message": issue.message,
            }
        )
    return rows


# Seconds after which an operation is shown, on a terminal and in a log.
DELAYS = (0.3, 1.0)


class StatusDisplay:
    """A `nnzoo.status.Listener`. delays: in place of DELAYS."""

    def __init__(self, delays: tuple[float, float] | None = None) -> None:
        self.terminal = sys.stderr.isatty()
        self.delay = (delays or DELAYS)[0 if self.terminal else 1]
        self.lock = threading.RLock()
        self.progress: Progress | None = None
        self.num_tasks = 0

    def notice(self, text: str) -> None:
        text = escape_controls(labeled(text))
        with self.lock:
            if self.progress is not None:
                self.progress.console.print(text, markup=False, soft_wrap=True)
            else:
                sys.stderr.write(f"{text}\n")

    @contextmanager
    def status(self, text: str, total: int | None, log: bool) -> Iterator[Advance]:
        if not (log or self.terminal):
            yield lambda count: None
            return
        text = escape_controls(text)
        done = 0
        ended = False
        task = None

        def show() -> None:
            nonlocal task
            with self.lock:
                if ended:
                    return
                if not self.terminal:
                    sys.stderr.write(f"{text} …\n")
                    sys.stderr.flush()
                    return
                if self.progress is None:
                    self.progress = _progress()
                    self.progress.start()
                self.num_tasks += 1
                task = self.progress.add_task(text, total=total, completed=done)

        def advance(count: int) -> None:
            nonlocal done
            done = count
            if task is not None and self.progress is not None:
                self.progress.update(task, completed=count)

        # A thread of its own: the operation is often one long call.
        timer = threading.Timer(self.delay, show)
        timer.daemon = True
        timer.start()
        try:
            yield advance
        finally:
            timer.cancel()
            with self.lock:
                ended = True
                if task is not None and self.progress is not None:
                    self.progress.remove_task(task)
                    self.num_tasks -= 1
                    if not self.num_tasks:
                        self.progress.stop()
                        self.progress = None


def _progress() -> Progress:
    """A spinner and the text, with a bar and counts if there is a total."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Bar(BarColumn):
        def render(self, task: Task) -> Any:
            return Text("") if task.total is None else super().render(task)

    class Count(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.total is None else f"{task.completed:,.0f}/{task.total:,.0f}")

    text = Column(no_wrap=True, overflow="ellipsis")
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=text, markup=False),
        Bar(bar_width=20),
        Count(),
        console=Console(stderr=True, highlight=False),
        transient=True,
        refresh_per_second=8,
    )
