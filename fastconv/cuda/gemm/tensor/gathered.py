"""The implicit GEMM of ``gemm.gathered`` on tensor cores: y = A w, where A is gathered by asynchronous copies.

Operands are words of 32 bits (see ``ptx``): the image lies channels-last with whole steps of channels, the weights as
(group, output channel, column of A); ``staging`` brings them there. A block owns BM pixels x BN output channels and
keeps STAGES steps of STEP words of both in shared memory: while one is multiplied, the next are on their way. Each
warp multiplies fragments of 16 pixels x 8 channels x 8 words and keeps its sums in registers, in float32.

A row of shared memory is one pixel's or channel's STEP words, four chunks of 16 bytes; chunk c of row r stands at place
c ^ (r/2 % 4), so that neither the copies nor the warps' loads meet on a bank, without padding. The pipeline: CUTLASS,
"Efficient GEMM in CUDA"; the swizzle: the same, "permuted shared memory layouts".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba

from ... import ptx
from ...activation import device_function
from ...backend import cuda
from ...indexing import L, make_pixel
from ...ptx import CHUNK, WARP
from ...runtime.source import inlined, unrolled
from ..gathered import ENTRY, OUTSIDE, PHASE
from ..tiles import STEP, TensorTile

CHUNKS = STEP // CHUNK
#: Words of operands: what multiplies them, how many numbers each holds, what a result becomes if it is stored as it is.
MULTIPLY = {"tf32": ptx.mma_tf32, "bf16": ptx.mma_bf16, "f16": ptx.mma_f16}
NUMBERS = {"tf32": 1, "bf16": 2, "f16": 2}
NARROW = {"bf16": ptx.to_bf16, "f16": ptx.to_f16}
#: By the number of stages: wait until the step that is multiplied next has arrived, while those after it may not have.
WAIT = {3: ptx.wait_but_one, 4: ptx.wait_but_two}


class Weights(NamedTuple):
    """The packed weights: output channels of a group, words of a channel's row and of a group's rows."""

    outputs: int
    row: int
    group: int


def make_fetch(U: Any, tile: TensorTile, deep: bool) -> Any:
    """``fetch(...)``: start copying this thread's chunks of one step to a stage of shared memory, as one group."""
    ROWS = tile.threads // CHUNKS  # rows that the block's threads copy at a time
    LA, LB = tile.BM // ROWS, tile.BN // ROWS
    ABUF, BUF = tile.BM * STEP, (tile.BM + tile.BN) * STEP

    def fetch(
        x: Any, w: Any, entries: Any, step: Any, stage: Any, chunk: Any, row: Any, base: Any, d0: Any, h0: Any, w0: Any,
        image: Any, bw: Any, o0: Any, weights: Any, shared: Any,
    ) -> None:  # fmt: skip
        e = U(U(step) * U(ENTRY))
        offset, td, th, tw = U(entries[e]), entries[e + U(1)], entries[e + U(2)], entries[e + U(3)]
        # Rows a multiple of 8 apart share their swizzle: ROWS is one.
        to = U(U(stage) * U(BUF) + row * U(STEP) + (chunk ^ (row // U(2) % U(CHUNKS))) * U(CHUNK))
        for i in range(LA):
            inside = U(h0[i] + th) < U(image.H) and U(w0[i] + tw) < U(image.W)
            if deep:
                inside = inside and U(d0[i] + td) < U(image.D)
            at = U(base[i] + offset) if inside else U(0)
            ptx.copy_async(shared, L(U(to + U(i * ROWS * STEP))), x, L(at), inside)
        for i in range(LB):
            real = U(o0 + row + U(i * ROWS)) < U(weights.outputs)
            at = U(bw + U(i * ROWS) * U(weights.row) + U(step) * U(STEP)) if real else U(0)
            ptx.copy_async(shared, L(U(to + U(ABUF + i * ROWS * STEP))), w, L(at), real)

    return inlined(fetch)


def make_multiply(U: Any, tile: TensorTile, numbers: str) -> Any:
    """``multiply(shared, stage, a, b, swizzle, fa, fb, acc)``: add a step's products to a warp's sums.

    a and b are the rows whose addresses this lane gives for fragments of A and w, `swizzle` their r/2 % 4.
    """
    MT, NT, BUF = tile.MT, tile.NT, (tile.BM + tile.BN) * STEP
    mma = MULTIPLY[numbers]

    def multiply(
        shared: Any, stage: Any, a: Any, ca: Any, b: Any, cb: Any, swizzle: Any, fa: Any, fb: Any, acc: Any
    ) -> None:
        start = U(U(stage) * U(BUF))
        for k in unrolled(STEP // 8):
            pa = U(start + a * U(STEP) + ((U(2 * k) + ca) ^ swizzle) * U(CHUNK))
            pb = U(start + b * U(STEP) + ((U(2 * k) + cb) ^ swizzle) * U(CHUNK))
            for i in range(MT):
                fa[i, 0], fa[i, 1], fa[i, 2], fa[i, 3] = ptx.load_matrices(shared, L(U(pa + U(i * 16 * STEP))))
            for j in range(NT // 2):
                fb[2 * j, 0], fb[2 * j, 1], fb[2 * j + 1, 0], fb[2 * j + 1, 1] = ptx.load_matrices(
                    shared, L(U(pb + U(j * 16 * STEP)))
                )
            for i in range(MT):
                for j in range(NT):
                    acc[i, j, 0], acc[i, j, 1], acc[i, j, 2], acc[i, j, 3] = mma(
                        fa[i, 0], fa[i, 1], fa[i, 2], fa[i, 3], fb[j, 0], fb[j, 1],
                        acc[i, j, 0], acc[i, j, 1], acc[i, j, 2], acc[i, j, 3],
                    )  # fmt: skip

    return inlined(multiply)


def make_store(T: Any, U: Any, tile: TensorTile, numbers: str, bias: bool, activation: Any, narrow: bool) -> Any:
    """``store(acc, b, y, phases, f, g, m, o, target, weights)``: write a lane's sums to y, in 16 bits if `narrow`."""
    MT, NT = tile.MT, tile.NT
    act = device_function(activation, T)
    pixel = make_pixel(U)
    shorten: Any = NARROW.get(numbers)

    def store(
        acc: Any, b: Any, y: Any, phases: Any, f: Any, g: Any, m0: Any, o0: Any, target: Any, weights: Any
    ) -> None:
        PD, PH, PW = U(phases[f]), U(phases[f + U(1)]), U(phases[f + U(2)])
        M, start = U(phases[f + U(3)]), U(phases[f + U(6)])
        for i in unrolled(2 * MT):  # eight pixels each
            m = U(m0 + U(i * 8))
            if m < M:
                n, d, h, w = pixel(m, PD, PH, PW)
                at = U(
                    start + n * U(target.n) + d * U(target.d) + h * U(target.h) + w * U(target.w) + g * U(target.group)
                )
                for j in unrolled(2 * NT):  # every second channel of eight
                    o = U(o0 + U(j // 2 * 8 + j % 2))
                    if o < U(weights.outputs):
                        v = acc[i // 2, j // 2, i % 2 * 2 + j % 2]
                        if bias:
                            v = T(v + b[U(g * U(weights.outputs) + o)])
                        if act is not None:
                            v = T(act(v))
                        if narrow:
                            y[U(at + o * U(target.c))] = shorten(v)
                        else:
                            y[U(at + o * U(target.c))] = v

    return inlined(store)


def make_gemm_tensor(
    T: Any, S: Any, U: Any, tile: TensorTile, numbers: str, deep: bool, bias: bool, activation: Any, narrow: bool
) -> Callable[..., None]:
    """The kernel for a tile; `numbers` names what words hold, `narrow` stores y as they are; `deep` as there."""
    BM, BN, WM, WN, STAGES = tile
    MT, NT = tile.MT, tile.NT
    ROWS = tile.threads // CHUNKS
    LA, AHEAD = BM // ROWS, STAGES - 1
    W = numba.uint32
    wait = WAIT[STAGES]
    fetch, multiply = make_fetch(U, tile, deep), make_multiply(U, tile, numbers)
    store, pixel = make_store(T, U, tile, numbers, bias, activation, narrow), make_pixel(U)

    def gemm_tensor(
        x: Any, w: Any, b: Any, y: Any, entries: Any, phases: Any, image: Any, target: Any, weights: Any, grid: Any
    ) -> None:
        shared = cuda.shared.array(0, W, 16)  # as large as the launch says
        acc = cuda.local.array((MT, NT, 4), T)
        fa, fb = cuda.local.array((MT, 4), W), cuda.local.array((NT, 2), W)
        base, d0 = cuda.local.array(LA, U), cuda.local.array(LA, S)
        h0, w0 = cuda.local.array(LA, S), cuda.local.array(LA, S)

        # Which tile: blocks that share pixels, and so what they gather, start side by side.
        t, rest = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
        o0, rest = U(rest % U(grid[0]) * U(BN)), U(rest // U(grid[0]))
        m0, rest = U(rest % U(grid[1]) * U(BM)), U(rest // U(grid[1]))
        f, g = U(rest % U(grid[2]) * U(PHASE)), U(rest // U(grid[2]))
        M, first, steps = U(phases[f + U(3)]), U(phases[f + U(4)]), S(phases[f + U(5)])
        if m0 >= M:
            return
        chunk, row = U(t % U(CHUNKS)), U(t // U(CHUNKS))
        lane, warp = U(t % U(WARP)), U(t // U(WARP))
        am, an = U(warp % U(WM) * U(16 * MT)), U(warp // U(WM) * U(8 * NT))

        # Where this thread's pixels read; a pixel beyond the last reads outside, which is zero.
        for i in range(LA):
            m = U(m0 + row + U(i * ROWS))
            n, d, h, v = pixel(m, phases[f], phases[f + U(1)], phases[f + U(2)])
            d0[i] = S(S(d) * image.step_d + image.origin_d)
            h0[i] = S(S(h) * image.step_h + image.origin_h)
            w0[i] = S(S(v) * image.step_w + image.origin_w)
            at = U(n * U(image.n) + g * U(image.group) + U(d0[i]) * U(image.d) + chunk * U(CHUNK))
            base[i] = U(at + U(h0[i]) * U(image.h) + U(w0[i]) * U(image.w))
            if m >= M:
                h0[i] = S(OUTSIDE)
        bw = U(g * U(weights.group) + (o0 + row) * U(weights.row) + chunk * U(CHUNK))
        for i in range(MT):
            for j in range(NT):
                for k in range(4):
                    acc[i, j, k] = T(0)

        # Rows and chunks this lane addresses: of A a fragment's 16 rows twice, of w two fragments' 8 rows twice.
        a, ca = U(am + lane % U(16)), U(lane // U(16))
        o, cb = U(U(BM) + an + lane % U(8) + lane // U(16) * U(8)), U(lane // U(8) % U(2))
        swizzle = U(lane // U(2) % U(CHUNKS))

        # Each turn: step s has arrived and s - 1 is done with; the next is sent for where s - 1 was; s is multiplied.
        for s in range(S(-AHEAD), steps):
            if s >= 0:
                wait()
                cuda.syncthreads()
            if S(s + AHEAD) < steps:
                stage = U(U(s + AHEAD) % U(STAGES))
                fetch(
                    x, w, entries, U(first + U(s + AHEAD)), stage, chunk, row, base, d0, h0, w0, image, bw, o0, weights,
                    shared,
                )  # fmt: skip
            ptx.commit()
            if s >= 0:
                multiply(shared, U(U(s) % U(STAGES)), a, ca, o, cb, swizzle, fa, fb, acc)
        store(acc, b, y, phases, f, g, U(m0 + am + lane // U(4)), U(o0 + an + lane % U(4) * U(2)), target, weights)

    return gemm_tensor
