"""The kernel of `reductions`: blocks of one or two stages, row by row.

Codes and records stand here, for they are what kernels read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...simd.fields import behind, fields
from ...simd.filter_tile import BROADCAST, FIELDS, FILTER_ROWS, filter_tiles, filter_vectors
from ...simd.jit import kernel
from ...simd.lane_math import add, divide, largest, multiply, smallest, subtract
from ...simd.lanes import address, first_lanes, inlined, lane_count, load, peek, place, spread, store, zero, zeros
from ...simd.microkernel import ZERO
from ...simd.parallel import parallel_kernel
from .blocks import Blocks, fill_row, locate, source_column, source_row
from .rows import FLOAT64, read_block, round_row, typed, write_row

PLAIN, EVEN, ODD, DENSE, HIGHEST, LOWEST, MEAN, TOP, BOTTOM = range(9)
RUNS = {"mean": MEAN, "max": TOP, "min": BOTTOM}  # these work on runs of elements
COLUMNS, ROWS = range(2)  # what a stage runs along: a row's elements, or rows
TILE = filter_vectors()


class Stage(NamedTuple):
    """One reduction: `number` taps from the `first` on, around `centre` where EVEN or ODD.

    A run has `size` elements; of DENSE taps that is a row's, and tables of tiles lie where else taps do; of HIGHEST and
    LOWEST it tells whether what is compared has x's dtype.
    """

    code: int
    along: int
    centre: int
    first: int
    number: int
    size: int


class Reductions(NamedTuple):
    """What the kernel knows of its problem; behind it the cut's table, then that of taps."""

    blocks: Blocks
    x_kind: int
    y_kind: int
    stages: int
    added: bool
    one: Stage
    two: Stage


@parallel_kernel
def reduce_blocks(thread, first, last, x, y, own, numbers, weights, cval, convert, tile):  # type: ignore[no-untyped-def]
    """A task is a block of outputs: its inputs are copied to scratch, reduced there, and converted to y's dtype."""
    p, mine = fields(Reductions, numbers), own[thread]
    n, half, tables = p.blocks, mine.size // 2, behind(p)
    one, two = address(mine), address(mine[half:])
    taps, pw = place(tables, n.tables), address(weights)
    for task in range(first, last):
        here = locate(n, task)
        read_block(n, convert, p.x_kind, x, tables, here, cval, one)
        if p.added:
            _add_stages(p, here, one, two, taps, pw, y, convert)
            continue
        if p.stages == 1:
            _finish(p, p.one, here, one, two, taps, pw, y, convert, tile)
            continue
        if p.one.along == COLUMNS:
            rows, cols = here.rows + n.tall, here.cols
        else:
            rows, cols = here.rows, here.cols + n.wide
        _reduce_rows(n, p.one, one, two, rows, cols, taps, pw)
        if p.y_kind != FLOAT64:
            for r in range(rows):
                round_row(convert, p.y_kind, two, r * n.pitch, cols)
        if n.constant:
            _restore(n, p.two.along, tables, here, two, rows, cols, cval)
        _finish(p, p.two, here, two, one, taps, pw, y, convert, tile)


@kernel
def _add_stages(p, here, block, spare, taps, weights, y, convert):  # type: ignore[no-untyped-def]
    """Both stages of the block, each rounded to y's dtype, added."""
    n, like = p.blocks, zeros(block, 1)
    second = n.pitch
    for r in range(here.rows):
        along_rows, along_columns = r * n.pitch + n.left, (r + n.above) * n.pitch
        _weigh(
            p.one,
            block,
            along_rows if p.one.along == ROWS else along_columns,
            spare,
            0,
            here.cols,
            False,
            taps,
            weights,
        )
        _weigh(
            p.two,
            block,
            along_rows if p.two.along == ROWS else along_columns,
            spare,
            second,
            here.cols,
            False,
            taps,
            weights,
        )
        if p.y_kind != FLOAT64:
            round_row(convert, p.y_kind, spare, 0, here.cols)
            round_row(convert, p.y_kind, spare, second, here.cols)
        for j in range(0, here.cols, lane_count(like)):
            store(spare, j, add(load(spare, j, like, None), load(spare, second + j, like, None)), None)
        write_row(convert, p.y_kind, y, _place_of(n, here, r), spare, 0, here.cols)


@kernel
def _place_of(n, here, r):  # type: ignore[no-untyped-def]
    """Where row r of a block's outputs begins in y."""
    return ((here.plane * n.height) + here.row0 + r) * n.width + here.col0


