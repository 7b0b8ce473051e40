"""`nnzoo sweep`: a hyperparameter search that any number of processes share."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnzoo.cli.common import (
    DEFAULT_OUT,
    ConfigArgument,
    ConfigOption,
    DebugOption,
    DeviceOption,
    FreshOption,
    JsonOption,
    OutOption,
    SeedOption,
    SetOption,
    VerboseOption,
    load_config_option,
    load_torch,
)
from nnzoo.cli.process import gc_frozen, graceful_shutdown, interrupted, tune_process_memory
from nnzoo.errors import DivergedError, NnzooError, UsageError, require, shell_word
from nnzoo.text import Note, format_metric

if TYPE_CHECKING:
    from nnzoo.console import Output
    from nnzoo.sweep.study import Study, TrialRecord


TrialsOption = Annotated[
    int | None,
    typer.Option("--trials", metavar="N", help="Short for -s sweep.trials=N.", show_default=False),
]
LostOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST",
        show_default=False,
        help="A machine that will not come back: its running trials are restarted.",
    ),
]


def sweep(
    source: ConfigArgument = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    trials: TrialsOption = None,
    fresh: FreshOption = False,
    lost: LostOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    out: OutOption = DEFAULT_OUT,
    verbose: VerboseOption = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Search hyperparameters; run it several times to share the work."""
    sets = [*(set_ or []), *([f"sweep.trials={trials}"] if trials is not None else [])]
    space, space_note = _default_space(source, config, sets, seed)
    run_config = load_config_option(source, config, [*sets, *space], seed)
    require("sweep", "nnzoo sweep", "optuna")
    if run_config.train.tensorboard:
        require("tensorboard", "train.tensorboard", "tensorboard")
    load_torch()
    from nnzoo.console import Output
    from nnzoo.device import choose_device
    from nnzoo.sweep import search
    from nnzoo.sweep.open_study import open_study

    where = choose_device(device)
    tune_process_memory()
    output = Output.open(verbose, json_)
    study = open_study(run_config, out, fresh, lost)
    for text in space_note:
        output.line(text)
    for text in study.notes:
        output.say(text)
    finished = sum(row.state not in ("waiting", "running") for row in study.records())
    output.event(
        "start",
        study=run_config.name,
        folder=str(study.folder),
        storage=study.storage_name,
        monitor=study.monitor,
        trials=study.sweep.trials,
        over=finished,
    )
    code, last = _search(study, where, output)
    if code:
        raise _interrupted(study, output, code, last)
    search.finish(study)
    _report(study, output)


def _interrupted(study: Study, output: Output, code: int, last: TrialRecord | None) -> typer.Exit:
    """Print the progress of a search that a signal has stopped; returns the exception to raise."""
    best = study.best()
    if best is not None:
        score = f"{study.monitor} {format_metric(best.value)}"
        output.say(f"best so far: trial {best.number}, {score}")
    running = last is not None and last.state == "running"
    return interrupted(code, f"trial {last.number} is saved" if running and last else "stopped")


def _search(study: Study, device: Any, output: Output) -> tuple[int, TrialRecord | None]:
    """Make trials and show them; returns a signal's exit code, else 0, and the last trial."""
    from nnzoo.console.trials import TrialTable, trial_line
    from nnzoo.sweep.search import TrialEnd, TrialEpoch, TrialStart, search

    last = None
    live = TrialTable(output.stderr, study) if output.verbose == 1 else contextlib.nullcontext()
    with graceful_shutdown() as stopped, gc_frozen(), live as table:
        for event in search(study, device, lambda: stopped[0] != 0):
            last = event.record
            if table is not None:
                epochs = event.epochs if isinstance(event, TrialStart) else None
                epoch = event.metrics if isinstance(event, TrialEpoch) else {}
                table.show(last, epochs=epochs, score=epoch.get(study.monitor))
            if isinstance(event, TrialEpoch):
                continue
            best = {"best": event.best} if isinstance(event, TrialEnd) else {}
            output.event("trial", **last.to_dict(), **best)
            if output.verbose == 2 and best and not output.json:
                output.line(trial_line(study, last, best["best"]))
    return stopped[0], last


def _default_space(
    source: str | None, config: str | None, sets: list[str], seed: int | None
) -> tuple[list[str], list[str]]:
    """Return the default search space, as --set takes it, and a note, for a config without a section `sweep`;
    else two empty lists."""
    from nnzoo.config.default_space import default_space, section_text
    from nnzoo.config.formatting import flow_yaml

    others = [text for text in sets if not text.lstrip().startswith("sweep")]
    plain = load_config_option(source, config, others, seed)
    is_set = any("sweep.space" in text or text.startswith("sweep=") for text in sets)
    if plain.sweep is not None or is_set:
        return [], []
    space = default_space(plain)
    note = Note(
        "N38",
        f"{plain.source} has no section 'sweep', so usual values are tried; to choose others, add and "
        f"change:\n{section_text(space)}",
    )
    return [f"sweep.space={flow_yaml(space)}"], [note]


def _failure(rows: list[TrialRecord]) -> NnzooError:
    """The error of a search in which no trial finished."""
    numbers: dict[str, list[str]] = {}
    for row in rows:
        numbers.setdefault(row.reason, []).append(str(row.number))
    lines = [
        f"trial {', '.join(trials[:5])}{', …' * (len(trials) > 5)}: {reason}"
        for reason, trials in numbers.items()
    ]
    more = [f"and {len(lines) - 10} more reasons"] if len(lines) > 10 else []
    text = "\n  ".join([f"no trial of {len(rows)} finished:", *lines[:10], *more])
    return (DivergedError if any(row.state == "diverged" for row in rows) else UsageError)(text)


def _report(study: Study, output: Output) -> None:
    """Print the results, and write the page unless trials still run elsewhere; raises the trials' errors
    where none finished."""
    from nnzoo.console.trials import print_best
    from nnzoo.sweep.report import write_page

    rows, best = study.records(), study.best()
    running = [row for row in rows if row.state == "running"]
    if not running:  # else the process that ends last writes it
        write_page(study)
    counts = Counter(row.state for row in rows)
    end: dict[str, Any] = {"trials": dict(counts)}
    if best is not None:
        end |= {"best": best.to_dict() | {"monitor": study.monitor}, "config": str(study.best_file)}
    output.event("end", **end, **({} if running else {"page": str(study.page)}))
    if best is None and not running:
        raise _failure(rows)
    if output.verbose and not output.json:
        if best is not None:
            print_best(output.stdout, study, best)
        if not running:
            output.stdout.print(f"page:   {study.page}", markup=False, soft_wrap=True)
        states = ", ".join(f"{count:,} {state}" for state, count in counts.items())
        output.line(f"{len(rows):,} trials: {states}")
        if best is not None:
            output.line(f"next: nnzoo train {shell_word(study.best_file)}", "dim")
    if running:
        hosts = ", ".join(sorted({row.host for row in running}))
        numbers = ", ".join(str(row.number) for row in running[:10])
        output.say(
            f"still running in other processes: trial {numbers} ({hosts}); where one has died, the same "
            "command there takes over its trial (--lost HOST: where the machine is gone)"
        )
