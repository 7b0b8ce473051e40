"""Reports of what takes a while, from wherever it happens to whoever shows it.

Nothing in the core prints. It opens a `status`; the command line, or a program that uses nnzoo, listens:

    with status("decoding images", total=len(files)) as advance:
        for i, file in enumerate(files, 1):
            decode(file)
            advance(i)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

Advance = Callable[[int], None]
"""Called with how many of `total` are done."""


class Listener(Protocol):
    """What shows reports."""

    def status(self, text: str, total: int | None, log: bool) -> AbstractContextManager[Advance]:
        """Show that `text` is being done until the context ends; a listener may wait before it does.
        log: whether it is worth a line in a log."""
        ...

    def notice(self, text: str) -> None:
        """Show one line that stays."""
        ...


_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Send the reports of this thread to `listener`, or to nobody."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def status(text: str, total: int | None = None, log: bool = True) -> Iterator[Advance]:
    """Report an operation that may take longer than a second, such as "compiling native layers"; gives
    a function that takes how many of `total` parts are done. Also a decorator. log: False for what every
    start does, which is shown on a terminal alone."""
    listener = _LISTENER.get()
    if listener is None:
        yield lambda done: None
        return
    with listener.status(text, total, log) as advance:
        yield advance


def notice(text: str) -> None:
    """Report a decision that nobody asked for, such as a fallback, where no `Dataset.notes` or
    `Run.notes` is at hand. A Python warning where nobody listens."""
    listener = _LISTENER.get()
    if listener is None:
        warnings.warn(text, stacklevel=2)
    else:
        listener.notice(text)
