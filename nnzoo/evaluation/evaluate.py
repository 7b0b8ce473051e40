"""Evaluation: exact metrics of a split in one pass, beside those of baselines and of a group's networks."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from nnzoo.data.dataset import Split, WindowSplit, chunks, max_input_size
from nnzoo.distributed import SINGLE, SingleProcess
from nnzoo.errors import DataError
from nnzoo.evaluation.calibration import MAX_OUTPUTS, MAX_ROWS, Calibration, fit_calibration
from nnzoo.evaluation.language_model import evaluate_text
from nnzoo.evaluation.metrics import MetricState
from nnzoo.evaluation.tasks.language_model import LanguageModel
from nnzoo.evaluation.tasks.task import Task

if TYPE_CHECKING:
    from nnzoo.data.corpus import CorpusSplit
    from nnzoo.data.dataset import Dataset
    from nnzoo.evaluation.baselines.budget import RunTime
    from nnzoo.evaluation.baselines.compare import RowOutcomes
    from nnzoo.models.group_network import GroupNetwork
    from nnzoo.models.network import Network

# Limits of a batch: rows, and input values, since feature maps of large images would fill the memory.
MAX_BATCH_ROWS = 512
MAX_BATCH_VALUES = 1 << 20


def eval_batch_size(size: int) -> int:
    """Return the batch size of evaluation for samples of `size` values."""
    return max(1, min(MAX_BATCH_ROWS, MAX_BATCH_VALUES // size))


@torch.no_grad()
def iter_outputs(
    network: nn.Module, split: Split, device: torch.device, processes: SingleProcess = SINGLE
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield outputs and targets of a prepared split batch by batch, in order; each of several processes
    has its shard of the rows. Leaves the network in evaluation mode.
    """
    network.eval()
    start, stop = processes.shard_range(len(split))
    if start == stop:
        return
    for chunk in chunks(stop - start, eval_batch_size(max_input_size(split))):
        x, y = split.batch(torch.arange(start + chunk.start, start + chunk.stop, device=device))
        yield network(x), y


