"""Preprocessing as modules, fitted on training rows alone and saved with the weights.

A `Preprocess` turns raw inputs (uint8 images; float64 tables with NaN and category codes; float64
series) into float32 for the network. It can be built from a checkpoint's plain values without any
data, and is then filled from its state_dict.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from nnzoo.config.preprocess_options import ScaleOptions, TablePreprocess
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import (
    CHUNK_BYTES,
    Dataset,
    Split,
    TensorSplit,
    WindowSplit,
    chunks,
)
from nnzoo.data.sequences import SequenceSplit
from nnzoo.data.statistics import median_and_quartiles, weighted_mean_and_std
from nnzoo.errors import ConfigError
from nnzoo.kernels.step import normalize_uint8, supports_normalize

# Rows per chunk of statistics, so that uint8 images never become one float64 copy of themselves.
CHUNK = 8192
MAX_PCA_INPUTS = 20_000


class Impute(nn.Module):
    """Missing numbers (NaN) of the first `numbers` columns become the training rows' value."""

    fill: Tensor

    def __init__(self, numbers: int, method: str) -> None:
        super().__init__()
        self.method = method
        self.register_buffer("fill", torch.zeros(numbers, dtype=torch.float64))

    def fit(self, x: Tensor, weights: Tensor | None = None) -> None:
        """x: (rows, columns); weights: (rows,) float64, for means."""
        numbers = x[:, : len(self.fill)]
        if self.method == "mean" and weights is not None:
            present = ~numbers.isnan() * weights[:, None]
            self.fill = ((numbers.nan_to_num(0) * present).sum(0) / present.sum(0)).nan_to_num(0)
        elif self.method == "mean":
            self.fill = numbers.nanmean(0).nan_to_num(0)
        elif self.method == "median" and numbers.numel():
            # torch's median of an even number of values is the lower one.
            values = numbers.numpy()
            values = np.where(np.isnan(values).all(0), 0.0, values)
            self.fill = torch.from_numpy(np.nanmedian(values, axis=0))

    def forward(self, x: Tensor) -> Tensor:
        numbers, rest = x[:, : len(self.fill)], x[:, len(self.fill) :]
        filled = torch.where(numbers.isnan(), self.fill.to(x.dtype), numbers)
        return torch.cat([filled, rest], 1) if rest.shape[1] else filled


