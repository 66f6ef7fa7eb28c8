"""Sums and extrema of the window around every element, in float64 and in SciPy's order: its results to the last bit.

    y[i] = sum over t of w[t] * x[i + offset[t]]        (PLAIN)
    y[i] = w[0]*x[i] + sum over t of w[t] * (x[i - offset[t]] + x[i + offset[t]])        (EVEN; minus: ODD)
    y[i] = max over t of x[i + offset[t]] + w[t]        (HIGHEST; min: LOWEST)
    y[i] = mean of x[i], ..., x[i + n-1]; also max and min        (MEAN, TOP, BOTTOM: by runs of 2, 4, ... elements)

One stage, or two along the last two filtered axes, between which numbers are rounded to y's dtype as SciPy stores them
there. A product is rounded before it is added, as in SciPy: with vectors of eight, memory costs more than these sums.

Cost: 2 operations a term (EVEN and ODD 1.5), runs about 2*log2(n) in all. Error: none against SciPy but for MEAN, whose
sums are pairwise: below log2(n)*eps*(|x1| + ... + |xn|)/n, where SciPy's running sum drifts along the axis.
NaN: a window that holds one is NaN, with any code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...memory import scratch
from ...simd.fields import fields, packed
from ...simd.jit import kernel
from ...simd.lane_math import add, divide, largest, multiply, smallest, subtract
from ...simd.lanes import address, first_lanes, inlined, lane_count, load, peek, spread, store, zero, zeros
from ...simd.parallel import parallel_kernel
from ...threads import team
from .blocks import Blocks, Cut, fill_row, locate, source_column, source_row
from .rows import FLOAT64, KINDS, converter, read_block, round_row, typed, write_row

PLAIN, EVEN, ODD, HIGHEST, LOWEST, MEAN, TOP, BOTTOM = range(8)
RUNS = {"mean": MEAN, "max": TOP, "min": BOTTOM}  # these work on runs of elements
COLUMNS, ROWS = range(2)  # what a stage runs along: a row's elements, or rows (and all other axes, where it is alone)


class Stage(NamedTuple):
    """One sum: `count` taps from the `first` on, around `centre` where EVEN or ODD; a run has `size`."""

    code: int
    along: int
    centre: int
    first: int
    count: int
    size: int


class Reductions(NamedTuple):
    """What the kernel knows of its problem."""

    blocks: Blocks
    x_kind: int
    y_kind: int
    stages: int
    one: Stage
    two: Stage


@dataclass(frozen=True, eq=False)
class Taps:
    """A sum before it is cut: places of its taps on a window's (lead planes, rows, columns), and their weights."""

    code: int
    along: int
    places: tuple[tuple[int, int, int], ...]
    weights: tuple[float, ...]
    centre: int = 0  # of EVEN and ODD: where the output's own element is on the axis


@dataclass(frozen=True, eq=False)
class Reduction:
    """All that calls of one shape have in common."""

    cut: Cut
    numbers: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray
    operations: int

    def run(self, x: np.ndarray, y: np.ndarray, cval: float) -> None:
        """Write what x is reduced to to y: C-contiguous arrays that do not overlap."""
        cut = self.cut
        if not cut.work:
            return
        members = team(cut.tasks, cut.work * self.operations)
        own = scratch((members, 2 * cut.size), np.dtype(np.float64))
        reduce_blocks(
            members, cut.tasks, x.reshape(-1).view(np.uint8), y.reshape(-1).view(np.uint8), own, *cut.tables,
            self.numbers, self.offsets, self.weights, cval, converter(),
        )  # fmt: skip


