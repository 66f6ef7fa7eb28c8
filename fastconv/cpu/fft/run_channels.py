"""The calls of the kernels of `channels`: spectra of filters, convolution, weight gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...config import settings
from ...memory import Pool, scratch
from ...simd.microkernel import ACCUMULATE, ZERO, tile_address
from ...threads import team
from . import channels
from .channels_plan import ChannelsPlan
from .lattice import Lattice
from .planes import lines
from .problem import Tiled
from .transform import transform_address


class _Call:
    """What the kernels of one call share: the tile, its frequencies, and scratch for the threads."""

    def __init__(self, problem: Tiled, dtype: np.dtype) -> None:
        plan = problem.plan
        assert isinstance(plan, ChannelsPlan)
        self.problem, self.plan, self.dtype = problem, plan, dtype
        self.lanes = plan.lanes
        self.shape = *plan.tile.shape, *channels.pitches(plan.tile.shape, dtype.itemsize)
        self.half = channels.half_spectrum(plan.tile.shape, dtype.itemsize)
        self.lines = lines(plan.tile, dtype.itemsize)
        self.fft = transform_address(dtype.itemsize)
        self.each = plan.each // dtype.itemsize
        self.buffers = scratch((0,), dtype)
        self.frequencies = plan.frequencies
        self.groups_of_frequencies = -(-self.frequencies // channels.TOGETHER)

    def members(self, tasks: int) -> int:
        """Threads for `tasks` transforms, and scratch for them."""
        wanted = self.plan.members(team(tasks, 40 * tasks * self.plan.tile.points), settings.scratch_bytes)
        if wanted * self.each > self.buffers.size:
            self.buffers = self.buffers[:0].copy()  # the old ones are free before there are new ones
            self.buffers = scratch((wanted * self.each,), self.dtype)
        return wanted

    def layout(self, tiles: int, blocks: int) -> tuple[int, tuple[int, int, int]]:
        """Elements of the spectra of some tiles, and their strides."""
        size, group, row = channels.padded(self.frequencies, tiles, blocks, self.lanes)
        return size, (group, row, blocks * 2 * self.lanes)

    def filters(self, group: int, first: int, count: int) -> tuple[int, tuple[Any, ...], tuple[Any, ...]]:
        """Number of tasks over a chunk's filters, and the arguments that tell where they lie."""
        size, taps = self.plan.size, self.problem.taps
        blocks = self.plan.target_blocks(count)
        rows = min(self.shape[1], size.extent[1])
        counts = (
            size.inner, size.sources, blocks, size.target_phases, count, group * taps.strides[0], first, rows, self.each
        )  # fmt: skip
        cells = tuple(map(len, self.problem.parts.axes))
        return size.inner * -(-blocks // 2), (taps.strides, taps.axes, cells), counts

    def spectra(self, side: Lattice, x: np.ndarray, fill: Any, group: int, batch: tuple[int, int], of: Any) -> Any:
        """The spectra of a batch of tiles, of channels given as (blocks, phases, channels, first); and their layout."""
        blocks, cells, count, first = of
        size, layout = self.layout(batch[1], blocks)
        z = scratch((size,), self.dtype)
        items = batch[1] * blocks
        tasks = -(-items // 2)
        counts = batch[0], items, blocks, cells, count, group * side.channels + first, self.each
        channels.tile_spectra(
            self.members(tasks), tasks, x.reshape(-1), side.tables, side.side(fill), self.plan.grid, self.half, z,
            layout, self.shape, self.lines, counts, self.buffers, self.fft,
        )  # fmt: skip
        return z, layout


def filter_spectra(problem: Tiled, w: np.ndarray) -> list[np.ndarray]:
    """The spectra of all filters: for each group, chunk by chunk."""
    call = _Call(problem, w.dtype)
    return [
        _chunk_spectra(call, w, group, first, count, Pool().empty)
        for group in range(call.plan.size.groups)
        for first, count in call.plan.chunks()
    ]


def _chunk_spectra(call: _Call, w: np.ndarray, group: int, first: int, count: int, allocate: Any = None) -> np.ndarray:
    plan = call.plan
    tasks, where, counts = call.filters(group, first, count)
    h = (allocate or scratch)(
        (call.frequencies * plan.size.inner * plan.target_blocks(count) * 2 * call.lanes,), w.dtype
    )
    # Spectra of tiles and of filters are told apart without their factor of one half.
    scale = w.dtype.type(0.25 / plan.tile.points)
    channels.filter_spectra(
        call.members(tasks), tasks, w.reshape(-1), *where, call.half, h, call.shape, call.lines, counts, call.buffers,
        call.fft, scale,
    )  # fmt: skip
    return h


def convolve(
    problem: Tiled, x: np.ndarray, w: np.ndarray, prepared: list[np.ndarray] | None, b: np.ndarray | None,
    y: np.ndarray,
) -> None:  # fmt: skip
    """Write the convolution of x with w, whose spectra may be `prepared`, plus b, to y."""
    call = _Call(problem, x.dtype)
    plan, chunks = call.plan, list(call.plan.chunks())
    for group in range(plan.size.groups):
        kept: Any = prepared[group * len(chunks) : (group + 1) * len(chunks)] if prepared is not None else None
        if prepared is None and len(chunks) == 1:
            kept = [_chunk_spectra(call, w, group, *chunks[0])]
        for batch in plan.batches():
            _convolve_batch(call, x, w, kept, b, y, group, batch)


# Nothing but its result outlives the functions that do one batch or chunk: the plan's bound counts on it.


def _convolve_batch(
    call: _Call, x: np.ndarray, w: np.ndarray, kept: list[np.ndarray] | None, b: np.ndarray | None, y: np.ndarray,
    group: int, batch: tuple[int, int],
) -> None:  # fmt: skip
    plan = call.plan
    of = plan.blocks[0], plan.size.source_phases, plan.size.sources, 0
    z, layout = call.spectra(call.problem.source, x, plan.tile.lengths, group, batch, of)
    for i, chunk in enumerate(plan.chunks()):
        h = _chunk_spectra(call, w, group, *chunk) if kept is None else kept[i]
        _finish(call, z, layout, h, group, batch, chunk, b, y)
        del h


def _finish(
    call: _Call, z: np.ndarray, layout: Any, h: np.ndarray, group: int, batch: tuple[int, int],
    chunk: tuple[int, int], b: np.ndarray | None, y: np.ndarray,
) -> None:  # fmt: skip
    """Multiply the spectra of a batch with those of a chunk of filters, and transform the products back to y."""
    plan, size, target = call.plan, call.plan.size, call.problem.target
    blocks = plan.target_blocks(chunk[1])
    length, out_layout = call.layout(batch[1], blocks)
    out = scratch((length,), call.dtype)
    work = 8 * batch[1] * size.inner * blocks * call.lanes * call.frequencies
    counts: tuple[int, ...] = batch[1], size.inner, size.source_phases, blocks, channels.TOGETHER
    channels.multiply_channels(
        team(call.groups_of_frequencies, work), call.groups_of_frequencies, z, layout, h, out, out_layout, counts,
        tile_address(call.dtype.itemsize),
    )  # fmt: skip
    items = batch[1] * blocks
    tasks = -(-items // 2)
    counts = (
        batch[0], items, blocks, size.target_phases, chunk[1], group * target.channels + chunk[0], plan.pitch[0],
        plan.pitch[1], call.each,
    )  # fmt: skip
    channels.tile_results(
        call.members(tasks), tasks, out, out_layout, call.half, y.reshape(-1), target.tables, target.side(plan.pitch),
        plan.grid, np.empty(0, call.dtype) if b is None else b, call.shape, call.lines, counts, call.buffers, call.fft,
    )  # fmt: skip


def correlate(problem: Tiled, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the weight gradient to dw: batches of tiles are summed one after the other."""
    call = _Call(problem, x.dtype)
    for group in range(call.plan.size.groups):
        for chunk in call.plan.chunks():
            _correlate_chunk(call, x, dy, dw, group, chunk)


def _correlate_chunk(
    call: _Call, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, group: int, chunk: tuple[int, int]
) -> None:
    plan, size = call.plan, call.plan.size
    blocks = plan.target_blocks(chunk[1])
    d = scratch((call.frequencies * size.inner * blocks * 2 * call.lanes,), call.dtype)
    for batch in plan.batches():
        _add_batch(call, x, dy, d, group, batch, chunk)
    tasks, where, numbers = call.filters(group, *chunk)
    channels.read_filters(
        call.members(tasks), tasks, d, call.half, dw.reshape(-1), *where, call.shape, call.lines, numbers,
        call.buffers, call.fft, call.dtype.type(0.25 / math.prod(plan.tile.shape)),
    )  # fmt: skip


def _add_batch(
    call: _Call, x: np.ndarray, dy: np.ndarray, d: np.ndarray, group: int, batch: tuple[int, int],
    chunk: tuple[int, int],
) -> None:  # fmt: skip
    """Add a batch's products to the spectra d of a chunk of filters' gradients."""
    plan, size, problem = call.plan, call.plan.size, call.problem
    inner, blocks = plan.blocks[0], plan.target_blocks(chunk[1])
    of = inner, size.source_phases, size.sources, 0
    z, layout = call.spectra(problem.source, x, plan.tile.lengths, group, batch, of)
    v, v_layout = call.spectra(problem.target, dy, plan.pitch, group, batch, (blocks, 1, chunk[1], chunk[0]))
    counts = (
        batch[1], size.inner, inner, size.source_phases, size.sources, blocks, channels.TOGETHER,
        ACCUMULATE if batch[0] else ZERO,
    )  # fmt: skip
    work = 8 * batch[1] * size.inner * blocks * call.lanes * call.frequencies
    channels.multiply_tiles(
        team(call.groups_of_frequencies, work), call.groups_of_frequencies, z, layout, v, v_layout, d, counts,
        tile_address(call.dtype.itemsize),
    )  # fmt: skip
