"""Everything that is shown in a terminal: results to stdout, the rest to stderr."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from nnzoo.config.show import inline, number, to_json

if TYPE_CHECKING:
    from rich.progress import Progress

    from nnzoo.sweep.study import Row, Study

MAX_MATRIX = 26
HEADLINE = {
    "classification": ("accuracy", "f1_macro", "precision_macro", "recall_macro", "top5_accuracy"),
    "regression": ("rmse", "mae", "r2", "mse"),
    "forecasting": ("rmse", "mae", "r2", "mse"),
}


class _Console(Console):
    """rich's console, which does not end the process when the reader of its output has gone."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def make_consoles(plain_width: int = 120) -> tuple[Console, Console]:
    """(stdout, stderr). Where the stream is no terminal, lines may be longer than 80."""

    def make(stderr: bool) -> Console:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else plain_width
        return _Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)

    return make(False), make(True)


def print_json(value: Any) -> None:
    """One JSON object on a line of stdout, at once."""
    sys.stdout.write(to_json(value) + "\n")
    sys.stdout.flush()


def epoch_line(row: dict[str, Any], epochs: int, best: bool, width: int) -> str:
    """One epoch as a line of text; what matters least is left out where it would not fit."""
    head = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    metrics = [f"{name} {number(row[name])}" for name in shown_metrics(row)]
    rate = [f"lr {row['lr']:.2e}"]
    speed = [f"{row['samples_per_second']:,.0f}/s"] if row["samples_per_second"] else []
    time = [f"{row['seconds']:.1f} s"]
    mark = ["*"] if best else []
    line = ""
    for parts in (
        [head, *rate, *metrics, *speed, *time, *mark],
        [head, *metrics, *time, *mark],
        [head, *metrics[-2:], *mark],
    ):
        line = "  ".join(parts)
        if len(line) < width:
            break
    return line


def shown_metrics(row: dict[str, Any]) -> list[str]:
    """The metrics of an epoch that a line has room for, the most telling last."""
    wanted = ("train_accuracy", "train_loss", "val_r2", "val_rmse", "val_loss", "val_accuracy")
    skipped = ["skipped"] if row.get("skipped") else []
    return skipped + [name for name in wanted if name in row]


