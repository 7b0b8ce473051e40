"""Several labels per row: a loss per label, and probabilities that need not add up to one."""

from __future__ import annotations

import torch
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.evaluation.tasks.multilabel import Multilabel

OUTPUT = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
TARGET = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])


def test_the_loss_is_torchs_binary_cross_entropy() -> None:
    task = Multilabel(TrainOptions(), ["a", "b", "c"], None)
    mean = task.loss(OUTPUT, TARGET) / task.denominator(TARGET)
    expected = functional.binary_cross_entropy_with_logits(OUTPUT, TARGET)
    torch.testing.assert_close(mean, expected)


def test_each_label_has_a_probability_of_its_own() -> None:
    task = Multilabel(TrainOptions(), ["a", "b", "c"], None)
    torch.testing.assert_close(task.postprocess(OUTPUT), OUTPUT.sigmoid())
