"""Evaluation of running text: every token but the first counts once, each with the text before it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from nnzoo.data.corpus import CorpusSplit
from nnzoo.distributed import SingleProcess
from nnzoo.evaluation import language_model
from nnzoo.evaluation.evaluate import evaluate
from nnzoo.evaluation.language_model import evaluate_text, rates
from nnzoo.runs.run import Run
from tests.text_files import write_corpus
from tests.zoo import begin, config

MODEL = {"name": "lstm", "hidden_size": 6, "embedding": 4, "num_layers": 2}


@pytest.fixture
def run(own_folder: Path) -> Run:
    write_corpus(Path("t.txt"))
    opened = begin(config(MODEL, {"name": "corpus", "path": "t.txt", "window": 7}))
    opened.lock.release()
    return opened


def in_one_pass(run: Run, tokens: torch.Tensor, first: int) -> list[float]:
    """Losses of the tokens from `first` on, read from the first one."""
    model: Any = run.network.model.eval()
    model.state = None
    with torch.no_grad():
        output = model(tokens[None, :-1, None])
    losses = functional.cross_entropy(output, tokens[1:].long(), reduction="none")
    model.state = None
    return losses[first:].tolist()


def test_one_stream_is_the_whole_text_in_one_pass(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "MAX_STREAMS", 1)
    split: Any = run.trainer.splits["val"]
    report = evaluate(run.network, split, run.network.task, torch.device("cpu"))
    losses = in_one_pass(run, split.tokens, 0)
    assert report["n"] == len(losses) == len(split.tokens) - 1
    assert report["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    assert report["bits_per_character"] == pytest.approx(report["loss"] / math.log(2))
    assert report["perplexity"] == pytest.approx(math.exp(report["loss"]))


def test_streams_begin_behind_a_window_of_history(run: Run) -> None:
    split: Any = run.trainer.splits["val"]
    task: Any = run.network.task
    tokens, window = split.tokens, split.window
    count = min(language_model.MAX_STREAMS, (len(tokens) - 1) // window)
    length = -(-(len(tokens) - 1) // count)
    losses = []
    for first in range(0, len(tokens) - 1, length):
        history = window if first else 0
        losses += in_one_pass(run, tokens[first - history : first + length + 1], history)
    metrics = evaluate_text(run.network, run.network.model, split, task, SingleProcess())
    assert metrics.tensors["tokens"] == len(losses) == len(tokens) - 1
    assert float(metrics.tensors["loss"]) == pytest.approx(sum(losses), rel=1e-6)


def test_evaluation_leaves_the_state_of_training(run: Run) -> None:
    model: Any = run.network.model
    state = model.state = (torch.ones(2, 3, 6), torch.zeros(2, 3, 6))
    run.network.train()
    evaluate(run.network, run.trainer.splits["val"], run.network.task, torch.device("cpu"))
    assert model.state is state and run.network.training


def test_processes_have_a_shard_of_the_streams_each(run: Run) -> None:
    split = CorpusSplit(run.trainer.splits["val"].tensors()[0][:20], 7)
    task: Any = run.network.task
    whole = evaluate_text(run.network, run.network.model, split, task, SingleProcess())
    parts = []
    for rank in range(3):  # of two streams
        process = SingleProcess()
        process.rank, process.world_size = rank, 3
        parts.append(evaluate_text(run.network, run.network.model, split, task, process))
    for name, total in whole.tensors.items():
        assert float(sum(part.tensors[name] for part in parts)) == pytest.approx(float(total))


def test_metrics_by_kind_of_token() -> None:
    assert list(rates(1.0, 0.5, "words")) == ["loss", "perplexity", "accuracy"]
    assert rates(math.log(2), 0.5, "bytes")["bits_per_byte"] == pytest.approx(1)
    assert rates(1e9, 0, "words")["perplexity"] < math.inf
