"""Cutting arrays into overlapping tiles and putting tiles together again, for method "fft".

Tiles have their channels last: ``(tiles, T0, T1, T2, groups * phases * channels)``. A task is one row of one tile.
"""

from __future__ import annotations

import numpy as np

from ..simd.jit import kernel, parallel_kernel
from ..simd.vector import clear, copy, lanes_of, transpose
from ..threads import team
from .fft_lattice import Batch, Lattice, Triple

WRITE, WRITE_BIAS, ADD = 0, 1, 2


def gather(source: Lattice, batch: Batch, tile: Triple, fill: Triple) -> np.ndarray:
    """Tiles of shape `tile` whose first `fill` positions hold the source and the others zero."""
    width = batch.groups * source.phases * batch.channels
    tiles = np.empty((batch.count, *tile, width), source.array.dtype)
    tasks = batch.count * tile[0] * tile[1]
    geometry = (*_geometry(source, batch), *tile, *fill)
    members = team(tasks, 4 * tiles.size)
    _gather(
        members,
        tasks,
        source.array.reshape(-1),
        tiles.reshape(-1),
        *source.tables,
        source.starts,
        source.indices,
        geometry,
    )
    return tiles


def scatter(target: Lattice, batch: Batch, tiles: np.ndarray, how: int, bias: np.ndarray) -> None:
    """Write or add the tiles' first `pitch` positions to the target; with WRITE_BIAS, bias[channel] is added.

    Where elements appear twice (the gradient of a border) each channel is one task, so that sums have a fixed order.
    """
    rows = batch.count * batch.pitch[0] * batch.pitch[1]
    geometry = (*_geometry(target, batch), *tiles.shape[1:4], how)
    groups, channels = geometry[12], geometry[15]
    tasks = rows if target.once else groups * channels
    _scatter(
        team(tasks, 4 * tiles.size), tasks, tiles.reshape(-1), target.array.reshape(-1), bias, *target.tables,
        target.starts, target.indices, 0 if target.once else rows, groups, channels, geometry,
    )  # fmt: skip


def _geometry(side: Lattice, batch: Batch) -> tuple[int, ...]:
    groups, channels = batch.groups, batch.channels
    if side.phases == 1 and channels == side.channels:  # the channels of all groups are one run
        groups, channels = 1, groups * channels
    first = batch.group * side.channels + batch.channel
    return (batch.first, *batch.counts, *batch.pitch, *side.strides, groups, side.channels, first, channels, side.step)


@kernel
def _find(starts, phase, position):  # type: ignore[no-untyped-def]
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
def _clear_columns(tiles, begin, width, rows, channels):  # type: ignore[no-untyped-def]
    if channels == width:
        clear(tiles, begin, rows * width)
    else:
        for i in range(rows):
            clear(tiles, begin + i * width, channels)


@kernel
def _copy_run(x, source, next_channel, next_position, tiles, begin, width, rows, channels):  # type: ignore[no-untyped-def]
    """`rows` positions of `channels` channels from x to neighbouring rows of the tile."""
    if next_channel == 1 and channels > 1:
        if channels == width and next_position == width:
            copy(tiles, begin, x, source, rows * width)
        else:
            for i in range(rows):
                copy(tiles, begin + i * width, x, source + i * next_position, channels)
    elif width == 1 and next_position == 1:
        copy(tiles, begin, x, source, rows)
    else:
        lanes = lanes_of(x)
        done = 0
        if next_position == 1 and rows >= lanes:
            done = channels // lanes * lanes
            for i in range(0, rows, lanes):
                i = min(i, rows - lanes)  # the last block overlaps the one before
                for c in range(0, done, lanes):
                    transpose(tiles, begin + i * width + c, width, x, source + c * next_channel + i, next_channel)
        for c in range(done, channels):
            for i in range(rows):
                tiles[begin + i * width + c] = x[source + c * next_channel + i * next_position]


