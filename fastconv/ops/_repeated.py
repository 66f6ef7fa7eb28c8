"""Small calls that repeat: performed by Python the first times, then by the program that Python's work comes to.

On a few thousand elements Python takes several times as long to find kernels, and to hand arrays to them, as these
take. What a call starts depends on everything but its data; so it is noted down (`simd.programs`), once it has been
made so often that it seems to be made in a loop: that takes as long as some hundred calls. Programs run on one thread,
and serve calls that would take no more.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

from ..memory import SMALL

OFTEN = 24  # calls by Python before one is noted down
MOST_BYTES = 4 * SMALL  # of a call's arrays: beside larger ones Python costs little

_noting = Lock()  # one program at a time; who finds it taken tries again with its next call


class Repeats:
    """How often a call was made on arrays of certain shapes and dtypes, and the program that it became.

    Only for calls that neither look at their data, but by `cpu.magnitude.is_finite`, nor hand them to anything but
    kernels; what has no program is performed by Python for ever.
    """

    __slots__ = ("_left", "_noted", "_program", "run")

    def __init__(self, noted: bool = True) -> None:
        #: ``run(a, b, c, d)`` on such arrays, any for one that is not there: 0 if it has done what the call does.
        self.run: Callable[[Any, Any, Any, Any], int] | None = None
        self._left = OFTEN if noted else 0
        self._noted = noted
        self._program: Any = None  # to be kept as long as it runs

    def __reduce__(self) -> tuple[Any, ...]:
        return Repeats, (self._noted,)  # addresses belong to a process, and to arrays that are copied

    def count(self, perform: Callable[..., Any], *arrays: Any) -> None:
        """The call was performed on these arrays, None for one that is not there: as ``perform(*arrays)`` does it."""
        if self._left > 0:
            self._left -= 1
            if self._left <= 0:
                if not _noting.acquire(blocking=False):
                    self._left = 1
                    return
                try:
                    self._note_down(perform, arrays)
                finally:
                    _noting.release()

    def _note_down(self, perform: Callable[..., Any], arrays: tuple[np.ndarray | None, ...]) -> None:
        if self.run is not None or sum(a.nbytes for a in arrays if a is not None) > MOST_BYTES:
            return  # another thread was the last, too
        from ..simd import programs

        operands = [None if a is None else (a.shape, a.dtype) for a in arrays]
        self._program = programs.record(perform, operands, alone=False)
        if self._program is not None:
            self.run = programs.callable_program(self._program)


class Repeated:
    """``perform(*arrays)`` of four arrays of certain shapes and dtypes, None for one that is not there (`Repeats`)."""

    __slots__ = ("_perform", "_repeats")

    def __init__(self, perform: Callable[..., Any], noted: bool = True) -> None:
        self._perform, self._repeats = perform, Repeats(noted)

    def __call__(self, a: np.ndarray, b: Any, c: Any, d: np.ndarray) -> None:
        run = self._repeats.run
        if run is None or run(a, a if b is None else b, a if c is None else c, d):
            self._perform(a, b, c, d)
            self._repeats.count(self._perform, a, b, c, d)


def refuse_noting() -> None:
    """What is done here is to be done anew in each call: nothing is noted down of one that comes here."""
    from ..simd.parallel import Shared, recording

    if recording.steps is not None:
        raise Shared
