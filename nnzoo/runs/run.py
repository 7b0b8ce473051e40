"""A run: its network, data and trainer over its folder; started, gone on with, or complete."""

from __future__ import annotations

import itertools
import platform
import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock

from nnzoo import __version__, atomic_io, gpu
from nnzoo.config import RunConfig
from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.load import from_dict
from nnzoo.config.run_config import locates_errors
from nnzoo.data.dataset import Dataset, Split, WindowSplit
from nnzoo.device import thread_note, use_threads
from nnzoo.distributed import (
    RESTART_WAIT,
    SINGLE,
    ProcessGroup,
    SingleProcess,
    restart_count,
    torchrun_id,
)
from nnzoo.errors import (
    CheckpointError,
    ConfigError,
    DamagedError,
    DataError,
    DivergedError,
    NnzooError,
    PeerFailedError,
    UsageError,
)
from nnzoo.evaluation.baselines import baselines
from nnzoo.evaluation.evaluate import evaluate
from nnzoo.kernels import library as native
from nnzoo.models.network import (
    Network,
    build_network,
    network_from_checkpoint,
    read_dataset,
    reseeded,
)
from nnzoo.models.sync_layers import share_layers
from nnzoo.plain_files import file_lock
from nnzoo.runs import checkpoint, run_notes
from nnzoo.runs.run_dir import Folder, SaveSchedule
from nnzoo.text import shorten
from nnzoo.training.autotune import resolve
from nnzoo.training.trainer import EpochEnd, StepEnd, Trainer

# Of the notes on the data in config.yaml: how many, and characters of each.
MAX_NOTES, MAX_NOTE = 50, 400
# Keys that may change when a run goes on: they move its end or its habits, not what it is.
RESUMABLE_KEYS = (
    "name", "train.epochs", "train.save_every", "train.early_stopping", "train.on_nan",
    "train.max_skipped", "train.tensorboard",
)  # fmt: skip
Resume = Literal["auto", "must", "never"]
State = Literal["new", "resumed", "complete"]


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
        if not self.trainer.best_weights:
            raise CheckpointError(f"{self.folder.path}: no epoch is complete yet")
        current = {name: t.clone() for name, t in self.network.model.state_dict().items()}
        self.network.model.load_state_dict(self.trainer.best_weights)
        prepared = self.trainer.splits.get(split)
        report = evaluate_split(self.network, self.dataset, split, prepared, self.trainer.processes)
        self.network.model.load_state_dict(current)
        return {"run": self.folder.path.name, "checkpoint": str(self.folder.best)} | report

    def best(self) -> dict[str, Any]:
        """Which epoch is the best so far, by what, and its value."""
        trainer = self.trainer
        return {
            "epoch": trainer.best_epoch, "monitor": trainer.monitor, "value": trainer.best_value,
        }  # fmt: skip

    def finish(self) -> dict[str, Any] | None:
        """The test metrics of a run that is complete, which its folder then tells too."""
        result = self.result()
        if self.trainer.processes.is_main_process:
            self.folder.write_result("complete", self.trainer, self.best(), result)
        return result


def evaluate_split(
    network: Network, dataset: Dataset, split: str, prepared: Split | None = None,
    processes: SingleProcess = SINGLE,
) -> dict[str, Any]:  # fmt: skip
    """Exact metrics of one split beside its baseline; raises DataError where it has no rows."""
    if split not in dataset.splits:
        raise DataError(f"this data has no {split} split; it has {', '.join(dataset.splits)}")
    rows = network.prepare(dataset.splits[split]) if prepared is None else prepared
    report = evaluate(network, rows, network.task, network.device, processes)
    trivial = baselines(dataset, split, network.task)
    result = {"split": split, "task": dataset.spec.task, **report, "baseline": trivial[0]}
    if len(trivial) > 1:
        result["baselines"] = trivial
    windows = dataset.splits[split]
    if dataset.time_index is not None and isinstance(windows, WindowSplit):
        first = windows.starts.numpy() + windows.window
        result |= dataset.time_index.describe(np.append(first, first + windows.horizon - 1))
    return result


