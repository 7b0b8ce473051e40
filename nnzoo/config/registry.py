"""Registries of models, data sources and optimizers: name -> options class and builder.

An entry names its builder as text, "package.module:attribute", so that listing a registry never
imports torch. Other packages add to `model` and `data` with an entry point in the group
`nnzoo.models` or `nnzoo.data` whose object is an `Entry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from traceback import walk_tb
from typing import Any

from nnzoo.config import (
    data_options,
    model_options,
    optim_options,
    recording_options,
    sweep_options,
    text_options,
    train_options,
)
from nnzoo.config.eval_options import EvalOptions
from nnzoo.config.options import Options
from nnzoo.errors import NnzooError, PluginError, UsageError


@dataclass(frozen=True)
class Entry:
    """options: the pydantic class; target: "package.module:attribute", imported when built.

    describe: for a data source, a function in the same form that maps options to lines about the data
    for `nnzoo check`, without torch; it raises DataError or ConfigError if the data cannot train.
    """

    options: type[Options]
    target: str
    describe: str = ""

    def description(self, options: Options) -> list[str]:
        """Lines about the data for `nnzoo check`; none if the source does not describe itself."""
        if not self.describe:
            return []
        module, _, attribute = self.describe.partition(":")
        lines: list[str] = getattr(import_module(module), attribute)(options)
        return lines

    def load(self) -> Any:
        """Import the builder; raises PluginError if another package's cannot be imported."""
        module, _, attribute = self.target.partition(":")
        if _package(self.target) in ("nnzoo", "torch"):
            return getattr(import_module(module), attribute)
        LOADED_PLUGINS.add(self.target)
        try:
            return getattr(import_module(module), attribute)
        except NnzooError:
            raise
        except Exception as error:
            raise plugin_error(error) or PluginError(
                f"in {self.target}: {type(error).__name__}: {error}"
            ) from error


LOADED_PLUGINS: set[str] = set()
"""Targets ("package.module:attribute") of other packages that this process has imported."""


def plugin_error(error: BaseException) -> PluginError | None:
    """Wrap an error that was raised in, or called from, another package's code; None for nnzoo's own."""
    packages = set(map(_package, LOADED_PLUGINS))
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        module = frame.f_globals.get("__name__", "")
        if _package(module) in packages:
            name = frame.f_code.co_qualname
            function = module if name == "<module>" else f"{module}:{name}"
            return PluginError(f"in {function}, line {line}: {type(error).__name__}: {error}")
        if _package(module) == "nnzoo":
            return None
    return None


def _package(target: str) -> str:
    return target.partition(":")[0].partition(".")[0]


@dataclass(frozen=True)
class Registry:
    """A family of named entries; `group` is the entry-point group that may add to it."""

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
            raise UsageError(
                f"'{name}' comes from {plugin.value}, which fails: {error}", code="E70"
            ) from error
        if not isinstance(entry, Entry):
            raise UsageError(
                f"'{name}' comes from {plugin.value}, which is no nnzoo.config.Entry", code="E70"
            )
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

MODELS = Registry(
    {
        "mlp": Entry(model_options.MlpOptions, "nnzoo.models.mlp:MLP"),
        "cnn": Entry(model_options.CnnOptions, "nnzoo.models.cnn:CNN"),
        "rnn": Entry(model_options.RnnOptions, "nnzoo.models.rnn:Recurrent"),
        "lstm": Entry(model_options.LstmOptions, "nnzoo.models.rnn:Recurrent"),
        "gru": Entry(model_options.GruOptions, "nnzoo.models.rnn:Recurrent"),
    },
    group="nnzoo.models",
)

