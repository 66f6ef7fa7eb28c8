"""The weight gradient on tensor cores: dw = A' dy in fixed parts of the output pixels, as ``gemm.weights`` does it.

Both operands are read from words that lie pixel by pixel, channels side by side (``staging``): the image's pixel that a
window's tap meets, and dy's. What is summed, the pixels, is therefore not what lies side by side, and fragments of
tensor cores want it so. Nothing is transposed in memory for that: a block copies rows of BM and BN numbers, one for
each of a step's pixels, to shared memory by asynchronous copies of 16 bytes, and the warps turn them as they load them,
16-bit numbers by "ldmatrix.trans", TF32 words one by one.

Chunk q of pixel k's row stands at place q ^ turn(k). A warp loads 16-bit numbers 8 rows x 1 chunk at a time, so turn
takes the 8 values of k % 8; TF32 words 4 rows x 2 chunks at a time, so it takes the even ones, 2 (k % 4). Either way
the 128 bytes lie on all 32 banks, as do those of 8 neighbouring chunks of a row while they are copied.

Extra memory, the parts and the order of sums: see ``gemm.weights``. Sums are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba

from ... import ptx
from ...backend import cuda
from ...indexing import L, make_pixel
from ...ptx import CHUNK, WARP
from ...runtime.source import inlined, unrolled
from ..gathered import ENTRY
from ..tiles import STEP, TensorTile
from ..weights import make_advance
from .gathered import MULTIPLY, NUMBERS, WAIT


class Grad(NamedTuple):
    """dy as words: words of a pixel and of one of its groups; rows and channels of a group's dw, padded rows too."""

    pixel: int
    group: int
    rows: int
    channels: int


