"""Kernels of tiles of many channels, for method "fft": the lanes of a transform are channels.

A *block* is a vector of L channels of one tile (or of one filter). Two blocks travel through a transform as real and
imaginary parts. What the transform of a real signal has at a frequency f it has, conjugate, at -f: half of the
frequencies tell everything, and both blocks' spectra are told apart while they are stored,

    X1[f] = (Z[f] + conj(Z[-f])) / 2,    X2[f] = (Z[f] - conj(Z[-f])) / 2j,      and put together again on the way back.

Frequency by frequency the channels are then multiplied and summed by the micro-kernel: with blocks as they lie, [real
L, imaginary L], a complex product is a real one of twice the depth,

    [yr, yi] = sum over k of xr[k] * [hr[k], hi[k]] + xi[k] * [-hi[k], hr[k]].

Spectra of tiles are kept as ``[frequency // F][tile][frequency % F][block][real L, imaginary L]`` with F = `TOGETHER`
(a transform then writes to F times fewer pages of memory), those of filters as ``[frequency][target block][source
channel][real L, imaginary L]``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...borders import frozen
from ...kept import kept
from ...problem import Triple
from ...simd.fields import fields
from ...simd.host import host, tile_rows
from ...simd.jit import kernel
from ...simd.lanes import inlined
from ...simd.microkernel import ACCUMULATE, ZERO, multiply_tile
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear, lanes_of
from .points import join_points, spread_point, tell_apart
from .tiles import WRITE, Box, Room, TapStrides, TileGrid, TileSteps, gather_tile, move_taps, scatter_tile
from .transform import BACK, FORWARD, frequencies, transform

ROWS = tile_rows()
TOGETHER = 8
DEPTH = 256  # rows of one panel, real and imaginary ones


class Blocks(NamedTuple):
    """Blocks of channels of one side: of a tile, or of a filter's results; a cell has ``blocks // cells`` of them."""

    blocks: int
    cells: int
    channels: int  # of a cell
    channel: int  # the first one


class Spectra(NamedTuple):
    """Spectra of blocks of a batch of tiles, and how far apart groups of frequencies and tiles are kept."""

    tile: int  # the first one
    tiles: int
    of: Blocks
    group: int
    row: int


class FilterBlocks(NamedTuple):
    """Filters of a group: channels that are summed, cells included or not, blocks of channels of the result."""

    group: int
    inner: int
    sources: int
    to: Blocks
    rows: int  # rows of a plane that taps stand in


def room_of(shape: Triple, itemsize: int) -> Room:
    """Two blocks of a tile in a thread's scratch; rows are not a multiple of 4 KiB apart."""
    lanes = host().lanes(itemsize)
    row = (shape[2] + 1) * 2 * lanes
    return Room(Box(*shape), TileSteps(shape[1] * row, row, 2 * lanes), lanes, folded=False)


@kept
def half_spectrum(shape: Triple, itemsize: int) -> np.ndarray:
    """Where each frequency and its negative lie in a transformed tile: int64, flat pairs, frequency 0 first."""
    places, partners = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for n, step in zip(shape, room_of(shape, itemsize).steps, strict=True):
        order = frequencies(n)
        position = np.empty(n, np.int64)
        position[order] = np.arange(n)
        places = (places[:, None] + step * np.arange(n)).reshape(-1)
        partners = (partners[:, None] + step * position[-order % n]).reshape(-1)
    half = places <= partners
    return frozen(np.stack([places[half], partners[half]], axis=1).reshape(-1))


@kernel
def forward(fft, t, room, lines, rows):
    """Transform a tile at t[0:] along its three axes; only the first `rows` rows of a plane hold anything."""
    along0, factors0, along1, factors1, along2, factors2 = lines
    shape, steps, lanes = room.shape, room.steps, lanes_of(t)
    for a0 in range(shape.planes):
        at = a0 * steps.plane
        transform(fft, FORWARD, along2, factors2, t, at, rows, steps.row, steps.point, lanes)
        transform(fft, FORWARD, along1, factors1, t, at, shape.columns, steps.point, steps.row, lanes)
    for a1 in range(shape.rows):
        at = a1 * steps.row
        transform(fft, FORWARD, along0, factors0, t, at, shape.columns, steps.point, steps.plane, lanes)


