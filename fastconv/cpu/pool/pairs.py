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
from ...simd.vector import lanes_of
from ...windows import Spacing, table_of
from .channels_first import lowered_columns
from .kinds import MAX, Planes, Rows, Way, next_row, planes_of, rows_of, share_of
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
    p = fields(Planes, planes)
    px, py, pc, places = address(x), address(y), address(divisors), divisors.size // 2
    W, OD, OH, OW, lanes = p.W, p.OD, p.OH, p.OW, lanes_of(x)
    like, half = zeros(x, 2), zeros(x, 1)
    neutral = lowest(half) if code == MAX else zero(half)
    whole = min(W // (2 * lanes), OW // lanes) * lanes
    mask, left = first_lanes(W - 2 * whole, like), first_lanes(OW - whole, half)
    plane, od, oh = first // (OH * OD) * p.D * p.H * W, first // OH % OD, first % OH
    hops, cells, share = (p.hop_d, p.hop_h), -1, share_of(divisor)
    for task in range(first, last):
        if divisor == 0.0 and td[od, 2] * th[oh, 2] != cells:
            cells = td[od, 2] * th[oh, 2]
            share = share_of(float(cells))
        count = td[od, 1], th[oh, 1]
        at, before = plane + (td[od, 0] * p.H + th[oh, 0]) * W, neutral
        for j in range(0, whole, lanes):
            value = _stacked(like, None, px, at + 2 * j, count, hops, code)
            odd = odds(value)
            total = _joined(evens(value), odd, before, three, code)
            if code != MAX:
                total = lowered_columns(total, pc, places, j, code, share)
            store(py, task * OW + j, total, None)
            before = odd
        if whole < OW:
            value = _stacked(like, mask, px, at + 2 * whole, count, hops, code)
            if code == MAX:
                value = pick(mask, value, lowest(like))
            total = _joined(evens(value), odds(value), before, three, code)
            if code != MAX:
                total = lowered_columns(total, pc, places, whole, code, share)
            store(py, task * OW + whole, total, left)
        od, oh = next_row(od, oh, OD, OH)
        plane += p.D * p.H * W if od == 0 and oh == 0 else 0


@inlined
def _stacked(like, mask, x, at, count, hops, code):  # type: ignore[no-untyped-def]
    """count[0]*count[1] rows of x, at least one, reduced to one, lane by lane."""
    total = load(x, at, like, mask)
    for u in range(1, count[1]):
        value = load(x, at + u * hops[1], like, mask)
        total = largest(total, value) if code == MAX else add(total, value)
    for a in range(1, count[0]):
        for u in range(count[1]):
            value = load(x, at + a * hops[0] + u * hops[1], like, mask)
            total = largest(total, value) if code == MAX else add(total, value)
    return total


@inlined
def _joined(even, odd, before, three, code):  # type: ignore[no-untyped-def]
    if code == MAX:
        return largest(largest(moved_up(before, odd), even), odd) if three else largest(even, odd)
    return add(add(moved_up(before, odd), even), odd) if three else add(even, odd)


BY_PAIRS = Way(reduce_pairs, prepare, run, "windows of 2, or 3 around every other column, everything in registers")
