"""A study to one HTML page: the best trial, which keys decide, and every trial."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import optuna
from markupsafe import Markup

from nnzoo import file_io
from nnzoo.config.formatting import flow_yaml
from nnzoo.config.sweep_space import range_end
from nnzoo.config.train_options import RangeOptions
from nnzoo.console.trials import short_keys, short_value
from nnzoo.data.sampling import derive_seed
from nnzoo.errors import ConfigError, shell_word
from nnzoo.report import charts
from nnzoo.report.page import render
from nnzoo.report.run_report import read_config_text
from nnzoo.runs.run_dir import Folder
from nnzoo.sweep.study import Study, TrialRecord
from nnzoo.text import format_metric, shorten

# Of fewer complete trials nothing can be said about what decides.
FEW = 8
# Fewer lines show nothing that the table does not.
FEW_LINES = 3
MAX_ROWS = 300


def write_page(study: Study) -> None:
    """Write sweep.html."""
    with study.writing():
        file_io.write(study.page, page(study).encode())


def page(study: Study) -> str:
    """The page of a study."""
    rows, best = study.records(), study.best()
    complete = [row for row in rows if row.state == "complete"]
    options = study.sweep.options
    keys = list(study.keys)
    sign = -1.0 if study.higher_is_better else 1.0
    ranked = sorted(
        rows, key=lambda row: (row.value is None, sign * (row.value or 0.0), row.number)
    )
    shown = rows if len(rows) <= MAX_ROWS else ranked[:MAX_ROWS]
    parts: dict[str, Any] = {
        "title": f"Sweep: {study.config.name}",
        "monitor": study.monitor,
        "rows": rows,
        "best": best,
        "keys": keys,
        "names": short_keys(keys),
        "space": [
            (key, short_value(best.values[key]) if best else "", _tried(study, key)) for key in keys
        ],
        "cards": _cards(study, rows, best),
        "remarks": _remarks(study, complete, best),
        "parallel": None,
        "parallel_width": 0,
        "importance": _importance(study, complete),
        "history": _history(study, complete),
        "shown": shown,
        "left_out": len(rows) - len(shown),
        "commands": _commands(study, best),
        "facts": [
            (
                "searched by",
                f"{options.sampler}, pruned by {options.pruner}, seed {study.config.seed}",
            ),
            ("network and data", f"{study.config.model.name} on {study.config.data.name}"),
            ("study", study.storage_name),
            ("made on", ", ".join(sorted({row.host for row in rows if row.host}))),
            ("data fingerprint", study.identity["fingerprint"]),
        ],
        "config": read_config_text(study.best_file) if best else "",
    }
    if len(complete) >= FEW_LINES and best is not None:
        parts["parallel"] = _parallel(study, complete, best)
        parts["parallel_width"] = 108 * (len(keys) + 1)
    return render("sweep.html", parts, short=short_value)


def _tried(study: Study, key: str) -> str:
    """What a key was given to choose from."""
    given = study.sweep.options.space[key]
    if isinstance(given, list):
        return ", ".join(map(flow_yaml, given))
    steps = f", in steps of {given.step:g}" if given.step else ""
    return f"{given.low:g} to {given.high:g}{', by orders of magnitude' * given.log}{steps}"


def _cards(
    study: Study, rows: list[TrialRecord], best: TrialRecord | None
) -> list[tuple[str, str, str]]:
    """The figures to see first: name, value, and what stands below it."""
    counts = Counter(row.state for row in rows)
    seconds = sum(row.seconds or 0.0 for row in rows)
    others = [
        f"{counts[state]} {state}"
        for state in ("pruned", "diverged", "failed", "running")
        if counts[state]
    ]
    first = (
        [(f"best {study.monitor}", format_metric(best.value), f"trial {best.number}")]
        if best
        else []
    )
    return [
        *first,
        ("complete", f"{counts['complete']:,}", ", ".join(others) or "none ended early"),
        ("training time", f"{seconds:,.0f} s", f"of {len(rows):,} trials together"),
    ]


def _remarks(study: Study, complete: list[TrialRecord], best: TrialRecord | None) -> list[str]:
    """What should be known of the best value."""
    said = []
    edges = [
        key for key in study.keys if best and len(complete) >= FEW and _at_edge(study, best, key)
    ]
    if edges:
        said.append(
            f"At the edge: the best value of {', '.join(edges)} lies at the end of what was tried; what "
            "lies beyond may be better."
        )
    if len(complete) >= FEW:
        said.append(
            f"The best of {len(complete)} scores on the same validation rows is a little lucky: expect "
            "somewhat less of new rows. The test rows tell, and were not touched."
        )
    return said


def _at_edge(study: Study, best: TrialRecord, key: str) -> bool:
    """Whether the best value of a range lies at its end, and the file could hold one beyond it."""
    given = study.sweep.options.space[key]
    if isinstance(given, list):
        return False
    place = _place(given, best.values[key])
    if 0.03 < place < 0.97:
        return False
    if given.log:
        beyond = given.low / 2 if place < 0.5 else given.high * 2
    else:
        width = given.high - given.low
        beyond = given.low - width / 4 if place < 0.5 else given.high + width / 4
    value = round(beyond) if key in study.sweep.integer_keys else beyond
    try:
        study.config_of(replace(best, values=best.values | {key: value}), "beyond")
    except ConfigError:
        return False
    return True


def _place(given: RangeOptions, value: float) -> float:
    """Where in a range a value lies, from 0 to 1."""
    low, high, at = float(given.low), float(range_end(given)), float(value)
    if given.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return min(1.0, max(0.0, (at - low) / (high - low)))


def _axis(study: Study, key: str, name: str, complete: list[TrialRecord]) -> charts.Axis:
    given = study.sweep.options.space[key]
    if isinstance(given, list):
        spread = max(1, len(given) - 1)
        texts = [flow_yaml(each) for each in given]
        places = [texts.index(flow_yaml(row.values[key])) / spread for row in complete]
        return charts.Axis(
            name, places, [(i / spread, shorten(text, 18)) for i, text in enumerate(texts)]
        )
    high = float(range_end(given))
    middle = math.sqrt(given.low * high) if given.log else (given.low + high) / 2
    if key in study.sweep.integer_keys:
        middle = round(middle)
    ticks = [(_place(given, value), f"{value:.4g}") for value in (given.low, middle, high)]
    return charts.Axis(name, [_place(given, row.values[key]) for row in complete], ticks)


def _scores(complete: list[TrialRecord]) -> tuple[list[float], bool]:
    """The scores, and whether they spread over orders of magnitude."""
    scores = [cast(float, row.value) for row in complete]
    return scores, min(scores) > 0 and max(scores) > 20 * min(scores)


def _parallel(study: Study, complete: list[TrialRecord], best: TrialRecord) -> Markup:
    names = short_keys(study.keys)
    axes = [_axis(study, key, name, complete) for key, name in names.items()]
    scores, log = _scores(complete)
    scaled = [math.log(score) for score in scores] if log else scores
    low, high = min(scaled), max(scaled)
    up = [(score - low) / (high - low) if high > low else 0.5 for score in scaled]
    up = up if study.higher_is_better else [1 - each for each in up]
    ends = {
        round(place, 6): score for place, score in zip(up, scores, strict=True) if place in (0, 1)
    }
    ticks = [(place, format_metric(score)) for place, score in ends.items()]
    axes.append(charts.Axis(study.monitor, up, ticks))
    bar = sorted(up, reverse=True)[max(0, len(up) // 4 - 1)]
    at = next(i for i, row in enumerate(complete) if row.number == best.number)
    title = f"Trials over {', '.join(names.values())} and {study.monitor}"
    return charts.parallel(title, axes, [place >= bar for place in up], at)


def _importance(study: Study, complete: list[TrialRecord]) -> Markup | None:
    """How much of the scores' spread each key explains; None where too little is known."""
    if len(complete) < FEW or len(study.keys) < 2:
        return None
    seed = derive_seed(study.config.seed, "importance") % 2**32
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    _, log = _scores(complete)

    def score(trial: optuna.trial.FrozenTrial) -> float:
        """Where scores spread over orders of magnitude, one that is hopeless would explain all."""
        value = cast(float, trial.value)
        return math.log(value) if log else value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = optuna.importance.get_param_importances(
            study.optuna_study, evaluator=evaluator, target=score
        )
    named = {name: shares.get(key, 0.0) for key, name in short_keys(study.keys).items()}
    label = "share of the spread of " + ("the scores' logarithms" if log else "scores")
    return charts.bars("Importance of each key", named, label)


def _history(study: Study, complete: list[TrialRecord]) -> Markup | None:
    if len(complete) < FEW_LINES:
        return None
    scores, log = _scores(complete)
    points = {row.number: score for row, score in zip(complete, scores, strict=True)}
    best: dict[int, float] = {}
    better = max if study.higher_is_better else min
    for trial, score in points.items():
        best[trial] = better(score, *best.values()) if best else score
    return charts.progress("Score of each trial", points, best, study.monitor, log)


def _commands(study: Study, best: TrialRecord | None) -> list[str]:
    if best is None:
        return []
    commands = [f"nnzoo train {shell_word(study.best_file)}"]
    folder = study.folder_of(best.number)
    if Folder(folder).best.exists():  # another machine may have made it, in a folder of its own
        commands.append(f"nnzoo eval {shell_word(folder)} --split val")
    return commands
