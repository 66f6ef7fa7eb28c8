"""Pooling of channels-first arrays: lanes are columns of one plane (twin: channels_last, where lanes are channels).

`reduce_rows` serves windows that lie a stride apart. The rows of a window are reduced to one row, lane by lane; its
columns are dealt to phases, which makes every tap of all windows one contiguous load; then the taps are reduced. A
border needs no tests: the row lies in a longer one, elsewhere of the neutral element. `reduce_regions` serves wide
windows and those of varying size: one at a time, with lanes along their rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...memory import scratch
from ...problem import PoolProblem
from ...simd.fields import behind, fields
from ...simd.halves import given, taken
from ...simd.jit import kernel
from ...simd.lane_math import add, convert, divide, largest, largest_of, multiply, pick, root, sum_of
from ...simd.lanes import (
    address,
    first_lanes,
    inlined,
    lane_count,
    lanes_between,
    load,
    lowest,
    peek,
    poke,
    spread,
    store,
    zero,
    zeros,
)
from ...simd.parallel import parallel_kernel
from ...simd.vector import lanes_of
from ...windows import table_of
from .kinds import (
    MAX,
    SQUARES,
    SUM,
    Planes,
    Rows,
    Way,
    larger,
    lifted,
    next_row,
    planes_of,
    rows_of,
    share_of,
    sums_of,
    tables_of,
)
from .phases import Phases, clear_row, deal, deal_for, deal_rest


def prepare_rows(problem: PoolProblem, code: int, dtype: np.dtype, divisor: float) -> tuple[Any, ...]:
    """What `by_rows` takes beside x and y; `divisor` 0 means that of the tables."""
    sums = sums_of(problem, code, dtype)
    dealt = deal_for(problem, sums)
    divisors = dealt.divisors if divisor == 0 else np.ones_like(dealt.divisors)
    td, th, planes = table_of(problem.axes[0]), table_of(problem.axes[1]), planes_of(problem)
    return rows_of(problem), 2 * dealt.row, sums, td, th, divisors, planes, dealt.numbers, code, divisor


def by_rows(
    x: np.ndarray, y: np.ndarray, rows: Rows, row: int, sums: np.dtype, td: np.ndarray, th: np.ndarray, *rest: Any
) -> None:
    """Write one number per window to y, for windows that are alike."""
    members, tasks = rows.shared()
    reduce_rows(members, tasks, x, y, td, th, scratch((members * row,), sums), *rest)


def prepare_regions(problem: PoolProblem, code: int, dtype: np.dtype, divisor: float) -> tuple[Any, ...]:
    """What `by_regions` takes beside x and y; `divisor` 0 means that of the tables."""
    sums = np.empty(0, sums_of(problem, code, dtype))
    return rows_of(problem), sums, tables_of(problem), planes_of(problem), code, divisor


def by_regions(x: np.ndarray, y: np.ndarray, rows: Rows, *rest: Any) -> None:
    """Write one number per window to y, for windows of any shape."""
    reduce_regions(*rows.shared(), x, y, *rest)


@parallel_kernel
def reduce_rows(  # type: ignore[no-untyped-def]
    thread, first, last, x, y, td, th, scratch, divisors, planes, dealing, code, divisor
):
    """A task is an output row. `scratch` has for each thread a row and the same dealt to phases, as sums are."""
    p, phases = fields(Planes, planes), fields(Phases, dealing)
    px, py, ps, pt, pc = address(x), address(y), address(scratch), behind(phases), address(divisors)
    length, OD, OH, OW = phases.stride * phases.length, p.OD, p.OH, p.OW
    row = thread * 2 * length
    dealt = row if phases.stride == 1 else row + length
    clear_row(ps, row, 2 * length, code == MAX)
    plane, od, oh = first // (OH * OD) * p.D * p.H * p.W, first // OH % OD, first % OH
    for task in range(first, last):
        at = plane + (td[od, 0] * p.H + th[oh, 0]) * p.W
        _stack_rows(px, at, ps, row, dealt, phases, (td[od, 1], th[oh, 1]), (p.hop_d, p.hop_h), code)
        share = share_of(float(td[od, 2] * th[oh, 2]) if divisor == 0.0 else divisor)
        _reduce_taps(ps, dealt, pt, phases.taps, py, task * OW, OW, pc, divisors.size // 2, code, share)
        od, oh = next_row(od, oh, OD, OH)
        plane += p.D * p.H * p.W if od == 0 and oh == 0 else 0


@kernel
def _stack_rows(x, at, scratch, row, dealt, phases, count, hops, code):  # type: ignore[no-untyped-def]
    """Reduce count[0]*count[1] rows of x to one and deal it; columns are visited from the leading padding on."""
    like, c = zeros(scratch, 2), -phases.before
    while c < phases.used:
        if c >= 0 and c + lane_count(like) <= phases.used:
            value = _stack(like, None, x, at + c, count, hops, code)
        else:
            mask = lanes_between(-c, phases.used - c, like)
            value = _stack(like, mask, x, at + c, count, hops, code)
            if code == MAX:
                value = pick(mask, value, lowest(like))
        deal(value, scratch, row, dealt, phases, c + phases.before)
        c += lane_count(like)
    deal_rest(scratch, row, dealt, phases)


@inlined
def _stack(like, mask, x, at, count, hops, code):  # type: ignore[no-untyped-def]
    if code == MAX:
        best = lowest(like)
        for a in range(count[0]):
            for u in range(count[1]):
                best = largest(best, taken(load(x, at + a * hops[0] + u * hops[1], like, mask), like))
        return best
    total = zero(like)
    for a in range(count[0]):
        for u in range(count[1]):
            total = add(total, lifted(taken(load(x, at + a * hops[0] + u * hops[1], like, mask), like), code))
    return total


@inlined
def _reduce_taps(row, dealt, taps, count, y, o, OW, divisors, places, code, share):  # type: ignore[no-untyped-def]
    """Write y[o : o+OW], each the reduction of `count` taps."""
    one, lanes = zeros(row, 1), lanes_of(row)
    for j in range(0, OW, lanes):
        if code == MAX:
            total = lowest(one)
            for v in range(count):
                total = largest(total, load(row, dealt + peek(taps, v) + j, one, None))
        else:
            total = zero(one)
            for v in range(count):
                total = add(total, load(row, dealt + peek(taps, v) + j, one, None))
            total = lowered_columns(total, divisors, places, j, code, share)
        if j + lanes <= OW:
            store(y, o + j, given(total, y), None)
        else:
            store(y, o + j, given(total, y), first_lanes(OW - j, one))


@inlined
def lowered_columns(total, divisors, places, j, code, share):  # type: ignore[no-untyped-def]
    """What lanes of sums become, by divisors that differ from lane to lane; reciprocals lie `places` behind them."""
    if code == SUM:
        if share.reciprocal != 0.0 and peek(divisors, places) != 0.0:
            scale = convert(load(divisors, places + j, total, None), total)
            return multiply(total, multiply(scale, spread(share.reciprocal, total)))
        return divide(total, multiply(convert(load(divisors, j, total, None), total), spread(share.divisor, total)))
    if code == SQUARES:
        return root(total)
    return total


@parallel_kernel
def reduce_regions(thread, first, last, x, y, sums, tables, planes, code, divisor):  # type: ignore[no-untyped-def]
    """A task is an output row. `sums` is any array of the sums' dtype."""
    p = fields(Planes, planes)
    td, th, tw = tables
    px, py, ps, OD, OH, OW = address(x), address(y), address(sums), p.OD, p.OH, p.OW
    for task in range(first, last):
        od, oh = task // OH % OD, task % OH
        corner = ((task // (OH * OD) * p.D + td[od, 0]) * p.H + th[oh, 0]) * p.W
        for ow in range(OW):
            a, b, c = td[od, 1], th[oh, 1], tw[ow, 1]
            if c == p.W and p.hop_h == c and p.hop_w == 1:  # whole rows that follow each other are one
                b, c = 1, b * c
            value = _region(ps, px, corner + tw[ow, 0], (a, b, c), (p.hop_d, p.hop_h, p.hop_w), code)
            if code == SUM:
                value /= share_of(float(td[od, 2] * th[oh, 2] * tw[ow, 2]) if divisor == 0.0 else divisor).divisor
            elif code == SQUARES:
                value = math.sqrt(value)
            poke(py, task * OW + ow, given(value, py))


@kernel
def _region(sums, x, at, count, hops, code):  # type: ignore[no-untyped-def]
    """Reduce one window, its rows in four vectors of partial results, their ends in one."""
    many, one, lanes = zeros(sums, 4), zeros(sums, 1), lanes_of(sums)
    if code == MAX:
        many, one = lowest(many), lowest(one)
    for a in range(count[0]):
        for u in range(count[1]):
            i, rest = at + a * hops[0] + u * hops[1], count[2]
            while rest >= 4 * lanes and hops[2] == 1:
                many = _joined(many, None, x, i, code)
                i += 4 * lanes
                rest -= 4 * lanes
            while rest > 0:
                part = min(rest, lanes) if hops[2] == 1 else 1
                one = _joined(one, first_lanes(part, one), x, i, code)
                i += part * hops[2]
                rest -= part
    if code == MAX:
        return larger(largest_of(many), largest_of(one))
    return sum_of(many) + sum_of(one)


@inlined
def _joined(total, mask, x, i, code):  # type: ignore[no-untyped-def]
    value = taken(load(x, i, total, mask), total)
    if code == MAX:
        return largest(total, pick(mask, value, total))
    return add(total, lifted(value, code))


def _scratch(problem: PoolProblem, code: int, dtype: np.dtype) -> int:
    sums = sums_of(problem, code, dtype)
    return 2 * deal_for(problem, sums).row * sums.itemsize


BY_ROWS = Way(reduce_rows, prepare_rows, by_rows, "lanes are columns, the rows of a window are summed first", _scratch)
BY_REGIONS = Way(
    reduce_regions, prepare_regions, by_regions,
    "windows that are wide or unlike, one at a time, lanes along their rows",
)  # fmt: skip