@kernel
def back(fft, t, room, lines, planes, rows):
    """Transform a tile at t[0:] back; only the first planes and rows are wanted."""
    along0, factors0, along1, factors1, along2, factors2 = lines
    shape, steps, lanes = room.shape, room.steps, lanes_of(t)
    for a1 in range(shape.rows):
        at = a1 * steps.row
        transform(fft, BACK, along0, factors0, t, at, shape.columns, steps.point, steps.plane, lanes)
    for a0 in range(planes):
        at = a0 * steps.plane
        transform(fft, BACK, along1, factors1, t, at, shape.columns, steps.point, steps.row, lanes)
        transform(fft, BACK, along2, factors2, t, at, rows, steps.row, steps.point, lanes)


@kernel
def find_block(block, of, lanes):
    """Cell, first channel (counted from ``of.channel``) and number of channels of a block."""
    per_cell = of.blocks // of.cells
    first = block % per_cell * lanes
    return block // per_cell, first, min(lanes, of.channels - first)


@inlined
def block_at(item, spectra, lanes):
    """Where the spectrum of a block of a batch begins."""
    return item // spectra.of.blocks * spectra.row + item % spectra.of.blocks * 2 * lanes


@inlined
def frequency_at(f, spectra, lanes):
    """Where a frequency of the first tile of a batch begins."""
    return f // TOGETHER * spectra.group + f % TOGETHER * (spectra.of.blocks * 2 * lanes)


