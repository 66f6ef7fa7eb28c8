"""How method "fft" cuts a problem into tiles of blocks of channels (see `channels`), from a model of cost and memory.

Memory (the bound that `Cut.bytes` states): the spectra of a batch of tiles of the source and of the target, those of
the filters of one chunk of target channels, and the tile that each thread works on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from ...simd.host import host, tile_rows
from .channels import padded, pitches
from .tiling import RATIOS, WORKERS, Cut, Size, Tile, Triple, lengths_for, triple

# Nanoseconds of one Zen 4 core with vectors of 64 bytes; only their ratios matter.
LEVEL = 1.1  # one point (two vectors) of a tile, one level of a transform
MOVE = 9.0  # one point of a pair of blocks gathered or scattered, and its spectrum kept or read
FLOP = 0.0135  # one operation of the micro-kernel
SPREAD = 5.0  # one point of a filter read for one batch of tiles
FILTER = 15.0  # one point of a filter put in place and its spectrum kept
AWAY = 2.0  # more of `MOVE` where a batch does not stay in the last-level cache
REGION = 20_000.0  # entering a parallel region

CACHE_BYTES = 8 << 20  # spectra of a batch that stay in the last-level cache
UNIT = 4


@dataclass(frozen=True)
class ChannelsPlan(Cut):
    """Tiles of blocks of channels, see `channels`: `batch` tiles and `targets` channels of a group at a time."""

    batch: int
    targets: int
    prepared: bool

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks of channels of the source, and of the target of one chunk."""
        return _blocks(self.size, self.targets)

    @property
    def frequencies(self) -> int:
        """Frequencies that are kept."""
        return _half_count(self.tile.shape)

    @property
    def lanes(self) -> int:
        """Channels of a block."""
        return host().lanes(self.size.itemsize)

    def target_blocks(self, targets: int) -> int:
        """Blocks of `targets` channels of the target."""
        return _blocks(self.size, targets)[1]

    def rank(self, budget: int) -> tuple[int, float]:
        """Plans that keep the budget come first, by cost."""
        return max(self.bytes(1), budget), self.cost

    def batches(self) -> Iterator[tuple[int, int]]:
        """First tile and number of tiles of each batch."""
        for first in range(0, self.tiles, self.batch):
            yield first, min(self.batch, self.tiles - first)

    def chunks(self) -> Iterator[tuple[int, int]]:
        """First target channel and number of target channels of each chunk."""
        for first in range(0, self.size.targets, self.targets):
            yield first, min(self.targets, self.size.targets - first)


def plan_channels(size: Size, budget: int, prepared: bool) -> ChannelsPlan | None:
    """The cheapest plan that keeps the budget, if there is one; `prepared` spectra of filters cost nothing."""
    tiles = [(_least_cost(size, tile, prepared), tile.shape, tile) for tile in _tiles(size)]
    best: ChannelsPlan | None = None
    for bound, _, tile in sorted(tiles, key=lambda item: item[:2]):
        if best is not None and best.cost <= bound:
            break  # cutting batches or channels only adds to the cost
        for plan in _plans(size, budget, tile, prepared):
            if best is None or plan.cost < best.cost:
                best = plan
    return best


def _least_cost(size: Size, tile: Tile, prepared: bool) -> float:
    """The cost of a tile if memory did not matter."""
    tiles = size.images * math.prod(Cut.spread(size, tile)[0])
    return _cost(size, tile, tiles, max(1, tiles), size.targets, prepared, MOVE)


def _tiles(size: Size) -> Iterator[Tile]:
    mixed = size.extent[0] > 1, size.extent[1] > 1, size.extent[2] > 1
    ratios = RATIOS[:: 2 if mixed[0] else 1]
    lengths = [lengths_for(n, e, UNIT, ratios) if e > 1 else [1] for n, e in zip(size.out, size.extent, strict=True)]
    for shape in product(*lengths):
        yield Tile(triple(shape), mixed)


