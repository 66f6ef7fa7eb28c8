"""Settings that a block of code makes for its own thread, and whose end brings back what was there before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import _GeneratorContextManager, contextmanager
from typing import Any, TypeAlias

Block: TypeAlias = "_GeneratorContextManager[None]"  # for ``with``, or round a function as a decorator


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

    @contextmanager
    def set(self, **settings: Any) -> Iterator[None]:
        """Let them hold in this block, in this thread."""
        outer = {name: getattr(self, name) for name in settings}
        vars(self).update(settings)
        try:
            yield
        finally:
            vars(self).update(outer)
