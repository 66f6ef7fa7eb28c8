"""The sweep of planar filtering over its blocks, see `planar_blocking` for how they are cut.

Each task owns a block of output rows and columns of one plane. It packs the columns that touch the border (or all of
them, where x cannot be read in place) into bands in its thread's scratch and lets tiles run over bands and x alike:
a table of entries says where each row of the input is, so borders of rows cost nothing in any padding mode.

Helpers get addresses in place of arrays, which Numba would count in and out at every call.
"""

from __future__ import annotations

from ..simd.filter_tile import ACCUMULATE, BIAS, BROADCAST, FIELDS, ZERO, filter_tiles
from ..simd.jit import kernel, parallel_kernel
from ..simd.lanes import address, copy_run, peek, poke
from .pack import pack_strip, unpack_planar

ROOM = 7  # integers of an entry of the template


@parallel_kernel
def sweep(
    thread, first, last, x, x_strides, index, interior, w, bias, y, y_strides, channels, grid, edges, shape, weights,
    band, stage, stride, span, template, starts, tables, own, relu, tile,
):  # fmt: skip
    """Each task: its rounds of input channels, one after the other; results that need it go through the staging."""
    C, O, total = channels
    blocks, OD, row_blocks, col_blocks, block_rows, block_cols, OH, OW = grid
    kind, staged, pixel, round_ = shape[0], stage[0], band[5], band[7]
    band_size, staging_at = stage[1], 2 * stage[1]
    mine, table = own[thread], address(tables[thread])
    planes_at, rows_at, cols_at = address(index[0]), address(index[1]), address(index[2])
    half, C_in, C_out = tables.shape[1] // 2, C, O
    if kind != BROADCAST:
        C_in, C_out = pixel, pixel
    for task in range(first, last):
        cut = task % col_blocks
        col0, row0 = cut * block_cols, task // col_blocks % row_blocks * block_rows
        plane = task // col_blocks // row_blocks
        od, block, n = plane % OD, plane // OD % blocks, plane // OD // blocks
        here = od, row0, min(block_rows, OH - row0), col0, min(block_cols, OW - col0)
        edge = edges[cut, 0], edges[cut, 1], edges[cut, 2]
        x0 = n * x_strides[0] + block * C_in * x_strides[1]
        y0 = y_strides[0] + n * y_strides[1] + block * C_out * y_strides[2]
        y0 += od * y_strides[3] + row0 * y_strides[4] + col0 * y_strides[5]
        count = min(pixel, total - block * pixel)
        c, c0, c_steps = address(y), y0, (y_strides[2], y_strides[4], y_strides[5])
        if staged:
            c, c0, c_steps = address(mine), staging_at, (stage[2], stage[3], stage[4])
        bias0 = block * (weights[0] if kind != BROADCAST else O)
        for c_in in range(0, C, round_):
            x_in, depth = x0 + c_in * x_strides[1], min(round_, C - c_in)
            start = ACCUMULATE if c_in else BIAS if bias.size else ZERO
            if kind != BROADCAST:
                _pack_pixels(
                    x, x_in, x_strides, index, interior, here, edge, shape, stride, span, band, count, mine, band_size
                )
            elif edge[1] > 0 or edge[2] < edge[0]:
                _pack_rows(
                    address(x), x_in, x_strides, planes_at, rows_at, cols_at, cols_at_size(index), interior, here,
                    edge, shape, stride, span, band, depth, address(mine), band_size,
                )  # fmt: skip
            _rows(
                address(x), x_in, x_strides, planes_at, rows_at, cols_at, depth, O, here, edge, shape, address(w),
                block * weights[3] + c_in * weights[2], weights, band, stride, address(mine), band_size, c, c0,
                c_steps, address(template), address(starts), table, half, start, address(bias), bias0,
                relu and c_in + round_ >= C, tile,
            )  # fmt: skip
        if staged:
            _unstage(mine, staging_at, stage, kind, count, O, here, y, y0, y_strides)


@kernel
def cols_at_size(index):
    """Padded columns."""
    return index[2].size


