"""The cache of decoded images holds what was written, is renewed, and is never executed."""

from __future__ import annotations

import errno
import json
import mmap
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnzoo.cache import cache_dir
from nnzoo.config.split_options import GroupSplit
from nnzoo.data import dataset as dataset_module
from nnzoo.data.dataset import TensorSplit
from nnzoo.data.image_files import cache, decode_pool
from nnzoo.data.image_files.decode import decode_image
from tests.data.image_files.folders import (
    load,
    load_rows,
    make_folder,
    paint,
    pixels,
    refused,
    save_pixels,
    whole,
    write_colors,
)


def test_pages_that_go_back_to_the_system_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder()
    pixels = whole()[0].clone()
    monkeypatch.setattr(dataset_module.MappedFile, "RESIDENT", 0)
    split = load(split=GroupSplit(val=0, test=0)).splits["train"]
    assert isinstance(split, TensorSplit) and split.pages is not None
    for row in range(len(split)):
        assert torch.equal(split.batch(torch.tensor([row]))[0][0], pixels[row])
        assert split.pages.touched == 0


def test_a_cache_larger_than_memory_is_only_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(mmap.mmap):
        def __new__(cls, descriptor: int, length: int, *, access: int) -> Any:
            if access == mmap.ACCESS_COPY:
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
            return super().__new__(cls, descriptor, length, access=access)

    make_folder()
    before = whole()[0].clone()
    monkeypatch.setattr(mmap, "mmap", Refusing)
    assert torch.equal(whole()[0], before)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images that were decoded, in their order."""
    seen: list[Path] = []

    def record(file: Path, *arguments: Any) -> np.ndarray:
        seen.append(file)
        return decode_image(file, *arguments)

    monkeypatch.setattr(decode_pool, "decode_image", record)
    return seen


def test_the_second_reading_comes_from_the_cache(decoded: list[Path]) -> None:
    make_folder()
    first = whole()
    assert len(decoded) == 8
    again = whole()
    assert len(decoded) == 8
    assert torch.equal(first[0], again[0])


@pytest.mark.parametrize("change", ["content", "new file", "size", "gray"])
def test_the_cache_is_made_anew_where_anything_changed(change: str, decoded: list[Path]) -> None:
    make_folder()
    first = whole()[0]
    if change == "content":
        paint("pics/red/0.png", (9, 9, 9))
        os.utime("pics/red/0.png", ns=(1, 1))
    elif change == "new file":
        paint("pics/red/new.png")
    options: dict[str, dict[str, Any]] = {"size": {"size": 5}, "gray": {"color": False}}
    second = whole(**options.get(change, {}))[0]
    assert len(decoded) == (17 if change == "new file" else 16)
    if change == "content":
        assert (second[4] == 9).all()
        assert torch.equal(second[:4], first[:4])


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY rubbish", b"rubbish"])
def test_a_damaged_cache_is_made_anew(content: bytes) -> None:
    make_folder()
    first = whole()[0].clone()
    (cache,) = cache_dir().glob("*.npy")
    cache.unlink()  # a new file: the old one may still be mapped
    cache.write_bytes(content)
    assert torch.equal(whole()[0], first)


def test_writing_into_the_rows_never_changes_the_cache() -> None:
    make_folder()
    before = whole()[0].clone()
    split = load(split=GroupSplit(val=0, test=0)).splits["train"]
    assert isinstance(split, TensorSplit)
    split.x.fill_(7)
    assert torch.equal(whole()[0], before)


def test_a_cache_that_cannot_be_written_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder()
    Path("file").touch()
    monkeypatch.setenv("NNZOO_CACHE", "file/below")
    assert refused() == (
        "cannot write the image cache file/below: Not a directory; NNZOO_CACHE names another folder"
    )


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="only where space can be reserved")
def test_a_full_disk_is_reported_before_anything_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    make_folder()
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert refused().endswith("No space left on device; NNZOO_CACHE names another folder")
    assert {path.name for path in cache_dir().glob("*")} <= {"native"}


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNZOO_CACHE", "mine")
    assert cache_dir() == Path("mine")
    monkeypatch.delenv("NNZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/nnzoo")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "nnzoo"


def test_a_cache_goes_by_a_hash_and_nothing_in_it_is_run() -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (Path("evil"),))

    make_folder("pics;..$x")
    first = load("pics;..$x").splits["train"].tensors()[0]
    (cached,) = Path("cache").glob("*.npy")
    assert re.fullmatch(r"[0-9a-f]{32}\.npy", cached.name)
    np.save(cached, np.array([Evil()], dtype=object), allow_pickle=True)
    assert torch.equal(load("pics;..$x").splits["train"].tensors()[0], first)
    assert not Path("evil").exists()


@pytest.mark.parametrize("damage", ["zeroed", "one byte", "cut", "no metadata", "metadata zeroed"])
def test_a_cache_that_does_not_hold_what_was_written_is_made_anew_and_said(damage: str) -> None:
    write_colors()
    before = load_rows().splits["train"].tensors()[0].clone()
    (path,) = cache_dir().glob("*.npy")
    (metadata,) = cache_dir().glob("*.json")
    target = metadata if "metadata" in damage else path
    content = bytearray(target.read_bytes())
    target.unlink()  # a new file: the old one may still be mapped
    if damage == "zeroed":
        content[128:] = bytes(len(content) - 128)
    elif damage == "one byte":
        content[-1] ^= 1
    elif damage == "cut":
        content = content[:-40]
    elif damage == "metadata zeroed":
        content = bytearray(len(content))
    if damage != "no metadata":
        target.write_bytes(content)
    dataset = load_rows()
    assert torch.equal(dataset.splits["train"].tensors()[0], before)
    assert dataset.notes == ["the image cache was damaged or incomplete: decoded anew"]
    assert load_rows().notes == []


def test_an_image_replaced_by_one_of_equal_size_and_time_is_seen() -> None:
    for label in ("a", "b"):
        save_pixels(f"d/{label}/0.bmp", np.full((4, 4, 3), 10, np.uint8))
    assert pixels(load_rows()) == [10, 10]
    stat = os.stat("d/b/0.bmp")
    time.sleep(0.02)  # of the clock that file systems use
    save_pixels("new.bmp", np.full((4, 4, 3), 200, np.uint8))
    os.replace("new.bmp", "d/b/0.bmp")
    os.utime("d/b/0.bmp", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert os.stat("d/b/0.bmp").st_size == stat.st_size
    assert pixels(load_rows()) == [10, 200]


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_kept() -> None:
    write_colors()
    cache_dir().mkdir(exist_ok=True)
    old = time.time() - 3600
    for name in ("left.1.tmp", "young.2.tmp", "used.3.tmp"):
        path = cache_dir() / name
        path.write_bytes(b"x")
        os.utime(path, None if "young" in name else (old, old))
    with (cache_dir() / "used.3.tmp").open("rb") as file:
        cache.fcntl.flock(file, cache.fcntl.LOCK_EX)  # type: ignore[union-attr]
        load_rows()
    left = {path.name for path in cache_dir().glob("*.tmp")}
    assert left == {"young.2.tmp", "used.3.tmp"}


def test_skipped_images_leave_no_rows_and_the_cache_remembers_them() -> None:
    write_colors()
    whole = load_rows().splits["train"].tensors()
    for name in ("a/0", "a/4", "b/5"):
        Path(f"d/{name}.png").write_bytes(b"no image")
    kept = [i for i in range(12) if i not in (0, 4, 11)]
    for _ in range(2):
        dataset = load_rows(broken="skip")
        x, y = dataset.splits["train"].tensors()
        assert torch.equal(x, whole[0][kept])
        assert torch.equal(y, whole[1][kept])
        assert dataset.notes[0].startswith("left out: 3 broken images (data.broken: skip): a/0.png")
    with pytest.raises(Exception, match="3 of 12 images are broken"):
        load_rows()


def test_what_the_cache_remembers_is_plain_json() -> None:
    write_colors()
    load_rows()
    (metadata,) = cache_dir().glob("*.json")
    assert json.loads(metadata.read_text()).keys() == {"report", "kept", "files", "bits", "digests"}
