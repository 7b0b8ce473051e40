"""Split conformal prediction: ranks, intervals and sets."""

from __future__ import annotations

import re

import pytest
import torch

from nnzoo.errors import UsageError
from nnzoo.evaluation import conformal
from nnzoo.evaluation.conformal import (
    Scores,
    check_coverage,
    intervals,
    margins,
    outside_rank,
    set_threshold,
)


def normal(rows: int, seed: int = 0, outputs: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, outputs, generator=generator, dtype=torch.float64)


def test_intervals_hold_at_least_the_conservative_number_of_their_own_rows() -> None:
    for rows in (9, 19, 44, 51, 100, 199, 1000):
        scores = normal(rows, rows)
        low, high = margins(Scores.of(scores), Scores.of(scores), 0.9)
        inside = int(((low <= scores) & (scores <= high)).sum())
        assert inside >= -(-9 * (rows + 1) // 10), rows


def test_coverage_of_new_rows_is_the_asked_one_on_the_mean() -> None:
    reached = []
    for seed in range(200):
        scores = normal(60, seed)
        low, high = margins(Scores.of(scores), Scores.of(scores), 0.9)
        new = normal(200, 1000 + seed)
        reached.append(float(((low <= new) & (new <= high)).double().mean()))
    assert 0.9 <= sum(reached) / len(reached) <= 0.925


def test_skewed_errors_give_skewed_intervals_per_output() -> None:
    scores = normal(999, outputs=2).exp()
    scores[:, 1] *= 10
    low, high = margins(Scores.of(scores), Scores.of(scores), 0.9)
    ordered = scores.sort(0).values
    # 99.5 rows of 1,000 may lie outside, 49.75 on each side.
    assert low.tolist() == pytest.approx((0.25 * ordered[48] + 0.75 * ordered[49]).tolist())
    assert high.tolist() == pytest.approx((0.25 * ordered[-49] + 0.75 * ordered[-50]).tolist())


def test_a_single_row_outside_gives_the_largest_error_on_both_sides() -> None:
    scores = torch.tensor([[-3.0], *[[0.5]] * 8, [1.0]], dtype=torch.float64)
    low, high = margins(Scores.of(scores), Scores.of(scores), 0.9)
    assert (low.item(), high.item()) == (-3.0, 3.0)


def test_many_scores_are_thinned_to_wider_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = normal(5000)
    exact = Scores.of(scores)
    monkeypatch.setattr(conformal, "MAX_SCORES", 100)
    thinned = Scores.of(scores)
    assert len(thinned.values) == 100
    assert len(exact.values) == 4096
    for rank in (1, 7, 200, 499, 5000):
        assert thinned.smallest(rank) <= scores.sort(0).values[rank - 1]
        assert thinned.largest(rank) >= scores.sort(0).values[-rank]
    assert thinned.smallest(1).equal(scores.min(0).values)
    assert thinned.largest(1).equal(scores.max(0).values)


def test_too_few_rows_are_refused_with_the_number_needed() -> None:
    with pytest.raises(UsageError, match=r"0\.95 needs at least 19 validation rows, .* has 10"):
        outside_rank(10, 0.95)
    with pytest.raises(UsageError, match=r"0\.9999 needs at least 9,999 validation rows"):
        outside_rank(20, 0.9999)
    assert outside_rank(9999, 0.9999) == 1
    assert outside_rank(9, 0.9) == 1
    assert outside_rank(19, 0.95) == 1
    assert outside_rank(99, 0.9) == 9.5
    assert outside_rank(106, 0.9) == 10


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 13, 20, 99, 2000, 5000])
def test_the_coverage_that_is_advised_is_given(rows: int) -> None:
    with pytest.raises(UsageError) as refused:
        outside_rank(rows, 0.99999)
    numbers = re.findall("at most ([0-9.]+),", str(refused.value))
    advised = float(numbers[0])
    assert outside_rank(rows, advised) >= 1
    assert 0 <= rows / (rows + 1) - advised < 0.1 / (rows + 1)


def test_ends_that_cross_meet_in_the_middle() -> None:
    low, high = intervals(torch.tensor([[1.0, 5.0]]), torch.tensor([[3.0, 4.0]]))
    assert (low.tolist(), high.tolist()) == ([[1.0, 4.5]], [[3.0, 4.5]])


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, 90.0])
def test_a_coverage_is_a_fraction(coverage: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        check_coverage(coverage)


def test_sets_hold_the_true_class_of_new_rows_as_often_as_asked() -> None:
    reached = []
    for seed in range(50):
        probabilities = (2 * normal(600, seed, 4)).softmax(1)
        generator = torch.Generator().manual_seed(seed)
        targets = torch.multinomial(probabilities, 1, generator=generator)
        true = probabilities.gather(1, targets)
        threshold = set_threshold(Scores.of(true[:100]), 0.9)
        reached.append(float((true[100:] >= threshold).double().mean()))
    assert 0.9 <= sum(reached) / len(reached) <= 0.92
