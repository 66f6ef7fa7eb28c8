"""Kernels of the gradients of pooling. Channels-first planes are images of one channel here."""

from __future__ import annotations

import numpy as np

from ...simd.jit import kernel, parallel_kernel
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
from ...simd.vector import clear, copy, lanes_of
from .windows import next_row


@parallel_kernel
def max_grad(thread, first, last, dy, indices, dx, wrong, plane, outputs, C, block):  # type: ignore[no-untyped-def]
    """Scatter dy to the elements that won: a task is an image, or `block` channels of it."""
    py, pi, px = address(dy), address(indices), address(dx)
    parts = (C + block - 1) // block
    for task in range(first, last):
        n, begin = task // parts, task % parts * block
        end = min(C, begin + block)
        _clear_block(px, n * plane * C, plane, begin, end, C)
        if C == 1:
            fine = _scatter_plane(py, pi, n * outputs, px, n * plane, plane, outputs)
        else:
            fine = _scatter(py, pi, n * outputs * C, px, n * plane * C, plane, outputs, begin, end, C)
        if not fine:
            wrong[0] = 1


@kernel
def _clear_block(dx, at, plane, begin, end, C):  # type: ignore[no-untyped-def]
    """Zero channels begin..end-1 of an image."""
    rows, length = (1, plane * C) if end - begin == C else (plane, end - begin)
    for _ in range(rows):
        clear(dx, at + begin, length)
        at += C


@kernel
def _scatter(dy, indices, o, dx, at, plane, outputs, begin, end, C):  # type: ignore[no-untyped-def]
    """Add channels begin..end-1 of dy[o:] to dx[at:]; False if an index is not one of the plane."""
    fine = True
    for _ in range(outputs):
        for c in range(begin, end):
            index = peek(indices, o + c)
            if np.uint64(index) < np.uint64(plane):
                place = at + index * C + c
                poke(dx, place, peek(dx, place) + peek(dy, o + c))
            elif index != -1:
                fine = False
        o += C
    return fine


@kernel
def _scatter_plane(dy, indices, o, dx, at, plane, outputs):  # type: ignore[no-untyped-def]
    """`_scatter` for one channel."""
    fine = True
    for i in range(o, o + outputs):
        index = peek(indices, i)
        if np.uint64(index) < np.uint64(plane):
            poke(dx, at + index, peek(dx, at + index) + peek(dy, i))
        elif index != -1:
            fine = False
    return fine


@parallel_kernel
def avg_grad_last(  # type: ignore[no-untyped-def]
    thread, first, last, dy, dx, starts, owners, scales, sums, sizes, out, block, alike
):
    """Average gradient, lanes are channels: a task is a row of dx, or `block` channels of it.

    The rows of dy that reach it are summed to one, which then is spread over the columns. `starts` and `owners` tell
    the windows that hold an element, for each axis (see `covers`), and `scales` their factors; `sums` has a row for
    every thread; `alike` means that all factors along a row are one number.
    """
    D, H, W, C = sizes
    start_d, start_h, start_w = starts
    py, px, ps, pf = address(dy), address(dx), address(sums), address(scales[2])
    parts, sum_row = (C + block - 1) // block, thread * out[2] * C
    for task in range(first, last):
        row, begin = task // parts, task % parts * block
        d, h, image = row // H % D, row % H, row // (H * D)
        if parts == 1 and task > first and h > 0 and _same(start_h, owners[1], h):
            copy(px, row * W * C, px, (row - 1) * W * C, W * C)
            continue
        width = min(C, begin + block) - begin
        if start_d[d] == start_d[d + 1] or start_h[h] == start_h[h + 1]:
            clear(ps, sum_row, out[2] * C)
        for a in range(start_d[d], start_d[d + 1]):
            for u in range(start_h[h], start_h[h + 1]):
                od, oh = owners[0][a], owners[1][u]
                at = ((image * out[0] + od) * out[1] + oh) * out[2] * C + begin
                fresh, factor = a == start_d[d] and u == start_h[h], scales[0][od] * scales[1][oh]
                runs = (1, out[2] * C, 0) if alike and parts == 1 else (out[2], width, C)
                _add_pixels(py, at, pf, factor, ps, sum_row, runs, fresh)
        _spread_pixels(ps, sum_row, px, row * W * C + begin, W, width, C, address(start_w), address(owners[2]))


@kernel
def _add_pixels(dy, at, scale, factor, sums, row, runs, fresh):  # type: ignore[no-untyped-def]
    """Add dy times the pixels' factors to a row of sums, or set it if `fresh`; runs are (count, length, hop)."""
    many, one, lanes = zeros(dy, 4), zeros(dy, 1), lanes_of(dy)
    count, length, hop = runs
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
def _spread_pixels(sums, row, dx, at, W, length, hop, start, owners):  # type: ignore[no-untyped-def]
    """Pixels of dx from a row of sums: each adds up those of the windows that hold it."""
    many, one, lanes = zeros(dx, 4), zeros(dx, 1), lanes_of(dx)
    mask = first_lanes(length % lanes, one)
    for w in range(W):
        span, c = (peek(start, w), peek(start, w + 1)), 0
        while c + 4 * lanes <= length:
            store(dx, at + c, _gathered(many, None, sums, row + c, hop, span, owners), None)
            c += 4 * lanes
        while c + lanes <= length:
            store(dx, at + c, _gathered(one, None, sums, row + c, hop, span, owners), None)
            c += lanes
        if c < length:
            store(dx, at + c, _gathered(one, mask, sums, row + c, hop, span, owners), mask)
        at += hop


