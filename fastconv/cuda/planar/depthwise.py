"""Depthwise convolution: one input channel a group, so memory is read and written once and little is computed.

A thread owns R x P results of one channel and keeps in registers one row of what they need (``rows``): every element
is loaded about once a thread. Forward and input gradient are one kernel. Neighbouring threads own neighbouring channels
where these lie side by side (channels-last), else neighbouring columns. 16-bit numbers are widened as they are loaded.

Served are images (no depth) with up to 49 taps and strides up to 4; other problems are left to ``direct``.
Cost: 2*taps operations an output. Extra memory: none. Error: below taps*eps*(|x|*|w|).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...problem import ConvProblem, Triple
from .. import border
from ..backend import cuda
from ..filters import ENOUGH_BLOCKS, filters_of
from ..halves import Half, elements, make_loader
from ..indexing import L, Strides, strides_xy
from ..launch import BLOCK, blocks_for, launch, needs_wide
from ..runtime.source import inlined, known, unrolled
from .register_rows import (
    Line,
    Span,
    is_small,
    lanes_for,
    lines_of,
    make_load_row,
    make_multiply,
    make_store_row,
    multiple,
)

MOST_TAPS, MOST_COLUMNS = 49, 11
FEW_TAPS = 9  # leave registers for large tiles
LOOPED = 36  # words that a loop over channels keeps: which places lie inside
TALL = 32  # rows of an image from which a thread may own 16 of them


class Places(NamedTuple):
    """Channels of the result, groups of lanes, which channels of the source meet a channel, strides of w.

    Result channel c meets the source's c // share * several + m, m = 0..several-1, through filter c * several + m.
    """

    images: int
    channels: int
    groups: int
    share: int
    several: int
    tap: int
    filter: int


def make_position(U: Any, lanes: int, channels_last: bool) -> Any:
    """``position(block, t, p, down, across)`` -> (n, c, row of tiles, column of tiles) of thread t of a block."""
    TASKS = BLOCK // lanes

    def position(block: Any, t: Any, p: Any, down: Any, across: Any) -> Any:
        lane = U(t % U(lanes))
        if channels_last:
            q = U(block // U(p.groups))
            c = U(U(block - q * U(p.groups)) * U(lanes) + lane)
            task = U(q * U(TASKS) + t // U(lanes))
            q = U(task // U(across.tiles))
            n = U(q // U(down.tiles))
            return n, c, U(q - n * U(down.tiles)), U(task - q * U(across.tiles))
        task = U(block * U(TASKS) + t // U(lanes))
        q = U(task // U(p.groups))
        column = U(U(task - q * U(p.groups)) * U(lanes) + lane)
        r = U(q // U(down.tiles))
        n = U(r // U(p.channels))
        return n, U(r - n * U(p.channels)), U(q - r * U(down.tiles)), column

    return inlined(position)


def make_depthwise(
    T: Any, S: Any, U: Any, rows: Line, columns: Line, lanes: int, channels_last: bool, single: bool, bias: bool,
    activation: Any, numbers: str | None,
) -> Callable[..., None]:  # fmt: skip
    """Results from the source, see the module's text; with `single`, each channel of one meets one of the other."""
    R, P, WIDTH, TAPS = rows.results, columns.results, columns.kernel, rows.kernel * columns.kernel
    SUMS, ROWS, COLUMNS, DOWN, ACROSS = R * P, len(rows.offsets), len(columns.offsets), rows.step, columns.step
    OFFSETS, MEETS = rows.offsets, rows.taps
    load_row, multiply = make_load_row(T, U, columns, channels_last, numbers), make_multiply(columns)
    position, load = make_position(U, lanes, channels_last), make_loader(numbers)
    store_row = make_store_row(T, U, columns, channels_last, activation, numbers)

    def depthwise(
        x: Any, w: Any, b: Any, y: Any, down: Span, across: Span, p: Places, xs: Strides, ys: Strides
    ) -> None:
        acc, row, taps = cuda.local.array(SUMS, T), cuda.local.array(COLUMNS, T), cuda.local.array(TAPS, T)
        n, c, th, tw = position(U(cuda.blockIdx.x), U(cuda.threadIdx.x), p, down, across)
        if n < U(p.images) and c < U(p.channels) and tw < U(across.tiles):
            for k in unrolled(SUMS):
                acc[k] = T(0)
            h0, w0 = S(S(th) * DOWN + down.origin), S(S(tw) * ACROSS + across.origin)
            for m in range(1 if single else p.several):
                source, filters = c, c
                if not single:
                    source, filters = U(U(c // U(p.share)) * U(p.several) + U(m)), U(c * U(p.several) + U(m))
                for k in unrolled(TAPS):
                    taps[k] = load(w[U(filters * U(p.filter) + U(k) * U(p.tap))])
                between = L(xs.w) if channels_last else L(1)
                at = L(n * U(xs.n) + source * U(xs.c)) + L(h0) * L(xs.h) + L(w0) * between
                for r in unrolled(ROWS):
                    inside, place = (
                        U(h0 + known(OFFSETS[r])) < U(down.source),
                        at + L(known(OFFSETS[r])) * L(xs.h),
                    )
                    load_row(x, place, inside, w0, across.source, xs.w, row)
                    for i in unrolled(R):
                        if known(MEETS[r][i] >= 0):
                            multiply(row, taps, known(MEETS[r][i] * WIDTH), acc, i * P)
            oh, ow = S(S(th) * R + down.first), S(S(tw) * P + across.first)
            at, extra = U(n * U(ys.n) + c * U(ys.c)), T(0)
            if bias:
                extra = b[c]
            for i in unrolled(R):
                if U(oh + i) < U(down.result):
                    row_at = U(at + U(oh + i) * U(ys.h))
                    store_row(acc, i * P, extra, y, row_at, ow, across.result, ys.w)

    return depthwise


def serves(p: ConvProblem) -> bool:
    """True if these kernels can compute a problem; their conv, input gradient and weight gradient serve the same."""
    return p.inputs == 1 and is_small(p, MOST_TAPS, MOST_COLUMNS)


def conv(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, activation: Any) -> None:
    """y = activation(b + conv(x, w)) for what `serves` allows; b and activation may be None."""
    p, x = border.padded(p, x)
    _run(p, x, w, b, y, tile(p, p.N * p.O, p.out), activation)


def conv_input_grad(p: ConvProblem, dy: Any, w: Any, dx: Any) -> None:
    """dx for what `serves` allows."""
    inner, target = border.unfolded(p, dx)
    _run(inner, dy, w, None, target, tile(inner, p.N * p.C, inner.size), None)
    border.fold(p, target, dx)


def tile(p: ConvProblem, planes: int, size: Triple) -> tuple[int, int]:
    """Rows and columns of results that a thread owns; `planes` and `size` are the result's images times channels.

    Few loads for a result need a large tile, all multiprocessors at work many tiles: rows are halved until there are
    enough. With neighbouring columns in neighbouring threads a tile has one column, which keeps loads side by side.
    """
    backward, channels_last = p.op == "conv_input_grad", lies_last(p)
    _, SH, SW = p.stride
    of_h, of_w = (SH, SW) if backward else (1, 1)
    if p.kernel[1] == 1 and size[1] == 1:
        return multiple(1, of_h), multiple(8 if channels_last else 4, of_w)
    across = multiple((4 if SW == 1 or backward else 2) if channels_last else 1, of_w)
    down = 16 if not channels_last and size[1] >= TALL else 8
    if SH > 1 and not backward:
        down //= 2
    while down > 2 and (down >= 2 * size[1] or planes * size[1] * size[2] < down * across * BLOCK * 4 * ENOUGH_BLOCKS):
        down //= 2
    if p.taps > FEW_TAPS:
        down = min(down, 4 if channels_last else 8)
    return multiple(down, of_h), across


def lies_last(p: ConvProblem) -> bool:
    """True if neighbouring channels lie side by side; one channel lies like a plane."""
    return p.channels_last and max(p.C, p.O) > 1


def resident(lines: list[Line], itemsize: int, wide: bool, single: bool = True) -> int:
    """Blocks a multiprocessor should hold: three leave a thread 80 registers, two 128, one 255."""
    rows, columns = lines
    numbers = rows.results * columns.results + rows.kernel * columns.kernel + len(columns.offsets)
    words = numbers * max(1, itemsize // 4) + (0 if single else LOOPED)
    return 1 if wide or words > 66 else 2 if words > 36 else 3


def _run(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, results: tuple[int, int], activation: Any) -> None:
    """Start the kernel on source x and result y, whose threads own so many `results`."""
    backward, channels_last, several = p.op == "conv_input_grad", lies_last(p), p.O // p.C
    lines, axes = lines_of(p, results)
    O, share = (p.C, (1, several)) if backward else (p.O, (several, 1))
    lanes = lanes_for(O if channels_last else axes[1].tiles)
    groups = blocks_for(O if channels_last else axes[1].tiles, lanes)
    tasks = p.N * axes[0].tiles * (axes[1].tiles if channels_last else O * groups)
    blocks = blocks_for(tasks, BLOCK // lanes) * (groups if channels_last else 1)
    f, strides = filters_of(p), strides_xy(p)[:: -1 if backward else 1]
    wide = needs_wide(x.size, w.size, y.size)
    arrays = (elements(a) for a in (x, w, w if b is None else b, y))
    numbers = y.numbers if isinstance(y, Half) else None
    launch(
        make_depthwise,
        (*lines, lanes, channels_last, share == (1, 1), b is not None, activation, numbers),
        blocks,
        (*arrays, *axes, Places(p.N, O, groups, *share, f.tap, f.o), *strides),
        dtype=np.float32 if isinstance(y, Half) else y.dtype,
        wide=wide,
        resident=resident(lines, y.dtype.itemsize, wide, share == (1, 1)),
    )
