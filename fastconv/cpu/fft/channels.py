"""Tiles of many channels, for method "fft": the lanes of a transform are channels.

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

import numpy as np

from ...borders import frozen
from ...kept import kept
from ...simd.host import host, tile_rows
from ...simd.jit import kernel, parallel_kernel
from ...simd.microkernel import ACCUMULATE, ZERO, multiply_tile
from ...simd.vector import clear, lanes_of
from .filters import place_taps, read_taps
from .points import join_points, spread_point, tell_apart
from .tiles import gather_tile, scatter_tile
from .tiling import Triple
from .transform import BACK, FORWARD, frequencies, transform

ROWS = tile_rows()
TOGETHER = 8
DEPTH = 256  # rows of one panel, real and imaginary ones


def pitches(shape: Triple, itemsize: int) -> Triple:
    """Distance of a tile's planes, rows and points; rows are not a multiple of 4 KiB apart."""
    point = 2 * host().lanes(itemsize)
    row = (shape[2] + 1) * point
    return shape[1] * row, row, point


@kept
def half_spectrum(shape: Triple, itemsize: int) -> np.ndarray:
    """Where each frequency and its negative lie in a transformed tile: int64, flat pairs, frequency 0 first."""
    steps = pitches(shape, itemsize)
    places, partners = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for n, step in zip(shape, steps, strict=True):
        order = frequencies(n)
        position = np.empty(n, np.int64)
        position[order] = np.arange(n)
        places = (places[:, None] + step * np.arange(n)).reshape(-1)
        partners = (partners[:, None] + step * position[-order % n]).reshape(-1)
    half = places <= partners
    return frozen(np.stack([places[half], partners[half]], axis=1).reshape(-1))


