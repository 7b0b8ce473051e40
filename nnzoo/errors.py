"""The errors that a user can cause, in one tree, with the exit code of each.

NnzooError            1   also internal errors
├── UsageError        2   the command line
├── ConfigError       2   a YAML file or --set; carries every issue found
├── DataError         3   files, columns, labels, images
├── DivergedError     4   loss or gradient is no longer a finite number
├── CheckpointError   5   a run folder or a .pt file
│   └── DamagedError  5   a .pt file that does not hold what was written
├── PluginError       6   another package's network or data source raised it
├── PeerLostError     1   another process of a distributed run is gone
└── PeerFailedError   *   another process reports the error; its exit code is taken over
"""

from __future__ import annotations

import errno
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Self
from unicodedata import category

from nnzoo.text import plural, shorten

INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143
HUNG_UP = 129

# Issues, and characters of a key, that are shown; a file can consist of nothing but issues.
MAX_SHOWN = 100
MAX_PATH = 80
_UNUSUAL = re.compile(r"[^\n\t\x20-\x7e]")
_CONFIG_KEY = re.compile(r"(data|model|optim|train|eval|sweep)\b")


def escape_controls(text: str) -> str:
    r"""Text from a file, made safe for a terminal: characters that would control it (escape sequences,
    carriage returns, marks that turn the writing direction) are escaped, as in "\x1b[2J".

    Line ends, spaces of all kinds and the joiners of Arabic or Hindi letters are kept.
    """

    def escape(match: re.Match[str]) -> str:
        char = match[0]
        harmless = char.isprintable() or char in "\u200c\u200d" or category(char) == "Zs"
        return char if harmless else ascii(char)[1:-1]

    return _UNUSUAL.sub(escape, text)


class NnzooError(Exception):
    """One short message: what is wrong, where, and what to do.

    key: the config key to blame, such as "data.target", until `locate` has put its place into the text;
    code: what `nnzoo explain` explains, such as "E31".
    """

    exit_code = 1
    key = ""
    code = "E90"

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code or self.code

    @classmethod
    def at(cls, key: str, message: str, code: str = "") -> Self:
        """An error that blames a config key, such as "data.target", or an argument, such as "--drop".

        A config key is left out of the text until `locate` names it with its place in the file.
        """
        if not _CONFIG_KEY.match(key):
            return cls(f"{key}: {message}", code)
        error = cls(message, code)
        error.key = key
        return error

    def locate(self, location: Callable[[str], str]) -> None:
        """Name the blamed key and its place in the text, once.

        location: maps a dotted path to "cnn.yaml:7:3", "--set" or the file.
        """
        if self.key:
            self.args = (f"{location(self.key)}  {self.key}  {self}",)
            self.key = ""

    def __str__(self) -> str:
        """The message made safe for a terminal, since names in it come from files."""
        return escape_controls(super().__str__()).replace("\t", r"\t")


class UsageError(NnzooError):
    exit_code = 2
    code = "E01"


@dataclass(frozen=True)
class ConfigIssue:
    """One thing wrong with a configuration.

    where: "cnn.yaml:7:3" (line and column from 1), "--set", or "" until it is located;
    path: "model.channels"; order: line and column, by which issues are sorted; code: of its kind.
    """

    where: str
    path: str
    message: str
    order: tuple[int, int] = (0, 0)
    code: str = "E10"


class ConfigError(NnzooError):
    """All issues of a configuration at once; its code is that of the first."""

    exit_code = 2
    code = "E10"

    def __init__(self, source: str, issues: Sequence[ConfigIssue]) -> None:
        self.source = source
        self.issues = sorted(issues, key=lambda issue: issue.order)
        super().__init__(self._text(), self.issues[0].code)

    @classmethod
    def at(cls, key: str, message: str, code: str = "E16") -> Self:
        """By default a value that is valid by itself, and does not fit the data or the network."""
        return cls("configuration", [ConfigIssue("", key, message, code=code)])

    def _text(self) -> str:
        rows = [
            (issue.where or "config", shorten(issue.path, MAX_PATH), issue.message)
            for issue in self.issues[:MAX_SHOWN]
        ]
        where_width = max(len(where) for where, _, _ in rows)
        path_width = max(len(path) for _, path, _ in rows)
        lines = [f"{self.source}: {plural(len(self.issues), 'problem')}"]
        lines += [
            f"  {where:<{where_width}}  {path:<{path_width}}  {text}" for where, path, text in rows
        ]
        if len(self.issues) > MAX_SHOWN:
            lines.append(f"  and {len(self.issues) - MAX_SHOWN:,} more")
        return "\n".join(lines)

    def locate(self, location: Callable[[str], str]) -> None:
        if any(not issue.where for issue in self.issues):
            self.source = location("")
            self.issues = [
                issue if issue.where else replace(issue, where=location(issue.path))
                for issue in self.issues
            ]
            self.args = (self._text(),)


class DataError(NnzooError):
    exit_code = 3
    code = "E59"


class DivergedError(NnzooError):
    exit_code = 4
    code = "E60"


class CheckpointError(NnzooError):
    exit_code = 5
    code = "E65"


class DamagedError(CheckpointError):
    """A file whose content is not what was written; an earlier one may be intact."""

    code = "E62"


class PluginError(NnzooError):
    exit_code = 6
    code = "E70"


class PeerLostError(NnzooError):
    exit_code = 1
    code = "E71"


class PeerFailedError(NnzooError):
    """Another rank has failed and reported it: this one exits silently with the same code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


def shell_word(path: object) -> str:
    """A path quoted as one word of a shell command."""
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text
    if text.isprintable():
        return shlex.quote(text)
    # A line break would end a comment that shows the command.
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{''.join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped)}'"


# torch's words for it on the CPU under Linux and macOS, under Windows, and on CUDA.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def first_line(error: Exception) -> str:
    """The first line of another library's message, or the error's type if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out, on the CPU or on a GPU."""
    if isinstance(error, OSError):  # raised by mmap
        return error.errno == errno.ENOMEM
    if isinstance(error, MemoryError):
        return True
    # Recognized by its words: on the CPU torch has no type for it, and CUDA's would import torch.
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def require(extra: str, feature: str, *packages: str) -> None:
    """Raise UsageError with the pip command if packages of an extra of nnzoo are not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{feature} needs {', '.join(missing)}: pip install 'nnzoo[{extra}]'", code="E05"
        )
