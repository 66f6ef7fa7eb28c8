"""Tiles, their lengths, and how they cover a problem, for method "fft": what both kinds of tiles have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

from ...problem import Triple
from ..work import Work
from .roles import Roles, triple

RATIOS = (1.2, 1.35, 1.6, 2, 2.5, 3.2, 4, 5.5, 8, 12, 20, 40, 100)  # tile lengths tried, relative to the extent
WORKERS = 4  # threads that tiles are chosen for, whatever their number turns out to be


@dataclass(frozen=True)
class FourierTile:
    """A tile of T0 x T1 x T2 positions; axes that the filter does not mix are not transformed.

    In a *folded* tile the last axis alone is mixed, and lies there as T1 rows of T2 positions.
    """

    shape: Triple
    mixed: tuple[bool, bool, bool]
    folded: bool = False

    @property
    def points(self) -> int:
        """Positions of the tile."""
        return math.prod(self.shape)

    @property
    def lengths(self) -> Triple:
        """Positions along each axis of the array."""
        T0, T1, T2 = self.shape
        return (T0, 1, T1 * T2) if self.folded else self.shape

    @property
    def transformed(self) -> Triple:
        """Points of the transform along each axis of the tile."""
        return triple(t if m else 1 for t, m in zip(self.shape, self.mixed, strict=True))

    @property
    def levels(self) -> float:
        """Levels of the transform, log2 of its points."""
        return math.log2(max(2, math.prod(self.transformed)))


class Tiling(ABC):
    """Tiles that overlap by extent - 1 and what is computed at once; nothing depends on the number of threads.

    Attributes
    ----------
    counts, pitch : Triple
        How many tiles there are along each axis, and how far apart.
    tiles : int
        Tiles of all images.
    held, each : int
        Bytes that are kept while a chunk of channels is computed, and by every thread.
    cost : float
        Nanoseconds by the model on one core.
    """

    held: int
    each: int
    cost: float

    def __init__(self, roles: Roles, tile: FourierTile) -> None:
        self.roles, self.tile, self.itemsize = roles, tile, roles.problem.itemsize
        sizes = zip(roles.out, tile.lengths, roles.extent, strict=True)
        self.counts = triple([-(-n // (t - e + 1)) for n, t, e in sizes])
        self.pitch = triple([-(-n // c) for n, c in zip(roles.out, self.counts, strict=True)])
        self.tiles = roles.problem.N * math.prod(self.counts)

    @abstractmethod
    def work(self, moved: int, budget: int, threads: int) -> Work:
        """Counts for the choice of methods; `moved` bytes of operands and result."""

    @abstractmethod
    def rank(self, budget: int) -> tuple[int, float]:
        """What keeps the budget comes first, by cost."""

    @property
    def reach(self) -> Triple:
        """Positions that the tiles cover along each axis."""
        return triple((n - 1) * v + t for n, v, t in zip(self.counts, self.pitch, self.tile.lengths, strict=True))

    def bytes(self, members: int) -> int:
        """Most extra memory on `members` threads."""
        return self.held + members * self.each

    def members(self, team: int, budget: int) -> int:
        """How many of `team` threads may work at once within the budget; one always may."""
        return max(1, min(team, (budget - self.held) // self.each))


def lengths_for(out: int, extent: int, unit: int, ratios: tuple[float, ...]) -> list[int]:
    """Tile lengths worth a look: even splits of the axis, from just above the filter's extent to the whole axis."""
    lengths = {fast_length(out + extent - 1, unit)}
    for ratio in ratios:
        pitch = max(4, round(ratio * extent) - extent + 1)
        if pitch < out:
            lengths.add(fast_length(-(-out // -(-out // pitch)) + extent - 1, unit))
    return sorted(lengths)


@lru_cache(maxsize=1024)
def fast_length(n: int, unit: int) -> int:
    """The least multiple of `unit`, a power of two, from n on that can be transformed."""
    many = -(-n // unit)
    best = 1 << (many - 1).bit_length()
    fives = 1
    while fives < best:  # every product of fives and threes below, times the power of two that brings it to `many`
        odd = fives
        while odd < best:
            best = min(best, odd << (-(-many // odd) - 1).bit_length())
            odd *= 3
        fives *= 5
    return best * unit
