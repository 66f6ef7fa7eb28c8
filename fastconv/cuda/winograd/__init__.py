"""Convolution with 3x3 filters by Winograd's F(4x4, 3x3): a quarter of the multiplications (twin: cpu/winograd).

Each tile of 4x4 outputs reads 6x6 inputs. They, and the filters, are taken to 36 points; there the convolution is one
product of matrices for each point, by the GEMM of ``im2col`` with 36 times as many groups; and back. The points 0,
±3/4, ±3/2 and infinity are the CPU's (cpu/winograd/points.py has the derivation; Lavin & Gray, arXiv:1509.09308).

The input gradient is a convolution of dy with the filters turned round and their channels exchanged, with 2 - padding
zeros around dy. The weight gradient is the transpose of the forward algorithm, F(3x3, 4x4):

    dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G

Tiles of dy are taken to the 36 points; at each of them the sum is the weight gradient of a 1x1 convolution whose pixels
are the tiles, made in fixed parts: same bits on every device.
Extra memory: 2.25 times image and result, filled up to whole tiles, and 4 times the filters.
Error: for data of one magnitude below 40*terms*eps*(max |x| * |w|), terms = 9*C/groups; the maximum is that of a tile,
not of a window (see cpu/winograd). The input gradient's is the same with terms = 9*O/groups, the weight gradient's
below 60*terms*eps*(max |x| * max |dy|), terms = N*OH*OW. NaN and Inf spread over their tiles, in dw over all taps.
"""

from __future__ import annotations

from typing import Any

from .. import backend, border
from ..filters import Filters, filters_of
from ..gemm import cores, lowering
from ..gemm.lowering import POINT, Problem
from ..halves import through_float32
from ..indexing import Triple, split, strides_of
from ..launch import blocks_for, entry, flat, launch, needs_wide
from ..pointwise import fill
from .gradient_transforms import make_gradient_to_points, make_to_taps
from .transforms import POINTS, M, Tiles, make_filter, make_from_points, make_to_points


@entry
@through_float32
def conv(
    x: Any, w: Any, b: Any, y: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool, activation: Any,
) -> None:  # fmt: skip
    """y = activation(b + conv(x, w)), filters (1, 3, 3), stride 1 and dilation 1 along H and W."""
    if y.size == 0:
        return
    x, before = border.padded(x, padding, padding_mode, channels_last)
    f = filters_of(w.shape, groups, channels_last)
    correlate(x, w, b, y, f, 0, groups, stride[0], before, channels_last, activation)


