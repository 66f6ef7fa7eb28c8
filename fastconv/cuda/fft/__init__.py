"""Convolution by Fourier transforms, for large filters (twin: cpu/fft).

    y = F^-1[ sum over c of F[x] * conj(F[w]) ]        dx = F^-1[ sum over o of F[dy] * F[w] ]
    dw = F^-1[ sum over images of F[x] * conj(F[dy]) ]

on grids of overlapping tiles (`grid`), dy spread by the stride, w by the dilation. The transforms are cuFFT's,
through CuPy (`spectra`); channels are summed by a kernel of ours. Inside, everything is channels-first.

Cost: about 2.5*log2(points) operations for each point of each plane, and 4 for each pair of channels and point.
Extra memory: planes of as many tiles at a time as ``FASTCONV_SCRATCH_BYTES`` hold, at least of one, and of all filters.
Error: below 4*eps*log2(points)*sum over channels of |x|_2*|w|_2, norms over a tile and the filter. NaN and Inf spread
over their tiles.
Source: overlap-save, Oppenheim & Schafer, "Discrete-Time Signal Processing", section 8.7.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ...config import settings
from ...problem import ConvProblem, Triple
from .. import backend, border
from ..arrays import layout
from ..filters import Filters, filters_of
from ..halves import through_float32
from ..indexing import before_of, strides_of, triple
from ..launch import blocks_for, entry, flat, launch, needs_wide
from ..pointwise import fill
from . import spectra
from .grid import Tiling, tiling
from .kernels import Grid, Source, Sums, Target, make_lay, make_sum_products, make_take

REGISTER_TILE = 4  # sums of a thread along rows and along columns, at most
FILTER_BYTES = 1 << 30  # that all filters' planes should not exceed
FIRST, LAST = (0, 4, 1, 2, 3), (0, 2, 3, 4, 1)  # orders of axes that bring channels to the front and to the end
ONE: Triple = (1, 1, 1)
NONE: Triple = (0, 0, 0)


def supports(problem: ConvProblem) -> str | None:
    """Why the method cannot serve a problem, or None."""
    return None if problem.taps > 1 else "a filter of one tap gains nothing from a Fourier transform"


@entry
@through_float32
def conv(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, *, activation: Any) -> None:
    """y = activation(b + conv(x, w)); x, w, y have three spatial axes; b and activation may be None."""
    if y.size == 0:
        return
    p, x = border.padded(p, x)
    x, result = _first(p, x), _room(p, y)
    f, grids = filters_of(p), _tiling(p, _spread(p), p.stride, y)
    weights = _filters(p, grids, w)
    lying = Source(*p.size, *strides_of(p.C, p.size, False), *grids.moves, *before_of(p), *ONE, *grids.lengths)
    counts = triple(m // s for m, s in zip(grids.moves, p.stride, strict=True))
    to = Target(*p.out, *strides_of(p.O, p.out, False), *counts, *NONE, *p.stride, *NONE)
    for first, tiles in _chunks(p, grids, y):
        values = _transformed(x, tiles, _grid(grids, p.C, first), lying)
        strides = f.channels, p.C, 1, f.outputs * f.channels, f.channels, 1, f.outputs, p.O, 1
        sums = Sums(_frequencies(grids), tiles, f.outputs, f.channels, *strides)
        spectrum = _summed(values, weights, None, tiles * p.O, sums, p.groups, True)
        _take(spectrum, b, result, tiles, _grid(grids, p.O, first), to, activation)
    _give(p, result, y)


@entry
@through_float32
def conv_input_grad(p: ConvProblem, dy: Any, w: Any, dx: Any) -> None:
    """dx: dy, spread by the stride, convolved with the filters."""
    if dx.size == 0:
        return
    if dy.size == 0:
        return fill(dx, 0)
    given = p
    p, target = border.unfolded(given, dx)
    dy, result = _first(p, dy), _room(p, target)
    places = triple(axis.before + axis.size for axis in p.axes)
    f, grids = filters_of(p), _tiling(p, places, ONE, dx)
    weights = _filters(p, grids, w)
    lying = Source(*p.out, *strides_of(p.O, p.out, False), *grids.moves, *_reach(p), *p.stride, *grids.lengths)
    to = Target(*p.size, *strides_of(p.C, p.size, False), *grids.moves, *before_of(p), *ONE, *_reach(p))
    for first, tiles in _chunks(p, grids, dx):
        values = _transformed(dy, tiles, _grid(grids, p.O, first), lying)
        strides = f.outputs, p.O, 1, f.outputs * f.channels, 1, f.channels, f.channels, p.C, 1
        sums = Sums(_frequencies(grids), tiles, f.channels, f.outputs, *strides)
        spectrum = _summed(values, weights, None, tiles * p.C, sums, p.groups, False)
        _take(spectrum, None, result, tiles, _grid(grids, p.C, first), to, None)
    _give(p, result, target)
    border.fold(given, target, dx)


@entry
@through_float32
def conv_weight_grad(p: ConvProblem, x: Any, dy: Any, dw: Any) -> None:
    """dw: x correlated with dy, spread by the stride; tiles are added up as spectra, in order."""
    if dy.size == 0:
        return fill(dw, 0)
    p, x = border.padded(p, x)
    x, dy = _first(p, x), _first(p, dy)
    f, grids = filters_of(p), _tiling(p, _spread(p), ONE, dw)
    x_lying = Source(*p.size, *strides_of(p.C, p.size, False), *grids.moves, *before_of(p), *ONE, *grids.lengths)
    dy_lying = Source(*p.out, *strides_of(p.O, p.out, False), *grids.moves, *NONE, *p.stride, *grids.moves)
    spectrum = None
    for first, tiles in _chunks(p, grids, dw):
        of_x = _transformed(x, tiles, _grid(grids, p.C, first), x_lying)
        of_dy = _transformed(dy, tiles, _grid(grids, p.O, first), dy_lying)
        strides = f.channels, 1, p.C, f.outputs, 1, p.O, f.outputs * f.channels, 1, f.channels
        sums = Sums(_frequencies(grids), f.channels, f.outputs, tiles, *strides)
        spectrum = _summed(of_x, of_dy, spectrum, p.O * f.channels, sums, p.groups, True)
    to = Target(*p.kernel, *_filter_strides(f, p.kernel), *p.kernel, *NONE, *p.dilation, *NONE)
    _take(spectrum, None, dw, p.O, Grid(*grids.lengths, *ONE, f.channels, 0), to, None)


def _tiling(p: ConvProblem, places: Triple, step: Triple, result: Any) -> Tiling:
    """The grids for so many `places` of each axis; filters are as long as they reach."""
    budget = FILTER_BYTES // (2 * result.dtype.itemsize)
    return tiling(places, _reach(p), step, p.N, p.C + p.O, p.O * p.inputs, budget)


def _filters(p: ConvProblem, grids: Tiling, w: Any) -> Any:
    """The spectra of all filters, (output, input) channels."""
    strides = _filter_strides(filters_of(p), p.kernel)
    lying = Source(*p.kernel, *strides, *NONE, *NONE, *p.dilation, *grids.lengths)
    return _transformed(w, p.O, Grid(*grids.lengths, *ONE, p.inputs, 0), lying)


def _filter_strides(f: Filters, kernel: Triple) -> tuple[int, int, int, int, int]:
    """Of weights or their gradient, from output to output channel, input to input channel, and along the taps."""
    return f.o, f.c, kernel[1] * kernel[2] * f.tap, kernel[2] * f.tap, f.tap


def _transformed(x: Any, tiles: int, grid: Grid, lying: Source) -> Any:
    """The spectra of x, or of filters, laid on the grids of some tiles."""
    lengths = grid[:3]
    total = tiles * grid.channels * math.prod(lengths)
    laid = backend.scratch("grids", total, x.dtype)
    spaced = (lying.step_d, lying.step_h, lying.step_w) != ONE
    wide = needs_wide(x.size, total)
    launch(make_lay, (spaced,), blocks_for(total), (flat(x), laid, grid, lying, total), dtype=x.dtype, wide=wide)
    return spectra.rfftn(laid.reshape((tiles, grid.channels, *lengths)), _axes(lengths))


def _summed(a: Any, b: Any, before: Any, planes: int, sums: Sums, groups: int, conjugate: bool) -> Any:
    """Products of spectra, summed; added to `before` if there is something."""
    size = planes * sums.points * 2
    result = backend.scratch("spectra", size, a.dtype) if before is None else before
    rows, columns = (min(REGISTER_TILE, 1 << (n - 1).bit_length()) for n in (sums.rows, sums.columns))
    grid = blocks_for(sums.points), blocks_for(sums.columns, columns), blocks_for(sums.rows, rows)
    launch(
        make_sum_products,
        (rows, columns, conjugate, before is not None),
        math.prod(grid) * groups,
        (flat(a), flat(b), result, sums, grid),
        dtype=a.dtype,
        wide=needs_wide(a.size, b.size, size),
    )
    return result


def _take(spectrum: Any, b: Any, y: Any, tiles: int, grid: Grid, to: Target, activation: Any) -> None:
    """Results of some tiles, from the sums' spectra to y."""
    lengths = grid[:3]
    values = spectra.irfftn(spectrum, (tiles, grid.channels, *lengths), _axes(lengths))
    total = tiles * grid.channels * to.count_d * to.count_h * to.count_w
    launch(
        make_take,
        (b is not None, activation),
        blocks_for(total),
        (flat(values), flat(y if b is None else b), flat(y), grid, to, total),
        dtype=y.dtype,
        wide=needs_wide(values.size, y.size, total),
    )


