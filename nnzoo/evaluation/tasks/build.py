"""The task of a data set, chosen by its description."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from nnzoo.config.train_options import TrainOptions
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.preprocess import Scale
from nnzoo.errors import ConfigError
from nnzoo.evaluation.tasks.classification import Classification
from nnzoo.evaluation.tasks.language_model import LanguageModel
from nnzoo.evaluation.tasks.regression import Regression
from nnzoo.evaluation.tasks.task import Task


def build_task(
    options: TrainOptions,
    spec: DataSpec,
    class_weights: Tensor | None,
    scale: Scale | None,
) -> Task:
    """Build the task of a data set; raises ConfigError if `train` has options of another task."""
    built: Task
    if spec.is_classification:
        built = Classification(options, spec.labels, class_weights)
    elif spec.task == "multilabel":
        from nnzoo.evaluation.tasks.multilabel import Multilabel

        built = Multilabel(options, spec.labels, class_weights)
    elif spec.task == "language_model":
        assert spec.tokenizer is not None
        built = LanguageModel(options, spec.tokenizer, spec.input.shape[0])
    else:
        built = Regression(options, spec.targets, spec.horizon, cast(Scale, scale))
    monitor = options.monitor.removeprefix("val_")
    if monitor != "auto" and monitor not in built.metric_names:
        known = ", ".join(f"val_{name}" for name in built.metric_names)
        raise ConfigError.at(
            "train.monitor", f"'{options.monitor}' is not measured here; one of {known}"
        )
    return built
