"""Max pooling with the places of the maxima: the number of each in its (n, c) plane, the first of equals.

A maximum beats an earlier one only if it is larger, or the first NaN, so taps are visited in the order of their places.
`argmax_last` (lanes are channels) and `argmax_regions` serve all windows, `argmax_rows` (lanes are columns) those that
lie a stride apart. All serve integers too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...kept import kept
from ...memory import scratch
from ...problem import PoolProblem
from ...simd.fields import behind, fields
from ...simd.jit import kernel
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
from ...simd.parallel import parallel_kernel
from ...simd.vector import lanes_of
from ...windows import Rule, table_of
from .kinds import Planes, Rows, Way, next_row, planes_of, rows_of, tables_of
from .phases import Deal, Phases, clear_row, deal, deal_for, deal_rest

# Places are counted in int32 where a plane has no more elements than this: twice as many fit in a vector.
NARROW = 1 << 30

# Elements along the row of the largest window that is dealt: its taps have a table.
LARGEST = 1 << 16


def prepare_channels(problem: PoolProblem, dtype: np.dtype) -> tuple[Any, ...]:
    """What `by_channels` takes beside the arrays."""
    return rows_of(problem), tables_of(problem), planes_of(problem), unit_of(problem)


def by_channels(
    x: np.ndarray, y: np.ndarray, indices: np.ndarray, rows: Rows, tables: Any, planes: np.ndarray, unit: np.generic
) -> None:
    """Write every window's maximum to y and its place to `indices`, where channels lie side by side."""
    members, tasks, block = rows.shared_blocks()
    argmax_last(members, tasks, x, y, indices, tables, planes, block, unit)


def prepare_rows(problem: PoolProblem, dtype: np.dtype) -> tuple[Any, ...]:
    """What `by_rows` takes beside the arrays."""
    dealt, unit = deal_for(problem, dtype), unit_of(problem)
    tables = table_of(problem.axes[0]), table_of(problem.axes[1])
    starts = _starts(problem.axes[2], dealt.phases.length, unit.dtype)
    return rows_of(problem), dealt, tables, starts, planes_of(problem), unit


def by_rows(
    x: np.ndarray, y: np.ndarray, indices: np.ndarray, rows: Rows, dealt: Deal, tables: Any, starts: np.ndarray,
    planes: np.ndarray, unit: np.generic,
) -> None:  # fmt: skip
    """Write every window's maximum to y and its place to `indices`, for windows that are alike."""
    (members, tasks), length = rows.shared(), dealt.phases.length
    values = scratch((members * (2 * dealt.row + length),), x.dtype)
    places = scratch((members * length,), unit.dtype)
    argmax_rows(members, tasks, x, y, indices, *tables, starts, values, places, planes, dealt.numbers, unit)


def prepare_regions(problem: PoolProblem, dtype: np.dtype) -> tuple[Any, ...]:
    """What `by_regions` takes beside the arrays."""
    return rows_of(problem), tables_of(problem), planes_of(problem)


def by_regions(x: np.ndarray, y: np.ndarray, indices: np.ndarray, rows: Rows, *rest: Any) -> None:
    """Write every window's maximum to y and its place to `indices`, for windows of any shape."""
    argmax_regions(*rows.shared(), x, y, indices, *rest)


def unit_of(problem: PoolProblem) -> np.generic:
    """A number of the dtype in which places are counted."""
    return np.int32(0) if math.prod(problem.size) <= NARROW else np.int64(0)


@kept
def _starts(rule: Rule, length: int, dtype: np.dtype) -> np.ndarray:
    """The first real column of every window; far below 0 for a window without any, and beyond the last window."""
    table = table_of(rule)
    starts = np.full(length, -NARROW if dtype.itemsize == 4 else -(1 << 61), dtype)
    held = np.flatnonzero(table[:, 1])
    starts[held] = table[held, 0]
    return starts


