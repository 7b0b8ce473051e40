"""`nnzoo export`: what it writes and where, and refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def trained(nnzoo: Callable[..., Any]) -> Path:
    nnzoo("train", "--config", "mlp", "-s", "train.epochs=1", "-s", "model.hidden=[8]")
    return Path("checkpoints/mlp")


def test_the_command_names_the_file_and_how_well_it_agrees(
    nnzoo: Callable[..., Any], trained: Path
) -> None:
    result = nnzoo("export", trained)
    file = trained / "mlp.onnx"
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"{file} agrees with PyTorch to ")
    assert result.out.endswith(f"(batch 1 and 7); {file.stat().st_size:,} bytes\n")
    result = nnzoo("export", trained / "last.pt", "--json", "--format", "torch")
    assert result.json["file"] == str(trained / "mlp.pt2")
    assert result.json["bytes"] == (trained / "mlp.pt2").stat().st_size
    assert result.json["inputs"] == {"input": {"type": "uint8", "shape": ["batch", 1, 8, 8]}}
    assert result.json["outputs"]["probabilities"]["shape"] == ["batch", 10]
    result = nnzoo("export", trained, "--format", "state-dict", "--weights", "last")
    assert result.out.startswith(f"{trained / 'mlp.safetensors'} holds the weights, read back")


def test_another_file_is_written_over_only_where_that_is_asked_for(
    nnzoo: Callable[..., Any], trained: Path
) -> None:
    state = ("export", trained, "--format", "state-dict")
    assert nnzoo(*state).code == nnzoo(*state).code == 0
    Path("mine").write_text("mine")
    result = nnzoo(*state, "--out", "mine")
    assert (result.code, result.err) == (2, "mine exists; --force writes over it\n")
    assert Path("mine").read_text() == "mine"
    assert nnzoo(*state, "--out", "mine", "--force").code == 0
    Path("best.pt").write_bytes((trained / "best.pt").read_bytes())
    Path("mlp.safetensors").write_text("another's")
    result = nnzoo("export", "best.pt", "--format", "state-dict")
    assert (result.code, result.err) == (2, "mlp.safetensors exists; --force writes over it\n")
    result = nnzoo(*state, "--out", "nowhere/x")
    assert result.code == 2
    assert result.err == "--out: nowhere/x is not a file in a folder that exists\n"


def test_wrong_words_and_folders_are_reported(nnzoo: Callable[..., Any]) -> None:
    result = nnzoo("export", "x", "--format", "tflite")
    assert result.code == 2
    assert "'tflite' is not one of 'onnx', 'torch', 'state-dict'" in result.err
    assert nnzoo("export", "nothing.pt").code == 5


def test_nothing_of_the_exporters_reaches_the_terminal(trained: Path) -> None:
    command = [sys.executable, "-m", "nnzoo", "export", str(trained)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
