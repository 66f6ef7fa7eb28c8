"""Maxima and minima of windows, and grey erosion and dilation, which are those with weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import dispatch
from ..kept import kept
from . import _general
from ._arguments import NATIVE, as_c, before, each, make_output, read, read_axes, read_axis, read_mode, read_size, warn
from ._run import filtered
from ._scipy import Refused, in_place_of_scipy
from .linear import expanded, read_constant
from .smoothing import box_steps, run_passes


@in_place_of_scipy
def maximum_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Any:
    """The largest element of a window along one axis.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    size : int
        Elements of the window.
    axis : int
        Along which.
    output, mode, cval
        As for `correlate`.
    origin : int
        Moves the window back by so many elements, at most half of it.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost: log2(size) operations an element. A window that holds a NaN gives NaN; what SciPy gives hangs on where it
    lies.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.maximum_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([8, 8, 8, 4, 9, 9, 9, 9])
    """
    return _along("max", read(input), size, axis, output, mode, cval, origin)


@in_place_of_scipy
def minimum_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Any:
    """The smallest element of a window along one axis.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    size : int
        Elements of the window.
    axis : int
        Along which.
    output, mode, cval
        As for `correlate`.
    origin : int
        Moves the window back by so many elements, at most half of it.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost: log2(size) operations an element. A window that holds a NaN gives NaN; what SciPy gives hangs on where it
    lies.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.minimum_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([2, 0, 0, 0, 1, 1, 0, 0])
    """
    return _along("min", read(input), size, axis, output, mode, cval, origin)


def _along(
    kind: str, x: np.ndarray, size: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any
) -> np.ndarray:
    if x.dtype.kind == "c":
        raise Refused
    length = read_size(size)
    step = kind, read_axis(axis, x.ndim), length, before(length, origin), read_mode(mode)
    return run_passes((step,), x, make_output(output, x), cval)


@in_place_of_scipy
def maximum_filter(
    input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The largest element of a box, or of the elements that a footprint marks.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    size : int or one for each axis
        Elements of a box.
    footprint : array_like of bool, optional
        Which elements of a window count, instead.
    output, cval, origin, axes
        As for `correlate`.
    mode : str or, for a box, one for each axis
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
    Cost: log2(size) operations an element and axis of a box, one for each element of other footprints. A window that
    holds a NaN gives NaN; what SciPy gives hangs on where it lies.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ndimage
    >>> ndimage.maximum_filter(np.arange(12).reshape(3, 4), size=3)
    array([[ 5,  6,  7,  7],
           [ 9, 10, 11, 11],
           [ 9, 10, 11, 11]])
    """
    return extremes("max", read(input), size, footprint, None, output, mode, cval, origin, axes)


