"""Checkpoints: the round trip, damage, hostile content, and files of each released format."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.errors import CheckpointError, DamagedError
from nnzoo.runs import checkpoint
from tests.zoo import begin, config, finish, same

FORMATS = Path(__file__).parents[1] / "formats"
CONTENT = {
    "a": torch.arange(6.0).view(2, 3),
    "b": [1, None, "c", -(2**40), 0.1, True, (2,)],
    "d": {},
}


def archive(pickled: bytes, compression: int = zipfile.ZIP_STORED, **more: bytes) -> bytes:
    """A zip archive as torch lays it out, around a pickle of one's own."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/byteorder", b"little")
        for name, data in more.items():
            file.writestr(f"archive/{name.replace('_', '/')}", data)
        file.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def hostile(name: str, data: bytes, version: int = checkpoint.FORMAT) -> Path:
    """A file that is sealed as nnzoo seals its own: anyone can."""
    path = Path(f"{name}.pt")
    path.write_bytes(checkpoint.append_checksum(data, version))
    return path


# The round trip.


def test_a_checkpoint_comes_back_as_it_was_and_opens_with_torch_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    checkpoint.save(path, CONTENT)
    assert same(checkpoint.load(path), {"format": 1, **CONTENT})
    assert same(torch.load(path, weights_only=True), {"format": 1, **CONTENT})
    assert [path.name for path in tmp_path.glob("x*")] == ["x.pt"]


def test_a_view_is_stored_without_what_it_looks_into(tmp_path: Path) -> None:
    large = torch.arange(100_000.0)
    for view in (large[5:9], large[::20_000], large[:6].view(2, 3).T, torch.ones(1).expand(4)):
        checkpoint.save(tmp_path / "x.pt", {"view": view})
        assert torch.equal(checkpoint.load(tmp_path / "x.pt")["view"], view)
        assert (tmp_path / "x.pt").stat().st_size < 10_000


def test_a_released_format_goes_on_bit_exactly() -> None:
    """Each folder of tests/formats holds a run stopped inside its second epoch, and how it ended."""
    folders = [path for path in FORMATS.iterdir() if path.is_dir()]
    assert {folder.name for folder in folders} == {str(i + 1) for i in range(checkpoint.FORMAT)}
    for folder in folders:
        shutil.copytree(folder / "run", f"out{folder.name}/run")
        kept = json.loads((folder / "facts.json").read_text())
        run = begin(config(**kept["config"]), f"out{folder.name}")
        assert run.trainer.state.step == kept["step"]
        rows = finish(run)
        ended = checkpoint.load(folder / "ended.pt")
        trainer = run.trainer.state_dict()
        trainer["position"].pop("elapsed")
        now: dict[str, Any] = {
            "model": dict(run.network.model.state_dict()),
            "best": run.trainer.best_weights,
            "rows": rows,
            "trainer": trainer,
        }
        if kept["machine"] == [str(torch.__version__), torch.backends.cpu.get_cpu_capability()]:
            assert same(now, {name: ended[name] for name in now})
        else:  # other kernels round otherwise
            for name, tensor in ended["model"].items():
                torch.testing.assert_close(now["model"][name], tensor, atol=1e-5, rtol=1e-4)


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    checkpoint.save(path, {"x": 1})
    before = path.read_bytes()
    for content, reason in (
        ({"x": [0] * 100_001}, "it holds more than 100,000 values"),
        ({"x": 2**63}, "a number is too large"),
        ({"x": b"bytes"}, "it holds a bytes"),
    ):
        with pytest.raises(CheckpointError, match=f"this cannot be saved: {reason}"):
            checkpoint.save(path, content)
        assert path.read_bytes() == before


# Damage.


def test_every_flipped_bit_and_every_cut_is_seen() -> None:
    path = Path("x.pt")
    checkpoint.save(path, {"a": torch.arange(3)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match=r"cut short|checksum"):
            checkpoint.load(path)
    for place in range(len(whole)):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :]
        )
        with pytest.raises(DamagedError):
            checkpoint.load(path)
    path.write_bytes(whole)
    assert checkpoint.load(path)


