"""A run: its folder, network, data and trainer; new, resumed or complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from filelock import FileLock

from nnzoo import file_io
from nnzoo.config import RunConfig
from nnzoo.config.run_config import locates_errors
from nnzoo.config.train_options import TrainOptions
from nnzoo.data.dataset import Dataset, Split
from nnzoo.data.read_dataset import read_dataset
from nnzoo.device import thread_note, use_threads
from nnzoo.distributed import (
    SINGLE,
    SingleProcess,
)
from nnzoo.errors import (
    CheckpointError,
    DataError,
)
from nnzoo.evaluation.calibration import Calibration
from nnzoo.evaluation.evaluate import (
    EvalSettings,
    calibrate_network,
    check_baselines,
    evaluate_split,
)
from nnzoo.evaluation.verdicts import decisions
from nnzoo.file_io import file_lock
from nnzoo.kernels import build
from nnzoo.models.network import Network, build_network, network_from_checkpoint, reseeded
from nnzoo.runs import checkpoint, run_notes
from nnzoo.runs.config_diff import (
    check_same_config,
    inherit_auto_values,
    refuse_other_run,
)
from nnzoo.runs.resume import (
    Resume,
    is_resumed,
    load_for_resume,
    started_by_this_launch,
    steps_in_folder,
    take_new_folder,
)
from nnzoo.runs.run_dir import RunDir, recorded_notes
from nnzoo.runs.train import save_best
from nnzoo.text import Note
from nnzoo.training.autotune import resolve_auto
from nnzoo.training.trainer import Trainer

if TYPE_CHECKING:
    from nnzoo.runs.recorder import Recorder

State = Literal["new", "resumed", "complete"]


@dataclass
class Run:
    """A run, ready to train or found complete."""

    folder: RunDir
    network: Network
    dataset: Dataset
    trainer: Trainer
    state: State
    notes: list[str]
    lock: FileLock
    saved_best: tuple[int, bool] | None = None
    """The epoch whose weights best.pt holds, and whether the run was finished; None where this process has
    not written it."""
    calibrated: tuple[int, Calibration | None] | None = None
    """The calibration of an epoch's weights."""
    recorder: Recorder | None = None
    """What writes for a viewer; None where this process does not write, and of a run that is complete."""

    def calibration(self) -> Calibration | None:
        """Fit to the validation rows with the best weights; None without such rows (`fit_calibration`)."""
        best_epoch = self.trainer.state.best_epoch
        if self.calibrated is None or self.calibrated[0] != best_epoch:
            fitted = None
            if "val" in self.trainer.splits:
                with self._best_weights():
                    fitted = calibrate_network(self.network, self.trainer.splits["val"])
            self.calibrated = best_epoch, fitted
        return self.calibrated[1]

    @contextmanager
    def _best_weights(self) -> Iterator[None]:
        """Give the network its best weights for a while."""
        current = {name: t.clone() for name, t in self.network.model.state_dict().items()}
        self.network.model.load_state_dict(self.trainer.best_weights)
        try:
            yield
        finally:
            self.network.model.load_state_dict(current)

    def result(self, split: str = "test") -> dict[str, Any] | None:
        """Evaluate the best weights on a split, in the form of `nnzoo eval --json`; None if there is no such split."""
        if split not in self.dataset.splits:
            return None
        if not self.trainer.best_weights:
            raise CheckpointError(f"{self.folder.path}: no epoch is complete yet", code="E66")
        network, trainer = self.network, self.trainer
        is_calibrated = trainer.finished and split != "val"
        calibration = self.calibration() if is_calibrated else None
        prepared = trainer.splits.get(split)
        settings = EvalSettings(processes=trainer.processes, run=self.folder.run_time())
        with self._best_weights():
            network.calibrate(calibration)
            report = evaluate_split(network, self.dataset, split, prepared, settings)
            network.calibrate(None)
        return {"run": self.folder.path.name, "checkpoint": str(self.folder.best)} | report

    def best(self) -> dict[str, Any]:
        """Return the best epoch so far, the metric that decided it, and its value."""
        trainer = self.trainer
        return {
            "epoch": trainer.state.best_epoch,
            "monitor": trainer.monitor.name,
            "value": trainer.state.best_value,
        }

    def write_result(
        self, status: Literal["complete", "diverged"], test: dict[str, Any] | None = None
    ) -> None:
        """Write result.json for listings of runs, which read no checkpoint; only the numeric `test` metrics, and which
        baselines the training time allowed, so that `eval` shows the same ones."""
        numbers = {
            name: value for name, value in (test or {}).items() if type(value) in (int, float)
        }
        state = self.trainer.state
        result = {
            "state": status,
            "epoch": state.epoch,
            "step": state.step,
            "best": self.best(),
            "test": numbers,
        }
        if test is not None and self.network.config.eval.baselines == "auto":
            result["baselines"] = decisions(test)
        self.folder.write_result(result)

    def finish(self) -> dict[str, Any] | None:
        """Evaluate a complete run on the test rows; its result.json then holds the metrics too."""
        result = self.result()
        if self.trainer.processes.is_main_process:
            self.write_result("complete", result)
        return result