class Progressing:
    """The live bar of `train`; a context manager, fed with the trainer's events."""

    WIDE = 110

    def __init__(
        self, console: Console, epochs: int, groups: int, done: int, rows: list[dict[str, Any]]
    ) -> None:
        """groups: steps an epoch; done: steps taken; rows: of epochs before this start."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.epochs = epochs
        self.wide = console.width >= self.WIDE
        self.losses = [_loss(row) for row in rows]
        self.curve_width = 16 if self.wide else 8
        self.drawn, self.curve = 0.0, ""
        bar = 20 if self.wide else 12
        # Beside the epoch, the bar, its share of a hundred, the time left and the curve.
        self.room = console.width - (2 * len(str(epochs)) + 7 + bar + 4 + 7 + self.curve_width + 6)
        plain = Column(no_wrap=True)
        self.progress: Progress = Progress(
            TextColumn("{task.description}", table_column=plain),
            BarColumn(bar_width=bar),
            TextColumn("{task.percentage:>3.0f}%", table_column=plain),
            TimeRemainingColumn(compact=True, table_column=plain),
            TextColumn("{task.fields[curve]}", table_column=plain, style="cyan"),
            TextColumn("{task.fields[metrics]}", table_column=Column(no_wrap=True, ratio=1)),
            console=console,
            transient=True,
            refresh_per_second=10,
            expand=False,
        )
        self.task = self.progress.add_task(
            self.describe(done // groups + 1), total=epochs * groups, completed=done, metrics="",
            curve=curve(self.losses, self.curve_width),
        )  # fmt: skip

    def describe(self, epoch: int) -> str:
        return f"epoch {min(epoch, self.epochs):>{len(str(self.epochs))}}/{self.epochs}"

    def __enter__(self) -> Progressing:
        self.progress.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self.progress.__exit__(*details)

    def new_curve(self) -> str:
        """The curve, drawn anew where the last one is a while old: of 10,000 epochs it takes 1 ms."""
        now = time.monotonic()
        if now - self.drawn > 0.2:
            self.drawn, self.curve = now, curve(self.losses, self.curve_width)
        return self.curve

    def step(self, step: int, epoch: int) -> None:
        self.progress.update(self.task, completed=step, description=self.describe(epoch))

    def epoch(self, row: dict[str, Any], best_epoch: int) -> None:
        names = [name for name in shown_metrics(row) if name not in ("train_accuracy", "val_r2")]
        self.losses.append(_loss(row))
        metrics = [f"{name} {number(row[name])}" for name in names]
        speed = [f"{row['samples_per_second']:,.0f}/s"] if row["samples_per_second"] else []
        for parts in (
            [*metrics, f"best {best_epoch}", *speed],
            [*metrics[-2:], *speed],
            [*metrics[-1:], *speed],
        ):
            if len("  ".join(parts)) <= self.room:
                break
        self.progress.update(
            self.task,
            completed=row["step"],
            description=self.describe(row["epoch"] + 1),
            metrics="  ".join(parts),
            curve=self.new_curve(),
        )


def trial_line(study: Study, row: Row, best: bool) -> str:
    """One trial that is over as a line of text."""
    digits = len(str(study.sweep.trials))
    parts = [f"trial {row.number:>{digits}}/{study.sweep.trials}", f"{row.state:<8}"]
    if row.value is not None:
        parts.append(f"{study.monitor} {number(row.value)} (epoch {row.epoch})")
    elif row.epochs:
        parts.append(f"after {row.epochs} epoch{'s' if row.epochs > 1 else ''}")
    parts += [f"{key} {short_value(value)}" for key, value in row.values.items()]
    return "  ".join([*parts, *([row.reason] if row.reason else []), *(["*"] if best else [])])


def short_value(value: Any) -> str:
    """A value of a trial, numbers with the digits that count."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = inline(value)
    return text if len(text) <= 32 else f"{text[:31]}…"


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Keys without the section that they lie in, where that tells them apart."""
    last = {key: key.rpartition(".")[2] for key in keys}
    names = list(last.values())
    return {key: name if names.count(name) == 1 else key for key, name in last.items()}


class Searching:
    """The live table of `sweep`; a context manager, told what the search yields."""

    REFRESH = 1.0  # seconds between two looks at what other processes do

    def __init__(self, console: Console, study: Study) -> None:
        from rich.live import Live

        self.console, self.study = console, study
        self.own: Row | None = None
        self.epochs = 0
        self.score: float | None = None
        self.looked = 0.0
        self.rows: list[Row] = []
        self.live = Live(console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Searching:
        self.live.__enter__()
        self.show(None)
        return self

    def __exit__(self, *details: Any) -> None:
        self.live.__exit__(*details)

    def show(self, row: Row | None, epochs: int | None = None, score: float | None = None) -> None:
        """row: this process's trial as it stands; epochs: how many it may take; score: its last."""
        now = time.monotonic()
        new = (
            row is None
            or self.own is None
            or (row.number, row.state) != (self.own.number, self.own.state)
        )
        if new or now - self.looked > self.REFRESH:
            self.rows, self.looked = self.study.rows(), now
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
            key=lambda row: (-row.value if self.study.higher else row.value, row.number),  # type: ignore[operator]
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
        for key, name in short_keys(self.study.distributions).items():
            values = (short_value(row.values[key]) for row in shown if key in row.values)
            left -= min(max(map(len, (name, *values))), 14) + 2
            if left < 0:
                break
            names[key] = name
        wanted = max(self.study.sweep.trials, len(rows))
        title = f"{over} of {wanted} trials are over"
        missing = len(self.study.distributions) - len(names)
        if missing:
            title += f" ({missing} more key{'s' if missing > 1 else ''} in the page)"
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0),
                      title=Text(title, no_wrap=True, overflow="ellipsis"), title_justify="left", title_style="bold")  # fmt: skip
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
                str(row.number), "" if score is None else number(score), state, epoch,
                *(Text(short_value(row.values.get(key, ""))) for key in names),
                style="bold green" if row is best else style,
            )  # fmt: skip
        return table


