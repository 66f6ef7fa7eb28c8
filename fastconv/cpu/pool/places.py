"""Max pooling with the places of the maxima: the number of each in its (n, c) plane, the first of equals.

A maximum beats an earlier one only if it is larger, or the first NaN, so taps are visited in the order of their places.
`argmax_last` (lanes are channels) and `argmax_regions` serve all windows, `argmax_rows` (lanes are columns) those that
lie a stride apart. All serve integers too.
"""

from __future__ import annotations

import math

import numpy as np

from ...kept import kept
from ...simd.host import host
from ...simd.jit import kernel, parallel_kernel
from ...simd.lane_math import add, beats, convert, largest, pick
from ...simd.lanes import (
    address,
    first_lanes,
    inlined,
    lane_count,
    lanes_between,
    load,
    lowest,
    numbers,
    peek,
    spread,
    store,
    zeros,
)
from ...simd.vector import lanes_of
from ...threads import team
from ...windows import Windows, tables
from .channels_first import clear_row, deal, deal_all
from .windows import CHEAPER, channel_block, deal_plan, longest_run, next_row, shape_of, taps_of

# Places are counted in int32 where a plane has no more elements than this: twice as many fit in a vector.
NARROW = 1 << 30


def argmax(
    x: np.ndarray,
    y: np.ndarray,
    indices: np.ndarray,
    windows: Windows,
    *,
    step: tuple[int, int, int],
    channels_last: bool,
) -> None:
    """Write every window's maximum to y and its place to `indices`; see `pool.max_pool`."""
    C, sizes, channels_last = shape_of(x, channels_last)
    flat = x.reshape(-1), y.reshape(-1), indices.reshape(-1)
    rows, work, table = y.size // (C * windows[2].out), y.size * taps_of(windows), tables(windows)
    unit = np.int32(0) if math.prod(sizes) <= NARROW else np.int64(0)
    if channels_last:
        block = channel_block(rows, C)
        tasks, run = rows * -(-C // block), longest_run(table[2])
        argmax_last(team(tasks, work // CHEAPER), tasks, *flat, table, run, (*sizes, C), step, block, unit)
        return
    tasks = rows * C
    members = team(tasks, work)
    plan = deal_plan(windows, step[2], sizes[2], host().lanes(x.itemsize))
    if plan is None:
        argmax_regions(members, tasks, *flat, table, sizes, step)
        return
    phase = plan.line[3]
    scratch, places = np.empty(members * (2 * plan.length + phase), x.dtype), np.empty(members * phase, unit.dtype)
    starts = _starts(windows, phase, unit.dtype)
    td, th, _ = table
    argmax_rows(members, tasks, *flat, td, th, starts, scratch, places, plan.taps, sizes, step, plan.line, unit)


@kept
def _starts(windows: Windows, length: int, dtype: np.dtype) -> np.ndarray:
    """The first real column of every window; far below 0 for a window without any, and beyond the last window."""
    table = tables(windows)[2]
    starts = np.full(length, -NARROW if dtype.itemsize == 4 else -(1 << 61), dtype)
    held = np.flatnonzero(table[:, 1])
    starts[held] = table[held, 0]
    return starts


@parallel_kernel
def argmax_last(thread, first, last, x, y, indices, tables, run, sizes, step, block, unit):  # type: ignore[no-untyped-def]
    """Channels-last: tasks are output rows times blocks of `block` channels; `run` is the last table's longest run."""
    D, H, W, C = sizes
    td, th, tw = tables
    px, py, pi = address(x), address(y), address(indices)
    OD, OH, OW = td.shape[0], th.shape[0], tw.shape[0]
    parts = (C + block - 1) // block
    stride = step[0] * H * W, step[1] * W, step[2]
    for task in range(first, last):
        row = task // parts
        od, oh, n = row // OH % OD, row % OH, row // (OH * OD)
        channels = task % parts * block, min(C, (task % parts + 1) * block)
        ow = 0
        while ow < OW:
            pixels = run[1] - run[0] if ow == run[0] else 1
            count = td[od, 1], th[oh, 1], tw[ow, 1]
            place = (td[od, 0] * H + th[oh, 0]) * W + tw[ow, 0]
            o = (row * OW + ow) * C
            _argmax_run(px, py, pi, n * D * H * W * C, place, o, pixels, run[2], C, channels, count, stride, unit)
            ow += pixels


@kernel
def _argmax_run(x, y, indices, base, place, o, pixels, hop, C, channels, count, stride, unit):  # type: ignore[no-untyped-def]
    """A row of windows `hop` apart: channels two vectors at a time, then one, then part of one."""
    many, one, lanes = zeros(x, 2), zeros(x, 1), lanes_of(x)
    mask = first_lanes((channels[1] - channels[0]) % lanes, one)
    for _ in range(pixels):
        c = channels[0]
        while c + 2 * lanes <= channels[1]:
            _argmax_window(many, None, x, y, indices, base + c, place, o + c, count, stride, C, unit)
            c += 2 * lanes
        while c + lanes <= channels[1]:
            _argmax_window(one, None, x, y, indices, base + c, place, o + c, count, stride, C, unit)
            c += lanes
        if c < channels[1]:
            _argmax_window(one, mask, x, y, indices, base + c, place, o + c, count, stride, C, unit)
        place += hop
        o += C


@inlined
def _argmax_window(like, mask, x, y, indices, base, place, o, count, stride, C, unit):  # type: ignore[no-untyped-def]
    best = lowest(like)
    where = numbers(place if count[0] * count[1] * count[2] > 0 else -1, 0, like, unit)
    for a in range(count[0]):
        for u in range(count[1]):
            i = place + a * stride[0] + u * stride[1]
            for _ in range(count[2]):
                value = load(x, base + i * C, like, mask)
                wins = beats(value, best)
                best = pick(wins, value, best)
                where = pick(wins, spread(i, where), where)
                i += stride[2]
    store(y, o, best, mask)
    store(indices, o, convert(where, indices), mask)


@parallel_kernel
def argmax_rows(  # type: ignore[no-untyped-def]
    thread, first, last, x, y, indices, td, th, starts, scratch, places, taps, sizes, step, line, unit
):
    """Channels-first, windows a stride apart: a task is an output row.

    `scratch`, `taps` and `line` are as for `reduce_rows`, but `scratch` has one more row for each thread, the best so
    far, and `places` a row of their places; `starts` has the first real column of each window, or a number so far below
    0 that no place makes up for it. `unit` has the dtype of places.
    """
    D, H, W = sizes
    px, ps, pp, pt, length = address(x), address(scratch), address(places), address(taps), line[0] * line[3]
    row = thread * (2 * length + line[3])
    phases, best, where = row if line[0] == 1 else row + length, row + 2 * length, thread * line[3]
    clear_row(ps, row, 2 * length, True)
    OD, OH = td.shape[0], th.shape[0]
    plane, od, oh = first // (OH * OD) * D * H * W, first // OH % OD, first % OH
    for task in range(first, last):
        place = (td[od, 0] * H + th[oh, 0]) * W
        _start(ps, best, address(starts), pp, where, line[4], place, td[od, 1] * th[oh, 1] == 0)
        for a in range(td[od, 1]):
            for u in range(th[oh, 1]):
                at = place + a * step[0] * H * W + u * step[1] * W
                _deal_row(px, plane + at, ps, row, phases, line)
                _update(ps, phases, best, pp, where, pt, taps.size, line, at - line[1], step[2], unit)
        _finish(ps, best, address(y), pp, where, address(indices), task * line[4], line[4])
        od, oh = next_row(od, oh, OD, OH)
        plane += D * H * W if od == 0 and oh == 0 else 0


@inlined
def _start(row, best, starts, places, where, OW, place, empty):  # type: ignore[no-untyped-def]
    """No element so far: its place is that of the window's first, which stands if none is above the lowest value."""
    like = zeros(row, 1)
    for j in range(0, OW, lanes_of(row)):
        home = load(starts, j, like, None)
        store(row, best + j, lowest(like), None)
        store(places, where + j, spread(-1, home) if empty else add(home, spread(place, home)), None)


@kernel
def _deal_row(x, at, scratch, row, phases, line):  # type: ignore[no-untyped-def]
    """Deal one row of x; columns are visited from the leading padding on."""
    like, c = zeros(scratch, 2), -line[1]
    while c < line[2]:
        if c >= 0 and c + lane_count(like) <= line[2]:
            value = load(x, at + c, like, None)
        else:
            mask = lanes_between(-c, line[2] - c, like)
            value = pick(mask, load(x, at + c, like, mask), lowest(like))
        deal(value, scratch, row, phases, line, c + line[1])
        c += lane_count(like)
    deal_all(scratch, row, phases, line)


@inlined
def _update(row, phases, best, places, where, taps, count, line, start, step, unit):  # type: ignore[no-untyped-def]
    """Let the elements of one row compete: tap v of window i is number start + i*stride + v*step."""
    like = zeros(row, 1)
    for j in range(0, line[4], lanes_of(row)):
        champion, home = load(row, best + j, like, None), load(places, where + j, like, None)
        number = numbers(start + j * line[0], line[0], like, unit)
        for v in range(count):
            value = load(row, phases + peek(taps, v) + j, like, None)
            wins = beats(value, champion)
            champion = pick(wins, value, champion)
            home = pick(wins, add(number, spread(v * step, number)), home)
        store(row, best + j, champion, None)
        store(places, where + j, home, None)


@inlined
def _finish(row, best, y, places, where, indices, o, OW):  # type: ignore[no-untyped-def]
    """Write one row of results; a place below 0 is that of an empty window."""
    like = zeros(row, 1)
    for j in range(0, OW, lanes_of(row)):
        mask = first_lanes(OW - j, like)
        home = load(places, where + j, like, None)
        store(y, o + j, load(row, best + j, like, None), mask)
        store(indices, o + j, convert(largest(home, spread(-1, home)), indices), mask)


@parallel_kernel
def argmax_regions(thread, first, last, x, y, indices, tables, sizes, step):  # type: ignore[no-untyped-def]
    """Channels-first, windows of any shape, element by element: a task is an output row."""
    D, H, W = sizes
    td, th, tw = tables
    OD, OH, OW = td.shape[0], th.shape[0], tw.shape[0]
    px = address(x)
    neutral = lowest(px)
    for task in range(first, last):
        od, oh, plane = task // OH % OD, task % OH, task // (OH * OD) * D * H * W
        for ow in range(OW):
            count = td[od, 1], th[oh, 1], tw[ow, 1]
            place = (td[od, 0] * H + th[oh, 0]) * W + tw[ow, 0]
            best, where = neutral, place if count[0] * count[1] * count[2] > 0 else -1
            for a in range(count[0]):
                for u in range(count[1]):
                    i = place + (a * step[0] * H + u * step[1]) * W
                    for _ in range(count[2]):
                        value = peek(px, plane + i)
                        if value > best or (np.isnan(value) and not np.isnan(best)):
                            best, where = value, i
                        i += step[2]
            y[task * OW + ow], indices[task * OW + ow] = best, where
