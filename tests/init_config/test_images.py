"""Config files that `init` writes for folders of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.conftest import Result

NNZOO = Callable[..., Result]


def test_of_several_folders_that_could_be_the_data_the_others_are_named(nnzoo: NNZOO) -> None:
    for root in ("raw", "augmented", "cropped"):
        for split in ("train", "val"):
            for label in ("cat", "dog"):
                folder = Path("pets", root, split, label)
                folder.mkdir(parents=True)
                for i in range(3):
                    Image.new("RGB", (8, 8), (40 * i, 10, 200)).save(folder / f"{i}.png")
    result = nnzoo("init", "pets")
    assert result.code == 0
    line = "left out: cropped/, raw/ beside augmented/"
    assert line in result.err and f"# {line}\n" in Path("pets.yaml").read_text()
