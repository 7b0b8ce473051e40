"""A trained network with its data, opened without a trainer: for predict, eval, inspect, export, report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import torch
from torch import Tensor

from nnzoo.config import RunConfig
from nnzoo.config.eval_options import EvalOptions
from nnzoo.config.load import parse
from nnzoo.config.yaml_parser import Document
from nnzoo.data.dataset import Dataset, Split
from nnzoo.data.read_dataset import read_dataset
from nnzoo.device import use_threads
from nnzoo.errors import CheckpointError, DamagedError, DataError, NnzooError, UsageError
from nnzoo.evaluation.calibration import Calibration
from nnzoo.evaluation.conformal import check_coverage
from nnzoo.evaluation.decision import check_eval
from nnzoo.evaluation.evaluate import EvalSettings, calibrate_network, evaluate_split
from nnzoo.file_io import SUMMARY
from nnzoo.models.network import Network, network_from_checkpoint
from nnzoo.runs import checkpoint
from nnzoo.runs.config_diff import require_same_config
from nnzoo.runs.run_dir import RunDir
from nnzoo.text import Note

if TYPE_CHECKING:
    from nnzoo.evaluation.baselines.budget import RunTime
    from nnzoo.models.group_network import GroupNetwork


@dataclass
class LoadedRun:
    """The network of a checkpoint, the file of its weights, and notes for the user. The data is read
    when it is first used."""

    network: Network
    file: Path
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        path: Path,
        device: torch.device,
        weights: Literal["best", "last"] = "best",
        sets: list[str] | None = None,
        config: RunConfig | None = None,
    ) -> Self:
        """Open a run folder, the folder of a group of runs, or a .pt file.

        sets: KEY=VALUE overrides, for data that has moved; config: the run's config, if it comes from
        another file. Raises CheckpointError, and UsageError if the config is not the run's.
        """
        network, file, note = load_network(path, device, weights)
        if config is None:
            stored = Document(value=network.config.to_dict())
            config = parse(stored, str(file), sets or [], Path.cwd())
        before = network.config.eval
        if network.is_group:  # of which each has a seed of its own
            config = replace(config, seed=network.config.seed)
        network.config = require_same_config(config, network, file)
        use_threads(network.config.train)
        network.eval()
        opened = cls(network, file, [note] if note else [])
        opened._calibrate(before)
        return opened

    def _calibrate(self, before: EvalOptions) -> None:
        """Use the calibration of the checkpoint; fit another one where the section `eval`, which was `before`, needs
        that. Raises ConfigError and DataError."""
        network, options = self.network, self.network.config.eval
        try:
            check_eval(options, network.data_spec)
            is_same = before.temperature == options.temperature
            network.calibrate(network.calibration if is_same else None)
            has_decision = options.decide is None or network.decision is not None
            if options.temperature == "apply" or not has_decision:
                calibration = self.require_calibration()
                if not has_decision and calibration.decide != options.decide:
                    network.calibration = None
                    calibration = self.require_calibration()
                if options.decide is not None and network.decision is None:
                    raise DataError(calibration.problem, code="E56")
        except NnzooError as error:
            error.locate(network.config.location)
            raise

    def require_calibration(self) -> Calibration:
        """Return the network's calibration; where it has none, fit one to the validation rows of the run's data.

        Raises DataError if there are no such rows.
        """
        network = self.network
        if network.calibration is None:
            self._fit_calibration()
        if network.calibration is None:
            raise DataError(self._why_not_calibrated(), code="E56")
        return network.calibration

    def calibrate_group(self) -> None:
        """Fit the calibration of a group's mean, which no checkpoint holds; a note says where its data does not allow it."""
        if not self.network.is_group or self.network.is_of_folds:
            return
        try:
            self.require_calibration()
        except DataError as error:
            self.notes.append(Note("N35", f"without intervals, sets and temperature: {error}"))

    def _fit_calibration(self) -> None:
        """Fit a calibration to the validation rows of the run's data, where they are those that it was trained with."""
        is_other = self.network.is_of_folds or self.data_changed
        if is_other or "val" not in self.dataset.splits:
            return
        fitted = calibrate_network(self.network, self.prepared("val"))
        if fitted is not None:
            self.network.calibrate(fitted)
            reason = "as this checkpoint holds no such ones"
            if self.network.is_group:
                reason = "for the mean of the group"
            text = f"intervals, temperature and decision are taken from the validation rows now, {reason}"
            self.notes.append(Note("N35", text))

    def _why_not_calibrated(self) -> str:
        if self.network.data_spec.task not in ("classification", "regression", "forecasting"):
            return "intervals, sets and decisions are for classes, numbers and forecasts"
        if self.network.is_of_folds:
            return (
                "each run of this group learned from rows that validate others, so that there are none to find "
                "intervals, temperature and decision of their mean from; give one of its runs, or train --seeds"
            )
        if self.data_changed:
            return (
                "the data has changed since the run was trained, so that its validation rows may be others; train "
                "again, or name the data of the run (--set data.path=…)"
            )
        if "val" not in self.dataset.splits:
            return (
                "there are no validation rows to find intervals, temperature and decision from; train with some "
                "(data.split.val)"
            )
        return "the network's predictions of the validation rows are not finite numbers"

    @cached_property
    def dataset(self) -> Dataset:
        """The run's data as it is now; raises DataError if it cannot be read."""
        config = self.network.config
        try:
            return read_dataset(config, self.network.data_spec)
        except DataError as error:
            key = next((key for key in ("path", "root") if hasattr(config.data, key)), None)
            hint = f"\nIf the data has moved: --set data.{key}=…" if key else ""
            raise DataError(f"{error}{hint}", code="E30") from None

    @cached_property
    def data_changed(self) -> bool:
        """Whether the data differs from the training data."""
        known = self.network.data_spec.fingerprint
        return bool(known) and self.dataset.fingerprint() != known

    @cached_property
    def _prepared(self) -> dict[str, Split]:
        return {}

    def prepared(self, split: str) -> Split:
        """Return a split as the network takes it, on its device."""
        if split not in self._prepared:
            self._prepared[split] = self.network.prepare(self.dataset.splits[split])
        return self._prepared[split]

    def raw(self, split: str, rows: Tensor) -> tuple[Any, Tensor]:
        """Return some rows (int64) of a split in original units, as `Network.predict` takes them (a tensor, or
        PaddedSequences), and their targets."""
        x, y = self.dataset.splits[split].batch(rows)
        return x.to(self.network.device), y

    def measure(self, split: str = "test", coverage: float | None = None) -> dict[str, Any]:
        """Return the object of `nnzoo eval --json`; raises DataError if there is no such split.

        coverage: of intervals and sets; raises UsageError if the validation rows are too few for it.
        """
        network = self.network
        if split != "test" and network.is_of_folds:
            raise UsageError(
                f"the runs of this group learned from different rows: those of --split {split} trained some of them; "
                "of a group of folds only the test rows are new to all",
                code="E55",
            )
        if coverage is not None:
            check_coverage(coverage)
            self.require_calibration()
        elif network.calibration is None:
            self._fit_calibration()
        ready = self.prepared(split) if split in self.dataset.splits else None
        settings = EvalSettings(coverage, self._run_time())
        try:
            report = evaluate_split(network, self.dataset, split, ready, settings)
        except NnzooError as error:
            error.locate(network.config.location)
            raise
        if network.is_group and ready is not None:
            from nnzoo.evaluation.evaluate import evaluate_members

            report["members"] = evaluate_members(cast("GroupNetwork", network), ready)
        result = {"run": self.network.config.name, "checkpoint": str(self.file), **report}
        return result | ({"data_changed": True} if self.data_changed else {})

    def _run_time(self) -> RunTime:
        """The training time, of a group that of all its runs; what was decided about baselines is that of the first."""
        if not self.network.is_group:
            return RunDir(self.file.parent).run_time()
        names = [network.config.name for network in self.network.networks]
        times = [RunDir(self.file / name).run_time() for name in names]
        return replace(times[0], seconds=sum(time.seconds or 0.0 for time in times))


