"""Baselines that read no input: the majority class, the frequency of each label, and the mean."""

from __future__ import annotations

import torch
from torch import Tensor

from nnzoo.data.dataset import Split
from nnzoo.evaluation.baselines.baseline import Predict, Problem
from nnzoo.evaluation.baselines.budget import Budget


class Majority:
    """The class that most training rows have, by their weights."""

    name = "majority"
    is_free = True

    def label(self, problem: Problem) -> str:
        return "majority class"

    def supports(self, problem: Problem) -> bool:
        return problem.spec.is_classification

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        train = problem.train
        counts = torch.bincount(train.targets(), train.weights, minlength=problem.num_classes)
        scores = torch.zeros(len(counts), dtype=torch.float64)
        scores[counts.argmax()] = 1.0
        return lambda rows: scores.expand(len(rows), -1)


class Mean:
    """The mean of the training targets."""

    name = "mean"
    is_free = True

    def label(self, problem: Problem) -> str:
        return "mean"

    def supports(self, problem: Problem) -> bool:
        return problem.spec.task in ("regression", "forecasting")

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        mean = target_mean(problem.train)
        return lambda rows: mean.expand(len(rows), -1)


class LabelFrequencies:
    """The frequency of each label in the training rows as its probability."""

    name = "frequencies"
    is_free = True

    def label(self, problem: Problem) -> str:
        return "label frequencies"

    def supports(self, problem: Problem) -> bool:
        return problem.spec.task == "multilabel"

    def fit(self, problem: Problem, budget: Budget) -> Predict:
        logits = target_mean(problem.train).clamp(1e-6, 1 - 1e-6).logit()
        return lambda rows: logits.expand(len(rows), -1)


def target_mean(split: Split) -> Tensor:
    """The mean of each target by the weights of the rows, (outputs,) float64."""
    targets = split.targets().double()
    return (
        targets.mean(0) if split.weights is None else split.weights @ targets / split.weights.sum()
    )
