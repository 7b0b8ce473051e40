"""Compare recipes for the config that `nnzoo init` writes for a table.

python benchmarks/starter_tables.py FOLDER --recipes old now [--final] [--fold 0 1 ...] [--seeds 3] [--out results.jsonl]

FOLDER holds CSV files with a header whose last column is the target. Fold 0, a fifth of each file's
rows, is held out; recipes are compared by splits of the other rows alone (one per seed), and with
--final once on the held-out rows. --fold holds out other fifths, which the choice of a recipe has
seen. Scores are accuracy or r2; seconds are those of training, whose ratios count.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas

HELD_OUT = 0.2


def old(rows: int, columns: int, task: str) -> dict[str, Any]:
    """The recipe of init before version 0.2."""
    return {
        "model": {"name": "mlp", "hidden": [128, 64], "dropout": 0.1},
        "optim": {"name": "adamw", "lr": 1e-3, "schedule": "cosine", "clip": {"norm": 1.0}},
        "train": {"epochs": 100, "batch_size": 32},
    }


def recipe(
    hidden: list[int],
    dropout: float,
    steps: int,
    lr: float = 2e-3,
    decay: float = 0.01,
    patience: float = 0.0,
    **train: Any,
) -> Callable[[int, int, str], dict[str, Any]]:
    """A recipe of so many steps: the batch and the epochs follow from the rows."""

    def config(rows: int, columns: int, task: str) -> dict[str, Any]:
        batch = batch_of(rows)
        epochs = max(10, min(200, round(steps * batch / (0.7 * rows))))
        stop = (
            {"early_stopping": {"patience": max(5, round(epochs * patience))}} if patience else {}
        )
        model = {"name": "mlp", "hidden": hidden, "dropout": dropout}
        extra = {k[6:]: v for k, v in train.items() if k.startswith("model_")}
        rest = {k: v for k, v in train.items() if not k.startswith("model_")}
        if task != "classification":
            rest.pop("label_smoothing", None)
        return {
            "model": model | extra,
            "optim": {
                "name": "adamw",
                "lr": lr,
                "weight_decay": decay,
                "schedule": "cosine",
                "clip": {"norm": 1.0},
            },
            "train": {"epochs": epochs, "batch_size": batch, **stop, **rest},
        }

    return config


def batch_of(rows: int) -> int:
    """Rows per batch: 32 for small tables, 256 for large ones."""
    return 32 if rows < 3_000 else 64 if rows < 8_000 else 128 if rows < 20_000 else 256


def bundled(rows: int, numbers: int, task: str) -> dict[str, Any]:
    """The current recipe of init."""
    from nnzoo.init_config.table import table_recipe

    return table_recipe(rows, numbers, task)


RECIPES: dict[str, Callable[[int, int, str], dict[str, Any]]] = {
    "old": old,
    "now": bundled,
    "s3k": recipe([128, 64], 0.1, 3000),
    "s3k_wide": recipe([256, 128], 0.2, 3000),
    "s3k_wide_d1": recipe([256, 128], 0.1, 3000),
    "s3k_3layer": recipe([128, 128, 128], 0.1, 3000),
    "s3k_small": recipe([64, 32], 0.1, 3000),
    "s3k_d0": recipe([128, 64], 0.0, 3000),
    "s3k_d3": recipe([128, 64], 0.3, 3000),
    "s3k_wd": recipe([128, 64], 0.1, 3000, decay=0.3),
    "s3k_wd1": recipe([128, 64], 0.1, 3000, decay=1.0),
    "s3k_lr4wd": recipe([128, 64], 0.1, 3000, lr=4e-3, decay=0.3),
    "s3k_lr4wd1": recipe([128, 64], 0.1, 3000, lr=4e-3, decay=1.0),
    "s3k_lr3wdls": recipe([128, 64], 0.1, 3000, lr=3e-3, decay=0.3, label_smoothing=0.05),
    "s5k_lr3wdls": recipe(
        [128, 64], 0.1, 5000, lr=3e-3, decay=0.3, label_smoothing=0.05, patience=0.25
    ),
    "s3k_lr4": recipe([128, 64], 0.1, 3000, lr=4e-3),
    "s3k_lr1": recipe([128, 64], 0.1, 3000, lr=1e-3),
    "s3k_pat": recipe([128, 64], 0.1, 3000, patience=0.25),
    "s3k_gelu": recipe([128, 64], 0.1, 3000, model_activation="gelu"),
    "s3k_bn": recipe([128, 64], 0.1, 3000, model_norm="batch"),
    "s3k_ln": recipe([128, 64], 0.1, 3000, model_norm="layer"),
    "s3k_ls": recipe([128, 64], 0.1, 3000, label_smoothing=0.05),
    "s3k_rel": recipe([128, 64], 0.1, 3000, model_activation="leaky_relu"),
    "s1k": recipe([128, 64], 0.1, 1000),
    "s6k": recipe([128, 64], 0.1, 6000),
}


def train(config: dict[str, Any], folder: Path) -> tuple[float, float, int]:
    """(score on the test rows, seconds, best epoch) of one run."""
    from nnzoo.cli import app

    path = folder / "t.yaml"
    path.write_text(json.dumps(config))
    words = [
        "train",
        "--config",
        str(path),
        "--fresh",
        "--json",
        "--out",
        str(folder / "runs"),
        "--verbose",
        "0",
    ]
    sys.argv = ["nnzoo", *words]
    out, start = io.StringIO(), time.perf_counter()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            app(words, prog_name="nnzoo")
        except SystemExit as stop:
            if stop.code:
                raise RuntimeError(f"exit code {stop.code}: {out.getvalue()[-300:]}") from None
    seconds = time.perf_counter() - start
    end = [json.loads(line) for line in out.getvalue().splitlines()][-1]
    test = end["test"]
    best = end["best"]["epoch"] if isinstance(end.get("best"), dict) else 0
    return test.get("accuracy", test.get("r2")), seconds, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["old", "now"], choices=list(RECIPES))
    parser.add_argument("--tables", nargs="*", help="names of files, without .csv")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--final", action="store_true", help="score on the held-out rows")
    parser.add_argument("--fold", type=int, nargs="+", default=[0], choices=range(5))
    parser.add_argument("--out", type=Path, default=Path("starter_tables.jsonl"))
    options = parser.parse_args()
    done = [json.loads(line) for line in options.out.open()] if options.out.exists() else []
    known = {(d["table"], d["recipe"], d["seed"], d["final"], d.get("fold", 0)): d for d in done}
    names = options.tables or sorted(path.stem for path in options.folder.glob("*.csv"))
    for name in names:
        frame = pandas.read_csv(options.folder / f"{name}.csv")
        for fold in options.fold:
            dev, test = held_out(frame, fold)
            for item in options.recipes:
                for seed in range(options.seeds):
                    key = (name, item, seed, options.final, fold)
                    if key in known:
                        continue
                    result = compare(dev, test, item, seed, options.final)
                    known[key] = {"table": name, "fold": fold, **result}
                    with options.out.open("a") as file:
                        file.write(json.dumps(known[key]) + "\n")
    chosen = [d for k, d in known.items() if k[3] == options.final and k[4] in options.fold]
    report(chosen, names, options.recipes)


def held_out(frame: pandas.DataFrame, fold: int) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """(rows to train on, rows held out) of a fold."""
    order = np.random.default_rng(2024).permutation(len(frame))
    cut = round(len(frame) * HELD_OUT)
    start = fold * cut
    rest = np.concatenate([order[:start], order[start + cut :]])
    return frame.iloc[rest], frame.iloc[order[start : start + cut]]


def compare(
    dev: pandas.DataFrame, test: pandas.DataFrame, name: str, seed: int, final: bool
) -> dict[str, Any]:
    """The result of one run of a recipe."""
    folder = Path(tempfile.mkdtemp())
    dev.to_csv(folder / "dev.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    target = pandas.concat([dev, test]).iloc[:, -1]
    number = pandas.api.types.is_numeric_dtype(target) and target.nunique() > 20
    task = "regression" if number else "classification"
    numbers = dev.iloc[:, :-1].select_dtypes("number").shape[1]
    config = RECIPES[name](len(dev), numbers, task)
    data = {
        "name": "csv",
        "path": str(folder / "dev.csv"),
        "target": -1,
        "task": task,
        "split": {"seed": seed},
        **config.pop("data", {}),
    }
    if final:
        data |= {"test_path": str(folder / "test.csv"), "split": {}}
    config = {"seed": seed, "data": data, **config}
    config["train"] = {**config["train"], "precision": "fp32", "threads": 1}
    score, seconds, best = train(config, folder)
    return {
        "recipe": name,
        "seed": seed,
        "final": final,
        "score": score,
        "seconds": seconds,
        "best_epoch": best,
        "rows": len(dev),
        "task": task,
    }


def report(results: list[dict[str, Any]], names: list[str], recipes: list[str]) -> None:
    """Print a table of mean scores, and of seconds."""
    print("| table | rows | " + " | ".join(recipes) + " |")
    print("|---" * (len(recipes) + 2) + "|")
    gains: dict[str, list[float]] = {item: [] for item in recipes}
    for name in names:
        cells = []
        runs: list[Any] = []
        for entry in recipes:
            runs = [d for d in results if d["table"] == name and d["recipe"] == entry]
            mean = float(np.mean([run["score"] for run in runs]))
            std = float(np.std([run["score"] for run in runs]))
            seconds = float(np.mean([run["seconds"] for run in runs]))
            gains[entry].append(mean)
            cells.append(f"{mean:.4f} ±{std:.3f} ({seconds:.1f} s)")
        print(f"| {name} | {runs[0]['rows']:,} | " + " | ".join(cells) + " |")
    means = [f"{np.mean(gains[item]):.4f}" for item in recipes]
    worst = [
        f"{min(a - b for a, b in zip(gains[item], gains[recipes[0]], strict=True)):+.4f}"
        for item in recipes
    ]
    print("| mean | | " + " | ".join(means) + " |")
    print(f"| worst against {recipes[0]} | | " + " | ".join(worst) + " |")


if __name__ == "__main__":
    main()
