"""Correlation and convolution of N-D arrays, with windows of any form and along one axis."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import dispatch
from ..kept import kept
from . import _general
from ._arguments import before, each, make_output, read, read_axes, read_axis, read_mode
from ._run import by_parts, filtered, is_general
from ._scipy import Refused, in_place_of_scipy

LEAST = float(np.finfo(np.float64).eps)  # SciPy leaves smaller weights of an N-D window out


@in_place_of_scipy
def correlate1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """Correlate with weights along one axis.

    y[i] = sum over k of w[k] * x[i + k - n//2 - origin],   n = len(w)

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    weights : array_like, (n,)
        Taken in float64; complex ones are conjugated.
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
    RuntimeError, ValueError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost: 2*n operations an element, 1.5*n where the weights are even or odd. Error: none against SciPy, whose order of
    operations in float64 this is.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.correlate1d([2, 8, 0, 4, 1, 9, 9, 0], weights=[1, 3])
    array([ 8, 26,  8, 12,  7, 28, 36,  9])
    """
    return _along(read(input), np.asarray(weights), axis, output, mode, cval, origin)


@in_place_of_scipy
def convolve1d(
    input: Any,
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Any:
    """Convolve with weights along one axis: `correlate1d` with the weights turned round.

    y[i] = sum over k of w[k] * x[i - k + n//2 - origin],   n = len(w)

    Parameters
    ----------
    input, weights, axis, output, mode, cval, origin
        As for `correlate1d`; complex weights are not conjugated.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost and error as for `correlate1d`.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.convolve1d([2, 8, 0, 4, 1, 9, 9, 0], weights=[1, 3])
    array([14, 24,  4, 13, 12, 36, 27,  0])
    """
    weights = np.asarray(weights)[::-1]
    if weights.ndim != 1:
        raise Refused
    if weights.dtype.kind == "c":
        weights = weights.conj()
    return _along(read(input), weights, axis, output, mode, cval, -origin - (len(weights) + 1) % 2)


@in_place_of_scipy
def correlate(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: Any = 0, *,
    axes: Any = None,
) -> Any:  # fmt: skip
    """Correlate with weights of as many axes: slide them over x and sum the products.

    y[i, j] = sum over u, v of w[u, v] * x[i + u - m//2 - origin[0], j + v - n//2 - origin[1]],   (m, n) = w.shape

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    weights : array_like
        Of as many axes as are filtered; taken in float64, and those of at most 2**-52 left out, as in SciPy. Complex
        ones are conjugated.
    output : dtype or ndarray, optional
        The dtype of the result, or the array that it is written to, which may be `input` itself. An integer dtype
        truncates.
    mode : {"reflect", "constant", "nearest", "mirror", "wrap"}
        What lies outside: x mirrored with its last element repeated ("grid-mirror"), `cval` ("grid-constant"), the last
        element, x mirrored about it, or x again ("grid-wrap"). Also any window larger than x.
    cval : float
        For "constant".
    origin : int or one for each axis
        Moves the window back by so many elements, at most half of it.
    axes : int or tuple of int, optional
        Which axes are filtered; None means all.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise; complex if x or the weights are.

    Raises
    ------
    RuntimeError, ValueError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost: 2*w.size operations an element; extra memory: a block of x in each thread's second cache. Error: none against
    SciPy, whose order of operations in float64 this is: results of float64, and all others after rounding or
    truncation, have SciPy's bits. Long doubles and objects, which SciPy refuses, are served by NumPy's arithmetic.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ndimage
    >>> ndimage.correlate(np.arange(12).reshape(3, 4), [[1, 0, -1]])
    array([[-1, -2, -2, -1],
           [-1, -2, -2, -1],
           [-1, -2, -2, -1]])
    """
    weights = np.asarray(weights)
    return _all_over(read(input), weights.conj(), output, mode, cval, origin, axes, turned=False)


@in_place_of_scipy
def convolve(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: Any = 0, *,
    axes: Any = None,
) -> Any:  # fmt: skip
    """Convolve with weights of as many axes: `correlate` with the weights turned round.

    y[i, j] = sum over u, v of w[u, v] * x[i - u + m//2 - origin[0], j - v + n//2 - origin[1]],   (m, n) = w.shape

    Parameters
    ----------
    input, weights, output, mode, cval, origin, axes
        As for `correlate`; complex weights are not conjugated.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise; complex if x or the weights are.

    Raises
    ------
    RuntimeError, ValueError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost and error as for `correlate`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ndimage
    >>> ndimage.convolve(np.arange(12).reshape(3, 4), [[1, 0, -1]], mode="constant")
    array([[  1,   2,   2,  -2],
           [  5,   2,   2,  -6],
           [  9,   2,   2, -10]])
    """
    return _all_over(read(input), np.asarray(weights), output, mode, cval, origin, axes, turned=True)


def _along(x: np.ndarray, weights: np.ndarray, axis: Any, output: Any, mode: Any, cval: Any, origin: Any) -> np.ndarray:
    if weights.ndim != 1 or not weights.size:
        raise Refused
    step = read_axis(axis, x.ndim), before(weights.size, origin), read_mode(mode)
    if x.dtype.kind != "c" and weights.dtype.kind != "c":
        return along(x, weights, make_output(output, x), cval, *step)
    y = make_output(output, x, is_complex=True)
    if weights.dtype.kind == "c":
        weights = weights.conj()
    return bilinear(lambda x, w, y, cval: along(x, w, y, cval, *step), x, weights, y, cval)


def along(x: np.ndarray, weights: np.ndarray, y: np.ndarray, cval: Any, axis: int, front: int, mode: str) -> np.ndarray:
    """Write the correlation of real x with real weights along an axis to y; `front` weights are in front."""
    weights = _real(weights)
    cval = read_constant(cval)
    key = weights.tobytes(), axis, front, mode
    passes = [("correlate", axis, weights.size, front, mode, weights)]
    return filtered(partial(_line, *key), x, y, cval, partial(_general.run_chain, passes))


@kept
def _line(
    weights: bytes, axis: int, front: int, mode: str, shape: tuple[int, ...], x_dtype: np.dtype, y_dtype: np.dtype
) -> Any:
    taps = tuple(np.frombuffer(weights).tolist())
    return dispatch.operator("filter_chain")(
        shape, (("correlate", axis, len(taps), front, mode, taps),), x_dtype, y_dtype
    )


def _all_over(
    x: np.ndarray, weights: np.ndarray, output: Any, mode: Any, cval: Any, origin: Any, axes: Any, turned: bool
) -> np.ndarray:
    mode, axes = read_mode(mode), read_axes(axes, x.ndim)
    if weights.ndim != len(axes) or not weights.size or not x.ndim:
        raise Refused
    weights, origins = expanded(weights, each(origin, len(axes)), axes, x.ndim)
    if turned:
        weights = weights[(slice(None, None, -1),) * weights.ndim]
        origins = [-o - (n + 1) % 2 for o, n in zip(origins, weights.shape, strict=True)]
    fronts = [before(n, o) for n, o in zip(weights.shape, origins, strict=True)]
    run = partial(_window, fronts=tuple(fronts), mode=mode)
    if x.dtype.kind != "c" and weights.dtype.kind != "c":
        return run(x, weights, make_output(output, x), cval)
    return bilinear(run, x, weights, make_output(output, x, is_complex=True), cval)


def expanded(weights: np.ndarray, origins: list[Any], axes: tuple[int, ...], ndim: int) -> tuple[np.ndarray, list[Any]]:
    """Weights and origins for all axes: weights lie in the array's order, origins in that of `axes`, as in SciPy."""
    if len(axes) == ndim:
        return weights, origins
    all_origins = [0] * ndim
    for axis, origin in zip(axes, origins, strict=True):
        all_origins[axis] = origin
    return np.expand_dims(weights, tuple(a for a in range(ndim) if a not in axes)), all_origins


def _window(
    x: np.ndarray, weights: np.ndarray, y: np.ndarray, cval: Any, fronts: tuple[int, ...], mode: str
) -> np.ndarray:
    weights = _real(weights)
    cval = read_constant(cval)
    key = weights.tobytes(), weights.shape, fronts, mode

    def general(x: np.ndarray, y: np.ndarray, cval: Any) -> None:
        places, taps = _counting(weights)
        _general.run_window("correlate", _axes(x.shape, weights.shape, fronts, mode), places, taps, x, y, cval)

    return filtered(partial(_form, *key), x, y, cval, general)


@kept
def _form(
    weights: bytes,
    size: tuple[int, ...],
    fronts: tuple[int, ...],
    mode: str,
    shape: tuple[int, ...],
    x_dtype: np.dtype,
    y_dtype: np.dtype,
) -> Any:
    places, taps = _counting(np.frombuffer(weights).reshape(size))
    axes = _axes(shape, size, fronts, mode)
    return dispatch.operator("filter_window")("correlate", axes, places, taps, x_dtype, y_dtype)


def _counting(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which weights count, and these; one of zero where none does."""
    flat = weights.reshape(-1)
    places = np.flatnonzero(np.abs(flat) > LEAST)
    return (places, flat[places]) if places.size else (np.zeros(1, np.int64), np.zeros(1))


def _axes(
    shape: tuple[int, ...], size: tuple[int, ...], fronts: tuple[int, ...], mode: str
) -> list[tuple[int, int, int, str]]:
    return [(n, k, front, mode) for n, k, front in zip(shape, size, fronts, strict=True)]


def bilinear(run: Any, x: np.ndarray, weights: np.ndarray, y: np.ndarray, cval: Any) -> np.ndarray:
    """A correlation, ``run(x, weights, y, cval)`` of real ones, where one or both are complex."""
    if weights.dtype.kind != "c":
        return by_parts(lambda x, y, cval: run(x, weights, y, cval), x, y, cval)
    if x.dtype.kind != "c":
        if np.iscomplexobj(cval):
            raise Refused
        run(x, weights.real, y.real, cval)
        run(x, weights.imag, y.imag, cval)
        return y
    for part, first, second, sign in (
        (y.real, weights.real, weights.imag, -1),
        (y.imag, weights.imag, weights.real, 1),
    ):
        run(x.real, first, part, np.real(cval))
        part += sign * run(x.imag, second, np.empty(x.shape, x.imag.dtype), np.imag(cval))
    return y


def _real(weights: np.ndarray) -> np.ndarray:
    """Weights in float64, as SciPy has them."""
    if is_general(weights.dtype) and weights.dtype.kind != "O":
        weights = weights.astype(np.float64)
    return np.ascontiguousarray(weights, np.float64)


def read_constant(cval: Any) -> float:
    """What lies outside, in float64."""
    if type(cval) is float:
        return cval
    try:
        return float(cval)
    except (TypeError, ValueError):
        raise Refused from None
