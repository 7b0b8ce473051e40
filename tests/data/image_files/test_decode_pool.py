"""Decoding in several processes, with progress."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from nnzoo.cache import cache_dir
from nnzoo.data.image_files import decode_pool
from nnzoo.status import listening
from tests.data.image_files.folders import (
    load_rows,
    make_folder,
    paint,
    refused,
    whole,
    write_colors,
)


def use_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool, "IMAGES_PER_PROCESS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_processes(monkeypatch)


def test_processes_decode_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder()
    for i in range(20):  # each another color
        paint(f"pics/red/{i}.jpg", (10 * i, 0, 255 - 10 * i))
    in_process = whole()[0].clone()
    use_processes(monkeypatch)
    monkeypatch.setenv("NNZOO_CACHE", "another")
    assert torch.equal(whole()[0], in_process)


def test_a_broken_image_is_named_by_a_process(two_processes: None) -> None:
    make_folder()
    Path("pics/red/7.png").write_bytes(b"no image")
    assert refused().startswith(f"broken image {Path('pics/red/7.png')}: cannot identify")
    assert {path.name for path in cache_dir().glob("*")} <= {"native"}


def test_a_process_that_fails_is_reported(
    two_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder()
    monkeypatch.setattr(decode_pool, "__name__", "nnzoo.data.nowhere")
    assert "decoding ended with 1: " in refused()


def test_processes_import_nothing_from_the_folder_they_start_in(two_processes: None) -> None:
    make_folder()
    Path("json.py").write_text("raise SystemExit('taken for the library')")
    assert len(whole()[0]) == 8


def test_decoding_reports_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    class Listener:
        seen: ClassVar[list[tuple[str, int | None]]] = []
        counts: ClassVar[list[int]] = []

        @contextmanager
        def status(self, text: str, total: int | None, log: bool) -> Iterator[Any]:
            self.seen.append((text, total))
            yield self.counts.append

        def notice(self, text: str) -> None:
            raise AssertionError(text)

    write_colors()
    monkeypatch.setattr(decode_pool, "PROGRESS_INTERVAL", -1)
    listener = Listener()
    with listening(listener):
        load_rows()
    assert ("decoding images", 12) in listener.seen
    assert listener.counts == list(range(1, 13))
    monkeypatch.setattr(decode_pool, "IMAGES_PER_PROCESS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    listener.seen.clear()
    with listening(listener):
        load_rows(size=5)
    assert ("decoding images", 12) in listener.seen