@parallel_kernel
def argmax_last(thread, first, last, x, y, indices, tables, planes, block, unit):  # type: ignore[no-untyped-def]
    """Channels-last: tasks are output rows times blocks of `block` channels."""
    p = fields(Planes, planes)
    H, W, C, OD, OH, OW = p.H, p.W, p.C, p.OD, p.OH, p.OW
    td, th, tw = tables
    px, py, pi = address(x), address(y), address(indices)
    parts = (C + block - 1) // block
    hops = p.hop_d, p.hop_h, p.hop_w
    for task in range(first, last):
        row = task // parts
        od, oh, n = row // OH % OD, row % OH, row // (OH * OD)
        channels = task % parts * block, min(C, (task % parts + 1) * block)
        ow = 0
        while ow < OW:
            pixels = p.run.last - p.run.first if ow == p.run.first else 1
            count = td[od, 1], th[oh, 1], tw[ow, 1]
            place = (td[od, 0] * H + th[oh, 0]) * W + tw[ow, 0]
            o = (row * OW + ow) * C
            _argmax_run(px, py, pi, n * p.D * H * W * C, place, o, pixels, p.run.stride, C, channels, count, hops, unit)
            ow += pixels


@kernel
def _argmax_run(x, y, indices, base, place, o, pixels, stride, C, channels, count, hops, unit):  # type: ignore[no-untyped-def]
    """A row of windows `stride` apart: channels two vectors at a time, then one, then part of one."""
    many, one, lanes = zeros(x, 2), zeros(x, 1), lanes_of(x)
    mask = first_lanes((channels[1] - channels[0]) % lanes, one)
    for _ in range(pixels):
        c = channels[0]
        while c + 2 * lanes <= channels[1]:
            _argmax_window(many, None, x, y, indices, base + c, place, o + c, count, hops, C, unit)
            c += 2 * lanes
        while c + lanes <= channels[1]:
            _argmax_window(one, None, x, y, indices, base + c, place, o + c, count, hops, C, unit)
            c += lanes
        if c < channels[1]:
            _argmax_window(one, mask, x, y, indices, base + c, place, o + c, count, hops, C, unit)
        place += stride
        o += C


@inlined
def _argmax_window(like, mask, x, y, indices, base, place, o, count, hops, C, unit):  # type: ignore[no-untyped-def]
    best = lowest(like)
    where = numbers(place if count[0] * count[1] * count[2] > 0 else -1, 0, like, unit)
    for a in range(count[0]):
        for u in range(count[1]):
            i = place + a * hops[0] + u * hops[1]
            for _ in range(count[2]):
                value = load(x, base + i * C, like, mask)
                wins = beats(value, best)
                best = pick(wins, value, best)
                where = pick(wins, spread(i, where), where)
                i += hops[2]
    store(y, o, best, mask)
    store(indices, o, convert(where, indices), mask)


@parallel_kernel
def argmax_rows(  # type: ignore[no-untyped-def]
    thread, first, last, x, y, indices, td, th, starts, scratch, places, planes, dealing, unit
):
    """Channels-first, windows a stride apart: a task is an output row.

    `scratch` is as for `reduce_rows`, but has one more row for each thread, the best so far, and `places` a row of
    their places; `starts` has the first real column of each window, or a number so far below 0 that no place makes up
    for it. `unit` has the dtype of places.
    """
    p, phases = fields(Planes, planes), fields(Phases, dealing)
    px, ps, pp, pt = address(x), address(scratch), address(places), behind(phases)
    length, H, W, OD, OH, OW = phases.stride * phases.length, p.H, p.W, p.OD, p.OH, p.OW
    row = thread * (2 * length + phases.length)
    dealt, best, where = row if phases.stride == 1 else row + length, row + 2 * length, thread * phases.length
    clear_row(ps, row, 2 * length, True)
    plane, od, oh = first // (OH * OD) * p.D * H * W, first // OH % OD, first % OH
    for task in range(first, last):
        place = (td[od, 0] * H + th[oh, 0]) * W
        _start(ps, best, address(starts), pp, where, OW, place, td[od, 1] * th[oh, 1] == 0)
        for a in range(td[od, 1]):
            for u in range(th[oh, 1]):
                at = place + a * p.hop_d + u * p.hop_h
                _deal_row(px, plane + at, ps, row, dealt, phases)
                _update(ps, dealt, best, pp, where, pt, phases, at - phases.before, p.hop_w, unit)
        _finish(ps, best, address(y), pp, where, address(indices), task * OW, OW)
        od, oh = next_row(od, oh, OD, OH)
        plane += p.D * H * W if od == 0 and oh == 0 else 0


