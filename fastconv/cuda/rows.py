"""Work on rows of (N, K): lanes of threads share a row, and blocks go through fixed runs of rows.

Thread t of a block has lane t % lanes of one of threads // lanes rows at a time; a tree in shared memory joins what the
lanes found. Lanes follow from K, runs from N and K: the same bits on every device.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numba

from .backend import cuda
from .runtime.source import inlined

THREADS = 128
EACH = 4  # elements of a row that a lane has where there are enough of them
ENOUGH = 1 << 14  # elements that one block goes through, where results are added up over all rows
MOST_BLOCKS = 1024


class Rows(NamedTuple):
    """Rows, their length, and the rows of one block."""

    N: int
    K: int
    run: int


class Share(NamedTuple):
    """How blocks share rows: sizes, the constants (threads, lanes) of the kernels, and blocks."""

    rows: Rows
    constants: tuple[int, int]
    blocks: int


def share_of(N: int, K: int, few: bool = False) -> Share:
    """How (N, K) is shared: a block has rows for all its threads once, or with `few` blocks some `ENOUGH` elements."""
    return _share(N, K, few, THREADS)


@lru_cache(maxsize=256)
def _share(N: int, K: int, few: bool, threads: int) -> Share:
    lanes = min(threads, 1 << (-(-K // EACH) - 1).bit_length())
    run = threads // lanes
    if few:
        run *= max(1, ENOUGH // (run * K), -(-N // (run * MOST_BLOCKS)))
    return Share(Rows(N, K, run), (threads, lanes), -(-N // run))


def make_total(U: Any, lanes: int) -> Any:
    """``total(shared, t)``: the sum of a row's lanes, for all of them; barriers before and after."""
    return _make_tree(U, lanes, add)


def make_largest(U: Any, lanes: int) -> Any:
    """``largest(shared, t)``: the largest of a row's lanes, for all of them; a NaN may be lost."""
    return _make_tree(U, lanes, larger)


@numba.njit
def add(a: Any, b: Any) -> Any:
    """The sum of two lanes."""
    return a + b


@numba.njit
def larger(a: Any, b: Any) -> Any:
    """The larger of two lanes."""
    return b if b > a else a


@lru_cache(maxsize=64)
def _make_tree(U: Any, lanes: int, join: Any) -> Any:
    def tree(shared: Any, t: Any) -> Any:
        cuda.syncthreads()
        half = U(lanes // 2)
        while half > U(0):
            if t % U(lanes) < half:
                shared[t] = join(shared[t], shared[U(t + half)])
            cuda.syncthreads()
            half = U(half // U(2))
        found = shared[U(t - t % U(lanes))]
        cuda.syncthreads()
        return found

    return inlined(tree)


def make_block_sum(U: Any, threads: int) -> Any:
    """``block_sum(shared, t)``: the sum over all threads, for all of them."""
    return make_total(U, threads)
