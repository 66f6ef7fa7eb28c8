"""How method "fft" cuts a problem into tiles of single channels (see `planes`), from a model of cost and memory.

Memory (the bound that `Cut.bytes` states): the spectra of the filters of one chunk of channels, and what each thread
keeps of the tiles it works on. Tile size and chunk are chosen so that this stays below the byte budget; where even one
tile and one channel do not fit, the smallest tiles are taken one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from ...simd.host import host
from .tiling import RATIOS, WORKERS, Cut, Size, Tile, Triple, fast_length, lengths_for, rounded

# Nanoseconds of one Zen 4 core for float32; only their ratios matter.
LEVEL = 0.043  # one point (complex) of a line, one level of its transform (log2 of the line's points)
STRAIN = 0.15  # one point, each time that it is moved more often, see `strain`
TURN = 0.25  # one point from rows to lanes or back
MOVE = 0.6  # one point gathered or scattered
ROW = 15.0  # one row of a tile gathered or scattered
MULTIPLY = 0.25  # one point times one of a filter's
FILTER = 1.0  # one point of a filter put in place, on top of its transform
REGION = 10_000.0  # entering a parallel region

CACHE_BYTES = 896 << 10
LINE_BYTES = 24 << 10
PARTS = 8  # partial sums of a weight gradient


@dataclass(frozen=True)
class Chunk:
    """Channels computed at once: groups, and per group channels of the source and of the target."""

    group: int
    groups: int
    source: int
    sources: int
    target: int
    targets: int


@dataclass(frozen=True)
class PlanesPlan(Cut):
    """Tiles of single channels, see `planes`, and how many channels are taken at once.

    Weight gradients are summed in `parts`.
    """

    groups: int
    sources: int
    targets: int
    parts: int

    @property
    def pairs(self) -> int:
        """Tiles travel in pairs, as real and imaginary parts."""
        return -(-self.tiles // 2)

    def rank(self, budget: int) -> tuple[int, float]:
        """Plans that keep the budget come first, by cost: that of threads that find no room to work included."""
        able = self.members(WORKERS, budget)
        return max(self.bytes(1), budget), self.cost * min(WORKERS, self.pairs) / max(1, min(able, self.pairs))

    def chunks(self) -> Iterator[Chunk]:
        """All chunks; those of one target channel follow each other from source channel 0 on."""
        size = self.size
        for g, t, s in product(
            range(0, size.groups, self.groups),
            range(0, size.targets, self.targets),
            range(0, size.sources, self.sources),
        ):
            groups, targets = min(self.groups, size.groups - g), min(self.targets, size.targets - t)
            yield Chunk(g, groups, s, min(self.sources, size.sources - s), t, targets)


def plan_planes(size: Size, budget: int, limit: float = math.inf) -> PlanesPlan | None:
    """The cheapest plan that keeps the budget, or the one that misses it least; None if all cost more than `limit`."""
    whole = (size.groups, size.sources, size.targets)
    least = sorted((_plan(size, tile, *whole).cost, i, tile) for i, tile in enumerate(_tiles(size)))
    best: PlanesPlan | None = None
    for bound, _, tile in least:
        if bound >= limit or (best is not None and best.bytes(1) <= budget and best.cost <= bound):
            break  # cutting channels only adds to the cost
        found = min(_plans(size, budget, tile), key=lambda plan: plan.rank(budget))
        if best is None or found.rank(budget) < best.rank(budget):
            best = found
    return best


def _tiles(size: Size) -> Iterator[Tile]:
    """Tiles worth a look."""
    lanes = host().lanes(size.itemsize)
    mixed = size.extent[0] > 1, size.extent[1] > 1, size.extent[2] > 1
    ratios = RATIOS[:: 2 if mixed[0] else 1]
    whole = [rounded(min(size.out[2], 128), lanes)]
    last = lengths_for(size.out[2], size.extent[2], lanes, ratios) if mixed[2] else whole
    middle = lengths_for(size.out[1], size.extent[1], lanes, ratios) if mixed[1] else [lanes]
    first = lengths_for(size.out[0], size.extent[0], 1, ratios) if mixed[0] else [1]
    for shape in product(first, middle, last):
        yield Tile(shape, mixed)
    if mixed == (False, False, True):
        for length in lengths_for(size.out[2], size.extent[2], lanes * lanes, RATIOS):
            row = fast_length(math.isqrt(length - 1) + 1, lanes)
            yield Tile((1, fast_length(-(-length // row), lanes), row), (False, True, True), folded=True)


def _plans(size: Size, budget: int, tile: Tile) -> Iterator[PlanesPlan]:
    """Plans with this tile: all channels at once if they fit, else fewer groups, or fewer channels of one group."""
    plan = _plan(size, tile, size.groups, size.sources, size.targets)
    yield plan
    groups = size.groups
    while plan.bytes(1) > budget and groups > 1:
        groups = -(-groups // 2)
        plan = _plan(size, tile, groups, size.sources, size.targets)
        yield plan
    sources = size.sources
    while plan.bytes(1) > budget:
        targets = size.targets
        while True:
            plan = _plan(size, tile, 1, sources, targets)
            yield plan
            if targets == 1 or plan.bytes(1) <= budget:
                break
            targets = -(-targets // 2)
        if sources == 1:
            return
        sources = -(-sources // 2)


def _plan(size: Size, tile: Tile, groups: int, sources: int, targets: int) -> PlanesPlan:
    counts, pitch = Cut.spread(size, tile)
    inner, outer = sources * size.source_phases, targets * size.target_phases
    pairs = -(-size.images * math.prod(counts) // 2)
    parts = min(PARTS, pairs) if size.gradient else 1
    held = size.itemsize * 2 * tile.points * groups * inner * outer * parts
    each = size.itemsize * scratch_size(tile, size.itemsize, inner, outer, size.gradient)
    spent = _cost(size, tile, pairs, groups, sources, targets)
    return PlanesPlan(size, tile, pitch, counts, held, each, spent, groups, sources, targets, parts)


def plane_strides(tile: Tile, itemsize: int) -> Triple:
    """Distance of a tile's planes, of its rows, and of real and imaginary parts; never a multiple of 4 KiB."""
    lanes = host().lanes(itemsize)
    T0, T1, T2 = tile.shape
    row = T2 + lanes
    return T1 * row, row, T0 * T1 * row + lanes


