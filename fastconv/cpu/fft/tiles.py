"""Tiles in memory, for method "fft": read out of an array and written back, and filters put there and read.

A tile has rows of T2 positions, T1 rows a plane, T0 planes; a `Room` tells how far these lie from each other where the
tile is kept. With ``steps.point == 1`` a tile holds one channel; otherwise each position holds a vector of channels. In
a *folded* tile, the rows are consecutive stretches of the last axis: one long line.

A *side* is an array as its `Lattice` describes it: tables, then packed `Elements`. A *cell* is one phase of each axis.
"""

from __future__ import annotations

from typing import NamedTuple

from ...simd.fields import fields
from ...simd.jit import kernel
from ...simd.lane_math import add
from ...simd.lanes import address, first_lanes, inlined, load, peek, poke, store, zeros
from ...simd.vector import clear, copy, lanes_of, transpose

WRITE, ADD = 0, 1


class Box(NamedTuple):
    """A number for each axis of a tile."""

    planes: int
    rows: int
    columns: int


class TileSteps(NamedTuple):
    """Distance of planes, rows and points."""

    plane: int
    row: int
    point: int


class Room(NamedTuple):
    """How a tile lies in a thread's scratch, its imaginary parts after the real ones."""

    shape: Box
    steps: TileSteps
    imaginary: int
    folded: bool


class TileGrid(NamedTuple):
    """How many tiles there are along each axis, and how far apart."""

    counts: Box
    pitch: Box


class Elements(NamedTuple):
    """Distances of an array's elements, of the elements of a phase, and how much of a tile is read from it."""

    n: int
    c: int
    d: int
    h: int
    w: int
    step: int
    fill: Box


class TapStrides(NamedTuple):
    """Distances of the weights of groups, taps, summed channels and channels of the result; phases of each axis."""

    group: int
    tap: int
    c: int
    o: int
    cells: Box


@kernel
def find_tile(tile, grid):
    """Image of a tile, and where the tile begins on each axis."""
    counts, pitch = grid.counts, grid.pitch
    image, plane = tile // (counts.planes * counts.rows * counts.columns), tile // (counts.rows * counts.columns)
    row, column = tile // counts.columns % counts.rows, tile % counts.columns
    return image, plane % counts.planes * pitch.planes, row * pitch.rows, column * pitch.columns


@kernel
def gather_tile(x, side, grid, room, tile, cell, channel, channels, dst, begin):
    """Fill a tile at dst[begin:] with `channels` channels of one phase (`cell`), zeros where there is no element."""
    index0, index1, starts, indices, numbers = side
    at, shape, steps = fields(Elements, numbers), room.shape, room.steps
    T2, fill, step = shape.columns, at.fill, at.step
    x, dst = address(x), address(dst)
    image, b0, b1, b2 = find_tile(tile, grid)
    r0, r1, r2 = cell // len(starts) // len(index1), cell // len(starts) % len(index1), cell % len(starts)
    for a0 in range(shape.planes):
        k0 = index0[r0, b0 + a0] if a0 < fill.planes else -1
        for a1 in range(shape.rows):
            k1, skip = -1, 0
            if room.folded:
                k1, skip = index1[r1, b1], a1 * T2
            elif a1 < fill.rows:
                k1 = index1[r1, b1 + a1]
            row, stop = begin + a0 * steps.plane + a1 * steps.row, max(0, min(T2, fill.columns - skip))
            if k0 < 0 or k1 < 0:
                stop = 0
            i, p2, source = 0, b2 + skip, image * at.n + channel * at.c + k0 * at.d + k1 * at.h
            run = find_run(starts, r2, p2)
            while i < stop:
                k2, end = indices[r2, run], min(stop, starts[r2, run + 1] - p2)
                to = row + i * steps.point
                if k2 < 0:
                    _clear_run(dst, to, steps.point, end - i)
                else:
                    k2 += (p2 + i - starts[r2, run]) * step
                    _read_run(x, source + k2 * at.w, at.c, at.w * step, channels, dst, to, steps.point, end - i)
                i, run = end, run + 1
            _clear_run(dst, row + stop * steps.point, steps.point, T2 - stop)


