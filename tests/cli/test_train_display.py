"""Hints of `train` before, during and after training: how to resume with a changed config, the meaning of
two numbers, over-fitting, the next commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnzoo.data.data_spec import DataSpec, InputSpec

Nnzoo = Callable[..., Any]


@pytest.fixture
def tiny() -> str:
    Path("tiny.yaml").write_text(
        "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: 1, early_stopping: null}\n"
    )
    return "tiny.yaml"


# A changed config.


def test_a_changed_config_says_in_its_first_line_how_to_go_on(nnzoo: Nnzoo, tiny: str) -> None:
    nnzoo("train", tiny)
    result = nnzoo(
        "train",
        tiny,
        "-s",
        "train.early_stopping.patience=3",
        "-s",
        "model.hidden=[5]",
        "-s",
        "optim.clip.norm=1",
    )
    assert result.code == 2
    first, *keys = result.err.splitlines()
    assert first == (
        "checkpoints/tiny holds a run of another config. Train this one beside it: -s name=tiny-2; "
        "or start over: --fresh (the old folder is kept)"
    )
    assert "  model.hidden: [4] there, [5] here" in keys
    assert "  optim.clip.norm: not set there, 1.0 here" in keys
    assert nnzoo("train", tiny, "-s", "model.hidden=[5]", "-s", "name=tiny-2").code == 0
    again = nnzoo("train", tiny, "-s", "model.hidden=[6]", "-s", "name=tiny-2")
    assert "-s name=tiny-3;" in again.err


def test_a_dry_run_is_not_refused_for_another_run(nnzoo: Nnzoo, tiny: str) -> None:
    nnzoo("train", tiny)
    result = nnzoo("train", tiny, "-s", "model.hidden=[5]", "--dry-run")
    assert (result.code, "checkpoint" in result.err) == (0, False)
    assert "one step taken, nothing written" in result.out


def test_a_run_folder_is_a_config_whose_run_is_resumed(nnzoo: Nnzoo, tiny: str) -> None:
    nnzoo("train", tiny, "--out", "elsewhere")
    for source in ("elsewhere/tiny", "elsewhere/tiny/config.yaml"):
        assert "elsewhere/tiny is complete" in nnzoo("train", source).err
    assert not Path("checkpoints").exists()


# Notes.


def test_two_sizes_in_two_layers_are_explained(nnzoo: Nnzoo) -> None:
    words = ("train", "cnn", "--dry-run", "-s", "model.kernel_size=[3,5]")
    assert (
        "model.kernel_size [3, 5] is one size per layer: 3×3, then 5×5; for height 3 and width 5 in "
        "both write [[3, 5], [3, 5]]\n"
    ) in nnzoo(*words).err
    for other in ("3", "[3,3]", "[[3,5],[3,5]]"):
        assert "one size per layer" not in nnzoo(*words[:-1], f"model.kernel_size={other}").err


def test_pca_says_how_much_variance_it_keeps(nnzoo: Nnzoo) -> None:
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    split = "data.split={val: 0, test: 1}"
    words = (
        "train",
        "mlp",
        "--dry-run",
        "-s",
        split,
        "-s",
        "data.augment=null",
        "-s",
        "train.monitor=auto",
        "-s",
        "train.early_stopping=null",
    )
    err = nnzoo(*words, "-s", "data.preprocess.pca=10").err
    kept = float(re.search(r"pca: 10 components of 64 keep (\S+)% of the variance", err)[1])  # type: ignore[index]
    ratio = PCA(10).fit(load_digits().data).explained_variance_ratio_.sum()
    assert kept == pytest.approx(100 * ratio, abs=0.2)  # of all rows but one
    fraction = nnzoo("check", "mlp", "-s", "data.preprocess.pca=0.95")
    assert "it is the number of components" in fraction.err


# The end.


def test_the_end_names_the_next_commands_and_what_the_star_is(nnzoo: Nnzoo, tiny: str) -> None:
    result = nnzoo("train", tiny, "-s", "name=my run".replace(" ", "-"))
    assert "; * = best so far by val_loss\n" in result.err
    for command in (
        "next: nnzoo report checkpoints/my-run",
        "nnzoo inspect checkpoints/my-run",
        "nnzoo predict checkpoints/my-run photos/",
    ):
        assert command in result.err
    end = nnzoo("train", tiny, "--json").lines[-1]
    assert end["event"] == "end" and isinstance(end["remarks"], list)


# Tables and the bar.


def test_the_commands_of_a_group_take_its_folder(tmp_path: Path) -> None:
    from nnzoo.cli.train_display import _group_commands

    table = DataSpec(InputSpec("table", (3,)), "regression")
    commands = [command for command, _ in _group_commands(tmp_path, table)]
    assert commands[1:] == [f"nnzoo report {tmp_path}", f"nnzoo predict {tmp_path} new.csv"]
    text = DataSpec(InputSpec("tokens", (8, 1)), "language_model")
    assert [c for c, _ in _group_commands(tmp_path, text)] == [f"nnzoo runs {tmp_path}"]
