"""The weight gradient as an implicit GEMM: dw = A' dy, summed over all output pixels in fixed parts.

A' is the transpose of the gathered matrix of ``gathered``: a row belongs to one (tap, channel), a column to one output
pixel. A block owns BM such rows x BN output channels and one part of the pixels, which it goes through BK at a time.
`filters.sum_parts` then adds the parts in order: their number depends on the problem alone, so the result has the same
bits on every device and in every run, and no atomics are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..backend import cuda
from ..indexing import L, make_pixel
from ..runtime.source import inlined, unrolled
from .gathered import ENTRY, Gather, make_multiply
from .tiles import Tile


class Pixels(NamedTuple):
    """The output pixels (N, D, H, W) of a part, and what BK of them add to a position, digit by digit."""

    D: int
    H: int
    W: int
    total: int  # of all parts
    part: int  # of one part
    add_n: int
    add_d: int
    add_h: int
    add_w: int


class Output(NamedTuple):
    """Strides of dy along pixels, channels and groups; rows and channels of a group's dw."""

    n: int
    d: int
    h: int
    w: int
    c: int
    group: int
    rows: int
    channels: int


def make_advance(U: Any) -> Any:
    """``advance(n, d, h, w, pixels)``: the position BK pixels further on."""

    def advance(n: Any, d: Any, h: Any, w: Any, pixels: Any) -> Any:
        n, d, h, w = U(n + U(pixels.add_n)), U(d + U(pixels.add_d)), U(h + U(pixels.add_h)), U(w + U(pixels.add_w))
        if w >= U(pixels.W):
            w, h = U(w - U(pixels.W)), U(h + U(1))
        if h >= U(pixels.H):
            h, d = U(h - U(pixels.H)), U(d + U(1))
        if d >= U(pixels.D):
            d, n = U(d - U(pixels.D)), U(n + U(1))
        return n, d, h, w

    return inlined(advance)


def make_gather(T: Any, S: Any, U: Any, rows: int, deep: bool) -> Any:
    """``gather(x, n, d, h, w, live, offset, td, th, tw, image, pa)``: load a thread's rows of one pixel into `pa`."""

    def gather(
        x: Any,
        n: Any,
        d: Any,
        h: Any,
        w: Any,
        live: Any,
        offset: Any,
        td: Any,
        th: Any,
        tw: Any,
        image: Gather,
        pa: Any,
    ) -> None:
        z0 = S(S(d) * image.step_d + image.origin_d)
        y0 = S(S(h) * image.step_h + image.origin_h)
        x0 = S(S(w) * image.step_w + image.origin_w)
        base = U(n * U(image.n) + U(z0) * U(image.d) + U(y0) * U(image.h) + U(x0) * U(image.w))
        for i in range(rows):
            inside = live and U(y0 + th[i]) < U(image.H) and U(x0 + tw[i]) < U(image.W)
            if deep:
                inside = inside and U(z0 + td[i]) < U(image.D)
            pa[i] = x[U(base + offset[i])] if inside else T(0)

    return inlined(gather)


