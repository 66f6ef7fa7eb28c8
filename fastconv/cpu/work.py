"""What a method does to solve a problem, in numbers that a cost model turns into time."""

from __future__ import annotations

from typing import NamedTuple


class Work(NamedTuple):
    """Operations, bytes and parallel regions of one call."""

    tile: float  # operations of the micro-kernel, idle lanes and rows included
    vector: float  # operations of vectorised transforms and elementwise code
    cached: float  # bytes moved in a core's cache
    memory: float  # bytes to and from memory
    regions: int  # parallel regions entered
    extra: int  # bytes of memory beyond the operands, at the peak
