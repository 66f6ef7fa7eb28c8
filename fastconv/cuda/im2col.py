"""Convolution as an implicit GEMM, the fast way on CUDA for most problems (twin: cpu/im2col.py).

The matrix of windows is gathered tile by tile in shared memory (``gemm``, ``gemm_weights``). Extra memory: packed
weights; for the weight gradient copies of dw, below `settings.scratch_bytes`; for a border other than zeros a padded
copy of the image.
Error: below terms*eps*(|x|*|w|), terms = C/groups*KD*KH*KW (forward).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kept import kept
from ..precision import tf32_allowed
from . import backend, border, lowering, tune
from .filters import Filters, cut, filters_of, make_pack, sum_parts
from .gemm import plain, split, tensor
from .gemm.gemm import Tile, Weights, make_gemm
from .gemm.gemm_plain import Factor
from .gemm.gemm_weights import Output, Pixels, make_gemm_weights
from .halves import Half, through_float32
from .keywords import by_keywords
from .launch import blocks_for, entry, flat, launch, needs_wide, table
from .lowering import Plan, Problem, Triple, Window, kernel_of
from .pointwise import fill


@entry
def conv_plain(
    x: Any, w: Any, b: Any, y: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool, activation: Any,
) -> None:  # fmt: skip
    """y = activation(b + conv(x, w)); x, w, y have three spatial axes; b and activation may be None."""
    if y.size == 0:
        return
    filters = filters_of(w.shape, groups, channels_last)
    numbers = _numbers(y, filters, padding_mode)
    if numbers is None and isinstance(y, Half):
        options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": padding_mode}
        return through_float32(conv_plain)(
            x, w, b, y, **options, groups=groups, channels_last=channels_last, activation=activation
        )
    x, before = border.padded(x, padding, padding_mode, channels_last)
    window = Window(kernel_of(w.shape, channels_last), stride, dilation, before)
    problem = _problem(x, y, window, groups, channels_last).flattened()
    if numbers is not None:
        return tensor.multiply(lowering.forward, problem, x, w, b, y, filters, activation, numbers)
    capability = backend.executor().capability()
    tile = tune.float_tile(capability, y.size // problem.O, filters.outputs, groups, y.dtype.itemsize)
    plan = lowering.forward(problem, tile.BK)
    multiply(plan, tile, problem, x, w, b, y, filters, activation)


@entry
def conv_input_grad_plain(
    dy: Any, w: Any, dx: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dx: the gathering GEMM on dy with input and output channels of w exchanged, once for each phase of the stride."""
    if dx.size == 0:
        return
    f = filters_of(w.shape, groups, channels_last)
    exchanged = Filters(f.taps, f.outputs, f.channels, f.group, f.tap, f.o, f.c)
    numbers = _numbers(dx, exchanged, padding_mode)
    if numbers is None and isinstance(dx, Half):
        options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": padding_mode}
        return through_float32(conv_input_grad_plain)(dy, w, dx, **options, groups=groups, channels_last=channels_last)
    target, before = border.unfolded(dx, padding, padding_mode, channels_last)
    window = Window(kernel_of(w.shape, channels_last), stride, dilation, before)
    problem = _problem(target, dy, window, groups, channels_last).flattened()
    if numbers is not None:
        tensor.multiply(lowering.backward, problem, dy, w, None, target, exchanged, None, numbers)
    else:
        capability, rows = backend.executor().capability(), target.size // problem.C
        tile = tune.float_tile(capability, rows, exchanged.outputs, groups, dx.dtype.itemsize)
        plan = lowering.backward(problem, tile.BK)
        multiply(plan, tile, problem, dy, w, None, target, exchanged, None)
    border.fold(target, dx, padding, padding_mode, channels_last)


