"""Rows in registers: what kernels share whose threads own some rows and columns of results (``depthwise``, …).

A thread goes down the rows of the source that its results need, keeps one of them in registers, and adds it to all
results it belongs to. Which row meets which result through which tap is known when a kernel is compiled, for the
forward direction and for the input gradient, whose stride makes some taps meet nothing: see `Line`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...problem import Axis, ConvProblem
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


class Span(NamedTuple):
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


def lines_of(p: ConvProblem, results: tuple[int, int]) -> tuple[list[Line], list[Span]]:
    """Rows and columns of a problem's result whose threads own so many `results` of each."""
    backward, axes = p.op == "conv_input_grad", p.axes[1:]
    lines = [line(a.kernel, a.stride, a.dilation, n, backward) for a, n in zip(axes, results, strict=True)]
    make = backward_axis if backward else forward_axis
    return lines, [make(some, axis) for some, axis in zip(lines, axes, strict=True)]


def forward_axis(line: Line, axis: Axis) -> Span:
    """From elements with zeros before them to results."""
    return Span(axis.size, axis.out, blocks_for(axis.out, line.results), line.first - axis.before, 0)


def backward_axis(line: Line, axis: Axis) -> Span:
    """From gradients of results to those of elements."""
    whole, rest = divmod(axis.before, axis.stride)
    return Span(axis.out, axis.size, blocks_for(axis.size + rest, line.results), whole + line.first, -rest)


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


def is_small(p: ConvProblem, taps: int, columns: int) -> bool:
    """True for images (no depth) and filters of so many taps and columns at most, with strides that are served."""
    depth, height, width = p.axes
    planar = depth.size == depth.out == depth.kernel == 1 and depth.before == depth.after == 0
    small = height.kernel * width.kernel <= taps and width.kernel <= columns
    return planar and small and max(p.stride) <= MOST_STRIDE


def multiple(n: int, of: int) -> int:
    """n, or the next whole multiple of `of` above it."""
    return -(-n // of) * of


def lanes_for(n: int) -> int:
    """Neighbouring threads for n channels or columns: many, unless too many of them had nothing to do."""
    return next((lanes for lanes in LANES if multiple(n, lanes) <= WASTE * n), LANES[-1])
