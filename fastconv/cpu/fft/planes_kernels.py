"""Kernels of tiles of single channels, for method "fft": a transform's lanes are neighbouring columns, then rows.

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

from typing import NamedTuple

import numpy as np

from ...borders import frozen
from ...kept import kept
from ...simd.fields import fields
from ...simd.host import host
from ...simd.jit import kernel
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear, lanes_of, transpose
from .points import multiply_points, turn_points
from .tiles import Room, TapStrides, TileGrid, gather_tile, move_taps, scatter_tile
from .tiling import FourierTile
from .transform import BACK, FORWARD, frequencies, transform


class Chunk(NamedTuple):
    """Channels computed at once: groups, and per group channels of the source and of the target."""

    group: int
    groups: int
    source: int
    sources: int
    target: int
    targets: int


class Job(NamedTuple):
    """What a call computes: tiles, in how many partial sums; channels; and how much of its tiles holds anything."""

    tiles: int
    parts: int
    chunk: Chunk
    sources: int  # channels of a group, all chunks together
    targets: int
    source_cells: int
    target_cells: int
    how: int  # WRITE or ADD
    repeated_rows: int  # positions that a filter's taps and a bias stand at: all of an axis that is not transformed
    repeated_columns: int
    result_rows: int
    result_columns: int
    filter_columns: int
    each: int  # elements of a thread's scratch


@kept
def twist(tile: FourierTile, itemsize: int) -> tuple[np.ndarray, np.ndarray]:
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
def columns_forward(fft, t, room, lines, columns):
    """Transform a pair of tiles at t[0:] along planes and rows; only the first columns hold anything."""
    planes, plane_factors, rows, row_factors, _, _ = lines
    shape, steps, lanes = room.shape, room.steps, lanes_of(t)
    sets = -(-columns // lanes)
    for a1 in range(shape.rows):
        transform(fft, FORWARD, planes, plane_factors, t, a1 * steps.row, sets, lanes, steps.plane, room.imaginary)
    for a0 in range(shape.planes):
        transform(fft, FORWARD, rows, row_factors, t, a0 * steps.plane, sets, lanes, steps.row, room.imaginary)


@kernel
def columns_back(fft, t, room, lines, columns, kept_rows):
    """Transform a pair of tiles at t[0:] back along rows and planes; only the first columns and rows are wanted."""
    planes, plane_factors, rows, row_factors, _, _ = lines
    steps, lanes = room.steps, lanes_of(t)
    sets = -(-columns // lanes)
    for a0 in range(room.shape.planes):
        transform(fft, BACK, rows, row_factors, t, a0 * steps.plane, sets, lanes, steps.row, room.imaginary)
    for a1 in range(kept_rows):
        transform(fft, BACK, planes, plane_factors, t, a1 * steps.row, sets, lanes, steps.plane, room.imaginary)


@kernel
def rows_forward(fft, t, group, room, lines, turns, s, at):
    """Take a group of L rows from t to s[at:], lanes now, and transform them."""
    columns, factors, (coarse, fine) = lines[4], lines[5], turns
    T2, row, lanes, first = room.shape.columns, room.steps.row, lanes_of(t), first_of(group, room, lanes_of(t))
    for i in range(0, T2, lanes):
        transpose(s, at + 2 * lanes * i, 2 * lanes, t, first + i, row)
        transpose(s, at + 2 * lanes * i + lanes, 2 * lanes, t, first + room.imaginary + i, row)
    if coarse.size > 0:
        for i in range(0, T2, lanes):
            begin, turn = at + 2 * lanes * i, 2 * (group * T2 + i)
            turn_points(s, begin, coarse, turn, fine, 2 * lanes * lanes * group, lanes, False)
    transform(fft, FORWARD, columns, factors, s, at, 1, 0, 2 * lanes, lanes)


@kernel
def rows_back(fft, s, at, lines, turns, group, kept_columns, t, room):
    """Transform a group of L rows at s[at:] back and put their first columns to t as rows again."""
    columns, factors, (coarse, fine) = lines[4], lines[5], turns
    T2, row, lanes, first = room.shape.columns, room.steps.row, lanes_of(t), first_of(group, room, lanes_of(t))
    transform(fft, BACK, columns, factors, s, at, 1, 0, 2 * lanes, lanes)
    for i in range(0, kept_columns, lanes):
        begin = at + 2 * lanes * i
        if coarse.size > 0:
            turn = 2 * (group * T2 + i)
            turn_points(s, begin, coarse, turn, fine, 2 * lanes * lanes * group, lanes, True)
        transpose(t, first + i, row, s, begin, 2 * lanes)
        transpose(t, first + room.imaginary + i, row, s, begin + lanes, 2 * lanes)


@kernel
def first_of(group, room, lanes):
    """Where the first row of a group of L lies."""
    row = group * lanes
    return row // room.shape.rows * room.steps.plane + row % room.shape.rows * room.steps.row


@kernel
def tile_columns(fft, x, side, grid, room, pair, tiles, cell, channel, t, lines):
    """Two tiles of one channel, or one and zeros, to t; their columns transformed."""
    for tile in range(2 * pair, 2 * pair + 2):
        begin = (tile - 2 * pair) * room.imaginary
        if tile < tiles:
            gather_tile(x, side, grid, room, tile, cell, channel, 1, t, begin)
        else:
            clear(t, begin, room.shape.planes * room.steps.plane)
    columns_forward(fft, t, room, lines, room.shape.columns)


@kernel
def tile_spectrum(fft, x, side, grid, room, pair, tiles, cell, channel, t, lines, turns, at):
    """The spectrum of a pair of tiles to t[at:]."""
    lanes = lanes_of(t)
    tile_columns(fft, x, side, grid, room, pair, tiles, cell, channel, t, lines)
    for q in range(room.shape.planes * room.shape.rows // lanes):
        rows_forward(fft, t, q, room, lines, turns, t, at + q * lanes * room.shape.columns * 2)


@kernel
def add_constant(s, at, value, rows, columns):
    """Add a constant to what a spectrum stands for: to its first position on transformed axes, else to all."""
    lanes = lanes_of(s)
    for i in range(columns):
        for r in range(min(rows, lanes)):
            s[at + 2 * lanes * i + r] += value
            s[at + 2 * lanes * i + lanes + r] += value


@kernel
def points_of(room):
    """Positions of a tile."""
    return room.shape.planes * room.shape.rows * room.shape.columns


@parallel_kernel
def convolve(thread, first, last, x, source, y, target, grid, h, bias, room, lines, turns, job, scratch, fft):
    """One task: a pair of tiles of one group, all its channels."""
    grid, room, job = fields(TileGrid, grid), fields(Room, room), fields(Job, job)
    chunk, shape, lanes, points = job.chunk, room.shape, lanes_of(scratch), points_of(room)
    inner, outer, pairs = chunk.sources * job.source_cells, chunk.targets * job.target_cells, (job.tiles + 1) // 2
    one = inner == 1 and outer == 1
    t = scratch[thread * job.each : (thread + 1) * job.each]
    s = 2 * room.imaginary  # a group of rows; then spectra of all source channels
    spectra = s + 2 * lanes * shape.columns
    for task in range(first, last):
        g, pair = task // pairs, task % pairs
        for k in range(inner):
            channel = (chunk.group + g) * job.sources + chunk.source + k % chunk.sources
            at, cell = spectra + k * 2 * points, k // chunk.sources
            if one:
                tile_columns(fft, x, source, grid, room, pair, job.tiles, cell, channel, t, lines)
            else:
                tile_spectrum(fft, x, source, grid, room, pair, job.tiles, cell, channel, t, lines, turns, at)
        for o in range(outer):
            channel = (chunk.group + g) * job.targets + chunk.target + o % chunk.targets
            for q in range(shape.planes * shape.rows // lanes):
                at = q * lanes * shape.columns * 2
                if one:
                    rows_forward(fft, t, q, room, lines, turns, t, s)
                    multiply_points(t, s, t, s, h, g * 2 * points + at, shape.columns, True, False)
                else:
                    clear(t, s, 2 * lanes * shape.columns)
                    for k in range(inner):
                        factor = ((g * inner + k) * outer + o) * 2 * points + at
                        multiply_points(
                            t, s, t, spectra + k * 2 * points + at, h, factor, shape.columns, True, True
                        )  # fmt: skip
                if bias.size > 0 and q * lanes < job.repeated_rows:
                    add_constant(t, s, bias[channel], job.repeated_rows - q * lanes, job.repeated_columns)
                rows_back(fft, t, s, lines, turns, q, job.result_columns, t, room)
            columns_back(fft, t, room, lines, job.result_columns, job.result_rows)
            for tile in range(2 * pair, min(2 * pair + 2, job.tiles)):
                begin = (tile - 2 * pair) * room.imaginary
                scatter_tile(y, target, grid, room, tile, o // chunk.targets, channel, 1, t, begin, job.how)


@parallel_kernel
def correlate(thread, first, last, x, source, dy, target, grid, totals, room, lines, turns, job, scratch, fft):
    """One task: the sum over a run of pairs of x times conj(dy), for all channels of one group."""
    grid, room, job = fields(TileGrid, grid), fields(Room, room), fields(Job, job)
    chunk, lanes, points = job.chunk, lanes_of(scratch), points_of(room)
    inner, pairs, parts = chunk.sources * job.source_cells, (job.tiles + 1) // 2, job.parts
    t = scratch[thread * job.each : (thread + 1) * job.each]
    s = 2 * room.imaginary + 2 * lanes * room.shape.columns
    other = s + inner * 2 * points
    for task in range(first, last):
        g, part = task // parts, task % parts
        total = (part * chunk.groups + g) * inner * chunk.targets * 2 * points
        clear(totals, total, inner * chunk.targets * 2 * points)
        for pair in range(pairs * part // parts, pairs * (part + 1) // parts):
            for k in range(inner):
                channel = (chunk.group + g) * job.sources + chunk.source + k % chunk.sources
                at, cell = s + k * 2 * points, k // chunk.sources
                tile_spectrum(fft, x, source, grid, room, pair, job.tiles, cell, channel, t, lines, turns, at)
            for o in range(chunk.targets):
                channel = (chunk.group + g) * job.targets + chunk.target + o
                tile_spectrum(fft, dy, target, grid, room, pair, job.tiles, 0, channel, t, lines, turns, other)
                for k in range(inner):
                    at = total + (k * chunk.targets + o) * 2 * points
                    multiply_points(totals, at, t, s + k * 2 * points, t, other, points // lanes, True, True)


@kernel
def find_filter(task, job, taps):
    """Where the weights of a task's filter begin, and the cell of its taps."""
    chunk, apart = job.chunk, fields(TapStrides, taps[3])
    outer = chunk.targets * job.target_cells
    inner = chunk.sources * job.source_cells
    g, k, o = task // (inner * outer), task // outer % inner, task % outer
    at = (chunk.group + g) * apart.group + (chunk.source + k % chunk.sources) * apart.c
    # one of source and target has but one cell
    return at + (chunk.target + o % chunk.targets) * apart.o, k // chunk.sources + o // chunk.targets


