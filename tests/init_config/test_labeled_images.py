"""The table of a folder of images, and the images of a table: which are found, and what a config says of them."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest
from PIL import Image

from nnzoo.errors import DataError
from nnzoo.init_config.config_file import init_config
from nnzoo.init_config.labeled_images import find_labels_file, folder_of_images
from nnzoo.init_config.target import Choices


def write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(name)


def test_a_table_of_a_folder_is_read_if_it_names_the_images_and_more() -> None:
    write("d/a.png", "d/b.png")
    folder = Path("d")
    assert find_labels_file(folder) is None
    (folder / "a.csv").write_bytes(b"\x00\xff\x00")
    (folder / "b.csv").write_text("file\na.png\nb.png\n")
    (folder / "c.csv").write_text("file,y\nx.png,1\ny.png,2\n")
    assert find_labels_file(folder) is None
    (folder / "d.csv").write_text("y,file\n1,a.png\n2,b.png\n")
    assert find_labels_file(folder) == folder / "d.csv"
    for name in ("my_labels.csv", "train.csv"):  # before those of other names
        (folder / name).write_text("y,file\n1,a.png\n2,b.png\n")
        assert find_labels_file(folder) == folder / name


def test_images_of_a_table_are_beside_it_or_in_a_folder_there() -> None:
    write("d/train/7.png", "d/train/8.png", "d/other/9.jpg")
    path = Path("d/t.csv")
    ids = pandas.DataFrame({"id": ["7", "8"], "y": ["1", "2"]})
    assert folder_of_images(ids, path) == Path("d/train").resolve()
    assert folder_of_images(ids[["id"]], path) is None
    others = pandas.DataFrame({"id": ["17", "a\0b"], "y": ["1", "2"]})
    assert folder_of_images(others, path) is None


def test_what_cannot_train_yet_is_a_comment() -> None:
    write("d/a.png", "d/b.png")
    Path("d/l.csv").write_text("file,y\na.png,x\nb.png,x\n")
    text, notes = init_config(Path("d"), Path("c.yaml"))
    assert "cannot train yet: " in text and "has one class in the training rows" in text
    assert notes[-1].startswith("cannot train yet")
    Path("d/l.csv").write_text("file,patient\n" + "a.png,1\n" * 3)
    with pytest.raises(DataError, match="no column 'z'"):
        init_config(Path("d"), Path("c.yaml"), Choices(["z"]))


def test_a_table_whose_only_other_column_is_a_group_has_no_target() -> None:
    names = [f"d/{i:02d}.png" for i in range(20)]
    write(*names)
    lines = [f"{Path(name).name},{i // 4}" for i, name in enumerate(names)]
    Path("d/l.csv").write_text("\n".join(["file,patient_id", *lines]) + "\n")
    with pytest.raises(DataError, match="no column of targets beside the names of images"):
        init_config(Path("d"), Path("c.yaml"))
