"""Comparison of a run's stored config with the one that is to resume or evaluate it."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nnzoo.config import RunConfig
from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.formatting import flow_yaml
from nnzoo.data.dataset import Dataset
from nnzoo.distributed import SingleProcess
from nnzoo.errors import CheckpointError, ConfigError, UsageError
from nnzoo.models.network import Network
from nnzoo.runs.run_dir import RunDir

# Keys that may change when a run is resumed: they change how long it runs and what it saves, not the
# weights after a step.
RESUMABLE_KEYS = (
    "name",
    "train.epochs",
    "train.save_every",
    "train.early_stopping",
    "train.on_nan",
    "train.max_skipped",
    "train.tensorboard",
    "train.history",
    "eval",
)


def inherit_auto_values(config: RunConfig, stored: RunConfig) -> RunConfig:
    """Return `config` with the values that its 'auto' keys were resolved to when the run started."""
    keys = ("precision", "threads", "kernels", "compile", "norm_statistics")
    auto = [key for key in keys if getattr(config.train, key) == "auto"]
    resolved = {key: getattr(stored.train, key) for key in auto}
    return replace(config, train=config.train.model_copy(update=resolved))


def config_diff(old: RunConfig, new: RunConfig) -> list[str]:
    """Return a line for each key that makes two configs two runs.

    Paths of the data are ignored: its fingerprint shows whether it is the same. So is that of the weights from which
    a run starts, which it no longer needs.
    """
    before, after = _flat(old), _flat(new)
    ignored = (*RESUMABLE_KEYS, *(f"data.{key}" for key in PATH_KEYS))  # and the keys below them
    return [
        f"  {key}: {_value(before, key)} there, {_value(after, key)} here"
        for key in dict.fromkeys([*before, *after])
        if not key.startswith(ignored) and before.get(key) != after.get(key)
    ]


def _flat(config: RunConfig) -> dict[str, Any]:
    """`RunConfig.flat`, with `model.start_from` in one spelling and without its path."""
    values = {
        key: value for key, value in config.flat().items() if not key.startswith("model.start_from")
    }
    source = getattr(config.model, "source", None)
    return values | ({} if source is None else {"model.start_from": {"scaling": source.scaling}})


def _value(values: dict[str, Any], key: str) -> str:
    """A value as a file has it."""
    return flow_yaml(values[key]) if key in values else "not set"


def require_same_config(config: RunConfig, network: Network, source: Path) -> RunConfig:
    """`config`, if it is the one the network was trained with; raises UsageError."""
    config = inherit_auto_values(config, network.config)
    differing = config_diff(network.config, config)
    if differing:
        raise UsageError(
            f"{source} was trained with another config:\n" + "\n".join(differing), code="E09"
        )
    return config


def refuse_other_run(config: RunConfig, network: Network, dataset: Dataset, folder: RunDir) -> None:
    """Raise UsageError naming the keys in which the folder's run, of `network`, is another one."""
    differing = config_diff(network.config, config)
    if not differing and dataset.fingerprint() != network.data_spec.fingerprint:
        differing = ["  data: other rows or values there than here"]
    differing = differing or _other_weights(config, network)
    if differing:
        raise UsageError(
            f"{folder.path} holds a run of another config. Train this one beside it: "
            f"-s name={free_name(folder.path)}; or start over: --fresh (the old folder is kept)\n"
            + "\n".join(differing),
            code="E09",
        )


def _other_weights(config: RunConfig, network: Network) -> list[str]:
    """A line if the weights that `config` names elsewhere are not those that the network started from."""
    here, there = (getattr(c.model, "source", None) for c in (config, network.config))
    if here is None or there is None or here.path == there.path:
        return []
    from nnzoo.models.weights_file import read_weights

    try:
        sha256 = read_weights(here.path).sha256
    except CheckpointError:
        return []  # no longer there, and not needed
    same = sha256 == network.origin.get("sha256")
    return [] if same else [f"  model.start_from: {there.path} there, other weights here"]


def free_name(path: Path) -> str:
    """The first of name-2, name-3, … that is not taken beside a run's folder."""
    stem = re.sub(r"-\d{1,3}$", "", path.name)[:95]
    return next(
        name for i in itertools.count(2) if not path.with_name(name := f"{stem}-{i}").exists()
    )


def check_same_config(config: RunConfig, device: torch.device, processes: SingleProcess) -> None:
    """Raise UsageError if this process was started with another config than the main rank."""
    if config.train.compile is True:
        raise ConfigError.at("train.compile", "does not go with several processes (torchrun)")
    ignored = tuple(f"data.{key}" for key in PATH_KEYS)
    values = {
        key: str(value) for key, value in config.flat().items() if not key.startswith(ignored)
    }
    values["--device"] = device.type
    main = processes.broadcast_object(lambda: values)
    differing = [key for key in dict.fromkeys([*main, *values]) if main.get(key) != values.get(key)]
    if differing:
        raise UsageError(
            f"another configuration than in rank {processes.main_rank}: {', '.join(differing)}; start the "
            "same command with the same file on every machine",
            code="E74",
        )
