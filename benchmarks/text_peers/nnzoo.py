"""nnzoo as its command runs it: a config, a run folder with its checkpoints, clipping, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from nnzoo.config.load import load_config
from nnzoo.config.options import option
from nnzoo.config.registry import DATA, Entry
from nnzoo.config.text_options import DocumentOptions, RunningTextOptions
from nnzoo.data.corpus import CorpusSplit
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset
from nnzoo.data.sequences import SequenceSplit
from nnzoo.data.tokenizer import Tokenizer
from nnzoo.device import disable_malloc_trim
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import train as events_of
from nnzoo.training.trainer import EpochEnd
from text_peers import (
    BATCH,
    CHARACTERS,
    CLASSES,
    CLIP,
    EMBEDDING,
    RATE,
    WINDOW,
    WORDS,
    Job,
)
from text_peers.data import reviews, running_text

CONFIG = """
name: run
data:
  name: {source}
  row: {row}
model:
  name: {cell}
  hidden_size: {units}
  embedding: {embedding}
optim:
  name: adam
  lr: {rate}
  clip: {{norm: {clip}}}
train:
  batch_size: {batch}
  epochs: 1000000
  precision: {precision}
"""


class BenchmarkTextOptions(RunningTextOptions):
    name: Literal["benchmark_text"]
    row: str = option(..., "the network whose text it is")


class BenchmarkReviewsOptions(DocumentOptions):
    name: Literal["benchmark_reviews"]
    row: str = option(..., "the network whose texts they are")


def _tokenizer(size: int) -> Tokenizer:
    return Tokenizer("words", False, [f"token{i}" for i in range(size)])


def load_running_text(options: Any, spec: DataSpec | None = None) -> Dataset:
    """A text of which everything trains."""
    ids = running_text()
    made = DataSpec(
        InputSpec("tokens", (WINDOW, 1), vocabulary=CHARACTERS, per_step=True),
        "language_model",
        tokenizer=_tokenizer(CHARACTERS),
    )
    # Rows of a batch are parts of the text behind each other, of which the last needs one token more.
    tokens = np.append(ids[:, :-1].flatten(), ids[-1, -1])
    return Dataset(made, {"train": CorpusSplit(torch.from_numpy(tokens), WINDOW)})


def load_reviews(options: Any, spec: DataSpec | None = None) -> Dataset:
    """All texts as training rows."""
    texts, classes = reviews()
    offsets = np.cumsum([0, *map(len, texts)])
    split = SequenceSplit(
        torch.from_numpy(np.concatenate(texts)[:, None]),
        torch.from_numpy(offsets),
        torch.from_numpy(classes),
    )
    shape = InputSpec("tokens", (int(split.lengths.max()), 1), True, WORDS)
    labels = [str(i) for i in range(CLASSES)]
    made = DataSpec(shape, "classification", labels, [], tokenizer=_tokenizer(WORDS))
    return Dataset(made, {"train": split})


DATA.entries["benchmark_text"] = Entry(BenchmarkTextOptions, "text_peers.nnzoo:load_running_text")
DATA.entries["benchmark_reviews"] = Entry(BenchmarkReviewsOptions, "text_peers.nnzoo:load_reviews")


def build(job: Job) -> Callable[[int], float]:
    """epochs -> seconds of training."""
    disable_malloc_trim()
    path = job.scratch / "benchmark.yaml"
    values = {"units": job.units, "rate": RATE, "clip": CLIP, "batch": BATCH, "row": job.row}
    values |= {"source": "benchmark_text" if job.is_language_model else "benchmark_reviews"}
    values |= {"cell": job.cell, "precision": job.variant, "embedding": EMBEDDING}
    path.write_text(CONFIG.format(**values))
    run = open_run(load_config(str(path), []), RunOptions(job.scratch, torch.device("cpu")))
    job.chosen["precision"] = run.network.config.train.precision
    job.chosen["threads"] = str(torch.get_num_threads())
    events = events_of(run)

    def train(epochs: int) -> float:
        start = time.perf_counter()
        while epochs:
            epochs -= isinstance(next(events), EpochEnd)
        return time.perf_counter() - start

    return train