def load_network(
    path: Path, device: torch.device, weights: Literal["best", "last"] = "best"
) -> tuple[Network, Path, str]:
    """Load the network of a run folder or of a .pt file.

    Returns the network, the file of its weights, and a note if that is not the requested one: a damaged
    file is replaced by the checkpoint before it. The folder of a group gives the networks of its runs as
    one, the folder, and a note on runs that do not take part. Raises CheckpointError.
    """
    if not RunDir(path).holds_run and (path / SUMMARY).is_file():
        from nnzoo.runs.loaded_group import load_group

        group, note = load_group(path, lambda run: load_network(run, device, weights))
        return group, path, note
    if not path.is_dir():
        return network_from_checkpoint(checkpoint.load(path), str(path), device), path, ""
    folder = RunDir(path)
    damage = ""
    if weights == "best":
        if not folder.best.exists():
            raise CheckpointError(_no_best_weights(path), code="E66")
        try:
            content = checkpoint.load(folder.best)
            return network_from_checkpoint(content, str(folder.best), device), folder.best, ""
        except DamagedError as error:
            damage = f"{error}; the best weights come from"
            content, note = folder.load()
            if not content.get("best_model"):
                raise
            content = content | {"model": content["best_model"]}
    else:
        content, note = folder.load()
    file = folder.previous if note else folder.last
    network = network_from_checkpoint(content, str(file), device)
    return network, file, Note("N37", f"{damage} {file}") if damage else note


def _no_best_weights(path: Path) -> str:
    runs = sorted(file.parent for file in path.glob("*/best.pt"))
    if runs:
        return f"{path} is a folder of {len(runs)} runs; give one of them, as in {runs[0]}"
    return f"{path} holds no best.pt; train first"
