"""Element-wise kernels: activations and their gradients, dropout, channel sums, softmax, optimizer steps.

All take flat arrays. A task owns one fixed block of `BLOCK` elements (or of rows, or a run of `cpu.runs`), so the bits
do not depend on the number of threads. Loops run over slices, which the compiler turns into vector code.
"""

from __future__ import annotations

import math

import numpy as np

from ..simd.jit import kernel, parallel_kernel
from .runs import add_columns, bounds

BLOCK = 8192
ROWS = 16


@parallel_kernel
def activate(thread, first, last, x, y, slope):
    """y = x where x > 0, else slope*x: relu (slope 0) and leaky_relu. NaN stays NaN."""
    for block in range(first, last):
        a, b = x[block * BLOCK : (block + 1) * BLOCK], y[block * BLOCK : (block + 1) * BLOCK]
        if slope == 0:
            zero = a.dtype.type(0)
            for j in range(a.size):
                b[j] = zero if a[j] < zero else a[j]
        else:
            for j in range(a.size):
                b[j] = a[j] * slope if a[j] < 0 else a[j]


@kernel
def scale_by_slope(dy, y, dz, slope):
    """dz = dy where y > 0, else slope*dy, and 0 for slope 0 whatever dy is."""
    zero = y.dtype.type(0)
    if slope == 0:
        for j in range(dy.size):
            dz[j] = zero if y[j] <= zero else dy[j]
    else:
        for j in range(dy.size):
            dz[j] = dy[j] * slope if y[j] <= zero else dy[j]


@parallel_kernel
def activation_grad(thread, first, last, dy, y, dz, partial, masked, slope, plane, length, pieces, width, fold):
    """dz = dy*relu'(y), and the sums of dz over each run, column by column, while it is in the cache.

    A task owns a run: its part of dz and its row of `partial` (runs, fold). If not `masked`, dy is only summed.
    """
    total = np.empty(width, np.float64)
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        a = dy[start:stop]
        if masked:
            scale_by_slope(a, y[start:stop], dz[start:stop], slope)
            a = dz[start:stop]
        if fold > 0:
            add_columns(a, total, partial[run * fold : (run + 1) * fold])


@kernel
def mix(value):
    """One 64-bit word of the splitmix64 sequence (Steele, Lea & Flood 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@parallel_kernel
def dropout(thread, first, last, x, y, seed, threshold, scale):
    """y = scale*x where a hash of (seed, index) is below `threshold` of 2**32, else 0.

    The mask is a function of seed and index alone: the gradient is the same call on dy, and nothing is stored.
    """
    zero = x.dtype.type(0)
    for block in range(first, last):
        a, b = x[block * BLOCK : (block + 1) * BLOCK], y[block * BLOCK : (block + 1) * BLOCK]
        key = mix(mix(np.uint64(seed)) ^ np.uint64(block))
        low, high = np.uint32(key), np.uint32(key >> np.uint64(32))
        for j in range(a.size):
            h = np.uint32(np.uint32(j) * np.uint32(0x9E3779B9) + low)
            h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x21F0AAAD))
            h = np.uint32((h ^ (h >> np.uint32(15)) ^ high) * np.uint32(0xD35A2D97))
            h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x85EBCA6B))
            h = h ^ (h >> np.uint32(16))
            b[j] = a[j] * scale if h < threshold else zero


@parallel_kernel
def softmax(thread, first, last, x, y, N, K, logarithm):
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
def softmax_grad(thread, first, last, dy, y, dx, N, K, logarithm):
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
def softmax_cross_entropy(thread, first, last, z, target, p, loss, N, K):
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
def softmax_cross_entropy_grad(thread, first, last, dloss, p, target, dz, N, K):
    """dz[n, k] = dloss[n] * (p*sum(target) - target)."""
    for n in range(first * ROWS, min(last * ROWS, N)):
        b, t, g = p[n * K : (n + 1) * K], target[n * K : (n + 1) * K], dz[n * K : (n + 1) * K]
        total = 0.0
        for k in range(K):
            total += np.float64(t[k])
        for k in range(K):
            g[k] = dloss[n] * (np.float64(b[k]) * total - np.float64(t[k]))


@parallel_kernel
def sgd(thread, first, last, w, v, g, rate, momentum, nesterov):
    """v = momentum*v - rate*g; w += v, or w += momentum*v - rate*g with `nesterov`; no momentum: no v."""
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, c = w[here], g[here]
        if momentum == 0:
            for j in range(a.size):
                a[j] -= rate * c[j]
        else:
            b = v[here]
            for j in range(a.size):
                step = momentum * b[j] - rate * c[j]
                b[j] = step
                a[j] += momentum * step - rate * c[j] if nesterov else step


@parallel_kernel
def adam(thread, first, last, w, m, v, g, rate, beta_1, beta_2, epsilon):
    """m and v are running means of g and g*g; w -= rate*m/(sqrt(v) + epsilon). `rate` holds the bias corrections."""
    one = w.dtype.type(1)
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, b, c, d = w[here], m[here], v[here], g[here]
        for j in range(a.size):
            mean = b[j] + (d[j] - b[j]) * (one - beta_1)
            square = c[j] + (d[j] * d[j] - c[j]) * (one - beta_2)
            b[j], c[j] = mean, square
            a[j] -= rate * mean / (math.sqrt(square) + epsilon)


@parallel_kernel
def rmsprop(thread, first, last, w, m, v, g, rate, rho, momentum, epsilon):
    """v is the running mean of g*g; m = momentum*m + rate*g/sqrt(v + epsilon); w -= m."""
    one = w.dtype.type(1)
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, b, c, d = w[here], m[here], v[here], g[here]
        for j in range(a.size):
            square = c[j] + (d[j] * d[j] - c[j]) * (one - rho)
            step = momentum * b[j] + rate * d[j] / math.sqrt(square + epsilon)
            b[j], c[j] = step, square
            a[j] -= step