def inherit_auto_values(config: RunConfig, stored: RunConfig) -> RunConfig:
    """`config` with what is 'auto' in it as it was resolved when the run began."""
    keys = ("precision", "threads", "kernels", "compile", "norm_statistics")
    auto = [key for key in keys if getattr(config.train, key) == "auto"]
    resolved = {key: getattr(stored.train, key) for key in auto}
    return replace(config, train=config.train.model_copy(update=resolved))


@locates_errors
def open_run(
    config: RunConfig,
    out: Path,
    device: torch.device,
    resume: Resume = "auto",
    fresh: bool = False,
    write: bool = True,
    processes: SingleProcess = SINGLE,
    share_with: Run | None = None,
) -> Run:
    """Open a run's folder and resume what it holds, or begin; without `write` the folder is neither
    read nor changed, unless it must be resumed, and training may not follow. Of several processes the one that leads looks and
    writes, and tells the others. share_with: a run of the same data and configuration but for its seed and
    name, with which it shares what it can.

    Raises CheckpointError or UsageError where the folder holds another run or, by `resume`, must
    or must not hold one; ConfigError and DataError where the parts do not fit together.
    """
    folder = Folder(out / config.name)
    notes = []
    asked = config.train.kernels
    if isinstance(processes, ProcessGroup):
        _same_everywhere(config, device, processes)
    if fresh and processes.all_reduce_max(_begun_by_this_launch(folder)):
        fresh = False
        notes.append("--fresh: torchrun has started this run, and starts it again: going on")
    if not fresh:
        processes.elect_main(lambda: _position(folder, config))
    if write:
        notes += processes.broadcast_object(
            lambda: folder.finish_archive(file_lock(folder.path / ".lock"))
        )
    resuming = processes.broadcast_object(lambda: _goes_on(folder, resume, fresh, write))
    dataset = (
        share_with.dataset
        if share_with
        else processes.local_main_first(lambda: read_dataset(config))
    )
    if processes.is_distributed and dataset.fingerprint() != processes.broadcast_object(
        dataset.fingerprint
    ):
        raise DataError("the data are others than where the run folder lies; copy them from there")
    content: dict[str, Any] = {}
    lock = file_lock(folder.path / ".lock")
    if resuming:
        content, note = processes.broadcast_object(lambda: load_for_resume(folder, lock, write))
        notes += [note] if note else []
        network = network_from_checkpoint(content, str(folder.last), device)
        auto = config.train.threads == "auto"
        config = inherit_auto_values(config, network.config)
        refuse_other_run(config, network, dataset, folder)
        if auto and content.get("processes", 1) != processes.world_size:
            # Other sums anyway, and other processors for each.
            config = replace(config, train=config.train.model_copy(update={"threads": "auto"}))
        network.config = config
    else:
        if share_with:
            config = inherit_auto_values(config, share_with.network.config)
            network = reseeded(share_with.network, config)
        else:
            network = build_network(
                config, dataset, device
            )  # may refuse: nothing is touched before
        checkpoint.plain(network.state())  # likewise
        if write:
            notes += processes.broadcast_object(lambda: _take_new_folder(folder, lock, fresh))
        else:
            processes.broadcast_object(folder.check_writable)
        notes += [] if share_with else run_notes.new_run(network)
    processes.broadcast(list(network.state_dict().values()))
    step_seconds: float | None = None
    if share_with:
        splits = share_with.trainer.splits
    else:
        splits = {name: network.prepare(split) for name, split in dataset.splits.items()}
    if not (resuming or share_with) or config.train.threads == "auto":
        chosen, step_seconds, note = processes.broadcast_object(
            lambda: _resolved(config, network, splits, processes.world_size)
        )
        notes += [note] if note else []
        config = replace(config, train=config.train.model_copy(update=chosen))
        network.config = config
    network.configure(config.train)
    if config.train.kernels == "native" and not native.available():
        notes.append(
            f"this run's layers were native, and here are none ({native.why_not()}): torch's continue "
            "it, and the last digits will differ"
        )
    elif (
        asked == "auto" and not (resuming or share_with) and device.type == "cpu"
        and network.native_layers() and native.why_not()
    ):  # fmt: skip
        notes.append(
            f"native layers are off ({native.why_not()}): torch's take up to 5 times as long"
        )
    if config.train.precision == "bf16" and device.type == "cuda":
        notes += run_notes.precision(network)
    use_threads(config.train)
    notes += thread_note(config.train)
    if isinstance(processes, ProcessGroup):
        share_layers(network.model, processes)
    trainer = Trainer(config, network, splits, processes)
    trainer.timed_step = step_seconds
    state: State = "new"
    if resuming:
        trainer.load(content["trainer"], content.get("best_model"), str(folder.last))
        state = "complete" if trainer.finished else "resumed"
        if state == "resumed":
            notes += run_notes.schedule(content["config"], trainer)
            notes += run_notes.device(content.get("device"), device)
    run = Run(folder, network, dataset, trainer, state, notes, lock)
    if write and processes.is_main_process:
        if resuming and note:
            folder.archive_damaged()
        if state != "complete":
            atomic_io.remove(folder.result)
            damaged = folder.truncate_metrics(trainer.epoch)
            notes += [damaged] if damaged else []
            recorded = environment(network, processes.world_size)
            folder.write_config(config, recorded | {"data_notes": recorded_notes(dataset.notes)})
        if resuming:
            save_best(run)
    if write:
        notes.append(run_notes.how_it_starts(folder, trainer, state))
    return run


