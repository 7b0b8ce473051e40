"""`nnzoo sweep`: a search over values of a config, joined by any number of processes."""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnzoo.cli.common import (
    ConfigArgument,
    ConfigOption,
    DebugOption,
    DeviceOption,
    JsonOption,
    OutOption,
    SeedOption,
    SetOption,
    load_config_option,
    load_torch,
    one_of,
    tune_process_memory,
)
from nnzoo.cli.process import graceful_shutdown, signal_name
from nnzoo.cli.train import strip_start_options
from nnzoo.errors import DivergedError, NnzooError, UsageError, shell_word
from nnzoo.extras import require
from nnzoo.text import format_metric

if TYPE_CHECKING:
    from nnzoo.sweep.study import Row, Study


def sweep(
    source: ConfigArgument = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", help="Short for -s sweep.trials=N.", show_default=False)
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; the old study is renamed, not deleted.")
    ] = False,
    lost: Annotated[
        str | None,
        typer.Option(metavar="HOST", show_default=False,
                     help="A machine that will not come back: its running trials are restarted."),
    ] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    out: OutOption = Path("checkpoints"),
    verbose: Annotated[
        int | None,
        typer.Option("--verbose", "-v", metavar="0|1|2", show_default=False,
                     help="0 silent, 1 live table, 2 one line per trial [default: 1 on a terminal, else 2]"),
    ] = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:  # fmt: skip
    """Hyper-parameter search. Run it several times to share the work."""
    one_of("--verbose", verbose, (0, 1, 2))
    sets = [*(set_ or []), *([f"sweep.trials={trials}"] if trials is not None else [])]
    default = _default_space(source, config, sets, seed)
    run_config = load_config_option(source, config, [*sets, *default[:1]], seed)
    require("sweep", "nnzoo sweep", "optuna")
    if run_config.train.tensorboard:
        require("tensorboard", "train.tensorboard", "tensorboard")
    load_torch()
    from nnzoo import console
    from nnzoo.console import trials as trial_lines
    from nnzoo.device import choose_device
    from nnzoo.sweep import search
    from nnzoo.sweep.study import open_study

    where = choose_device(device)
    tune_process_memory()
    stdout, stderr = console.make_consoles()
    if verbose is None:
        verbose = 1 if stderr.is_terminal and not json_ else 2
    say = functools.partial(stderr.print, soft_wrap=True, markup=False)
    study = open_study(run_config, out, fresh, lost)
    if verbose:
        for text in default[1:]:
            say(text)
        for text in study.notes:
            console.print_text(stderr, text)
    if json_:
        start = {"event": "start", "study": run_config.name, "folder": str(study.folder),
                 "storage": study.shown, "monitor": study.monitor, "trials": study.sweep.trials,
                 "over": sum(row.state not in ("waiting", "running") for row in study.rows())}  # fmt: skip
        console.print_json(start)
    last: Row | None = None
    with graceful_shutdown() as stopped:
        table = trial_lines.TrialTable(stderr, study) if verbose == 1 else contextlib.nullcontext()
        with table as shown:
            for event in search.search(study, where, lambda: stopped[0] != 0):
                last = event.row
                if isinstance(event, search.TrialEpoch):
                    if shown is not None:
                        shown.show(last, score=event.metrics.get(study.monitor))
                    continue
                if shown is not None:
                    shown.show(
                        last, epochs=event.epochs if isinstance(event, search.TrialStart) else None
                    )
                best = {"best": event.best} if isinstance(event, search.TrialEnd) else {}
                if json_:
                    console.print_json({"event": "trial", **last.to_dict(), **best})
                elif verbose == 2 and best:
                    say(trial_lines.trial_line(study, last, best["best"]))
    if stopped[0]:
        saved = f"trial {last.number} is saved; " if last and last.state == "running" else ""
        words = strip_start_options(sys.argv[1:])
        words = [each for i, each in enumerate(words)
                 if not each.startswith("--lost") and words[i - 1] != "--lost"]  # fmt: skip
        leader = study.best() if verbose else None
        if leader is not None:
            say(
                f"best so far: trial {leader.number}, {study.monitor} {format_metric(leader.value)}"
            )
        say(f"{signal_name(stopped[0])}: {saved}resume with:\n  nnzoo {shlex.join(words)}")
        raise typer.Exit(stopped[0])
    search.finish(study)
    _end(study, stdout, say, verbose, json_)


def _default_space(
    source: str | None, config: str | None, sets: list[str], seed: int | None
) -> list[str]:
    """Of a config without a section `sweep`: the space to search, as --set has it, and what to say of
    it; else nothing."""
    from nnzoo.config.default_space import default_space, section_text
    from nnzoo.config.show import inline

    others = [each for each in sets if not each.lstrip().startswith("sweep")]
    plain = load_config_option(source, config, others, seed)
    if plain.sweep is not None or any(
        "sweep.space" in each or each.startswith("sweep=") for each in sets
    ):
        return []
    space = default_space(plain)
    return [
        f"sweep.space={inline(space)}",
        f"{plain.source} has no section 'sweep', so usual values are tried; to choose others, add and "
        f"change:\n{section_text(space)}",
    ]


def _failure(rows: list[Row]) -> NnzooError:
    """Why no trial came to its end."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row.reason, []).append(str(row.number))
    told = [f"trial {', '.join(numbers[:5])}{', …' * (len(numbers) > 5)}: {reason}"
            for reason, numbers in reasons.items()]  # fmt: skip
    more = [f"and {len(told) - 10} more reasons"] if len(told) > 10 else []
    text = "\n  ".join([f"no trial of {len(rows)} finished:", *told[:10], *more])
    return (DivergedError if any(row.state == "diverged" for row in rows) else UsageError)(text)


def _end(study: Study, stdout: Any, say: Any, verbose: int, json_: bool) -> None:
    """What came out; raises the errors of the trials where there was no other end."""
    from nnzoo import console
    from nnzoo.console import trials
    from nnzoo.sweep.report import write_page

    rows = study.rows()
    running = [row for row in rows if row.state == "running"]
    best = study.best()
    page = {} if running else {"page": str(study.page)}
    if page:  # else the process that ends last writes it
        write_page(study)
    counts = Counter(row.state for row in rows)
    if json_:
        end: dict[str, Any] = {"event": "end", "trials": dict(counts)}
        if best is not None:
            end["best"] = best.to_dict() | {"monitor": study.monitor}
            end["config"] = str(study.best_file)
        console.print_json(end | page)
    if best is None and not running:
        raise _failure(rows)
    if verbose and not json_:
        if best is not None:
            trials.print_best(stdout, study, best)
        if page:
            stdout.print(f"page:   {study.page}", markup=False, soft_wrap=True)
        states = ", ".join(f"{count:,} {state}" for state, count in counts.items())
        say(f"{len(rows):,} trials: {states}")
        if best is not None:
            say(f"next: nnzoo train {shell_word(study.best_file)}", style="dim")
    if verbose and running:
        hosts = sorted({row.host for row in running})
        numbers = ", ".join(str(row.number) for row in running[:10])
        say(f"still running in other processes: trial {numbers} ({', '.join(hosts)}); where one has died, "
            "the same command there takes its trial over (--lost HOST: where the machine is gone)")  # fmt: skip
