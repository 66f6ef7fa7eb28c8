"""Direct convolution in register tiles, for few output channels a group: image filters, first and last layers.

An implicit GEMM would leave most of its tile empty. Here a thread owns R x P pixels of up to four output channels; for
each input channel it goes down the rows it needs, as ``depthwise`` does, and adds each to all pixels and channels it
belongs to. Neighbouring threads own neighbouring columns; what they read twice comes from the first-level cache.
Forward and input gradient are one kernel, with input and output channels exchanged.

Served are images (no depth) with up to 25 taps, strides up to 4 and up to eight results a group.
Cost: 2*taps*inputs operations a result. Extra memory: none. Error: below terms*eps*(|x|*|w|), terms = inputs*taps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...problem import ConvProblem, Triple
from .. import border
from ..backend import cuda
from ..filters import ENOUGH_BLOCKS, filters_of
from ..indexing import L, Strides, strides_xy
from ..launch import BLOCK, blocks_for, flat, launch, needs_wide
from ..runtime.source import known, unrolled
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

MOST_TAPS, MOST_COLUMNS, MOST_OUTPUTS = 25, 7, 8
CHANNELS = 4  # results of a pixel that a thread owns at most
MOST_WEIGHTS = 36  # that a thread keeps in registers


class Channels(NamedTuple):
    """Images, groups of lanes along a row, parts of a group's results, groups; channels of a group; strides of w."""

    images: int
    lanes: int
    parts: int
    groups: int
    inputs: int
    outputs: int
    group: int
    tap: int
    c: int
    o: int


