"""Kernels of the gradients of pooling. Channels-first planes are images of one channel here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...simd.fields import behind, fields
from ...simd.jit import kernel
from ...simd.lane_math import add, convert, multiply, pair
from ...simd.lanes import (
    address,
    first_lanes,
    inlined,
    lane_count,
    load,
    peek,
    poke,
    spread,
    store,
    zero,
    zeros,
)
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear, copy, lanes_of
from .kinds import Planes, next_row


@parallel_kernel
def avg_grad_last(  # type: ignore[no-untyped-def]
    thread, first, last, dy, dx, covers, factors, sums, planes, block, alike
):
    """Average gradient, lanes are channels: a task is a row of dx, or `block` channels of it.

    The rows of dy that reach it are summed to one, which then is spread over the columns. `covers` tell the windows
    that hold an element, for each axis (see `cover_of`), and `factors` what their dy is multiplied by; `sums` has a row
    for every thread; `alike` means that all factors along a row are one number.
    """
    p = fields(Planes, planes)
    H, W, C, OD, OH, OW = p.H, p.W, p.C, p.OD, p.OH, p.OW
    deep, high, wide = covers
    factors_d, factors_h, factors_w = factors
    py, px, ps, pf = address(dy), address(dx), address(sums), address(factors_w)
    parts, sum_row = (C + block - 1) // block, thread * OW * C
    for task in range(first, last):
        row, begin = task // parts, task % parts * block
        d, h, image = row // H % p.D, row % H, row // (H * p.D)
        if parts == 1 and task > first and h > 0 and _same(high, h):
            copy(px, row * W * C, px, (row - 1) * W * C, W * C)
            continue
        width = min(C, begin + block) - begin
        fresh = True
        for a in range(deep[d], deep[d + 1]):
            for u in range(high[h], high[h + 1]):
                od, oh = deep[a], high[u]
                at, factor = ((image * OD + od) * OH + oh) * OW * C + begin, factors_d[od] * factors_h[oh]
                if alike and parts == 1:
                    _add_pixels(py, at, pf, factor, ps, sum_row, 1, OW * C, 0, fresh)
                else:
                    _add_pixels(py, at, pf, factor, ps, sum_row, OW, width, C, fresh)
                fresh = False
        if fresh:
            clear(ps, sum_row, OW * C)
        _spread_pixels(ps, sum_row, px, row * W * C + begin, W, width, C, address(wide))


@kernel
def _add_pixels(dy, at, scale, factor, sums, row, count, length, hop, fresh):  # type: ignore[no-untyped-def]
    """Add dy times the pixels' factors to a row of sums, or set it if `fresh`: `count` runs `hop` apart."""
    many, one, lanes = zeros(dy, 4), zeros(dy, 1), lanes_of(dy)
    mask = first_lanes(length % lanes, one)
    for i in range(count):
        share, c = peek(scale, i) * factor, 0
        while c + 4 * lanes <= length:
            _add_scaled(many, None, dy, at + c, share, sums, row + c, fresh)
            c += 4 * lanes
        while c + lanes <= length:
            _add_scaled(one, None, dy, at + c, share, sums, row + c, fresh)
            c += lanes
        if c < length:
            _add_scaled(one, mask, dy, at + c, share, sums, row + c, fresh)
        at += hop
        row += hop


@inlined
def _add_scaled(like, mask, dy, at, share, sums, row, fresh):  # type: ignore[no-untyped-def]
    value = multiply(spread(share, like), load(dy, at, like, mask))
    store(sums, row, value if fresh else add(load(sums, row, like, mask), value), mask)


@kernel
def _spread_pixels(sums, row, dx, at, W, length, hop, cover):  # type: ignore[no-untyped-def]
    """Pixels of dx from a row of sums: each adds up those of the windows that hold it."""
    many, one, lanes = zeros(dx, 4), zeros(dx, 1), lanes_of(dx)
    mask = first_lanes(length % lanes, one)
    for w in range(W):
        span, c = (peek(cover, w), peek(cover, w + 1)), 0
        while c + 4 * lanes <= length:
            store(dx, at + c, _gathered(many, None, sums, row + c, hop, span, cover), None)
            c += 4 * lanes
        while c + lanes <= length:
            store(dx, at + c, _gathered(one, None, sums, row + c, hop, span, cover), None)
            c += lanes
        if c < length:
            store(dx, at + c, _gathered(one, mask, sums, row + c, hop, span, cover), mask)
        at += hop


@inlined
def _gathered(like, mask, sums, row, hop, span, cover):  # type: ignore[no-untyped-def]
    total = zero(like)
    for v in range(span[0], span[1]):
        total = add(total, load(sums, row + peek(cover, v) * hop, like, mask))
    return total


class Spread(NamedTuple):
    """How a row of sums is spread over the columns of dx where windows lie 1 or 2 apart; behind it lie the offsets.

    Columns of even numbers, or all for stride 1, sum the row shifted by each of the first `even` offsets; those of odd
    numbers by each of the others. Stride 0: column by column, by the cover.
    """

    stride: int
    margin: int  # zeros in front of the sums
    length: int  # of a row of sums
    even: int
    all: int


