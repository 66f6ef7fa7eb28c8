"""Normalisation of rows: of an image over axes, and of groups of channels that lie side by side; forward and gradient.

A task handles rows whole, in two passes, the second of which the cache serves: statistics, then the result.
"""

from __future__ import annotations

import math

import numpy as np

from ..memory import scratch
from ..simd.lane_math import add, doubles, multiply, subtract, sum_of
from ..simd.lanes import first_lanes, inlined, lane_count, load, peek, spread, store, zero, zeros
from ..simd.parallel import parallel_kernel
from ..threads import team
from .runs import DOUBLE

LEAST = 8192  # elements of a task
MOST_TASKS = 64  # whose sums are kept apart


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
    sums = scratch((2, tasks, K), DOUBLE)
    sums.fill(0)
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
    """Mean and variance of x[start : start + K], or 0 and the mean square, in double precision and one pass.

    Distances from the first element are added up: an offset that is large beside the spread costs no accuracy.
    """
    n, first = lane_count(like), peek(x, start) if centred else x.dtype.type(0)
    total, squares, origin = zero(doubles(like)), zero(doubles(like)), spread(first, like)
    i = 0
    while i + n <= K:
        v = doubles(subtract(load(x, start + i, like, None), origin))
        total, squares = add(total, v), add(squares, multiply(v, v))
        i += n
    away, square = sum_of(total), sum_of(squares)
    while i < K:
        e = float(peek(x, start + i) - first)
        away += e
        square += e * e
        i += 1
    if not centred:
        return 0.0, square / K
    away /= K
    return first + away, max(square / K - away * away, 0.0)


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


@inlined
def _grad_terms(dy, x, at, gamma, i, m, s, like, some):  # type: ignore[no-untyped-def]
    """dy, dy*gamma and (x - mean)*inverse at some elements of a row."""
    d = load(dy, at + i, like, some)
    z = multiply(subtract(load(x, at + i, like, some), m), s)
    return d, multiply(d, load(gamma, i, like, some)), z


@inlined
def _grad_result(dx, at, products, sums, own, i, d, g, z, s, by_one, by_z, some):  # type: ignore[no-untyped-def]
    """Write dx, and add to the sums of dy*z and of dy."""
    store(dx, at + i, multiply(subtract(subtract(g, by_one), multiply(z, by_z)), s), some)
    wide = zero(doubles(d))
    store(products, own + i, add(load(products, own + i, wide, some), doubles(multiply(d, z))), some)
    store(sums, own + i, add(load(sums, own + i, wide, some), doubles(d)), some)


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
            while i + n <= K:
                d, g, z = _grad_terms(dy, x, start, gamma, i, m, s, like, None)
                total, total_z = add(total, doubles(g)), add(total_z, doubles(multiply(g, z)))
                i += n
            some = first_lanes(K - i, like)
            if i < K:
                d, g, z = _grad_terms(dy, x, start, gamma, i, m, s, like, some)
                total, total_z = add(total, doubles(g)), add(total_z, doubles(multiply(g, z)))
            by_one, by_z = spread(sum_of(total) / K if centred else 0.0, like), spread(sum_of(total_z) / K, like)
            i = 0
            while i + n <= K:
                d, g, z = _grad_terms(dy, x, start, gamma, i, m, s, like, None)
                _grad_result(dx, start, products, sums, own, i, d, g, z, s, by_one, by_z, None)
                i += n
            if i < K:
                d, g, z = _grad_terms(dy, x, start, gamma, i, m, s, like, some)
                _grad_result(dx, start, products, sums, own, i, d, g, z, s, by_one, by_z, some)


# --- groups of channels, which are first ------------------------------------------------------------------------------


def group_rows(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *,
    epsilon: float,
) -> None:  # fmt: skip
    """y = (x - mean)*inverse*gamma + beta for x (N, C, S), by the numbers (N, G) of each image's groups, written."""
    (N, G), C = mean.shape, gamma.size
    S = x.size // (N * C)
    numbers = mean.reshape(-1), inverse.reshape(-1), gamma, beta, float(epsilon), G, C // G, S
    _group_rows(team(N * G, 4 * x.size), N * G, x.reshape(-1), y.reshape(-1), *numbers)


