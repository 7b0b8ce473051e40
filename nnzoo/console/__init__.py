"""Everything that is shown in a terminal: results to stdout, the rest to stderr."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text as _RichText

from nnzoo.config.formatting import to_json
from nnzoo.errors import visible
from nnzoo.text import wrap_text


class Text(_RichText):
    """Text of a table's cell, which may come out of a file: as wide as what is shown of it."""

    def __init__(self, text: str = "", style: str = "", **options: Any) -> None:
        super().__init__(visible(text), style, **options)


class _Stream:
    """sys.stdout or sys.stderr. What cannot be written because a terminal was closed or a disk with a
    log is full is dropped where it is not a result: a run need not end for it."""

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
    """rich's console. What it prints may come out of files and does not steer the terminal; it does not
    end the process when the reader of its output has gone."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else visible(segment.text)
            yield segment if shown == segment.text else segment._replace(text=shown)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def make_consoles(plain_width: int = 120) -> tuple[Console, Console]:
    """(stdout, stderr). Where the stream is no terminal, lines may be longer than 80."""

    def make(stderr: bool) -> Console:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else plain_width
        file: Any = _Stream("stderr" if stderr else "stdout")
        return SafeConsole(file=file, stderr=stderr, width=width, highlight=False, soft_wrap=False)

    return make(False), make(True)


@dataclass(frozen=True)
class Output:
    """What a command that takes a while writes to: results to stdout, the rest to stderr.

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
            self.stderr.print(text, style=style, markup=False, soft_wrap=True)

    def event(self, name: str, **values: Any) -> None:
        """Write an event as a line of JSON, where JSON is asked for."""
        if self.json:
            print_json({"event": name, **values})


def print_json(value: Any) -> None:
    """One JSON object on a line of stdout, at once."""
    sys.stdout.write(to_json(value) + "\n")
    sys.stdout.flush()


def print_text(console: Console, text: str, style: str = "", hang: int = 2) -> None:
    """Print text that may come out of files; a terminal gets it broken at words, with what follows
    indented by `hang` columns."""
    shown = wrap_text(text, console.width, hang) if console.is_terminal else text
    console.print(shown, style=style, markup=False, soft_wrap=True)


def print_columns(
    console: Console,
    columns: Mapping[str, Sequence[str | Text]],
    drop: Sequence[str] = (),
    left: Sequence[str] = (),
    gap: int = 2,
) -> None:
    """Print a table that fits a terminal by leaving columns out, and names those; no cell is cut.

    columns: heading -> cells; drop: headings in the order in which they are left out; left: columns
    aligned to the left. The first column is wrapped where it alone is too wide. A file or a pipe gets
    every column.
    """
    texts = {
        name: [cell if isinstance(cell, Text) else Text(cell) for cell in cells]
        for name, cells in columns.items()
    }
    names = list(texts)
    heads = {name: visible(name) for name in names}

    def width() -> int:
        widths = (
            max(
                *(len(part) for part in heads[name].split("\n")),
                *(cell.cell_len for cell in texts[name]),
                0,
            )
            for name in names
        )
        return sum(each + gap for each in widths) - gap

    if not console.is_terminal:
        console.width = max(console.width, width())
    if width() > console.width:
        heads = {name: visible(name).replace(" ", "\n") for name in names}
    left_out = []
    for name in drop:
        if name in names and width() > console.width:
            names.remove(name)
            left_out.append(name)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for i, name in enumerate(names):
        side: Literal["left", "right"] = "left" if name in left else "right"
        wrapped = i == 0 and width() > console.width
        table.add_column(
            Text(heads[name]), justify=side, no_wrap=not wrapped, overflow="fold", vertical="bottom"
        )
    for row in zip(*(texts[name] for name in names), strict=True):
        table.add_row(*row)
    console.print(table)
    if left_out:
        console.print(
            f"no room here for: {', '.join(name for name in texts if name in left_out)}",
            style="dim",
            markup=False,
            soft_wrap=True,
        )
