"""Reading one overlapping tile out of an array, and writing one tile's result back, for method "fft".

A tile has rows of T2 positions, T1 rows a plane, T0 planes; ``pitch`` tells how far these lie from each other where the
tile is kept. With ``pitch[2] == 1`` a tile holds one channel; otherwise each position holds a vector of channels. In a
*folded* tile, the rows are consecutive stretches of the last axis: one long line.

Both kernels take an array as its `Lattice` describes it (tables, then ``side``) and the grid of tiles ``(n0, n1, n2,
v0, v1, v2, T0, T1, T2, folded)``: how many tiles there are along each axis, and how far apart.
"""

from __future__ import annotations

from ...simd.jit import kernel
from ...simd.lane_math import add
from ...simd.lanes import address, first_lanes, inlined, load, peek, poke, store, zeros
from ...simd.vector import clear, copy, lanes_of, transpose

WRITE, ADD = 0, 1


@kernel
def locate(tile, grid):
    """Image of a tile, and where the tile begins on each axis."""
    n0, n1, n2, v0, v1, v2, _, _, _, _ = grid
    return tile // (n0 * n1 * n2), tile // (n1 * n2) % n0 * v0, tile // n2 % n1 * v1, tile % n2 * v2


@kernel
def gather_tile(x, index0, index1, starts, indices, side, grid, tile, cell, channel, channels, dst, begin, pitch):
    """Fill a tile at dst[begin:] with `channels` channels of one phase (`cell`), zeros where there is no element."""
    sn, sc, s0, s1, s2, step, fill0, fill1, fill2 = side
    T0, T1, T2, folded = grid[6], grid[7], grid[8], grid[9]
    x, dst = address(x), address(dst)
    image, b0, b1, b2 = locate(tile, grid)
    r0, r1, r2 = cell // len(starts) // len(index1), cell // len(starts) % len(index1), cell % len(starts)
    for a0 in range(T0):
        k0 = index0[r0, b0 + a0] if a0 < fill0 else -1
        for a1 in range(T1):
            k1, skip = -1, 0
            if folded:
                k1, skip = index1[r1, b1], a1 * T2
            elif a1 < fill1:
                k1 = index1[r1, b1 + a1]
            row, stop = begin + a0 * pitch[0] + a1 * pitch[1], max(0, min(T2, fill2 - skip))
            if k0 < 0 or k1 < 0:
                stop = 0
            i, p2, source = 0, b2 + skip, image * sn + channel * sc + k0 * s0 + k1 * s1
            run = find(starts, r2, p2)
            while i < stop:
                k2, end = indices[r2, run], min(stop, starts[r2, run + 1] - p2)
                at = row + i * pitch[2]
                if k2 < 0:
                    _clear_run(dst, at, pitch[2], end - i)
                else:
                    k2 += (p2 + i - starts[r2, run]) * step
                    _read_run(x, source + k2 * s2, sc, s2 * step, channels, dst, at, pitch[2], end - i)
                i, run = end, run + 1
            _clear_run(dst, row + stop * pitch[2], pitch[2], T2 - stop)


@kernel
def scatter_tile(y, index0, index1, starts, indices, side, grid, tile, cell, channel, channels, src, begin, pitch, how):
    """Write (or add) the tile's first v0 x v1 x v2 positions to the elements of y that they stand for."""
    sn, sc, s0, s1, s2, step, _, _, _ = side
    v0, v1, v2, T2, folded = grid[3], grid[4], grid[5], grid[8], grid[9]
    y, src = address(y), address(src)
    image, b0, b1, b2 = locate(tile, grid)
    r0, r1, r2 = cell // len(starts) // len(index1), cell // len(starts) % len(index1), cell % len(starts)
    rows = -(-v2 // T2) if folded else v1
    for a0 in range(v0):
        k0 = index0[r0, b0 + a0]
        for a1 in range(rows):
            k1, skip = (index1[r1, b1], a1 * T2) if folded else (index1[r1, b1 + a1], 0)
            if k0 < 0 or k1 < 0:
                continue
            row, stop = begin + a0 * pitch[0] + a1 * pitch[1], min(T2, v2 - skip)
            i, p2, place = 0, b2 + skip, image * sn + channel * sc + k0 * s0 + k1 * s1
            run = find(starts, r2, p2)
            while i < stop:
                k2, end = indices[r2, run], min(stop, starts[r2, run + 1] - p2)
                if k2 >= 0:
                    k2 += (p2 + i - starts[r2, run]) * step
                    at = row + i * pitch[2]
                    _write_run(src, at, pitch[2], end - i, y, place + k2 * s2, sc, s2 * step, channels, how)
                i, run = end, run + 1


@inlined
def find(starts, phase, position):
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