@kernel
def _restore(n, along, tables, here, block, rows, cols, cval):  # type: ignore[no-untyped-def]
    """Put the constant back where the second stage shall find it: it is no sum of constants."""
    if along == ROWS and n.constant & 1:
        for r in range(rows):
            if source_row(n, tables, here, 0, r) < 0:
                fill_row(block, r * n.pitch, cols, cval)
    if along == COLUMNS and n.constant & 2:
        for j in range(cols):
            if source_column(n, tables, here.col0 + j) < 0:
                for r in range(rows):
                    fill_row(block, r * n.pitch + j, 1, cval)


@kernel
def _reduce_rows(n, stage, src, dst, rows, cols, taps, weights):  # type: ignore[no-untyped-def]
    """rows x cols sums from src to dst, blocks with rows as far apart; whole vectors are written."""
    if stage.code >= MEAN:
        _run(stage, src, dst, (rows - 1) * n.pitch + cols, taps)
        for r in range(rows):
            _share(stage, dst, r * n.pitch, dst, r * n.pitch, cols, False)
        return
    for r in range(rows):
        _weigh(stage, src, r * n.pitch, dst, r * n.pitch, cols, False, taps, weights)


@kernel
def _finish(p, stage, here, src, spare, taps, weights, y, convert, tile):  # type: ignore[no-untyped-def]
    """The last stage: from src to y, by way of `spare` where y is not of float64."""
    n, kind = p.blocks, p.y_kind
    if stage.code == DENSE:
        for r in range(0, here.rows, FILTER_ROWS):
            rows = min(FILTER_ROWS, here.rows - r)
            if kind == FLOAT64:
                target = place(typed(y, np.float64(0)), _place_of(n, here, r))
                _tile_rows(n, stage, src, r * n.pitch, target, n.width, rows, here.cols, taps, weights, tile)
            else:
                _tile_rows(n, stage, src, r * n.pitch, spare, n.pitch, rows, here.cols, taps, weights, tile)
                for i in range(rows):
                    write_row(convert, kind, y, _place_of(n, here, r + i), spare, i * n.pitch, here.cols)
        return
    if stage.code >= MEAN:
        _run(stage, src, spare, (here.rows - 1) * n.pitch + here.cols, taps)
    for r in range(here.rows):
        at, y0 = r * n.pitch, _place_of(n, here, r)
        if stage.code >= MEAN:
            if kind == FLOAT64:
                _share(stage, spare, at, typed(y, np.float64(0)), y0, here.cols, True)
            else:
                _share(stage, spare, at, spare, at, here.cols, False)
                write_row(convert, kind, y, y0, spare, at, here.cols)
        elif stage.size and (stage.code == HIGHEST or stage.code == LOWEST):
            _compare(p, stage, src, at, spare, here.cols, taps, weights, convert)
            write_row(convert, kind, y, y0, spare, 0, here.cols)
        elif kind == FLOAT64:
            _weigh(stage, src, at, typed(y, np.float64(0)), y0, here.cols, True, taps, weights)
        else:
            _weigh(stage, src, at, spare, 0, here.cols, False, taps, weights)
            write_row(convert, kind, y, y0, spare, 0, here.cols)


@kernel
def _compare(p, stage, src, at, spare, count, taps, weights, convert):  # type: ignore[no-untyped-def]
    """The first row of `spare` = the extremum of sums x + weight, all but the first in x's dtype; the next is used."""
    like, second = zeros(src, 1), p.blocks.pitch
    lanes = lane_count(like)
    for k in range(stage.first, stage.first + stage.number):
        hop, weight = at + peek(taps, k), spread(peek(weights, k), like)
        for j in range(0, count, lanes):
            store(spare, second + j, add(load(src, hop + j, like, None), weight), None)
        if k > stage.first:  # the first stays in float64, as SciPy has it
            round_row(convert, p.x_kind, spare, second, count)
        for j in range(0, count, lanes):
            value = load(spare, second + j, like, None)
            if k > stage.first:
                best = load(spare, j, like, None)
                value = largest(best, value) if stage.code == HIGHEST else smallest(best, value)
            store(spare, j, value, None)


