"""Images with a table of files and targets: which image a row means, what is left out, and every task to its outputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
from nnzoo.data.dataset import Dataset
from nnzoo.data.image_folder import load_folder
from nnzoo.errors import ConfigError, DataError
from nnzoo.predict.predictions import predict_split
from nnzoo.runs.loaded_run import LoadedRun
from tests import zoo

NNZOO = Callable[..., Any]
ALL = GroupSplit(val=0, test=0)
NAMES = ["a.png", "b.png", "sub/c.png", "sub/d.png"]


def write(name: str, value: int = 0, size: int = 6) -> None:
    """A grey image in the folder `pics`."""
    path = Path("pics") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size), value, np.uint8)).save(path)


def table(lines: Sequence[str], names: Sequence[str] = NAMES, path: str = "labels.csv") -> None:
    """A table of these lines, and an image of each name, brighter one by one."""
    for i, name in enumerate(names):
        write(name, (20 * i + 20) % 256)
    Path(path).write_text("\n".join(lines) + "\n")


def load(**options: Any) -> Dataset:
    values: dict[str, Any] = {"path": "pics", "labels": "labels.csv", "size": 4, "color": False}
    return load_folder(
        ImageFolderOptions(name="image_folder", **(values | {"split": ALL} | options))
    )


def refused(**options: Any) -> str:
    with pytest.raises(DataError) as error:
        load(**options)
    return str(error.value)


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        ["a", "b", "sub/c", "sub/d"],
        ["a.png", "b", "c.png", "d"],
        ["A.PNG", "B", "Sub/c.PNG", "D"],
        ["sub\\..\\a.png", "./b.png", "sub//c.png", "pics/sub/d.png"],
    ],
)
def test_names_may_lack_folder_and_extension(names: list[str]) -> None:
    rows = [f"{name},{i}.5" for i, name in enumerate(names)]
    table(["file,y", *rows])
    dataset = load()
    assert (dataset.spec.task, dataset.spec.targets) == ("regression", ["y"])
    assert dataset.spec.input.shape == (1, 4, 4)
    split = dataset.splits["train"]
    assert split.targets().tolist() == [[0.5], [1.5], [2.5], [3.5]]
    assert split.tensors()[0][:, 0, 0, 0].tolist() == [20, 40, 60, 80]
    assert dataset.row_names["train"] == NAMES
    absolute = Path("pics/a.png").resolve()
    Path("labels.csv").write_text(f"y,file\n1.5,{absolute}\n2.5,b\n3.5,c.png\n")
    assert load(task="regression").splits["train"].targets().tolist() == [[1.5], [2.5], [3.5]]


def test_what_is_left_out_is_counted_and_named() -> None:
    lines = [
        "file;who;y",
        "a.png;u;1,5",
        "b.png;u;2,5",
        "gone.png;v;3",
        "sub/c.png;v;",
        "a.png;u;1,5",
    ]
    table(lines)
    Path("pics/notes.txt").write_text("mine")
    write("._hidden.png")
    dataset = load(target="y")
    assert dataset.splits["train"].targets().tolist() == [[1.5], [2.5]]
    assert dataset.notes[:6] == [
        "left out: 1 row of labels.csv whose image is not there ('gone.png')",
        "left out: 1 image that labels.csv does not name (sub/d.png)",
        "left out: 1 file that is no image by the name (.txt 1; such as notes.txt)",
        "left out: 1 hidden or system file or folder (._hidden.png)",
        "left out: 1 row of labels.csv with an image of an earlier one, the same in all columns (a.png)",
        "labels.csv: 1 of 3 rows have no target 'y' and are left out, first data row 4",
    ]
    assert "not used: 'who'; the network sees the images alone" in dataset.notes


def test_a_first_row_with_an_image_is_no_header() -> None:
    table([f"{name};{i},5" for i, name in enumerate(NAMES)])
    dataset = load()
    assert dataset.spec.targets == ["1"]
    assert dataset.splits["train"].targets().flatten().tolist() == [0.5, 1.5, 2.5, 3.5]
    Path("labels.csv").write_bytes("file,y\na,größe\nb,klein\n".encode("cp1252"))
    assert "data.encoding" in refused() and load(encoding="cp1252").spec.labels == [
        "größe",
        "klein",
    ]


@pytest.mark.parametrize(
    "lines, options, message",
    [
        (
            ["file,y", "../a.png,1", "b,2"],
            {"file": "file"},
            "in data row 1 leads out of the folder pics",
        ),
        (
            ["file,y", "a,1", "/etc/passwd,2"],
            {"file": "file"},
            "data row 2 leads out of the folder",
        ),
        (["file,y", "a,1", ",2"], {}, "'file' in data row 2 is empty; it should name an image"),
        (
            ["file,y", "a,1", "x,2", "y,3"],
            {"file": 0},
            "2 rows of 3 name no image in pics, such as 'x'",
        ),
        (
            ["file,y", "x,1", "y,2"],
            {},
            "no column names images in pics; name the column (data.file)",
        ),
        (["file,y", "a,1", "b,2", "a.png,3"], {}, "data rows 1 and 3 name the same image"),
        (["file,p,q", "a,1,2", "b,2,3"], {}, "which of 2 columns is the target ('p', 'q')?"),
        (["file", "a", "b"], {}, "no column of targets"),
        (["file,y", "a,1", "b,2"], {"target": "file"}, "'file' is the column of the files"),
        (["file,y", "a,1", "b,2"], {"path": "nowhere"}, "no folder nowhere"),
    ],
)
def test_rows_that_name_no_image_of_the_folder_are_refused(
    lines: list[str], options: dict[str, Any], message: str
) -> None:
    table(lines)
    assert message in refused(**options)


def test_names_of_two_images_are_refused() -> None:
    table(["file,y", "a,1", "b,2"], ["a.png", "b.png", "a.bmp"])
    assert "in data row 1 is 'a', which 2 images are called" in refused()


def test_links_out_of_the_folder_are_not_followed() -> None:
    Path("secret").mkdir()
    table(["file,y", "a,1", "b,2", "link/s.png,3"])
    Image.new("L", (4, 4)).save("secret/s.png")
    Path("pics/link").symlink_to(Path("secret").resolve(), target_is_directory=True)
    assert "('link/s.png')" in str(load().notes)


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
    write("x/a.png")
    write("y/b.png")
    message = refused(labels=None, split=GroupSplit(group="who"))
    assert "is for images with a file of labels (data.labels)" in message


def test_splits_go_by_groups_columns_and_duplicates() -> None:
    names = [f"i{i:02d}.png" for i in range(20)]
    rows = [
        f"{name},{i // 4},{'test' if i > 15 else 'train'},{i % 2}" for i, name in enumerate(names)
    ]
    table(["file,who,part,y", *rows], names)
    for name in ("i01.png", "i03.png"):  # equal images of one class
        write(name, 99)
    options: dict[str, Any] = {"target": "y"}
    grouped = load(**options, split=GroupSplit(group="who", val=0.2, test=0.2))
    parts = {
        part: {int(name[1:3]) // 4 for name in names} for part, names in grouped.row_names.items()
    }
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 5
    assert "column 'who' keeps groups together, and is no input" in grouped.notes
    stated = load(**options, split=GroupSplit(column="part", val=0.2))
    assert stated.row_names["test"] == names[16:] and stated.spec.labels == ["0", "1"]
    weighted = load(**options, weight="who")
    weights = weighted.splits["train"].weights
    assert weights is not None and weights.tolist() == [i // 4 for i in range(4, 20)]
    fewer = load(**options, split=ALL.model_copy(update={"duplicates": "drop"}))
    assert len(fewer.splits["train"]) == 19
    assert "1 image equals another" in str(load(**options).notes)


def test_class_folders_leave_out_copies_too() -> None:
    for i in range(6):
        write(f"{'xy'[i % 2]}/{i}.png", 10 * (i // 3))
    dataset = load(labels=None, split=ALL.model_copy(update={"duplicates": "drop"}))
    assert len(dataset.splits["train"]) == 2
    assert any(note.startswith("left out as copies") for note in dataset.notes)


def test_broken_images_are_named_or_left_out() -> None:
    table(["file,y", *(f"{name},{i}.5" for i, name in enumerate(NAMES))])
    Path("pics/b.png").write_bytes(b"no image")
    assert "b.png" in refused()
    dataset = load(broken="skip")
    assert dataset.splits["train"].targets().flatten().tolist() == [0.5, 2.5, 3.5]


def test_labels_of_test_images_alone_are_left_out() -> None:
    names = [f"i{i}.png" for i in range(6)]
    rows = [
        f"{name},{'test' if i > 3 else 'train'},{'a;b' if i % 2 else 'a'}"
        for i, name in enumerate(names)
    ]
    table(["file,part,y", *rows, "i6.png,test,a;new"], [*names, "i6.png"])
    dataset = load(target="y", task="multilabel", split=GroupSplit(column="part", val=0))
    assert dataset.spec.labels == ["a", "b"]
    assert dataset.cuts == ["labels in test rows that no training row has are left out: 'new' in 1"]


def test_weights_of_classes_are_not_for_numbers() -> None:
    table(["file,y", *(f"{name},{i}.5" for i, name in enumerate(NAMES))])
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
        table(["file,part,y", *rows], names)
        write(names[-1], int(last) % 250)
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
        write(name)
    Path("pics/labels.csv").write_text("file,y\nx/a.png,1\ny/b.png,2\n")
    assert nnzoo("init", "pics").code == 0
    assert "labels:" not in Path("pics.yaml").read_text()
    refused = nnzoo("init", "pics", "q.yaml", "--target", "y")
    assert refused.code == 2 and "has none of its images" in refused.err
