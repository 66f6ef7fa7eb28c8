"""Softmax along rows, its gradient, and cross-entropy with its own (twin: cuda/softmax.py).

A task owns `ROWS` rows; sums run in double precision.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..simd.jit import kernel
from ..simd.parallel import parallel_kernel
from ..threads import team

ROWS = 16


def softmax(x: np.ndarray, y: np.ndarray, *, logarithm: bool) -> None:
    """y = softmax of x along the last axis, or its logarithm."""
    _by_rows(_softmax, x, (x, y), logarithm)


def softmax_grad(dy: np.ndarray, y: np.ndarray, dx: np.ndarray, *, logarithm: bool) -> None:
    """dx = the gradient of `softmax`, from its output y."""
    _by_rows(_softmax_grad, y, (dy, y, dx), logarithm)


def softmax_cross_entropy(z: np.ndarray, target: np.ndarray, p: np.ndarray, loss: np.ndarray, *, mean: bool) -> None:
    """p = softmax(z); `loss` is each row's cross-entropy, or with `mean` a single number, the mean over the rows."""
    losses = np.empty(z.size // max(1, z.shape[-1])) if mean else loss
    _by_rows(_softmax_cross_entropy, z, (z, target, p, losses))
    if mean:
        loss[...] = losses.mean()


def softmax_cross_entropy_grad(
    dloss: np.ndarray, p: np.ndarray, target: np.ndarray, dz: np.ndarray, *, mean: bool
) -> None:
    """dz from p = softmax(z) and the gradient to each row's loss, or with `mean` to the mean of all."""
    if mean:
        rows = p.size // max(1, p.shape[-1])
        dloss = np.full(rows, dloss / rows) if rows else np.zeros(0)
    _by_rows(_softmax_cross_entropy_grad, p, (np.ascontiguousarray(dloss, np.float64), p, target, dz))


def _by_rows(run: Any, x: np.ndarray, arrays: tuple[np.ndarray, ...], *options: Any) -> None:
    if x.size:
        K = x.shape[-1]
        N = x.size // K
        tasks = -(-N // ROWS)
        run(team(tasks, 20 * x.size), tasks, *(a.reshape(-1) for a in arrays), N, K, *options)


@parallel_kernel
def _softmax(thread, first, last, x, y, N, K, logarithm):
    """Each row of x (N, K): y = exp(x - max) / sum, or its logarithm. A task owns ROWS rows."""
    for n in range(first * ROWS, min(last * ROWS, N)):
        a, b = x[n * K : (n + 1) * K], y[n * K : (n + 1) * K]
        top, total = shifted_exp(a, b)
        if logarithm:
            offset = a.dtype.type(math.log(total))
            for k in range(K):
                b[k] = a[k] - top - offset
        else:
            factor = a.dtype.type(1 / total)
            for k in range(K):
                b[k] *= factor


@kernel
def shifted_exp(a, b):
    """b = exp(a - max(a)); returns the maximum and the sum of b in double precision. A NaN reaches both."""
    top = a[0]
    for k in range(a.size):
        if not a[k] <= top:
            top = a[k]
    total = 0.0
    for k in range(a.size):
        b[k] = math.exp(a[k] - top)
        total += np.float64(b[k])
    return top, total


@parallel_kernel
def _softmax_grad(thread, first, last, dy, y, dx, N, K, logarithm):
    """Gradient of `softmax` from its output: dx = y*(dy - sum(dy*y)); of its logarithm: dx = dy - exp(y)*sum(dy)."""
    for n in range(first * ROWS, min(last * ROWS, N)):
        d, b, g = dy[n * K : (n + 1) * K], y[n * K : (n + 1) * K], dx[n * K : (n + 1) * K]
        total = 0.0
        if logarithm:
            for k in range(K):
                total += np.float64(d[k])
            for k in range(K):
                g[k] = d[k] - math.exp(b[k]) * total
        else:
            for k in range(K):
                total += np.float64(d[k]) * np.float64(b[k])
            for k in range(K):
                g[k] = b[k] * (d[k] - total)


@parallel_kernel
def _softmax_cross_entropy(thread, first, last, z, target, p, loss, N, K):
    """p = softmax(z) and loss[n] = sum over k of target*(log(sum(exp(z))) - z). A task owns ROWS rows."""
    for n in range(first * ROWS, min(last * ROWS, N)):
        a, t, b = z[n * K : (n + 1) * K], target[n * K : (n + 1) * K], p[n * K : (n + 1) * K]
        top, total = shifted_exp(a, b)
        factor = a.dtype.type(1 / total)
        offset = np.float64(top) + math.log(total)
        entropy = 0.0
        for k in range(K):
            b[k] *= factor
            if t[k] != 0:  # 0 * log(0) is 0
                entropy += np.float64(t[k]) * (offset - np.float64(a[k]))
        loss[n] = entropy


@parallel_kernel
def _softmax_cross_entropy_grad(thread, first, last, dloss, p, target, dz, N, K):
    """dz[n, k] = dloss[n] * (p*sum(target) - target)."""
    for n in range(first * ROWS, min(last * ROWS, N)):
        b, t, g = p[n * K : (n + 1) * K], target[n * K : (n + 1) * K], dz[n * K : (n + 1) * K]
        total = 0.0
        for k in range(K):
            total += np.float64(t[k])
        for k in range(K):
            g[k] = dloss[n] * (np.float64(b[k]) * total - np.float64(t[k]))