def print_best(console: Console, study: Study, best: Row) -> None:
    """The best trial's values, and where its config lies."""
    console.print(f"best: trial {best.number}, {study.monitor} [bold green]{number(best.value)}[/] at "
                  f"epoch {best.epoch}", soft_wrap=True)  # fmt: skip
    width = max(map(len, best.values))
    for key, value in best.values.items():
        text = f"{value:.6g}" if isinstance(value, float) else inline(value)
        console.print(f"  {key:<{width}}  {text}", markup=False, soft_wrap=True)
    console.print(f"\nconfig: {study.best_file}", markup=False, soft_wrap=True)


def _loss(row: dict[str, Any]) -> float:
    """What the curve shows of an epoch."""
    value = row.get("val_loss", row.get("train_loss"))
    return math.nan if value is None else float(value)


def curve(values: list[float], width: int) -> str:
    """Values as a line of blocks, the lowest a low one; each block is the mean of as many neighbours
    as it takes. On a logarithmic scale where all are above zero, as losses fall by orders."""
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


def result_table(result: dict[str, Any]) -> Table:
    """The headline metrics of `nnzoo eval`'s object, each beside the trivial baselines."""
    trivial = result.get("baselines") or [result["baseline"]]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(f"{result['split']} ({result['n']:,} rows)")
    table.add_column("network", style="bold green")
    for each in trivial:
        label = f" ('{each['label']}')" if "label" in each else ""
        table.add_column(Text(each["name"] + label), style="dim")
    if result["task"] == "classification" and len(result["labels"]) == 2:
        names: Iterable[str] = ("accuracy", "f1", "precision", "recall", "f1_macro")
    else:
        names = HEADLINE[result["task"]]
    for name in names:
        if name not in result:
            continue
        shown = number(result[name])
        if name == "accuracy":
            low, high = result["accuracy_ci95"]
            shown += f"  [{number(low)}, {number(high)}]"
        label = (
            f"{name} of '{result['positive_label']}'"
            if name in ("f1", "precision", "recall")
            else name
        )
        cells = [number(each[name]) if name in each else "" for each in trivial]
        table.add_row(Text(label), Text(shown), *cells)
    return table


def class_table(result: dict[str, Any]) -> Table:
    """Precision, recall, F1 and the counts of each class."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("class")
    for name in ("precision", "recall", "f1", "support", "TP", "FP", "FN", "TN"):
        table.add_column(name, justify="right")
    for each in result["per_class"]:
        counts = [f"{each[key]:,}" for key in ("support", "tp", "fp", "fn", "tn")]
        shares = [f"{each[key]:.4f}" for key in ("precision", "recall", "f1")]
        table.add_row(Text(each["label"]), *shares, *counts)
    return table


def matrix_table(result: dict[str, Any]) -> Table:
    """The confusion matrix; rows are the truth, right answers stand out."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(Text("truth \\ answer"))
    labels = [label if len(label) <= 12 else label[:11] + "…" for label in result["labels"]]
    for label in labels:
        table.add_column(Text(label), justify="right")
    for i, counts in enumerate(result["confusion_matrix"]):
        cells = [
            Text(
                str(count) if count else "·",
                style="bold green" if i == j else "red" if count else "dim",
            )
            for j, count in enumerate(counts)
        ]
        table.add_row(Text(labels[i]), *cells)
    return table


