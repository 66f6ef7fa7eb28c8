"""What batch normalisation does between its passes, in compiled functions that lead these regions themselves.

A step of training normalises so many small arrays of statistics that Python between two passes took as long as one of
them. The passes, those of `normalization_passes` and `pooled_normalization`, come as addresses.
"""

from __future__ import annotations

import math

import numpy as np

from ..simd.jit import callable_kernel, kernel
from ..simd.region import share as run_region
from .normalization_passes import clip
from .runs import clear


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
def moments(sums, squares, periods, pieces, fold, shift, count, mean, var):
    """Mean and variance of each channel from the sums over its runs, relative to `shift`."""
    _reduce(sums, periods, pieces, fold, mean)
    _reduce(squares, periods, pieces, fold, var)
    share = max(count, 1)
    for c in range(mean.size):
        offset = mean[c] / share
        mean[c] = shift[c] + offset
        var[c] = max(var[c] / share - offset * offset, 0.0)


@callable_kernel
def coefficients_of(mean, var, gamma, beta, epsilon, order, coefficients):
    """Mean, scale and beta as `normalize` reads them."""
    for i in range(order.size):
        c = order[i]
        coefficients[0, i] = mean[c]
        coefficients[1, i] = gamma[c] / math.sqrt(var[c] + epsilon)
        coefficients[2, i] = beta[c]


@callable_kernel
def grad_factors(sums, products, periods, pieces, fold, var, gamma, epsilon, count, order, found, factors):
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
def _by_channels(shift, order, channels):
    """A number for each channel out of coefficients."""
    found = np.empty(channels, np.float64)
    for i in range(order.size):
        found[order[i]] = shift[i]
    return found


@kernel
def _normalize_by(
    lead, words, normalize_at, pixels_at, members, tasks, cut, peaks, given, y, gamma, beta, moving_mean, moving_var,
    epsilon, share, floor, mean, var, order,
):  # fmt: skip
    """What follows when mean and variance are known: moving ones, and the region that normalises."""
    _follow(moving_mean, mean, share)
    _follow(moving_var, var, share)
    factors = np.empty((3, order.size), given.dtype)
    coefficients_of(mean, var, gamma, beta, epsilon, order, factors)
    if peaks.size:
        C, pixels = mean.size, cut[6]
        arrays = given, y, factors[0], factors[1], factors[2]
        run_region(lead, words, pixels_at, members, peaks.shape[0], (*arrays, floor, C, pixels, peaks.reshape(-1)))
    elif tasks:
        numbers = floor, cut[0], cut[1], cut[3], cut[4], cut[5]
        run_region(lead, words, normalize_at, members, tasks, (given, y, factors[0], factors[1], factors[2], *numbers))


@callable_kernel
def extremes(peaks, lanes):
    """The largest of all results, and a bound that the largest of each pixel reaches; see `normalize_pixels`.

    In each lane the smallest over the pixels is one that all pixels reach there, so the largest of these is reached by
    all of them.
    """
    top, bound = peaks.dtype.type(0), peaks.dtype.type(0)
    for j in range(lanes):
        least = peaks[0, lanes + j]
        for task in range(peaks.shape[0]):
            most = peaks[task, j]
            if top == top and not most <= top:  # the first NaN stays
                top = most
            least = min(least, peaks[task, lanes + j])
        bound = max(bound, least)
    return top, bound


@callable_kernel
def train(
    lead, words, moments_at, maxima_at, normalize_at, pixels_at, members, tasks, cut, y_tasks, y_cut, peaks, sums, x,
    given, y, gamma, beta, moving_mean, moving_var, epsilon, share, count, floor, mean, var, order, step,
):  # fmt: skip
    """A forward pass in training, two regions, without going back to Python between them."""
    shift = _shift(x, order, step, floor)
    if tasks:
        numbers = cut[0], cut[1], cut[2], cut[3], cut[4], cut[5]
        run_region(lead, words, moments_at, members, tasks, (x, shift, floor, sums[0], sums[1], *numbers))
    moments(sums[0], sums[1], cut[0], cut[5], cut[2], _by_channels(shift, order, mean.size), count, mean, var)
    _normalize_by(
        lead, words, normalize_at, pixels_at, members, y_tasks, y_cut, peaks, given, y, gamma, beta, moving_mean,
        moving_var, epsilon, share, floor, mean, var, order,
    )  # fmt: skip


@callable_kernel
def train_pooled(
    lead, words, moments_at, maxima_at, normalize_at, pixels_at, members, tasks, bands, y_tasks, y_cut, peaks, sums, x,
    given, y, gamma, beta, moving_mean, moving_var, epsilon, share, count, floor, mean, var, order, step,
):  # fmt: skip
    """As `train`, where `given` are the maxima of windows, which are found meanwhile."""
    shift = _shift(x, order, step, floor)
    if tasks:
        run_region(lead, words, maxima_at, members, tasks, (x, given, shift, floor, bands, sums[0], sums[1]))
    moments(sums[0], sums[1], 1, tasks, mean.size, _by_channels(shift, order, mean.size), count, mean, var)
    _normalize_by(
        lead, words, normalize_at, pixels_at, members, y_tasks, y_cut, peaks, given, y, gamma, beta, moving_mean,
        moving_var, epsilon, share, floor, mean, var, order,
    )  # fmt: skip


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
    grad_factors(sums[0], sums[1], cut[0], cut[5], cut[2], var, gamma, epsilon, count, order, found, factors)
    for c in range(mean.size):
        dbeta[c], dgamma[c] = found[0, c], found[1, c]


@callable_kernel
def sum_up(
    lead, words, sums_at, members, tasks, cut, x, dy, floor, sums, mean, var, gamma, epsilon, count, order, center,
    factors, dgamma, dbeta,
):  # fmt: skip
    """The first half of a gradient."""
    _sums_and_factors(
        lead, words, sums_at, members, tasks, cut, x, dy, floor, sums, mean, var, gamma, epsilon, count, order, center,
        factors, dgamma, dbeta,
    )  # fmt: skip


@callable_kernel
def pull_back(
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
