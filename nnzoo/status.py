"""Progress reports: the core opens a `status`, and the command line or another program shows it.

Nothing in the core prints:

    with status("decoding images", total=len(files)) as advance:
        for i, file in enumerate(files, 1):
            decode(file)
            advance(i)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol

from nnzoo.text import labeled

Advance = Callable[[int], None]
"""Called with the number of parts of `total` that are done."""


class Listener(Protocol):
    """Shows reports."""

    def status(self, text: str, total: int | None, log: bool) -> AbstractContextManager[Advance]:
        """Show an operation until the context ends, perhaps after a delay; log: whether a log gets a line."""
        ...

    def notice(self, text: str) -> None:
        """Show one line that stays."""
        ...


class _Warnings:
    """Listener outside a command: notices become Python warnings."""

    def status(self, text: str, total: int | None, log: bool) -> AbstractContextManager[Advance]:
        return nullcontext(lambda done: None)

    def notice(self, text: str) -> None:
        warnings.warn(labeled(text), stacklevel=3)


_WARNINGS = _Warnings()
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=_WARNINGS)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Send the reports of this thread to `listener`; None discards them."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def status(text: str, total: int | None = None, log: bool = True) -> Iterator[Advance]:
    """Report an operation that may take longer than a second, such as "compiling native layers"; yields
    a function that takes the number of parts of `total` that are done. Also a decorator. log=False: for
    a terminal only, as every start does it."""
    listener = _LISTENER.get()
    if listener is None:
        yield lambda done: None
        return
    with listener.status(text, total, log) as advance:
        yield advance


def notice(text: str) -> None:
    """Report an automatic decision, such as a fallback, where no `Dataset.notes` or `Run.notes` is
    available; a Python warning if there is no listener."""
    listener = _LISTENER.get()
    if listener is not None:
        listener.notice(text)
