"""What the trivial answers score on a split: the line that a network has to beat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nnzoo.data.dataset import Dataset, WindowSplit, chunks
from nnzoo.data.preprocess import fit_rows
from nnzoo.evaluation.metrics import RegressionMetrics, classification_report, ranking_report
from nnzoo.evaluation.tasks import Classification, Task

CHUNK = 4096
MAX_LINEAR_INPUTS = 2048
RIDGE = 1e-6


def baselines(dataset: Dataset, split: str, task: Task) -> list[dict[str, Any]]:
    """The metrics of each trivial answer on one split, best first; all learn from training rows.

    dataset: with targets and series in their own units.
    """
    if isinstance(task, Classification):
        return [_majority(dataset, split)]
    train, rows = dataset.splits["train"], dataset.splits[split]
    answers = {"mean": train.targets().double().mean(0).expand(len(rows), task.outputs)}
    if isinstance(rows, WindowSplit) and isinstance(train, WindowSplit):
        last = rows.past_targets(torch.tensor([rows.window - 1]))
        answers["last value"] = last.repeat(1, rows.horizon, 1).flatten(1)
        if 1 < dataset.season <= rows.window:
            steps = rows.window - dataset.season + torch.arange(rows.horizon) % dataset.season
            answers["last season"] = rows.past_targets(steps).flatten(1)
        linear = _linear(train, rows, answers["mean"][0])
        if linear is not None:
            answers["linear"] = linear
    results = []
    for name, answer in answers.items():
        sums = RegressionMetrics(answers["mean"][0], torch.device("cpu"))
        sums.add(answer, rows.targets())
        report = sums.compute(task.names)
        results.append({"name": name} | {key: report[key] for key in ("mse", "rmse", "mae", "r2")})
    return sorted(results, key=lambda result: result["mse"])


def _majority(dataset: Dataset, split: str) -> dict[str, Any]:
    classes = len(dataset.labels)
    majority = int(torch.bincount(dataset.splits["train"].targets(), minlength=classes).argmax())
    truth = torch.bincount(dataset.splits[split].targets(), minlength=classes)
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    confusion[:, majority] = truth
    report = classification_report(confusion, dataset.labels)
    keys = ("accuracy", "precision_macro", "recall_macro", "f1_macro")
    result: dict[str, Any] = {"name": "majority class", "label": dataset.labels[majority]}
    result |= {key: report[key] for key in keys}
    if classes == 2:  # one score for all rows
        targets = dataset.splits[split].targets()
        result |= ranking_report(torch.zeros(len(targets)), targets)
    return result


def _linear(train: WindowSplit, rows: WindowSplit, middle: Tensor) -> Tensor | None:
    """One linear layer from window to horizon, by least squares on the training windows.

    middle: (outputs,) mean of the training targets; around it, large numbers keep their digits and
    the ridge does not pull the answers towards zero.
    None where the window holds more numbers than can be solved for at once.
    """
    inputs = train.window * train.values.shape[1]
    if inputs > MAX_LINEAR_INPUTS:
        return None
    seen = fit_rows(train)
    centre, spread = seen.mean(0), seen.std(0)
    # What never changes in training has no weight, wherever it goes later.
    spread = torch.where(spread > 1e-12 * centre.abs(), spread, torch.inf)

    def design(split: WindowSplit, piece: slice) -> tuple[Tensor, Tensor]:
        x, y = split.batch(torch.arange(piece.start, piece.stop))
        x = ((x - centre) / spread).flatten(1)
        return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1), y - middle

    gram = torch.zeros(inputs + 1, inputs + 1, dtype=torch.float64)
    moment: Tensor | None = None
    for piece in chunks(len(train), CHUNK):
        x, y = design(train, piece)
        gram += x.T @ x
        moment = x.T @ y if moment is None else moment + x.T @ y
    gram.diagonal().add_(RIDGE * len(train))
    assert moment is not None
    weights = torch.linalg.solve(gram, moment)
    pieces = chunks(len(rows), CHUNK)
    return torch.cat([design(rows, piece)[0] @ weights for piece in pieces]) + middle