@parallel_kernel
def tile_spectra(thread, first, last, x, side, grid, z, spectra, half, room, lines, scratch, fft):
    """One task: the spectra of two blocks of a batch of tiles."""
    grid, room, spectra = fields(TileGrid, grid), fields(Room, room), fields(Spectra, spectra)
    of, lanes, size = spectra.of, lanes_of(scratch), room.shape.planes * room.steps.plane
    t = scratch[thread * size : (thread + 1) * size]
    for task in range(first, last):
        other = min(2 * task + 1, spectra.tiles * of.blocks - 1)
        if other == 2 * task:
            clear(t, 0, size)
        for item in range(2 * task, other + 1):
            cell, channel, count = find_block(item % of.blocks, of, lanes)
            tile, begin = spectra.tile + item // of.blocks, (item - 2 * task) * lanes
            gather_tile(x, side, grid, room, tile, cell, of.channel + channel, count, t, begin)
        forward(fft, t, room, lines, room.shape.rows)
        a, b = block_at(2 * task, spectra, lanes), block_at(other, spectra, lanes)
        for f in range(half.size // 2):
            at = frequency_at(f, spectra, lanes)
            tell_apart(t, half[2 * f], half[2 * f + 1], z, at + a, at + b)


@parallel_kernel
def tile_results(thread, first, last, z, spectra, y, side, grid, bias, half, room, lines, scratch, fft):
    """One task: two blocks of a batch of tiles from their spectra to y."""
    grid, room, spectra = fields(TileGrid, grid), fields(Room, room), fields(Spectra, spectra)
    of, lanes, size = spectra.of, lanes_of(scratch), room.shape.planes * room.steps.plane
    t = scratch[thread * size : (thread + 1) * size]
    for task in range(first, last):
        other = min(2 * task + 1, spectra.tiles * of.blocks - 1)
        a, b = block_at(2 * task, spectra, lanes), block_at(other, spectra, lanes)
        for f in range(half.size // 2):
            at = frequency_at(f, spectra, lanes)
            join_points(z, at + a, at + b, t, half[2 * f], half[2 * f + 1])
        if bias.size > 0:  # a constant is what stands at frequency 0
            for item in range(2 * task, other + 1):
                _, channel, count = find_block(item % of.blocks, of, lanes)
                for i in range(count):
                    t[(item - 2 * task) * lanes + i] += bias[of.channel + channel + i]
        back(fft, t, room, lines, grid.pitch.planes, grid.pitch.rows)
        for item in range(2 * task, other + 1):
            cell, channel, count = find_block(item % of.blocks, of, lanes)
            tile, begin = spectra.tile + item // of.blocks, (item - 2 * task) * lanes
            scatter_tile(y, side, grid, room, tile, cell, of.channel + channel, count, t, begin, WRITE)


@kernel
def spread_panel(panel, row, z, begin, step, count, sign):
    """`count` complex rows of z to a panel from `row` on: real parts' rows [r, sign*i], then [-sign*i, r]."""
    width = 2 * lanes_of(z)
    for k in range(count):
        upper = (row + k) * width
        if sign > 0:
            spread_point(panel, upper, upper + count * width, z, begin + k * step, 1)
        else:
            spread_point(panel, upper, upper + count * width, z, begin + k * step, -1)


@parallel_kernel
def multiply_channels(thread, first, last, x, x_spectra, h, y, y_spectra, tile):
    """One task: a group of frequencies; y = x @ h for all tiles of a batch."""
    source, target = fields(Spectra, x_spectra), fields(Spectra, y_spectra)
    tiles, cells, per_cell, blocks = source.tiles, source.of.cells, source.of.channels, target.of.blocks
    lanes, inner = lanes_of(x), cells * per_cell
    panel = np.empty(DEPTH * 2 * lanes, x.dtype)
    a_offsets, b_offsets = np.zeros(2, np.int64), np.zeros(2, np.int64)
    a_offsets[1] = lanes
    height = -(-tiles // -(-tiles // ROWS))
    for f in range(first * TOGETHER, min(last * TOGETHER, h.size // (inner * blocks * 2 * lanes))):
        for o in range(blocks):
            result = frequency_at(f, target, lanes) + o * 2 * lanes
            for cell in range(cells):
                rows = (f * blocks + o) * inner + cell * per_cell
                begin, k = frequency_at(f, source, lanes) + cell * -(-per_cell // lanes) * 2 * lanes, 0
                while k < per_cell:
                    # Whole blocks are one long depth; of the last, only the channels that are there count.
                    whole = min((per_cell - k) // lanes, DEPTH // (2 * lanes))
                    for q in range(max(1, whole)):
                        spread_panel(
                            panel, 2 * q * lanes, h, (rows + k + q * lanes) * 2 * lanes, 2 * lanes,
                            min(lanes, per_cell - k), 1,
                        )  # fmt: skip
                    b_offsets[1] = min(lanes, per_cell - k) * 2 * lanes
                    depth, terms = (2 * lanes * whole, 1) if whole > 0 else (per_cell - k, 2)
                    for r in range(0, tiles, height):
                        multiply_tile(
                            tile, min(height, tiles - r), 2, terms, a_offsets, 0, b_offsets, 0, depth,
                            x, begin + r * source.row + 2 * k, source.row, 1, panel, 0, 2 * lanes,
                            y, result + r * target.row, target.row, 2 * lanes,
                            ACCUMULATE if cell > 0 or k > 0 else ZERO, panel, 0, False,
                        )  # fmt: skip
                    k += max(1, whole) * lanes


@parallel_kernel
def multiply_tiles(thread, first, last, x, x_spectra, z, z_spectra, d, tile):
    """One task: a group of frequencies; d (+)= x^T @ conj(z), summed over the tiles of a batch, the first from zero."""
    source, target = fields(Spectra, x_spectra), fields(Spectra, z_spectra)
    of, tiles, blocks, lanes = source.of, source.tiles, target.of.blocks, lanes_of(x)
    inner = of.cells * of.channels
    panel = np.empty(2 * tiles * 2 * lanes, x.dtype)
    a_offsets, b_offsets = np.zeros(2, np.int64), np.zeros(2, np.int64)
    a_offsets[1], b_offsets[1] = lanes, tiles * 2 * lanes
    for f in range(first * TOGETHER, min(last * TOGETHER, d.size // (inner * blocks * 2 * lanes))):
        for o in range(blocks):
            spread_panel(panel, 0, z, frequency_at(f, target, lanes) + o * 2 * lanes, target.row, tiles, -1)
            for block in range(of.blocks):
                cell, channel, count = find_block(block, of, lanes)
                height = -(-count // -(-count // ROWS))
                for r in range(0, count, height):
                    to = ((f * blocks + o) * inner + cell * of.channels + channel + r) * 2 * lanes
                    multiply_tile(
                        tile, min(height, count - r), 2, 2, a_offsets, 0, b_offsets, 0, tiles,
                        x, frequency_at(f, source, lanes) + block * 2 * lanes + r, 1, source.row, panel, 0, 2 * lanes,
                        d, to, 2 * lanes, 2 * lanes, ACCUMULATE if source.tile > 0 else ZERO, panel, 0, False,
                    )  # fmt: skip


@kernel
def find_filters(task, filters):
    """Summed channel, cells included, and the first and last of the two blocks of filters of a task."""
    pairs = (filters.to.blocks + 1) // 2
    block = task % pairs * 2
    return task // pairs, block, min(block + 1, filters.to.blocks - 1)


@inlined
def move_filters(back, w, taps, filters, k, block, last, t, room, scale):
    """Put the taps of two blocks of filters in a tile of zeros, or read them there (see `tiles.move_taps`)."""
    at, lanes = fields(TapStrides, taps[3]), lanes_of(t)
    for o in range(block, last + 1):
        cell, channel, count = find_block(o, filters.to, lanes)
        begin = filters.group * at.group + k % filters.sources * at.c + (filters.to.channel + channel) * at.o
        move_taps(
            back, w, begin, taps, cell + k // filters.sources, count, t, (o - block) * lanes, room, (1, 1), scale
        )  # fmt: skip


@parallel_kernel
def filter_spectra(thread, first, last, w, taps, h, filters, scale, half, room, lines, scratch, fft):
    """One task: the conjugate spectra of two blocks of filters of one source channel."""
    room, filters = fields(Room, room), fields(FilterBlocks, filters)
    lanes, blocks, size = lanes_of(scratch), filters.to.blocks, room.shape.planes * room.steps.plane
    t = scratch[thread * size : (thread + 1) * size]
    for task in range(first, last):
        k, block, other = find_filters(task, filters)
        clear(t, 0, size)
        move_filters(False, w, taps, filters, k, block, other, t, room, scale)
        forward(fft, t, room, lines, filters.rows)
        for f in range(half.size // 2):
            a, b = (f * blocks + block) * filters.inner + k, (f * blocks + other) * filters.inner + k
            tell_apart(t, half[2 * f + 1], half[2 * f], h, a * 2 * lanes, b * 2 * lanes)


@parallel_kernel
def read_filters(thread, first, last, d, dw, taps, filters, scale, half, room, lines, scratch, fft):
    """One task: two blocks of filters of one source channel from their spectra to dw."""
    room, filters = fields(Room, room), fields(FilterBlocks, filters)
    lanes, blocks, size = lanes_of(scratch), filters.to.blocks, room.shape.planes * room.steps.plane
    t = scratch[thread * size : (thread + 1) * size]
    for task in range(first, last):
        k, block, other = find_filters(task, filters)
        for f in range(half.size // 2):
            a, b = (f * blocks + block) * filters.inner + k, (f * blocks + other) * filters.inner + k
            join_points(d, a * 2 * lanes, b * 2 * lanes, t, half[2 * f], half[2 * f + 1])
        back(fft, t, room, lines, room.shape.planes, filters.rows)
        move_filters(True, dw, taps, filters, k, block, other, t, room, scale)
