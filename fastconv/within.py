"""Settings that a block of code makes for its own thread, and whose end brings back what was there before."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from typing import Any


class Within(threading.local):
    """Settings of a thread; a subclass names them and what they are outside of all blocks.

    Examples
    --------
    >>> class Volume(Within):
    ...     loud = False
    >>> volume = Volume()
    >>> with volume.set(loud=True):
    ...     volume.loud
    True
    >>> volume.loud
    False
    """

    def set(self, **settings: Any) -> Block:
        """Let them hold in a ``with`` block, or while a function decorated with this runs."""
        return Block(self, settings)


class Block(ContextDecorator):
    """A context manager without a generator: steps of training enter several."""

    def __init__(self, local: Within, settings: dict[str, Any]) -> None:
        self._local, self._settings = local, settings

    def _recreate_cm(self) -> Block:
        return Block(self._local, self._settings)  # a decorated function may call itself

    def __enter__(self) -> None:
        self._outer = {name: getattr(self._local, name) for name in self._settings}
        vars(self._local).update(self._settings)

    def __exit__(self, *error: object) -> None:
        vars(self._local).update(self._outer)
