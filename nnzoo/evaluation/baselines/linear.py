"""Linear models on the inputs of tables and images: logistic regression for classes, ridge regression for numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from nnzoo.data.dataset import Split, chunks
from nnzoo.data.preprocess import Preprocess
from nnzoo.evaluation.baselines.baseline import Predict, Problem, evenly_spaced
from nnzoo.evaluation.baselines.budget import Budget
from nnzoo.evaluation.baselines.linear_model import (
    FLOPS,
    MANY_ROWS,
    Rows,
    Standardize,
    fit_linear,
)

MAX_TRAIN_VALUES = 1 << 24
"""Values of the training rows that are fitted to; evenly spaced rows are taken of more."""
MAX_FEATURES = 4096
CHUNK_VALUES = 1 << 22
"""Input values that are read at once."""
MAX_PIXELS = 1024
"""Values of a image up to which it is read as it is; a larger one is averaged over squares."""
MAX_PIXEL_FEATURES = 256
"""Values of a image beyond which its principal components are read in their place."""
COMPONENTS = 128

Features = Callable[[Split], Tensor]


class Linear:
    """Logistic or ridge regression on what the network reads: the preprocessed columns of a table, or the pixels of a
    image."""

    name = "linear"
    is_free = False

    def label(self, problem: Problem) -> str:
        kind = "ridge regression" if problem.link == "identity" else "logistic regression"
        return f"{kind} on pixels" if problem.spec.input.kind == "image" else kind

    def supports(self, problem: Problem) -> bool:
        kind, spec = problem.spec.input.kind, problem.preprocess.output_spec
        return kind == "image" or (kind == "table" and spec.size <= MAX_FEATURES)

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        features: Features
        if problem.spec.input.kind == "image":
            features = _pixel_features(problem, budget)
        else:
            features = lambda rows: torch.cat(list(_inputs(rows, problem.preprocess)))  # noqa: E731
        inputs = features(problem.train)
        outputs = len(problem.task.names)
        limit = MAX_TRAIN_VALUES // max(inputs.shape[1], outputs)
        chosen = evenly_spaced(len(inputs), limit)
        x = inputs[chosen].double()
        # Pixels have one scale, on which the ones that hardly vary count little; of many rows nothing is to be feared.
        few = len(x) <= MANY_ROWS * x.shape[1]
        standardize = Standardize(x, alike=few and problem.spec.input.kind == "image")

        def rows(split: Split, x: Tensor, chosen: Tensor | slice) -> Rows:
            y = split.targets()[chosen]
            weights = problem.row_weights(split)
            return Rows(
                standardize(x[chosen].double()),
                y if problem.num_classes else y.double(),
                None if weights is None else weights[chosen],
            )

        validation = problem.validation
        held_out = None
        if validation is not None:
            held_out = rows(validation, features(validation), slice(None))
        train = rows(problem.train, inputs, chosen)
        coefficients, bias = fit_linear(train, held_out, problem.link, outputs, budget)
        return lambda split: standardize(features(split).double()) @ coefficients + bias


def _inputs(split: Split, preprocess: Preprocess) -> Iterator[Tensor]:
    """The inputs that the network reads of the rows of a split, in chunks (rows, *shape) float32."""
    first = split.batch(torch.zeros(1, dtype=torch.int64))[0]
    size = max(1, CHUNK_VALUES // first.numel())
    with torch.no_grad():
        for chunk in chunks(len(split), size):
            yield preprocess(split.batch(torch.arange(chunk.start, chunk.stop))[0])


def _pixels(split: Split, preprocess: Preprocess) -> Iterator[Tensor]:
    """The pixels of images in chunks (rows, features); large ones are averaged over squares."""
    for x in _inputs(split, preprocess):
        if x.ndim == 4 and x[0].numel() > MAX_PIXELS:
            side = max(1, int((MAX_PIXELS / x.shape[1]) ** 0.5))
            height, width = (min(side, length) for length in x.shape[2:])
            x = functional.adaptive_avg_pool2d(x, (height, width))
        yield x.flatten(1)


def _pixel_features(problem: Problem, budget: Budget) -> Features:
    """A function from images to their pixels, or to principal components where there are many pixels."""
    preprocess, train = problem.preprocess, problem.train
    first = next(_pixels(train, preprocess))
    features = first.shape[1]
    if features <= MAX_PIXEL_FEATURES:
        return lambda split: torch.cat(list(_pixels(split, preprocess)))
    # In float32, twice as fast: components need no more digits.
    budget.require((len(train) * features**2 + 10 * features**3) / FLOPS)
    center = first.mean(0)
    gram, total, done = torch.zeros(features, features), torch.zeros(features), 0
    for x in _pixels(train, preprocess):
        x = x - center
        gram.addmm_(x.T, x)
        total += x.sum(0)
        done += len(x)
        budget.progress(0.5 * done / len(train))
    mean = total / len(train)
    covariance = (gram / len(train) - mean[:, None] * mean).double()
    components = torch.linalg.eigh(covariance)[1][:, -COMPONENTS:].float()

    def project(split: Split) -> Tensor:
        parts = [(x - center - mean) @ components for x in _pixels(split, preprocess)]
        return torch.cat(parts)

    return project