def _same_everywhere(config: RunConfig, device: torch.device, processes: SingleProcess) -> None:
    """Raise where another process was started with another configuration, or cannot take part."""
    if config.train.compile is True:
        raise ConfigError.at("train.compile", "does not go with several processes (torchrun)")
    own = {key: str(value) for key, value in (*config.flat().items(), ("--device", device.type))
           if not key.startswith(tuple(f"data.{each}" for each in PATH_KEYS))}  # fmt: skip
    theirs = processes.broadcast_object(lambda: own)
    differing = [key for key in dict.fromkeys([*theirs, *own]) if theirs.get(key) != own.get(key)]
    if differing:
        raise UsageError(
            f"another configuration than in rank {processes.main_rank}: {', '.join(differing)}; start the "
            "same command with the same file on every machine"
        )


def _begun_by_this_launch(folder: Folder) -> bool:
    """Whether torchrun starts anew what it has begun; where it has no name by its own count."""
    name = torchrun_id()
    return (
        name is not None and (name != "none" or restart_count() > 0) and folder.was_started_by(name)
    )


def _position(folder: Folder, config: RunConfig) -> int:
    """How many steps this machine's folder has of this run; -1 where it has none of it."""
    try:
        content, _ = folder.load()
        stored = from_dict(content["config"], str(folder.last))
        other = config_diff(stored, inherit_auto_values(config, stored))
        return -1 if other else int(content["trainer"]["position"]["step"])
    except (NnzooError, LookupError, TypeError, ValueError):
        return -1  # the one that leads will say why, if it is this one


def _goes_on(folder: Folder, resume: Resume, fresh: bool, write: bool) -> bool:
    """Whether the folder holds a run to go on from; raises CheckpointError where it may not."""
    resuming = folder.holds_run and not fresh and (write or resume == "must")
    if resume == "must" and not resuming:
        raise CheckpointError(f"--resume must: no checkpoint in {folder.path}")
    if resume == "never" and resuming:
        raise CheckpointError(
            f"--resume never: {folder.path} holds a run; use another name "
            f"(-s name={free_name(folder.path)}), or --fresh to start over (the old folder is kept)"
        )
    return resuming


def load_for_resume(folder: Folder, lock: FileLock, write: bool) -> tuple[dict[str, Any], str]:
    """The newest checkpoint of a folder, locked if it is written to, and a note as `load` gives it."""
    if write:
        folder.acquire(lock, RESTART_WAIT if restart_count() else 0)
    content, note = folder.load()
    if "trainer" not in content:
        raise CheckpointError(
            f"{folder.last} holds weights alone, nothing to resume; --fresh starts over "
            f"and keeps {folder.path} under another name"
        )
    return content, note


def _resolved(
    config: RunConfig, network: Network, splits: dict[str, Split], processes: int
) -> tuple[dict[str, Any], float | None, str]:
    """What is chosen for the keys that may be 'auto', the seconds of a step where they were timed, and a
    note."""
    resolved = resolve(config, network, splits, processes)
    keys = {"precision", "threads", "kernels", "compile", "norm_statistics"}
    values = resolved.config.train.model_dump(include=keys)
    return values, resolved.step_seconds, resolved.note


