"""TensorBoard shows what metrics.jsonl holds."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from nnzoo.runs.run import Run
from nnzoo.runs.run_dir import RunDir
from nnzoo.runs.train import train
from nnzoo.tensorboard import record, scalars
from nnzoo.training.trainer import EpochEnd
from tests.zoo import begin, config

pytestmark = pytest.mark.usefixtures("compiled")


def settings(**train: Any) -> Any:
    return config("mlp", "table_classes", train={"epochs": 3, "tensorboard": True} | train)


def finish(run: Run, stop: Callable[[], bool] = lambda: False) -> list[Any]:
    events = list(record(run, train(run, stop)))
    run.lock.release()
    return events


def shown(folder: Path) -> EventAccumulator:
    """The events that TensorBoard reads from a run's folder."""
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    return board


def curves(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    board = shown(folder)
    return {
        tag: [(scalar.step, scalar.value) for scalar in board.Scalars(tag)]
        for tag in board.Tags()["scalars"]
    }


def expected(run: Run) -> dict[str, Any]:
    """The curves of metrics.jsonl; TensorBoard keeps float32."""
    actual: dict[str, list[tuple[int, Any]]] = {}
    for row in run.folder.rows():
        for tag, value in scalars(row).items():
            actual.setdefault(tag, []).append((row["step"], pytest.approx(value, rel=1e-6)))
    return actual


def test_the_curves_are_those_of_metrics_jsonl() -> None:
    run = begin(settings())
    events = finish(run)
    assert sum(isinstance(event, EpochEnd) for event in events) == 3
    actual = curves(run.folder.path)
    assert actual == expected(run)
    assert {"train/loss", "val/loss", "val/f1_macro", "lr", "samples_per_second"} <= actual.keys()
    (text,) = shown(run.folder.path).Tensors("config/text_summary")
    assert b"tensorboard: true" in text.tensor_proto.string_val[0]


def test_a_mapping_becomes_a_group_and_what_is_missing_no_number() -> None:
    row = {
        "epoch": 1,
        "step": 7,
        "lr": 0.1,
        "val_f1_macro": 0.5,
        "samples_per_second": None,
        "gradient_norms": {"1 linear": 2.0},
    }
    assert scalars(row) == {"lr": 0.1, "val/f1_macro": 0.5, "gradient_norms/1 linear": 2.0}


def test_a_run_that_went_on_has_each_step_once() -> None:
    """Stopped inside its third epoch, with the checkpoint of the second lost with it."""
    saves = {"save_every": "1 epoch"}
    run = begin(settings(epochs=4, **saves))
    kept = (run.folder.last, run.folder.metrics)
    early = {}
    for event in record(run, train(run)):
        if isinstance(event, EpochEnd) and event.row["epoch"] == 1:
            early = {path: path.read_bytes() for path in kept}
        if isinstance(event, EpochEnd) and event.row["epoch"] == 3:
            break
    run.lock.release()
    for path, content in early.items():
        path.write_bytes(content)
    again = begin(settings(epochs=4, **saves))
    assert again.trainer.state.epoch == 1
    finish(again)
    actual = curves(again.folder.path)
    assert [step for step, _ in actual["lr"]] == [row["step"] for row in again.folder.rows()]
    assert actual == expected(again)


def test_asked_for_later_the_curves_begin_with_the_first_epoch() -> None:
    run = begin(settings(epochs=2, tensorboard=False))
    list(train(run))
    run.lock.release()
    again = begin(settings(epochs=3))
    finish(again)
    assert len(curves(again.folder.path)["train/loss"]) == 3


def test_the_command_writes_them_and_says_nothing_of_it(nnzoo: Callable[..., Any]) -> None:
    words = ("train", "--config", "mlp", "-s", "model.hidden=[4]", "-s", "train.epochs=2")
    result = nnzoo(*words, "--json", "--verbose", "0", "-s", "train.tensorboard=true")
    assert (result.code, result.err) == (0, "")
    rows = [line for line in result.lines if line["event"] == "epoch"]
    actual = curves(Path("checkpoints/mlp"))["val/loss"]
    assert actual == [(row["step"], pytest.approx(row["val_loss"], rel=1e-6)) for row in rows]


@pytest.mark.parametrize("writes", [0, 1, 12, 25])
def test_a_full_disk_ends_the_curves_in_one_line_and_not_the_training(
    writes: int, nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = RecordWriter.write, [writes]

    def write(writer: RecordWriter, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(writer, data)

    monkeypatch.setattr(RecordWriter, "write", write)
    hook = threading.excepthook
    words = ("train", "--config", "mlp", "-s", "model.hidden=[4]", "-s", "train.epochs=3")
    result = nnzoo(*words, "-s", "train.tensorboard=true")
    assert result.code == 0, result.err
    assert left[0] < 0
    line = "the curves for TensorBoard cannot be written (No space left on device): training continues without them"
    assert result.err.count("TensorBoard") == 1 and line in " ".join(result.err.split())
    assert "Traceback" not in result.err
    assert len(RunDir(Path("checkpoints/mlp")).rows()) == 3
    assert threading.excepthook is hook


def test_a_folder_that_cannot_be_made_ends_the_curves_in_one_line(
    nnzoo: Callable[..., Any],
) -> None:
    words = ("train", "--config", "mlp", "-s", "model.hidden=[4]", "-s", "train.epochs=1")
    Path("checkpoints/mlp").mkdir(parents=True)
    Path("checkpoints/mlp/tensorboard").write_text("a file")
    result = nnzoo(*words, "-s", "train.tensorboard=true")
    assert (result.code, result.err.count("TensorBoard cannot be written (")) == (0, 1), result.err


def test_a_missing_package_is_reported_before_anything_is_written(
    nnzoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    result = nnzoo("train", "--config", "mlp", "-s", "train.tensorboard=true")
    assert result.code == 2
    assert result.err == ("train.tensorboard needs tensorboard: pip install 'nnzoo[tensorboard]'\n")
    assert not Path("checkpoints").exists()


def test_a_run_without_it_never_loads_it() -> None:
    script = (
        "import sys\n"
        "from nnzoo.cli import app\n"
        "try:\n"
        "    app(['train', '--config', 'mlp', '-s', 'train.epochs=1'])\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code\n"
        "assert 'tensorboard' not in sys.modules\n"
        "assert 'nnzoo.tensorboard' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_each_seed_of_a_group_has_its_own_curves(nnzoo: Any) -> None:
    words = ("-c", "mlp", "-s", "model.hidden=[8]", "-s", "train.tensorboard=true")
    assert nnzoo("train", *words, "-s", "train.epochs=2", "--seeds", 2).code == 0
    losses = []
    for seed in range(2):
        folder = RunDir(Path(f"checkpoints/mlp-seeds/seed-{seed}"))
        actual = curves(folder.path)["val/loss"]
        rows = folder.rows()
        assert actual == [(r["step"], pytest.approx(r["val_loss"], rel=1e-6)) for r in rows]
        assert len(rows) == 2
        losses.append(actual)
    assert losses[0] != losses[1]
