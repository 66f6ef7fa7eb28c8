"""Batch normalisation: two kernels forward, two backward (twin: cpu/normalization).

The first kernel of a pair writes sums over parts of each channel (`channels`), the second adds them up, in every block
again, and goes through the elements: that costs a few microseconds less than a launch of its own would. With `relu` the
input goes through a relu first, y = BN(relu(x)).

Statistics are those of each part, from the part's own mean in a second pass over it, which the caches serve; parts are
merged by Chan, Golub & LeVeque (1983, The American Statistician 37). So an offset that is large beside the spread costs
no accuracy beyond that of x itself: with q = eps*(depth of the sums, below 200), the mean's error is below q*mean(|x|)
and the variance's relative error below 2*q + (q*mean(|x|)/std)**2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import backend
from .backend import cuda
from .channels import AHEAD, Cut, Layout, layout_of, make_add_parts, make_fold, make_place, make_walk
from .elementwise import activation_grad
from .launch import entry, flat, launch, needs_wide
from .runtime.source import inlined, unrolled


def make_load(T: Any, U: Any, rows: int, relu: bool) -> Any:
    """``load(x, at, m, stop, v)``: elements m, m + rows, ... of a part at addresses `at` into `v`, 0 beyond its end."""

    def load(x: Any, at: Any, m: Any, stop: Any, v: Any) -> None:
        for k in unrolled(AHEAD):
            v[k] = x[at[k]] if U(m + U(k * rows)) < stop else T(0)
            if relu:
                v[k] = T(0) if v[k] < T(0) else v[k]  # NaN is not below zero: it stays

    return inlined(load)


def make_statistics(T: Any, S: Any, U: Any, threads: int, lanes: int, relu: bool) -> Callable[..., None]:
    """parts[0, p, c] = mean of part p of channel c, parts[1, p, c] = sum of (x - that mean)^2; one block per part."""
    rows = threads // lanes
    place, walk, fold = make_place(U, lanes), make_walk(U), make_fold(U, threads, lanes)
    load = make_load(T, U, rows, relu)

    def statistics(x: Any, parts: Any, cut: Cut) -> None:
        shared = cuda.shared.array(threads, T)
        at, v = cuda.local.array(AHEAD, U), cuda.local.array(AHEAD, T)
        t = U(cuda.threadIdx.x)
        channel, real, row, part, first, stop = place(t, U(cuda.blockIdx.x), cut)
        begin = U(first + row)
        total, m = T(0), begin
        outer = U(m // U(cut.inner))
        rest = U(m - outer * U(cut.inner))
        while m < stop:
            outer, rest = walk(outer, rest, channel, cut, at)
            load(x, at, m, stop, v)
            total += (v[0] + v[1]) + (v[2] + v[3])
            m = U(m + U(AHEAD * rows))
        shared[t] = total
        fold(shared, t)
        mean = T(shared[U(t % U(lanes))] / T(S(stop - first)))
        cuda.syncthreads()

        squares, m = T(0), begin
        outer = U(m // U(cut.inner))
        rest = U(m - outer * U(cut.inner))
        while m < stop:
            outer, rest = walk(outer, rest, channel, cut, at)
            load(x, at, m, stop, v)
            for k in unrolled(AHEAD):
                if U(m + U(k * rows)) < stop:
                    squares += (v[k] - mean) * (v[k] - mean)
            m = U(m + U(AHEAD * rows))
        shared[t] = squares
        fold(shared, t)
        if row == U(0) and real:
            at_part = U(part * U(cut.C) + channel)
            parts[at_part] = mean
            parts[U(U(cut.parts) * U(cut.C) + at_part)] = shared[t]

    return statistics


def make_merge(T: Any, S: Any, U: Any, threads: int, lanes: int) -> Any:
    """``merge(parts, channel, row, t, cut, shared)`` -> mean and variance of a lane's channel, from its parts."""
    rows = threads // lanes
    fold, add_parts = make_fold(U, threads, lanes), make_add_parts(T, U, threads, lanes)

    def merge(parts: Any, channel: Any, row: Any, t: Any, cut: Cut, shared: Any) -> Any:
        last, lane = U(U(cut.parts) - U(1)), U(t % U(lanes))
        whole, tail = T(S(cut.part)), T(S(U(cut.total) - last * U(cut.part)))
        count, near = T(S(cut.total)), parts[channel]  # means are added relative to the first part's
        total, p = T(0), row
        while p < U(cut.parts):
            total += (parts[U(p * U(cut.C) + channel)] - near) * (whole if p < last else tail)
            p = U(p + U(rows))
        shared[t] = total
        fold(shared, t)
        mean = T(near + shared[lane] / count)
        cuda.syncthreads()
        total, p = T(0), row
        while p < U(cut.parts):
            d = T(parts[U(p * U(cut.C) + channel)] - mean)
            total += d * d * (whole if p < last else tail)
            p = U(p + U(rows))
        shared[t] = T(total + add_parts(parts, U(U(cut.parts) * U(cut.C) + channel), row, cut))
        fold(shared, t)
        return mean, T(shared[lane] / count)

    return inlined(merge)


