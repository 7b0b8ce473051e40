"""The progress of training: one line per epoch, or a live bar."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column

from nnzoo.console import LiveNotices
from nnzoo.status import listening
from nnzoo.text import format_metric

if TYPE_CHECKING:
    from rich.progress import Progress


def epoch_line(
    row: dict[str, Any], epochs: int, best: bool, width: int, more: Sequence[str] = ()
) -> str:
    """One epoch as a line of text, with `more` after its time; the least important parts are dropped if it does not
    fit."""
    head = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    metrics = [f"{name} {format_metric(row[name])}" for name in line_metrics(row)]
    lr = [f"lr {row['lr']:.2e}"]
    speed = [f"{row['samples_per_second']:,.0f}/s"] if row["samples_per_second"] else []
    time = [f"{row['seconds']:.1f} s"]
    mark = ["*"] if best else []
    line = ""
    for parts in (
        [head, *lr, *metrics, *speed, *time, *more, *mark],
        [head, *metrics, *time, *more, *mark],
        [head, *metrics[-2:], *mark],
    ):
        line = "  ".join(parts)
        if len(line) < width:
            break
    return line


def line_metrics(row: dict[str, Any]) -> list[str]:
    """The names of the metrics that a line shows, the most important last."""
    order: tuple[str, ...] = (
        "train_exact_match",
        "train_accuracy",
        "train_loss",
        "val_r2",
        "val_rmse",
        "val_loss",
        "val_accuracy",
        "val_exact_match",
    )
    if "val_perplexity" in row:
        order = ("train_accuracy", "train_loss", "val_perplexity", "val_accuracy", "val_loss")
    skipped = ["skipped"] if row.get("skipped") else []
    return skipped + [name for name in order if name in row]


class ProgressBar:
    """The live bar of `train`; a context manager.

    A sparkline over the epochs follows the validation loss (else the training loss).
    """

    WIDE = 110

    def __init__(
        self, console: Console, epochs: int, groups: int, done: int, rows: list[dict[str, Any]]
    ) -> None:
        """groups: steps per epoch; done: steps already taken; rows: the epochs before this start."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.epochs = epochs
        self._notices = listening(LiveNotices(console))
        wide = console.width >= self.WIDE
        self.losses = [_loss(row) for row in rows]
        self.sparkline_width = 16 if wide else 6
        self._drawn_at, self._sparkline = 0.0, ""
        bar = 20 if wide else 6
        plain = Column(no_wrap=True)
        percent = [TextColumn("{task.percentage:>3.0f}%", table_column=plain)] if wide else []
        # Beside the epoch, the bar, the percentage and the time left, each with a space.
        self.room = console.width - (2 * len(str(epochs)) + 7 + bar + 1 + 5 * len(percent) + 6)
        self.progress: Progress = Progress(
            TextColumn("{task.description}", table_column=plain),
            BarColumn(bar_width=bar),
            *percent,
            TimeRemainingColumn(compact=True, table_column=plain),
            TextColumn("{task.fields[metrics]}", table_column=Column(no_wrap=True, ratio=1)),
            console=console,
            transient=True,
            refresh_per_second=10,
            expand=False,
        )
        self.task = self.progress.add_task(
            self.describe(done // groups + 1),
            total=epochs * groups,
            completed=done,
            metrics=self.metrics(rows[-1], 0) if rows else "",
        )

    def describe(self, epoch: int) -> str:
        return f"epoch {min(epoch, self.epochs):>{len(str(self.epochs))}}/{self.epochs}"

    def __enter__(self) -> ProgressBar:
        self._notices.__enter__()
        self.progress.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self.progress.__exit__(*details)
        self._notices.__exit__(*details)

    def _draw_sparkline(self) -> str:
        """The sparkline, redrawn at most five times per second: 10,000 epochs take 1 ms."""
        now = time.monotonic()
        if now - self._drawn_at > 0.2:
            self._drawn_at, self._sparkline = now, sparkline(self.losses, self.sparkline_width)
        return f" [cyan]{self._sparkline}[/]" if self._sparkline else ""

    def metrics(self, row: dict[str, Any], best_epoch: int) -> str:
        """The losses, the sparkline and the other metrics of an epoch, as far as there is room."""
        names = [
            name
            for name in line_metrics(row)
            if name not in ("train_accuracy", "train_exact_match", "val_r2")
        ]
        loss = "val_loss" if "val_loss" in row else "train_loss"
        drawn = self._draw_sparkline()
        values = {name: f"{name} {format_metric(row[name])}" for name in names}
        if loss in values:
            values[loss] += drawn
        first = [values.pop("train_loss")] if "train_loss" in values else []
        second = [values.pop("val_loss")] if "val_loss" in values else []
        short = [text.removeprefix("train_") for text in first] if second else first
        others = [*values.values()]
        speed = [f"{row['samples_per_second']:,.0f}/s"] if row["samples_per_second"] else []
        best = [f"best {best_epoch}"] if best_epoch else []
        text = ""
        for parts in (
            [*first, *second, *others, *best, *speed],
            [*first, *second, *others],
            [*short, *second, *others],
            [*short, *second, *others[-1:]],
            [*(second or first), *others[-1:]],
            second or first,
        ):
            text = "  ".join(parts)
            markup = len("[cyan][/]") if drawn else 0
            if len(text) - markup <= self.room:
                break
        return text

    def step(self, step: int, epoch: int) -> None:
        self.progress.update(self.task, completed=step, description=self.describe(epoch))

    def epoch(self, row: dict[str, Any], best_epoch: int) -> None:
        self.losses.append(_loss(row))
        self.progress.update(
            self.task,
            completed=row["step"],
            description=self.describe(row["epoch"] + 1),
            metrics=self.metrics(row, best_epoch),
        )


def _loss(row: dict[str, Any]) -> float:
    """The loss of an epoch that the sparkline shows; nan if it has none."""
    value = row.get("val_loss", row.get("train_loss"))
    return math.nan if value is None else float(value)


def sparkline(values: list[float], width: int) -> str:
    """Values as a line of at most `width` blocks, each the mean of neighboring values; on a log scale if
    all are positive, as losses fall by orders of magnitude."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    if min(finite) > 0:
        finite = [math.log(value) for value in finite]
    count = min(width, len(finite))
    edges = [round(i * len(finite) / count) for i in range(count + 1)]
    means = [sum(finite[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    blocks = "▁▂▃▄▅▆▇█"
    return "".join(
        blocks[int((value - low) / (high - low) * (len(blocks) - 1) + 0.5) if high > low else 0]
        for value in means
    )
