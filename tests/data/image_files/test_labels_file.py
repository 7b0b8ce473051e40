"""A table of images and targets: which image a row means, and what is left out or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas
import pytest
from PIL import Image

from nnzoo.data.image_files.labels_file import ImageIndex, find_file_column
from tests.data.image_files.labeled import (
    NAMES,
    load_images,
    refused_images,
    write_image,
    write_labels,
)


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
    write_labels(["file,y", *rows])
    dataset = load_images()
    assert (dataset.spec.task, dataset.spec.targets) == ("regression", ["y"])
    assert dataset.spec.input.shape == (1, 4, 4)
    split = dataset.splits["train"]
    assert split.targets().tolist() == [[0.5], [1.5], [2.5], [3.5]]
    assert split.tensors()[0][:, 0, 0, 0].tolist() == [20, 40, 60, 80]
    assert dataset.row_names["train"] == NAMES
    absolute = Path("pics/a.png").resolve()
    Path("labels.csv").write_text(f"y,file\n1.5,{absolute}\n2.5,b\n3.5,c.png\n")
    assert load_images(task="regression").splits["train"].targets().tolist() == [
        [1.5],
        [2.5],
        [3.5],
    ]


def test_what_is_left_out_is_counted_and_named() -> None:
    lines = [
        "file;who;y",
        "a.png;u;1,5",
        "b.png;u;2,5",
        "gone.png;v;3",
        "sub/c.png;v;",
        "a.png;u;1,5",
    ]
    write_labels(lines)
    Path("pics/notes.txt").write_text("mine")
    write_image("._hidden.png")
    dataset = load_images(target="y")
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
    write_labels([f"{name};{i},5" for i, name in enumerate(NAMES)])
    dataset = load_images()
    assert dataset.spec.targets == ["1"]
    assert dataset.splits["train"].targets().flatten().tolist() == [0.5, 1.5, 2.5, 3.5]
    Path("labels.csv").write_bytes("file,y\na,größe\nb,klein\n".encode("cp1252"))
    assert "data.encoding" in refused_images() and load_images(encoding="cp1252").spec.labels == [
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
    write_labels(lines)
    assert message in refused_images(**options)


def test_names_of_two_images_are_refused() -> None:
    write_labels(["file,y", "a,1", "b,2"], ["a.png", "b.png", "a.bmp"])
    assert "in data row 1 is 'a', which 2 images are called" in refused_images()


def test_links_out_of_the_folder_are_not_followed() -> None:
    Path("secret").mkdir()
    write_labels(["file,y", "a,1", "b,2", "link/s.png,3"])
    Image.new("L", (4, 4)).save("secret/s.png")
    Path("pics/link").symlink_to(Path("secret").resolve(), target_is_directory=True)
    assert "('link/s.png')" in str(load_images().notes)


@pytest.fixture
def index() -> ImageIndex:
    for name in ("a.png", "b.bmp", "sub/c.png", "sub/a.png", "Sub2/D.PNG"):
        write_image(name)
    return ImageIndex("pics", "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", ["a.png"]),
        (" a.png ", ["a.png"]),
        ("sub/a", ["sub/a.png"]),
        ("sub\\a.png", ["sub/a.png"]),
        ("b", ["b.bmp"]),
        ("a", ["a.png"]),
        ("c.png", ["sub/c.png"]),
        ("d.png", ["Sub2/D.PNG"]),
        ("SUB2/d", ["Sub2/D.PNG"]),
        ("pics/b.bmp", ["b.bmp"]),
        ("b.png", []),
        ("", []),
        ("sub", []),
    ],
)
def test_an_index_finds_images_by_the_most_exact_name(
    index: ImageIndex, name: str, expected: list[str]
) -> None:
    assert index.find(name) == [f"pics/{one}" for one in expected]


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("a.png", False),
        ("../a.png", True),
        ("sub/../a.png", False),
        ("sub/../../a.png", True),
        ("..\\a.png", True),
        ("/etc/passwd", True),
        ("a..png", False),
        ("../pics/a.png", False),
    ],
)
def test_names_that_lead_out_are_known(index: ImageIndex, name: str, outside: bool) -> None:
    assert index.is_outside(name) is outside


def test_a_folder_beside_with_the_same_beginning_is_outside(index: ImageIndex) -> None:
    Path("pics2").mkdir()
    assert index.is_outside("../pics2/a.png")
    assert index.is_outside(str(Path("pics2/a.png").resolve()))
    assert not index.is_outside(str(Path("pics/a.png").resolve()))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": [1, 2, 3], "f": ["a.png", "sub/c.png", "b.bmp"]}, "f"),
        ({"f": ["a.png", "sub/c.png", "gone.png"], "g": ["a.png", "b.bmp", "sub/c.png"]}, "g"),
        ({"f": ["b", "c", "gone"]}, None),
        ({"f": ["b", "sub/c", "D"]}, "f"),
        ({"f": ["x.png", "y.png", "b.bmp"]}, None),
        ({"f": [None, None, None], "g": [0.5, 1.5, 2.5]}, None),
    ],
)
def test_the_column_of_files_is_that_of_most_images(
    index: ImageIndex, columns: dict[str, Any], expected: str | None
) -> None:
    assert find_file_column(pandas.DataFrame(columns), index) == expected
