"""The answers to a split one by one: how sure they are, where they are wrong, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nnzoo.evaluation.evaluate import iter_outputs
from nnzoo.runs.loaded_run import LoadedRun

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Compared:
    """classes: `truth` and `answer` (rows,) int64, and `sure` (rows,), the probability of the answer;
    numbers: `truth` and `answer` (rows, outputs) in the target's own units."""

    truth: Array
    answer: Array
    sure: Array | None = None

    @property
    def wrong(self) -> Array:
        """The rows (int64) of wrong classes, the surest first."""
        assert self.sure is not None
        rows = np.flatnonzero(self.answer != self.truth)
        return rows[np.argsort(-self.sure[rows], kind="stable")]

    @property
    def farthest(self) -> Array:
        """The rows (int64) of numbers, that with the largest error first; errors of several outputs
        count by the spread of the truth of each."""
        spread = self.truth.std(0)
        error = np.abs(self.answer - self.truth) / np.where(spread > 0, spread, 1.0)
        return np.argsort(-error.max(1), kind="stable")


@torch.no_grad()
def answers(trained: LoadedRun, split: str) -> Compared:
    """The answers of a trained network to every row of a split, in order."""
    network = trained.network
    task: Any = network.task
    truth, answer, sure = [], [], []
    was_training = network.training
    for output, target in iter_outputs(network, trained.prepared(split), network.device):
        if task.is_classification:
            best = task.postprocess(output).max(1)
            sure.append(best.values.cpu())
            answer.append(best.indices.cpu())
            truth.append(target.cpu())
        else:
            answer.append(task.postprocess(output).cpu())
            truth.append(task.unscaled(target).cpu())
    network.train(was_training)
    return Compared(
        torch.cat(truth).numpy(),
        torch.cat(answer).numpy(),
        torch.cat(sure).numpy() if sure else None,
    )


BINS = 10


def calibration(answers: Compared) -> dict[str, Any]:
    """How often answers of some sureness are right: bins of equal width with rows in them, and the
    expected calibration error (Guo et al. 2017), the mean distance of the two."""
    assert answers.sure is not None
    right = answers.answer == answers.truth
    place = np.minimum((answers.sure * BINS).astype(int), BINS - 1)
    bins = []
    for i in range(BINS):
        inside = place == i
        if inside.any():
            bins.append({"sure": float(answers.sure[inside].mean()),
                         "right": float(right[inside].mean()), "rows": int(inside.sum())})  # fmt: skip
    error = sum(abs(b["sure"] - b["right"]) * b["rows"] for b in bins) / len(right)
    return {"bins": bins, "error": error}
