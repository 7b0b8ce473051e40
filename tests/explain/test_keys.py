"""Keys by the words for them."""

from __future__ import annotations

from nnzoo.config.optim_options import ClipOptions, CosineOptions
from nnzoo.explain.keys import find_keys, former_names, inner_keys, synonyms, variant_name


def test_a_key_is_found_by_its_end_and_by_the_words_of_other_tools() -> None:
    assert (
        find_keys("optim.schedule")
        == find_keys("schedule")
        == find_keys("lr_scheduler")
        == ["optim.schedule"]
    )
    assert find_keys("Learning-Rate") == ["optim.lr"]
    assert find_keys("pct_start") == ["optim.schedule.pct_start"]
    assert find_keys("nothing") == []


def test_other_names_of_a_key() -> None:
    assert "learning_rate" in synonyms("optim.lr") and "lr" not in synonyms("optim.lr")
    assert former_names("optim.schedule.pct_start") == ["rise"]
    assert list(inner_keys("optim.clip")) == ["optim.clip.norm", "optim.clip.value"]


def test_the_name_of_a_choice() -> None:
    assert (variant_name(CosineOptions), variant_name(ClipOptions)) == ("cosine", "")
