"""The task of a data set, and options of another one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.preprocess import Scale
from nnzoo.errors import ConfigError
from nnzoo.evaluation.tasks.build import build_task

INPUT = InputSpec("table", (3,))
CLASSES = DataSpec(INPUT, task="classification", labels=["a", "b"])
LABELS = DataSpec(INPUT, task="multilabel", labels=["x", "y", "z"])
NUMBERS = DataSpec(INPUT, task="regression", targets=["height", "width"])


@pytest.mark.parametrize(
    ("spec", "name", "outputs"),
    [(CLASSES, "Classification", 2), (LABELS, "Multilabel", 3), (NUMBERS, "Regression", 2)],
)
def test_the_description_of_the_data_decides(spec: DataSpec, name: str, outputs: int) -> None:
    task = build_task(TrainOptions(), spec, None, Scale(2, "none"))
    assert (type(task).__name__, task.outputs) == (name, outputs)


def test_weights_of_classes_reach_the_loss() -> None:
    task = build_task(TrainOptions(), CLASSES, torch.tensor([1.0, 3.0]), None)
    assert float(task.denominator(torch.tensor([0, 1, 1]))) == 7.0


@pytest.mark.parametrize("monitor", ["val_rmse", "val_hamming_loss"])
def test_a_metric_of_another_task_is_refused_with_those_there_are(monitor: Any) -> None:
    with pytest.raises(ConfigError, match=r"not measured here; one of .*val_accuracy") as refused:
        build_task(TrainOptions(monitor=monitor), CLASSES, None, None)
    assert refused.value.issues[0].path == "train.monitor"