class OneHot(nn.Module):
    """Category codes behind the first `numbers` columns become 0/1 columns; -1 is all zero."""

    columns: Tensor
    codes: Tensor

    def __init__(self, numbers: int, sizes: list[int]) -> None:
        super().__init__()
        self.numbers = numbers
        self.sizes = sizes
        pairs = [(numbers + i, code) for i, size in enumerate(sizes) for code in range(size)]
        table = torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
        self.register_buffer("columns", table[:, 0].clone(), persistent=False)
        self.register_buffer("codes", table[:, 1].clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.sizes:
            return x
        is_category = x[:, self.columns] == self.codes
        return torch.cat([x[:, : self.numbers], is_category.to(x.dtype)], 1)


class Scale(nn.Module):
    """(x - shift) / spread along one dimension; a constant feature is only shifted.

    shift and spread, named so in checkpoints, are the mean and std, the minimum and range, or the median and the
    distance between the quartiles. axis: 1 for channels of an image, -1 for features; only the first `features`
    are scaled.
    """

    shift: Tensor
    spread: Tensor
    use_native = False
    """Whether bytes may be scaled natively in training; the network sets it."""

    def __init__(self, features: int, method: str, axis: int = -1) -> None:
        super().__init__()
        self.method = method
        self.axis = axis
        self._cached_terms: tuple[Any, tuple[Tensor, ...], tuple[Tensor, Tensor]] | None = None
        self.register_buffer("shift", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(features, dtype=torch.float64))

    def fit(self, x: Tensor, weights: Tensor | None = None) -> None:
        """x: (rows, ..., features) or, for images, (rows, features, ...); weights: (rows,) float64, for mean and std."""
        if self.method == "none" or not len(self.shift):
            return
        if x.dtype == torch.uint8:
            self.set(*self._of_bytes([x]))
            return
        x = x.movedim(self.axis, -1)[..., : len(self.shift)]
        if weights is not None and self.method == "standardize":
            self.set(*weighted_mean_and_std(x, weights))
        else:
            self.set(*self._of_rows(x))

    def fit_images(self, images: Iterable[Tensor]) -> None:
        """As `fit`, for uint8 images (rows, features, height, width) in chunks."""
        if self.method != "none":
            self.set(*self._of_bytes(images))

    def set(self, center: Tensor, scale: Tensor) -> None:
        self.shift = center
        tiny = 1e-12 * self.shift.abs().clamp(min=1e-300)
        self.spread = torch.where(scale > tiny, scale, torch.ones_like(scale))

    def _of_rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale of x (..., features)."""
        x = x.flatten(0, -2)
        if self.method == "minmax":
            low = x.amin(0).double()
            return low, x.amax(0).double() - low
        if self.method == "robust":
            return median_and_quartiles(x.double())
        # Two passes over chunks in float64: one pass of sums of squares loses digits.
        mean = torch.zeros(x.shape[1], dtype=torch.float64)
        for rows in chunks(len(x), CHUNK):
            mean += x[rows].double().sum(0) / len(x)
        squares = torch.zeros_like(mean)
        for rows in chunks(len(x), CHUNK):
            squares += ((x[rows].double() - mean) ** 2).sum(0)
        return mean, (squares / len(x)).sqrt()

    def _of_bytes(self, images: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """Shift and scale of uint8 (rows, features, ...), from counts of the 256 values, so that 60,000
        images are never copied as floats."""
        counts = torch.zeros(len(self.shift), 256, dtype=torch.float64)
        for x in images:
            for row, feature in zip(counts, x.movedim(self.axis, 0), strict=True):
                for part in feature.split(max(1, CHUNK_BYTES // feature[0].nbytes)):
                    row += torch.bincount(part.flatten(), minlength=256)
        values = torch.arange(256, dtype=torch.float64)
        if self.method == "minmax":
            low = torch.stack([values[row > 0].amin() for row in counts])
            return low, torch.stack([values[row > 0].amax() for row in counts]) - low
        total = counts.sum(1)
        mean = counts @ values / total
        squares = (counts * (values - mean[:, None]) ** 2).sum(1)
        return mean, (squares / total).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        # Tables and series keep float64 up to here, since a large mean eats float32's digits.
        shift, factor = self.terms(x.dtype if x.is_floating_point() else torch.float32, x.ndim)
        count = len(self.shift)
        if self.training and self.use_native and supports_normalize(x, shift, factor):
            return normalize_uint8(x, shift, factor)
        if x.shape[self.axis] == count:
            return torch.sub(x, shift).mul_(factor)  # also of bytes, in one pass less
        return torch.cat([(x[..., :count] - shift) * factor, x[..., count:]], -1)

    def terms(self, dtype: torch.dtype, dims: int) -> tuple[Tensor, Tensor]:
        """Shift and factor in the type and shape of the input, cached until the buffers change: they take
        six operations per step."""
        buffers = self.shift, self.spread
        key = (dtype, dims, *[(id(buffer), buffer._version) for buffer in buffers])
        if self._cached_terms is None or self._cached_terms[0] != key:
            view = (-1,) + (1,) * (dims - 2) if self.axis == 1 else (-1,)
            terms = self.shift.to(dtype).view(view), (1 / self.spread).to(dtype).view(view)
            self._cached_terms = (key, buffers, terms)  # a reference, so that the ids stay taken
        return self._cached_terms[2]

    def inverse(self, x: Tensor) -> Tensor:
        """Undo the scaling, in float64; x: (..., features)."""
        return x.double() * self.spread + self.shift


class QuantileScale(Scale):
    """Map each of the first `features` to a normal distribution by its rank among the training rows: linear between
    KNOTS quantiles, constant outside. Tied values get the mean of their quantiles.

    knots: the quantiles (features, KNOTS), ascending, without repetitions but of the last one; values: what they become.
    """

    KNOTS = 256
    ROWS = 1024
    """Rows that are mapped at once: they take KNOTS float64 each per feature."""
    knots: Tensor
    values: Tensor

    def __init__(self, features: int) -> None:
        super().__init__(features, "standardize")
        for name in ("knots", "values"):
            shape = features, self.KNOTS
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def fit(self, x: Tensor, weights: Tensor | None = None) -> None:
        """x: (rows, features or more)."""
        super().fit(x)
        ranks = (np.arange(self.KNOTS) + 0.5) / self.KNOTS
        normal = torch.special.ndtri(torch.from_numpy(ranks)).numpy()
        for i in range(len(self.knots)):
            quantiles = np.quantile(x[:, i].double().numpy(), ranks)
            knots, places, counts = np.unique(quantiles, return_inverse=True, return_counts=True)
            values = np.bincount(places, normal) / counts
            repeats = self.KNOTS - len(knots)
            self.knots[i] = torch.from_numpy(np.pad(knots, (0, repeats), mode="edge"))
            self.values[i] = torch.from_numpy(np.pad(values, (0, repeats), mode="edge"))

    def forward(self, x: Tensor) -> Tensor:
        count = len(self.shift)
        numbers = x[:, :count].double()
        # An exported network has any number of rows.
        parts = [numbers] if torch.compiler.is_compiling() else numbers.split(self.ROWS)
        mapped = torch.cat([self._interpolate(part) for part in parts])
        return torch.cat([mapped.to(x.dtype), x[:, count:]], 1)

    def _interpolate(self, x: Tensor) -> Tensor:
        """The values of x (rows, features)."""
        widths, rises = self.knots.diff(dim=1), self.values.diff(dim=1)
        slopes = torch.where(widths > 0, rises / widths.where(widths > 0, 1.0), 0.0)
        covered = (x.unsqueeze(2) - self.knots[:, :-1]).clamp_min(0).minimum(widths)
        return self.values[:, 0] + (covered * slopes).sum(2)


class SmoothClip(nn.Module):
    """Limit the first `numbers` columns to (-limit, limit) by x / sqrt(1 + (x / limit)^2), which leaves small values
    nearly as they are (Holzmüller et al. 2024, "Better by Default")."""

    def __init__(self, numbers: int, limit: float) -> None:
        super().__init__()
        self.numbers = numbers
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        numbers = x[:, : self.numbers]
        clipped = numbers / (1 + (numbers / self.limit) ** 2).sqrt()
        return torch.cat([clipped, x[:, self.numbers :]], 1)


class PCA(nn.Module):
    """Projection on the first principal components (SVD of the covariance of the training rows).

    whiten: each component divided by its standard deviation. The sign of a component is fixed by
    its entry of largest size, so that the result does not depend on the linear algebra library.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, features: int, count: int, whiten: bool) -> None:
        super().__init__()
        self.whiten = whiten
        self.kept_variance: float | None = None
        """Fraction of the variance that the components keep; None until it is fitted."""
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("components", torch.zeros(features, count, dtype=torch.float64))

    def fit(self, x: Tensor, weights: Tensor | None = None) -> None:
        """x: (rows, ..., features)."""
        rows = x.flatten(0, -2)
        count = self.components.shape[1]
        slices = list(chunks(len(rows), CHUNK))
        total = torch.zeros_like(self.mean)
        for chunk in slices:
            total += rows[chunk].double().sum(0)
        self.mean = total / len(rows)
        covariance = torch.zeros(len(total), len(total), dtype=torch.float64)
        for chunk in slices:
            centered = rows[chunk].double() - self.mean
            covariance.addmm_(centered.T, centered, alpha=1 / max(len(rows) - 1, 1))
        variances, vectors = torch.linalg.eigh(covariance)
        total_variance = float(variances.sum())
        if total_variance > 0:
            self.kept_variance = float(variances[-count:].sum()) / total_variance
        variances, vectors = variances.flip(0)[:count], vectors.flip(1)[:, :count]
        largest = vectors.abs().argmax(0, keepdim=True)
        vectors = vectors * vectors.gather(0, largest).sign()
        if self.whiten:
            # Along a direction in which training rows do not vary, nothing can be measured.
            varies = variances > variances[0].clamp(min=0) * 1e-12
            vectors = torch.where(varies, vectors / variances.clamp(min=1e-300).sqrt(), 0.0)
        # As a state_dict will lay them out: products over other strides round otherwise.
        self.components = vectors.contiguous()

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean.to(x.dtype)) @ self.components.to(x.dtype)