@kernel
def scatter_tile(y, side, grid, room, tile, cell, channel, channels, src, begin, how):
    """Write (or add) the tile's first pitch positions on each axis to the elements of y that they stand for."""
    index0, index1, starts, indices, numbers = side
    at, steps, pitch = fields(Elements, numbers), room.steps, grid.pitch
    T2, step = room.shape.columns, at.step
    y, src = address(y), address(src)
    image, b0, b1, b2 = find_tile(tile, grid)
    r0, r1, r2 = cell // len(starts) // len(index1), cell // len(starts) % len(index1), cell % len(starts)
    rows = -(-pitch.columns // T2) if room.folded else pitch.rows
    for a0 in range(pitch.planes):
        k0 = index0[r0, b0 + a0]
        for a1 in range(rows):
            k1, skip = (index1[r1, b1], a1 * T2) if room.folded else (index1[r1, b1 + a1], 0)
            if k0 < 0 or k1 < 0:
                continue
            row, stop = begin + a0 * steps.plane + a1 * steps.row, min(T2, pitch.columns - skip)
            i, p2, place = 0, b2 + skip, image * at.n + channel * at.c + k0 * at.d + k1 * at.h
            run = find_run(starts, r2, p2)
            while i < stop:
                k2, end = indices[r2, run], min(stop, starts[r2, run + 1] - p2)
                if k2 >= 0:
                    k2 += (p2 + i - starts[r2, run]) * step
                    source, to = row + i * steps.point, place + k2 * at.w
                    _write_run(src, source, steps.point, end - i, y, to, at.c, at.w * step, channels, how)
                i, run = end, run + 1


@inlined
def move_taps(back, w, at, taps, cell, count, t, begin, room, repeats, scale):
    """Put the taps of one cell of `count` neighbouring filters, times `scale`, where they stand in a tile of zeros.

    Or `back`: read them there. `repeats` are rows and columns of axes that are not transformed: there the filter is the
    same everywhere, and its gradient a sum.
    """
    a0, a1, a2, numbers = taps
    apart, steps, (rows, columns) = fields(TapStrides, numbers), room.steps, repeats
    fold = room.shape.columns if room.folded else 0
    cells, step = apart.cells, apart.o
    r0, r1, r2 = cell // cells.columns // cells.rows, cell // cells.columns % cells.rows, cell % cells.columns
    phases, places = a2[0], a2[1]
    for u0 in range(a0.shape[1]):
        for u1 in range(a1.shape[1]):
            if a0[0, u0] != r0 or a1[0, u1] != r1:
                continue
            line = begin + a0[1, u0] * steps.plane + a1[1, u1] * steps.row
            for u2 in range(places.size):
                if phases[u2] != r2:
                    continue
                weight, place = at + ((u0 * a1.shape[1] + u1) * places.size + u2) * apart.tap, places[u2]
                point = line + (place // fold * steps.row + place % fold if fold else place * steps.point)
                if back:
                    for i in range(1, rows * columns):
                        other = point + i // columns * steps.row + i % columns * steps.point
                        poke(t, point, peek(t, point) + peek(t, other))
                    for i in range(count):
                        poke(w, weight + i * step, peek(t, point + i) * scale)
                else:
                    for i in range(count):
                        poke(t, point + i, peek(w, weight + i * step) * scale)
                    for i in range(1, rows * columns):
                        poke(t, point + i // columns * steps.row + i % columns * steps.point, peek(t, point))


@inlined
def find_run(starts, phase, position):
    """The run that holds a position."""
    low, high = 0, starts.shape[1] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if starts[phase, middle] <= position:
            low = middle
        else:
            high = middle
    return low


@kernel
def _clear_run(dst, begin, pitch, count):
    if pitch == 1:
        clear(dst, begin, count)
        return
    nothing = zeros(dst, 1)
    for i in range(count):
        store(dst, begin + i * pitch, nothing, None)


@kernel
def _read_run(x, source, next_channel, next_position, channels, dst, begin, pitch, count):
    """`count` positions of `channels` channels (at most a vector) of x to dst; lanes left over become zero."""
    if pitch == 1:
        if next_position == 1:
            copy(dst, begin, x, source, count)
        else:
            for i in range(count):
                poke(dst, begin + i, peek(x, source + i * next_position))
        return
    lanes = lanes_of(x)
    nothing = zeros(x, 1)
    if next_channel == 1 or channels == 1:
        mask = first_lanes(channels, nothing)
        for i in range(count):
            if channels == lanes:
                store(dst, begin + i * pitch, load(x, source + i * next_position, nothing, None), None)
            else:
                store(dst, begin + i * pitch, load(x, source + i * next_position, nothing, mask), None)
        return
    done = 0
    if channels == lanes and next_position == 1 and count >= lanes:
        done = count
        for i in range(0, count, lanes):
            i = min(i, count - lanes)  # the last block overlaps the one before
            transpose(dst, begin + i * pitch, pitch, x, source + i, next_channel)
    for i in range(done, count):
        store(dst, begin + i * pitch, nothing, None)
        for c in range(channels):
            poke(dst, begin + i * pitch + c, peek(x, source + c * next_channel + i * next_position))


@kernel
def _write_run(src, begin, pitch, count, y, place, next_channel, next_position, channels, how):
    """`count` positions of `channels` channels from src to y."""
    lanes = lanes_of(src)
    if pitch == 1 and next_position == 1:
        if how == ADD:
            _add_run(src, begin, count, y, place)
        else:
            copy(y, place, src, begin, count)
        return
    nothing, done = zeros(src, 1), 0
    if pitch > 1 and (next_channel == 1 or channels == 1):
        mask = first_lanes(channels, nothing)
        for i in range(count):
            at, to = begin + i * pitch, place + i * next_position
            if how == ADD:
                for c in range(channels):
                    poke(y, to + c, peek(y, to + c) + peek(src, at + c))
            elif channels == lanes:
                store(y, to, load(src, at, nothing, None), None)
            else:
                store(y, to, load(src, at, nothing, None), mask)
        return
    if how == WRITE and channels == lanes and next_position == 1 and count >= lanes:
        done = count
        for i in range(0, count, lanes):
            i = min(i, count - lanes)
            transpose(y, place + i, next_channel, src, begin + i * pitch, pitch)
    for c in range(channels):
        for i in range(done, count):
            to, value = place + c * next_channel + i * next_position, peek(src, begin + i * pitch + c)
            poke(y, to, peek(y, to) + value if how == ADD else value)


@kernel
def _add_run(src, begin, count, y, place):
    nothing = zeros(src, 1)
    lanes = lanes_of(src)
    for i in range(0, count, lanes):
        mask = first_lanes(count - i, nothing)
        total = add(load(y, place + i, nothing, mask), load(src, begin + i, nothing, mask))
        store(y, place + i, total, mask)
