"""Splits by time: in order, equal times in one part, folds that go forward."""

from __future__ import annotations

import numpy as np

from tests.data.division_cases import RNG, division, random_times, refusal, rows_of


def test_no_row_is_later_than_one_of_the_next_part_and_equal_times_are_in_one() -> None:
    for i in range(200):
        times = random_times(int(RNG.integers(12, 60)))
        split = {"val": 0.2, "test": 0.2} if i % 2 else {"test": 3, "folds": 3, "fold": i % 3 + 1}
        rows, _, notes, _ = division(rows_of(len(times), by=times), by="t", **split)
        values = np.array(times)
        train, val, test = (values[rows[part]] for part in ("train", "val", "test"))
        assert len(train) and train.max() < val.min() and val.max() < test.min()
        used = np.concatenate([*rows.values()])
        assert len(np.unique(used)) == len(used)
        if i % 2:
            assert len(used) == len(times)
            # As near to the sizes asked for as the rows of one time let a border be.
            most = max(np.unique(values, return_counts=True)[1])
            assert abs(len(test) - round(0.2 * len(times))) <= most
        else:
            assert len(used) == len(times) or "are not used" in notes[-1]


def test_folds_by_time_go_forward_and_test_on_the_same_rows() -> None:
    train = rows_of(50, by=list(range(50)))
    folds = [division(train, by="t", folds=4, fold=k, test=10).rows for k in (1, 2, 3, 4)]
    assert [part["test"].tolist() for part in folds] == [list(range(40, 50))] * 4
    assert [part["train"].tolist() for part in folds] == [list(range(8 * k)) for k in (1, 2, 3, 4)]
    assert [part["val"].tolist() for part in folds] == [
        list(range(8 * k, 8 * k + 8)) for k in (1, 2, 3, 4)
    ]
    short = rows_of(9, by=[1, 1, 1, 2, 2, 2, 3, 3, 3])
    assert "3 different values, too few for 5 parts" in refusal(short, by="t", folds=3, test=1)


def test_rows_at_a_border_that_had_to_move_are_said() -> None:
    *_, notes, _ = division(rows_of(12, by=[1] * 6 + [2] * 6), by="t", val=0, test=4)
    assert "rows of one time stay on one side: test has 6 rows, not 4 (data.split.by)" in notes
