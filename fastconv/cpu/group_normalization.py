"""Normalisation of each image by its groups of channels, forward and gradient (twin: cuda/group_normalization.py).

Where channels are last, it is made of the passes of batch normalisation (`normalization`), with coefficients for each
image's channels in place of each channel: an image goes through all of them while the cache holds it. Where they are
first, a group is a row (`row_normalization`).
"""

from __future__ import annotations

import math

import numpy as np

from ..kept import kept
from ..memory import scratch
from ..simd.jit import kernel
from ..simd.parallel import parallel_kernel
from ..threads import team
from .normalization import lowest
from .normalization_passes import grad_input, grad_sums, normalize, sum_moments
from .row_normalization import group_rows, group_rows_grad
from .runs import DOUBLE, LENGTH, WIDTH, Runs, clear

_sum_moments, _normalize = sum_moments.serial, normalize.serial
_grad_sums, _grad_input = grad_sums.serial, grad_input.serial


def group_norm(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *,
    channels_last: bool, epsilon: float,
) -> None:  # fmt: skip
    """y = (x - mean)*inverse*gamma + beta for each image's groups, whose numbers (N, G), of float64, are written.

    x is (N, S, C), or (N, C, S) where channels are first.
    """
    if not channels_last:
        group_rows(x, y, mean, inverse, gamma, beta, epsilon=epsilon)
        return
    N, C = len(x), gamma.size
    cut, shift = _cut(x.shape), x[:, 0].reshape(-1)
    sums = scratch((2, cut.pieces * N, C), DOUBLE)
    spread = scratch((4, N * cut.width), x.dtype)
    spread[0] = shift[cut.order]
    flat = x.reshape(-1), y.reshape(-1), mean, inverse, gamma, beta, float(epsilon), shift
    numbers = lowest(x, False), N, C, cut.width, *cut.geometry
    _group_norm(team(N, 8 * x.size), N, *flat, *(s.reshape(-1) for s in sums), *spread, *numbers)


