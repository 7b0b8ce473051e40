"""Units of a language model that follow something in the text: quotes, brackets, the position in a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from nnzoo.data.tokenizer import Unit
from nnzoo.inspect import internals
from nnzoo.inspect.tokens import Piece, make_pieces
from nnzoo.models.network import Network
from nnzoo.models.recurrent_layers import ReluLSTM

Array = np.ndarray[Any, Any]

STREAMS = 16
"""Places of the text from which it is read at once."""
MAX_TOKENS = 16384
MAX_VALUES = 1 << 25
WARM_UP = 32
"""Tokens at the beginning of a stream that do not count, since its state starts from zero."""
MIN_CORRELATION = 0.3
MIN_CHANGES = 10
EXCERPT = 320
_QUOTES = {'"': 0, "“": 1, "”": -1, "«": 1, "»": -1}
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_SENTENCE_ENDS = set(".!?")


@dataclass(frozen=True)
class FollowingUnit:
    """A unit whose state follows a feature of the text. correlation: on text other than that by which it was chosen;
    pieces: an excerpt, with how far the state is from its mean."""

    feature: str
    layer: str
    unit: int
    correlation: float
    pieces: list[Piece]

    @property
    def title(self) -> str:
        return (
            f"{self.feature}: unit {self.unit} of {self.layer}, correlation {self.correlation:.2f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The object of `nnzoo inspect --json`."""
        return {
            "follows": self.feature,
            "layer": self.layer,
            "unit": self.unit,
            "correlation": self.correlation,
        }