def plan_reduction(cut: Cut, taps: tuple[Taps, ...], x_dtype: np.dtype, y_dtype: np.dtype) -> Reduction:
    """Lay the taps of one or two stages out in the blocks of a cut."""
    stages, offsets, weights = [], list[int](), list[float]()
    for stage in taps:
        stages.append(_laid_out(cut.blocks, stage, offsets, weights))
    numbers = packed(
        Reductions(cut.blocks, KINDS[x_dtype], KINDS[y_dtype], len(stages), stages[0], stages[-1]),
    )
    return Reduction(cut, numbers, np.array(offsets, np.int64), np.array(weights), 4 + 2 * len(weights))


def _laid_out(n: Blocks, taps: Taps, offsets: list[int], weights: list[float]) -> Stage:
    first, step = len(offsets), n.unit if taps.along == COLUMNS else n.pitch
    size = len(taps.places)
    if taps.code >= MEAN:
        offsets += [step * hop for hop in (_sums(size) if taps.code == MEAN else _overlaps(size))]
    else:
        offsets += [t * n.plane + r * n.pitch + c * n.unit for t, r, c in taps.places]
    weights += taps.weights or [1.0] * (len(offsets) - first)
    return Stage(taps.code, taps.along, taps.centre * step, first, len(offsets) - first, size)


def _sums(size: int) -> list[int]:
    """How sums of `size` elements are made of shorter ones: h for two sums h apart, -h for one and the element h on."""
    hops, reached = [], 1
    for bit in bin(size)[3:]:
        hops.append(reached)
        reached *= 2
        if bit == "1":
            hops.append(-reached)
            reached += 1
    return hops


def _overlaps(size: int) -> list[int]:
    """How far apart the two runs are that make a longer one; the last two may overlap."""
    hops, reached = [], 1
    while reached < size:
        hops.append(min(reached, size - reached))
        reached += hops[-1]
    return hops


@parallel_kernel
def reduce_blocks(thread, first, last, x, y, own, leads_at, rows_at, cols_at, numbers, offsets, weights, cval, convert):  # type: ignore[no-untyped-def]
    """A task is a block of outputs: its inputs are copied to scratch, summed there, and converted to y's dtype."""
    p = fields(Reductions, numbers)
    n, tables, mine = p.blocks, (leads_at, rows_at, cols_at), own[thread]
    half = mine.size // 2
    one, two = address(mine), address(mine[half:])
    px, pw = address(offsets), address(weights)
    for task in range(first, last):
        here = locate(n, task)
        read_block(n, convert, p.x_kind, x, tables, here, cval, one)
        if p.stages == 1:
            _finish(n, p.one, p.y_kind, here, one, two, px, pw, y, convert)
            continue
        if p.one.along == COLUMNS:
            rows, cols = here.rows + n.tall, here.cols
        else:
            rows, cols = here.rows, here.cols + n.wide
        _reduce_rows(n, p.one, one, two, rows, cols, px, pw)
        if p.y_kind != FLOAT64:
            for r in range(rows):
                round_row(convert, p.y_kind, two, r * n.pitch, cols)
        if n.constant:
            _restore(n, p.two.along, tables, here, two, rows, cols, cval)
        _finish(n, p.two, p.y_kind, here, two, one, px, pw, y, convert)


@kernel
def _restore(n, along, tables, here, block, rows, cols, cval):  # type: ignore[no-untyped-def]
    """Put the constant back where the second stage shall find it: it is no sum of constants."""
    leads_at, rows_at, cols_at = tables
    if along == ROWS and n.constant & 1:
        for r in range(rows):
            if source_row(n, leads_at, rows_at, here, 0, r) < 0:
                fill_row(block, r * n.pitch, cols, cval)
    if along == COLUMNS and n.constant & 2:
        for j in range(cols):
            if source_column(n, cols_at, here.col0 + j) < 0:
                for r in range(rows):
                    fill_row(block, r * n.pitch + j, 1, cval)


