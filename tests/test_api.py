"""nnzoo from Python: the same runs, answers and errors as on the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

import nnzoo
from nnzoo.errors import CheckpointError, ConfigError, UsageError
from nnzoo.runs import checkpoint
from nnzoo.training.trainer import EpochEnd, StepEnd, Trainer
from tests import zoo

NNZOO = Callable[..., Any]
TINY = {
    "name": "tiny",
    "data": {"name": "iris"},
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"epochs": 3},
}


@pytest.fixture
def command(nnzoo: NNZOO) -> NNZOO:
    """The command line; `nnzoo` is the package here."""
    return nnzoo


def test_importing_it_loads_no_torch() -> None:
    script = "import sys, nnzoo; assert 'torch' not in sys.modules; nnzoo.load; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        nnzoo.trian  # noqa: B018


def test_training_yields_what_the_terminal_shows(command: NNZOO) -> None:
    training = nnzoo.train(TINY)
    events = list(training)
    rows = [event.row for event in events if isinstance(event, EpochEnd)]
    assert sum(isinstance(event, StepEnd) for event in events) == rows[-1]["step"]
    shown = command("train", training.folder / "config.yaml", "--out", "other", "--json").lines
    epochs = [line for line in shown if line["event"] == "epoch"]

    def timeless(row: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in row.items() if "second" not in k and k != "event"}

    assert [timeless(row) for row in rows] == [timeless(row) for row in epochs]
    result = training.result()
    assert result is not None
    assert result["accuracy"] == shown[-1]["test"]["accuracy"]
    assert result["accuracy"] == training.model().evaluate()["accuracy"]


def test_fit_trains_to_the_end_and_leaves_a_history(capsys: pytest.CaptureFixture[str]) -> None:
    opened = nnzoo.train(TINY)
    assert repr(opened) == "<Training checkpoints/tiny: epoch 0 of 3; .fit() trains it>"
    assert opened.history == []
    training = opened.fit()
    assert training is opened
    assert repr(training) == "<Training checkpoints/tiny: epoch 3 of 3>"
    assert [row["epoch"] for row in training.history] == [1, 2, 3]
    assert training.history[-1]["val_loss"] == training.history[-1]["val_loss"]
    page = training._repr_html_()
    assert page.count("<svg") == 2  # loss and accuracy
    assert "train loss" in page and "val accuracy" in page and "&lt;Training" in page
    assert not run_left_open(training)
    assert capsys.readouterr() == ("", "")


def run_left_open(training: nnzoo.Training) -> bool:
    return training.run.lock.is_locked


def test_fit_stops_when_asked_and_resumes_with_the_same_bits() -> None:
    whole = nnzoo.train(TINY, out="whole").fit()
    cut = nnzoo.train(TINY, out="cut")
    cut.fit(stop=lambda: cut.run.trainer.state.step == 2)
    assert cut.run.trainer.state.step == 2
    cut.fit()
    assert zoo.same(cut.run.trainer.best_weights, whole.run.trainer.best_weights)


def interrupt_in_step(monkeypatch: pytest.MonkeyPatch, step: int, times: int = 1) -> None:
    """Let SIGINT come when the weights of a step are changed already, and the step is not counted."""
    note = Trainer.record_step

    def interrupted(trainer: Trainer, *arguments: Any) -> None:
        note(trainer, *arguments)
        if trainer.state.step == step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "record_step", interrupted)


@pytest.mark.parametrize("how", ["fit", "iterate", "open again"])
def test_an_interrupt_within_a_step_saves_the_run_behind_it(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nnzoo.train(TINY, out="whole").fit()
    cut = nnzoo.train(TINY, out="cut")
    with monkeypatch.context() as patch:
        interrupt_in_step(patch, 2)
        with pytest.raises(KeyboardInterrupt, match=r"saved in cut/tiny after step 3; fit\(\)"):
            cut.fit() if how == "fit" else list(cut)
    assert not run_left_open(cut)
    assert checkpoint.load(cut.folder / "last.pt")["trainer"]["position"]["step"] == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if how == "open again":
        cut = nnzoo.train(TINY, out="cut")
        assert cut.run.state == "resumed"
    cut.fit()
    assert zoo.same(cut.run.trainer.best_weights, whole.run.trainer.best_weights)


def test_a_second_interrupt_ends_a_step_at_once_and_the_last_checkpoint_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = TINY | {"train": {"epochs": 3, "save_every": "1 epoch"}}
    whole = nnzoo.train(config, out="whole").fit()
    cut = nnzoo.train(config, out="cut")
    with monkeypatch.context() as patch:
        interrupt_in_step(patch, 3, times=2)
        with pytest.raises(KeyboardInterrupt):
            cut.fit()
    with pytest.raises(CheckpointError, match=r"a step was cut short; nnzoo\.train\(…\) opens it"):
        cut.fit()
    again = nnzoo.train(config, out="cut").fit()
    assert zoo.same(again.run.trainer.best_weights, whole.run.trainer.best_weights)


def test_completion_offers_what_is_not_loaded_yet() -> None:
    script = (
        "import sys, nnzoo\n"
        "assert {'train', 'load', 'EpochEnd', 'Model'} <= {*dir(nnzoo)}\n"
        "assert 'torch' not in sys.modules\n"
        "assert nnzoo.EpochEnd.__name__ == 'EpochEnd'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_predictions_are_a_frame_as_the_command_writes_it(command: NNZOO) -> None:
    nnzoo.train(TINY).fit()
    frame = nnzoo.load("checkpoints/tiny").predict([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])
    table = frame.to_frame()
    assert [*table.columns] == [
        "row",
        "prediction",
        "probability",
        "p_setosa",
        "p_versicolor",
        "p_virginica",
    ]
    assert [*table["prediction"]] == frame.labels
    assert np.allclose(table["probability"], frame.values.max(1))
    wave = {
        "name": "wave",
        "data": {"name": "sine", "length": 200},
        "model": {"name": "rnn"},
        "train": {"epochs": 1},
    }
    nnzoo.train(wave).fit()
    series = nnzoo.load("checkpoints/wave").predict(steps=3).to_frame()
    assert [*series.columns] == ["step", "sine"] and [*series["step"]] == [1, 2, 3]


def test_a_stopped_run_goes_on_with_the_same_bits() -> None:
    whole = nnzoo.train(TINY, out="whole")
    list(whole)
    cut = nnzoo.train(TINY, out="cut")
    list(cut.events(stop=lambda: cut.run.trainer.state.step == 1))
    assert cut.run.trainer.state.step == 1
    again = nnzoo.train(TINY, out="cut")
    assert (
        again.run.state == "resumed"
        and "resumed cut/tiny at epoch 1 of 3, step 2 of 2" in again.notes[-1]
    )
    list(again)
    assert zoo.same(again.run.trainer.best_weights, whole.run.trainer.best_weights)


def test_a_run_left_in_the_middle_is_locked_again_when_it_goes_on() -> None:
    training = nnzoo.train(TINY)
    for _ in training:
        break
    folder = training.run.folder
    folder.acquire(lock := FileLock(folder.path / ".lock"))  # as another process would
    lock.release()
    for _ in training:
        with pytest.raises(CheckpointError, match="another process is training"):
            folder.acquire(FileLock(folder.path / ".lock"))
        break


def test_files_names_dictionaries_and_sets_are_configs(tmp_path: Path) -> None:
    sets = ["train.epochs=1", "model.hidden=[4]"]
    by_name = nnzoo.train("mlp_breast_cancer", sets=sets)
    list(by_name)
    config = by_name.run.trainer.config
    assert config.train.epochs == 1
    by_config = nnzoo.train(config, sets=["name=other"])
    assert by_config.folder == Path("checkpoints/other")
    with pytest.raises(ConfigError, match="unknown key; it is 'epochs'"):
        nnzoo.train(TINY | {"train": {"epoch": 1}})
    with pytest.raises(UsageError, match="holds a run of another config"):
        list(nnzoo.train(TINY))
        nnzoo.train(TINY, sets=["model.hidden=[9]"])


def test_predictions_for_arrays_frames_and_files(command: NNZOO) -> None:
    import pandas

    list(nnzoo.train(TINY))
    model = nnzoo.load("checkpoints/tiny")
    assert model.labels == ["setosa", "versicolor", "virginica"]
    x, y = model.dataset.splits["test"].batch(torch.arange(30))
    predictions = model.predict(x.numpy())
    assert predictions.values.shape == (30, 3)
    assert np.allclose(predictions.values.sum(1), 1, atol=1e-6)
    names = model.network.data_spec.column_names
    frame = pandas.DataFrame(x.numpy(), columns=names)
    frame.to_csv("new.csv", index=False)
    for same in (frame, "new.csv", Path("new.csv"), x):
        assert model.predict(same).labels == predictions.labels
    right = sum(a == model.labels[int(b)] for a, b in zip(predictions.labels, y, strict=True))
    assert right / 30 == model.evaluate()["accuracy"]


def test_a_series_goes_on() -> None:
    sine = {
        "name": "wave",
        "data": {"name": "sine", "length": 200},
        "model": {"name": "gru", "hidden_size": 8},
        "train": {"epochs": 2},
    }
    list(nnzoo.train(sine))
    predictions = nnzoo.load("checkpoints/wave", weights="last").predict(steps=5)
    assert predictions.names == ["sine"] and predictions.values.shape == (5, 1)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint nothing\.pt"):
        nnzoo.load("nothing.pt")
    with pytest.raises(UsageError, match="no config 'nothing'"):
        nnzoo.train("nothing")
    list(nnzoo.train(TINY))
    with pytest.raises(UsageError, match="was trained with another config"):
        nnzoo.load("checkpoints/tiny", sets=["seed=4"])
