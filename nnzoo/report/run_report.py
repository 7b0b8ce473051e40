"""A run folder opened for a report: its metrics, predictions, notes, and the data if they can be read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median_high
from typing import Any

import torch

from nnzoo.config import RunConfig
from nnzoo.config.yaml_parser import MAX_BYTES
from nnzoo.data.data_spec import DataSpec
from nnzoo.errors import CheckpointError, DataError, shell_word
from nnzoo.evaluation.observations import curve_observations
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.evaluation.verdicts import baseline_lines
from nnzoo.file_io import read_plain
from nnzoo.inspect.inspection import available_split
from nnzoo.models.group_network import GroupNetwork
from nnzoo.models.network import Network
from nnzoo.predict.predictions import Predictions, predict_split
from nnzoo.predict.uncertainty import with_intervals
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_dir import MAX_NOTE, MAX_NOTES, RunDir
from nnzoo.text import labeled, shorten


@dataclass
class RunReport:
    """Everything that a report shows of a run; `split`, `result` and `predictions` need the data."""

    folder: RunDir
    loaded: LoadedRun

    @classmethod
    def open(cls, path: Path, device: torch.device, sets: list[str] | None = None) -> RunReport:
        """Open a run folder; raises CheckpointError if it has no best.pt."""
        if not path.is_dir():
            raise CheckpointError(
                f"{path} is not a run folder; give one, such as checkpoints/cnn", code="E61"
            )
        loaded = LoadedRun.open(path, device, "best", sets)
        if isinstance(loaded.network, GroupNetwork):
            return GroupReport(RunDir(path), loaded)
        return cls(RunDir(path), loaded)

    @property
    def members(self) -> list[RunDir]:
        """The runs of a group, whose predictions are averaged; none of a single run."""
        return []

    @property
    def network(self) -> Network:
        return self.loaded.network

    @property
    def config(self) -> RunConfig:
        return self.network.config

    @property
    def spec(self) -> DataSpec:
        return self.network.data_spec

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def num_parameters(self) -> int:
        models = [network.model for network in self.network.networks]
        return sum(p.numel() for model in models for p in model.parameters())

    @cached_property
    def epochs(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return self.folder.rows()

    @property
    def seconds(self) -> float:
        """The training time."""
        return sum(row.get("seconds") or 0.0 for row in self.epochs)

    @property
    def samples_per_second(self) -> float | None:
        """The median over the epochs; None if it is not recorded."""
        speeds = [row["samples_per_second"] for row in self.epochs if row.get("samples_per_second")]
        return median_high(speeds) if speeds else None

    @cached_property
    def best_epoch(self) -> int:
        """The epoch of the weights in best.pt."""
        return self.folder.best_epoch() or 0

    @property
    def date(self) -> str:
        """The day on which best.pt was written."""
        return time.strftime("%Y-%m-%d", time.localtime(self.folder.best.stat().st_mtime))

    @cached_property
    def data_error(self) -> str:
        """Why the data cannot be read; "" if they can."""
        try:
            _ = self.loaded.dataset
        except DataError as error:
            return str(error)
        return ""

    @cached_property
    def split(self) -> str:
        return available_split(self.loaded.dataset)

    @cached_property
    def result(self) -> dict[str, Any]:
        """The object of `nnzoo eval --json`."""
        return self.loaded.measure(self.split)

    @cached_property
    def predictions(self) -> Predictions:
        """Predictions of the split, with intervals where the network is calibrated."""
        predictions = predict_split(self.network, self.loaded.prepared(self.split))
        calibration = self.network.calibration
        coverage = None if calibration is None else calibration.default_coverage
        if coverage is None or not isinstance(self.network.task, Regression):
            return predictions
        return with_intervals(self.network, predictions, coverage, self.spec.horizon)

    @property
    def data_name(self) -> str:
        """The source, with the name of its file or folder."""
        path = getattr(self.config.data, "path", None)
        return self.config.data.name + (f" {Path(path).name}" if path else "")

    @property
    def data_notes(self) -> list[str]:
        """The recorded lines on what was guessed, dropped or filled when the data were read; for runs
        without a record, the notes on reading the data now."""
        recorded = self.folder.environment().get("data_notes")
        if isinstance(recorded, list):
            return [shorten(str(note), MAX_NOTE) for note in recorded[: MAX_NOTES + 1]]
        return [] if self.data_error else [*map(labeled, self.loaded.dataset.notes)]

    @property
    def observations(self) -> list[str]:
        """Lines on the curves and the result: over-fitting, convergence, the baseline."""
        lines = curve_observations(self.epochs, self.best_epoch, self.config)
        lines += [] if self.data_error else baseline_lines(self.result)
        return [*map(labeled, lines)]

    @property
    def config_text(self) -> str:
        return read_config_text(self.folder.config)

    @property
    def commands(self) -> list[str]:
        """The commands that repeat the run, its evaluation and its inspection."""
        path = self.folder.path
        return [
            f"nnzoo train --config {shell_word(path / 'config.yaml')} --out elsewhere",
            f"nnzoo eval {shell_word(path)}",
            f"nnzoo inspect {shell_word(path)}",
        ]


class GroupReport(RunReport):
    """The same of a group of runs as one: results of its mean, and curves of each run."""

    @cached_property
    def members(self) -> list[RunDir]:
        names = [network.config.name for network in self.network.networks]
        return [RunDir(self.folder.path / name) for name in names]

    @property
    def seconds(self) -> float:
        rows = [row for member in self.members for row in member.rows()]
        return sum(row.get("seconds") or 0.0 for row in rows)

    @property
    def date(self) -> str:
        newest = max(member.best.stat().st_mtime for member in self.members)
        return time.strftime("%Y-%m-%d", time.localtime(newest))

    @property
    def data_notes(self) -> list[str]:
        return RunReport(self.members[0], self.loaded).data_notes

    @property
    def observations(self) -> list[str]:
        """Lines on the result beside the baseline, and on runs that do not take part."""
        lines = [] if self.data_error else baseline_lines(self.result)
        return [*map(labeled, [*self.loaded.notes, *lines])]

    @property
    def config_text(self) -> str:
        return read_config_text(self.members[0].config)

    @property
    def commands(self) -> list[str]:
        """The commands that repeat the first run, the evaluation, and predictions for new data."""
        path = self.folder.path
        return [
            f"nnzoo train --config {shell_word(self.members[0].config)} --out elsewhere",
            f"nnzoo eval {shell_word(path)}",
            f"nnzoo inspect {shell_word(self.members[0].path)}",
        ]


def read_config_text(path: Path) -> str:
    """Return a config as it is, to be shown only; "" if it is missing, a link or too large."""
    try:
        data = b"" if path.is_symlink() else read_plain(path, MAX_BYTES + 1)
    except OSError:
        return ""
    return data.decode("utf-8", "replace") if len(data) <= MAX_BYTES else ""