@inlined
def _start(row, best, starts, places, where, OW, place, empty):  # type: ignore[no-untyped-def]
    """No element so far: its place is that of the window's first, which stands if none is above the lowest value."""
    like = zeros(row, 1)
    for j in range(0, OW, lanes_of(row)):
        home = load(starts, j, like, None)
        store(row, best + j, lowest(like), None)
        store(places, where + j, spread(-1, home) if empty else add(home, spread(place, home)), None)


@kernel
def _deal_row(x, at, scratch, row, dealt, phases):  # type: ignore[no-untyped-def]
    """Deal one row of x; columns are visited from the leading padding on."""
    like, c = zeros(scratch, 2), -phases.before
    while c < phases.used:
        if c >= 0 and c + lane_count(like) <= phases.used:
            value = load(x, at + c, like, None)
        else:
            mask = lanes_between(-c, phases.used - c, like)
            value = pick(mask, load(x, at + c, like, mask), lowest(like))
        deal(value, scratch, row, dealt, phases, c + phases.before)
        c += lane_count(like)
    deal_rest(scratch, row, dealt, phases)


@inlined
def _update(row, dealt, best, places, where, taps, phases, start, step, unit):  # type: ignore[no-untyped-def]
    """Let the elements of one row compete: tap v of window i is number start + i*stride + v*step."""
    like = zeros(row, 1)
    for j in range(0, phases.out, lanes_of(row)):
        champion, home = load(row, best + j, like, None), load(places, where + j, like, None)
        number = numbers(start + j * phases.stride, phases.stride, like, unit)
        for v in range(phases.taps):
            value = load(row, dealt + peek(taps, v) + j, like, None)
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
def argmax_regions(thread, first, last, x, y, indices, tables, planes):  # type: ignore[no-untyped-def]
    """Channels-first, windows of any shape, element by element: a task is an output row."""
    p = fields(Planes, planes)
    td, th, tw = tables
    px, OD, OH, OW = address(x), p.OD, p.OH, p.OW
    neutral = lowest(px)
    for task in range(first, last):
        od, oh, plane = task // OH % OD, task % OH, task // (OH * OD) * p.D * p.H * p.W
        for ow in range(OW):
            count = td[od, 1], th[oh, 1], tw[ow, 1]
            place = (td[od, 0] * p.H + th[oh, 0]) * p.W + tw[ow, 0]
            best, where = neutral, place if count[0] * count[1] * count[2] > 0 else -1
            for a in range(count[0]):
                for u in range(count[1]):
                    i = place + a * p.hop_d + u * p.hop_h
                    for _ in range(count[2]):
                        value = peek(px, plane + i)
                        if value > best or (np.isnan(value) and not np.isnan(best)):
                            best, where = value, i
                        i += p.hop_w
            y[task * OW + ow], indices[task * OW + ow] = best, where


def _scratch(problem: PoolProblem, dtype: np.dtype) -> int:
    dealt = deal_for(problem, dtype)
    return (2 * dealt.row + dealt.phases.length) * dtype.itemsize + dealt.phases.length * unit_of(problem).itemsize


BY_CHANNELS = Way(argmax_last, prepare_channels, by_channels, "lanes are channels, windows one after the other")
BY_ROWS = Way(argmax_rows, prepare_rows, by_rows, "lanes are columns, rows compete one after the other", _scratch)
BY_REGIONS = Way(argmax_regions, prepare_regions, by_regions, "windows that are unlike, element by element")
