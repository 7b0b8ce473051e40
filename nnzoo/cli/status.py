"""Reports of the core (`nnzoo.status`) on stderr: a line that goes away on a terminal, else one that stays."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nnzoo.errors import visible
from nnzoo.status import Advance

if TYPE_CHECKING:
    from rich.progress import Progress


# What ends within so many seconds is not shown: on a terminal, in a log.
DELAYS = (0.3, 1.0)


class StatusDisplay:
    """A `nnzoo.status.Listener`. delays: in place of DELAYS."""

    def __init__(self, delays: tuple[float, float] | None = None) -> None:
        self.terminal = sys.stderr.isatty()
        self.delay = (delays or DELAYS)[0 if self.terminal else 1]
        self.lock = threading.RLock()
        self.progress: Progress | None = None
        self.shown = 0

    def notice(self, text: str) -> None:
        text = visible(text)
        with self.lock:
            if self.progress is not None:
                self.progress.console.print(text, markup=False, soft_wrap=True)
            else:
                sys.stderr.write(f"{text}\n")

    @contextmanager
    def status(self, text: str, total: int | None, log: bool) -> Iterator[Advance]:
        if not (log or self.terminal):
            yield lambda count: None
            return
        text = visible(text)
        done = 0
        ended = False
        task = None

        def show() -> None:
            nonlocal task
            with self.lock:
                if ended:
                    return
                if not self.terminal:
                    sys.stderr.write(f"{text} …\n")
                    sys.stderr.flush()
                    return
                if self.progress is None:
                    self.progress = _progress()
                    self.progress.start()
                self.shown += 1
                task = self.progress.add_task(text, total=total, completed=done)

        def advance(count: int) -> None:
            nonlocal done
            done = count
            if task is not None and self.progress is not None:
                self.progress.update(task, completed=count)

        # A thread of its own: the operation is often one long call.
        timer = threading.Timer(self.delay, show)
        timer.daemon = True
        timer.start()
        try:
            yield advance
        finally:
            timer.cancel()
            with self.lock:
                ended = True
                if task is not None and self.progress is not None:
                    self.progress.remove_task(task)
                    self.shown -= 1
                    if not self.shown:
                        self.progress.stop()
                        self.progress = None


def _progress() -> Progress:
    """A spinner and the text, with a bar and counts where there is a total."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Bar(BarColumn):
        def render(self, task: Task) -> Any:
            return Text("") if task.total is None else super().render(task)

    class Count(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.total is None else f"{task.completed:,.0f}/{task.total:,.0f}")

    text = Column(no_wrap=True, overflow="ellipsis")
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}", table_column=text, markup=False),
        Bar(bar_width=20), Count(), console=Console(stderr=True, highlight=False),
        transient=True, refresh_per_second=8,
    )  # fmt: skip
