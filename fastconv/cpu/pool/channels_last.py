"""Pooling of channels-last arrays: lanes are channels, so that every tap is one contiguous load.

A task owns one row of output pixels, in a block of channels where there are few rows (twin: channels_first, where lanes
are columns). Most windows of a row are alike: they form one run, and only those cut by the border are set up singly.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...problem import PoolProblem
from ...simd.fields import fields
from ...simd.halves import given, ranks, taken
from ...simd.jit import kernel
from ...simd.lane_math import add, convert, divide, doubles, largest, multiply, root
from ...simd.lanes import address, first_lanes, inlined, lane_count, load, lowest, spread, store, zero, zeros
from ...simd.parallel import parallel_kernel
from .kinds import (
    MAGNITUDES,
    SHORT_SUM,
    SUM,
    Planes,
    Rows,
    Way,
    ask_lanes,
    computed,
    lifted,
    planes_of,
    rows_of,
    share_of,
    tables_of,
)


def prepare(problem: PoolProblem, code: int, dtype: np.dtype, divisor: float) -> tuple[Any, ...]:
    """What `run` takes beside x and y; `divisor` 0 means that of the tables."""
    return rows_of(problem), tables_of(problem), planes_of(problem), np.empty(0, computed(dtype)), code, divisor


def _run(
    kernel: Any, x: np.ndarray, y: np.ndarray, rows: Rows, tables: Any, planes: np.ndarray, sums: np.ndarray,
    code: int, divisor: float,
) -> None:  # fmt: skip
    """Write one number per window and channel to y."""
    members, tasks, block = rows.shared_blocks()
    kernel(members, tasks, x, y, tables, planes, block, sums, code, divisor)


@parallel_kernel
def largest_last(thread, first, last, x, y, tables, planes, block, sums, code, divisor):  # type: ignore[no-untyped-def]
    """Maxima; see `_rows`."""
    _rows(_largest_run, first, last, x, y, tables, planes, block, sums, code, divisor)


@parallel_kernel
def sum_last(thread, first, last, x, y, tables, planes, block, sums, code, divisor):  # type: ignore[no-untyped-def]
    """Sums of any code, apart from the maxima: whoever needs one waits for the compiler half as long."""
    _rows(_sum_run, first, last, x, y, tables, planes, block, sums, code, divisor)


@inlined
def _rows(reduce_run, first, last, x, y, tables, planes, block, sums, code, divisor):  # type: ignore[no-untyped-def]
    """Tasks are output rows times blocks of `block` channels; `sums` is any array of the sums' dtype."""
    p = fields(Planes, planes)
    C, OD, OH, OW = p.C, p.OD, p.OH, p.OW
    td, th, tw = tables
    px, py, ps = address(x), address(y), address(sums)
    parts = (C + block - 1) // block
    hops = p.hop_d * C, p.hop_h * C, p.hop_w * C
    for task in range(first, last):
        row = task // parts
        od, oh, n = row // OH % OD, row % OH, row // (OH * OD)
        channels = task % parts * block, min(C, (task % parts + 1) * block)
        corner = ((n * p.D + td[od, 0]) * p.H + th[oh, 0]) * p.W
        ow = 0
        while ow < OW:
            pixels = p.run.last - p.run.first if ow == p.run.first else 1
            count = td[od, 1], th[oh, 1], tw[ow, 1]
            share = share_of(float(td[od, 2] * th[oh, 2] * tw[ow, 2]) if divisor == 0.0 else divisor)
            at, o = (corner + tw[ow, 0]) * C, (row * OW + ow) * C
            reduce_run(px, py, ps, at, o, pixels, p.run.stride * C, C, channels, count, hops, code, share)
            ow += pixels


@kernel
def _largest_run(x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share):  # type: ignore[no-untyped-def]
    """A row of windows `stride` apart; what is done to a window is chosen here, outside the loops."""
    if count == (1, 2, 2):
        _each_pixel(_largest_of_two, _ranks, x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share)
    elif count == (1, 3, 3):
        _each_pixel(_largest_of_three, _ranks, x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share)
    else:
        _each_pixel(_largest, _ranks, x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share)


@kernel
def _sum_run(x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share):  # type: ignore[no-untyped-def]
    """`_largest_run` for sums."""
    if code == SUM and count == (1, 2, 2):
        _each_pixel(_mean_of_two, _reals, x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share)
    elif code == SUM and count == (1, 3, 3):
        _each_pixel(_mean_of_three, _reals, x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share)
    elif code == SUM and count[0] * count[1] * count[2] <= SHORT_SUM:
        _each_pixel(_mean, _reals, x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share)
    else:
        _each_pixel(_exact, _reals, x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share)


@inlined
def _each_pixel(window, made, x, y, sums, at, o, pixels, stride, C, channels, count, hops, code, share):  # type: ignore[no-untyped-def]
    """Channels four vectors at a time, then two, then part of two."""
    many, two = made(x, sums)
    lanes = lane_count(two) // 2
    mask = first_lanes((channels[1] - channels[0]) % (2 * lanes), two)
    for _ in range(pixels):
        c = channels[0]
        while c + 4 * lanes <= channels[1]:
            store(y, o + c, given(window(many, None, x, at + c, count, hops, code, share), y), None)
            c += 4 * lanes
        while c + 2 * lanes <= channels[1]:
            store(y, o + c, given(window(two, None, x, at + c, count, hops, code, share), y), None)
            c += 2 * lanes
        if c < channels[1]:
            store(y, o + c, given(window(two, mask, x, at + c, count, hops, code, share), y), mask)
        at += stride
        o += C