@parallel_kernel
def spectra(thread, first, last, w, taps, h, room, lines, turns, job, scratch, fft, scale):
    """One task: the spectrum of one filter, with the scale of the transform back."""
    room, job = fields(Room, room), fields(Job, job)
    shape, lanes, repeats = room.shape, lanes_of(scratch), (job.repeated_rows, job.repeated_columns)
    t = scratch[thread * job.each : (thread + 1) * job.each]
    for task in range(first, last):
        at, cell = find_filter(task, job, taps)
        clear(t, 0, room.imaginary + shape.planes * room.steps.plane)
        move_taps(False, w, at, taps, cell, 1, t, 0, room, repeats, scale)
        columns_forward(fft, t, room, lines, job.filter_columns)
        for q in range(shape.planes * shape.rows // lanes):
            to = task * 2 * points_of(room) + q * lanes * shape.columns * 2
            rows_forward(fft, t, q, room, lines, turns, h, to)


@parallel_kernel
def read_filters(thread, first, last, totals, dw, taps, room, lines, turns, job, scratch, fft, scale):
    """One task: one filter's gradient from its spectrum, which is overwritten."""
    room, job = fields(Room, room), fields(Job, job)
    shape, lanes, repeats = room.shape, lanes_of(scratch), (job.repeated_rows, job.repeated_columns)
    t = scratch[thread * job.each : (thread + 1) * job.each]
    for task in range(first, last):
        at, cell = find_filter(task, job, taps)
        for q in range(shape.planes * shape.rows // lanes):
            begin = task * 2 * points_of(room) + q * lanes * shape.columns * 2
            rows_back(fft, totals, begin, lines, turns, q, job.filter_columns, t, room)
        columns_back(fft, t, room, lines, job.filter_columns, shape.rows)
        move_taps(True, dw, at, taps, cell, 1, t, 0, room, repeats, scale)
