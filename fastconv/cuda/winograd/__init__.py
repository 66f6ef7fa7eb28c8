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

from dataclasses import replace
from functools import lru_cache
from typing import Any

from ...cpu.winograd import supports as on_cpu
from ...problem import Axis, ConvProblem
from .. import backend, border
from ..filters import Filters, filters_of
from ..gemm import cores, lowering
from ..halves import through_float32
from ..indexing import before_of, strides_of
from ..launch import blocks_for, entry, flat, launch, needs_wide
from ..pointwise import fill
from .gradient_transforms import make_gradient_to_points, make_to_taps
from .transforms import POINTS, M, Tiles, make_filter, make_from_points, make_to_points


def supports(problem: ConvProblem) -> str | None:
    """Why the method cannot serve a problem, or None."""
    if problem.op != "conv" and problem.stride[0] != 1:
        return f"winograd's gradients on cuda serve stride 1 along the depth; this one is {problem.stride[0]}"
    if problem.dilation[1:] != (1, 1):
        return f"winograd on cuda serves dilation 1; this one is {problem.dilation[1]}x{problem.dilation[2]}"
    return on_cpu(problem)


@entry
@through_float32
def conv(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, *, activation: Any) -> None:
    """y = activation(b + conv(x, w)), filters (1, 3, 3), stride 1 and dilation 1 along H and W."""
    if y.size == 0:
        return
    p, x = border.padded(p, x)
    _correlate(p, x, w, b, y, filters_of(p), 0, activation)


@entry
@through_float32
def conv_input_grad(p: ConvProblem, dy: Any, w: Any, dx: Any) -> None:
    """dx for filters (1, 3, 3), stride 1 everywhere and dilation 1 along H and W."""
    if dx.size == 0:
        return
    if dy.size == 0:
        return fill(dx, 0)
    inner, target = border.unfolded(p, dx)
    f = filters_of(p).exchanged
    _correlate(_turned(inner), dy, w, None, target, f._replace(tap=-f.tap), (f.taps - 1) * f.tap, None)
    border.fold(p, target, dx)


@lru_cache(maxsize=256)
def _turned(p: ConvProblem) -> ConvProblem:
    """The convolution of dy that gives dx."""
    reach = [(a.kernel - 1) * a.dilation for a in p.axes]
    first, second, third = (
        Axis(a.out, a.size, a.kernel, 1, a.dilation, r - a.before, r - a.after)
        for a, r in zip(p.axes, reach, strict=True)
    )
    return replace(p, op="conv", C=p.O, O=p.C, axes=(first, second, third))


@entry
@through_float32
def conv_weight_grad(p: ConvProblem, x: Any, dy: Any, dw: Any) -> None:
    """dw for filters (1, 3, 3), stride 1 and dilation 1 along H and W."""
    if dy.size == 0:
        return fill(dw, 0)
    p, x = border.padded(p, x)
    f, count = filters_of(p), p.O * p.inputs
    size = _tiles(p) * p.O
    of_x, of_y = _to_points(p, x), backend.scratch("points of y", size * POINTS, dy.dtype)
    wide = needs_wide(x.size, dy.size, _tiles(p) * POINTS * max(p.C, p.O))
    args = flat(dy), of_y, *_image(p, True), size
    launch(make_gradient_to_points, (p.channels_last,), blocks_for(size), args, dtype=dw.dtype, wide=wide)
    sums = backend.scratch("points of w", POINTS * count, dy.dtype)
    cores.weight_grad(*_at_points(p, dy.dtype), of_x, of_y, sums)
    launch(make_to_taps, (), blocks_for(count), (sums, flat(dw), f, count, count), dtype=dw.dtype, wide=wide)


def _correlate(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, f: Filters, first: int, activation: Any) -> None:
    """y from x with filters that lie in w as `f` and `first`, the place of their first tap, say."""
    size, count = _tiles(p) * p.O, p.O * p.inputs
    wide = needs_wide(x.size, y.size, _tiles(p) * POINTS * max(p.C, p.O), POINTS * w.size)
    values, result = _to_points(p, x), backend.scratch("points of y", size * POINTS, x.dtype)
    weights = backend.scratch("points of w", POINTS * count, x.dtype)
    args: tuple[Any, ...] = flat(w), weights, f, first, count, count
    launch(make_filter, (), blocks_for(count), args, dtype=x.dtype, wide=wide)
    cores.multiply(*_at_points(p, x.dtype), values, weights, None, result, None)
    constants = p.channels_last, b is not None, activation
    args = result, flat(y if b is None else b), flat(y), *_image(p, True), size
    launch(make_from_points, constants, blocks_for(size), args, dtype=x.dtype, wide=wide)


def _to_points(p: ConvProblem, x: Any) -> Any:
    """The inputs of all tiles at the points, in scratch memory."""
    size = _tiles(p) * p.C
    values = backend.scratch("points of x", size * POINTS, x.dtype)
    wide = needs_wide(x.size, size * POINTS)
    args = flat(x), values, *_image(p, False), size
    launch(make_to_points, (p.channels_last,), blocks_for(size), args, dtype=x.dtype, wide=wide)
    return values


def _tiles(p: ConvProblem) -> int:
    """Tiles of outputs."""
    return p.N * p.out[0] * blocks_for(p.out[1], M) * blocks_for(p.out[2], M)


def _image(p: ConvProblem, output: bool) -> tuple[Tiles, int]:
    """How x, or y, is cut into tiles, and from channel to channel of points."""
    C, size, step, before = (p.O, p.out, 1, (0, 0, 0)) if output else (p.C, p.size, p.stride[0], before_of(p))
    tiles, grid = _tiles(p), (p.out[0], blocks_for(p.out[1], M), blocks_for(p.out[2], M))
    between = (POINTS * C, C) if p.channels_last else (1, C * tiles)
    strides = strides_of(C, size, p.channels_last)
    return Tiles(*grid, tiles, C, *size, *strides, step, *before, *between), 1 if p.channels_last else tiles


@lru_cache(maxsize=256)
def _at_points(p: ConvProblem, dtype: Any) -> tuple[ConvProblem, Filters]:
    """At each point and in each group a product over the tiles; as a convolution, whose filters lie (group, c, o)."""
    batch = POINTS * p.groups
    problem = lowering.pixels(_tiles(p), batch * p.inputs, batch * p.outputs, batch, p.channels_last, dtype)
    return problem, Filters(1, p.inputs, p.outputs, p.inputs * p.outputs, 0, p.outputs, 1)
