"""Filters that smooth: Gaussians and means."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
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
    """Gaussian."""
    x = read(input)
    step = (read_axis(axis, x.ndim), *_shape(sigma, order, truncate, radius), read_mode(mode))
    return chained((step,), x, make_output(output, x, is_complex=x.dtype.kind == "c"), cval)


@in_place_of_scipy
def gaussian_filter(
    input: Any, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    truncate: float = 4.0, *, radius: Any = None, axes: Any = None,
) -> Any:  # fmt: skip
    """Gaussian."""
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
    return tuple(
        (axis, *_shape(s, o, truncate, r), read_mode(m)) for axis, s, o, m, r in each_of if s > LEAST_SIGMA
    )


def _shape(sigma: Any, order: Any, truncate: Any, radius: Any) -> tuple[float, int, int]:
    """Sigma, order and radius of a Gaussian."""
    sigma = float(sigma)
    reach = int(truncate * sigma + 0.5) if radius is None else radius
    if not isinstance(reach, numbers.Integral) or reach < 0 or not isinstance(order, numbers.Integral) or order < 0:
        raise Refused
    return sigma, int(order), int(reach)


def chained(steps: Sequence[tuple[Any, ...]], x: np.ndarray, y: np.ndarray, cval: Any) -> np.ndarray:
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
    """Mean."""
    x = read(input)
    length = read_size(size)
    step = "mean", read_axis(axis, x.ndim), length, before(length, origin), read_mode(mode)
    return run_passes((step,), x, make_output(output, x, is_complex=x.dtype.kind == "c"), cval)


@in_place_of_scipy
def uniform_filter(
    input: Any, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *,
    axes: Any = None,
) -> Any:  # fmt: skip
    """Mean."""
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


def run_passes(steps: Sequence[tuple[Any, ...]], x: np.ndarray, y: np.ndarray, cval: Any) -> np.ndarray:
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
