"""The sweep of planar filtering over its blocks, see `blocking` for how they are cut.

Each task owns a block of output rows and columns of one plane: it packs the padded input of its block to a band in its
thread's scratch, which stays in the core's cache, and lets tiles run over it. All modes of padding are in the packing.

Helpers get addresses in place of arrays, which Numba would count in and out at every call; `n` is the address of
`Planar.numbers`, `here` the block: plane, first row and rows, first column and columns.
"""

from __future__ import annotations

from ...simd.depth_sweep import depth_sweep
from ...simd.filter_tile import BROADCAST, FIELDS, filter_tiles, filter_vectors
from ...simd.jit import kernel, parallel_kernel
from ...simd.lanes import address, peek, poke
from ...simd.microkernel import ACCUMULATE, BIAS, ZERO
from ...simd.vector import clear, copy
from ..pack import pack_strip, unpack_planar
from .blocking import (
    ALWAYS,
    APART,
    BAND_C,
    BAND_D,
    BAND_H,
    BAND_P,
    BAND_SIZE,
    BAND_W,
    BIAS_BLOCK,
    BLOCKS,
    C_IN,
    C_INNER,
    C_OUT,
    CHANNELS,
    COL_BLOCKS,
    COLS,
    DILATION,
    INNER,
    KIND,
    LANES_INNER,
    LEFT,
    MOST,
    OD,
    OH,
    OW,
    PER_COLUMN,
    PER_VECTOR,
    PHASES,
    PIXEL,
    PLACE_D,
    PLACE_H,
    PLACE_W,
    REPEAT,
    RIGHT,
    ROUND,
    ROW_BLOCKS,
    ROWS,
    SHAPE,
    SHAPE_H,
    SHAPE_W,
    SPAN_D,
    SPAN_H,
    SPAN_W,
    STAGE_C,
    STAGE_H,
    STAGE_W,
    STAGED,
    STARTS,
    STRIDE_D,
    STRIDE_H,
    STRIDE_W,
    TOGETHER,
    UNIT,
    W_BLOCK,
    W_CHANNEL,
    W_INNER,
    W_ROW,
    W_STEP,
    X_C,
    X_D,
    X_H,
    X_INNER,
    X_N,
    X_STEP,
    X_VECTOR,
    X_W,
    Y_0,
    Y_C,
    Y_D,
    Y_H,
    Y_N,
    Y_W,
)  # fmt: skip

VECTORS = filter_vectors()


@parallel_kernel
def sweep(thread, first, last, x, w, bias, y, planes_at, rows_at, cols_at, numbers, own, relu, stream, tile, known):
    """Each task: its rounds of input channels, one after the other; results that need it go through the staging."""
    n, mine = address(numbers), own[thread]
    index = planes_at, rows_at, cols_at
    places = address(planes_at), address(rows_at), address(cols_at)
    by_pixel, pixel = numbers[KIND] == BROADCAST, numbers[PIXEL]
    step_in, step_out = pixel, pixel
    if by_pixel:
        step_in, step_out = numbers[C_IN], numbers[C_OUT]
    for task in range(first, last):
        image, block, here = locate(n, task)
        x0 = image * numbers[X_N] + block * step_in * numbers[X_C]
        y0 = numbers[Y_0] + image * numbers[Y_N] + block * step_out * numbers[Y_C]
        y0 += here[0] * numbers[Y_D] + here[1] * numbers[Y_H] + here[3] * numbers[Y_W]
        c, c0, c_steps = address(y), y0, (numbers[Y_C], numbers[Y_H], numbers[Y_W])
        if numbers[STAGED]:
            c, c0, c_steps = address(mine), numbers[BAND_SIZE], (numbers[STAGE_C], numbers[STAGE_H], numbers[STAGE_W])
        count = min(pixel, numbers[CHANNELS] - block * pixel)
        start, w0, bias0 = BIAS if bias.size else ZERO, block * numbers[W_BLOCK], block * numbers[BIAS_BLOCK]
        if by_pixel:
            for c_in in range(0, numbers[C_IN], numbers[ROUND]):
                depth, x_in = min(numbers[ROUND], numbers[C_IN] - c_in), x0 + c_in * numbers[X_C]
                pack_rows(n, address(x), x_in, places, cols_at.size, here, depth, address(mine), False)
                _rows(
                    n, depth, here, address(w), w0 + c_in * numbers[W_CHANNEL], address(mine), c, c0, c_steps,
                    ACCUMULATE if c_in else start, address(bias), bias0, relu and c_in + depth == numbers[C_IN], tile,
                )  # fmt: skip
        else:
            _parts(
                numbers, x, x0, index, here, count, mine, address(w), w0, c, c0, c_steps, start, address(bias), bias0,
                relu, stream, tile, known,
            )  # fmt: skip
        if numbers[STAGED]:
            _unstage(numbers, mine, count, here, y, y0)


