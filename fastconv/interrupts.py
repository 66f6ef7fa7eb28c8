"""Signals that end a program: which they are, handling them for a while, and holding them back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

Handler = Callable[[int, Any], Any]
_held: dict[int, Callable[[], bool]] = {}  # what handles the signals that a block of `deferred_interrupt` holds back


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, where they are taken as Ctrl-C is: what was begun is cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def terminate(number: int, frame: object) -> None:
    """The handler that raises `Terminated`."""
    raise Terminated(number)


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """The status by which a shell tells of the signal: 130 for Ctrl-C."""
    return 128 + getattr(interrupt, "number", signal.SIGINT)


@contextmanager
def handlers(wanted: Mapping[int, Handler]) -> Iterator[None]:
    """Handle signals so inside of the block; nothing is changed outside of the main thread, where Python runs none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer: dict[int, Any] = {}
    try:
        for number, handler in wanted.items():
            outer[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler in outer.items():
            if handler is not None:  # None: it was not set by Python, and Python cannot set it again
                signal.signal(number, handler)


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Hold back what Python handles of these signals until the end of the block, where what was begun is whole.

    A SIGTERM without a handler ends the process at once, as ever.
    """
    outer = {number: handler for number in ENDING if callable(handler := signal.getsignal(number))}
    pending: list[tuple[int, Any]] = []

    def handle() -> bool:
        found = bool(pending)
        while pending:
            number, frame = pending.pop(0)
            outer[number](number, frame)
        return found

    _held[id(handle)] = handle
    try:
        with handlers(dict.fromkeys(outer, lambda number, frame: pending.append((number, frame)))):
            yield
    finally:
        del _held[id(handle)]
        handle()


def handle_held_back() -> bool:
    """Handle signals that a block of `deferred_interrupt` holds back now, where it may never end; whether any came."""
    handled = [handle() for handle in list(_held.values())]
    return any(handled)
