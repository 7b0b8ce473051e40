"""How recordings differ from tables of features and from series, for `nnzoo init`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas
import pytest

from nnzoo.config.recording_options import RecordingsOptions
from nnzoo.data.recordings import load_recordings
from nnzoo.init_config.find_recordings import plan_wide
from tests.data.recording_files.writing import (
    WRITERS,
    some_recordings,
    write_ts,
    write_tsv,
)
from tests.data.test_recordings import same_data
from tests.init_config.written import NNZOO, init, smooth_recordings


@pytest.mark.parametrize("form", WRITERS)
def test_each_form_is_found_and_read_alike(form: str, nnzoo: NNZOO, own_folder: Path) -> None:
    recordings = some_recordings(30)
    if form == "wide":
        recordings = smooth_recordings()
    options, _ = init(nnzoo, Path(WRITERS[form](own_folder, recordings)["path"]).name)
    assert isinstance(options, RecordingsOptions)
    reference = RecordingsOptions(name="recordings", **write_ts(own_folder, recordings))
    assert same_data(load_recordings(options), load_recordings(reference))
    assert nnzoo("train", "--config", "made", "-s", "train.epochs=1").code == 0


def test_the_archives_table_with_its_test_part(nnzoo: NNZOO, own_folder: Path) -> None:
    Path(write_tsv(own_folder, smooth_recordings())["path"]).rename("P_TRAIN.tsv")
    Path(write_tsv(own_folder, smooth_recordings(9))["path"]).rename("P_TEST.tsv")
    options, notes = init(nnzoo, "P_TRAIN.tsv")
    assert options.target == 0 and options.test_path.endswith("P_TEST.tsv")
    assert "read as recordings, a row each: 30 time steps" in notes
    options, _ = init(nnzoo, ".", "--force")
    assert options.path.endswith("P_TRAIN.tsv")


def test_a_table_of_features_stays_a_table(nnzoo: NNZOO, own_folder: Path) -> None:
    rng = np.random.default_rng(0)
    with open("t.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"f{i}" for i in range(30)), "label"])
        writer.writerows(
            [*row, "ab"[i % 2]] for i, row in enumerate(rng.normal(size=(60, 30)).round(3))
        )
    assert init(nnzoo, "t.csv")[0].name == "csv"
    assert init(nnzoo, "t.csv", "--recordings", "--force")[0].name == "recordings"


def test_the_sales_of_shops_are_series_not_recordings(nnzoo: NNZOO, own_folder: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["store_id,date,type,sales"]
    for shop in range(6):
        lines += [
            f"{shop},2024-{day // 28 + 1:02}-{day % 28 + 1:02},{'ab'[shop % 2]},{rng.normal():.3f}"
            for day in range(60)
        ]
    Path("s.csv").write_text("\n".join(lines))
    options, _ = init(nnzoo, "s.csv")
    assert options.name == "series" and options.group == "store_id"


def test_columns_called_as_in_any_table_are_no_time_steps() -> None:
    """A smooth table with the header x0, x1, … was taken for recordings."""
    values = np.linspace(0, 1, 25) + np.arange(4)[:, None] / 7
    frame = pandas.DataFrame(values, columns=[f"x{i}" for i in range(25)]).assign(y=list("abab"))
    assert plan_wide(frame, Path("t.csv"), False, None) is None
    steps = frame.rename(columns=lambda name: name.replace("x", "t"))
    assert plan_wide(steps, Path("t.csv"), False, None) is not None
