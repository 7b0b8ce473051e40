"""The script for a machine with a GPU, on the emulated device and the CPU: so that nothing in it is a slip."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import cuda_cases

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def run_script(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """The script's JSON and its output."""
    command = [sys.executable, str(BENCHMARKS / "cuda.py"), "--json", "out.json", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads((folder / "out.json").read_text())
    return content, done.stdout


def test_checks_on_the_emulated_device(tmp_path: Path) -> None:
    content, output = run_script(tmp_path, "--device", "emulated", "--only", "stream,mlp on images")
    assert content["device"]["gpu"] == "Emulated 0"
    names = ["rows that stream", "mlp on images", "mlp on images, tf32"]
    assert list(content["results"]) == names
    assert all(result["problem"] == "" for result in content["results"].values())
    assert content["left_out"] == ["speed (an emulated device has none)"]
    assert f"{len(names)} of {len(names)} checks" in output


@pytest.mark.slow
def test_all_checks_on_the_emulated_device(tmp_path: Path) -> None:
    content, _ = run_script(tmp_path, "--device", "emulated")
    assert content["results"].keys() == {"rows that stream", *cuda_cases.all_settings()}
    assert "two processes on one device (not emulated)" in content["left_out"]


def test_speed_and_what_is_left_out_on_the_cpu(tmp_path: Path) -> None:
    options = ("--only", "gru on series", "--rows", "mlp", "--seconds", "0", "--epoch-rows", "256")
    content, output = run_script(tmp_path, "--device", "cpu", *options, "--data", "nowhere")
    speeds = content["steps_per_second"]["mlp"]
    assert speeds.keys() == {"fp32", "bf16"}
    assert all(speed > 0 for loops in speeds.values() for speed in loops.values())
    assert speeds["fp32"].keys() == {"torch", "nnzoo, eager"}
    assert "| mlp |" in output and "random images" in output
    short, _ = run_script(tmp_path, "--device", "cpu", *options, "--minutes", "0")
    assert short["results"] == {}
    assert "gru on series (no time)" in short["left_out"]
    assert "mlp fp32 torch (no time)" in short["left_out"]


def test_other_scripts_do_not_take_it_for_the_package_cuda() -> None:
    """torch looks for cuda.bindings, and scripts beside it are searched first."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import torch.cuda, mnist; print(mnist.__name__)"
    command = [sys.executable, "-c", code, str(BENCHMARKS)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "mnist\n"
