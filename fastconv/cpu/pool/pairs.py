"""Pooling of channels-first arrays by 2x2 windows and 3x3 windows around every other element: everything in registers.

The usual case of `channels_first.reduce_rows`, stride 2 along the row with no padding and a window of 2, or padding 1
and a window of 3: a window's columns are then an even one, the odd one behind it, and for 3 the odd one before. The
rows of a window are reduced to one vector pair, whose even and odd lanes are reduced in turn: no row goes through
memory.
"""

from __future__ import annotations

from ...simd.jit import parallel_kernel
from ...simd.lane_math import add, evens, largest, moved_up, odds, pick
from ...simd.lanes import address, first_lanes, inlined, load, lowest, store, zero, zeros
from ...simd.vector import lanes_of
from ...windows import Tables
from .channels_first import lowered_columns
from .windows import MAX, DealPlan, next_row, with_reciprocal


def serves(plan: DealPlan, windows: Tables, step: int) -> bool:
    """Whether windows along a row are pairs, or threes around every other element, and none is empty."""
    stride, before = plan.line[:2]
    alike = stride == 2 and step == 1 and (before, len(plan.taps)) in ((0, 2), (1, 3))
    return alike and all(bool(table[:, 1].all()) for table in windows[:2])


@parallel_kernel
def reduce_pairs(  # type: ignore[no-untyped-def]
    thread, first, last, x, y, td, th, columns, sizes, step, OW, three, code, divisor
):
    """One number per window: a task is an output row. `columns` has its divisors, then their reciprocals or zeros."""
    D, H, W = sizes
    px, py, pc = address(x), address(y), address(columns)
    OD, OH, lanes = td.shape[0], th.shape[0], lanes_of(x)
    like, half = zeros(x, 2), zeros(x, 1)
    neutral = lowest(half) if code == MAX else zero(half)
    whole = min(W // (2 * lanes), OW // lanes) * lanes
    mask, left = first_lanes(W - 2 * whole, like), first_lanes(OW - whole, half)
    plane, od, oh = first // (OH * OD) * D * H * W, first // OH % OD, first % OH
    stride, cells, share = (step[0] * H * W, step[1] * W), -1, with_reciprocal(divisor)
    for task in range(first, last):
        if divisor == 0.0 and td[od, 2] * th[oh, 2] != cells:
            cells = td[od, 2] * th[oh, 2]
            share = with_reciprocal(float(cells))
        count = td[od, 1], th[oh, 1]
        at, before = plane + (td[od, 0] * H + th[oh, 0]) * W, neutral
        for j in range(0, whole, lanes):
            value = _stacked(like, None, px, at + 2 * j, count, stride, code)
            odd = odds(value)
            total = _joined(evens(value), odd, before, three, code)
            if code != MAX:
                total = lowered_columns(total, pc, columns.size // 2, j, code, share)
            store(py, task * OW + j, total, None)
            before = odd
        if whole < OW:
            value = _stacked(like, mask, px, at + 2 * whole, count, stride, code)
            if code == MAX:
                value = pick(mask, value, lowest(like))
            total = _joined(evens(value), odds(value), before, three, code)
            if code != MAX:
                total = lowered_columns(total, pc, columns.size // 2, whole, code, share)
            store(py, task * OW + whole, total, left)
        od, oh = next_row(od, oh, OD, OH)
        plane += D * H * W if od == 0 and oh == 0 else 0


@inlined
def _stacked(like, mask, x, at, count, stride, code):  # type: ignore[no-untyped-def]
    """count[0]*count[1] rows of x, at least one, reduced to one, lane by lane."""
    total = load(x, at, like, mask)
    for u in range(1, count[1]):
        value = load(x, at + u * stride[1], like, mask)
        total = largest(total, value) if code == MAX else add(total, value)
    for a in range(1, count[0]):
        for u in range(count[1]):
            value = load(x, at + a * stride[0] + u * stride[1], like, mask)
            total = largest(total, value) if code == MAX else add(total, value)
    return total


@inlined
def _joined(even, odd, before, three, code):  # type: ignore[no-untyped-def]
    if code == MAX:
        return largest(largest(moved_up(before, odd), even), odd) if three else largest(even, odd)
    return add(add(moved_up(before, odd), even), odd) if three else add(even, odd)