class Flatten(nn.Flatten):
    """(batch, ...) to (batch, features)."""


class Preprocess(nn.Sequential):
    """Raw inputs, as `input_spec` says, to the network's float32 inputs (`output_spec`); ids of tokens stay as they are."""

    def __init__(self, options: ScaleOptions, spec: DataSpec) -> None:
        super().__init__()
        self.options: Any = options
        self.input_spec = self.output_spec = spec.input
        if spec.input.kind != "tokens":
            self._add_steps(options, spec)

    def _add_steps(self, options: ScaleOptions, spec: DataSpec) -> None:
        steps: list[tuple[str, nn.Module]] = []
        shape = spec.input
        features = shape.shape[0] if shape.kind == "image" else shape.shape[-1]
        scaled = features
        if shape.kind == "table":
            sizes = spec.category_sizes
            scaled = features - len(sizes)
            assert isinstance(options, TablePreprocess)
            steps.append(("impute", Impute(scaled, options.impute)))
            steps.append(("one_hot", OneHot(scaled, sizes)))
            features = scaled + sum(sizes)
            shape = InputSpec("table", (features,), category_sizes=tuple(sizes))
        axis = 1 if shape.kind == "image" else -1
        # Recordings by their own statistics were scaled when they were read.
        is_scaled = getattr(options, "per", "channel") == "recording"
        method: str = "none" if is_scaled else options.scale
        scale = QuantileScale(scaled) if method == "quantile" else Scale(scaled, method, axis)
        steps.append(("scale", scale))
        limit: float | None = getattr(options, "clip", None)
        if limit is not None:
            steps.append(("clip", SmoothClip(scaled, limit)))
        if options.pca is not None:
            if shape.kind == "image":
                steps.append(("flatten", Flatten()))
                shape = InputSpec("table", (shape.size,))
            features = shape.shape[-1]
            if options.pca > features:
                raise ConfigError.at(
                    "data.preprocess.pca", f"{options.pca} components of {features} features"
                )
            if features > MAX_PCA_INPUTS:
                raise ConfigError.at(
                    "data.preprocess.pca",
                    f"{features} features are too many (at most {MAX_PCA_INPUTS}); use smaller images",
                )
            steps.append(("pca", PCA(features, options.pca, options.whiten)))
            shape = InputSpec(shape.kind, (*shape.shape[:-1], options.pca))
        self.output_spec = shape
        for name, module in steps:
            self.add_module(name, module)

    def fit(self, split: Split) -> None:
        """Fit every step, in order, on the training rows alone."""
        if isinstance(split, TensorSplit) and split.pages is not None and len(self) == 1:
            cast(Scale, self[0]).fit_images(split.inputs())
            return
        x, weights = fit_rows(split), split.weights
        if weights is not None and isinstance(split, SequenceSplit):
            weights = weights.repeat_interleave(split.lengths)
        for step in self:
            fit = getattr(step, "fit", None)
            if fit is not None:
                fit(x, weights)
            if len(self) > 1 and step is not self[-1]:
                x = step(x)

    def forward(self, x: Tensor) -> Tensor:
        # Ids of tokens stay whole numbers.
        return super().forward(x).float() if len(self) else x


def fit_rows(split: Split) -> Tensor:
    """The inputs to fit on: rows of a table, images, or each time step of the windows once."""
    if isinstance(split, WindowSplit):
        used = split.used()
        return split.values[: len(used)][used]
    return split.tensors()[0]


def target_scale(options: ScaleOptions, dataset: Dataset) -> Scale | None:
    """The scale of a number target, fitted on training rows; None for classes."""
    if dataset.spec.task not in ("regression", "forecasting"):
        return None
    method = getattr(options, "target", "none")
    scale = Scale(len(dataset.spec.targets), method)
    train = dataset.splits["train"]
    if isinstance(train, WindowSplit):
        scale.fit(fit_rows(train.map(lambda _: train.target_values, lambda targets: targets)))
    else:
        scale.fit(train.targets(), train.weights)
    return scale
