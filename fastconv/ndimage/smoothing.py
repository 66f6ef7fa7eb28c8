"""Filters that smooth: Gaussians and means."""

from __future__ import annotations

import numbers
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .. import dispatch
from ..kept import kept
from . import _general
from ._arguments import before, each, make_output, read, read_axes, read_axis, read_mode, read_size
from ._run import by_parts, filtered
from ._scipy import Refused, in_place_of_scipy
from .linear import read_constant

LEAST_SIGMA = 1e-15  # SciPy skips axes with less


@in_place_of_scipy
def gaussian_filter1d(
    input: Any, sigma: float, axis: int = -1, order: int = 0, output: Any = None, mode: str = "reflect",
    cval: Any = 0.0, truncate: float = 4.0, *, radius: Any = None,
) -> Any:  # fmt: skip
    """Smooth by a Gaussian, or take a derivative of one, along one axis.

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    sigma : float
        The Gaussian's standard deviation, in elements.
    axis : int
        Along which.
    order : int
        Which derivative of the Gaussian; 0 is the Gaussian itself.
    output, mode, cval
        As for `correlate`.
    truncate : float
        Where the window ends, in standard deviations.
    radius : int, optional
        Elements of the window on either side instead.

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
    Cost: 3*radius operations an element. Error: none against SciPy.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.gaussian_filter1d([1.0, 2.0, 3.0, 4.0, 5.0], 1).round(4)
    array([1.427 , 2.0678, 3.    , 3.9322, 4.573 ])
    """
    x = read(input)
    step = (read_axis(axis, x.ndim), *_shape(sigma, order, truncate, radius), read_mode(mode))
    return chained((step,), x, make_output(output, x, is_complex=x.dtype.kind == "c"), cval)


@in_place_of_scipy
def gaussian_filter(
    input: Any, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    truncate: float = 4.0, *, radius: Any = None, axes: Any = None,
) -> Any:  # fmt: skip
    """Smooth by a Gaussian, or take derivatives of one: a pass along each axis.

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    sigma : float or one for each axis
        Standard deviations, in elements; an axis of 0 is left alone.
    order : int or one for each axis
        Which derivative along each axis; 0 is the Gaussian itself.
    output, cval, axes
        As for `correlate`. Between passes numbers have the output's dtype, so integers are truncated after each.
    mode : str or one for each axis
        As for `correlate`.
    truncate : float
        Where windows end, in standard deviations.
    radius : int or one for each axis, optional
        Elements of windows on either side instead.

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
    Cost: 3*radius operations an element and axis; two neighbouring axes are filtered while a block is in the cache.
    Error: none against SciPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ndimage
    >>> ndimage.gaussian_filter(np.arange(0, 50, 2).reshape(5, 5), sigma=1)
    array([[ 4,  6,  8,  9, 11],
           [10, 12, 14, 15, 17],
           [20, 22, 24, 25, 27],
           [29, 31, 33, 34, 36],
           [35, 37, 39, 40, 42]])
    """
    x = read(input)
    steps = gaussian_steps(x.ndim, sigma, order, mode, truncate, radius, axes)
    return chained(steps, x, make_output(output, x), cval)


def gaussian_steps(
    ndim: int, sigma: Any, order: Any, mode: Any, truncate: Any, radius: Any = None, axes: Any = None
) -> tuple[tuple[Any, ...], ...]:
    """The passes of a Gaussian, or its derivatives: axis, sigma, order, radius and mode of each."""
    axes = read_axes(axes, ndim)
    count = len(axes)
    each_of = zip(axes, each(sigma, count), each(order, count), each(mode, count), each(radius, count), strict=True)
    return tuple((axis, *_shape(s, o, truncate, r), read_mode(m)) for axis, s, o, m, r in each_of if s > LEAST_SIGMA)


def _shape(sigma: Any, order: Any, truncate: Any, radius: Any) -> tuple[float, int, int]:
    """Sigma, order and radius of a Gaussian."""
    sigma = float(sigma)
    reach = int(truncate * sigma + 0.5) if radius is None else radius
    if not isinstance(reach, numbers.Integral) or reach < 0 or not isinstance(order, numbers.Integral) or order < 0:
        raise Refused
    return sigma, int(order), int(reach)


def chained(steps: tuple[tuple[Any, ...], ...], x: np.ndarray, y: np.ndarray, cval: Any) -> np.ndarray:
    """Write the Gaussian passes of `gaussian_steps` to y; without any, x."""
    if not steps:
        y[...] = x
        return y
    if x.dtype.kind == "c":
        if y.dtype.kind != "c":
            raise Refused
        return by_parts(partial(chained, steps), x, y, cval)

    def general(x: np.ndarray, y: np.ndarray, cval: Any) -> None:
        _general.run_chain([_pass(*step) for step in steps], x, y, cval)

    return filtered(partial(_gaussian, steps), x, y, read_constant(cval), general)