def _grid(grids: Tiling, channels: int, first: int) -> Grid:
    return Grid(*grids.lengths, *grids.tiles, channels, first)


def _axes(lengths: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a grid to transform: those with more than one point."""
    return tuple(k + 2 for k, n in enumerate(lengths) if n > 1)


def _frequencies(grids: Tiling) -> int:
    """Numbers of a plane's spectrum."""
    return math.prod(spectra.spectrum_shape((1, 1, *grids.lengths), _axes(grids.lengths)))


def _chunks(p: ConvProblem, grids: Tiling, result: Any) -> Iterator[tuple[int, int]]:
    """(first tile, number of tiles) that are worked on at a time."""
    size = (p.C + p.O) * (grids.points + 2 * _frequencies(grids)) * result.dtype.itemsize
    step = max(1, settings.scratch_bytes // size)
    for first in range(0, p.N * grids.per_image, step):
        yield first, min(step, p.N * grids.per_image - first)


def _reach(p: ConvProblem) -> Triple:
    """How far the last tap lies from the first."""
    return triple(axis.extent - 1 for axis in p.axes)


def _spread(p: ConvProblem) -> Triple:
    """Places from the first output to the last."""
    return triple((axis.out - 1) * axis.stride + 1 for axis in p.axes)


def _first(p: ConvProblem, x: Any) -> Any:
    return layout.permute(x, FIRST) if p.channels_last else x


def _room(p: ConvProblem, y: Any) -> Any:
    """y, or a channels-first array of its size."""
    return backend.empty(tuple(y.shape[k] for k in FIRST), y.dtype) if p.channels_last else y


def _give(p: ConvProblem, result: Any, y: Any) -> None:
    if p.channels_last:
        layout.permute_into(result, y, LAST)
