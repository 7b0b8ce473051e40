"""Options of the sources of text: defaults, and the values that they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nnzoo.config.text_options import (
    MAX_VOCABULARY,
    CorpusOptions,
    CorpusSplit,
    ImdbOptions,
    PydocOptions,
    TextOptions,
    TinyShakespeareOptions,
    TokenOptions,
)
from nnzoo.data.tokenizer import UNKNOWN, Tokenizer
from nnzoo.errors import DataError

SOURCES: dict[str, tuple[type[TokenOptions], dict[str, Any]]] = {
    "text": (TextOptions, {"path": "x.csv"}),
    "imdb": (ImdbOptions, {}),
    "corpus": (CorpusOptions, {"path": "x.txt"}),
    "pydoc": (PydocOptions, {}),
    "tiny_shakespeare": (TinyShakespeareOptions, {}),
}


def made(name: str, **values: Any) -> Any:
    options, required = SOURCES[name]
    return options.model_validate({"name": name} | required | values)


def error_of(name: str, **values: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        made(name, **values)
    return str(raised.value)


def test_documents_are_words_and_running_text_characters() -> None:
    for name in ("text", "imdb"):
        options = made(name)
        assert (options.tokens, options.lowercase, options.min_count) == ("words", True, 2)
        assert (options.max_length, options.keep) == (None, "start")
    for name in ("corpus", "pydoc", "tiny_shakespeare"):
        options = made(name)
        assert (options.tokens, options.lowercase, options.min_count) == ("characters", False, 1)
        assert (options.window, options.stateful) == (128, True)
        assert (options.split.val, options.split.test) == (0.05, 0.05)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokens", "letters"),
        ("tokens", None),
        ("vocabulary", 0),
        ("vocabulary", -1),
        ("vocabulary", 1.5),
        ("vocabulary", MAX_VOCABULARY + 1),
        ("min_count", 0),
        ("lowercase", "maybe"),
        ("preprocess", {"target": "log"}),
        ("unheard", 1),
    ],
)
def test_values_that_no_source_of_text_takes(name: str, key: str, value: Any) -> None:
    assert key in error_of(name, **{key: value})


@pytest.mark.parametrize("name", SOURCES)
def test_a_vocabulary_of_any_allowed_size_can_be_stored(name: str) -> None:
    """A checkpoint whose tokenizer is refused could not be opened again."""
    size = made(name, vocabulary=MAX_VOCABULARY).vocabulary
    tokens = [UNKNOWN, *map(str, range(size - 1))]
    stored = {"unit": "words", "lowercase": True, "vocabulary": tokens}
    assert Tokenizer.from_dict(stored).size == MAX_VOCABULARY
    assert made(name, vocabulary=1).vocabulary == 1
    message = error_of(name, vocabulary=10 * MAX_VOCABULARY)
    assert "expected at most 1,000,000, got 10,000,000" in message


@pytest.mark.parametrize("name", ["text", "imdb"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_length", 0),
        ("max_length", 10_000_001),
        ("keep", "middle"),
        ("class_weights", "some"),
        ("window", 3),
        ("stateful", True),
    ],
)
def test_values_that_documents_do_not_take(name: str, key: str, value: Any) -> None:
    assert key in error_of(name, **{key: value})


@pytest.mark.parametrize("name", ["corpus", "pydoc", "tiny_shakespeare"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("window", 0),
        ("window", 10_000_001),
        ("stateful", "sometimes"),
        ("split", {"val": 1.0}),
        ("split", {"test": -0.1}),
        ("split", {"val": 10}),
        ("split", {"stratify": True}),
        ("max_length", 3),
        ("class_weights", "none"),
    ],
)
def test_values_that_running_text_does_not_take(name: str, key: str, value: Any) -> None:
    inner = next(iter(value)) if isinstance(value, dict) else key
    assert inner in error_of(name, **{key: value})


def test_parts_of_a_running_text_may_be_empty() -> None:
    assert CorpusSplit(val=0, test=0).val == 0
    assert CorpusSplit(val=0.99).test == 0.05


@pytest.mark.parametrize("name", ["text", "corpus"])
def test_files_of_ones_own_need_a_path(name: str) -> None:
    options, _ = SOURCES[name]
    with pytest.raises(ValidationError, match="path"):
        options.model_validate({"name": name})


@pytest.mark.parametrize("column", ["review", 0, -1])
def test_columns_are_names_or_positions(column: str | int) -> None:
    options = made("text", text=column, target=column, split={"group": column})
    assert options.text == options.target == options.split.group == column
    assert "text" in error_of("text", text=[column])
    assert "group" in error_of("imdb", split={"group": column})


def test_published_texts_lie_in_the_folder_of_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("imdb", "tiny_shakespeare"):
        assert made(name).folder == Path("data")
        assert made(name, root="there").folder == Path("there")
        monkeypatch.setenv("NNZOO_DATA", "/elsewhere")
        assert made(name).folder == Path("/elsewhere")
        monkeypatch.delenv("NNZOO_DATA")
        with pytest.raises(DataError, match="is not in data; 'nnzoo train' downloads it"):
            made(name).check_download(name, False)


@pytest.mark.parametrize("name", SOURCES)
def test_dumped_options_are_the_same_again(name: str) -> None:
    options = made(name, tokens="bytes", vocabulary=7)
    assert type(options).model_validate(options.model_dump()) == options
