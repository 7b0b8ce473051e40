"""Histories: weights after chosen epochs, whole after a crash, verified when they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nnzoo.errors import CheckpointError, DamagedError
from nnzoo.runs import checkpoint
from nnzoo.runs.history import History, HistoryWriter, snapshot_epochs
from nnzoo.runs.run import Run
from nnzoo.runs.run_dir import RunDir
from nnzoo.runs.train import train
from nnzoo.training.trainer import EpochEnd
from tests.zoo import begin, config, finish, same

ALL = {"epochs": 5, "history": 6}


def history_of(path: str | Path = "out/run") -> History:
    history = History.open(RunDir(Path(path)))
    assert history is not None
    return history


def train_copies(run: Run) -> dict[int, dict[str, Tensor]]:
    """Train to the end; the weights at the end of each epoch, and before the first step."""
    copies = {run.trainer.state.epoch: _copy(run)}
    for event in train(run):
        if isinstance(event, EpochEnd):
            copies[event.row["epoch"]] = _copy(run)
    run.lock.release()
    return copies


def _copy(run: Run) -> dict[str, Tensor]:
    return {name: t.clone() for name, t in run.network.model.state_dict().items()}


@pytest.mark.parametrize(
    ("epochs", "count", "expected"),
    [
        (3, 50, [0, 1, 2, 3]),
        (5, 6, [0, 1, 2, 3, 4, 5]),
        (100, 6, [0, 4, 16, 36, 64, 100]),
        (7, 6, [0, 1, 2, 3, 4, 7]),
        (9, 2, [0, 9]),
        (9, 1, [0]),
        (9, 0, []),
    ],
)
def test_snapshots_lie_closer_at_the_start(epochs: int, count: int, expected: list[int]) -> None:
    assert snapshot_epochs(epochs, count) == expected


def test_snapshots_are_as_many_as_asked_for_and_end_with_the_last_epoch() -> None:
    for epochs in (1, 2, 49, 50, 51, 60, 99, 777, 100_000):
        for count in (2, 3, 10, 50):
            chosen = snapshot_epochs(epochs, count)
            assert len(set(chosen)) == len(chosen) == min(count, epochs + 1)
            assert chosen == sorted(chosen) and (chosen[0], chosen[-1]) == (0, epochs)


@pytest.mark.parametrize(
    ("model", "data"),
    [("mlp", "image"), ("cnn", "series"), ("gru", "sequences"), ("mlp", "table_number")],
)
def test_a_history_holds_every_epochs_weights_bit_for_bit(model: str, data: str) -> None:
    run = begin(config(model, data, train=ALL))
    copies = train_copies(run)
    history = history_of()
    assert history.epochs == [0, 1, 2, 3, 4, 5]
    for epoch in history.epochs:
        assert same(history.state_dict(epoch), copies[epoch]), epoch
    network = history.network()
    network.model.load_state_dict(history.state_dict(5))
    samples = history.samples
    raw, targets = run.dataset.splits["val"].batch(torch.tensor(samples.rows))
    assert same(samples.inputs, raw) and same(samples.targets, targets)
    with torch.no_grad():
        assert same(network.predict(samples.inputs), run.network.eval().predict(raw))


def test_statistics_of_batch_norm_are_recorded_and_frozen_weights_are_not() -> None:
    model = {"name": "mlp", "hidden": [8, 8], "norm": "batch", "freeze": ["1.*"]}
    run = begin(config(model, train=ALL))
    copies = train_copies(run)
    history = history_of()
    assert [name for name in copies[0] if name not in history.content["recorded"]] == [
        "1.weight",
        "1.bias",
    ]
    assert all(same(history.state_dict(epoch), copies[epoch]) for epoch in history.epochs)


def test_a_torn_last_record_and_all_behind_a_damaged_one_are_left_out() -> None:
    finish(begin(config(train=ALL)))
    path = Path("out/run/history/weights.bin")
    whole, size = path.read_bytes(), path.stat().st_size // 5
    for cut in (1, 20, size - 1):
        path.write_bytes(whole[:-cut])
        assert history_of().epochs == [0, 1, 2, 3, 4]
    path.write_bytes(whole[: 2 * size] + bytes(size) + whole[3 * size :])
    assert history_of().epochs == [0, 1, 2]
    path.write_bytes(whole + whole)
    assert history_of().epochs == [0, 1, 2, 3, 4, 5]
    flipped = bytearray(whole)
    flipped[3 * size + 100] ^= 1
    path.write_bytes(flipped)
    history = history_of()
    assert history.epochs == [0, 1, 2, 3, 4, 5]
    with pytest.raises(DamagedError, match="the weights of epoch 4 are damaged"):
        history.state_dict(4)
    path.unlink()
    assert history.epochs == [0]
    with pytest.raises(CheckpointError, match="has no weights of epoch 3"):
        history.state_dict(3)


def test_records_of_another_start_are_not_taken_for_this_ones() -> None:
    finish(begin(config(train=ALL)))
    finish(begin(config(train=ALL, seed=1, name="other")))
    os.replace("out/other/history/weights.bin", "out/run/history/weights.bin")
    assert history_of().epochs == [0]


def test_no_history_is_none_and_anything_else_an_error_in_words() -> None:
    finish(begin(config(train=ALL)))
    start, weights = Path("out/run/history/start.pt"), Path("out/run/history/weights.bin")
    content, records = checkpoint.load(start), weights.read_bytes()

    def fails(message: str, **changes: Any) -> None:
        checkpoint.save(start, content | changes)
        with pytest.raises(CheckpointError, match=message):
            history_of()

    samples = content["samples"]
    fails("samples do not fit", samples=None)
    fails("samples do not fit", samples=samples | {"inputs": samples["inputs"][:, :, 1:]})
    fails("samples do not fit", samples=samples | {"inputs": "none"})
    fails("samples do not fit", samples=samples | {"rows": samples["rows"][1:]})
    fails("samples do not fit", samples=samples | {"rows": [-1] * len(samples["rows"])})
    fails("samples do not fit", samples=samples | {"split": "../test"})
    fails("which tensors are recorded", recorded=["0.weight"])
    fails("which tensors are recorded", recorded=3)
    nan = content["model"] | {"1.bias": content["model"]["1.bias"] * float("nan")}
    fails("not finite", model=nan)
    start.write_bytes(start.read_bytes()[:-1])
    with pytest.raises(DamagedError, match="cut short"):
        history_of()
    checkpoint.save(start, content)
    weights.unlink()
    weights.symlink_to("/etc/passwd")
    history = history_of()
    with pytest.raises(CheckpointError, match="cannot read"):
        _ = history.epochs
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(CheckpointError, match="not a plain file"):
        _ = history.epochs
    weights.unlink()
    weights.write_bytes(records)
    os.rename("out/run/history", "elsewhere")
    assert History.open(RunDir(Path("out/run"))) is None
    os.symlink(os.path.abspath("elsewhere"), "out/run/history")
    with pytest.raises(CheckpointError, match="is a link"):
        history_of()


def test_weights_that_are_not_finite_are_refused() -> None:
    run = begin(config(train=ALL))
    finish(run)
    with torch.no_grad():
        next(run.network.model.parameters()).fill_(float("inf"))
    writer = HistoryWriter.resume(run.folder, run.network, range(6))
    assert writer is not None
    writer.append(6, run.network.model)
    with pytest.raises(
        CheckpointError, match=r"epoch 6: '1.weight' holds values that are not finite"
    ):
        history_of().state_dict(6)


def test_a_model_that_changes_its_shape_is_not_recorded() -> None:
    run = begin(config(train=ALL))
    writer = HistoryWriter.start(run.folder, run.network, run.dataset)
    run.network.model[1].bias = torch.nn.Parameter(torch.zeros(3))  # type: ignore[index]
    with pytest.raises(CheckpointError, match=r"'1.bias' has changed its shape"):
        writer.append(1, run.network.model)
    assert history_of().epochs == [0]


def test_a_disk_that_fails_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(config(train=ALL))
    finish(run)
    history = history_of()

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", fail)
        with pytest.raises(CheckpointError, match="cannot read the weights of a history: Input"):
            _ = history.epochs
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", fail)
        with pytest.raises(CheckpointError, match="cannot write out/run/history: Input"):
            HistoryWriter.start(run.folder, run.network, run.dataset)
    # The file has gone since its headers were read.
    monkeypatch.setattr(History, "_records", lambda self: {5: 10**9})
    with pytest.raises(DamagedError, match="the weights of epoch 5 are damaged"):
        history.state_dict(5)