def _take_new_folder(folder: Folder, lock: FileLock, fresh: bool) -> list[str]:
    """Lock the folder of a new run; with `fresh` an old one is set aside, unless it is in use."""
    notes = []
    if fresh and not folder.is_empty:
        old = file_lock(folder.path / ".lock")
        folder.acquire(old)
        notes.append(f"the old run was moved to {folder.archive()}")
        old.release()
    folder.acquire(lock, RESTART_WAIT if restart_count() else 0)
    if folder.holds_run:
        raise CheckpointError(
            f"another process has just trained in {folder.path}; run the same command again to resume"
        )
    return notes


def config_diff(old: RunConfig, new: RunConfig) -> list[str]:
    """A line for each key that makes two configurations two runs.

    Where the data lies is left out: its fingerprint tells whether it is the same.
    """
    before, after = old.flat(), new.flat()
    ignored = (*RESUMABLE_KEYS, *(f"data.{key}" for key in PATH_KEYS))  # and what is below them
    return [
        f"  {key}: {_value(before, key)} there, {_value(after, key)} here"
        for key in dict.fromkeys([*before, *after])
        if not key.startswith(ignored) and before.get(key) != after.get(key)
    ]


def _value(values: dict[str, Any], key: str) -> str:
    """A value as a file has it."""
    return flow_yaml(values[key]) if key in values else "not set"


def same_run(config: RunConfig, network: Network, source: Path) -> RunConfig:
    """`config`, if it is the one the network was trained with; raises UsageError."""
    config = inherit_auto_values(config, network.config)
    differing = config_diff(network.config, config)
    if differing:
        raise UsageError(f"{source} was trained with another config:\n" + "\n".join(differing))
    return config


def refuse_other_run(config: RunConfig, network: Network, dataset: Dataset, folder: Folder) -> None:
    """Raise UsageError naming the keys in which the folder's run, of `network`, is another one."""
    differing = config_diff(network.config, config)
    if not differing and dataset.fingerprint() != network.data_spec.fingerprint:
        differing = ["  data: other rows or values there than here"]
    if differing:
        raise UsageError(
            f"{folder.path} holds a run of another config. Train this one beside it: "
            f"-s name={free_name(folder.path)}; or start over: --fresh (the old folder is kept)\n"
            + "\n".join(differing)
        )


def free_name(path: Path) -> str:
    """The first of name-2, name-3, … that is not taken beside a run's folder."""
    stem = re.sub(r"-\d{1,3}$", "", path.name)[:95]
    return next(
        name for i in itertools.count(2) if not path.with_name(name := f"{stem}-{i}").exists()
    )


def recorded_notes(notes: Sequence[str]) -> list[str]:
    """Notes on the data as config.yaml keeps them, which is read back with bounds."""
    cut = [shorten(note, MAX_NOTE) for note in notes[:MAX_NOTES]]
    more = len(notes) - MAX_NOTES
    return [*cut, f"and {more:,} more"] if more > 0 else cut


def environment(network: Network, processes: int = 1) -> dict[str, Any]:
    """What a run's config.yaml records beside the configuration."""
    by = {"launch": torchrun_id()} if torchrun_id() else {}
    return {
        "nnzoo": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": str(network.device),
        **gpu.describe(network.device),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "data_fingerprint": network.data_spec.fingerprint,
        "rows": network.data_spec.num_rows,
        "parameters": sum(p.numel() for p in network.model.parameters()),
        "started": datetime.now().isoformat(timespec="seconds"),
        **by,
    }


def save(run: Run) -> None:
    """Write last.pt, and then best.pt where there is a better one.

    last.pt holds the best weights too: where a crash comes in between, `open_run` writes best.pt.
    Raises CheckpointError, or DivergedError rather than to save weights that are no numbers.
    """
    trainer = run.trainer
    trainer.check_weights()
    run.folder.sync_metrics()
    content = run.network.state()
    # The same tensors are written once.
    now_best = trainer.best_epoch == trainer.epoch and trainer.step_in_epoch == 0
    best = content["model"] if now_best else trainer.best_weights
    content |= {"trainer": trainer.state(), "best_model": best}
    content |= {"processes": trainer.processes.world_size, "device": gpu.label(trainer.device)}
    checkpoint.save(run.folder.last, content, keep=run.folder.previous)
    save_best(run)


