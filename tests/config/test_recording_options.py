"""Options of recordings: their defaults, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from nnzoo.config.recording_options import RecordingsOptions
from nnzoo.config.run_config import from_dict
from nnzoo.errors import ConfigError


def config(**data: Any) -> Any:
    return from_dict({"name": "run", "data": data, "model": "gru"}, "test")


def test_a_path_is_enough() -> None:
    data = config(name="recordings", path="x.ts").data
    assert isinstance(data, RecordingsOptions)
    assert (data.channels, data.preprocess.per, data.keep) == ("all", "channel", "start")
    assert (data.max_length, data.length, data.id, data.targets) == (None, None, None, None)
    assert config(name="recordings", path="x.csv", id=["person", "trial"]).data.id == [
        "person",
        "trial",
    ]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"name": "recordings"}, "data.path"),
        ({"name": "recordings", "path": "x.ts", "length": 0}, "data.length"),
        ({"name": "recordings", "path": "x.ts", "keep": "middle"}, "data.keep"),
        (
            {"name": "recordings", "path": "x.ts", "preprocess": {"per": "row"}},
            "data.preprocess.per",
        ),
        ({"name": "ucr", "problem": "../GunPoint"}, "data.problem"),
        ({"name": "ucr", "problem": "GunPoint", "split": {"test": 0.1}}, "data.split.test"),
        ({"name": "mnist1d", "train": 0}, "data.train"),
        ({"name": "mnist1d", "seed": 2**32}, "data.seed"),
        ({"name": "mnist1d", "split": {"test": 0.1}}, "data.split.test"),
    ],
)
def test_what_is_refused(data: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**data)
    (issue,) = caught.value.issues
    assert issue.path == path