def group_norm_grad(
    dy: np.ndarray, x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, gamma: np.ndarray, dx: np.ndarray,
    dgamma: np.ndarray, dbeta: np.ndarray, *, channels_last: bool,
) -> None:  # fmt: skip
    """The gradients of `group_norm`; sums over images are taken in a fixed order."""
    if not channels_last:
        group_rows_grad(dy, x, mean, inverse, gamma, dx, dgamma, dbeta)
        return
    N, C = len(x), gamma.size
    cut = _cut(x.shape)
    sums, totals = scratch((2, cut.pieces * N, C), DOUBLE), scratch((2, N, C), DOUBLE)
    center = np.repeat(mean, C // mean.shape[1], axis=1).reshape(-1)[cut.order].astype(x.dtype)
    factors = scratch((3, N * cut.width), x.dtype)
    flat = dy.reshape(-1), x.reshape(-1), dx.reshape(-1), inverse, gamma, center
    numbers = *(s.reshape(-1) for s in sums), *totals, *factors, np.zeros(0), lowest(x, False), N, C, cut.width
    _group_norm_grad(team(N, 12 * x.size), N, *flat, *numbers, *cut.geometry)
    dgamma[...], dbeta[...] = totals.sum(axis=1)


@kept
def _cut(shape: tuple[int, int, int]) -> Runs:
    """The runs of (N, S, C) whose coefficients are those of each image's channels."""
    N, S, C = shape
    width = C
    if C < 4 * WIDTH:
        whole = math.lcm(C, 16)
        width = whole * -(-WIDTH // whole)
    length = width * max(1, LENGTH // width)
    order = (np.arange(N)[:, None] * C + np.arange(width) % C).reshape(-1)
    return Runs(1, N, S * C, length, max(1, -(-S * C // length)), width, C, order)


@kernel
def _add_pieces(partial, n, pieces, total):
    """The channels' sums over the pieces of an image, in order."""
    C = total.size
    clear(total)
    for p in range(n * pieces, (n + 1) * pieces):
        row = partial[p * C : (p + 1) * C]
        for c in range(C):
            total[c] += row[c]


@kernel
def _repeat(coefficients, C):
    """Let the first C be followed by themselves."""
    for start in range(C, coefficients.size, C):
        row = coefficients[start : start + C]
        for c in range(C):
            row[c] = coefficients[c]


@parallel_kernel
def _group_norm(
    thread, first, last, x, y, mean, inverse, gamma, beta, epsilon, shift, sums, squares, origin, middle, scale, bias,
    floor, N, C, width, plane, length, pieces,
):  # fmt: skip
    """A task owns one image: the sums of its channels, its groups' numbers, and its result."""
    G, S = mean.shape[1], plane // C
    D = C // G
    own, square = np.empty(C, np.float64), np.empty(C, np.float64)
    for n in range(first, last):
        runs = (n * pieces, (n + 1) * pieces)
        _sum_moments(thread, runs[0], runs[1], x, origin, floor, sums, squares, N, width, C, plane, length, pieces)
        _add_pieces(sums, n, pieces, own)
        _add_pieces(squares, n, pieces, square)
        m, s, b = middle[n * width :][:width], scale[n * width :][:width], bias[n * width :][:width]
        for g in range(G):
            total = 0.0
            for c in range(g * D, (g + 1) * D):
                total += shift[n * C + c] + own[c] / S
            center, spread = total / D, 0.0
            for c in range(g * D, (g + 1) * D):
                away = shift[n * C + c] + own[c] / S - center
                spread += square[c] - own[c] * own[c] / S + S * away * away
            steep = 1.0 / math.sqrt(max(spread, 0.0) / (S * D) + epsilon)
            mean[n, g], inverse[n, g] = center, steep
            for c in range(g * D, (g + 1) * D):
                m[c], s[c], b[c] = center, gamma[c] * steep, beta[c]
        _repeat(m, C)
        _repeat(s, C)
        _repeat(b, C)
        for run in range(runs[1] - 1, runs[0] - 1, -1):  # what was read last is still in the cache
            _normalize(thread, run, run + 1, x, y, middle, scale, bias, floor, N, width, plane, length, pieces)


@parallel_kernel
def _group_norm_grad(
    thread, first, last, dy, x, dx, inverse, gamma, center, sums, products, by_gamma, by_beta, by_dy, by_x, constant,
    none, floor, N, C, width, plane, length, pieces,
):  # fmt: skip
    """A task owns one image: its sums of dy and dy*(x - mean), and its dx.

    With g = dy*gamma and z = (x - mean)*inverse: dx = inverse*(g - mean(g) - z*mean(g*z)), means over a group.
    """
    G, S = inverse.shape[1], plane // C
    D = C // G
    for n in range(first, last):
        runs = (n * pieces, (n + 1) * pieces)
        _grad_sums(thread, runs[0], runs[1], x, dy, center, floor, sums, products, N, width, C, plane, length, pieces)
        _add_pieces(sums, n, pieces, by_beta[n])
        _add_pieces(products, n, pieces, by_gamma[n])
        u, v, w = by_dy[n * width :][:width], by_x[n * width :][:width], constant[n * width :][:width]
        for g in range(G):
            one, z, steep = 0.0, 0.0, inverse[n, g]
            for c in range(g * D, (g + 1) * D):
                by_gamma[n, c] *= steep
                one += gamma[c] * by_beta[n, c]
                z += gamma[c] * by_gamma[n, c]
            slope, offset = -z * steep * steep / (S * D), -one * steep / (S * D)
            for c in range(g * D, (g + 1) * D):
                u[c], v[c], w[c] = gamma[c] * steep, slope, offset
        _repeat(u, C)
        _repeat(v, C)
        _repeat(w, C)
        for run in range(runs[1] - 1, runs[0] - 1, -1):  # what was read last is still in the cache
            _grad_input(
                thread, run, run + 1, x, dy, dx, center, by_dy, by_x, constant, floor, none, N, width, 0, plane, length,
                pieces,
            )  # fmt: skip
