"""Tables of options: keys, defaults and meanings, and their lines in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nnzoo.config.option_tables import (
    align_options,
    first_paragraph,
    header_comment,
    option_table,
)
from nnzoo.config.options import Options, option


class Inner(Options):
    """An inner section."""

    size: int = option(3, "how many")
    kind: Literal["a", "b"] = option("a", "which")


class Outer(Options):
    """The first paragraph
    takes two lines.

    The second is left out.
    """

    name: Literal["outer"]
    path: str = option(..., "where")
    rate: float | None = option(None, "how fast")
    inner: Inner = option(Inner(size=5), "a section")
    other: Inner | None = option(None, "a section that may be missing")


def test_the_first_paragraph_is_one_line() -> None:
    assert first_paragraph(Outer) == "The first paragraph takes two lines."
    assert first_paragraph(Inner) == "An inner section."


def test_sections_are_dotted_and_have_the_defaults_of_their_place() -> None:
    rows = {key: (default, meaning) for key, default, meaning in option_table(Outer)}
    assert "name" not in rows, "it is the title of the table"
    assert rows["path"] == ("required", "where")
    assert rows["rate"] == ("null", "how fast")
    assert rows["inner.size"] == ("5", "how many")
    assert rows["inner.kind"] == ("a", "which (one of a, b)")
    assert rows["other"] == ("null", "a section that may be missing")
    assert rows["other.size"] == ("3", "how many")


def test_columns_are_aligned_and_meanings_wrapped_to_the_width() -> None:
    long = "words that do not fit into a single line of a narrow terminal"
    lines = align_options([("a", "1", "short"), ("bcd", "null", long), ("e", "2", "")], 60)
    assert lines[0] == "  a    1     short"
    assert lines[-1] == "  e    2"
    assert max(map(len, lines)) <= 60 and all(line.startswith(" " * 13) for line in lines[2:-1])
    assert " ".join(" ".join(lines[1:-1]).split()) == f"bcd null {long}"
    assert align_options([], 80) == []


def test_a_header_comment_ends_where_the_config_begins() -> None:
    Path("c.yaml").write_text("# One line.\n#\n#   indented\ndata: digits\n# behind\n")
    assert header_comment(Path("c.yaml")) == ["One line.", "", "  indented"]
    Path("c.yaml").write_text("data: digits\n")
    assert header_comment(Path("c.yaml")) == []