def group_rows_grad(
    dy: np.ndarray, x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray, dx: np.ndarray,
    dgamma: np.ndarray, dbeta: np.ndarray,
) -> None:  # fmt: skip
    """The gradients of `group_rows`."""
    (N, G), C = mean.shape, gamma.size
    S = x.size // (N * C)
    sums = scratch((2, N, C), DOUBLE)
    arrays = dy.reshape(-1), x.reshape(-1), mean.reshape(-1), inverse.reshape(-1), gamma, dx.reshape(-1)
    _group_rows_grad(team(N * G, 6 * x.size), N * G, *arrays, *(s.reshape(-1) for s in sums), G, C // G, S)
    dgamma[...], dbeta[...] = sums.sum(axis=1)


@parallel_kernel
def _group_rows(thread, first, last, x, y, mean, inverse, gamma, beta, epsilon, G, D, S):
    """A task owns one group of an image: D channels of S elements."""
    like = zeros(x, 2)
    n = lane_count(like)
    for r in range(first, last):
        start = r * D * S
        middle, var = _moments(x, start, D * S, True, like)
        scale = 1.0 / math.sqrt(var + epsilon)
        mean[r], inverse[r] = middle, scale
        m = spread(middle, like)
        for d in range(D):
            c = r % G * D + d
            s, b = spread(scale * gamma[c], like), spread(beta[c], like)
            at = start + d * S
            i = 0
            while i + n <= S:
                v = subtract(load(x, at + i, like, None), m)
                store(y, at + i, add(multiply(v, s), b), None)
                i += n
            if i < S:
                some = first_lanes(S - i, like)
                v = subtract(load(x, at + i, like, some), m)
                store(y, at + i, add(multiply(v, s), b), some)


@inlined
def _channel_sums(dy, x, at, S, middle, like):  # type: ignore[no-untyped-def]
    """Sums of dy and of dy*(x - middle) over one channel."""
    n = lane_count(like)
    m, total, total_x = spread(middle, like), zero(doubles(like)), zero(doubles(like))
    i = 0
    while i + n <= S:
        d, v = load(dy, at + i, like, None), subtract(load(x, at + i, like, None), m)
        total, total_x = add(total, doubles(d)), add(total_x, doubles(multiply(d, v)))
        i += n
    if i < S:
        some = first_lanes(S - i, like)
        d, v = load(dy, at + i, like, some), subtract(load(x, at + i, like, some), m)
        total, total_x = add(total, doubles(d)), add(total_x, doubles(multiply(d, v)))
    return sum_of(total), sum_of(total_x)


@parallel_kernel
def _group_rows_grad(thread, first, last, dy, x, mean, inverse, gamma, dx, products, sums, G, D, S):
    """A task owns one group of an image, and its part of `products` and `sums` (N, C).

    With g = dy*gamma and z = (x - mean)*inverse: dx = inverse*(g - mean(g) - z*mean(g*z)).
    """
    like = zeros(x, 2)
    n = lane_count(like)
    for r in range(first, last):
        start, s = r * D * S, inverse[r]
        by_one, by_z = 0.0, 0.0
        for d in range(D):
            c = r % G * D + d
            total, total_x = _channel_sums(dy, x, start + d * S, S, mean[r], like)
            sums[r * D + d], products[r * D + d] = total, total_x * s
            by_one += gamma[c] * total
            by_z += gamma[c] * total_x * s
        m = spread(mean[r], like)
        u = spread(-s * s * by_z / (D * S), like)
        w = spread(-s * by_one / (D * S), like)
        for d in range(D):
            v, at = spread(s * gamma[r % G * D + d], like), start + d * S
            i = 0
            while i + n <= S:
                z = subtract(load(x, at + i, like, None), m)
                store(dx, at + i, add(multiply(load(dy, at + i, like, None), v), add(multiply(z, u), w)), None)
                i += n
            if i < S:
                some = first_lanes(S - i, like)
                z = subtract(load(x, at + i, like, some), m)
                store(dx, at + i, add(multiply(load(dy, at + i, like, some), v), add(multiply(z, u), w)), some)
