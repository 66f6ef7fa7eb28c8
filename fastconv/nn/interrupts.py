"""Ctrl-C never falls into the middle of a training step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Hold back SIGINT until the end of the block: what it stops has then finished its step.

    Python runs signal handlers in the main thread only; elsewhere, and where SIGINT is ignored, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer = signal.getsignal(signal.SIGINT)
    if not callable(outer):
        yield
        return
    pending: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: pending.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, outer)
        if pending:
            outer(*pending[0])
