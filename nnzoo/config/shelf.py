"""The shelves: which names `model`, `data` and `optim` may take, and what each means.

An entry names its options class and, as text, the function or class that builds it, so that
listing a shelf never imports torch. Other packages add to `model` and `data` with an entry point
in the group `nnzoo.models` or `nnzoo.data` whose object is an `Entry`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from typing import Any

from nnzoo.config import schema
from nnzoo.config.schema import Options
from nnzoo.errors import UsageError


@dataclass(frozen=True)
class Entry:
    """options: the pydantic class; target: "package.module:attribute", imported when built."""

    options: type[Options]
    target: str

    def load(self) -> Any:
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(module), attribute)


@dataclass(frozen=True)
class Shelf:
    """One family of named entries; `group` is the entry-point group that may add to it."""

    entries: dict[str, Entry]
    group: str | None = None

    def names(self) -> list[str]:
        return [*self.entries, *_plugins(self.group)]

    def get(self, name: str) -> Entry | None:
        """The entry of that name, or None. Plugins are looked up only for unknown names."""
        if name in self.entries:
            return self.entries[name]
        plugin = _plugins(self.group).get(name)
        if plugin is None:
            return None
        try:
            entry = plugin.load()
        except Exception as error:
            raise UsageError(f"'{name}' comes from {plugin.value}, which fails: {error}") from error
        if not isinstance(entry, Entry):
            raise UsageError(f"'{name}' comes from {plugin.value}, which is no nnzoo.config.Entry")
        return entry

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        for name in self.names():
            entry = self.get(name)
            assert entry is not None
            yield name, entry


@cache
def _plugins(group: str | None) -> dict[str, metadata.EntryPoint]:
    if group is None:
        return {}
    return {point.name: point for point in metadata.entry_points(group=group)}


_TORCHVISION = ("mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn", "usps")

MODELS = Shelf(
    {
        "mlp": Entry(schema.MlpOptions, "nnzoo.models.mlp:MLP"),
        "cnn": Entry(schema.CnnOptions, "nnzoo.models.cnn:CNN"),
        "rnn": Entry(schema.RnnOptions, "nnzoo.models.recurrent:Recurrent"),
        "lstm": Entry(schema.LstmOptions, "nnzoo.models.recurrent:Recurrent"),
        "gru": Entry(schema.GruOptions, "nnzoo.models.recurrent:Recurrent"),
    },
    group="nnzoo.models",
)

DATA = Shelf(
    {
        "digits": Entry(schema.DigitsOptions, "nnzoo.data.bundled:load_digits"),
        **{
            name: Entry(schema.BundledTableOptions, "nnzoo.data.bundled:load_table")
            for name in ("iris", "wine", "breast_cancer", "diabetes")
        },
        **{
            name: Entry(
                schema.EmnistOptions if name == "emnist" else schema.TorchvisionOptions,
                "nnzoo.data.images:load_torchvision",
            )
            for name in _TORCHVISION
        },
        "image_folder": Entry(schema.ImageFolderOptions, "nnzoo.data.images:load_folder"),
        "csv": Entry(schema.CsvOptions, "nnzoo.data.tables:load_csv"),
        "series": Entry(schema.SeriesOptions, "nnzoo.data.series:load_series"),
        "sine": Entry(schema.SineOptions, "nnzoo.data.synthetic:load_sine"),
        "adding": Entry(schema.AddingOptions, "nnzoo.data.synthetic:load_adding"),
    },
    group="nnzoo.data",
)

OPTIMIZERS = Shelf(
    {
        "sgd": Entry(schema.SgdOptions, "torch.optim:SGD"),
        "adam": Entry(schema.AdamOptions, "torch.optim:Adam"),
        "adamw": Entry(schema.AdamWOptions, "torch.optim:AdamW"),
        "rmsprop": Entry(schema.RmspropOptions, "torch.optim:RMSprop"),
    }
)

# For listings alone: what stands in `optim.schedule`, `train` and `sweep`.
TRAINING = Shelf(
    {
        **OPTIMIZERS.entries,
        **{
            f"schedule {name}": Entry(options, "nnzoo.training.optim:rate_factor")
            for name, options in (
                ("constant", schema.ConstantOptions),
                ("cosine", schema.CosineOptions),
                ("one_cycle", schema.OneCycleOptions),
                ("step", schema.StepOptions),
                ("linear", schema.LinearOptions),
                ("plateau", schema.PlateauOptions),
            )
        },
        "train": Entry(schema.TrainOptions, "nnzoo.training.trainer:Trainer"),
        "sweep": Entry(schema.SweepOptions, "nnzoo.sweep.search:search"),
    }
)
