"""Odd things in the place of a run's files: a pipe, a link to a device, half of a file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nnzoo.file_io import parse_json, parse_rows, read_plain
from nnzoo.runs.run import RunOptions, open_run
from nnzoo.runs.train import save, train
from nnzoo.training import autotune
from nnzoo.training.trainer import EpochEnd

pytestmark = pytest.mark.usefixtures("no_figure_layout")

NNZOO = Callable[..., Any]
TEXT = "data: digits\nmodel: {name: mlp, hidden: [4]}\ntrain: {epochs: EPOCHS, precision: fp32}\n"


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """A command that waits for a pipe fails instead of standing still."""

    def late(*_: Any) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def train_to(nnzoo: NNZOO, epochs: int, *more: str) -> Any:
    Path("r.yaml").write_text(TEXT.replace("EPOCHS", str(epochs)))
    return nnzoo("train", "r.yaml", "-v", "2", *more)


RUN = Path("checkpoints/r")
FILES = [".lock", "config.yaml", "metrics.jsonl", "result.json", "last.pt", "best.pt"]


def put(path: Path, what: str) -> None:
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
@pytest.mark.parametrize("name", FILES)
def test_nothing_waits_for_a_pipe_or_reads_a_device_to_its_end(
    name: str, what: str, nnzoo: NNZOO
) -> None:
    assert train_to(nnzoo, 1).code == 0
    put(RUN / name, what)
    for words in (["runs"], ["report", RUN], ["eval", RUN]):
        result = nnzoo(*words)
        assert result.code in (0, 5), result.err
        assert "internal error" not in result.err
    result = train_to(nnzoo, 2)
    assert result.code in (0, 5), result.err
    assert "internal error" not in result.err


@pytest.mark.parametrize("what", ["pipe", "device"])
def test_a_group_and_a_cache_of_such_files(
    what: str, nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train_to(nnzoo, 1, "--seeds", "2").code == 0
    put(Path("checkpoints/r-seeds/summary.json"), what)
    assert nnzoo("runs").code == 0
    assert train_to(nnzoo, 1, "--seeds", "2").code == 0
    cached = Path("tuned.json")
    put(cached, what)
    assert autotune._read_cache(cached, [("fp32", 1)]) is None


def test_at_most_what_is_asked_for_is_read() -> None:
    Path("big").write_bytes(b"x" * 100)
    assert read_plain(Path("big"), 10) == b"x" * 10
    for path in ("/dev/zero", "/dev/null", "."):
        with pytest.raises(OSError):
            read_plain(Path(path), 10)


def test_numbers_of_any_length_are_numbers(nnzoo: NNZOO) -> None:
    assert parse_json("9" * 400) == float("inf")
    assert parse_json("[12, -9000000000000000000, 1.5]") == [12, -9_000_000_000_000_000_000, 1.5]
    with pytest.raises(ValueError, match="nested"):
        parse_json("[" * 100_000)
    assert train_to(nnzoo, 1).code == 0
    long = "9" * 400
    (RUN / "result.json").write_text(
        f'{{"state": "complete", "best": {{"epoch": {long}, "value": {long}}},'
        f' "test": {{"accuracy": {long}, "rmse": -{long}}}}}'
    )
    (RUN / "metrics.jsonl").write_text(f'{{"epoch": {long}, "val_loss": {long}}}\n')
    for words in (["runs"], ["runs", "--json"], ["report", RUN], ["runs", "--sort", "age"]):
        result = nnzoo(*words)
        assert result.code == 0, result.err
    (RUN / "metrics.jsonl").write_text(
        f'{{"epoch": 1, "val_loss": {long}, "train_loss": {long}}}\n'
    )
    for words in (["runs"], ["report", RUN]):
        assert nnzoo(*words).code == 0
    assert train_to(nnzoo, 2).code == 0


# metrics.jsonl


def test_rows_are_all_lines_but_bad_ones_and_a_last_one_that_was_cut_short() -> None:
    good = [b'{"epoch": %d, "x": 1}' % i for i in range(1, 5)]
    assert parse_rows(b"\n".join(good) + b"\n")[1] == []
    rows, bad = parse_rows(b"\n".join(good) + b'\n{"epoch": 5, "x"')
    assert ([row["epoch"] for row in rows], bad) == ([1, 2, 3, 4], [])
    rows, bad = parse_rows(
        b"\n".join([good[0], b"\x00\xff\x00", good[1], b"[1]", b"", good[2]]) + b"\n"
    )
    assert ([row["epoch"] for row in rows], bad) == ([1, 2, 3], [2, 4, 5])
    assert parse_rows(b"") == ([], [])


def test_good_lines_behind_garbage_stay_and_the_file_is_kept_and_said(nnzoo: NNZOO) -> None:
    assert train_to(nnzoo, 4).code == 0
    lines = (RUN / "metrics.jsonl").read_bytes().split(b"\n")
    damaged = b"\n".join([lines[0], b"\x00" * 40, *lines[2:]])
    (RUN / "metrics.jsonl").write_bytes(damaged)
    result = train_to(nnzoo, 5)
    assert result.code == 0
    assert (
        "checkpoints/r/metrics.jsonl: a line cannot be read (line 2); left out, and the file as it was "
        "is kept as metrics.damaged.jsonl"
    ) in result.err
    epochs = [
        json.loads(line)["epoch"] for line in (RUN / "metrics.jsonl").read_text().splitlines()
    ]
    assert epochs == [1, 3, 4, 5]
    assert (RUN / "metrics.damaged.jsonl").read_bytes() == damaged
    assert "cannot be read" not in train_to(nnzoo, 6).err


def test_metrics_are_on_the_disk_before_the_checkpoint_that_counts_on_them(
    nnzoo: NNZOO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the system's calls: a line is written, the file is synced, last.pt takes its
    name."""
    import torch

    from nnzoo.config.load import load_config

    Path("r.yaml").write_text(TEXT.replace("EPOCHS", "3"))
    run = open_run(load_config("r.yaml"), RunOptions(Path("checkpoints"), torch.device("cpu")))
    calls: list[str] = []
    fsync, replace, write = os.fsync, os.replace, os.write

    def name(descriptor: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}")).name

    def sync_noted(fd: int) -> None:
        calls.append(f"sync {name(fd)}")
        fsync(fd)

    def write_noted(fd: int, data: bytes) -> int:
        calls.append(f"write {name(fd)}")
        return write(fd, data)

    def replace_noted(old: Path, new: Path) -> None:
        calls.append(f"name {Path(new).name}")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", sync_noted)
    monkeypatch.setattr(os, "write", write_noted)
    monkeypatch.setattr(os, "replace", replace_noted)
    for event in train(run):
        if isinstance(event, EpochEnd):
            calls.append("epoch")
    save(run)
    for i, call in enumerate(calls):
        if call == "name last.pt":
            before = calls[:i]
            written = len(before) - 1 - before[::-1].index("write metrics.jsonl")
            assert "sync metrics.jsonl" in before[written:]
    assert calls.count("name last.pt") >= 2
