"""Tables of results, of groups of runs, of the runs in a folder, and of the layers of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from nnzoo.console import Text, print_columns, print_text
from nnzoo.errors import escape_controls
from nnzoo.evaluation.uncertainty_text import uncertainty_lines
from nnzoo.evaluation.verdicts import baseline_lines, group_line, shown_baselines
from nnzoo.text import format_metric

MAX_MATRIX = 26
HEADLINE = {
    "classification": ("accuracy", "f1_macro", "precision_macro", "recall_macro", "top5_accuracy"),
    "multilabel": (
        "exact_match",
        "f1_macro",
        "f1_micro",
        "precision_macro",
        "recall_macro",
        "auc_macro",
        "average_precision_macro",
        "hamming_loss",
    ),
    "regression": ("rmse", "mae", "r2", "mse"),
    "forecasting": ("rmse", "mae", "r2", "mse"),
    "language_model": ("loss", "bits_per_character", "bits_per_byte", "perplexity", "accuracy"),
}


def print_result(console: Console, result: dict[str, Any], detail: bool) -> None:
    """Print the main metrics of a result (the object of `nnzoo eval --json`) beside the baselines; detail:
    also the classes and the confusion matrix, or the single outputs."""
    _print_headline(console, result)
    if lines := baseline_lines(result):
        console.print()
    for line in lines:
        print_text(console, line)
    if detail and (lines := uncertainty_lines(result)):
        console.print()
        for line in lines:
            print_text(console, line)
    if detail and "per_label" in result:
        console.print()
        _print_classes(console, "label", result["per_label"], ("auc", "average_precision"))
    if detail and "per_class" in result:
        console.print()
        _print_classes(console, "class", result["per_class"])
        console.print()
        _print_matrix(console, result)
    if detail and "per_output" in result:
        console.print()
        outputs = result["per_output"]
        columns = {"output": [output["name"] for output in outputs]}
        for name in ("rmse", "mae", "r2"):
            columns[name] = [format_metric(output[name]) for output in outputs]
        print_columns(console, columns, left=("output",), gap=3)


def headline(result: dict[str, Any]) -> tuple[str, ...]:
    """The names of the main metrics."""
    if result["task"] == "classification" and len(result["labels"]) == 2:
        return ("accuracy", "auc", "average_precision", "f1", "precision", "recall", "f1_macro")
    return HEADLINE[result["task"]]


def _print_headline(console: Console, result: dict[str, Any]) -> None:
    names = [name for name in headline(result) if name in result]
    unit = "tokens" if result["task"] == "language_model" else "rows"
    split = f"{result['split']} ({result['n']:,} {unit})"
    if "period" in result:
        console.print(
            f"{result['split']}: {result['period']['from']} to {result['period']['to']}",
            markup=False,
        )
    members = result.get("members")
    network = f"ensemble of {members['count']}" if members else "network"
    columns: dict[str, list[str | Text]] = {split: [], network: []}
    for name in names:
        value = format_metric(result[name])
        if f"{name}_ci95" in result:
            low, high = result[f"{name}_ci95"]
            value += f"  [{format_metric(low)}, {format_metric(high)}]"
        single = name in ("f1", "precision", "recall")
        columns[split].append(f"{name} ('{result['positive_label']}')" if single else name)
        columns[network].append(Text(value, style="bold green"))
    if "weighted" in result:
        columns["weighted"] = [format_metric(result["weighted"][name]) for name in names]
    if members:
        columns["its networks: mean, range"] = [
            _mean_and_range(members["metrics"].get(name)) for name in names
        ]
    baselines: dict[str, list[str | Text]] = {}
    for baseline in shown_baselines(result):
        label = f" ('{baseline['label']}')" if "label" in baseline else ""
        cells = [format_metric(baseline[name]) if name in baseline else "" for name in names]
        baselines[baseline["name"] + label] = [Text(cell, style="dim") for cell in cells]
    # The best baseline comes first, and is the last to be left out.
    print_columns(
        console,
        columns | baselines,
        drop=[*baselines][::-1],
        left=(*columns, *baselines),
        gap=3,
    )


def _mean_and_range(stats: dict[str, Any] | None) -> str:
    if stats is None:
        return ""
    mean, low, high = (format_metric(stats[key]) for key in ("mean", "min", "max"))
    return f"{mean}  [{low}, {high}]"


def _print_classes(
    console: Console, noun: str, classes: list[dict[str, Any]], further: Sequence[str] = ()
) -> None:
    """Precision, recall, F1, further metrics and the counts of each class or label."""
    columns: dict[str, list[str]] = {noun: [row["label"] for row in classes]}
    for name in ("precision", "recall", "f1", *further):
        columns[name] = [f"{row[name]:.4f}" for row in classes]
    for name in ("support", "TP", "FP", "FN", "TN"):
        columns[name] = [f"{row[name.lower()]:,}" for row in classes]
    print_columns(console, columns, drop=("TN", "TP", "FN", "FP"), left=(noun,))


def _print_matrix(console: Console, result: dict[str, Any]) -> None:
    """Print the confusion matrix, one row per actual class, correct predictions highlighted; the columns
    are numbered if the class names are too long."""
    labels = list(map(escape_controls, result["labels"]))
    head = "actual \\ predicted"

    def cell(i: int, j: int, count: int) -> Text:
        style = "bold green" if i == j else "red" if count else "dim"
        return Text(str(count) if count else "·", style=style)

    matrix = enumerate(result["confusion_matrix"])
    rows = [[cell(i, j, count) for j, count in enumerate(counts)] for i, counts in matrix]
    numbers = [str(i + 1) for i in range(len(labels))]
    numbered = [f"{i} {label}" for i, label in zip(numbers, labels, strict=True)]
    for heads, names in ((labels, labels), (numbers, numbered)):
        cells = dict(zip(heads, zip(*rows, strict=True), strict=True))
        room = max(len(head), *map(cell_len, names))
        room += sum(
            1 + max(cell_len(name), *(len(c) for c in column)) for name, column in cells.items()
        )
        if len(labels) <= MAX_MATRIX and room <= console.width:
            print_columns(console, {head: names, **cells}, left=(head,), gap=1)
            return
    console.print("the confusion matrix does not fit here; nnzoo eval --json has it")


def print_group(console: Console, group: dict[str, Any]) -> None:
    """Print the main metrics of each run of a group, their mean, standard deviation and confidence
    interval, and the baselines."""
    summary, members = group["summary"], group["members"]
    kind = summary["kind"]
    metrics = []
    for split in ("val", "test"):
        known = summary[split]
        marks = {"perplexity": "language_model", "exact_match": "multilabel"}
        marks |= {"accuracy": "classification", "loss": "regression"}
        names = HEADLINE[
            next((task for name, task in marks.items() if name in known), "regression")
        ]
        metrics += [(split, name) for name in names[:2] if name in known]
    heads: list[str | Text] = [str(member[kind]) for member in members]
    epochs = [
        f"{member['best'].get('epoch', 0)} of {member['epochs']}"
        if member["state"] == "complete"
        else member["state"]
        for member in members
    ]
    if summary["complete"] > 1:
        every = summary["complete"] == summary["members"]
        mean = "mean" if every else f"mean of {summary['complete']}"
        heads += [
            "",
            *(Text(name, "bold") for name in (mean, "std", "95 % CI low", "95 % CI high")),
        ]
    heads += [Text(baseline["name"], "dim") for baseline in summary["baselines"]]
    epochs += [""] * (len(heads) - len(epochs))
    columns: dict[str, list[str | Text]] = {kind: heads, "best epoch": [*epochs]}
    for split, name in metrics:
        columns[f"{split}_{name}"] = _group_column(group, split, name)
    console.print()
    # The second metric of each split is dropped first.
    drop = [*(f"{split}_{name}" for split, name in metrics[1::2]), "best epoch"]
    print_columns(console, columns, drop=drop, left=(kind,), gap=3)
    best = summary["baselines"][:1]
    for baseline in best:
        if "comparison" in baseline:
            console.print()
            print_text(console, group_line(baseline, kind))
    console.print(f"\nruns: {group['run_dir']}", markup=False, soft_wrap=True)


def _group_column(group: dict[str, Any], split: str, name: str) -> list[str | Text]:
    """A column of the metric: each member, its statistics, each baseline."""
    summary = group["summary"]
    values = [(member[split] or {}).get(name) for member in group["members"]]
    cells: list[str | Text] = ["" if x is None else format_metric(x) for x in values]
    if summary["complete"] > 1:
        stats = summary[split][name]
        stats = [stats["mean"], stats["std"], *stats["ci95"]]
        cells += ["", *(Text(format_metric(x), "bold green") for x in stats)]
    for baseline in summary["baselines"]:
        stats = baseline.get(name) if split == "test" else None
        cells.append(Text(format_metric(stats["mean"]) if stats else "", "dim"))
    return cells


STATE_STYLES = {"running": "cyan", "complete": "green", "interrupted": "yellow", "pruned": "dim"}
# The columns of `runs`, and the order in which they are dropped if a terminal is too narrow.
_RUNS = ("run", "data", "model", "epochs", "best", "test", "state", "age")
_DROP_ORDER = ("data", "age", "model", "epochs", "test", "best")


def print_runs(console: Console, runs: list[dict[str, Any]], sort: str) -> None:
    """Print one row per run of `run_index.scan`, the members of a group below it; with a column for
    `sort` unless another one shows it."""
    is_metric = sort.startswith(("val_", "test_"))
    rows = []
    for run in runs:
        members = [] if "trial" in run else run.get("members", [])  # trials have their own list
        entries = [(run, run["run"], _run_state(run))]
        entries += [
            (member, "  " + member["run"].rpartition("/")[2], member["state"]) for member in members
        ]
        for entry, name, state in entries:
            cells = (
                name,
                entry["data"] or "?",
                entry["model"] or "?",
                _epochs(entry),
                _best(entry),
                _test(entry),
                Text(state, style=STATE_STYLES.get(entry["state"], "red")),
                _age(entry["age"]),
            )
            row: dict[str, str | Text] = dict(zip(_RUNS, cells, strict=True))
            rows.append(row | ({sort: _metric(entry, sort)} if is_metric else {}))
    names = list(_RUNS)
    if is_metric:
        names.insert(4, sort)
        column = "test" if sort.startswith("test_") else "best"
        name = sort.removeprefix("test_")
        if all(str(row[column]).startswith(f"{name} ") for row in rows if row[sort]):
            names.remove(column)
    columns = {name: [row[name] for row in rows] for name in names}
    print_columns(console, columns, drop=_DROP_ORDER, left=("run", "data", "model", "state"))
    if any("±" in str(cell) for cells in columns.values() for cell in cells):
        console.print("±: standard deviation over the runs of a group", style="dim")


def _run_state(run: dict[str, Any]) -> str:
    """The state of a run; of a sweep or an unfinished group how many members are in which state."""
    members = run.get("members", [])
    if "trial" in run:
        counts = Counter(member["state"] for member in members)
        return ", ".join(f"{count} {name}" for name, count in counts.items())
    if members and run["state"] != "complete":
        return f"{run['complete']} of {run['asked']} complete, {run['state']}"
    return str(run["state"])


def _epochs(run: dict[str, Any]) -> str:
    asked = "?" if run["epochs"] is None else run["epochs"]
    return f"{run['epoch']}/{asked}"


def _metric(run: dict[str, Any], name: str) -> str:
    """A metric of a run, or the mean over a group with its standard deviation."""
    if run.get(name) is None:
        return ""
    std = run.get("std", {}).get(name)
    return format_metric(run[name]) + (f" ± {format_metric(std)}" if std is not None else "")


def _best(run: dict[str, Any]) -> str:
    if run["best"] is None:
        return ""
    suffix = f" @{run['best_epoch']}" if run["best_epoch"] is not None else ""
    if run.get("trial") is not None:
        suffix = f" (trial {run['trial']})"
    return f"{run['monitor']} {_metric(run, 'best')}{suffix}"


def _test(run: dict[str, Any]) -> str:
    names = (
        "test_bits_per_character",
        "test_bits_per_byte",
        "test_perplexity",
        "test_accuracy",
        "test_exact_match",
        "test_rmse",
    )
    name = next((name for name in names if name in run), None)
    return f"{name.removeprefix('test_')} {_metric(run, name)}" if name else ""


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def print_layers(console: Console, layers: list[dict[str, Any]]) -> None:
    """Print one row per layer, of `LayerStats.to_dict()`; columns without values are left out."""

    def column(key: str, text: Callable[[Any], str]) -> list[str]:
        values = [layer[key] for layer in layers]
        return ["" if value is None else text(value) for value in values]

    def count(value: int) -> str:
        return f"{value:,}" if value else ""

    columns = {
        "layer": column("name", str),
        "type": column("type", str),
        "output": column("shape", lambda shape: "×".join(map(str, shape))),
        "parameters": column("parameters", lambda value: f"{value:,}"),
        "multiply-adds": column("multiply_adds", count),
        "mean": column("mean", format_metric),
        "std": column("spread", format_metric),
        "dead units": [
            f"{layer['dead']:,} of {layer['units']:,}" if layer["units"] else "" for layer in layers
        ],
        "gradient": column("gradient", lambda value: f"{value:.2e}"),
        "weight": column("weight", format_metric),
    }
    drop = ("mean", "weight", "std", "multiply-adds", "dead units", "gradient", "type")
    kept = {name: cells for name, cells in columns.items() if any(cells)}
    print_columns(console, kept, drop=drop, left=("layer", "type", "output"))
