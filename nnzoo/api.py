"""The Python interface: `nnzoo.train` and `nnzoo.load` do what the commands do, without a terminal.

The process is left as it was: threads, random state, deterministic mode, signal handlers, logging.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from nnzoo import process_group
from nnzoo.config import RunConfig
from nnzoo.config.load import load_config, parse
from nnzoo.config.yaml_parser import Document
from nnzoo.device import (
    choose_device,
    compute_threads,
    make_deterministic,
    process_restored,
    use_threads,
)
from nnzoo.errors import CheckpointError, require
from nnzoo.interrupts import DeferredInterrupt
from nnzoo.models.network import Network
from nnzoo.predict.inputs import predict
from nnzoo.predict.predictions import Predictions
from nnzoo.runs import run
from nnzoo.runs.loaded_run import LoadedRun
from nnzoo.runs.train import train as train_run
from nnzoo.training.trainer import EpochEnd, StepEnd

__all__ = ["EpochEnd", "Model", "StepEnd", "Training", "load", "train"]


@contextmanager
def compute_settings(network: Network) -> Iterator[None]:
    """Compute with the threads and precision flags of a network's run; restores them at the end."""
    if network.device.type == "cpu":  # where no flag is set
        with compute_threads(network.config.train):
            yield
        return
    with process_restored():
        use_threads(network.config.train)
        make_deterministic(network.device)
        yield


class Model(LoadedRun):
    """A trained network.

    `network`: an nn.Module with preprocessing, `network.model` the one inside it, `network.config` its
    configuration; `dataset`: its data; `notes`: lines on how it was loaded.
    """

    @property
    def labels(self) -> list[str]:
        """The class names in order; empty for regression."""
        return list(self.network.data_spec.labels)

    def predict(
        self, x: Any = None, steps: int | None = None, coverage: float | None = None
    ) -> Predictions:
        """Predictions for new data, all at once.

        x: a path or several; a DataFrame; an array or tensor of raw inputs: uint8 images (N, C, H, W), rows
        of a table (N, features) or windows (N, time, features); None to forecast the run's own series.
        steps: the number of time steps to forecast. `Predictions.values` are probabilities (N, classes)
        or values (N, targets), `.labels` the predicted classes. coverage: adds `.low` and `.high` (N, targets), or
        `.sets` of classes, that hold the truth for this fraction of rows like the validation rows. Raises DataError and UsageError for
        inputs that the network cannot read.
        """
        with compute_settings(self.network):
            if coverage is not None:
                self.require_calibration()
            return Predictions.concat(predict(self.network, x, steps, coverage=coverage))

    def evaluate(self, split: str = "test", coverage: float | None = None) -> dict[str, Any]:
        """The metrics of a split beside a baseline: the object of `nnzoo eval --json`."""
        with compute_settings(self.network):
            return self.measure(split, coverage)


def load(
    checkpoint: str | Path,
    *,
    weights: Literal["best", "last"] = "best",
    sets: Sequence[str] = (),
    device: str = "auto",
) -> Model:
    """Load the trained network of a run folder or a .pt file.

    sets: as --set, for data that have moved: ["data.path=new.csv"]. Raises CheckpointError.
    """
    with process_restored():
        return Model.open(Path(checkpoint), choose_device(device), weights, list(sets))


_OPEN: weakref.WeakValueDictionary[Path, Training] = weakref.WeakValueDictionary()
"""The open training of each run folder: a later one closes it."""


