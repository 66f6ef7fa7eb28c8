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
from ...simd.fields import fields, packed
from ...simd.halves import given, ranks, taken
from ...simd.jit import kernel
from ...simd.lane_math import add, divide, evens, largest, moved_up, multiply, odds, pick
from ...simd.lanes import address, first_lanes, inlined, lane_count, load, lowest, spread, store, zeros
from ...simd.parallel import parallel_kernel
from ...simd.vector import rolled
from ...windows import Run, Spacing, table_of
from .kinds import MAX, Planes, Rows, Way, ask_lanes, computed, next_row, planes_of, rows_of, share_of
from .phases import deal_for

PAIRS, THREES = Spacing(stride=2, before=0, kernel=2), Spacing(stride=2, before=1, kernel=3)


def serves(problem: PoolProblem) -> bool:
    """Whether windows along a row are pairs, or threes around every other element, and none is empty."""
    first, second, third = problem.axes
    alike = third.dilation == 1 and third.spacing() in (PAIRS, THREES)
    return alike and all(bool(table_of(rule)[:, 1].all()) for rule in (first, second))


def prepare(problem: PoolProblem, code: int, dtype: np.dtype, divisor: float) -> tuple[Any, ...]:
    """What `reduce_pairs` takes beside x and y; `divisor` 0 means that of the tables."""
    sums = computed(dtype)
    dealt = deal_for(problem, sums)
    divisors = (dealt.divisors if divisor == 0 else np.ones_like(dealt.divisors)).astype(sums)
    td, th, three = table_of(problem.axes[0]), table_of(problem.axes[1]), dealt.phases.taps == 3
    inner = packed(problem.axes[1].inner())
    return rows_of(problem), td, th, divisors, planes_of(problem), inner, three, code, divisor


def run(x: np.ndarray, y: np.ndarray, rows: Rows, *rest: Any) -> None:
    """Write one number per window to y."""
    reduce_pairs(*rows.shared(), x, y, *rest)


@parallel_kernel
def reduce_pairs(thread, first, last, x, y, td, th, divisors, planes, inner, three, code, divisor):  # type: ignore[no-untyped-def]
    """A task is an output row. `divisors` has its divisors, then their reciprocals or zeros; `inner` rows are alike."""
    p, run = fields(Planes, planes), fields(Run, inner)
    px, py, hops, stride = address(x), address(y), (p.hop_d, p.hop_h), run.stride * p.W
    plane, od, oh, task = first // (p.OH * p.OD) * p.D * p.H * p.W, first // p.OH % p.OD, first % p.OH, first
    while task < last:
        count, at, o, rows = (td[od, 1], th[oh, 1]), plane + (td[od, 0] * p.H + th[oh, 0]) * p.W, task * p.OW, 1
        share = share_of(float(td[od, 2] * th[oh, 2]) if divisor == 0.0 else divisor)
        by = address(divisors), divisors.size // 2, share, share.reciprocal != 0.0 and divisors[divisors.size // 2] != 0
        usual = run.first <= oh < run.last and count[0] == 1 and count[1] == (3 if three else 2)
        if usual:
            rows = min(last - task, run.last - oh)
        if code == MAX:
            if not usual:
                _odd_maxima(px, at, count, hops, py, o, p.W, p.OW, three, by)
            elif three:
                _rows(_three_rows, _wider, _larger, _ranks, _as_it_is, px, at, hops, stride, py, o, rows, p.W, p.OW, by)
            else:
                _rows(_two_rows, _narrow, _larger, _ranks, _as_it_is, px, at, hops, stride, py, o, rows, p.W, p.OW, by)
        elif not usual:
            _odd_means(px, at, count, hops, py, o, p.W, p.OW, three, by)
        elif three:
            _rows(_three_rows, _wider, _sum, _reals, _lowered, px, at, hops, stride, py, o, rows, p.W, p.OW, by)
        else:
            _rows(_two_rows, _narrow, _sum, _reals, _lowered, px, at, hops, stride, py, o, rows, p.W, p.OW, by)
        task += rows
        od, oh = next_row(od, oh + rows - 1, p.OD, p.OH)
        plane += p.D * p.H * p.W if od == 0 and oh == 0 else 0