def output_table(result: dict[str, Any]) -> Table:
    """The errors of each output, where there are several."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("output")
    for name in ("rmse", "mae", "r2"):
        table.add_column(name, justify="right")
    for each in result["per_output"]:
        table.add_row(Text(each["name"]), *(number(each[key]) for key in ("rmse", "mae", "r2")))
    return table


def print_result(console: Console, result: dict[str, Any], detail: bool) -> None:
    """A result; `detail` adds classes, confusion matrix or single outputs."""
    console.print(result_table(result))
    if detail and "per_class" in result:
        console.print()
        console.print(class_table(result))
        matrix = matrix_table(result) if len(result["labels"]) <= MAX_MATRIX else None
        console.print()
        if matrix is not None and console.measure(matrix).maximum <= console.width:
            console.print(matrix)
        else:
            console.print("the confusion matrix does not fit here; it is in nnzoo eval --json")
    if detail and "per_output" in result:
        console.print()
        console.print(output_table(result))


def print_group(console: Console, group: dict[str, Any]) -> None:
    """What came out of several runs: each one's headline metrics, then mean, deviation and interval."""
    summary = group["summary"]
    kind = summary["kind"]
    columns = []
    for split in ("val", "test"):
        known = summary[split]
        names = HEADLINE["classification" if "accuracy" in known else "regression"]
        columns += [(split, name) for name in names[:2] if name in known]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for head in (kind, "best epoch", *(f"{split}_{name}" for split, name in columns)):
        table.add_column(head, justify="right", no_wrap=True)
    for member in group["members"]:
        best = member["best"].get("epoch", 0)
        cells = [
            number(value) if (value := (member[split] or {}).get(name)) is not None else ""
            for split, name in columns
        ]
        state = (
            f"{best} of {member['epochs']}" if member["state"] == "complete" else member["state"]
        )
        table.add_row(str(member[kind]), state, *cells)
    spreads = [summary[split][name] for split, name in columns]
    if summary["complete"] > 1:
        every = summary["complete"] == summary["members"]
        mean = "mean" if every else f"mean of {summary['complete']}"
        table.add_section()
        rows = {
            mean: [number(each["mean"]) for each in spreads],
            "spread": [number(each["std"]) for each in spreads],
            "95 % from": [number(each["ci95"][0]) for each in spreads],
            "to": [number(each["ci95"][1]) for each in spreads],
        }
        for name, cells in rows.items():
            table.add_row(
                Text(name, style="bold"), "", *(Text(c, style="bold green") for c in cells)
            )
    console.print()
    console.print(table)
    console.print(f"\nruns: {group['run_dir']}", markup=False, soft_wrap=True)


STATE_STYLES = {"running": "cyan", "complete": "green", "interrupted": "yellow", "pruned": "dim"}


# The columns of `runs`, and in which order they are left out where a terminal is too narrow.
_RUNS = ("run", "data", "model", "epochs", "best", "test", "state", "age")
_MISSED = ("data", "age", "model", "epochs", "test", "best")
_WIDEST = 64


