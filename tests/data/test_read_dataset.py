"""Data sets of a configuration: what nothing can be learned from, and where a stranger's config may write."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nnzoo.config.data_options import DownloadedOptions
from nnzoo.config.load import load_config
from nnzoo.data.data_spec import DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.data.read_dataset import read_dataset
from nnzoo.errors import DataError
from tests.zoo import config


def read(rows: list[str], **options: Any) -> Any:
    """The data set of a CSV file with the columns x and y."""
    Path("t.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    data = {"name": "csv", "path": "t.csv", "target": "y", "task": "classification"}
    return read_dataset(config("mlp", data | {"split": {"val": 0, "test": 0}} | options))


def test_classes_that_training_rows_have() -> None:
    data = read([f"{i},{'ab'[i % 2]}" for i in range(20)])
    assert data.spec.labels == ["a", "b"] and len(data.splits["train"]) == 20


def source_of(monkeypatch: pytest.MonkeyPatch, **targets: list[int]) -> Any:
    """A configuration whose source reads rows of these classes, by split; no source of nnzoo's own lets them pass."""
    splits: dict[str, Any] = {
        name: TensorSplit(torch.zeros(len(y), 1), torch.tensor(y)) for name, y in targets.items()
    }
    spec = DataSpec(InputSpec("table", (1,)), "classification", ["a", "b", "c"])
    entry = SimpleNamespace(load=lambda: lambda options, spec_: Dataset(spec, splits))
    monkeypatch.setattr("nnzoo.data.read_dataset.DATA", {"iris": entry, "csv": entry})
    return config("mlp", {"name": "iris"})


def test_one_row_and_one_class_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="one training row is not enough; hold out fewer") as raised:
        read_dataset(source_of(monkeypatch, train=[0], val=[1]))
    assert "data.split" in str(raised.value)
    with pytest.raises(DataError, match="the training rows have one class") as raised:
        read_dataset(source_of(monkeypatch, train=[1, 1, 1]))
    assert "data.name" in str(raised.value), "of a source without a column or a path"
    assert len(read_dataset(source_of(monkeypatch, train=[1, 0])).splits["train"]) == 2


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_label_that_no_training_row_has_is_named(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = source_of(monkeypatch, train=[0, 1, 1], **{part: [1, 2, 0, 2]})
    with pytest.raises(
        DataError, match=f"the {part} split has the label 'c' that no training row has"
    ) as raised:
        read_dataset(chosen)
    assert "data.split" in str(raised.value)
    data = read_dataset(source_of(monkeypatch, train=[0, 1, 2], **{part: [1, 2, 0, 2]}))
    assert set(data.splits) == {"train", part}


def test_a_specification_is_that_of_the_first_reading() -> None:
    rows = [f"{i},{'ab'[i % 2]}" for i in range(20)]
    first = read(rows)
    data = {"name": "csv", "path": "t.csv", "target": "y", "task": "classification"}
    again = read_dataset(config("mlp", data | {"split": {"val": 0, "test": 0}}), first.spec)
    assert again.spec == first.spec


@pytest.mark.parametrize("root", ["here", "../elsewhere", None])
def test_only_folders_of_ones_own_are_written_to(
    root: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config file may name any folder: nothing is downloaded to one that is not below it or the working folder."""
    written: list[Path] = []

    def download(options: Any, name: str, download: bool, files: str = "") -> None:
        original(options, name, download, files)
        written.append(options.folder)
        raise DataError("would download")

    original = DownloadedOptions.check_download
    monkeypatch.setattr(DownloadedOptions, "check_download", download)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    line = f"\n  root: {root}" * (root is not None)
    Path("c.yaml").write_text(
        f"data:\n  name: tiny_shakespeare{line}\nmodel: {{name: gru, embedding: 4}}\n"
    )
    with pytest.raises(DataError) as raised:
        read_dataset(load_config("c.yaml"))
    assert bool(written) is (root != "../elsewhere"), str(raised.value)
