"""Texts of an inspection: their ids, the attributions of their tokens, and figures of them and of units."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from nnzoo.data.sequences import Inputs, pad
from nnzoo.data.text_files.documents import read_text_file
from nnzoo.data.text_files.folder import TEXTS
from nnzoo.data.token_ids import Cut, Encoder
from nnzoo.errors import DataError, escape_controls
from nnzoo.inspect import draw_text, internals
from nnzoo.inspect.tokens import LINE_END, Piece, make_pieces, strongest_lines, wrap
from nnzoo.inspect.units import FollowingUnit, streams
from nnzoo.models.network import Network
from nnzoo.text import shorten

# Tokens of a text that are attributed, lines of all texts of a figure, and of a unit.
MAX_ATTRIBUTED_TOKENS = 5000
MAX_TEXT_LINES = 60
MAX_UNIT_LINES = 9


def encode_texts(network: Network, texts: Sequence[str]) -> Inputs:
    """Return texts, or .txt files of them, as a network on text takes them; for a language model all of them as one."""
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    contents = [read_text_file(text) if is_text_file(text) else text for text in texts]
    per_step = network.data_spec.input.per_step
    cut = Cut() if per_step else Cut.of(network.config.data)
    encoder = Encoder(tokenizer.unit, tokenizer.lowercase, cut, tokenizer)
    ids = encoder.encode_all(["\n".join(contents)] if per_step else contents)
    rows = torch.from_numpy(ids.values)[:, None].split(ids.lengths.tolist())
    if per_step:
        return streams(network, rows[0][:, 0]).to(network.device)
    return pad(list(rows)).to(network.device)


def is_text_file(text: str) -> bool:
    """Whether a text is the name of a .txt file; raises DataError where a single word is one of none that exists."""
    if TEXTS.search(text) is None:
        return False
    if os.path.isfile(text):
        return True
    if len(text.split()) == 1:
        raise DataError(f"no file {shorten(text)}", code="E30")
    return False


def token_names(network: Network, encoded: Tensor) -> list[str]:
    """Return the tokens of the first text of a batch of ids; none of other inputs."""
    tokenizer = network.data_spec.tokenizer
    if tokenizer is None:
        return []
    ids = encoded[0, :, 0].tolist()
    tokens = [tokenizer.vocabulary[i] for i in ids]
    return [LINE_END if t == "\n" else shorten(escape_controls(t), 14) for t in tokens]


def text_pieces(network: Network, rows: Sequence[Tensor]) -> list[list[Piece]]:
    """Return the tokens of each text, a row (1, time, 1) of ids, with their attributions, of a long text the first MAX_ATTRIBUTED_TOKENS."""
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    pieces = []
    for row in rows:
        ids = row[:, :MAX_ATTRIBUTED_TOKENS]
        values = internals.token_attributions(network, ids)[0].tolist()
        pieces.append(make_pieces(tokenizer, ids[0, :, 0].tolist(), values))
    return pieces


def draw_attributions(
    network: Network, rows: Sequence[Tensor], labels: list[tuple[str, bool]]
) -> tuple[str, Figure]:
    """Draw each text, its tokens colored by the attribution of the prediction to them; returns a caption, too."""
    most = max(4, MAX_TEXT_LINES // len(rows))
    texts = [
        strongest_lines(wrap(pieces, draw_text.COLUMNS), most)
        for pieces in text_pieces(network, rows)
    ]
    target = "the predicted class" if network.task.is_classification else "the prediction"
    caption = (
        f"Which tokens move the prediction: integrated gradients of their vectors, from zero; red raises {target}, blue "
        "lowers it. Of a long text the part with the strongest."
    )
    return caption, draw_text.labeled_texts(texts, labels, f"red raises {target}, blue lowers it")


def draw_units(units: list[FollowingUnit]) -> tuple[str, Figure]:
    """Draw the units of a language model that follow something, each colored over an excerpt; returns a caption, too."""
    lines = [(unit.title, wrap(unit.pieces, draw_text.COLUMNS)[:MAX_UNIT_LINES]) for unit in units]
    caption = "Units that follow something: the text colored by the state of each unit, red above its mean and blue below."
    return caption, draw_text.titled_texts(lines)
