"""Options of `data.preprocess`: how inputs and numeric targets are scaled and reduced."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from nnzoo.config.options import Options, Positive, PositiveInt, field_error, option


class ScaleOptions(Options):
    """Fitted on training rows alone and saved with the weights."""

    scale: Literal["standardize", "minmax", "none"] = option(
        "standardize", "for numeric inputs: zero mean and unit variance, or into [0, 1]"
    )
    pca: PositiveInt | None = option(
        None, "number of principal components to keep (by SVD; an image is flattened first)"
    )
    whiten: bool = option(False, "with pca: unit variance along each component")

    @model_validator(mode="after")
    def _whiten_needs_pca(self) -> ScaleOptions:
        if self.whiten and self.pca is None:
            raise field_error("whiten", "needs 'pca'")
        return self


class SeriesPreprocess(ScaleOptions):
    target: Literal["standardize", "minmax", "none"] = option(
        "standardize", "scaling of a numeric target; metrics are in its own units"
    )


class TablePreprocess(SeriesPreprocess):
    scale: Literal["standardize", "minmax", "robust", "quantile", "none"] = option(  # type: ignore[assignment]
        "standardize",
        "for numeric inputs: zero mean and unit variance, into [0, 1], zero median and unit distance between the "
        "quartiles (robust), or each value's rank as the quantile of a normal distribution (quantile)",
    )
    clip: Positive | None = option(
        None,
        "soft limit of numeric inputs behind `scale`: x becomes x / sqrt(1 + (x / clip)^2); RealMLP's is 3 "
        "(Holzmüller et al. 2024)",
    )
    impute: Literal["mean", "median", "zero"] = option(
        "mean", "replaces missing numbers; categories are one-hot, missing ones all zero"
    )