@torch.no_grad()
def calibrate_network(network: Network, split: Split) -> Calibration | None:
    """Fit a calibration to a prepared split of validation rows, of many to evenly spaced ones."""
    task, was_training = network.task, network.training
    if isinstance(task, LanguageModel):
        return None
    count = min(len(split), MAX_ROWS, max(1, MAX_OUTPUTS // task.outputs))
    rows = torch.linspace(0, len(split) - 1, count, dtype=torch.float64).round().long()
    network.eval()
    outputs, targets = [], []
    for chunk in rows.to(network.device).split(eval_batch_size(max_input_size(split))):
        x, y = split.batch(chunk)
        outputs.append(network(x))
        targets.append(y)
    network.train(was_training)
    return fit_calibration(task, torch.cat(outputs), torch.cat(targets), network.config.eval)


def evaluate(
    network: nn.Module,
    split: Split,
    task: Task,
    device: torch.device,
    processes: SingleProcess = SINGLE,
    more: Sequence[MetricState] = (),
) -> dict[str, Any]:
    """Compute the metrics of a prepared split; the network stays in the mode that it was in. Each of
    several processes computes its shard, and all get the metrics of the whole split.

    more: further metrics of the same pass.
    """
    was_training = network.training
    if isinstance(task, LanguageModel):
        text_metrics = evaluate_text(
            network, getattr(network, "model"), cast("CorpusSplit", split), task, processes
        )
        processes.all_reduce_float64(list(text_metrics.tensors.values()))
        network.train(was_training)
        return task.compute_metrics(text_metrics)
    metrics = task.split_metrics(split, device, processes.shard_range(len(split))[0])
    for output, target in iter_outputs(network, split, device, processes):
        task.add_batch(metrics, output, target)
        for further in more:
            further.update(output, target)
    every = [metrics, *more]
    processes.all_reduce_float64([tensor for one in every for tensor in one.tensors.values()])
    result = task.compute_metrics(metrics)
    for further in more:
        result |= further.compute(task.names)
    network.train(was_training)
    return result


@dataclass(frozen=True)
class EvalSettings:
    """Settings of an evaluation. coverage: of intervals and sets, None for the default; run: the training time, on which
    it depends what baselines are shown."""

    coverage: float | None = None
    run: RunTime | None = None
    processes: SingleProcess = SINGLE


def evaluate_split(
    network: Network,
    dataset: Dataset,
    split: str,
    prepared: Split | None = None,
    settings: EvalSettings = EvalSettings(),
) -> dict[str, Any]:
    """Compute the object of `nnzoo eval --json`: exact metrics of a split beside its baselines.

    prepared: the split as the network takes it, if it is at hand. coverage: of intervals and sets where the
    network is calibrated; default: DEFAULT_COVERAGE where the validation rows suffice for it. Raises
    DataError if the data has no such split, UsageError if the validation rows are too few.
    """
    if split not in dataset.splits:
        raise DataError(
            f"this data has no {split} split; it has {', '.join(dataset.splits)}", code="E55"
        )
    rows = network.prepare(dataset.splits[split]) if prepared is None else prepared
    from nnzoo.evaluation.baselines.compare import row_outcomes

    task, processes = network.task, settings.processes
    more: list[MetricState] = []
    outcomes = None
    if not isinstance(task, LanguageModel):
        outcomes = row_outcomes(task, rows, network.device, processes.shard_range(len(rows))[0])
        more.append(outcomes)
    if network.calibration is not None:
        more += _uncertainty(network, network.calibration, settings.coverage)
    report = evaluate(network, rows, task, network.device, processes, more)
    if network.calibration is not None and network.calibration.problem:
        report["decision"] = {"problem": network.calibration.problem}
    result = {"split": split, "task": dataset.spec.task, **report}
    result |= processes.broadcast_object(
        lambda: _baselines(network, dataset, split, settings.run, outcomes)
    )
    windows = dataset.splits[split]
    if dataset.time_index is not None and isinstance(windows, WindowSplit):
        first = windows.starts.numpy() + windows.window
        result |= dataset.time_index.describe(np.append(first, first + windows.horizon - 1))
    return result


def _uncertainty(
    network: Network, calibration: Calibration, coverage: float | None
) -> list[MetricState]:
    """The metrics of a calibrated network's intervals, sets and decisions."""
    from nnzoo.evaluation.uncertainty import uncertainty_metrics

    coverage = calibration.default_coverage if coverage is None else coverage
    task, device = network.task, network.device
    metrics = uncertainty_metrics(task, calibration, network.decision, coverage, device)
    return [] if metrics is None else [metrics]


def check_baselines(network: Network, dataset: Dataset) -> None:
    """Raise ConfigError for a name in `eval.baselines` that is not for these data: before training, not at its end."""
    if not isinstance(network.config.eval.baselines, str):
        from nnzoo.evaluation.baselines.baseline import Problem
        from nnzoo.evaluation.baselines.compute import check_names

        check_names(network.config.eval, Problem(dataset, network.task, network.preprocess))


def _baselines(
    network: Network,
    dataset: Dataset,
    split: str,
    run: RunTime | None,
    outcomes: RowOutcomes | None,
) -> dict[str, Any]:
    """The keys of a result on baselines, which are computed on the CPU."""
    from nnzoo.data.preprocess import Preprocess
    from nnzoo.evaluation.baselines.baseline import Problem
    from nnzoo.evaluation.baselines.compute import compute_baselines

    was_training = network.training
    network.eval()
    network.preprocess.cpu(), network.task.cpu()
    preprocess = network.preprocess
    if network.is_group:  # a group, of whose networks each has its own
        preprocess = Preprocess(preprocess.options, dataset.spec)
        preprocess.fit(dataset.splits["train"])
    problem = Problem(dataset, network.task, preprocess.eval())
    result = compute_baselines(problem, split, network.config.eval, run, outcomes)
    network.preprocess.to(network.device), network.task.to(network.device)
    network.train(was_training)
    return result


def evaluate_members(group: GroupNetwork, prepared: Split) -> dict[str, Any]:
    """Return `count` and, of each metric that is a number, mean, std (n - 1), min and max over the networks, and `values`.

    prepared: a split as the group takes it. Losses are in the scaled units of the first network.
    """
    names = [network.config.name for network in group.networks]
    reports = [
        evaluate(group.member(i), prepared, group.task, group.device) for i in range(len(names))
    ]
    metrics = {}
    for metric, value in reports[0].items():
        values = [report.get(metric) for report in reports]
        if type(value) is not float or not all(type(x) is float for x in values):
            continue
        known = [x for x in values if isinstance(x, float)]
        metrics[metric] = {
            "mean": statistics.fmean(known),
            "std": statistics.stdev(known) if len(known) > 1 else None,
            "min": min(known),
            "max": max(known),
            "values": known,
        }
    return {"count": len(names), "runs": names, "metrics": metrics}
