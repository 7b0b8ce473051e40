"""The commands. Everything typer is here; torch is imported inside the commands that compute."""

from __future__ import annotations

import atexit
import errno
import functools
import os
import shlex
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

# pydantic would read the metadata of every installed package in search of plugins: 11 ms of 200.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import typer

from nnzoo import __version__
from nnzoo.errors import (
    BROKEN_PIPE,
    INTERRUPTED,
    TERMINATED,
    ConfigError,
    DataError,
    NnzooError,
    UsageError,
)

if TYPE_CHECKING:
    from nnzoo.config import RunConfig
    from nnzoo.run import Run

app = typer.Typer(
    name="nnzoo",
    help="Train the classic neural networks (MLP, CNN, RNN, LSTM, GRU) on your images, tables and "
    "series from one YAML file.",
    epilog="Start here:  nnzoo train --config cnn",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


SPLITS = ("train", "val", "test")

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", "-c", help="A YAML file, a name in ./configs, or a bundled config."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a value: -s model.dropout=0.5"),
]
OutOption = Annotated[Path, typer.Option("--out", help="Where run folders lie.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Short for -s seed=N.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]

Command = TypeVar("Command", bound=Callable[..., Any])


def command(name: str | None = None) -> Callable[[Command], Command]:
    """Register a command whose errors become one message and the right exit code."""

    def register(function: Command) -> Command:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            debug = bool(kwargs.get("debug"))
            try:
                return function(*args, **kwargs)
            except NnzooError as error:
                if debug:
                    raise
                sys.stderr.write(f"{error}\n")
                raise typer.Exit(error.exit_code) from None
            except KeyboardInterrupt:
                sys.stderr.write("interrupted\n")
                raise typer.Exit(INTERRUPTED) from None
            except BrokenPipeError:
                # The reader of our output has gone (`nnzoo models | head`): nothing to say.
                null = os.open(os.devnull, os.O_WRONLY)
                for stream in (sys.stdout, sys.stderr):
                    os.dup2(null, stream.fileno())
                raise typer.Exit(BROKEN_PIPE) from None
            except (typer.Exit, typer.Abort):
                raise
            except Exception as error:
                if debug:
                    raise
                if _is_out_of_memory(error):
                    sys.stderr.write(
                        "out of memory; train.batch_size, data.window, data.size and the model's "
                        f"widths decide what is needed ({str(error)[:200] or 'MemoryError'})\n"
                    )
                    raise typer.Exit(ConfigError.exit_code) from None
                sys.stderr.write(
                    f"a fault of nnzoo: {type(error).__name__}: {error}\n"
                    "run again with --debug and report what it shows\n"
                )
                raise typer.Exit(1) from None

        return app.command(name)(wrapped)  # type: ignore[return-value]

    return register


# How torch says it on the CPU of Linux and macOS, on that of Windows, and on CUDA.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def _is_out_of_memory(error: Exception) -> bool:
    """Whether the memory that a command asked for was not to be had, on the CPU or on a GPU."""
    if isinstance(error, OSError):  # of a file that is mapped
        return error.errno == errno.ENOMEM
    # By its words: on the CPU torch has no type for it, and to ask for CUDA's would import torch.
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    return told or isinstance(error, MemoryError)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"nnzoo {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


def _one_of(option: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value is not None and value not in choices:
        raise UsageError(f"{option}: expected one of {', '.join(map(str, choices))}, got {value}")


def _config(
    positional: str | None, option: str | None, sets: list[str] | None, seed: int | None
) -> RunConfig:
    from nnzoo.config import load_config

    if positional is not None and option is not None:
        raise UsageError("give the config once: as CONFIG, or with --config")
    source = positional if option is None else option
    if source is None:
        raise UsageError("which config? --config cnn.yaml; 'nnzoo configs' lists the bundled ones")
    return load_config(source, [*(sets or []), *([f"seed={seed}"] if seed is not None else [])])


@command()
def train(
    source: Annotated[str | None, typer.Argument(metavar="CONFIG", show_default=False)] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    resume: Annotated[
        str,
        typer.Option(
            metavar="auto|must|never",
            help="Go on from the run folder: if it holds this run, in any case, in no case.",
        ),
    ] = "auto",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over; the old folder is set aside, not deleted.")
    ] = False,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    out: OutOption = Path("checkpoints"),
    verbose: Annotated[
        int | None,
        typer.Option("--verbose", "-v", metavar="0|1|2", show_default=False,
                     help="0 silent, 1 live bar, 2 a line an epoch [default: 1 on a terminal, else 2]"),
    ] = None,
    json_: JsonOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything, take one step, write nothing.")
    ] = False,
    debug: DebugOption = False,
) -> None:  # fmt: skip
    """Train a network, or go on where its run folder stands."""
    _one_of("--resume", resume, ("auto", "must", "never"))
    _one_of("--verbose", verbose, (0, 1, 2))
    run_config = _config(source, config, set_, seed)
    from nnzoo import console, run
    from nnzoo.training.device import choose_device

    stdout, stderr = console.make_consoles()
    if verbose is None:
        verbose = 1 if stderr.is_terminal and not json_ else 2
    say = functools.partial(stderr.print, soft_wrap=True) if verbose else lambda *a, **k: None
    current = run.start(
        run_config, out, choose_device(device), cast(Any, resume), fresh, write=not dry_run
    )
    _announce(say, current)
    if dry_run:
        _dry_run(stdout, current, json_)
        return
    trainer = current.trainer
    if json_:
        console.print_json({"event": "start", "run_dir": str(current.folder.path),
                            "state": current.state, "config": run_config.to_dict()})  # fmt: skip
    with _stopping() as stopped:
        _train(current, stderr, verbose, json_, lambda: stopped[0] != 0)
    if stopped[0] and not trainer.finished:
        name = "Ctrl-C" if stopped[0] == INTERRUPTED else "SIGTERM"
        arguments = _without_start_options(sys.argv[1:])
        stderr.print(
            f"{name}: saved at step {trainer.step} (epoch {trainer.epoch + 1}); go on with:\n"
            f"  nnzoo {shlex.join(arguments)}", markup=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(stopped[0])
    result = current.result()
    if json_:
        best = {
            "epoch": trainer.best_epoch,
            "monitor": trainer.monitor,
            "value": trainer.best_value,
        }
        console.print_json({"event": "end", "run_dir": str(current.folder.path), "best": best,
                            "test": result})  # fmt: skip
    elif verbose:
        if result is not None:
            stderr.print()
            console.print_result(stdout, result, detail=False)
        else:
            stderr.print("no test rows (data.split.test), so no result")
        _where(stdout, current)


def _without_start_options(words: list[str]) -> list[str]:
    """A command line without what decides how a run starts, so that it goes on."""
    kept = []
    for i, word in enumerate(words):
        value_of_resume = i > 0 and words[i - 1] == "--resume"
        if word not in ("--fresh", "--resume") and not value_of_resume:
            kept.append(word)
    return [word for word in kept if not word.startswith("--resume=")]


def _announce(say: Callable[..., Any], current: Run) -> None:
    """What is trained on what, in three lines."""
    from rich.markup import escape

    network, facts = current.network, current.network.facts
    rows = " · ".join(f"{count:,} {name}" for name, count in facts["rows"].items())
    parameters = sum(p.numel() for p in network.model.parameters())
    config = network.config
    say(f"[bold]{escape(config.model.name)}[/] ({parameters:,} parameters) on "
        f"[bold]{escape(config.data.name)}[/], {network.device}")  # fmt: skip
    classes = len(facts["spec"].get("labels", []))
    what = f"{classes} classes" if classes else f"target {', '.join(facts['spec']['targets'])}"
    say(f"rows: {rows}; {network.preprocess.in_kind}; {what}", markup=False)
    for note in [*current.dataset.notes, *current.notes]:
        say(note, markup=False)


def _train(current: Run, stderr: Any, verbose: int, json_: bool, stop: Callable[[], bool]) -> None:
    """Run the loop to its end, showing its events."""
    from nnzoo import console
    from nnzoo.run import train as events
    from nnzoo.training.trainer import EpochEnd

    trainer = current.trainer
    epochs = trainer.config.train.epochs
    bar = None
    trained: list[float] = []
    skipped = 0
    if verbose == 1 and not trainer.finished:
        bar = console.Progressing(stderr, epochs, len(trainer.groups), trainer.step)
        bar.__enter__()
    try:
        for event in events(current, stop):
            if isinstance(event, EpochEnd):
                trained.append(event.row["seconds"])
                skipped += event.row.get("skipped", 0)
                if json_:
                    console.print_json({"event": "epoch", **event.row})
                elif verbose == 2:
                    line = console.epoch_line(event.row, epochs, event.best, stderr.width)
                    stderr.print(line, markup=False, soft_wrap=True)
                if bar is not None:
                    bar.epoch(event.row, trainer.best_epoch)
            elif bar is not None:
                bar.step(event.step, event.epoch)
    finally:
        if bar is not None:
            bar.__exit__(None, None, None)
    if verbose and trained:
        seconds = sum(trained)
        count = f"{len(trained)} epoch{'s' if len(trained) > 1 else ''}"
        rate = len(trained) * trainer.rows / seconds if seconds else 0
        early = ", stopped early" if trainer.stopped_early else ""
        steps = "steps" if skipped > 1 else "step"
        lost = f", {skipped} {steps} skipped (train.on_nan)" if skipped else ""
        stderr.print(f"trained {count} in {seconds:.1f} s ({rate:,.0f} rows/s){early}{lost}",
                     soft_wrap=True)  # fmt: skip


def _where(stdout: Any, current: Run) -> None:
    trainer = current.trainer
    stdout.print(
        f"\nrun: {current.folder.path} (best weights: epoch {trainer.best_epoch} of "
        f"{trainer.epoch})", markup=False, soft_wrap=True,
    )  # fmt: skip


def _dry_run(stdout: Any, current: Run, json_: bool) -> None:
    """Take one step on the first rows and show the layers."""
    import torch

    from nnzoo import console, summary

    trainer, network = current.trainer, current.network
    first = torch.arange(min(2, trainer.rows), device=network.device)
    x, _ = trainer.splits["train"].batch(first)
    rows = summary.layers(network, network.model, x)
    trainer.try_step()
    steps = {"steps_per_epoch": len(trainer.groups), "steps": trainer.total_steps}
    if json_:
        console.print_json({"event": "dry-run", "layers": rows, **steps})
        return
    stdout.print(console.layer_table(rows))
    stdout.print(f"\none step taken, nothing written; a run has {trainer.total_steps:,} steps "
                 f"({len(trainer.groups):,} an epoch)")  # fmt: skip


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list whose entry is 0, or the exit code to end with after the step.

    The second signal ends the process at once. Python's own handlers wait for the end of a long
    operation inside torch, so a thread hears of signals through the wakeup descriptor.
    """
    stopped = [0]
    codes = {int(signal.SIGINT): INTERRUPTED, int(signal.SIGTERM): TERMINATED}
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def listen() -> None:
        while received := reader.recv(1):
            code = codes.get(received[0], 0)
            if code and stopped[0]:
                if sys.stderr.isatty():
                    os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # the live bar hid the cursor
                os._exit(code)
            stopped[0] = code or stopped[0]

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    before = {each: signal.signal(each, lambda *_: None) for each in codes}
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield stopped
    finally:
        signal.set_wakeup_fd(descriptor)
        for each, handler in before.items():
            signal.signal(each, handler)
        writer.close()
        listener.join()
        reader.close()


@command("eval")
def eval_(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="A run folder, or a .pt file.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    split: Annotated[str, typer.Option(metavar="train|val|test", help="Which rows.")] = "test",
    weights: Annotated[str, typer.Option(metavar="best|last", help="Of a run folder.")] = "best",
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    out: OutOption = Path("checkpoints"),
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Exact metrics of a split, beside the trivial baseline."""
    from nnzoo import console

    _one_of("--split", split, SPLITS)
    _one_of("--weights", weights, ("best", "last"))
    if (checkpoint is None) == (config is None):
        raise UsageError("give one of the two, CHECKPOINT or --config: nnzoo eval checkpoints/cnn")
    if checkpoint is not None and seed is not None:
        raise UsageError("--seed goes with --config: a CHECKPOINT has its seed")
    path = checkpoint
    if path is None:
        run_config = _config(None, config, set_, seed)
        path = out / run_config.name
        if not path.is_dir():
            raise UsageError(f"no run in {path}; train first: nnzoo train --config {config}")
    from nnzoo import run
    from nnzoo.config.load import parse
    from nnzoo.config.reader import Document
    from nnzoo.network import read_dataset
    from nnzoo.training.device import choose_device, use_threads

    network, file, note = run.load_network(path, choose_device(device), cast(Any, weights))
    if note:
        sys.stderr.write(f"note: {note}\n")
    if config is None:
        stored = Document(value=network.config.to_dict())
        run_config = parse(stored, str(file), set_ or [], Path.cwd())
    network.config = run.same_run(run_config, network, file)
    use_threads(network.config.train)
    try:
        dataset = read_dataset(network.config, network.facts)
    except DataError as error:
        where = next((key for key in ("path", "root") if hasattr(network.config.data, key)), None)
        hint = f"\nIf the data has moved: --set data.{where}=…" if where else ""
        raise DataError(f"{error}{hint}") from None
    report = run.measure(network, dataset, split)
    result = {"run": network.config.name, "checkpoint": str(file), **report}
    if dataset.fingerprint() != network.facts["fingerprint"]:
        sys.stderr.write("note: the data has changed since the run was trained\n")
        result["data_changed"] = True
    if json_:
        console.print_json(result)
        return
    stdout, _ = console.make_consoles()
    stdout.print(f"{file}", style="bold", markup=False, soft_wrap=True)
    console.print_result(stdout, result, detail=True)


@command()
def check(
    source: Annotated[str | None, typer.Argument(metavar="CONFIG", show_default=False)] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Every fault of a file, or each value and its origin."""
    run_config = _config(source, config, set_, seed)
    from nnzoo.config.show import resolved_lines, to_json

    if json_:
        sys.stdout.write(f"{to_json(run_config.to_dict())}\n")
        return
    sys.stdout.write("\n".join(resolved_lines(run_config)) + "\n")


def _list_shelf(shelf: Any, only: str | None, json_: bool, noun: str) -> None:
    """The entries of a shelf with each option, its default and its meaning."""
    from difflib import get_close_matches

    from nnzoo.config.show import entry_options, option_lines, summary, to_json

    names = shelf.names()
    if only is not None and only not in names:
        near = get_close_matches(only, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(names)}"
        raise UsageError(f"no {noun} '{only}'; {hint}")
    chosen: dict[type, list[str]] = {}
    for name, entry in shelf:
        if only in (None, name):
            chosen.setdefault(entry.options, []).append(name)
    if json_:
        listing = to_json(
            {
                name: {
                    "summary": summary(options),
                    "options": [
                        dict(zip(("key", "default", "meaning"), row, strict=True))
                        for row in entry_options(options)
                    ],
                }
                for options, group in chosen.items()
                for name in group
            }
        )
        sys.stdout.write(f"{listing}\n")
        return
    for options, group in chosen.items():
        lines = [f"  {summary(options)}", *option_lines(entry_options(options), _width())]
        sys.stdout.write("\n".join([_heading(", ".join(group)), *lines, "", ""]))


def _width() -> int:
    """Columns of the terminal; 120 where stdout is none."""
    return shutil.get_terminal_size((120, 24)).columns


def _heading(text: str) -> str:
    """Bold on a terminal. Listings do without rich, which takes longer to load than they to print."""
    wanted = sys.stdout.isatty() or os.environ.get("FORCE_COLOR")
    plain = not wanted or os.environ.get("NO_COLOR")
    return text if plain else f"\x1b[1m{text}\x1b[0m"


@command()
def models(
    name: Annotated[str | None, typer.Argument(help="One of them.", show_default=False)] = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The networks: options, defaults, meanings."""
    from nnzoo.config.shelf import MODELS

    _list_shelf(MODELS, name, json_, "model")


@command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="One of them.", show_default=False)] = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The data sources: options, defaults, meanings."""
    from nnzoo.config.shelf import DATA

    _list_shelf(DATA, name, json_, "data source")


@command()
def training(
    name: Annotated[str | None, typer.Argument(help="One of them.", show_default=False)] = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The optimizers, schedules and the loop's options."""
    from nnzoo.config.shelf import TRAINING

    _list_shelf(TRAINING, name, json_, "entry")


@command()
def configs(json_: JsonOption = False, debug: DebugOption = False) -> None:
    """The bundled configs, each with what it reaches."""
    from nnzoo.config.load import bundled_configs
    from nnzoo.config.show import header_lines, to_json

    found = {path.stem: header_lines(path) for path in bundled_configs()}
    if json_:
        sys.stdout.write(f"{to_json(found)}\n")
        return
    for name, lines in found.items():
        sys.stdout.write("\n".join([_heading(name), *(f"  {line}" for line in lines), ""]))


@command()
def init(
    source: Annotated[
        str,
        typer.Argument(metavar="NAME|DATA", help="A bundled config, or your data file or folder."),
    ],
    file: Annotated[
        Path | None, typer.Argument(help="Where to write.", show_default="NAME.yaml")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    debug: DebugOption = False,
) -> None:
    """Copy a bundled config, or write one for your data."""
    data = Path(source)
    own = data.exists() and data.suffix not in (".yaml", ".yml")
    if not own and data.suffix in (".csv", ".parquet", ".pq"):
        raise UsageError(f"no file {data}")
    from nnzoo.config.load import bundled_folder, find_config

    stem = data.resolve().stem if own else Path(source).stem
    target = file or Path(f"{stem}.yaml")
    if target.is_dir():
        target = target / f"{stem}.yaml"
    copies = {}
    if own:
        from nnzoo.starter import starter_config

        text = starter_config(data, target)
    else:
        path = find_config(source)
        text = path.read_text(encoding="utf-8")
        companion = path.with_suffix(".csv")
        if companion.is_file() and path.parent == bundled_folder():
            copies[companion] = target.with_name(companion.name)
    for written in (target, *copies.values()):
        if written.exists() and not force:
            raise UsageError(f"{written} exists already; name another file, or --force replaces it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        for companion, copy in copies.items():
            shutil.copyfile(companion, copy)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from None
    sys.stdout.write(f"{target}\n")
    sys.stderr.write(f"next: nnzoo train --config {shlex.quote(str(target))}\n")


@command()
def schema(debug: DebugOption = False) -> None:
    """JSON Schema of the YAML language, for editors."""
    import json

    from nnzoo.config.describe import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


def main() -> None:
    """The entry point of `nnzoo`."""
    try:
        app()
    except SystemExit as end:
        leave(end.code)
        raise


def leave(code: object) -> None:
    """End the process with what was said and registered done, but without taking torch's modules
    apart: 0.4 s, a third of `import torch`. Comes back where the output cannot be written, so that
    Python says so."""
    if not isinstance(code, int):
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(code)
