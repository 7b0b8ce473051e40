"""Calibration of a trained network on validation rows: conformal scores, a temperature, a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nnzoo.config.eval_options import DecideOptions, EvalOptions
from nnzoo.errors import CheckpointError, NnzooError, UsageError
from nnzoo.evaluation.conformal import Scores, margins, outside_rank, set_threshold
from nnzoo.evaluation.decision import Decision, class_index, cost_matrix, fit_decision
from nnzoo.evaluation.tasks.classification import Classification
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.evaluation.tasks.task import Task
from nnzoo.evaluation.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature

# The coverage that is shown where none is asked for.
DEFAULT_COVERAGE = 0.9
# Limits of the validation rows that are used, evenly spaced, and of their outputs.
MAX_ROWS = 50_000
MAX_OUTPUTS = 1 << 26


@dataclass(frozen=True)
class Calibration:
    """Values learned from validation rows.

    lower, upper: for numbers the scores target - prediction, of which `lower` moves the lower end of an
    interval and `upper` the upper one; for classes `lower` holds the probabilities of the true classes.
    temperature: None where it is unknown, as every row is classified correctly. threshold: that of the
    decision `decide`; None where there is none. problem: why the decision was not found.
    """

    lower: Scores
    upper: Scores | None = None
    temperature: float | None = None
    decide: DecideOptions | None = None
    threshold: float | None = None
    problem: str = ""

    @property
    def rows(self) -> int:
        """The number of validation rows."""
        return self.lower.rows

    @property
    def default_coverage(self) -> float | None:
        """The coverage that is shown where none is asked for; None where the rows are too few for it."""
        try:
            outside_rank(self.rows, DEFAULT_COVERAGE)
        except UsageError:
            return None
        return DEFAULT_COVERAGE

    def margins(self, coverage: float) -> tuple[Tensor, Tensor]:
        """Return what is added to the ends of the interval of each output; raises UsageError (`outside_rank`)."""
        assert self.upper is not None
        return margins(self.lower, self.upper, coverage)

    def set_threshold(self, coverage: float) -> float:
        """Return the probability from which a class belongs to a set; raises UsageError (`outside_rank`)."""
        return set_threshold(self.lower, coverage)

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors for a checkpoint."""
        upper = None if self.upper is None else self.upper.values
        state = {"rows": self.rows, "lower": self.lower.values, "upper": upper}
        decide = None if self.decide is None else self.decide.model_dump(mode="json")
        state |= {"temperature": self.temperature, "decide": decide}
        return state | {"threshold": self.threshold, "problem": self.problem}

    @classmethod
    def from_state(cls, state: Any, task: Task, source: str) -> Calibration | None:
        """Return the calibration in a checkpoint, which may be anyone's; None where there is none.

        Raises CheckpointError if it does not fit the task.
        """
        if state is None:
            return None
        is_number = isinstance(task, Regression)
        width = len(task.names) if is_number else 1
        try:
            rows, temperature, threshold = (
                state[key] for key in ("rows", "temperature", "threshold")
            )
            known = rows > 0 and all(
                _fits(state[key], rows, width) for key in ("lower", "upper")[: 1 + is_number]
            )
            known &= temperature is None or MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE
            known &= threshold is None or 0 <= threshold <= 1
            decide = state["decide"]
            decide = None if decide is None else DecideOptions.model_validate(decide)
            if not known:
                raise ValueError("other values")
            lower = Scores(state["lower"], rows)
            upper = Scores(state["upper"], rows) if is_number else None
            return cls(lower, upper, temperature, decide, threshold, str(state["problem"]))
        except (LookupError, TypeError, ValueError, AttributeError):
            raise CheckpointError(
                f"{source}: its calibration does not fit this network", code="E65"
            ) from None


def _fits(values: Tensor, rows: int, width: int) -> bool:
    return bool(
        values.dtype == torch.float64
        and values.ndim == 2
        and 1 <= len(values) <= rows
        and values.shape[1] == width
        and values.isfinite().all()
    )


def fit_calibration(
    task: Task, outputs: Tensor, targets: Tensor, options: EvalOptions
) -> Calibration | None:
    """Fit to the outputs (rows, outputs) of a network and their targets, as `Task.loss` takes them.

    None for other tasks than classes, numbers and forecasts, without rows, and where outputs are not finite.
    """
    if not len(targets) or not outputs.isfinite().all():
        return None
    if isinstance(task, Regression):
        lower, upper = task.ends(outputs)
        target = task.unscaled(targets)
        below = Scores.of(target - lower)
        return Calibration(below, Scores.of(target - upper) if task.quantiles else below)
    if not isinstance(task, Classification):
        return None
    temperature = fit_temperature(outputs, targets)
    if options.temperature == "apply" and temperature is not None:
        outputs = outputs / temperature
    probabilities = outputs.softmax(1)
    scores = Scores.of(probabilities.gather(1, targets[:, None]))
    threshold, problem = None, ""
    if options.decide is not None:
        try:
            decision = fit_decision(options.decide, task.names, probabilities, targets)
            threshold = None if decision.costs is not None else decision.threshold
        except NnzooError as error:
            problem = f"{error.key}: {error}" if error.key else str(error)
    return Calibration(scores, None, temperature, options.decide, threshold, problem)


def decision_of(
    options: DecideOptions | None, labels: list[str], calibration: Calibration | None
) -> Decision | None:
    """Return the decision that options describe; None where its threshold has not been found."""
    if options is None:
        return None
    if options.cost is not None:
        return Decision(labels, cost_matrix(options.cost, labels))
    if calibration is None or calibration.decide != options or calibration.threshold is None:
        return None
    goal = "recall" if options.recall is not None else "precision"
    of = class_index(options.of, labels, "eval.decide.of")
    return Decision(labels, None, of, calibration.threshold, (goal, getattr(options, goal)))