@dataclass(frozen=True)
class RunOptions:
    """How a run is opened. out: the parent of its folder. resume: "auto" if the folder holds it, "must"
    or "never". fresh: move an existing run away. write: False leaves the folder unchanged (a dry
    run); training must not follow. is_member: of a group or a sweep, where `train.history: auto` is none.
    is_auto_device: the device was not asked for, so a note reports if the CPU is faster than a GPU.
    """

    out: Path
    device: torch.device
    resume: Resume = "auto"
    fresh: bool = False
    write: bool = True
    is_member: bool = False
    is_auto_device: bool = False


@locates_errors
def open_run(
    config: RunConfig,
    options: RunOptions,
    processes: SingleProcess = SINGLE,
    share_with: Run | None = None,
) -> Run:
    """Open a run's folder, and resume the run that it holds or start a new one.

    The main rank reads and writes, then broadcasts. share_with: a run that differs only in seed and name, whose
    data and preprocessing are shared. Raises CheckpointError or UsageError if the folder holds
    another run or, by `options.resume`, must or must not hold one; ConfigError and DataError if
    config and data do not fit together.
    """
    return _Opening(config, options, processes, share_with).open()


class _Opening:
    """The steps of `open_run`; collects notes for the user."""

    def __init__(
        self,
        config: RunConfig,
        options: RunOptions,
        processes: SingleProcess,
        share_with: Run | None,
    ) -> None:
        self.config = config
        self.options = options
        self.processes = processes
        self.share_with = share_with
        self.folder = RunDir(options.out / config.name)
        self.lock = file_lock(self.folder.path / ".lock")
        self.notes: list[str] = [] if share_with else [*config.notes]
        self.content: dict[str, Any] = {}
        """The checkpoint to resume from; empty for a new run."""
        self.damage_note = ""

    def open(self) -> Run:
        options, processes = self.options, self.processes
        if processes.is_distributed:
            check_same_config(self.config, options.device, processes)
        resuming = self._decide_resume()
        dataset = self._read_dataset()
        asked = self.config.train
        network = self._resume_network(dataset) if resuming else self._new_network(dataset)
        processes.broadcast(list(network.state_dict().values()))
        if self.share_with:
            splits = self.share_with.trainer.splits
        else:
            splits = {name: network.prepare(split) for name, split in dataset.splits.items()}
        step_seconds = self._resolve_auto_values(network, splits)
        if network.device.type == "cuda" and not self.share_with:
            compares = options.is_auto_device and not (resuming or processes.is_distributed)
            with_auto = replace(self.config, train=asked) if compares else None
            self.notes += run_notes.gpu_notes(network, splits, with_auto)
        network.configure(self.config.train)
        self._add_kernel_notes(network, asked)
        use_threads(self.config.train)
        self.notes += thread_note(self.config.train)
        if processes.is_distributed:
            from nnzoo.models.conversion import convert_sync_layers

            convert_sync_layers(network.model, processes)
        trainer = Trainer(self.config, network, splits, processes)
        self.notes += run_notes.waiting_note(trainer)
        trainer.benchmarked_step = step_seconds
        trainer.tunes_threads = asked.threads == "auto" and not processes.is_distributed
        run = Run(self.folder, network, dataset, trainer, "new", self.notes, self.lock)
        if resuming:
            self._load_trainer(run)
        if options.write:
            if processes.is_main_process:
                self._write_start(run)
            self.notes.append(run_notes.start_note(self.folder, trainer, run.state))
        return run

    def _decide_resume(self) -> bool:
        """Elect the main rank, finish an interrupted archive, and return whether the run is resumed."""
        processes, options, folder = self.processes, self.options, self.folder
        fresh = options.fresh
        if fresh and processes.all_reduce_max(started_by_this_launch(folder)):
            fresh = False
            self.options = replace(options, fresh=False)
            self.notes.append(
                Note("N31", "--fresh: torchrun has restarted this run, which is resumed")
            )
        if not fresh:
            processes.elect_main(lambda: steps_in_folder(folder, self.config))
        if options.write:
            self.notes += processes.broadcast_object(lambda: folder.finish_archive(self.lock))
        return processes.broadcast_object(
            lambda: is_resumed(folder, options.resume, fresh, options.write)
        )

    def _read_dataset(self) -> Dataset:
        if self.share_with:
            return self.share_with.dataset
        processes = self.processes
        dataset = processes.local_main_first(lambda: read_dataset(self.config))
        if processes.is_distributed:
            fingerprint = processes.broadcast_object(dataset.fingerprint)
            if dataset.fingerprint() != fingerprint:
                raise DataError(
                    "these data differ from those on the machine with the run folder; copy them from there",
                    code="E74",
                )
        return dataset

    def _resume_network(self, dataset: Dataset) -> Network:
        folder, options = self.folder, self.options
        self.content, self.damage_note = self.processes.broadcast_object(
            lambda: load_for_resume(folder, self.lock, options.write)
        )
        self.notes += [self.damage_note] if self.damage_note else []
        network = network_from_checkpoint(self.content, str(folder.last), options.device)
        config = inherit_auto_values(self.config, network.config)
        refuse_other_run(config, network, dataset, folder)
        processes = self.content.get("processes", 1)
        if self.config.train.threads == "auto" and processes != self.processes.world_size:
            # Rounding differs anyway, and each process has other processors.
            config = replace(config, train=config.train.model_copy(update={"threads": "auto"}))
        self.config = network.config = config
        check_baselines(network, dataset)
        return network

    def _new_network(self, dataset: Dataset) -> Network:
        """Build the network, and lock the folder if that succeeds."""
        folder, options = self.folder, self.options
        if self.share_with:
            self.config = inherit_auto_values(self.config, self.share_with.network.config)
            network = reseeded(self.share_with.network, self.config)
        else:
            network = build_network(self.config, dataset, options.device)
            check_baselines(network, dataset)
        checkpoint.to_plain(network.state())  # raises if it could not be saved
        if options.write:
            self.notes += self.processes.broadcast_object(
                lambda: take_new_folder(folder, self.lock, options.fresh)
            )
        else:
            self.processes.broadcast_object(folder.check_writable)
        self.notes += [] if self.share_with else run_notes.new_run_notes(network)
        return network

    def _resolve_auto_values(self, network: Network, splits: dict[str, Split]) -> float | None:
        """Choose what is "auto" in the config; returns the seconds of a step if they were measured."""
        is_known = bool(self.content or self.share_with)
        if is_known and self.config.train.threads != "auto":
            return None
        values, step_seconds, note = self.processes.broadcast_object(
            lambda: _resolved(self.config, network, splits, self.processes.world_size)
        )
        self.notes += [note] if note else []
        if not self.content:
            rows = len(splits["train"])
            self.notes += run_notes.exact_statistics_note(self.config, values, rows)
        self.config = replace(self.config, train=self.config.train.model_copy(update=values))
        network.config = self.config
        return step_seconds

    def _add_kernel_notes(self, network: Network, asked: TrainOptions) -> None:
        """Add notes on an implementation or precision of layers that a user may not expect."""
        options, missing = self.config.train, build.unavailable_reason()
        is_new = not (self.content or self.share_with)
        if options.kernels == "native" and not build.available():
            text = (
                f"this run used native kernels, which are unavailable here ({missing}); continuing "
                "with torch's, and the last digits will differ"
            )
            self.notes.append(Note("N33", text))
        elif (
            is_new
            and asked.kernels == "auto"
            and network.device.type == "cpu"
            and network.native_layers()
            and missing
        ):
            text = f"native layers are off ({missing}): torch's take up to 5 times as long"
            self.notes.append(Note("N29", text))
        if network.device.type == "cuda":
            is_chosen = is_new and asked.precision == "auto"
            self.notes += run_notes.precision_notes(network, is_chosen)

    def _load_trainer(self, run: Run) -> None:
        content, trainer = self.content, run.trainer
        best_weights = content.get("best_model")
        trainer.load_state_dict(content["trainer"], best_weights, str(self.folder.last))
        run.state = "complete" if trainer.finished else "resumed"
        if run.state == "resumed":
            self.notes += run_notes.schedule_note(content["config"], trainer)
            self.notes += run_notes.device_note(content.get("device"), run.network.device)

    def _write_start(self, run: Run) -> None:
        """Bring the folder's files to the state of the run."""
        folder, processes = self.folder, self.processes.world_size
        if self.damage_note:
            folder.archive_damaged()
        folder.remove_progress()
        if run.state != "complete":
            file_io.remove(folder.result)
            self.notes += folder.truncate(run.trainer.state.epoch)
            recorded = run_notes.environment(run.network, processes)
            data_notes = recorded_notes(run.dataset.notes)
            folder.write_config(self.config, recorded | {"data_notes": data_notes})
            from nnzoo.runs.recorder import Recorder

            run.recorder = Recorder(folder, run.trainer, run.dataset, self.options.is_member)
            self.notes += run.recorder.notes
        if self.content:
            save_best(run)


def _resolved(
    config: RunConfig, network: Network, splits: dict[str, Split], processes: int
) -> tuple[dict[str, Any], float | None, str]:
    """Return the values of keys that may be "auto", the seconds of a step if measured, and a note."""
    resolved = resolve_auto(config, network, splits, processes)
    keys = {"precision", "threads", "kernels", "compile", "norm_statistics"}
    values = resolved.config.train.model_dump(include=keys)
    return values, resolved.step_seconds, resolved.note
