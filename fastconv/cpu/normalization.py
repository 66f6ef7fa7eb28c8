"""Batch normalisation: statistics, the normalising pass, and the two passes of its gradient.

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
from ..simd.jit import callable_kernel, kernel
from ..simd.parallel import parallel_kernel, regions
from ..simd.region import share as run_region
from ..threads import team
from .pool.gradients import add_at
from .pooled_normalization import cut_bands, moments_and_maxima, pooled_grad_input
from .runs import DOUBLE, Runs, add_columns, bounds, clear, cut_runs, fold_columns, sums_of

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
    _moments(sums, squares, cut.periods, cut.pieces, cut.fold, shift.astype(np.float64), x.size // C, mean, var)


def batch_norm(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, var: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, axis: int,
    epsilon: float, relu: bool,
) -> None:  # fmt: skip
    """y = (x - mean)*gamma/sqrt(var + epsilon) + beta, with relu(x) for x if `relu`."""
    cut = cut_runs(x.shape, axis)
    coefficients = np.empty((3, cut.order.size), x.dtype)
    _coefficients(_double(mean), _double(var), _double(gamma), _double(beta), float(epsilon), cut.order, coefficients)
    numbers = lowest(x, relu), cut.periods, cut.width, *cut.geometry
    normalize(*tasks_of(cut, 3 * x.size), x.reshape(-1), y.reshape(-1), *coefficients, *numbers)


def batch_norm_training(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, var: np.ndarray, gamma: np.ndarray, beta: np.ndarray,
    moving_mean: np.ndarray | None, moving_var: np.ndarray | None, *, axis: int, epsilon: float, relu: bool,
    share: float, maxima: np.ndarray | None = None, window: tuple[int, int] | None = None,
) -> None:  # fmt: skip
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
    normalizing = tasks_of(own, 3 * given.size)[1], own.numbers
    if window is None:
        sums = sums_of(cut, x.size, 2)
        _train(*regions(members), *_forward(dtype), members, tasks, cut.numbers, *normalizing, sums, *rest)
    else:
        bands, numbers = cut_bands(x.shape, window)
        sums = scratch((2, bands.tasks * bands.C), DOUBLE)
        members = team(bands.tasks, 4 * x.size)
        _train_pooled(*regions(members), *_forward(dtype), members, bands.tasks, numbers, *normalizing, sums, *rest)


@lru_cache(maxsize=8)
def _forward(dtype: np.dtype) -> tuple[int, int, int]:
    """Where the kernels of a forward pass lie for arrays of a dtype."""
    a, sums, number = np.empty(0, dtype), np.empty(0), dtype.type(0)
    return (
        sum_moments.address((a, a, number, sums, sums, *(0,) * 6)),
        moments_and_maxima.address((a, a, a, number, np.empty(0, np.int64), sums, sums)),
        normalize.address((a, a, a, a, a, number, *(0,) * 5)),
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
        _pull_back(*begin, cut.numbers, *arrays, floor, sums, *rest, *last)
        return
    _sum_up(*regions(members), sums_at, members, tasks, cut.numbers, *arrays, floor, sums, *rest)
    if dx is None:
        return
    if part is not None and training:
        whole = part.mean(np.stack([cut.reduce(sums[0]), cut.reduce(sums[1])]))
        _grad_factors(*whole, 1, 1, x.shape[axis], *rest[1:6], np.empty((2, x.shape[axis])), factors)
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


@kernel
def clip(v, floor):
    """max(v, floor); a NaN stays."""
    return floor if v < floor else v


@parallel_kernel
def sum_moments(thread, first, last, x, shift, floor, sums, squares, periods, width, fold, plane, length, pieces):
    """Sums of x - shift and of its square over each run: four rows at a time in x's precision, then in double."""
    total, total_2 = np.empty(width, np.float64), np.empty(width, np.float64)
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        a = x[start:stop]
        period = run // pieces % periods * width
        k = shift[period : period + width]
        clear(total)
        clear(total_2)
        i = 0
        while i + 4 * width <= a.size:
            p, q = a[i : i + width], a[i + width : i + 2 * width]
            r, s = a[i + 2 * width : i + 3 * width], a[i + 3 * width : i + 4 * width]
            for j in range(width):
                e, f, g, h = (
                    clip(p[j], floor) - k[j],
                    clip(q[j], floor) - k[j],
                    clip(r[j], floor) - k[j],
                    clip(s[j], floor) - k[j],
                )
                total[j] += np.float64((e + f) + (g + h))
                total_2[j] += np.float64((e * e + f * f) + (g * g + h * h))
            i += 4 * width
        while i < a.size:
            p = a[i : i + width]
            for j in range(p.size):
                e = clip(p[j], floor) - k[j]
                total[j] += np.float64(e)
                total_2[j] += np.float64(e) * np.float64(e)
            i += width
        fold_columns(total, sums[run * fold : (run + 1) * fold])
        fold_columns(total_2, squares[run * fold : (run + 1) * fold])


