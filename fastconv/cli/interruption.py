"""How Ctrl-C, SIGTERM and SIGHUP end a training run: after the batch at hand, with everything kept."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..interrupts import ENDING, handlers
from ..nn.callbacks import Callback
from .console import say


class Stopped(Exception):
    """Raised out of `fit` after a batch, when it was asked for."""


class Interruption(Callback):
    """While it listens the first signal only sets `number`; Ctrl-C after that interrupts at once.

    A second SIGTERM or SIGHUP does not: those who send them often send more than one. As the last of the callbacks it
    stops the training when the others have done what they do after a batch or an epoch.

    Parameters
    ----------
    agreed : callable
        Gets this process's `number`, gives that of all who train together.
    """

    number: int | None = None
    what_next = "Stopping after this batch, then saving"

    def __init__(self, agreed: Callable[[int | None], int | None]) -> None:
        super().__init__()
        self._agreed = agreed

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals in this block, but not those that were ignored before: by nohup, for example."""
        ignored = [n for n in ENDING if n != signal.SIGINT and signal.getsignal(n) is signal.SIG_IGN]
        with handlers({n: self._note for n in ENDING if n not in ignored}):
            yield

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        self.number = self._agreed(self.number)
        if self.number is not None:
            raise Stopped

    def _note(self, number: int, frame: object) -> None:
        if self.number is None:
            self.number = number
            say(f"{self.what_next}; Ctrl-C again stops at once.")
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