@parallel_kernel
def _gather(thread, first, last, x, tiles, index0, index1, starts, indices, geometry):  # type: ignore[no-untyped-def]
    """One task: the row (a0, a1) of one tile, all phases and channels."""
    (begin, n0, n1, n2, v0, v1, v2, sn, sc, s0, s1, s2, groups, per_group, channel, channels, step,
     T0, T1, T2, fill0, fill1, fill2) = geometry  # fmt: skip
    phases = len(index0) * len(index1) * len(starts)
    width = groups * phases * channels
    for task in range(first, last):
        position, a0, a1 = begin + task // (T0 * T1), task // T1 % T0, task % T1
        row = task * T2 * width
        image = position // (n0 * n1 * n2)
        p0, p1, p2 = position // (n1 * n2) % n0 * v0 + a0, position // n2 % n1 * v1 + a1, position % n2 * v2
        if a0 >= fill0 or a1 >= fill1:
            clear(tiles, row, T2 * width)
            continue
        column = row
        for cell in range(groups * phases):
            r0 = cell // (len(index1) * len(starts)) % len(index0)
            k0, k1, r2 = index0[r0, p0], index1[cell // len(starts) % len(index1), p1], cell % len(starts)
            start = image * sn + (channel + cell // phases * per_group) * sc + k0 * s0 + k1 * s1
            i = 0
            run = _find(starts, r2, p2)
            while i < fill2:
                k2, stop = indices[r2, run], min(fill2, starts[r2, run + 1] - p2)
                if k2 >= 0:
                    k2 += (p2 + i - starts[r2, run]) * step
                if k0 < 0 or k1 < 0 or k2 < 0:
                    _clear_columns(tiles, column + i * width, width, stop - i, channels)
                else:
                    _copy_run(x, start + k2 * s2, sc, s2 * step, tiles, column + i * width, width, stop - i, channels)
                i, run = stop, run + 1
            _clear_columns(tiles, column + fill2 * width, width, T2 - fill2, channels)
            column += channels


@kernel
def _put_run(  # type: ignore[no-untyped-def]
    tiles, begin, width, rows, channels, y, target, next_channel, next_position, how, bias, first_bias
):
    """`rows` positions of `channels` channels from neighbouring rows of the tile to y."""
    if next_channel == 1 and channels > 1:
        for i in range(rows):
            values = tiles[begin + i * width : begin + i * width + channels]
            part = y[target + i * next_position : target + i * next_position + channels]
            if how == ADD:
                for c in range(channels):
                    part[c] += values[c]
            elif how == WRITE_BIAS:
                for c in range(channels):
                    part[c] = values[c] + bias[first_bias + c]
            else:
                copy(y, target + i * next_position, tiles, begin + i * width, channels)
        return
    lanes, done = lanes_of(tiles), 0
    if how == WRITE and next_position == 1 and rows >= lanes and channels >= lanes:
        done = channels // lanes * lanes
        for c in range(0, done, lanes):
            for i in range(0, rows, lanes):
                i = min(i, rows - lanes)  # the last block overlaps the one before
                transpose(y, target + c * next_channel + i, next_channel, tiles, begin + c + i * width, width)
    for c in range(done, channels):
        source, place = begin + c, target + c * next_channel
        if how == ADD:
            for i in range(rows):
                y[place + i * next_position] += tiles[source + i * width]
        elif how == WRITE_BIAS:
            for i in range(rows):
                y[place + i * next_position] = tiles[source + i * width] + bias[first_bias + c]
        elif width == 1 and next_position == 1:
            copy(y, place, tiles, source, rows)
        else:
            for i in range(rows):
                y[place + i * next_position] = tiles[source + i * width]


@kernel
def _put_row(  # type: ignore[no-untyped-def]
    item, from_group, to_group, from_channel, count, tiles, y, bias, index0, index1, starts, indices, geometry
):
    """Channels from_channel..+count-1 of some groups in one row of one tile, all phases."""
    (begin, n0, n1, n2, v0, v1, v2, sn, sc, s0, s1, s2, groups, per_group, channel, channels, step,
     T0, T1, T2, how) = geometry  # fmt: skip
    phases = len(index0) * len(index1) * len(starts)
    width = groups * phases * channels
    tile, a0, a1 = item // (v0 * v1), item // v1 % v0, item % v1
    position, row = begin + tile, ((tile * T0 + a0) * T1 + a1) * T2 * width
    image = position // (n0 * n1 * n2)
    p0, p1, p2 = position // (n1 * n2) % n0 * v0 + a0, position // n2 % n1 * v1 + a1, position % n2 * v2
    for cell in range(from_group * phases, to_group * phases):
        r0 = cell // (len(index1) * len(starts)) % len(index0)
        k0, k1, r2 = index0[r0, p0], index1[cell // len(starts) % len(index1), p1], cell % len(starts)
        if k0 < 0 or k1 < 0:
            continue
        first = channel + cell // phases * per_group + from_channel
        place = image * sn + first * sc + k0 * s0 + k1 * s1
        source = row + cell * channels + from_channel
        i = 0
        run = _find(starts, r2, p2)
        while i < v2:
            k2, stop = indices[r2, run], min(v2, starts[r2, run + 1] - p2)
            if k2 >= 0:
                k2 += (p2 + i - starts[r2, run]) * step
                _put_run(
                    tiles, source + i * width, width, stop - i, count,
                    y, place + k2 * s2, sc, s2 * step, how, bias, first,
                )  # fmt: skip
            i, run = stop, run + 1


@parallel_kernel
def _scatter(  # type: ignore[no-untyped-def]
    thread, first, last, tiles, y, bias, index0, index1, starts, indices, rows, groups, channels, geometry
):
    """One task: a row of one tile with all channels; or, with `rows`, one channel of all rows."""
    for task in range(first, last):
        row, to_row, group, to_group, channel, count = task, task + 1, 0, groups, 0, channels
        if rows > 0:
            row, to_row, group, channel, count = 0, rows, task // channels, task % channels, 1
            to_group = group + 1
        while row < to_row:
            _put_row(
                row, group, to_group, channel, count, tiles, y, bias, index0, index1, starts, indices, geometry
            )  # fmt: skip
            row += 1
