"""Recordings as a data set: the same in every form, cut, resampled, scaled and split."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.config.recording_options import RecordingsOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.data.data_spec import DataSpec
from nnzoo.data.dataset import Dataset, TensorSplit
from nnzoo.data.recording_files.recording import Shaping
from nnzoo.data.recording_files.ts import read_ts
from nnzoo.data.recordings import load_recordings
from nnzoo.data.sequences import SequenceSplit
from nnzoo.errors import DataError
from tests.data.recording_files.writing import (
    WRITERS,
    Recording,
    some_recordings,
    write_ragged,
    write_ts,
    write_tsv,
)


def load(spec: DataSpec | None = None, **options: Any) -> Dataset:
    return load_recordings(RecordingsOptions(name="recordings", **options), spec)


def same_data(one: Dataset, other: Dataset) -> bool:
    """Whether the splits have the same bits."""
    assert [*one.splits] == [*other.splits] and one.spec.input == other.spec.input
    return all(
        torch.equal(a, b)
        for part in one.splits
        for a, b in zip(one.splits[part].tensors(), other.splits[part].tensors(), strict=True)
    )


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("lengths", [(3, 9), (6, 6)])
def test_the_same_recordings_in_any_form_are_the_same_data(
    form: str, lengths: tuple[int, int], tmp_path: Path
) -> None:
    recordings = some_recordings(lengths=lengths)
    data = load(**WRITERS[form](tmp_path, recordings))
    reference = load(**write_ts(tmp_path, recordings))
    assert data.spec.labels == ["a", "b", "c"] and data.spec.task == "classification"
    assert isinstance(data.splits["train"], TensorSplit if lengths == (6, 6) else SequenceSplit)
    assert same_data(data, reference)


@pytest.mark.parametrize("lengths", [(3, 9), (6, 6)])
def test_recordings_of_one_channel_as_the_archive_has_them(
    lengths: tuple[int, int], tmp_path: Path
) -> None:
    recordings = some_recordings(30, channels=1, lengths=lengths)
    reference = load(**write_ts(tmp_path, recordings))
    for form in ("wide", "arff", "long"):
        assert same_data(load(**WRITERS[form](tmp_path, recordings)), reference)
    assert same_data(load(**write_tsv(tmp_path, recordings)), reference)
    if lengths == (3, 9):
        ragged = load(**write_ragged(tmp_path, recordings))
        assert same_data(ragged, reference)
        assert "target: the first value of each row (data.target)" in ragged.notes


def _published(shared_data: Path, name: str) -> list[Recording]:
    read = read_ts(str(shared_data / "sequences" / f"{name}_TRAIN.ts"), "auto", Shaping())
    return [(values, label or "") for values, label in zip(read, read.targets or [], strict=True)]


@pytest.mark.parametrize("name", ["JapaneseVowels", "ItalyPowerDemand"])
def test_published_recordings_in_any_form(name: str, shared_data: Path, tmp_path: Path) -> None:
    recordings = _published(shared_data, name)
    reference = load(path=str(shared_data / "sequences" / f"{name}_TRAIN.ts"))
    for write in WRITERS.values():
        assert same_data(load(**write(tmp_path, recordings)), reference)
    if name == "ItalyPowerDemand":
        assert same_data(load(**write_tsv(tmp_path, recordings)), reference)


def test_recordings_of_a_test_file_are_the_test_split(tmp_path: Path) -> None:
    train, test = some_recordings(20), some_recordings(7, seed=1)
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
    path = write_ts(tmp_path / "train", train)["path"]
    data = load(path=path, test_path=write_ts(tmp_path / "test", test)["path"])
    assert {part: len(split) for part, split in data.splits.items()} == {
        "train": 18,
        "val": 2,
        "test": 7,
    }


def test_numbers_as_targets(tmp_path: Path) -> None:
    rows = [f"{i},{i + 1},{i + 2}:{i / 7}" for i in range(12)]
    (tmp_path / "r.ts").write_text("@targetLabel true\n@data\n" + "\n".join(rows))
    data = load(path=str(tmp_path / "r.ts"), split={"val": 0, "test": 0})
    assert data.spec.task == "regression" and data.spec.targets == ["target"]
    x, y = data.splits["train"].tensors()
    assert torch.equal(x[:, 0, 0] / 7, y[:, 0])


def test_a_label_that_training_never_saw_is_named_with_its_recording(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    path = write_ts(tmp_path, some_recordings())["path"]
    test = write_ts(tmp_path / "t", [(values, "z") for values, _ in some_recordings(2, seed=3)])
    with pytest.raises(
        DataError, match=r"recording 1 \(line 7\) has the label 'z' that no training"
    ):
        load(path=path, test_path=test["path"])


def test_a_network_of_one_length_names_a_recording_of_another(tmp_path: Path) -> None:
    path = write_ts(tmp_path, some_recordings(lengths=(6, 6)))["path"]
    spec = load(path=path).spec
    (tmp_path / "o").mkdir()
    other = write_ts(tmp_path / "o", some_recordings(lengths=(5, 5)))["path"]
    with pytest.raises(
        DataError, match=r"expected 6 time steps, recording .* has 5 .*data.length: 6"
    ):
        load(spec, path=other)


def test_rows_keep_the_names_that_they_have_in_their_file(tmp_path: Path) -> None:
    recordings = some_recordings(lengths=(3, 9))
    data = load(**write_ts(tmp_path, recordings))
    for name, split in data.splits.items():
        for row, row_name in enumerate(data.row_names[name]):
            number = int(row_name.split()[1])
            x, _ = split.batch(torch.tensor([row]))
            assert row_name == data.row_name(name, row)
            torch.testing.assert_close(x.values[0], torch.as_tensor(recordings[number - 1][0]))


def some_long_table(path: Path, form: str) -> dict[str, Any]:
    """A table of 40 recordings with a day, a part and a weight each; form: long or wide."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(40):
        values = rng.normal(size=4 + i % 3 if form == "long" else 4)
        role = (
            f"{'ud'[i % 2]},{(i * 7) % 40 + 1}.3.2024,{('train', 'dev', 'test')[i % 3]},{1 + i % 2}"
        )
        role = (
            role
            if (i * 7) % 40 < 31
            else role.replace(f"{(i * 7) % 40 + 1}.3.", f"{(i * 7) % 40 - 30}.4.")
        )
        if form == "long":
            lines += [f"r{i},{x:.5f},{role}" for x in values]
        else:
            lines.append(",".join([*(f"{x:.5f}" for x in values), role]))
    steps = "id,x" if form == "long" else "x0,x1,x2,x3"
    path.write_text("\n".join([f"{steps},label,day,part,w", *lines]))
    options: dict[str, Any] = {"name": "recordings", "path": str(path), "target": "label"}
    return options | ({"id": "id", "channels": ["x"]} if form == "long" else {})


