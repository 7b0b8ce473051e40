"""Split conformal prediction: intervals and sets that hold the truth for an asked fraction of rows.

Scores of n rows on which the network was not trained give a quantile; a new row that is exchangeable with
them lies beyond it with a probability of at most 1 - coverage (Vovk et al. 2005; Lei et al. 2018). The
functions take plain tensors: sorted scores, ranks, predictions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nnzoo.errors import UsageError

# Limits of the scores that a checkpoint keeps: of one output, and of all.
MAX_SCORES = 4096
MAX_STORED = 400_000
# Ranks by which intervals are wider, as the validation rows have chosen the epoch, too: without it, coverage of 0.9
# was 0.01 to 0.02 too low on tables with 50 to 200 validation rows (benchmarks/coverage.py).
SELECTION = 0.5


@dataclass(frozen=True)
class Scores:
    """Sorted conformal scores of `rows` rows, one column per output.

    values: (stored, outputs) float64, ascending: the scores of all rows, or of evenly spaced ranks with the
    smallest and the largest one.
    """

    values: Tensor
    rows: int

    @classmethod
    def of(cls, scores: Tensor) -> Scores:
        """Sort scores (rows, outputs) and keep as many as a checkpoint may hold."""
        rows, outputs = scores.shape
        stored = min(rows, MAX_SCORES, max(2, MAX_STORED // outputs))
        ordered = scores.double().sort(0).values
        return cls(ordered if stored == rows else ordered[_ranks(rows, stored)], rows)

    def smallest(self, rank: float) -> Tensor:
        """Return the score of a rank, 1 is the smallest (outputs,); between two ranks it is interpolated."""
        return self._interpolated(rank, self._below)

    def largest(self, rank: float) -> Tensor:
        """Return the score of a rank from above, 1 is the largest (outputs,); between two ranks it is interpolated."""
        return self._interpolated(rank, self._above)

    def _interpolated(self, rank: float, score: Callable[[int], Tensor]) -> Tensor:
        whole = math.floor(rank)
        first, fraction = score(whole), rank - whole
        return first if fraction == 0 else first + fraction * (score(whole + 1) - first)

    def _below(self, rank: int) -> Tensor:
        """The stored score that is not above that of a rank."""
        ranks = _ranks(self.rows, len(self.values))
        return self.values[int(torch.searchsorted(ranks, rank - 1, right=True)) - 1]

    def _above(self, rank: int) -> Tensor:
        """The stored score that is not below that of a rank from above."""
        ranks = _ranks(self.rows, len(self.values))
        return self.values[int(torch.searchsorted(ranks, self.rows - rank))]


def _ranks(rows: int, stored: int) -> Tensor:
    """Return the ranks (stored,) int64, from 0, of stored scores."""
    return torch.linspace(0, rows - 1, stored, dtype=torch.float64).round().long()


def check_coverage(coverage: float) -> None:
    """Raise UsageError unless a coverage is a fraction between 0 and 1."""
    if not 0 < coverage < 1:
        hint = f"; did you mean {coverage / 100:g}?" if 1 < coverage < 100 else ""
        raise UsageError(
            f"coverage: expected a number between 0 and 1, got {coverage:g}{hint}", code="E02"
        )


def outside_rank(rows: int, coverage: float) -> float:
    """Return how many of n + 1 rows may lie outside at an asked coverage, at least 1.

    For exchangeable rows the largest whole number up to (n + 1) * (1 - coverage); less SELECTION where that
    is fewer, between two ranks. Raises UsageError if n rows are too few: without one outside, every
    interval would be infinite.
    """
    # A rounding error must not cost a rank: (99 + 1) * (1 - 0.9) is 9.999….
    outside = (rows + 1) * (1 - coverage) + 1e-9
    if outside < 1:
        needed = math.ceil((1 - 1e-9) / (1 - coverage)) - 1
        raise UsageError(
            f"coverage {coverage:.12g} needs at least {needed:,} validation rows, and this run has {rows:,}; ask for "
            f"at most {_largest_coverage(rows):.12g}, or train with more (data.split.val)",
            code="E56",
        )
    return max(1.0, min(math.floor(outside), round(outside - SELECTION, 6)))


def _largest_coverage(rows: int) -> float:
    """Return the largest coverage that n rows give, rounded down: to two digits of 1 - coverage."""
    outside = 1 / (rows + 1)
    digits = 1 - math.floor(math.log10(outside))
    return round(1 - math.ceil(outside * 10**digits - 1e-9) / 10**digits, digits)


def intervals(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return both ends (rows, outputs) of intervals; where they cross, as by margins inside of wide quantiles, both
    are their mean."""
    mean = (low + high) / 2
    return torch.minimum(low, mean), torch.maximum(high, mean)


def margins(lower: Scores, upper: Scores, coverage: float) -> tuple[Tensor, Tensor]:
    """Return what is added to the lower and to the upper prediction of each output (outputs,) float64.

    lower, upper: the scores target - prediction of both. The rows that may lie outside are split over the two
    sides, so that intervals follow skewed errors. Fewer than two cannot be split: the margin is then the
    largest excess of both sides.
    """
    outside = outside_rank(lower.rows, coverage)
    if outside < 2:
        largest = torch.maximum(-lower.smallest(1), upper.largest(1))
        return -largest, largest
    return lower.smallest(outside / 2), upper.largest(outside / 2)


def set_threshold(scores: Scores, coverage: float) -> float:
    """Return the probability from which a class belongs to a row's set (Sadinle, Lei & Wasserman 2019).

    scores: (stored, 1), the probabilities of the true classes.
    """
    return float(scores.smallest(outside_rank(scores.rows, coverage)))
