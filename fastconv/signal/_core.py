"""The one way from the functions of this package to `fastconv.ops`: which axes convolve, what is filter, what is batch.

A convolution of N axes is a part of the full one: spans say which along each axis. Axes along which one array has a
single element do not convolve; they, and those that `fftconvolve` is told to leave alone, are batch axes: of the image
(N of the convolution), of the filter (its O), or of both (its groups). So one call serves any number of axes of which
at most three convolve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import ops
from ..ops._separable import factors
from ._numbers import SINGLE, Numbers, finished

MODES = ("full", "same", "valid")
METHODS = {"auto": "auto", "fft": "auto", "direct": "direct"}  # SciPy's word: ours
BACKWARDS = slice(None, None, -1)
MOST = 3  # axes that kernels convolve along
CONV: dict[int, Callable[..., Any]] = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}

LEAST_PASSES, MOST_PASSES = 9, 48  # taps along an axis for which passes are faster than all taps at once, or an FFT
WORTH_PASSES = 1 << 19  # products below which the search for factors would be felt

Span = tuple[int, int]


@lru_cache(maxsize=1024)
def spans_of(mode: str, sizes: tuple[int, ...], taps: tuple[int, ...], late: bool = False) -> tuple[Span, ...]:
    """Along each axis the first element, and how many, of the full convolution that a mode keeps.

    Of an even number of taps the middle is the one before, for "same", or the one behind if `late`.
    """
    if mode == "full":
        return tuple((0, n + k - 1) for n, k in zip(sizes, taps, strict=True))
    if mode == "same":
        return tuple((k // 2 if late else (k - 1) // 2, n) for n, k in zip(sizes, taps, strict=True))
    return tuple((min(n, k) - 1, abs(n - k) + 1) for n, k in zip(sizes, taps, strict=True))


def convolve_axes(
    x: np.ndarray, w: np.ndarray, spans: Sequence[Span], axes: Sequence[int], method: str, numbers: Numbers
) -> np.ndarray | None:
    """The convolution along some axes, others multiplied by broadcasting; None where no kernel serves it."""
    roles = _Roles([], [], [], [])
    for axis, (n, k) in enumerate(zip(x.shape, w.shape, strict=True)):
        if n == 1 or k == 1:
            start, length = spans[axis]
            part = (*(slice(None),) * axis, slice(start, start + length))
            if k == 1:
                x = x[part]
                roles.image.append(axis)
            else:
                w = w[part]
                roles.filter.append(axis)
        else:
            (roles.conv if axis in axes else roles.both).append(axis)
    if not 1 <= len(roles.conv) <= MOST:
        return None
    if math.prod(w.shape[a] for a in roles.conv) > math.prod(x.shape[a] for a in roles.conv):
        x, w = w, x
        roles = roles._replace(image=roles.filter, filter=roles.image)
    w = w[tuple(BACKWARDS if a in roles.conv else slice(None) for a in range(w.ndim))]
    around = {a: _around(spans[a], x.shape[a], w.shape[a]) for a in roles.conv}
    x = x[tuple(around[a][0] if a in around else slice(None) for a in range(x.ndim))]
    padding = tuple(around[a][1] for a in roles.conv)
    y = sums(roles.image_order(x), roles.filter_order(w), padding, numbers, method)
    return roles.given_order(y, x, w)


def one_holds_the_other(sizes: Sequence[int], others: Sequence[int]) -> bool:
    """Whether one array is at least as long as the other along each axis, as "valid" wants."""
    pairs = list(zip(sizes, others, strict=True))
    return all(n >= k for n, k in pairs) or all(k >= n for n, k in pairs)


class Way(NamedTuple):
    """How two arrays become one call of a kernel, of which all axes convolve."""

    swapped: bool  # the first is the filter
    turn: tuple[slice, ...]
    crop: tuple[slice, ...]  # what the image has beyond the part that is wanted
    image: tuple[int, ...]
    taps: tuple[int, ...]
    padding: tuple[Span, ...]


@lru_cache(maxsize=1024)
def way_of(sizes: tuple[int, ...], others: tuple[int, ...], spans: tuple[Span, ...]) -> Way:
    """The way for arrays of these shapes."""
    swapped = math.prod(others) > math.prod(sizes)
    image, taps = (others, sizes) if swapped else (sizes, others)
    crop, padding = zip(*(_around(*item) for item in zip(spans, image, taps, strict=True)), strict=True)
    image = tuple(len(range(n)[part]) for n, part in zip(image, crop, strict=True))
    return Way(swapped, (BACKWARDS,) * len(taps), crop, (1, 1, *image), (1, 1, *taps), padding)


def _around(span: Span, n: int, k: int) -> tuple[slice, Span]:
    """For a part of the full convolution of n elements with k taps: which elements it needs, and how many zeros."""
    before, after = k - 1 - span[0], sum(span) - n
    return slice(max(0, -before), n + min(0, after)), (max(0, before), max(0, after))


def convolve_all(
    x: np.ndarray, w: np.ndarray, spans: tuple[Span, ...], method: str, numbers: Numbers
) -> np.ndarray | None:
    """The convolution along all axes; None where no kernel serves it."""
    if x.ndim > MOST or 1 in x.shape or 1 in w.shape:
        return convolve_axes(x, w, spans, range(x.ndim), method, numbers)
    way = way_of(x.shape, w.shape, spans)
    if way.swapped:
        x, w = w, x
    images, filters = x[way.crop].reshape(way.image), w[way.turn].reshape(way.taps)
    return sums(images, filters, way.padding, numbers, method)[0, 0, 0]


class _Roles(NamedTuple):
    """Axes by what they are: of the image alone, of the filter alone, of both without convolving, convolving."""

    image: list[int]
    filter: list[int]
    both: list[int]
    conv: list[int]

    def image_order(self, x: np.ndarray) -> np.ndarray:
        """(n, g, sizes)"""
        x = _moved(x, (*self.image, *self.both, *self.conv, *self.filter))
        return x.reshape(_product(x.shape, len(self.image)), -1, *self._sizes(x))

    def filter_order(self, w: np.ndarray) -> np.ndarray:
        """(g, o, taps)"""
        w = _moved(w, (*self.both, *self.filter, *self.conv, *self.image))
        return w.reshape(_product(w.shape, len(self.both)), -1, *self._sizes(w, len(self.both) + len(self.filter)))

    def _sizes(self, moved: np.ndarray, first: int | None = None) -> tuple[int, ...]:
        first = len(self.image) + len(self.both) if first is None else first
        return moved.shape[first : first + len(self.conv)]

    def given_order(self, y: np.ndarray, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """(n, g, o, sizes) with the caller's axes."""
        order = (*self.image, *self.both, *self.filter, *self.conv)
        sizes = [x.shape[a] for a in (*self.image, *self.both)] + [w.shape[a] for a in self.filter]
        return _moved(y.reshape(*sizes, *y.shape[3:]), np.argsort(order).tolist())


