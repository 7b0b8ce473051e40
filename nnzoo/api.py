"""nnzoo from Python: `nnzoo.load` and `nnzoo.train`, what the commands do without a terminal."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from nnzoo import distributed
from nnzoo.config import RunConfig, load_config
from nnzoo.config.load import parse
from nnzoo.config.yaml_parser import Document
from nnzoo.device import choose_device, make_exact, process_restored, use_threads
from nnzoo.errors import CheckpointError
from nnzoo.extras import require
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
def computing(network: Network) -> Iterator[None]:
    """Compute as a network's run does; the process is then as it was before."""
    with process_restored():
        use_threads(network.config.train)
        make_exact(network.device)
        yield


class Model(LoadedRun):
    """A trained network: `network` is an nn.Module, `network.model` the plain one inside it,
    `network.config` its configuration, `dataset` its data, `notes` what should be known."""

    @property
    def labels(self) -> list[str]:
        """The classes in order; empty where the task has none."""
        return list(self.network.data_spec.labels)

    def predict(self, x: Any = None, steps: int | None = None) -> Predictions:
        """Predictions for new data, all at once.

        x: a path or several; a DataFrame; an array or tensor of raw inputs, uint8 images (rows,
        channels, height, width), rows of numbers, or windows (rows, time, features); None for what
        follows the run's own series. steps: of a forecast, how many. `Predictions.values` are (rows,
        classes) probabilities or (rows, targets) values, `.labels` the likeliest classes.
        Raises DataError and UsageError for what the network cannot read.
        """
        with computing(self.network):
            return Predictions.concat(predict(self.network, x, steps))

    def evaluate(self, split: str = "test") -> dict[str, Any]:
        """Exact metrics of a split beside the trivial baseline: the object of `nnzoo eval --json`."""
        with computing(self.network):
            return self.measure(split)


def load(
    checkpoint: str | Path,
    *,
    weights: Literal["best", "last"] = "best",
    sets: Sequence[str] = (),
    device: str = "auto",
) -> Model:
    """The trained network of a run folder or a .pt file.

    sets: as --set, where the data have moved: ["data.path=new.csv"]. Raises CheckpointError.
    """
    with process_restored():
        return Model.open(Path(checkpoint), choose_device(device), weights, list(sets))


_OPEN: weakref.WeakValueDictionary[Path, Training] = weakref.WeakValueDictionary()
"""The trainings of this process by their folders: one is open at a time."""


