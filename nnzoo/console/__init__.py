"""Output to a terminal, a pipe or a log: results on stdout, everything else on stderr."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text as _RichText

from nnzoo.config.formatting import to_json
from nnzoo.errors import escape_controls
from nnzoo.status import Advance
from nnzoo.text import labeled, wrap_text


class Text(_RichText):
    """The text of a table cell; what would steer the terminal is escaped, and counted in the width."""

    def __init__(self, text: str = "", style: str = "", **options: Any) -> None:
        super().__init__(escape_controls(text), style, **options)


class _Stream:
    """sys.stdout or sys.stderr; drops text other than results that cannot be written, because the terminal
    was closed or the disk with a log is full: a run need not end for it."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(getattr(sys, self.name), attribute)

    def write(self, text: str) -> None:
        self._attempt("write", text)

    def flush(self) -> None:
        self._attempt("flush")

    def _attempt(self, method: str, *arguments: str) -> None:
        try:
            getattr(getattr(sys, self.name), method)(*arguments)
        except BrokenPipeError:
            raise
        except OSError as error:
            if self.name == "stdout" and error.errno != errno.EIO:
                raise


class SafeConsole(Console):
    """rich's console, which escapes text that would steer the terminal, and raises BrokenPipeError
    instead of ending the process."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else escape_controls(segment.text)
            yield segment if text == segment.text else segment._replace(text=text)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def make_consoles(plain_width: int = 120) -> tuple[Console, Console]:
    """(stdout, stderr); plain_width: the width of a stream that is not a terminal."""

    def make(stderr: bool) -> Console:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else plain_width
        file: Any = _Stream("stderr" if stderr else "stdout")
        return SafeConsole(file=file, stderr=stderr, width=width, highlight=False, soft_wrap=False)

    return make(False), make(True)


@dataclass(frozen=True)
class Output:
    """The output of a command that trains: results on stdout, everything else on stderr.

    verbose: 0 silent, 1 live display, 2 lines; json: events as JSON lines on stdout.
    """

    stdout: Console
    stderr: Console
    verbose: int
    json: bool

    @classmethod
    def open(cls, verbose: int | None, json: bool) -> Output:
        """verbose None: live on a terminal, else lines."""
        stdout, stderr = make_consoles()
        if verbose is None:
            verbose = 1 if stderr.is_terminal and not json else 2
        return cls(stdout, stderr, verbose, json)

    def say(self, text: str, style: str = "") -> None:
        """Print text on stderr, wrapped at words, unless silent."""
        if self.verbose:
            print_text(self.stderr, text, style)

    def line(self, text: str, style: str = "") -> None:
        """Print text that may be a command on stderr as it is, unless silent."""
        if self.verbose:
            self.stderr.print(labeled(text), style=style, markup=False, soft_wrap=True)

    def event(self, name: str, **values: Any) -> None:
        """Write an event as a line of JSON, where JSON is asked for."""
        if self.json:
            print_json({"event": name, **values})


class LiveNotices:
    """A listener (`nnzoo.status`) beside a live display: prints notices above it, and drops other reports, since two
    live displays would overwrite each other."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def notice(self, text: str) -> None:
        print_text(self.console, text)

    @contextmanager
    def status(self, text: str, total: int | None, log: bool) -> Iterator[Advance]:
        yield lambda done: None


def print_json(value: Any) -> None:
    """Write an object as one line of JSON to stdout, and flush."""
    sys.stdout.write(to_json(value) + "\n")
    sys.stdout.flush()


def print_text(console: Console, text: str, style: str = "", hang: int = 2) -> None:
    """Print text, wrapped at words on a terminal; continuation lines are indented by `hang` columns."""
    text = labeled(text)
    lines = wrap_text(text, console.width, hang) if console.is_terminal else text
    console.print(lines, style=style, markup=False, soft_wrap=True)


def _as_text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def print_columns(
    console: Console,
    columns: Mapping[str, Sequence[str | Text]],
    drop: Sequence[str] = (),
    left: Sequence[str] = (),
    gap: int = 2,
) -> None:
    """Print a table; columns that do not fit the terminal are dropped and named, no cell is cut.

    columns: heading -> cells; drop: headings in the order in which they are dropped; left: left-aligned
    columns. The first column is wrapped if it alone is too wide. A file or a pipe gets every column.
    """
    texts = {name: list(map(_as_text, cells)) for name, cells in columns.items()}
    names = list(texts)
    heads = {name: escape_controls(name) for name in names}

    def width() -> int:
        total = -gap
        for name in names:
            head = max(map(len, heads[name].split("\n")))
            total += max([head, *(cell.cell_len for cell in texts[name])]) + gap
        return total

    if not console.is_terminal:
        console.width = max(console.width, width())
    if width() > console.width:
        heads = {name: escape_controls(name).replace(" ", "\n") for name in names}
    dropped = []
    for name in drop:
        if name in names and width() > console.width:
            names.remove(name)
            dropped.append(name)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for i, name in enumerate(names):
        side: Literal["left", "right"] = "left" if name in left else "right"
        is_wrapped = i == 0 and width() > console.width
        table.add_column(
            Text(heads[name]),
            justify=side,
            no_wrap=not is_wrapped,
            overflow="fold",
            vertical="bottom",
        )
    for row in zip(*(texts[name] for name in names), strict=True):
        table.add_row(*row)
    console.print(table)
    if dropped:
        text = f"no room here for: {', '.join(name for name in texts if name in dropped)}"
        console.print(text, style="dim", markup=False, soft_wrap=True)
