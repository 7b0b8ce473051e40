"""A configuration to live objects: the only place that builds, for training and for evaluation."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

import torch
import yaml
from filelock import FileLock, Timeout
from torch import Tensor, nn

from nnzoo import __version__
from nnzoo.baselines import baselines
from nnzoo.config import DATA, MODELS, RunConfig
from nnzoo.config.load import PATH_KEYS, from_dict
from nnzoo.config.schema import parse_duration
from nnzoo.data.batches import derive
from nnzoo.data.dataset import Dataset, Kind, Split
from nnzoo.data.preprocess import Preprocess, Scale, balanced_weights, target_scale
from nnzoo.errors import CheckpointError, ConfigError, DataError, UsageError
from nnzoo.evaluate import evaluate
from nnzoo.tasks import Regression, Task, build_task
from nnzoo.training import checkpoint
from nnzoo.training.trainer import EpochEnd, StepEnd, Trainable, Trainer

# Keys that may change when a run goes on: they move its end or its habits, not what it is.
MAY_CHANGE = ("name", "train.epochs", "train.save_every")
Resume = Literal["auto", "must", "never"]
State = Literal["new", "resumed", "complete"]


class Network(Trainable):
    """A model with everything it needs to answer: what it reads, and what its outputs mean.

    Input: a raw batch of images, or a prepared batch of a table or series; output (batch, outputs)
    in the task's scaled units.
    """

    def __init__(
        self,
        config: RunConfig,
        facts: dict[str, Any],
        preprocess: Preprocess,
        model: nn.Module,
        task: Task,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.config = config
        self.facts = facts
        self.preprocess = preprocess
        self.model = model
        self.task = task
        self.device = device
        # Where forecasts are relative: how many leading features are targets.
        self.anchored = len(task.scale.shift) if getattr(config.data, "relative", False) else 0  # type: ignore[union-attr]
        self.to(device)

    def forward(self, x: Tensor) -> Tensor:
        if self.preprocess.in_kind.name == "image":
            return cast(Tensor, self.model(self.preprocess(x)))
        if not self.anchored:
            return cast(Tensor, self.model(x))
        anchor = x[:, -1:, : self.anchored]
        x = torch.cat([x[..., : self.anchored] - anchor, x[..., self.anchored :]], -1)
        steps = self.task.outputs // self.anchored
        return cast(Tensor, self.model(x)) + anchor.expand(-1, steps, -1).flatten(1)

    def prepare(self, split: Split) -> Split:
        """A split on the device as `forward` takes it.

        Images stay uint8 and are encoded batch by batch; tables and series are encoded once, on
        the CPU, where float64 is at hand.
        """

        def inputs(x: Tensor) -> Tensor:
            return x if self.preprocess.in_kind.name == "image" else self.preprocess(x)

        def targets(y: Tensor) -> Tensor:
            return self.task.scaled(y) if isinstance(self.task, Regression) else y

        self.preprocess.cpu(), self.task.cpu()
        prepared = split.map(inputs, targets).to(self.device)
        self.preprocess.to(self.device), self.task.to(self.device)
        return prepared

    def contents(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "config": self.config.to_dict(),
            "data": self.facts,
            "model": self.model.state_dict(),
            "preprocess": self.preprocess.state_dict(),
            "task": self.task.state_dict(),
        }


def read_dataset(config: RunConfig, facts: dict[str, Any] | None = None) -> Dataset:
    """The data set of a configuration; facts: what an earlier reading found, from a checkpoint."""
    entry = DATA.get(config.data.name)
    assert entry is not None
    dataset: Dataset = entry.load()(config.data, None if facts is None else facts["spec"])
    dataset.spec["task"] = dataset.task
    if len(dataset.splits["train"]) < 2:
        raise DataError("one training row is not enough; hold out fewer (data.split)")
    if dataset.task == "classification":
        present = torch.bincount(dataset.splits["train"].targets(), minlength=len(dataset.labels))
        if (present > 0).sum() < 2:
            raise DataError("the training rows have one class; nothing can be learned")
        for name, split in dataset.splits.items():
            unseen = (present[split.targets().unique()] == 0).nonzero()
            if len(unseen):
                label = dataset.labels[int(split.targets().unique()[unseen[0]])]
                raise DataError(f"the {name} split has the label '{label}' that no training row has")
    return dataset


def assemble(config: RunConfig, dataset: Dataset, device: torch.device) -> Network:
    """A fresh network, fitted preprocessing included; raises ConfigError where parts do not fit."""
    options = getattr(config.data, "preprocess")
    weights = None
    if dataset.task == "classification" and getattr(config.data, "class_weights", "") == "balanced":
        weights = balanced_weights(dataset)
    facts = {
        "kind": dataset.kind.name,
        "shape": list(dataset.kind.shape),
        "task": dataset.task,
        "spec": dataset.spec,
        "season": dataset.season,
        "balanced": weights is not None,
        "fingerprint": dataset.fingerprint(),
        "rows": {name: len(split) for name, split in dataset.splits.items()},
    }
    scale = target_scale(options, dataset)
    network = _build(config, facts, weights, scale, device)
    monitor = config.train.monitor
    if "val" not in dataset.splits and (monitor != "auto" or config.train.early_stopping):
        key = "train.monitor" if monitor != "auto" else "train.early_stopping"
        raise ConfigError.at(key, "needs validation rows; data.split.val is 0")
    network.preprocess.cpu().fit(dataset.splits["train"])
    return network.to(device)


def restore(content: dict[str, Any], source: str, device: torch.device) -> Network:
    """The network of a checkpoint, built through the shelf from its plain values."""
    try:
        config = from_dict(content["config"], source)
        facts = content["data"]
        task_state = content["task"]
        weights = task_state["class_weights"] if facts["balanced"] else None
        scale = None
        if facts["task"] != "classification":
            scale = Scale(len(facts["spec"]["targets"]), "none")
        network = _build(config, facts, weights, scale, device)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{source} is not a checkpoint of nnzoo: no {error}") from None
    checkpoint.load_into(network.model, content["model"], f"{source}, model")
    checkpoint.load_into(network.preprocess, content["preprocess"], f"{source}, preprocess")
    checkpoint.load_into(network.task, content["task"], f"{source}, task")
    return network


def _build(
    config: RunConfig, facts: dict[str, Any], weights: Tensor | None, scale: Any,
    device: torch.device,
) -> Network:  # fmt: skip
    kind = Kind(facts["kind"], tuple(facts["shape"]))
    preprocess = Preprocess(getattr(config.data, "preprocess"), kind, facts["spec"])
    if getattr(config.data, "augment", None) and kind.name != "image":
        raise ConfigError.at("data.augment", "is for images")
    if config.train.batch_size == 1 and getattr(config.model, "norm", "none") == "batch":
        raise ConfigError.at("train.batch_size", "batch norm needs batches of at least two rows")
    if getattr(config.data, "relative", False):
        if preprocess.options.pca is not None:
            raise ConfigError.at("data.relative", "needs the target among the inputs; not with pca")
        if preprocess.options.target != preprocess.options.scale:
            raise ConfigError.at(
                "data.relative", "needs one scale: data.preprocess.target as data.preprocess.scale"
            )
    task = build_task(config.train, facts["task"], facts["spec"], weights, scale)
    entry = MODELS.get(config.model.name)
    assert entry is not None
    # The weights follow from the seed alone, whatever was drawn before.
    torch.manual_seed(derive(config.seed, "init"))
    model = entry.load()(config.model, preprocess.out_kind, task.outputs)
    return Network(config, facts, preprocess, model, task, device)


# The run folder.


@dataclass(frozen=True)
class Folder:
    """`checkpoints/<name>/`."""

    path: Path

    @property
    def last(self) -> Path:
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        return self.path / "best.pt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    def acquire(self, lock: FileLock) -> None:
        """Make the folder and hold its lock, which a crash releases; raises CheckpointError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise CheckpointError(
                f"another process is training in {self.path}; wait for it, or give this run "
                "another name"
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"cannot write to {self.path}: {error.strerror}; choose another folder with --out"
            ) from None

    def set_aside(self) -> Path | None:
        """Rename the folder out of the way; returns its new path, None where there was none."""
        if not self.path.exists():
            return None
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.{stamp}")
        count = 1
        while aside.exists():
            count += 1
            aside = self.path.with_name(f"{self.path.name}.{stamp}-{count}")
        try:
            self.path.rename(aside)
        except OSError as error:
            raise CheckpointError(f"cannot set {self.path} aside: {error.strerror}") from None
        return aside

    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl that are whole."""
        try:
            lines = self.metrics.read_text().splitlines()
        except OSError:
            return []
        rows = []
        for line in lines:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break  # a line that a crash cut short
        return rows

    def cut_metrics(self, step: int) -> None:
        """Drop the lines of epochs that end after `step`: they will be written again."""
        rows = [row for row in self.rows() if row["step"] <= step]
        temporary = self.metrics.with_name("metrics.jsonl.tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.replace(temporary, self.metrics)

    def append_metrics(self, row: dict[str, Any]) -> None:
        try:
            with self.metrics.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise CheckpointError(f"cannot write {self.metrics}: {error.strerror}") from None

    def write_config(self, config: RunConfig, environment: dict[str, Any]) -> None:
        tree = config.to_dict() | {"environment": environment}
        text = yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, allow_unicode=True)
        temporary = self.config.with_name("config.yaml.tmp")
        try:
            temporary.write_text(
                "# Written by nnzoo: every value of this run, defaults and 'auto' filled in.\n" + text
            )
            os.replace(temporary, self.config)
        except OSError as error:
            raise CheckpointError(f"cannot write {self.config}: {error.strerror}") from None


@dataclass
class Run:
    """A run, ready to train or found complete."""

    folder: Folder
    network: Network
    dataset: Dataset
    trainer: Trainer
    state: State
    notes: list[str]
    lock: FileLock
    saved_best: int = -1
    """The epoch whose weights best.pt holds; -1 where this process has not written it."""

    def result(self, split: str = "test") -> dict[str, Any] | None:
        """The metrics of the best weights on a split, in the form of `nnzoo eval --json`."""
        if split not in self.dataset.splits:
            return None
        current = {name: t.clone() for name, t in self.network.model.state_dict().items()}
        self.network.model.load_state_dict(self.trainer.best_weights)
        report = measure(self.network, self.dataset, split, self.trainer.splits.get(split))
        self.network.model.load_state_dict(current)
        return {"run": self.folder.path.name, "checkpoint": str(self.folder.best)} | report


def measure(
    network: Network, dataset: Dataset, split: str, prepared: Split | None = None
) -> dict[str, Any]:
    """Exact metrics of one split beside its baseline; raises DataError where it has no rows."""
    if split not in dataset.splits:
        raise DataError(f"this data has no {split} split; it has {', '.join(dataset.splits)}")
    rows = network.prepare(dataset.splits[split]) if prepared is None else prepared
    report = evaluate(network, rows, network.task, network.device)
    trivial = baselines(dataset, split, network.task)
    result = {"split": split, "task": dataset.task, **report, "baseline": trivial[0]}
    if len(trivial) > 1:
        result["baselines"] = trivial
    return result


def start(
    config: RunConfig,
    out: Path,
    device: torch.device,
    resume: Resume = "auto",
    fresh: bool = False,
    write: bool = True,
) -> Run:
    """Open a run's folder and go on from what it holds, or begin; without `write` nothing is
    changed on disk, and training may not follow.

    Raises CheckpointError or UsageError where the folder holds another run or, by `resume`, must
    or must not hold one; ConfigError and DataError where the parts do not fit together.
    """
    folder = Folder(out / config.name)
    notes = []
    exists = folder.last.exists()
    if resume == "must" and not exists and not fresh:
        raise CheckpointError(f"--resume must: no checkpoint in {folder.path}")
    if resume == "never" and exists and not fresh:
        raise CheckpointError(
            f"--resume never: {folder.path} holds a run; --fresh sets it aside, or give this run "
            "another name"
        )
    dataset = read_dataset(config)
    lock = FileLock(folder.path / ".lock")
    going_on = exists and not fresh
    if going_on:
        if write:
            folder.acquire(lock)
        content = checkpoint.load(folder.last)
        refuse_other_run(config, content, dataset, folder)
        network = restore(content | {"config": config.to_dict()}, str(folder.last), device)
    else:
        network = assemble(config, dataset, device)  # may refuse: nothing is touched before
        if write:
            aside = folder.set_aside() if fresh else None
            if aside is not None:
                notes.append(f"the old run lies in {aside}")
            folder.acquire(lock)
    splits = {name: network.prepare(split) for name, split in dataset.splits.items()}
    trainer = Trainer(config, network, splits)
    state: State = "new"
    if going_on:
        trainer.load(content["trainer"], content["best_model"])
        state = "complete" if trainer.finished else "resumed"
    if write and state != "complete":
        folder.cut_metrics(trainer.step)
        folder.write_config(config, environment(network))
    notes.append(_how_it_starts(folder, trainer, state))
    return Run(folder, network, dataset, trainer, state, notes, lock)


def _how_it_starts(folder: Folder, trainer: Trainer, state: State) -> str:
    epochs = trainer.config.train.epochs
    if state == "new":
        return f"no checkpoint in {folder.path}: starting new"
    if state == "resumed":
        inside = f", step {trainer.group + 1} of {len(trainer.groups)}" if trainer.group else ""
        return f"resumed {folder.path} at epoch {trainer.epoch + 1} of {epochs}{inside}"
    if trainer.epoch < epochs:
        return f"{folder.path} is complete: stopped early after epoch {trainer.epoch} of {epochs}"
    return (
        f"{folder.path} is complete: {trainer.epoch} of {epochs} epochs; raise train.epochs to go "
        "on, or --fresh to start over"
    )


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """A line for each key that makes two configurations two runs.

    Where the data lies is left out: its fingerprint tells whether it is the same.
    """
    before, after = old.flat(), new.flat()
    ignored = (*MAY_CHANGE, *(f"data.{key}" for key in PATH_KEYS))
    return [
        f"  {key}: {before.get(key, 'not set')} there, {after.get(key, 'not set')} here"
        for key in dict.fromkeys([*before, *after])
        if key not in ignored and before.get(key) != after.get(key)
    ]


def same_run(config: RunConfig, network: Network, source: Path) -> RunConfig:
    """`config`, if it is the one the network was trained with; raises UsageError."""
    differing = differences(network.config, config)
    if differing:
        raise UsageError(f"{source} holds another run:\n" + "\n".join(differing))
    return config


def refuse_other_run(
    config: RunConfig, content: dict[str, Any], dataset: Dataset, folder: Folder
) -> None:
    """Raise UsageError naming the keys in which the folder's run is another one."""
    differing = differences(from_dict(content["config"], str(folder.last)), config)
    if not differing and dataset.fingerprint() != content["data"]["fingerprint"]:
        differing = ["  data: other rows or values there than here"]
    if differing:
        raise UsageError(
            f"{folder.path} holds another run:\n" + "\n".join(differing) + "\n"
            "Give this run another name, or start over with --fresh (the old folder is kept)."
        )


