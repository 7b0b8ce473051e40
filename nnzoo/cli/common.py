"""Options that several commands have, and errors as messages and exit codes."""

from __future__ import annotations

import errno
import functools
import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nnzoo.cli.completion import (
    complete_config,
    complete_device,
    complete_entry,
    complete_run,
    complete_set,
)
from nnzoo.cli.messages import StatusDisplay, show_error
from nnzoo.cli.usage import check_verbose
from nnzoo.errors import (
    BROKEN_PIPE,
    INTERRUPTED,
    ConfigError,
    NnzooError,
    PeerFailedError,
    UsageError,
    escape_controls,
    is_out_of_memory,
)
from nnzoo.status import listening, status
from nnzoo.text import note_line

if TYPE_CHECKING:
    from nnzoo.config import RunConfig

DEFAULT_OUT = Path("checkpoints")

# Options and arguments that several commands have.

ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        autocompletion=complete_config,
        help="A YAML file, a name in ./configs, or a bundled config ('nnzoo configs').",
    ),
]
ConfigArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="CONFIG",
        show_default=False,
        autocompletion=complete_config,
        help="The same as --config, without the option.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        autocompletion=complete_set,
        help="Change a value: -s model.dropout=0.5",
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Short for -s seed=N.", show_default=False)
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Parent directory of run folders.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        autocompletion=complete_device,
        help="auto, cpu, cuda or cuda:N.",
    ),
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Start over; the old folder is renamed, not deleted.")
]
VerboseOption = Annotated[
    int | None,
    typer.Option(
        "--verbose",
        "-v",
        metavar="0|1|2",
        callback=check_verbose,
        show_default=False,
        help="0 silent, 1 live display, 2 one line per epoch or trial [default: 1 on a terminal, else 2]",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON lines to stdout.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        autocompletion=complete_run,
        help="A run folder, the folder of a group of runs, or a .pt file.",
        show_default=False,
    ),
]
OptionalRunArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN",
        autocompletion=complete_run,
        help="A run folder, the folder of a group of runs, or a .pt file.",
        show_default=False,
    ),
]
Weights = Literal["best", "last"]
WeightsOption = Annotated[
    Weights, typer.Option("--weights", metavar="best|last", help="Which weights of the run.")
]
CoverageOption = Annotated[
    float | None,
    typer.Option(
        "--coverage",
        metavar="FRACTION",
        show_default=False,
        help="Intervals of numbers, sets of classes that hold the truth for this fraction of the rows, such as 0.9.",
    ),
]
SplitOption = Annotated[
    Literal["train", "val", "test"],
    typer.Option("--split", metavar="train|val|test", help="Which rows of the data."),
]
NameArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        autocompletion=complete_entry,
        help="Show only this one, in detail.",
        show_default=False,
    ),
]


def handle_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command: its errors become one message and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        debug = bool(kwargs.get("debug"))
        is_silent = kwargs.get("verbose") == 0 or os.environ.get("RANK", "0") != "0"
        try:
            if not _cwd_exists():
                raise UsageError(
                    "the working folder no longer exists; change to another one", code="E01"
                )
            with listening(None if is_silent else StatusDisplay()):
                return function(*args, **kwargs)
        except PeerFailedError as error:
            raise typer.Exit(error.exit_code) from None
        except NnzooError as error:
            if debug:
                raise
            raise _exit_with(error.exit_code, str(error), _codes(error)) from None
        except KeyboardInterrupt:
            raise _exit_with(INTERRUPTED, "interrupted") from None
        except BrokenPipeError:
            # The reader of the output has closed it (`nnzoo models | head`).
            null = os.open(os.devnull, os.O_WRONLY)
            for stream in (sys.stdout, sys.stderr):
                os.dup2(null, stream.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if debug:
                raise
            raise _exit_with(*_unexpected(error)) from None

    return wrapped


def _codes(error: NnzooError) -> str:
    """The code of an error, or those of all issues of a configuration."""
    if not isinstance(error, ConfigError):
        return error.code
    return ", ".join(dict.fromkeys(issue.code for issue in error.issues))


def _cwd_exists() -> bool:
    """Whether the working directory still exists: libraries fail without it."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _exit_with(exit_code: int, message: str, code: str = "") -> typer.Exit:
    """Print why a command ends, behind the code of the reason; returns the exception to raise."""
    with suppress(OSError):  # a full disk: the exit code must do
        show_error(f"error {code}: {message}" if code else message)
    return typer.Exit(exit_code)


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def _unexpected(error: Exception) -> tuple[int, str, str]:
    """The exit code, message and code of an unexpected error."""
    from nnzoo.config.registry import LOADED_PLUGINS, plugin_error

    if is_out_of_memory(error):
        message = (
            "out of memory; train.batch_size, data.window, data.size and the model's "
            f"widths decide what is needed ({str(error)[:200] or 'MemoryError'})"
        )
        return ConfigError.exit_code, message, "E72"
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        file = f" {error.filename}" if error.filename else " the output"
        return UsageError.exit_code, f"cannot write{file}: {error.strerror}", "E73"
    if isinstance(error, OSError) and error.errno == errno.EIO:  # reading or writing, or a terminal
        file = f" with {error.filename}" if error.filename else ": a disk, or the terminal, failed"
        return UsageError.exit_code, f"input/output error{file}", "E73"
    blamed = plugin_error(error)
    if blamed is not None:
        return blamed.exit_code, f"{blamed}\n--debug shows the traceback", blamed.code
    bug = "a bug in nnzoo"
    if LOADED_PLUGINS:
        bug += f", or in what {', '.join(sorted(LOADED_PLUGINS))} returned"
    message = (
        f"internal error ({bug}): {type(error).__name__}: {error}\n"
        "run again with --debug and report what it shows"
    )
    return 1, message, "E90"


def note(text: str) -> None:
    """Write a note on stderr."""
    sys.stderr.write(f"{escape_controls(note_line(text))}\n")


def load_torch() -> None:
    """Import torch, which takes a second, and several the first time."""
    if "torch" in sys.modules:
        return
    # Objects of an import stay: searches for garbage among them took 60 ms.
    gc.disable()
    try:
        with status("loading PyTorch", log=False):
            import torch  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


def run_parent(source: str | None, out: Path) -> Path:
    """Return the parent of the run folder: of `source` if that is a run folder (`nnzoo train runs/cnn`), else
    `out`."""
    if source is not None and out == DEFAULT_OUT:
        folder = Path(source)
        folder = folder.parent if folder.name == "config.yaml" else folder
        with suppress(OSError, ValueError):
            if (folder / "last.pt").is_file() and (folder / "config.yaml").is_file():
                return folder.resolve().parent if folder.parent == folder else folder.parent
    return out


def load_config_option(
    positional: str | None, option: str | None, sets: list[str] | None, seed: int | None
) -> RunConfig:
    """Load the config that CONFIG or --config names, with --set and --seed applied.

    Raises UsageError if it is named twice or not at all, ConfigError for its content.
    """
    from nnzoo.config.load import load_config

    if positional is not None and option is not None:
        raise UsageError("give the config once: as CONFIG, or with --config", code="E01")
    source = positional if option is None else option
    if source is None:
        raise UsageError(
            "missing config: nnzoo train --config cnn.yaml; 'nnzoo configs' lists the bundled ones",
            code="E01",
        )
    return load_config(source, [*(sets or []), *([f"seed={seed}"] if seed is not None else [])])