@kernel
def _reduce_rows(n, stage, src, dst, rows, cols, offsets, weights):  # type: ignore[no-untyped-def]
    """rows x cols sums from src to dst, blocks with rows as far apart; whole vectors are written."""
    if stage.code >= MEAN:
        _run(stage, src, dst, (rows - 1) * n.pitch + cols, offsets)
        for r in range(rows):
            _share(stage, dst, r * n.pitch, dst, r * n.pitch, cols, False)
        return
    for r in range(rows):
        _weigh(stage, src, r * n.pitch, dst, r * n.pitch, cols, False, offsets, weights)


@kernel
def _finish(n, stage, kind, here, src, spare, offsets, weights, y, convert):  # type: ignore[no-untyped-def]
    """The last stage: from src to y, by way of a row of `spare` where y is not of float64."""
    if stage.code >= MEAN:
        _run(stage, src, spare, (here.rows - 1) * n.pitch + here.cols, offsets)
    for r in range(here.rows):
        at, y0 = r * n.pitch, ((here.plane * n.height) + here.row0 + r) * n.width + here.col0
        if stage.code >= MEAN:
            if kind == FLOAT64:
                _share(stage, spare, at, typed(y, np.float64(0)), y0, here.cols, True)
            else:
                _share(stage, spare, at, spare, at, here.cols, False)
                write_row(convert, kind, y, y0, spare, at, here.cols)
        elif kind == FLOAT64:
            _weigh(stage, src, at, typed(y, np.float64(0)), y0, here.cols, True, offsets, weights)
        else:
            _weigh(stage, src, at, spare, 0, here.cols, False, offsets, weights)
            write_row(convert, kind, y, y0, spare, 0, here.cols)


@kernel
def _run(stage, src, dst, count, offsets):  # type: ignore[no-untyped-def]
    """dst[i] = the sum, or the extremum, of the window that begins at src[i]."""
    like, size = zeros(src, 4), 1
    lanes, code = lane_count(like), stage.code
    if stage.count == 0:
        for i in range(0, count, lanes):
            store(dst, i, load(src, i, like, None), None)
        return
    each = peek(offsets, stage.first)  # from one element of the window to the next
    for k in range(stage.first, stage.first + stage.count):
        hop = peek(offsets, k)
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
def _weigh(stage, src, at, dst, d, count, exact, offsets, weights):  # type: ignore[no-untyped-def]
    """A row of sums, four vectors at a time; the last vector is written whole unless `exact`."""
    wide, like = zeros(src, 4), zeros(src, 1)
    j, lanes = 0, lane_count(like)
    while j + 4 * lanes <= count:
        store(dst, d + j, _terms(wide, stage, src, at + j, offsets, weights), None)
        j += 4 * lanes
    while j < count:
        total = _terms(like, stage, src, at + j, offsets, weights)
        if exact and j + lanes > count:
            store(dst, d + j, total, first_lanes(count - j, like))
        else:
            store(dst, d + j, total, None)
        j += lanes


@inlined
def _terms(like, stage, src, at, offsets, weights):  # type: ignore[no-untyped-def]
    first, last = stage.first, stage.first + stage.count
    if stage.code == PLAIN:
        total = zero(like)
        for k in range(first, last):
            value = load(src, at + peek(offsets, k), like, None)
            total = add(total, multiply(value, spread(peek(weights, k), like)))
        return total
    if stage.code >= HIGHEST:
        total = add(load(src, at + peek(offsets, first), like, None), spread(peek(weights, first), like))
        for k in range(first + 1, last):
            value = add(load(src, at + peek(offsets, k), like, None), spread(peek(weights, k), like))
            total = largest(total, value) if stage.code == HIGHEST else smallest(total, value)
        return total
    at += stage.centre
    total = multiply(load(src, at, like, None), spread(peek(weights, first), like))
    for k in range(first + 1, last):
        step = peek(offsets, k)
        before, after = load(src, at - step, like, None), load(src, at + step, like, None)
        both = add(before, after) if stage.code == EVEN else subtract(before, after)
        total = add(total, multiply(both, spread(peek(weights, k), like)))
    return total
