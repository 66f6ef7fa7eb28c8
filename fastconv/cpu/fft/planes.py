"""Tiles of single channels, for method "fft": which tiles a problem is cut into, and the calls of their kernels.

Memory (the bound that `Tiling.bytes` states): the spectra of the filters of one chunk of channels, and what each thread
keeps of the tiles it works on. Tile size and chunk are chosen so that this stays below the byte budget; where even one
tile and one channel do not fit, the smallest tiles are taken one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...memory import Pool, scratch
from ...simd.host import host
from ...threads import team
from ..work import Work
from . import planes_kernels as kernels
from .planes_kernels import Chunk, Job
from .roles import Roles
from .tiled import Allocate, Tiled, numbers
from .tiles import ADD, WRITE, Box, Room, TileSteps
from .tiling import RATIOS, WORKERS, FourierTile, Tiling, fast_length, lengths_for

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
APART = 20  # bytes that an element costs beyond its own where elements of a channel are not neighbours


class PlaneTiling(Tiling):
    """Tiles of single channels, and how many groups and channels of a group are taken at once.

    What has to be done is counted once, for the choice of tiles (`cost`) and of methods (`work`) alike.

    Attributes
    ----------
    pairs : int
        Tiles travel in pairs, as real and imaginary parts.
    parts : int
        Partial sums of a weight gradient.
    again_inner, again_outer : int
        How often each channel of the source and of the target is transformed, once a chunk.
    filters, signals : int
        Filters and pairs of tiles, of source and target, that are transformed.
    """

    def __init__(self, roles: Roles, tile: FourierTile, groups: int, sources: int, targets: int) -> None:
        super().__init__(roles, tile)
        self.groups, self.sources, self.targets = groups, sources, targets
        self.pairs = -(-self.tiles // 2)
        self.parts = min(PARTS, self.pairs) if roles.gradient else 1
        self.again_inner, self.again_outer = -(-roles.targets // targets), -(-roles.sources // sources)
        self.filters = roles.problem.groups * roles.inner * roles.outer
        channels = roles.inner * self.again_inner + roles.outer * self.again_outer
        self.signals = self.pairs * roles.problem.groups * channels

        inner, outer = sources * roles.source_cells, targets * roles.target_cells
        self.held = self.itemsize * 2 * tile.points * groups * inner * outer * self.parts
        # A pair of tiles, a group of rows, and the spectra of all source channels.
        kept = inner + 1 if roles.gradient else inner if inner > 1 or outer > 1 else 0
        rows = 2 * host().lanes(self.itemsize) * tile.shape[2]
        self.each = self.itemsize * (2 * self.room.imaginary + rows + kept * 2 * tile.points)
        self.cost = self._cost()

    @property
    def room(self) -> Room:
        """A pair of tiles in a thread's scratch; no distance is a multiple of 4 KiB."""
        lanes = host().lanes(self.itemsize)
        T0, T1, T2 = self.tile.shape
        row = T2 + lanes
        return Room(Box(T0, T1, T2), TileSteps(T1 * row, row, 1), T0 * T1 * row + lanes, self.tile.folded)

    @property
    def strain(self) -> float:
        """How many times more each point is moved than in a small tile of short lines."""
        tile = self.tile
        lines = [n for n in tile.transformed if n > 1]
        long = sum(n * 2 * host().vector_bytes > LINE_BYTES for n in lines)
        alias = sum(n % 512 == 0 for n in lines)  # the legs of butterflies lie a multiple of 4 KiB apart
        # A pair of tiles and a filter's spectrum.
        spilled = max(0.0, math.log2(4 * tile.points * self.itemsize / CACHE_BYTES))
        return 1.0 * long + 4.0 * alias + 3.0 * spilled + 3.0 * tile.folded

    def _cost(self) -> float:
        """Transforms, moves, products, and the filters' spectra."""
        tile, points = self.tile, self.tile.points
        narrow = 64 / host().vector_bytes  # narrower vectors take as much longer
        point = (LEVEL * tile.levels + TURN + STRAIN * self.strain) * narrow + MOVE
        idle = 1 + WORKERS / 2 / max(1, self.pairs * self.roles.problem.groups)  # the last tasks leave threads idle
        total = (
            self.signals * (point * points + 2 * tile.shape[0] * tile.shape[1] * ROW)
            + self.pairs * self.filters * points * MULTIPLY * narrow
            + self.filters * (point + FILTER) * points
        )
        return total * idle * self.itemsize / 4 + 2 * self.again_inner * self.again_outer * REGION

    def work(self, moved: int, budget: int, threads: int) -> Work:
        problem, points = self.roles.problem, self.tile.points
        if problem.channels_last and max(problem.C, problem.O) > 1:
            moved += moved // problem.itemsize * APART  # a tile of one channel takes a few numbers of each cache line
        made = 0 if problem.prepared else self.filters
        products, transforms = self.pairs * self.filters, self.signals + made
        chunks = -(-problem.groups // self.groups) * self.again_inner * self.again_outer
        members = self.members(min(threads, self.pairs * self.groups), budget)
        point = 2 * self.itemsize
        return Work(
            tile=0.0,
            vector=points * (5 * self.tile.levels * transforms + 8.0 * products),
            cached=points * point * ((6 + self.strain) * transforms + 2.0 * products),
            memory=float(moved + made * points * point),
            regions=chunks * (1 if problem.prepared else 2),
            extra=self.bytes(members) - (self.held if problem.prepared else 0),
        )

    def rank(self, budget: int) -> tuple[int, float]:
        # The cost of threads that find no room to work is included.
        able = self.members(WORKERS, budget)
        return max(self.bytes(1), budget), self.cost * min(WORKERS, self.pairs) / max(1, min(able, self.pairs))

    def chunks(self) -> Iterator[Chunk]:
        """All chunks; those of one target channel follow each other from source channel 0 on."""
        groups, sources, targets = self.roles.problem.groups, self.roles.sources, self.roles.targets
        for g, t, s in product(
            range(0, groups, self.groups), range(0, targets, self.targets), range(0, sources, self.sources)
        ):
            yield Chunk(
                g, min(self.groups, groups - g), s, min(self.sources, sources - s), t, min(self.targets, targets - t)
            )


def tile_planes(roles: Roles, budget: int, limit: float = math.inf) -> PlaneTiling | None:
    """The cheapest tiles that keep the budget, or that miss it least; None if all cost more than `limit`."""
    whole = [PlaneTiling(roles, tile, roles.problem.groups, roles.sources, roles.targets) for tile in _tiles(roles)]
    best: PlaneTiling | None = None
    for bound in sorted(whole, key=lambda tiling: tiling.cost):
        if bound.cost >= limit or (best is not None and best.bytes(1) <= budget and best.cost <= bound.cost):
            break  # cutting channels only adds to the cost
        found = min(_cuts(bound, budget), key=lambda tiling: tiling.rank(budget))
        if best is None or found.rank(budget) < best.rank(budget):
            best = found
    return best


def _tiles(roles: Roles) -> Iterator[FourierTile]:
    """Tiles worth a look."""
    lanes, out, extent = host().lanes(roles.problem.itemsize), roles.out, roles.extent
    mixed = extent[0] > 1, extent[1] > 1, extent[2] > 1
    ratios = RATIOS[:: 2 if mixed[0] else 1]
    whole = [-(-min(out[2], 128) // lanes) * lanes]
    last = lengths_for(out[2], extent[2], lanes, ratios) if mixed[2] else whole
    middle = lengths_for(out[1], extent[1], lanes, ratios) if mixed[1] else [lanes]
    first = lengths_for(out[0], extent[0], 1, ratios) if mixed[0] else [1]
    for shape in product(first, middle, last):
        yield FourierTile(shape, mixed)
    if mixed == (False, False, True):
        for length in lengths_for(out[2], extent[2], lanes * lanes, RATIOS):
            row = fast_length(math.isqrt(length - 1) + 1, lanes)
            yield FourierTile((1, fast_length(-(-length // row), lanes), row), (False, True, True), folded=True)


def _cuts(whole: PlaneTiling, budget: int) -> Iterator[PlaneTiling]:
    """All channels at once if they fit, else fewer groups, or fewer channels of one group."""
    roles, tile, tiling = whole.roles, whole.tile, whole
    groups, sources = whole.groups, whole.sources
    yield tiling
    while tiling.bytes(1) > budget and groups > 1:
        groups = -(-groups // 2)
        tiling = PlaneTiling(roles, tile, groups, roles.sources, roles.targets)
        yield tiling
    while tiling.bytes(1) > budget:
        targets = roles.targets
        while True:
            tiling = PlaneTiling(roles, tile, 1, sources, targets)
            yield tiling
            if targets == 1 or tiling.bytes(1) <= budget:
                break
            targets = -(-targets // 2)
        if sources == 1:
            return
        sources = -(-sources // 2)


class TiledPlanes(Tiled):
    """The calls of the kernels for one operation.

    Nothing but its result outlives a method that does one chunk: the bound on memory counts on it.
    """

    def __init__(self, tiling: PlaneTiling, budget: int) -> None:
        super().__init__(tiling, budget, tiling.room)
        self.tiling = tiling
        self.scale = self.dtype.type(1 / math.prod(tiling.tile.transformed))

    def filter_spectra(self, w: np.ndarray) -> list[np.ndarray]:
        """The spectra of all filters, chunk by chunk."""
        return [self._chunk_spectra(w, chunk, Pool().empty) for chunk in self.tiling.chunks()]

    def convolve(
        self, x: np.ndarray, w: np.ndarray, prepared: list[np.ndarray] | None, b: np.ndarray | None, y: np.ndarray
    ) -> None:
        """Write the convolution of x with w, whose spectra may be `prepared`, plus b, to y."""
        for i, chunk in enumerate(self.tiling.chunks()):
            h = self._chunk_spectra(w, chunk, scratch) if prepared is None else prepared[i]
            tasks = self.tiling.pairs * chunk.groups
            members = self._members(tasks, tasks * self.tile.points)
            kernels.convolve(
                members, tasks, x.reshape(-1), self.source, y.reshape(-1), self.target, self.grid, h,
                np.empty(0, self.dtype) if b is None or chunk.source else b, *self._arguments(chunk, members), self.fft,
            )  # fmt: skip
            del h

    def correlate(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
        """Write the weight gradient to dw, as a fixed number of partial sums over runs of tiles."""
        for chunk in self.tiling.chunks():
            self._correlate_chunk(x, dy, dw, chunk)

    def _chunk_spectra(self, w: np.ndarray, chunk: Chunk, allocate: Allocate) -> np.ndarray:
        filters = self._filters(chunk)
        h = allocate((filters * 2 * self.tile.points,), self.dtype)
        members = self._members(filters, h.size)
        kernels.spectra(
            members, filters, w.reshape(-1), self.taps, h, *self._arguments(chunk, members), self.fft, self.scale
        )
        return h

    def _correlate_chunk(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, chunk: Chunk) -> None:
        parts, filters = self.tiling.parts, self._filters(chunk)
        totals = scratch((parts * filters * 2 * self.tile.points,), self.dtype)
        tasks = chunk.groups * parts
        members = self._members(max(tasks, filters), self.tiling.pairs * self.tile.points)
        arguments = self._arguments(chunk, members)
        kernels.correlate(
            min(members, tasks), tasks, x.reshape(-1), self.source, dy.reshape(-1), self.target, self.grid, totals,
            *arguments, self.fft,
        )  # fmt: skip
        sums = totals.reshape(parts, -1)
        for part in sums[1:]:
            sums[0] += part
        kernels.read_filters(
            min(members, filters), filters, sums[0], dw.reshape(-1), self.taps, *arguments, self.fft, self.scale
        )

    def _filters(self, chunk: Chunk) -> int:
        return chunk.groups * chunk.sources * self.roles.source_cells * chunk.targets * self.roles.target_cells

    def _members(self, tasks: int, points: int) -> int:
        return self.tiling.members(team(tasks, 20 * points), self.budget)

    def _arguments(self, chunk: Chunk, members: int) -> tuple[Any, ...]:
        """What all kernels take: how tiles lie and are transformed, what is to be done, and scratch for each thread."""
        job = self._job(chunk)
        buffers = scratch((members * job.each,), self.dtype)
        return self.room, self.lines, kernels.twist(self.tile, self.dtype.itemsize), numbers(job), buffers

    def _job(self, chunk: Chunk) -> Job:
        tiling, roles = self.tiling, self.roles
        (_, T1, T2), (_, mixed1, mixed2) = self.tile.shape, self.tile.mixed
        return Job(
            tiles=tiling.tiles,
            parts=tiling.parts,
            chunk=chunk,
            sources=roles.sources,
            targets=roles.targets,
            source_cells=roles.source_cells,
            target_cells=roles.target_cells,
            how=ADD if chunk.source else WRITE,
            repeated_rows=1 if mixed1 else T1,
            repeated_columns=1 if mixed2 else T2,
            result_rows=T1 if self.tile.folded else tiling.pitch[1],
            result_columns=T2 if self.tile.folded else tiling.pitch[2],
            filter_columns=min(T2, roles.extent[2]) if mixed2 else T2,
            each=tiling.each // self.dtype.itemsize,
        )
