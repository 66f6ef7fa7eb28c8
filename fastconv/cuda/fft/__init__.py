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
from .. import backend, border
from ..arrays import layout
from ..filters import Filters, filters_of
from ..halves import through_float32
from ..indexing import Triple, kernel_of, split, strides_of, triple
from ..launch import blocks_for, entry, flat, launch, needs_wide
from ..pointwise import fill
from . import spectra
from .grid import Cut, cut
from .kernels import Grid, Source, Sums, Target, make_lay, make_sum_products, make_take

REGISTER_TILE = 4  # sums of a thread along rows and along columns, at most
FILTER_BYTES = 1 << 30  # that all filters' planes should not exceed
FIRST, LAST = (0, 4, 1, 2, 3), (0, 2, 3, 4, 1)  # orders of axes that bring channels to the front and to the end
ONE: Triple = (1, 1, 1)
NONE: Triple = (0, 0, 0)


@entry
@through_float32
def conv(
    x: Any, w: Any, b: Any, y: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool, activation: Any,
) -> None:  # fmt: skip
    """y = activation(b + conv(x, w)); x, w, y have three spatial axes; b and activation may be None."""
    if y.size == 0:
        return
    x, before = border.padded(x, padding, padding_mode, channels_last)
    x, result = _first(x, channels_last), _room(y, channels_last)
    (N, C, size), (_, O, out) = split(x.shape, False), split(result.shape, False)
    f, reach = filters_of(w.shape, groups, channels_last), _reach(w, dilation, channels_last)
    p = cut(_spread(out, stride), reach, stride, N, C + O, O * f.channels, _budget(y))
    weights = _filters(w, f, p, dilation, groups, channels_last)
    lying = Source(*size, *strides_of(C, size, False), *p.moves, *before, *ONE, *p.lengths)
    counts = triple(m // s for m, s in zip(p.moves, stride, strict=True))
    to = Target(*out, *strides_of(O, out, False), *counts, *NONE, *stride, *NONE)
    for first, tiles in _chunks(N, C + O, p, y):
        values = _transformed(x, tiles, _grid(p, C, first), lying)
        strides = f.channels, C, 1, f.outputs * f.channels, f.channels, 1, f.outputs, O, 1
        sums = Sums(_frequencies(p), tiles, f.outputs, f.channels, *strides)
        spectrum = _summed(values, weights, None, tiles * O, sums, groups, True)
        _take(spectrum, b, result, tiles, _grid(p, O, first), to, activation)
    _give(result, y, channels_last)


@entry
@through_float32
def conv_input_grad(
    dy: Any, w: Any, dx: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dx: dy, spread by the stride, convolved with the filters."""
    if dx.size == 0:
        return
    if dy.size == 0:
        return fill(dx, 0)
    target, before = border.unfolded(dx, padding, padding_mode, channels_last)
    dy, result = _first(dy, channels_last), _room(target, channels_last)
    (N, C, size), (_, O, out) = split(result.shape, False), split(dy.shape, False)
    f, reach = filters_of(w.shape, groups, channels_last), _reach(w, dilation, channels_last)
    places = triple(b + n for b, n in zip(before, size, strict=True))
    p = cut(places, reach, ONE, N, C + O, O * f.channels, _budget(dx))
    weights = _filters(w, f, p, dilation, groups, channels_last)
    lying = Source(*out, *strides_of(O, out, False), *p.moves, *reach, *stride, *p.lengths)
    to = Target(*size, *strides_of(C, size, False), *p.moves, *before, *ONE, *reach)
    for first, tiles in _chunks(N, C + O, p, dx):
        values = _transformed(dy, tiles, _grid(p, O, first), lying)
        strides = f.outputs, O, 1, f.outputs * f.channels, 1, f.channels, f.channels, C, 1
        sums = Sums(_frequencies(p), tiles, f.channels, f.outputs, *strides)
        spectrum = _summed(values, weights, None, tiles * C, sums, groups, False)
        _take(spectrum, None, result, tiles, _grid(p, C, first), to, None)
    _give(result, target, channels_last)
    border.fold(target, dx, padding, padding_mode, channels_last)


@entry
@through_float32
def conv_weight_grad(
    x: Any, dy: Any, dw: Any, *, stride: Triple, dilation: Triple, padding: Any, padding_mode: str, groups: int,
    channels_last: bool,
) -> None:  # fmt: skip
    """dw: x correlated with dy, spread by the stride; tiles are added up as spectra, in order."""
    if dy.size == 0:
        return fill(dw, 0)
    x, before = border.padded(x, padding, padding_mode, channels_last)
    x, dy = _first(x, channels_last), _first(dy, channels_last)
    (N, C, size), (_, O, out) = split(x.shape, False), split(dy.shape, False)
    f, reach = filters_of(dw.shape, groups, channels_last), _reach(dw, dilation, channels_last)
    p = cut(_spread(out, stride), reach, ONE, N, C + O, O * f.channels, _budget(dw))
    x_lying = Source(*size, *strides_of(C, size, False), *p.moves, *before, *ONE, *p.lengths)
    dy_lying = Source(*out, *strides_of(O, out, False), *p.moves, *NONE, *stride, *p.moves)
    spectrum = None
    for first, tiles in _chunks(N, C + O, p, dw):
        of_x = _transformed(x, tiles, _grid(p, C, first), x_lying)
        of_dy = _transformed(dy, tiles, _grid(p, O, first), dy_lying)
        strides = f.channels, 1, C, f.outputs, 1, O, f.outputs * f.channels, 1, f.channels
        sums = Sums(_frequencies(p), f.channels, f.outputs, tiles, *strides)
        spectrum = _summed(of_x, of_dy, spectrum, O * f.channels, sums, groups, True)
    kernel = kernel_of(dw.shape, channels_last)
    to = Target(*kernel, *_filter_strides(f, kernel), *kernel, *NONE, *dilation, *NONE)
    _take(spectrum, None, dw, O, Grid(*p.lengths, *ONE, f.channels, 0), to, None)


def _filters(w: Any, f: Filters, p: Cut, dilation: Triple, groups: int, channels_last: bool) -> Any:
    """The spectra of all filters, (output, input) channels."""
    kernel = kernel_of(w.shape, channels_last)
    lying = Source(*kernel, *_filter_strides(f, kernel), *NONE, *NONE, *dilation, *p.lengths)
    return _transformed(w, f.outputs * groups, Grid(*p.lengths, *ONE, f.channels, 0), lying)


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


def _grid(p: Cut, channels: int, first: int) -> Grid:
    return Grid(*p.lengths, *p.tiles, channels, first)


def _axes(lengths: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a grid to transform: those with more than one point."""
    return tuple(k + 2 for k, n in enumerate(lengths) if n > 1)


def _frequencies(p: Cut) -> int:
    """Numbers of a plane's spectrum."""
    return math.prod(spectra.spectrum_shape((1, 1, *p.lengths), _axes(p.lengths)))


def _chunks(images: int, planes: int, p: Cut, result: Any) -> Iterator[tuple[int, int]]:
    """(first tile, number of tiles) that are worked on at a time."""
    size = planes * (p.points + 2 * _frequencies(p)) * result.dtype.itemsize
    step = max(1, settings.scratch_bytes // size)
    for first in range(0, images * p.per_image, step):
        yield first, min(step, images * p.per_image - first)


def _budget(result: Any) -> int:
    return FILTER_BYTES // (2 * result.dtype.itemsize)


def _reach(w: Any, dilation: Triple, channels_last: bool) -> Triple:
    """How far the last tap lies from the first."""
    return triple((k - 1) * d for k, d in zip(kernel_of(w.shape, channels_last), dilation, strict=True))


def _spread(out: Triple, stride: Triple) -> Triple:
    """Places from the first output to the last."""
    return triple((n - 1) * s + 1 for n, s in zip(out, stride, strict=True))


def _first(x: Any, channels_last: bool) -> Any:
    return layout.permute(x, FIRST) if channels_last else x


def _room(y: Any, channels_last: bool) -> Any:
    """y, or a channels-first array of its size."""
    return backend.empty(tuple(y.shape[k] for k in FIRST), y.dtype) if channels_last else y


def _give(result: Any, y: Any, channels_last: bool) -> None:
    if channels_last:
        layout.permute_into(result, y, LAST)