@entry
@through_float32
def conv_input_grad(
    dy: Any, w: Any, dx: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dx for filters (1, 3, 3), stride 1 everywhere and dilation 1 along H and W."""
    if dx.size == 0:
        return
    if dy.size == 0:
        return fill(dx, 0)
    target, before = border.unfolded(dx, padding, padding_mode, channels_last)
    f = filters_of(w.shape, groups, channels_last)
    turned = Filters(f.taps, f.outputs, f.channels, f.group, -f.tap, f.o, f.c)
    around = -before[0], 2 - before[1], 2 - before[2]
    correlate(dy, w, None, target, turned, (f.taps - 1) * f.tap, groups, 1, around, channels_last, None)
    border.fold(target, dx, padding, padding_mode, channels_last)


@entry
@through_float32
def conv_weight_grad(
    x: Any, dy: Any, dw: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dw for filters (1, 3, 3), stride 1 and dilation 1 along H and W."""
    if dy.size == 0:
        return fill(dw, 0)
    x, before = border.padded(x, padding, padding_mode, channels_last)
    f = filters_of(dw.shape, groups, channels_last)
    C, O = f.channels * groups, f.outputs * groups
    tiles = tiles_of(dy.shape, channels_last)
    of_x = to_points(x, dy.shape, stride[0], before, channels_last)
    of_y = backend.scratch("points of y", tiles * POINTS * O, dy.dtype)
    args = flat(dy), of_y, *describe(dy.shape, dy.shape, 1, (0, 0, 0), channels_last), tiles * O
    common: dict[str, Any] = {"dtype": dw.dtype, "wide": needs_wide(x.size, dy.size, tiles * POINTS * max(C, O))}
    launch(make_gradient_to_points, (channels_last,), blocks_for(tiles * O), args, **common)
    sums = _summed(of_x, of_y, tiles, f, groups, channels_last)
    count = dw.size // f.taps
    launch(make_to_taps, (), blocks_for(count), (sums, flat(dw), f, count, count), **common)


def correlate(
    x: Any, w: Any, b: Any, y: Any, f: Filters, first: int, groups: int, step_d: int, before: Triple,
    channels_last: bool, activation: Any,
) -> None:  # fmt: skip
    """y from x with filters that lie in w as `f` and `first`, the place of their first tap, say."""
    tiles = tiles_of(y.shape, channels_last)
    C, O = split(x.shape, channels_last)[1], split(y.shape, channels_last)[1]
    wide = needs_wide(x.size, y.size, tiles * POINTS * max(C, O), POINTS * w.size)
    values = to_points(x, y.shape, step_d, before, channels_last)
    result = backend.scratch("points of y", tiles * POINTS * O, x.dtype)
    count = w.size // f.taps
    weights = backend.scratch("points of w", POINTS * count, x.dtype)
    common: dict[str, Any] = {"dtype": x.dtype, "wide": wide}
    launch(make_filter, (), blocks_for(count), (flat(w), weights, f, first, count, count), **common)
    _products(values, weights, result, tiles, groups, f, channels_last)
    of_y = describe(y.shape, y.shape, 1, (0, 0, 0), channels_last)
    args = result, flat(y if b is None else b), flat(y), *of_y, tiles * O
    launch(make_from_points, (channels_last, b is not None, activation), blocks_for(tiles * O), args, **common)


def to_points(x: Any, y_shape: tuple[int, ...], step_d: int, before: Triple, channels_last: bool) -> Any:
    """The inputs of all tiles at the points, in scratch memory."""
    size = tiles_of(y_shape, channels_last) * split(x.shape, channels_last)[1]
    values = backend.scratch("points of x", size * POINTS, x.dtype)
    args = flat(x), values, *describe(x.shape, y_shape, step_d, before, channels_last), size
    wide = needs_wide(x.size, size * POINTS)
    launch(make_to_points, (channels_last,), blocks_for(size), args, dtype=x.dtype, wide=wide)
    return values


def tiles_of(y_shape: tuple[int, ...], channels_last: bool) -> int:
    """Tiles of outputs of this shape."""
    N, _, out = split(y_shape, channels_last)
    return N * out[0] * blocks_for(out[1], M) * blocks_for(out[2], M)


def describe(
    shape: tuple[int, ...], y_shape: tuple[int, ...], step_d: int, before: Triple, channels_last: bool
) -> tuple[Tiles, int]:
    """How an image of some shape is cut into tiles for outputs of `y_shape`, and from channel to channel of points."""
    _, C, size = split(shape, channels_last)
    tiles, out = tiles_of(y_shape, channels_last), split(y_shape, channels_last)[2]
    grid = out[0], blocks_for(out[1], M), blocks_for(out[2], M)
    strides = strides_of(C, size, channels_last)
    between = (POINTS * C, C) if channels_last else (1, C * tiles)
    place = strides.n, strides.c, strides.d, strides.h, strides.w
    return Tiles(*grid, tiles, C, *size, *place, step_d, *before, *between), 1 if channels_last else tiles


def _products(values: Any, weights: Any, result: Any, tiles: int, groups: int, f: Filters, channels_last: bool) -> None:
    """At each point and in each group (tiles x channels) times (channels x outputs)."""
    problem, filters = _at_points(tiles, groups, f, channels_last)
    cores.multiply(lowering.forward, problem, values, weights, None, result, filters, None)


def _at_points(tiles: int, groups: int, f: Filters, channels_last: bool) -> tuple[Problem, Filters]:
    """A convolution of single pixels, the tiles, with a group for each point and group; its filters lie (c, o)."""
    batch, line = POINTS * groups, (1, 1, tiles)
    problem = Problem(1, batch * f.channels, line, batch * f.outputs, line, POINT, batch, channels_last)
    return problem, Filters(1, f.channels, f.outputs, f.channels * f.outputs, 0, f.outputs, 1)


def _summed(of_x: Any, of_y: Any, tiles: int, f: Filters, groups: int, channels_last: bool) -> Any:
    """At each point and in each group (channels x tiles) times (tiles x outputs), as (point, group, c, o)."""
    problem, filters = _at_points(tiles, groups, f, channels_last)
    sums = backend.scratch("points of w", POINTS * groups * f.channels * f.outputs, of_x.dtype)
    cores.weight_grad(problem, of_x, of_y, sums, filters)
    return sums
