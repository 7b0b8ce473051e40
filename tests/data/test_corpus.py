"""Running text: parts, tokens, windows whose targets are the next tokens, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.config.text_options import CorpusOptions, PydocOptions
from nnzoo.data.corpus import CorpusSplit, encode, load_corpus, load_pydoc
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.tokenizer import Tokenizer
from nnzoo.errors import DataError
from tests.text_files import running_text


def load(path: Path, spec: DataSpec | None = None, **options: Any) -> Dataset:
    return load_corpus(CorpusOptions(name="corpus", path=str(path), **options), spec)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(running_text())
    return path


def test_parts_follow_each_other_and_are_the_whole_text(corpus: Path) -> None:
    data = load(corpus, window=16, split={"val": 0.1, "test": 0.2})
    tokenizer = data.spec.tokenizer
    assert tokenizer is not None
    parts = [tokenizer.decode(data.splits[name].tensors()[0].tolist()) for name in data.splits]
    assert list(data.splits) == ["train", "val", "test"]
    assert "".join(parts) == corpus.read_text()
    assert len(parts[2]) == pytest.approx(0.2 * len(corpus.read_text()), abs=1)


def test_targets_are_the_tokens_one_later(corpus: Path) -> None:
    split = load(corpus, window=10).splits["train"]
    x, y = split.batch(torch.tensor([0, 3]))
    tokens = split.tensors()[0].long()
    assert x.shape == (2, 10, 1) and x.dtype is torch.int32
    assert torch.equal(x[1, :, 0].long(), tokens[30:40])
    assert torch.equal(y.view(2, 10)[1], tokens[31:41])
    assert torch.equal(split.targets()[30:40], tokens[31:41])
    assert len(split) == (len(tokens) - 1) // 10


def test_the_vocabulary_is_that_of_the_training_part(corpus: Path) -> None:
    before = load(corpus, window=8)
    text = corpus.read_text()
    corpus.write_text(text[:-100] + "ÄÖ漢" + text[-97:])
    after = load(corpus, window=8)
    assert before.spec == after.spec
    assert torch.equal(*(data.splits["train"].tensors()[0] for data in (before, after)))
    assert any("3 of" in note and "<unknown>" in note for note in after.cuts)


def test_a_checkpoint_keeps_its_vocabulary(corpus: Path) -> None:
    spec = load(corpus, window=8).spec
    stored = DataSpec.from_dict(spec.to_dict())
    assert stored.input == spec.input and stored.input.per_step
    corpus.write_text("zzz" + corpus.read_text().replace("e", "z"))
    again = load(corpus, spec=stored, window=8)
    assert again.spec.tokenizer is stored.tokenizer


def test_words_are_not_cut_between_parts(corpus: Path) -> None:
    data = load(corpus, window=4, tokens="words", split={"val": 0.15, "test": 0.15})
    tokenizer = data.spec.tokenizer
    assert tokenizer is not None
    split = [tokenizer.split(corpus.read_text()), []]
    split[1] = [
        tokenizer.vocabulary[i] for part in data.splits.values() for i in part.tensors()[0].tolist()
    ]
    assert split[0] == split[1]


@pytest.mark.parametrize("lowercase", [False, True])
def test_characters_are_encoded_as_the_tokenizer_does(lowercase: bool) -> None:
    text = "Ab\ud800c漢字 \U0001f600 new"
    tokenizer = Tokenizer.fit([text[:6]], "characters", lowercase, 100, 1)
    assert encode(tokenizer, text).tolist() == tokenizer.encode(text)
    empty = Tokenizer("characters", False, ["<unknown>"])
    assert encode(empty, "ab").tolist() == [0, 0]


def test_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "any.bin"
    content = bytes(range(256)) * 4
    path.write_bytes(content)
    data = load(path, tokens="bytes", window=8, split={"val": 0, "test": 0})
    assert bytes(data.splits["train"].tensors()[0].tolist()) == content
    assert data.cuts == []


def test_a_part_that_is_shorter_than_a_window_is_refused(corpus: Path) -> None:
    with pytest.raises(DataError, match=r"the val part has \d+ tokens; a window takes 1000"):
        load(corpus, window=1000)
    with pytest.raises(DataError, match="leave no text to train"):
        load(corpus, split={"val": 0.5, "test": 0.5})


def test_every_python_has_text_to_learn_from() -> None:
    data = load_pydoc(PydocOptions(name="pydoc"))
    assert len(data.splits["train"]) > 1000
    assert data.spec.task == "language_model"


def test_a_split_moves_and_keeps_its_window() -> None:
    split = CorpusSplit(torch.arange(9, dtype=torch.int32), 4)
    assert len(split) == 2
    moved = split.to(torch.device("cpu")).map(lambda x: x * 0, lambda y: y * 0)
    assert torch.equal(moved.tokens, split.tokens)


@pytest.mark.parametrize("tokens", ["words", "characters", "bytes"])
def test_a_long_text_is_cut_in_chunks_into_the_same_tokens(
    corpus: Path, tokens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(corpus, window=4, tokens=tokens)
    monkeypatch.setattr("nnzoo.data.corpus.CHUNK", 7)
    again = load(corpus, window=4, tokens=tokens)
    assert again.spec == whole.spec and again.fingerprint() == whole.fingerprint()
