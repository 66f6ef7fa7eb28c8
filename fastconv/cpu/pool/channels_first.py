"""Pooling of channels-first arrays: lanes are columns of one plane (twin: channels_last, where lanes are channels).

`reduce_rows` serves windows that lie a stride apart. The rows of a window are reduced to one row, lane by lane; its
columns are dealt out by their remainder modulo the stride, which makes every tap of all windows one contiguous load;
then the taps are reduced. A border needs no tests: the row lies in a longer one, elsewhere of the neutral element.
`reduce_regions` serves wide windows and those of varying size: one at a time, with lanes along their rows.
"""

from __future__ import annotations

import math

from ...simd.jit import kernel, parallel_kernel
from ...simd.lane_math import add, convert, divide, evens, largest, largest_of, multiply, odds, pick, root, sum_of
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
from ...simd.vector import lanes_of
from .windows import MAX, SQUARES, SUM, larger, lifted, next_row, with_reciprocal


@parallel_kernel
def reduce_rows(  # type: ignore[no-untyped-def]
    thread, first, last, x, y, td, th, scratch, taps, columns, sizes, step, line, code, divisor
):
    """One number per window: a task is an output row.

    `line` is (stride, leading padding, columns of x in use, columns of a phase, output columns). `scratch` has for
    each thread a row of stride * phase columns and the same dealt out in phases, in the dtype of the sums; `taps` tells
    where the first window finds its taps there. `columns` has the row's divisors, then their reciprocals, or zeros if
    these are not exact.
    """
    D, H, W = sizes
    px, py, ps, pt, pc = address(x), address(y), address(scratch), address(taps), address(columns)
    length, OW = line[0] * line[3], line[4]
    row = thread * 2 * length
    phases = row if line[0] == 1 else row + length
    clear_row(ps, row, 2 * length, code == MAX)
    OD, OH = td.shape[0], th.shape[0]
    plane, od, oh = first // (OH * OD) * D * H * W, first // OH % OD, first % OH
    for task in range(first, last):
        at = plane + (td[od, 0] * H + th[oh, 0]) * W
        _stack_rows(px, at, ps, row, phases, line, (td[od, 1], th[oh, 1]), (step[0] * H * W, step[1] * W), code)
        share = with_reciprocal(float(td[od, 2] * th[oh, 2]) if divisor == 0.0 else divisor)
        _reduce_taps(ps, phases, pt, taps.size, py, task * OW, OW, pc, columns.size // 2, code, share)
        od, oh = next_row(od, oh, OD, OH)
        plane += D * H * W if od == 0 and oh == 0 else 0


@kernel
def clear_row(row, at, length, to_lowest):  # type: ignore[no-untyped-def]
    """The neutral element of a sum or maximum in row[at : at+length]; the length is a multiple of the lanes."""
    like = zeros(row, 1)
    for c in range(0, length, lanes_of(row)):
        store(row, at + c, lowest(like) if to_lowest else zero(like), None)


@kernel
def _stack_rows(x, at, scratch, row, phases, line, count, stride, code):  # type: ignore[no-untyped-def]
    """Reduce count[0]*count[1] rows of x to one and deal it; columns are visited from the leading padding on."""
    like, c = zeros(scratch, 2), -line[1]
    while c < line[2]:
        if c >= 0 and c + lane_count(like) <= line[2]:
            value = _stack(like, None, x, at + c, count, stride, code)
        else:
            mask = lanes_between(-c, line[2] - c, like)
            value = _stack(like, mask, x, at + c, count, stride, code)
            if code == MAX:
                value = pick(mask, value, lowest(like))
        deal(value, scratch, row, phases, line, c + line[1])
        c += lane_count(like)
    deal_all(scratch, row, phases, line)


@inlined
def _stack(like, mask, x, at, count, stride, code):  # type: ignore[no-untyped-def]
    if code == MAX:
        best = lowest(like)
        for a in range(count[0]):
            for u in range(count[1]):
                best = largest(best, convert(load(x, at + a * stride[0] + u * stride[1], like, mask), like))
        return best
    total = zero(like)
    for a in range(count[0]):
        for u in range(count[1]):
            total = add(total, lifted(convert(load(x, at + a * stride[0] + u * stride[1], like, mask), like), code))
    return total


@inlined
def deal(value, scratch, row, phases, line, c):  # type: ignore[no-untyped-def]
    """Store columns c, c + 1, ... in their phases: column c goes to phase c % stride."""
    if line[0] == 2:
        store(scratch, phases + c // 2, evens(value), None)
        store(scratch, phases + line[3] + c // 2, odds(value), None)
    else:
        store(scratch, row + c, value, None)


@kernel
def deal_all(scratch, row, phases, line):  # type: ignore[no-untyped-def]
    """What `deal` left to do for strides above 2, whose phases are dealt column by column."""
    stride, phase = line[0], line[3]
    if stride > 2:
        for r in range(stride):
            for c in range(phase):
                poke(scratch, phases + r * phase + c, peek(scratch, row + c * stride + r))


@inlined
def _reduce_taps(phases, at, taps, count, y, o, OW, columns, places, code, share):  # type: ignore[no-untyped-def]
    """Write y[o : o+OW], each the reduction of `count` taps."""
    one, lanes = zeros(phases, 1), lanes_of(phases)
    for j in range(0, OW, lanes):
        if code == MAX:
            total = lowest(one)
            for v in range(count):
                total = largest(total, load(phases, at + peek(taps, v) + j, one, None))
        else:
            total = zero(one)
            for v in range(count):
                total = add(total, load(phases, at + peek(taps, v) + j, one, None))
            total = lowered_columns(total, columns, places, j, code, share)
        if j + lanes <= OW:
            store(y, o + j, convert(total, y), None)
        else:
            store(y, o + j, convert(total, y), first_lanes(OW - j, one))


@inlined
def lowered_columns(total, columns, places, j, code, share):  # type: ignore[no-untyped-def]
    """What lanes of sums become, by divisors that differ from lane to lane."""
    if code == SUM:
        if share[1] != 0.0 and peek(columns, places) != 0.0:
            scale = convert(load(columns, places + j, total, None), total)
            return multiply(total, multiply(scale, spread(share[1], total)))
        return divide(total, multiply(convert(load(columns, j, total, None), total), spread(share[0], total)))
    if code == SQUARES:
        return root(total)
    return total


@parallel_kernel
def reduce_regions(thread, first, last, x, y, tables, sums, sizes, step, code, divisor):  # type: ignore[no-untyped-def]
    """One number per window, windows of any shape: a task is an output row. `sums` is any array of the sums' dtype."""
    D, H, W = sizes
    td, th, tw = tables
    OD, OH, OW = td.shape[0], th.shape[0], tw.shape[0]
    px, ps = address(x), address(sums)
    for task in range(first, last):
        od, oh = task // OH % OD, task % OH
        corner = ((task // (OH * OD) * D + td[od, 0]) * H + th[oh, 0]) * W
        for ow in range(OW):
            a, b, c = td[od, 1], th[oh, 1], tw[ow, 1]
            if c == W and step[1] == 1 and step[2] == 1:  # whole rows that follow each other are one
                b, c = 1, b * W
            share = float(td[od, 2] * th[oh, 2] * tw[ow, 2]) if divisor == 0.0 else divisor
            stride = step[0] * H * W, step[1] * W, step[2]
            value = _region(ps, px, corner + tw[ow, 0], (a, b, c), stride, code)
            if code == SUM:
                value /= with_reciprocal(share)[0]
            elif code == SQUARES:
                value = math.sqrt(value)
            y[task * OW + ow] = value


@kernel
def _region(sums, x, at, count, stride, code):  # type: ignore[no-untyped-def]
    """Reduce one window, its rows in four vectors of partial results, their ends in one."""
    many, one, lanes = zeros(sums, 4), zeros(sums, 1), lanes_of(sums)
    if code == MAX:
        many, one = lowest(many), lowest(one)
    for a in range(count[0]):
        for u in range(count[1]):
            i, rest = at + a * stride[0] + u * stride[1], count[2]
            while rest >= 4 * lanes and stride[2] == 1:
                many = _joined(many, None, x, i, code)
                i += 4 * lanes
                rest -= 4 * lanes
            while rest > 0:
                part = min(rest, lanes) if stride[2] == 1 else 1
                one = _joined(one, first_lanes(part, one), x, i, code)
                i += part * stride[2]
                rest -= part
    if code == MAX:
        return larger(largest_of(many), largest_of(one))
    return sum_of(many) + sum_of(one)


@inlined
def _joined(total, mask, x, i, code):  # type: ignore[no-untyped-def]
    value = convert(load(x, i, total, mask), total)
    if code == MAX:
        return largest(total, pick(mask, value, total))
    return add(total, lifted(value, code))
