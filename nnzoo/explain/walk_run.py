"""The walk-through of a run: what was trained, how training went, the result, its errors, the layers, and what to try next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nnzoo.errors import shell_word
from nnzoo.evaluation import diagnostics
from nnzoo.evaluation.observations import curve_observations
from nnzoo.explain.codes import all_codes
from nnzoo.explain.describe_result import describe_errors, describe_result
from nnzoo.explain.describe_training import changed_options, duration
from nnzoo.explain.walk import Section, Walk
from nnzoo.inspect import inspection
from nnzoo.report.run_report import RunReport
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.run_dir import RunDir
from nnzoo.runs.run_index import read_run
from nnzoo.status import status
from nnzoo.text import codes_of, format_metric, shorten

SMALL_RISE = 0.02
"""Rise of the validation loss above that of the best epoch, as a fraction, from which it is worth a word."""


def walk_run(path: Path, device: torch.device, sets: list[str] | None = None) -> Walk:
    """Walk through a run folder, the folder of a group of runs, or a .pt file.

    sets: KEY=VALUE overrides, for data that has moved. Raises CheckpointError and ConfigError.
    """
    if path.is_dir():
        run = RunReport.open(path, device, sets)
    else:
        run = RunReport(RunDir(path.parent), LoadedRun.open(path, device, "best", sets))
    return _RunWalk(run, path).walk()


class _RunWalk:
    """The sections about a run; codes of what was found are collected for the advice at the end."""

    def __init__(self, run: RunReport, path: Path) -> None:
        self.run = run
        self.path = path
        has_folder = path.is_dir() or run.folder.holds_run
        self.folder = run.folder.path if has_folder else None
        """The run folder; None of a .pt file elsewhere."""
        self.result = Walk([], {"run": str(path)})
        self.codes: list[str] = []

    def walk(self) -> Walk:
        """Return all sections."""
        result, run = self.result, self.run
        self._add_start(result.add("run"))
        if not run.members:
            self._add_training(result.add("went"))
        section = result.add("result")
        if run.data_error:
            section.add("result.no_data", reason=" ".join(run.data_error.split()))
            self._add_recorded(section)
            self.result.figures["missing"] = run.data_error
        else:
            with status("evaluating", log=False):
                result.figures["result"] = describe_result(section, run)
                self._collect(section)
                errors = describe_errors(result.add("errors"), run)
                result.figures["errors"] = errors
            if not run.members:
                self._add_layers(result.add("layers"))
        self._add_next(result.add("next"))
        result.figures["codes"] = self.codes
        return result

    def _collect(self, section: Section) -> None:
        """Collect the codes of a section's statements."""
        codes = [line.values["code"] for line in section.statements if "code" in line.values]
        self.codes += [code for code in codes if code not in self.codes]

    def _add_start(self, section: Section) -> None:
        run = self.run
        rows = run.spec.num_rows
        section.add(
            "run.what",
            name=run.name,
            model=run.config.model.name,
            parameters=run.num_parameters,
            data=run.data_name,
            rows=rows.get("train", 0),
        )
        if run.members:
            section.add("run.group", count=len(run.members))
        environment = run.folder.environment()
        if run.seconds:
            section.add("run.time", seconds=duration(run.seconds), date=run.date)
        if isinstance(environment.get("started_from"), dict):
            path = shorten(str(environment["started_from"].get("path", "")), 200)
            section.add("run.started_from", path=path)
        for key, value, _, _ in changed_options(run.config):
            if key in ("optim.lr", "train.batch_size", "model.dropout"):
                section.add("options.set", 1, key=key, value=str(value))
        self.result.figures |= {"model": run.config.model.name, "data": run.data_name}
        self.result.figures |= {"parameters": run.num_parameters, "rows": rows}

    def _add_training(self, section: Section) -> None:
        run = self.run
        epochs, asked = run.epochs, run.config.train.epochs
        if not epochs:
            section.add("went.unknown")
            return
        monitor = run.config.train.monitor
        monitor = "val_loss" if monitor == "auto" else monitor
        best = next((row for row in epochs if row["epoch"] == run.best_epoch), epochs[-1])
        key = "went.all" if len(epochs) >= asked else "went.early"
        steps = epochs[-1].get("step")
        steps = steps if isinstance(steps, int) else 0
        section.add(key, epochs=len(epochs), asked=asked, steps=steps)
        key = "went.best" if isinstance(best.get(monitor), float) else "went.last"
        value = format_metric(best.get(monitor))
        section.add(key, epoch=run.best_epoch, monitor=monitor, value=value)
        for name in ("train_loss", "val_loss"):
            if isinstance(epochs[0].get(name), float) and isinstance(epochs[-1].get(name), float):
                section.add(
                    f"went.{name}",
                    start=format_metric(epochs[0][name]),
                    end=format_metric(epochs[-1][name]),
                    at_best=format_metric(best.get(name)),
                )
        codes = codes_of(curve_observations(run.epochs, run.best_epoch, run.config))
        for code in ("W10", "W11"):
            if code in codes:
                section.add(f"went.{code}", epoch=run.best_epoch)
                section.add("check.code", 1, code=code)
        if not {"W10", "W11"} & set(codes) and len(epochs) >= 3:
            last, is_best = epochs[-1].get("val_loss"), run.best_epoch == epochs[-1]["epoch"]
            _add_settled(section, last, best.get("val_loss"), is_best)
        self._add_findings(section)
        self._collect(section)
        figures = {"epochs": len(epochs), "asked": asked, "best_epoch": run.best_epoch}
        self.result.figures["training"] = figures | {"seconds": run.seconds}

    def _add_findings(self, section: Section) -> None:
        """Add what was warned of in training, by code and epoch."""
        known = list(all_codes("en"))  # the file may be anyone's
        for finding in self.run.folder.findings()[:10]:
            code, epoch = finding.get("code"), finding.get("epoch")
            if code in known and isinstance(epoch, int):
                layer = shorten(str(finding.get("layer") or ""))
                section.add(
                    "went.finding" if layer else "went.finding_all", epoch=epoch, layer=layer
                )
                section.add("check.code", 1, code=code)

    def _add_recorded(self, section: Section) -> None:
        """Add the metrics that the run's folder keeps."""
        recorded = read_run(self.run.folder.path, self.run.name)
        for name, value in recorded.items():
            if name.startswith("test_"):
                name = name.removeprefix("test_")
                section.add("result.recorded", 1, name=name, value=format_metric(value))

    def _add_layers(self, section: Section) -> None:
        run = self.run
        prepared = run.loaded.prepared(run.split)
        stats = diagnostics.collect_split_stats(run.network, prepared, inspection.STATS_ROWS)
        counted = [layer for layer in stats.layers if layer.units]
        dead = {layer.name: layer.dead for layer in counted if layer.dead}
        for layer in counted:
            if layer.dead:
                section.add("layers.dead", name=layer.name, dead=layer.dead, units=layer.units or 0)
        if counted and not dead:
            section.add("layers.alive", units=sum(layer.units or 0 for layer in counted))
        if stats.time_gradients and max(stats.time_gradients) > 0:
            norms = stats.time_gradients
            first = max(norms[: max(1, len(norms) // 10)]) / max(norms)
            section.add("layers.time", percent=100 * first)
        for finding in diagnostics.diagnose(stats, run.config):
            section.add(f"layers.finding.{finding.kind}")
            section.add("check.code", 1, code=finding.code)
        self._collect(section)
        self.result.figures["layers"] = {"dead": dead}

    def _add_next(self, section: Section) -> None:
        """Add what to try, each with its command: by the codes first, then what shows more."""
        if self.folder is not None:
            self._add_changes(section, self.folder)
            section.add("try.report")
            _command(section, f"nnzoo report {shell_word(self.folder)}")
        if not self.run.members:
            section.add("try.inspect")
            _command(section, f"nnzoo inspect {shell_word(self.path)}")
            if self.folder is not None:
                section.add("try.watch")
                _command(section, f"nnzoo watch {shell_word(self.folder)}")

    def _add_changes(self, section: Section, folder: Path) -> None:
        """Add other ways to train, against what was found."""
        config = self.run.config
        file = (self.run.members[0].path if self.run.members else folder) / "config.yaml"
        train, renamed = f"nnzoo train {shell_word(file)}", f"-s name={shell_word(config.name)}-2"
        if "W10" in self.codes and getattr(config.model, "dropout", None) == 0:
            section.add("try.dropout")
            _command(section, f"{train} {renamed} -s model.dropout=0.3")
        elif "W10" in self.codes:
            section.add("try.decay")
            _command(section, f"{train} {renamed} -s optim.weight_decay=0.01")
        if "W11" in self.codes:
            section.add("try.epochs")
            _command(section, f"{train} -s train.epochs={2 * config.train.epochs}")
        if {"W20", "W21"} & set(self.codes) and not self.run.members:
            section.add("try.seeds")
            _command(section, f"{train} --seeds 5")


def _add_settled(section: Section, last: Any, best: Any, is_best: bool) -> None:
    """Add how the validation loss ended where it calls for no warning: about at its best, or a little above it.

    is_best: whether the last epoch is the best, so that nothing is known of those that would follow.
    """
    rise = last / best - 1 if isinstance(last, float) and isinstance(best, float) and best else 0.0
    if rise > SMALL_RISE:
        section.add("went.rose", percent=100 * rise)
    else:
        section.add("went.open" if is_best else "went.steady")


def _command(section: Section, command: str) -> None:
    section.add("command", 1, command=command)
