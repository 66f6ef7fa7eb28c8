"""Derivatives: Sobel's and Prewitt's filters, Laplace's, those of Gaussians, and sums of a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np

from .. import dispatch
from ..kept import kept
from ._arguments import NATIVE, each, make_output, read, read_axes, read_axis, read_mode
from ._run import filtered
from ._scipy import in_place_of_scipy
from .linear import read_constant
from .smoothing import chained, gaussian_steps, run_passes


@in_place_of_scipy
def sobel(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
    """Sobel's filter: the difference of neighbours along one axis, smoothed along the others.

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    axis : int
        Along which the derivative is taken; along the others (1, 2, 1) smooths.
    output, cval
        As for `correlate`. Between passes numbers have the output's dtype.
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
    Cost: 5 operations an element and axis. Error: none against SciPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ndimage
    >>> ndimage.sobel(np.outer([1.0, 1.0, 1.0], [0.0, 1.0, 4.0, 9.0]))
    array([[ 4., 16., 32., 20.],
           [ 4., 16., 32., 20.],
           [ 4., 16., 32., 20.]])
    """
    return _edges(read(input), axis, output, mode, cval, (1.0, 2.0, 1.0))


@in_place_of_scipy
def prewitt(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
    """Prewitt's filter: the difference of neighbours along one axis, summed over neighbours along the others.

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    axis : int
        Along which the derivative is taken; along the others (1, 1, 1) smooths.
    output, cval
        As for `correlate`. Between passes numbers have the output's dtype.
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
    Cost: 5 operations an element and axis. Error: none against SciPy.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ndimage
    >>> ndimage.prewitt(np.outer([1.0, 1.0, 1.0], [0.0, 1.0, 4.0, 9.0]))
    array([[ 3., 12., 24., 15.],
           [ 3., 12., 24., 15.],
           [ 3., 12., 24., 15.]])
    """
    return _edges(read(input), axis, output, mode, cval, (1.0, 1.0, 1.0))


def _edges(x: np.ndarray, axis: Any, output: Any, mode: Any, cval: Any, across: tuple[float, ...]) -> np.ndarray:
    axis = read_axis(axis, x.ndim)
    modes = tuple(each(mode, x.ndim)) if type(mode) is not str else mode
    return run_passes(_edge_steps(x.ndim, axis, modes, across), x, make_output(output, x), cval)


@lru_cache(maxsize=128)
def _edge_steps(ndim: int, axis: int, modes: Any, across: tuple[float, ...]) -> tuple[Any, ...]:
    each_mode = [read_mode(m) for m in each(modes, ndim)]
    steps = [("correlate", axis, 3, 1, each_mode[axis], (-1.0, 0.0, 1.0))]
    return (*steps, *(("correlate", a, 3, 1, each_mode[a], across) for a in range(ndim) if a != axis))


@in_place_of_scipy
def laplace(input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None) -> Any:
    """The sum of second differences, x[i-1] - 2*x[i] + x[i+1], along each axis.

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    output, cval, axes
        As for `correlate`; each difference has the output's dtype.
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
    Cost: 6 operations an element and axis. Error: none against SciPy.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.laplace([0.0, 0.0, 1.0, 0.0, 0.0])
    array([ 0.,  1., -2.,  1.,  0.])
    """

    x = read(input)
    if x.ndim == 2 and axes is None and x.dtype.char in NATIVE and type(mode) is str:
        y = make_output(output, x)
        steps = _second(0, read_mode(mode)), _second(1, mode)
        if y.dtype.char in NATIVE and x.size and _sum(steps, x.shape, NATIVE[x.dtype.char], NATIVE[y.dtype.char]):
            return filtered(partial(_sum, steps), x, y, read_constant(cval), None)

    def second(x: np.ndarray, axis: int, output: Any, mode: Any, cval: Any) -> np.ndarray:
        y = make_output(output, x, is_complex=x.dtype.kind == "c")
        return run_passes((_second(axis, read_mode(mode)),), x, y, cval)

    return _summed(x, second, output, mode, cval, (), {}, axes)


def _second(axis: int, mode: str) -> tuple[Any, ...]:
    """The pass of a second derivative."""
    return "correlate", axis, 3, 1, mode, (1.0, -2.0, 1.0)


@kept
def _sum(steps: tuple[Any, ...], shape: tuple[int, ...], x_dtype: np.dtype, y_dtype: np.dtype) -> Any:
    return dispatch.operator("filter_sum")(shape, steps, x_dtype, y_dtype)


@in_place_of_scipy
def gaussian_laplace(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """The sum of a Gaussian's second derivatives along each axis.

    Parameters
    ----------
    input : array_like
        Real or complex; integers and booleans, too.
    sigma : float or one for each axis
        Standard deviations, in elements.
    output, cval, axes
        As for `correlate`; each derivative has the output's dtype.
    mode : str or one for each axis
        As for `correlate`.
    **kwargs
        For `gaussian_filter`: truncate, radius.

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
    Cost: that of a `gaussian_filter` for each axis. Error: none against SciPy.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.gaussian_laplace([0.0, 0.0, 1.0, 0.0, 0.0], 1).round(3)
    array([ 0.197,  0.002, -0.399,  0.002,  0.197])
    """
    x = read(input)
    filtered_axes = read_axes(axes, x.ndim)
    sigmas = [0.0] * x.ndim
    for axis, s in zip(filtered_axes, each(sigma, len(filtered_axes)), strict=True):
        sigmas[axis] = s
    return _summed(x, _gaussian_derivative(2), output, mode, cval, (sigmas,), kwargs, axes)


@in_place_of_scipy
def gaussian_gradient_magnitude(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """The length of the gradient of x smoothed by a Gaussian.

    Parameters
    ----------
    input : array_like
        Real; integers and booleans, too.
    sigma : float or one for each axis
        Standard deviations, in elements.
    output, cval, axes
        As for `correlate`; each derivative, and its square, has the output's dtype.
    mode : str or one for each axis
        As for `correlate`.
    **kwargs
        For `gaussian_filter`: truncate, radius.

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
    Cost: that of a `gaussian_filter` for each axis. Error: none against SciPy.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.gaussian_gradient_magnitude([0.0, 0.0, 1.0, 1.0, 1.0], 1).round(3)
    array([0.108, 0.363, 0.364, 0.122, 0.013])
    """
    return _magnitude(read(input), _gaussian_derivative(1), output, mode, cval, (sigma,), kwargs, axes)


def _gaussian_derivative(degree: int) -> Callable[..., np.ndarray]:
    def derivative(
        x: np.ndarray, axis: int, output: Any, mode: Any, cval: Any, sigma: Any, truncate: float = 4.0, *,
        radius: Any = None, axes: Any = None,
    ) -> np.ndarray:  # fmt: skip
        order = [0] * x.ndim
        order[axis] = degree
        steps = gaussian_steps(x.ndim, sigma, order, mode, truncate, radius, axes)
        return chained(steps, x, make_output(output, x), cval)

    return derivative


@in_place_of_scipy
def generic_laplace(
    input: Any, derivative2: Callable[..., Any], output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    extra_arguments: tuple[Any, ...] = (), extra_keywords: Mapping[str, Any] | None = None, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The sum of a second derivative of your own along each axis.

    Parameters
    ----------
    input : array_like
        What the derivative takes.
    derivative2 : callable
        ``derivative2(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``, which fills or returns
        `output`, an array or a dtype.
    output, cval, axes
        As for `correlate`.
    mode : str or one for each axis
        As for `correlate`.
    extra_arguments, extra_keywords
        For the derivative.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError
        What SciPy refuses, in its words; and what the derivative raises.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> def second(x, axis, output, mode, cval):
    ...     return ndimage.correlate1d(x, [1, -2, 1], axis, output, mode, cval)
    >>> ndimage.generic_laplace([0.0, 0.0, 1.0, 0.0, 0.0], second)
    array([ 0.,  1., -2.,  1.,  0.])
    """
    return _summed(read(input), derivative2, output, mode, cval, extra_arguments, extra_keywords or {}, axes)