def _moved(a: np.ndarray, order: Sequence[int]) -> np.ndarray:
    return a if tuple(order) == tuple(range(a.ndim)) else np.ascontiguousarray(a.transpose(order))


def _product(shape: tuple[int, ...], count: int) -> int:
    return math.prod(shape[:count])


def sums(
    x: np.ndarray,
    w: np.ndarray,
    padding: tuple[Span, ...],
    numbers: Numbers,
    method: str,
    padding_mode: str = "zeros",
) -> np.ndarray:
    """Cross-correlate images (n, g, sizes) with filters (g, o, taps): (n, g, o, sizes), in the caller's dtype.

    A complex image beside real filters is two images, complex filters are two filters, both are two channels each.
    """
    parts_x, parts_w = x.dtype.kind == "c", w.dtype.kind == "c"
    (n, g), o = x.shape[:2], w.shape[1]
    if parts_x and parts_w:
        x = np.stack((x.real, x.imag), axis=2).reshape(n, 2 * g, *x.shape[2:])
        w = np.stack((np.stack((w.real, -w.imag), axis=2), np.stack((w.imag, w.real), axis=2)), axis=2)
        w = w.reshape(2 * g * o, 2, *w.shape[4:])
    elif parts_x:
        x = np.stack((x.real, x.imag)).reshape(2 * n, *x.shape[1:])
        w = w.reshape(g * o, 1, *w.shape[2:])
    elif parts_w:
        w = np.stack((w.real, w.imag), axis=2).reshape(2 * g * o, 1, *w.shape[2:])
    else:
        w = w.reshape(g * o, 1, *w.shape[2:])
    real = numbers.real
    x, w = np.ascontiguousarray(x, real), np.ascontiguousarray(w, real)
    y = _convolved(x, w, padding, padding_mode, g, numbers.least if numbers.least != "auto" else method)
    if parts_x and not parts_w:
        return _from_parts(y.reshape(2, n, g, o, *y.shape[2:]), 0, numbers.result)
    if parts_w:
        return _from_parts(y.reshape(n, g, o, 2, *y.shape[2:]), 3, numbers.result)
    return finished(y.reshape(n, g, o, *y.shape[2:]), numbers)


def _convolved(
    x: np.ndarray, w: np.ndarray, padding: tuple[Span, ...], mode: str, groups: int, method: str
) -> np.ndarray:
    """One filter that is an outer product runs as two passes, all else as it is."""
    options: dict[str, Any] = {"padding_mode": mode, "method": method}
    vectors = passes(x, w) if method == "auto" else None
    if vectors is None:
        return CONV[x.ndim - 2](x, w, padding=padding, groups=groups, **options)
    column, row = vectors
    y = ops.conv2d(x, column[None, None, :, None], padding=(padding[0], 0), **options)
    return ops.conv2d(y, row[None, None, None], padding=(0, padding[1]), **options)


def passes(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """The factors of one filter of two axes, where two passes are worth while."""
    if w.ndim != 4 or w.shape[0] > 1 or w.shape[1] > 1:
        return None
    taps = w.shape[2:]
    if min(taps) < LEAST_PASSES or max(taps) > MOST_PASSES or x.size * w.size < WORTH_PASSES:
        return None
    return factors(w[0, 0])


def _from_parts(y: np.ndarray, axis: int, dtype: np.dtype) -> np.ndarray:
    """A complex array of its real and imaginary parts."""
    real, imaginary = y.take(0, axis), y.take(1, axis)
    whole = np.empty(real.shape, np.dtype("c8" if y.dtype == SINGLE else "c16"))
    whole.real, whole.imag = real, imaginary
    return whole if whole.dtype == dtype else whole.astype(dtype)
