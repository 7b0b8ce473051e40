"""Options of the section `eval`."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnzoo.config.load import load_config
from nnzoo.errors import ConfigError
from nnzoo.runs.config_diff import config_diff


def test_baselines_are_auto_none_or_names() -> None:
    for text in ("auto", "none", "[linear, boosted_trees]"):
        load_config("mlp", [f"eval.baselines={text}"])
    for text in ("[trees]", "linear"):
        with pytest.raises(ConfigError) as error:
            load_config("mlp", [f"eval.baselines={text}"])
        assert "seasonal_mean, linear, boosted_trees" in str(error.value)
        assert "or text" not in str(error.value)


def test_a_run_with_other_baselines_is_the_same_run(tmp_path: Path) -> None:
    before, after = load_config("mlp"), load_config("mlp", ["eval.baselines=none"])
    assert before != after and config_diff(before, after) == []