def test_what_is_no_checkpoint_is_named(
    nnzoo: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"format": 1, "model": {}}, "plain.pt")
    Path("text.pt").write_text("not a checkpoint")
    Path("cnn.yaml").write_text("data: digits\nmodel: cnn\n")
    Path("folder.pt").mkdir()
    for name, message in (
        ("plain.pt", "plain.pt is cut short, was changed, or is not a checkpoint of nnzoo"),
        ("text.pt", "text.pt is cut short, was changed, or is not a checkpoint of nnzoo"),
        ("cnn.yaml", "cnn.yaml is a config, no checkpoint; nnzoo eval --config cnn.yaml"),
        ("none.pt", "no checkpoint none.pt"),
        ("folder.pt", "folder.pt holds no best.pt; train first"),
    ):
        result = nnzoo("eval", name)
        assert (result.code, message in result.err) == (5, True), result.err
    with pytest.raises(CheckpointError, match="is a folder"):
        checkpoint.load(tmp_path)
    with monkeypatch.context() as patched:

        def full(*arguments: Any) -> Any:
            os.close(arguments[0])
            raise MemoryError

        patched.setattr(checkpoint, "open", full, raising=False)
        with pytest.raises(CheckpointError, match=r"text\.pt is larger than the memory"):
            checkpoint.load(Path("text.pt"))
    os.mkfifo("pipe.pt")
    with pytest.raises(CheckpointError, match="is not a file"):
        checkpoint.load(Path("pipe.pt"))


def test_a_file_that_cannot_be_read_is_not_taken_for_damaged(monkeypatch: Any) -> None:
    run = begin(config(train={"epochs": 2}))
    finish(run)
    for error, kind in ((5, DamagedError), (13, CheckpointError)):

        def refuse(*arguments: Any, error: int = error) -> int:
            raise OSError(error, os.strerror(error))

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", refuse)
            with pytest.raises(CheckpointError, match=r"cannot read out/run/last\.pt") as raised:
                checkpoint.load(run.folder.last)
        assert type(raised.value) is kind
    # A newer nnzoo's file is left alone: going back would write over it.
    data = run.folder.last.read_bytes()
    plain = torch.load(run.folder.last, weights_only=True)
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    run.folder.last.write_bytes(checkpoint.append_checksum(buffer.getvalue(), 99))
    with pytest.raises(CheckpointError, match=r"newer nnzoo \(format 99, this one reads up to 1\)"):
        begin(config(train={"epochs": 3}))
    run.folder.last.write_bytes(data)
    begin(config(train={"epochs": 3})).lock.release()


def test_a_damaged_best_pt_is_answered_from_last_pt(nnzoo: Callable[..., Any]) -> None:
    run = begin(config(train={"epochs": 2, "save_every": "1 epoch"}))
    finish(run)
    whole = nnzoo("eval", "out/run", "--json").json
    run.folder.best.write_bytes(b"")
    for broken, file in ((None, "last.pt"), (run.folder.last, "previous.pt")):
        if broken:
            broken.write_bytes(b"")
        result = nnzoo("eval", "out/run", "--json")
        assert result.code == 0
        assert f"the best weights come from out/run/{file}" in result.err
        if not broken:
            assert result.json | {"checkpoint": ""} == whole | {"checkpoint": ""}
    result = nnzoo("eval", "out/run", "--weights", "last")
    assert "going back to out/run/previous.pt" in result.err
    run.folder.previous.write_bytes(b"")
    assert nnzoo("eval", "out/run").code == 5


# Hostile content under a right checksum.


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("owned"),))