def streams(network: Network, tokens: Tensor, first: int = 0) -> Tensor:
    """Cut consecutive tokens (tokens,) of a split to streams (streams, steps, 1), as many as units are compared on."""
    rnn = cast(Any, network.model).rnn
    most = min(MAX_TOKENS, MAX_VALUES // (6 * rnn.num_layers * rnn.hidden_size))
    chosen = tokens[first : first + max(most, STREAMS * 2 * WARM_UP)]
    steps = len(chosen) // STREAMS
    if steps < 2 * WARM_UP:
        return chosen[None, :, None]
    return chosen[: steps * STREAMS].view(STREAMS, steps, 1)


def states(network: Network, text: Tensor) -> dict[str, Tensor]:
    """The state of each recurrent layer (streams, steps, units): of an LSTM its cell, as its output gate sees it."""
    module = next(m for m in network.model.modules() if isinstance(m, nn.RNNBase))
    by_layer = internals.gates(network, text)
    if not isinstance(module, nn.LSTM):
        return {name: values["hidden"] for name, values in by_layer.items()}
    squash: Callable[[Tensor], Tensor] = torch.relu if isinstance(module, ReluLSTM) else torch.tanh
    return {name: squash(values["cell"]) for name, values in by_layer.items()}


def following_units(network: Network, text: Tensor) -> list[FollowingUnit]:
    """The unit that follows each feature of the text best, the strongest first.

    text: from `streams`. Units are chosen by their correlation on the first half of the text, and those of at least
    MIN_CORRELATION on the second half are returned with that one.
    """
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    ids = text.flatten().tolist()
    tokens = [tokenizer.vocabulary[i] for i in ids]
    shape = text.shape[:2]
    counted = np.ones(shape, bool)
    counted[:, : WARM_UP if shape[1] > WARM_UP else 0] = False
    counted = counted.ravel()
    halves = counted.copy(), counted.copy()
    halves[0][len(ids) // 2 :] = halves[1][: len(ids) // 2] = False
    by_layer = {name: _flat(values) for name, values in states(network, text).items()}
    units = []
    for feature, values in text_features(tokens, tokenizer.unit).items():
        if min(_changes(values[half]) for half in halves) < MIN_CHANGES:
            continue
        best: tuple[float, str, int] = (0.0, "", 0)
        for layer, layer_states in by_layer.items():
            sizes = np.abs(correlations(values[halves[0]], layer_states[halves[0]]))
            best = max(best, (float(sizes.max()), layer, int(sizes.argmax())))
        _, layer, unit = best
        if not layer:
            continue
        chosen = by_layer[layer][:, [unit]]
        correlation = float(correlations(values[halves[1]], chosen[halves[1]])[0])
        if abs(correlation) >= MIN_CORRELATION:
            excerpt = _excerpt(values, tokens, shape[1])
            deviation = (chosen - chosen[counted].mean())[excerpt, 0]
            pieces = make_pieces(tokenizer, ids[excerpt], deviation.tolist())
            units.append(FollowingUnit(feature, layer, unit, correlation, pieces))
    return sorted(units, key=lambda unit: -abs(unit.correlation))


def correlations(feature: Array, states: Array) -> Array:
    """Pearson's correlation of a feature (tokens,) with each unit of states (tokens, units): (units,); 0 for constants."""
    x, y = feature - feature.mean(), states - states.mean(0)
    size = np.sqrt((x**2).sum() * (y**2).sum(0))
    return np.divide(x @ y, size, out=np.zeros(y.shape[1]), where=size > 1e-9)


def text_features(tokens: Sequence[str], unit: Unit) -> dict[str, Array]:
    """Features of a text that a unit may follow, by name: a number at each token, from what was read until then."""
    features = {
        "inside quotes": _nesting(tokens, _QUOTES),
        "inside brackets": _nesting(tokens, _BRACKETS),
        "upper case": _where(tokens, lambda token: token[0].isupper()),
        "digits": _where(tokens, lambda token: token[0].isdigit()),
        "punctuation": _where(
            tokens,
            lambda token: not (token[0].isalnum() or token.isspace() or token == "<unknown>"),
        ),
    }
    if unit == "words":
        features["position in the sentence"] = _since(tokens, lambda token: token in _SENTENCE_ENDS)
        features["length of the word"] = np.array([len(token) for token in tokens], float)
        return features
    features["spaces"] = _where(tokens, lambda token: token == " ")
    features["line ends"] = _where(tokens, lambda token: token == "\n")
    features["position in the line"] = np.minimum(_since(tokens, lambda token: token == "\n"), 120)
    features["position in the word"] = np.minimum(
        _since(tokens, lambda token: not token.isalnum()), 15
    )
    features["indent"] = _indent(tokens)
    return features


def _where(tokens: Sequence[str], holds: Callable[[str], bool]) -> Array:
    return np.array([float(holds(token)) for token in tokens])


def _since(tokens: Sequence[str], resets: Callable[[str], bool]) -> Array:
    """The number of tokens since the last one that resets the count."""
    counts, count = np.zeros(len(tokens)), 0
    for i, token in enumerate(tokens):
        count = 0 if resets(token) else count + 1
        counts[i] = count
    return counts


def _nesting(tokens: Sequence[str], marks: dict[str, int]) -> Array:
    """Whether a token is inside marks that open (1), close (-1) or alternate (0); a blank line ends all."""
    inside, depth = np.zeros(len(tokens)), 0
    for i, token in enumerate(tokens):
        change = marks.get(token)
        if change == 0:
            depth = 0 if depth else 1
        elif change is not None:
            depth = max(0, depth + change)
        elif token == "\n" and i and tokens[i - 1] == "\n":
            depth = 0
        inside[i] = depth > 0
    return inside


def _indent(tokens: Sequence[str]) -> Array:
    """The blanks at the beginning of the line that a token is in, up to 40."""
    indent, count, at_start = np.zeros(len(tokens)), 0, True
    for i, token in enumerate(tokens):
        if token == "\n":
            count, at_start = 0, True
        elif at_start and token in " \t":
            count += 4 if token == "\t" else 1
        else:
            at_start = False
        indent[i] = min(count, 40)
    return indent


def _changes(values: Array) -> int:
    return int((np.diff(values) != 0).sum())


def _excerpt(values: Array, tokens: Sequence[str], steps: int) -> slice:
    """The part of the text, within one stream and not at its beginning, in which a feature varies most; it begins with a
    line if there are lines."""
    length = min(EXCERPT, max(1, steps - WARM_UP))
    starts = [i + 1 for i, token in enumerate(tokens) if token == "\n"]
    starts += range(min(WARM_UP, steps - 1), len(tokens), length)
    fits = [
        i for i in starts if i % steps >= min(WARM_UP, steps - 1) and i % steps + length <= steps
    ]
    start = max(fits or [0], key=lambda i: float(values[i : i + length].std()))
    return slice(start, start + length)


def _flat(states: Tensor) -> Array:
    return states.flatten(0, 1).double().cpu().numpy()
