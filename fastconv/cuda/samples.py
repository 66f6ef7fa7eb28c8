"""Samples and what is measured of them on the device: gathered batches, class numbers as vectors, scores of metrics.

A score is a number per row of (N, K); what a metric needs is their sum, which one block adds up in a fixed order, or
some blocks that a second kernel joins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from . import backend
from .backend import cuda
from .launch import BLOCK, blocks_for, entry, flat, index_dtype, launch, needs_wide
from .rows import Rows, make_block_sum, make_total, share_of
from .runtime.source import inlined
from .softmax import add_up

BY_CLASS = ("categorical", "sparse", "top_k", "sparse_top_k")  # scores that the order of a row's outputs decides
BY_VALUE = ("binary", "squared", "absolute")


def make_gather(T: Any, S: Any, U: Any, source: str) -> Callable[..., None]:
    """y[r] = x[order[first + r]] for rows of `length` numbers, in y's dtype; one thread per number."""
    X = numba.from_dtype(np.dtype(source))

    def gather(x: Any, order: Any, y: Any, first: Any, length: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            r = U(i // U(length))
            row = U(order[U(U(first) + r)])
            y[i] = T(X(x[U(row * U(length) + U(i - r * U(length)))]))

    return gather


def make_one_hot(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """y[n, k] = 1 where k is labels[n], else 0; one thread per element."""

    def one_hot(labels: Any, y: Any, K: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n = U(i // U(K))
            y[i] = T(1) if U(labels[n]) == U(i - n * U(K)) else T(0)

    return one_hot


def make_note(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """scores[place] = x[0]."""

    def note(x: Any, scores: Any, place: Any) -> None:
        if cuda.threadIdx.x == 0:
            scores[U(place)] = x[0]

    return note


def make_argmax(T: Any, U: Any, lanes: int) -> Any:
    """``argmax(x, at, lane, K, values, places, t)``: the first largest element of a row, a NaN above all numbers."""

    def better(a: Any, i: Any, b: Any, j: Any) -> Any:
        if a != a or b != b:
            return a != a and (b == b or i < j)
        return a > b or (a == b and i < j)

    better = numba.njit(better)

    def argmax(x: Any, at: Any, lane: Any, K: Any, values: Any, places: Any, t: Any) -> Any:
        where = lane if lane < K else U(K - U(1))
        top, k = x[U(at + where)], U(lane + U(lanes))
        while k < K:
            if better(x[U(at + k)], k, top, where):
                top, where = x[U(at + k)], k
            k = U(k + U(lanes))
        values[t], places[t] = top, where
        cuda.syncthreads()
        half = U(lanes // 2)
        while half > U(0):
            if t % U(lanes) < half:
                other = U(t + half)
                if better(values[other], places[other], values[t], places[t]):
                    values[t], places[t] = values[other], places[other]
            cuda.syncthreads()
            half = U(half // U(2))
        found = places[U(t - t % U(lanes))]
        cuda.syncthreads()
        return U(found)

    return inlined(argmax)


def make_class_scores(T: Any, S: Any, U: Any, threads: int, lanes: int, kind: str) -> Callable[..., None]:
    """sums[place + block] = how many of a block's rows have the label's class on top, or among the `most` largest.

    Labels are class numbers ("sparse", "sparse_top_k") or the places of the largest element of rows of numbers.
    """
    argmax, total, block_sum = make_argmax(T, U, lanes), make_total(U, lanes), make_block_sum(U, threads)
    numbered, on_top = kind.startswith("sparse"), not kind.endswith("top_k")

    def class_scores(labels: Any, p: Any, sums: Any, most: Any, place: Any, rows: Rows) -> None:
        shared, places = cuda.shared.array(threads, T), cuda.shared.array(threads, U)
        t, K = U(cuda.threadIdx.x), U(rows.K)
        lane, row = U(t % U(lanes)), U(t // U(lanes))
        first = U(U(cuda.blockIdx.x) * U(rows.run))
        stop, score = min(U(first + U(rows.run)), U(rows.N)), T(0)
        while first < stop:  # all threads as often, for the barriers
            n = U(first + row)
            real = n < stop
            n = n if real else U(0)
            at = U(n * K)
            label = U(labels[n]) if numbered else argmax(labels, at, lane, K, shared, places, t)
            if on_top:
                right = argmax(p, at, lane, K, shared, places, t) == label
            else:
                own, larger, k = p[U(at + label)], T(0), lane
                while k < K:
                    if p[U(at + k)] > own:
                        larger += T(1)
                    k = U(k + U(lanes))
                shared[t] = larger
                right = total(shared, t) < T(S(most)) and own - own == T(0)  # NaN and infinity are never right
            if real and lane == U(0) and right:
                score += T(1)
            first = U(first + U(threads // lanes))
        shared[t] = score
        score = block_sum(shared, t)
        if t == U(0):
            sums[U(U(place) + U(cuda.blockIdx.x))] = score

    return class_scores


def make_value_scores(T: Any, S: Any, U: Any, threads: int, lanes: int, kind: str) -> Callable[..., None]:
    """sums[place + block] = share * the sum of a block's elements' scores.

    A score is 1 on the label's side of the threshold ("binary"), the difference squared, or its absolute value.
    """
    block_sum = make_block_sum(U, threads)
    binary, squared = kind == "binary", kind == "squared"

    def value_scores(labels: Any, p: Any, sums: Any, share: Any, threshold: Any, place: Any, rows: Rows) -> None:
        shared = cuda.shared.array(threads, T)
        t = U(cuda.threadIdx.x)
        i = U(U(cuda.blockIdx.x) * U(rows.run) * U(rows.K) + t)
        stop = U(min(U(U(U(cuda.blockIdx.x) + U(1)) * U(rows.run)), U(rows.N)) * U(rows.K))
        score = T(0)
        while i < stop:
            if binary:
                score += T(1) if (labels[i] > T(0.5)) == (p[i] > threshold) else T(0)
            else:
                d = T(p[i] - labels[i])
                score += T(d * d) if squared else T(abs(d))
            i = U(i + U(threads))
        shared[t] = score
        score = block_sum(shared, t)
        if t == U(0):
            sums[U(U(place) + U(cuda.blockIdx.x))] = T(score * share)

    return value_scores


@entry
def gather(x: Any, order: Any, y: Any, first: int) -> None:
    """y[r] = x[order[first + r]] for every row r of y, in y's dtype."""
    if y.size == 0:
        return
    args = flat(x), order, flat(y), first, y.size // y.shape[0], y.size
    source = np.dtype(x.dtype).name
    launch(make_gather, (source,), blocks_for(y.size), args, dtype=y.dtype, wide=needs_wide(x.size, y.size))


@entry
def one_hot(labels: Any, y: Any) -> None:
    """y (..., K) has a 1 where the class number in `labels` (...) says, else 0."""
    args = flat(labels), flat(y), tuple(y.shape)[-1], y.size
    launch(make_one_hot, (), blocks_for(y.size), args, dtype=y.dtype, wide=needs_wide(y.size))


@entry
def note(x: Any, scores: Any, place: int) -> None:
    """scores[place] = the only element of x."""
    launch(make_note, (), 1, (flat(x), scores, place), dtype=scores.dtype, wide=False, threads=32)


@entry
def add_scores(labels: Any, p: Any, scores: Any, place: int, *, kind: str, number: float = 0.0) -> None:
    """scores[place] = the sum of a metric's scores over the rows of p; `number` is its k or its threshold."""
    K = tuple(p.shape)[-1] if kind in BY_CLASS else p.size // p.shape[0]
    share = share_of(p.size // K, K, few=True)
    dtype, threads = np.dtype(p.dtype), share.constants[0]
    alone = share.blocks == 1
    sums, at = (scores, place) if alone else (backend.room("scores", share.blocks, dtype), 0)
    if kind in BY_CLASS:
        factory: Any = make_class_scores
        args: Any = flat(labels), flat(p), sums, int(number), at, share.rows
    else:
        factory = make_value_scores
        args = flat(labels), flat(p), sums, dtype.type(1 / K), dtype.type(number), at, share.rows
    launch(factory, (*share.constants, kind), share.blocks, args, dtype=dtype, wide=needs_wide(p.size), threads=threads)
    if not alone:
        add_up(sums, share.blocks, scores, place, threads)


def order_dtype(rows: int) -> np.dtype:
    """The dtype of the rows' numbers that `gather` takes."""
    return index_dtype(needs_wide(rows))
