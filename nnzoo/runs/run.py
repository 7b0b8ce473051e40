"""A run: its network, data and trainer over its folder; started, gone on with, or complete."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock

from nnzoo import file_io
from nnzoo.config import RunConfig
from nnzoo.config.data_options import PATH_KEYS
from nnzoo.config.load import from_dict
from nnzoo.config.run_config import locates_errors
from nnzoo.data.dataset import Dataset, Split
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
    DataError,
    NnzooError,
    UsageError,
)
from nnzoo.evaluation.evaluate import evaluate_split
from nnzoo.file_io import file_lock
from nnzoo.kernels import build
from nnzoo.models.conversion import convert_sync_layers
from nnzoo.models.network import (
    Network,
    build_network,
    network_from_checkpoint,
    read_dataset,
    reseeded,
)
from nnzoo.runs import checkpoint, run_notes
from nnzoo.runs.config_diff import config_diff, free_name, inherit_auto_values, refuse_other_run
from nnzoo.runs.run_dir import Folder, recorded_notes
from nnzoo.runs.train import save_best
from nnzoo.training.autotune import resolve
from nnzoo.training.trainer import Trainer

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

    def write_result(
        self, status: Literal["complete", "diverged"], test: dict[str, Any] | None = None
    ) -> None:
        """Write result.json for listings of runs, which read no checkpoint; of `test` metrics the numbers."""
        numbers = {
            name: value for name, value in (test or {}).items() if type(value) in (int, float)
        }
        trainer = self.trainer
        self.folder.write_result(
            {
                "state": status,
                "epoch": trainer.epoch,
                "step": trainer.step,
                "best": self.best(),
                "test": numbers,
            }
        )

    def finish(self) -> dict[str, Any] | None:
        """The test metrics of a run that is complete, which its folder then tells too."""
        result = self.result()
        if self.trainer.processes.is_main_process:
            self.write_result("complete", result)
        return result


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
    notes = [] if share_with else [*config.notes]
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
        if not resuming:
            notes += run_notes.exact_statistics(config, chosen, len(splits["train"]))
        config = replace(config, train=config.train.model_copy(update=chosen))
        network.config = config
    network.configure(config.train)
    if config.train.kernels == "native" and not build.available():
        notes.append(
            f"this run's layers were native, and here are none ({build.unavailable_reason()}): torch's continue "
            "it, and the last digits will differ"
        )
    elif (
        asked == "auto" and not (resuming or share_with) and device.type == "cpu"
        and network.native_layers() and build.unavailable_reason()
    ):  # fmt: skip
        notes.append(
            f"native layers are off ({build.unavailable_reason()}): torch's take up to 5 times as long"
        )
    if config.train.precision == "bf16" and device.type == "cuda":
        notes += run_notes.precision(network)
    use_threads(config.train)
    notes += thread_note(config.train)
    if isinstance(processes, ProcessGroup):
        convert_sync_layers(network.model, processes)
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
            file_io.remove(folder.result)
            damaged = folder.truncate_metrics(trainer.epoch)
            notes += [damaged] if damaged else []
            recorded = run_notes.environment(network, processes.world_size)
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
