"""im2col and its adjoint, col2im, on CUDA (twin: cpu/unfold.py).

Neighbouring threads have neighbouring columns, or neighbouring elements of dx: all writes, and reads of stride 1, are
side by side. A thread of `fold` gathers all that its element gets, tap by tap, so no two threads add to one number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..problem import ConvProblem
from .backend import cuda
from .indexing import Shape, make_position, shape_of
from .launch import BLOCK, blocks_for, entry, flat, launch, needs_wide, table


def make_unfold(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """cols[plane, tap, pixel] = x[plane] under that tap, 0 outside; one thread per pixel and row of taps."""
    position = make_position(U)

    def unfold(x: Any, cols: Any, s: Shape, pixels: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            row = U(i // U(pixels))
            o = U(i - row * U(pixels))
            _, _, od, oh, ow = position(o, 1, s.OD, s.OH, s.OW, 1)
            plane, _, kd, kh, _ = position(row, 1, s.KD, s.KH, 1, 1)
            d = S(S(od) * s.stride_d + S(kd) * s.dilation_d - s.before_d)
            h = S(S(oh) * s.stride_h + S(kh) * s.dilation_h - s.before_h)
            w = S(S(ow) * s.stride_w - s.before_w)
            inside = U(d) < U(s.D) and U(h) < U(s.H)
            at = U(U(U(plane * U(s.D) + U(d)) * U(s.H) + U(h)) * U(s.W))
            to = U(row * U(s.KW) * U(pixels) + o)
            for _ in range(s.KW):
                v = T(0)
                if inside and U(w) < U(s.W):
                    v = x[U(at + U(w))]
                cols[to] = v
                to, w = U(to + U(pixels)), S(w + s.dilation_w)

    return unfold


def make_fold(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """dx[plane, d, h, w] = sum of the elements of cols that `unfold` would copy from there; one thread per element.

    A place a of an axis is met by every `steps`-th tap from first[a % stride] on; the window moves back by `moves`.
    """
    position = make_position(U)

    def fold(
        cols: Any, dx: Any, fd: Any, fh: Any, fw: Any, s: Shape, steps: Any, moves: Any, pixels: Any, total: Any
    ) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            plane, _, d, h, w = position(i, 1, s.D, s.H, s.W, 1)
            a, b, e = U(d + U(s.before_d)), U(h + U(s.before_h)), U(w + U(s.before_w))
            kd0, kh0, kw0 = S(fd[a % U(s.stride_d)]), S(fh[b % U(s.stride_h)]), S(fw[e % U(s.stride_w)])
            # Exact quotients: what `first` tells leaves no rest.
            od = S(S(S(a) - kd0 * s.dilation_d) // S(s.stride_d))
            oh0 = S(S(S(b) - kh0 * s.dilation_h) // S(s.stride_h))
            ow0 = S(S(S(e) - kw0 * s.dilation_w) // S(s.stride_w))
            acc = T(0)
            for kd in range(kd0, s.KD, steps[0]):
                oh = oh0
                for kh in range(kh0, s.KH, steps[1]):
                    ow = ow0
                    if U(od) < U(s.OD) and U(oh) < U(s.OH):
                        row = U(U(plane * U(s.KD) + U(kd)) * U(s.KH) + U(kh))
                        at = U(row * U(s.KW) * U(pixels) + U(U(od) * U(s.OH) + U(oh)) * U(s.OW))
                        for kw in range(kw0, s.KW, steps[2]):
                            if U(ow) < U(s.OW):
                                acc += cols[U(at + U(kw) * U(pixels) + U(ow))]
                            ow = S(ow - moves[2])
                    oh = S(oh - moves[1])
                od = S(od - moves[0])
            dx[i] = acc

    return fold


@entry
def unfold(problem: ConvProblem, x: Any, cols: Any) -> None:
    """Write to cols (N, C*K, L) the elements of x (N, C, D, H, W) under each tap of each of the L = prod(out) windows.

    Elements are moved, not computed with; 16-bit floats come as their bits.
    """
    if cols.size == 0:
        return
    s = shape_of(problem)
    total, wide = cols.size // s.KW, needs_wide(x.size, cols.size)
    args = flat(x), flat(cols), s, math.prod(problem.out), total
    launch(make_unfold, (), blocks_for(total), args, dtype=x.dtype, wide=wide)


@entry
def fold(problem: ConvProblem, cols: Any, dx: Any) -> None:
    """Write to dx (N, C, D, H, W) the sum of the elements of cols that `unfold` would copy from each place."""
    if dx.size == 0:
        return
    wide = needs_wide(cols.size, dx.size)
    axes = tuple((axis.kernel, axis.stride, axis.dilation) for axis in problem.axes)
    tables = (table(_first, axis, wide) for axis in axes)
    common = [math.gcd(s, d) for _, s, d in axes]
    steps = tuple(s // g for s, g in zip(problem.stride, common, strict=True))
    moves = tuple(d // g for d, g in zip(problem.dilation, common, strict=True))
    s = shape_of(problem)
    args = flat(cols), flat(dx), *tables, s, steps, moves, math.prod(problem.out), dx.size
    launch(make_fold, (), blocks_for(dx.size), args, dtype=dx.dtype, wide=wide)


def _first(kernel: int, stride: int, dilation: int) -> np.ndarray:
    """Of places a that leave each rest by `stride`, the first tap u with a whole (a - u*dilation)/stride."""
    return np.array(
        [next((u for u in range(kernel) if (r - u * dilation) % stride == 0), kernel) for r in range(stride)]
    )
