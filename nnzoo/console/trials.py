"""The trials of a sweep: one line each, a live table, and the best."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from nnzoo.config.formatting import flow_yaml
from nnzoo.console import Text
from nnzoo.status import listening
from nnzoo.text import format_metric, shorten

if TYPE_CHECKING:
    from nnzoo.sweep.study import Study, TrialRecord


def trial_line(study: Study, row: TrialRecord, best: bool) -> str:
    """One finished trial as a line of text."""
    digits = len(str(study.sweep.trials))
    parts = [f"trial {row.number:>{digits}}/{study.sweep.trials}", f"{row.state:<8}"]
    if row.value is not None:
        parts.append(f"{study.monitor} {format_metric(row.value)} (epoch {row.epoch})")
    elif row.epochs:
        parts.append(f"after {row.epochs} epoch{'s' if row.epochs > 1 else ''}")
    parts += [f"{key} {short_value(value)}" for key, value in row.values.items()]
    return "  ".join([*parts, *([row.reason] if row.reason else []), *(["*"] if best else [])])


def short_value(value: Any) -> str:
    """A value of a trial, numbers with the digits that count."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return shorten(flow_yaml(value), 32)


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Keys without the section that they lie in, where that tells them apart."""
    last = {key: key.rpartition(".")[2] for key in keys}
    names = list(last.values())
    return {key: name if names.count(name) == 1 else key for key, name in last.items()}


class TrialTable:
    """The live table of `sweep`; a context manager, told what the search yields."""

    REFRESH = 1.0  # seconds between two looks at what other processes do

    def __init__(self, console: Console, study: Study) -> None:
        from rich.live import Live

        self.console, self.study = console, study
        self.own: TrialRecord | None = None
        self.epochs = 0
        self.score: float | None = None
        self.looked = 0.0
        self.quiet = listening(None)
        self.rows: list[TrialRecord] = []
        self.live = Live(console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> TrialTable:
        self.quiet.__enter__()
        self.live.__enter__()
        self.show(None)
        return self

    def __exit__(self, *details: Any) -> None:
        self.live.__exit__(*details)
        self.quiet.__exit__(*details)

    def show(
        self, row: TrialRecord | None, epochs: int | None = None, score: float | None = None
    ) -> None:
        """row: this process's trial as it stands; epochs: how many it may take; score: its last."""
        now = time.monotonic()
        new = (
            row is None
            or self.own is None
            or (row.number, row.state) != (self.own.number, self.own.state)
        )
        if new or now - self.looked > self.REFRESH:
            self.rows, self.looked = self.study.records(), now
        self.own, self.score = row, score
        self.epochs = epochs or self.epochs
        self.live.update(self.table())

    def table(self) -> Table:
        """The last trials, as many as there is room for, and the best."""
        rows = [
            self.own if self.own and row.number == self.own.number else row for row in self.rows
        ]
        best = min(
            (row for row in rows if row.state == "complete" and row.value is not None),
            key=lambda row: (-row.value if self.study.higher_is_better else row.value, row.number),  # type: ignore[operator]
            default=None,
        )
        over = sum(row.state not in ("waiting", "running") for row in rows)
        room = max(3, self.console.height - 5)
        shown = rows[-room:]
        if best is not None and best not in shown:
            shown = [best, *shown[1:]]
        monitor = self.study.monitor
        # What is always there, with the widths of its columns; then the keys that there is room for.
        fixed = {"trial": 5, monitor: max(len(monitor), 8), "state": 10, "epoch": 7}
        left = self.console.width - sum(width + 2 for width in fixed.values())
        names = {}
        for key, name in short_keys(self.study.keys).items():
            values = (short_value(row.values[key]) for row in shown if key in row.values)
            left -= min(max(map(len, (name, *values))), 14) + 2
            if left < 0:
                break
            names[key] = name
        wanted = max(self.study.sweep.trials, len(rows))
        title = f"{over} of {wanted} trials finished"
        missing = len(self.study.keys) - len(names)
        if missing:
            title += f" ({missing} more key{'s' if missing > 1 else ''} in the page)"
        table = Table(
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
            title=Text(title, no_wrap=True, overflow="ellipsis"),
            title_justify="left",
            title_style="bold",
        )
        for name, width in fixed.items():
            side: Literal["left", "right"] = "left" if name == "state" else "right"
            table.add_column(name, justify=side, no_wrap=True, min_width=width)
        for name in names.values():
            table.add_column(Text(name), no_wrap=True, overflow="ellipsis")
        for row in shown:
            own = row is self.own and row.state == "running"
            score = self.score if own else row.value
            epoch = f"{row.epochs}/{self.epochs}" if own else str(row.epoch or row.epochs or "")
            state = f"{row.state} ★" if row is best else row.state
            style = {"running": "cyan", "pruned": "dim", "diverged": "red", "failed": "red"}.get(
                row.state
            )
            table.add_row(
                str(row.number),
                "" if score is None else format_metric(score),
                state,
                epoch,
                *(Text(short_value(row.values.get(key, ""))) for key in names),
                style="bold green" if row is best else style,
            )
        return table


def print_best(console: Console, study: Study, best: TrialRecord) -> None:
    """The best trial's values, and where its config lies."""
    console.print(
        f"best: trial {best.number}, {study.monitor} [bold green]{format_metric(best.value)}[/] at "
        f"epoch {best.epoch}",
        soft_wrap=True,
    )
    width = max(map(len, best.values))
    for key, value in best.values.items():
        text = f"{value:.6g}" if isinstance(value, float) else flow_yaml(value)
        console.print(f"  {key:<{width}}  {text}", markup=False, soft_wrap=True)
    console.print(f"\nconfig: {study.best_file}", markup=False, soft_wrap=True)
