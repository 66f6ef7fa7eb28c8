"""Pooling of channels-first arrays by 2x2 windows and 3x3 windows around every other element: everything in registers.

The usual case of `channels_first.reduce_rows`, stride 2 along the row with no padding and a window of 2, or padding 1
and a window of 3: a window's columns are then an even one, the odd one behind it, and for 3 the odd one before. The
rows of a window are reduced to one vector pair, whose even and odd lanes are reduced in turn: no row goes through
memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...problem import PoolProblem
from ...simd.fields import fields
from ...simd.lane_math import add, evens, largest, moved_up, odds, pick
from ...simd.lanes import address, first_lanes, inlined, load, lowest, store, zero, zeros
from ...simd.parallel import parallel_kernel
from ...simd.vector import lanes_of, rolled
from ...windows import Spacing, table_of
from .channels_first import lowered_columns
from .kinds import MAX, SUM, Planes, Rows, Way, next_row, planes_of, rows_of, share_of
from .phases import deal_for

PAIRS, THREES = Spacing(stride=2, before=0, kernel=2), Spacing(stride=2, before=1, kernel=3)


def serves(problem: PoolProblem) -> bool:
    """Whether windows along a row are pairs, or threes around every other element, and none is empty."""
    first, second, third = problem.axes
    alike = third.dilation == 1 and third.spacing() in (PAIRS, THREES)
    return alike and all(bool(table_of(rule)[:, 1].all()) for rule in (first, second))


def prepare(problem: PoolProblem, code: int, dtype: np.dtype, divisor: float) -> tuple[Any, ...]:
    """What `reduce_pairs` takes beside x and y; `divisor` 0 means that of the tables."""
    dealt = deal_for(problem, dtype)
    divisors = (dealt.divisors if divisor == 0 else np.ones_like(dealt.divisors)).astype(dtype)
    td, th, three = table_of(problem.axes[0]), table_of(problem.axes[1]), dealt.phases.taps == 3
    return rows_of(problem), td, th, divisors, planes_of(problem), three, code, divisor


def run(x: np.ndarray, y: np.ndarray, rows: Rows, *rest: Any) -> None:
    """Write one number per window to y."""
    reduce_pairs(*rows.shared(), x, y, *rest)


@parallel_kernel
def reduce_pairs(thread, first, last, x, y, td, th, divisors, planes, three, code, divisor):  # type: ignore[no-untyped-def]
    """A task is an output row. `divisors` has its divisors, then their reciprocals or zeros."""
    px, py, tables, divided = address(x), address(y), (td, th), (address(divisors), divisors.size // 2, divisor)
    if code == MAX and three:
        _rows(_three_rows, _wider, _larger, _lowest, _as_it_is, px, py, tables, planes, 3, first, last, divided)
    elif code == MAX:
        _rows(_two_rows, _narrow, _larger, _lowest, _as_it_is, px, py, tables, planes, 2, first, last, divided)
    elif three:
        _rows(_three_rows, _wider, _sum, _zero, _lowered, px, py, tables, planes, 3, first, last, divided)
    else:
        _rows(_two_rows, _narrow, _sum, _zero, _lowered, px, py, tables, planes, 2, first, last, divided)


@inlined
def _rows(stacked, joined, both, neutral, lowered, x, y, tables, planes, usual, first, last, divided):  # type: ignore[no-untyped-def]
    """Output rows first..last-1. A window of the `usual` number of rows goes without a branch for each of them."""
    p, (td, th) = fields(Planes, planes), tables
    D, H, W, OD, OH, OW, hops = p.D, p.H, p.W, p.OD, p.OH, p.OW, (p.hop_d, p.hop_h)
    plane, od, oh = first // (OH * OD) * D * H * W, first // OH % OD, first % OH
    cells, share = -1, share_of(divided[2])
    for task in range(first, last):
        count, at = (td[od, 1], th[oh, 1]), plane + (td[od, 0] * H + th[oh, 0]) * W
        if divided[2] == 0.0 and td[od, 2] * th[oh, 2] != cells:
            cells = td[od, 2] * th[oh, 2]
            share = share_of(float(cells))
        by = divided[0], divided[1], share
        if count[0] == 1 and count[1] == usual:
            _row(stacked, joined, both, neutral, lowered, x, at, count, hops, y, task * OW, W, OW, by)
        else:
            _row(_any_rows, joined, both, neutral, lowered, x, at, count, hops, y, task * OW, W, OW, by)
        od, oh = next_row(od, oh, OD, OH)
        plane += D * H * W if od == 0 and oh == 0 else 0


@inlined
def _row(stacked, joined, both, neutral, lowered, x, at, count, hops, y, o, W, OW, divided):  # type: ignore[no-untyped-def]
    """Write y[o : o+OW]: `stacked` rows, whose columns are `joined`, by what `both` makes of two vectors."""
    like, half, lanes = zeros(x, 2), zeros(x, 1), lanes_of(x)
    before, whole = neutral(half), min(W // (2 * lanes), OW // lanes) * lanes
    for i in range(0, whole, lanes):
        j = rolled(i)
        value = stacked(both, like, None, x, at + 2 * j, count, hops)
        odd = odds(value)
        store(y, o + j, lowered(joined(both, evens(value), odd, before), j, divided), None)
        before = odd
    if whole < OW:
        mask = first_lanes(W - 2 * whole, like)
        value = pick(mask, stacked(both, like, mask, x, at + 2 * whole, count, hops), neutral(like))
        total = lowered(joined(both, evens(value), odds(value), before), whole, divided)
        store(y, o + whole, total, first_lanes(OW - whole, half))


@inlined
def _two_rows(both, like, mask, x, at, count, hops):  # type: ignore[no-untyped-def]
    return both(load(x, at, like, mask), load(x, at + hops[1], like, mask))


@inlined
def _three_rows(both, like, mask, x, at, count, hops):  # type: ignore[no-untyped-def]
    return both(_two_rows(both, like, mask, x, at, count, hops), load(x, at + 2 * hops[1], like, mask))


@inlined
def _any_rows(both, like, mask, x, at, count, hops):  # type: ignore[no-untyped-def]
    """count[0]*count[1] rows of x, at least one, reduced to one, lane by lane."""
    total = load(x, at, like, mask)
    for i in range(1, count[0] * count[1]):
        row = rolled(i)
        total = both(total, load(x, at + row // count[1] * hops[0] + row % count[1] * hops[1], like, mask))
    return total


@inlined
def _narrow(both, even, odd, before):  # type: ignore[no-untyped-def]
    return both(even, odd)


@inlined
def _wider(both, even, odd, before):  # type: ignore[no-untyped-def]
    return both(both(moved_up(before, odd), even), odd)


@inlined
def _larger(a, b):  # type: ignore[no-untyped-def]
    return largest(a, b)


@inlined
def _sum(a, b):  # type: ignore[no-untyped-def]
    return add(a, b)


@inlined
def _lowest(like):  # type: ignore[no-untyped-def]
    return lowest(like)


@inlined
def _zero(like):  # type: ignore[no-untyped-def]
    return zero(like)


@inlined
def _as_it_is(total, j, divided):  # type: ignore[no-untyped-def]
    return total


@inlined
def _lowered(total, j, divided):  # type: ignore[no-untyped-def]
    return lowered_columns(total, divided[0], divided[1], j, SUM, divided[2])


BY_PAIRS = Way(reduce_pairs, prepare, run, "windows of 2, or 3 around every other column, everything in registers")