@in_place_of_scipy
def generic_gradient_magnitude(
    input: Any, derivative: Callable[..., Any], output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    extra_arguments: tuple[Any, ...] = (), extra_keywords: Mapping[str, Any] | None = None, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The root of the sum of squares of a derivative of your own along each axis.

    Parameters
    ----------
    input : array_like
        What the derivative takes.
    derivative : callable
        ``derivative(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``, which fills or returns
        `output`, an array or a dtype.
    output, cval, axes
        As for `correlate`.
    mode : str or one for each axis
        As for `correlate`.
    extra_arguments, extra_keywords
        For the derivative.

    Returns
    -------
    y : ndarray
        Of x's shape, and of its dtype unless `output` says otherwise.

    Raises
    ------
    RuntimeError, ValueError
        What SciPy refuses, in its words; and what the derivative raises.

    Examples
    --------
    >>> from fastconv import ndimage
    >>> ndimage.generic_gradient_magnitude([[0.0, 0.0, 1.0, 1.0, 1.0]], ndimage.sobel)
    array([[0., 4., 4., 0., 0.]])
    """
    return _magnitude(read(input), derivative, output, mode, cval, extra_arguments, extra_keywords or {}, axes)


def _summed(
    x: np.ndarray, derivative: Callable[..., Any], output: Any, mode: Any, cval: Any, more: tuple[Any, ...],
    named: Mapping[str, Any], axes: Any,
) -> np.ndarray:  # fmt: skip
    """The sum of a derivative along each axis."""
    y = make_output(output, x)
    axes = read_axes(axes, x.ndim)
    modes = each(mode, len(axes))
    if not axes:
        y[...] = x
    for number, (axis, m) in enumerate(zip(axes, modes, strict=True)):
        if number == 0:
            derivative(x, axis, y, m, cval, *more, **named)
        else:
            y += derivative(x, axis, y.dtype, m, cval, *more, **named)
    return y


def _magnitude(
    x: np.ndarray, derivative: Callable[..., Any], output: Any, mode: Any, cval: Any, more: tuple[Any, ...],
    named: Mapping[str, Any], axes: Any,
) -> np.ndarray:  # fmt: skip
    """The root of the sum of a derivative's squares along each axis."""
    y = make_output(output, x)
    axes = read_axes(axes, x.ndim)
    modes = each(mode, len(axes))
    if not axes:
        y[...] = x
        return y
    for number, (axis, m) in enumerate(zip(axes, modes, strict=True)):
        part = derivative(x, axis, y if number == 0 else y.dtype, m, cval, *more, **named)
        if number == 0:
            np.multiply(y, y, y)
        else:
            np.multiply(part, part, part)
            y += part
    return np.sqrt(y, y, casting="unsafe")  # type: ignore[no-any-return]
