"""Metrics of a calibrated network on a split: its intervals, sets, probabilities and decisions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nnzoo.evaluation.calibration import Calibration
from nnzoo.evaluation.conformal import intervals, outside_rank
from nnzoo.evaluation.decision import Decision
from nnzoo.evaluation.metrics import MetricState, wilson_interval
from nnzoo.evaluation.tasks.classification import Classification
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.evaluation.tasks.task import Task
from nnzoo.evaluation.temperature import CALIBRATION_BINS, ReliabilityMetrics

# A coverage so low by chance alone is less probable than this: the rows have changed.
DRIFT = 0.01
# With fewer validation rows the choice of the epoch may be the reason.
FEW_ROWS = 100


class IntervalMetrics(MetricState):
    """Rows in the intervals of each output, and the widths of those."""

    def __init__(
        self, task: Regression, calibration: Calibration, coverage: float, device: torch.device
    ) -> None:
        self.task, self.rows, self.coverage = task, calibration.rows, coverage
        self.low, self.high = (margin.to(device) for margin in calibration.margins(coverage))
        zeros = torch.zeros(len(self.low), dtype=torch.float64)
        super().__init__(
            device,
            n=torch.zeros((), dtype=torch.int64),
            covered=zeros.clone(),
            width=zeros.clone(),
        )

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add a batch, as the task takes it."""
        lower, upper = self.task.ends(output)
        low, high = intervals(lower + self.low, upper + self.high)
        truth = self.task.unscaled(target)
        self.tensors["n"] += len(output)
        self.tensors["covered"] += ((low <= truth) & (truth <= high)).sum(0)
        self.tensors["width"] += (high - low).sum(0)

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return the coverage reached and the mean width, over all outputs and of each."""
        n = int(self.tensors["n"])
        covered = (self.tensors["covered"] / n).tolist()
        width = (self.tensors["width"] / n).tolist()
        report = _coverage_report(sum(covered) / len(covered), n, self.rows, self.coverage)
        report["mean_width"] = sum(width) / len(width)
        if len(names) > 1:
            report["per_output"] = [
                {"name": name, "reached": c, "mean_width": w}
                for name, c, w in zip(names, covered, width, strict=True)
            ]
        return {"coverage": report}


class ClassUncertaintyMetrics(MetricState):
    """Rows whose set has their class, the sizes of sets, calibration, and the classes that are decided for."""

    def __init__(
        self,
        task: Classification,
        calibration: Calibration,
        decision: Decision | None,
        coverage: float | None,
        device: torch.device,
    ) -> None:
        self.task, self.calibration, self.decision = task, calibration, decision
        self.coverage = coverage
        self.threshold = math.nan if coverage is None else calibration.set_threshold(coverage)
        self.parts = {"before": ReliabilityMetrics(1.0, device)}
        if calibration.temperature is not None:
            self.parts["after"] = ReliabilityMetrics(calibration.temperature, device)
        classes = task.outputs if decision else 0
        super().__init__(
            device,
            counts=torch.zeros(4, dtype=torch.int64),
            confusion=torch.zeros(2, classes, classes, dtype=torch.int64),
        )
        for part, metrics in self.parts.items():
            self.tensors |= {f"{part}_{name}": value for name, value in metrics.tensors.items()}

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add a batch. output: logits (batch, classes)."""
        for metrics in self.parts.values():
            metrics.update(output, target)
        probabilities = self.task.postprocess(output)
        members = probabilities >= self.threshold
        sizes = members.sum(1)
        covered = members.gather(1, target[:, None]).sum()
        rows = torch.tensor(len(target), device=covered.device)
        self.tensors["counts"] += torch.stack([rows, covered, sizes.sum(), (sizes == 0).sum()])
        if self.decision is not None:
            chosen = (output.argmax(1), self.decision.classes(probabilities))
            for counts, predicted in zip(self.tensors["confusion"], chosen, strict=True):
                pairs = torch.bincount(target * len(counts) + predicted, minlength=counts.numel())
                counts += pairs.view_as(counts)

    def compute(self, names: list[str]) -> dict[str, Any]:
        """Return the coverage and size of sets, calibration before and after the temperature, the decision."""
        n, covered, size, empty = self.tensors["counts"].tolist()
        result: dict[str, Any] = {}
        if self.coverage is not None:
            report = _coverage_report(covered / n, n, self.calibration.rows, self.coverage)
            result["coverage"] = report | {"mean_set_size": size / n, "empty_sets": empty / n}
        result["calibration"] = {
            "temperature": self.calibration.temperature,
            "applied": self.task.temperature is not None,
            "bins": CALIBRATION_BINS,
            **{name: part.compute(names) for name, part in self.parts.items()},
        }
        if self.decision is not None:
            before, after = self.tensors["confusion"].cpu()
            result["decision"] = self.decision.report(after, before)
        return result


Uncertainty = IntervalMetrics | ClassUncertaintyMetrics


def uncertainty_metrics(
    task: Task,
    calibration: Calibration,
    decision: Decision | None,
    coverage: float | None,
    device: torch.device,
) -> Uncertainty | None:
    """Return empty metrics of a calibrated network; None where there is nothing to measure.

    coverage: None to measure none.
    """
    if isinstance(task, Classification):
        return ClassUncertaintyMetrics(task, calibration, decision, coverage, device)
    if isinstance(task, Regression) and coverage is not None:
        return IntervalMetrics(task, calibration, coverage, device)
    return None


def _coverage_report(reached: float, n: int, calibration_rows: int, asked: float) -> dict[str, Any]:
    """Describe a coverage, with a line where it is lower than chance explains."""
    report: dict[str, Any] = {
        "asked": asked,
        "reached": reached,
        "ci95": list(wilson_interval(round(reached * n), n)),
        "validation_rows": calibration_rows,
    }
    if reached < asked and _chance(reached, n, calibration_rows, asked) < DRIFT:
        report["drift"] = (
            f"coverage {reached:.3g} instead of {asked:g}: more than chance explains; these rows differ from the "
            "validation rows (drift)"
        )
        if calibration_rows < FEW_ROWS:
            report["drift"] += (
                f", or the {calibration_rows} validation rows, which chose the epoch, flatter the network"
            )
    return report


def _chance(reached: float, n: int, calibration_rows: int, asked: float) -> float:
    """Return the probability of such a coverage or a lower one for exchangeable rows: it is beta-binomial."""
    from scipy.stats import betabinom

    outside = outside_rank(calibration_rows, asked)
    inside = calibration_rows + 1 - outside
    return float(betabinom.cdf(round(reached * n), n, inside, outside))