@kept
def _gaussian(steps: tuple[Any, ...], shape: tuple[int, ...], x_dtype: np.dtype, y_dtype: np.dtype) -> Any:
    passes = [_pass(*step) for step in steps]
    return dispatch.operator("filter_chain")(shape, passes, x_dtype, y_dtype)


def _pass(axis: int, sigma: float, order: int, radius: int, mode: str) -> tuple[Any, ...]:
    weights = gaussian_weights(sigma, order, radius)
    return "correlate", axis, len(weights), radius, mode, weights


@lru_cache(maxsize=256)
def gaussian_weights(sigma: float, order: int, radius: int) -> tuple[float, ...]:
    """The derivative of this order of a Gaussian, at -radius, ..., radius, the last first: to correlate with.

    The Gaussian's sum is made 1, and the derivative is that of the continuous one, a polynomial q times the Gaussian g:
    (q*g)' = (q' - q*x/sigma**2) * g.
    """
    x = np.arange(-radius, radius + 1)
    with np.errstate(all="ignore"):  # sigma 0, with a radius: SciPy's NaN
        variance = np.float64(sigma) * sigma
        weights = np.exp(-0.5 / variance * x**2)
        weights = weights / weights.sum()
        if order:
            powers = np.arange(order + 1)
            step = np.diag(powers[1:], 1) + np.diag(np.ones(order) / -variance, -1)
            q = np.zeros(order + 1)
            q[0] = 1
            for _ in range(order):
                q = step.dot(q)
            weights = (x[:, None] ** powers).dot(q) * weights
    return tuple(weights[::-1].tolist())


@in_place_of_scipy
def uniform_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Any:
    """The mean of a window along one axis.

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
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
    RuntimeError, ValueError
        What SciPy refuses, in its words.

    Notes
    -----
    Cost: about 2*log2(size) operations an element. Error in float64: below log2(size)*2**-53 of the mean of |x|, for
    sums of two, four, ... neighbours are added; SciPy's running sum drifts along the axis. So a NaN or an infinity
    reaches the windows that hold it, and in SciPy all behind them. Of integers the results are SciPy's.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.uniform_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([4, 3, 4, 1, 4, 6, 6, 3])
    """
    x = read(input)
    length = read_size(size)
    step = "mean", read_axis(axis, x.ndim), length, before(length, origin), read_mode(mode)
    return run_passes((step,), x, make_output(output, x, is_complex=x.dtype.kind == "c"), cval)


@in_place_of_scipy
def uniform_filter(
    input: Any, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *,
    axes: Any = None,
) -> Any:  # fmt: skip
    """The mean of a box: a pass along each axis.

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    size : int or one for each axis
        Elements of the window.
    output, cval, origin, axes
        As for `correlate`. Between passes numbers have the output's dtype, so integers are truncated after each.
    mode : str or one for each axis
        As for `correlate`.

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
    Cost and error as for `uniform_filter1d`, for each axis.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ndimage
    >>> ndimage.uniform_filter(np.eye(4) * 9, size=3)
    array([[5., 3., 1., 0.],
           [3., 3., 2., 1.],
           [1., 2., 3., 3.],
           [0., 1., 3., 5.]])
    """
    x = read(input)
    steps = box_steps("mean", x.ndim, size, mode, origin, axes)
    return run_passes(steps, x, make_output(output, x, is_complex=x.dtype.kind == "c"), cval)


def box_steps(kind: str, ndim: int, size: Any, mode: Any, origin: Any, axes: Any) -> tuple[tuple[Any, ...], ...]:
    """The passes of a box: "mean", "max" or "min" along each axis of more than one element."""
    axes = read_axes(axes, ndim)
    count = len(axes)
    each_of = zip(axes, each(size, count), each(origin, count), each(mode, count), strict=True)
    steps = []
    for axis, k, o, m in each_of:
        if k > 1:
            length = read_size(int(k))
            steps.append((kind, axis, length, before(length, o), read_mode(m)))
    return tuple(steps)


def run_passes(steps: tuple[tuple[Any, ...], ...], x: np.ndarray, y: np.ndarray, cval: Any) -> np.ndarray:
    """Write passes as kernels know them to y; without any, x."""
    if not steps:
        y[...] = x
        return y
    if x.dtype.kind == "c":
        if y.dtype.kind != "c":
            raise Refused
        return by_parts(partial(run_passes, steps), x, y, cval)
    return filtered(partial(_chain, steps), x, y, read_constant(cval), partial(_general.run_chain, steps))


@kept
def _chain(steps: tuple[Any, ...], shape: tuple[int, ...], x_dtype: np.dtype, y_dtype: np.dtype) -> Any:
    return dispatch.operator("filter_chain")(shape, steps, x_dtype, y_dtype)