@pytest.mark.parametrize("form", ["long", "wide"])
def test_columns_decide_the_part_and_the_weight_of_each_recording(
    form: str, tmp_path: Path
) -> None:
    table = some_long_table(tmp_path / "t.csv", form)
    options = RecordingsOptions(**table, split=GroupSplit(by="day", val=8, test=8), weight="w")
    data = load_recordings(options)
    number = {
        name: int(re.findall(r"\d+", name)[0]) - (form == "wide")
        for names in data.row_names.values()
        for name in names
    }
    days = {
        part: [number[name] * 7 % 40 for name in names] for part, names in data.row_names.items()
    }
    assert sorted(days["val"]) == list(range(24, 32)) and sorted(days["test"]) == list(
        range(32, 40)
    )
    weights = data.splits["train"].weights
    assert weights is not None
    assert weights.tolist() == [1 + number[name] % 2 for name in data.row_names["train"]]
    data = load_recordings(RecordingsOptions(**table, split=GroupSplit(column="part")))
    for i, part in enumerate(("train", "val", "test")):
        assert {number[name] % 3 for name in data.row_names[part]} == {i}
    # A test file has its part, and needs no columns of the split.
    lines = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "u.csv").write_text("\n".join(line.rsplit(",", 3)[0] for line in lines))
    data = load_recordings(options.model_copy(update={"test_path": str(tmp_path / "u.csv")}))
    assert len(data.splits["test"]) == 40 and len(data.splits["val"]) == 8
    assert data.splits["test"].weights is None
    assert any(
        "equal a training recording in all values: 40 of 40" in note or "32 of 40 test" in note
        for note in data.notes
    )


def test_forms_without_columns_have_no_parts_and_weights(tmp_path: Path) -> None:
    (tmp_path / "t.arff").write_text(
        "@relation r\n@attribute a numeric\n@attribute c {x,y}\n@data\n1,x\n"
    )
    for further in ({"split": GroupSplit(by="day")}, {"weight": "w"}):
        with pytest.raises(DataError, match="only long and wide tables have columns"):
            load_recordings(
                RecordingsOptions(name="recordings", path=str(tmp_path / "t.arff"), **further)
            )
