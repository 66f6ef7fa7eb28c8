"""Sums, means, extrema and positions of maxima along any axes.

An array is seen as (outer, R, inner) and reduced along R; axes that do not lie together are reduced in turn, the last
first. A result belongs to `lanes` threads of a block, which take every lanes-th element and then halve their number in
shared memory. Long sums are cut into parts, whose results are reduced again. Parts and lanes follow from the shape
alone and nothing is added atomically: the bits are the same in every run and on every device.

Cost: every element is read once; extra memory: one number per part, at most 1/16 of the array. Error of a sum of R
numbers in float32 or float64: below (MOST_TURNS + log2(R)) * eps * sum(abs(x)); float16 is summed in float32.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np

from ...errors import Unsupported
from .. import backend
from ..backend import cuda
from ..launch import BLOCK, blocks_for, flat, launch, needs_wide
from ..runtime.source import unrolled
from .arithmetic import apply
from .windows import whole

LOADS = 4  # elements a thread has under way at once
LEAST_TURNS = 4 * LOADS  # elements per thread below which a sum is not cut into more parts
MOST_TURNS = 256
ENOUGH_BLOCKS = 1024
LARGE = 1 << 18


class Sharing(NamedTuple):
    """How a reduction is shared out."""

    lanes: int  # threads for one result of one part
    parts: int
    part: int  # elements along R of a part


def sharing(outer: int, R: int, inner: int, whole: bool = False) -> Sharing:
    """Lanes and parts by the shape; `whole`: one part."""
    columns = BLOCK
    if inner > 1:  # neighbours along `inner` are loaded together: at least a sector of 32 bytes
        columns = min(32 if outer * R * inner >= LARGE else 8, _power(outer * inner))
    lanes = min(BLOCK // columns if inner > 1 else BLOCK, _power(-(-R // LOADS)))
    blocks = -(-outer * inner * lanes // BLOCK)
    parts = min(-(-R // (lanes * LEAST_TURNS)), -(-ENOUGH_BLOCKS // blocks))
    if parts <= 2:  # another launch takes longer than twice as many turns
        parts = 1
    parts = 1 if whole else max(parts, -(-R // (lanes * MOST_TURNS)))
    part = -(-R // (parts * lanes)) * lanes
    return Sharing(lanes, -(-R // part), part)


def _power(n: int) -> int:
    """The next power of two from n."""
    return 1 << max(0, n - 1).bit_length()


def make_reduce(
    T: Any, S: Any, U: Any, name: str, loop: str, lanes: int, adjacent: bool, mean: bool
) -> Callable[..., None]:
    """y[o, p, j] = sum, max or min of x[o, r, j] over the r of part p; a block owns BLOCK // lanes results of a part.

    adjacent: the lanes of one result are neighbours (inner = 1), else neighbours are results.
    """
    L = numba.from_dtype(np.dtype(loop))
    scalar, merge = np.dtype(loop).type, numba.njit(MERGE[name])
    start, zero = scalar(_start(name, np.dtype(loop))), scalar(0)
    results, levels = BLOCK // lanes, lanes.bit_length() - 1
    lane_step, slot_step = (1, lanes) if adjacent else (results, 1)
    store = numba.njit((lambda v: v != zero) if T is numba.boolean else (lambda v: T(v)))

    def reduce_parts(
        x: Any, y: Any, R: Any, inner: Any, total: Any, part: Any, parts: Any, blocks: Any, divisor: Any
    ) -> None:
        s = cuda.shared.array(BLOCK, L)
        t = U(cuda.threadIdx.x)
        lane, slot = U(U(t // U(lane_step)) % U(lanes)), U(U(t // U(slot_step)) % U(results))
        p = U(U(cuda.blockIdx.x) // U(blocks))
        q = U(U(U(cuda.blockIdx.x) - p * U(blocks)) * U(results) + slot)
        o = U(q // U(inner))
        j = U(q - o * U(inner))
        acc = start
        if q < U(total):
            r, end = U(p * U(part) + lane), U(min(U(R), U(p * U(part) + U(part))))
            step = U(U(lanes) * U(inner))
            at = U(U(o * U(R) + r) * U(inner) + j)
            while U(r + U(3 * lanes)) < end:
                a, b = L(x[at]), L(x[U(at + step)])
                c, d = L(x[U(at + step + step)]), L(x[U(at + step + step + step)])
                acc = merge(acc, merge(merge(a, b), merge(c, d)))
                r, at = U(r + U(4 * lanes)), U(at + U(4) * step)
            while r < end:
                acc = merge(acc, L(x[at]))
                r, at = U(r + U(lanes)), U(at + step)
        s[t] = acc
        for k in unrolled(levels):
            cuda.syncthreads()
            if lane < U(lanes >> (k + 1)):
                s[t] = merge(s[t], s[U(t + U((lanes >> (k + 1)) * lane_step))])
        if lane == U(0) and q < U(total):
            v = s[t]
            if mean:
                v = L(v / divisor)
            y[U(U(o * U(parts) + p) * U(inner) + j)] = store(v)

    return reduce_parts


def make_argmax(T: Any, S: Any, U: Any, stored: str, lanes: int, adjacent: bool) -> Callable[..., None]:
    """y[o, j] = the first r whose x[o, r, j] is the largest, or NaN; a block owns BLOCK // lanes results."""
    L = numba.from_dtype(np.dtype("float32" if stored == "float16" else "uint8" if stored == "bool" else stored))
    results, levels = BLOCK // lanes, lanes.bit_length() - 1
    lane_step, slot_step = (1, lanes) if adjacent else (results, 1)

    def argmax(x: Any, y: Any, R: Any, inner: Any, total: Any) -> None:
        best, where = cuda.shared.array(BLOCK, L), cuda.shared.array(BLOCK, U)
        t = U(cuda.threadIdx.x)
        lane, slot = U(U(t // U(lane_step)) % U(lanes)), U(U(t // U(slot_step)) % U(results))
        q = U(U(cuda.blockIdx.x) * U(results) + slot)
        o = U(q // U(inner))
        j = U(q - o * U(inner))
        r = U(min(lane, U(U(R) - U(1))))  # a lane without elements offers the last one again
        if q < U(total):
            at = U(U(o * U(R) + r) * U(inner) + j)
            value, place = L(x[at]), r
            r, at = U(r + U(lanes)), U(at + U(lanes) * U(inner))
            while r < U(R):
                v = L(x[at])
                if v > value or (v != v and value == value):
                    value, place = v, r
                r, at = U(r + U(lanes)), U(at + U(lanes) * U(inner))
            best[t], where[t] = value, place
        for k in unrolled(levels):
            cuda.syncthreads()
            if lane < U(lanes >> (k + 1)) and q < U(total):
                other = U(t + U((lanes >> (k + 1)) * lane_step))
                v, value = best[other], best[t]
                equal = v == value or (v != v and value != value)
                if v > value or (v != v and value == value) or (equal and where[other] < where[t]):
                    best[t], where[t] = v, where[other]
        if lane == U(0) and q < U(total):
            y[q] = T(where[t])

    return argmax


#: What makes one number of two; NaN wins in extrema.
MERGE = {
    "sum": lambda a, b: a + b,
    "max": lambda a, b: a if a >= b or a != a else b,
    "min": lambda a, b: a if a <= b or a != a else b,
}


def _start(name: str, dtype: np.dtype) -> Any:
    """What changes no result."""
    if name == "sum":
        return 0
    if dtype.kind == "f":
        return -math.inf if name == "max" else math.inf
    return np.iinfo(dtype).min if name == "max" else np.iinfo(dtype).max


def reduced(name: str, x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Sum, mean, max, min, any, all or argmax of a device array along `axis`, one or several, or all of it."""
    axes = _axes(axis, x.ndim)
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    shape = kept if keepdims else tuple(n for a, n in enumerate(x.shape) if a not in axes)
    with backend.scope(x):
        if name == "argmax":
            return _argmax(x, axis, axes).reshape(shape)
        result, loop = _dtypes(name, np.dtype(x.dtype), dtype)
        if x.size == 0:
            return _of_nothing(name, x, shape, result, kept)
        if name in ("any", "all") and x.dtype != np.bool_:
            x, source = backend.empty(tuple(x.shape), bool), x
            apply("truth", (whole(source),), (np.dtype(source.dtype), np.dtype(bool)), whole(x))
        count = x.size // max(1, math.prod(kept))
        kind = {"mean": "sum", "any": "max", "all": "min"}.get(name, name)
        runs = _runs(tuple(x.shape), axes) or [(x.size, 1, 1)]
        for i, (outer, R, inner) in enumerate(runs):
            last = i == len(runs) - 1
            x = _run(
                kind, x, (outer, R, inner), loop, result if last else loop, count if name == "mean" and last else 0
            )
        return x.reshape(shape)


def _run(kind: str, x: Any, sizes: tuple[int, int, int], loop: np.dtype, result: np.dtype, count: int) -> Any:
    """Reduce (outer, R, inner) along R, part by part until one number is left; divide by `count` unless it is 0."""
    outer, R, inner = sizes
    lanes, parts, part = sharing(outer, R, inner)
    y = backend.empty((outer * parts * inner,), loop if parts > 1 else result)
    blocks = blocks_for(outer * inner, BLOCK // lanes)
    constants = kind, loop.name, lanes, inner == 1, bool(count and parts == 1)
    args = flat(x), y, R, inner, outer * inner, part, parts, blocks, loop.type(max(count, 1))
    with backend.scope(x, y):
        launch(make_reduce, constants, blocks * parts, args, dtype=y.dtype, wide=needs_wide(x.size))
    return y if parts == 1 else _run(kind, y, (outer, parts, inner), loop, result, count)


def _argmax(x: Any, axis: Any, axes: tuple[int, ...]) -> Any:
    if axis is not None and len(axes) != 1:
        raise Unsupported(f"argmax takes one axis or None, not {axis!r}")
    R = x.size if axis is None else x.shape[axes[0]]
    if R == 0:
        raise ValueError("attempt to get argmax of an empty sequence")
    outer = 1 if axis is None else math.prod(x.shape[: axes[0]])
    inner = x.size // (outer * R) if outer else 0
    y = backend.empty((outer * inner,), np.int64)
    if y.size == 0:
        return y
    lanes = sharing(outer, R, inner, whole=True).lanes
    blocks = blocks_for(outer * inner, BLOCK // lanes)
    constants = np.dtype(x.dtype).name, lanes, inner == 1
    with backend.scope(x, y):
        args = flat(x), y, R, inner, outer * inner
        launch(make_argmax, constants, blocks, args, dtype=np.int64, wide=needs_wide(x.size))
    return y


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(map(operator.index, axis)) if isinstance(axis, (tuple, list)) else (operator.index(axis),)
    for a in axes:
        if not -ndim <= a < ndim:
            raise np.exceptions.AxisError(a, ndim)
    return tuple(sorted({a % ndim for a in axes}))


def _runs(shape: tuple[int, ...], axes: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(outer, R, inner) of each run of neighbouring axes to reduce, the last run first."""
    runs, inner, R = [], 1, 1
    for a in reversed(range(len(shape))):
        if a in axes:
            R *= shape[a]
        elif shape[a] != 1:
            if R != 1:
                runs.append((math.prod(shape[: a + 1]), R, inner))
            inner, R = inner * shape[a], 1
    return runs if R == 1 else [*runs, (1, R, inner)]


def _dtypes(name: str, dtype: np.dtype, asked: Any) -> tuple[np.dtype, np.dtype]:
    """Of the result, and of the computation."""
    if name in ("any", "all"):
        return np.dtype(bool), np.dtype(np.uint8)
    if asked is not None:
        result = np.dtype(asked)
    elif name == "mean" and dtype.kind in "biu":
        result = np.dtype(np.float64)
    elif name == "sum" and dtype.kind in "biu":
        result = np.dtype(np.uint64 if dtype.kind == "u" else np.int64)
    else:
        result = dtype
    if result.kind == "b":
        raise Unsupported(f"{name} of truth values is not there for device arrays: use any() or all()")
    return result, np.dtype(np.float32) if result == np.float16 else result


def _of_nothing(name: str, x: Any, shape: tuple[int, ...], result: np.dtype, kept: tuple[int, ...]) -> Any:
    """NumPy's results for no elements."""
    if name in ("max", "min") and 0 not in kept:
        raise ValueError(f"zero-size array to reduction operation {name} which has no identity")
    y = backend.empty(shape, result)
    value: Any = {"mean": math.nan, "all": 1}.get(name, 0)
    apply("positive", (result.type(value),), (result, result), whole(y))
    return y