def make_direct_tiled(
    T: Any, S: Any, U: Any, rows: Line, columns: Line, lanes: int, channels: int, channels_last: bool, bias: bool,
    activation: Any,
) -> Callable[..., None]:  # fmt: skip
    """Results from the source, see the module's text; `channels` of a pixel belong to one thread."""
    R, P, WIDTH, TAPS = rows.results, columns.results, columns.kernel, rows.kernel * columns.kernel
    PIXELS, SUMS, WEIGHTS = R * P, R * P * channels, TAPS * channels
    ROWS, COLUMNS, DOWN, ACROSS, TASKS = (
        len(rows.offsets),
        len(columns.offsets),
        rows.step,
        columns.step,
        BLOCK // lanes,
    )
    OFFSETS, MEETS = rows.offsets, rows.taps
    load_row, multiply = make_load_row(T, U, columns, channels_last, None), make_multiply(columns)
    store_row = make_store_row(T, U, columns, channels_last, activation, None)

    def direct_tiled(
        x: Any, w: Any, b: Any, y: Any, down: Span, across: Span, p: Channels, xs: Strides, ys: Strides
    ) -> None:
        acc, row, taps = cuda.local.array(SUMS, T), cuda.local.array(COLUMNS, T), cuda.local.array(WEIGHTS, T)
        t, task = U(cuda.threadIdx.x), U(U(cuda.blockIdx.x) * U(TASKS))
        task = U(task + t // U(lanes))
        q = U(task // U(p.lanes))
        tw = U(U(task - q * U(p.lanes)) * U(lanes) + t % U(lanes))
        task = U(q // U(down.tiles))
        th, q = U(q - task * U(down.tiles)), U(task // U(p.parts))
        o, n = U(U(task - q * U(p.parts)) * U(channels)), U(q // U(p.groups))
        g = U(q - n * U(p.groups))
        if n < U(p.images) and tw < U(across.tiles):
            for k in unrolled(SUMS):
                acc[k] = T(0)
            h0, w0 = S(S(th) * DOWN + down.origin), S(S(tw) * ACROSS + across.origin)
            between = L(xs.w) if channels_last else L(1)
            at = L(n * U(xs.n) + g * U(p.inputs) * U(xs.c)) + L(h0) * L(xs.h) + L(w0) * between
            filters = U(g * U(p.group) + o * U(p.o))
            for _ in range(p.inputs):
                for k in unrolled(channels):
                    for u in unrolled(TAPS):
                        v = T(0)
                        if U(o + U(k)) < U(p.outputs):
                            v = w[U(filters + U(k) * U(p.o) + U(u) * U(p.tap))]
                        taps[k * TAPS + u] = v
                for r in unrolled(ROWS):
                    inside, place = U(h0 + known(OFFSETS[r])) < U(down.source), at + L(known(OFFSETS[r])) * L(xs.h)
                    load_row(x, place, inside, w0, across.source, xs.w, row)
                    for i in unrolled(R):
                        if known(MEETS[r][i] >= 0):
                            for k in unrolled(channels):
                                multiply(
                                    row, taps, known(k * TAPS + MEETS[r][i] * WIDTH), acc, known(k * PIXELS + i * P)
                                )
                filters, at = U(filters + U(p.c)), at + L(xs.c)
            oh, ow = S(S(th) * R + down.first), S(S(tw) * P + across.first)
            for k in unrolled(channels):
                if U(o + U(k)) < U(p.outputs):
                    c, extra = U(g * U(p.outputs) + o + U(k)), T(0)
                    if bias:
                        extra = b[c]
                    for i in unrolled(R):
                        if U(oh + i) < U(down.result):
                            to = U(n * U(ys.n) + c * U(ys.c) + U(oh + i) * U(ys.h))
                            store_row(acc, known(k * PIXELS + i * P), extra, y, to, ow, across.result, ys.w)

    return direct_tiled


def serves(p: ConvProblem) -> bool:
    """True if this kernel can compute a problem and was made for it: for so many results a group."""
    return results_of(p) <= MOST_OUTPUTS and is_small(p, MOST_TAPS, MOST_COLUMNS)


def results_of(p: ConvProblem) -> int:
    """Channels of the result in a group."""
    return p.inputs if p.op == "conv_input_grad" else p.outputs


def conv(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, activation: Any) -> None:
    """y = activation(b + conv(x, w)) for what `serves` allows; b and activation may be None."""
    p, x = border.padded(p, x)
    _run(p, x, w, b, y, tile(p, y.size, p.out), activation)


def conv_input_grad(p: ConvProblem, dy: Any, w: Any, dx: Any) -> None:
    """dx for what `serves` allows."""
    inner, target = border.unfolded(p, dx)
    _run(inner, dy, w, None, target, tile(inner, target.size, inner.size), None)
    border.fold(p, target, dx)


def owned(p: ConvProblem) -> int:
    """Results of a pixel that a thread owns."""
    channels = CHANNELS
    while channels > 1 and (channels >= 2 * results_of(p) or channels * p.taps > MOST_WEIGHTS):
        channels //= 2
    return channels


def tile(p: ConvProblem, elements: int, size: Triple) -> tuple[int, int]:
    """Rows and columns of results that a thread owns; rows are halved until there are threads enough."""
    backward, (_, SH, SW) = p.op == "conv_input_grad", p.stride
    across = multiple(4 if p.kernel[1] == size[1] == 1 else 1, SW if backward else 1)
    few = owned(p) == 1 and p.taps <= 9  # there are registers for more rows
    down = (8 if few else 4) // (1 if SH == 1 or backward else 2)
    threads = elements // (owned(p) * across)
    while down > 1 and (down >= 2 * size[1] or threads < down * BLOCK * 4 * ENOUGH_BLOCKS):
        down //= 2
    return multiple(down, SH if backward else 1), across


def _run(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, results: tuple[int, int], activation: Any) -> None:
    """Start the kernel on source x and result y, whose threads own so many `results`."""
    backward, channels = p.op == "conv_input_grad", owned(p)
    lines, axes = lines_of(p, results)
    f = filters_of(p).exchanged if backward else filters_of(p)
    lanes, parts = lanes_for(axes[1].tiles), blocks_for(f.outputs, channels)
    row = blocks_for(axes[1].tiles, lanes)
    places = Channels(p.N, row, parts, p.groups, f.channels, f.outputs, f.group, f.tap, f.c, f.o)
    arrays = (flat(a) for a in (x, w, w if b is None else b, y))
    wide = needs_wide(x.size, w.size, y.size)
    launch(
        make_direct_tiled,
        (*lines, lanes, channels, p.channels_last, b is not None, activation),
        blocks_for(p.N * p.groups * parts * axes[0].tiles * row, BLOCK // lanes),
        (*arrays, *axes, places, *strides_xy(p)[:: -1 if backward else 1]),
        dtype=y.dtype,
        wide=wide,
        resident=1 if wide or y.dtype.itemsize == 8 else 2,
    )
