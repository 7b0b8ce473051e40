"""The viewer of `nnzoo train --watch`: `nnzoo watch RUN` as a process of its own, for which training never waits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import nnzoo
from nnzoo.console import Output

# -P: a file of the current folder must not be taken for one of Python's.
COMMAND = [sys.executable, "-P", "-m", "nnzoo", "watch", "--until-stdin-closes"]
# Seconds that the viewer has for ending, which takes it no time.
PATIENCE = 3.0


class ViewerProcess:
    """A context manager whose viewer lives at most as long as the context, and as this process.

    The viewer ends when its standard input is closed, which happens even if this process is killed. It is in a session
    of its own, so that Ctrl-C at the terminal reaches training alone. It lowers its own priority once it serves
    (`nnzoo.watch.serve`): from its start on, it would not get to serving beside a training that uses every core.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self.address = ""
        self.process: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None
        self._closing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, folder: Path) -> None:
        """Start the viewer of a run or a group; its address is printed once it is known. A failure is a line, too."""
        package = str(Path(nnzoo.__file__).parents[1])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        try:
            self.process = subprocess.Popen(
                [*COMMAND, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            )
        except OSError as error:
            self._say_failure(error.strerror or str(error))
            return
        self._listener = threading.Thread(target=self._listen, args=[self.process], daemon=True)
        self._listener.start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Read what the viewer prints until it ends, and collect its exit code, so that no zombie is left."""
        last = ""
        with process:  # which closes its pipes
            assert process.stdout is not None
            for line in process.stdout:
                last = line.strip() or last
                if not self.address and last.startswith("http://"):
                    self.address = last
                    self.output.event("watch", address=last)
                    self._say_address()
        code = process.returncode
        if not self._closing:
            self._say_failure(f"exit code {code}" if last == self.address else last)

    def _say_address(self) -> None:
        """Print the address even where training is silent: nobody could open the page without it."""
        output = self.output if self.output.json else replace(self.output, verbose=1)
        output.line(f"watch: {self.address}")

    def _say_failure(self, reason: str) -> None:
        self.output.say(f"nnzoo watch has ended ({reason}); training is not affected", "yellow")

    def keep(self) -> None:
        """Let the viewer serve what is complete until Ctrl-C, if a person is at the terminal."""
        is_person = self.output.stderr.is_terminal and sys.stdin.isatty() and self.output.verbose
        if (
            not is_person
            or self.output.json
            or self.process is None
            or self.process.poll() is not None
        ):
            return
        self.output.say("the page stays until Ctrl-C")
        with suppress(KeyboardInterrupt):
            self.process.wait()

    def close(self) -> None:
        """End the viewer, if there is one: it writes nothing, so that it can be ended at any time."""
        self._closing = True
        if self.process is None or self._listener is None:
            return
        self.process.terminate()
        self._listener.join(PATIENCE)
        if self._listener.is_alive():
            self.process.kill()
            self._listener.join(PATIENCE)
