"""What tasks of planar filtering do with their blocks, see `bands` for how they are cut.

Each task owns a block of output rows and columns of one plane: it packs the padded input of its block to a band in its
thread's scratch, which stays in the core's cache, and lets tiles run over it. All modes of padding are in the packing.
Known depthwise filters read x in place where they can.

Helpers get addresses in place of arrays, which Numba would count in and out at every call; `n` is a view of `Bands`,
`here` the block.
"""

from __future__ import annotations

from ...simd.depth_sweep import depth_sweep
from ...simd.fields import behind, fields
from ...simd.filter_tile import BROADCAST, FIELDS, filter_tiles, filter_vectors
from ...simd.jit import kernel
from ...simd.lanes import address, peek, poke
from ...simd.microkernel import ACCUMULATE, BIAS, ZERO
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear, copy
from ..items import Block
from ..lowering import Axes
from ..pack import pack_strip, unpack_rows
from .bands import Bands

VECTORS = filter_vectors()


@parallel_kernel
def filter_blocks(
    thread, first, last, x, w, bias, y, planes_at, rows_at, cols_at, numbers, own, relu, stream, tile, known
):
    """Each task: its rounds of input channels, one after the other; results that need it go through the staging."""
    n, mine, index = fields(Bands, numbers), own[thread], (planes_at, rows_at, cols_at)
    places = address(planes_at), address(rows_at), address(cols_at)
    by_pixel, pixel = n.lanes.kind == BROADCAST, n.lanes.pixel
    step_in, step_out = pixel, pixel
    if by_pixel:
        step_in, step_out = n.low.C, n.low.O
    for task in range(first, last):
        block, here = locate_block(n, task)
        x0 = here.image * n.low.x.n + block * step_in * n.low.x.c
        y0 = n.low.y_start + here.image * n.low.y.n + block * step_out * n.low.y.c
        y0 += here.plane * n.low.y.d + here.row0 * n.low.y.h + here.col0 * n.low.y.w
        c, c0, c_strides = address(y), y0, n.low.y
        if n.lanes.staged:
            c, c0, c_strides = address(mine), n.band_size, n.staging
        count = min(pixel, n.low.groups * n.low.O - block * pixel)
        start, w0, bias0 = BIAS if bias.size else ZERO, block * n.w_block, block * n.bias_block
        if by_pixel:
            for c_in in range(0, n.low.C, n.round):
                depth, x_in = min(n.round, n.low.C - c_in), x0 + c_in * n.low.x.c
                pack_rows(n, address(x), x_in, places, cols_at.size, here, depth, address(mine), False)
                _rows(
                    n, depth, here, address(w), w0 + c_in * n.w_channel, address(mine), c, c0, c_strides,
                    ACCUMULATE if c_in else start, address(bias), bias0, relu and c_in + depth == n.low.C, tile,
                )  # fmt: skip
        else:
            _by_channels(
                n, x, x0, index, here, count, mine, address(w), w0, c, c0, c_strides, start, address(bias), bias0,
                relu, stream, tile, known,
            )  # fmt: skip
        if n.lanes.staged:
            _unstage(n, mine, count, here, y, y0)


@kernel
def _by_channels(
    n, x, x0, index, here, count, mine, w, w0, c, c0, c_strides, start, bias, bias0, relu, stream, tile, known
):
    """A block whose lanes are channels."""
    pack_pixels(n, x, x0, index, here, count, mine)
    if n.known.number < 0:
        _rows(n, 1, here, w, w0, address(mine), c, c0, c_strides, start, bias, bias0, relu, tile)
        return
    tables, block = behind(n), here.row0 // n.rows * n.col_blocks + here.col0 // n.cols
    depth_sweep(
        known, n.known.number, n.lanes.pixel, tables, peek(tables, block), address(mine), 0, n.band.h, n.lanes.pixel,
        w, w0, c, c0, c_strides.h, c_strides.w, bias, bias0, start == BIAS, relu, stream,
    )  # fmt: skip