def save_best(run: Run) -> None:
    """Write best.pt unless it holds the best weights already."""
    trainer = run.trainer
    if not trainer.best_weights or run.saved_best == trainer.best_epoch:
        return
    if run.saved_best < 0 and epoch_of(run.folder.best) == trainer.best_epoch:
        run.saved_best = trainer.best_epoch
        return
    best = {"model": trainer.best_weights, "epoch": trainer.best_epoch}
    checkpoint.save(run.folder.best, run.network.state() | best)
    run.saved_best = trainer.best_epoch


def epoch_of(path: Path) -> int | None:
    """The epoch of the weights in a best.pt; None where it is missing or damaged."""
    try:
        return checkpoint.load(path).get("epoch")
    except CheckpointError:
        return None


def train(
    run: Run, stop: Callable[[], bool] = lambda: False
) -> Generator[StepEnd | EpochEnd, None, None]:
    """Train to the end, saving by `train.save_every`, and yield the trainer's events.

    stop: asked after each step; when it answers True the run is saved and the iteration ends. So it
    is where the caller closes the iterator. Of several processes the one that leads writes, and all
    stop after the same step.
    Raises DivergedError, which names the checkpoint that is left, and CheckpointError.
    """
    trainer = run.trainer
    leads = trainer.processes.is_main_process
    clock = SaveSchedule(trainer.config.train.save_every, trainer)
    due = False
    try:
        for event in trainer.events():
            if isinstance(event, EpochEnd) and leads:
                run.folder.append_metrics(event.row)
            due = trainer.finished or clock.due()
            if due and leads:
                started = time.monotonic()
                save(run)
                clock.saved(time.monotonic() - started)
            if trainer.finished and leads:
                run.folder.write_result("complete", trainer, run.best(), None)
            yield event
            if trainer.processes.all_agree_to_stop(stop()):
                if leads and not due:  # else previous.pt would become a copy of last.pt
                    save(run)
                return
    except GeneratorExit:  # a `break` in a notebook, or nobody is left to show the events to
        if leads and not due:
            save(run)
        raise
    except DivergedError as error:
        if not leads:
            raise PeerFailedError(error.exit_code) from None
        raise diverged(run, error) from None


def diverged(run: Run, error: DivergedError) -> DivergedError:
    """The error that ended a run, with the checkpoint that is left; the run's folder tells it too."""
    with suppress(CheckpointError):  # what went wrong first is what counts
        run.folder.write_result("diverged", run.trainer, run.best(), None)
    left = f"the last checkpoint, {run.folder.last}, is from before it"
    if not run.folder.last.exists():
        left = "no checkpoint was written yet"
    return DivergedError(f"{error}\n{left}")


def load_network(
    path: Path, device: torch.device, which: Literal["best", "last"] = "best"
) -> tuple[Network, Path, str]:
    """The network of a run folder (its best or last weights) or of a .pt file; the file, and a note
    where that is not the one asked for."""
    if not path.is_dir():
        return network_from_checkpoint(checkpoint.load(path), str(path), device), path, ""
    folder = Folder(path)
    if which == "last":
        content, note = folder.load()
        file = folder.previous if note else folder.last
        return network_from_checkpoint(content, str(file), device), file, note
    if not folder.best.exists():
        inside = sorted(each.parent for each in path.glob("*/best.pt"))
        if inside:
            raise CheckpointError(
                f"{path} is a folder of {len(inside)} runs; give one of them, as in {inside[0]}"
            )
        raise CheckpointError(f"{path} holds no best.pt; train first")
    try:
        return (
            network_from_checkpoint(checkpoint.load(folder.best), str(folder.best), device),
            folder.best,
            "",
        )
    except DamagedError as error:
        content, note = folder.load()  # holds the best weights too
        file = folder.previous if note else folder.last
        if not content.get("best_model"):
            raise
        network = network_from_checkpoint(
            content | {"model": content["best_model"]}, str(file), device
        )
        return network, file, f"{error}; the best weights come from {file}"
