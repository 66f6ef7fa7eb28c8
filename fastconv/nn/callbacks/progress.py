"""What `fit`, `evaluate` and `predict` show: a bar that moves on a terminal or in a notebook, elsewhere a line."""

from __future__ import annotations

import shutil
import sys
import time
from importlib import import_module
from typing import Any

import numpy as np

from ...streams import Tolerant, print_line
from .. import arguments
from .base import Callback, Logs

INTERVAL = 0.2  # seconds between two drawings
WIDTH = 20  # of a bar


class ProgbarLogger(Callback):
    """verbose=1: a bar with the time left while it runs, then a line; verbose=2: a line, at the end only.

    Models add one by themselves where there is something to show.

    Parameters
    ----------
    verbose : {0, 1, 2}, optional
        By default what `fit`, `evaluate` or `predict` was given.
    """

    only_looks = True

    def __init__(self, verbose: int | None = None) -> None:
        self._given = None if verbose is None else arguments.verbosity(self, verbose)
        self._fits = False

    def set_params(self, params: Logs) -> None:
        super().set_params(params)
        self.verbose = params.get("verbose", 1) if self._given is None else self._given

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._fits = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._fits = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.verbose:
            print_line(f"Epoch {epoch + 1}/{self.params['epochs']}")
        self._begin()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._finish(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._fits:
            self._begin()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._fits:
            self._advance(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._fits:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, {})

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish({})

    def _begin(self) -> None:
        self.live = self.verbose == 1 and is_live()
        self.start = self.drawn = time.perf_counter()
        self.done = self.width = 0
        self._output: Any = None

    def _advance(self, batch: int, logs: Logs | None) -> None:
        self.done = batch + 1
        now = time.perf_counter()
        if self.live and now - self.drawn > INTERVAL:
            self.drawn = now
            self._draw(self._line(logs or {}, now), "")

    def _finish(self, logs: Logs | None) -> None:
        if self.verbose:
            self._draw(self._line(logs or {}, time.perf_counter(), True), "\n")

    def _line(self, logs: Logs, now: float, whole: bool = False) -> str:
        steps, elapsed = self.params["steps"], now - self.start
        each = elapsed / max(1, self.done)
        count = f"{self.done}/{steps or (self.done if whole else 'unknown')}"
        values = "".join(f" - {key}: {shown_value(value)}" for key, value in logs.items())
        if not self.live:
            return f"{count} - {elapsed:.0f}s - {duration(each)}/step{values}"
        times = f"{clock(elapsed)}" if whole or not steps else f"{clock(each * (steps - self.done))} left"
        return f"{count} {bar(self.done, steps or self.done)} {times} {duration(each)}/step{values}"

    def _draw(self, line: str, end: str) -> None:
        if self.live and in_notebook():
            self._output = shown_in_notebook(line, self._output)
            return
        if self.live and not end:  # a line that wraps could not be drawn over
            line = cut(line, max(20, shutil.get_terminal_size().columns - 1))
        print_line(("\r" if self.live else "") + line.ljust(self.width), end)
        self.width = len(line)


def is_live() -> bool:
    """Whether standard output shows a line that is written over: a terminal, or a notebook."""
    return Tolerant(sys.stdout).isatty() or in_notebook()


def in_notebook() -> bool:
    """Whether standard output is that of a notebook's cell."""
    return type(sys.stdout).__module__.startswith("ipykernel")


def shown_in_notebook(line: str, output: Any = None) -> Any:
    """Put a line into a cell's output, or in place of what is there; the notebook is saved with the last one."""
    data = {"text/plain": line}
    if output is None:
        return import_module("IPython.display").display(data, raw=True, display_id=True)
    output.update(data, raw=True)
    return output


def cut(line: str, room: int) -> str:
    """A line without the values for which there is no room.

    >>> cut("5/9 bar - loss: 0.1234 - accuracy: 0.5678", 30)
    '5/9 bar - loss: 0.1234'
    """
    return line if len(line) <= room else line[: room + 3].rpartition(" - ")[0] or line[:room]


def bar(done: int, steps: int) -> str:
    """A bar of so many of so many steps; of plain characters where standard output has no others.

    >>> bar(5, 10) in ("━━━━━━━━━━──────────", "==========..........")
    True
    """
    full = WIDTH * done // max(1, steps)
    try:
        "━─".encode(getattr(sys.stdout, "encoding", None) or "ascii")
        return "━" * full + "─" * (WIDTH - full)
    except (UnicodeEncodeError, LookupError):
        return "=" * full + "." * (WIDTH - full)


def clock(seconds: float) -> str:
    """A time in seconds, minutes or hours.

    >>> clock(3.4), clock(75), clock(3725)
    ('3s', '1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def shown_value(value: Any) -> str:
    """A logged value in few characters.

    >>> shown_value(0.123456), shown_value(1.5e-5), shown_value(np.array([0.5, 1.0]))
    ('0.1235', '1.5e-05', '[0.5 1. ]')
    """
    if np.ndim(value):
        return np.array2string(np.asarray(value), precision=4, threshold=8)
    number = float(value)
    return f"{number:.4g}" if abs(number) < 1e-3 else f"{number:.4f}"


def duration(seconds: float) -> str:
    """A time per step, as Keras writes it.

    >>> duration(2.0), duration(0.0123), duration(4.5e-5)
    ('2s', '12ms', '45us')
    """
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"
