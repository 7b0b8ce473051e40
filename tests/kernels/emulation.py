"""The native kernels of another processor, in place of this one's: `pytest -p tests.kernels.emulation tests/kernels/...`.

NNZOO_EMULATION has the command of a compiler and its options for this processor, NNZOO_EMULATOR that of what runs its programs
(nothing: this machine does). The tests of the kernels then call a program whose memory is that of the test: a page is
copied to it when it is first touched, at the same address, and what has changed is copied back (emulation.c).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shlex
import struct
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnzoo.kernels import build

HERE = Path(__file__).parent
FETCH, DONE, TAKEN = range(3)
PAGE = 4096
REQUEST, REPLY = struct.Struct("15qd"), struct.Struct("3q")
ATTEMPTS = 20


class Taken(Exception):
    """The emulator has something at the address of a page."""


def entry_names() -> list[str]:
    """The entry points of the kernels, in alphabetical order."""
    text = "".join(path.read_text() for path in sorted(build.FOLDER.glob("*.c")))
    return sorted(re.findall(r"NNZOO_API \w+ (\w+)\(", text))


def compile_program(command: list[str], scalar: str, folder: Path) -> Path:
    """Compile the kernels for scalar_t "float" or "double", without OpenMP, with their driver."""
    (folder / "entries.h").write_text("".join(f"ENTRY({name})\n" for name in entry_names()))
    dropped = {"-march=native", "-fopenmp", "-Wall", "-Wextra"}
    flags = [flag for flag in build.FLAGS if flag not in dropped]
    flags += ["-Wno-unknown-pragmas", "-Werror", f"-DNNZOO_SCALAR={scalar}", f"-I{folder}"]

    def compiled(source: Path) -> Path:
        made = folder / f"{source.stem}.{scalar}.o"
        subprocess.run([*command, *flags, "-c", str(source), "-o", str(made)], check=True)
        return made

    sources = [*sorted(build.FOLDER.glob("*.c")), HERE / "emulation.c"]
    with ThreadPoolExecutor(2) as threads:
        objects = list(threads.map(compiled, sources))
    program = folder / scalar
    linked = ["-static", *map(str, objects), "-o", str(program), "-lm"]
    subprocess.run([*command, *linked], check=True)
    return program


class Emulated:
    """The library of a type: its functions as attributes, as ctypes has them."""

    def __init__(self, command: list[str]) -> None:
        self.command, self.names = command, entry_names()
        self.process: subprocess.Popen[bytes] | None = None

    def __getattr__(self, name: str) -> Any:
        if name not in self.names:
            raise AttributeError(name)
        return partial(self.call, self.names.index(name))

    def call(self, entry: int, *arguments: Any) -> int:
        """Call an entry point with numbers and addresses, as ctypes takes them."""
        held, numbers = [], [0.0]
        integers: list[int] = []
        for argument in arguments:
            if isinstance(argument, ctypes.c_double):
                numbers[0] = argument.value
            elif isinstance(argument, bytes):
                held.append(ctypes.create_string_buffer(argument, len(argument)))
                integers.append(ctypes.addressof(held[-1]))
            elif isinstance(argument, int):
                integers.append(argument)
            elif isinstance(argument, ctypes._SimpleCData):
                integers.append(argument.value or 0)
            else:  # an array, or what `byref` refers to
                integers.append(ctypes.addressof(getattr(argument, "_obj", argument)))
        integers += [0] * (14 - len(integers))
        for _ in range(ATTEMPTS):
            with contextlib.suppress(Taken):
                return self.run(REQUEST.pack(entry, *integers, *numbers))
            self.end()
        raise RuntimeError("the emulator has always something where the test's memory is")

    def end(self) -> None:
        """End the program, which the next call would start anew."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def run(self, request: bytes) -> int:
        """Send the program a request and the pages that it asks for; returns what the entry point returned."""
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        receive, send = self.process.stdout.read, self.process.stdin
        send.write(request)
        send.flush()
        sent: dict[int, bytes] = {}
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            while True:
                reply = receive(REPLY.size)
                if len(reply) < REPLY.size:
                    raise RuntimeError(f"the emulated program ended with {self.process.wait()}")
                kind, value, pages = REPLY.unpack(reply)
                if kind == TAKEN:
                    raise Taken
                if kind == DONE:
                    break
                # Fails where this process has no memory either.
                sent[value] = os.pread(memory.fileno(), PAGE, value)
                send.write(sent[value])
                send.flush()
        for _ in range(pages):
            (address,) = struct.unpack("q", receive(8))
            write_changes(address, sent[address], receive(PAGE))
        return value


def write_changes(address: int, before: bytes, after: bytes) -> None:
    """Write the bytes of a page that a call has changed; others may have been changed here meanwhile."""
    if before == after:
        return
    old, new = (np.frombuffer(page, np.uint8) for page in (before, after))
    here = np.ctypeslib.as_array((ctypes.c_uint8 * PAGE).from_address(address))
    np.copyto(here, new, where=old != new)


PROGRAMS: list[Emulated] = []


def pytest_configure() -> None:
    """Put the emulated libraries in the place of this processor's."""
    command = shlex.split(os.environ["NNZOO_EMULATION"])
    emulator = shlex.split(os.environ.get("NNZOO_EMULATOR", ""))
    folder = Path(tempfile.mkdtemp(prefix="nnzoo-emulation-"))
    for dtype, scalar in ((torch.float32, "float"), (torch.float64, "double")):
        program = compile_program(command, scalar, folder)
        PROGRAMS.append(Emulated([*emulator, str(program)]))
        build._loaded[dtype] = PROGRAMS[-1], ""


def pytest_unconfigure() -> None:
    for program in PROGRAMS:
        program.end()
