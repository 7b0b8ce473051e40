"""The trials of a sweep: one line per trial, a live table, and the best."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from nnzoo.config.formatting import flow_yaml
from nnzoo.console import LiveNotices, Text
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
    """A value of a trial, numbers with four significant digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return shorten(flow_yaml(value), 32)


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Keys without their sections, where that is unambiguous."""
    last = {key: key.rpartition(".")[2] for key in keys}
    names = list(last.values())
    return {key: name if names.count(name) == 1 else key for key, name in last.items()}


STATE_STYLES = {"running": "cyan", "pruned": "dim", "diverged": "red", "failed": "red"}


class TrialTable:
    """The live table of `sweep`; a context manager."""

    REFRESH = 1.0  # seconds between two reads of the other processes' trials

    def __init__(self, console: Console, study: Study) -> None:
        from rich.live import Live

        self.console, self.study = console, study
        self.current: TrialRecord | None = None
        self.epochs = 0
        self.score: float | None = None
        self.read_at = 0.0
        self._notices = listening(LiveNotices(console))
        self.rows: list[TrialRecord] = []
        self.live = Live(console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> TrialTable:
        self._notices.__enter__()
        self.live.__enter__()
        self.show(None)
        return self

    def __exit__(self, *details: Any) -> None:
        self.live.__exit__(*details)
        self._notices.__exit__(*details)

    def show(
        self, row: TrialRecord | None, epochs: int | None = None, score: float | None = None
    ) -> None:
        """row: this process's trial; epochs: the most it may take; score: its last."""
        now = time.monotonic()
        is_new = (
            row is None
            or self.current is None
            or (row.number, row.state) != (self.current.number, self.current.state)
        )
        if is_new or now - self.read_at > self.REFRESH:
            self.rows, self.read_at = self.study.records(), now
        self.current, self.score = row, score
        self.epochs = epochs or self.epochs
        self.live.update(self.table())

    def table(self) -> Table:
        """The last trials that fit, and the best."""
        rows = [
            self.current if self.current and row.number == self.current.number else row
            for row in self.rows
        ]
        best = min(
            (row for row in rows if row.state == "complete" and row.value is not None),
            key=lambda row: (-row.value if self.study.higher_is_better else row.value, row.number),  # type: ignore[operator]
            default=None,
        )
        room = max(3, self.console.height - 5)
        escape_controls = rows[-room:]
        if best is not None and best not in escape_controls:
            escape_controls = [best, *escape_controls[1:]]
        fixed, names = self._columns(escape_controls)
        finished = sum(row.state not in ("waiting", "running") for row in rows)
        title = f"{finished} of {max(self.study.sweep.trials, len(rows))} trials finished"
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
        for row in escape_controls:
            style = "bold green" if row is best else STATE_STYLES.get(row.state)
            table.add_row(*self._cells(row, row is best, names), style=style)
        return table

    def _columns(self, escape_controls: list[TrialRecord]) -> tuple[dict[str, int], dict[str, str]]:
        """The columns that are always there, with their widths, and the keys that fit."""
        monitor = self.study.monitor
        fixed = {"trial": 5, monitor: max(len(monitor), 8), "state": 10, "epoch": 7}
        left = self.console.width - sum(width + 2 for width in fixed.values())
        names = {}
        for key, name in short_keys(self.study.keys).items():
            values = (short_value(row.values[key]) for row in escape_controls if key in row.values)
            left -= min(max(map(len, (name, *values))), 14) + 2
            if left < 0:
                break
            names[key] = name
        return fixed, names

    def _cells(self, row: TrialRecord, is_best: bool, keys: Iterable[str]) -> list[str | Text]:
        is_current = row is self.current and row.state == "running"
        score = self.score if is_current else row.value
        epoch = str(row.epoch or row.epochs or "")
        return [
            str(row.number),
            "" if score is None else format_metric(score),
            f"{row.state} ★" if is_best else row.state,
            f"{row.epochs}/{self.epochs}" if is_current else epoch,
            *(Text(short_value(row.values.get(key, ""))) for key in keys),
        ]


def print_best(console: Console, study: Study, best: TrialRecord) -> None:
    """Print the best trial's values and the path of its config."""
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
