"""Sums over everything but the channels: how an array is cut for them, and the loops its kernels share.

An array is (outer, C, inner): channels-last has inner = 1, channels-first outer = N. A channel's outer*inner elements
are cut into parts by the shape alone, so that sums over parts, added in a fixed order, have the same bits on every
device. A block owns one part of some neighbouring channels, its *lanes*: thread t has lane t % lanes and row
t // lanes, so that a warp reads neighbouring addresses in either layout. A thread sums its elements, then a tree in
shared memory adds the rows. Two kernels make a sum: one writes the parts, and whoever needs the sum adds them up.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numba

from .backend import cuda
from .runtime.source import inlined, unrolled

THREADS = 256
LANES = 32  # neighbouring channels of a block where channels are last: 128 bytes of float32
AHEAD = 4  # elements that a thread loads before it uses the first
LEAST = 16  # elements of a part that each thread sums at least
LEAST_PART = 256
WHOLE = 64  # elements that each thread sums at most where there is one part alone
MOST_PARTS = 512
BLOCKS = 2048  # enough for every GPU


class Cut(NamedTuple):
    """What kernels need to know: channels, inner size, elements of a channel and of a part, parts, a step of rows."""

    C: int
    inner: int
    total: int
    part: int
    parts: int
    step_outer: int
    step_inner: int


class Layout(NamedTuple):
    """The cut of an array; the constants (threads, lanes) of its kernels; groups of lanes and blocks of a grid."""

    cut: Cut
    constants: tuple[int, int]
    groups: int
    blocks: int


def layout_of(shape: tuple[int, ...], axis: int) -> Layout:
    """The layout of a C-contiguous array that is not empty, with channels along `axis`, counted from 0."""
    return _layout(tuple(shape), axis, THREADS)


@lru_cache(maxsize=256)
def _layout(shape: tuple[int, ...], axis: int, threads: int) -> Layout:
    C, inner = shape[axis], math.prod(shape[axis + 1 :])
    lanes = 1 if inner > 1 else min(LANES, threads, 1 << (C - 1).bit_length())
    rows, groups, total = threads // lanes, -(-C // lanes), math.prod(shape) // C
    part = total
    if total > WHOLE * rows:
        most = max(1, min(MOST_PARTS, BLOCKS // groups))
        part = max(LEAST_PART, LEAST * rows, -(-total // most))
        part = -(-part // rows) * rows
    parts = -(-total // part)
    cut = Cut(C, inner, total, part, parts, rows // inner, rows % inner)
    return Layout(cut, (threads, lanes), groups, groups * parts)


@lru_cache(maxsize=32)
def make_place(U: Any, lanes: int) -> Any:
    """``place(t, block, cut)`` -> (channel, whether it exists, row, part, first and past-the-last element) of a thread.

    A lane beyond the last channel works on that one, for barriers need all threads, and must not store.
    """

    def place(t: Any, block: Any, cut: Cut) -> Any:
        groups = U(U(U(cut.C) + U(lanes - 1)) // U(lanes))
        part = U(block // groups)
        channel = U(U(block - part * groups) * U(lanes) + t % U(lanes))
        real = channel < U(cut.C)
        if not real:
            channel = U(U(cut.C) - U(1))
        first = U(part * U(cut.part))
        stop = U(first + U(cut.part))
        if stop > U(cut.total):
            stop = U(cut.total)
        return channel, real, U(t // U(lanes)), part, first, stop

    return numba.njit(place)


@lru_cache(maxsize=32)
def make_walk(U: Any) -> Any:
    """``walk(outer, rest, channel, cut, at)`` -> where a thread then is: its next `AHEAD` addresses go into `at`."""

    def walk(outer: Any, rest: Any, channel: Any, cut: Cut, at: Any) -> Any:
        for k in unrolled(AHEAD):
            at[k] = U((outer * U(cut.C) + channel) * U(cut.inner) + rest)
            outer, rest = U(outer + U(cut.step_outer)), U(rest + U(cut.step_inner))
            if rest >= U(cut.inner):
                outer, rest = U(outer + U(1)), U(rest - U(cut.inner))
        return outer, rest

    return inlined(walk)


@lru_cache(maxsize=32)
def make_fold(U: Any, threads: int, lanes: int) -> Any:
    """``fold(shared, t)``: add up the rows, lane by lane, into the first row, between barriers."""
    half = threads // lanes // 2

    def fold(shared: Any, t: Any) -> None:
        cuda.syncthreads()
        rows = U(half)
        while rows > U(0):
            if t < U(rows * U(lanes)):
                shared[t] += shared[U(t + rows * U(lanes))]
            cuda.syncthreads()
            rows = U(rows // U(2))

    return inlined(fold)


@lru_cache(maxsize=32)
def make_add_parts(T: Any, U: Any, threads: int, lanes: int) -> Any:
    """``add_parts(parts, begin, row, cut)``: a row's share of the sum of parts[begin + p*C] over all parts p."""
    rows = threads // lanes

    def add_parts(parts: Any, begin: Any, row: Any, cut: Cut) -> Any:
        total, other = T(0), T(0)  # two chains: the second load need not wait for the first sum
        p = row
        while U(p + U(rows)) < U(cut.parts):
            total += parts[U(begin + p * U(cut.C))]
            other += parts[U(begin + U(p + U(rows)) * U(cut.C))]
            p = U(p + U(2 * rows))
        if p < U(cut.parts):
            total += parts[U(begin + p * U(cut.C))]
        return T(total + other)

    return inlined(add_parts)
