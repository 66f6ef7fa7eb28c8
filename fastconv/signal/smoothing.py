"""Filters that smooth: Savitzky and Golay's polynomials, and Wiener's."""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre

from ..foreign import is_device_array
from ._core import BACKWARDS, sums
from ._numbers import DOUBLE, SINGLE, Numbers
from ._reading import is_odd, kind_of
from ._scipy import scipy_function
from .convolution import correlate

EDGES = {"mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "zeros", "interp": "zeros"}


def savgol_coeffs(
    window_length: int,
    polyorder: int,
    deriv: int = 0,
    delta: float = 1.0,
    pos: Any = None,
    use: str = "conv",
    *,
    xp: Any = None,
    device: Any = None,
) -> Any:
    """The filter that fits a polynomial to a window and takes its value, or a derivative, at one place.

    Parameters
    ----------
    window_length : int
        Number of coefficients.
    polyorder : int
        Degree of the polynomial, below `window_length`.
    deriv : int
        Which derivative; 0 is the value.
    delta : float
        Distance of samples, for derivatives.
    pos : int, optional
        The place in the window; None means its middle.
    use : {"conv", "dot"}
        For a convolution, or turned round for a dot product.
    xp, device : optional
        The array namespace, and its device, that the coefficients are made in: NumPy's if None.

    Returns
    -------
    coeffs : ndarray, (window_length,), float64

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Notes
    -----
    These are SciPy's coefficients. A. Savitzky, M. J. E. Golay, Analytical Chemistry 36 (1964).

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.savgol_coeffs(5, 2).round(4) + 0
    array([-0.0857,  0.3429,  0.4857,  0.3429, -0.0857])
    """
    options = {} if xp is None and device is None else {"xp": xp, "device": device}
    return scipy_function("savgol_coeffs")(window_length, polyorder, deriv, delta, pos, use, **options)


def savgol_filter(
    x: Any,
    window_length: int,
    polyorder: int,
    deriv: int = 0,
    delta: float = 1.0,
    axis: int = -1,
    mode: str = "interp",
    cval: float = 0.0,
) -> Any:
    """Fit a polynomial to the window round each sample along an axis, and take its value or a derivative there.

    Parameters
    ----------
    x : array_like
        float32 stays float32, all else is float64.
    window_length, polyorder, deriv, delta
        As for `savgol_coeffs`.
    axis : int
        Along which to filter.
    mode : {"interp", "mirror", "nearest", "wrap", "constant"}
        "interp" takes the values near an end from the polynomial of the last whole window; others continue x:
        mirrored without repeating its last sample, by that sample, by its other end, by `cval`.
    cval : float
        For "constant".

    Returns
    -------
    y : ndarray
        Of x's shape.

    Raises
    ------
    ValueError
        Whatever SciPy refuses, in its words.

    Notes
    -----
    Coefficients, and the matrix of an end, are kept for the next call. float32 is summed in float32: its error is below
    window_length*eps*(|x|*|coeffs|), in practice about the square root.

    Examples
    --------
    >>> from fastconv import signal
    >>> signal.savgol_filter([2.0, 2.0, 5.0, 2.0, 1.0, 0.0, 1.0, 4.0, 9.0], 5, 2).round(2)
    array([1.66, 3.17, 3.54, 2.86, 0.66, 0.17, 1.  , 4.  , 9.  ])
    """
    y = None if is_device_array(x) else _savgol(x, window_length, polyorder, deriv, delta, axis, mode, cval)
    if y is not None:
        return y
    return scipy_function("savgol_filter")(x, window_length, polyorder, deriv, delta, axis, mode, cval)


def wiener(im: Any, mysize: Any = None, noise: Any = None) -> Any:
    """Smooth where an image varies no more than its noise does, after N. Wiener.

    y = m + (1 - noise / v) * (im - m) where v >= noise, else m

    with the mean m and the variance v of a window round each element, zeros beyond the border.

    Parameters
    ----------
    im : array_like
        Of any number of axes.
    mysize : int or sequence of int, optional
        Window, one size or one an axis; None means 3.
    noise : float, optional
        Variance of the noise; None means the average of v.

    Returns
    -------
    y : ndarray
        Of im's shape, float64 or complex128.

    Notes
    -----
    The sums of the windows are what fastconv makes faster. J. S. Lim, Two-Dimensional Signal and Image Processing
    (1990), p. 548.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import signal
    >>> signal.wiener(np.array([1.0, 1.0, 4.0, 1.0, 1.0])).round(3)
    array([0.667, 1.644, 2.711, 1.644, 0.667])
    """
    x = None if is_device_array(im) or is_odd(im) else np.asarray(im)
    size = None if x is None else _window(mysize, x.ndim)
    if x is None or size is None or x.size == 0 or x.dtype.char not in "bBhHiIlLqQefdFD":
        return scipy_function("wiener")(im, mysize, noise)
    window = np.ones(size)
    count = float(math.prod(size))
    mean = correlate(x, window, "same")
    mean = mean / count if mean.ndim == 0 else np.divide(mean, count, out=mean)
    variance = correlate(x**2, window, "same") / count
    variance -= mean**2
    if noise is None:
        noise = np.mean(variance.reshape(-1), axis=0)
    y = x - mean
    y *= 1 - noise / variance
    y += mean
    y = np.where(variance < noise, mean, y)
    kind = kind_of(im)
    return y if kind is None else kind(y)


def _window(size: Any, ndim: int) -> tuple[int, ...] | None:
    """The window of each axis; None for what SciPy shall judge."""
    if size is None:
        return (3,) * ndim
    try:
        sizes = (operator.index(size),) * ndim if np.ndim(size) == 0 else tuple(map(operator.index, size))
    except TypeError:
        return None
    return sizes if len(sizes) == ndim and min(sizes, default=0) > 0 else None


def _savgol(x: Any, length: Any, order: Any, deriv: Any, delta: Any, axis: Any, mode: Any, cval: Any) -> Any:
    """savgol_filter where kernels serve it, else None."""
    if is_odd(x) or not isinstance(mode, str) or mode not in EDGES:
        return None
    a = np.asarray(x)
    if a.dtype not in (SINGLE, DOUBLE):
        if a.dtype.kind not in "biuf":
            return None
        a = a.astype(DOUBLE)
    whole = all(isinstance(value, (int, np.integer)) for value in (length, order, deriv, axis))
    if not whole or not isinstance(delta, (int, float)) or not isinstance(cval, (int, float)):
        return None
    if a.size == 0 or not -a.ndim <= axis < a.ndim or not 0 <= order < length or deriv < 0 or not delta:
        return None
    axis %= a.ndim
    n = a.shape[axis]
    if mode == "interp" and length > n:
        return None
    taps = _coefficients(int(length), int(order), int(deriv), float(delta)).astype(a.dtype)
    y = _along(a, taps, axis, EDGES[mode], cval if mode == "constant" else 0.0)
    if mode == "interp" and length > 1 and deriv <= order:
        half = length // 2
        front, back = _ends(int(length), int(order), int(deriv), float(delta))
        lines, ends = np.moveaxis(a, axis, 0), np.moveaxis(y, axis, 0)
        ends[:half] = np.tensordot(front, lines[:length], 1)
        ends[n - half :] = np.tensordot(back, lines[n - length :], 1)
    kind = kind_of(x)
    return y if kind is None else kind(y)


def _along(x: np.ndarray, taps: np.ndarray, axis: int, edge: str, fill: float) -> np.ndarray:
    """Convolve with taps along one axis, all lines at once."""
    after = len(taps) // 2
    padding = (len(taps) - 1 - after, after)
    shape = x.shape
    if fill:
        widths = [(0, 0)] * axis + [padding] + [(0, 0)] * (x.ndim - axis - 1)
        x, padding = np.pad(x, widths, constant_values=fill), (0, 0)
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    numbers = Numbers(x.dtype, x.dtype)
    w = taps[BACKWARDS]
    if inner == 1:
        y = sums(x.reshape(outer, 1, -1), w[None, None], (padding,), numbers, "auto", edge)
    else:
        images = x.reshape(outer, 1, -1, inner)
        y = sums(images, w[None, None, :, None], (padding, (0, 0)), numbers, "auto", edge)
    return y.reshape(shape)


@lru_cache(maxsize=64)
def _coefficients(length: int, order: int, deriv: int, delta: float) -> np.ndarray:
    return savgol_coeffs(length, order, deriv, delta)  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def _ends(length: int, order: int, deriv: int, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Matrices that make, of the first and of the last window, the values that no window is round of."""
    half = length // 2
    places = [*range(half), *range(length - half, length)]
    t = np.linspace(-1, 1, length)  # where Legendre's polynomials are of one size
    q, r = np.linalg.qr(legendre.legvander(t, order))
    values = legendre.legvander(t[places], order - deriv) @ legendre.legder(np.eye(order + 1), deriv)
    rows = values @ np.linalg.solve(r, q.T) * (2 / ((length - 1) * delta)) ** deriv
    return rows[:half], rows[half:]
