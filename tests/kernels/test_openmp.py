"""Fewer OpenMP threads than asked for: the same bits, in more time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nnzoo.kernels import build, openmp

pytestmark = pytest.mark.skipif(not build.available(), reason="needs a C compiler")


def test_openmp_is_found_under_a_path_with_spaces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = openmp._MAPS.read_text(errors="surrogateescape").splitlines()
    line = next(line for line in lines if os.path.basename(line).startswith("libgomp"))
    path = "/" + line.partition("/")[2]
    other = tmp_path / "a b  c" / "libgomp.so.1"
    other.parent.mkdir()
    other.symlink_to(path)
    maps = tmp_path / "maps"
    maps.write_text(line.replace(path, str(other)) + "\n")
    monkeypatch.setattr(openmp, "_MAPS", maps)
    assert openmp.runtime.__wrapped__() is not None


PROGRAM = """
import json, sys, threading
import torch
from torch import nn
from nnzoo.models.fused import FusedSequential
from nnzoo.models.layers import Conv2d, Linear
from nnzoo.models.recurrent_layers import GRU, LSTM
from nnzoo.kernels import openmp
from nnzoo.device import ALL_THREADS

openmp.use_threads(2)
torch.manual_seed(0)
outputs, sums = [], []
models = {
    "mlp": (FusedSequential(Linear(784, 512), nn.ReLU(), Linear(512, 10)), torch.randn(128, 784)),
    "cnn": (FusedSequential(Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), Conv2d(16, 32, 3), nn.MaxPool2d(2)),
            torch.randn(16, 1, 14, 14)),
    "lstm": (LSTM(28, 64, batch_first=True), torch.randn(64, 9, 28)),
    "gru": (GRU(28, 128, batch_first=True), torch.randn(64, 9, 28)),
}

def forward(name):
    model, x = models[name]
    y = model(x)
    return y[0] if isinstance(y, tuple) else y

for name, (model, x) in models.items():
    model.train()
    for _ in range(2):
        model.zero_grad()
        forward(name).square().mean().backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
    sums.append([float(p.double().sum()) for p in model.parameters()])
    model.eval()

def evaluate(to):
    openmp.fit_threads()  # as a network does
    for precise in (True, False):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            for name, (model, _) in models.items():
                if hasattr(model, "use_native"):
                    for use in (True, False):
                        model.use_native = use
                        to += forward(name).flatten()[::97].double().tolist()
                else:
                    to += forward(name).flatten()[::97].double().tolist()

evaluate(outputs)
torch.set_num_threads(2)  # as a program around may
others = [[], []]
workers = [threading.Thread(target=evaluate, args=(values,)) for values in others]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
print(json.dumps({"sums": sums, "outputs": outputs, "others": others, "all": ALL_THREADS,
                  "team": openmp.team_size(2)}))
"""


def run(cache: Path, **variables: str) -> dict[str, Any]:
    variables["NNZOO_CACHE"] = str(cache)
    env = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")} | variables
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=False,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, native_folder: Path) -> Path:
    """A cache folder with what other tests have compiled."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "native").symlink_to(native_folder)
    return folder


@pytest.fixture(scope="module")
def normal(cache: Path) -> dict[str, Any]:
    return run(cache)


@pytest.mark.parametrize(
    "variables",
    [
        {"OMP_THREAD_LIMIT": "1"},
        {"OMP_DYNAMIC": "true"},
        {"OMP_MAX_ACTIVE_LEVELS": "0"},
        {"OMP_NUM_THREADS": "1"},
        {"OMP_THREAD_LIMIT": "1", "OMP_DYNAMIC": "true"},
    ],
    ids=" ".join,
)
def test_a_smaller_team_trains_to_the_same_bits_and_predicts_the_same(
    variables: dict[str, str], cache: Path, normal: dict[str, Any]
) -> None:
    actual = run(cache, **variables)
    assert actual["sums"] == normal["sums"]
    expected = torch.tensor(normal["outputs"])
    for outputs in (actual["outputs"], *actual["others"], *normal["others"]):
        torch.testing.assert_close(torch.tensor(outputs), expected, rtol=0.02, atol=0.02)
    small = "OMP_DYNAMIC" not in variables and "OMP_NUM_THREADS" not in variables
    if small:
        assert (actual["team"], actual["all"]) == (1, 1)


@pytest.mark.usefixtures("compiled")
def test_a_child_of_a_fork_computes_on_one_thread_and_ends() -> None:
    program = """
import os, sys, torch
from torch import nn
from nnzoo.models.fused import FusedSequential
from nnzoo.models.layers import Linear
from nnzoo.kernels import openmp
openmp.use_threads(2)
model, x = FusedSequential(Linear(784, 512), nn.ReLU(), Linear(512, 10)), torch.randn(128, 784)
y = model(x)
child = os.fork()
if not child:
    openmp.use_threads(2)
    same = torch.equal(model(x), y) and model.eval()(x).isfinite().all()
    os._exit(0 if same and torch.get_num_threads() == 1 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, timeout=60, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_threads_that_there_are_not_are_said() -> None:
    from nnzoo.config.train_options import TrainOptions
    from nnzoo.device import thread_note

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        (note,) = thread_note(TrainOptions(threads=2))
        assert "1 of the run's 2 threads" in note
        assert thread_note(TrainOptions(threads=1)) == thread_note(TrainOptions()) == []
    finally:
        torch.set_num_threads(before)


def test_without_a_full_team_the_product_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnzoo.models import layers

    x, layer = torch.randn(3, 4), layers.Linear(4, 2)
    assert layers.supports_onednn(x, layer.weight, layer.bias)
    monkeypatch.setattr(layers, "has_full_team", lambda: False)
    assert not layers.supports_onednn(x, layer.weight, layer.bias)
    assert torch.equal(layer.eval()(x), nn.Linear.forward(layer, x))
