"""Pooling, unfolding and their gradients as plain loops in float64: the oracle for what fastconv computes.

Nothing here comes from fastconv. Arrays are channels-first, (N, C, *size) of any rank; a pool is a list of windows for
each axis, and a window a pair: the elements of the axis it holds, and how many of its taps lie in the padded axis.
"""

import itertools
import math

import numpy as np


def sliding(n, k, stride=None, padding=(0, 0), dilation=1, ceil_mode=False):
    """The windows of one axis of n elements."""
    stride = k if stride is None else stride
    before, after = padding
    room = n + before + after - dilation * (k - 1) - 1
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    windows = []
    for i in range(count):
        if ceil_mode and i > 0 and i * stride >= n + before:
            break
        taps = [i * stride - before + t * dilation for t in range(k)]
        windows.append(([t for t in taps if 0 <= t < n], sum(t < n + after for t in taps)))
    return windows


def adaptive(n, out):
    """`out` windows that cover an axis of n elements evenly."""
    windows = []
    for i in range(out):
        held = list(range(math.floor(i * n / out), math.ceil((i + 1) * n / out)))
        windows.append((held, len(held)))
    return windows


def cells(x_shape, axes):
    """For every output element: its index, its plane's, its window's places in the plane, the padded window's size."""
    for n, c in itertools.product(range(x_shape[0]), range(x_shape[1])):
        for output in itertools.product(*(range(len(windows)) for windows in axes)):
            chosen = [windows[i] for windows, i in zip(axes, output, strict=True)]
            places = list(itertools.product(*(held for held, _ in chosen)))
            yield (n, c, *output), (n, c), places, math.prod(size for _, size in chosen)


def output_shape(x_shape, axes):
    return (*x_shape[:2], *(len(windows) for windows in axes))


def max_pool(x, axes):
    """(y, indices): the first largest element of a window, the first NaN before all numbers."""
    y = np.full(output_shape(x.shape, axes), -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, x.dtype)
    indices = np.full(y.shape, -1)
    for o, plane, places, _ in cells(x.shape, axes):
        for place in places:
            value = x[plane + place]
            better = value > y[o] or (np.isnan(value) and not np.isnan(y[o]))
            if indices[o] < 0 or better:
                y[o], indices[o] = value, np.ravel_multi_index(place, x.shape[2:])
    return y, indices


def divisors(x_shape, axes, count_include_pad=True, divisor=None):
    """What avg_pool divides by, for one plane."""
    result = np.empty(output_shape(x_shape, axes)[2:])
    for o, _, places, size in cells((1, 1, *x_shape[2:]), axes):
        result[o[2:]] = divisor if divisor is not None else size if count_include_pad else max(1, len(places))
    return result


def avg_pool(x, axes, count_include_pad=True, divisor=None):
    sums = np.zeros(output_shape(x.shape, axes))
    for o, plane, places, _ in cells(x.shape, axes):
        for place in places:
            sums[o] += float(x[plane + place])
    return sums / divisors(x.shape, axes, count_include_pad, divisor)


def lp_pool(x, axes, p):
    y = np.zeros(output_shape(x.shape, axes))
    for o, plane, places, _ in cells(x.shape, axes):
        magnitudes = [abs(float(x[plane + place])) for place in places]
        y[o] = max(magnitudes, default=0.0) if p == math.inf else sum(m**p for m in magnitudes) ** (1 / p)
    return y


def max_pool_grad(dy, indices, x_shape):
    dx = np.zeros(x_shape)
    for o in np.ndindex(*dy.shape):
        if indices[o] >= 0:
            dx[o[:2] + np.unravel_index(indices[o], x_shape[2:])] += dy[o]
    return dx


def avg_pool_grad(dy, x_shape, axes, count_include_pad=True, divisor=None):
    dx = np.zeros(x_shape)
    shares = dy / divisors(x_shape, axes, count_include_pad, divisor)
    for o, plane, places, _ in cells(x_shape, axes):
        for place in places:
            dx[plane + place] += shares[o]
    return dx


def lp_pool_grad(dy, x, y, axes, p):
    dx = np.zeros(x.shape)
    for o, plane, places, _ in cells(x.shape, axes):
        for place in places:
            value = float(x[plane + place])
            if value and y[o]:
                dx[plane + place] += dy[o] * math.copysign((abs(value) / y[o]) ** (p - 1), value)
    return dx


def unfold(x, kernel, stride, padding, dilation):
    """(N, C*K, L): the padded window of every output element as a column."""
    xp = np.pad(x, ((0, 0), (0, 0), *padding))
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(xp.shape[2:], kernel, stride, dilation, strict=True)]
    cols = np.zeros((x.shape[0], x.shape[1], math.prod(kernel), math.prod(out)), x.dtype)
    for column, output in enumerate(np.ndindex(*out)):
        for row, tap in enumerate(np.ndindex(*kernel)):
            place = tuple(o * s + t * d for o, s, t, d in zip(output, stride, tap, dilation, strict=True))
            cols[:, :, row, column] = xp[(slice(None), slice(None), *place)]
    return cols.reshape(x.shape[0], x.shape[1] * math.prod(kernel), math.prod(out))


def fold(cols, x_shape, kernel, stride, padding, dilation):
    """Every element of a column matrix added to where `unfold` took it from."""
    padded = [n + sum(p) for n, p in zip(x_shape[2:], padding, strict=True)]
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(padded, kernel, stride, dilation, strict=True)]
    inner = tuple(slice(before, before + n) for n, (before, _) in zip(x_shape[2:], padding, strict=True))
    dxp = np.zeros((*x_shape[:2], *padded))
    cols = cols.reshape(*x_shape[:2], math.prod(kernel), math.prod(out))
    for column, output in enumerate(np.ndindex(*out)):
        for row, tap in enumerate(np.ndindex(*kernel)):
            place = tuple(o * s + t * d for o, s, t, d in zip(output, stride, tap, dilation, strict=True))
            dxp[(slice(None), slice(None), *place)] += cols[:, :, row, column]
    return dxp[(slice(None), slice(None), *inner)]
