"""Small data of texts and of running text, and networks for them."""

from __future__ import annotations

from typing import Any

import torch

from nnzoo.config.text_options import CorpusOptions
from nnzoo.data.corpus import make_corpus
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, Split
from nnzoo.data.sequences import SequenceSplit
from nnzoo.data.tokenizer import Tokenizer, Unit
from nnzoo.models.network import Network, build_network
from tests.zoo import config

CPU = torch.device("cpu")
LABELS = ["bad", "good"]
WORDS = {"bad": ("dull", "awful", "boring"), "good": ("great", "lovely", "funny")}
SENTENCES = ("the film was {}", "what a {} story, and so long", "it is {} : really {} !")
TEXT_MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"name": "mlp", "hidden": [6], "embedding": 5},
    "cnn": {
        "name": "cnn",
        "channels": [4],
        "branches": [1, 2, 3],
        "embedding": 5,
        "pool": "none",
        "head": {"pooling": "max"},
    },
    "rnn": {"name": "rnn", "hidden_size": 6, "embedding": 5, "readout": "mean"},
    "lstm": {"name": "lstm", "hidden_size": 6, "embedding": 5, "num_layers": 2},
    "gru": {"name": "gru", "hidden_size": 6, "embedding": 5, "bidirectional": True},
}
PLAY = (
    'ROMEO:\n  "O, speak again (bright angel)!"\n\nJULIET:\n  What\'s in a name? That [which] we call\n'
    "  a rose by any OTHER name would smell as sweet.\n\n"
)


def texts(rows: int = 24) -> tuple[list[str], list[int]]:
    """Reviews of several lengths and their classes."""
    made, classes = [], []
    for i in range(rows):
        label = LABELS[i % 2]
        word = WORDS[label][i % 3]
        made.append(SENTENCES[(i // 2) % 3].format(word, word))
        classes.append(i % 2)
    return made, classes


def text_dataset(unit: Unit = "words", is_class: bool = True) -> Dataset:
    """Reviews with a class, or with a number of stars."""
    made, classes = texts()
    tokenizer = Tokenizer.fit(made, unit, True, 40, 1)
    ids = [tokenizer.encode(text) for text in made]
    lengths = torch.tensor([len(row) for row in ids])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    values = torch.tensor([i for row in ids for i in row], dtype=torch.int32)[:, None]
    y = torch.tensor(classes)
    targets = y if is_class else (1 + 4 * y.double()).unsqueeze(1)
    split: Split = SequenceSplit(values, offsets, targets)
    spec = DataSpec(
        InputSpec("tokens", (int(lengths.max()), 1), True, tokenizer.size),
        "classification" if is_class else "regression",
        LABELS if is_class else [],
        [] if is_class else ["stars"],
        tokenizer=tokenizer,
    )
    return Dataset(spec, {"train": split, "val": split, "test": split})


def text_network(model: str | dict[str, Any], data: Dataset | None = None, **more: Any) -> Network:
    """A network on texts as after some training: no weight is zero."""
    options = TEXT_MODELS[model] if isinstance(model, str) else model
    source = {"name": "text", "path": "texts.csv"} | more
    network = build_network(config(options, source), data or text_dataset(), CPU)
    _shake(network)
    return network


def corpus_dataset(unit: Unit = "characters", repeats: int = 20, window: int = 16) -> Dataset:
    """A little play, again and again."""
    options = CorpusOptions(name="corpus", path="play.txt", tokens=unit, window=window)
    return make_corpus(PLAY * repeats, options, None, [])


def language_model(model: dict[str, Any], unit: Unit = "characters") -> Network:
    """A language model as after some training."""
    source = {"name": "corpus", "path": "play.txt", "window": 16, "tokens": unit}
    network = build_network(config(model, source), corpus_dataset(unit), CPU)
    _shake(network)
    return network


def _shake(network: Network) -> None:
    torch.manual_seed(2)
    for parameter in network.model.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.2)
    network.eval()
