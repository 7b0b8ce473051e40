"""Training rows that stream to a GPU without room for them; the GPU is emulated (emulated_cuda.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import nnzoo
from nnzoo.data import streaming
from nnzoo.data.dataset import MappedFile, TensorSplit
from nnzoo.data.streaming import (
    HostSplit,
    RowStream,
    chunk_steps,
    host_split,
    page_locked,
    row_stream,
)
from nnzoo.errors import DataError
from nnzoo.runs import run_group
from nnzoo.training.train_step import dry_run
from tests.cuda_cases import weights
from tests.emulated_cuda import EmulatedCuda, emulated
from tests.zoo import config, same

CUDA = torch.device("cuda")
IMAGES = {
    "name": "digits",
    "split": {"val": 200, "test": 200},
    "class_weights": "balanced",
    "augment": {"shift": 1, "flip": "horizontal"},
}
CNN = {"name": "cnn", "channels": [4, 8], "norm": "batch", "dropout": 0.2}


@pytest.fixture
def cuda(own_folder: Path) -> Iterator[EmulatedCuda]:
    with emulated() as devices:
        yield devices


def settings(epochs: int = 2, **options: Any) -> dict[str, Any]:
    train = {"epochs": epochs, "batch_size": 64, "precision": "fp32", "threads": 1} | options
    eval_options = {"baselines": "none"}  # which of them fit the time is another matter
    return {
        "name": "run",
        "eval": eval_options,
        "data": IMAGES,
        "model": CNN,
        "optim": "adam",
        "train": train,
    }


@pytest.mark.parametrize(
    "options", [{}, {"accumulate_grad_batches": 2, "norm_statistics": "exact"}]
)
def test_streamed_runs_end_with_the_bits_of_resident_ones_also_when_stopped(
    options: dict[str, Any], cuda: EmulatedCuda
) -> None:
    resident = nnzoo.train(settings(**options), out="resident", device="cuda").fit()
    assert not any("stream to" in note for note in resident.notes)
    cuda.free = 120_000
    streamed = nnzoo.train(settings(**options), out="streamed", device="cuda")
    note = "train: 1,397 rows of 0.0 GB stay in this machine's memory and stream to cuda"
    assert any(note in item for item in streamed.notes)
    stream = streamed.run.trainer.row_stream
    assert stream is not None and stream.capacity == 234
    addresses = [half.data_ptr() for half in stream.halves]
    streamed.fit()
    assert addresses == [half.data_ptr() for half in stream.halves]
    assert same(weights("streamed"), weights("resident"))
    stop = iter([False] * 4 + [True])
    nnzoo.train(settings(**options), out="stopped", device="cuda").fit(lambda: next(stop))
    nnzoo.train(settings(**options), out="stopped", device="cuda").fit()
    assert same(weights("stopped"), weights("resident"))
    keys = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "gradient_norm")
    curves = []
    for out in ("streamed", "stopped", "resident"):
        lines = Path(out, "run", "metrics.jsonl").read_text().splitlines()
        curves.append([[json.loads(line)[key] for key in keys] for line in lines])
    assert curves[0] == curves[1] == curves[2] and len(curves[0]) == 2
    results = streamed.result(), resident.result()
    assert results[0] is not None and results[1] is not None
    assert results[0] == results[1] | {"checkpoint": "streamed/run/best.pt"}


def test_each_chunk_is_copied_once_and_one_ahead(
    cuda: EmulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.arange(30, dtype=torch.float32).view(10, 3)
    split = host_split(TensorSplit(x, torch.arange(10)), CUDA)
    monkeypatch.setattr(streaming, "HALF_BYTES", 4 * 12)
    stream = RowStream(split, 2, None)
    assert stream.capacity == 4
    assert stream.load(0) == 1  # of no epoch
    copied: list[int] = []
    copy = stream._copy

    def counted(chunk: int, read: Any) -> None:
        copied.append(chunk)
        copy(chunk, read)

    monkeypatch.setattr(stream, "_copy", counted)
    for epoch in range(2):
        order = torch.randperm(10)
        stream.start_epoch(order, [2] * 5)
        copied.clear()
        for step, expected in enumerate((2, 1, 2, 1, 1)):
            assert stream.load(step) == expected
            rows = order[2 * step : 2 * step + 2]
            got, y = stream.split.batch(rows.to(CUDA))
            assert torch.equal(got.cpu(), x[rows]) and torch.equal(y.cpu(), rows)
        assert copied == [0, 1, 2], epoch
    # Resumed in the middle of an epoch, and begun anew before what is ahead has come.
    stream.start_epoch(order, [2] * 5)
    copied.clear()
    stream.load(3)
    assert torch.equal(stream.split.batch(order[6:8].to(CUDA))[0].cpu(), x[order[6:8]])
    assert copied[0] == 1
    stream.start_epoch(order.flip(0), [2] * 5)
    stream.load(0)
    rows = order.flip(0)[:2]
    assert torch.equal(stream.split.batch(rows.to(CUDA))[0].cpu(), x[rows])


def test_steps_are_divided_into_chunks_of_whole_steps() -> None:
    first_steps, places = chunk_steps([3, 3, 3, 4], 7)
    assert first_steps == [0, 2, 4]
    assert places.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13]
    assert chunk_steps([7, 7], 7)[0] == [0, 1, 2]


def test_rows_of_a_file_are_gathered_in_pieces_and_a_split_is_what_it_was(
    cuda: EmulatedCuda,
) -> None:
    class Counted(MappedFile):
        AROUND = MappedFile.RESIDENT

        def __init__(self) -> None:
            self.pieces: list[int] = []

        def read(self, rows: int, size: int) -> None:
            self.pieces.append(rows)

    pages = Counted()
    x = torch.arange(40, dtype=torch.uint8).view(10, 4)
    chosen = torch.tensor([7, 1, 3])
    host = TensorSplit(x, chosen.clone(), chosen, pages, torch.ones(3, dtype=torch.float64))
    out = torch.empty(2, 4, dtype=torch.uint8)
    host.gather(torch.tensor([2, 0]), out)
    assert torch.equal(out, x[[3, 7]]) and sum(pages.pieces) == 2
    split = host_split(host, CUDA)
    assert len(split) == 3 and split.weights is not None and split.weights.device.type == "cuda"
    got, y = split.batch(torch.tensor([1, 2]).to(CUDA))
    assert got.device == y.device == torch.device("cuda:0")
    assert torch.equal(got.cpu(), x[[1, 3]]) and split.targets().tolist() == [7, 1, 3]
    doubled = split.map(lambda inputs: inputs * 2, lambda targets: targets)
    assert isinstance(doubled, HostSplit) and torch.equal(doubled.host.x, x * 2)
    assert torch.equal(split.to(CUDA).x.cpu(), x[[7, 1, 3]])
    assert torch.equal(split.tensors()[0], x[chosen])
    assert [shape for shape, _ in split.contents()] == [(3, 4), (3,), (3,)]
    assert row_stream(host, [3]) is None


def test_steps_without_room_and_windows_without_room_are_refused(cuda: EmulatedCuda) -> None:
    cuda.free = 10_000
    with pytest.raises(
        DataError, match=r"train\.batch_size.*two steps of 128 rows would take .* smaller batches"
    ):
        nnzoo.train(settings(batch_size=128), device="cuda")
    series = settings() | {
        "data": {"name": "sine", "length": 4000, "window": 8, "horizon": 2},
        "model": {"name": "gru", "hidden_size": 4},
    }
    with pytest.raises(
        DataError, match=r"would take .* of the memory of cuda.* use fewer rows, or"
    ):
        nnzoo.train(series, device="cuda")


def test_a_dry_run_streams_and_seeds_train_in_turn(cuda: EmulatedCuda) -> None:
    cuda.free = 120_000
    training = nnzoo.train(settings(), out="dry", device="cuda")
    dry_run(training.run.trainer)
    plain = {"name": "mlp", "hidden": [8]}
    group = run_group.seeds(config(plain, {"name": "digits"}), 2, Path("out"))
    for _ in group.events(CUDA):
        pass
    assert "stream to it for one network" in group.sequential_reason
    assert [member.state for member in group.members] == ["complete"] * 2


def test_without_a_gpu_memory_is_ordinary() -> None:
    assert page_locked((2, 3), torch.uint8).shape == (2, 3)
