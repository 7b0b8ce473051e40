"""Files of weights: runs, state_dicts, .safetensors; of others one message, and nothing in them is executed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from nnzoo.errors import CheckpointError
from nnzoo.export import export
from nnzoo.models.weights_file import read_weights
from nnzoo.runs.loaded_run import LoadedRun
from tests.zoo import begin, config, finish, same


def read(path: str | Path) -> Any:
    return read_weights(str(path))


def write_safetensors(header: Any, values: bytes = b"", length: int | None = None) -> str:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    Path("x.safetensors").write_bytes(size.to_bytes(8, "little") + text + values)
    return "x.safetensors"


def entry(**more: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | more}


def test_a_run_folder_gives_its_best_weights_and_its_description() -> None:
    run = begin(config("mlp", "table_number"))
    finish(run)
    network = LoadedRun.open(run.folder.path, torch.device("cpu")).network
    for path in (run.folder.path, run.folder.best):
        weights = read(path)
        assert same(weights.tensors, dict(network.model.state_dict()))
        assert weights.path == str(run.folder.best)
        assert weights.spec == network.data_spec
        assert same(weights.preprocess, dict(network.preprocess.state_dict()))
        assert same(weights.task, dict(network.task.state_dict()))
        assert weights.options == network.config.to_dict()


@pytest.mark.parametrize(("model", "data"), [("cnn", "image"), ("mlp", "table_number")])
def test_an_exported_state_dict_gives_what_the_run_does(model: str, data: str) -> None:
    pytest.importorskip("safetensors")
    run = begin(config(model, data))
    finish(run)
    network = LoadedRun.open(run.folder.path, torch.device("cpu")).network
    export(network, "state-dict", Path("x.safetensors"))
    ours, theirs = read("x.safetensors"), read(run.folder.path)
    for part in ("tensors", "preprocess", "task"):
        assert same(getattr(ours, part), getattr(theirs, part))
    assert ours.spec.labels == theirs.spec.labels and ours.spec.targets == theirs.spec.targets
    assert ours.spec.columns == theirs.spec.columns and ours.options == theirs.options


def test_safetensors_of_others_are_read_as_their_package_reads_them() -> None:
    package = pytest.importorskip("safetensors.torch")
    tensors = {
        f"t{i}": torch.arange(6).reshape(2, 3).to(dtype)
        for i, dtype in enumerate(
            [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
        )
    } | {"empty": torch.empty(0), "scalar": torch.tensor(3.0)}
    package.save_file(tensors, "x.safetensors", {"format": "pt"})
    weights = read("x.safetensors")
    assert same(dict(sorted(weights.tensors.items())), dict(sorted(tensors.items())))
    assert weights.spec is None and weights.options == {}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"\xff\xff",
        b"[" * 100_000,
        [1],
        {"a": 5},
        {"a": {}},
        entry(dtype="F8"),
        entry(dtype=["F32"]),
        entry(shape=[3]),
        entry(shape=[-2]),
        entry(shape=[True, 2]),
        entry(shape="ab"),
        entry(shape=[2**62, 2**62]),
        entry(shape=[1] * 40 + [2]),
        entry(data_offsets=[0, 80]),
        entry(data_offsets=[8, 0]),
        entry(data_offsets=[-8, 0]),
        entry(data_offsets=[0, 8, 9]),
        entry() | {"__metadata__": {"nnzoo": "1", "kind": 5}},
        {str(i): entry()["a"] for i in range(20_001)},
    ],
)
def test_a_hostile_header_is_one_message(header: Any) -> None:
    with pytest.raises(CheckpointError, match=r"x\.safetensors( is not a|: its description)"):
        read(write_safetensors(header, bytes(8)))


@pytest.mark.parametrize("length", [0, 1, 2**40, 2**63])
def test_a_header_longer_than_its_file_is_never_allocated(length: int) -> None:
    with pytest.raises(CheckpointError, match="its header has no sensible length"):
        read(write_safetensors(entry(), bytes(8), length))


class Attack:
    def __reduce__(self) -> Any:
        return os.mkdir, ("attacked",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": Attack()}, r"it names posix\.mkdir, which is never run"),
        ([torch.ones(2)], "holds a list, not a state_dict"),
        ({"a": 1}, "holds no tensors by name"),
        (torch.nn.Linear(2, 2), "is no state_dict of PyTorch"),
    ],
)
def test_a_pt_file_that_is_no_state_dict_is_one_message(content: Any, reason: str) -> None:
    torch.save(content, "x.pt")
    with pytest.raises(CheckpointError, match=reason):
        read("x.pt")
    assert not Path("attacked").exists()


def test_a_state_dict_is_read_under_its_key_and_without_a_wrapper_s_prefix() -> None:
    module = torch.nn.Linear(3, 2)
    state = module.state_dict()
    for content in (
        state,
        {"state_dict": state, "epoch": 4},
        {f"_orig_mod.{name}": t for name, t in state.items()},
        {"model_state_dict": {f"module.{name}": t for name, t in state.items()}},
        dict(module.named_parameters()),
    ):
        torch.save(content, "x.pth")
        assert same(read("x.pth").tensors, {n: t.detach() for n, t in state.items()})


def test_paths_that_hold_no_weights_are_named() -> None:
    Path("group/seed-0").mkdir(parents=True)
    Path("notes.txt").write_text("x")
    Path("cut.pt").write_bytes(b"PK\x03\x04" + bytes(90))
    run = begin(config())
    finish(run)
    data = bytearray(run.folder.best.read_bytes())
    data[300] ^= 1
    Path("damaged.pt").write_bytes(data)
    for path, reason in {
        "gone": "no run folder and no file gone",
        "group": "group holds no best.pt, so it is not a trained run",
        "out": "out is a folder of 1 run; give one of them, as in out/run",
        "notes.txt": "expected a run folder, or a .pt or .safetensors file",
        "cut.pt": "cut.pt is no state_dict of PyTorch",
        "damaged.pt": "damaged.pt is damaged",
    }.items():
        with pytest.raises(CheckpointError, match=reason) as info:
            read(path)
        assert info.value.key == "model.start_from"


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "x" * 1001])
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_names_that_no_message_could_show_are_refused(name: str, kind: str) -> None:
    if kind == "pt":
        torch.save({name: torch.ones(2)}, "x.pt")
    else:
        write_safetensors({name: entry()["a"]}, bytes(8))
    with pytest.raises(CheckpointError, match="is no name of a tensor") as error:
        read(f"x.{kind}")
    assert str(error.value).isprintable() and len(str(error.value)) < 150
