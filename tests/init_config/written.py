"""Configs that `nnzoo init` writes, and recordings to write them for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnzoo.config.load import load_config
from tests.conftest import Result

NNZOO = Callable[..., Result]


def smooth_recordings(count: int = 30, steps: int = 30) -> list[Any]:
    """Recordings of one channel and one length, each a random walk."""
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(count, steps, 1)).cumsum(1).round(4)
    return [(walk, "abc"[i % 3]) for i, walk in enumerate(walks)]


def init(nnzoo: NNZOO, *words: str) -> tuple[Any, str]:
    """The options of section data that init writes, and its notes."""
    result = nnzoo("init", words[0], "made.yaml", *words[1:])
    assert result.code == 0, result.err
    return load_config("made").data, result.err