class Training:
    """A run, ready to train: `fit()` trains it to the end, and so does iterating over it, which yields
    its events (StepEnd, EpochEnd). `result()`, `history` and `model()` give the results."""

    def __init__(self, current: run.Run) -> None:
        self.run = current
        self._iteration: weakref.ref[Any] | None = None  # weak, so that a `break` closes it
        self._closed = False
        self._step_was_cut = False  # by a second Ctrl-C: the state in memory is inconsistent

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder.path

    @property
    def notes(self) -> list[str]:
        """Notes on the data and on how the run starts; each is a text, most with a `code` that `nnzoo explain`
        explains."""
        return [*self.run.dataset.notes, *self.run.notes]

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dictionary per epoch (epoch, train_loss, val_loss, …), the lines of metrics.jsonl;
        `pandas.DataFrame(training.history)` is a table of it."""
        return self.run.folder.rows()

    def fit(self, stop: Callable[[], bool] = lambda: False) -> Self:
        """Train to the end, or until `stop()`, which is called after each step, returns True: the run is
        then saved, and `fit()` resumes it. Ctrl-C, or a notebook's stop button, saves it after the
        current step and raises KeyboardInterrupt. Raises DivergedError, CheckpointError."""
        with closing(self._start(stop)) as events:
            for _ in events:
                pass
        return self

    def __repr__(self) -> str:
        trainer = self.run.trainer
        epochs = f"epoch {trainer.state.epoch:,} of {trainer.config.train.epochs:,}"
        hint = "" if trainer.finished else "; .fit() trains it"
        return f"<Training {self.folder}: {epochs}{hint}>"

    def _repr_html_(self) -> str:
        """The HTML that a notebook shows: the run, and its curves so far."""
        from nnzoo.report.notebook import training_html

        trainer = self.run.trainer
        best = trainer.state.best_epoch if trainer.best_weights else None
        return training_html(repr(self), self.notes, self.history, best)

    def events(self, stop: Callable[[], bool] = lambda: False) -> Iterator[StepEnd | EpochEnd]:
        """Train as `fit` does, and yield the events."""
        return self._start(stop)

    def _start(self, stop: Callable[[], bool]) -> Generator[StepEnd | EpochEnd, None, None]:
        iteration = self._events(stop)
        self._iteration = weakref.ref(iteration)
        return iteration

    def close(self) -> None:
        """Release the run folder; an unfinished iteration ends, and the run is saved."""
        iteration = self._iteration() if self._iteration is not None else None
        if iteration is not None:
            try:
                iteration.close()
            except ValueError:  # it is executing
                raise CheckpointError(
                    f"{self.folder} is being trained in this process; end that first", code="E63"
                ) from None
        self._closed = True
        self.run.lock.release()

    def _events(self, stop: Callable[[], bool]) -> Generator[StepEnd | EpochEnd, None, None]:
        if self._closed:
            raise CheckpointError(
                f"{self.folder} was opened again by a later nnzoo.train(…); use that one",
                code="E65",
            )
        if self._step_was_cut:
            raise CheckpointError(
                f"{self.folder}: a step was cut short; nnzoo.train(…) opens it at its last checkpoint",
                code="E65",
            )
        is_main = self.run.trainer.processes.is_main_process
        if is_main and not self.run.lock.is_locked:  # resumed after a `break`
            self.run.folder.acquire(self.run.lock)
        interrupt = DeferredInterrupt()
        events = train_run(self.run, lambda: stop() or interrupt.pending)
        if is_main and self.run.trainer.config.train.tensorboard:
            from nnzoo.tensorboard import record

            events = record(self.run, events)
        try:
            with compute_settings(self.run.network), closing(events):
                yield from self._interruptible(events, interrupt)
        finally:
            self.run.lock.release()

    def _interruptible(
        self, events: Iterator[StepEnd | EpochEnd], interrupt: DeferredInterrupt
    ) -> Iterator[StepEnd | EpochEnd]:
        """Yield the events of a run; raises KeyboardInterrupt where `interrupt.pending` has stopped it."""
        while True:
            try:
                with interrupt:
                    event = next(events, None)
                    if interrupt.pending:
                        for _ in events:  # saves the run, and ends
                            pass
            except KeyboardInterrupt:  # the second one
                self._step_was_cut = True
                raise
            if interrupt.pending:
                raise KeyboardInterrupt(
                    f"saved in {self.folder} after step {self.run.trainer.state.step:,}; fit(), or the same "
                    "cell, resumes it"
                )
            if event is None:
                return
            yield event

    def __iter__(self) -> Iterator[StepEnd | EpochEnd]:
        return self.events()

    def result(self, split: str = "test") -> dict[str, Any] | None:
        """The metrics of the best weights, as in `nnzoo eval --json`; None for a split without rows."""
        with compute_settings(self.run.network):
            if split == "test" and self.run.trainer.finished:
                return self.run.finish()
            return self.run.result(split)

    def model(self) -> Model:
        """The best weights, as `nnzoo.load` gives them."""
        with process_restored():
            return Model.open(self.folder, self.run.network.device)


def train(
    config: str | Path | dict[str, Any] | RunConfig,
    *,
    sets: Sequence[str] = (),
    out: str | Path = "checkpoints",
    resume: Literal["auto", "must", "never"] = "auto",
    fresh: bool = False,
    device: str = "auto",
) -> Training:
    """Open a run, new or to resume, as `nnzoo train` does; `.fit()` or iterating over it trains it.

    config: a YAML file, the name of a bundled one, or a dictionary of the same form; sets: as --set.
    Under torchrun every process calls this, iterates and calls `result`; one of them writes files.
    Raises ConfigError, DataError, CheckpointError and UsageError, whose text has what to do.
    """
    processes = process_group.init_process_group()
    with process_restored(), processes.error_barrier():
        if isinstance(config, RunConfig):
            config = config.to_dict()
        if isinstance(config, dict):
            config = parse(Document(value=config), "the dictionary", list(sets), Path.cwd())
        else:
            config = load_config(str(config), list(sets))
        if config.train.tensorboard:
            require("tensorboard", "train.tensorboard", "tensorboard")
        where = choose_device(device, processes)
        folder = (Path(out) / config.name).resolve()
        earlier = _OPEN.get(folder)
        if earlier is not None:  # a notebook cell that is run again
            earlier.close()
        is_auto = device == "auto"
        options = run.RunOptions(Path(out), where, resume, fresh, is_auto_device=is_auto)
        training = Training(run.open_run(config, options, processes=processes))
        _OPEN[folder] = training
        return training
