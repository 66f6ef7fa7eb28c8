"""Tiles of single channels, for method "fft": the lanes of a transform are neighbouring columns, then rows.

Two real tiles travel as real and imaginary parts through everything: a product with the spectrum of a real filter keeps
them apart, and where tiles are multiplied with tiles (the weight gradient) the real part of the result is the sum over
both. Columns are transformed where they lie; a group of L rows (L lanes) is turned by transposes of L x L so that rows
become lanes, transformed, multiplied, transformed back and turned again before the next group: all in cache.

A spectrum is kept as ``[plane][row group][column][real L, imaginary L]``, in the order of `transform`. A *folded* tile
is one long line of T1*T2 points, transformed in four steps (columns, twiddle factors, rows): Bailey, "FFTs in external
or hierarchical memory" (1990).

One task of `convolve` is a pair of tiles with all channels of its group; of `correlate` a run of pairs; of `spectra`
and `read_filters` one filter.
"""

from __future__ import annotations

import numpy as np

from ...borders import frozen
from ...kept import kept
from ...simd.host import host
from ...simd.jit import kernel, parallel_kernel
from ...simd.vector import clear, lanes_of, transpose
from .filters import place_taps, read_taps
from .points import multiply_points, turn_points
from .tiles import gather_tile, scatter_tile
from .tiling import Tile
from .transform import BACK, FORWARD, frequencies, passes, transform

Lines = tuple[np.ndarray, ...]


def lines(tile: Tile, itemsize: int) -> Lines:
    """The passes of a tile's three axes: table and twiddle factors of each."""
    found = [passes(n, itemsize) for n in tile.transformed]
    return tuple(array for p in found for array in (p.table, p.twiddles))


@kept
def twist(tile: Tile, itemsize: int) -> tuple[np.ndarray, np.ndarray]:
    """The factors exp(-2j*pi*f*i/(T1*T2)) between columns and rows of a folded tile; empty for others.

    Row f of the transformed columns, column i. A table as large as the tile would be read at the speed of memory: the
    factor is a product of two, one for every L-th column and one for the columns between.
    """
    if not tile.folded:
        nothing = frozen(np.empty(0, f"f{itemsize}"))
        return nothing, nothing
    _, T1, T2 = tile.shape
    lanes = host().lanes(itemsize)
    rows = frequencies(T1).reshape(-1, 1, lanes)
    factors = []
    for columns in (np.arange(0, T2, lanes), np.arange(lanes)):
        angles = rows * columns.reshape(1, -1, 1) * (-2 * np.pi / (T1 * T2))
        factors.append(frozen(np.stack([np.cos(angles), np.sin(angles)], axis=2).astype(f"f{itemsize}").reshape(-1)))
    return factors[0], factors[1]