@in_place_of_scipy
def minimum_filter(
    input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The smallest element of a box, or of the elements that a footprint marks.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    size : int or one for each axis
        Elements of a box.
    footprint : array_like of bool, optional
        Which elements of a window count, instead.
    output, cval, origin, axes
        As for `correlate`.
    mode : str or, for a box, one for each axis
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
    Cost: log2(size) operations an element and axis of a box, one for each element of other footprints. A window that
    holds a NaN gives NaN; what SciPy gives hangs on where it lies.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ndimage
    >>> ndimage.minimum_filter(np.arange(12).reshape(3, 4), size=3)
    array([[0, 0, 1, 2],
           [0, 0, 1, 2],
           [4, 4, 5, 6]])
    """
    return extremes("min", read(input), size, footprint, None, output, mode, cval, origin, axes)


@in_place_of_scipy
def grey_erosion(
    input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
    mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Grey erosion: the minimum of x - a structure, of a box or of a footprint.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    size : int or one for each axis
        Elements of a flat box.
    footprint : array_like of bool, optional
        Which elements of a window count.
    structure : array_like, optional
        What is taken from the elements of a window.
    output, cval, origin, axes
        As for `correlate`.
    mode : str or, for a flat box, one for each axis
        As for `correlate`.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost: that of `minimum_filter`; with a structure 2 operations for each of its elements. All but the first of the
    differences or sums have x's dtype, as in SciPy.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.grey_erosion([0, 0, 7, 0, 0, 3], structure=[1, 2, 1])
    array([-2, -2, -1, -2, -2, -1])
    """
    if size is None and footprint is None and structure is None:
        raise Refused
    return extremes("min", read(input), size, footprint, structure, output, mode, cval, origin, axes)


@in_place_of_scipy
def grey_dilation(
    input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
    mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Grey dilation: the maximum of x + a structure, of a box or of a footprint.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    size : int or one for each axis
        Elements of a flat box.
    footprint : array_like of bool, optional
        Which elements of a window count; it is turned round.
    structure : array_like, optional
        What is added to the elements of a window; it is turned round.
    output, cval, origin, axes
        As for `correlate`.
    mode : str or, for a flat box, one for each axis
        As for `correlate`.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost: that of `maximum_filter`; with a structure 2 operations for each of its elements. All but the first of the
    differences or sums have x's dtype, as in SciPy.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.grey_dilation([0, 0, 7, 0, 0, 3], structure=[1, 2, 1])
    array([2, 8, 9, 8, 4, 5])
    """
    x = read(input)
    structure, footprint = (None if a is None else _turned(np.asarray(a)) for a in (structure, footprint))
    count = len(read_axes(axes, x.ndim))
    shape = next((a.shape for a in (footprint, structure) if a is not None), None)
    sizes = each(size, count) if shape is None else shape
    if len(sizes) < count or sizes[0] is None:
        raise Refused
    origins = [-o - (int(n) + 1) % 2 for o, n in zip(each(origin, count), sizes, strict=False)]
    return extremes("max", x, size, footprint, structure, output, mode, cval, origins, axes)


def _turned(a: np.ndarray) -> np.ndarray:
    return a[(slice(None, None, -1),) * a.ndim]


def extremes(
    kind: str, x: np.ndarray, size: Any, footprint: Any, structure: Any, output: Any, mode: Any, cval: Any,
    origin: Any, axes: Any, level: int = 4,
) -> np.ndarray:  # fmt: skip
    """The "max" or "min" of a box, a footprint or a structure; warnings belong `level` calls up."""
    if x.dtype.kind == "c":
        raise Refused
    if size is not None and footprint is not None:
        warn("ignoring size because footprint is set", level + 2)
    if structure is None:
        if footprint is None:
            if size is None:
                raise Refused
            steps = box_steps(kind, x.ndim, size, mode, origin, axes)
            return run_passes(steps, x, make_output(output, x, level=level + 1), cval)
        footprint = np.asarray(footprint, dtype=bool)
        if not footprint.any():
            raise Refused
        if footprint.all():
            steps = box_steps(kind, x.ndim, footprint.shape, mode, origin, axes)
            return run_passes(steps, x, make_output(output, x, level=level + 1), cval)
        weights = np.zeros(footprint.shape)
    else:
        weights = np.ascontiguousarray(structure, np.float64)
        footprint = np.ones(weights.shape, bool) if footprint is None else np.asarray(footprint, dtype=bool)
        if kind == "min":
            weights = -weights
    return _by_form(kind, x, footprint, weights, make_output(output, x, level=level + 1), mode, cval, origin, axes)


def _by_form(
    kind: str, x: np.ndarray, footprint: np.ndarray, weights: np.ndarray, y: np.ndarray, mode: Any, cval: Any,
    origin: Any, axes: Any,
) -> np.ndarray:  # fmt: skip
    mode, axes = read_mode(mode), read_axes(axes, x.ndim)
    if not footprint.shape == weights.shape or footprint.ndim != len(axes) or not footprint.any():
        raise Refused
    weights, origins = expanded(weights, each(origin, len(axes)), axes, x.ndim)
    shape, fronts = weights.shape, tuple(before(n, o) for n, o in zip(weights.shape, origins, strict=True))
    key = footprint.tobytes(), weights.tobytes(), shape, fronts, mode

    def general(x: np.ndarray, y: np.ndarray, cval: Any) -> None:
        places = np.flatnonzero(footprint)
        _general.run_window(
            kind, window_axes(x.shape, shape, fronts, mode), places, weights.reshape(-1)[places], x, y, cval
        )

    cval = read_constant(cval)
    if x.dtype.char in NATIVE:
        cval = float(as_c(cval, NATIVE[x.dtype.char]))
    return filtered(partial(_form, kind, *key), x, y, cval, general)


@kept
def _form(
    kind: str, footprint: bytes, weights: bytes, size: tuple[int, ...], fronts: tuple[int, ...], mode: str,
    shape: tuple[int, ...], x_dtype: np.dtype, y_dtype: np.dtype,
) -> Any:  # fmt: skip
    places = np.flatnonzero(np.frombuffer(footprint, bool))
    taps = np.frombuffer(weights)[places]
    taps[1:] = [as_c(weight, x_dtype) for weight in taps[1:].tolist()]  # SciPy adds the first in float64
    axes = window_axes(shape, size, fronts, mode)
    return dispatch.operator("filter_window")(kind, axes, places, taps, x_dtype, y_dtype)


def window_axes(
    shape: tuple[int, ...], size: tuple[int, ...], fronts: Sequence[int], mode: str
) -> list[tuple[int, int, int, str]]:
    """For each axis its length, and the window's with what of it is in front."""
    return [(n, k, front, mode) for n, k, front in zip(shape, size, fronts, strict=True)]
