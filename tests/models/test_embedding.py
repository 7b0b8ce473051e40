"""Embeddings: vectors of ids in every form of batch, means of texts, gradients of the used rows alone."""

from __future__ import annotations

import pytest
import torch

from nnzoo.config.model_options import GruOptions, MlpOptions
from nnzoo.data.data_spec import InputSpec
from nnzoo.data.sequences import PaddedSequences, pad
from nnzoo.errors import ConfigError
from nnzoo.models.embedding import Embedding, EmbeddingMean
from nnzoo.models.packed import pack
from tests.zoo import begin, config, gradient

SPEC = InputSpec("tokens", (5, 1), True, 10)
TEXTS = [torch.tensor(ids, dtype=torch.int32)[:, None] for ids in ([3, 1, 3, 7], [1], [9, 3])]


def gru(**embedding: object) -> GruOptions:
    return GruOptions.model_validate({"name": "gru", "embedding": {"size": 4} | embedding})


def test_vectors_in_every_form_of_a_batch() -> None:
    embedding = Embedding(gru(), SPEC)
    padded = embedding(pad(TEXTS))
    assert isinstance(padded, PaddedSequences) and padded.values.shape == (3, 4, 4)
    assert torch.equal(padded.values[0], embedding.weight[[3, 1, 3, 7]])
    assert not padded.values[1, 1:].any()
    packed = embedding(pack(pad(TEXTS)))
    assert torch.equal(packed.padded().values, padded.values)
    assert torch.equal(embedding(TEXTS[0][None]), padded.values[:1])
    assert embedding(padded) is padded and embedding(packed) is packed


def test_the_mean_of_each_text() -> None:
    embedding = EmbeddingMean(MlpOptions(name="mlp", embedding=4), SPEC)
    mean = embedding(pad(TEXTS))
    expected = torch.stack([embedding.weight[text[:, 0].long()].mean(0) for text in TEXTS])
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(embedding(TEXTS[0][None]), expected[:1])


@pytest.mark.parametrize("kind", [Embedding, EmbeddingMean])
def test_only_rows_of_the_batch_have_a_gradient(kind: type[Embedding]) -> None:
    embedding = kind(gru(), SPEC)
    result = embedding(pad(TEXTS))
    values = result if kind is EmbeddingMean else result.values
    (values.square() * torch.arange(1.0, 5)).sum().backward()
    sparse = gradient(embedding.weight)
    assert sparse.is_sparse
    assert sparse.coalesce().indices()[0].tolist() == [1, 3, 7, 9]
    embedding.sparse, embedding.weight.grad = False, None
    result = embedding(pad(TEXTS))
    values = result if kind is EmbeddingMean else result.values
    (values.square() * torch.arange(1.0, 5)).sum().backward()
    torch.testing.assert_close(sparse.to_dense(), gradient(embedding.weight))


def test_dropout_is_for_training() -> None:
    embedding = Embedding(gru(dropout=0.5), SPEC)
    for batch in (pad(TEXTS), pack(pad(TEXTS))):
        dropped = embedding(batch).values
        kept = embedding.eval()(batch).values
        embedding.train()
        assert ((dropped == 0) & (kept != 0)).any()
        torch.testing.assert_close(dropped[dropped != 0], 2 * kept[dropped != 0])


def test_only_text_has_an_embedding() -> None:
    with pytest.raises(ConfigError, match="is for text, but the data is image 1×8×8"):
        begin(config({"name": "gru", "embedding": 7}, "image"))
    assert GruOptions(name="gru").token_embedding.size == 128
    assert GruOptions(name="gru", embedding=7).token_embedding.size == 7
