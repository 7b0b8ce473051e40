"""A loaded run: its weights, also from damaged folders, its data, and what is no run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nnzoo.errors import CheckpointError, DamagedError, DataError, UsageError
from nnzoo.runs.loaded_run import LoadedRun, load_network
from tests import zoo

CPU = torch.device("cpu")
# Modules that `nnzoo predict` of an image enters, beside those of the command line.
MAX_PREDICT_MODULES = 89


@pytest.fixture
def folder() -> Iterator[Path]:
    run = zoo.begin(zoo.config("mlp", "table_classes", train={"epochs": 3}))
    zoo.finish(run)
    yield run.folder.path


def test_the_best_or_the_last_weights_are_loaded(folder: Path) -> None:
    best, file, note = load_network(folder, CPU)
    assert (file, note) == (folder / "best.pt", "")
    assert load_network(folder, CPU, "last")[1] == folder / "last.pt"
    single = load_network(folder / "best.pt", CPU)[0]
    assert zoo.same(single.model.state_dict(), best.model.state_dict())


def test_a_damaged_file_is_replaced_by_another_one_with_a_note(folder: Path) -> None:
    best = load_network(folder, CPU)[0]
    (folder / "best.pt").write_bytes(b"x" * 100)
    network, file, note = load_network(folder, CPU)
    assert file == folder / "last.pt" and note.endswith(f"the best weights come from {file}")
    assert zoo.same(network.model.state_dict(), best.model.state_dict())
    (folder / "last.pt").write_bytes(b"x" * 100)
    _, file, note = load_network(folder, CPU, "last")
    assert file == folder / "previous.pt" and "going back to" in note
    (folder / "previous.pt").unlink()
    with pytest.raises((CheckpointError, DamagedError)):
        load_network(folder, CPU)


def test_what_is_no_run_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a folder of 1 runs; give one of them, as in"):
        load_network(folder.parent, CPU)
    with pytest.raises(CheckpointError, match=r"holds no best.pt; train first"):
        load_network(tmp_path, CPU)


def test_the_config_must_be_that_of_the_run(folder: Path) -> None:
    other = zoo.config("mlp", "table_classes", train={"epochs": 3}, seed=7)
    with pytest.raises(UsageError, match="was trained with another config"):
        LoadedRun.open(folder, CPU, config=other)


def test_data_is_read_when_it_is_used(folder: Path) -> None:
    run = LoadedRun.open(folder, CPU)
    assert "dataset" not in vars(run)
    result = run.measure("val")
    assert result["split"] == "val" and not run.data_changed and "data_changed" not in result
    x, y = run.raw("test", torch.tensor([0, 1]))
    assert len(x) == len(y) == 2
    with pytest.raises(DataError, match="no nothing split"):
        run.measure("nothing")


def test_data_that_has_moved_is_found_by_an_override() -> None:
    Path("t.csv").write_text("a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(60)))
    run = zoo.begin(zoo.config("mlp", {"name": "csv", "path": "t.csv"}))
    zoo.finish(run)
    Path("t.csv").rename("moved.csv")
    with pytest.raises(DataError, match=r"If the data has moved: --set data\.path=…"):
        _ = LoadedRun.open(run.folder.path, CPU).dataset
    moved = LoadedRun.open(run.folder.path, CPU, sets=["data.path=moved.csv"])
    assert not moved.data_changed


def test_commands_that_open_a_run_load_nothing_of_training() -> None:
    run = zoo.begin(zoo.config("mlp", "image"), "checkpoints")
    zoo.finish(run)
    folder = str(run.folder.path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("zero.png")
    commands = [
        ["predict", folder, "zero.png"],
        ["eval", folder],
        ["inspect", folder],
        ["report", folder],
        ["export", folder, "--format", "state-dict"],
    ]
    script = f"""
import sys
from nnzoo.cli import app
def loaded():
    return [n for n in sys.modules if n.startswith("nnzoo.") and not n.startswith("nnzoo.cli")]
for words in {commands!r}:
    try:
        app(words)
    except SystemExit as stop:
        assert not stop.code, (words, stop.code)
    assert not [n for n in loaded() if n.startswith("nnzoo.training")], words
    if words[0] == "predict":
        assert len(loaded()) <= {MAX_PREDICT_MODULES}, (len(loaded()), sorted(loaded()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
