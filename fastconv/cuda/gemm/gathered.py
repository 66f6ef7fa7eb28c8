"""Implicit GEMM: y = A w, where A is gathered from an image while it is multiplied, and never stored.

One row of A belongs to one output pixel and holds what its window reads; a column to one (tap, channel). Forward and
input gradient are the same kernel: the input gradient gathers from dy, once for each phase of the stride. A block owns
BM pixels x BN output channels and goes through the columns BK at a time: it gathers BM x BK of A and BK x BN of w into
shared memory, then each thread adds BK outer products to its TM x TN accumulators in registers. Shared memory holds two
such pairs: while one is multiplied, the next is on its way in registers.

The idea of precomputed offsets: Chetlur et al., arXiv:1410.0759, section 3. The tiling: Volkov & Demmel, SC 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import ptx
from ..activation import device_function
from ..backend import cuda
from ..indexing import L, make_pixel
from ..runtime.source import inlined, unrolled
from .tiles import Tile

OUTSIDE = -(1 << 30)  # a coordinate that is outside every image, whatever offset comes to it
PHASE = 7  # numbers that describe a phase; see `Phase`
ENTRY = 4  # numbers that describe a column of A: offset in elements, offset in pixels along D, H, W


class Phase(NamedTuple):
    """Pixels that read the image alike: their grid (D, H, W), the columns of A they need, where they are stored."""

    D: int
    H: int
    W: int
    total: int  # N * D * H * W
    first: int  # step of BK columns that is the first
    steps: int
    start: int  # place in y


class Gather(NamedTuple):
    """Where A comes from: pixel i of a phase reads around origin + i*step; sizes and strides of the image."""

    step_d: int
    step_h: int
    step_w: int
    origin_d: int
    origin_h: int
    origin_w: int
    D: int
    H: int
    W: int
    n: int
    d: int
    h: int
    w: int
    c: int
    group: int


class Target(NamedTuple):
    """Strides of y along a phase's pixels, along channels and from group to group."""

    n: int
    d: int
    h: int
    w: int
    c: int
    group: int


class Weights(NamedTuple):
    """The packed weights: output channels of a group, elements from row to row and from group to group."""

    outputs: int
    row: int
    group: int


