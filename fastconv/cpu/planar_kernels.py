"""The sweep of planar filtering over its blocks, see `planar_blocking` for how they are cut.

Each task owns a block of output rows and columns of one plane. It packs the columns that touch the border (or all of
them, where x cannot be read in place) into bands in its thread's scratch and lets tiles run over bands and x alike:
a table of entries says where each row of the input is, so borders of rows cost nothing in any padding mode.
"""

from __future__ import annotations

from ..simd.filter_tile import ACCUMULATE, BIAS, BROADCAST, FIELDS, ZERO, filter_tile, filter_vectors
from ..simd.jit import kernel, parallel_kernel
from ..simd.lanes import address, peek, poke
from ..simd.vector import clear, copy
from .pack import pack_strip, unpack_planar

VECTORS = filter_vectors()


@parallel_kernel
def sweep(
    thread, first, last, x, x_strides, index, interior, w, bias, y, y_strides, channels, grid, edges, shape, weights,
    band, stage, geometry, template, starts, tables, own, relu, tile,
):  # fmt: skip
    """Each task: its rounds of input channels, one after the other; results that need it go through the staging."""
    C, O, total = channels
    blocks, OD, row_blocks, col_blocks, block_rows, block_cols, OH, OW = grid
    kind, together, staged = shape[0], shape[5], stage[0]
    pixel, round_ = band[5], band[7]
    band_size, staging_at = stage[1], 2 * stage[1]
    mine, table = own[thread], tables[thread]
    for task in range(first, last):
        col0 = task % col_blocks * block_cols
        row0 = task // col_blocks % row_blocks * block_rows
        plane = task // col_blocks // row_blocks
        od, block, n = plane % OD, plane // OD % blocks, plane // OD // blocks
        rows, cols = min(block_rows, OH - row0), min(block_cols, OW - col0)
        step = pixel if kind != BROADCAST else C
        x0 = n * x_strides[0] + block * step * x_strides[1]
        count = min(pixel, total - block * pixel)
        y0 = y_strides[0] + n * y_strides[1] + block * (pixel if kind != BROADCAST else O) * y_strides[2]
        y0 += od * y_strides[3] + row0 * y_strides[4] + col0 * y_strides[5]
        c, c0, c_steps = y, y0, (y_strides[2], y_strides[4], y_strides[5])
        if staged:
            c, c0, c_steps = mine, staging_at, (stage[2], stage[3], stage[4])
        here = od, row0, rows, col0, cols
        for c_in in range(0, C, round_):
            source = x0 + c_in * x_strides[1]
            depth = min(round_, C - c_in)
            start = ACCUMULATE if c_in else BIAS if bias.size else ZERO
            _bands(
                x, source, x_strides, index, interior, depth, count, here, edges[col0 // block_cols], shape, band,
                geometry, mine, band_size,
            )  # fmt: skip
            _rows(
                x, source, x_strides, index, depth, C, O, here, edges[col0 // block_cols], shape, w,
                block * weights[3] + c_in * weights[2], weights, band, geometry, mine, band_size, c, c0, c_steps,
                template, starts, table, start, bias, block * (weights[0] if kind != BROADCAST else O),
                relu and c_in + round_ >= C, tile,
            )  # fmt: skip
        if staged:
            _unstage(mine, staging_at, stage, kind, count, O, rows, cols, y, y0, y_strides)


@kernel
def _bands(x, x0, x_strides, index, interior, depth, count, here, edge, shape, band, geometry, mine, band_size):
    """Pack the padded columns of the tiles before and after those that read x in place."""
    od, row0, rows, col0, cols = here
    stride, span, _ = geometry
    units = -(-cols // shape[1])
    height = (rows - 1) * stride[1] + span[1] + 1
    for side in range(2):
        tile0, tile1 = (0, edge[1]) if side == 0 else (edge[2], edge[0])
        if tile0 == tile1:
            continue
        q0, q1 = units * tile0 // edge[0] * shape[1], units * tile1 // edge[0] * shape[1]
        corner = od * stride[0], row0 * stride[1], (col0 + q0) * stride[2]
        if shape[0] == BROADCAST:
            for c in range(depth):
                _pack_rows(
                    x, x0 + c * x_strides[1], x_strides, index, interior, corner, (span[0] + 1, height), q1 - q0,
                    stride, geometry, band, mine, side * band_size + c * band[0],
                )  # fmt: skip
        else:
            _pack_pixels(
                x, x0, x_strides, index, interior, corner, (span[0] + 1, height), min(q1, cols) - q0, stride, span,
                band, count, shape[15], mine, side * band_size,
            )  # fmt: skip


@kernel
def _pack_rows(x, x0, x_strides, index, interior, corner, size, reads, stride, geometry, band, dst, d0):
    """One channel's rows: per phase of the column stride the padded columns corner + phase + i*stride."""
    planes_at, rows_at, cols_at = index
    _, span, dw = geometry
    sw, run = stride[2], band[3]
    target, source = address(dst), address(x)
    for p in range(size[0]):
        for r in range(size[1]):
            plane, row = planes_at[corner[0] + p], rows_at[corner[1] + r]
            if plane < 0 or row < 0:
                continue  # no entry reads it
            line = x0 + plane * x_strides[2] + row * x_strides[3]
            for phase in range(band[4]):
                begin = corner[2] + phase * dw % sw
                end = min(cols_at.size, begin + (reads + span[2] // sw) * sw)
                at = d0 + p * band[1] + r * band[2] + phase * run
                left = min(max(begin, begin + -(-(interior[0] - begin) // sw) * sw), end)
                right = max(left, min(end, interior[1]))
                for q in range(begin, left, sw):
                    dst[at + (q - begin) // sw] = x[line + cols_at[q]] if cols_at[q] >= 0 else 0.0
                inner = (right - left + sw - 1) // sw
                if inner > 0:
                    to, base = at + (left - begin) // sw, line + cols_at[left]
                    if sw == 1:
                        copy(dst, to, x, base, inner)
                    elif sw == 2:
                        for i in range(inner):
                            poke(target, to + i, peek(source, base + 2 * i))
                    else:
                        for i in range(inner):
                            poke(target, to + i, peek(source, base + sw * i))
                for q in range(left + inner * sw, end, sw):
                    dst[at + (q - begin) // sw] = x[line + cols_at[q]] if cols_at[q] >= 0 else 0.0


@kernel
def _pack_pixels(x, x0, x_strides, index, interior, corner, size, reads, stride, span, band, count, repeat, dst, d0):
    """The pixels of a block of channels, each channel `repeat` times."""
    width = (reads - 1) * stride[2] + span[2] + 1
    pitch = band[1], band[2], band[5]
    pack_strip(
        x, x0, x_strides, count // repeat, index, corner, (size[0], size[1], width), interior, dst, d0, pitch
    )  # fmt: skip
    if repeat > 1:
        for p in range(size[0]):
            for r in range(size[1]):
                at = d0 + p * pitch[0] + r * pitch[1]
                for _ in range(width):
                    for i in range(count - 1, 0, -1):
                        dst[at + i] = dst[at + i // repeat]
                    at += pitch[2]


@kernel
def _rows(
    x, x0, x_strides, index, depth, C, O, here, edge, shape, w, w0, weights, band, geometry, mine, band_size, c, c0,
    c_steps, template, starts, table, start, bias, bias0, relu, tile,
):  # fmt: skip
    """Tiles over the rows of a block, residue by residue of the distance of a tile's rows."""
    rows, most, apart = here[2], shape[3], shape[4]
    for residue in range(min(apart, rows)):
        members = -(-(rows - residue) // apart)
        tiles = -(-members // most)
        for t in range(tiles):
            r0, r1 = members * t // tiles, members * (t + 1) // tiles
            row = residue + r0 * apart
            inside = starts.size - 1 if shape[5] else r1 - r0
            begin, half = starts[inside if not shape[5] else 1], table.size // 2
            number = starts[(inside if not shape[5] else 1) + 1] - begin
            number = number // band[7] * depth
            found = _entries(template, begin, number, x_strides, index, here, row, geometry, band, table, half)
            _columns(
                x, x0, x_strides, index, O, here, row, r1 - r0, edge, shape, w, w0, weights, band, geometry, mine,
                band_size, c, c0, c_steps, table, half, found, start, bias, bias0, relu, tile,
            )  # fmt: skip


@kernel
def _entries(template, begin, number, x_strides, index, here, row, geometry, band, table, half):
    """The entries of a tile's rows that are not zero padding: for x in place, and from `half` on for a band."""
    planes_at, rows_at, _ = index
    stride = geometry[0]
    found = 0
    for e in range(begin, begin + number):
        padded = (here[1] + row) * stride[1] + template[e, 2]
        plane, line = planes_at[here[0] * stride[0] + template[e, 1]], rows_at[padded]
        if plane < 0 or line < 0:
            continue
        at = found * FIELDS
        table[at] = template[e, 0] * x_strides[1] + plane * x_strides[2] + line * x_strides[3]
        table[half + at] = template[e, 3] + template[e, 1] * band[1] + (row * stride[1] + template[e, 2]) * band[2]
        for field in range(1, FIELDS):
            table[at + field] = table[half + at + field] = template[e, 3 + field]
        found += 1
    return found


@kernel
def _columns(
    x, x0, x_strides, index, O, here, row, rows, edge, shape, w, w0, weights, band, geometry, mine, band_size, c, c0,
    c_steps, table, half, found, start, bias, bias0, relu, tile,
):  # fmt: skip
    """Tiles over the columns of a block; those that read the same columns follow each other."""
    kind, unit, inners, _, apart, together = shape[:6]
    x_step, x_vector, per_column, fixed, per_vector = shape[6], shape[7], shape[8], shape[9], shape[10]
    stride = geometry[0]
    cols, units = here[4], -(-here[4] // unit)
    c_row = c_steps[0] if together else apart * c_steps[1]
    for t in range(edge[0]):
        u0, u1 = units * t // edge[0], units * (t + 1) // edge[0]
        q = u0 * unit
        a, at, table0 = mine, 0, half
        if edge[1] <= t < edge[2]:
            a, table0 = x, 0
            at = x0 + index[2][(here[3] + q) * stride[2]] * x_strides[4]
        elif t < edge[1]:
            at = q * band[6]
        else:
            at = band_size + (q - units * edge[2] // edge[0] * unit) * band[6]
        for inner in range(inners):
            filter_tile(
                tile, kind, u1 - u0, found, table, table0, a, at + inner * shape[11], x_step, x_vector,
                w, w0 + inner * shape[12], weights[0], weights[1],
                c, c0 + row * c_steps[1] + q * c_steps[2] + inner * shape[13] * c_steps[0], c_row, unit * c_steps[2],
                min(together, O - inner * together) if together else rows,
                (cols - q) * per_column + fixed - inner * shape[14], per_vector,
                start, bias, bias0 + inner * shape[13], 1 if together else 0, relu,
            )  # fmt: skip


@kernel
def _unstage(memory, staged, stage, kind, count, O, rows, cols, y, y0, y_strides):
    """A block's results from the staging to y."""
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