@kernel
def columns_forward(fft, t, shape, lines, columns):
    """Transform a pair of tiles at t[0:] along planes and rows; only the first columns hold anything."""
    T0, T1, _, plane, row, imaginary = shape
    lanes = lanes_of(t)
    sets = -(-columns // lanes)
    for a1 in range(T1):
        transform(fft, FORWARD, lines[0], lines[1], t, a1 * row, sets, lanes, plane, imaginary)
    for a0 in range(T0):
        transform(fft, FORWARD, lines[2], lines[3], t, a0 * plane, sets, lanes, row, imaginary)


@kernel
def columns_back(fft, t, shape, lines, columns, rows):
    """Transform a pair of tiles at t[0:] back along rows and planes; only the first columns and rows are wanted."""
    T0, _, _, plane, row, imaginary = shape
    lanes = lanes_of(t)
    sets = -(-columns // lanes)
    for a0 in range(T0):
        transform(fft, BACK, lines[2], lines[3], t, a0 * plane, sets, lanes, row, imaginary)
    for a1 in range(rows):
        transform(fft, BACK, lines[0], lines[1], t, a1 * row, sets, lanes, plane, imaginary)


@kernel
def rows_forward(fft, t, first, shape, lines, coarse, fine, group, s, at):
    """Take L rows from t[first:] to s[at:], lanes now, and transform them."""
    T2, row, imaginary = shape[2], shape[4], shape[5]
    lanes = lanes_of(t)
    for i in range(0, T2, lanes):
        transpose(s, at + 2 * lanes * i, 2 * lanes, t, first + i, row)
        transpose(s, at + 2 * lanes * i + lanes, 2 * lanes, t, first + imaginary + i, row)
    if coarse.size > 0:
        for i in range(0, T2, lanes):
            begin, turns = at + 2 * lanes * i, 2 * (group * T2 + i)
            turn_points(s, begin, coarse, turns, fine, 2 * lanes * lanes * group, lanes, False)
    transform(fft, FORWARD, lines[4], lines[5], s, at, 1, 0, 2 * lanes, lanes)


@kernel
def rows_back(fft, s, at, lines, coarse, fine, group, columns, t, first, shape):
    """Transform L rows at s[at:] back and put their first columns to t[first:] as rows again."""
    T2, row, imaginary = shape[2], shape[4], shape[5]
    lanes = lanes_of(t)
    transform(fft, BACK, lines[4], lines[5], s, at, 1, 0, 2 * lanes, lanes)
    for i in range(0, columns, lanes):
        begin = at + 2 * lanes * i
        if coarse.size > 0:
            turns = 2 * (group * T2 + i)
            turn_points(s, begin, coarse, turns, fine, 2 * lanes * lanes * group, lanes, True)
        transpose(t, first + i, row, s, begin, 2 * lanes)
        transpose(t, first + imaginary + i, row, s, begin + lanes, 2 * lanes)


@kernel
def gather_pair(x, tables, side, grid, pair, tiles, cell, channel, t, shape):
    """Two tiles of one channel, or one and zeros, to t."""
    index0, index1, starts, indices = tables
    pitch = (shape[3], shape[4], 1)
    for tile in range(2 * pair, 2 * pair + 2):
        begin = (tile - 2 * pair) * shape[5]
        if tile < tiles:
            gather_tile(x, index0, index1, starts, indices, side, grid, tile, cell, channel, 1, t, begin, pitch)
        else:
            clear(t, begin, shape[0] * shape[3])


@kernel
def scatter_pair(y, tables, side, grid, pair, tiles, cell, channel, t, shape, how):
    """The results of two tiles of one channel from t."""
    index0, index1, starts, indices = tables
    pitch = (shape[3], shape[4], 1)
    for tile in range(2 * pair, min(2 * pair + 2, tiles)):
        begin = (tile - 2 * pair) * shape[5]
        scatter_tile(y, index0, index1, starts, indices, side, grid, tile, cell, channel, 1, t, begin, pitch, how)


@kernel
def tile_spectrum(fft, x, tables, side, grid, pair, tiles, cell, channel, t, shape, lines, coarse, fine, at):
    """The spectrum of a pair of tiles to t[at:]."""
    lanes = lanes_of(t)
    gather_pair(x, tables, side, grid, pair, tiles, cell, channel, t, shape)
    columns_forward(fft, t, shape, lines, shape[2])
    for q in range(shape[0] * shape[1] // lanes):
        rows_forward(fft, t, first_of(q, shape, lanes), shape, lines, coarse, fine, q, t, at + q * lanes * shape[2] * 2)


@kernel
def first_of(q, shape, lanes):
    """Where the first of the q-th group of rows lies."""
    return q * lanes // shape[1] * shape[3] + q * lanes % shape[1] * shape[4]


@kernel
def add_constant(s, at, value, rows, columns):
    """Add a constant to what a spectrum stands for: to its first position on transformed axes, else to all."""
    lanes = lanes_of(s)
    for i in range(columns):
        for r in range(min(rows, lanes)):
            s[at + 2 * lanes * i + r] += value
            s[at + 2 * lanes * i + lanes + r] += value


@parallel_kernel
def convolve(
    thread, first, last, x, from_tables, from_side, y, to_tables, to_side, grid, h, bias, shape, lines, coarse, fine,
    counts, scratch, fft,
):  # fmt: skip
    """One task: a pair of tiles of one group, all its channels."""
    T0, T1, T2, _, _, imaginary = shape
    (tiles, sources, from_cells, targets, to_cells, group0, source0, target0, from_group, to_group, how, rows, columns,
     keep, keep_rows, each) = counts  # fmt: skip
    lanes = lanes_of(scratch)
    pairs, inner, outer, points = (tiles + 1) // 2, sources * from_cells, targets * to_cells, T0 * T1 * T2
    one = inner == 1 and outer == 1
    t = scratch[thread * each : (thread + 1) * each]
    s = 2 * imaginary  # a group of rows; then spectra of all source channels
    spectra = s + 2 * lanes * T2
    for task in range(first, last):
        g, pair = task // pairs, task % pairs
        for k in range(inner):
            cell, channel = k // sources, (group0 + g) * from_group + source0 + k % sources
            gather_pair(x, from_tables, from_side, grid, pair, tiles, cell, channel, t, shape)
            columns_forward(fft, t, shape, lines, shape[2])
            for q in range(0 if one else T0 * T1 // lanes):
                at = spectra + k * 2 * points + q * lanes * T2 * 2
                rows_forward(fft, t, first_of(q, shape, lanes), shape, lines, coarse, fine, q, t, at)
        for o in range(outer):
            cell, channel = o // targets, (group0 + g) * to_group + target0 + o % targets
            for q in range(T0 * T1 // lanes):
                begin, at = first_of(q, shape, lanes), q * lanes * T2 * 2
                if one:
                    rows_forward(fft, t, begin, shape, lines, coarse, fine, q, t, s)
                    multiply_points(t, s, t, s, h, g * 2 * points + at, T2, True, False)
                else:
                    clear(t, s, 2 * lanes * T2)
                    for k in range(inner):
                        factor = ((g * inner + k) * outer + o) * 2 * points + at
                        multiply_points(t, s, t, spectra + k * 2 * points + at, h, factor, T2, True, True)
                if bias.size > 0 and q * lanes < rows:
                    add_constant(t, s, bias[channel], rows - q * lanes, columns)
                rows_back(fft, t, s, lines, coarse, fine, q, keep, t, begin, shape)
            columns_back(fft, t, shape, lines, keep, keep_rows)
            scatter_pair(y, to_tables, to_side, grid, pair, tiles, cell, channel, t, shape, how)


@parallel_kernel
def correlate(
    thread, first, last, x, from_tables, from_side, dy, to_tables, to_side, grid, totals, shape, lines, coarse, fine,
    counts, scratch, fft,
):  # fmt: skip
    """One task: the sum over a run of pairs of x times conj(dy), for all channels of one group."""
    T0, T1, T2, _, _, imaginary = shape
    tiles, parts, groups, sources, cells, targets, group0, source0, target0, from_group, to_group, each = counts
    lanes = lanes_of(scratch)
    pairs, inner, points = (tiles + 1) // 2, sources * cells, T0 * T1 * T2
    t = scratch[thread * each : (thread + 1) * each]
    s = 2 * imaginary + 2 * lanes * T2
    for task in range(first, last):
        g, part = task // parts, task % parts
        total = (part * groups + g) * inner * targets * 2 * points
        clear(totals, total, inner * targets * 2 * points)
        for pair in range(pairs * part // parts, pairs * (part + 1) // parts):
            for k in range(inner):
                channel = (group0 + g) * from_group + source0 + k % sources
                tile_spectrum(
                    fft, x, from_tables, from_side, grid, pair, tiles, k // sources, channel, t, shape, lines,
                    coarse, fine, s + k * 2 * points,
                )  # fmt: skip
            for o in range(targets):
                channel = (group0 + g) * to_group + target0 + o
                tile_spectrum(
                    fft, dy, to_tables, to_side, grid, pair, tiles, g * 0, channel, t, shape, lines,
                    coarse, fine, s + inner * 2 * points,
                )  # fmt: skip
                for k in range(inner):
                    at = total + (k * targets + o) * 2 * points
                    multiply_points(
                        totals, at, t, s + k * 2 * points, t, s + inner * 2 * points, points // lanes, True, True
                    )  # fmt: skip


@parallel_kernel
def spectra(
    thread, first, last, w, strides, axes, cells, h, shape, lines, coarse, fine, counts, scratch, fft, scale
):  # fmt: skip
    """One task: the spectrum of one filter, with the scale of the transform back."""
    T0, T1, T2, plane, row, imaginary = shape
    sources, from_cells, targets, to_cells, group0, source0, target0, rows, columns, used, fold, each = counts
    lanes = lanes_of(scratch)
    inner, outer, points = sources * from_cells, targets * to_cells, T0 * T1 * T2
    t = scratch[thread * each : (thread + 1) * each]
    for task in range(first, last):
        g, k, o = task // (inner * outer), task // outer % inner, task % outer
        cell = k // sources + o // targets  # one of the two has but one phase
        at = (group0 + g) * strides[0] + (source0 + k % sources) * strides[2] + (target0 + o % targets) * strides[3]
        clear(t, 0, imaginary + T0 * plane)
        place_taps(w, at, strides, axes, cells, cell, 1, t, 0, (plane, row, 1), fold, (rows, columns), scale)
        columns_forward(fft, t, shape, lines, used)
        for q in range(T0 * T1 // lanes):
            to = task * 2 * points + q * lanes * T2 * 2
            rows_forward(fft, t, first_of(q, shape, lanes), shape, lines, coarse, fine, q, h, to)


@parallel_kernel
def read_filters(
    thread, first, last, totals, dw, strides, axes, cells, shape, lines, coarse, fine, counts, scratch, fft, scale
):  # fmt: skip
    """One task: one filter's gradient from its spectrum, which is overwritten."""
    T0, T1, T2, plane, row, _ = shape
    sources, from_cells, targets, _, group0, source0, target0, rows, columns, used, fold, each = counts
    lanes = lanes_of(scratch)
    inner, points = sources * from_cells, T0 * T1 * T2
    t = scratch[thread * each : (thread + 1) * each]
    for task in range(first, last):
        g, k, o = task // (inner * targets), task // targets % inner, task % targets
        at = (group0 + g) * strides[0] + (source0 + k % sources) * strides[2] + (target0 + o) * strides[3]
        for q in range(T0 * T1 // lanes):
            at_row = task * 2 * points + q * lanes * T2 * 2
            rows_back(fft, totals, at_row, lines, coarse, fine, q, used, t, first_of(q, shape, lanes), shape)
        columns_back(fft, t, shape, lines, used, T1)
        read_taps(t, 0, (plane, row, 1), axes, cells, k // sources, 1, fold, (rows, columns), dw, at, strides, scale)
