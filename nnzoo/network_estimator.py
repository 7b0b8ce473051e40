"""A network as an estimator of scikit-learn: its parameters, training on a table in memory, and storage."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from nnzoo.config.data_options import CsvOptions
from nnzoo.config.nested_options import (
    flat_options,
    with_option,
)
from nnzoo.data.data_spec import TaskName
from nnzoo.data.dataset import chunks
from nnzoo.data.memory import MemoryTable, as_frame
from nnzoo.data.tables import encode_columns
from nnzoo.device import choose_device, process_restored, use_threads
from nnzoo.errors import CheckpointError, ConfigError, DataError, UsageError
from nnzoo.init_config.memory import (
    DATA_KEYS,
    FOLDER_KEYS,
    SECTIONS,
    SPLIT_KEYS,
    choose_columns,
    memory_config,
)
from nnzoo.models.network import Network, network_from_checkpoint
from nnzoo.predict.predictions import batch_size
from nnzoo.runs import checkpoint
from nnzoo.runs.loaded_run import load_network
from nnzoo.runs.run_dir import RunDir, recorded_notes
from nnzoo.runs.run_notes import environment
from nnzoo.training.fit import fit, open_trainer

if TYPE_CHECKING:
    import pandas

Array = np.ndarray[Any, Any]

_OF_CHECKPOINT = ("classes_", "feature_names_in_", "n_features_in_", "n_iter_", "notes_")
"""What `fit` learns beside the network and its history."""
# Dropout draws from torch's generator, and the number of threads is the process's.
_LOCK = threading.RLock()


@contextmanager
def _settings(estimator: BaseEstimator) -> Iterator[None]:
    """Compute alone and leave the process as it was; raises what a user can cause as ValueError."""
    with _LOCK, process_restored():
        try:
            yield
        except (ConfigError, DataError, UsageError) as error:
            error.locate(lambda key: type(estimator).__name__)
            raise ValueError(str(error)) from error


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """Parameters, training and storage of both estimators."""

    _tasks: tuple[TaskName, ...] = ()

    def __init__(
        self,
        model: str | Mapping[str, Any] = "mlp",
        optim: str | Mapping[str, Any] | None = None,
        train: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        random_state: Any = None,
        device: str = "auto",
    ) -> None:
        self.model = model
        self.optim = optim
        self.train = train
        self.data = data
        self.random_state = random_state
        self.device = device

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters; deep: also the given options of each section, as `model__hidden`."""
        params: dict[str, Any] = super().get_params(deep=False)
        if deep:
            for section in SECTIONS:
                params |= flat_options(params[section], section)
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, or single options of a section: `model__hidden=[64]`, `optim__schedule__final=0.1`."""
        options = {
            key: value
            for key, value in params.items()
            if key.partition("__")[0] in SECTIONS and "__" in key
        }
        super().set_params(**{key: value for key, value in params.items() if key not in options})
        for key, value in options.items():
            section, *path = key.split("__")
            setattr(self, section, with_option(getattr(self, section), path, value))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def _train(self, x: Any, read: Callable[[pandas.DataFrame], MemoryTable]) -> None:
        """Train a network; x: as `fit` takes it; read: makes a table of the inputs."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        sections, source = {key: getattr(self, key) for key in SECTIONS}, type(self).__name__
        with _settings(self):
            frame, categorical = as_frame(x, self._column_names())
            table = read(frame)
            columns = choose_columns(
                frame, categorical, memory_config(sections, table, seed, source).data
            )
            table = table.without(columns.dropped).merged()
            config = memory_config(sections, table, seed, source)
            roles = {"numbers": columns.numbers, "categories": columns.categories}
            options = cast(CsvOptions, config.data).model_copy(
                update=roles | {"drop": columns.dropped}
            )
            dataset = table.dataset(options.model_copy(update={"drop": []}))
            train_options = config.train
            if "val" not in dataset.splits and "early_stopping" not in (self.train or {}):
                train_options = train_options.model_copy(update={"early_stopping": None})
            config = replace(config, data=options, train=train_options)
            trainer = open_trainer(config, dataset, choose_device(self.device))
            self.history_ = [event.row for event in fit(trainer)]
        self.network_ = trainer.network
        self.n_iter_ = len(self.history_)
        origin = trainer.network.origin
        self.notes_ = columns.notes() + dataset.notes + list(origin.get("notes", []))
        for note in columns.notes():
            warnings.warn(f"{note}; data={{'categories': […]}} keeps a column", stacklevel=3)

    def _column_names(self) -> list[str]:
        """The columns as a checkpoint names them: by position where X has no names."""
        names = getattr(self, "feature_names_in_", range(self.n_features_in_))
        return [str(name) for name in names]

    def _outputs(self, x: Any) -> Array:
        """The network's predictions (rows, outputs) for rows as `fit` takes them."""
        check_is_fitted(self)
        validate_data(self, x, dtype=None, ensure_all_finite="allow-nan", reset=False)
        with _settings(self):
            use_threads(self.network_.config.train)
            frame, _ = as_frame(x, self._column_names())
            raw = encode_columns(frame, self.network_.data_spec.columns, "X")
            return _outputs_in_float64(self.network_, raw)

    def __getstate__(self) -> dict[str, Any]:
        """Plain values, and the network as the bytes of a checkpoint: what `pickle` and `copy` store."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "network_" in state:
            state["network_"] = bytes(checkpoint.to_bytes(self._content()))
            for name in _OF_CHECKPOINT:
                state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({key: value for key, value in state.items() if key != "network_"})
        if "network_" in state:
            source = Path(f"the pickled {type(self).__name__}")
            self._set_content(checkpoint.parse(state["network_"], source), str(source))

    def _content(self) -> dict[str, Any]:
        """The content of a checkpoint, which holds all that `fit` has learned."""
        fitted = {
            name: _stored(getattr(self, name)) for name in _OF_CHECKPOINT if hasattr(self, name)
        }
        calibration = self.network_.calibration
        stored = {} if calibration is None else {"calibration": calibration.state()}
        return self.network_.state() | stored | {"epoch": self.n_iter_, "estimator": fitted}

    def _set_content(self, content: dict[str, Any], source: str) -> None:
        """Set what `fit` learns from the content of a checkpoint."""
        with process_restored():
            try:
                device = choose_device(self.device)
            except UsageError:  # stored on a machine with a GPU
                device = choose_device("cpu")
            self._set_network(network_from_checkpoint(content, source, device), content)

    def _set_network(self, network: Network, content: dict[str, Any]) -> None:
        network.eval()
        self.network_ = network
        fitted = content.get("estimator")
        if not isinstance(fitted, dict):  # trained by the command line
            fitted = _of_network(network) | {"n_iter_": int(content.get("epoch") or 0)}
        for name in _OF_CHECKPOINT:
            if name in fitted:
                setattr(self, name, _read_stored(fitted[name]))

    def save(self, path: str | Path) -> None:
        """Write a .pt file, or a run folder, which `nnzoo predict`, `nnzoo export` and `nnzoo.load` open.

        Raises CheckpointError if the folder holds a run, or cannot be written.
        """
        check_is_fitted(self)
        path = Path(path)
        if path.suffix == ".pt":
            checkpoint.save(path, self._content())
            return
        folder = RunDir(path)
        if folder.holds_run:
            raise CheckpointError(f"{path} holds a run; give another folder", code="E68")
        folder.check_writable()
        path.mkdir(parents=True, exist_ok=True)
        for row in self.history_:
            folder.append_metrics(row)
        recorded = environment(self.network_) | {"data_notes": recorded_notes(self.notes_)}
        folder.write_config(self.network_.config, recorded)
        checkpoint.save(folder.best, self._content())

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """The estimator of a .pt file or run folder: a saved one, or any run of a table.

        Its parameters are the values of that run's configuration. Raises CheckpointError.
        """
        with process_restored():
            network, file, _ = load_network(Path(path), choose_device(device))
        config = network.config.to_dict()
        if network.data_spec.input.kind != "table" or network.data_spec.task not in cls._tasks:
            what = f"{network.data_spec.task} of {network.data_spec.input}"
            raise CheckpointError(
                f"{file}: {cls.__name__} is for tables; this network is for {what}", code="E65"
            )
        data = {key: config["data"][key] for key in DATA_KEYS if key in config["data"]}
        train = {key: value for key, value in config["train"].items() if key not in FOLDER_KEYS}
        data["split"] = {key: data.get("split", {}).get(key) for key in SPLIT_KEYS}
        estimator = cls(config["model"], config["optim"], train, data, config["seed"], device)
        estimator._set_network(network, checkpoint.load(file))
        estimator.history_ = RunDir(Path(path)).rows()
        return estimator


@torch.no_grad()
def _outputs_in_float64(network: Network, raw: Tensor) -> Array:
    """`predict_values` in float64: in float32 the last digits of a row depend on how many rows are beside it."""
    model = copy.deepcopy(network.model).double().eval()
    batches = [raw[rows].to(network.device) for rows in chunks(len(raw), batch_size(network))]
    outputs = [network.task.postprocess(model(network.preprocess(x).double())) for x in batches]
    return torch.cat(outputs).cpu().numpy()


def _stored(value: Any) -> Any:
    """An array as plain values and its type; plain values as they are."""
    return (
        {"values": value.tolist(), "dtype": str(value.dtype)}
        if isinstance(value, np.ndarray)
        else value
    )


def _read_stored(value: Any) -> Any:
    return np.array(value["values"], dtype=value["dtype"]) if isinstance(value, dict) else value


def _of_network(network: Network) -> dict[str, Any]:
    """The learned attributes that the network of a run of the command line shows."""
    spec = network.data_spec
    fitted = {"n_features_in_": len(spec.columns), "notes_": []}
    if spec.labels:
        fitted["classes_"] = np.array(spec.labels)
    if not all(name.isdecimal() for name in spec.column_names):
        fitted["feature_names_in_"] = np.array(spec.column_names, dtype=object)
    return fitted
