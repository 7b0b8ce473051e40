"""The work of each process in tests/test_distributed.py: python processes.py OUT, with the
variables of torchrun. Each network takes 50 steps, and what it has become is kept in OUT."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from nnzoo.runs.run import RunOptions

STEPS = 50
CASES: dict[str, dict[str, Any]] = {
    "mlp": {
        "data": {"name": "digits", "class_weights": "balanced"},
        "model": {"name": "mlp", "hidden": [32, 16], "dropout": 0.2},
        "optim": {"name": "adamw", "clip": {"norm": 0.5}},
        "train": {"batch_size": 31, "accumulate_grad_batches": 2, "label_smoothing": 0.1},
    },
    # 1,258 rows in batches of 251: the last has 3, fewer than there may be processes.
    "mlp_norm": {
        "data": {"name": "digits", "class_weights": "balanced"},
        "model": {
            "name": "mlp",
            "hidden": [16],
            "norm": "batch",
            "activation": "tanh",
            "dropout": 0.3,
        },
        "optim": {"name": "sgd", "lr": 0.005, "nesterov": True, "weight_decay": 1e-3},
        "train": {"batch_size": 251},
    },
    "mlp_ensemble": {
        "data": {"name": "iris", "class_weights": "balanced"},
        "model": {
            "name": "mlp",
            "hidden": [16],
            "activation": "selu",
            "dropout": 0.3,
            "ensemble": 3,
        },
        "train": {"batch_size": 31},
    },
    "mlp_labels": {
        "data": {
            "name": "csv",
            "path": "targets.csv",
            "target": "tags",
            "task": "multilabel",
            "drop": ["y1", "y2"],
            "weight": "w",
            "split": {"column": "part"},
        },
        "model": {"name": "mlp", "hidden": [12], "dropout": 0.2},
        "train": {"batch_size": 13},
    },
    "mlp_numbers": {
        "data": {
            "name": "csv",
            "path": "targets.csv",
            "target": ["y1", "y2"],
            "drop": ["tags"],
            "weight": "w",
            "split": {"column": "part"},
        },
        "model": {"name": "mlp", "hidden": [12], "dropout": 0.1},
        "train": {"batch_size": 13},
    },
    "cnn_numbers": {
        "data": {
            "name": "image_folder",
            "path": "squares",
            "labels": "squares/labels.csv",
            "target": ["side", "light"],
            "size": 6,
            "weight": "w",
            "split": {"column": "part"},
        },
        "model": {"name": "cnn", "channels": [4], "norm": "batch"},
        "train": {"batch_size": 10},
    },
    "cnn": {
        "data": {
            "name": "digits",
            "augment": {"shift": 1, "rotate": 10, "flip": "horizontal", "crop": 0.9, "erase": 0.2},
        },
        "model": {
            "name": "cnn",
            "channels": [4, 8],
            "norm": "batch",
            "dropout": 0.1,
            "head": {"hidden": [8], "dropout": 0.3},
        },
        "train": {"batch_size": 77},
    },
    "cnn_residual": {
        "data": {"name": "digits"},
        "model": {
            "name": "cnn",
            "channels": [6],
            "norm": "batch",
            "residual": True,
            "activation": "gelu",
            "pool": "avg",
            "head": {"pooling": "average"},
        },
        "optim": {"name": "sgd", "lr": 1e-3},
        "train": {"batch_size": 50},
    },
    "cnn_series": {
        "data": {"name": "sine", "length": 400, "noise": 0.1},
        "model": {"name": "cnn", "channels": [4], "dropout": 0.1, "norm": "batch"},
        "train": {"batch_size": 14},
    },
    "rnn": {
        "data": {"name": "adding", "length": 8, "train": 203, "val": 21, "test": 20},
        "model": {"name": "rnn", "hidden_size": 12, "num_layers": 2, "dropout": 0.1},
        "optim": {"name": "rmsprop"},
        "train": {"batch_size": 12, "loss": "huber"},
    },
    "lstm": {
        "data": {"name": "sine", "length": 400, "noise": 0.1, "horizon": 3},
        "model": {"name": "lstm", "hidden_size": 8, "num_layers": 2, "dropout": 0.2},
        "train": {"batch_size": 15},
    },
    "lstm_relu": {
        "data": {"name": "digits"},
        "model": {
            "name": "lstm",
            "hidden_size": 8,
            "activation": "relu",
            "dropout": 0.1,
            "num_layers": 2,
            "bidirectional": True,
        },
        "optim": {"name": "sgd", "lr": 0.001, "clip": {"norm": 1.0}},
        "train": {"batch_size": 62},
    },
    "gru_recordings": {
        "data": {"name": "recordings", "path": "recordings.csv", "id": "id"},
        "model": {
            "name": "gru",
            "hidden_size": 8,
            "num_layers": 2,
            "dropout": 0.2,
            "bidirectional": True,
            "readout": "max",
        },
        "optim": {"name": "adamw", "clip": {"norm": 1.0}},
        "train": {"batch_size": 12},
    },
    "cnn_recordings": {
        "data": {"name": "recordings", "path": "recordings.csv", "id": "id"},
        "model": {
            "name": "cnn",
            "channels": [4],
            "pool": "none",
            "norm": "batch",
            "dropout": 0.1,
            "head": {"pooling": "average"},
        },
        "train": {"batch_size": 14},
    },
    # Streams of a text whose last step has fewer rows than the others.
    "lstm_corpus": {
        "data": {"name": "corpus", "path": "corpus.txt", "window": 9},
        "model": {
            "name": "lstm",
            "hidden_size": 8,
            "num_layers": 2,
            "dropout": 0.2,
            "embedding": {"size": 6, "dropout": 0.1},
        },
        "optim": {"name": "adam", "clip": {"norm": 1.0}},
        "train": {"batch_size": 14, "accumulate_grad_batches": 2},
    },
    "gru_texts": {
        "data": {"name": "text", "path": "texts.csv", "class_weights": "balanced"},
        "model": {
            "name": "gru",
            "hidden_size": 8,
            "bidirectional": True,
            "readout": "max",
            "dropout": 0.2,
            "embedding": {"size": 6, "dropout": 0.1},
        },
        "optim": {"name": "adamw", "clip": {"norm": 1.0}},
        "train": {"batch_size": 11},
    },
    "cnn_texts": {
        "data": {"name": "text", "path": "texts.csv"},
        "model": {
            "name": "cnn",
            "channels": [4],
            "branches": [1, 3],
            "pool": "none",
            "embedding": {"size": 6, "dropout": 0.1},
            "head": {"pooling": "max", "dropout": 0.3},
        },
        "optim": {"name": "rmsprop"},
        "train": {"batch_size": 14},
    },
    # The last batch has one row, which is a shard of its own.
    "mlp_texts": {
        "data": {"name": "text", "path": "texts.csv"},
        "model": {"name": "mlp", "hidden": [4], "embedding": {"size": 6, "dropout": 0.2}},
        "optim": {"name": "sgd", "lr": 0.2, "clip": {"value": 0.1}},
        "train": {"batch_size": 17},
    },
    "gru": {
        "data": {"name": "digits", "preprocess": {"scale": "minmax"}},
        "model": {
            "name": "gru",
            "hidden_size": 16,
            "num_layers": 2,
            "dropout": 0.2,
            "bidirectional": True,
            "readout": "mean",
        },
        "optim": {"name": "adam", "clip": {"value": 0.1}},
        "train": {"batch_size": 62},
    },
}


def course(case: str, processes: Any, out: Path) -> dict[str, Any]:
    """The weights and counts of a network after its steps; out: the folder of the run and of its data."""
    import torch

    from nnzoo.config.run_config import from_dict
    from nnzoo.evaluation.evaluate import evaluate
    from nnzoo.runs.run import open_run
    from nnzoo.runs.train import train
    from nnzoo.training.trainer import EpochEnd

    fixed = {"epochs": 40, "precision": "fp32", "threads": 1, "save_every": "100 epochs"}
    tree = CASES[case] | {"name": case, "train": CASES[case]["train"] | fixed}
    paths = {key: str(out / tree["data"][key]) for key in ("path", "labels") if key in tree["data"]}
    tree["data"] = tree["data"] | paths
    with processes.error_barrier():
        run = open_run(
            from_dict(tree, case), RunOptions(out, torch.device("cpu")), processes=processes
        )
    rows = []
    trainer = run.trainer
    for event in train(run):
        if isinstance(event, EpochEnd):
            rows.append(event.row)
        elif trainer.state.step == STEPS:
            break
    run.lock.release()
    report = evaluate(run.network, trainer.splits["val"], trainer.task, trainer.device, processes)
    return {
        "weights": {k: t.clone() for k, t in run.network.model.state_dict().items()},
        "optimizer": trainer.optimizer.state_dict(0.0)["state"],
        "sums": trainer.running_loss.state(),
        "rows": [{k: v for k, v in row.items() if "second" not in k} for row in rows],
        "report": report,
    }


def main(out: Path) -> None:
    """All courses in this process, one of several."""
    import torch

    from nnzoo.process_group import init_process_group

    torch.set_num_threads(1)
    processes = init_process_group()
    seen = {case: course(case, processes, out / "runs") for case in CASES}
    torch.save(seen, out / f"{processes.rank}.pt")


if __name__ == "__main__":
    os.environ.setdefault("NNZOO_CACHE", sys.argv[1])
    main(Path(sys.argv[1]))
