"""Read the data set of a configuration, and refuse what nothing can be learned from."""

from __future__ import annotations

from pathlib import Path

import torch

from nnzoo.config import DATA, RunConfig
from nnzoo.config.data_options import DownloadedOptions
from nnzoo.config.run_config import locates_errors
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset
from nnzoo.errors import DataError
from nnzoo.status import status


@locates_errors
def read_dataset(config: RunConfig, spec: DataSpec | None = None) -> Dataset:
    """Read the data set of a configuration; spec: from a checkpoint, of the first reading."""
    entry = DATA.get(config.data.name)
    assert entry is not None
    options = config.data
    if isinstance(options, DownloadedOptions) and not _may_download(config, options):
        options = options.without_download()
    with status("reading the data"):
        dataset: Dataset = entry.load()(options, spec)
    if len(dataset.splits["train"]) < 2:
        raise DataError.at(
            "data.split", "one training row is not enough; hold out fewer", code="E43"
        )
    if dataset.spec.is_classification:
        labels = dataset.spec.labels
        present = torch.bincount(dataset.splits["train"].targets(), minlength=len(labels))
        if (present > 0).sum() < 2:
            raise DataError.at(
                _target_key(config),
                "the training rows have one class; nothing can be learned",
                code="E40",
            )
        for name, split in dataset.splits.items():
            unseen = (present[split.targets().unique()] == 0).nonzero()
            if len(unseen):
                label = labels[int(split.targets().unique()[unseen[0]])]
                raise DataError.at(
                    "data.split",
                    f"the {name} split has the label '{label}' that no training row has",
                    code="E41",
                )
    if dataset.spec.task == "multilabel":
        missing = (dataset.splits["train"].targets().sum(0) == 0).nonzero()
        if len(missing):
            label = dataset.spec.labels[int(missing[0])]
            raise DataError.at(
                _target_key(config),
                f"no training row has the label '{label}'; leave it out, or hold out fewer rows (data.split)",
                code="E40",
            )
    return dataset


def _target_key(config: RunConfig) -> str:
    """The key that decides which classes there are."""
    return next(
        (f"data.{key}" for key in ("target", "path") if hasattr(config.data, key)), "data.name"
    )


def _may_download(config: RunConfig, options: DownloadedOptions) -> bool:
    """Whether a published set may be downloaded to `data.root`: a config file may be a stranger's, so the folder
    must be named by the user, or be below the working folder or the config's."""
    if options.root is None or config.origins.get("data.root") is None:
        return True
    root = Path(options.root).resolve()
    return any(root.is_relative_to(base.resolve()) for base in (Path(), Path(config.source).parent))
