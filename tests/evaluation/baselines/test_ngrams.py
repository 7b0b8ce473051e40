"""Counted n-grams: Witten and Bell's interpolation against its definition, token by token."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nnzoo.config.text_options import CorpusOptions, CorpusSplit
from nnzoo.data.corpus import load_corpus
from nnzoo.evaluation.baselines import ngrams
from nnzoo.evaluation.baselines.ngrams import NGrams, ngram_baselines
from tests.text_files import write_corpus

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 4, 200).astype(np.int32)
TEST = np.concatenate([RNG.integers(0, 5, 40), [4, 4]]).astype(np.int32)


def probability(order: int, history: list[int], token: int) -> float:
    p = 1 / 5
    for n in range(1, min(order, len(history) + 1) + 1):
        context = history[len(history) - n + 1 :]
        followers = Counter(
            int(TRAIN[i + n - 1])
            for i in range(len(TRAIN) - n + 1)
            if TRAIN[i : i + n - 1].tolist() == context
        )
        if followers:
            total, kinds = followers.total(), len(followers)
            p = (followers[token] + kinds * p) / (total + kinds)
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_losses_and_hits_are_those_of_the_definition(order: int) -> None:
    model = NGrams(TRAIN, 5, 4)
    tokens = TEST.tolist()
    losses = [-np.log(probability(order, tokens[:i], tokens[i])) for i in range(1, len(tokens))]
    assert model.losses(TEST)[order - 1] == pytest.approx(np.mean(losses))
    best = [
        max(range(5), key=lambda token: probability(order, tokens[:i], token))
        for i in range(1, len(tokens))
    ]
    hits = sum(a == b for a, b in zip(best, tokens[1:], strict=True))
    assert model.num_correct(TEST, order) == hits


def test_probabilities_of_all_tokens_add_up_to_one() -> None:
    assert sum(probability(3, [0, 1], token) for token in range(5)) == pytest.approx(1)


@pytest.mark.parametrize("val", [0.1, 0.0])
def test_the_order_is_chosen_on_text_that_was_not_counted(
    tmp_path: Path, val: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(tmp_path / "t.txt")
    split = CorpusSplit(val=val, test=0.1)
    options = CorpusOptions(name="corpus", path=str(tmp_path / "t.txt"), window=8, split=split)
    data = load_corpus(options)
    best, unigram = ngram_baselines(data, "test")
    assert best["name"] not in ("1-gram", "8-gram") and unigram["name"] == "1-gram"
    assert best["loss"] < 1 < unigram["loss"]
    assert best["accuracy"] > 0.6
    assert ngram_baselines(data, "test")[0] == best  # from the memo
    monkeypatch.setattr(ngrams, "MAX_DENSE", 0)
    assert "accuracy" not in ngram_baselines(data, "test")[0]