def environment(network: Network) -> dict[str, Any]:
    """What a run's config.yaml records beside the configuration."""
    return {
        "nnzoo": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": str(network.device),
        "threads": torch.get_num_threads(),
        "data_fingerprint": network.facts["fingerprint"],
        "rows": network.facts["rows"],
        "parameters": sum(p.numel() for p in network.model.parameters()),
        "started": datetime.now().isoformat(timespec="seconds"),
    }


class _SaveClock:
    """When the next checkpoint is due, by `train.save_every`."""

    def __init__(self, duration: str, trainer: Trainer) -> None:
        self.number, self.unit = parse_duration(duration)
        self.trainer = trainer
        self.last = self.now()

    def now(self) -> float:
        if self.unit == "s":
            return time.monotonic()
        return self.trainer.step if self.unit == "step" else self.trainer.epoch

    def due(self) -> bool:
        if self.now() - self.last < self.number:
            return False
        self.last = self.now()
        return True


def save(run: Run) -> None:
    """Write last.pt, and best.pt where there is a better one."""
    trainer = run.trainer
    contents = run.network.contents()
    checkpoint.save(
        run.folder.last, contents | {"trainer": trainer.state(), "best_model": trainer.best_weights}
    )
    if trainer.best_weights and run.saved_best != trainer.best_epoch:
        best = contents | {"model": trainer.best_weights, "epoch": trainer.best_epoch}
        checkpoint.save(run.folder.best, best)
        run.saved_best = trainer.best_epoch


def train(run: Run, stop: Callable[[], bool] = lambda: False) -> Iterator[StepEnd | EpochEnd]:
    """Train to the end, saving by `train.save_every`, and yield the trainer's events.

    stop: asked after each step; when it answers True the run is saved and the iteration ends.
    """
    trainer = run.trainer
    clock = _SaveClock(trainer.config.train.save_every, trainer)
    for event in trainer.events():
        if isinstance(event, EpochEnd):
            run.folder.append_metrics(event.row)
        if trainer.finished or clock.due():
            save(run)
        yield event
        if stop():
            save(run)
            return


def load_network(path: Path, device: torch.device, which: str = "best") -> tuple[Network, Path]:
    """The network of a run folder (its best or last weights) or of a .pt file."""
    file = path / f"{which}.pt" if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise CheckpointError(f"{path} holds no {which}.pt; train first")
    return restore(checkpoint.load(file), str(file), device), file
