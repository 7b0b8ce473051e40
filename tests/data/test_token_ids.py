"""Token ids of many texts: the same as those of a tokenizer, cut and counted."""

from __future__ import annotations

import numpy as np
import pytest

from nnzoo.data import token_ids
from nnzoo.data.token_ids import Cut, Encoder
from nnzoo.data.tokenizer import Tokenizer, Unit
from nnzoo.errors import DataError

TEXTS = ["The cat, the DOG.", "a cat's é 猫 🙂", "", "   ", "the the the"]


@pytest.mark.parametrize("unit", ["words", "characters", "bytes"])
@pytest.mark.parametrize("lowercase", [True, False])
def test_ids_and_vocabulary_are_those_of_a_tokenizer(unit: Unit, lowercase: bool) -> None:
    encoder = Encoder(unit, lowercase)
    provisional = encoder.encode_all(TEXTS)
    fitted = encoder.fit(provisional, 9, 1)
    reference = Tokenizer.fit(TEXTS, unit, lowercase, 9, 1)
    assert list(fitted.vocabulary) == list(reference.vocabulary)
    ids = encoder.renumber(provisional, fitted)
    known = Encoder(unit, lowercase, tokenizer=fitted).encode_all(TEXTS)
    for row, text in enumerate(TEXTS):
        expected = reference.encode(text)
        for one in (ids, known):
            part = one.values[one.offsets[row] : one.offsets[row + 1]].tolist()
            assert part == (expected or [0])
            assert one.uncut[row] == len(expected)
    assert ids.values.dtype == np.int32 and known.values.dtype == np.int32


@pytest.mark.parametrize(
    ("keep", "kept"), [("start", [0, 1, 2]), ("end", [4, 5, 6]), ("both", [0, 1, 6])]
)
def test_which_part_of_a_long_text_is_kept(keep: token_ids.Keep, kept: list[int]) -> None:
    cut = Cut(3, keep)
    assert cut.apply(np.arange(7)).tolist() == kept
    assert cut.apply(np.arange(3)).tolist() == [0, 1, 2]
    assert Cut(1, keep).apply(np.arange(5)).tolist() == [4 if keep == "end" else 0]


def test_selected_texts_keep_their_ids() -> None:
    ids = Encoder("words", True, Cut(2)).encode_all(["a b c", "d", "a d"])
    some = ids.select(np.array([2, 0]))
    assert some.values.tolist() == [1, 4, 1, 2]
    assert some.lengths.tolist() == [2, 2] and some.uncut.tolist() == [2, 3]


def test_too_many_tokens_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_ids, "MAX_TOKENS", 3)
    with pytest.raises(DataError, match=r"more than 3 tokens.*max_length"):
        Encoder("words", True).encode_all(["a b", "c d"], "x.csv")
    assert len(Encoder("words", True, Cut(1)).encode_all(["a b", "c d"]).values) == 2
