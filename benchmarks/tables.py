"""Networks of `nnzoo init` on tables, beside scikit-learn's models.

python benchmarks/tables.py FOLDER [--tables iris wine ...] [--seeds 3] [--members 8] [--out tables.jsonl]

FOLDER holds CSV files with a header whose last column is the target. For each one nnzoo trains what `nnzoo init` writes,
with several seeds: the network is the mean of the first --seeds of them, the ensemble the average of the predictions of
--members. The others learn from the same training and validation rows, with one-hot categories and standardized
numbers, and scikit-learn's defaults. All predict the same test rows; scores are accuracy or R2.

"even" is a difference of means within the larger of the two standard deviations over the seeds. A file NAME.test.csv
beside NAME.csv has the test rows of that table. Results that --out holds already are not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import report
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from nnzoo.config.load import load_config
from nnzoo.config.preprocess_options import TablePreprocess
from nnzoo.data.dataset import Dataset
from nnzoo.data.preprocess import Preprocess
from nnzoo.init_config.config_file import init_config
from nnzoo.init_config.target import Choices
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_group import Group, seeds

CPU = torch.device("cpu")
PEERS = {"mlp": "MLP", "linear": "linear", "forest": "random forest", "boosting": "HistGradient"}


class Rows(NamedTuple):
    """Inputs (rows, features) and targets (rows,)."""

    x: np.ndarray
    y: np.ndarray


def score(predictions: np.ndarray, target: np.ndarray, is_classification: bool) -> float:
    """Accuracy of probabilities (rows, classes) or classes (rows,), or R2 of values."""
    if is_classification:
        classes = predictions.argmax(1) if predictions.ndim == 2 else predictions
        return float((classes == target).mean())
    return float(1 - ((predictions.ravel() - target) ** 2).mean() / target.var())


def train_group(file: Path, count: int, folder: Path) -> tuple[Group, float]:
    """The seeds of what init writes for a table, trained, and the seconds that they took."""
    test_file = file.with_suffix(".test.csv")
    config_file = folder / "table.yaml"
    with file.open() as lines:
        target = next(lines).rstrip("\n").rpartition(",")[2].strip('"')
    config_file.write_text(
        init_config(file, config_file, Choices(targets=[target], kind="table"))[0]
    )
    sets = [f"data.test_path={json.dumps(str(test_file.resolve()))}"] if test_file.exists() else []
    config = load_config(str(config_file), sets)
    group = seeds(config, count, folder)
    start = time.perf_counter()
    for _ in group.events(CPU):
        pass
    return group, time.perf_counter() - start


def predictions_of(run: LoadedRun) -> np.ndarray:
    """The predictions for the test rows: probabilities (rows, classes) or values (rows, 1)."""
    split = run.dataset.splits["test"]
    with torch.no_grad():
        raw, _ = run.raw("test", torch.arange(len(split)))
        return run.network.predict(raw).numpy()


def encoded(dataset: Dataset) -> tuple[Rows, Rows]:
    """Training with validation rows, and test rows, as the others get them."""
    parts = [dataset.splits[name] for name in ("train", "val", "test") if name in dataset.splits]
    *known, test = [part.batch(torch.arange(len(part))) for part in parts]
    x, y = (torch.cat(tensors) for tensors in zip(*known, strict=True))
    preprocess = Preprocess(TablePreprocess(), dataset.spec)
    steps: Any = preprocess
    for step in steps:
        if hasattr(step, "fit"):
            step.fit(x)
        x = step(x)
    return Rows(x.numpy(), y.numpy().ravel()), Rows(
        preprocess(test[0]).numpy(), test[1].numpy().ravel()
    )


def make_model(name: str, is_classification: bool, seed: int) -> Any:
    """One of PEERS, with scikit-learn's defaults."""
    from sklearn import ensemble, linear_model, neural_network

    kind = "Classifier" if is_classification else "Regressor"
    if name == "linear":
        if is_classification:
            return linear_model.LogisticRegression(max_iter=2000)
        return linear_model.RidgeCV(np.logspace(-3, 3, 13))
    if name == "mlp":
        return getattr(neural_network, f"MLP{kind}")(random_state=seed)
    family = "RandomForest" if name == "forest" else "HistGradientBoosting"
    return getattr(ensemble, family + kind)(random_state=seed)


