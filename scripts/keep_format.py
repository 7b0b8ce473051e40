"""Keep a run of the present checkpoint format for tests/runs/test_checkpoint.py: `python scripts/keep_format.py`.

Once for each released format, by the nnzoo that writes it; what is kept is never made again.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch

from nnzoo.config.run_config import from_dict
from nnzoo.runs import checkpoint
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train
from nnzoo.training.trainer import EpochEnd

CONFIG = {
    "name": "run",
    "data": {"name": "iris"},
    "model": {"name": "mlp", "hidden": [4], "norm": "batch", "dropout": 0.1},
    "optim": {"name": "adamw", "schedule": {"name": "plateau", "patience": 1}},
    "train": {
        "epochs": 4,
        "batch_size": 16,
        "accumulate_grad_batches": 2,
        "save_every": "1 step",
        "early_stopping": {"patience": 3},
    },
}
STEP = 5


def main() -> None:
    """Train a little run twice: to a step inside its second epoch, and to its end."""
    torch.set_num_threads(1)
    target = Path(__file__).parents[1] / "tests" / "formats" / str(checkpoint.FORMAT)
    if target.exists():
        sys.exit(f"{target} is kept already")
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        config, device = from_dict(CONFIG, "keep_format"), torch.device("cpu")
        cut = open_run(config, RunOptions(Path(folder, "cut"), device))
        for _ in train(cut, stop=lambda: cut.trainer.state.step == STEP):
            pass
        cut.lock.release()
        kept = target / "run"
        kept.mkdir()
        for name in ("last.pt", "best.pt", "metrics.jsonl"):
            shutil.copy(cut.folder.path / name, kept)
        whole = open_run(config, RunOptions(Path(folder, "whole"), device))
        rows = [event.row for event in train(whole) if isinstance(event, EpochEnd)]
        trainer = whole.trainer.state_dict()
        trainer["position"].pop("elapsed")
        # Rows from the second epoch on: the first was over when the kept run stopped.
        rows = [{k: v for k, v in row.items() if "second" not in k} for row in rows[1:]]
        content = {
            "model": whole.network.model.state_dict(),
            "trainer": trainer,
            "rows": rows,
            "best": whole.trainer.best_weights,
        }
        checkpoint.save(target / "ended.pt", content)
    sections = {key: value for key, value in CONFIG.items() if key not in ("data", "model", "name")}
    spec = {
        "step": STEP,
        "machine": [str(torch.__version__), torch.backends.cpu.get_cpu_capability()],
        "config": {"model": CONFIG["model"], "data": CONFIG["data"], **sections},
    }
    (target / "spec.json").write_text(json.dumps(spec, indent=1) + "\n")


if __name__ == "__main__":
    main()