@kernel
def _parts(
    numbers, x, x0, index, here, count, mine, w, w0, c, c0, c_steps, start, bias, bias0, relu, stream, tile, known
):
    """A block whose lanes are channels: packed, but for outputs whose input can be read in place.

    Those are in the middle; above, below, left and right of them are parts that need the padding.
    """
    n, (plane, top, rows, left, cols) = address(numbers), here
    row1, row2 = _within(top, top + rows, numbers[PLACE_H], numbers[PLACE_H + 1], numbers[SHAPE_H])
    col1, col2 = _within(left, left + cols, numbers[PLACE_W], numbers[PLACE_W + 1], numbers[SHAPE_W])
    if row1 == row2 or col1 == col2 or not numbers[PLACE_D] <= plane < numbers[PLACE_D + 1]:
        row1 = row2 = top + rows
    for r0, r1, q0, q1 in (
        (top, row1, left, left + cols),
        (row2, top + rows, left, left + cols),
        (row1, row2, left, col1),
        (row1, row2, col2, left + cols),
        (row1, row2, col1, col2),
    ):
        if r0 == r1 or q0 == q1:
            continue
        part, at = (plane, r0, r1 - r0, q0, q1 - q0), c0 + (r0 - top) * c_steps[1] + (q0 - left) * c_steps[2]
        band, band0, band_h = address(mine), 0, numbers[BAND_H]
        if row1 < row2 and r0 == row1 and q0 == col1 and q1 == col2:
            band, band_h = address(x), numbers[X_H]
            band0 = x0 + index[0][plane * numbers[STRIDE_D]] * numbers[X_D]
            band0 += index[1][r0 * numbers[STRIDE_H]] * band_h + index[2][q0 * numbers[STRIDE_W]] * numbers[X_W]
        else:
            pack_pixels(numbers, x, x0, index, part, count, mine)
        if numbers[SHAPE] < 0 or r1 - r0 < numbers[SHAPE_H] or q1 - q0 < numbers[SHAPE_W]:
            _rows(n, 1, part, w, w0, address(mine), c, at, c_steps, start, bias, bias0, relu, tile)
        else:
            depth_sweep(
                known, numbers[SHAPE], numbers[STRIDE_W], numbers[SHAPE_H], numbers[SHAPE_W], r1 - r0, q1 - q0,
                numbers[PIXEL], band, band0, band_h, numbers[PIXEL], w, w0, numbers[W_STEP],
                c, at, c_steps[1], c_steps[2], bias, bias0, start == BIAS, relu, stream,
            )  # fmt: skip


@kernel
def _within(first, end, low, high, least):
    """The part of first..end-1 that lies in low..high-1, or none if that is less than `least`."""
    begin, stop = max(first, low), min(end, high)
    return (begin, stop) if stop - begin >= least else (end, end)


@kernel
def locate(n, task):
    """Image, block of channels and block of pixels of a task."""
    cut, rest = task % peek(n, COL_BLOCKS), task // peek(n, COL_BLOCKS)
    row0, plane = rest % peek(n, ROW_BLOCKS) * peek(n, ROWS), rest // peek(n, ROW_BLOCKS)
    col0, block = cut * peek(n, COLS), plane // peek(n, OD)
    rows, cols = min(peek(n, ROWS), peek(n, OH) - row0), min(peek(n, COLS), peek(n, OW) - col0)
    here = plane % peek(n, OD), row0, rows, col0, cols
    return block // peek(n, BLOCKS), block % peek(n, BLOCKS), here


