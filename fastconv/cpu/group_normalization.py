"""Normalisation of each image by itself: of rows (layers), and of groups of channels; forward and gradient.

Rows are handled whole by one task, in two passes that the cache serves: mean and variance, then the result. Groups are
made of the passes of `normalization`, with coefficients for each image's channels in place of each channel.
"""

from __future__ import annotations

import math

import numpy as np

from ..kept import kept
from ..simd.lane_math import add, doubles, multiply, subtract, sum_of
from ..simd.lanes import first_lanes, inlined, lane_count, load, spread, store, zero, zeros
from ..simd.parallel import parallel_kernel
from ..threads import team
from .normalization import grad_input, grad_sums, lowest, normalize, sum_moments, tasks_of
from .runs import LENGTH, WIDTH, Runs

LEAST = 8192  # elements of a task
MOST_TASKS = 64  # whose sums are kept apart
NARROW = 16  # coefficients that are kept of each channel where channels are first


# --- rows -------------------------------------------------------------------------------------------------------------


def layer_norm(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *,
    epsilon: float, centred: bool,
) -> None:  # fmt: skip
    """y = (x - mean)*inverse*gamma + beta for the rows of x (R, K), whose mean and 1/sqrt(var + epsilon) are written.

    If not `centred` the mean is taken for 0: y = x/sqrt(mean(x*x) + epsilon)*gamma + beta.
    """
    R, K = x.shape
    rows, tasks, members = _shared(R, K)
    _layer_norm(
        members, tasks, x.reshape(-1), y.reshape(-1), mean, inverse, gamma, beta, float(epsilon), centred, R, K, rows
    )


def layer_norm_grad(
    dy: np.ndarray, x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray, dx: np.ndarray,
    dgamma: np.ndarray, dbeta: np.ndarray, *, centred: bool,
) -> None:  # fmt: skip
    """The gradients of `layer_norm`: dx, and sums over the rows in a fixed order."""
    R, K = x.shape
    rows, tasks, members = _shared(R, K)
    sums = np.zeros((2, tasks, K))
    arrays = dy.reshape(-1), x.reshape(-1), mean, inverse, gamma, dx.reshape(-1), *(s.reshape(-1) for s in sums)
    _layer_norm_grad(members, tasks, *arrays, centred, R, K, rows)
    dgamma[...], dbeta[...] = sums.sum(axis=1)


