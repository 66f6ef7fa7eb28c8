"""Softmax and cross-entropy by rows of (N, K), and their gradients (twin: the same functions of cpu/elementwise).

Lanes of threads share a row (`rows`), so that K may be ten or thousands. Sums are in the elements' precision, by a tree
over the lanes. A row with a NaN, or without a finite number, becomes NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import backend
from .backend import cuda
from .launch import entry, flat, launch, needs_wide
from .pointwise import fill
from .rows import Rows, make_block_sum, make_largest, make_total, share_of
from .runtime.source import inlined


def make_shifted(T: Any, U: Any, lanes: int) -> Any:
    """``shifted(x, at, lane, K, shared, t)`` -> a row's largest element, and the sum of exp(x - it) over the row."""
    total, largest = make_total(U, lanes), make_largest(U, lanes)

    def shifted(x: Any, at: Any, lane: Any, K: Any, shared: Any, t: Any) -> Any:
        top = x[U(at + (lane if lane < K else U(K - U(1))))]
        k = U(lane + U(lanes))
        while k < K:
            if x[U(at + k)] > top:
                top = x[U(at + k)]
            k = U(k + U(lanes))
        shared[t] = top
        top = largest(shared, t)
        found, k = T(0), lane
        while k < K:
            found += T(math.exp(T(x[U(at + k)] - top)))
            k = U(k + U(lanes))
        shared[t] = found
        return top, total(shared, t)

    return inlined(shifted)


