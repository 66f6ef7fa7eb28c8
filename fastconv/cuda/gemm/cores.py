"""Convolution's products without tensor cores: which kernel, how its operands are packed, how it is started."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...kept import kept
from ...problem import ConvProblem
from .. import backend
from ..filters import Filters, count_parts, make_pack, sum_parts
from ..launch import blocks_for, flat, launch, needs_wide, table
from . import lowering, parts, plain, tiles
from .gathered import Weights, make_gemm
from .lowering import Plan, entries_of, phases_of
from .plain import Factor
from .tiles import Tile
from .weights import Output, Pixels, make_gemm_weights


def multiply(p: ConvProblem, filters: Filters, x: Any, w: Any, b: Any, y: Any, activation: Any) -> None:
    """y = activation(b + A w), A gathered from x, or for single pixels in place; long sums in parts.

    x and y are those of the product: dy and dx where `p` is an input gradient, whose `filters` are exchanged.
    """
    capability, rows = backend.executor().capability(), y.size // (filters.outputs * p.groups)
    tile = tiles.float_tile(capability, rows, filters.outputs, p.groups, y.dtype.itemsize)
    plan = lowering.lower(p, tile.BK)

    def run(plan: Plan, b: Any, y: Any, activation: Any) -> None:
        if lowering.is_single(p):
            factor = Factor(filters.c, filters.o, filters.group, filters.outputs, filters.channels)
            plain.multiply(plan, x, w, b, y, p.groups, factor, tile, activation)
        else:
            _gathered(plan, tile, p, x, w, b, y, filters, activation)

    channels = filters.outputs * p.groups
    count = parts.parts_of(plan, filters.outputs, p.groups, y.size, y.dtype.itemsize)
    pixels = 1 if p.channels_last else y.size // (p.N * channels)
    parts.through_parts(run, plan, b, y, count, channels, pixels, activation)


def _gathered(
    plan: Plan, tile: Tile, p: ConvProblem, x: Any, w: Any, b: Any, y: Any, filters: Filters, activation: Any
) -> None:
    """Pack w in the order of the plan's columns and start the gathering GEMM."""
    rows = len(plan.columns)
    wide = needs_wide(x.size, w.size, y.size, rows * filters.outputs * p.groups)
    packed, weights = _packed(plan, w, filters, p.groups, wide)
    grid = (
        blocks_for(filters.outputs, tile.BN),
        blocks_for(int(plan.phases[:, 3].max()), tile.BM),
        len(plan.phases),
    )
    tables = table(entries_of, (plan,), wide), table(phases_of, (plan,), wide)
    arrays = flat(x), packed, packed if b is None else flat(b), flat(y)
    runs = _runs(plan, tile, p, x, packed, weights)
    launch(
        make_gemm,
        (tile, plan.even, not p.channels_last, lowering.is_deep(p), runs, b is not None, activation),
        math.prod(grid) * p.groups,
        (*arrays, *tables, plan.gather, plan.target, weights, grid),
        dtype=y.dtype,
        wide=wide,
        threads=tile.threads,
        resident=tiles.float_resident(backend.executor().capability(), tile, wide),
    )


def _runs(plan: Plan, tile: Tile, p: ConvProblem, x: Any, packed: Any, weights: Weights) -> tuple[int, int]:
    """Neighbours that the kernel may load at a time: all lie inside or none, at whole multiples of their number."""
    of_a, of_w = (length * tile.BK // tile.threads for length in (tile.BM, tile.BN))
    image, longest = plan.gather, 4 if x.dtype == np.float32 else 1
    columns = longest if p.channels_last and plan.even and backend.is_aligned(x) else 1
    channels = longest if backend.is_aligned(packed) else 1
    run = math.gcd(channels, of_w, weights.outputs, weights.row, weights.group)
    return math.gcd(columns, of_a, image.w, image.h, image.d, image.n, image.group), run if run == of_w else 1


def _packed(plan: Plan, w: Any, filters: Filters, groups: int, wide: bool) -> tuple[Any, Weights]:
    """w as (group, column of A, output channel); w itself where it lies like that."""
    rows = len(plan.columns)
    natural = np.array_equal(_offsets(plan, filters), np.arange(rows) * filters.c)
    if natural and filters.o == 1:
        return flat(w), Weights(filters.outputs, filters.c, filters.group)
    size = groups * rows * filters.outputs
    packed = backend.scratch("packed", size, w.dtype)
    args = (
        flat(w),
        packed,
        table(_offsets, (plan, filters), wide),
        rows,
        filters.outputs,
        filters.group,
        filters.o,
        size,
    )
    launch(make_pack, (), blocks_for(size), args, dtype=w.dtype, wide=wide)
    return packed, Weights(filters.outputs, filters.outputs, rows * filters.outputs)


@kept
def _offsets(plan: Plan, filters: Filters) -> np.ndarray:
    """Where in w the row of each column of A begins; -1 for a column that only fills a step up."""
    tap, c = plan.columns.T
    return np.where(tap < 0, -1, tap * filters.tap + c * filters.c)


def weight_grad(p: ConvProblem, filters: Filters, x: Any, dy: Any, dw: Any) -> None:
    """dw, which lies as `filters` says, from the windows of x times dy; in the arrays' own precision."""
    groups, channels_last = p.groups, p.channels_last
    rows, pixels = filters.taps * filters.channels, dy.size // p.O
    tile = tiles.float_tile(tiles.REFERENCE, rows, filters.outputs, groups, dw.dtype.itemsize)
    plan = lowering.forward(p, tile.BM, False)
    grid = blocks_for(filters.outputs, tile.BN), blocks_for(rows, tile.BM), groups
    count, part = count_parts(pixels, 1, math.prod(grid), dw.size * dw.dtype.itemsize)
    wide = needs_wide(x.size, dy.size, count * dw.size)
    partial = backend.scratch("parts", count * dw.size, dw.dtype)
    steps = lowering.digits(tile.BK, p.out)
    launch(
        make_gemm_weights,
        (tile, not channels_last, lowering.is_deep(p)),
        math.prod(grid) * count,
        (
            flat(x), flat(dy), partial, table(entries_of, (plan,), wide), plan.gather,
            Pixels(*p.out, pixels, part, *steps), Output(*plan.target, rows, filters.outputs), grid,
        ),
        dtype=dw.dtype,
        wide=wide,
        threads=tile.threads,
        resident=tiles.float_resident(backend.executor().capability(), tile, wide),
    )  # fmt: skip
    sum_parts(partial, dw, filters, count)