def _shared(R: int, K: int) -> tuple[int, int, int]:
    """Rows of a task, tasks, and threads for them."""
    rows = max(1, -(-R // MOST_TASKS), -(-LEAST // max(1, K)))
    tasks = -(-R // rows) if K else 0
    return rows, tasks, team(tasks, 6 * R * K)


@inlined
def _moments(x, start, K, centred, like):  # type: ignore[no-untyped-def]
    """Mean and variance of x[start : start + K], or 0 and the mean square, in double precision."""
    n, mean = lane_count(like), 0.0
    if centred:
        total = zero(doubles(like))
        i = 0
        while i + n <= K:
            total = add(total, doubles(load(x, start + i, like, None)))
            i += n
        if i < K:
            total = add(total, doubles(load(x, start + i, like, first_lanes(K - i, like))))
        mean = sum_of(total) / K
    squares = zero(doubles(like))
    middle = spread(mean, squares)
    i = 0
    while i + n <= K:
        v = subtract(doubles(load(x, start + i, like, None)), middle)
        squares = add(squares, multiply(v, v))
        i += n
    var = sum_of(squares)
    while i < K:
        var += (x[start + i] - mean) ** 2
        i += 1
    return mean, var / K


@parallel_kernel
def _layer_norm(thread, first, last, x, y, mean, inverse, gamma, beta, epsilon, centred, R, K, rows):
    """A task owns `rows` rows."""
    like = zeros(x, 2)
    n = lane_count(like)
    for r in range(first * rows, min(last * rows, R)):
        start = r * K
        middle, var = _moments(x, start, K, centred, like)
        scale = 1.0 / math.sqrt(var + epsilon)
        mean[r], inverse[r] = middle, scale
        m, s = spread(middle, like), spread(scale, like)
        i = 0
        while i + n <= K:
            v = multiply(subtract(load(x, start + i, like, None), m), s)
            v = add(multiply(v, load(gamma, i, like, None)), load(beta, i, like, None))
            store(y, start + i, v, None)
            i += n
        if i < K:
            some = first_lanes(K - i, like)
            v = multiply(subtract(load(x, start + i, like, some), m), s)
            v = add(multiply(v, load(gamma, i, like, some)), load(beta, i, like, some))
            store(y, start + i, v, some)


@parallel_kernel
def _layer_norm_grad(thread, first, last, dy, x, mean, inverse, gamma, dx, products, sums, centred, R, K, rows):
    """A task owns `rows` rows, and its row of `products` and `sums` (tasks, K).

    With g = dy*gamma and z = (x - mean)*inverse: dx = inverse*(g - mean(g) - z*mean(g*z)).
    """
    like = zeros(x, 2)
    n = lane_count(like)
    for task in range(first, last):
        own = task * K
        for r in range(task * rows, min((task + 1) * rows, R)):
            start = r * K
            m, s = spread(mean[r], like), spread(inverse[r], like)
            total, total_z = zero(doubles(like)), zero(doubles(like))
            i = 0
            while i < K:
                some = first_lanes(K - i, like)
                g = multiply(load(dy, start + i, like, some), load(gamma, i, like, some))
                z = multiply(subtract(load(x, start + i, like, some), m), s)
                total = add(total, doubles(g))
                total_z = add(total_z, doubles(multiply(g, z)))
                i += n
            by_one, by_z = spread(sum_of(total) / K if centred else 0.0, like), spread(sum_of(total_z) / K, like)
            i = 0
            while i < K:
                some = first_lanes(K - i, like)
                d = load(dy, start + i, like, some)
                z = multiply(subtract(load(x, start + i, like, some), m), s)
                g = subtract(subtract(multiply(d, load(gamma, i, like, some)), by_one), multiply(z, by_z))
                store(dx, start + i, multiply(g, s), some)
                wide = zero(doubles(like))
                store(products, own + i, add(load(products, own + i, wide, some), doubles(multiply(d, z))), some)
                store(sums, own + i, add(load(sums, own + i, wide, some), doubles(d)), some)
                i += n


# --- groups of channels -----------------------------------------------------------------------------------------------


def group_norm(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *,
    channels_last: bool, epsilon: float,
) -> None:  # fmt: skip
    """y = (x - mean)*inverse*gamma + beta for each image's groups, whose numbers (N, G), of float64, are written.

    x is (N, S, C), or (N, C, S) where channels are first.
    """
    N, G = mean.shape
    cut, C, S = _cut(x.shape, channels_last), gamma.size, x.size // max(1, N * gamma.size)
    shift = (x[:, 0] if channels_last else x[:, :, 0]).reshape(-1)
    sums, squares = np.zeros((2, cut.tasks * cut.fold))
    numbers = cut.periods, cut.width, cut.fold, *cut.geometry
    floor, flat = lowest(x, False), x.reshape(-1)
    sum_moments(*tasks_of(cut, 4 * x.size), flat, cut.spread(shift, x.dtype), floor, sums, squares, *numbers)
    total, total_2 = (cut.reduce(a).reshape(N, G, C // G) for a in (sums, squares))
    means = shift.reshape(total.shape).astype(np.float64) + total / S
    mean[...] = means.mean(axis=2)
    spread_2 = (total_2 - total * total / S).sum(axis=2) + S * np.square(means - mean[:, :, None]).sum(axis=2)
    inverse[...] = 1 / np.sqrt(np.maximum(spread_2, 0) / (S * (C // G)) + epsilon)
    scale = (np.repeat(inverse, C // G, axis=1) * gamma).reshape(-1)
    spread = [cut.spread(a, x.dtype) for a in (np.repeat(mean, C // G), scale, np.tile(beta, N))]
    normalize(*tasks_of(cut, 3 * x.size), flat, y.reshape(-1), *spread, floor, cut.periods, cut.width, *cut.geometry)


def group_norm_grad(
    dy: np.ndarray, x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray, dx: np.ndarray,
    dgamma: np.ndarray, dbeta: np.ndarray, *, channels_last: bool,
) -> None:  # fmt: skip
    """The gradients of `group_norm`.

    With g = dy*gamma and z = (x - mean)*inverse: dx = inverse*(g - mean(g) - z*mean(g*z)), means over a group.
    """
    N, G = mean.shape
    cut, C, S = _cut(x.shape, channels_last), gamma.size, x.size // max(1, N * gamma.size)
    center, floor, flat = (
        cut.spread(np.repeat(mean, C // G), x.dtype),
        lowest(x, False),
        (x.reshape(-1), dy.reshape(-1)),
    )
    sums, products = np.zeros((2, cut.tasks * cut.fold))
    numbers = cut.periods, cut.width, cut.fold, *cut.geometry
    grad_sums(*tasks_of(cut, 4 * x.size), *flat, center, floor, sums, products, *numbers)
    totals = np.stack([cut.reduce(a).reshape(N, C) for a in (sums, products)])
    steep = np.repeat(inverse, C // G, axis=1)
    dbeta[...], dgamma[...] = totals[0].sum(axis=0), (totals[1] * steep).sum(axis=0)
    by_one, by_z = (totals * gamma).reshape(2, N, G, C // G).sum(axis=3) / (S * (C // G))
    each = steep * gamma, np.repeat(-by_z * inverse**3, C // G, axis=1), np.repeat(-by_one * inverse, C // G, axis=1)
    factors = [cut.spread(a.reshape(-1), x.dtype) for a in each]
    grad_input(
        *tasks_of(cut, 4 * x.size), *flat, dx.reshape(-1), center, *factors, floor, np.zeros(0), cut.periods, cut.width,
        0, *cut.geometry,
    )  # fmt: skip


@kept
def _cut(shape: tuple[int, ...], channels_last: bool) -> Runs:
    """The runs of (N, S, C) or (N, C, S) whose coefficients are of each image's channels."""
    N, C, S = (shape[0], shape[2], shape[1]) if channels_last else shape
    if not channels_last:
        length = min(S, LENGTH)
        return Runs(1, N * C, S, length, -(-S // length), NARROW, 1, np.repeat(np.arange(N * C), NARROW))
    width = C
    if C < 4 * WIDTH:
        whole = math.lcm(C, 16)
        width = whole * -(-WIDTH // whole)
    length = width * max(1, LENGTH // width)
    order = (np.arange(N)[:, None] * C + np.arange(width) % C).reshape(-1)
    return Runs(1, N, S * C, length, max(1, -(-S * C // length)), width, C, order)
