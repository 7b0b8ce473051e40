"""Evaluation of a language model on running text, and its metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnzoo.distributed import SingleProcess
from nnzoo.evaluation.metrics import MetricState

if TYPE_CHECKING:
    from nnzoo.data.corpus import CorpusSplit
    from nnzoo.evaluation.tasks.language_model import LanguageModel

MAX_STREAMS = 64
"""Places of a text from which it is read at once."""
MAX_LOGITS = 1 << 24
"""Values that the output layer may compute at once."""


class LanguageModelMetrics(MetricState):
    """Summed loss in nats, correct predictions, and number of tokens."""

    def __init__(self, unit: str, device: torch.device) -> None:
        zero = torch.zeros((), dtype=torch.float64)
        super().__init__(device, loss=zero.clone(), correct=zero.clone(), tokens=zero.clone())
        self.unit = unit

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add tokens: output (tokens, vocabulary), target (tokens,) int64."""
        losses = functional.cross_entropy(output.float(), target, reduction="none")
        self.tensors["loss"] += losses.double().sum()
        self.tensors["correct"] += (output.argmax(1) == target).sum()
        self.tensors["tokens"] += len(target)

    def compute(self, names: list[str]) -> dict[str, Any]:
        totals = {name: tensor.item() for name, tensor in self.tensors.items()}
        tokens = totals["tokens"]
        return {"n": int(tokens)} | rates(
            totals["loss"] / tokens if tokens else math.nan,
            totals["correct"] / tokens if tokens else math.nan,
            self.unit,
        )


def rates(loss: float, accuracy: float, unit: str) -> dict[str, float]:
    """The metrics that follow from the mean loss in nats per token."""
    metrics = {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "accuracy": accuracy}
    if unit == "words":
        return metrics
    name = "bits_per_character" if unit == "characters" else "bits_per_byte"
    return metrics | {name: loss / math.log(2)}


@torch.no_grad()
def evaluate_text(
    network: nn.Module,
    model: Any,
    split: CorpusSplit,
    task: LanguageModel,
    processes: SingleProcess,
) -> LanguageModelMetrics:
    """Measure every token of a split but its first one, each predicted from those before it.

    The text is read from several places at once. At each but the first a window is read before tokens count, so that the
    hidden state has a history; `model.state` is restored at the end.
    """
    device = split.tokens.device
    metrics = task.new_metrics(device)
    network.eval()
    state, tokens, window = model.state, split.tokens, split.window
    targets = len(tokens) - 1
    most = max(1, min(MAX_STREAMS, MAX_LOGITS // (window * task.outputs), targets // window))
    length = -(-targets // most)
    streams = torch.arange(*processes.shard_range(most), device=device)
    model.state = None
    for first in range(-window, length, window):
        if not len(streams):
            break
        steps = torch.arange(first, min(first + window, length) if first >= 0 else 0, device=device)
        places = streams[:, None] * length + steps
        x = tokens[places.clamp(0, targets)].unsqueeze(-1)
        output = network(x).unflatten(0, places.shape)
        if first < 0:
            _restart(model, streams == 0)
            continue
        counted = places < targets
        metrics.update(output[counted], tokens[(places + 1).clamp(max=targets)][counted].long())
    model.state = state
    return metrics


def _restart(model: Any, rows: Tensor) -> None:
    """Make the state of some rows zero: before the first token there is nothing to read."""
    model.state = tuple(tensor.masked_fill(rows[:, None], 0) for tensor in model.state)