@kernel
def pack_rows(n, x, x0, places, columns, here, depth, dst, fill):
    """Pack the padded input of a block, a channel after the other, rows in runs of one phase of the stride each.

    With `fill` the rest of a run, which vectors at the end of a row read, is zero.
    """
    planes_at, rows_at, cols_at = places
    sh, sw, xd, xh, band_d, band_h = (
        peek(n, STRIDE_H), peek(n, STRIDE_W), peek(n, X_D), peek(n, X_H), peek(n, BAND_D), peek(n, BAND_H)
    )  # fmt: skip
    reads = _round(here[4], peek(n, UNIT)) + peek(n, SPAN_W) // sw
    planes, rows = peek(n, SPAN_D) + 1, (here[2] - 1) * sh + peek(n, SPAN_H) + 1
    for phase in range(peek(n, PHASES)):
        begin = here[3] * sw + phase * peek(n, DILATION) % sw
        end = min(columns, begin + reads * sw)
        left = min(begin + -(-max(0, peek(n, LEFT) - begin) // sw) * sw, end)
        inner = max(0, (min(end, peek(n, RIGHT)) - left + sw - 1) // sw)
        right = left + inner * sw
        shift, count = (left - begin) // sw, (end - begin + sw - 1) // sw
        rest = reads - count if fill else 0
        middle = peek(cols_at, left) if inner else 0
        for c in range(depth):
            for p in range(planes):
                plane = peek(planes_at, here[0] * peek(n, STRIDE_D) + p)
                at = c * peek(n, BAND_C) + p * band_d + phase * peek(n, BAND_P)
                base = x0 + c * peek(n, X_C) + plane * xd
                for r in range(rows):
                    row = peek(rows_at, here[1] * sh + r)
                    if plane < 0 or row < 0:
                        clear(dst, at, count)
                    else:
                        line = base + row * xh
                        _pack_border(x, line, cols_at, begin, left, sw, dst, at)
                        _pack_inner(x, line + middle, sw, inner, dst, at + shift)
                        _pack_border(x, line, cols_at, right, end, sw, dst, at + shift + inner)
                    if rest > 0:
                        clear(dst, at + count, rest)
                    at += band_h


@kernel
def _round(count, step):
    return -(-count // step) * step


@kernel
def _pack_border(x, line, cols_at, first, end, sw, dst, at):
    for q in range(first, end, sw):
        col = peek(cols_at, q)
        poke(dst, at, peek(x, line + col) if col >= 0 else 0.0)
        at += 1


@kernel
def _pack_inner(x, line, sw, count, dst, at):
    if sw == 1:
        copy(dst, at, x, line, count)
    elif sw == 2:  # a step that the compiler knows becomes shuffles
        for i in range(count):
            poke(dst, at + i, peek(x, line + 2 * i))
    else:
        for i in range(count):
            poke(dst, at + i, peek(x, line + sw * i))


@kernel
def pack_pixels(numbers, x, x0, index, here, count, dst):
    """Pack the pixels of a block, each channel as often as it has filters."""
    repeat, sw = numbers[REPEAT], numbers[STRIDE_W]
    x_strides = numbers[X_N], numbers[X_C], numbers[X_D], numbers[X_H], numbers[X_W]
    pitch = numbers[BAND_D], numbers[BAND_H], numbers[PIXEL]
    corner = here[0] * numbers[STRIDE_D], here[1] * numbers[STRIDE_H], here[3] * sw
    height = (here[2] - 1) * numbers[STRIDE_H] + numbers[SPAN_H] + 1
    size = numbers[SPAN_D] + 1, height, (here[4] - 1) * sw + numbers[SPAN_W] + 1
    interior = numbers[LEFT], numbers[RIGHT]
    pack_strip(x, x0, x_strides, count // repeat, index, corner, size, interior, dst, 0, pitch)
    if repeat > 1:
        for p in range(size[0]):
            for r in range(size[1]):
                _repeat(address(dst), p * pitch[0] + r * pitch[1], size[2], pitch[2], count, repeat)


@kernel
def _repeat(dst, at, pixels, pitch, count, repeat):
    for _ in range(pixels):
        for i in range(count - 1, 0, -1):
            poke(dst, at + i, peek(dst, at + i // repeat))
        at += pitch


@kernel
def _rows(n, depth, here, w, w0, band, c, c0, c_steps, start, bias, bias0, relu, tile):
    """Tiles over the rows of a block, residue by residue of the distance of a tile's rows."""
    apart, starts = peek(n, APART), peek(n, STARTS)
    for residue in range(min(apart, here[2])):
        members = -(-(here[2] - residue) // apart)
        tiles = -(-members // peek(n, MOST))
        for t in range(tiles):
            r0, r1 = members * t // tiles, members * (t + 1) // tiles
            table, end = peek(n, starts + r1 - r0 - 1), peek(n, starts + r1 - r0)
            _columns(
                n, table, (end - table) // FIELDS // peek(n, ROUND) * depth, here, residue + r0 * apart, r1 - r0,
                w, w0, band, c, c0, c_steps, start, bias, bias0, relu, tile,
            )  # fmt: skip


@kernel
def _columns(n, table, entries, here, row, rows, w, w0, band, c, c0, c_steps, start, bias, bias0, relu, tile):
    """Tiles over the columns of a block: those of one size, then the last, which may be smaller."""
    unit, together, cols = peek(n, UNIT), peek(n, TOGETHER), here[4]
    units = -(-cols // unit)
    tiles = -(-units // VECTORS)
    vectors = -(-units // tiles)
    groups, inner, c_row, bias_row = 1, peek(n, INNER), peek(n, APART) * c_steps[1], 0
    if together:
        groups, inner, c_row, bias_row = peek(n, INNER), 1, c_steps[0], 1
    hop, per_column, c_inner = peek(n, BAND_W), peek(n, PER_COLUMN), peek(n, C_INNER) * c_steps[0]
    even = units // vectors
    for part in range(2):
        first, count, wide = 0, even, vectors
        if part:
            first, count, wide = even * vectors, 1, units - even * vectors
        if count == 0 or wide == 0:
            continue
        q = first * unit
        columns = (cols - q) * per_column + peek(n, ALWAYS)
        for group in range(groups):
            if together:
                rows = min(together, peek(n, C_OUT) - group * together)
            filter_tiles(
                tile, peek(n, KIND), wide, entries, n, table, band, row * peek(n, STRIDE_H) * peek(n, BAND_H) + q * hop,
                peek(n, X_STEP), peek(n, X_VECTOR), w, w0 + group * peek(n, W_INNER), peek(n, W_STEP), peek(n, W_ROW),
                c, c0 + row * c_steps[1] + q * c_steps[2] + group * c_inner, c_row, unit * c_steps[2],
                rows, columns, peek(n, PER_VECTOR), start, bias, bias0 + group * peek(n, C_INNER), bias_row, relu,
                count, wide * unit * hop, wide * unit * c_steps[2], wide * unit * per_column,
                inner, peek(n, X_INNER), peek(n, W_INNER), c_inner, peek(n, C_INNER), peek(n, LANES_INNER),
            )  # fmt: skip


@kernel
def _unstage(numbers, memory, count, here, y, y0):
    """A block's results from the staging to y."""
    rows, cols = here[2], here[4]
    staged, pixel, yc, yh, yw = numbers[BAND_SIZE], numbers[STAGE_W], numbers[Y_C], numbers[Y_H], numbers[Y_W]
    if numbers[KIND] != BROADCAST:
        if yh == cols * yw and numbers[STAGE_H] == cols * pixel:  # adjoining rows: one row of pixels
            rows, cols = 1, rows * cols
        for r in range(rows):
            unpack_planar(memory, staged + r * numbers[STAGE_H], pixel, count, cols, y, y0 + r * yh, yc, yw)
        return
    source, target = address(memory), address(y)
    for o in range(numbers[C_OUT]):
        for r in range(rows):
            at, to = staged + o * numbers[STAGE_C] + r * numbers[STAGE_H], y0 + o * yc + r * yh
            for q in range(cols):
                poke(target, to + q * yw, peek(source, at + q))
