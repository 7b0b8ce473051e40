"""Importing nnzoo and calling it from Python leave the process as it was: a notebook's or a program's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nnzoo

# A process of its own: pytest and other tests have changed this one. Libraries are imported first: what
# they change is theirs.
SCRIPT = """
import gc, json, locale, logging, os, random, signal, sys, threading, warnings
import PIL.Image, numpy, pandas, scipy.special, sklearn, torch

def state():
    loggers = {"": logging.root} | {
        name: each for name, each in logging.root.manager.loggerDict.items()
        if isinstance(each, logging.Logger)
    }
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return {
        "logging": {
            name: [each.level, list(map(repr, each.handlers))]
            for name, each in loggers.items() if each.handlers or each.level
        },
        "warnings": list(map(repr, warnings.filters)),
        "signals": [repr(signal.getsignal(each)) for each in signals],
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "python threads": sorted(each.name for each in threading.enumerate()),
        "deterministic": [
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision(),
        ],
        "defaults": [torch.is_grad_enabled(), str(torch.get_default_dtype())],
        "random": [
            torch.get_rng_state().tolist(), numpy.random.get_state()[1].tolist(), random.getstate()[1],
        ],
        "environment": dict(os.environ),
        "garbage": [gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()],
        "streams": [sys.stdout.errors, sys.stderr.errors, repr(sys.excepthook), repr(threading.excepthook)],
        "folder": [os.getcwd(), list(sys.path), locale.setlocale(locale.LC_ALL)],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), PIL.Image.MAX_IMAGE_PIXELS],
    }

states = {"before": state()}
import nnzoo, nnzoo.api, nnzoo.export, nnzoo.inspect, nnzoo.runs.run_group, nnzoo.tensorboard
import nnzoo.device
states["import"] = state()
for name in ("disable_malloc_trim", "drop_torch_code_pages"):
    assert hasattr(nnzoo.device, name)  # of the command alone
    setattr(nnzoo.device, name, lambda: sys.exit("malloc or code pages were changed"))
training = nnzoo.train({
    "name": "r", "data": "digits", "model": {"name": "mlp", "hidden": [4]},
    "train": {"epochs": 1, "threads": torch.get_num_threads() + 1, "kernels": "torch"},
})
states["train"] = state()
training.fit()
training.result()
states["fit"] = state()
model = nnzoo.load("checkpoints/r")
states["load"] = state()
model.predict(numpy.zeros((2, 1, 8, 8), dtype=numpy.uint8))
model.evaluate()
states["predict"] = state()
estimator = nnzoo.Classifier(train={"epochs": 1}, random_state=0)
estimator.fit(numpy.eye(9), numpy.arange(9) % 2).predict(numpy.eye(9))
states["estimator"] = state()
print(json.dumps(states))
"""


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, native_folder: Path) -> dict[str, Any]:
    """State of a process before and after each use of nnzoo."""
    folder = tmp_path_factory.mktemp("process")
    (folder / "cache").mkdir()
    (folder / "cache" / "native").symlink_to(native_folder)
    environment = os.environ | {
        "PYTHONPATH": str(Path(nnzoo.__file__).parents[1]),
        "NNZOO_CACHE": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    states: dict[str, Any] = json.loads(done.stdout)
    return states


@pytest.mark.parametrize("use", ["import", "train", "fit", "load", "predict", "estimator"])
def test_the_process_is_as_it_was(states: dict[str, Any], use: str) -> None:
    before, after = states["before"], states[use]
    assert {name: after[name] for name in after if after[name] != before[name]} == {}
