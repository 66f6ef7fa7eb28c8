"""im2col and its adjoint, col2im, on the CPU.

A column matrix has one row for every channel and tap, channel-major, and one column for every output pixel. Rows are
written (or read) from left to right, and those of one channel follow each other, so that its plane stays in the cache.
"""

from __future__ import annotations

import numpy as np

from ..problem import ConvProblem, Triple
from ..simd.jit import kernel
from ..simd.lane_math import add, evens
from ..simd.lanes import address, first_lanes, inlined, load, peek, poke, store, zeros
from ..simd.parallel import parallel_kernel
from ..simd.vector import clear, lanes_of
from ..threads import team


def unfold(problem: ConvProblem, x: np.ndarray, cols: np.ndarray) -> None:
    """Write to cols (N, C*K, L) the elements of x (N, C, D, H, W) under each tap of each of the L = prod(out) windows.

    Elements are moved, not computed with, so that any dtype of 1, 2, 4 or 8 bytes will do.
    """
    if cols.size == 0:
        return
    bits = np.dtype(f"u{x.itemsize}")
    xf, cf = x.reshape(-1).view(bits), cols.reshape(-1).view(bits)
    tasks = problem.N * problem.C * problem.taps
    _unfold(team(tasks, cols.size), tasks, xf, cf, *_geometry(problem))


def fold(problem: ConvProblem, cols: np.ndarray, dx: np.ndarray) -> None:
    """Write to dx (N, C, D, H, W) the sum of the elements of cols that `unfold` would copy from each place."""
    if dx.size == 0:
        return
    planes = problem.N * problem.C
    _fold(team(planes, cols.size + dx.size), planes, cols.reshape(-1), dx.reshape(-1), *_geometry(problem))


def _geometry(problem: ConvProblem) -> tuple[Triple, ...]:
    """Sizes, windows, outputs, strides, dilations and leading padding."""
    a, b, c = (axis.before for axis in problem.axes)
    return problem.size, problem.kernel, problem.out, problem.stride, problem.dilation, (a, b, c)


@parallel_kernel
def _unfold(thread, first, last, x, cols, sizes, window, out, stride, dilation, before):  # type: ignore[no-untyped-def]
    """A task is a row of the matrix: one channel and tap."""
    D, H, W = sizes
    px, pc = address(x), address(cols)
    taps = window[0] * window[1] * window[2]
    for task in range(first, last):
        plane = task // taps * D * H * W
        a, u = task // (window[1] * window[2]) % window[0], task // window[2] % window[1]
        shift = task % window[2] * dilation[2] - before[2]
        begin, end = inside(shift, stride[2], W, out[2])
        o = task * out[0] * out[1] * out[2]
        for i in range(out[0]):
            d = i * stride[0] + a * dilation[0] - before[0]
            for j in range(out[1]):
                h = j * stride[1] + u * dilation[1] - before[1]
                if 0 <= d < D and 0 <= h < H:
                    at = plane + (d * H + h) * W + shift + begin * stride[2]
                    _unfold_row(px, at, pc, o, begin, end, out[2], stride[2])
                else:
                    clear(pc, o, out[2])
                o += out[2]


@kernel
def inside(shift, stride, size, out):  # type: ignore[no-untyped-def]
    """The windows i of 0..out-1 with 0 <= i*stride + shift < size, as (first, last + 1)."""
    begin = min(out, max(0, (stride - 1 - shift) // stride))
    return begin, max(begin, min(out, (size - 1 - shift) // stride + 1))


@kernel
def _unfold_row(x, at, cols, o, begin, end, length, stride):  # type: ignore[no-untyped-def]
    """Columns begin..end-1 come from x[at], x[at + stride], ...; the other columns are 0."""
    for c in range(begin):
        poke(cols, o + c, 0)
    c, lanes, like = begin, lanes_of(x), zeros(x, 1)
    if stride == 1:
        while c + lanes <= end:
            store(cols, o + c, load(x, at, like, None), None)
            c += lanes
            at += lanes
        if c < end:
            mask = first_lanes(end - c, like)
            store(cols, o + c, load(x, at, like, mask), mask)
            c = end
    elif stride == 2:
        both = zeros(x, 2)
        while c + lanes < end:  # one element to spare: the last pair may end beyond x
            store(cols, o + c, evens(load(x, at, both, None)), None)
            c += lanes
            at += 2 * lanes
    while c < end:
        poke(cols, o + c, peek(x, at))
        c += 1
        at += stride
    for c in range(end, length):
        poke(cols, o + c, 0)


@parallel_kernel
def _fold(thread, first, last, cols, dx, sizes, window, out, stride, dilation, before):  # type: ignore[no-untyped-def]
    """A task is a plane of dx: every tap in turn adds its row of the matrix."""
    D, H, W = sizes
    pc, px = address(cols), address(dx)
    taps, pixels = window[0] * window[1] * window[2], out[0] * out[1] * out[2]
    for task in range(first, last):
        clear(px, task * D * H * W, D * H * W)
        for tap in range(taps):
            a, u = tap // (window[1] * window[2]), tap // window[2] % window[1]
            shift = tap % window[2] * dilation[2] - before[2]
            begin, end = inside(shift, stride[2], W, out[2])
            o = (task * taps + tap) * pixels + begin
            for i in range(out[0]):
                d = i * stride[0] + a * dilation[0] - before[0]
                for j in range(out[1]):
                    h = j * stride[1] + u * dilation[1] - before[1]
                    if 0 <= d < D and 0 <= h < H:
                        at = ((task * D + d) * H + h) * W + shift + begin * stride[2]
                        _fold_row(pc, o, px, at, end - begin, stride[2])
                    o += out[2]


@kernel
def _fold_row(cols, o, dx, at, count, stride):  # type: ignore[no-untyped-def]
    """Add cols[o], cols[o + 1], ... to dx[at], dx[at + stride], ..."""
    c, lanes, like = 0, lanes_of(dx), zeros(dx, 1)
    if stride == 1:
        while c + lanes <= count:
            _add(dx, at + c, cols, o + c, like, None)
            c += lanes
        if c < count:
            _add(dx, at + c, cols, o + c, like, first_lanes(count - c, like))
        return
    for i in range(count):
        place = at + i * stride
        poke(dx, place, peek(dx, place) + peek(cols, o + i))


@inlined
def _add(dx, at, cols, o, like, mask):  # type: ignore[no-untyped-def]
    store(dx, at, add(load(dx, at, like, mask), load(cols, o, like, mask)), mask)
