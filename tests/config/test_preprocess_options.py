"""Options of `data.preprocess`: which scalings each kind of data has."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nnzoo.config.preprocess_options import ScaleOptions, SeriesPreprocess, TablePreprocess


def test_whitening_needs_components() -> None:
    assert ScaleOptions(pca=4, whiten=True).whiten
    with pytest.raises(ValidationError, match="needs 'pca'"):
        ScaleOptions(whiten=True)


@pytest.mark.parametrize("scale", ["robust", "quantile"])
def test_robust_scalings_are_for_tables(scale: str) -> None:
    assert TablePreprocess.model_validate({"scale": scale}).scale == scale
    with pytest.raises(ValidationError, match="scale"):
        SeriesPreprocess.model_validate({"scale": scale})


def test_a_table_clips_at_a_positive_limit_and_fills_by_the_mean() -> None:
    assert TablePreprocess().impute == "mean" and TablePreprocess().clip is None
    with pytest.raises(ValidationError, match="clip"):
        TablePreprocess(clip=0)
