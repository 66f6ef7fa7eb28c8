"""Normalisation of rows, forward and gradient (twin: cpu/row_normalization.py).

Lanes of threads share a row (`rows`): a layer's elements, or those of a group of channels. Sums are
in the elements' precision, by a tree over the lanes; the variance is that of the distances from the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import backend
from .backend import cuda
from .elementwise import activation_grad
from .launch import entry, flat, launch, needs_wide
from .rows import make_total, share_of
from .runtime.source import inlined


class Groups(NamedTuple):
    """Rows, their length, the rows of a block; element k of row n has the weight n % groups * own + k // inner."""

    N: int
    K: int
    run: int
    groups: int
    own: int
    inner: int


def make_weight(U: Any) -> Any:
    """``weight(n, k, rows)``: which gamma and beta belong to element k of row n."""

    def weight(n: Any, k: Any, rows: Groups) -> Any:
        return U(n % U(rows.groups) * U(rows.own) + k // U(rows.inner))

    return inlined(weight)


def make_layer_norm(T: Any, S: Any, U: Any, threads: int, lanes: int, centred: bool) -> Callable[..., None]:
    """y = (x - mean)*inverse*gamma + beta by rows, whose mean and 1/sqrt(variance + epsilon) are written."""
    total, weight = make_total(U, lanes), make_weight(U)

    def layer_norm(
        x: Any, y: Any, means: Any, inverses: Any, gamma: Any, beta: Any, epsilon: Any, rows: Groups
    ) -> None:
        shared = cuda.shared.array(threads, T)
        t, K = U(cuda.threadIdx.x), U(rows.K)
        lane, n = U(t % U(lanes)), U(U(cuda.blockIdx.x) * U(rows.run) + t // U(lanes))
        real = n < U(rows.N)
        at, mean = U((n if real else U(0)) * K), T(0)
        if centred:
            found, k = T(0), lane
            while k < K:
                found += x[U(at + k)]
                k = U(k + U(lanes))
            shared[t] = found
            mean = T(total(shared, t) / T(S(K)))
        found, k = T(0), lane
        while k < K:
            v = T(x[U(at + k)] - mean)
            found += v * v
            k = U(k + U(lanes))
        shared[t] = found
        inverse = T(T(1) / math.sqrt(T(total(shared, t) / T(S(K)) + epsilon)))
        if real:
            if lane == U(0):
                means[n] = mean
                inverses[n] = inverse
            k = lane
            while k < K:
                w = weight(n, k, rows)
                y[U(at + k)] = T((x[U(at + k)] - mean) * inverse * gamma[w] + beta[w])
                k = U(k + U(lanes))

    return layer_norm


def make_layer_norm_grad(T: Any, S: Any, U: Any, threads: int, lanes: int, centred: bool) -> Callable[..., None]:
    """dx by rows, and dy*z with z = (x - mean)*inverse, whose sums are gamma's gradient.

    With g = dy*gamma: dx = inverse*(g - mean(g) - z*mean(g*z)).
    """
    total, weight = make_total(U, lanes), make_weight(U)

    def layer_norm_grad(
        dy: Any, x: Any, means: Any, inverses: Any, gamma: Any, dx: Any, products: Any, rows: Groups
    ) -> None:
        shared = cuda.shared.array(threads, T)
        t, K = U(cuda.threadIdx.x), U(rows.K)
        lane, n = U(t % U(lanes)), U(U(cuda.blockIdx.x) * U(rows.run) + t // U(lanes))
        real = n < U(rows.N)
        n = n if real else U(0)
        at, mean, inverse = U(n * K), means[n], inverses[n]
        by_one, by_z, k = T(0), T(0), lane
        while k < K:
            g = T(dy[U(at + k)] * gamma[weight(n, k, rows)])
            by_one += g
            by_z += g * T((x[U(at + k)] - mean) * inverse)
            k = U(k + U(lanes))
        shared[t] = by_one
        by_one = T(total(shared, t) / T(S(K))) if centred else T(0)
        shared[t] = by_z
        by_z = T(total(shared, t) / T(S(K)))
        if real:
            k = lane
            while k < K:
                d, z = dy[U(at + k)], T((x[U(at + k)] - mean) * inverse)
                dx[U(at + k)] = T(inverse * (d * gamma[weight(n, k, rows)] - by_one - z * by_z))
                products[U(at + k)] = T(d * z)
                k = U(k + U(lanes))

    return layer_norm_grad


@entry
def layer_norm(
    x: Any, y: Any, mean: Any, inverse: Any, gamma: Any, beta: Any, *, epsilon: float, centred: bool
) -> None:
    """y = (x - mean)*inverse*gamma + beta for rows of x (R, K), whose mean and 1/sqrt(var + epsilon) are written."""
    numbers = x, y, mean, inverse, gamma, beta
    normalize_rows(numbers, epsilon, centred, tuple(x.shape), (1, x.shape[1], 1))


@entry
def layer_norm_grad(
    dy: Any, x: Any, mean: Any, inverse: Any, gamma: Any, dx: Any, dgamma: Any, dbeta: Any, *, centred: bool
) -> None:
    """The gradients of `layer_norm`."""
    products = gradient_of_rows((dy, x, mean, inverse, gamma, dx), centred, tuple(x.shape), (1, x.shape[1], 1))
    add_sums(dy, products, dgamma, dbeta)


def normalize_rows(
    arrays: tuple[Any, ...], epsilon: float, centred: bool, size: tuple[int, int], weights: tuple[int, int, int]
) -> None:
    number = np.dtype(arrays[0].dtype).type(epsilon)
    _by_rows(make_layer_norm, (*arrays, number), centred, size, weights)


def gradient_of_rows(
    arrays: tuple[Any, ...], centred: bool, size: tuple[int, int], weights: tuple[int, int, int]
) -> Any:
    products = backend.empty(arrays[0].shape, arrays[0].dtype)
    _by_rows(make_layer_norm_grad, (*arrays, products), centred, size, weights)
    return products


def add_sums(dy: Any, products: Any, dgamma: Any, dbeta: Any) -> None:
    for array, sums in ((products, dgamma), (dy, dbeta)):
        activation_grad(array, array, array, sums, kind=None, axis=1)


def _by_rows(
    factory: Callable[..., Callable[..., None]], args: tuple[Any, ...], centred: bool, size: tuple[int, int],
    weights: tuple[int, int, int],
) -> None:  # fmt: skip
    """Start a kernel with a few lanes per row."""
    x, share = args[0], share_of(*size)
    arrays = (a if isinstance(a, np.generic) else flat(a) for a in args)
    rows, wide = Groups(*share.rows, *weights), needs_wide(x.size)
    constants = (*share.constants, centred)
    launch(factory, constants, share.blocks, (*arrays, rows), dtype=x.dtype, wide=wide, threads=constants[0])
