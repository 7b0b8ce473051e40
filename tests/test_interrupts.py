"""Ctrl-C from Python waits for the end of a step; a second does not."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from nnzoo.interrupts import DeferredInterrupt


def test_the_first_is_kept_and_the_second_ends_at_once() -> None:
    interrupt = DeferredInterrupt()
    with interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.pending
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_is_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="in the step"), DeferredInterrupt():
        raise ValueError("in the step")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_handler_of_ones_own_stays() -> None:
    heard: list[int] = []

    def handle(number: int, frame: Any) -> None:
        heard.append(number)

    signal.signal(signal.SIGINT, handle)
    try:
        interrupt = DeferredInterrupt()
        with interrupt:
            signal.raise_signal(signal.SIGINT)
        assert (heard, interrupt.pending) == ([signal.SIGINT], False)
        assert signal.getsignal(signal.SIGINT) is handle
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_another_thread_changes_no_handler() -> None:
    seen: list[Any] = []

    def enter() -> None:
        with DeferredInterrupt():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