@parallel_kernel
def avg_grad_first(  # type: ignore[no-untyped-def]
    thread, first, last, dy, dx, covers, factors, sums, planes, spreading
):
    """Average gradient, lanes are columns: a task is a row of dx.

    The rows of dy that reach it are summed to one, with a margin of zeros, which then is spread over the columns. The
    factors along the row are followed by zeros, up to a whole vector.
    """
    p, way = fields(Planes, planes), fields(Spread, spreading)
    H, W, OD, OH, OW = p.H, p.W, p.OD, p.OH, p.OW
    deep, high, wide = covers
    factors_d, factors_h, factors_w = factors
    py, px, ps, pf = address(dy), address(dx), address(sums), address(factors_w)
    row, d, h, plane = thread * way.length, first // H % p.D, first % H, first // (H * p.D)
    clear(ps, row, way.length)
    for task in range(first, last):
        if task > first and h > 0 and _same(high, h):
            copy(px, task * W, px, (task - 1) * W, W)
        else:
            fresh = True
            for a in range(deep[d], deep[d + 1]):
                for u in range(high[h], high[h + 1]):
                    od, oh = deep[a], high[u]
                    at = ((plane * OD + od) * OH + oh) * OW
                    _add_row(py, at, pf, factors_d[od] * factors_h[oh], ps, row + way.margin, OW, fresh)
                    fresh = False
            if fresh:
                clear(ps, row, way.length)
            if way.stride == 0:
                _spread_each(ps, row, px, task * W, W, address(wide))
            else:
                _spread_row(ps, row, px, task * W, W, way)
        d, h = next_row(d, h, p.D, H)
        plane += 1 if d == 0 and h == 0 else 0


@kernel
def _same(cover, h):  # type: ignore[no-untyped-def]
    """True if elements h - 1 and h of an axis are held by the same windows."""
    count = cover[h + 1] - cover[h]
    if cover[h] - cover[h - 1] != count:
        return False
    different = 0
    for i in range(count):
        different += cover[cover[h] + i] != cover[cover[h - 1] + i]
    return different == 0


@kernel
def _add_row(dy, at, scale, factor, sums, row, OW, fresh):  # type: ignore[no-untyped-def]
    """Add dy times the columns' factors to a row of sums, or set it if `fresh`; beyond the last column this adds 0."""
    like, lanes = zeros(dy, 1), lanes_of(dy)
    for j in range(0, OW, lanes):
        value = load(dy, at + j, like, None) if j + lanes <= OW else load(dy, at + j, like, first_lanes(OW - j, like))
        share = load(scale, j, like, None)
        value = multiply(convert(multiply(share, spread(factor, share)), like), value)
        store(sums, row + j, value if fresh else add(load(sums, row + j, like, None), value), None)


@kernel
def _spread_row(sums, row, dx, at, W, way):  # type: ignore[no-untyped-def]
    """Columns of dx from a row of sums, for stride 1 or 2, a vector of each remainder at a time."""
    like, lanes, stride, offsets = zeros(dx, 1), lanes_of(dx), way.stride, behind(way)
    for j in range(0, (W + stride - 1) // stride, lanes):
        even = _shifted_sum(like, sums, row + j, offsets, 0, way.even)
        if stride == 1:
            _store_some(dx, at + j, even, W - j)
        else:
            odd = _shifted_sum(like, sums, row + j, offsets, way.even, way.all)
            _store_some(dx, at + 2 * j, pair(even, odd), W - 2 * j)


@inlined
def _shifted_sum(like, sums, row, offsets, first, last):  # type: ignore[no-untyped-def]
    total = zero(like)
    for i in range(first, last):
        total = add(total, load(sums, row + peek(offsets, i), like, None))
    return total


@inlined
def _store_some(y, i, a, count):  # type: ignore[no-untyped-def]
    if count >= lane_count(a):
        store(y, i, a, None)
    else:
        store(y, i, a, first_lanes(count, a))


@kernel
def _spread_each(sums, row, dx, at, W, cover):  # type: ignore[no-untyped-def]
    """Columns of dx from a row of sums, one by one."""
    for w in range(W):
        total = 0.0
        for i in range(peek(cover, w), peek(cover, w + 1)):
            total += peek(sums, row + peek(cover, i))
        poke(dx, at + w, total)


@parallel_kernel
def lp_grad(thread, first, last, dy, x, y, dx, covers, planes, power):  # type: ignore[no-untyped-def]
    """l^p gradient, element by element, for any power p: a task is a row of dx. Summed in float64."""
    p = fields(Planes, planes)
    H, row = p.H, p.W * p.C
    deep, high, wide = covers
    px, py, pg, pd = address(x), address(y), address(dy), address(dx)
    for task in range(first, last):
        d, h, image = task // H % p.D, task % H, task // (H * p.D)
        clear(pd, task * row, row)
        for a in range(deep[d], deep[d + 1]):
            for u in range(high[h], high[h + 1]):
                line = ((image * p.OD + deep[a]) * p.OH + high[u]) * p.OW
                _add_slopes(px, py, pg, pd, task * p.W, line, p.W, p.C, address(wide), power)


@kernel
def _add_slopes(x, y, dy, dx, at, line, W, C, cover, p):  # type: ignore[no-untyped-def]
    """Add dy times the slopes of one row of windows to a row of dx."""
    for w in range(W):
        for c in range(C):
            i, total = (at + w) * C + c, 0.0
            size = np.float64(abs(peek(x, i)))
            for v in range(peek(cover, w), peek(cover, w + 1)):
                o = (line + peek(cover, v)) * C + c
                if size != 0.0 and peek(y, o) != 0.0:
                    total += peek(dy, o) * _slope(size, np.float64(peek(y, o)), p)
            poke(dx, i, peek(dx, i) + (-total if peek(x, i) < 0 else total))


@kernel
def _slope(size, y, p):  # type: ignore[no-untyped-def]
    """(size / y)^(p-1); for p below 1 the quotient may be too small for float64 where the slope is not too large."""
    return size ** (p - 1.0) * y ** (1.0 - p) if p < 1.0 else (size / y) ** (p - 1.0)
