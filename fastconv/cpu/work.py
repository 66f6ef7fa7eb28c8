"""What a method will have to do for a problem, counted: the cost model turns the counts into a time."""

from __future__ import annotations

from typing import NamedTuple


class Work(NamedTuple):
    """Counts of one call; they depend on the problem and the host's vectors only.

    Attributes
    ----------
    tile : float
        Operations of the micro-kernel, those of idle lanes and rows included.
    vector : float
        Operations of vectorised transforms and passes.
    cached : float
        Bytes moved inside a core's cache.
    memory : float
        Bytes read from and written to memory.
    regions : int
        Parallel regions entered.
    extra : int
        Bytes of memory needed beside the operands and the result, at the peak.
    """

    tile: float
    vector: float
    cached: float
    memory: float
    regions: int
    extra: int