def _plans(size: Size, budget: int, tile: Tile, prepared: bool) -> Iterator[ChannelsPlan]:
    lanes = host().lanes(size.itemsize)
    counts, _ = Cut.spread(size, tile)
    tiles = size.images * math.prod(counts)
    targets = size.targets
    while True:
        held, per_tile = _bytes(size, tile, targets, prepared)
        each = size.itemsize * tile.shape[0] * pitches(tile.shape, size.itemsize)[0]
        for most in (CACHE_BYTES, budget):
            room = min(budget - held - WORKERS * each, max(most, per_tile)) // per_tile
            if room > 0 and tiles > 0:
                batches = -(-tiles // min(tiles, room))
                yield _plan(size, tile, -(-tiles // batches), targets, prepared)
        if targets <= lanes or prepared:
            return
        targets = -(-targets // 2 // lanes) * lanes


def _bytes(size: Size, tile: Tile, targets: int, prepared: bool) -> tuple[int, int]:
    """Bytes of the filters' spectra of a chunk, and of the spectra of one tile of source and target."""
    lanes, frequencies = host().lanes(size.itemsize), _half_count(tile.shape)
    inner, outer = _blocks(size, targets)
    filters = 0 if prepared else 2 * lanes * frequencies * size.inner * outer
    each = sum(padded(frequencies, 1, blocks, lanes)[0] for blocks in (inner, outer))
    if size.gradient:
        each += 4 * lanes  # the panel of a frequency
    return size.itemsize * filters, size.itemsize * each


def _plan(size: Size, tile: Tile, batch: int, targets: int, prepared: bool) -> ChannelsPlan:
    counts, pitch = Cut.spread(size, tile)
    filters, per_tile = _bytes(size, tile, targets, prepared)
    each = size.itemsize * tile.shape[0] * pitches(tile.shape, size.itemsize)[0]
    move = MOVE + AWAY * (batch * per_tile > CACHE_BYTES)
    spent = _cost(size, tile, size.images * math.prod(counts), batch, targets, prepared, move)
    return ChannelsPlan(size, tile, pitch, counts, filters + batch * per_tile, each, spent, batch, targets, prepared)


def _cost(size: Size, tile: Tile, tiles: int, batch: int, targets: int, prepared: bool, move: float) -> float:
    """Nanoseconds by the model on one core."""
    lanes, frequencies = host().lanes(size.itemsize), _half_count(tile.shape)
    inner, outer = _blocks(size, targets)
    chunks, batches = -(-size.targets // targets), -(-tiles // batch)
    rows = batch if size.gradient else 0.35 * (-(-batch // tile_rows()) * tile_rows()) + 0.65 * batch
    again = chunks if size.gradient else 1
    signals = -(-batch * inner // 2) * batches * again + -(-batch * outer // 2) * batches * chunks
    made = 0 if prepared else size.inner * -(-outer // 2) * chunks * (1 if size.gradient or chunks == 1 else batches)
    levels = tile.levels * LEVEL
    width = host().vector_bytes / 64
    total = (
        signals * tile.points * (levels + move)
        + made * tile.points * (levels + FILTER)
        + frequencies * chunks * batches * (
            8 * rows * size.inner * outer * lanes * FLOP / width + size.inner * outer * SPREAD
        )
        + batches * (again + 2 * chunks) * REGION
    )  # fmt: skip
    return size.groups * total


def _blocks(size: Size, targets: int) -> tuple[int, int]:
    """Blocks of channels of the source, and of `targets` channels of the target."""
    lanes = host().lanes(size.itemsize)
    return size.source_phases * -(-size.sources // lanes), size.target_phases * -(-targets // lanes)


def _half_count(shape: Triple) -> int:
    """Frequencies that are not the negative of another."""
    own = math.prod(2 if n % 2 == 0 else 1 for n in shape)
    return (math.prod(shape) + own) // 2
