"""Columns as values: further missing words, formats in checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from nnzoo.data.columns.values import parse_numbers
from nnzoo.data.data_spec import NumberFormat
from tests.data.columns.describing import numbers_of


def test_further_missing_words_also_name_numbers() -> None:
    assert np.isnan(numbers_of(["1", "-999.0", "3"], missing=("-999",))[1])
    frame = pandas.Series([1.0, -999.0], name="c")
    assert np.isnan(parse_numbers(frame, NumberFormat(missing=("-999",)))[0][1])


def test_a_format_survives_a_checkpoint_and_foreign_ones_are_refused() -> None:
    form = NumberFormat(",", ".", "eur", missing=("weg",))
    assert NumberFormat.from_spec(form.to_spec()) == form
    assert NumberFormat().to_spec() == {}
    invalid: tuple[Any, ...] = ([], {"decimals": "."}, {"unit": 3}, {"missing": [1]})
    for foreign in invalid:
        with pytest.raises(TypeError):
            NumberFormat.from_spec(foreign)
