"""Record what runs end with, bit for bit, and compare with an earlier record.

python scripts/record_runs.py record.json             write or, where the file exists, compare
python scripts/record_runs.py record.json --only gru  some of the runs

A record holds one SHA-256 per run over weights, best weights, optimizer state and metrics (without
times). It belongs to one processor and one build of torch: write it before a change that must not
move any bit, and compare after it. Runs are in float32 on one thread, except those of two
processes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

FIXED = ["train.precision=fp32", "train.threads=1"]
# Times, and what a later version may add to without changing what was trained.
IGNORED = (
    "samples_per_second",
    "seconds",
    "config",
    "data",
    "device",
    "format",
    "position",
    "calibration",
    "val_auc",
    "val_average_precision",
)

# name: (bundled config, values set, further arguments)
RUNS: dict[str, tuple[str, list[str], list[str]]] = {
    **{
        name: (name, [], [])
        for name in (
            "cnn",
            "mlp",
            "rnn",
            "lstm",
            "gru",
            "mlp_breast_cancer",
            "mlp_csv",
            "mlp_diabetes",
        )
    },
    "lstm_sine": ("lstm_sine", ["train.epochs=20"], []),
    "lstm_adding": ("lstm_adding", ["train.epochs=1", "data.train=5000"], []),
    "sgd": (
        "mlp",
        ["optim.name=sgd", "optim.momentum=0.9", "optim.nesterov=true", "train.epochs=5"],
        [],
    ),
    "rmsprop": ("gru", ["optim.name=rmsprop", "train.epochs=4"], []),
    "adam_torch": ("cnn", ["optim.name=adam", "train.kernels=torch", "train.epochs=4"], []),
    "rnn_torch": ("rnn", ["train.kernels=torch", "train.epochs=4"], []),
    "step": (
        "mlp",
        ["optim.schedule={name: step, every: 2 epochs, gamma: 0.5}", "train.epochs=6"],
        [],
    ),
    "linear": ("mlp", ["optim.schedule=linear", "train.epochs=4"], []),
    "plateau": (
        "mlp",
        ["optim.schedule={name: plateau, patience: 1}", "optim.lr=0.02", "train.epochs=8"],
        [],
    ),
    "warmup": ("rnn", ["optim.schedule={name: cosine, warmup: 10 steps}", "train.epochs=4"], []),
    "clip_value": ("lstm", ["optim.clip={value: 0.1}", "train.epochs=4"], []),
    "accumulate": ("cnn", ["train.accumulate=3", "train.batch_size=30", "train.epochs=4"], []),
    "smoothing": (
        "mlp",
        ["train.label_smoothing=0.1", "data.class_weights=balanced", "train.epochs=4"],
        [],
    ),
    "augment": (
        "cnn",
        [
            "data.augment={shift: 1, rotate: 10, flip: horizontal, crop: 0.9, erase: 0.2}",
            "train.epochs=4",
        ],
        [],
    ),
    "huber": ("mlp_diabetes", ["train.loss=huber", "train.epochs=20"], []),
    "mae": ("mlp_csv", ["train.loss=mae", "train.epochs=20"], []),
    "pca": ("mlp_breast_cancer", ["data.preprocess={pca: 5, whiten: true}", "train.epochs=20"], []),
    "layer_norm": ("mlp", ["model.norm=layer", "model.activation=gelu", "train.epochs=4"], []),
    "residual": (
        "cnn",
        [
            "model.residual=true",
            "model.channels=[16, 16, 16]",
            "model.pool=[none, max, none]",
            "train.epochs=3",
        ],
        [],
    ),
    "average": ("cnn", ["model.pool=avg", "model.head={pooling: average}", "train.epochs=3"], []),
    "layers": ("lstm", ["model.num_layers=2", "model.bidirectional=true", "train.epochs=3"], []),
    "gru_mean": ("gru", ["model.readout=mean", "model.num_layers=2", "train.epochs=3"], []),
    "early": ("mlp_diabetes", ["train.early_stopping={patience: 3}", "train.epochs=40"], []),
    "seeds": ("mlp", ["train.epochs=3"], ["--seeds", "3"]),
    "seeds_gru": ("gru", ["train.epochs=2"], ["--seeds", "2"]),
    "folds": ("mlp_breast_cancer", ["train.epochs=5"], ["--folds", "3"]),
    "two_processes": ("mlp", ["train.epochs=2", "model.dropout=0"], ["torchrun"]),
}


def digest(folder: Path) -> str:
    """SHA-256 over everything that the runs below a folder ended with."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.name in ("last.pt", "best.pt"):  # other keys depend on the clock
            add(total, path.name, torch.load(path, weights_only=True))
        elif path.name == "metrics.jsonl":
            for line in path.read_text().splitlines():
                add(total, "line", json.loads(line))
    return total.hexdigest()


def add(total: Any, name: str, value: Any) -> None:
    """Take a value with its name into a hash: tensors by their bytes, the rest as text."""
    if name in IGNORED:
        return
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            add(total, str(key), value[key])
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            add(total, str(i), item)
    elif isinstance(value, torch.Tensor):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    else:
        total.update(f"{name} {value!r}".encode())


def record(name: str, folder: Path) -> str:
    """Train one run of the list below a folder, and hash it."""
    config, values, arguments = RUNS[name]
    command = [sys.executable, "-m", "nnzoo"]
    if arguments == ["torchrun"]:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command, arguments = [sys.executable, *torchrun, "-m", "nnzoo"], []
    command += ["train", "--config", config, "--verbose", "0", *arguments]
    for value in [*FIXED, *values]:
        command += ["--set", value]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"
    return digest(folder / "checkpoints")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(RUNS), default=list(RUNS))
    options = parser.parse_args()
    before = json.loads(options.file.read_text()) if options.file.exists() else {}
    after, differing = {}, []
    for name in options.only:
        folder = Path(tempfile.mkdtemp())
        after[name] = record(name, folder)
        shutil.rmtree(folder)
        same = before.get(name, after[name]) == after[name]
        differing += [] if same else [name]
        print(f"{name:<18} {after[name][:60]}  {'' if same else 'DIFFERS'}", flush=True)
    if not before:
        options.file.write_text(json.dumps(after, indent=1) + "\n")
    sys.exit(f"{len(differing)} differ: {', '.join(differing)}" if differing else 0)


if __name__ == "__main__":
    main()
