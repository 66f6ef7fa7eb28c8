"""Signals that end a program never fall into the middle of a training step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..interrupts import ENDING, handlers


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Hold back SIGINT, SIGTERM and SIGHUP until the end of the block: what they stop has then finished its step.

    Python runs signal handlers in the main thread only; elsewhere, and for signals that Python does not handle, nothing
    is done: a SIGTERM without a handler ends the process at once, as ever.
    """
    mine = threading.current_thread() is threading.main_thread()
    outer = {n: h for n in ENDING if callable(h := signal.getsignal(n))} if mine else {}
    pending: list[tuple[int, Any]] = []
    try:
        with handlers(dict.fromkeys(outer, lambda number, frame: pending.append((number, frame)))):
            yield
    finally:
        for number, frame in pending:
            outer[number](number, frame)
