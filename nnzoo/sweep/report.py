"""The HTML page of a study: the best trial, the importance of each key, and every trial."""

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
from nnzoo.config.sweep_options import RangeOptions
from nnzoo.config.sweep_space import range_end
from nnzoo.console.trials import short_keys, short_value
from nnzoo.data.sampling import derive_seed
from nnzoo.errors import ConfigError, shell_word
from nnzoo.report import charts
from nnzoo.report.interactive import CHART_SCRIPTS
from nnzoo.report.run_report import read_config_text
from nnzoo.runs.run_dir import RunDir
from nnzoo.sweep.study import Study, TrialRecord
from nnzoo.text import format_metric, shorten
from nnzoo.web.render import Script, render

# Complete trials that the importance of keys needs.
MIN_TRIALS = 8
# Complete trials that a chart needs to show more than the table.
MIN_LINES = 3
MAX_ROWS = 300


def write_page(study: Study) -> None:
    """Write sweep.html."""
    with study.writing():
        file_io.write(study.page, page(study).encode())


def page(study: Study) -> str:
    """The page of a study."""
    rows, best = study.records(), study.best()
    complete = [row for row in rows if row.state == "complete"]
    keys = study.keys
    sign = -1.0 if study.higher_is_better else 1.0
    ranked = sorted(
        rows, key=lambda row: (row.value is None, sign * (row.value or 0.0), row.number)
    )
    listed = rows if len(rows) <= MAX_ROWS else ranked[:MAX_ROWS]
    parts: dict[str, Any] = {
        "title": f"Sweep: {study.config.name}",
        "monitor": study.monitor,
        "rows": rows,
        "best": best,
        "keys": keys,
        "names": short_keys(keys),
        "space": [
            (key, short_value(best.values[key]) if best else "", _describe_space(study, key))
            for key in keys
        ],
        "cards": _cards(study, rows, best),
        "remarks": _observations(study, complete, best),
        "parallel": None,
        "parallel_width": 0,
        "importance": _importance(study, complete),
        "history": _history(study, complete),
        "shown": listed,
        "left_out": len(rows) - len(listed),
        "commands": _commands(study, best),
        "facts": _summary_rows(study, rows),
        "config": read_config_text(study.best_file) if best else "",
    }
    if len(complete) >= MIN_LINES and best is not None:
        parts["parallel"] = _parallel(study, complete, best)
        parts["parallel_width"] = 108 * (len(keys) + 1)
    return render("report/templates/sweep.html", parts, Script(CHART_SCRIPTS), short=short_value)


def _summary_rows(study: Study, rows: list[TrialRecord]) -> list[tuple[str, str]]:
    """Properties of the study: name and value."""
    options = study.sweep.options
    search = f"{options.sampler}, pruned by {options.pruner}, seed {study.config.seed}"
    return [
        ("searched by", search),
        ("network and data", f"{study.config.model.name} on {study.config.data.name}"),
        ("study", study.storage_name),
        ("made on", ", ".join(sorted({row.host for row in rows if row.host}))),
        ("data fingerprint", study.identity["fingerprint"]),
    ]


def _describe_space(study: Study, key: str) -> str:
    """The choices or the range of a key, in words."""
    space = study.sweep.options.space[key]
    if isinstance(space, list):
        return ", ".join(map(flow_yaml, space))
    steps = f", in steps of {space.step:g}" if space.step else ""
    return f"{space.low:g} to {space.high:g}{', by orders of magnitude' * space.log}{steps}"


def _cards(
    study: Study, rows: list[TrialRecord], best: TrialRecord | None
) -> list[tuple[str, str, str]]:
    """The main figures: name, value, and a line below it."""
    counts = Counter(row.state for row in rows)
    seconds = sum(row.seconds or 0.0 for row in rows)
    others = [
        f"{counts[state]} {state}"
        for state in ("pruned", "diverged", "failed", "running")
        if counts[state]
    ]
    cards = []
    if best:
        cards = [(f"best {study.monitor}", format_metric(best.value), f"trial {best.number}")]
    return [
        *cards,
        ("complete", f"{counts['complete']:,}", ", ".join(others) or "none ended early"),
        ("training time", f"{seconds:,.0f} s", f"of {len(rows):,} trials together"),
    ]


def _observations(study: Study, complete: list[TrialRecord], best: TrialRecord | None) -> list[str]:
    """Reservations about the best value."""
    observations = []
    edges = [
        key
        for key in study.keys
        if best and len(complete) >= MIN_TRIALS and _at_edge(study, best, key)
    ]
    if edges:
        observations.append(
            f"At the edge: the best value of {', '.join(edges)} is at the end of its range; values "
            "beyond it may be better."
        )
    if len(complete) >= MIN_TRIALS:
        observations.append(
            f"The best of {len(complete)} scores on the same validation rows is optimistic: expect "
            "somewhat less on new rows. The test rows were not used, and measure it."
        )
    return observations


