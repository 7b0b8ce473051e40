"""The process of a command: Ctrl-C, SIGTERM and SIGHUP save the run; standard streams that are closed or full."""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import typer

from nnzoo.distributed import SINGLE, SingleProcess, under_torchrun
from nnzoo.errors import HUNG_UP, INTERRUPTED, TERMINATED, UsageError, escape_controls

# Without SIGHUP closing the terminal ends a process at once.
_HANGUP = getattr(signal, "SIGHUP", None)
_NAMES = {INTERRUPTED: "Ctrl-C", TERMINATED: "SIGTERM", HUNG_UP: "SIGHUP (the terminal was closed)"}


def interrupted(code: int, saved: str, processes: SingleProcess = SINGLE) -> typer.Exit:
    """Print that a signal has stopped a command and what resumes it; returns the exception to raise.

    code: the signal's exit code; saved: what has been saved, in words.
    """
    if processes.is_main_process:
        command = "nnzoo" if not processes.is_distributed else "torchrun … -m nnzoo"
        words = shlex.join(strip_start_options(sys.argv[1:]))
        with suppress(OSError):
            sys.stderr.write(
                escape_controls(f"{_NAMES[code]}: {saved}; resume with:\n  {command} {words}\n")
            )
    return typer.Exit(code)


def strip_start_options(words: Sequence[str]) -> list[str]:
    """Drop --fresh, --resume and --lost from a command line, so that it resumes the run."""
    kept = []
    is_value = False
    for word in words:
        name, equals, _ = word.partition("=")
        with_value = name in ("--resume", "--lost")
        if not (is_value or with_value or word == "--fresh"):
            kept.append(word)
        is_value = with_value and not equals
    return kept


@contextmanager
def graceful_shutdown() -> Iterator[list[int]]:
    """Save and stop on signals: yields a list whose entry is 0, or the exit code to end with after the step.

    The second Ctrl-C or SIGTERM ends the process at once. SIGHUP does not count: shell, kernel and
    terminal may each send it; under nohup it is ignored. Python's handlers wait for the end of a long
    operation inside torch, so a thread receives signals through the wakeup descriptor.
    """
    stopped = [0]
    codes = {int(signal.SIGINT): INTERRUPTED, int(signal.SIGTERM): TERMINATED}
    if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:
        codes[int(_HANGUP)] = HUNG_UP
    terminals = _terminals()
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def listen() -> None:
        while received := reader.recv(1):
            code = codes.get(received[0], 0)
            if code == HUNG_UP:
                _redirect_to_null(terminals)
            # torchrun may send more than one, and ends who does not end.
            elif code and stopped[0] not in (0, HUNG_UP) and not under_torchrun():
                if sys.stderr.isatty():
                    os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # the live bar hid the cursor
                os._exit(code)
            stopped[0] = code or stopped[0]

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    before = {number: signal.signal(number, lambda *_: None) for number in codes}
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield stopped
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            hung_up = number == _HANGUP and stopped[0] == HUNG_UP
            signal.signal(number, signal.SIG_IGN if hung_up else handler)
        writer.close()
        listener.join()
        reader.close()


def _terminals() -> list[int]:
    """The descriptors among 0, 1, 2 that are a terminal; must be called before a hang-up."""
    return [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]


def _redirect_to_null(terminals: list[int]) -> None:
    """Redirect closed terminals, where every write fails, to the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in terminals:
        os.dup2(null, descriptor)
    os.close(null)


def open_streams() -> None:
    """Replace closed standard streams by the null device; escape characters that an encoding lacks."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file that is opened, perhaps a checkpoint, would take its number.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def close_streams(code: int) -> int:
    """Flush stdout and stderr; returns the exit code, 2 instead of 0 if a result cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            if stream is sys.stdout and code == 0:
                code = UsageError.exit_code
                reason = getattr(error, "strerror", None) or error
                try:
                    sys.stderr.write(f"cannot write to stdout: {reason}\n")
                except (OSError, ValueError):
                    return code
    return code


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Exclude the objects that exist from garbage collections: with torch loaded each takes 50 ms, together 1 %
    of an LSTM's steps."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def tune_process_memory() -> None:
    """Tune malloc and code pages for a process that trains and then ends; never for a program that calls
    nnzoo."""
    from nnzoo.device import disable_malloc_trim, drop_torch_code_pages

    disable_malloc_trim()
    drop_torch_code_pages()


def fast_exit(code: object) -> None:
    """End the process: run the exit handlers, flush the output, and skip the interpreter's teardown, which
    takes 0.4 s once torch is loaded."""
    if not isinstance(code, int):
        return
    atexit._run_exitfuncs()
    os._exit(close_streams(code))