@kernel
def _pack_rows(
    x, x0, x_strides, planes_at, rows_at, cols_at, columns, interior, here, edge, shape, stride, span, band, depth,
    dst, band_size,
):  # fmt: skip
    """Pack the padded columns of the tiles that do not read x in place, in runs of one phase of the stride each."""
    od, row0, rows, col0, cols = here
    units, sw, run = -(-cols // shape[1]), stride[2], band[3]
    vectors = -(-units // edge[0])
    for side in range(2):
        tile0, tile1 = (0, edge[1]) if side == 0 else (edge[2], edge[0])
        q0, q1 = min(units, tile0 * vectors) * shape[1], min(units, tile1 * vectors) * shape[1]
        if q0 == q1:
            continue
        for phase in range(band[4]):
            begin = (col0 + q0) * sw + phase * band[8] % sw
            end = min(columns, begin + (q1 - q0 + span[2] // sw) * sw)
            left = min(begin + -(-max(0, interior[0] - begin) // sw) * sw, end)
            inner = max(0, (min(end, interior[1]) - left + sw - 1) // sw)
            right = left + inner * sw
            for c in range(depth):
                for p in range(span[0] + 1):
                    plane = peek(planes_at, od * stride[0] + p)
                    for r in range((rows - 1) * stride[1] + span[1] + 1):
                        row = peek(rows_at, row0 * stride[1] + r)
                        if plane < 0 or row < 0:
                            continue  # no entry reads it
                        line = x0 + c * x_strides[1] + plane * x_strides[2] + row * x_strides[3]
                        at = side * band_size + c * band[0] + p * band[1] + r * band[2] + phase * run
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
def _pack_pixels(x, x0, x_strides, index, interior, here, edge, shape, stride, span, band, count, dst, band_size):
    """Pack the pixels of the tiles that do not read x in place, each channel as often as it has filters."""
    od, row0, rows, col0, cols = here
    vectors, repeat = -(-(-(-cols // shape[1])) // edge[0]), shape[15]
    pitch = band[1], band[2], band[5]
    for side in range(2):
        tile0, tile1 = (0, edge[1]) if side == 0 else (edge[2], edge[0])
        q0 = tile0 * vectors * shape[1]
        q1 = min(cols, tile1 * vectors * shape[1])
        if q0 >= q1:
            continue
        corner = od * stride[0], row0 * stride[1], (col0 + q0) * stride[2]
        size = span[0] + 1, (rows - 1) * stride[1] + span[1] + 1, (q1 - q0 - 1) * stride[2] + span[2] + 1
        pack_strip(
            x, x0, x_strides, count // repeat, index, corner, size, interior, dst, side * band_size, pitch
        )  # fmt: skip
        if repeat > 1:
            for p in range(size[0]):
                for r in range(size[1]):
                    _repeat(address(dst), side * band_size + p * pitch[0] + r * pitch[1], size[2], pitch[2], count, repeat)


@kernel
def _repeat(dst, at, pixels, pitch, count, repeat):
    for _ in range(pixels):
        for i in range(count - 1, 0, -1):
            poke(dst, at + i, peek(dst, at + i // repeat))
        at += pitch


@kernel
def _rows(
    x, x0, x_strides, planes_at, rows_at, cols_at, depth, O, here, edge, shape, w, w0, weights, band, stride, bands,
    band_size, c, c0, c_steps, template, starts, table, half, start, bias, bias0, relu, tile,
):  # fmt: skip
    """Tiles over the rows of a block, residue by residue of the distance of a tile's rows."""
    rows, most, apart = here[2], shape[3], shape[4]
    for residue in range(min(apart, rows)):
        members = -(-(rows - residue) // apart)
        tiles = -(-members // most)
        for t in range(tiles):
            r0, r1 = members * t // tiles, members * (t + 1) // tiles
            row = residue + r0 * apart
            begin, end = peek(starts, r1 - r0), peek(starts, r1 - r0 + 1)
            found = _entries(
                template, begin, (end - begin) // band[7] * depth, x_strides, planes_at, rows_at, here, row, stride,
                band, table, half,
            )  # fmt: skip
            _columns(
                x, x0, x_strides, cols_at, O, here, row, r1 - r0, edge, shape, w, w0, weights, band, stride, bands,
                band_size, c, c0, c_steps, table, half, found, start, bias, bias0, relu, tile,
            )  # fmt: skip


@kernel
def _entries(template, begin, number, x_strides, planes_at, rows_at, here, row, stride, band, table, half):
    """The entries of a tile's rows that are not zero padding: for x in place, and from `half` on for a band."""
    found = 0
    for e in range(begin * ROOM, (begin + number) * ROOM, ROOM):
        p, m = peek(template, e + 1), row * stride[1] + peek(template, e + 2)
        plane, line = peek(planes_at, here[0] * stride[0] + p), peek(rows_at, here[1] * stride[1] + m)
        if plane < 0 or line < 0:
            continue
        at = found * FIELDS
        poke(table, at, peek(template, e) * x_strides[1] + plane * x_strides[2] + line * x_strides[3])
        poke(table, half + at, peek(template, e + 3) + p * band[1] + m * band[2])
        for field in range(1, FIELDS):
            value = peek(template, e + 3 + field)
            poke(table, at + field, value)
            poke(table, half + at + field, value)
        found += 1
    return found


@kernel
def _columns(
    x, x0, x_strides, cols_at, O, here, row, rows, edge, shape, w, w0, weights, band, stride, bands, band_size, c, c0,
    c_steps, table, half, found, start, bias, bias0, relu, tile,
):  # fmt: skip
    """Tiles over the columns of a block; those that read the same columns follow each other."""
    unit, apart, together = shape[1], shape[4], shape[5]
    cols, units = here[4], -(-here[4] // unit)
    vectors = -(-units // edge[0])
    blocks, inner, c_row, bias_row = 1, shape[2], apart * c_steps[1], 0
    if together:
        blocks, inner, c_row, bias_row = shape[2], 1, c_steps[0], 1
    bounds = 0, edge[1], edge[2], edge[0]
    for part in range(4):  # before, inside and after what is read in place, and the last tile, which may be smaller
        t0, t1 = bounds[min(part, 2)], min(bounds[min(part + 1, 3)], edge[0] - 1)
        if part == 3:
            t0, t1 = edge[0] - 1, edge[0]
        if t0 >= t1:
            continue
        q = t0 * vectors * unit
        a, at, table0, hop = bands, q * band[6], half, band[6]
        if t0 >= edge[2]:
            at = band_size + (q - edge[2] * vectors * unit) * band[6]
        elif t0 >= edge[1]:
            a, table0, hop = x, 0, stride[2] * x_strides[4]
            at = x0 + peek(cols_at, (here[3] + q) * stride[2]) * x_strides[4]
        wide = min(vectors, units - t0 * vectors)
        for block in range(blocks):
            if together:
                rows = min(together, O - block * together)
            filter_tiles(
                tile, shape[0], wide, found, table, table0, a, at, shape[6], shape[7],
                w, w0 + block * shape[12], weights[0], weights[1],
                c, c0 + row * c_steps[1] + q * c_steps[2] + block * shape[13] * c_steps[0], c_row, unit * c_steps[2],
                rows, (cols - q) * shape[8] + shape[9], shape[10],
                start, bias, bias0 + block * shape[13], bias_row, relu,
                t1 - t0, wide * unit * hop, wide * unit * c_steps[2], wide * unit * shape[8],
                inner, shape[11], shape[12], shape[13] * c_steps[0], shape[13], shape[14],
            )  # fmt: skip


@kernel
def _unstage(memory, staged, stage, kind, count, O, here, y, y0, y_strides):
    """A block's results from the staging to y."""
    rows, cols = here[2], here[4]
    if kind != BROADCAST:
        for r in range(rows):
            at, to = staged + r * stage[3], y0 + r * y_strides[4]
            unpack_planar(memory, at, stage[4], count, cols, y, to, y_strides[2], y_strides[5])
        return
    source, target = address(memory), address(y)
    for o in range(O):
        for r in range(rows):
            at, to = staged + o * stage[2] + r * stage[3], y0 + o * y_strides[2] + r * y_strides[4]
            for q in range(cols):
                poke(target, to + q * y_strides[5], peek(source, at + q))