def make_store(U: Any, tile: Tile) -> Any:
    """``store(acc, parts, first, e0, o0, output)``: write a thread's accumulators to the rows from `first` on."""
    TM, TN, SM, SN, VM, VN = tile.TM, tile.TN, tile.SM, tile.SN, tile.VM, tile.VN

    def store(acc: Any, parts: Any, first: Any, e0: Any, o0: Any, output: Output) -> None:
        for i in unrolled(TM):
            e = U(e0 + U(i // VM * SM + i % VM))
            if e < U(output.rows):
                for j in unrolled(TN):
                    o = U(o0 + U(j // VN * SN + j % VN))
                    if o < U(output.channels):
                        parts[U((first + e) * U(output.channels) + o)] = acc[i, j]

    return inlined(store)


def make_gemm_weights(T: Any, S: Any, U: Any, tile: Tile, pixels_first: bool, deep: bool) -> Callable[..., None]:
    """The kernel for a tile; `pixels_first` and `deep` as for `make_gemm`. Parts are (group, row, channel)."""
    BM, BN, BK, TM, TN = tile
    RT = tile.threads // BK  # threads that load one pixel: each takes every RT-th row and channel
    LA, LB = BM // RT, BN // RT
    NTN, VM, VN = BN // TN, tile.VM, tile.VN
    PA, PB = BM + 4, BN + 4
    ABUF, BBUF = BK * PA, BK * PB
    SA, SB = 2 * ABUF, 2 * BBUF
    multiply, store = make_multiply(T, tile, PA, PB), make_store(U, tile)
    gather, pixel, advance = make_gather(T, S, U, LA, deep), make_pixel(U), make_advance(U)

    def gemm_weights(
        x: Any, dy: Any, parts: Any, entries: Any, image: Gather, pixels: Pixels, output: Output, grid: Any
    ) -> None:
        sa = cuda.shared.array(SA, T, 16)
        sb = cuda.shared.array(SB, T, 16)
        acc = cuda.local.array((TM, TN), T)
        fa, fb = cuda.local.array(TM, T), cuda.local.array(TN, T)
        pa, pb = cuda.local.array(LA, T), cuda.local.array(LB, T)
        offset, td = cuda.local.array(LA, U), cuda.local.array(LA, S)
        th, tw = cuda.local.array(LA, S), cuda.local.array(LA, S)

        # Which tile: blocks with the same pixels start side by side.
        t, rest = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
        o0, rest = U(rest % U(grid[0]) * U(BN)), U(rest // U(grid[0]))
        e0, rest = U(rest % U(grid[1]) * U(BM)), U(rest // U(grid[1]))
        g, part = U(rest % U(grid[2])), U(rest // U(grid[2]))
        if pixels_first:
            k, r = U(t % U(BK)), U(t // U(BK))
        else:
            k, r = U(t // U(RT)), U(t % U(RT))
        tm, tn = U(t // U(NTN)), U(t % U(NTN))

        # This thread's rows of A' stay the same, its pixel moves on by BK.
        for i in range(LA):
            e = U((e0 + r + U(i * RT)) * U(ENTRY))
            offset[i] = U(U(entries[e]) + g * U(image.group))
            td[i], th[i], tw[i] = entries[e + U(1)], entries[e + U(2)], entries[e + U(3)]
        column = U(g * U(output.group) + (o0 + r) * U(output.c))
        begin = U(part * U(pixels.part))
        stop = U(begin + U(pixels.part))
        if stop > U(pixels.total):
            stop = U(pixels.total)
        steps = S(U(stop - begin + U(BK - 1)) // U(BK))
        m = U(begin + k)
        n, d, h, w = pixel(m, pixels.D, pixels.H, pixels.W)
        for i in range(TM):
            for j in range(TN):
                acc[i, j] = T(0)

        # Step s is loaded into registers, then step s-1 multiplied, then s stored where s-2 was.
        for s in range(S(-1), steps):
            more = S(s + 1) < steps
            if more:
                gather(x, n, d, h, w, m < stop, offset, td, th, tw, image, pa)
                at = U(column + n * U(output.n) + d * U(output.d) + h * U(output.h) + w * U(output.w))
                for j in range(LB):
                    real = m < stop and U(o0 + r + U(j * RT)) < U(output.channels)
                    pb[j] = dy[U(at + U(j * RT) * U(output.c))] if real else T(0)
                m = U(m + U(BK))
                n, d, h, w = advance(n, d, h, w, pixels)
            if s >= 0:
                ra, rb = U(U(s & 1) * U(ABUF) + tm * U(VM)), U(U(s & 1) * U(BBUF) + tn * U(VN))
                multiply(sa, L(ra), sb, L(rb), acc, fa, fb)
            if more:
                wa, wb = U(U((s + 1) & 1) * U(ABUF) + k * U(PA) + r), U(U((s + 1) & 1) * U(BBUF) + k * U(PB) + r)
                for i in range(LA):
                    sa[U(wa + U(i * RT))] = pa[i]
                for j in range(LB):
                    sb[U(wb + U(j * RT))] = pb[j]
            cuda.syncthreads()
        first = U((part * U(grid[2]) + g) * U(output.rows))
        store(acc, parts, first, U(e0 + tm * U(VM)), U(o0 + tn * U(VN)), output)

    return gemm_weights