@inlined
def _ranks(x, sums):  # type: ignore[no-untyped-def]
    """Four vectors and two, as elements of x are compared."""
    return ranks(x, 4), ranks(x, 2)


@inlined
def _reals(x, sums):  # type: ignore[no-untyped-def]
    """Four vectors and two, as elements of x are added."""
    return zeros(sums, 4), zeros(sums, 2)


@inlined
def _largest_of_two(like, mask, x, at, count, hops, code, share):  # type: ignore[no-untyped-def]
    """`_largest` of the usual window of 2x2."""
    best = largest(_asked(like, mask, x, at), _asked(like, mask, x, at + hops[2]))
    best = largest(best, _asked(like, mask, x, at + hops[1]))
    return largest(best, _asked(like, mask, x, at + hops[1] + hops[2]))


@inlined
def _largest_of_three(like, mask, x, at, count, hops, code, share):  # type: ignore[no-untyped-def]
    """`_largest` of the usual window of 3x3, of which the last two rows and columns were not read before."""
    best = taken(load(x, at, like, mask), like)
    for v in range(1, 3):
        best = largest(best, taken(load(x, at + v * hops[2], like, mask), like))
    for u in range(1, 3):
        best = largest(best, taken(load(x, at + u * hops[1], like, mask), like))
        for v in range(1, 3):
            best = largest(best, _asked(like, mask, x, at + u * hops[1] + v * hops[2]))
    return best


@inlined
def _mean_of_two(like, mask, x, at, count, hops, code, share):  # type: ignore[no-untyped-def]
    """`_mean` of the usual window of 2x2."""
    total = add(_asked(like, mask, x, at), _asked(like, mask, x, at + hops[2]))
    total = add(total, _asked(like, mask, x, at + hops[1]))
    return _quotient(add(total, _asked(like, mask, x, at + hops[1] + hops[2])), share)


@inlined
def _mean_of_three(like, mask, x, at, count, hops, code, share):  # type: ignore[no-untyped-def]
    """`_mean` of the usual window of 3x3."""
    total = taken(load(x, at, like, mask), like)
    for v in range(1, 3):
        total = add(total, taken(load(x, at + v * hops[2], like, mask), like))
    for u in range(1, 3):
        total = add(total, taken(load(x, at + u * hops[1], like, mask), like))
        for v in range(1, 3):
            total = add(total, _asked(like, mask, x, at + u * hops[1] + v * hops[2]))
    return _quotient(total, share)


@inlined
def _asked(like, mask, x, at):  # type: ignore[no-untyped-def]
    """The lanes at `at`, and a word to memory about what will be read later."""
    ask_lanes(like, x, at)
    return taken(load(x, at, like, mask), like)


@inlined
def _largest(like, mask, x, at, count, hops, code, share):  # type: ignore[no-untyped-def]
    """The largest of the lanes at `at` and at the other taps; count and hops are (D, H, W)."""
    best = lowest(like)
    for a in range(count[0]):
        for u in range(count[1]):
            i = at + a * hops[0] + u * hops[1]
            for _ in range(count[2]):
                best = largest(best, taken(load(x, i, like, mask), like))
                i += hops[2]
    return best


@inlined
def _mean(like, mask, x, at, count, hops, code, share):  # type: ignore[no-untyped-def]
    """The share of the sum over all taps, in x's dtype."""
    total = zero(like)
    for a in range(count[0]):
        for u in range(count[1]):
            i = at + a * hops[0] + u * hops[1]
            for _ in range(count[2]):
                total = add(total, taken(load(x, i, like, mask), like))
                i += hops[2]
    return _quotient(total, share)


@inlined
def _exact(like, mask, x, at, count, hops, code, share):  # type: ignore[no-untyped-def]
    """What lifted lanes sum up to in float64; each row of a window has a partial sum of its own."""
    total = doubles(zero(like))
    for a in range(count[0]):
        for u in range(count[1]):
            i = at + a * hops[0] + u * hops[1]
            row = zero(total)
            for _ in range(count[2]):
                row = add(row, lifted(doubles(taken(load(x, i, like, mask), like)), code))
                i += hops[2]
            total = add(total, row)
    if code == SUM:
        return convert(_quotient(total, share), like)
    return convert(total if code == MAGNITUDES else root(total), like)


@inlined
def _quotient(total, share):  # type: ignore[no-untyped-def]
    """The sum over its share's divisor; where the reciprocal is exact a product is much cheaper."""
    if share.reciprocal != 0.0:
        return multiply(total, spread(share.reciprocal, total))
    return divide(total, spread(share.divisor, total))


_TEXT = "lanes are channels, windows one after the other"
MAXIMA = Way(largest_last, prepare, partial(_run, largest_last), _TEXT)
SUMS = Way(sum_last, prepare, partial(_run, sum_last), _TEXT)