def padded(frequency_count: int, rows: int, blocks: int, lanes: int) -> tuple[int, int, int]:
    """Elements of the spectra of `rows` tiles; the distance of groups of frequencies, and of tiles in a group."""
    row = TOGETHER * blocks * 2 * lanes + lanes
    return -(-frequency_count // TOGETHER) * rows * row, rows * row, row


@kernel
def forward(fft, t, shape, lines, rows):
    """Transform a tile at t[0:] along its three axes; only the first `rows` rows of a plane hold anything."""
    T0, T1, T2, plane, row, point = shape
    lanes = lanes_of(t)
    for a0 in range(T0):
        transform(fft, FORWARD, lines[4], lines[5], t, a0 * plane, rows, row, point, lanes)
        transform(fft, FORWARD, lines[2], lines[3], t, a0 * plane, T2, point, row, lanes)
    for a1 in range(T1):
        transform(fft, FORWARD, lines[0], lines[1], t, a1 * row, T2, point, plane, lanes)


@kernel
def back(fft, t, shape, lines, planes, rows):
    """Transform a tile at t[0:] back; only the first planes and rows are wanted."""
    T0, T1, T2, plane, row, point = shape
    lanes = lanes_of(t)
    for a1 in range(T1):
        transform(fft, BACK, lines[0], lines[1], t, a1 * row, T2, point, plane, lanes)
    for a0 in range(planes):
        transform(fft, BACK, lines[2], lines[3], t, a0 * plane, T2, point, row, lanes)
        transform(fft, BACK, lines[4], lines[5], t, a0 * plane, rows, row, point, lanes)


@kernel
def find_block(block, blocks, cells, channels, lanes):
    """Phase, first channel and number of channels of a block; a phase has ``blocks // cells`` of them."""
    per_cell = blocks // cells
    first = block % per_cell * lanes
    return block // per_cell, first, min(lanes, channels - first)


@parallel_kernel
def tile_spectra(thread, first, last, x, tables, side, grid, half, z, layout, shape, lines, counts, scratch, fft):
    """One task: the spectra of two blocks of a batch of tiles."""
    tile0, items, blocks, cells, channels, channel0, each = counts
    group_step, row_step, width = layout
    index0, index1, starts, indices = tables
    lanes, pitch = lanes_of(scratch), (shape[3], shape[4], shape[5])
    t = scratch[thread * each : (thread + 1) * each]
    for task in range(first, last):
        other = min(2 * task + 1, items - 1)
        if other == 2 * task:
            clear(t, 0, shape[0] * shape[3])
        for item in range(2 * task, other + 1):
            cell, channel, count = find_block(item % blocks, blocks, cells, channels, lanes)
            gather_tile(
                x, index0, index1, starts, indices, side, grid, tile0 + item // blocks, cell, channel0 + channel, count,
                t, (item - 2 * task) * lanes, pitch,
            )  # fmt: skip
        forward(fft, t, shape, lines, shape[1])
        a = 2 * task // blocks * row_step + 2 * task % blocks * 2 * lanes
        b = other // blocks * row_step + other % blocks * 2 * lanes
        for f in range(half.size // 2):
            at = f // TOGETHER * group_step + f % TOGETHER * width
            tell_apart(t, half[2 * f], half[2 * f + 1], z, at + a, at + b)


@parallel_kernel
def tile_results(
    thread, first, last, z, layout, half, y, tables, side, grid, bias, shape, lines, counts, scratch, fft
):  # fmt: skip
    """One task: two blocks of a batch of tiles from their spectra to y."""
    tile0, items, blocks, cells, channels, channel0, planes, rows, each = counts
    group_step, row_step, width = layout
    index0, index1, starts, indices = tables
    lanes, pitch = lanes_of(scratch), (shape[3], shape[4], shape[5])
    t = scratch[thread * each : (thread + 1) * each]
    for task in range(first, last):
        other = min(2 * task + 1, items - 1)
        a = 2 * task // blocks * row_step + 2 * task % blocks * 2 * lanes
        b = other // blocks * row_step + other % blocks * 2 * lanes
        for f in range(half.size // 2):
            at = f // TOGETHER * group_step + f % TOGETHER * width
            join_points(z, at + a, at + b, t, half[2 * f], half[2 * f + 1])
        if bias.size > 0:  # a constant is what stands at frequency 0
            for item in range(2 * task, other + 1):
                _, channel, count = find_block(item % blocks, blocks, cells, channels, lanes)
                for i in range(count):
                    t[(item - 2 * task) * lanes + i] += bias[channel0 + channel + i]
        back(fft, t, shape, lines, planes, rows)
        for item in range(2 * task, other + 1):
            cell, channel, count = find_block(item % blocks, blocks, cells, channels, lanes)
            scatter_tile(
                y, index0, index1, starts, indices, side, grid, tile0 + item // blocks, cell, channel0 + channel, count,
                t, (item - 2 * task) * lanes, pitch, 0,
            )  # fmt: skip


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
def multiply_channels(thread, first, last, x, x_layout, h, y, y_layout, counts, tile):
    """One task: a group of frequencies; y = x @ h for all tiles of a batch."""
    tiles, inner, cells, blocks, together = counts
    x_group, x_row, x_width = x_layout
    y_group, y_row, y_width = y_layout
    lanes = lanes_of(x)
    panel = np.empty(DEPTH * 2 * lanes, x.dtype)
    a_offsets, b_offsets = np.zeros(2, np.int64), np.zeros(2, np.int64)
    a_offsets[1] = lanes
    height, per_cell = -(-tiles // -(-tiles // ROWS)), inner // cells
    for task in range(first, last):
        for i in range(together):
            f = task * together + i
            if f * inner * blocks * 2 * lanes >= h.size:
                break
            place = f // TOGETHER * x_group + f % TOGETHER * x_width
            target = f // TOGETHER * y_group + f % TOGETHER * y_width
            for o in range(blocks):
                for cell in range(cells):
                    rows = (f * blocks + o) * inner + cell * per_cell
                    begin, k = place + cell * -(-per_cell // lanes) * 2 * lanes, 0
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
                                x, begin + r * x_row + 2 * k, x_row, 1, panel, 0, 2 * lanes,
                                y, target + r * y_row + o * 2 * lanes, y_row, 2 * lanes,
                                ACCUMULATE if cell > 0 or k > 0 else ZERO, panel, 0, False,
                            )  # fmt: skip
                        k += max(1, whole) * lanes


@parallel_kernel
def multiply_tiles(thread, first, last, x, x_layout, z, z_layout, d, counts, tile):
    """One task: a group of frequencies; d (+)= x^T @ conj(z), summed over the tiles of a batch."""
    tiles, inner, x_blocks, cells, channels, blocks, together, start = counts
    x_group, x_row, x_width = x_layout
    z_group, z_row, z_width = z_layout
    lanes = lanes_of(x)
    panel = np.empty(2 * tiles * 2 * lanes, x.dtype)
    a_offsets, b_offsets = np.zeros(2, np.int64), np.zeros(2, np.int64)
    a_offsets[1], b_offsets[1] = lanes, tiles * 2 * lanes
    for task in range(first, last):
        for i in range(together):
            f = task * together + i
            if f * inner * blocks * 2 * lanes >= d.size:
                break
            place = f // TOGETHER * x_group + f % TOGETHER * x_width
            other = f // TOGETHER * z_group + f % TOGETHER * z_width
            for o in range(blocks):
                spread_panel(panel, 0, z, other + o * 2 * lanes, z_row, tiles, -1)
                for block in range(x_blocks):
                    cell, channel, count = find_block(block, x_blocks, cells, channels, lanes)
                    height = -(-count // -(-count // ROWS))
                    for r in range(0, count, height):
                        to = ((f * blocks + o) * inner + cell * channels + channel + r) * 2 * lanes
                        multiply_tile(
                            tile, min(height, count - r), 2, 2, a_offsets, 0, b_offsets, 0, tiles,
                            x, place + block * 2 * lanes + r, 1, x_row, panel, 0, 2 * lanes,
                            d, to, 2 * lanes, 2 * lanes, start, panel, 0, False,
                        )  # fmt: skip


@parallel_kernel
def filter_spectra(
    thread, first, last, w, strides, axes, cells, half, h, shape, lines, counts, scratch, fft, scale
):  # fmt: skip
    """One task: the conjugate spectra of two blocks of filters of one source channel."""
    inner, sources, blocks, to_cells, targets, base, target0, rows, each = counts
    lanes, pitch = lanes_of(scratch), (shape[3], shape[4], shape[5])
    pairs = (blocks + 1) // 2
    t = scratch[thread * each : (thread + 1) * each]
    for task in range(first, last):
        k, block = task // pairs, task % pairs * 2
        other = min(block + 1, blocks - 1)
        clear(t, 0, shape[0] * shape[3])
        for o in range(block, other + 1):
            cell, channel, count = find_block(o, blocks, to_cells, targets, lanes)
            at = base + k % sources * strides[2] + (target0 + channel) * strides[3]
            begin = (o - block) * lanes
            place_taps(
                w, at, strides, axes, cells, cell + k // sources, count, t, begin, pitch, 0, (1, 1), scale
            )  # fmt: skip
        forward(fft, t, shape, lines, rows)
        for f in range(half.size // 2):
            a, b = (f * blocks + block) * inner + k, (f * blocks + other) * inner + k
            tell_apart(t, half[2 * f + 1], half[2 * f], h, a * 2 * lanes, b * 2 * lanes)


@parallel_kernel
def read_filters(
    thread, first, last, d, half, dw, strides, axes, cells, shape, lines, counts, scratch, fft, scale
):  # fmt: skip
    """One task: two blocks of filters of one source channel from their spectra to dw."""
    inner, sources, blocks, to_cells, targets, base, target0, rows, each = counts
    lanes, pitch = lanes_of(scratch), (shape[3], shape[4], shape[5])
    pairs = (blocks + 1) // 2
    t = scratch[thread * each : (thread + 1) * each]
    for task in range(first, last):
        k, block = task // pairs, task % pairs * 2
        other = min(block + 1, blocks - 1)
        for f in range(half.size // 2):
            a, b = (f * blocks + block) * inner + k, (f * blocks + other) * inner + k
            join_points(d, a * 2 * lanes, b * 2 * lanes, t, half[2 * f], half[2 * f + 1])
        back(fft, t, shape, lines, shape[0], rows)
        for o in range(block, other + 1):
            cell, channel, count = find_block(o, blocks, to_cells, targets, lanes)
            at = base + k % sources * strides[2] + (target0 + channel) * strides[3]
            begin = (o - block) * lanes
            read_taps(
                t, begin, pitch, axes, cells, cell + k // sources, count, 0, (1, 1), dw, at, strides, scale
            )  # fmt: skip
