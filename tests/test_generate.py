"""Text that a language model writes: prompts, pieces, unknown tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from nnzoo import generate
from nnzoo.config.model_options import GruOptions, MlpOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.tokenizer import Tokenizer, Unit
from nnzoo.errors import DataError
from nnzoo.generate import PieceDecoder, TextGenerator
from nnzoo.kernels.generate import Sampling
from nnzoo.models.mlp import MLP
from nnzoo.models.network import Network
from nnzoo.models.rnn import Recurrent

TEXT = "Ärger, said the cat; not (now)!\n" * 3


def network(unit: Unit, text: str = TEXT) -> Network:
    torch.manual_seed(0)
    tokenizer = Tokenizer.fit([text], unit, False, 300, 1)
    spec = InputSpec("tokens", (9, 1), vocabulary=tokenizer.size, per_step=True)
    model = Recurrent(GruOptions(name="gru", embedding=8, hidden_size=16), spec, tokenizer.size)
    with torch.no_grad():  # as decided as a trained one
        for parameter in model.parameters():
            parameter.mul_(4)
    data_spec = SimpleNamespace(task="language_model", tokenizer=tokenizer)
    config = SimpleNamespace(name="run")
    return cast(Network, SimpleNamespace(model=model, data_spec=data_spec, config=config))


def written(unit: Unit, prompt: str = "", chunk: int = 1024, **options: Any) -> str:
    generator = TextGenerator(network(unit))
    generator.read(prompt)
    return "".join(generator.write(300, Sampling(**options), chunk))


@pytest.mark.parametrize("unit", ["characters", "bytes", "words"])
def test_a_seed_writes_one_text_in_pieces_of_any_size(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = written(unit, "the cat", seed=4)
    assert text == written(unit, "the cat", chunk=7, seed=4)
    assert text != written(unit, "the cat", seed=5) and text != written(unit, "the", seed=4)
    assert "<unknown>" not in text
    if unit == "characters":
        assert len(text) == 300
    monkeypatch.setattr(generate, "available", lambda *_: False)
    assert text == written(unit, "the cat", chunk=33, seed=4)


@pytest.mark.parametrize("unit", ["characters", "bytes", "words"])
def test_pieces_are_the_whole_text(unit: Unit) -> None:
    tokenizer = Tokenizer.fit([TEXT], unit, False, 300, 1)
    ids = tokenizer.encode(TEXT)
    for size in (1, 2, 5):
        decoder = PieceDecoder(tokenizer)
        decoder.start(ids[:4])
        parts = [decoder.decode(ids[i : i + size]) for i in range(4, len(ids), size)]
        assert tokenizer.decode(ids[:4]) + "".join(parts) == tokenizer.decode(ids)


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    decoder = PieceDecoder(Tokenizer.fit([], "bytes", False, 300, 1))
    decoder.start([0xC3])
    assert decoder.decode([0x84, 0xFF, 0xE4]) == "Ä\ufffd"
    assert decoder.decode([], is_last=True) == "\ufffd"


def test_unknown_parts_of_a_prompt_are_counted() -> None:
    generator = TextGenerator(network("characters"))
    generator.read("cat €€ŧ")
    assert generator.notes == [
        "the prompt has 3 characters outside of the vocabulary, read as <unknown>: '€', 'ŧ'"
    ]
    words = TextGenerator(network("words"))
    words.read("the dog")
    assert words.notes == [
        "the prompt has 1 word outside of the vocabulary, read as <unknown>: 'dog'"
    ]


@pytest.mark.parametrize("unit", ["characters", "bytes", "words"])
def test_an_empty_prompt_is_a_line_break_or_the_most_frequent_token(unit: Unit) -> None:
    tokenizer = Tokenizer.fit([TEXT], unit, False, 300, 1)
    prompt = tokenizer.vocabulary[1] if unit == "words" else "\n"
    generators = [TextGenerator(network(unit)) for _ in "ab"]
    for generator, start in zip(generators, ("", prompt), strict=True):
        generator.read(start)
        assert generator.notes == []
    texts = ["".join(g.write(40, Sampling(seed=1))) for g in generators]
    assert texts[0] == texts[1]


def test_networks_that_write_no_text_are_refused() -> None:
    other = network("characters")
    cast(Any, other.data_spec).task = "classification"
    with pytest.raises(DataError, match="run is no language model"):
        TextGenerator(other)
    spec = InputSpec("table", (3,))
    mlp = network("characters")
    mlp.model = MLP(MlpOptions(name="mlp"), spec, 2)
    with pytest.raises(DataError, match="no language model"):
        TextGenerator(mlp)
    broken = network("characters")
    torch.nn.init.constant_(cast(Recurrent, broken.model).head.bias, torch.nan)
    generator = TextGenerator(broken)
    generator.read("the")
    with pytest.raises(DataError, match="not finite"):
        "".join(generator.write(3, Sampling()))
