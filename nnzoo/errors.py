"""Every error that a user can cause, one tree, with the exit code of each.

NnzooError            1   also what nnzoo itself got wrong
├── UsageError        2   the command line
├── ConfigError       2   a YAML file or --set; carries every fault found
├── DataError         3   files, columns, labels, pictures
├── DivergedError     4   loss or gradient is no longer a finite number
├── CheckpointError   5   a run folder or a .pt file
│   └── DamagedError  5   a .pt file that does not hold what was written
├── PluginError       6   another package's network or data source raised it
├── LostError         1   another process of a distributed run is gone
└── ToldError         *   another process tells it; ends with that one's exit code
"""

from __future__ import annotations

import errno
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from unicodedata import category

INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143
HUNG_UP = 129


# So many faults, and so much of a key, are shown; a file can be nothing but faults.
MAX_SHOWN = 100
MAX_PATH = 80
_UNUSUAL = re.compile(r"[^\n\t\x20-\x7e]")


def visible(text: str) -> str:
    r"""Text that came out of a file as a terminal may show it: what would steer that (escape sequences,
    carriage returns, marks that turn the direction of writing) is written out, as in "\x1b[2J".

    Lines stay lines, and spaces of all sorts and what joins letters of Arabic or Hindi stay too.
    """

    def written_out(match: re.Match[str]) -> str:
        each = match[0]
        harmless = each.isprintable() or each in "\u200c\u200d" or category(each) == "Zs"
        return each if harmless else ascii(each)[1:-1]

    return _UNUSUAL.sub(written_out, text)


class NnzooError(Exception):
    """One short message: what is wrong, where, and what to do."""

    exit_code = 1

    def locate(self, place: Callable[[str], str]) -> None:
        """Say where the config key that this error blames is written, once.

        place: from a dotted path to "cnn.yaml:7:3" or "--set".
        """

    def __str__(self) -> str:
        """Names and values come out of files: what would steer a terminal is written out."""
        return visible(super().__str__()).replace("\t", r"\t")


class UsageError(NnzooError):
    exit_code = 2


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a configuration.

    where: "cnn.yaml:7:3" (line and column from 1), "--set", or "" while it is not known;
    path: "model.channels".
    """

    where: str
    path: str
    message: str
    order: tuple[int, int] = (0, 0)


class ConfigError(NnzooError):
    """All faults of a configuration at once."""

    exit_code = 2

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        self.source = source
        self.faults = sorted(faults, key=lambda fault: fault.order)
        super().__init__(self._text())

    def _text(self) -> str:
        paths = [_cut(fault.path) for fault in self.faults[:MAX_SHOWN]]
        shown = list(zip(self.faults, paths, strict=False))
        where_width = max(len(fault.where or "config") for fault, _ in shown)
        path_width = max(map(len, paths))
        count = f"{len(self.faults)} problem{'s' if len(self.faults) != 1 else ''}"
        lines = [f"{self.source}: {count}"]
        lines += [
            f"  {fault.where or 'config':<{where_width}}  {path:<{path_width}}  {fault.message}"
            for fault, path in shown
        ]
        if len(self.faults) > MAX_SHOWN:
            lines.append(f"  and {len(self.faults) - MAX_SHOWN:,} more")
        return "\n".join(lines)

    def locate(self, place: Callable[[str], str]) -> None:
        if any(not fault.where for fault in self.faults):
            self.source = place("")
            self.faults = [
                fault if fault.where else replace(fault, where=place(fault.path))
                for fault in self.faults
            ]
            self.args = (self._text(),)

    @classmethod
    def at(cls, path: str, message: str) -> ConfigError:
        """One fault that shows only when the configuration meets the data; `locates_errors` says where."""
        return cls("configuration", [Fault("", path, message)])


def _cut(path: str) -> str:
    return path if len(path) <= MAX_PATH else f"{path[: MAX_PATH - 1]}…"


_KEY = re.compile(r"(data|model|optim|train)(\.[a-z0-9_]+)+")


class DataError(NnzooError):
    """Something wrong with the data; it gets the place in the file of the config key to blame.

    key: "data.target"; else the one that the message begins with, as in "data.target: no column 'knd'".
    """

    exit_code = 3

    def __init__(self, message: str = "", key: str = "") -> None:
        super().__init__(message)
        self.key = key

    def locate(self, place: Callable[[str], str]) -> None:
        key, _, message = str(self).partition(": ")
        if self.key:
            key, message, self.key = self.key, str(self), ""
        if _KEY.fullmatch(key):
            self.args = (f"{place(key)}  {key}  {message}",)


class DivergedError(NnzooError):
    exit_code = 4


class CheckpointError(NnzooError):
    exit_code = 5


class DamagedError(CheckpointError):
    """A file from before it may still be whole."""


class PluginError(NnzooError):
    exit_code = 6


class LostError(NnzooError):
    exit_code = 1


class ToldError(NnzooError):
    """Another process of this run has failed and says why: this one ends as it does, in silence."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


def shell_word(path: object) -> str:
    """A path as one word of a command to be pasted into a shell."""
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text
    if text.isprintable():
        return shlex.quote(text)
    # A line break would end a comment that shows the command.
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{''.join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped)}'"


# How torch says it on the CPU of Linux and macOS, on that of Windows, and on CUDA.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def first_line(error: Exception) -> str:
    """The first line of another library's message, or the error's type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def is_out_of_memory(error: Exception) -> bool:
    """Whether the memory that was asked for was not to be had, on the CPU or on a GPU."""
    if isinstance(error, OSError):  # of a file that is mapped
        return error.errno == errno.ENOMEM
    # By its words: on the CPU torch has no type for it, and to ask for CUDA's would import torch.
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    return told or isinstance(error, MemoryError)