DATA = Registry(
    {
        "digits": Entry(data_options.DigitsOptions, "nnzoo.data.builtin:load_digits"),
        **{
            name: Entry(data_options.BundledTableOptions, "nnzoo.data.builtin:load_table")
            for name in ("iris", "wine", "breast_cancer", "diabetes")
        },
        **{
            name: Entry(
                data_options.EmnistOptions if name == "emnist" else data_options.TorchvisionOptions,
                "nnzoo.data.vision_datasets:load_torchvision",
            )
            for name in _TORCHVISION
        },
        "image_folder": Entry(
            data_options.ImageFolderOptions,
            "nnzoo.data.image_folder:load_folder",
            "nnzoo.data.image_files.description:description",
        ),
        "csv": Entry(
            data_options.CsvOptions,
            "nnzoo.data.tables:load_csv",
            "nnzoo.data.table_files.preview:description",
        ),
        "series": Entry(
            data_options.SeriesOptions,
            "nnzoo.data.series:load_series",
            "nnzoo.data.table_files.preview:description",
        ),
        "recordings": Entry(
            recording_options.RecordingsOptions,
            "nnzoo.data.recordings:load_recordings",
            "nnzoo.data.recording_files.forms:description",
        ),
        "ucr": Entry(recording_options.UcrOptions, "nnzoo.data.recordings:load_ucr"),
        "text": Entry(
            text_options.TextOptions,
            "nnzoo.data.text:load_text",
            "nnzoo.data.text_files.forms:description",
        ),
        "corpus": Entry(
            text_options.CorpusOptions,
            "nnzoo.data.corpus:load_corpus",
            "nnzoo.data.corpus_files:description",
        ),
        "imdb": Entry(text_options.ImdbOptions, "nnzoo.data.published_texts:load_imdb"),
        "tiny_shakespeare": Entry(
            text_options.TinyShakespeareOptions, "nnzoo.data.published_texts:load_tiny_shakespeare"
        ),
        "pydoc": Entry(text_options.PydocOptions, "nnzoo.data.corpus:load_pydoc"),
        "sine": Entry(data_options.SineOptions, "nnzoo.data.builtin:load_sine"),
        "adding": Entry(data_options.AddingOptions, "nnzoo.data.builtin:load_adding"),
        "mnist1d": Entry(recording_options.Mnist1dOptions, "nnzoo.data.mnist1d:load_mnist1d"),
    },
    group="nnzoo.data",
)

OPTIMIZERS = Registry(
    {
        "sgd": Entry(optim_options.SgdOptions, "torch.optim:SGD"),
        "adam": Entry(optim_options.AdamOptions, "torch.optim:Adam"),
        "adamw": Entry(optim_options.AdamWOptions, "torch.optim:AdamW"),
        "rmsprop": Entry(optim_options.RmspropOptions, "torch.optim:RMSprop"),
    }
)

# For listings only: the options of `optim`, `optim.schedule`, `train`, `eval` and `sweep`.
DOCUMENTED_OPTIONS = Registry(
    {
        **OPTIMIZERS.entries,
        **{
            f"schedule {name}": Entry(options, "nnzoo.training.lr_schedule:lr_factor")
            for name, options in (
                ("constant", optim_options.ConstantOptions),
                ("cosine", optim_options.CosineOptions),
                ("one_cycle", optim_options.OneCycleOptions),
                ("step", optim_options.StepOptions),
                ("linear", optim_options.LinearOptions),
                ("plateau", optim_options.PlateauOptions),
                ("coslog", optim_options.CosLogOptions),
            )
        },
        "train": Entry(train_options.TrainOptions, "nnzoo.training.trainer:Trainer"),
        "eval": Entry(EvalOptions, "nnzoo.evaluation.evaluate:evaluate_split"),
        "sweep": Entry(sweep_options.SweepOptions, "nnzoo.sweep.search:search"),
    }
)

REGISTRIES = {"data": DATA, "model": MODELS, "optim": OPTIMIZERS}
"""The sections of a config whose `name` chooses an entry."""
RUN_SECTIONS = (*REGISTRIES, "train", "eval")
SECTIONS = ("name", "seed", *RUN_SECTIONS, "sweep")


def is_known(*keys: str) -> bool:
    """Whether these are keys that a file has at its top; a run's own file has `environment`, too."""
    return all(key in SECTIONS or key == "environment" for key in keys)


def options_class(tree: Mapping[str, Any], section: str) -> type[Options] | None:
    """The options class of a section in a config's plain values; None if its `name` is missing or unknown."""
    if section in ("train", "eval", "sweep"):
        return DOCUMENTED_OPTIONS.entries[section].options
    if section not in REGISTRIES:
        return None
    value = tree.get(section)
    name = value.get("name") if isinstance(value, dict) else value
    if name is None and section == "optim":
        name = optim_options.DEFAULT_OPTIMIZER
    entry = REGISTRIES[section].get(name) if isinstance(name, str) else None
    return entry.options if entry else None