@kernel
def _reduce(partial, periods, pieces, fold, total):
    """Sums per channel of the sums per run, in order."""
    clear(total)
    for run in range(partial.size // fold):
        at = run // pieces % periods * fold
        sums, own = total[at : at + fold], partial[run * fold : (run + 1) * fold]
        for j in range(fold):
            sums[j] += own[j]


@callable_kernel
def _moments(sums, squares, periods, pieces, fold, shift, count, mean, var):
    """Mean and variance of each channel from the sums over its runs, relative to `shift`."""
    _reduce(sums, periods, pieces, fold, mean)
    _reduce(squares, periods, pieces, fold, var)
    share = max(count, 1)
    for c in range(mean.size):
        offset = mean[c] / share
        mean[c] = shift[c] + offset
        var[c] = max(var[c] / share - offset * offset, 0.0)


@callable_kernel
def _coefficients(mean, var, gamma, beta, epsilon, order, coefficients):
    """Mean, scale and beta as `normalize` reads them."""
    for i in range(order.size):
        c = order[i]
        coefficients[0, i] = mean[c]
        coefficients[1, i] = gamma[c] / math.sqrt(var[c] + epsilon)
        coefficients[2, i] = beta[c]


@callable_kernel
def _grad_factors(sums, products, periods, pieces, fold, var, gamma, epsilon, count, order, found, factors):
    """dbeta and dgamma in `found`, and what `grad_input` multiplies by; `count` 0 where the statistics are fixed."""
    offsets, slopes = found[0], found[1]
    _reduce(sums, periods, pieces, fold, offsets)
    _reduce(products, periods, pieces, fold, slopes)
    for c in range(var.size):
        slopes[c] *= 1.0 / math.sqrt(var[c] + epsilon)
    for i in range(order.size):
        c = order[i]
        inverse = 1.0 / math.sqrt(var[c] + epsilon)
        by_dy = gamma[c] * inverse
        part = by_dy / count if count > 0 else 0.0
        factors[0, i] = by_dy
        factors[1, i] = -part * inverse * slopes[c]
        factors[2, i] = -part * offsets[c]


@kernel
def _shift(x, order, step, floor):
    """The first element of each channel, as kernels read coefficients: what sums are relative to."""
    shift = np.zeros(order.size, x.dtype)
    if x.size:
        for i in range(order.size):
            shift[i] = clip(x[order[i] * step], floor)
    return shift


@kernel
def _follow(moving, new, share):
    """Bring moving statistics nearer to new ones."""
    for c in range(moving.size):
        moving[c] += share * (new[c] - np.float64(moving[c]))


@kernel
def _normalize_by(
    lead, words, normalize_at, members, tasks, cut, given, y, gamma, beta, moving_mean, moving_var, epsilon, share,
    floor, mean, var, order,
):  # fmt: skip
    """What follows when mean and variance are known: moving ones, and the region that normalises."""
    _follow(moving_mean, mean, share)
    _follow(moving_var, var, share)
    factors = np.empty((3, order.size), given.dtype)
    _coefficients(mean, var, gamma, beta, epsilon, order, factors)
    if tasks:
        numbers = floor, cut[0], cut[1], cut[3], cut[4], cut[5]
        run_region(lead, words, normalize_at, members, tasks, (given, y, factors[0], factors[1], factors[2], *numbers))


@kernel
def _by_channels(shift, order, channels):
    """A number for each channel out of coefficients."""
    found = np.empty(channels, np.float64)
    for i in range(order.size):
        found[order[i]] = shift[i]
    return found


@callable_kernel
def _train(
    lead, words, moments_at, maxima_at, normalize_at, members, tasks, cut, y_tasks, y_cut, sums, x, given, y, gamma,
    beta, moving_mean, moving_var, epsilon, share, count, floor, mean, var, order, step,
):  # fmt: skip
    """A forward pass in training, two regions, without going back to Python between them."""
    shift = _shift(x, order, step, floor)
    if tasks:
        numbers = cut[0], cut[1], cut[2], cut[3], cut[4], cut[5]
        run_region(lead, words, moments_at, members, tasks, (x, shift, floor, sums[0], sums[1], *numbers))
    _moments(sums[0], sums[1], cut[0], cut[5], cut[2], _by_channels(shift, order, mean.size), count, mean, var)
    _normalize_by(
        lead, words, normalize_at, members, y_tasks, y_cut, given, y, gamma, beta, moving_mean, moving_var, epsilon,
        share, floor, mean, var, order,
    )  # fmt: skip


@callable_kernel
def _train_pooled(
    lead, words, moments_at, maxima_at, normalize_at, members, tasks, bands, y_tasks, y_cut, sums, x, given, y, gamma,
    beta, moving_mean, moving_var, epsilon, share, count, floor, mean, var, order, step,
):  # fmt: skip
    """As `_train`, where `given` are the maxima of windows, which are found meanwhile."""
    shift = _shift(x, order, step, floor)
    if tasks:
        run_region(lead, words, maxima_at, members, tasks, (x, given, shift, floor, bands, sums[0], sums[1]))
    _moments(sums[0], sums[1], 1, tasks, mean.size, _by_channels(shift, order, mean.size), count, mean, var)
    _normalize_by(
        lead, words, normalize_at, members, y_tasks, y_cut, given, y, gamma, beta, moving_mean, moving_var, epsilon,
        share, floor, mean, var, order,
    )  # fmt: skip


@parallel_kernel
def normalize(thread, first, last, x, y, mean, scale, beta, floor, periods, width, plane, length, pieces):
    """y = (x - mean)*scale + beta."""
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        period = run // pieces % periods * width
        m, s, c = mean[period : period + width], scale[period : period + width], beta[period : period + width]
        for i in range(start, stop, width):
            a, b = x[i : min(i + width, stop)], y[i : min(i + width, stop)]
            for j in range(a.size):
                b[j] = (clip(a[j], floor) - m[j]) * s[j] + c[j]


@kernel
def _sums_and_factors(
    lead, words, sums_at, members, tasks, cut, x, dy, floor, sums, mean, var, gamma, epsilon, count, order, center,
    factors, dgamma, dbeta,
):  # fmt: skip
    """The region that sums up dy and dy*(x - mean), and what follows from the sums."""
    for i in range(order.size):
        center[i] = mean[order[i]]
    if tasks:
        numbers = cut[0], cut[1], cut[2], cut[3], cut[4], cut[5]
        run_region(lead, words, sums_at, members, tasks, (x, dy, center, floor, sums[0], sums[1], *numbers))
    found = np.empty((2, mean.size), np.float64)
    _grad_factors(sums[0], sums[1], cut[0], cut[5], cut[2], var, gamma, epsilon, count, order, found, factors)
    for c in range(mean.size):
        dbeta[c], dgamma[c] = found[0, c], found[1, c]


@callable_kernel
def _sum_up(
    lead, words, sums_at, members, tasks, cut, x, dy, floor, sums, mean, var, gamma, epsilon, count, order, center,
    factors, dgamma, dbeta,
):  # fmt: skip
    """The first half of a gradient."""
    _sums_and_factors(
        lead, words, sums_at, members, tasks, cut, x, dy, floor, sums, mean, var, gamma, epsilon, count, order, center,
        factors, dgamma, dbeta,
    )  # fmt: skip


@callable_kernel
def _pull_back(
    lead, words, sums_at, input_at, members, tasks, cut, x, dy, floor, sums, mean, var, gamma, epsilon, count, order,
    center, factors, dgamma, dbeta, dx, partial, dbias,
):  # fmt: skip
    """A whole gradient, two regions, without going back to Python between them."""
    _sums_and_factors(
        lead, words, sums_at, members, tasks, cut, x, dy, floor, sums, mean, var, gamma, epsilon, count, order, center,
        factors, dgamma, dbeta,
    )  # fmt: skip
    fold = cut[2] if dbias.size else 0
    if tasks:
        numbers = cut[0], cut[1], fold, cut[3], cut[4], cut[5]
        arrays = x, dy, dx, center, factors[0], factors[1], factors[2], floor, partial
        run_region(lead, words, input_at, members, tasks, (*arrays, *numbers))
    if fold:
        total = np.zeros(dbias.size, np.float64)
        if tasks:
            _reduce(partial, cut[0], cut[5], cut[2], total)
        for c in range(dbias.size):
            dbias[c] = total[c]


@parallel_kernel
def grad_sums(thread, first, last, x, dy, mean, floor, sums, products, periods, width, fold, plane, length, pieces):
    """Sums of dy and of dy*(x - mean) over each run; two rows at a time in x's precision, then in double."""
    total, total_2 = np.empty(width, np.float64), np.empty(width, np.float64)
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        a, d = x[start:stop], dy[start:stop]
        period = run // pieces % periods * width
        m = mean[period : period + width]
        clear(total)
        clear(total_2)
        i = 0
        while i + 4 * width <= a.size:
            p, q = a[i : i + width], a[i + width : i + 2 * width]
            r, s = a[i + 2 * width : i + 3 * width], a[i + 3 * width : i + 4 * width]
            e, f = d[i : i + width], d[i + width : i + 2 * width]
            g, h = d[i + 2 * width : i + 3 * width], d[i + 3 * width : i + 4 * width]
            for j in range(width):
                total[j] += np.float64((e[j] + f[j]) + (g[j] + h[j]))
                first_two = (clip(p[j], floor) - m[j]) * e[j] + (clip(q[j], floor) - m[j]) * f[j]
                total_2[j] += np.float64(
                    first_two + ((clip(r[j], floor) - m[j]) * g[j] + (clip(s[j], floor) - m[j]) * h[j])
                )
            i += 4 * width
        while i < a.size:
            p, e = a[i : i + width], d[i : i + width]
            for j in range(p.size):
                total[j] += np.float64(e[j])
                total_2[j] += np.float64((clip(p[j], floor) - m[j]) * e[j])
            i += width
        fold_columns(total, sums[run * fold : (run + 1) * fold])
        fold_columns(total_2, products[run * fold : (run + 1) * fold])


@parallel_kernel
def grad_input(
    thread, first, last, x, dy, dx, mean, by_dy, by_x, constant, floor, partial, periods, width, fold, plane, length,
    pieces,
):  # fmt: skip
    """dx = by_dy*dy + by_x*(x - mean) + constant, and 0 where the relu before the normalisation cut x off.

    Unless `fold` is 0, also the sums of dx over each run, while it is in the cache.
    """
    zero, total = x.dtype.type(0), np.empty(width, np.float64)
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        period = run // pieces % periods * width
        m, c = mean[period : period + width], constant[period : period + width]
        u, v = by_dy[period : period + width], by_x[period : period + width]
        for i in range(start, stop, width):
            a, d, g = x[i : min(i + width, stop)], dy[i : min(i + width, stop)], dx[i : min(i + width, stop)]
            for j in range(a.size):
                value = u[j] * d[j] + v[j] * (clip(a[j], floor) - m[j]) + c[j]
                g[j] = zero if a[j] <= floor else value
        if fold > 0:
            add_columns(dx[start:stop], total, partial[run * fold : (run + 1) * fold])
