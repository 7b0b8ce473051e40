"""Evaluation: exact metrics of a split in one pass, beside those of baselines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from nnzoo.data.dataset import Split, WindowSplit, chunks, max_input_size
from nnzoo.distributed import SINGLE, SingleProcess
from nnzoo.errors import DataError
from nnzoo.evaluation.baselines import compute_baselines
from nnzoo.evaluation.calibration import MAX_OUTPUTS, MAX_ROWS, Calibration, fit_calibration
from nnzoo.evaluation.language_model import evaluate_text
from nnzoo.evaluation.tasks.language_model import LanguageModel
from nnzoo.evaluation.tasks.task import Task
from nnzoo.evaluation.uncertainty import Uncertainty, uncertainty_metrics

if TYPE_CHECKING:
    from nnzoo.data.corpus import CorpusSplit
    from nnzoo.data.dataset import Dataset
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
    uncertainty: Uncertainty | None = None,
) -> dict[str, Any]:
    """Compute the metrics of a prepared split; the network stays in the mode that it was in. Each of
    several processes computes its shard, and all get the metrics of the whole split.

    uncertainty: further metrics of the same pass."""
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
        if uncertainty is not None:
            uncertainty.update(output, target)
    processes.all_reduce_float64(list(metrics.tensors.values()))
    result = task.compute_metrics(metrics)
    if uncertainty is not None:
        processes.all_reduce_float64(list(uncertainty.tensors.values()))
        result |= uncertainty.compute(task.names)
    network.train(was_training)
    return result


def evaluate_split(
    network: Network,
    dataset: Dataset,
    split: str,
    prepared: Split | None = None,
    processes: SingleProcess = SINGLE,
    coverage: float | None = None,
) -> dict[str, Any]:
    """Compute the object of `nnzoo eval --json`: exact metrics of a split beside its baselines.

    prepared: the split as the network takes it, if it is at hand. coverage: of intervals and sets where the
    network is calibrated; default: DEFAULT_COVERAGE where the validation rows suffice for it. Raises
    DataError if the data has no such split, UsageError if the validation rows are too few.
    """
    if split not in dataset.splits:
        raise DataError(f"this data has no {split} split; it has {', '.join(dataset.splits)}")
    rows = network.prepare(dataset.splits[split]) if prepared is None else prepared
    task, device, uncertainty = network.task, network.device, None
    if network.calibration is not None:
        coverage = network.calibration.default_coverage if coverage is None else coverage
        uncertainty = uncertainty_metrics(
            task, network.calibration, network.decision, coverage, device
        )
    report = evaluate(network, rows, task, device, processes, uncertainty)
    if network.calibration is not None and network.calibration.problem:
        report["decision"] = {"problem": network.calibration.problem}
    baselines = compute_baselines(dataset, split, task)
    result = {"split": split, "task": dataset.spec.task, **report, "baseline": baselines[0]}
    if len(baselines) > 1:
        result["baselines"] = baselines
    windows = dataset.splits[split]
    if dataset.time_index is not None and isinstance(windows, WindowSplit):
        first = windows.starts.numpy() + windows.window
        result |= dataset.time_index.describe(np.append(first, first + windows.horizon - 1))
    return result
