"""Whether a transform is exact enough for the data of one call: what "auto" asks before it takes one.

A transform's error is relative to the largest element that it meets, not to those of a window, and its sums are larger
than the result. So data stay away from transforms where a part is much smaller than the rest (`LOST`), or where a
transform could leave the range of the dtype. See docs/decisions/0016-what-auto-looks-at.md.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import operator
from ..problem import ConvProblem

LOST = {4: 16, 8: 26}  # bits that a small part may lose beside a large one, by itemsize: 16-bit data always pass
MARGIN = 16  # bits by which Winograd's transforms, or the sums of a Fourier transform, may exceed what is counted


class Judged(NamedTuple):
    """Of one operand: the biased exponent of its largest element (0: zeros), and whether its parts are alike enough."""

    exponent: int
    even: bool


ZEROS = Judged(0, True)

_local = threading.local()


class Judgements:
    """What is known of arrays that a convolution and its gradients share, as long as nobody writes to them."""

    def __init__(self) -> None:
        self._found: dict[Any, tuple[weakref.ref[np.ndarray], Judged]] = {}

    def of(self, array: np.ndarray, key: Any, judge: Callable[..., Judged], *args: Any, **options: Any) -> Judged:
        """The judgement under this key, made by ``judge(*args, **options)`` when it is asked for first."""
        reference, found = self._found.get((id(array), key), (None, ZEROS))
        if reference is None or reference() is not array:
            found = judge(*args, **options)
            self._found[id(array), key] = weakref.ref(array), found
        return found


@contextmanager
def remembering(judgements: Judgements) -> Iterator[None]:
    """Judge an array once, in this thread: the caller promises that none is written to."""
    outer = getattr(_local, "judgements", None)
    _local.judgements = judgements
    try:
        yield
    finally:
        _local.judgements = outer


@contextmanager
def noting(promised: bool) -> Iterator[None]:
    """Keep in mind what is known of results that this block makes; it is promised that nobody writes to any of them."""
    outer = getattr(_local, "noted", None)
    _local.noted = {} if promised else None
    try:
        yield
    finally:
        _local.noted = outer


def note_extremes(y: Any, found: tuple[float, float] | None) -> Any:
    """The largest element of y is known, and what the largest of each position reaches; returns y."""
    noted = getattr(_local, "noted", None)
    if noted is not None and found is not None and y.dtype.itemsize in LOST:
        top, bound = (operator("exponent_of")(y.dtype.type(value)) for value in found)
        if bound > 0 and top - bound <= LOST[y.itemsize]:
            noted[id(y)] = weakref.ref(y), Judged(top, True)
    return y


def _noted(array: np.ndarray) -> Judged | None:
    """What is known of an array because it was noted down."""
    reference, found = (getattr(_local, "noted", None) or {}).get(id(array), (None, None))
    return None if reference is None or reference() is not array else found


def suits(problem: ConvProblem, method: str, first: np.ndarray, second: np.ndarray | Judged) -> bool:
    """Whether `method`, a transform, serves these operands about as well as the direct method.

    The second may have been judged before, as the filters of a plan.
    """
    a = judge_images(problem, method, first, dy=problem.op == "conv_input_grad")
    if not a.even:
        return False
    if isinstance(second, Judged):
        b = second
    elif problem.op == "conv_weight_grad":
        b = judge_images(problem, method, second, dy=True)
    else:
        b = judge_filters(problem, method, second)
    return b.even and in_range(problem, a, b)


def in_range(problem: ConvProblem, first: Judged, second: Judged) -> bool:
    """Whether no step of a transform of two operands can overflow, or lose its last bits near zero."""
    low, high, bias = _limits(problem)
    a, b = first.exponent, second.exponent
    if a and b and not low <= a + b - 2 * bias < high:
        return False
    return all(low <= e - bias < high for e in (a, b) if e)


@lru_cache(maxsize=1024)
def _limits(problem: ConvProblem) -> tuple[int, int, int]:
    """The exponents, from and to, that operands and their products may have; and the bias."""
    limits = np.finfo(problem.dtype)  # of a complex dtype those of its parts
    points = problem.N * math.prod(n + k for n, k in zip(problem.padded, problem.extent, strict=True))
    sums = {"conv": problem.C * problem.taps, "conv_input_grad": problem.O * problem.taps, "conv_weight_grad": points}
    inner = sums[problem.op]
    high = limits.maxexp - MARGIN - points.bit_length() - inner.bit_length()
    return int(limits.minexp + limits.nmant) + points.bit_length(), int(high), int(limits.maxexp) - 1


def judge_images(problem: ConvProblem, method: str, array: np.ndarray, *, dy: bool) -> Judged:
    """Judge x, or dy: image by image, in blocks of half a window, so that every window holds a block."""
    known = getattr(_local, "judgements", None)
    if known is None:
        return _judge_images(problem, method, array, dy)
    key = dy, method, _block(problem)
    return known.of(array, key, _judge_images, problem, method, array, dy)  # type: ignore[no-any-return]


def _judge_images(problem: ConvProblem, method: str, array: np.ndarray, dy: bool) -> Judged:
    if array.size == 0:
        return ZEROS
    if method == "winograd" and problem.groups == 1:  # what is known holds for all channels together
        known = _noted(array)
        if known is not None:
            return known
    if array.dtype.kind == "c":
        return _both([_judge_images(problem, method, part, dy) for part in _parts(array)])
    found = operator("levels")(problem, array, _block(problem), dy)
    lost = LOST[array.itemsize]
    even = found.largest - found.smallest <= lost  # the usual case, at a glance
    if not even:
        largest, smallest = found.of_images()
        if method == "fft":  # neighbouring tiles travel in pairs, across images too
            largest = _with_neighbours(largest)
        elif method == "winograd" and not dy:  # images of a batch share tiles
            largest = np.full_like(largest, largest.max())
        even = bool(((smallest == 0) | (largest <= smallest + lost)).all())
    if even and method == "fft" and (problem.outputs if dy else problem.inputs) > 1:  # and so do channels
        channels, size = (problem.O, problem.out) if dy else (problem.C, problem.size)
        even = _gap(array, problem.N, channels, math.prod(size), problem.channels_last) <= lost
    return Judged(found.largest, even)


def judge_filters(problem: ConvProblem, method: str, w: np.ndarray) -> Judged:
    """Judge the weights: the Fourier transforms of two filters of a group travel together."""
    known = getattr(_local, "judgements", None)
    if known is None:
        return _judge_filters(problem, method, w)
    key = problem.op if method == "fft" else None, method
    return known.of(w, key, _judge_filters, problem, method, w)  # type: ignore[no-any-return]


def _judge_filters(problem: ConvProblem, method: str, w: np.ndarray) -> Judged:
    if w.dtype.kind == "c":
        return _both([_judge_filters(problem, method, part) for part in _parts(w)])
    exponent, even = operator("largest")(w), True
    inner = problem.C // problem.groups
    if method == "fft" and problem.op == "conv" and problem.groups < problem.O:
        even = _gap(w, 1, problem.O, problem.taps * inner, problem.channels_last) <= LOST[w.itemsize]
    elif method == "fft" and problem.op == "conv_input_grad" and inner > 1:
        N, positions = (problem.taps, problem.O) if problem.channels_last else (problem.O, problem.taps)
        even = _gap(w, N, inner, positions, False) <= LOST[w.itemsize]
    return Judged(exponent, even)


def _gap(*args: Any) -> int:
    return operator("channel_gap")(*args)


@lru_cache(maxsize=1024)
def _block(problem: ConvProblem) -> tuple[int, int]:
    """Rows and columns of half a window, for a gradient to x of one on dy."""
    windows: tuple[int, ...] = problem.kernel[1:]
    if problem.op == "conv_input_grad":
        windows = tuple(-(-k // s) for k, s in zip(windows, problem.stride[1:], strict=True))
    rows, columns = ((k + 1) // 2 for k in windows)
    return rows, columns


def _with_neighbours(largest: np.ndarray) -> np.ndarray:
    """The largest of each image and of those before and behind it."""
    around = largest.copy()
    np.maximum(around[1:], largest[:-1], out=around[1:])
    np.maximum(around[:-1], largest[1:], out=around[:-1])
    return around


def _parts(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(array.real), np.ascontiguousarray(array.imag)


def _both(parts: list[Judged]) -> Judged:
    return Judged(max(p.exponent for p in parts), all(p.even for p in parts))
