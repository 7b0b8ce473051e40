"""Counted n-grams with interpolation: the baseline of language models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnzoo.data.dataset import Dataset, chunks
from nnzoo.evaluation.baselines.budget import Budget
from nnzoo.evaluation.language_model import rates

MAX_ORDER = {"characters": 8, "bytes": 8, "words": 4}
MAX_TOKENS = 20_000_000
"""Training tokens that are counted, the last ones: each takes a hundred bytes while they are sorted."""
MAX_DENSE = 1 << 31
"""Limit of tokens times vocabulary up to which the most probable token, and so the accuracy, is computed."""
CHUNK = 1 << 22
TOKEN_SECONDS = 2e-7
"""Seconds of a token and order, by which the time is estimated."""
HELD_OUT = 0.05
"""Part of the training text on which the order is chosen where there is no validation part."""


@dataclass(frozen=True)
class Level:
    """The n-grams of one length. Each is a key, context * vocabulary + token, whose context is the index of its first
    tokens among the keys of the level below."""

    keys: np.ndarray
    """(n-grams,) int64, sorted."""
    counts: np.ndarray
    totals: np.ndarray
    """(contexts,) occurrences of each context."""
    followers: np.ndarray
    """(contexts,) different tokens that follow it."""


class NGrams:
    """Probabilities by Witten and Bell's interpolation (1991): where a context of c occurrences has t different followers,
    the probability of w is (count(w) + t * p) / (c + t), with p that of the context shorter by one token."""

    def __init__(self, tokens: np.ndarray, vocabulary: int, order: int) -> None:
        """tokens: (n,) ids of the training text; order: of the longest n-grams."""
        self.vocabulary = vocabulary
        self.levels: list[Level] = []
        context = np.zeros(len(tokens), dtype=np.int64)
        contexts = 1
        for n in range(order):
            grams = context[: len(tokens) - n] * vocabulary + tokens[n:]
            keys, index, counts = np.unique(grams, return_inverse=True, return_counts=True)
            of_key = keys // vocabulary
            self.levels.append(
                Level(
                    keys,
                    counts.astype(np.float64),
                    np.bincount(of_key, counts, contexts),
                    np.bincount(of_key, minlength=contexts).astype(np.float64),
                )
            )
            # The n-gram that ends at each token is the context of the next one.
            context, contexts = index[:-1].astype(np.int64), len(keys)

    def losses(self, tokens: np.ndarray) -> np.ndarray:
        """Mean negative log likelihood in nats of every token but the first for each order: (orders,)."""
        targets = tokens[1:].astype(np.int64)
        p = np.full(len(targets), 1 / self.vocabulary)
        result = []
        for n, (level, context) in enumerate(zip(self.levels, self._contexts(tokens), strict=True)):
            # The first tokens have no context of this length.
            rows = np.arange(max(n - 1, 0), len(targets))[context[max(n - 1, 0) :] >= 0]
            context_rows = context[rows]
            index, exists = _find(level.keys, context_rows * self.vocabulary + targets[rows])
            count = np.where(exists, level.counts[index], 0)
            followers, total = level.followers[context_rows], level.totals[context_rows]
            p[rows] = (count + followers * p[rows]) / (total + followers)
            result.append(-np.log(p).mean())
        return np.array(result)

    def num_correct(self, tokens: np.ndarray, order: int) -> int:
        """How many tokens but the first are the most probable ones by n-grams of up to `order` tokens."""
        contexts = self._contexts(tokens)[:order]
        correct, size = 0, max(1, CHUNK // self.vocabulary)
        for chunk in chunks(len(tokens) - 1, size):
            rows = chunk.stop - chunk.start
            p = np.full((rows, self.vocabulary), 1 / self.vocabulary)
            for level, context in zip(self.levels, contexts, strict=False):
                known = np.flatnonzero(context[chunk] >= 0)
                seen = context[chunk][known]
                first = np.searchsorted(level.keys, seen * self.vocabulary)
                lengths = level.followers[seen].astype(np.int64)
                row = np.repeat(np.arange(len(known)), lengths)
                place = (
                    np.arange(len(row))
                    - np.repeat(lengths.cumsum() - lengths, lengths)
                    + first[row]
                )
                scaled = p[known] * level.followers[seen][:, None]
                scaled[row, level.keys[place] % self.vocabulary] += level.counts[place]
                p[known] = scaled / (level.totals[seen] + level.followers[seen])[:, None]
            correct += int((p.argmax(1) == tokens[chunk.start + 1 : chunk.stop + 1]).sum())
        return correct

    def _contexts(self, tokens: np.ndarray) -> list[np.ndarray]:
        """For each order the context of every token but the first, -1 where training has not seen it."""
        context = np.zeros(len(tokens) - 1, dtype=np.int64)
        result = [context]
        for level in self.levels[:-1]:
            # The context of one more token ends with the token before.
            before = np.full(len(context), -1)
            before[1:] = context[:-1]
            if len(result) == 1:
                before[0] = 0
            index, exists = _find(level.keys, before * self.vocabulary + tokens[:-1])
            context = np.where(exists & (before >= 0), index, -1)
            result.append(context)
        return result


def _find(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each value among sorted keys, and whether it is there."""
    index = np.searchsorted(keys, values).clip(max=len(keys) - 1)
    return index, keys[index] == values


def ngram_baselines(
    dataset: Dataset, split: str, budget: Budget | None = None
) -> list[dict[str, Any]]:
    """The metrics of n-grams on a split: of the order that is best on validation text, and of single tokens; best first.

    Raises OverBudgetError if counting them takes too long.
    """
    tokenizer = dataset.spec.tokenizer
    assert tokenizer is not None
    if "n-grams" not in dataset.memo:
        dataset.memo["n-grams"] = _fit(dataset, budget or Budget())
    model, order = dataset.memo["n-grams"]
    tokens = dataset.splits[split].tensors()[0].numpy()
    losses = model.losses(tokens)
    results = []
    for n in sorted({order, 1}, reverse=True):
        accuracy = None
        if len(tokens) * tokenizer.size * n <= MAX_DENSE:
            accuracy = model.num_correct(tokens, n) / (len(tokens) - 1)
        metrics = rates(float(losses[n - 1]), accuracy or 0.0, tokenizer.unit)
        if accuracy is None:
            del metrics["accuracy"]
        results.append({"name": f"{n}-gram"} | metrics)
    return sorted(results, key=lambda result: result["loss"])


def _fit(dataset: Dataset, budget: Budget) -> tuple[NGrams, int]:
    """N-grams of the training part, and the order that is best on the validation part."""
    tokenizer = dataset.spec.tokenizer
    assert tokenizer is not None
    train = dataset.splits["train"].tensors()[0].numpy()[-MAX_TOKENS:]
    fit = tokenizer.size, MAX_ORDER[tokenizer.unit]
    # Counting twice, where nothing validates, and looking up the tokens to be judged.
    budget.require(2 * len(train) * fit[1] * TOKEN_SECONDS)
    model = NGrams(train, *fit)
    if "val" in dataset.splits:
        losses = model.losses(dataset.splits["val"].tensors()[0].numpy())
    else:
        end = round(len(train) * (1 - HELD_OUT))
        losses = NGrams(train[:end], *fit).losses(train[end:])
    return model, int(losses.argmin()) + 1