def shared_lists(depth: int) -> bytes:
    """A pickle whose list holds one list twice, and that one another twice, and so on."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]
    return pickle.dumps({"x": value}, protocol=2)


def tensor_of(size: str) -> bytes:
    """The pickle of a tensor that claims more elements than its storage has."""
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(7, 3)}, buffer)
    with zipfile.ZipFile(io.BytesIO(buffer.getvalue())) as file:
        pickled = file.read("archive/data.pkl")
    return pickled.replace(b"K\x07K\x03\x86", size.encode("latin-1") + b"K\x03\x86", 1)


def honest(**more: bytes) -> bytes:
    """The archive of one tensor, with more entries than torch makes."""
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(7, 3)}, buffer)
    with zipfile.ZipFile(buffer, "a") as file:
        for name, data in more.items():
            file.writestr(f"archive/{name.replace('_', '/')}", data)
    return buffer.getvalue()


def directory(archive: bytes, entry: int, field: int, value: int) -> bytes:
    """An archive with a number of two bytes changed in its directory's entry."""
    place = -1
    for _ in range(entry + 1):
        place = archive.index(b"PK\x01\x02", place + 1)
    return archive[: place + field] + struct.pack("<H", value) + archive[place + field + 2 :]


PLAIN = "it holds more than tensors and plain values"
RUN = "which is never run"
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "code": (
        lambda: archive(pickle.dumps({"x": Evil()}, protocol=2)),
        f"it names __builtin__.getattr, {RUN}",
    ),
    "os.system": (
        lambda: archive(b"\x80\x02cposix\nsystem\nX\x0b\x00\x00\x00touch owned\x85R."),
        f"it names posix.system, {RUN}",
    ),
    "a long name": (
        lambda: archive(b"\x80\x02c" + b"a" * 200 + b"\nb\n)R."),
        f"it names {'a' * 80}, {RUN}",
    ),
    "eval": (
        lambda: archive(b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R."),
        f"it names __builtin__.eval, {RUN}",
    ),
    "inst": (lambda: archive(b"(S'touch owned'\nios\nsystem\n."), f"{PLAIN} (STRING)"),
    "stack global": (lambda: archive(pickle.dumps(Path.touch, protocol=4)), f"{PLAIN} (FRAME)"),
    "bytearray": (
        lambda: archive(b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."),
        f"it names __builtin__.bytearray, {RUN}",
    ),
    "sparse": (
        lambda: archive(b"\x80\x02ctorch._utils\n_rebuild_sparse_tensor\n)R."),
        f"it names torch._utils._rebuild_sparse_tensor, {RUN}",
    ),
    "extension": (lambda: archive(b"\x80\x02\x82\x01."), f"{PLAIN} (EXT1)"),
    "many values": (lambda: archive(shared_lists(40)), "it holds more than 100,000 values"),
    "many opcodes": (
        lambda: archive(pickle.dumps([0] * 10**6, protocol=2)),
        "it holds more than 100,000 values",
    ),
    "deep": (
        lambda: archive(b"\x80\x02" + b"]" * 500 + b"a" * 499 + b"."),
        "it is deeper than 20 levels",
    ),
    "long": (lambda: archive(pickle.dumps({"x": 1 << 900}, protocol=2)), "a number is too large"),
    "set": (
        lambda: archive(pickle.dumps({"x": {1}}, protocol=2)),
        f"it names __builtin__.set, {RUN}",
    ),
    "packed": (
        lambda: archive(pickle.dumps({"x": "y" * 10**7}, protocol=2), zipfile.ZIP_DEFLATED),
        "it is compressed",
    ),
    "encrypted": (lambda: directory(honest(), 0, 8, 1), "it is compressed"),
    "empty": (lambda: archive(b""), "torch cannot read it"),
    "no archive": (lambda: b"PK\x05\x06" + bytes(18), "it has no list of its content"),
    "no dictionary": (lambda: archive(pickle.dumps([1], protocol=2)), "it holds no dictionary"),
    "two pickles": (lambda: honest(**{"sub_data.pkl": b""}), "it has no list of its content"),
    "one name twice": (lambda: honest(**{"DATA_0": bytes(84)}), "its entries overlap"),
    "claims more": (
        lambda: archive(tensor_of("J\xff\xff\xff\x0f"), data_0=bytes(84)),
        "torch cannot read it",
    ),
    "claims less": (
        lambda: archive(tensor_of("K\x02"), data_0=bytes(84)),
        "a tensor is not stored as one block",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content_is_refused_in_one_message_and_runs_nothing(name: str) -> None:
    make, reason = HOSTILE[name]
    with pytest.raises(DamagedError) as raised:
        checkpoint.load(hostile("evil", make()))
    assert str(raised.value) == f"evil.pt is not a checkpoint of nnzoo: {reason}"
    assert not Path("owned").exists()


def test_torch_is_asked_for_weights_alone_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second wall, should ours have a hole."""
    asked: dict[str, Any] = {}
    real = torch.load
    checkpoint.save(Path("x.pt"), CONTENT)

    def load(file: Any, **how: Any) -> Any:
        asked.update(how)
        return real(file, **how)

    monkeypatch.setattr(torch, "load", load)
    checkpoint.load(Path("x.pt"))
    assert asked == {"map_location": "cpu", "weights_only": True}


def test_bounds_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(checkpoint.MAX_DEPTH - 2):
        deep = [deep]
    largest = {"x": [0] * (checkpoint.MAX_VALUES - 8), "low": -(2**63), "high": 2**63 - 1}
    for content in ({"x": deep}, largest):
        checkpoint.save(tmp_path / "x.pt", content)
        assert same(checkpoint.load(tmp_path / "x.pt"), {"format": 1, **content})
    for content, reason in (
        ({"x": [deep]}, "it is deeper than 20 levels"),
        (largest | {"more": 0}, "it holds more than 100,000 values"),
        ({"x": [[0]] * 60_000}, "it holds more than 100,000 values"),
        ({"low": -(2**63) - 1}, "a number is too large"),
        ({"high": 2**63}, "a number is too large"),
    ):
        with pytest.raises(CheckpointError, match=reason):
            checkpoint.save(tmp_path / "x.pt", content)


def test_a_tensor_larger_than_the_file_is_refused() -> None:
    tensor = torch.zeros(100)
    checkpoint._check_values({"x": tensor}, 400)
    with pytest.raises(checkpoint.UnexpectedContent, match="not stored as one block"):
        checkpoint._check_values({"x": tensor}, 399)


def test_the_seal_has_its_layout() -> None:
    data = honest()
    sealed = bytes(checkpoint.append_checksum(data, 7))
    assert sealed[: len(data) - 2] == data[:-2]
    digest = hashlib.sha256(sealed[:-64]).hexdigest().encode()
    assert sealed[len(data) - 2 :] == b"\x59\x00nnzoo format 0007 sha256 " + digest
    with zipfile.ZipFile(io.BytesIO(sealed)) as file:
        assert file.comment == b"nnzoo format 0007 sha256 " + digest
    with pytest.raises(AssertionError):
        checkpoint.append_checksum(sealed)


def test_an_archive_whose_directory_lies_is_refused() -> None:
    whole = io.BytesIO()
    torch.save({"x": torch.arange(3)}, whole)
    data = whole.getvalue()
    # The sizes of the central directory's first entry, said to be 4 GB.
    place = data.index(b"PK\x01\x02") + 20
    lying = data[:place] + struct.pack("<II", 2**32 - 2, 2**32 - 2) + data[place + 8 :]
    with pytest.raises(DamagedError):
        checkpoint.load(hostile("lying", lying))


def test_a_leaf_that_is_no_tensor_is_named() -> None:
    module = torch.nn.Linear(1, 1)
    state: Any = module.state_dict() | {"bias": "text"}
    with pytest.raises(CheckpointError, match="'bias' is a str in the checkpoint and"):
        checkpoint.check_state_dict(module, state, "here")
