"""The weight gradient of a depthwise convolution: x and dy are read once, all taps summed in registers.

A thread takes tiles of outputs, as ``depthwise`` does, and adds what they give to the sums of all taps of its channel.
The threads of a block that share a channel then add their sums up in shared memory, and blocks theirs by
`filters.sum_parts`: which tiles come together depends on the problem alone, so the bits are the same on every device.

Cost: 2*taps operations an output. Extra memory: copies of dw, below `settings.scratch_bytes`.
Error: below terms*eps*sum(|x|*|dy|), terms = N*OH*OW; in practice about its square root.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...problem import ConvProblem
from .. import backend, border
from ..backend import cuda
from ..filters import count_parts, filters_of, sum_parts
from ..indexing import L, Strides, strides_xy
from ..launch import BLOCK, blocks_for, flat, launch, needs_wide
from ..runtime.source import inlined, known, unrolled
from .depthwise import lies_last, resident
from .register_rows import Line, Span, lanes_for, lines_of, make_load_row

LARGE = 25  # taps from which a thread's sums leave room for small tiles only


class Work(NamedTuple):
    """Which tiles a block sums.

    A block goes through `steps` times as many tasks as it has rows of lanes; a task is a tile, or a row of tiles.
    """

    images: int
    channels: int
    groups: int
    steps: int
    share: int  # outputs of an input channel
    parts_step: int  # numbers of one part


def make_accumulate(columns: Line) -> Any:
    """``accumulate(row, g, i, sums, u)``: a row times the gradients from g[i] on, to the sums from sums[u] on."""
    COUNT, P, TAPS = len(columns.offsets), columns.results, columns.taps

    def accumulate(row: Any, g: Any, i: int, sums: Any, u: int) -> None:
        for k in unrolled(COUNT):
            for j in unrolled(P):
                if known(TAPS[k][j] >= 0):
                    sums[u + known(TAPS[k][j])] += row[k] * g[i + j]

    return inlined(accumulate)


def make_add_up(T: Any, U: Any, width: int, shared: int) -> Any:
    """``add_up(memory, t)``: of `width` runs of BLOCK numbers the sums of those that lie whole times `shared` apart."""
    HALVES = tuple(BLOCK >> k for k in range(1, BLOCK.bit_length()) if BLOCK >> k >= shared)
    COUNT = len(HALVES)

    def add_up(memory: Any, t: Any) -> None:
        cuda.syncthreads()
        for k in unrolled(COUNT):
            if t < U(known(HALVES[k])):
                for v in unrolled(width):
                    memory[U(t + U(v * BLOCK))] += memory[U(t + U(v * BLOCK + known(HALVES[k])))]
            cuda.syncthreads()

    return inlined(add_up)


def make_depthwise_grad(
    T: Any, S: Any, U: Any, rows: Line, columns: Line, lanes: int, channels_last: bool
) -> Callable[..., None]:
    """parts[part, channel, tap]: the sums of one part of the tiles."""
    R, P, HEIGHT, WIDTH, TAPS = rows.results, columns.results, rows.kernel, columns.kernel, rows.kernel * columns.kernel
    TILE, ROWS, COLUMNS, DOWN, ACROSS = R * P, len(rows.offsets), len(columns.offsets), rows.step, columns.step
    OFFSETS, MEETS, TASKS, SIZE = rows.offsets, rows.taps, BLOCK // lanes, columns.kernel * BLOCK
    CHANNELS = lanes if channels_last else 1  # of a block
    load_row, accumulate = make_load_row(T, U, columns, channels_last, None), make_accumulate(columns)
    add_up = make_add_up(T, U, columns.kernel, CHANNELS)

    def depthwise_grad(
        x: Any, dy: Any, parts: Any, down: Span, across: Span, p: Work, xs: Strides, ys: Strides
    ) -> None:
        memory = cuda.shared.array(SIZE, T)
        sums, row, g = cuda.local.array(TAPS, T), cuda.local.array(COLUMNS, T), cuda.local.array(TILE, T)
        t, part = U(cuda.threadIdx.x), U(U(cuda.blockIdx.x) // U(p.groups))
        lane, c = U(t % U(lanes)), U(U(U(cuda.blockIdx.x) - part * U(p.groups)) * U(CHANNELS))
        if channels_last:
            c = U(c + lane)
        wide = U(across.tiles) if channels_last else U(U(across.tiles + lanes - 1) // U(lanes))
        for k in unrolled(TAPS):
            sums[k] = T(0)
        x_plane, y_plane = U(U(c // U(p.share)) * U(xs.c)), U(c * U(ys.c))
        task = U(part * U(p.steps) * U(TASKS) + t // U(lanes))
        for _ in range(p.steps):
            q = U(task // wide)
            tw, n = U(task - q * wide), U(q // U(down.tiles))
            th = U(q - n * U(down.tiles))
            if not channels_last:
                tw = U(tw * U(lanes) + lane)
            if n < U(p.images) and c < U(p.channels) and tw < U(across.tiles):
                at = U(n * U(ys.n) + y_plane)
                for i in unrolled(R):
                    for j in unrolled(P):
                        oh, ow = U(th * U(R) + U(i)), U(tw * U(P) + U(j))
                        v = T(0)
                        if oh < U(down.result) and ow < U(across.result):
                            v = dy[U(at + oh * U(ys.h) + ow * U(ys.w))]
                        g[i * P + j] = v
                h0, w0 = S(S(th) * DOWN + down.origin), S(S(tw) * ACROSS + across.origin)
                between = L(xs.w) if channels_last else L(1)
                start = L(n * U(xs.n) + x_plane) + L(h0) * L(xs.h) + L(w0) * between
                for r in unrolled(ROWS):
                    inside, place = U(h0 + known(OFFSETS[r])) < U(down.source), start + L(known(OFFSETS[r])) * L(xs.h)
                    load_row(x, place, inside, w0, across.source, xs.w, row)
                    for i in unrolled(R):
                        if known(MEETS[r][i] >= 0):
                            accumulate(row, g, i * P, sums, known(MEETS[r][i] * WIDTH))
            task = U(task + U(TASKS))
        group = U(c // U(p.share))
        to = U(part * U(p.parts_step) + group * U(p.share * TAPS) + c - group * U(p.share))
        for u in unrolled(HEIGHT):
            for v in unrolled(WIDTH):
                memory[U(t + U(v * BLOCK))] = sums[u * WIDTH + v]
            add_up(memory, t)
            if t < U(CHANNELS) and c < U(p.channels):
                for v in unrolled(WIDTH):
                    parts[U(to + U(u * WIDTH + v) * U(p.share))] = memory[U(t + U(v * BLOCK))]

    return depthwise_grad


def conv_weight_grad(p: ConvProblem, x: Any, dy: Any, dw: Any) -> None:
    """dw for what ``depthwise.serves`` allows."""
    p, x = border.padded(p, x)
    channels_last, O = lies_last(p), p.O
    results = _tile(p, channels_last)
    lines, axes = lines_of(p, results)
    lanes = lanes_for(O if channels_last else axes[1].tiles)
    blocks = blocks_for(O, lanes) if channels_last else O
    across = axes[1].tiles if channels_last else blocks_for(axes[1].tiles, lanes)
    rounds = blocks_for(p.N * axes[0].tiles * across, BLOCK // lanes)
    pixels = BLOCK // lanes * results[0] * results[1] * (1 if channels_last else lanes)
    parts, steps = count_parts(rounds, pixels, blocks, dw.size * dw.dtype.itemsize)
    partial = backend.scratch("parts", parts * dw.size, dw.dtype)
    wide = needs_wide(x.size, dy.size, parts * dw.size)
    launch(
        make_depthwise_grad,
        (*lines, lanes, channels_last),
        blocks * parts,
        (flat(x), flat(dy), partial, *axes, Work(p.N, O, blocks, steps, O // p.C, dw.size), *strides_xy(p)),
        dtype=dw.dtype,
        wide=wide,
        resident=resident(lines, dw.dtype.itemsize, wide),
    )
    sum_parts(partial, dw, filters_of(p), parts)


def _tile(p: ConvProblem, channels_last: bool) -> tuple[int, int]:
    """Rows and columns of outputs that a thread takes at a time."""
    small = p.stride[1:] == (1, 1) and p.taps < LARGE
    if p.out[1] == p.kernel[1] == 1:
        return 1, 4
    if not channels_last:
        return (8 if small else 4), 1
    return (4, 4) if small else (2, 4) if p.stride[2] == 1 else (2, 2)
