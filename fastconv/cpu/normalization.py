"""Batch normalisation: statistics, the normalising pass, and the two passes of its gradient (`normalization_passes`).

Twin: ``fastconv/cuda/normalization.py``. Arrays are cut into runs (`cpu.runs`); a task owns one run. `floor` is 0 where
the input goes through a relu first (y = BN(relu(x))) and -inf where it does not: the relu and its gradient then cost
nothing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ..memory import scratch
from ..simd.host import host
from ..simd.parallel import regions
from ..threads import team
from .normalization_passes import grad_input, grad_sums, normalize, normalize_pixels, sum_moments
from .normalization_steps import (
    coefficients_of,
    extremes,
    grad_factors,
    moments,
    pull_back,
    sum_up,
    train,
    train_pooled,
)
from .pool.gradients import add_at
from .pooled_normalization import cut_bands, moments_and_maxima, pooled_grad_input
from .runs import DOUBLE, Runs, cut_runs, sums_of

Extremes = tuple[float, float]  # the largest result, and what the largest of each pixel reaches at least
_NONE, _NO_SUMS = np.empty(0), np.empty(0, np.float32)


def channel_statistics(x: np.ndarray, mean: np.ndarray, var: np.ndarray, *, axis: int, relu: bool) -> None:
    """Mean and biased variance of each channel of x, or of relu(x), both in float64, in one pass over x.

    Sums of x and its square relative to each channel's first element, in double precision: an offset that is large
    beside the spread costs no accuracy.
    """
    cut, C = cut_runs(x.shape, axis), x.shape[axis]
    first = x[(0,) * axis + (slice(None),) + (0,) * (x.ndim - axis - 1)] if x.size else np.zeros(C, x.dtype)
    shift = np.maximum(first, 0) if relu else first
    sums, squares = sums_of(cut, x.size, 2)
    numbers = cut.periods, cut.width, cut.fold, *cut.geometry
    sum_moments(
        *tasks_of(cut, 4 * x.size), x.reshape(-1), cut.spread(shift, x.dtype), lowest(x, relu), sums, squares, *numbers
    )
    moments(sums, squares, cut.periods, cut.pieces, cut.fold, shift.astype(np.float64), x.size // C, mean, var)


def batch_norm(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, var: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, axis: int,
    epsilon: float, relu: bool,
) -> Extremes | None:  # fmt: skip
    """y = (x - mean)*gamma/sqrt(var + epsilon) + beta, with relu(x) for x if `relu`.

    Returns how large results are, where channels are the last axis and whole vectors.
    """
    cut = cut_runs(x.shape, axis)
    coefficients = np.empty((3, cut.order.size), x.dtype)
    coefficients_of(_double(mean), _double(var), _double(gamma), _double(beta), float(epsilon), cut.order, coefficients)
    peaks, arrays, floor = _peaks_of(x, axis, cut), (x.reshape(-1), y.reshape(-1), *coefficients), lowest(x, relu)
    if peaks.size:
        tasks = len(peaks)
        normalize_pixels(team(tasks, 3 * x.size), tasks, *arrays, floor, x.shape[axis], cut.pixels, peaks.reshape(-1))
    else:
        normalize(*tasks_of(cut, 3 * x.size), *arrays, floor, cut.periods, cut.width, *cut.geometry)
    return _extremes(peaks)


def _peaks_of(x: np.ndarray, axis: int, cut: Runs) -> np.ndarray:
    """Room for what `normalize_pixels` finds, a row for each task; none where it does not serve."""
    lanes = host().lanes(x.itemsize)
    if axis != x.ndim - 1 or x.shape[axis] % lanes:
        return np.empty((0, 0), x.dtype)
    return np.empty((-(-x.size // (x.shape[axis] * cut.pixels)), 2 * lanes), x.dtype)


def _extremes(peaks: np.ndarray) -> Extremes | None:
    return extremes(peaks, peaks.shape[1] // 2) if peaks.size else None


def batch_norm_training(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, var: np.ndarray, gamma: np.ndarray, beta: np.ndarray,
    moving_mean: np.ndarray | None, moving_var: np.ndarray | None, *, axis: int, epsilon: float, relu: bool,
    share: float, maxima: np.ndarray | None = None, window: tuple[int, int] | None = None,
) -> Extremes | None:  # fmt: skip
    """As `batch_norm`, by the statistics of x, which are written to mean and var.

    The moving ones, unless they are None, come nearer to them by `share`. What is normalised is x, or `maxima` of it;
    with a `window`, whose maxima they then become.
    """
    given = x if maxima is None else maxima
    cut, own, floor, dtype = cut_runs(x.shape, axis), cut_runs(given.shape, axis), lowest(x, relu), x.dtype
    moving = (_NONE, _NONE) if moving_mean is None or moving_var is None else (moving_mean, moving_var)
    members, tasks = tasks_of(cut, 4 * x.size)
    flat, step, order = x.reshape(-1), math.prod(x.shape[axis + 1 :]), cut.order
    weights = _double(gamma), _double(beta), *moving, float(epsilon), float(share), x.size // max(1, x.shape[axis])
    rest = flat, given.reshape(-1), y.reshape(-1), *weights, floor, mean, var, order, step
    peaks = _peaks_of(given, axis, own)
    normalizing = tasks_of(own, 3 * given.size)[1], own.numbers, peaks
    if window is None:
        sums = sums_of(cut, x.size, 2)
        train(*regions(members), *_forward(dtype), members, tasks, cut.numbers, *normalizing, sums, *rest)
    else:
        bands, numbers = cut_bands(x.shape, window)
        sums = scratch((2, bands.tasks * bands.C), DOUBLE)
        members = team(bands.tasks, 4 * x.size)
        train_pooled(*regions(members), *_forward(dtype), members, bands.tasks, numbers, *normalizing, sums, *rest)
    return _extremes(peaks)


@lru_cache(maxsize=8)
def _forward(dtype: np.dtype) -> tuple[int, int, int, int]:
    """Where the kernels of a forward pass lie for arrays of a dtype."""
    a, sums, number = np.empty(0, dtype), np.empty(0), dtype.type(0)
    return (
        sum_moments.address((a, a, number, sums, sums, *(0,) * 6)),
        moments_and_maxima.address((a, a, a, number, np.empty(0, np.int64), sums, sums)),
        normalize.address((a, a, a, a, a, number, *(0,) * 5)),
        normalize_pixels.address((a, a, a, a, a, number, 0, 0, a)),
    )


def batch_norm_grad(
    dy: np.ndarray, x: np.ndarray, mean: np.ndarray, var: np.ndarray, gamma: np.ndarray, dx: np.ndarray | None,
    dgamma: np.ndarray, dbeta: np.ndarray, dbias: np.ndarray | None = None, *, axis: int, epsilon: float, relu: bool,
    training: bool, maxima: tuple[np.ndarray, Any] | None = None, part: Any = None,
) -> None:  # fmt: skip
    """dgamma, dbeta and, unless they are None, dx and its sums per channel; in `training` mean and var depend on x.

    Where only `maxima` of x were normalised, dy is theirs, and they come with the places that they have in x, or with
    the window. Of a
    `part` of a batch mean and var depend on all of it: the sums in dx are means over the parts.
    """
    given = x if maxima is None else maxima[0]
    cut, floor, dtype = cut_runs(given.shape, axis), lowest(x, relu), x.dtype
    order, count = cut.order, x.size // x.shape[axis] if training else 0
    sums, center, factors = sums_of(cut, given.size, 2), np.empty(order.size, dtype), np.empty((3, order.size), dtype)
    members, tasks = tasks_of(cut, 4 * given.size)
    rest = _double(mean), _double(var), _double(gamma), float(epsilon), count, order, center, factors, dgamma, dbeta
    sums_at, input_at = _backward(dtype)
    arrays = given.reshape(-1), dy.reshape(-1)
    if maxima is None and part is None and dx is not None:
        partial = scratch((cut.tasks * cut.fold,), DOUBLE) if dbias is not None else _NONE
        last = dx.reshape(-1), partial, _NO_SUMS if dbias is None else dbias
        begin = *regions(members), sums_at, input_at, members, tasks
        pull_back(*begin, cut.numbers, *arrays, floor, sums, *rest, *last)
        return
    sum_up(*regions(members), sums_at, members, tasks, cut.numbers, *arrays, floor, sums, *rest)
    if dx is None:
        return
    if part is not None and training:
        whole = part.mean(np.stack([cut.reduce(sums[0]), cut.reduce(sums[1])]))
        grad_factors(*whole, 1, 1, x.shape[axis], *rest[1:6], np.empty((2, x.shape[axis])), factors)
    if maxima is None:
        bias = _flow(x, dy, dx, center, factors, floor, axis, dbias is not None)
    elif isinstance(maxima[1], tuple):
        bias = pooled_grad_input(dy, x, maxima[0], dx, maxima[1], center, factors, floor)
    else:
        bias = _flow_by_maxima(x, dy, dx, maxima, center, factors, floor, axis, dbias is not None)
    if dbias is not None:
        dbias[...] = bias


@lru_cache(maxsize=8)
def _backward(dtype: np.dtype) -> tuple[int, int]:
    """Where the kernels of a gradient lie for arrays of a dtype."""
    a, sums, number = np.empty(0, dtype), np.empty(0), dtype.type(0)
    return (
        grad_sums.address((a, a, a, number, sums, sums, *(0,) * 6)),
        grad_input.address((a, a, a, a, a, a, a, number, sums, *(0,) * 6)),
    )


def _flow_by_maxima(
    x: np.ndarray, dy: np.ndarray, dx: np.ndarray, maxima: tuple[np.ndarray, np.ndarray], center: np.ndarray,
    factors: np.ndarray, floor: Any, axis: int, summed: bool,
) -> Any:  # fmt: skip
    """dx through the statistics, everywhere, and through the maxima, where they lay; its sums if `summed`."""
    direct, by_statistics = np.zeros((2, *factors.shape), factors.dtype)
    direct[0], by_statistics[1:] = factors[0], factors[1:]
    through = scratch(dy.shape, dy.dtype)
    bias = _flow(maxima[0], dy, through, center, direct, floor, axis, summed)
    bias += _flow(x, x, dx, center, by_statistics, floor, axis, summed)
    add_at(through, maxima[1], dx, axis)
    return bias


def _flow(
    x: np.ndarray, dy: np.ndarray, dx: np.ndarray, center: np.ndarray, factors: np.ndarray, floor: Any, axis: int,
    summed: bool,
) -> Any:  # fmt: skip
    """Write dx as the factors say (see `grad_input`); its sums per channel if `summed`, else 0."""
    cut = cut_runs(x.shape, axis)
    fold = cut.fold if summed else 0
    partial = sums_of(cut, x.size, 1)[0] if summed else np.zeros(0)
    grad_input(
        *tasks_of(cut, 4 * x.size), x.reshape(-1), dy.reshape(-1), dx.reshape(-1), center, *factors, floor, partial,
        cut.periods, cut.width, fold, *cut.geometry,
    )  # fmt: skip
    return cut.reduce(partial) if summed else 0


def tasks_of(cut: Runs, work: int) -> tuple[int, int]:
    """Threads, and runs for them."""
    return team(cut.tasks, work), cut.tasks if work else 0


def _double(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a, np.float64)


def lowest(x: np.ndarray, relu: bool) -> Any:
    return x.dtype.type(0 if relu else -np.inf)
