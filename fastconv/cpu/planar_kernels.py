"""The sweep of planar filtering over its blocks, see `planar_blocking` for how they are cut.

Each task owns a block of output rows and columns of one plane. It packs the columns that touch the border (or all of
them, where x cannot be read in place) into bands in its thread's scratch and lets tiles run over bands and x alike:
a table of entries says where each row of the input is, so borders of rows cost nothing in any padding mode.

Helpers get addresses in place of arrays, which Numba would count in and out at every call; `n` is the address of
`Planar.numbers`, `here` the block: plane, first row and rows, first column and columns, tiles and those in place.
"""

from __future__ import annotations

from ..simd.filter_tile import ACCUMULATE, BIAS, BROADCAST, FIELDS, ZERO, filter_tiles
from ..simd.jit import kernel, parallel_kernel
from ..simd.lanes import address, copy_run, peek, poke
from .pack import pack_strip, unpack_planar
from .planar_blocking import (
    ALWAYS, APART, BAND_C, BAND_D, BAND_H, BAND_P, BAND_SIZE, BAND_W, BIAS_BLOCK, BLOCKS, C_IN, C_INNER, C_OUT,
    CHANNELS, COL_BLOCKS, COLS, DILATION, EDGES, INNER, KIND, LANES_INNER, LEFT, MOST, OD, OH, OW, PER_COLUMN,
    PER_VECTOR, PHASES, PIXEL, REPEAT, RIGHT, ROOM, ROUND, ROW_BLOCKS, ROWS, SPAN_D, SPAN_H, SPAN_W, STAGE_C, STAGE_H,
    STAGE_W, STAGED, STARTS, STRIDE_D, STRIDE_H, STRIDE_W, TEMPLATE, TOGETHER, UNIT, W_BLOCK, W_CHANNEL, W_INNER,
    W_ROW, W_STEP, X_C, X_D, X_H, X_INNER, X_N, X_STEP, X_VECTOR, X_W, Y_0, Y_C, Y_D, Y_H, Y_N, Y_W,
)  # fmt: skip


@parallel_kernel
def sweep(thread, first, last, x, w, bias, y, index, numbers, tables, own, relu, tile):
    """Each task: its rounds of input channels, one after the other; results that need it go through the staging."""
    n, mine = address(numbers), own[thread]
    places = address(index[0]), address(index[1]), address(index[2])
    by_pixel, pixel = numbers[KIND] == BROADCAST, numbers[PIXEL]
    step_in, step_out = pixel, pixel
    if by_pixel:
        step_in, step_out = numbers[C_IN], numbers[C_OUT]
    for task in range(first, last):
        image, block, here = _locate(n, task)
        x0 = image * numbers[X_N] + block * step_in * numbers[X_C]
        y0 = numbers[Y_0] + image * numbers[Y_N] + block * step_out * numbers[Y_C]
        y0 += here[0] * numbers[Y_D] + here[1] * numbers[Y_H] + here[3] * numbers[Y_W]
        c, c0, c_steps = address(y), y0, (numbers[Y_C], numbers[Y_H], numbers[Y_W])
        if numbers[STAGED]:
            c, c0, c_steps = address(mine), 2 * numbers[BAND_SIZE], (numbers[STAGE_C], numbers[STAGE_H], numbers[STAGE_W])
        count = min(pixel, numbers[CHANNELS] - block * pixel)
        for c_in in range(0, numbers[C_IN], numbers[ROUND]):
            depth, x_in = min(numbers[ROUND], numbers[C_IN] - c_in), x0 + c_in * numbers[X_C]
            if by_pixel:
                _pack_rows(n, address(x), x_in, places, index[2].size, here, depth, address(mine))
            else:
                _pack_pixels(numbers, x, x_in, index, here, count, mine)
            start = ACCUMULATE if c_in else BIAS if bias.size else ZERO
            _rows(
                n, address(x), x_in, places, depth, here, address(w),
                block * numbers[W_BLOCK] + c_in * numbers[W_CHANNEL], address(mine), c, c0, c_steps,
                address(tables[thread]), tables.shape[1] // 2, start, address(bias), block * numbers[BIAS_BLOCK],
                relu and c_in + numbers[ROUND] >= numbers[C_IN], tile,
            )  # fmt: skip
        if numbers[STAGED]:
            _unstage(numbers, mine, count, here, y, y0)