@kernel
def _odd_maxima(x, at, count, hops, y, o, W, OW, three, by):  # type: ignore[no-untyped-def]
    """A row of maxima of windows of any number of rows."""
    if three:
        _row(_any_rows, _wider, _larger, _ranks, _as_it_is, x, at, count, hops, y, o, W, OW, by)
    else:
        _row(_any_rows, _narrow, _larger, _ranks, _as_it_is, x, at, count, hops, y, o, W, OW, by)


@kernel
def _odd_means(x, at, count, hops, y, o, W, OW, three, by):  # type: ignore[no-untyped-def]
    """A row of averages of windows of any number of rows."""
    if three:
        _row(_any_rows, _wider, _sum, _reals, _lowered, x, at, count, hops, y, o, W, OW, by)
    else:
        _row(_any_rows, _narrow, _sum, _reals, _lowered, x, at, count, hops, y, o, W, OW, by)


@inlined
def _rows(stacked, joined, both, neutrals, lowered, x, at, hops, stride, y, o, rows, W, OW, by):  # type: ignore[no-untyped-def]
    """Several rows of windows that are alike, `stride` elements apart: no branch but those of the two loops."""
    for _ in range(rows):
        _row(stacked, joined, both, neutrals, lowered, x, at, (1, 1), hops, y, o, W, OW, by)
        at += stride
        o += OW


@inlined
def _row(stacked, joined, both, neutrals, lowered, x, at, count, hops, y, o, W, OW, by):  # type: ignore[no-untyped-def]
    """Write y[o : o+OW]: `stacked` rows, whose columns are `joined`, by what `both` makes of two vectors."""
    like, before = neutrals(x, by)
    lanes = lane_count(before)
    whole = min(W // (2 * lanes), OW // lanes) * lanes
    for i in range(0, whole, lanes):
        j = rolled(i)
        ask_lanes(like, x, at + 2 * j)
        ask_lanes(like, x, at + 2 * j + hops[1])
        value = stacked(both, like, None, x, at + 2 * j, count, hops)
        odd = odds(value)
        store(y, o + j, given(lowered(joined(both, evens(value), odd, before), j, by), y), None)
        before = odd
    if whole < OW:
        ask_lanes(like, x, at + 2 * whole)
        ask_lanes(like, x, at + 2 * whole + hops[1])
        mask = first_lanes(W - 2 * whole, like)
        value = pick(mask, stacked(both, like, mask, x, at + 2 * whole, count, hops), like)
        total = lowered(joined(both, evens(value), odds(value), before), whole, by)
        store(y, o + whole, given(total, y), first_lanes(OW - whole, before))


@inlined
def _two_rows(both, like, mask, x, at, count, hops):  # type: ignore[no-untyped-def]
    return both(taken(load(x, at, like, mask), like), taken(load(x, at + hops[1], like, mask), like))


@inlined
def _three_rows(both, like, mask, x, at, count, hops):  # type: ignore[no-untyped-def]
    third = taken(load(x, at + 2 * hops[1], like, mask), like)
    return both(_two_rows(both, like, mask, x, at, count, hops), third)


@inlined
def _any_rows(both, like, mask, x, at, count, hops):  # type: ignore[no-untyped-def]
    """count[0]*count[1] rows of x, at least one, reduced to one, lane by lane."""
    total = taken(load(x, at, like, mask), like)
    for i in range(1, count[0] * count[1]):
        row = rolled(i)
        value = load(x, at + row // count[1] * hops[0] + row % count[1] * hops[1], like, mask)
        total = both(total, taken(value, like))
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
def _ranks(x, by):  # type: ignore[no-untyped-def]
    """What nothing is below, for two vectors of x and for one; 16 bits are compared as integers."""
    return lowest(ranks(x, 2)), lowest(ranks(x, 1))


@inlined
def _reals(x, by):  # type: ignore[no-untyped-def]
    """Zeros for two vectors of sums and for one."""
    return zeros(by[0], 2), zeros(by[0], 1)


@inlined
def _as_it_is(total, j, by):  # type: ignore[no-untyped-def]
    return total


@inlined
def _lowered(total, j, by):  # type: ignore[no-untyped-def]
    """Sums over their divisors, which differ from lane to lane; where all reciprocals are exact, times these."""
    divisors, places, share, exact = by
    if exact:
        return multiply(total, multiply(load(divisors, places + j, total, None), spread(share.reciprocal, total)))
    return divide(total, multiply(load(divisors, j, total, None), spread(share.divisor, total)))


BY_PAIRS = Way(reduce_pairs, prepare, run, "windows of 2, or 3 around every other column, everything in registers")
