"""Pooling of channels-last arrays: lanes are channels, so that every tap is one contiguous load.

A task owns one row of output pixels, in a block of channels where there are few rows (twin: channels_first, where lanes
are columns). Most windows of a row are alike: they form one run, and only those cut by the border are set up singly.
"""

from __future__ import annotations

from ...simd.jit import kernel, parallel_kernel
from ...simd.lane_math import convert
from ...simd.lanes import address, first_lanes, inlined, store, zeros
from ...simd.vector import lanes_of
from .windows import MAX, SHORT_SUM, SUM, exact_taps, largest_tap, lowered, quotient, sum_of_taps, with_reciprocal


@parallel_kernel
def reduce_last(thread, first, last, x, y, tables, run, sizes, step, block, code, divisor):  # type: ignore[no-untyped-def]
    """One number per window and channel: tasks are output rows times blocks of `block` channels.

    `run` is the `longest_run` of the last table; `divisor` 0 means that of the tables.
    """
    D, H, W, C = sizes
    td, th, tw = tables
    px, py = address(x), address(y)
    OD, OH, OW = td.shape[0], th.shape[0], tw.shape[0]
    parts = (C + block - 1) // block
    stride = step[0] * H * W * C, step[1] * W * C, step[2] * C
    for task in range(first, last):
        row = task // parts
        od, oh, n = row // OH % OD, row % OH, row // (OH * OD)
        channels = task % parts * block, min(C, (task % parts + 1) * block)
        corner = ((n * D + td[od, 0]) * H + th[oh, 0]) * W
        ow = 0
        while ow < OW:
            pixels = run[1] - run[0] if ow == run[0] else 1
            count = td[od, 1], th[oh, 1], tw[ow, 1]
            share = float(td[od, 2] * th[oh, 2] * tw[ow, 2]) if divisor == 0.0 else divisor
            at, o, hop = (corner + tw[ow, 0]) * C, (row * OW + ow) * C, run[2] * C
            _reduce_run(px, py, at, o, pixels, hop, C, channels, count, stride, code, with_reciprocal(share))
            ow += pixels


@kernel
def _reduce_run(x, y, at, o, pixels, hop, C, channels, count, stride, code, divisor):  # type: ignore[no-untyped-def]
    """A row of windows `hop` apart; what is done to a window is chosen here, outside the loops."""
    if code == MAX:
        _each_pixel(_largest, x, y, at, o, pixels, hop, C, channels, count, stride, code, divisor)
    elif code == SUM and count[0] * count[1] * count[2] <= SHORT_SUM:
        _each_pixel(_mean, x, y, at, o, pixels, hop, C, channels, count, stride, code, divisor)
    else:
        _each_pixel(_exact, x, y, at, o, pixels, hop, C, channels, count, stride, code, divisor)


@inlined
def _each_pixel(window, x, y, at, o, pixels, hop, C, channels, count, stride, code, divisor):  # type: ignore[no-untyped-def]
    """Channels four vectors at a time, then two, then part of two."""
    many, two, lanes = zeros(x, 4), zeros(x, 2), lanes_of(x)
    mask = first_lanes((channels[1] - channels[0]) % (2 * lanes), two)
    for _ in range(pixels):
        c = channels[0]
        while c + 4 * lanes <= channels[1]:
            store(y, o + c, window(many, None, x, at + c, count, stride, code, divisor), None)
            c += 4 * lanes
        while c + 2 * lanes <= channels[1]:
            store(y, o + c, window(two, None, x, at + c, count, stride, code, divisor), None)
            c += 2 * lanes
        if c < channels[1]:
            store(y, o + c, window(two, mask, x, at + c, count, stride, code, divisor), mask)
        at += hop
        o += C


@inlined
def _largest(like, mask, x, at, count, stride, code, divisor):  # type: ignore[no-untyped-def]
    return largest_tap(like, mask, x, at, count, stride)


@inlined
def _mean(like, mask, x, at, count, stride, code, divisor):  # type: ignore[no-untyped-def]
    return quotient(sum_of_taps(like, mask, x, at, count, stride), divisor)


@inlined
def _exact(like, mask, x, at, count, stride, code, divisor):  # type: ignore[no-untyped-def]
    return convert(lowered(exact_taps(like, mask, x, at, count, stride, code), code, divisor), like)