def make_softmax(T: Any, S: Any, U: Any, threads: int, lanes: int, logarithm: bool) -> Callable[..., None]:
    """y = exp(x - max)/sum along rows, or its logarithm."""
    shifted = make_shifted(T, U, lanes)

    def softmax(x: Any, y: Any, rows: Rows) -> None:
        shared = cuda.shared.array(threads, T)
        t, K = U(cuda.threadIdx.x), U(rows.K)
        lane, n = U(t % U(lanes)), U(U(cuda.blockIdx.x) * U(rows.run) + t // U(lanes))
        real = n < U(rows.N)
        at = U((n if real else U(0)) * K)
        top, found = shifted(x, at, lane, K, shared, t)
        if real:
            offset, factor = T(math.log(found)), T(T(1) / found)
            k = lane
            while k < K:
                v = T(x[U(at + k)] - top)
                y[U(at + k)] = T(v - offset) if logarithm else T(T(math.exp(v)) * factor)
                k = U(k + U(lanes))

    return softmax


def make_softmax_grad(T: Any, S: Any, U: Any, threads: int, lanes: int, logarithm: bool) -> Callable[..., None]:
    """dx = y*(dy - sum(dy*y)) along rows; for the logarithm dx = dy - exp(y)*sum(dy)."""
    total = make_total(U, lanes)

    def softmax_grad(dy: Any, y: Any, dx: Any, rows: Rows) -> None:
        shared = cuda.shared.array(threads, T)
        t, K = U(cuda.threadIdx.x), U(rows.K)
        lane, n = U(t % U(lanes)), U(U(cuda.blockIdx.x) * U(rows.run) + t // U(lanes))
        real = n < U(rows.N)
        at = U((n if real else U(0)) * K)
        found, k = T(0), lane
        while k < K:
            d = dy[U(at + k)]
            found += d if logarithm else T(d * y[U(at + k)])
            k = U(k + U(lanes))
        shared[t] = found
        found = total(shared, t)
        if real:
            k = lane
            while k < K:
                d, v = dy[U(at + k)], y[U(at + k)]
                dx[U(at + k)] = T(d - T(math.exp(v)) * found) if logarithm else T(v * (d - found))
                k = U(k + U(lanes))

    return softmax_grad


def make_cross_entropy(T: Any, S: Any, U: Any, threads: int, lanes: int, mean: bool) -> Callable[..., None]:
    """p = softmax(z); loss[n] = sum of target*(log(sum(exp(z))) - z); with `mean` share * a block's sum of it."""
    shifted, total, block_sum = make_shifted(T, U, lanes), make_total(U, lanes), make_block_sum(U, threads)

    def cross_entropy(z: Any, target: Any, p: Any, loss: Any, share: Any, rows: Rows) -> None:
        shared = cuda.shared.array(threads, T)
        t, K = U(cuda.threadIdx.x), U(rows.K)
        lane, row = U(t % U(lanes)), U(t // U(lanes))
        first = U(U(cuda.blockIdx.x) * U(rows.run))
        stop, losses = min(U(first + U(rows.run)), U(rows.N)), T(0)
        while first < stop:  # all threads as often, for the barriers
            n = U(first + row)
            real = n < stop
            at = U((n if real else U(0)) * K)
            top, found = shifted(z, at, lane, K, shared, t)
            offset, factor = T(math.log(found)), T(T(1) / found)
            entropy, k = T(0), lane
            while k < K and real:
                v, w = T(z[U(at + k)] - top), target[U(at + k)]
                p[U(at + k)] = T(T(math.exp(v)) * factor)
                if w != T(0):  # 0 * log(0) is 0
                    entropy += w * (offset - v)
                k = U(k + U(lanes))
            if mean:
                losses += entropy
            else:
                shared[t] = entropy
                entropy = total(shared, t)
                if lane == U(0) and real:
                    loss[n] = entropy
            first = U(first + U(threads // lanes))
        if mean:
            shared[t] = losses
            losses = block_sum(shared, t)
            if t == U(0):
                loss[U(cuda.blockIdx.x)] = T(losses * share)

    return cross_entropy


def make_cross_entropy_grad(T: Any, S: Any, U: Any, threads: int, lanes: int, mean: bool) -> Callable[..., None]:
    """dz = dloss[n] * (p*sum(target) - target) along rows; with `mean` dloss[0]*share for every row."""
    total = make_total(U, lanes)

    def cross_entropy_grad(dloss: Any, p: Any, target: Any, dz: Any, share: Any, rows: Rows) -> None:
        shared = cuda.shared.array(threads, T)
        t, K = U(cuda.threadIdx.x), U(rows.K)
        lane, n = U(t % U(lanes)), U(U(cuda.blockIdx.x) * U(rows.run) + t // U(lanes))
        real = n < U(rows.N)
        at = U((n if real else U(0)) * K)
        found, k = T(0), lane
        while k < K:
            found += target[U(at + k)]
            k = U(k + U(lanes))
        shared[t] = found
        found = total(shared, t)
        if real:
            d = T(dloss[U(0)] * share) if mean else dloss[n]
            k = lane
            while k < K:
                dz[U(at + k)] = T(d * (p[U(at + k)] * found - target[U(at + k)]))
                k = U(k + U(lanes))

    return cross_entropy_grad


def make_sum(T: Any, S: Any, U: Any, threads: int) -> Callable[..., None]:
    """y[place] = the sum of x, in a fixed order; one block."""
    block_sum = make_block_sum(U, threads)

    def sum_all(x: Any, y: Any, place: Any, size: Any) -> None:
        shared = cuda.shared.array(threads, T)
        t = U(cuda.threadIdx.x)
        found, i = T(0), t
        while i < U(size):
            found += x[i]
            i = U(i + U(threads))
        shared[t] = found
        found = block_sum(shared, t)
        if t == U(0):
            y[U(place)] = found

    return sum_all


@entry
def softmax(x: Any, y: Any, *, logarithm: bool) -> None:
    """y = softmax of x along the last axis, or its logarithm."""
    _by_rows(make_softmax, x, (x, y), logarithm)


@entry
def softmax_grad(dy: Any, y: Any, dx: Any, *, logarithm: bool) -> None:
    """dx = the gradient of `softmax`, from its output y."""
    _by_rows(make_softmax_grad, y, (dy, y, dx), logarithm)


@entry
def softmax_cross_entropy(z: Any, target: Any, p: Any, loss: Any, *, mean: bool) -> None:
    """p = softmax(z); `loss` is each row's cross-entropy, or with `mean` a single number, the mean over the rows."""
    if not mean:
        _by_rows(make_cross_entropy, z, (z, target, p, loss, np.dtype(z.dtype).type(1)), False)
        return
    if z.size == 0:
        fill(loss, np.nan)
        return
    N = z.size // tuple(z.shape)[-1]
    share = share_of(N, tuple(z.shape)[-1], few=True)
    losses = loss if share.blocks == 1 else backend.room("losses", share.blocks, z.dtype)
    number = np.dtype(z.dtype).type(1 / N)
    args = flat(z), flat(target), flat(p), flat(losses), number, share.rows
    options = {"dtype": z.dtype, "wide": needs_wide(z.size), "threads": share.constants[0]}
    launch(make_cross_entropy, (*share.constants, True), share.blocks, args, **options)
    if share.blocks > 1:
        add_up(losses, share.blocks, flat(loss), 0, share.constants[0])


@entry
def softmax_cross_entropy_grad(dloss: Any, p: Any, target: Any, dz: Any, *, mean: bool) -> None:
    """dz from p = softmax(z) and the gradient to each row's loss, or with `mean` to the mean of all."""
    rows = p.size // tuple(p.shape)[-1]
    number = np.dtype(p.dtype).type(1 / rows if mean and rows else 1)
    _by_rows(make_cross_entropy_grad, p, (dloss, p, target, dz, number), mean)


def add_up(x: Any, count: int, y: Any, place: int, threads: int) -> None:
    """y[place] = the sum of the first `count` numbers in x, some thousands at most, by one block."""
    launch(make_sum, (threads,), 1, (x, y, place, count), dtype=x.dtype, wide=False, threads=threads)


def _by_rows(factory: Callable[..., Callable[..., None]], x: Any, args: tuple[Any, ...], option: bool) -> None:
    """Start a kernel with a few lanes per row of x."""
    if x.size == 0:
        return
    share = share_of(x.size // tuple(x.shape)[-1], tuple(x.shape)[-1])
    arrays = (a if isinstance(a, np.generic) else flat(a) for a in args)
    constants, wide = (*share.constants, option), needs_wide(x.size)
    launch(factory, constants, share.blocks, (*arrays, share.rows), dtype=x.dtype, wide=wide, threads=constants[0])
