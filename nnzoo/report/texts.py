"""Texts in a report: words colored by what they do, samples of a language model, units, neighbors of embeddings."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from markupsafe import Markup, escape

from nnzoo.data.sequences import Inputs, PaddedSequences, single_rows
from nnzoo.data.tokenizer import Tokenizer
from nnzoo.errors import DataError, escape_controls, shell_word
from nnzoo.evaluation.baselines.baseline import Problem
from nnzoo.evaluation.baselines.compute import compute_baselines
from nnzoo.generate import TextGenerator
from nnzoo.inspect import inspection
from nnzoo.inspect.texts import text_pieces
from nnzoo.inspect.tokens import Piece, strongest_lines, wrap
from nnzoo.inspect.units import following_units
from nnzoo.kernels.generate import Sampling
from nnzoo.models.embedding import Embedding
from nnzoo.models.network import Network
from nnzoo.report.run_report import RunReport

LEVELS = 9
"""Shades of red and of blue; the CSS classes are u1 to u9 and d1 to d9."""
TEMPERATURES = (0.5, 0.8, 1.1)
SAMPLE_LENGTH = {"words": 80, "characters": 400, "bytes": 400}
# A text shows so many lines of so many columns.
COLUMNS, LINES = 64, 8
MAX_TEXTS = 4
NEIGHBORS = 5
# Tokens whose neighbors are listed, the frequent ones that they are chosen from, and those that may be neighbors.
MAX_LISTED, MAX_FREQUENT, MAX_COMPARED = 14, 1000, 20_000
NAMES = {" ": "␣", "\n": "↵", "\t": "→"}


def colored(pieces: Iterable[Piece]) -> Markup:
    """HTML of a text in which pieces are colored by their values, relative to the largest: red above zero, blue below."""
    pieces = list(pieces)
    largest = max((abs(piece.value) for piece in pieces), default=0.0)
    parts: list[Markup] = []
    for level, group in itertools.groupby(pieces, lambda piece: _level(piece.value, largest)):
        members = list(group)
        # Blanks before a word are not colored.
        blank = Markup(" " * bool(parts and not members[0].glued))
        members[0] = replace(members[0], glued=True)
        text = "".join(" " * (not p.glued) + p.text + "\n" * p.breaks for p in members)
        name = f"{'u' if level > 0 else 'd'}{abs(level)}"
        html = Markup('<i class="{}">{}</i>').format(name, text) if level else escape(text)
        parts.append(blank + html)
    return Markup("").join(parts)


def _level(value: float, largest: float) -> int:
    return round(LEVELS * value / largest) if largest > 0 else 0


def marked_texts(network: Network, raw: Inputs) -> list[Markup]:
    """Each text with the attributions of its tokens, of a long one the part with the strongest; of a group of networks,
    each of which has other attributions, the text alone."""
    tokenizer = network.data_spec.tokenizer
    if len(network.networks) > 1 and tokenizer is not None:
        rows = [row.values if isinstance(row, PaddedSequences) else row for row in single_rows(raw)]
        return [escape(tokenizer.decode(row.flatten().tolist())) for row in rows]
    return [
        colored(itertools.chain(*strongest_lines(wrap(pieces, COLUMNS), LINES)))
        for pieces in text_pieces(network, single_rows(raw))
    ]


def representative_texts(run: RunReport) -> list[dict[str, Any]]:
    """Some texts of the split, with their predictions and attributions."""
    dataset = run.loaded.dataset
    rows = inspection.representative_rows(dataset, run.split)[:MAX_TEXTS]
    raw, targets = run.loaded.raw(run.split, rows)
    labels = inspection.format_predictions(
        run.network, raw, inspection.format_targets(dataset, targets)
    )
    texts = marked_texts(run.network, raw)
    return [
        {"label": label, "correct": correct, "text": text}
        for (label, correct), text in zip(labels, texts, strict=True)
    ]


def samples(run: RunReport) -> list[dict[str, Any]]:
    """Text that a language model writes at each of TEMPERATURES, with the command that writes it again."""
    tokenizer = run.spec.tokenizer
    assert tokenizer is not None
    length = SAMPLE_LENGTH[tokenizer.unit]
    made = []
    for temperature in TEMPERATURES:
        writer = TextGenerator(run.network)
        writer.read("")
        try:
            text = "".join(writer.write(length, Sampling(temperature)))
        except DataError as error:
            text = str(error)
        command = f"nnzoo generate {shell_word(run.folder.path)} --temperature {temperature} --top-k 0 --length {length}"
        made.append({"temperature": temperature, "text": escape_controls(text), "command": command})
    return made


def unit_texts(run: RunReport) -> list[dict[str, Any]]:
    """The units of a language model that follow something, each colored over an excerpt."""
    with torch.no_grad():
        text = inspection.running_text(run.loaded, run.split, [])
        units = following_units(run.network, text)
    return [
        {
            "title": unit.title,
            "text": colored(itertools.chain(*wrap(unit.pieces, COLUMNS)[: LINES + 2])),
        }
        for unit in units
    ]


def ngram_line(run: RunReport, key: str) -> tuple[str, float] | None:
    """Name and value of the n-gram baseline on the validation part, for the curve of a metric; None without one."""
    dataset = run.loaded.dataset
    if "val" not in dataset.splits:
        return None
    problem = Problem(dataset, run.network.task, run.network.preprocess)
    times = run.folder.run_time()
    best = compute_baselines(problem, "val", run.config.eval, times).get("baseline", {})
    name = key.removeprefix("val_")
    return (str(best["name"]), float(best[name])) if name in best else None


@dataclass(frozen=True)
class Neighbors:
    """A token and those whose vectors have the largest cosine with its own: (token, cosine)."""

    token: str
    nearest: list[tuple[str, float]]


def embedding_neighbors(network: Network) -> list[Neighbors]:
    """The nearest neighbors of frequent tokens: of those that are words (or any, where tokens are smaller) the ones
    whose vectors are longest, which training moved farthest."""
    tokenizer = network.data_spec.tokenizer
    embedding = next((m for m in network.model.modules() if isinstance(m, Embedding)), None)
    if embedding is None or tokenizer is None or tokenizer.size <= 2 * NEIGHBORS:
        return []
    vectors = embedding.weight.detach()[:MAX_COMPARED].double().cpu().numpy()
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.maximum(lengths, 1e-12)[:, None]
    first = 0 if tokenizer.unit == "bytes" else 1  # <unknown> is no token of a text
    frequent = [i for i in range(first, min(len(unit), MAX_FREQUENT)) if _is_telling(tokenizer, i)]
    chosen = sorted(sorted(frequent, key=lambda i: -lengths[i])[:MAX_LISTED])
    listed = []
    for i in chosen:
        cosines = unit @ unit[i]
        cosines[i] = -np.inf
        cosines[:first] = -np.inf
        nearest = np.argsort(-cosines, kind="stable")[:NEIGHBORS]
        pairs = [(_name(tokenizer, j), float(cosines[j])) for j in nearest.tolist()]
        listed.append(Neighbors(_name(tokenizer, i), pairs))
    return listed


def _is_telling(tokenizer: Tokenizer, i: int) -> bool:
    token = tokenizer.vocabulary[i]
    if tokenizer.unit == "words":
        return len(token) > 2 and token.isalpha()
    return token.isprintable() and (tokenizer.unit == "characters" or token.isascii())


def _name(tokenizer: Tokenizer, i: int) -> str:
    token = tokenizer.vocabulary[i]
    if tokenizer.unit == "bytes" and not token.isascii():
        return f"\\x{i:02x}"
    return NAMES.get(token) or escape_controls(token)