@kernel
def _tile_rows(n, stage, src, at, dst, pitch, rows, cols, taps, weights, tile):  # type: ignore[no-untyped-def]
    """Some rows of sums of a full window: vectors that they share are loaded once."""
    start = peek(taps, stage.first + rows - 1)
    entries, table = peek(taps, stage.first + rows) - start, stage.first + FILTER_ROWS + 1 + FIELDS * start
    lanes = lane_count(zeros(src, 1))
    filter_tiles(
        tile, BROADCAST, TILE, entries, taps, table, src, at, n.unit, lanes,
        weights, 0, 1, stage.size, dst, 0, pitch, lanes, rows, cols, lanes,
        ZERO, weights, 0, 0, False, -(-cols // (TILE * lanes)), TILE * lanes, TILE * lanes, TILE * lanes,
        1, 0, 0, 0, 0, 0,
    )  # fmt: skip


@kernel
def _run(stage, src, dst, count, taps):  # type: ignore[no-untyped-def]
    """dst[i] = the sum, or the extremum, of the window that begins at src[i]."""
    like, size = zeros(src, 4), 1
    lanes, code = lane_count(like), stage.code
    if stage.number == 0:
        for i in range(0, count, lanes):
            store(dst, i, load(src, i, like, None), None)
        return
    each = peek(taps, stage.first)  # from one element of the window to the next
    for k in range(stage.first, stage.first + stage.number):
        hop = peek(taps, k)
        size = size + hop // each if hop > 0 else size + 1
        end = count + (stage.size - size) * each  # so many runs of this size are needed
        if k == stage.first:
            for i in range(0, end, lanes):
                store(dst, i, _joined(load(src, i, like, None), load(src, i + hop, like, None), code), None)
        elif hop > 0:
            for i in range(0, end, lanes):
                store(dst, i, _joined(load(dst, i, like, None), load(dst, i + hop, like, None), code), None)
        else:
            for i in range(0, end, lanes):
                store(dst, i, add(load(dst, i, like, None), load(src, i - hop, like, None)), None)


@inlined
def _joined(a, b, code):  # type: ignore[no-untyped-def]
    if code == MEAN:
        return add(a, b)
    return largest(a, b) if code == TOP else smallest(a, b)


@kernel
def _share(stage, src, at, dst, d, count, exact):  # type: ignore[no-untyped-def]
    """dst = src, for means by their size; the last vector is written whole unless `exact`."""
    like = zeros(src, 1)
    lanes, size = lane_count(like), spread(float(stage.size) if stage.code == MEAN else 1.0, like)
    for j in range(0, count, lanes):
        value = divide(load(src, at + j, like, None), size)
        if exact and j + lanes > count:
            store(dst, d + j, value, first_lanes(count - j, like))
        else:
            store(dst, d + j, value, None)


@kernel
def _weigh(stage, src, at, dst, d, count, exact, taps, weights):  # type: ignore[no-untyped-def]
    """A row of sums, four vectors at a time; the last vector is written whole unless `exact`."""
    wide, like = zeros(src, 4), zeros(src, 1)
    j, lanes = 0, lane_count(like)
    while j + 4 * lanes <= count:
        store(dst, d + j, _terms(wide, stage, src, at + j, taps, weights), None)
        j += 4 * lanes
    while j < count:
        total = _terms(like, stage, src, at + j, taps, weights)
        if exact and j + lanes > count:
            store(dst, d + j, total, first_lanes(count - j, like))
        else:
            store(dst, d + j, total, None)
        j += lanes


@inlined
def _terms(like, stage, src, at, taps, weights):  # type: ignore[no-untyped-def]
    first, last = stage.first, stage.first + stage.number
    if stage.code == PLAIN:
        total = zero(like)
        for k in range(first, last):
            value = load(src, at + peek(taps, k), like, None)
            total = add(total, multiply(value, spread(peek(weights, k), like)))
        return total
    if stage.code >= HIGHEST:
        total = add(load(src, at + peek(taps, first), like, None), spread(peek(weights, first), like))
        for k in range(first + 1, last):
            value = add(load(src, at + peek(taps, k), like, None), spread(peek(weights, k), like))
            total = largest(total, value) if stage.code == HIGHEST else smallest(total, value)
        return total
    at += stage.centre
    total = multiply(load(src, at, like, None), spread(peek(weights, first), like))
    for k in range(first + 1, last):
        step = peek(taps, k)
        before, after = load(src, at - step, like, None), load(src, at + step, like, None)
        both = add(before, after) if stage.code == EVEN else subtract(before, after)
        total = add(total, multiply(both, spread(peek(weights, k), like)))
    return total