@entry
def conv_weight_grad_plain(
    x: Any, dy: Any, dw: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dw: the product of the gathered matrix's transpose with dy, in parts of the pixels that are added in order."""
    if dy.size == 0:
        fill(dw.bits if isinstance(dw, Half) else dw, 0)
        return
    filters = filters_of(dw.shape, groups, channels_last)
    numbers = _numbers(dw, filters, padding_mode, summed=False)
    if numbers is None and isinstance(dw, Half):
        options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": padding_mode}
        return through_float32(conv_weight_grad_plain)(x, dy, dw, **options, groups=groups, channels_last=channels_last)
    x, before = border.padded(x, padding, padding_mode, channels_last)
    window = Window(kernel_of(dw.shape, channels_last), stride, dilation, before)
    p = _problem(x, dy, window, groups, channels_last).flattened()
    if numbers is not None:
        return tensor.weight_grad(p, x, dy, dw, filters, numbers)
    multiply_weights(p, x, dy, dw, filters)


def multiply_weights(p: Problem, x: Any, dy: Any, dw: Any, filters: Filters) -> None:
    """dw, which lies as `filters` says, from the windows of x times dy; in the arrays' own precision."""
    groups, channels_last = p.groups, p.channels_last
    rows, pixels = filters.taps * filters.channels, dy.size // p.O
    tile = tune.float_tile(tune.REFERENCE, rows, filters.outputs, groups, dw.dtype.itemsize)
    plan = lowering.forward(p, tile.BM, False)
    grid = blocks_for(filters.outputs, tile.BN), blocks_for(rows, tile.BM), groups
    parts, part = cut(pixels, 1, math.prod(grid), dw.size * dw.dtype.itemsize)
    wide = needs_wide(x.size, dy.size, parts * dw.size)
    partial = backend.scratch("parts", parts * dw.size, dw.dtype)
    steps = lowering.digits(tile.BK, p.out)
    launch(
        make_gemm_weights,
        (tile, not channels_last, p.deep),
        math.prod(grid) * parts,
        (
            flat(x), flat(dy), partial, table(_entries, (plan,), wide), plan.gather,
            Pixels(*p.out, pixels, part, *steps), Output(*plan.target, rows, filters.outputs), grid,
        ),
        dtype=dw.dtype,
        wide=wide,
        threads=tile.threads,
        resident=tune.float_resident(backend.executor().capability(), tile, wide),
    )  # fmt: skip
    sum_parts(partial, dw, filters, parts)


def _numbers(result: Any, filters: Filters, padding_mode: str, summed: bool = True) -> str | None:
    """What tensor cores multiply for this call, or None; `summed`: over the filters' channels."""
    channels = filters.channels if summed else None
    return tensor.choose_numbers(
        result.dtype.name, tf32_allowed(), backend.executor().capability(), channels, filters.outputs,
        padding_mode == "zeros",
    )  # fmt: skip


def multiply(
    plan: Plan, tile: Tile, p: Problem, x: Any, w: Any, b: Any, y: Any, filters: Filters, activation: Any
) -> None:
    """y = activation(b + A w) by the gathering GEMM, or for single pixels the plain one; long sums in parts."""

    def run(plan: Plan, b: Any, y: Any, activation: Any) -> None:
        if p.single:
            factor = Factor(filters.c, filters.o, filters.group, filters.outputs, filters.channels)
            plain.multiply(plan, x, w, b, y, p.groups, factor, tile, activation)
        else:
            _gathered(plan, tile, p, x, w, b, y, filters, activation)

    channels = filters.outputs * p.groups
    parts = split.count_parts(plan, filters.outputs, p.groups, y.size, y.dtype.itemsize)
    pixels = 1 if p.channels_last else y.size // (p.N * channels)
    split.through_parts(run, plan, b, y, parts, channels, pixels, activation)


def _gathered(
    plan: Plan, tile: Tile, p: Problem, x: Any, w: Any, b: Any, y: Any, filters: Filters, activation: Any
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
    tables = table(_entries, (plan,), wide), table(_phases, (plan,), wide)
    arrays = flat(x), packed, packed if b is None else flat(b), flat(y)
    runs = _runs(plan, tile, p, x, packed, weights)
    launch(
        make_gemm,
        (tile, plan.even, not p.channels_last, p.deep, runs, b is not None, activation),
        math.prod(grid) * p.groups,
        (*arrays, *tables, plan.gather, plan.target, weights, grid),
        dtype=y.dtype,
        wide=wide,
        threads=tile.threads,
        resident=tune.float_resident(backend.executor().capability(), tile, wide),
    )


def _runs(plan: Plan, tile: Tile, p: Problem, x: Any, packed: Any, weights: Weights) -> tuple[int, int]:
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


def _entries(plan: Plan) -> np.ndarray:
    return plan.entries.reshape(-1)


def _phases(plan: Plan) -> np.ndarray:
    return plan.phases.reshape(-1)


@kept
def _offsets(plan: Plan, filters: Filters) -> np.ndarray:
    """Where in w the row of each column of A begins; -1 for a column that only fills a step up."""
    tap, c = plan.columns.T
    return np.where(tap < 0, -1, tap * filters.tap + c * filters.c)


def _problem(x: Any, y: Any, window: Window, groups: int, channels_last: bool) -> Problem:
    N, C, size = lowering.split(x.shape, channels_last)
    _, outputs, out = lowering.split(y.shape, channels_last)
    return Problem(N, C, size, outputs, out, window, groups, channels_last)


conv = by_keywords(conv_plain)
conv_input_grad = by_keywords(conv_input_grad_plain)
conv_weight_grad = by_keywords(conv_weight_grad_plain)
