"""Medians, percentiles and other ranks of windows."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import numpy as np

from .. import dispatch
from ..kept import kept
from . import _general
from ._arguments import NATIVE, as_c, before, each, make_output, read, read_axes, read_mode, warn
from ._device import refuse
from ._run import filtered, is_general
from ._scipy import Refused, in_place_of_scipy
from .extrema import extremes, window_axes
from .linear import expanded, read_constant


@in_place_of_scipy
def rank_filter(
    input: Any, rank: int, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect",
    cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The element of one rank of a window: 0 is the smallest, -1 the largest.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    rank : int
        Counted from the smallest element, or, if negative, from the largest.
    size : int or one for each axis
        Elements of a box.
    footprint : array_like of bool, optional
        Which elements of a window count, instead.
    output, mode, cval, origin, axes
        As for `correlate`.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        What SciPy refuses, in its words.

    Warns
    -----
    UserWarning
        Both a size and a footprint are given: the size is ignored.

    Notes
    -----
    Cost: as for `median_filter`.
    NaN counts as the largest number: a window gives NaN if so many of its elements are. What SciPy gives hangs on where
    they lie.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.rank_filter([2, 8, 0, 4, 1, 9, 9, 0], -2, size=3)
    array([2, 2, 4, 1, 4, 9, 9, 0])
    """
    rank = operator.index(rank)
    return _ranked(read(input), lambda count: rank, size, footprint, output, mode, cval, origin, axes)


@in_place_of_scipy
def median_filter(
    input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The median of a window: element n//2 of n in order.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    size : int or one for each axis
        Elements of a box.
    footprint : array_like of bool, optional
        Which elements of a window count, instead.
    output, mode, cval, origin, axes
        As for `correlate`.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        What SciPy refuses, in its words.

    Warns
    -----
    UserWarning
        Both a size and a footprint are given: the size is ignored.

    Notes
    -----
    Cost: for windows of n elements a network of about n*log2(n)**2/4 comparators, 22 for 3x3 and 113 for 5x5, a
    vector of elements at once; for large ones 2*n operations for each bit of the dtype. Any data takes the same time.
    NaN counts as the largest number: a window gives NaN if so many of its elements are. What SciPy gives hangs on where
    they lie.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.median_filter([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([2, 2, 4, 1, 4, 9, 9, 0])
    """
    return _ranked(read(input), lambda count: count // 2, size, footprint, output, mode, cval, origin, axes)


@in_place_of_scipy
def percentile_filter(
    input: Any, percentile: float, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect",
    cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The element of a window that a percentage of it lies below.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    percentile : float
        From 0, the smallest element, to 100, the largest; negative ones count from 100 down.
    size : int or one for each axis
        Elements of a box.
    footprint : array_like of bool, optional
        Which elements of a window count, instead.
    output, mode, cval, origin, axes
        As for `correlate`.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        What SciPy refuses, in its words.

    Warns
    -----
    UserWarning
        Both a size and a footprint are given: the size is ignored.

    Notes
    -----
    Element int(n*percentile/100) of n in order, no mean of two. Cost: as for `median_filter`.
    NaN counts as the largest number: a window gives NaN if so many of its elements are. What SciPy gives hangs on where
    they lie.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.percentile_filter([2, 8, 0, 4, 1, 9, 9, 0], 20, size=5)
    array([2, 2, 1, 1, 1, 1, 0, 0])
    """

    def rank(count: int) -> int:
        share = percentile + 100.0 if percentile < 0.0 else percentile
        if not 0 <= share <= 100:
            raise Refused
        return count - 1 if share == 100.0 else int(float(count) * share / 100.0)

    return _ranked(read(input), rank, size, footprint, output, mode, cval, origin, axes)


def _ranked(
    x: np.ndarray, rank_of: Any, size: Any, footprint: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any
) -> np.ndarray:
    if x.dtype.kind == "c":
        raise Refused
    if size is not None and footprint is not None:
        warn("ignoring size because footprint is set", 6)
    axes = read_axes(axes, x.ndim)
    if footprint is None:
        if size is None:
            raise Refused
        footprint = np.ones([operator.index(k) for k in each(size, len(axes))], bool)
    footprint = np.asarray(footprint, dtype=bool)
    if footprint.ndim != len(axes) or not footprint.size:
        raise Refused
    origins = each(origin, len(axes))
    count = int(np.count_nonzero(footprint))
    rank = rank_of(count)
    rank += count if rank < 0 else 0
    if not 0 <= rank < count:
        raise Refused
    if rank in (0, count - 1):
        kind = "min" if rank == 0 else "max"
        return extremes(kind, x, None, footprint, None, output, mode, cval, origins, axes, level=5)
    y = make_output(output, x, level=5)
    mode = read_mode(mode)
    footprint, origins = expanded(footprint, origins, axes, x.ndim)
    fronts = tuple(before(n, o) for n, o in zip(footprint.shape, origins, strict=True))
    return _select(x, y, cval, footprint.tobytes(), footprint.shape, fronts, mode, rank)


def _select(
    x: np.ndarray, y: np.ndarray, cval: Any, footprint: bytes, size: tuple[int, ...], fronts: tuple[int, ...],
    mode: str, rank: int,
) -> np.ndarray:  # fmt: skip
    if not isinstance(x, np.ndarray):
        refuse(x)
    if is_general(x.dtype) or is_general(y.dtype):
        places = np.flatnonzero(np.frombuffer(footprint, bool))
        _general.run_rank(window_axes(x.shape, size, fronts, mode), places, rank, x, y, cval)
        return y
    dtype, cval = NATIVE.get(x.dtype.char), read_constant(cval)
    if dtype is None or y.dtype.char not in NATIVE:
        raise Refused
    fill = as_c(cval, dtype)
    if x.ndim == 1 and dtype.kind in "iu" and mode.endswith("constant") and fill != int(cval):
        dtype = np.dtype(np.int64)  # SciPy's way with one axis: a constant need not be of x's dtype
        x, fill = x.astype(dtype), as_c(cval, dtype)
    if dtype.itemsize == 1 and len(footprint) > 127:  # counts of elements would not fit
        dtype = np.dtype(np.int16)
        x = x.astype(dtype)
    plan = partial(_rank, footprint, size, fronts, mode, rank)
    return _converted(plan, x, dtype, y, fill)


def _converted(plan: Any, x: np.ndarray, dtype: np.dtype, y: np.ndarray, fill: Any) -> np.ndarray:
    """Ranks in x's dtype, then in y's, converted as the other filters do."""
    if NATIVE[y.dtype.char] == dtype:
        return filtered(plan, x, y, fill, None)
    found = filtered(plan, x, np.empty(x.shape, dtype), fill, None)
    same = (("max", x.ndim - 1, 1, 0, "nearest"),)
    return filtered(partial(_copy, same), found, y, 0.0, None)


@kept
def _copy(steps: Any, shape: tuple[int, ...], x_dtype: np.dtype, y_dtype: np.dtype) -> Any:
    return dispatch.operator("filter_chain")(shape, steps, x_dtype, y_dtype)


@kept
def _rank(
    footprint: bytes, size: tuple[int, ...], fronts: tuple[int, ...], mode: str, rank: int, shape: tuple[int, ...],
    x_dtype: np.dtype, y_dtype: np.dtype,
) -> Any:  # fmt: skip
    places = np.flatnonzero(np.frombuffer(footprint, bool))
    return dispatch.operator("filter_rank")(window_axes(shape, size, fronts, mode), places, rank, x_dtype)