@kernel
def _locate(n, task):
    """Image, block of channels and block of pixels of a task."""
    cut, rest = task % peek(n, COL_BLOCKS), task // peek(n, COL_BLOCKS)
    row0, plane = rest % peek(n, ROW_BLOCKS) * peek(n, ROWS), rest // peek(n, ROW_BLOCKS)
    col0, edge = cut * peek(n, COLS), peek(n, EDGES) + 3 * cut
    rows, cols = min(peek(n, ROWS), peek(n, OH) - row0), min(peek(n, COLS), peek(n, OW) - col0)
    tiles = peek(n, edge), peek(n, edge + 1), peek(n, edge + 2)
    here = plane % peek(n, OD), row0, rows, col0, cols, tiles[0], tiles[1], tiles[2]
    block = plane // peek(n, OD)
    return block // peek(n, BLOCKS), block % peek(n, BLOCKS), here


@kernel
def _side(n, here, side):
    """First and past the last column, from the block's first, that the band of one side holds; and lanes beyond."""
    units = -(-here[4] // peek(n, UNIT))
    vectors = -(-units // here[5])
    first, last = 0, here[6]
    if side:
        first, last = here[7], here[5]
    return min(units, first * vectors) * peek(n, UNIT), min(units, last * vectors) * peek(n, UNIT)


@kernel
def _pack_rows(n, x, x0, places, columns, here, depth, dst):
    """Pack the padded columns of the tiles that do not read x in place, in runs of one phase of the stride each."""
    planes_at, rows_at, cols_at = places
    sw = peek(n, STRIDE_W)
    for side in range(2):
        q0, q1 = _side(n, here, side)
        if q0 == q1:
            continue
        for phase in range(peek(n, PHASES)):
            begin = (here[3] + q0) * sw + phase * peek(n, DILATION) % sw
            end = min(columns, begin + (q1 - q0 + peek(n, SPAN_W) // sw) * sw)
            left = min(begin + -(-max(0, peek(n, LEFT) - begin) // sw) * sw, end)
            inner = max(0, (min(end, peek(n, RIGHT)) - left + sw - 1) // sw)
            right = left + inner * sw
            for c in range(depth):
                for p in range(peek(n, SPAN_D) + 1):
                    plane = peek(planes_at, here[0] * peek(n, STRIDE_D) + p)
                    for r in range((here[2] - 1) * peek(n, STRIDE_H) + peek(n, SPAN_H) + 1):
                        row = peek(rows_at, here[1] * peek(n, STRIDE_H) + r)
                        if plane < 0 or row < 0:
                            continue  # no entry reads it
                        line = x0 + c * peek(n, X_C) + plane * peek(n, X_D) + row * peek(n, X_H)
                        at = side * peek(n, BAND_SIZE) + c * peek(n, BAND_C) + p * peek(n, BAND_D)
                        at += r * peek(n, BAND_H) + phase * peek(n, BAND_P)
                        _pack_border(x, line, cols_at, begin, left, sw, dst, at)
                        if inner:
                            _pack_inner(x, line + peek(cols_at, left), sw, inner, dst, at + (left - begin) // sw)
                        _pack_border(x, line, cols_at, right, end, sw, dst, at + (right - begin) // sw)


@kernel
def _pack_border(x, line, cols_at, first, end, sw, dst, at):
    for q in range(first, end, sw):
        col = peek(cols_at, q)
        poke(dst, at, peek(x, line + col) if col >= 0 else 0.0)
        at += 1


@kernel
def _pack_inner(x, line, sw, count, dst, at):
    if sw == 1:
        copy_run(dst, at, x, line, count)
    elif sw == 2:  # a step that the compiler knows becomes shuffles
        for i in range(count):
            poke(dst, at + i, peek(x, line + 2 * i))
    else:
        for i in range(count):
            poke(dst, at + i, peek(x, line + sw * i))


@kernel
def _pack_pixels(numbers, x, x0, index, here, count, dst):
    """Pack the pixels of the tiles that do not read x in place, each channel as often as it has filters."""
    n, repeat = address(numbers), numbers[REPEAT]
    x_strides = numbers[X_N], numbers[X_C], numbers[X_D], numbers[X_H], numbers[X_W]
    pitch = numbers[BAND_D], numbers[BAND_H], numbers[PIXEL]
    sd, sh, sw = numbers[STRIDE_D], numbers[STRIDE_H], numbers[STRIDE_W]
    for side in range(2):
        q0, q1 = _side(n, here, side)
        q1 = min(q1, here[4])
        if q0 >= q1:
            continue
        size = numbers[SPAN_D] + 1, (here[2] - 1) * sh + numbers[SPAN_H] + 1, (q1 - q0 - 1) * sw + numbers[SPAN_W] + 1
        at = side * numbers[BAND_SIZE]
        pack_strip(
            x, x0, x_strides, count // repeat, index, (here[0] * sd, here[1] * sh, (here[3] + q0) * sw), size,
            (numbers[LEFT], numbers[RIGHT]), dst, at, pitch,
        )  # fmt: skip
        if repeat > 1:
            for p in range(size[0]):
                for r in range(size[1]):
                    _repeat(address(dst), at + p * pitch[0] + r * pitch[1], size[2], pitch[2], count, repeat)


@kernel
def _repeat(dst, at, pixels, pitch, count, repeat):
    for _ in range(pixels):
        for i in range(count - 1, 0, -1):
            poke(dst, at + i, peek(dst, at + i // repeat))
        at += pitch


@kernel
def _rows(
    n, x, x0, places, depth, here, w, w0, bands, c, c0, c_steps, table, half, start, bias, bias0, relu, tile
):  # fmt: skip
    """Tiles over the rows of a block, residue by residue of the distance of a tile's rows."""
    apart, starts = peek(n, APART), peek(n, STARTS)
    for residue in range(min(apart, here[2])):
        members = -(-(here[2] - residue) // apart)
        tiles = -(-members // peek(n, MOST))
        for t in range(tiles):
            r0, r1 = members * t // tiles, members * (t + 1) // tiles
            row = residue + r0 * apart
            begin, end = peek(n, starts + r1 - r0), peek(n, starts + r1 - r0 + 1)
            found = _entries(n, begin, (end - begin) // peek(n, ROUND) * depth, places, here, row, table, half)
            _columns(
                n, x, x0, places[2], here, row, r1 - r0, w, w0, bands, c, c0, c_steps, table, half, found, start,
                bias, bias0, relu, tile,
            )  # fmt: skip


@kernel
def _entries(n, begin, number, places, here, row, table, half):
    """The entries of a tile's rows that are not zero padding: for x in place, and from `half` on for a band."""
    template, found = peek(n, TEMPLATE), 0
    for e in range(template + begin * ROOM, template + (begin + number) * ROOM, ROOM):
        p, m = peek(n, e + 1), row * peek(n, STRIDE_H) + peek(n, e + 2)
        plane = peek(places[0], here[0] * peek(n, STRIDE_D) + p)
        line = peek(places[1], here[1] * peek(n, STRIDE_H) + m)
        if plane < 0 or line < 0:
            continue
        at = found * FIELDS
        poke(table, at, peek(n, e) * peek(n, X_C) + plane * peek(n, X_D) + line * peek(n, X_H))
        poke(table, half + at, peek(n, e + 3) + p * peek(n, BAND_D) + m * peek(n, BAND_H))
        for field in range(1, FIELDS):
            value = peek(n, e + 3 + field)
            poke(table, at + field, value)
            poke(table, half + at + field, value)
        found += 1
    return found


@kernel
def _columns(
    n, x, x0, cols_at, here, row, rows, w, w0, bands, c, c0, c_steps, table, half, found, start, bias, bias0, relu, tile
):  # fmt: skip
    """Tiles over the columns of a block, in runs: before, inside and after what is read in place, and the last one."""
    unit, together, tiles = peek(n, UNIT), peek(n, TOGETHER), here[5]
    cols, units = here[4], -(-here[4] // unit)
    vectors = -(-units // tiles)
    groups, inner, c_row, bias_row = 1, peek(n, INNER), peek(n, APART) * c_steps[1], 0
    if together:
        groups, inner, c_row, bias_row = peek(n, INNER), 1, c_steps[0], 1
    c_inner = peek(n, C_INNER) * c_steps[0]
    even = units // vectors  # tiles before one that is smaller, if there is one
    bounds = 0, here[6], here[7], tiles
    for part in range(4):
        t0, t1 = bounds[min(part, 2)], min(bounds[min(part + 1, 3)], even)
        if part == 3:
            t0, t1 = even, tiles
        if t0 >= t1:
            continue
        q = t0 * vectors * unit
        a, at, table0, hop = bands, q * peek(n, BAND_W), half, peek(n, BAND_W)
        if t0 >= here[7]:
            at = peek(n, BAND_SIZE) + (q - here[7] * vectors * unit) * hop
        elif t0 >= here[6]:
            a, table0, hop = x, 0, peek(n, STRIDE_W) * peek(n, X_W)
            at = x0 + peek(cols_at, (here[3] + q) * peek(n, STRIDE_W)) * peek(n, X_W)
        wide = min(vectors, units - t0 * vectors)
        columns = (cols - q) * peek(n, PER_COLUMN) + peek(n, ALWAYS)
        for group in range(groups):
            if together:
                rows = min(together, peek(n, C_OUT) - group * together)
            filter_tiles(
                tile, peek(n, KIND), wide, found, table, table0, a, at, peek(n, X_STEP), peek(n, X_VECTOR),
                w, w0 + group * peek(n, W_INNER), peek(n, W_STEP), peek(n, W_ROW),
                c, c0 + row * c_steps[1] + q * c_steps[2] + group * c_inner, c_row, unit * c_steps[2],
                rows, columns, peek(n, PER_VECTOR), start, bias, bias0 + group * peek(n, C_INNER), bias_row, relu,
                t1 - t0, wide * unit * hop, wide * unit * c_steps[2], wide * unit * peek(n, PER_COLUMN),
                inner, peek(n, X_INNER), peek(n, W_INNER), c_inner, peek(n, C_INNER), peek(n, LANES_INNER),
            )  # fmt: skip


@kernel
def _unstage(numbers, memory, count, here, y, y0):
    """A block's results from the staging to y."""
    rows, cols = here[2], here[4]
    staged, yc, yh, yw = 2 * numbers[BAND_SIZE], numbers[Y_C], numbers[Y_H], numbers[Y_W]
    if numbers[KIND] != BROADCAST:
        for r in range(rows):
            unpack_planar(memory, staged + r * numbers[STAGE_H], numbers[STAGE_W], count, cols, y, y0 + r * yh, yc, yw)
        return
    source, target = address(memory), address(y)
    for o in range(numbers[C_OUT]):
        for r in range(rows):
            at, to = staged + o * numbers[STAGE_C] + r * numbers[STAGE_H], y0 + o * yc + r * yh
            for q in range(cols):
                poke(target, to + q * yw, peek(source, at + q))
