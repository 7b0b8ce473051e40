"""Images with a table of files and targets: which image a row means, what is left out, and every task to its outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from sklearn import metrics

from nnzoo.config.data_options import ImageFolderOptions
from nnzoo.config.split_options import GroupSplit
from nnzoo.errors import ConfigError
from nnzoo.predict.predictions import predict_split
from nnzoo.runs.loaded_run import LoadedRun
from tests import zoo
from tests.data.image_files.labeled import (
    ALL,
    NAMES,
    load_images,
    refused_images,
    write_image,
    write_labels,
)

NNZOO = Callable[..., Any]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": None, "target": "y"}, "is for images with a file of labels"),
        ({"classes": ["a", "b"]}, "is for class folders"),
    ],
)
def test_keys_that_need_labels_are_refused_without(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageFolderOptions(name="image_folder", **({"path": "p", "labels": "l.csv"} | options))


def test_columns_of_a_split_need_labels_too() -> None:
    write_image("x/a.png")
    write_image("y/b.png")
    message = refused_images(labels=None, split=GroupSplit(group="who"))
    assert "is for images with a file of labels (data.labels)" in message


def test_splits_go_by_groups_columns_and_duplicates() -> None:
    names = [f"i{i:02d}.png" for i in range(20)]
    rows = [
        f"{name},{i // 4},{'test' if i > 15 else 'train'},{i % 2}" for i, name in enumerate(names)
    ]
    write_labels(["file,who,part,y", *rows], names)
    for name in ("i01.png", "i03.png"):  # equal images of one class
        write_image(name, 99)
    options: dict[str, Any] = {"target": "y"}
    grouped = load_images(**options, split=GroupSplit(group="who", val=0.2, test=0.2))
    parts = {
        part: {int(name[1:3]) // 4 for name in names} for part, names in grouped.row_names.items()
    }
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 5
    assert "column 'who' keeps groups together, and is no input" in grouped.notes
    stated = load_images(**options, split=GroupSplit(column="part", val=0.2))
    assert stated.row_names["test"] == names[16:] and stated.spec.labels == ["0", "1"]
    weighted = load_images(**options, weight="who")
    weights = weighted.splits["train"].weights
    assert weights is not None and weights.tolist() == [i // 4 for i in range(4, 20)]
    fewer = load_images(**options, split=ALL.model_copy(update={"duplicates": "drop"}))
    assert len(fewer.splits["train"]) == 19
    assert "1 image equals another" in str(load_images(**options).notes)


def test_labels_of_test_images_alone_are_left_out() -> None:
    names = [f"i{i}.png" for i in range(6)]
    rows = [
        f"{name},{'test' if i > 3 else 'train'},{'a;b' if i % 2 else 'a'}"
        for i, name in enumerate(names)
    ]
    write_labels(["file,part,y", *rows, "i6.png,test,a;new"], [*names, "i6.png"])
    dataset = load_images(target="y", task="multilabel", split=GroupSplit(column="part", val=0))
    assert dataset.spec.labels == ["a", "b"]
    assert dataset.cuts == ["labels in test rows that no training row has are left out: 'new' in 1"]


def test_weights_of_classes_are_not_for_numbers() -> None:
    write_labels(["file,y", *(f"{name},{i}.5" for i, name in enumerate(NAMES))])
    data = {"name": "image_folder", "path": "pics", "labels": "labels.csv", "size": 4}
    data |= {"class_weights": "balanced", "split": {"val": 0, "test": 1}}
    with pytest.raises(ConfigError, match="is for classes and labels, not for numbers"):
        zoo.begin(zoo.config("mlp", data))


def test_changed_test_rows_move_no_bit_of_the_weights() -> None:
    names = [f"i{i:02d}.png" for i in range(24)]

    def weights(last: str) -> Any:
        rows = [
            f"{name},{'test' if i > 19 else 'train'},{last if i == 23 else i}.25"
            for i, name in enumerate(names)
        ]
        write_labels(["file,part,y", *rows], names)
        write_image(names[-1], int(last) % 250)
        data = {"name": "image_folder", "path": "pics", "labels": "labels.csv", "size": 4}
        data |= {"target": "y", "split": {"column": "part", "val": 2}}
        run = zoo.begin(zoo.config("mlp", data, name=f"r{last}"))
        zoo.finish(run)
        return run.network.state_dict()

    assert zoo.same(weights("1"), weights("90000"))


def discs(count: int = 60) -> None:
    """Images of discs, and a table of their radius, brightness and labels."""
    draw = np.random.default_rng(0)
    ys, xs = np.mgrid[:16, :16]
    lines = ["photo,radius,light,tags"]
    Path("discs").mkdir()
    for i in range(count):
        radius, light = draw.uniform(2, 7), draw.uniform(60, 250)
        inside = (xs - 8) ** 2 + (ys - 8) ** 2 < radius**2
        Image.fromarray(np.where(inside, light, 0).astype(np.uint8)).save(f"discs/{i:03d}.png")
        tags = [name for name, has in (("big", radius > 4), ("bright", light > 150)) if has]
        lines.append(f"{i:03d}.png,{radius:.3f},{light:.1f},{'|'.join(tags)}")
    Path("discs/discs.csv").write_text("\n".join(lines) + "\n")


def test_numbers_of_images_from_init_to_every_output(nnzoo: NNZOO) -> None:
    discs()
    made = nnzoo("init", "discs", "--target", "radius", "--target", "light")
    assert made.code == 0, made.err
    text = Path("discs.yaml").read_text()
    assert '  labels: "discs/discs.csv"\n  file: photo' in text and "[radius, light]" in text
    assert "numbers" in nnzoo("check", "discs.yaml").out
    small = ("-s", "model={name: cnn, channels: [4]}", "-s", "data.size=8", "-s", "train.epochs=3")
    trained = nnzoo("train", "-c", "discs.yaml", *small, "--verbose", "2")
    assert trained.code == 0, trained.err
    folder = Path("checkpoints/discs")
    result = nnzoo("eval", folder, "--json").json
    run = LoadedRun.open(folder, torch.device("cpu"))
    split = predict_split(run.network, run.prepared("test"))
    assert split.targets is not None
    for i, output in enumerate(result["per_output"]):
        truth, values = split.targets[:, i], split.values[:, i]
        assert output["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, values))
        assert output["r2"] == pytest.approx(metrics.r2_score(truth, values), abs=1e-9)
    assert nnzoo("predict", folder, "discs", "--out", "p.csv").code == 0
    frame = pandas.read_csv("p.csv").set_index("file")
    names = run.dataset.row_names["test"]
    predicted = frame.loc[[f"discs/{name}" for name in names]].to_numpy()
    np.testing.assert_allclose(predicted, split.values, rtol=1e-5)
    assert list(frame) == ["radius", "light"]
    page = nnzoo("report", folder)
    html = (folder / "report.html").read_text()
    assert page.code == 0 and "Residuals: light" in html and names[0].split("/")[0][:2] in html
    assert nnzoo("inspect", folder).code == 0


def test_labels_of_images_from_init_to_a_page(nnzoo: NNZOO) -> None:
    discs()
    made = nnzoo("init", "discs/discs.csv", "d.yaml")
    assert made.code == 0, made.err
    assert "'tags' has several labels per image" in made.err
    text = Path("d.yaml").read_text()
    assert "  target: tags    # the last column" in text and "  task: multilabel\n" in text
    small = ("-s", "model={name: mlp, hidden: [8]}", "-s", "data.size=8", "-s", "train.epochs=3")
    trained = nnzoo("train", "-c", "d.yaml", *small, "--verbose", "2")
    assert trained.code == 0, trained.err
    lines = nnzoo("predict", "checkpoints/d", "discs/000.png", "--json").out.splitlines()
    predicted = json.loads(lines[0])
    assert set(predicted["probabilities"]) == {"big", "bright"}
    assert isinstance(predicted["prediction"], list)
    page = nnzoo("report", "checkpoints/d")
    html = Path("checkpoints/d/report.html").read_text()
    assert page.code == 0 and "Per label" in html and "data:image/png" in html


def test_init_keeps_class_folders_and_other_tables(nnzoo: NNZOO) -> None:
    for name in ("x/a.png", "y/b.png"):
        write_image(name)
    Path("pics/labels.csv").write_text("file,y\nx/a.png,1\ny/b.png,2\n")
    assert nnzoo("init", "pics").code == 0
    assert "labels:" not in Path("pics.yaml").read_text()
    other = nnzoo("init", "pics", "q.yaml", "--target", "y")
    assert other.code == 2 and "has none of its images" in other.err
