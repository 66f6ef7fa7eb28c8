"""The lines `fit` prints, as Keras prints them; on a terminal the running one is redrawn a few times a second."""

from __future__ import annotations

import sys
import time

from ...streams import Tolerant, print_line
from .. import arguments
from .base import Callback, Logs

INTERVAL = 0.2  # seconds between two drawings


class ProgressLines(Callback):
    """verbose=1: a line per epoch, running on a terminal; verbose=2: a line per epoch, at its end only."""

    def __init__(self, verbose: int) -> None:
        self.verbose = arguments.verbosity(self, verbose)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.live = self.verbose == 1 and Tolerant(sys.stdout).isatty()
        self.width = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        print_line(f"Epoch {epoch + 1}/{self.params['epochs']}")
        self.start = self.drawn = time.perf_counter()
        self.done = 0

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.done = batch + 1
        now = time.perf_counter()
        if self.live and now - self.drawn > INTERVAL:
            self.drawn = now
            self._draw(self._line(logs or {}, now), "\r")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._draw(self._line(logs or {}, time.perf_counter()), "\n")
        self.width = 0

    def _line(self, logs: Logs, now: float) -> str:
        steps, elapsed = self.params["steps"], now - self.start
        values = " - ".join(
            f"{key}: {value:.4g}" if abs(value) < 1e-3 else f"{key}: {value:.4f}" for key, value in logs.items()
        )
        return f"{self.done}/{steps} - {elapsed:.0f}s - {duration(elapsed / max(1, self.done))}/step - {values}"

    def _draw(self, line: str, end: str) -> None:
        print_line(("\r" if self.live else "") + line.ljust(self.width), end)
        self.width = len(line)


def duration(seconds: float) -> str:
    """A time per step, as Keras writes it.

    >>> duration(2.0), duration(0.0123), duration(4.5e-5)
    ('2s', '12ms', '45us')
    """
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"
