"""How method "fft" cuts a problem: tiles, channels taken at once, from a model of cost and memory.

Memory (the bound that `Plan.bytes` states): the spectra of the filters of one chunk of channels, and what each thread
keeps of the tiles it works on. Tile size and chunk are chosen so that this stays below the byte budget; where even one
tile and one channel do not fit, the smallest tiles are taken one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from ...simd.host import host
from .phases import phases
from .transform import is_smooth

Triple = tuple[int, int, int]

# Nanoseconds of one Zen 4 core for float32; only their ratios matter.
LEVEL = 0.055  # one point (complex) of a tile, one level of a transform (log2 of its points)
TURN = 0.5  # one point from rows to lanes and back
MOVE = 0.5  # one point gathered and scattered
ROW = 50.0  # one row of a tile gathered or scattered
MULTIPLY = 0.25  # one point times one of a filter's
SPILL = 0.6  # one point moved once through a tile that does not stay in a core's cache
FILTER = 1.5  # one point of a filter put in place, on top of its transform

CACHE_BYTES = 768 << 10
RATIOS = (1.2, 1.35, 1.6, 2, 2.5, 3.2, 4, 5.5, 8, 12, 20, 40, 100)  # tile lengths tried, relative to the extent
WORKERS = 4  # threads that plans are made for, whatever their number turns out to be
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
        return _triple(t if m else 1 for t, m in zip(self.shape, self.mixed, strict=True))

    @property
    def levels(self) -> float:
        """Levels of the transform, log2 of its points."""
        return math.log2(max(2, math.prod(self.transformed)))


@dataclass(frozen=True)
class Plan:
    """Tiles that overlap by extent - 1, and the chunks of channels; nothing here depends on the number of threads.

    `held` bytes are kept while a chunk is computed, `each` by every thread. Weight gradients are summed in `parts`.
    """

    size: Size
    tile: Tile
    pitch: Triple
    counts: Triple
    groups: int
    sources: int
    targets: int
    parts: int
    held: int
    each: int
    cost: float

    @property
    def tiles(self) -> int:
        """Tiles of all images."""
        return self.size.images * math.prod(self.counts)

    @property
    def pairs(self) -> int:
        """Tiles travel in pairs, as real and imaginary parts."""
        return -(-self.tiles // 2)

    @property
    def reach(self) -> Triple:
        """Positions that the tiles cover along each axis."""
        return _triple((n - 1) * v + t for n, v, t in zip(self.counts, self.pitch, self.tile.lengths, strict=True))

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


def size_of(
    op: str,
    images: int,
    sources: int,
    targets: int,
    size: Triple,
    out: Triple,
    kernel: Triple,
    *,
    stride: Triple,
    dilation: Triple,
    groups: int,
    itemsize: int,
) -> Size:
    """What the plan of an operation ("conv", "conv_input_grad", ...) depends on.

    `sources` and `targets` are the channels of x and of y, `size` and `out` the sizes of x and of y.
    """
    parts = phases(kernel, stride, dilation)
    inner, outer = sources // groups, targets // groups
    if op == "conv_input_grad":
        points = _triple(-(-n // s) for n, s in zip(size, stride, strict=True))
        return Size(images, points, parts.extent, groups, outer, inner, 1, parts.count, itemsize)
    return Size(images, out, parts.extent, groups, inner, outer, parts.count, 1, itemsize, op == "conv_weight_grad")


def cost(*args: Any, budget: int, **options: Any) -> float:
    """Nanoseconds by the model of an operation on one core; the arguments are those of `size_of`."""
    return make_plan(size_of(*args, **options), budget).cost


@lru_cache(maxsize=256)
def make_plan(size: Size, budget: int) -> Plan:
    """The cheapest plan that keeps the budget, or the one that misses it least."""
    whole = (size.groups, size.sources, size.targets)
    least = sorted(((_plan(size, tile, *whole).cost, i, tile) for i, tile in enumerate(_tiles(size))))
    best: Plan | None = None
    for bound, _, tile in least:
        if best is not None and best.bytes(1) <= budget and best.cost <= bound:
            break  # cutting channels only adds to the cost
        found = min(_plans(size, budget, tile), key=lambda plan: _rank(plan, budget))
        if best is None or _rank(found, budget) < _rank(best, budget):
            best = found
    assert best is not None
    return best


def _rank(plan: Plan, budget: int) -> tuple[int, float]:
    """Plans that keep the budget come first, by cost: that of threads that find no room to work included."""
    able = plan.members(WORKERS, budget)
    return max(plan.bytes(1), budget), plan.cost * min(WORKERS, plan.pairs) / min(able, plan.pairs)


def _tiles(size: Size) -> Iterator[Tile]:
    """Tiles worth a look."""
    lanes = host().lanes(size.itemsize)
    mixed = size.extent[0] > 1, size.extent[1] > 1, size.extent[2] > 1
    ratios = RATIOS[:: 2 if mixed[0] else 1]
    whole = [_rounded(min(size.out[2], 128), lanes)]
    last = _lengths(size.out[2], size.extent[2], lanes, ratios) if mixed[2] else whole
    middle = _lengths(size.out[1], size.extent[1], lanes, ratios) if mixed[1] else [lanes]
    first = _lengths(size.out[0], size.extent[0], 1, ratios) if mixed[0] else [1]
    for shape in product(first, middle, last):
        yield Tile(shape, mixed)
    if mixed == (False, False, True):
        for length in _lengths(size.out[2], size.extent[2], lanes * lanes, RATIOS):
            row = _fast(math.isqrt(length - 1) + 1, lanes)
            yield Tile((1, _fast(-(-length // row), lanes), row), (False, True, True), folded=True)


def _lengths(out: int, extent: int, unit: int, ratios: tuple[float, ...]) -> list[int]:
    """Tile lengths worth a look: even splits of the axis, from just above the filter's extent to the whole axis."""
    lengths = {_fast(out + extent - 1, unit)}
    for ratio in ratios:
        pitch = max(4, round(ratio * extent) - extent + 1)
        if pitch < out:
            lengths.add(_fast(-(-out // -(-out // pitch)) + extent - 1, unit))
    return sorted(lengths)


def _rounded(n: int, unit: int) -> int:
    return -(-n // unit) * unit


@lru_cache(maxsize=1024)
def _fast(n: int, unit: int) -> int:
    """The least multiple of `unit`, a power of two, from n on that can be transformed."""
    many = -(-n // unit)
    while not is_smooth(many):
        many += 1
    return many * unit


def _plans(size: Size, budget: int, tile: Tile) -> Iterator[Plan]:
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


def _plan(size: Size, tile: Tile, groups: int, sources: int, targets: int) -> Plan:
    counts = _triple(-(-n // (t - e + 1)) for n, t, e in zip(size.out, tile.lengths, size.extent, strict=True))
    pitch = _triple(-(-n // c) for n, c in zip(size.out, counts, strict=True))
    inner, outer = sources * size.source_phases, targets * size.target_phases
    pairs = -(-size.images * math.prod(counts) // 2)
    parts = min(PARTS, pairs) if size.gradient else 1
    held = size.itemsize * 2 * tile.points * groups * inner * outer * parts
    each = size.itemsize * scratch_size(tile, size.itemsize, inner, outer, size.gradient)
    spent = _cost(size, tile, pairs, groups, sources, targets)
    return Plan(size, tile, pitch, counts, groups, sources, targets, parts, held, each, spent)


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
    spills = 2 * SPILL if 2 * tile.points * size.itemsize > CACHE_BYTES else 0.0
    lanes_ratio = 64 / host().vector_bytes  # narrower vectors take as much longer
    point = (LEVEL * tile.levels + TURN / 2) * lanes_ratio + MOVE / 2 + spills
    idle = WORKERS * -(-pairs * size.groups // WORKERS) / (pairs * size.groups) if pairs else 1.0
    total = (
        signals * (point * tile.points + 2 * tile.shape[0] * tile.shape[1] * ROW)
        + products * tile.points * MULTIPLY * lanes_ratio
        + filters * (point + FILTER) * tile.points
    )
    return total * idle * size.itemsize / 4


def _triple(values: Iterable[int]) -> Triple:
    a, b, c = values
    return a, b, c
