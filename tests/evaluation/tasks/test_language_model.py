"""The next token: the loss of each step, rates per token and character, probabilities."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional

from nnzoo.config.train_options import TrainOptions
from nnzoo.errors import ConfigError
from nnzoo.evaluation.tasks.language_model import LanguageModel


def language_model(**options: Any) -> LanguageModel:
    tokenizer: Any = SimpleNamespace(vocabulary=["", "a", "b"], unit="character")
    return LanguageModel(TrainOptions(**options), tokenizer, 4)


def test_each_step_of_a_window_is_predicted() -> None:
    task = language_model(label_smoothing=0.1)
    assert (task.outputs, task.targets_per_row) == (3, 4)
    output = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    target = torch.arange(8) % 3
    mean = functional.cross_entropy(output, target, label_smoothing=0.1)
    torch.testing.assert_close(task.loss(output, target) / task.denominator(target), mean)
    torch.testing.assert_close(task.loss(output, target, "none").mean(), mean)
    torch.testing.assert_close(task.postprocess(output), output.softmax(1))
    assert task.native_loss[:2] == ("cross_entropy", 0.1)


def test_even_odds_have_the_perplexity_of_the_vocabulary() -> None:
    task = language_model()
    metrics = task.new_metrics(torch.device("cpu"))
    task.update(metrics, torch.zeros(6, 3), torch.arange(6) % 3)
    report = task.compute_metrics(metrics)
    assert report["loss"] == pytest.approx(math.log(3))
    assert report["perplexity"] == pytest.approx(3)
    assert set(task.metric_names) <= set(report)


def test_another_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match="tokens are predicted") as refused:
        language_model(loss="mse")
    assert refused.value.issues[0].path == "train.loss"
