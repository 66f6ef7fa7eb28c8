"""Problems, tiles and tile lengths, for method "fft": what all plans have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

Triple = tuple[int, int, int]

RATIOS = (1.2, 1.35, 1.6, 2, 2.5, 3.2, 4, 5.5, 8, 12, 20, 40, 100)  # tile lengths tried, relative to the extent
WORKERS = 4  # threads that plans are made for, whatever their number turns out to be


@dataclass(frozen=True)
class Size:
    """What the plan depends on; `phases` are those of source and target, channels are per group.

    `gradient` says that both source and target are transformed and the filters are the result.
    """

    images: int
    out: Triple
    extent: Triple
    groups: int
    sources: int
    targets: int
    source_phases: int
    target_phases: int
    itemsize: int
    gradient: bool = False

    @property
    def inner(self) -> int:
        """Channels that are summed over."""
        return self.sources * self.source_phases

    @property
    def outer(self) -> int:
        """Channels of the result."""
        return self.targets * self.target_phases


@dataclass(frozen=True)
class Tile:
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


@dataclass(frozen=True)
class Cut:
    """Tiles that overlap by extent - 1; nothing here depends on the number of threads.

    `held` bytes are kept while a chunk of channels is computed, `each` by every thread.
    """

    size: Size
    tile: Tile
    pitch: Triple
    counts: Triple
    held: int
    each: int
    cost: float

    @property
    def tiles(self) -> int:
        """Tiles of all images."""
        return self.size.images * math.prod(self.counts)

    @staticmethod
    def spread(size: Size, tile: Tile) -> tuple[Triple, Triple]:
        """How many tiles a problem takes along each axis, and how far apart they are."""
        counts = triple(-(-n // (t - e + 1)) for n, t, e in zip(size.out, tile.lengths, size.extent, strict=True))
        return counts, triple(-(-n // c) for n, c in zip(size.out, counts, strict=True))

    @property
    def reach(self) -> Triple:
        """Positions that the tiles cover along each axis."""
        return triple((n - 1) * v + t for n, v, t in zip(self.counts, self.pitch, self.tile.lengths, strict=True))

    @property
    def grid(self) -> tuple[int, ...]:
        """What kernels need to find their tiles, see `tiles`."""
        return *self.counts, *self.pitch, *self.tile.shape, int(self.tile.folded)

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


def rounded(n: int, unit: int) -> int:
    """The least multiple of `unit` from n on."""
    return -(-n // unit) * unit


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


def triple(values: Iterable[int]) -> Triple:
    """Three values as a tuple of three."""
    a, b, c = values
    return a, b, c
