"""Small configurations for tests: each network, each kind of data; and the scripts as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from nnzoo.config.run_config import from_dict
from nnzoo.runs.run import Run, RunOptions, open_run
from nnzoo.runs.train import train
from nnzoo.training.trainer import EpochEnd

SCRIPTS = Path(__file__).parents[1] / "scripts"

MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"name": "mlp", "hidden": [16], "dropout": 0.1},
    "cnn": {"name": "cnn", "channels": [4, 8], "dropout": 0.1},
    "rnn": {"name": "rnn", "hidden_size": 8, "dropout": 0.1},
    "lstm": {"name": "lstm", "hidden_size": 8, "num_layers": 2, "dropout": 0.1},
    "lstm_relu": {"name": "lstm", "hidden_size": 8, "activation": "relu"},
    "gru": {"name": "gru", "hidden_size": 8, "bidirectional": True},
}
DATA: dict[str, dict[str, Any]] = {
    "image": {"name": "digits"},
    "image_pca": {"name": "digits", "preprocess": {"pca": 8, "whiten": True}},
    "table_classes": {"name": "iris"},
    "table_number": {"name": "diabetes"},
    "series": {"name": "sine", "length": 200, "noise": 0.1, "horizon": 3},
    "sequences": {"name": "adding", "length": 8, "train": 100, "val": 20, "test": 20},
}


def config(
    model: str | dict[str, Any] = "mlp", data: str | dict[str, Any] = "image", **more: Any
) -> Any:
    """A RunConfig; `more` holds sections: train={...}, optim={...}, seed=…, name=…."""
    tree = {
        "name": "run",
        "data": DATA[data] if isinstance(data, str) else data,
        "model": MODELS[model] if isinstance(model, str) else model,
        "train": {"epochs": 2},
    }
    return from_dict(tree | more, "test")


def begin(run_config: Any, out: Path | str = "out", **options: Any) -> Run:
    """A run on the CPU, ready to train."""
    more = {name: options.pop(name) for name in ("processes", "share_with") if name in options}
    return open_run(run_config, RunOptions(Path(out), torch.device("cpu"), **options), **more)


def finish(run: Run) -> list[dict[str, Any]]:
    """Train to the end; the rows of metrics.jsonl without their times."""
    rows = [event.row for event in train(run) if isinstance(event, EpochEnd)]
    run.lock.release()
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def gradient(weight: torch.Tensor) -> torch.Tensor:
    """The gradient of a weight that has one."""
    assert weight.grad is not None
    return weight.grad


def same(a: Any, b: Any) -> bool:
    """Whether two trees hold the same bits."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def load_script(name: str) -> ModuleType:
    """scripts/<name>.py as a module, run afresh."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def difference(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """The largest difference, as a fraction of the largest value of its tensor (at least 1)."""
    return max(
        float((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1))
        for a, b in zip(ours, theirs, strict=True)
    )