def turns(numbers: str, length: int) -> tuple[int, int, int]:
    """(a, b, c) so that turn(k) = k // a % b * c, for rows of `length` words."""
    chunks = length // CHUNK
    return (1, 4, 2) if NUMBERS[numbers] == 1 else (max(1, 8 // chunks), min(8, chunks), 1)


def make_fetch(S: Any, U: Any, tile: TensorTile, numbers: str, deep: bool) -> Any:
    """``fetch(...)``: start copying this thread's chunks of one step to a stage of shared memory, as one group.

    The thread's chunk of A' stays the same from step to step, its pixel moves on by `rows` with each copy. Returns
    where it has come to.
    """
    PER, QA, QB, RA, RB = geometry(tile, numbers)
    LA, LB = STEP * PER // RA, STEP * PER // RB
    ABUF, BUF = STEP * tile.BM, STEP * (tile.BM + tile.BN)
    advance = make_advance(U)

    def fetch(
        x: Any, dy: Any, shared: Any, stage: Any, ta: Any, tb: Any, m: Any, n: Any, d: Any, h: Any, w: Any, stop: Any,
        offset: Any, td: Any, th: Any, tw: Any, image: Any, pixels: Any, mb: Any, bw: Any, inside: Any, grad: Any,
    ) -> Any:  # fmt: skip
        start = U(U(stage) * U(BUF))
        for i in unrolled(LA):
            z0 = S(S(d) * image.step_d + image.origin_d)
            y0 = S(S(h) * image.step_h + image.origin_h)
            x0 = S(S(w) * image.step_w + image.origin_w)
            live = m < stop and U(y0 + th) < U(image.H) and U(x0 + tw) < U(image.W)
            if deep:
                live = live and U(z0 + td) < U(image.D)
            at = U(n * U(image.n) + U(z0) * U(image.d) + U(y0) * U(image.h) + U(x0) * U(image.w) + offset)
            ptx.copy_async(shared, L(U(start + ta + U(i * RA * QA * CHUNK))), x, L(at if live else U(0)), live)
            m = U(m + U(RA))
            n, d, h, w = advance(n, d, h, w, pixels)
        for i in unrolled(LB):
            live = inside and mb < stop
            at = U(bw + mb * U(grad.pixel)) if live else U(0)
            ptx.copy_async(shared, L(U(start + tb + U(ABUF + i * RB * QB * CHUNK))), dy, L(at), live)
            mb = U(mb + U(RB))
        return m, n, d, h, w, mb

    return inlined(fetch)


def geometry(tile: TensorTile, numbers: str) -> tuple[int, int, int, int, int]:
    """Numbers in a word; chunks of a row of A' and dy; rows of both that a block's threads copy at a time."""
    per = NUMBERS[numbers]
    qa, qb = tile.BM // per // CHUNK, tile.BN // per // CHUNK
    return per, qa, qb, tile.threads // qa, tile.threads // qb


def make_words(U: Any, tile: TensorTile) -> Any:
    """``load(shared, pa, pb, k, fa, fb)``: the fragments of 8 pixels of TF32 words; see `make_multiply`."""
    MT, NT, BM, BN = tile.MT, tile.NT, tile.BM, tile.BN

    def load(shared: Any, pa: Any, pb: Any, k: Any, fa: Any, fb: Any) -> None:
        for i in unrolled(4 * MT):  # 8 rows each, then the next 4 pixels
            row, pixel = i // 4 * 2 + i % 2, i % 4 // 2
            fa[i // 4, i % 4] = shared[pa[row % 4] + L((k * 8 + pixel * 4) * BM + row // 4 * 32)]
        for j in unrolled(2 * NT):
            fb[j // 2, j % 2] = shared[pb[j // 2 % 4] + L((k * 8 + j % 2 * 4) * BN + j // 8 * 32)]

    return inlined(load)


def make_halves(U: Any, tile: TensorTile) -> Any:
    """``load(shared, pa, pb, k, fa, fb)``: the fragments of 16 pixels of 16-bit numbers."""
    MT, NT, BM, BN = tile.MT, tile.NT, tile.BM // 2, tile.BN // 2

    def load(shared: Any, pa: Any, pb: Any, k: Any, fa: Any, fb: Any) -> None:
        for i in unrolled(MT):
            fa[i, 0], fa[i, 1], fa[i, 2], fa[i, 3] = ptx.load_transposed(shared, pa[i] + L(k * 16 * BM))
        for j in unrolled(NT // 2):
            fb[2 * j, 0], fb[2 * j, 1], fb[2 * j + 1, 0], fb[2 * j + 1, 1] = ptx.load_transposed(
                shared, pb[j] + L(k * 16 * BN)
            )

    return inlined(load)


def make_multiply(U: Any, tile: TensorTile, numbers: str) -> Any:
    """``multiply(shared, stage, ua, ub, pa, pb, fa, fb, acc)``: add a step's products to a warp's sums.

    ua and ub are where in a stage this lane loads its parts of the fragments from, pa and pb become where in `shared`.
    A TF32 lane's words of 32 neighbouring rows stand at four places, which repeat 32 further on; for 16-bit numbers
    there is one place for each fragment.
    """
    MT, NT, ABUF, BUF = tile.MT, tile.NT, STEP * tile.BM, STEP * (tile.BM + tile.BN)
    UA, UB = places_of(tile, numbers)
    mma = MULTIPLY[numbers]
    load = (make_words if NUMBERS[numbers] == 1 else make_halves)(U, tile)

    def multiply(shared: Any, stage: Any, ua: Any, ub: Any, pa: Any, pb: Any, fa: Any, fb: Any, acc: Any) -> None:
        start = U(U(stage) * U(BUF))
        for i in range(UA):
            pa[i] = L(U(start + ua[i]))
        for j in range(UB):
            pb[j] = L(U(start + ub[j] + U(ABUF)))
        for k in unrolled(STEP // 8):
            load(shared, pa, pb, k, fa, fb)
            for i in range(MT):
                for j in range(NT):
                    acc[i, j, 0], acc[i, j, 1], acc[i, j, 2], acc[i, j, 3] = mma(
                        fa[i, 0], fa[i, 1], fa[i, 2], fa[i, 3], fb[j, 0], fb[j, 1],
                        acc[i, j, 0], acc[i, j, 1], acc[i, j, 2], acc[i, j, 3],
                    )  # fmt: skip

    return inlined(multiply)


def places_of(tile: TensorTile, numbers: str) -> tuple[int, int]:
    """How many places of A' and of dy a lane keeps."""
    return (4, 4) if NUMBERS[numbers] == 1 else (tile.MT, tile.NT // 2)


def make_places(U: Any, tile: TensorTile, numbers: str) -> Any:
    """``places(lane, am, an, ua, ub)``: fill in where a lane loads from; its warp's rows and channels start at am, an.

    am and an are multiples of 32, so what is added for further fragments never meets what the swizzle turns.
    """
    PER, QA, QB, _, _ = geometry(tile, numbers)
    BM, BN, MT, NT = tile.BM // PER, tile.BN // PER, tile.MT, tile.NT
    (A1, A2, A3), (B1, B2, B3) = turns(numbers, BM), turns(numbers, BN)

    def words(lane: Any, am: Any, an: Any, ua: Any, ub: Any) -> None:
        k, r = U(lane % U(4)), U(lane // U(4))
        for i in range(4):
            turned = U(U(i * 8) ^ (k * U(8)))
            ua[i] = U(k * U(BM) + am + turned + r)
            ub[i] = U(k * U(BN) + an + turned + r)

    def halves(lane: Any, am: Any, an: Any, ua: Any, ub: Any) -> None:
        k, half, upper = U(lane % U(8)), U(lane // U(8) % U(2)), U(lane // U(16))
        qa, qb = U(am // U(8) + half), U(an // U(8) + upper)
        for i in range(MT):
            chunk = U(U(qa + U(2 * i)) ^ U(k // U(A1) % U(A2) * U(A3)))
            ua[i] = U((k + upper * U(8)) * U(BM) + chunk * U(CHUNK))
        for j in range(NT // 2):
            chunk = U(U(qb + U(2 * j)) ^ U(k // U(B1) % U(B2) * U(B3)))
            ub[j] = U((k + half * U(8)) * U(BN) + chunk * U(CHUNK))

    return inlined(words if PER == 1 else halves)


def make_store(U: Any, tile: TensorTile) -> Any:
    """``store(acc, parts, first, e, o, grad)``: write a lane's sums to the rows of a part from `first` on."""
    MT, NT = tile.MT, tile.NT

    def store(acc: Any, parts: Any, first: Any, e0: Any, o0: Any, grad: Any) -> None:
        for i in unrolled(2 * MT):  # eight rows each
            e = U(e0 + U(i * 8))
            if e < U(grad.rows):
                for j in unrolled(2 * NT):  # every second channel of eight
                    o = U(o0 + U(j // 2 * 8 + j % 2))
                    if o < U(grad.channels):
                        parts[U((first + e) * U(grad.channels) + o)] = acc[i // 2, j // 2, i % 2 * 2 + j % 2]

    return inlined(store)


def make_gemm_weights_tensor(T: Any, S: Any, U: Any, tile: TensorTile, numbers: str, deep: bool) -> Callable[..., None]:
    """The kernel for a tile; `numbers` names what words hold, `deep` as there. Parts are (group, row, channel).

    `entries` has one entry for each chunk of a row of A', `pixels` what a copy of RA pixels adds to a position.
    """
    BM, BN, WM, WN, STAGES = tile
    MT, NT = tile.MT, tile.NT
    PER, QA, QB, RA, RB = geometry(tile, numbers)
    (A1, A2, A3), (B1, B2, B3) = turns(numbers, BM // PER), turns(numbers, BN // PER)
    AHEAD = STAGES - 1
    UA, UB = places_of(tile, numbers)
    W = numba.uint32
    wait = WAIT[STAGES]
    fetch, multiply = make_fetch(S, U, tile, numbers, deep), make_multiply(U, tile, numbers)
    places, store, pixel = make_places(U, tile, numbers), make_store(U, tile), make_pixel(U)

    def gemm_weights_tensor(
        x: Any, dy: Any, parts: Any, entries: Any, image: Any, pixels: Any, grad: Any, grid: Any
    ) -> None:
        shared = cuda.shared.array(0, W, 16)
        acc = cuda.local.array((MT, NT, 4), T)
        fa, fb = cuda.local.array((MT, 4), W), cuda.local.array((NT, 2), W)
        ua, ub = cuda.local.array(UA, U), cuda.local.array(UB, U)
        pa, pb = cuda.local.array(UA, L), cuda.local.array(UB, L)

        # Which tile: blocks with the same pixels start side by side.
        t, rest = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
        o0, rest = U(rest % U(grid[0]) * U(BN)), U(rest // U(grid[0]))
        e0, rest = U(rest % U(grid[1]) * U(BM)), U(rest // U(grid[1]))
        g, part = U(rest % U(grid[2])), U(rest // U(grid[2]))
        begin = U(part * U(pixels.part))
        stop = U(begin + U(pixels.part))
        if stop > U(pixels.total):
            stop = U(pixels.total)
        steps = S(U(stop - begin + U(STEP * PER - 1)) // U(STEP * PER))

        # This thread's chunk of A' and of dy's channels, and the first pixels it copies of them.
        qa, ra, qb, rb = U(t % U(QA)), U(t // U(QA)), U(t % U(QB)), U(t // U(QB))
        e = U(U(e0 // U(CHUNK * PER) + qa) * U(ENTRY))
        offset = U(U(entries[e]) + g * U(image.group))
        td, th, tw = entries[e + U(1)], entries[e + U(2)], entries[e + U(3)]
        word = U(o0 // U(PER) + qb * U(CHUNK))
        bw, inside = U(g * U(grad.group) + word), word < U(grad.group)
        ta = U(ra * U(QA * CHUNK) + (qa ^ (ra // U(A1) % U(A2) * U(A3))) * U(CHUNK))
        tb = U(rb * U(QB * CHUNK) + (qb ^ (rb // U(B1) % U(B2) * U(B3))) * U(CHUNK))
        m, mb = U(begin + ra), U(begin + rb)
        n, d, h, w = pixel(m, pixels.D, pixels.H, pixels.W)
        lane, warp = U(t % U(WARP)), U(t // U(WARP))
        am, an = U(warp % U(WM) * U(16 * MT)), U(warp // U(WM) * U(8 * NT))
        places(lane, am, an, ua, ub)
        for i in range(MT):
            for j in range(NT):
                for k in range(4):
                    acc[i, j, k] = T(0)

        # Each turn: step s has arrived and s - 1 is done with; the next is sent for where s - 1 was; s is multiplied.
        for s in range(S(-AHEAD), steps):
            if s >= 0:
                wait()
                cuda.syncthreads()
            if S(s + AHEAD) < steps:
                stage = U(U(s + AHEAD) % U(STAGES))
                m, n, d, h, w, mb = fetch(
                    x, dy, shared, stage, ta, tb, m, n, d, h, w, stop, offset, td, th, tw, image, pixels, mb, bw,
                    inside, grad,
                )  # fmt: skip
            ptx.commit()
            if s >= 0:
                multiply(shared, U(U(s) % U(STAGES)), ua, ub, pa, pb, fa, fb, acc)
        first = U((part * U(grid[2]) + g) * U(grad.rows))
        store(acc, parts, first, U(e0 + am + lane // U(4)), U(o0 + an + lane % U(4) * U(2)), grad)

    return gemm_weights_tensor
