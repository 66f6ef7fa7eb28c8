"""GEMM without a gather: y = A w, where A lies in memory as it is, for windows of one pixel and for matrix products.

``gathered``'s kernel without its table of columns and tests for the border, which take a tenth of its instructions: a
thread's place in A and w moves on by a constant from step to step. Both factors may lie either way round, so nothing is
packed or transposed: what lies side by side is loaded in runs of up to four numbers, and turned on its way to shared
memory where it must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import backend, ptx
from ..backend import cuda
from ..indexing import L, make_pixel
from ..launch import blocks_for, flat, launch, needs_wide, table
from ..runtime.source import inlined, unrolled
from . import tiles
from .gathered import PHASE, Gather, Phase, Target, make_multiply, make_store
from .lowering import Plan, phases_of
from .tiles import Tile

ROWS = Phase._fields.index("total")


class Form(NamedTuple):
    """How the factors lie: constants of the kernel.

    Attributes
    ----------
    x_columns : bool
        A pixel's columns of A lie side by side (channels-last), else a column's pixels do.
    w_columns : bool
        An output channel's columns of w lie side by side, else a column's channels do.
    y_channels : bool
        Neighbouring threads store neighbouring channels of y, else neighbouring pixels.
    x_run, w_run : {1, 2, 4}
        Neighbours that are loaded at a time; only float32 has more than one.
    even : bool
        The columns are whole steps of BK.
    """

    x_columns: bool
    w_columns: bool
    y_channels: bool
    x_run: int
    w_run: int
    even: bool


class Factor(NamedTuple):
    """Strides of w along columns, channels and groups; channels of a group; columns."""

    column: int
    channel: int
    group: int
    outputs: int
    columns: int


class Share(NamedTuple):
    """Which elements of a factor's part of a step one thread loads.

    Runs of `run` neighbours; `across` of them hold the part's columns (or its rows, if those lie side by side), the
    threads that are left take the other axis, and go on `passes` times, `next` columns further on each time.
    """

    run: int
    across: int
    passes: int
    next: int


def share_of(length: int, tile: Tile, columns: bool, run: int) -> Share:
    """How a block's threads share BK columns x `length` rows."""
    each = length * tile.BK // tile.threads  # elements of a thread
    if columns:
        return Share(run, tile.BK // each, each // run, run)
    across = length // run
    return Share(run, across, each // run, tile.threads // across)


def make_load(T: Any, U: Any, share: Share, even: bool) -> Any:
    """``load(x, at, step, column, columns, live, v)``: a thread's runs into `v`; `step` elements lie between columns.

    `column` is the first run's; columns from `columns` on, and everything unless `live`, count as zeros.
    """
    RUN, PASSES, NEXT = share.run, share.passes, share.next

    def load(x: Any, at: Any, step: Any, column: Any, columns: Any, live: Any, v: Any) -> None:
        for k in unrolled(PASSES):
            real = live and (even or U(column + U(k * NEXT)) < columns)
            place = U(at + U(k * NEXT) * step)
            if RUN == 4:
                v[4 * k], v[4 * k + 1], v[4 * k + 2], v[4 * k + 3] = ptx.load_four(x, L(place), real)
            elif RUN == 2:
                v[2 * k], v[2 * k + 1] = ptx.load_two(x, L(place), real)
            else:
                v[k] = x[place] if real else T(0)

    return inlined(load)


def make_keep(U: Any, share: Share, columns: bool, pitch: int) -> Any:
    """``keep(s, at, v)``: write a thread's runs to shared memory, where a column's rows lie side by side."""
    RUN, PASSES, NEXT = share.run, share.passes, share.next
    BETWEEN = pitch if columns else 1

    def keep(s: Any, at: Any, v: Any) -> None:
        for k in unrolled(PASSES):
            for i in unrolled(RUN):
                s[L(at) + L(k * NEXT * pitch + i * BETWEEN)] = v[k * RUN + i]

    return inlined(keep)


def make_gemm_plain(T: Any, S: Any, U: Any, tile: Tile, form: Form, bias: bool, activation: Any) -> Callable[..., None]:
    """The kernel for a tile; all phases are of the same pixels, on lines."""
    BM, BN, BK, TM, TN = tile
    NTM, NTN, VM, VN = BM // TM, BN // TN, tile.VM, tile.VN
    A = share_of(BM, tile, form.x_columns, form.x_run)
    B = share_of(BN, tile, form.w_columns, form.w_run)
    LA, LB = A.run * A.passes, B.run * B.passes
    ACROSS, BCROSS, ARUN, BRUN = A.across, B.across, A.run, B.run
    XC, WC, YC = form.x_columns, form.w_columns, form.y_channels
    PA, PB = BM + 4, BN + (4 if WC else 0)  # keep runs aligned; 4 more spread columns that are turned over the banks
    ABUF, BBUF = BK * PA, BK * PB
    SA, SB = 2 * ABUF, 2 * BBUF
    load_a, load_b = make_load(T, U, A, form.even), make_load(T, U, B, form.even)
    keep_a, keep_b = make_keep(U, A, XC, PA), make_keep(U, B, WC, PB)
    multiply, store, pixel = make_multiply(T, tile, PA, PB), make_store(T, U, tile, bias, activation), make_pixel(U)

    def gemm_plain(
        x: Any, w: Any, b: Any, y: Any, phases: Any, image: Any, target: Any, weights: Any, grid: Any
    ) -> None:
        sa = cuda.shared.array(SA, T, 16)
        sb = cuda.shared.array(SB, T, 16)
        acc = cuda.local.array((TM, TN), T)
        fa, fb = cuda.local.array(TM, T), cuda.local.array(TN, T)
        va, vb = cuda.local.array(LA, T), cuda.local.array(LB, T)

        # Which tile: blocks that share pixels start side by side.
        t, rest = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
        o0, rest = U(rest % U(grid[0]) * U(BN)), U(rest // U(grid[0]))
        m0, rest = U(rest % U(grid[1]) * U(BM)), U(rest // U(grid[1]))
        f, g = U(rest % U(grid[2]) * U(PHASE)), U(rest // U(grid[2]))
        M, first, steps = U(phases[f + U(3)]), U(phases[f + U(4)]), S(phases[f + U(5)])
        columns = U(weights.columns)

        # What this thread loads: of A from row am, column ak; of w from channel bo, column bk.
        qa, pa, qb, pb = U(t % U(ACROSS)), U(t // U(ACROSS)), U(t % U(BCROSS)), U(t // U(BCROSS))
        am, ak = (pa, U(qa * U(LA))) if XC else (U(qa * U(ARUN)), pa)
        bo, bk = (pb, U(qb * U(LB))) if WC else (U(qb * U(BRUN)), pb)
        n, _, _, v = pixel(U(m0 + am), U(1), U(1), phases[f + U(2)])
        start = U(first * U(BK))
        xa = U(n * U(image.n) + g * U(image.group) + v * U(image.w) + (start + ak) * U(image.c))
        wb = U(g * U(weights.group) + U(o0 + bo) * U(weights.channel) + (start + bk) * U(weights.column))
        tm, tn = (U(t // U(NTN)), U(t % U(NTN))) if YC else (U(t % U(NTM)), U(t // U(NTM)))
        a_live, b_live = U(m0 + am) < M, U(o0 + bo) < U(weights.outputs)
        for i in range(TM):
            for j in range(TN):
                acc[i, j] = T(0)

        # Step s is loaded into registers, then step s-1 multiplied, then s stored where s-2 was.
        s = S(-1)
        while s < steps:
            more = S(s + 1) < steps
            if more:
                k = U(U(first + U(s + 1)) * U(BK))
                load_a(x, xa, U(image.c), U(k + ak), columns, a_live, va)
                load_b(w, wb, U(weights.column), U(k + bk), columns, b_live, vb)
                xa, wb = U(xa + U(BK) * U(image.c)), U(wb + U(BK) * U(weights.column))
            if s >= 0:
                ra, rb = U(U(s & 1) * U(ABUF) + tm * U(VM)), U(U(s & 1) * U(BBUF) + tn * U(VN))
                multiply(sa, L(ra), sb, L(rb), acc, fa, fb)
            if more:
                keep_a(sa, U(U((s + 1) & 1) * U(ABUF) + ak * U(PA) + am), va)
                keep_b(sb, U(U((s + 1) & 1) * U(BBUF) + bk * U(PB) + bo), vb)
            cuda.syncthreads()
            s = S(s + 1)
        store(acc, b, y, phases, f, g, U(m0 + tm * U(VM)), U(o0 + tn * U(VN)), target, weights)

    return gemm_plain


def multiply(
    plan: Plan, x: Any, w: Any, b: Any, y: Any, groups: int, factor: Factor, tile: Tile, activation: Any
) -> None:
    """y = activation(b + A w), rows of A being pixels of lines, in place; `plan` has their phases, whole steps of BK.

    Each of x and w must have neighbours side by side along one of its two axes.
    """
    image, rows = plan.gather, int(plan.phases[0, ROWS])
    wide = needs_wide(x.size, w.size, y.size)
    grid = blocks_for(factor.outputs, tile.BN), blocks_for(rows, tile.BM), len(plan.phases)
    launch(
        make_gemm_plain,
        (tile, form_of(x, w, rows, image, factor, plan.target, tile), b is not None, activation),
        math.prod(grid) * groups,
        (
            flat(x), flat(w), flat(w if b is None else b), flat(y), table(phases_of, (plan,), wide), image, plan.target,
            factor, grid,
        ),
        dtype=y.dtype,
        wide=wide,
        threads=tile.threads,
        resident=tiles.float_resident(backend.executor().capability(), tile, wide),
    )  # fmt: skip


def form_of(x: Any, w: Any, rows: int, image: Gather, factor: Factor, target: Target, tile: Tile) -> Form:
    """How the kernel loads its factors and stores the result."""
    x_columns, w_columns = image.c == 1, factor.column == 1 and factor.channel != 1

    def run(array: Any, rows: int, columns: bool, *strides: int) -> int:
        """The longest run of neighbours whose places are whole multiples of it, all of them inside or none."""
        longest = 4 if array.dtype == np.float32 and backend.is_aligned(array) else 1
        return math.gcd(longest, rows * tile.BK // tile.threads, factor.columns if columns else longest, *strides)

    pixels = (image.w,) if x_columns else (image.c, rows, image.W)
    channels = (factor.channel,) if w_columns else (factor.column, factor.outputs)
    x_run = run(x, tile.BM, x_columns, image.n, image.group, *pixels)
    w_run = run(w, tile.BN, w_columns, factor.group, *channels)
    return Form(x_columns, w_columns, target.c == 1, x_run, w_run, factor.columns % tile.BK == 0)