def make_merged(T: Any, S: Any, U: Any, threads: int, lanes: int) -> Callable[..., None]:
    """Mean and variance of every channel; one block per group of lanes."""
    place, merge = make_place(U, lanes), make_merge(T, S, U, threads, lanes)

    def merged(parts: Any, means: Any, variances: Any, cut: Cut) -> None:
        shared = cuda.shared.array(threads, T)
        t = U(cuda.threadIdx.x)
        channel, real, row, _, _, _ = place(t, U(cuda.blockIdx.x), cut)
        mean, var = merge(parts, channel, row, t, cut, shared)
        if row == U(0) and real:
            means[channel] = mean
            variances[channel] = var

    return merged


def make_normalize(
    T: Any, S: Any, U: Any, threads: int, lanes: int, relu: bool, batch: bool, moving: bool
) -> Callable[..., None]:
    """y = (x - mean)*gamma/sqrt(var + epsilon) + beta; one block per part.

    `batch`: the statistics are merged from `parts` and written to `means` and `variances`, and `moving` ones take a
    share of them; otherwise they are read there.
    """
    rows = threads // lanes
    place, walk, load = make_place(U, lanes), make_walk(U), make_load(T, U, rows, relu)
    merge = make_merge(T, S, U, threads, lanes)

    def normalize(
        x: Any, y: Any, parts: Any, means: Any, variances: Any, gamma: Any, beta: Any, mean_moving: Any,
        var_moving: Any, share: Any, epsilon: Any, cut: Cut,
    ) -> None:  # fmt: skip
        shared = cuda.shared.array(threads, T)
        at, v = cuda.local.array(AHEAD, U), cuda.local.array(AHEAD, T)
        t = U(cuda.threadIdx.x)
        channel, real, row, part, first, stop = place(t, U(cuda.blockIdx.x), cut)
        if batch:
            mean, var = merge(parts, channel, row, t, cut, shared)
            if part == U(0) and row == U(0) and real:
                means[channel] = mean
                variances[channel] = var
                if moving:
                    mean_moving[channel] += share * (mean - mean_moving[channel])
                    var_moving[channel] += share * (var - var_moving[channel])
            cuda.syncthreads()
        else:
            mean, var = means[channel], variances[channel]
        scale, shift = T(gamma[channel] / math.sqrt(T(var + epsilon))), beta[channel]
        m = U(first + row)
        outer = U(m // U(cut.inner))
        rest = U(m - outer * U(cut.inner))
        while m < stop:
            outer, rest = walk(outer, rest, channel, cut, at)
            load(x, at, m, stop, v)
            for k in unrolled(AHEAD):
                if real and U(m + U(k * rows)) < stop:
                    y[at[k]] = T((v[k] - mean) * scale + shift)
            m = U(m + U(AHEAD * rows))

    return normalize


def make_grad_sums(T: Any, S: Any, U: Any, threads: int, lanes: int, relu: bool) -> Callable[..., None]:
    """parts[0, p, c] = sum of dy, parts[1, p, c] = sum of dy*(x - mean) over part p of channel c."""
    rows = threads // lanes
    place, walk, fold = make_place(U, lanes), make_walk(U), make_fold(U, threads, lanes)
    load_x, load_dy = make_load(T, U, rows, relu), make_load(T, U, rows, False)

    def grad_sums(x: Any, dy: Any, means: Any, parts: Any, cut: Cut) -> None:
        shared = cuda.shared.array(threads, T)
        at, v, d = cuda.local.array(AHEAD, U), cuda.local.array(AHEAD, T), cuda.local.array(AHEAD, T)
        t = U(cuda.threadIdx.x)
        channel, real, row, part, first, stop = place(t, U(cuda.blockIdx.x), cut)
        mean, sums, products = means[channel], T(0), T(0)
        m = U(first + row)
        outer = U(m // U(cut.inner))
        rest = U(m - outer * U(cut.inner))
        while m < stop:
            outer, rest = walk(outer, rest, channel, cut, at)
            load_x(x, at, m, stop, v)
            load_dy(dy, at, m, stop, d)
            sums += (d[0] + d[1]) + (d[2] + d[3])
            for k in unrolled(AHEAD):
                products += d[k] * (v[k] - mean)  # beyond the end d is 0
            m = U(m + U(AHEAD * rows))
        at_part = U(part * U(cut.C) + channel)
        shared[t] = sums
        fold(shared, t)
        if row == U(0) and real:
            parts[at_part] = shared[t]
        cuda.syncthreads()
        shared[t] = products
        fold(shared, t)
        if row == U(0) and real:
            parts[U(U(cut.parts) * U(cut.C) + at_part)] = shared[t]

    return grad_sums


def make_grad_input(
    T: Any, S: Any, U: Any, threads: int, lanes: int, relu: bool, batch: bool, input_grad: bool
) -> Callable[..., None]:
    """dgamma, dbeta and with `input_grad` dx, for statistics that depend on x (`batch`) or fixed ones."""
    rows = threads // lanes
    place, walk, fold = make_place(U, lanes), make_walk(U), make_fold(U, threads, lanes)
    add_parts, load = make_add_parts(T, U, threads, lanes), make_load(T, U, rows, False)

    def grad_input(
        x: Any, dy: Any, dx: Any, means: Any, variances: Any, gamma: Any, parts: Any, dgamma: Any, dbeta: Any,
        epsilon: Any, cut: Cut,
    ) -> None:  # fmt: skip
        shared = cuda.shared.array(threads, T)
        at, v, d = cuda.local.array(AHEAD, U), cuda.local.array(AHEAD, T), cuda.local.array(AHEAD, T)
        t = U(cuda.threadIdx.x)
        channel, real, row, part, first, stop = place(t, U(cuda.blockIdx.x), cut)
        lane = U(t % U(lanes))
        shared[t] = add_parts(parts, channel, row, cut)
        fold(shared, t)
        sums = shared[lane]
        cuda.syncthreads()
        shared[t] = add_parts(parts, U(U(cut.parts) * U(cut.C) + channel), row, cut)
        fold(shared, t)
        mean, inverse = means[channel], T(T(1) / math.sqrt(T(variances[channel] + epsilon)))
        products = T(shared[lane] * inverse)
        if part == U(0) and row == U(0) and real:
            dgamma[channel] = products
            dbeta[channel] = sums
        if input_grad:
            by_dy, by_x, constant = T(gamma[channel] * inverse), T(0), T(0)
            if batch:
                one = T(by_dy / T(S(cut.total)))
                by_x, constant = T(-one * inverse * products), T(-one * sums)
            m = U(first + row)
            outer = U(m // U(cut.inner))
            rest = U(m - outer * U(cut.inner))
            while m < stop:
                outer, rest = walk(outer, rest, channel, cut, at)
                load(x, at, m, stop, v)
                load(dy, at, m, stop, d)
                for k in unrolled(AHEAD):
                    if real and U(m + U(k * rows)) < stop:
                        value = T(by_dy * d[k] + by_x * (v[k] - mean) + constant)
                        if relu and v[k] <= T(0):
                            value = T(0)
                        dx[at[k]] = value
                m = U(m + U(AHEAD * rows))

    return grad_input


@entry
def channel_statistics(x: Any, mean: Any, var: Any, *, axis: int, relu: bool) -> None:
    """Mean and biased variance of each channel of x, or of relu(x)."""
    layout, parts = _statistics(x, axis, relu)
    _launch(make_merged, layout, (), x, parts, mean, var, blocks=layout.groups)


@entry
def batch_norm(
    x: Any, y: Any, mean: Any, var: Any, gamma: Any, beta: Any, *, axis: int, epsilon: float, relu: bool
) -> None:
    """y = (x - mean)*gamma/sqrt(var + epsilon) + beta, with relu(x) for x if `relu`."""
    if x.size:
        number, arrays = np.dtype(x.dtype).type, (flat(x), flat(y), mean, mean, var, gamma, beta, gamma, beta)
        constants = relu, False, False  # a kernel has no optional arguments: it looks at no parts and moves nothing
        _launch(make_normalize, layout_of(x.shape, axis), constants, x, *arrays, number(0), number(epsilon))


@entry
def batch_norm_training(
    x: Any, y: Any, mean: Any, var: Any, gamma: Any, beta: Any, moving_mean: Any, moving_var: Any,
    *, axis: int, epsilon: float, relu: bool, share: float,
) -> None:  # fmt: skip
    """As `batch_norm`, by the statistics of x, which are written to mean and var.

    The moving ones, unless they are None, come nearer to them by `share`.
    """
    number, moving = np.dtype(x.dtype).type, moving_mean is not None
    layout, parts = _statistics(x, axis, relu)
    others = (moving_mean, moving_var) if moving else (gamma, beta)
    arrays = flat(x), flat(y), parts, mean, var, gamma, beta, *others
    _launch(make_normalize, layout, (relu, True, moving), x, *arrays, number(share), number(epsilon))


@entry
def batch_norm_grad(
    dy: Any, x: Any, mean: Any, var: Any, gamma: Any, dx: Any, dgamma: Any, dbeta: Any, dbias: Any = None,
    *, axis: int, epsilon: float, relu: bool, training: bool,
) -> None:  # fmt: skip
    """dgamma, dbeta and, unless they are None, dx and its sums per channel; in `training` mean and var depend on x."""
    layout, number, wanted = layout_of(x.shape, axis), np.dtype(x.dtype).type, dx is not None
    parts = _parts(layout, x)
    _launch(make_grad_sums, layout, (relu,), x, flat(x), flat(dy), mean, parts)
    arrays = flat(x), flat(dy), flat(dx if wanted else dy), mean, var, gamma, parts, dgamma, dbeta, number(epsilon)
    blocks = layout.blocks if wanted else layout.groups
    _launch(make_grad_input, layout, (relu, training, wanted), x, *arrays, blocks=blocks)
    if dbias is not None:
        activation_grad(dx, dx, dx, dbias, kind=None, axis=axis)


def _statistics(x: Any, axis: int, relu: bool) -> tuple[Layout, Any]:
    """The layout of x, and mean and sum of squares of its parts."""
    layout = layout_of(x.shape, axis)
    parts = _parts(layout, x)
    _launch(make_statistics, layout, (relu,), x, flat(x), parts)
    return layout, parts


def _parts(layout: Layout, x: Any) -> Any:
    """Room for two numbers per part."""
    return backend.room("channel parts", 2 * layout.cut.parts * layout.cut.C, x.dtype)


def _launch(
    factory: Callable[..., Callable[..., None]], layout: Layout, constants: tuple[Any, ...], x: Any, *args: Any,
    blocks: int | None = None,
) -> None:  # fmt: skip
    launch(
        factory,
        (*layout.constants, *constants),
        layout.blocks if blocks is None else blocks,
        (*args, layout.cut),
        dtype=x.dtype,
        wide=needs_wide(x.size),
        threads=layout.constants[0],
    )