@inlined
def _gathered(like, mask, sums, row, hop, span, owners):  # type: ignore[no-untyped-def]
    total = zero(like)
    for v in range(span[0], span[1]):
        total = add(total, load(sums, row + peek(owners, v) * hop, like, mask))
    return total


@parallel_kernel
def avg_grad_first(  # type: ignore[no-untyped-def]
    thread, first, last, dy, dx, starts, owners, scales, scale, sums, offsets, phases, sizes, out, line
):
    """Average gradient, lanes are columns: a task is a row of dx.

    The rows of dy that reach it are summed to one, with a margin of zeros, which then is spread over the columns.
    `line` is (stride, margin, length of a row of `sums`); for stride 1 and 2 the columns of remainder r sum the row
    shifted by offsets[phases[r] : phases[r + 1]], for others (stride 0) column by column. `scale` has the factors of
    the columns, then zeros.
    """
    D, H, W = sizes
    start_d, start_h, start_w = starts
    py, px, ps, pf = address(dy), address(dx), address(sums), address(scale)
    row, d, h, plane = thread * line[2], first // H % D, first % H, first // (H * D)
    for task in range(first, last):
        if task > first and h > 0 and _same(start_h, owners[1], h):
            _copy_row(px, (task - 1) * W, task * W, W)
        else:
            fresh = True
            for a in range(start_d[d], start_d[d + 1]):
                for u in range(start_h[h], start_h[h + 1]):
                    od, oh = owners[0][a], owners[1][u]
                    at = ((plane * out[0] + od) * out[1] + oh) * out[2]
                    _add_row(py, at, pf, scales[0][od] * scales[1][oh], ps, row + line[1], out[2], fresh)
                    fresh = False
            if fresh:
                clear(ps, row, line[2])
            if line[0] == 0:
                _spread_each(ps, row, px, task * W, W, address(start_w), address(owners[2]))
            else:
                _spread_row(ps, row, px, task * W, W, line[0], address(offsets), address(phases))
        d, h = next_row(d, h, D, H)
        plane += 1 if d == 0 and h == 0 else 0


@kernel
def _same(start, owners, h):  # type: ignore[no-untyped-def]
    """True if elements h - 1 and h of an axis are held by the same windows."""
    count = start[h + 1] - start[h]
    if start[h] - start[h - 1] != count:
        return False
    different = 0
    for i in range(count):
        different += owners[start[h] + i] != owners[start[h - 1] + i]
    return different == 0


@kernel
def _copy_row(x, source, target, length):  # type: ignore[no-untyped-def]
    like, lanes = zeros(x, 1), lanes_of(x)
    for c in range(0, length, lanes):
        if c + lanes <= length:
            store(x, target + c, load(x, source + c, like, None), None)
        else:
            mask = first_lanes(length - c, like)
            store(x, target + c, load(x, source + c, like, mask), mask)


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
def _spread_row(sums, row, dx, at, W, stride, offsets, phases):  # type: ignore[no-untyped-def]
    """Columns of dx from a row of sums, for stride 1 or 2, a vector of each remainder at a time."""
    like, lanes = zeros(dx, 1), lanes_of(dx)
    for j in range(0, (W + stride - 1) // stride, lanes):
        even = _shifted_sum(like, sums, row + j, offsets, peek(phases, 0), peek(phases, 1))
        if stride == 1:
            _store_some(dx, at + j, even, W - j)
        else:
            odd = _shifted_sum(like, sums, row + j, offsets, peek(phases, 1), peek(phases, 2))
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
def _spread_each(sums, row, dx, at, W, start, owners):  # type: ignore[no-untyped-def]
    """Columns of dx from a row of sums, one by one."""
    for w in range(W):
        total = 0.0
        for i in range(peek(start, w), peek(start, w + 1)):
            total += peek(sums, row + peek(owners, i))
        poke(dx, at + w, total)


@parallel_kernel
def lp_grad(thread, first, last, dy, x, y, dx, starts, owners, sizes, out, p):  # type: ignore[no-untyped-def]
    """l^p gradient, element by element, for any p: a task is a row of dx. Summed in float64."""
    D, H, W, C = sizes
    start_d, start_h, start_w = starts
    pw, po = address(start_w), address(owners[2])
    px, py, pg, pd = address(x), address(y), address(dy), address(dx)
    for task in range(first, last):
        d, h, image = task // H % D, task % H, task // (H * D)
        clear(pd, task * W * C, W * C)
        for a in range(start_d[d], start_d[d + 1]):
            for u in range(start_h[h], start_h[h + 1]):
                line = ((image * out[0] + owners[0][a]) * out[1] + owners[1][u]) * out[2]
                _add_slopes(px, py, pg, pd, task * W, line, W, C, pw, po, p)


@kernel
def _add_slopes(x, y, dy, dx, at, line, W, C, start, owners, p):  # type: ignore[no-untyped-def]
    """Add dy times the slopes of one row of windows to a row of dx."""
    for w in range(W):
        for c in range(C):
            i, total = (at + w) * C + c, 0.0
            size = np.float64(abs(peek(x, i)))
            for v in range(peek(start, w), peek(start, w + 1)):
                o = (line + peek(owners, v)) * C + c
                if size != 0.0 and peek(y, o) != 0.0:
                    total += peek(dy, o) * _slope(size, np.float64(peek(y, o)), p)
            poke(dx, i, peek(dx, i) + (-total if peek(x, i) < 0 else total))


@kernel
def _slope(size, y, p):  # type: ignore[no-untyped-def]
    """(size / y)^(p-1); for p below 1 the quotient may be too small for float64 where the slope is not too large."""
    return size ** (p - 1.0) * y ** (1.0 - p) if p < 1.0 else (size / y) ** (p - 1.0)