@parallel_kernel
def sweep_blocks(thread, first, last, x, w, bias, y, planes_at, numbers, relu, stream, known):
    """Each task: a block that a known filter reads in place."""
    n = fields(Bands, numbers)
    tables = behind(n)
    for task in range(first, last):
        _, here = locate_block(n, task)
        block = here.row0 // n.rows * n.col_blocks + here.col0 // n.cols
        y0 = n.low.y_start + here.image * n.low.y.n + here.plane * n.low.y.d
        depth_sweep(
            known, n.known.number, n.lanes.pixel, tables, peek(tables, block), address(x),
            place_in_x(n, here.image * n.low.x.n, planes_at, here), n.low.x.h, n.low.x.w, address(w), 0, address(y),
            y0 + here.row0 * n.low.y.h + here.col0 * n.low.y.w, n.low.y.h, n.low.y.w, address(bias), 0, bias.size > 0,
            relu, stream,
        )  # fmt: skip


@kernel
def place_in_x(n, x0, planes_at, here):
    """Where the first element of a block that is read in place lies, which may be padding; x0 is the image's first."""
    row, column = here.row0 * n.low.stride.h, here.col0 * n.low.stride.w
    plane = planes_at[here.plane * n.low.stride.d]
    return x0 + n.known.origin + plane * n.low.x.d + row * n.low.x.h + column * n.low.x.w