def measure(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Scores of all on one table."""
    with tempfile.TemporaryDirectory() as folder:
        group, seconds = train_group(file, options.members, Path(folder))
        runs = [LoadedRun.open(member.folder.path, CPU) for member in group.members]
        dataset = runs[0].dataset
        known, test = encoded(dataset)
        is_classification = runs[0].network.task.is_classification
        predictions = [predictions_of(run) for run in runs]
    scores = {
        "network": [
            score(item, test.y, is_classification) for item in predictions[: options.seeds]
        ],
        "ensemble": [score(np.mean(predictions, axis=0), test.y, is_classification)],
        "members": [score(item, test.y, is_classification) for item in predictions],
    }
    for name in PEERS:
        fitted = [
            make_model(name, is_classification, seed).fit(*known) for seed in range(options.seeds)
        ]
        scores[name] = [score(m.predict(test.x), test.y, is_classification) for m in fitted]
    rows = sum(len(split) for split in dataset.splits.values())
    return {"table": file.stem, "rows": rows, "seconds": seconds, "scores": scores}


def outcome(ours: list[float], theirs: list[float], noise: list[float]) -> str:
    """win, even or loss; noise: the scores whose standard deviation is that of ours."""
    difference = float(np.mean(ours) - np.mean(theirs))
    if abs(difference) <= max(np.std(noise), np.std(theirs)):
        return "even"
    return "win" if difference > 0 else "loss"


def say_results(results: list[dict[str, Any]]) -> None:
    """Print the scores, and the outcomes for the network and the ensemble."""
    head = ["table", "rows", "network", "± seeds", "ensemble", *PEERS.values(), "s per network"]
    counts: dict[tuple[str, str], list[str]] = {
        (a, b): [] for a in ("network", "ensemble") for b in PEERS
    }
    lines = []
    for result in results:
        scores = result["scores"]
        for (ours, theirs), outcomes in counts.items():
            noise = scores["network" if ours == "network" else "members"]
            outcomes.append(outcome(scores[ours], scores[theirs], noise))
        means = {name: f"{np.mean(values):.4f}" for name, values in scores.items()}
        deviation = f"{np.std(scores['network']):.4f}"
        cells = [means["network"], deviation, means["ensemble"], *(means[name] for name in PEERS)]
        seconds = f"{result['seconds'] / len(scores['members']):.1f}"
        lines.append([result["table"], f"{result['rows']:,}", *cells, seconds])
    report.say(report.table(head, lines))
    report.say("")
    rows = [
        [ours, *("/".join(str(counts[ours, b].count(o)) for o in _OUTCOMES) for b in PEERS)]
        for ours in ("network", "ensemble")
    ]
    report.say(report.table(["win/even/loss against", *PEERS.values()], rows))


_OUTCOMES = ("win", "even", "loss")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", nargs="*", help="names of files, without .csv")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("tables.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = {}
    if options.out.exists():
        known = {d["table"]: d for d in map(json.loads, options.out.read_text().splitlines())}
    files = {file.stem: file for file in sorted(options.folder.glob("*.csv"))}
    names = options.tables or [name for name in files if not name.endswith(".test")]
    for name in names:
        if name not in known:
            known[name] = measure(files[name], options)
            with options.out.open("a") as out:
                out.write(json.dumps(known[name]) + "\n")
            report.note(f"{name}: {known[name]['scores']}")
    say_results([known[name] for name in names])


if __name__ == "__main__":
    main()