def scratch_size(tile: Tile, itemsize: int, inner: int, outer: int, gradient: bool) -> int:
    """Elements that a thread keeps: a pair of tiles, a group of rows, and the spectra of all its source channels."""
    lanes = host().lanes(itemsize)
    kept = inner + 1 if gradient else inner if inner > 1 or outer > 1 else 0
    return 2 * plane_strides(tile, itemsize)[2] + 2 * lanes * tile.shape[2] + kept * 2 * tile.points


def _cost(size: Size, tile: Tile, pairs: int, groups: int, sources: int, targets: int) -> float:
    """Nanoseconds by the model on one core: transforms, moves, products, and the filters' spectra."""
    again_inner, again_outer = -(-size.targets // targets), -(-size.sources // sources)
    signals = pairs * size.groups * (size.inner * again_inner + size.outer * again_outer)
    products, filters = pairs * size.groups * size.inner * size.outer, size.groups * size.inner * size.outer
    narrow = 64 / host().vector_bytes  # narrower vectors take as much longer
    point = _transform_cost(tile, size.itemsize) * narrow + MOVE
    idle = 1 + WORKERS / 2 / max(1, pairs * size.groups)  # the last tasks leave threads without work
    total = (
        signals * (point * tile.points + 2 * tile.shape[0] * tile.shape[1] * ROW)
        + products * tile.points * MULTIPLY * narrow
        + filters * (point + FILTER) * tile.points
    )
    return total * idle * size.itemsize / 4 + 2 * again_inner * again_outer * REGION


def _transform_cost(tile: Tile, itemsize: int) -> float:
    """Nanoseconds for one point of a tile, one way."""
    return LEVEL * tile.levels + TURN + STRAIN * strain(tile, itemsize)


def strain(tile: Tile, itemsize: int) -> float:
    """How many times more each point is moved than in a small tile of short lines."""
    lines = [n for n in tile.transformed if n > 1]
    long = sum(n * 2 * host().vector_bytes > LINE_BYTES for n in lines)
    alias = sum(n % 512 == 0 for n in lines)  # the legs of butterflies lie a multiple of 4 KiB apart
    spilled = max(0.0, math.log2(4 * tile.points * itemsize / CACHE_BYTES))  # a pair of tiles, a filter's spectrum
    return 1.0 * long + 4.0 * alias + 3.0 * spilled + 3.0 * tile.folded