class Training:
    """A run, ready to train: `fit()` trains it to the end; iterating over it does too, and yields its
    events (StepEnd, EpochEnd). Then `result()`, `history` and `model()` have what came out."""

    def __init__(self, current: run.Run) -> None:
        self.run = current
        self._iteration: weakref.ref[Any] | None = None  # not held: a `break` is to close it
        self._closed = False
        self._torn = (
            False  # a step was cut short: what is in memory is neither before nor behind it
        )

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder.path

    @property
    def notes(self) -> list[str]:
        """How it starts, and what was found in the data."""
        return [*self.run.dataset.notes, *self.run.notes]

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dictionary per epoch so far, the lines of metrics.jsonl: epoch, train_loss, val_loss, …
        A DataFrame of it is `pandas.DataFrame(training.history)`."""
        return self.run.folder.rows()

    def fit(self, stop: Callable[[], bool] = lambda: False) -> Self:
        """Train to the end, or until `stop()`, asked after each step, answers True: the run is then
        saved, and `fit()` resumes it. Ctrl-C, or a notebook's stop button, saves it likewise after the
        step that it is in, and raises KeyboardInterrupt. Raises DivergedError, CheckpointError."""
        with closing(self._start(stop)) as events:
            for _ in events:
                pass
        return self

    def __repr__(self) -> str:
        trainer = self.run.trainer
        epochs = f"epoch {trainer.epoch:,} of {trainer.config.train.epochs:,}"
        hint = "" if trainer.finished else "; .fit() trains it"
        return f"<Training {self.folder}: {epochs}{hint}>"

    def _repr_html_(self) -> str:
        """How a notebook shows it: what it is, and its curves so far."""
        from nnzoo.report.notebook import training_html

        trainer = self.run.trainer
        best = trainer.best_epoch if trainer.best_weights else None
        return training_html(repr(self), self.notes, self.history, best)

    def events(self, stop: Callable[[], bool] = lambda: False) -> Iterator[StepEnd | EpochEnd]:
        """Train to the end; stop: asked after each step, and when it answers True the run is saved and
        can go on later. Ctrl-C within a step: as in `fit`. Raises DivergedError, CheckpointError."""
        return self._start(stop)

    def _start(self, stop: Callable[[], bool]) -> Generator[StepEnd | EpochEnd, None, None]:
        iteration = self._events(stop)
        self._iteration = weakref.ref(iteration)
        return iteration

    def close(self) -> None:
        """Let go of the run folder; an iteration that is not over ends, and the run is saved."""
        iteration = self._iteration() if self._iteration is not None else None
        if iteration is not None:
            try:
                iteration.close()
            except ValueError:  # it is executing
                raise CheckpointError(
                    f"{self.folder} is being trained in this process; end that first"
                ) from None
        self._closed = True
        self.run.lock.release()

    def _events(self, stop: Callable[[], bool]) -> Generator[StepEnd | EpochEnd, None, None]:
        if self._closed:
            raise CheckpointError(
                f"{self.folder} was opened anew by a later nnzoo.train(…); go on with that one"
            )
        if self._torn:
            raise CheckpointError(
                f"{self.folder}: a step was cut short; nnzoo.train(…) opens it at its last checkpoint"
            )
        leads = self.run.trainer.processes.is_main_process
        if leads and not self.run.lock.is_locked:  # gone on with after a break
            self.run.folder.acquire(self.run.lock)
        interrupt = DeferredInterrupt()
        events = train_run(self.run, lambda: stop() or interrupt.pending)
        if leads and self.run.trainer.config.train.tensorboard:
            from nnzoo.tensorboard import record

            events = record(self.run, events)
        try:
            with computing(self.run.network), closing(events):
                yield from self._interruptible(events, interrupt)
        finally:
            self.run.lock.release()

    def _interruptible(
        self, events: Iterator[StepEnd | EpochEnd], interrupt: DeferredInterrupt
    ) -> Iterator[StepEnd | EpochEnd]:
        """The events of a run that `interrupt.pending` stops; then raises KeyboardInterrupt."""
        while True:
            try:
                with interrupt:
                    event = next(events, None)
                    if interrupt.pending:
                        for _ in events:  # it saves, and ends
                            pass
            except KeyboardInterrupt:  # the second one
                self._torn = True
                raise
            if interrupt.pending:
                raise KeyboardInterrupt(
                    f"saved in {self.folder} after step {self.run.trainer.step:,}; fit(), or the same "
                    "cell, resumes it"
                )
            if event is None:
                return
            yield event

    def __iter__(self) -> Iterator[StepEnd | EpochEnd]:
        return self.events()

    def result(self, split: str = "test") -> dict[str, Any] | None:
        """The metrics of the best weights, as `nnzoo eval --json` has them; None without such rows."""
        with computing(self.run.network):
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

    config: a YAML file, the name of a bundled one, or the same as a dictionary; sets: as --set.
    Under torchrun every process calls this, iterates and asks for the result; one of them writes.
    Raises ConfigError, DataError, CheckpointError and UsageError, whose text says what to do.
    """
    processes = distributed.init_process_group()
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
        if earlier is not None:  # a cell of a notebook that is run again
            earlier.close()
        training = Training(
            run.open_run(config, Path(out), where, resume, fresh, processes=processes)
        )
        _OPEN[folder] = training
        return training
