"""Options of the sources of text: documents with a class or a number, and running text."""

from __future__ import annotations

from typing import Annotated, Literal

from nnzoo.config.data_options import (
    DataOptions,
    DownloadedOptions,
    FileOptions,
    Steps,
)
from nnzoo.config.options import HalfOpenFraction, Options, PositiveInt, option, sanity_limit
from nnzoo.config.split_options import Column, GroupSplit, ValSplit

MAX_VOCABULARY = 1_000_000


class TextPreprocess(Options):
    target: Literal["standardize", "minmax", "none"] = option(
        "standardize", "scaling of a numeric target; metrics are in its own units"
    )


class TokenOptions(DataOptions):
    """How texts become tokens, and which of them a network knows."""

    tokens: Literal["words", "characters", "bytes"] = option(
        "words", "what a text is cut into; punctuation marks are words"
    )
    lowercase: bool = option(True, "before it is cut")
    vocabulary: Annotated[PositiveInt, sanity_limit(MAX_VOCABULARY)] = option(
        20_000,
        "most frequent tokens of the training texts, `<unknown>` included; others become `<unknown>`",
    )
    min_count: PositiveInt = option(
        2,
        "tokens that occur less often in the training texts become `<unknown>`, and teach its vector",
    )
    preprocess: TextPreprocess = option(TextPreprocess(), "target")


class DocumentOptions(TokenOptions):
    """Options that all sources of documents have."""

    max_length: Steps | None = option(None, "tokens that are kept of a longer document")
    keep: Literal["start", "end", "both"] = option(
        "start",
        "with max_length: which part of it is kept; both: half from the start, half from the end",
    )
    class_weights: Literal["none", "balanced"] = option(
        "none", "balanced: rare classes count as much as frequent ones in the loss"
    )


class TextOptions(FileOptions, DocumentOptions):
    """Your documents, each with a class or a number: a table with a column of text, a folder per class with a
    .txt per document, or a file per class with a line per document."""

    name: Literal["text"]
    path: str = option(..., "the file, or the folder")
    test_path: str | None = option(None, "test documents in a file or folder of their own")
    text: Column | None = option(
        None, "column of the text; default: the one with the longest texts"
    )
    target: Column | None = option(
        None, "column to predict; default: by its name, else the other column"
    )
    task: Literal["auto", "classification", "regression"] = option(
        "auto", "classes or a number; auto looks at the target"
    )
    weight: Column | None = option(
        None,
        "column of the weight of each text, a number from 0 on, in the loss and beside it in the metrics",
    )
    split: GroupSplit = option(
        GroupSplit(),
        "val, test, stratify, seed, group, by, column, duplicates; for the parts that have no file or folder",
    )


class ImdbOptions(DownloadedOptions, DocumentOptions):
    """50,000 reviews of films, good or bad (Maas et al. 2011): imdb-train.csv and imdb-test.csv in `root`; downloaded
    when missing."""

    name: Literal["imdb"]
    split: ValSplit = option(
        ValSplit(), "val, stratify, seed; the published test part is the test split"
    )


class CorpusSplit(Options):
    """The beginning of the text trains, what follows validates, the end tests."""

    val: HalfOpenFraction = option(0.05, "fraction of the text, before the test part")
    test: HalfOpenFraction = option(0.05, "fraction of the text, its end")


class RunningTextOptions(TokenOptions):
    """A text of which each token is predicted from those before it."""

    tokens: Literal["words", "characters", "bytes"] = option(
        "characters", "what the text is cut into; punctuation marks are words"
    )
    lowercase: bool = option(False, "before it is cut")
    min_count: PositiveInt = option(
        1, "tokens that occur less often in the training text become `<unknown>`"
    )
    window: Steps = option(128, "tokens per row of a batch; gradients reach as far back")
    stateful: bool = option(
        True,
        "each row of a batch continues that of the batch before, with the hidden state carried over; "
        "false: windows are shuffled, each from a zero state",
    )
    split: CorpusSplit = option(CorpusSplit(), "val, test")


class CorpusOptions(RunningTextOptions):
    """Your running text: one file, or a folder of them in the order of their names."""

    name: Literal["corpus"]
    path: str = option(..., "the file, or a folder of .txt files")


class PydocOptions(RunningTextOptions):
    """The documentation of Python's language that every installation has (pydoc_data.topics), as running text."""

    name: Literal["pydoc"]


class TinyShakespeareOptions(DownloadedOptions, RunningTextOptions):
    """A million characters of Shakespeare's plays (Karpathy 2015): tinyshakespeare.txt in `root`; downloaded when missing."""

    name: Literal["tiny_shakespeare"]
