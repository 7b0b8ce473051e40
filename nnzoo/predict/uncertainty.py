"""Intervals of numbers and sets of classes that hold the truth with an asked coverage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nnzoo.errors import UsageError
from nnzoo.evaluation.conformal import check_coverage, intervals
from nnzoo.models.network import Network
from nnzoo.predict.predictions import Array, Predictions
from nnzoo.text import plural


def with_coverage(
    network: Network, batches: Iterator[Predictions], coverage: float, steps: int
) -> Iterator[Predictions]:
    """Add intervals or sets to predictions of a calibrated network; a last, empty batch has a note on them.

    steps: the time steps of a forecast. Raises UsageError for a coverage that the validation rows do not give, and
    for more steps than the horizon.
    """
    check_coverage(coverage)
    calibration = network.calibration
    assert calibration is not None
    horizon = network.data_spec.horizon
    if steps > horizon:
        raise UsageError(
            f"intervals are known for the horizon of {plural(horizon, 'step')}, not for {steps}: beyond it, forecasts "
            "follow from forecasts; train with a larger data.horizon",
            code="E56",
        )
    rows = plural(calibration.rows, "validation row")
    if network.task.is_classification:
        threshold = calibration.set_threshold(coverage)
        text = (
            f"set: the classes with a probability of at least {threshold:.4g}, which held the true one for "
            f"{coverage:g} of {rows}; an empty one: no class is that probable"
        )
    else:
        calibration.margins(coverage)  # raises before anything is predicted
        text = f"low, high: intervals that held the true value for {coverage:g} of {rows}"
    last: Predictions | None = None
    for batch in batches:
        if network.task.is_classification:
            last = replace(batch, members=batch.values >= threshold)
        else:
            last = with_intervals(network, batch, coverage, steps)
        yield last
    if last is not None:
        yield last.empty_with_notes([text])


def with_intervals(
    network: Network, batch: Predictions, coverage: float, steps: int = 0
) -> Predictions:
    """Add the intervals of a calibrated network. steps: of a forecast, 0 for others; raises UsageError (`outside_rank`)."""
    assert network.calibration is not None
    horizon = network.data_spec.horizon
    low, high = (margin.view(horizon, -1) for margin in network.calibration.margins(coverage))
    bottom = top = batch.values
    if batch.quantiles is not None:
        bottom, top = batch.quantiles[:, 0], batch.quantiles[:, -1]

    def of_rows(margin: Tensor) -> Array:
        values = margin.numpy()
        if steps and "step" in batch.index:  # one row per step, else one per series
            return values[np.array(batch.index["step"], dtype=np.int64) - 1]
        return values[: max(1, steps)].flatten()

    ends = (torch.from_numpy(bottom + of_rows(low)), torch.from_numpy(top + of_rows(high)))
    bottom, top = (end.numpy() for end in intervals(*ends))
    return replace(batch, low=bottom, high=top)
