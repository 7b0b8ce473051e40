"""Standard streams as a caller may have left them: closed, full, or of an old encoding."""

from __future__ import annotations

import os
import sys

from nnzoo.errors import UsageError


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
