"""Whether a network and a baseline differ by more than chance, judged on the same rows.

Classes and labels: McNemar's test, mid-p (Fagerland, Lydersen & Laake 2013), with the interval of Agresti and Min (2005) for the
difference of accuracies. Numbers: bootstrap of the rows' squared errors in pairs; of forecasts, whose windows overlap,
in blocks of neighboring rows (circular, Politis and Romano 1992).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnzoo.data.dataset import Split, WindowSplit
from nnzoo.evaluation.metrics import Z95, MetricState
from nnzoo.evaluation.tasks.task import Task
from nnzoo.evaluation.thresholds import SIGNIFICANCE

CPU = torch.device("cpu")
RESAMPLES = 2000
MAX_UNITS = 2000
"""Units that are drawn: neighboring rows share one where there are more rows, so that memory and time are bounded."""
MIN_BLOCKS = 5
"""Fewer blocks of rows tell nothing."""

Comparison = dict[str, Any]


class RowOutcomes(MetricState):
    """How well each row of a split is predicted, in its order: whether it is right, or the sums of the squared errors of
    units of neighboring rows.

    rows, first: as in `ClassificationMetrics`. outputs: numbers per row; 0 where rows are right or wrong. block: rows
    whose errors depend on each other.
    """

    def __init__(
        self,
        task: Task,
        rows: int,
        outputs: int,
        block: int = 1,
        first: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.task = task
        self.rows, self.outputs, self.next_row = rows, outputs, first
        self.rows_per_unit = 1 if outputs == 0 else max(1, -(-rows // MAX_UNITS))
        self.block = -(-block // self.rows_per_unit)
        """Units of a block."""
        units = -(-rows // self.rows_per_unit)
        super().__init__(device, values=torch.zeros(units, max(outputs, 1), dtype=torch.float64))

    @property
    def values(self) -> np.ndarray:
        """(units, outputs or 1)."""
        return self.tensors["values"].cpu().numpy()

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add the outputs and targets of a batch of the network."""
        self.add(self.task.row_outcomes(output, target))

    def add(self, values: Tensor) -> None:
        """Add the next rows: whether each is right (batch,), or their squared errors (batch, outputs)."""
        total = self.tensors["values"]
        rows = torch.arange(self.next_row, self.next_row + len(values), device=total.device)
        values = values.detach().double().view(len(values), -1)
        total.index_add_(0, rows // self.rows_per_unit, values)
        self.next_row += len(values)

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return nothing: the outcomes are compared with those of baselines."""
        return {}


def compare(network: RowOutcomes, baseline: RowOutcomes, metric: str = "rmse") -> Comparison:
    """The difference network - baseline in a metric, its 95 % interval, the p-value of no difference, and in `verdict`
    which is better: "network", "baseline" or, within chance, "neither".

    metric: the name of the fraction of right rows, such as "accuracy", or "rmse".
    """
    if network.outputs == 0:
        comparison = _mcnemar(network.values[:, 0], baseline.values[:, 0])
        sign = 1
    else:
        comparison = _bootstrap(network, baseline)
        sign = -1
    comparison |= {"metric": metric}
    verdict = "neither"
    p_value = comparison["p_value"]
    if p_value is not None and p_value < SIGNIFICANCE:
        verdict = "network" if sign * comparison["difference"] > 0 else "baseline"
    return comparison | {"verdict": verdict}


def _mcnemar(network: np.ndarray, baseline: np.ndarray) -> Comparison:
    """Compare two classifiers; each: (rows,) 1 where it is right."""
    only_network = int(((network == 1) & (baseline == 0)).sum())
    only_baseline = int(((network == 0) & (baseline == 1)).sum())
    n = len(network)
    b, c, total = only_network + 0.5, only_baseline + 0.5, n + 2
    center = (b - c) / total
    half_width = Z95 * math.sqrt(b + c - (b - c) ** 2 / total) / total
    return {
        "test": "McNemar, mid-p",
        "difference": (only_network - only_baseline) / n if n else math.nan,
        "ci95": [max(-1.0, center - half_width), min(1.0, center + half_width)],
        "p_value": _mid_p(only_network, only_baseline),
        "only_network_right": only_network,
        "only_baseline_right": only_baseline,
    }


def _mid_p(b: int, c: int) -> float:
    """The two-sided mid-p of b successes in b + c tosses of a fair coin; SciPy takes longer to import than this."""
    if b == c:
        return 1.0
    n, k = b + c, np.arange(min(b, c) + 1)
    log_factorial = np.concatenate([[0.0], np.log(np.arange(1, n + 1)).cumsum()])
    point = np.exp(log_factorial[n] - log_factorial[k] - log_factorial[n - k] - n * math.log(2))
    return float(min(1.0, 2 * point.sum() - point[-1]))


def _bootstrap(network: RowOutcomes, baseline: RowOutcomes) -> Comparison:
    """Compare squared errors by the same resamples of both."""
    units, outputs = network.values.shape
    block = network.block
    kind = "bootstrap of rows" if block == 1 else "bootstrap of blocks of rows"
    totals = np.concatenate([network.values, baseline.values], 1)
    result: Comparison = {
        "test": f"{kind} in pairs",
        "difference": float(_rmse(totals.sum(0), network.rows, outputs)),
        "ci95": None,
        "p_value": None,
    }
    if units < MIN_BLOCKS * block:
        return result
    sizes = np.full(units, network.rows_per_unit, dtype=np.float64)
    sizes[-1] = network.rows - network.rows_per_unit * (units - 1)
    columns = np.concatenate([totals, sizes[:, None]], 1)
    # Row i: the sum over the block of units that begins with unit i, around the end.
    around = np.concatenate([columns, columns[: block - 1]])
    total = np.concatenate([np.zeros((1, around.shape[1])), around.cumsum(0)])
    blocks = total[block:] - total[:-block]
    draws = -(-units // block)
    starts = np.random.default_rng(0).integers(0, units, (RESAMPLES, draws))
    starts += units * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(starts.ravel(), minlength=RESAMPLES * units).reshape(RESAMPLES, units)
    resampled = counts.astype(np.float64) @ blocks
    differences = _rmse(resampled[:, :-1], resampled[:, -1:], outputs)
    return result | _student(result["difference"], differences, units / block)


def _student(difference: float, resampled: np.ndarray, blocks: float) -> Comparison:
    """The interval and p-value of a difference by the standard error of a bootstrap and Student's t: the quantiles of
    resamples of few blocks are too narrow (with five rows of one sign none crosses zero).

    blocks: the number of independent ones in the rows.
    """
    from scipy.special import stdtr, stdtrit

    degrees = blocks - 1
    error = float(resampled.std()) * math.sqrt(blocks / degrees)
    half_width = float(stdtrit(degrees, 0.975)) * error
    p_value = (
        float(2 * stdtr(degrees, -abs(difference) / error)) if error else float(not difference)
    )
    return {"ci95": [difference - half_width, difference + half_width], "p_value": p_value}


def _rmse(totals: np.ndarray, rows: Any, outputs: int) -> np.ndarray:
    """The difference of RMSE, the mean over the outputs; totals: (..., 2 * outputs) of squared errors."""
    roots = np.sqrt((totals / rows).clip(0))
    return np.asarray(roots[..., :outputs].mean(-1) - roots[..., outputs:].mean(-1))


def row_outcomes(
    task: Task, split: Split, device: torch.device = CPU, first: int = 0
) -> RowOutcomes:
    """Empty outcomes of the rows of a split, whose row `first` is added first; forecasts of neighboring windows have
    targets in common, and errors that persist for longer."""
    rows, block = len(split), 1
    if isinstance(split, WindowSplit):
        block = split.horizon + round(rows ** (1 / 3))
    outputs = 0 if task.correct_metric else len(task.names)
    return RowOutcomes(task, rows, outputs, block, first, device)