def _at_edge(study: Study, best: TrialRecord, key: str) -> bool:
    """Whether the best value is at the end of a range, and a value beyond it would be valid."""
    space = study.sweep.options.space[key]
    if isinstance(space, list):
        return False
    position = _position(space, best.values[key])
    if 0.03 < position < 0.97:
        return False
    if space.log:
        beyond = space.low / 2 if position < 0.5 else space.high * 2
    else:
        width = space.high - space.low
        beyond = space.low - width / 4 if position < 0.5 else space.high + width / 4
    value = round(beyond) if key in study.sweep.integer_keys else beyond
    try:
        study.trial_config(replace(best, values=best.values | {key: value}), "beyond")
    except ConfigError:
        return False
    return True


def _position(space: RangeOptions, value: float) -> float:
    """The position of a value in a range, 0 to 1."""
    low, high, x = float(space.low), float(range_end(space)), float(value)
    if space.log:
        low, high, x = math.log(low), math.log(high), math.log(x)
    return min(1.0, max(0.0, (x - low) / (high - low)))


def _axis(study: Study, key: str, name: str, complete: list[TrialRecord]) -> charts.Axis:
    space = study.sweep.options.space[key]
    if isinstance(space, list):
        intervals = max(1, len(space) - 1)
        texts = [flow_yaml(choice) for choice in space]
        positions = [texts.index(flow_yaml(row.values[key])) / intervals for row in complete]
        return charts.Axis(
            name, positions, [(i / intervals, shorten(text, 18)) for i, text in enumerate(texts)]
        )
    high = float(range_end(space))
    middle = math.sqrt(space.low * high) if space.log else (space.low + high) / 2
    if key in study.sweep.integer_keys:
        middle = round(middle)
    ticks = [(_position(space, value), f"{value:.4g}") for value in (space.low, middle, high)]
    return charts.Axis(name, [_position(space, row.values[key]) for row in complete], ticks)


def _scores(complete: list[TrialRecord]) -> tuple[list[float], bool]:
    """The scores, and whether a log scale suits them."""
    scores = [cast(float, row.value) for row in complete]
    return scores, min(scores) > 0 and max(scores) > 20 * min(scores)


def _parallel(study: Study, complete: list[TrialRecord], best: TrialRecord) -> Markup:
    names = short_keys(study.keys)
    axes = [_axis(study, key, name, complete) for key, name in names.items()]
    scores, log = _scores(complete)
    scaled = [math.log(score) for score in scores] if log else scores
    low, high = min(scaled), max(scaled)
    up = [(score - low) / (high - low) if high > low else 0.5 for score in scaled]
    up = up if study.higher_is_better else [1 - x for x in up]
    ends = {round(x, 6): score for x, score in zip(up, scores, strict=True) if x in (0, 1)}
    ticks = [(x, format_metric(score)) for x, score in ends.items()]
    axes.append(charts.Axis(study.monitor, up, ticks))
    bar = sorted(up, reverse=True)[max(0, len(up) // 4 - 1)]
    index = next(i for i, row in enumerate(complete) if row.number == best.number)
    title = f"Trials over {', '.join(names.values())} and {study.monitor}"
    return charts.parallel(title, axes, [x >= bar for x in up], index)


def _importance(study: Study, complete: list[TrialRecord]) -> Markup | None:
    """The fraction of the scores' variance that each key explains (fANOVA); None for too few trials."""
    if len(complete) < MIN_TRIALS or len(study.keys) < 2:
        return None
    seed = derive_seed(study.config.seed, "importance") % 2**32
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    _, log = _scores(complete)

    def score(trial: optuna.trial.FrozenTrial) -> float:
        """The log of scores that span orders of magnitude, else one bad trial would explain all."""
        value = cast(float, trial.value)
        return math.log(value) if log else value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importances = optuna.importance.get_param_importances(
            study.optuna_study, evaluator=evaluator, target=score
        )
    named = {name: importances.get(key, 0.0) for key, name in short_keys(study.keys).items()}
    label = "fraction of the variance of " + ("the scores' logarithms" if log else "scores")
    return charts.bars("Importance of each key", named, label)


def _history(study: Study, complete: list[TrialRecord]) -> Markup | None:
    """Chart of each trial's score with the best so far; None for fewer than MIN_LINES trials."""
    if len(complete) < MIN_LINES:
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
    if RunDir(folder).best.exists():  # another machine may have made it, in a folder of its own
        commands.append(f"nnzoo eval {shell_word(folder)} --split val")
    return commands
