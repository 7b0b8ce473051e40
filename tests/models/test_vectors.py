"""An embedding that starts from vectors of a file: formats, found and missing tokens, lines that are none."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.config.load import load_config
from nnzoo.data.read_dataset import read_dataset
from nnzoo.data.tokenizer import Tokenizer
from nnzoo.errors import ConfigError, DataError
from nnzoo.models import vectors
from nnzoo.models.network import Network, build_network, network_from_checkpoint, reseeded
from nnzoo.models.vectors import read_vectors
from tests.data.text_files.writing import some_documents, write_csv
from tests.zoo import config

TOKENS = Tokenizer("words", True, ["<unknown>", "the", "cat", "new"])
GLOVE = "the 1 2 3\n. . 7 7 7\nThe 9 9 9\nCat 4 -5.5 6e-1\nother 0 0 0\n"


def embedding_of(network: Network) -> torch.Tensor:
    """The weights of a network's embedding."""
    return next(m.weight for m in network.model.modules() if isinstance(m, torch.nn.Embedding))


def write(text: str | bytes, name: str = "v.txt") -> str:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


@pytest.mark.parametrize(
    "text",
    [
        GLOVE,
        f"5 3\n{GLOVE}",
        GLOVE.replace("\n", " \r\n"),
        GLOVE.replace(" ", "\t"),
        GLOVE + "\n\n",
    ],
)
def test_both_formats_are_read(text: str) -> None:
    for name in (write(text), write(gzip.compress(text.encode()), "v.vec.gz")):
        ids, values = read_vectors(name, TOKENS, 3)
        assert ids.tolist() == [1, 2]
        np.testing.assert_array_equal(
            values, np.array([[1, 2, 3], [4, -5.5, 0.6]], dtype=np.float32)
        )
    cased = Tokenizer("words", False, ["<unknown>", "The"])
    assert read_vectors(write(text), cased, 3)[1].tolist() == [[9, 9, 9]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2\n", "vectors of 2 numbers, and model.embedding.size is 3"),
        ("5 300\nthe 1 2 3\n", "vectors of 300 numbers, and"),
        (
            "the 1 2 3\nold 1 2 3\ncat 1 x 3\n",
            "v.txt:3: expected a word and 3 numbers, got 'cat 1 x 3'",
        ),
        ("the 1 2 3\nold 1 2 3\ncat 1\n", "v.txt:3: expected a word and 3 numbers, got 'cat 1'"),
        ("the 1 nan 3\n", "v.txt:1: expected"),
        ("the 1 1e40 3\n", "v.txt:1: expected"),
        (b"PAR1\0\0\0\0PAR1", "is no text"),
        ("x" * 200, "v.txt:1: a line of more than 100 bytes"),
    ],
)
def test_lines_that_are_none(
    text: str | bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "MAX_LINE", 100)
    with pytest.raises((ConfigError, DataError), match=message):
        read_vectors(write(text), TOKENS, 3)


def options(tmp_path: Path, **embedding: Any) -> Any:
    model = {"name": "mlp", "hidden": [], "embedding": {"size": 3, **embedding}}
    return config(model, {"name": "text", **write_csv(tmp_path, some_documents())})


def test_a_fresh_network_starts_from_them_and_a_restored_one_does_not_need_the_file(
    tmp_path: Path,
) -> None:
    cpu = torch.device("cpu")
    name = write("film 1 2 3\nstory 4 5 6\n")
    chosen = options(tmp_path, vectors=name)
    data = read_dataset(chosen)
    network = build_network(chosen, data, cpu)
    tokenizer = data.spec.tokenizer
    assert tokenizer is not None
    weight = embedding_of(network)
    assert weight[tokenizer.ids["story"]].tolist() == [4, 5, 6]
    assert data.notes[-1].startswith(
        f"v.txt: vectors of 2 of {tokenizer.size - 1} tokens; the other"
    )
    plain = embedding_of(build_network(options(tmp_path), data, cpu))
    same = (weight == plain).all(1)
    assert int((~same).sum()) == 2
    other = reseeded(network, replace(chosen, seed=5))
    assert embedding_of(other)[tokenizer.ids["film"]].tolist() == [1, 2, 3]
    content = network.state()
    Path(name).unlink()
    restored = network_from_checkpoint(content, "x", cpu)
    assert torch.equal(embedding_of(restored), weight)
    with pytest.raises(ConfigError, match=r"no file v.txt"):
        build_network(chosen, data, cpu)
    write("strange 1 2 3\n")
    with pytest.raises(ConfigError, match="has none of the"):
        build_network(chosen, data, cpu)


def test_bytes_have_no_vectors() -> None:
    tokenizer = Tokenizer("bytes", True, [chr(i) for i in range(256)])
    with pytest.raises(ConfigError, match=r"data.tokens is bytes"):
        vectors.load_vectors(torch.nn.Embedding(256, 3), _embedding("v.txt"), tokenizer)


def _embedding(path: str) -> Any:
    from nnzoo.config.model_options import EmbeddingOptions

    return EmbeddingOptions(size=3, vectors=path)


def test_the_path_is_relative_to_the_config(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    text = "data: {name: text, path: x.csv}\nmodel: {name: gru, embedding: {size: 3, vectors: v.txt}}\n"
    (folder / "c.yaml").write_text(text)
    assert load_config(str(folder / "c.yaml")).model.token_embedding.vectors == str(
        folder / "v.txt"
    )
    sets = ["model.embedding.vectors=w.txt"]
    overridden = load_config(str(folder / "c.yaml"), sets).model.token_embedding.vectors
    assert overridden == str(Path.cwd() / "w.txt")
