"""A configuration of a few lines of text, or its issues."""

from __future__ import annotations

import pytest

from nnzoo.config import RunConfig, yaml_parser
from nnzoo.config.load import parse
from nnzoo.errors import ConfigError

FIRST = "data: digits\nmodel: cnn\n"


def config(text: str, *overrides: str) -> RunConfig:
    return parse(yaml_parser.parse_yaml(text, "f.yaml"), "f.yaml", overrides, default_name="f")


def issues(text: str, *overrides: str) -> list[tuple[str, str, str]]:
    """(where, path, message) of each."""
    with pytest.raises(ConfigError) as caught:
        config(text, *overrides)
    return [(issue.where, issue.path, issue.message) for issue in caught.value.issues]


def message(line: str, *overrides: str) -> str:
    """The one message about a section that replaces the same one of a valid file."""
    section = line.partition(":")[0]
    kept = [row for row in FIRST.splitlines() if not row.startswith(f"{section}:")]
    (issue,) = issues("\n".join([*kept, line]), *overrides)
    return issue[2]