@kernel
def locate_block(n, task):
    """Block of channels and block of pixels of a task."""
    column, rest = task % n.col_blocks, task // n.col_blocks
    row0, plane = rest % n.row_blocks * n.rows, rest // n.row_blocks
    col0, block = column * n.cols, plane // n.low.out.d
    rows, cols = min(n.rows, n.low.out.h - row0), min(n.cols, n.low.out.w - col0)
    return block % n.lanes.blocks, Block(block // n.lanes.blocks, plane % n.low.out.d, row0, rows, col0, cols)


@kernel
def pack_rows(n, x, x0, places, columns, here, depth, dst, fill):
    """Pack the padded input of a block, a channel after the other, rows in runs of one phase of the stride each.

    With `fill` the rest of a run, which vectors at the end of a row read, is zero.
    """
    planes_at, rows_at, cols_at = places
    sh, sw, xd, xh, band_d, band_h = n.low.stride.h, n.low.stride.w, n.low.x.d, n.low.x.h, n.band.d, n.band.h
    reads = _round(here.cols, n.lanes.unit) + n.low.span.w // sw
    planes, rows = n.low.span.d + 1, (here.rows - 1) * sh + n.low.span.h + 1
    for phase in range(n.phases):
        begin = here.col0 * sw + phase * n.dilation % sw
        end = min(columns, begin + reads * sw)
        left = min(begin + -(-max(0, n.low.left - begin) // sw) * sw, end)
        inner = max(0, (min(end, n.low.right) - left + sw - 1) // sw)
        right = left + inner * sw
        shift, count = (left - begin) // sw, (end - begin + sw - 1) // sw
        rest = reads - count if fill else 0
        middle = peek(cols_at, left) if inner else 0
        for c in range(depth):
            for p in range(planes):
                plane = peek(planes_at, here.plane * n.low.stride.d + p)
                at = c * n.band.c + p * band_d + phase * n.band.phase
                base = x0 + c * n.low.x.c + plane * xd
                for r in range(rows):
                    row = peek(rows_at, here.row0 * sh + r)
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
def pack_pixels(n, x, x0, index, here, count, dst):
    """Pack the pixels of a block, each channel as often as it has filters."""
    repeat, stride, pitch = n.lanes.repeat, n.low.stride, Axes(n.band.d, n.band.h, n.lanes.pixel)
    corner = Axes(here.plane * stride.d, here.row0 * stride.h, here.col0 * stride.w)
    height, width = (here.rows - 1) * stride.h + n.low.span.h + 1, (here.cols - 1) * stride.w + n.low.span.w + 1
    size = Axes(n.low.span.d + 1, height, width)
    pack_strip(x, x0, n.low.x, count // repeat, index, corner, size, (n.low.left, n.low.right), dst, 0, pitch)
    if repeat > 1:
        for p in range(size.d):
            for r in range(size.h):
                _repeat(address(dst), p * pitch.d + r * pitch.h, size.w, pitch.w, count, repeat)


@kernel
def _repeat(dst, at, pixels, pitch, count, repeat):
    for _ in range(pixels):
        for i in range(count - 1, 0, -1):
            poke(dst, at + i, peek(dst, at + i // repeat))
        at += pitch


@kernel
def _rows(n, depth, here, w, w0, band, c, c0, c_strides, start, bias, bias0, relu, tile):
    """Tiles over the rows of a block, residue by residue of the distance of a tile's rows."""
    apart, tables = n.tile.apart, behind(n)
    for residue in range(min(apart, here.rows)):
        members = -(-(here.rows - residue) // apart)
        tiles = -(-members // n.tile.most)
        for t in range(tiles):
            r0, r1 = members * t // tiles, members * (t + 1) // tiles
            table, end = peek(tables, r1 - r0 - 1), peek(tables, r1 - r0)
            _columns(
                n, tables, table, (end - table) // FIELDS // n.round * depth, here.cols, residue + r0 * apart, r1 - r0,
                w, w0, band, c, c0, c_strides, start, bias, bias0, relu, tile,
            )  # fmt: skip


@kernel
def _columns(n, tables, table, entries, cols, row, rows, w, w0, band, c, c0, c_strides, start, bias, bias0, relu, tile):
    """Tiles over the columns of a block: those of one size, then the last, which may be smaller."""
    unit, together, t = n.lanes.unit, n.lanes.together, n.tile
    units = -(-cols // unit)
    tiles = -(-units // VECTORS)
    vectors = -(-units // tiles)
    groups, inner, c_row, bias_row = 1, n.lanes.inner, t.apart * c_strides.h, 0
    if together:
        groups, inner, c_row, bias_row = n.lanes.inner, 1, c_strides.c, 1
    hop, c_inner = n.band.w, t.c_inner * c_strides.c
    even = units // vectors
    for part in range(2):
        first, count, wide = 0, even, vectors
        if part:
            first, count, wide = even * vectors, 1, units - even * vectors
        if count == 0 or wide == 0:
            continue
        q = first * unit
        columns = (cols - q) * t.per_column + t.always
        for group in range(groups):
            if together:
                rows = min(together, n.low.O - group * together)
            filter_tiles(
                tile, n.lanes.kind, wide, entries, tables, table, band, row * n.low.stride.h * n.band.h + q * hop,
                t.x_step, t.x_vector, w, w0 + group * t.w_inner, t.w_step, t.w_row,
                c, c0 + row * c_strides.h + q * c_strides.w + group * c_inner, c_row, unit * c_strides.w,
                rows, columns, t.per_vector, start, bias, bias0 + group * t.c_inner, bias_row, relu,
                count, wide * unit * hop, wide * unit * c_strides.w, wide * unit * t.per_column,
                inner, t.x_inner, t.w_inner, c_inner, t.c_inner, t.lanes_inner,
            )  # fmt: skip


@kernel
def _unstage(n, memory, count, here, y, y0):
    """A block's results from the staging to y."""
    rows, cols, staging = here.rows, here.cols, n.staging
    if n.lanes.kind != BROADCAST:
        unpack_rows(memory, n.band_size, staging.h, staging.w, count, rows, cols, y, y0, n.low.y)
        return
    source, target = address(memory), address(y)
    for o in range(n.low.O):
        for r in range(rows):
            at, to = n.band_size + o * staging.c + r * staging.h, y0 + o * n.low.y.c + r * n.low.y.h
            for q in range(cols):
                poke(target, to + q * n.low.y.w, peek(source, at + q))
