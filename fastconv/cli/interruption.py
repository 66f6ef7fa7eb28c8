"""How Ctrl-C, SIGTERM and SIGHUP end a training run: after the batch at hand, with everything kept."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import Any

from ..interrupts import ENDING, handlers
from ..nn.callbacks import Callback
from .console import say


class Stopped(Exception):
    """Raised out of `fit` after a batch, when it was asked for."""


class Interruption:
    """Inside a ``with`` block the first signal only sets `number`; Ctrl-C after that interrupts at once.

    A second SIGTERM or SIGHUP does not: those who send them often send more than one.
    """

    number: int | None = None
    what_next = "Stopping after this batch, then saving"

    def __enter__(self) -> Interruption:
        ignored = [n for n in ENDING if n != signal.SIGINT and signal.getsignal(n) is signal.SIG_IGN]  # nohup
        self._stack = ExitStack()
        self._stack.enter_context(handlers({n: self._note for n in ENDING if n not in ignored}))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _note(self, number: int, frame: object) -> None:
        if self.number is None:
            self.number = number
            say(f"{self.what_next}; Ctrl-C again stops at once.")
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


class StopWhenAsked(Callback):
    """The last of the callbacks: what the others do after a batch or an epoch is done when it stops."""

    def __init__(self, interruption: Interruption) -> None:
        super().__init__()
        self._interruption = interruption

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._interruption.number is not None:
            raise Stopped

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._interruption.number is not None:
            raise Stopped