def make_multiply(T: Any, tile: Tile, PA: int, PB: int) -> Any:
    """``multiply(sa, ra, sb, rb, acc, fa, fb)``: add BK outer products of a thread's parts of shared memory to `acc`.

    PA and PB are the pitches of `sa` and `sb`; ra and rb the places of the thread's first elements.
    """
    BK, TM, TN, SM, SN, VM, VN = tile.BK, tile.TM, tile.TN, tile.SM, tile.SN, tile.VM, tile.VN

    def multiply(sa: Any, ra: Any, sb: Any, rb: Any, acc: Any, fa: Any, fb: Any) -> None:
        for k in unrolled(BK):
            for i in range(TM):
                fa[i] = sa[ra + L(k * PA + i // VM * SM + i % VM)]
            for j in range(TN):
                fb[j] = sb[rb + L(k * PB + j // VN * SN + j % VN)]
            for i in range(TM):
                for j in range(TN):
                    acc[i, j] += fa[i] * fb[j]

    return inlined(multiply)


def make_run(T: Any, U: Any, count: int, run: int) -> Any:
    """``load(x, at, live, v)``: `count` neighbours from `at` on into `v`, `run` at a time; zeros unless `live`."""

    def load(x: Any, at: Any, live: Any, v: Any) -> None:
        for k in unrolled(count // run):
            if run == 4:
                v[4 * k], v[4 * k + 1], v[4 * k + 2], v[4 * k + 3] = ptx.load_four(x, L(U(at + U(4 * k))), live)
            elif run == 2:
                v[2 * k], v[2 * k + 1] = ptx.load_two(x, L(U(at + U(2 * k))), live)
            else:
                v[k] = x[U(at + U(k))] if live else T(0)

    return inlined(load)


def make_gather(T: Any, S: Any, U: Any, tile: Tile, even: bool, pixels_first: bool, deep: bool, run: int) -> Any:
    """``gather(x, entries, step, column, base, d, h, w, image, pa)``: load this thread's part of a step of A to `pa`.

    That is one pixel's columns from `column` on, side by side, or with `pixels_first` RA apart. With a `run` of more
    than 1 whole runs of columns lie in one tap and are loaded at a time.
    """
    LA, RA = tile.BM * tile.BK // tile.threads, tile.threads // tile.BM
    BETWEEN = RA if pixels_first else 1
    BK = tile.BK

    def hits(entries: Any, e: Any, d: Any, h: Any, w: Any, image: Any) -> Any:
        inside = U(h + entries[e + U(2)]) < U(image.H) and U(w + entries[e + U(3)]) < U(image.W)
        if deep:
            inside = inside and U(d + entries[e + U(1)]) < U(image.D)
        return inside

    inside, load = inlined(hits), make_run(T, U, LA, run)

    def gather(
        x: Any, entries: Any, step: Any, column: Any, base: Any, d: Any, h: Any, w: Any, image: Any, pa: Any
    ) -> None:
        e = U(step * U(ENTRY))
        live = even and inside(entries, e, d, h, w, image)
        if run > 1:
            load(x, U(base + U(entries[e])), live, pa)
            return
        for k in range(LA):
            if even:
                at = U(base + U(entries[e]) + U(k * BETWEEN) * U(image.c))
            else:
                e = U(U(step * U(BK) + column + U(k * BETWEEN)) * U(ENTRY))
                live = inside(entries, e, d, h, w, image)
                at = U(base + U(entries[e]))
            v = T(0)
            if live:
                v = x[at]
            pa[k] = v

    return inlined(gather)


def make_load(T: Any, U: Any, count: int, run: int) -> Any:
    """``load(w, at, o, weights, pb)``: `count` neighbouring channels of w, the first of which is o, at once or each."""
    neighbours = make_run(T, U, count, run)

    def load(w: Any, at: Any, o: Any, weights: Any, pb: Any) -> None:
        if run == count:
            neighbours(w, at, o < U(weights.outputs), pb)
        else:
            for i in range(count):
                pb[i] = w[L(at) + L(i)] if U(o + U(i)) < U(weights.outputs) else T(0)

    return inlined(load)


def make_store(T: Any, U: Any, tile: Tile, bias: bool, activation: Any) -> Any:
    """``store(acc, b, y, phases, f, g, m, o, target, weights)``: write a thread's accumulators to y."""
    TM, TN, SM, SN, VM, VN = tile.TM, tile.TN, tile.SM, tile.SN, tile.VM, tile.VN
    act = device_function(activation, T)
    pixel = make_pixel(U)

    def store(
        acc: Any, b: Any, y: Any, phases: Any, f: Any, g: Any, m0: Any, o0: Any, target: Any, weights: Any
    ) -> None:
        PD, PH, PW = U(phases[f]), U(phases[f + U(1)]), U(phases[f + U(2)])
        M, start = U(phases[f + U(3)]), U(phases[f + U(6)])
        for i in unrolled(TM):
            m = U(m0 + U(i // VM * SM + i % VM))
            if m < M:
                n, d, h, w = pixel(m, PD, PH, PW)
                at = U(
                    start + n * U(target.n) + d * U(target.d) + h * U(target.h) + w * U(target.w) + g * U(target.group)
                )
                for j in unrolled(TN):
                    o = U(o0 + U(j // VN * SN + j % VN))
                    if o < U(weights.outputs):
                        v = acc[i, j]
                        if bias:
                            v = T(v + b[U(g * U(weights.outputs) + o)])
                        if act is not None:
                            v = T(act(v))
                        y[U(at + o * U(target.c))] = v

    return inlined(store)


def make_gemm(
    T: Any, S: Any, U: Any, tile: Tile, even: bool, pixels_first: bool, deep: bool, runs: tuple[int, int], bias: bool,
    activation: Any,
) -> Callable[..., None]:  # fmt: skip
    """The kernel for a tile.

    Parameters
    ----------
    even : bool
        Each step of BK columns is one tap: there is one entry per step, else one per column.
    pixels_first : bool
        Neighbouring threads load and store neighbouring pixels (channels-first), else neighbouring channels.
    deep : bool
        The depth axis is not trivial.
    runs : (int, int)
        Neighbouring columns of A and channels of w that are loaded at a time.
    """
    BM, BN, BK, TM, TN = tile
    NT = tile.threads
    NTM, NTN, VM, VN = BM // TM, BN // TN, tile.VM, tile.VN
    LA, LB = BM * BK // NT, BN * BK // NT  # elements of A and w that a thread loads per step
    RA, RB = NT // BM, BN // LB  # threads that share a pixel; threads that load a row of w, LB neighbours each
    BETWEEN = RA if pixels_first else 1  # columns from one load of A to the next
    PITCH = BM + 4  # keeps runs aligned and lets threads with neighbouring columns write to different banks
    ABUF, BBUF = BK * PITCH, BK * BN
    SA, SB = 2 * ABUF, 2 * BBUF
    gather, multiply = make_gather(T, S, U, tile, even, pixels_first, deep, runs[0]), make_multiply(T, tile, PITCH, BN)
    load = make_load(T, U, LB, runs[1])
    store, pixel = make_store(T, U, tile, bias, activation), make_pixel(U)

    def gemm(
        x: Any, w: Any, b: Any, y: Any, entries: Any, phases: Any, image: Any, target: Any, weights: Any, grid: Any
    ) -> None:
        sa = cuda.shared.array(SA, T, 16)
        sb = cuda.shared.array(SB, T, 16)
        acc = cuda.local.array((TM, TN), T)
        fa, fb = cuda.local.array(TM, T), cuda.local.array(TN, T)
        pa, pb = cuda.local.array(LA, T), cuda.local.array(LB, T)
        place = cuda.shared.array(4, U)

        # Which tile: blocks that share pixels, and so what they gather, start side by side.
        t, rest = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
        o0, rest = U(rest % U(grid[0]) * U(BN)), U(rest // U(grid[0]))
        m0, rest = U(rest % U(grid[1]) * U(BM)), U(rest // U(grid[1]))
        f, g = U(rest % U(grid[2]) * U(PHASE)), U(rest // U(grid[2]))
        M, first, steps = U(phases[f + U(3)]), U(phases[f + U(4)]), S(phases[f + U(5)])
        if m0 >= M:
            return
        if pixels_first:
            am, ak, tm, tn = U(t % U(BM)), U(t // U(BM)), U(t % U(NTM)), U(t // U(NTM))
        else:
            am, ak, tm, tn = U(t // U(RA)), U(t % U(RA) * U(LA)), U(t // U(NTN)), U(t % U(NTN))
        bo, bk = U(t % U(RB) * U(LB)), U(t // U(RB))

        if t == U(0):  # not needed before the end: kept out of the registers
            place[0], place[1], place[2], place[3] = f, g, m0, o0

        # Where this thread's pixel reads; a pixel beyond the last reads outside, which is zero.
        n, d, h, v = pixel(U(m0 + am), phases[f], phases[f + U(1)], phases[f + U(2)])
        d0 = S(S(d) * image.step_d + image.origin_d)
        h0 = S(S(h) * image.step_h + image.origin_h)
        w0 = S(S(v) * image.step_w + image.origin_w)
        at = U(n * U(image.n) + g * U(image.group) + U(d0) * U(image.d) + U(h0) * U(image.h) + U(w0) * U(image.w))
        base = U(at + (ak * U(image.c) if even else U(0)))
        if U(m0 + am) >= M:
            h0 = S(OUTSIDE)
        bw = U(g * U(weights.group) + o0 + bo + (first * U(BK) + bk) * U(weights.row))
        ob = U(o0 + bo)
        for i in range(TM):
            for j in range(TN):
                acc[i, j] = T(0)

        # Step s is loaded into registers, then step s-1 multiplied, then s stored where s-2 was.
        s = S(-1)
        while s < steps:
            more = S(s + 1) < steps
            if more:
                gather(x, entries, U(first + U(s + 1)), ak, base, d0, h0, w0, image, pa)
                load(w, bw, ob, weights, pb)
                bw = U(bw + U(BK) * U(weights.row))
            if s >= 0:
                ra, rb = U(U(s & 1) * U(ABUF) + tm * U(VM)), U(U(s & 1) * U(BBUF) + tn * U(VN))
                multiply(sa, L(ra), sb, L(rb), acc, fa, fb)
            if more:
                wa, wb = U(U((s + 1) & 1) * U(ABUF) + ak * U(PITCH) + am), U(U((s + 1) & 1) * U(BBUF) + bk * U(BN) + bo)
                for k in range(LA):
                    sa[U(wa + U(k * BETWEEN * PITCH))] = pa[k]
                for i in range(LB):
                    sb[L(wb) + L(i)] = pb[i]
            cuda.syncthreads()
            s = S(s + 1)
        m, o = U(place[2] + tm * U(VM)), U(place[3] + tn * U(VN))
        store(acc, b, y, phases, place[0], place[1], m, o, target, weights)

    return gemm
