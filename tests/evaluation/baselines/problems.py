"""Problems of baselines for tests."""

from __future__ import annotations

from typing import Any

from nnzoo.config.eval_options import EvalOptions
from nnzoo.config.preprocess_options import ScaleOptions, TablePreprocess
from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset, Split
from nnzoo.data.preprocess import Preprocess, Scale
from nnzoo.evaluation.baselines.baseline import Problem
from nnzoo.evaluation.baselines.compute import available_names, compute_baselines
from nnzoo.evaluation.tasks.build import build_task
from nnzoo.evaluation.verdicts import shown_baselines


def problem(dataset: Dataset, train: TrainOptions | None = None) -> Problem:
    """The problem of a data set, its preprocessing fitted to the training rows."""
    spec = dataset.spec
    is_number = spec.task in ("regression", "forecasting")
    scale = Scale(len(spec.targets), "none") if is_number else None
    task = build_task(train or TrainOptions(), spec, None, scale)
    options = TablePreprocess() if spec.input.kind == "table" else ScaleOptions()
    preprocess = Preprocess(options, spec)
    preprocess.fit(dataset.splits["train"])
    return Problem(dataset, task, preprocess.eval())


def split_problem(spec: DataSpec, splits: dict[str, Split]) -> Problem:
    """The problem of some splits."""
    return problem(Dataset(spec, splits))


def results(of: Problem, split: str = "test", *names: Any) -> dict[str, dict[str, Any]]:
    """The results of baselines by their names, best first; of all without names."""
    chosen: Any = list(names) or available_names(of)
    result = compute_baselines(of, split, EvalOptions(baselines=chosen))
    return {baseline["name"]: baseline for baseline in shown_baselines(result)}
