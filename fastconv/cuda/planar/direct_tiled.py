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

from .. import border
from ..backend import cuda
from ..filters import ENOUGH_BLOCKS, Filters, filters_of
from ..indexing import L, Strides, Triple, kernel_of, split, strides_of
from ..launch import BLOCK, blocks_for, flat, launch, needs_wide
from ..runtime.source import known, unrolled
from .register_rows import (
    MOST_STRIDE,
    Axis,
    Line,
    backward_axis,
    forward_axis,
    lanes_for,
    line,
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
        x: Any, w: Any, b: Any, y: Any, down: Axis, across: Axis, p: Channels, xs: Strides, ys: Strides
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


def serves(kernel: Triple, size: Triple, out: Triple, stride: Triple, padding: Any, outputs: int) -> bool:
    """True if this kernel can compute a problem with so many results a group, and was made for it."""
    planar = size[0] == out[0] == kernel[0] == 1 and padding[0] == (0, 0)
    small = kernel[1] * kernel[2] <= MOST_TAPS and kernel[2] <= MOST_COLUMNS and max(stride) <= MOST_STRIDE
    return planar and small and outputs <= MOST_OUTPUTS


def conv(
    x: Any, w: Any, b: Any, y: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool, activation: Any,
) -> None:  # fmt: skip
    """y = activation(b + conv(x, w)) for what `serves` allows; b and activation may be None."""
    x, before = border.padded(x, padding, padding_mode, channels_last)
    size, out = split(x.shape, channels_last)[2], split(y.shape, channels_last)[2]
    kernel, f = kernel_of(w.shape, channels_last), filters_of(w.shape, groups, channels_last)
    results = tile(kernel, stride, y.size, out, f.outputs, False)
    lines = [line(kernel[k], stride[k], dilation[k], results[k - 1], False) for k in (1, 2)]
    axes = [forward_axis(lines[k - 1], size[k], out[k], before[k]) for k in (1, 2)]
    _run(x, w, b, y, lines, axes, f, groups, channels_last, activation)


def conv_input_grad(
    dy: Any, w: Any, dx: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dx for what `serves` allows."""
    target, before = border.unfolded(dx, padding, padding_mode, channels_last)
    size, out = split(target.shape, channels_last)[2], split(dy.shape, channels_last)[2]
    kernel, f = kernel_of(w.shape, channels_last), filters_of(w.shape, groups, channels_last)
    results = tile(kernel, stride, target.size, size, f.channels, True)
    lines = [line(kernel[k], stride[k], dilation[k], results[k - 1], True) for k in (1, 2)]
    axes = [backward_axis(lines[k - 1], size[k], out[k], before[k], stride[k]) for k in (1, 2)]
    exchanged = Filters(f.taps, f.outputs, f.channels, f.group, f.tap, f.o, f.c)
    _run(dy, w, None, target, lines, axes, exchanged, groups, channels_last, None)
    border.fold(target, dx, padding, padding_mode, channels_last)


def owned(kernel: Triple, outputs: int) -> int:
    """Results of a pixel that a thread owns."""
    channels = CHANNELS
    while channels > 1 and (channels >= 2 * outputs or channels * kernel[1] * kernel[2] > MOST_WEIGHTS):
        channels //= 2
    return channels


def tile(kernel: Triple, stride: Triple, elements: int, size: Triple, outputs: int, backward: bool) -> tuple[int, int]:
    """Rows and columns of results that a thread owns; rows are halved until there are threads enough."""
    across = multiple(4 if kernel[1] == size[1] == 1 else 1, stride[2] if backward else 1)
    few = owned(kernel, outputs) == 1 and kernel[1] * kernel[2] <= 9  # there are registers for more rows
    down = (8 if few else 4) // (1 if stride[1] == 1 or backward else 2)
    threads = elements // (owned(kernel, outputs) * across)
    while down > 1 and (down >= 2 * size[1] or threads < down * BLOCK * 4 * ENOUGH_BLOCKS):
        down //= 2
    return multiple(down, stride[1] if backward else 1), across


def _run(
    x: Any, w: Any, b: Any, y: Any, lines: list[Line], axes: list[Axis], f: Filters, groups: int, channels_last: bool,
    activation: Any,
) -> None:  # fmt: skip
    N, C, size = split(x.shape, channels_last)
    _, O, out = split(y.shape, channels_last)
    channels = owned((1, lines[0].kernel, lines[1].kernel), f.outputs)
    lanes, parts = lanes_for(axes[1].tiles), blocks_for(f.outputs, channels)
    places = Channels(
        N, blocks_for(axes[1].tiles, lanes), parts, groups, f.channels, f.outputs, f.group, f.tap, f.c, f.o
    )
    tasks = N * groups * parts * axes[0].tiles * places.lanes
    arrays = (flat(a) for a in (x, w, w if b is None else b, y))
    strides = strides_of(C, size, channels_last), strides_of(O, out, channels_last)
    wide = needs_wide(x.size, w.size, y.size)
    launch(
        make_direct_tiled,
        (*lines, lanes, channels, channels_last, b is not None, activation),
        blocks_for(tasks, BLOCK // lanes),
        (*arrays, *axes, places, *strides),
        dtype=y.dtype,
        wide=wide,
        resident=1 if wide or y.dtype.itemsize == 8 else 2,
    )
