"""Another config or other data under the name of a run: refused naming the keys, or explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runs.cnn_runs import FAST

pytestmark = pytest.mark.usefixtures("compiled", "small_config")


def test_another_network_or_data_under_the_same_name_is_refused_naming_the_keys(
    nnzoo: Callable[..., Any],
) -> None:
    nnzoo("train", "--config", "cnn", *FAST)
    before = Path("checkpoints/cnn/last.pt").read_bytes()
    result = nnzoo(
        "train",
        "--config",
        "cnn",
        *FAST,
        "-s",
        "model.channels=[4,16]",
        "--seed",
        "5",
        "-s",
        "data.split.test=0.3",
    )
    assert result.code == 2
    assert (
        "checkpoints/cnn holds a run of another config. Train this one beside it: -s name=cnn-2;"
        in result.err
    )
    assert "model.channels: [4, 8] there, [4, 16] here" in result.err
    assert "seed: 0 there, 5 here" in result.err
    assert "data.split.test: 0.2 there, 0.3 here" in result.err
    assert "--fresh" in result.err
    assert Path("checkpoints/cnn/last.pt").read_bytes() == before


def test_changed_data_under_the_same_config_is_refused(nnzoo: Callable[..., Any]) -> None:
    def write(last: str) -> None:
        rows = [f"{i},{i % 7},{i * 0.5}" for i in range(60)]
        Path("d.csv").write_text("\n".join(["a,b,y", *rows[:-1], last]) + "\n")

    write("59,3,1.0")
    Path("t.yaml").write_text(
        "data: {name: csv, path: d.csv, task: regression}\nmodel: mlp\ntrain: {epochs: 1}\n"
    )
    assert nnzoo("train", "-c", "t.yaml").code == 0
    Path("moved").mkdir()
    Path("d.csv").rename("moved/d.csv")
    assert nnzoo("train", "-c", "t.yaml", "-s", "data.path=moved/d.csv").code == 0
    write("59,3,2.0")
    result = nnzoo("train", "-c", "t.yaml")
    assert result.code == 2
    assert "data: other rows or values there than here" in result.err


def test_other_labels_or_column_names_are_other_data(nnzoo: Callable[..., Any]) -> None:
    rows = "".join(f"{i % 7},{i % 5},{'uv'[i % 2]}\n" for i in range(60))
    Path("t.yaml").write_text("data: {name: csv, path: d.csv}\nmodel: mlp\ntrain: {epochs: 1}\n")
    Path("d.csv").write_text("a,b,y\n" + rows)
    assert nnzoo("train", "-c", "t.yaml").code == 0
    for text in ("a,c,y\n" + rows, "a,b,y\n" + rows.replace("u", "good").replace("v", "zbad")):
        Path("d.csv").write_text(text)
        result = nnzoo("train", "-c", "t.yaml", "-s", "train.epochs=2")
        assert result.code == 2
        assert "data: other rows or values there than here" in result.err
