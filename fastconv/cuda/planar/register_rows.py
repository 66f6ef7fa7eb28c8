"""Rows in registers: what kernels share whose threads own some rows and columns of results (``depthwise``, …).

A thread goes down the rows of the source that its results need, keeps one of them in registers, and adds it to all
results it belongs to. Which row meets which result through which tap is known when a kernel is compiled, for the
forward direction and for the input gradient, whose stride makes some taps meet nothing: see `Line`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..activation import device_function
from ..halves import make_loader, make_storer
from ..indexing import L
from ..launch import blocks_for
from ..runtime.source import inlined, known, unrolled

MOST_STRIDE = 4  # that tables of taps are made for
LANES = 32, 16, 8, 4  # neighbouring threads on neighbouring channels or columns
WASTE = 1.25  # threads, of those at work, that may be started


class Line(NamedTuple):
    """How the results of a thread meet the source along one axis.

    `offsets` are the places of the source, from the first one on, that any of `results` results needs; ``taps[k][i]``
    is the tap through which place k meets result i, -1 if none. The next thread's first place lies `step` further.
    """

    results: int
    kernel: int
    step: int
    first: int
    offsets: tuple[int, ...]
    taps: tuple[tuple[int, ...], ...]


class Axis(NamedTuple):
    """One axis of a problem: elements of source and result, threads along it, the first places of thread 0."""

    source: int
    result: int
    tiles: int
    origin: int
    first: int


def line(kernel: int, stride: int, dilation: int, results: int, backward: bool) -> Line:
    """Forward result i reads place i*stride + u*dilation; backward place (i - u*dilation)/stride, where that is whole.

    Backward, `results` is a multiple of `stride` and result 0 lies where tap 0 meets a place.
    """
    meets = {}
    for i in range(results):
        for u in range(kernel):
            place, rest = divmod(i - u * dilation, stride) if backward else (i * stride + u * dilation, 0)
            if rest == 0:
                meets[place, i] = u
    places = sorted({place for place, _ in meets})
    offsets = tuple(place - places[0] for place in places)
    taps = tuple(tuple(meets.get((place, i), -1) for i in range(results)) for place in places)
    return Line(results, kernel, results // stride if backward else results * stride, places[0], offsets, taps)


def forward_axis(line: Line, size: int, out: int, before: int) -> Axis:
    """From `size` elements with `before` zeros before them to `out` results."""
    return Axis(size, out, blocks_for(out, line.results), line.first - before, 0)


def backward_axis(line: Line, size: int, out: int, before: int, stride: int) -> Axis:
    """From `out` gradients of results to those of `size` elements."""
    whole, rest = divmod(before, stride)
    return Axis(out, size, blocks_for(size + rest, line.results), whole + line.first, -rest)


def make_load_row(T: Any, U: Any, columns: Line, channels_last: bool, numbers: str | None) -> Any:
    """``load_row(x, at, inside, first, size, step, row)``: the places of one row that a thread needs; 0 outside.

    The first place is x[at], the next ones lie `step` apart, 1 unless `channels_last`. `at` has 64 bits, so that the
    addresses of a row differ by constants.
    """
    COUNT, OFFSETS = len(columns.offsets), columns.offsets
    load = make_loader(numbers)

    def load_row(x: Any, at: Any, inside: Any, first: Any, size: Any, step: Any, row: Any) -> None:
        between = L(step) if channels_last else L(1)
        for k in unrolled(COUNT):
            v = T(0)
            if inside and U(first + known(OFFSETS[k])) < U(size):
                v = load(x[at + L(known(OFFSETS[k])) * between])
            row[k] = v

    return inlined(load_row)


def make_multiply(columns: Line) -> Any:
    """``multiply(row, w, u, acc, i)``: add a row, through the taps from w[u] on, to the results from acc[i] on."""
    COUNT, P, TAPS = len(columns.offsets), columns.results, columns.taps

    def multiply(row: Any, w: Any, u: int, acc: Any, i: int) -> None:
        for k in unrolled(COUNT):
            for j in unrolled(P):
                if known(TAPS[k][j] >= 0):
                    acc[i + j] += row[k] * w[u + known(TAPS[k][j])]

    return inlined(multiply)


def make_store_row(T: Any, U: Any, columns: Line, channels_last: bool, activation: Any, numbers: str | None) -> Any:
    """``store_row(acc, i, b, y, at, first, size, step)``: finish one row of results, from acc[i] on, and write it."""
    P, act, store = columns.results, device_function(activation, T), make_storer(numbers)

    def store_row(acc: Any, i: int, b: Any, y: Any, at: Any, first: Any, size: Any, step: Any) -> None:
        between = U(step) if channels_last else U(1)
        for j in unrolled(P):
            if U(first + j) < U(size):
                v = T(acc[i + j] + b)
                if act is not None:
                    v = T(act(v))
                y[U(at + U(first + j) * between)] = store(v)

    return inlined(store_row)


def multiple(n: int, of: int) -> int:
    """n, or the next whole multiple of `of` above it."""
    return -(-n // of) * of


def lanes_for(n: int) -> int:
    """Neighbouring threads for n channels or columns: many, unless too many of them had nothing to do."""
    return next((lanes for lanes in LANES if multiple(n, lanes) <= WASTE * n), LANES[-1])