def print_runs(console: Console, runs: list[dict[str, Any]], sort: str) -> None:
    """A row a run of `nnzoo.runs.scan`, the members of a group below it; with a column for `sort` where
    no other shows it."""
    measured = sort.startswith(("val_", "test_"))
    rows = []
    for run in runs:
        members = run.get("members", [])
        state = run["state"]
        if "trial" in run:
            # Its trials are other networks than the best: they have a list of their own.
            counts = Counter(each["state"] for each in members)
            state = ", ".join(f"{count} {name}" for name, count in counts.items())
            members = []
        elif members and state != "complete":
            state = f"{run['complete']} of {run['asked']} complete, {state}"
        for each, name, shown in [
            (run, run["run"], state),
            *((each, "  " + each["run"].rpartition("/")[2], each["state"]) for each in members),
        ]:
            cells = (name, each["data"] or "?", each["model"] or "?", _epochs(each), _best(each),
                     _test(each), shown, _ago(each["age"]), _measured(each, sort) if measured else "")  # fmt: skip
            style = STATE_STYLES.get(each["state"], "red")
            row = dict(zip(_RUNS, cells[:-1], strict=True))
            rows.append((row | {sort: cells[-1]} if measured else row, style))
    columns = list(_RUNS)
    if measured:
        columns.insert(4, sort)
        shown_as = "test" if sort.startswith("test_") else "best"
        name = sort.removeprefix("test_")
        if all(row[shown_as].startswith(f"{name} ") for row, _ in rows if row[sort]):
            columns.remove(shown_as)
    width = {
        name: min(_WIDEST, max(len(name), *(len(row[name]) for row, _ in rows))) for name in columns
    }
    if console.is_terminal:
        # Names may be cut, and a column of which less than that is left says nothing.
        width["run"] = min(width["run"], max(20, console.width // 3))
        for name in _MISSED:
            if sum(width[each] + 2 for each in columns) > console.width + 2 and name in columns:
                columns.remove(name)
    else:  # a file or a pipe is as wide as what it is given
        console.width = sum(width.values()) + 2 * len(width)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        side: Literal["left", "right"] = (
            "left" if name in ("run", "data", "model", "state") else "right"
        )
        table.add_column(name, justify=side, no_wrap=True, width=width[name])
    for row, style in rows:
        table.add_row(
            *(Text(row[name], style=style if name == "state" else "") for name in columns)
        )
    console.print(table)


def _epochs(run: dict[str, Any]) -> str:
    asked = "?" if run["epochs"] is None else run["epochs"]
    return f"{run['epoch']}/{asked}"


def _measured(run: dict[str, Any], name: str) -> str:
    """A metric of a run; of a group with its deviation."""
    if run.get(name) is None:
        return ""
    spread = run.get("std", {}).get(name)
    return number(run[name]) + (f" ± {number(spread)}" if spread is not None else "")


def _best(run: dict[str, Any]) -> str:
    if run["best"] is None:
        return ""
    at = f" @{run['best_epoch']}" if run["best_epoch"] is not None else ""
    if run.get("trial") is not None:
        at = f" (trial {run['trial']})"
    return f"{run['monitor']} {_measured(run, 'best')}{at}"


def _test(run: dict[str, Any]) -> str:
    name = next((name for name in ("test_accuracy", "test_rmse") if name in run), None)
    return f"{name.removeprefix('test_')} {_measured(run, name)}" if name else ""


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def layer_table(layers: list[dict[str, Any]]) -> Table:
    """A row a layer, of `probe.Layer.to_dict()`; columns that no layer has anything for are left out."""
    columns = {
        "layer": lambda each: each["name"],
        "type": lambda each: each["type"],
        "output": lambda each: "×".join(map(str, each["shape"])),
        "parameters": lambda each: f"{each['parameters']:,}",
        "multiply-adds": lambda each: f"{each['multiply_adds']:,}" if each["multiply_adds"] else "",
        "mean": lambda each: number(each["mean"]) if each["mean"] is not None else "",
        "spread": lambda each: number(each["spread"]) if each["spread"] is not None else "",
        "dead units": lambda each: (
            f"{each['dead']:,} of {each['units']:,}" if each["units"] else ""
        ),
        "gradient": lambda each: f"{each['gradient']:.2e}" if each["gradient"] is not None else "",
        "weight": lambda each: number(each["weight"]) if each["weight"] is not None else "",
    }
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    cells = {name: [show(each) for each in layers] for name, show in columns.items()}
    shown = {name: column for name, column in cells.items() if any(column)}
    for name in shown:
        table.add_column(name, justify="left" if name in ("layer", "type", "output") else "right")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*map(Text, row))
    return table
