"""Places of keys and values: file, line and column, or --set; locates issues and the values of a config."""

from __future__ import annotations

from itertools import takewhile

from nnzoo.config.yaml_parser import Document, Path, Position, dotted
from nnzoo.errors import ConfigIssue


class SourceMap:
    """Positions of the keys and values of one file, and the paths that --set has given.

    keys, values: path -> (line, column), from 1; source: the file, as messages call it.
    """

    def __init__(self, document: Document, source: str) -> None:
        self.source = source
        self.keys = dict(document.keys)
        self.values = dict(document.values)
        self.overrides: set[Path] = set()

    def forget(self, path: Path) -> None:
        """Drop the positions at a path and below, whose values have been replaced."""
        for table in (self.keys, self.values):
            for old in [old for old in table if old[: len(path)] == path]:
                del table[old]

    def record_override(self, path: Path, parsed: Document) -> None:
        """Note that --set gave the value at a path, in place of the file's."""
        self.forget(path)
        self.overrides = {old for old in self.overrides if old[: len(path)] != path}
        self.overrides |= {path, *(path + inner for inner in parsed.values)}

    def rename(self, old: Path, new: Path) -> None:
        """Follow a renamed key."""

        def renamed(path: Path) -> Path:
            return (*new, *path[len(old) :]) if path[: len(old)] == old else path

        self.keys = {renamed(path): position for path, position in self.keys.items()}
        self.values = {renamed(path): position for path, position in self.values.items()}
        self.overrides = {renamed(path) for path in self.overrides}

    def issue(
        self, path: Path, message: str, at_key: bool = False, code: str = "E13"
    ) -> ConfigIssue:
        """An issue with its place: of the value at a path or, with `at_key`, of its key."""
        where, position = self.locate(path, at_key)
        return ConfigIssue(where, dotted(path), message, position, code)

    def locate(self, path: Path, at_key: bool = False) -> tuple[str, Position]:
        """The place as text ("cnn.yaml:7:3" or "--set") and as (line, column)."""
        below = any(path[: len(override)] == override for override in self.overrides)
        above = any(override[: len(path)] == path for override in self.overrides)
        if below or (above and path not in self.values):
            return "--set", (0, 0)
        tables = [self.keys, self.values] if at_key else [self.values, self.keys]
        # A missing key has no place of its own: the section that should hold it is blamed.
        known = (
            table[path[:length]]
            for length in range(len(path), 0, -1)
            for table in tables
            if path[:length] in table
        )
        position = next(known, (1, 1))
        where = f"{self.source}:{position[0]}:{position[1]}" if self.values else self.source
        return where, position

    def origins(self) -> dict[str, Position | None]:
        """Dotted path -> position in the file, None for --set; a list with one item set counts as set."""
        origins: dict[str, Position | None] = {
            dotted(path): position for path, position in self.values.items() if path
        }
        names = {
            tuple(takewhile(lambda part: isinstance(part, str), path)) for path in self.overrides
        }
        return origins | {dotted(path): None for path in names}
