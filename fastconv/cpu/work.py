"""What a method will have to do for a problem, counted, and how long each of it takes: the cost model."""

from __future__ import annotations

from collections.abc import Sequence
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


class Rate(NamedTuple):
    """Nanoseconds for one unit of each count: float32 operations, bytes, parallel regions; and for a call."""

    tile: float
    vector: float
    cached: float
    memory: float
    region: float
    call: float

    def seconds(self, work: Sequence[float], itemsize: int) -> float:
        """Predicted time of a call; an operation of float64 takes two of float32."""
        tile, vector, cached, memory, regions, _ = work
        operations = (tile * self.tile + vector * self.vector) * itemsize / 4
        return 1e-9 * (operations + cached * self.cached + memory * self.memory + regions * self.region + self.call)
