"""Texts of an inspection: how they become ids, and what is shown of their tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.data.sequences import PaddedSequences
from nnzoo.data.tokenizer import Tokenizer
from nnzoo.errors import DataError
from nnzoo.inspect import draw_text, internals, texts
from nnzoo.inspect.texts import (
    draw_attributions,
    draw_units,
    encode_texts,
    is_text_file,
    text_pieces,
    token_names,
)
from nnzoo.inspect.tokens import LINE_END, MORE, Piece
from nnzoo.inspect.units import FollowingUnit
from nnzoo.models.network import Network
from tests.text_data import corpus_dataset, language_model, text_dataset, text_network

GRU = {"name": "gru", "hidden_size": 6, "embedding": 4}


def tokenizer_of(network: Network) -> Tokenizer:
    tokenizer = network.data_spec.tokenizer
    assert tokenizer is not None
    return tokenizer


def rows_of(encoded: Any) -> list[list[int]]:
    """The ids of each text of a batch."""
    assert isinstance(encoded, PaddedSequences)
    pairs = zip(encoded.values, encoded.lengths.tolist(), strict=True)
    return [row[:length, 0].tolist() for row, length in pairs]


def row(*ids: int) -> Tensor:
    return torch.tensor(ids, dtype=torch.int32)[None, :, None]


# Ids.


def test_texts_and_files_are_encoded_alike() -> None:
    network = text_network("gru")
    Path("a b.txt").write_text("the film was great\n", encoding="utf-8")
    encoded = encode_texts(network, ["what a dull story", "a b.txt", ""])
    encode = tokenizer_of(network).encode
    expected = [encode("what a dull story"), encode("the film was great"), [0]]
    assert rows_of(encoded) == expected


@pytest.mark.parametrize("keep", ["start", "end", "both"])
def test_long_texts_are_cut_as_in_training(keep: str) -> None:
    network = text_network("mlp", max_length=3, keep=keep)
    ids = tokenizer_of(network).encode("what a great story")
    kept = {"start": ids[:3], "end": ids[1:], "both": [*ids[:2], ids[3]]}
    assert rows_of(encode_texts(network, ["what a great story"])) == [kept[keep]]


def test_a_language_model_reads_all_texts_as_one() -> None:
    network = language_model(GRU)
    Path("a.txt").write_text("JULIET:", encoding="utf-8")
    encoded = encode_texts(network, ["ROMEO:", "a.txt"])
    assert isinstance(encoded, Tensor) and encoded.shape == (1, 14, 1)
    assert tokenizer_of(network).decode(encoded[0, :, 0].tolist()) == "ROMEO:\nJULIET:"


@pytest.mark.parametrize(
    ("text", "is_file"),
    [
        ("a.txt", True),
        ("b.TXT", True),
        ("two words.txt", True),
        ("see a.txt", False),
        ("a.csv", False),
        ("", False),
        ("x" * 5000 + " and then a.txt", False),
        ("zero \0 a.txt", False),
    ],
)
def test_a_file_is_one_that_exists(text: str, is_file: bool) -> None:
    for name in ("a.txt", "b.TXT", "two words.txt", "a.csv"):
        Path(name).write_text("x")
    assert is_text_file(text) is is_file


@pytest.mark.parametrize("name", ["none.txt", "folder/none.TXT", f"{'x' * 5000}.txt"])
def test_a_file_that_does_not_exist_is_no_text(name: str) -> None:
    with pytest.raises(DataError, match="no file "):
        is_text_file(name)
    with pytest.raises(DataError, match="no file "):
        encode_texts(text_network("gru"), ["a text", name])


def test_files_that_are_no_text_are_named() -> None:
    Path("a.txt").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match=r"a.txt: not UTF-8 text \(byte 1\)"):
        encode_texts(text_network("gru"), ["a.txt"])


# Tokens.


def test_names_of_tokens_are_short_and_steer_no_terminal() -> None:
    network = language_model(GRU)
    vocabulary = ["<unknown>", "\n", "\x1b[2J", "x" * 40, "\u202eevil", "猫"]
    tokenizer = Tokenizer("words", False, vocabulary)
    network.data_spec = replace(network.data_spec, tokenizer=tokenizer)
    names = token_names(network, row(0, 1, 2, 3, 4, 5))
    assert names == ["<unknown>", LINE_END, "\\x1b[2J", f"{'x' * 13}{MORE}", "\\u202eevil", "猫"]


def test_other_inputs_have_no_tokens() -> None:
    network = text_network("gru")
    network.data_spec = replace(network.data_spec, tokenizer=None)
    assert token_names(network, torch.randn(1, 3, 2)) == []


@pytest.mark.parametrize("model", ["mlp", "cnn", "gru"])
def test_pieces_have_the_attributions_of_their_tokens(model: str) -> None:
    network = text_network(model)
    ids = tokenizer_of(network).encode("what a dull story , and so long")
    (pieces,) = text_pieces(network, [row(*ids)])
    assert [piece.text for piece in pieces] == tokenizer_of(network).split(
        "what a dull story, and so long"
    )
    expected = internals.token_attributions(network, row(*ids))[0]
    assert [piece.value for piece in pieces] == pytest.approx(expected.tolist())
    assert [piece.glued for piece in pieces] == [True, *[False] * 3, True, *[False] * 3]


def test_only_the_first_tokens_of_a_long_text_are_attributed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(texts, "MAX_ATTRIBUTED_TOKENS", 4)
    network = text_network("gru")
    long, short = text_pieces(network, [row(1, 2, 3, 4, 5, 6), row(1, 2)])
    assert len(long) == 4 and len(short) == 2
    (whole,) = text_pieces(network, [row(1, 2, 3, 4)])
    assert [piece.value for piece in long] == [piece.value for piece in whole]


# Figures.


def figure_lines(figure: Any) -> int:
    """Lines of text in all axes of a figure, by the highest place that has one."""
    return sum(round(max(axes.get_ylim())) for axes in figure.axes)


@pytest.mark.parametrize("is_class", [True, False])
def test_the_caption_says_what_red_stands_for(is_class: bool) -> None:
    network = text_network("gru", text_dataset(is_class=is_class))
    caption, figure = draw_attributions(
        network, [row(1, 2, 3), row(4)], [("good", True), ("bad", False)]
    )
    target = "the predicted class" if is_class else "the prediction"
    assert f"red raises {target}, blue lowers it" in caption
    assert len(figure.axes) == 2
    labels = [axes.texts[-1].get_text() for axes in figure.axes]
    assert labels == ["good", "bad"]


def test_the_lines_of_a_figure_are_divided_among_long_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(texts, "MAX_TEXT_LINES", 12)
    monkeypatch.setattr(draw_text, "COLUMNS", 10)
    network = text_network("mlp")
    long = row(*(1 + i % 9 for i in range(60)))
    _, one = draw_attributions(network, [long], [("a", True)])
    _, three = draw_attributions(network, [long] * 3, [("a", True)] * 3)
    _, many = draw_attributions(network, [long] * 6, [("a", True)] * 6)
    # A line of dots may be at either end.
    assert 12 <= figure_lines(one) <= 14
    assert 12 <= figure_lines(three) <= 18
    assert 24 <= figure_lines(many) <= 36, "four lines of each at least"


def test_units_are_drawn_with_their_titles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MAX_UNIT_LINES", 2)
    pieces = [Piece("word", 0.5, False)] * 200
    units = [
        FollowingUnit("inside quotes", "l0", 3, 0.812, pieces),
        FollowingUnit("digits", "l1", 1, -0.5, pieces[:3]),
    ]
    caption, figure = draw_units(units)
    assert caption.startswith("Units that follow something")
    titles = [axes.texts[-1].get_text() for axes in figure.axes]
    assert titles == [
        "inside quotes: unit 3 of l0, correlation 0.81",
        "digits: unit 1 of l1, correlation -0.50",
    ]
    assert figure_lines(figure) == 3


def test_streams_of_a_language_model_are_those_of_the_split() -> None:
    network = language_model(GRU)
    text = tokenizer_of(network).decode(
        corpus_dataset().splits["train"].tensors()[0].flatten().tolist()
    )
    encoded = encode_texts(network, [text])
    assert isinstance(encoded, Tensor) and encoded.shape[0] == 16 and encoded.shape[2] == 1
    decoded = tokenizer_of(network).decode(encoded.flatten().tolist())
    assert text.startswith(decoded) and len(text) - len(decoded) < 16
