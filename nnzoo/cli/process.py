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
from nnzoo.errors import HUNG_UP, INTERRUPTED, TERMINATED, UsageError, visible

# Where a system has no SIGHUP, closing the terminal ends a process without a word.
_HANGUP = getattr(signal, "SIGHUP", None)
_NAMES = {INTERRUPTED: "Ctrl-C", TERMINATED: "SIGTERM", HUNG_UP: "SIGHUP (the terminal was closed)"}


def interrupted(code: int, saved: str, processes: SingleProcess = SINGLE) -> typer.Exit:
    """Print that a signal has stopped a command and what resumes it; returns the exception to raise.

    code: the signal's exit code; saved: what is saved.
    """
    if processes.is_main_process:
        command = "nnzoo" if not processes.is_distributed else "torchrun … -m nnzoo"
        words = shlex.join(strip_start_options(sys.argv[1:]))
        with suppress(OSError):
            sys.stderr.write(
                visible(f"{_NAMES[code]}: {saved}; resume with:\n  {command} {words}\n")
            )
    return typer.Exit(code)


def strip_start_options(words: Sequence[str]) -> list[str]:
    """Drop --fresh, --resume and --lost from a command line, so that it resumes what is there."""
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
    """A list whose entry is 0, or the exit code to end with after the step.

    The second Ctrl-C or SIGTERM ends the process at once. A closed terminal does not count: shell,
    kernel and terminal may each report it. Under nohup it is ignored, as asked for. Python's own
    handlers wait for the end of a long operation inside torch, so a thread hears of signals through
    the wakeup descriptor.
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
                _leave(terminals)
            # torchrun may send more than one, and ends who does not end.
            elif code and stopped[0] not in (0, HUNG_UP) and not under_torchrun():
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
            hung_up = each == _HANGUP and stopped[0] == HUNG_UP
            signal.signal(each, signal.SIG_IGN if hung_up else handler)
        writer.close()
        listener.join()
        reader.close()


def _terminals() -> list[int]:
    """Which of stdin, stdout and stderr are a terminal; after a hang-up none says so."""
    return [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]


def _leave(terminals: list[int]) -> None:
    """Send what would be written to closed terminals nowhere: writing there fails."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in terminals:
        os.dup2(null, descriptor)
    os.close(null)


def open_streams() -> None:
    """Let stdin, stdout and stderr be there: what was closed leads nowhere, and a character that an
    encoding lacks is written out."""
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
    """Write what is still kept; gives the exit code, which is another where that cannot be written."""
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
    """Give this process, which trains and then ends, the memory habits of training; a program that calls
    nnzoo keeps its own."""
    from nnzoo.device import disable_malloc_trim, drop_torch_code_pages

    disable_malloc_trim()
    drop_torch_code_pages()


def fast_exit(code: object) -> None:
    """End the process with what was said and registered done, but without taking torch's modules
    apart: 0.4 s, a third of `import torch`."""
    if not isinstance(code, int):
        return
    atexit._run_exitfuncs()
    os._exit(close_streams(code))
