"""The images in a folder and below it."""

from __future__ import annotations

from nnzoo.data.image_files.tree import image_paths
from tests.data.image_files.folders import write_file


def test_predict_reads_a_folder_in_the_order_of_its_names() -> None:
    for name in ("b.png", "a/2.png", "a/1.png", "c/x/0.jpg"):
        write_file(f"d/{name}")
    assert list(image_paths("d")) == ["d/a/1.png", "d/a/2.png", "d/b.png", "d/c/x/0.jpg"]
