"""Tiles of blocks of channels, for method "fft": which tiles a problem is cut into, and the calls of their kernels.

Memory (the bound that `Tiling.bytes` states): the spectra of a batch of tiles of the source and of the target, those of
the filters of one chunk of target channels, and the tile that each thread works on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ...memory import Pool, scratch
from ...simd.host import host, tile_rows
from ...simd.microkernel import tile_address
from ...threads import team
from ..work import Work
from . import channels_kernels as kernels
from .channels_kernels import TOGETHER, Blocks, FilterBlocks, Spectra
from .roles import Roles, triple
from .tiled import Allocate, Tiled, numbers
from .tiling import RATIOS, WORKERS, FourierTile, Tiling, lengths_for

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


class Part(NamedTuple):
    """Some neighbouring tiles or channels."""

    first: int
    number: int


class BlockTiling(Tiling):
    """Tiles of blocks of channels: `batch` tiles (None: all) and `targets` channels of a group at a time.

    What has to be done, in one group, is counted once, for the choice of tiles (`cost`) and of methods (`work`) alike.

    Attributes
    ----------
    source_blocks, blocks : int
        Blocks of a tile of the source, and of the target, of one chunk of channels.
    frequencies : int
        Frequencies that are kept: those that are not the negative of another.
    batches, chunks : int
        Of tiles, and of target channels.
    again : int
        How often the source is transformed.
    making : int
        How often a chunk of filters is transformed.
    signals, made : int
        Pairs of blocks of tiles, of source and target, and of filters that are transformed.
    products : int
        Points of filters' spectra that every batch of tiles is multiplied with.
    regions : int
        Parallel regions, without those of filters.
    """

    def __init__(self, roles: Roles, tile: FourierTile, batch: int | None, targets: int) -> None:
        super().__init__(roles, tile)
        self.batch = batch = batch or max(1, self.tiles)
        self.targets = targets
        self.lanes = lanes = host().lanes(self.itemsize)
        self.source_blocks = roles.source_cells * -(-roles.sources // lanes)
        self.blocks = self.target_blocks(targets)
        self.frequencies = (tile.points + math.prod(2 if n % 2 == 0 else 1 for n in tile.shape)) // 2
        self._count(roles.problem.prepared)

        panel = 4 * lanes if roles.gradient else 0  # of one frequency
        elements = sum(self.spectra_size(1, blocks)[0] for blocks in (self.source_blocks, self.blocks))
        self.tile_bytes = self.itemsize * (elements + panel)
        filters = 0 if roles.problem.prepared else self.frequencies * roles.inner * self.blocks
        self.filter_bytes = self.itemsize * 2 * lanes * filters
        self.held = self.filter_bytes + batch * self.tile_bytes
        self.each = self.itemsize * tile.shape[0] * tile.shape[1] * (tile.shape[2] + 1) * 2 * lanes
        self.cost = self.cost_at(MOVE + AWAY * (batch * self.tile_bytes > CACHE_BYTES))

    def _count(self, prepared: bool) -> None:
        inner, gradient = self.roles.inner, self.roles.gradient
        self.batches, self.chunks = -(-self.tiles // self.batch), -(-self.roles.targets // self.targets)
        self.again = self.chunks if gradient else 1
        source, target = -(-self.batch * self.source_blocks // 2), -(-self.batch * self.blocks // 2)
        self.signals = self.batches * (source * self.again + target * self.chunks)
        self.making = 0 if prepared else self.chunks * (1 if gradient or self.chunks == 1 else self.batches)
        self.made = inner * -(-self.blocks // 2) * self.making
        self.products = self.frequencies * inner * self.blocks * self.chunks
        self.regions = self.batches * (self.again + 2 * self.chunks)

    def target_blocks(self, targets: int) -> int:
        """Blocks of `targets` channels of the target."""
        return self.roles.target_cells * -(-targets // self.lanes)

    def spectra_size(self, tiles: int, blocks: int) -> tuple[int, int, int]:
        """Elements of the spectra of some tiles; the distance of groups of frequencies, and of tiles in a group."""
        row = TOGETHER * blocks * 2 * self.lanes + self.lanes
        return -(-self.frequencies // TOGETHER) * tiles * row, tiles * row, row

    def cost_at(self, move: float) -> float:
        """The cost where moving a point takes `move`."""
        rows, height = float(self.batch), tile_rows()
        if not self.roles.gradient:
            rows = 0.35 * (-(-self.batch // height) * height) + 0.65 * self.batch
        levels = self.tile.levels * LEVEL
        width = host().vector_bytes / 64
        return self.roles.problem.groups * (
            self.signals * self.tile.points * (levels + move)
            + self.made * self.tile.points * (levels + FILTER)
            + self.batches * self.products * (8 * rows * self.lanes * FLOP / width + SPREAD)
            + self.regions * REGION
        )

    def work(self, moved: int, budget: int, threads: int) -> Work:
        problem, points, point = self.roles.problem, self.tile.points, 2 * self.lanes * self.itemsize
        # Blocks two by two, as many as there are; the cost takes halves for whole and all batches for as large as one.
        blocks = problem.groups * self.tiles * (self.source_blocks * self.again + self.blocks * self.chunks)
        made, products = problem.groups * self.roles.inner * self.blocks * self.making, problem.groups * self.products
        transforms = points * (blocks + made) / 2
        spectra = points * blocks + products * (self.batches + (not problem.prepared))
        return Work(
            tile=8.0 * products * self.lanes * self.tiles,
            vector=5.0 * self.tile.levels * self.lanes * transforms,
            cached=point * (8.0 * transforms + 3.0 * products * self.batches),
            memory=float(moved + point * spectra),
            regions=problem.groups * (self.regions + (0 if problem.prepared else self.chunks)),
            extra=self.bytes(self.members(threads, budget)),
        )

    def rank(self, budget: int) -> tuple[int, float]:
        return max(self.bytes(1), budget), self.cost


def spans(whole: int, part: int) -> list[Part]:
    """A row of neighbours cut into parts."""
    return [Part(first, min(part, whole - first)) for first in range(0, whole, part)]


def tile_channels(roles: Roles, budget: int) -> BlockTiling | None:
    """The cheapest tiles that keep the budget, if there are any."""
    whole = [BlockTiling(roles, tile, None, roles.targets) for tile in _tiles(roles)]
    bounds = [(tiling.cost_at(MOVE), tiling.tile.shape, tiling) for tiling in whole]
    best: BlockTiling | None = None
    for bound, _, tiling in sorted(bounds, key=lambda item: item[:2]):
        if best is not None and best.cost <= bound:
            break  # cutting batches or channels only adds to the cost
        for cut in _cuts(tiling, budget):
            if best is None or cut.cost < best.cost:
                best = cut
    return best


def _tiles(roles: Roles) -> Iterator[FourierTile]:
    extent = roles.extent
    mixed = extent[0] > 1, extent[1] > 1, extent[2] > 1
    ratios = RATIOS[:: 2 if mixed[0] else 1]
    lengths = [lengths_for(n, e, UNIT, ratios) if e > 1 else [1] for n, e in zip(roles.out, extent, strict=True)]
    for shape in product(*lengths):
        yield FourierTile(triple(shape), mixed)


def _cuts(whole: BlockTiling, budget: int) -> Iterator[BlockTiling]:
    """Batches of tiles, and chunks of target channels, that keep the budget."""
    roles, tile, tiles, targets = whole.roles, whole.tile, whole.tiles, whole.targets
    while tiles > 0:
        for most in (CACHE_BYTES, budget):
            room = min(budget - whole.filter_bytes - WORKERS * whole.each, max(most, whole.tile_bytes))
            if room >= whole.tile_bytes:
                batches = -(-tiles // min(tiles, room // whole.tile_bytes))
                yield BlockTiling(roles, tile, -(-tiles // batches), targets)
        if targets <= whole.lanes or roles.problem.prepared:
            return
        targets = -(-targets // 2 // whole.lanes) * whole.lanes
        whole = BlockTiling(roles, tile, None, targets)


class TiledChannels(Tiled):
    """The calls of the kernels for one operation.

    Nothing but its result outlives a method that does one batch or chunk: the bound on memory counts on it.
    """

    def __init__(self, tiling: BlockTiling, budget: int) -> None:
        super().__init__(tiling, budget, kernels.room_of(tiling.tile.shape, tiling.itemsize))
        self.tiling = tiling
        self.tasks = -(-tiling.frequencies // TOGETHER)  # of a product
        self.multiply = tile_address(tiling.itemsize)
        # Spectra of tiles and of filters are told apart without their factor of one half.
        self.scale = self.dtype.type(0.25 / tiling.tile.points)
        self.batches = spans(tiling.tiles, tiling.batch)
        self.chunks = spans(self.roles.targets, tiling.targets)

    def filter_spectra(self, w: np.ndarray) -> list[np.ndarray]:
        """The spectra of all filters: for each group, chunk by chunk."""
        groups = range(self.roles.problem.groups)
        return [self._chunk_spectra(w, g, chunk, Pool().empty) for g in groups for chunk in self.chunks]

    def convolve(
        self, x: np.ndarray, w: np.ndarray, prepared: list[np.ndarray] | None, b: np.ndarray | None, y: np.ndarray
    ) -> None:
        """Write the convolution of x with w, whose spectra may be `prepared`, plus b, to y."""
        number = len(self.chunks)
        for group in range(self.roles.problem.groups):
            ready = prepared[group * number : (group + 1) * number] if prepared is not None else None
            if prepared is None and number == 1:
                ready = [self._chunk_spectra(w, group, self.chunks[0], scratch)]
            for batch in self.batches:
                self._convolve_batch(x, w, ready, b, y, group, batch)

    def _convolve_batch(
        self, x: np.ndarray, w: np.ndarray, ready: list[np.ndarray] | None, b: np.ndarray | None, y: np.ndarray,
        group: int, batch: Part,
    ) -> None:  # fmt: skip
        z, spectra = self._spectra(x, self.source, batch, self._sources(group))
        for i, chunk in enumerate(self.chunks):
            h = self._chunk_spectra(w, group, chunk, scratch) if ready is None else ready[i]
            self._finish(z, spectra, h, batch, self._targets(group, chunk), b, y)
            del h

    def _finish(
        self, z: np.ndarray, spectra: np.ndarray, h: np.ndarray, batch: Part, of: Blocks, b: np.ndarray | None,
        y: np.ndarray,
    ) -> None:  # fmt: skip
        """Multiply the spectra of a batch with those of a chunk of filters, and transform the products back to y."""
        out, products = self._room_for(batch, of)
        kernels.multiply_channels(self._multipliers(batch, of), self.tasks, z, spectra, h, out, products, self.multiply)
        b = np.empty(0, self.dtype) if b is None else b
        share, tiles = self._transforms(-(-batch.number * of.blocks // 2))
        kernels.tile_results(*share, out, products, y.reshape(-1), self.target, self.grid, b, *tiles)

    def correlate(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
        """Write the weight gradient to dw: batches of tiles are summed one after the other."""
        for group in range(self.roles.problem.groups):
            for chunk in self.chunks:
                self._correlate_chunk(x, dy, dw, group, chunk)

    def _correlate_chunk(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, group: int, chunk: Part) -> None:
        filters = self._filters(group, chunk)
        d = scratch((self._filter_size(filters),), self.dtype)
        for batch in self.batches:
            self._add_batch(x, dy, d, batch, self._sources(group), self._targets(group, chunk))
        share, tiles = self._transforms(filters.inner * -(-filters.to.blocks // 2))
        kernels.read_filters(*share, d, dw.reshape(-1), self.taps, numbers(filters), self.scale, *tiles)

    def _add_batch(
        self, x: np.ndarray, dy: np.ndarray, d: np.ndarray, batch: Part, sources: Blocks, targets: Blocks
    ) -> None:
        """Add a batch's products to the spectra d of a chunk of filters' gradients."""
        z, spectra = self._spectra(x, self.source, batch, sources)
        v, others = self._spectra(dy, self.target, batch, targets)
        kernels.multiply_tiles(self._multipliers(batch, targets), self.tasks, z, spectra, v, others, d, self.multiply)

    def _chunk_spectra(self, w: np.ndarray, group: int, chunk: Part, allocate: Allocate) -> np.ndarray:
        filters = self._filters(group, chunk)
        h = allocate((self._filter_size(filters),), self.dtype)
        share, tiles = self._transforms(filters.inner * -(-filters.to.blocks // 2))
        kernels.filter_spectra(*share, w.reshape(-1), self.taps, h, numbers(filters), self.scale, *tiles)
        return h

    def _spectra(
        self, x: np.ndarray, side: tuple[np.ndarray, ...], batch: Part, of: Blocks
    ) -> tuple[np.ndarray, np.ndarray]:
        """The spectra of a batch of tiles, and the packed record of where they are."""
        z, spectra = self._room_for(batch, of)
        share, tiles = self._transforms(-(-batch.number * of.blocks // 2))
        kernels.tile_spectra(*share, x.reshape(-1), side, self.grid, z, spectra, *tiles)
        return z, spectra

    def _room_for(self, batch: Part, of: Blocks) -> tuple[np.ndarray, np.ndarray]:
        size, group, row = self.tiling.spectra_size(batch.number, of.blocks)
        return scratch((size,), self.dtype), numbers(Spectra(batch.first, batch.number, of, group, row))

    def _transforms(self, tasks: int) -> tuple[tuple[int, int], tuple[Any, ...]]:
        """Threads and `tasks`, which are transforms; how tiles lie and are transformed, and scratch for each thread."""
        itemsize = self.dtype.itemsize
        members = self.tiling.members(team(tasks, 40 * tasks * self.tile.points), self.budget)
        half = kernels.half_spectrum(self.tile.shape, itemsize)
        buffers = scratch((members * (self.tiling.each // itemsize),), self.dtype)
        return (members, tasks), (half, self.room, self.lines, buffers, self.fft)

    def _multipliers(self, batch: Part, of: Blocks) -> int:
        """Threads for the products of a batch with a chunk of filters."""
        work = 8 * batch.number * self.roles.inner * of.blocks * self.tiling.lanes * self.tiling.frequencies
        return team(self.tasks, work)

    def _filter_size(self, filters: FilterBlocks) -> int:
        return self.tiling.frequencies * filters.inner * filters.to.blocks * 2 * self.tiling.lanes

    def _filters(self, group: int, chunk: Part) -> FilterBlocks:
        to = self._targets(0, chunk)
        rows = min(self.tile.shape[1], self.roles.extent[1])
        return FilterBlocks(group, self.roles.inner, self.roles.sources, to, rows)

    def _sources(self, group: int) -> Blocks:
        roles = self.roles
        return Blocks(self.tiling.source_blocks, roles.source_cells, roles.sources, group * roles.sources)

    def _targets(self, group: int, chunk: Part) -> Blocks:
        roles, blocks = self.roles, self.tiling.target_blocks(chunk.number)
        return Blocks(blocks, roles.target_cells, chunk.number, group * roles.targets + chunk.first)
