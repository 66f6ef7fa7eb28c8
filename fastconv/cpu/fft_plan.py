"""How method "fft" cuts a problem: tile size, channels and tiles at once, from a model of cost and memory.

Memory (the bound that `Plan.bytes` states): while the spectra of a chunk of filters are made they are held twice;
afterwards once (a weight gradient: `parts` times), beside the largest pair of neighbouring stages of the batches of
tiles in work: real tiles and their spectra, spectra of input and output, or spectra and real output. Tile size, chunk
and batch are chosen so that this stays below the byte budget; where even one tile and one channel do not fit, the
smallest tiles are taken one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from .fft_phases import phases

Triple = tuple[int, int, int]

# Nanoseconds of one Zen 4 core, fitted to 280 measured plans; only their ratios matter.
POINT_LEVEL = 0.055  # one real point of a signal, one level of a transform (log2 of the tile's points)
LONG_LEVEL = 0.08  # the same on top where a line of LONG points and more leaves the cache
ALONE_LEVEL = 0.1  # the same where there are too few lines for all lanes
POINT_MOVE = 1.5  # one real point of a signal gathered or scattered
ROW = 70.0  # one row of a tile gathered or scattered
FILTER_LEVEL = 0.2  # one real point of a filter, one level
FILTER_MOVE = 0.3  # one real point of a filter put in place
MULTIPLY = 0.16  # one complex multiply-add in a matrix product
SPREAD = 1.8  # one frequency of one filter read for one batch of tiles
BATCH = 160_000.0  # one batch of tiles

LONG = 1 << 16
RATIOS = (1.35, 1.7, 2.2, 3, 4, 5.5, 8, 12, 20, 40, 100)  # tile lengths tried, relative to the filter's extent
ROWS = 28  # tiles that make good use of a filter's spectrum once it is read
CACHE_BYTES = 2 << 20  # batches of about this size keep their stages in one core's cache
LEAST_BYTES = 1 << 19  # smaller ones cost more than they gain
BATCHES = 8  # this many are enough to keep the threads busy
MOST_ABREAST = 64  # batches
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


@dataclass(frozen=True)
class Plan:
    """Tiles of size `tile` that overlap by extent - 1, `batch` of them at a time, and the chunks of channels.

    Up to `abreast` batches fit beside each other. Weight gradients are summed in `parts` runs of batches. Nothing here
    depends on the number of threads.
    """

    size: Size
    tile: Triple
    pitch: Triple
    counts: Triple
    groups: int
    sources: int
    targets: int
    batch: int
    abreast: int
    parts: int
    bytes: int
    cost: float

    @property
    def tiles(self) -> int:
        """Tiles of all images."""
        return self.size.images * math.prod(self.counts)

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


def real_axis(tile: Triple) -> int:
    """The axis along which real tiles are transformed, first of all: the last one that is longer than 1."""
    return max((a for a in range(3) if tile[a] > 1), default=2)


def spectrum_shape(tile: Triple) -> Triple:
    """Frequencies along each axis: half of them along the real one."""
    half = real_axis(tile)
    return _triple(n // 2 + 1 if a == half else n for a, n in enumerate(tile))


def cost(
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
    budget: int,
) -> float:
    """Nanoseconds by the model of an operation ("conv", "conv_input_grad", ...) on one core.

    `sources` and `targets` are the channels of x and of y, `size` and `out` the sizes of x and of y.
    """
    parts = phases(kernel, stride, dilation)
    inner, outer = sources // groups, targets // groups
    if op == "conv_input_grad":
        points = _triple(-(-n // s) for n, s in zip(size, stride, strict=True))
        problem = Size(images, points, parts.extent, groups, outer, inner, 1, parts.count, itemsize)
    else:
        gradient = op == "conv_weight_grad"
        problem = Size(images, out, parts.extent, groups, inner, outer, parts.count, 1, itemsize, gradient)
    return make_plan(problem, budget).cost


@lru_cache(maxsize=256)
def make_plan(size: Size, budget: int) -> Plan:
    """The cheapest plan that keeps the budget, or the one that misses it least."""
    ratios = RATIOS[:: 2 if min(size.out) > 1 else 1]
    depths, heights, widths = (_lengths(size.out[a], size.extent[a], a == 2, ratios) for a in range(3))
    tiles = product(depths, heights, widths)
    whole = (size.groups, size.sources, size.targets)
    least = sorted((_cost(size, tile, _counts(size, tile), 1 << 40, *whole), tile) for tile in tiles)
    best: Plan | None = None
    for bound, tile in least:
        if best is not None and best.bytes <= budget and best.cost <= bound:
            break  # cutting channels or batches only adds to the cost
        found = min(_plans(size, budget, tile), key=lambda plan: (max(plan.bytes, budget), plan.cost))
        if best is None or (max(found.bytes, budget), found.cost) < (max(best.bytes, budget), best.cost):
            best = found
    assert best is not None
    return best


def _lengths(out: int, extent: int, last: bool, ratios: tuple[float, ...]) -> list[int]:
    """Tile lengths worth a look: even splits of the axis, from just above the filter's extent to the whole axis."""
    if extent == 1 and (out == 1 or not last):
        return [1]  # nothing is mixed along this axis: no transform
    lengths = {_fast(out + extent - 1)}
    if extent == 1:
        lengths.add(1)
    for ratio in ratios:
        pitch = max(4, round(ratio * extent) - extent + 1)
        if pitch < out:
            lengths.add(_fast(-(-out // -(-out // pitch)) + extent - 1))
    return sorted(lengths)


def _fast(n: int) -> int:
    """A length that transforms fast: no prime factor above 5, and even unless it is tiny."""
    if n < 4:
        return n
    best = 1 << (n - 1).bit_length()
    for fives in (5**i for i in range(30)):
        if fives >= best:
            return best
        odd = fives
        while odd < best:
            best = min(best, max(2, 1 << (-(-n // odd) - 1).bit_length()) * odd)
            odd *= 3
    return best


def _plans(size: Size, budget: int, tile: Triple) -> Iterator[Plan]:
    """Plans with this tile: all channels at once if they fit, else fewer groups, or fewer channels of one group."""
    whole = (size.groups, size.sources, size.targets)
    plan = _plan(size, budget, tile, *whole)
    yield plan
    groups = size.groups
    while plan.bytes > budget and groups > 1:
        groups = -(-groups // 2)
        plan = _plan(size, budget, tile, groups, *whole[1:])
        yield plan
    if plan.bytes <= budget and plan.batch >= min(plan.tiles, ROWS):
        return
    sources = size.sources
    while True:
        targets = size.targets
        while True:
            plan = _plan(size, budget, tile, 1, sources, targets)
            yield plan
            if targets == 1 or (plan.bytes <= budget and plan.batch >= min(plan.tiles, ROWS)):
                break
            targets = -(-targets // 2)
        if sources == 1:
            return
        sources = -(-sources // 2)


def _counts(size: Size, tile: Triple) -> Triple:
    """Tiles along each axis."""
    return _triple(-(-n // (t - e + 1)) for n, t, e in zip(size.out, tile, size.extent, strict=True))


def _plan(size: Size, budget: int, tile: Triple, groups: int, sources: int, targets: int) -> Plan:
    counts = _counts(size, tile)
    pitch = _triple(-(-n // c) for n, c in zip(size.out, counts, strict=True))
    tiles = size.images * math.prod(counts)
    making, held, each = _bytes(size, tile, pitch, groups, sources, targets)
    lines = groups * max(sources * size.source_phases, targets * size.target_phases) * math.prod(tile) // max(tile)
    batch = _batch(tiles, (budget - held) // each, each, ROWS if sources * targets > 1 else 1, _lanes(size) // lines)
    batches = -(-tiles // batch)
    parts = min(PARTS, batches) if size.gradient and PARTS * held <= budget // 2 else 1
    held *= parts
    abreast = max(1, min(batches, MOST_ABREAST, (budget - held) // (batch * each)))
    most = max(making, held + abreast * batch * each)
    spent = _cost(size, tile, counts, batch, groups, sources, targets)
    return Plan(size, tile, pitch, counts, groups, sources, targets, batch, abreast, parts, most, spent)


def _batch(tiles: int, room: int, each: int, least: int, lanes: int) -> int:
    """Tiles to take at a time: what the cache holds, but at least `least`, and a multiple of `lanes`."""
    batch = min(CACHE_BYTES // each, max(-(-tiles // BATCHES), LEAST_BYTES // each))
    batch = max(1, min(tiles, room, max(batch, least)))
    batch = -(-tiles // -(-tiles // batch)) if tiles else 1
    return max(1, min(tiles, room, -(-batch // lanes) * lanes)) if lanes > 1 else batch


def _lanes(size: Size) -> int:
    """Lines that scipy.fft transforms side by side; what is left over takes each as long as these together."""
    return 16 // size.itemsize


def _bytes(size: Size, tile: Triple, pitch: Triple, groups: int, sources: int, targets: int) -> tuple[int, int, int]:
    """Bytes while the spectra of a chunk's filters are made, of those spectra, and of one tile at its largest."""
    inner, outer = sources * size.source_phases, targets * size.target_phases
    points, half = math.prod(tile), 2 * _frequencies(tile)
    rows = size.extent[0] * size.extent[1] * tile[2]
    filters = size.itemsize * groups * inner * outer
    if size.gradient:
        each = half * inner + (points + half) * outer
    else:
        kept = math.prod(v if a < real_axis(tile) else t for a, (v, t) in enumerate(zip(pitch, tile, strict=True)))
        each = half * outer + max(half * inner, kept * outer)
        if inner == outer == 1:  # the product takes the place of its factor
            each = half + kept
    each = max(each, (points + half) * inner)
    return filters * (half + 2 * rows + 2 * (rows // tile[2])), filters * half, size.itemsize * groups * each


def _frequencies(tile: Triple) -> int:
    return math.prod(spectrum_shape(tile))


def _cost(size: Size, tile: Triple, counts: Triple, batch: int, groups: int, sources: int, targets: int) -> float:
    """Nanoseconds by the model: transforms, moves, products, reading the filters' spectra, and fixed costs."""
    points, tiles = math.prod(tile), size.images * math.prod(counts)
    inner, outer = size.sources * size.source_phases, size.targets * size.target_phases
    again_inner, again_outer = -(-size.targets // targets), -(-size.sources // sources)
    runs, batches = -(-size.groups // groups), -(-tiles // batch)
    levels = math.log2(max(2, points))
    long = LONG_LEVEL if max(tile) >= LONG else 0.0
    if batch * size.groups * max(inner, outer) * points < _lanes(size) * max(tile):
        long += ALONE_LEVEL
    signals = tiles * size.groups * (inner * again_inner + outer * again_outer)
    filters = size.groups * inner * outer
    return (
        signals * points * ((POINT_LEVEL + long) * levels + POINT_MOVE)
        + tiles * tile[0] * tile[1] * runs * (again_inner + again_outer) * ROW
        + filters * points * ((FILTER_LEVEL + long) * levels + FILTER_MOVE)
        + (filters * _frequencies(tile) * (tiles * MULTIPLY + batches * SPREAD) if inner * outer > 1 else 0.0)
        + batches * runs * again_inner * again_outer * BATCH
    )


def _triple(values: Iterable[int]) -> Triple:
    a, b, c = values
    return a, b, c
