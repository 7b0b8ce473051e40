"""The number of threads that compute a run's steps, chosen by the steps' own clock while it trains.

A benchmark at the start is right for a moment: another program may take a core, or give it back. If no bit of a step
depends on the number of threads, a few steps are taken with another number from time to time, in turns with the present
one, and the faster of the two is kept. Otherwise the number stays, and only the way in which the threads
wait for each other changes. The run's `threads` decide into how many parts sums are divided: they never change.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import torch

from nnzoo.device import ALL_THREADS
from nnzoo.kernels import openmp, torch_operators
from nnzoo.text import plural
from nnzoo.training.trainer import EpochEnd

if TYPE_CHECKING:
    from torch import Tensor

    from nnzoo.training.train_step import Event, TrainerStack

# Seconds of the steps that are timed together: several of the slices that a scheduler gives.
WINDOW = 0.03
# Windows of each of the two that are compared; another one has to be so many times as fast, by their medians.
PAIRS, MIN_SPEEDUP = 4, 1.04
# One that takes so many times as long in the first pair, or longer in each of two, is not tried further.
DROP_RATIO = 1.5
# Seconds of steps until all others are tried again: at first, and at most. In between they double each time that
# nothing changed, and are at least so many times what the last trial has lost.
FIRST_PAUSE, LAST_PAUSE, LOSS_RATIO = 0.2, 20.0, 60
# So many windows in a row that are slower or faster by this ratio than when it was last compared: try again soon.
DRIFT, DRIFT_WINDOWS = 1.3, 3


class Setting(NamedTuple):
    """How steps are computed: by how many threads, and whether they sleep at once where they wait for each other."""

    threads: int
    brief: bool = False

    def __str__(self) -> str:
        return plural(self.threads, "thread") + " that sleep where they wait" * self.brief


def numbers_up_to(threads: int) -> list[Setting]:
    """Settings that differ in their number of threads: powers of two, one less than all, and all."""
    counts = {1, threads, *([threads - 1] if threads > 3 else [])}
    counts |= {2**i for i in range(1, threads.bit_length())}
    return [Setting(count) for count in sorted(counts)]


def ways_to_wait(threads: int) -> list[Setting]:
    """Settings of a number of threads that differ in how they wait for each other; fewer than two if they never do."""
    return [Setting(threads), Setting(threads, True)] if threads > 1 else []


class ThreadTuner:
    """Takes the steps of a stack of trainers; if its first trainer `tunes_threads`, with threads of its choice.

    Between steps torch has the number of threads that it had before the first one.
    """

    def __init__(self, stack: TrainerStack) -> None:
        self.stack = stack
        self.threads = torch.get_num_threads()
        """The number of threads of everything but steps."""
        self.active = self.best = self.reported = Setting(self.threads)
        """The setting of the next step; the fastest so far; the one that was last reported."""
        tunes = stack.trainers[0].tunes_threads and stack.trainers[0].device.type == "cpu"
        self.settings = numbers_up_to(ALL_THREADS) if tunes and ALL_THREADS > 1 else []
        self.waiting: list[Setting] = []
        """Those that are still to be tried in this round."""
        self.times: dict[Setting, list[float]] = {}
        """Seconds per step in each window of a trial, of `best` and the one that it is compared with."""
        self.sizes: set[int] = set()
        """The sizes of steps whose operators are known."""
        self.depends_on = ""
        """The operator because of which the number of threads stays."""
        self.pause, self.since_trial, self.drifting = 0.0, 0.0, 0
        self.step_seconds: float | None = None
        """Of `best` when it was last compared."""
        self._use(self.best)

    def step(self, rows: Tensor) -> dict[int, Event]:
        """`TrainerStack.train_step` on the rows (members, n) int64."""
        if not self.settings:
            return self.stack.train_step(rows)
        if rows.shape[1] not in self.sizes:
            return self._examine(rows)
        openmp.set_team(self.active.threads)
        started = time.perf_counter()
        try:
            return self.stack.train_step(rows)
        finally:
            self._record(time.perf_counter() - started)
            openmp.set_team(self.threads)

    def finish_epoch(self) -> dict[int, Event]:
        """`TrainerStack.finish_epoch`, with a word on a setting that has changed since the epoch before."""
        events = self.stack.finish_epoch()
        if self.best == self.reported:
            return events
        self.reported = self.best
        return {
            i: replace(event, threads=str(self.best)) if isinstance(event, EpochEnd) else event
            for i, event in events.items()
        }

    def _examine(self, rows: Tensor) -> dict[int, Event]:
        """Take a step with the run's threads, and learn whether its bits depend on them."""
        events, calls = torch_operators.operators_of(lambda: self.stack.train_step(rows))
        self.sizes.add(rows.shape[1])
        unsafe = (
            "operators that are not known"
            if calls is None
            else torch_operators.thread_dependent(calls)
        )
        if unsafe and not self.depends_on:
            self.depends_on = unsafe
            self.settings = ways_to_wait(self.threads)
            self.times, self.waiting, self.best = {}, [], Setting(self.threads)
            self._use(self.best)
        for trainer in self.stack.trainers:
            trainer.has_fixed_team = bool(self.depends_on)
        return events

    def _use(self, setting: Setting) -> None:
        self.active = setting
        openmp.wait_briefly(setting.brief)
        self._start_window()

    def _start_window(self) -> None:
        # The first step is not timed: threads have to be woken.
        self.spent, self.count = 0.0, -1

    def _record(self, seconds: float) -> None:
        """Add a step of the active setting to its window."""
        self.count += 1
        if not self.count:
            return
        self.spent += seconds
        if self.spent < WINDOW:
            return
        mean, self.since_trial = self.spent / self.count, self.since_trial + self.spent
        self.spent, self.count = 0.0, 0
        if self.times:
            self._continue_trial(mean)
        else:
            self._watch(mean)

    def _watch(self, mean: float) -> None:
        """Note a window outside of trials, and start one if it is time."""
        if self.step_seconds is not None:
            has_drifted = not self.step_seconds / DRIFT < mean < self.step_seconds * DRIFT
            self.drifting = self.drifting + 1 if has_drifted else 0
            if self.drifting >= DRIFT_WINDOWS:
                self.pause = min(self.pause, FIRST_PAUSE)
                self.step_seconds, self.drifting = mean, 0
        if self.waiting or self.since_trial >= self.pause:
            self._start_trial(mean)

    def _start_trial(self, mean: float) -> None:
        if not self.waiting:
            self.waiting = self._neighbors()
            self.pause = min(LAST_PAUSE, max(FIRST_PAUSE, 2 * self.pause))
        other = self.waiting.pop(0)
        self.times = {self.best: [mean], other: []}
        self._use(other)

    def _neighbors(self) -> list[Setting]:
        """The settings to try beside the best: the next fewer and more threads, or the other way of waiting."""
        counts = sorted({setting.threads for setting in self.settings})
        place = counts.index(self.best.threads) if self.best.threads in counts else 0
        near = counts[max(0, place - 1) : place + 2]
        return [s for s in self.settings if s.threads in near and s != self.best]

    def _continue_trial(self, mean: float) -> None:
        """Note a window of a trial; measure the other setting, or decide."""
        self.times[self.active].append(mean)
        ours, theirs = self.times.values()
        other = next(setting for setting in self.times if setting != self.best)
        is_hopeless = min(theirs) > max(ours) and (
            len(theirs) > 1 or theirs[0] > DROP_RATIO * ours[0]
        )
        if not is_hopeless and len(theirs) < PAIRS:
            self._use(other if self.active == self.best else self.best)
            return
        self.step_seconds = median(ours)
        loss = sum(max(0.0, their / self.step_seconds - 1) for their in theirs) * WINDOW
        if not is_hopeless and median(theirs) * MIN_SPEEDUP < self.step_seconds:
            self.best, self.step_seconds = other, median(theirs)
            self.waiting, self.pause = [], FIRST_PAUSE
        self.pause = max(self.pause, LOSS_RATIO * loss)
        self.times, self.since_trial, self.drifting = {}, 0.0, 0
        self._use(self.best)
