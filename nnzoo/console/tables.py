"""Results of a run or a group of runs, the runs of a folder, and the layers of a network, as tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from nnzoo.console import Text, print_columns
from nnzoo.errors import visible
from nnzoo.text import format_metric

MAX_MATRIX = 26
HEADLINE = {
    "classification": ("accuracy", "f1_macro", "precision_macro", "recall_macro", "top5_accuracy"),
    "regression": ("rmse", "mae", "r2", "mse"),
    "forecasting": ("rmse", "mae", "r2", "mse"),
}


def print_result(console: Console, result: dict[str, Any], detail: bool) -> None:
    """The headline metrics of `nnzoo eval`'s object beside the baselines; `detail` adds classes,
    confusion matrix or single outputs."""
    _print_headline(console, result)
    if detail and "per_class" in result:
        console.print()
        _print_classes(console, result)
        console.print()
        _print_matrix(console, result)
    if detail and "per_output" in result:
        console.print()
        columns = {"output": [each["name"] for each in result["per_output"]]}
        for name in ("rmse", "mae", "r2"):
            columns[name] = [format_metric(each[name]) for each in result["per_output"]]
        print_columns(console, columns, left=("output",), gap=3)


def headline(result: dict[str, Any]) -> tuple[str, ...]:
    """The names of the metrics that are shown first."""
    if result["task"] == "classification" and len(result["labels"]) == 2:
        return ("accuracy", "auc", "average_precision", "f1", "precision", "recall", "f1_macro")
    return HEADLINE[result["task"]]


def _print_headline(console: Console, result: dict[str, Any]) -> None:
    names = [name for name in headline(result) if name in result]
    split = f"{result['split']} ({result['n']:,} rows)"
    if "period" in result:
        console.print(
            f"{result['split']}: {result['period']['from']} to {result['period']['to']}",
            markup=False,
        )
    columns: dict[str, list[str | Text]] = {split: [], "network": []}
    for name in names:
        value = format_metric(result[name])
        if name == "accuracy":
            low, high = result["accuracy_ci95"]
            value += f"  [{format_metric(low)}, {format_metric(high)}]"
        single = name in ("f1", "precision", "recall")
        columns[split].append(f"{name} ('{result['positive_label']}')" if single else name)
        columns["network"].append(Text(value, style="bold green"))
    baselines: dict[str, list[str | Text]] = {}
    for each in result.get("baselines") or [result["baseline"]]:
        label = f" ('{each['label']}')" if "label" in each else ""
        cells = [format_metric(each[name]) if name in each else "" for name in names]
        baselines[each["name"] + label] = [Text(cell, style="dim") for cell in cells]
    # The best baseline comes first, and is the last to be left out.
    print_columns(
        console,
        columns | baselines,
        drop=[*baselines][::-1],
        left=(split, "network", *baselines),
        gap=3,
    )


def _print_classes(console: Console, result: dict[str, Any]) -> None:
    """Precision, recall, F1 and the counts of each class."""
    classes = result["per_class"]
    columns: dict[str, list[str]] = {"class": [each["label"] for each in classes]}
    for name in ("precision", "recall", "f1"):
        columns[name] = [f"{each[name]:.4f}" for each in classes]
    for name in ("support", "TP", "FP", "FN", "TN"):
        columns[name] = [f"{each[name.lower()]:,}" for each in classes]
    print_columns(console, columns, drop=("TN", "TP", "FN", "FP"), left=("class",))


def _print_matrix(console: Console, result: dict[str, Any]) -> None:
    """The confusion matrix, one row per actual class, correct predictions highlighted; with numbers in
    place of the names at its head where these are too long."""
    labels = list(map(visible, result["labels"]))
    head = "actual \\ predicted"
    rows = [
        [
            Text(
                str(count) if count else "·",
                style="bold green" if i == j else "red" if count else "dim",
            )
            for j, count in enumerate(counts)
        ]
        for i, counts in enumerate(result["confusion_matrix"])
    ]
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
    """The headline metrics of several runs, then their mean, deviation and interval, and the baselines."""
    summary = group["summary"]
    kind = summary["kind"]
    metrics = []
    for split in ("val", "test"):
        known = summary[split]
        names = HEADLINE["classification" if "accuracy" in known else "regression"]
        metrics += [(split, name) for name in names[:2] if name in known]
    members = group["members"]
    columns: dict[str, list[str | Text]] = {kind: [str(each[kind]) for each in members]}
    columns["best epoch"] = [
        f"{each['best'].get('epoch', 0)} of {each['epochs']}"
        if each["state"] == "complete"
        else each["state"]
        for each in members
    ]
    for split, name in metrics:
        values = [(each[split] or {}).get(name) for each in members]
        columns[f"{split}_{name}"] = [
            "" if value is None else format_metric(value) for value in values
        ]
    if summary["complete"] > 1:
        every = summary["complete"] == summary["members"]
        columns[kind] += [
            "",
            *(
                Text(name, style="bold")
                for name in (
                    "mean" if every else f"mean of {summary['complete']}",
                    "std",
                    "95 % CI low",
                    "95 % CI high",
                )
            ),
        ]
        columns["best epoch"] += [""] * 5
        for split, name in metrics:
            stats = summary[split][name]
            values = [stats["mean"], stats["std"], *stats["ci95"]]
            columns[f"{split}_{name}"] += [
                "",
                *(Text(format_metric(v), style="bold green") for v in values),
            ]
    for baseline in summary["baselines"]:
        columns[kind].append(Text(baseline["name"], style="dim"))
        columns["best epoch"].append("")
        for split, name in metrics:
            stats = baseline.get(name) if split == "test" else None
            columns[f"{split}_{name}"].append(
                Text(format_metric(stats["mean"]) if stats else "", style="dim")
            )
    console.print()
    # The second metric of each split goes first.
    drop = [*(f"{split}_{name}" for split, name in metrics[1::2]), "best epoch"]
    print_columns(console, columns, drop=drop, left=(kind,), gap=3)
    console.print(f"\nruns: {group['run_dir']}", markup=False, soft_wrap=True)


STATE_STYLES = {"running": "cyan", "complete": "green", "interrupted": "yellow", "pruned": "dim"}


# The columns of `runs`, and in which order they are left out where a terminal is too narrow.
_RUNS = ("run", "data", "model", "epochs", "best", "test", "state", "age")
_DROP_ORDER = ("data", "age", "model", "epochs", "test", "best")


def print_runs(console: Console, runs: list[dict[str, Any]], sort: str) -> None:
    """One row per run of `nnzoo.runs.run_index.scan`, the members of a group below it; with a column for `sort`
    where no other shows it."""
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
            cells = (
                name,
                each["data"] or "?",
                each["model"] or "?",
                _epochs(each),
                _best(each),
                _test(each),
                Text(shown, style=STATE_STYLES.get(each["state"], "red")),
                _ago(each["age"]),
            )
            row: dict[str, str | Text] = dict(zip(_RUNS, cells, strict=True))
            rows.append(row | ({sort: _measured(each, sort)} if measured else {}))
    names = list(_RUNS)
    if measured:
        names.insert(4, sort)
        shown_as = "test" if sort.startswith("test_") else "best"
        name = sort.removeprefix("test_")
        if all(str(row[shown_as]).startswith(f"{name} ") for row in rows if row[sort]):
            names.remove(shown_as)
    columns = {name: [row[name] for row in rows] for name in names}
    print_columns(console, columns, drop=_DROP_ORDER, left=("run", "data", "model", "state"))
    if any("±" in str(cell) for cells in columns.values() for cell in cells):
        console.print("±: standard deviation over the runs of a group", style="dim")


def _epochs(run: dict[str, Any]) -> str:
    asked = "?" if run["epochs"] is None else run["epochs"]
    return f"{run['epoch']}/{asked}"


def _measured(run: dict[str, Any], name: str) -> str:
    """A metric of a run; of a group with its standard deviation."""
    if run.get(name) is None:
        return ""
    std = run.get("std", {}).get(name)
    return format_metric(run[name]) + (f" ± {format_metric(std)}" if std is not None else "")


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


def print_layers(console: Console, layers: list[dict[str, Any]]) -> None:
    """One row per layer, of `probe.Layer.to_dict()`; columns that no layer has anything for are left
    out."""
    columns = {
        "layer": lambda each: each["name"],
        "type": lambda each: each["type"],
        "output": lambda each: "×".join(map(str, each["shape"])),
        "parameters": lambda each: f"{each['parameters']:,}",
        "multiply-adds": lambda each: f"{each['multiply_adds']:,}" if each["multiply_adds"] else "",
        "mean": lambda each: format_metric(each["mean"]) if each["mean"] is not None else "",
        "std": lambda each: format_metric(each["spread"]) if each["spread"] is not None else "",
        "dead units": lambda each: (
            f"{each['dead']:,} of {each['units']:,}" if each["units"] else ""
        ),
        "gradient": lambda each: f"{each['gradient']:.2e}" if each["gradient"] is not None else "",
        "weight": lambda each: format_metric(each["weight"]) if each["weight"] is not None else "",
    }
    cells = {name: [show(each) for each in layers] for name, show in columns.items()}
    shown = {name: column for name, column in cells.items() if any(column)}
    drop = ("mean", "weight", "std", "multiply-adds", "dead units", "gradient", "type")
    print_columns(console, shown, drop=drop, left=("layer", "type", "output"))
