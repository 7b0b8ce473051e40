"""Groups of runs (folds, seeds): their rows, their summary, resuming, and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nnzoo.config.split_options import RowSplit, ValSplit
from nnzoo.data.row_split import split_rows
from nnzoo.errors import INTERRUPTED, CheckpointError, DataError
from nnzoo.runs import checkpoint, run_group
from nnzoo.runs.loaded_run import load_network
from nnzoo.runs.run_group import MemberOpened, aggregate, summary_stats
from tests.training.group_cases import CPU, far, group_of, last, train
from tests.zoo import config

pytestmark = pytest.mark.usefixtures("compiled")


@given(
    total=st.integers(20, 200),
    folds=st.integers(2, 8),
    test=st.floats(0.0, 0.3),
    counts=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_every_row_that_does_not_test_validates_in_exactly_one_fold(
    total: int, folds: int, test: float, counts: int, seed: int
) -> None:
    classes = np.random.default_rng(seed).integers(0, counts, total)
    plain = split_rows(total, RowSplit(test=test or 0, seed=seed), classes)
    validated = []
    for fold in range(1, folds + 1):
        split = RowSplit(test=test or 0, seed=seed, folds=folds, fold=fold)
        rows = split_rows(total, split, classes)
        assert list(rows) == ["train", "val", "test"]
        assert sorted(np.concatenate(list(rows.values()))) == list(range(total))
        assert np.array_equal(rows["test"], plain["test"])
        validated.append(rows["val"])
    sizes = [len(item) for item in validated]
    assert max(sizes) - min(sizes) <= 1
    together = np.concatenate(validated)
    assert len(set(together)) == len(together) == total - len(plain["test"])


@given(
    folds=st.integers(2, 6),
    rows_per_class=st.integers(12, 60),
    count=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_equal_classes_have_equal_fractions_of_each_fold(
    folds: int, rows_per_class: int, count: int, seed: int
) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(count), rows_per_class))
    for fold in range(1, folds + 1):
        split = ValSplit(seed=seed, folds=folds, fold=fold)
        rows = split_rows(len(classes), split, classes, test=False)
        assert list(rows) == ["train", "val"]
        got = np.bincount(classes[rows["val"]], minlength=count)
        assert np.abs(got - len(rows["val"]) / count).max() < 2


def test_more_folds_than_rows_are_refused() -> None:
    with pytest.raises(DataError, match="6 rows do not fill 7 parts"):
        split_rows(8, RowSplit(test=2, folds=7))


def test_folds_are_runs_of_their_own_with_one_summary(nnzoo: Any) -> None:
    words = ("train", "-c", "mlp_diabetes", "-s", "train.epochs=3", "-s", "model.hidden=[8]")
    result = nnzoo(*words, "--folds", 3, "--json")
    assert result.code == 0
    assert "3 folds, trained sequentially: each fold has other rows to train on" in result.err
    end = result.lines[-1]
    assert end["run_dir"] == "checkpoints/mlp_diabetes-3-folds"
    assert [member["fold"] for member in end["members"]] == [1, 2, 3]
    assert end["summary"]["val"]["rmse"]["n"] == end["summary"]["test"]["rmse"]["n"] == 3
    rows = 0
    for member in end["members"]:
        val = nnzoo("eval", member["run_dir"], "--split", "val", "--json").json
        rows += val["n"]
        assert val["rmse"] == pytest.approx(member["val"]["rmse"])
        assert nnzoo("eval", member["run_dir"], "--json").json["rmse"] == member["test"]["rmse"]
    test = nnzoo("eval", end["members"][0]["run_dir"], "--json").json["n"]
    assert rows + test == 442
    again = nnzoo(*words, "--folds", 3)
    assert again.code == 0 and again.err.count("is complete") == 3 and "epoch 1/3" not in again.err
    # One of them is an ordinary run of its config.
    local = nnzoo(
        *words,
        "-s",
        "data.split.folds=3",
        "-s",
        "data.split.fold=2",
        "-s",
        "name=fold-2",
        "--out",
        "checkpoints/mlp_diabetes-3-folds",
    )
    assert local.code == 0 and "is complete" in local.err


def test_what_is_fitted_is_fitted_on_the_rows_that_train(nnzoo: Any) -> None:
    nnzoo("train", "-c", "mlp_diabetes", "-s", "train.epochs=1", "--folds", 2, "--verbose", 0)
    folder = Path("checkpoints/mlp_diabetes-2-folds")
    shifts = [checkpoint.load(folder / f"fold-{i}" / "best.pt")["preprocess"] for i in (1, 2)]
    assert any(not (shifts[0][key] == shifts[1][key]).all() for key in shifts[0])


def test_a_series_has_no_folds(nnzoo: Any) -> None:
    for name in ("lstm_sine", "lstm_adding"):
        result = nnzoo("train", "-c", name, "--folds", 3)
        assert result.code == 2 and "--folds is for tables and images" in result.err


def test_images_with_a_validation_folder_have_no_folds(nnzoo: Any) -> None:
    for part in ("train", "val"):
        for label in ("a", "b"):
            Path(f"images/{part}/{label}").mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (8, 8), (i * 20, 0, 0)).save(f"images/{part}/{label}/{i}.png")
    Path("mine.yaml").write_text(
        "data: {name: image_folder, path: images, size: 8}\nmodel: {name: mlp, hidden: [4]}\n"
    )
    result = nnzoo("train", "-c", "mine.yaml", "--folds", 2)
    assert result.code == 3 and "have a file or folder of their own" in result.err


@pytest.mark.parametrize(
    "sets, message",
    [
        (["data.split.fold=2"], "needs 'folds'"),
        (
            ["data.split.folds=3", "data.split.fold=4"],
            "expected at most 3, which is 'folds', got 4",
        ),
        (["data.split.folds=1"], "expected a whole number of at least 2"),
    ],
)
def test_a_fold_is_one_of_the_folds(nnzoo: Any, sets: list[str], message: str) -> None:
    words = [word for item in sets for word in ("-s", item)]
    result = nnzoo("train", "-c", "mlp", *words)
    assert result.code == 2 and message in result.err


def test_a_group_is_reported_with_mean_std_and_interval(nnzoo: Any) -> None:
    words = ("train", "-c", "mlp", "-s", "model.hidden=[8]", "-s", "train.epochs=2")
    result = nnzoo(*words, "--seeds", 3, "--json")
    assert result.code == 0
    start, end = result.lines[0], result.lines[-1]
    assert start["event"] == "start" and start["run_dir"] == "checkpoints/mlp-seeds"
    epochs = [(line["seed"], line["epoch"]) for line in result.lines if line["event"] == "epoch"]
    assert sorted(epochs) == [(seed, epoch) for seed in range(3) for epoch in (1, 2)]
    assert json.loads(Path("checkpoints/mlp-seeds/summary.json").read_text()) == {
        key: end[key] for key in ("run_dir", "summary", "members")
    }
    accuracies = []
    for member in end["members"]:
        test = nnzoo("eval", member["run_dir"], "--json").json
        assert {k: v for k, v in test.items() if k not in ("run", "checkpoint")} == {
            k: v for k, v in member["test"].items() if k not in ("run", "checkpoint")
        }
        accuracies.append(test["accuracy"])
    messages = end["summary"]["test"]["accuracy"]
    assert messages == summary_stats(accuracies)
    assert messages["mean"] == pytest.approx(sum(accuracies) / 3)
    again = nnzoo(*words, "--seeds", 3)
    assert again.code == 0 and "is complete" in again.err and "epoch 1/2" not in again.err
    assert "95 % CI low" in again.out and "test_accuracy" in again.out
    assert "nnzoo predict checkpoints/mlp-seeds photos/" in again.out + again.err
    more = nnzoo(*words, "--seeds", 4, "--json")
    assert {line["seed"] for line in more.lines if line["event"] == "epoch"} == {3}
    assert more.lines[-1]["summary"]["test"]["accuracy"]["n"] == 4


def test_an_interval_stays_within_what_a_metric_can_be() -> None:
    results = [{"accuracy": 0.8, "r2": 0.5, "rmse": 0.1}, {"accuracy": 1.0, "r2": 1.0, "rmse": 3.0}]
    summary = aggregate(results)
    assert summary["accuracy"]["ci95"] == [0.0, 1.0]
    assert summary["r2"]["ci95"] == [pytest.approx(-2.4266, abs=1e-3), 1.0]
    assert summary["rmse"]["ci95"] == [0.0, pytest.approx(19.97, abs=1e-2)]


def test_the_interval_is_students() -> None:
    actual = summary_stats([1.0, 2.0, 3.0, 4.0])
    assert actual["mean"] == 2.5 and actual["std"] == pytest.approx(1.2909944487)
    # t of 3 degrees of freedom at 0.975 is 3.18244630528.
    assert actual["ci95"] == pytest.approx([2.5 - 2.0542602, 2.5 + 2.0542602], abs=1e-6)
    assert (actual["n"], actual["min"], actual["max"]) == (4, 1.0, 4.0)
    one = summary_stats([0.5])
    assert one["mean"] == 0.5 and one["std"] is None and one["ci95"] is None


def test_resume_and_fresh_speak_of_the_group(nnzoo: Any) -> None:
    words = ("train", "-c", "mlp", "-s", "model.hidden=[8]", "-s", "train.epochs=1", "--seeds", 2)
    refused = nnzoo(*words, "--resume", "must")
    assert refused.code == 5 and "no checkpoint in checkpoints/mlp-seeds" in refused.err
    assert nnzoo(*words).code == 0
    held = nnzoo(*words, "--resume", "never")
    assert held.code == 5 and "holds runs" in held.err
    other = nnzoo(*words, "-s", "optim.lr=0.5")
    assert other.code == 2 and "optim.lr" in other.err
    fresh = nnzoo(*words, "--fresh", "-s", "optim.lr=0.5")
    assert fresh.code == 0 and "the old run was moved to" in fresh.err
    assert len(list(Path("checkpoints/mlp-seeds").glob("seed-0.*"))) == 1


@pytest.mark.parametrize(
    "more, message",
    [
        (["--seeds", 1], "--seeds: expected 2 to 1,000, got 1"),
        (["--seeds", 2, "--folds", 2], "one at a time"),
    ],
)
def test_what_makes_no_sense_is_refused(nnzoo: Any, more: list[Any], message: str) -> None:
    result = nnzoo("train", "-c", "mlp", *more)
    assert result.code == 2 and message in result.err
    assert not Path("checkpoints").exists()


def test_torchrun_is_refused(nnzoo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    several_processes = SimpleNamespace(is_distributed=True, error_barrier=nullcontext)
    monkeypatch.setattr("nnzoo.cli.train.init_process_group", lambda: several_processes)
    result = nnzoo("train", "-c", "mlp", "--seeds", 2)
    assert result.code == 2 and "without torchrun" in result.err


def test_a_dry_run_of_a_group_is_one_of_its_members(nnzoo: Any) -> None:
    result = nnzoo("train", "-c", "mlp", "--seeds", 2, "--dry-run")
    assert result.code == 0 and "nothing written" in result.out
    assert not Path("checkpoints").exists()


def test_a_signal_saves_all_and_tells_the_command_that_goes_on(
    nnzoo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def at_once() -> Iterator[list[int]]:
        yield [INTERRUPTED]

    words = ("train", "-c", "mlp", "-s", "model.hidden=[8]", "-s", "train.epochs=1", "--seeds", 2)
    with monkeypatch.context() as patched:
        patched.setattr("nnzoo.cli.train.graceful_shutdown", at_once)
        result = nnzoo(*words, "--fresh")
    assert result.code == INTERRUPTED
    assert f"nnzoo {' '.join(map(str, words))}".replace("[8]", "") in result.err.replace(
        "'", ""
    ).replace("[8]", "")
    assert "--fresh" not in result.err.split("resume with")[1]
    messages = json.loads(Path("checkpoints/mlp-seeds/summary.json").read_text())
    assert messages["summary"]["complete"] == 0
    on = nnzoo(*words, "--verbose", 1)
    assert on.code == 0 and on.err.count("resumed") == 2


def test_a_group_locks_its_members(nnzoo: Any) -> None:
    run_config = config("mlp", "image")
    running = group_of(run_config).events(CPU)
    assert isinstance(next(running)[0], MemberOpened)
    with pytest.raises(CheckpointError, match="another process is training"):
        next(group_of(run_config).events(CPU))
    running.close()
    train(group_of(run_config))  # closed, they are free


def test_a_group_that_is_killed_goes_on(own_folder: Path) -> None:
    """SIGKILL in the middle: members may be at different steps, and what is complete stays."""
    words = [sys.executable, "-m", "nnzoo", "train", "-c", "mlp", "--seeds", "3", "--json"]
    for name in (
        "model.hidden=[8]",
        "train.epochs=8",
        "train.save_every=1 step",
        "train.threads=1",
        "train.precision=fp32",
        "data.augment=null",
    ):
        words += ["-s", name]
    environment = os.environ | {"PYTHONPATH": str(Path(run_group.__file__).parents[2])}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        messages = json.loads(line)
        if messages.get("epoch", 0) == 3:
            time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    run_config = load_network(Path("checkpoints/mlp-seeds/seed-0"), CPU)[0].config
    run_config = replace(run_config, name="mlp")
    group = group_of(run_config, out="checkpoints")
    steps = [last(group, i)["trainer"]["position"]["step"] for i in range(3)]
    assert min(steps) > 0 and max(steps) - min(steps) <= 1 and max(steps) < 8 * 20
    train(group)
    whole = group_of(run_config, out="whole")
    train(whole)
    for i in range(3):
        assert far(last(group, i)["model"], last(whole, i)["model"]) < 2e-6
        assert [row["epoch"] for row in group.members[i].folder.rows()] == list(range(1, 9))
