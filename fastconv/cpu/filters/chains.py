"""Filters that go along one axis after the other: a chain of passes, two neighbouring axes at a time in one kernel.

Between passes numbers have y's dtype, as SciPy has them: an integer is truncated after each. Arrays are C-contiguous.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...memory import scratch
from ...simd.host import host
from .blocks import Shape, Span, across, cut, shape_of
from .ranks import Selection, plan_selection
from .reductions import COLUMNS, DENSE, EVEN, HIGHEST, LOWEST, ODD, PLAIN, ROWS, RUNS, Reduction, Taps, plan_reduction

TOGETHER = 300  # elements of two windows in all, up to which a block has both borders


class Pass(NamedTuple):
    """A window along one axis, and what is made of it: "correlate" (with weights), "mean", "max" or "min"."""

    kind: str
    axis: int
    length: int
    before: int
    mode: str
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Chain:
    """Passes of one shape and dtype, as kernels take them."""

    steps: tuple[Reduction, ...]

    def run(self, x: np.ndarray, y: np.ndarray, cval: float) -> None:
        """Write what becomes of x to y, which it does not overlap; x is left as it is."""
        other = y if len(self.steps) < 2 else scratch(y.shape, y.dtype)
        source = x
        for left in range(len(self.steps) - 1, -1, -1):
            target = other if left % 2 else y
            self.steps[-1 - left].run(source, target, cval)
            source = target


def filter_chain(
    shape: tuple[int, ...], passes: Sequence[tuple[Any, ...]], x_dtype: np.dtype, y_dtype: np.dtype
) -> Chain:
    """Put passes (as `Pass`), at least one, together for kernels."""
    steps, waiting, dtype = [], [Pass(*each) for each in passes], x_dtype
    while waiting:
        first = waiting.pop(0)
        second = waiting.pop(0) if waiting and _go_together(first, waiting[0]) else None
        steps.append(_pair(shape, first, second, dtype, y_dtype) if second else _single(shape, first, dtype, y_dtype))
        dtype = y_dtype
    return Chain(tuple(steps))


def filter_sum(
    shape: tuple[int, ...], passes: Sequence[tuple[Any, ...]], x_dtype: np.dtype, y_dtype: np.dtype
) -> Chain | None:
    """Two passes of products of x, each rounded to y's dtype, and added; None where they do not share a block."""
    first, second = (Pass(*each) for each in passes)
    if y_dtype.kind != "f" and y_dtype.itemsize == 8:  # their sums need more bits than float64 has
        return None
    return Chain((_pair(shape, first, second, x_dtype, y_dtype, added=True),)) if _go_together(first, second) else None


def _go_together(first: Pass, second: Pass) -> bool:
    return abs(first.axis - second.axis) == 1 and first.length + second.length <= TOGETHER


def _pair(
    shape: tuple[int, ...], first: Pass, second: Pass, x_dtype: np.dtype, y_dtype: np.dtype, added: bool = False
) -> Reduction:
    rows, columns = sorted((first, second), key=lambda step: step.axis)
    at = rows.axis
    seen = Shape((Span(math.prod(shape[:at])),), _span(shape, rows), _span(shape, columns), math.prod(shape[at + 2 :]))
    taps = tuple(_taps(step, ROWS if step is rows else COLUMNS) for step in (first, second))
    return plan_reduction(cut(seen, 8, 2), taps, x_dtype, y_dtype, added)


def _single(shape: tuple[int, ...], step: Pass, x_dtype: np.dtype, y_dtype: np.dtype) -> Reduction:
    spans = [_span(shape, step) if a == step.axis else Span(n) for a, n in enumerate(shape)]
    seen, along = shape_of(spans[: step.axis + 1]), COLUMNS
    seen = seen._replace(unit=math.prod(shape[step.axis + 1 :]))
    if seen.unit >= 2 * host().lanes(8):
        seen, along = across(seen), ROWS
    return plan_reduction(cut(seen, 8, 2), (_taps(step, along),), x_dtype, y_dtype)


def _span(shape: tuple[int, ...], step: Pass) -> Span:
    return Span(shape[step.axis], step.length, step.before, step.mode)


def _taps(step: Pass, along: int) -> Taps:
    """The taps of a pass in the order in which SciPy adds them."""
    n, w = step.length, step.weights
    weights: tuple[float, ...] = ()
    if step.kind != "correlate":
        code, order = RUNS[step.kind], list(range(n))
    else:
        code = _symmetry(w)
        if code == PLAIN:  # the last tap begins
            order = [n - 1, *range(n - 1)]
            weights = tuple(w[k] for k in order)
        else:  # the middle begins, then pairs from the outermost on, with the weight in front
            order = [0, *range(n // 2, 0, -1)]
            weights = tuple(w[n // 2 - d] for d in order)
    places = tuple((0, d, 0) if along == ROWS else (0, 0, d) for d in order)
    return Taps(code, along, places, weights, n // 2 if code in (EVEN, ODD) else 0)


def _symmetry(weights: Sequence[float]) -> int:
    """Even and odd weights are told apart as SciPy does: within 2**-52."""
    n, w = len(weights), np.asarray(weights, np.float64)
    if n % 2 == 0:
        return PLAIN
    limit, after, front = np.finfo(np.float64).eps, w[n // 2 + 1 :], w[: n // 2][::-1]
    if not (np.abs(after - front) > limit).any():
        return EVEN
    return PLAIN if (np.abs(after + front) > limit).any() else ODD


def filter_window(
    kind: str,
    axes: Sequence[tuple[Any, ...]],
    places: np.ndarray,
    weights: np.ndarray,
    x_dtype: np.dtype,
    y_dtype: np.dtype,
) -> Chain:
    """A reduction of a window of any form, to a sum of products ("correlate"), or to "max" or "min" of x + weight.

    All but the first of x + weight are of x's dtype, as in SciPy.

    `axes` are `Span`s; `places` number the window's elements that count in C order, at least one of them.
    """
    seen, where = placed([Span(*axis) for axis in axes], places)
    code = {"correlate": PLAIN, "max": HIGHEST, "min": LOWEST}[kind]
    if code == PLAIN and len(where) == math.prod(span.length for span in (*seen.lead, seen.rows, seen.columns)):
        code = DENSE
    rounds = kind != "correlate" and x_dtype != np.float64 and bool(weights.any())
    taps = Taps(code, COLUMNS, where, tuple(weights.tolist()), rounds=rounds)
    return Chain((plan_reduction(cut(seen, 8, 2), (taps,), x_dtype, y_dtype),))


def filter_rank(axes: Sequence[tuple[Any, ...]], places: np.ndarray, rank: int, dtype: np.dtype) -> Selection:
    """The element of a rank of a window of any form (as for `filter_window`), from the smallest on."""
    seen, where = placed([Span(*axis) for axis in axes], places)
    return plan_selection(cut(seen, dtype.itemsize), where, rank, dtype)


def placed(spans: Sequence[Span], places: np.ndarray) -> tuple[Shape, tuple[tuple[int, int, int], ...]]:
    """How an array is seen under a window, and where elements of the window, numbered in C order, lie."""
    seen = shape_of(spans)
    if seen.unit >= 2 * host().lanes(8) and not seen.lead and seen.rows.length == 1:
        seen = across(seen)
    lengths = math.prod(span.length for span in seen.lead), seen.rows.length, seen.columns.length
    return seen, tuple(zip(*(axis.tolist() for axis in np.unravel_index(places, lengths)), strict=True))
