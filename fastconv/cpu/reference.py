"""Convolution, its gradients and pooling as loops in the order of the formula: begin reading here.

Each kernel is its definition and nothing else: no blocks, no vectors, no packing. ``direct.py`` beside this file makes
the same numbers at the speed of the hardware, and ``cuda/direct.py`` has the same loops with a thread for each output.
``method="reference"`` asks for them; "auto" never does. They are the second oracle of the fast kernels: whatever is
rounded there is summed in double precision here.

Arrays are (N, C, D, H, W) and (O, C/groups, KD, KH, KW). A border is a table for each axis: where each element of the
padded axis comes from, -1 for a zero (`fastconv.borders`). A task is a part of the result that no other task writes to.
Cost: 2*N*O*OD*OH*OW*C/groups*taps operations, one at a time. Extra memory: channels-first copies of channels-last
arrays. Error: one rounding of a sum in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..borders import border_index
from ..problem import ConvProblem, PoolProblem
from ..simd.jit import kernel
from ..simd.parallel import parallel_kernel
from ..threads import team
from ..windows import table_of
from . import activation as activations
from .folding import folding


@kernel
def padded(x, n, c, d, h, w):
    """xp[n, c, d, h, w], where d, h and w say what the border's tables do: an element of x, or 0."""
    return np.float64(0) if min(d, h, w) < 0 else np.float64(x[n, c, d, h, w])


@parallel_kernel
def _conv(thread, first, last, x, w, b, y, planes, rows, cols, stride, dilation, outputs):
    """y[n, o, i] = b[o] + sum over c, u of xp[n, c, i*stride + u*dilation] * w[o, c, u]; a task is one (n, o)."""
    N, O, OD, OH, OW = y.shape
    _, C, KD, KH, KW = w.shape
    for task in range(first, last):
        n, o = task // O, task % O
        for i in range(OD):
            for j in range(OH):
                for k in range(OW):
                    total = np.float64(b[o])
                    for c in range(C):
                        for u in range(KD):
                            for v in range(KH):
                                for t in range(KW):
                                    d = planes[i * stride[0] + u * dilation[0]]
                                    h = rows[j * stride[1] + v * dilation[1]]
                                    e = cols[k * stride[2] + t * dilation[2]]
                                    total += padded(x, n, o // outputs * C + c, d, h, e) * w[o, c, u, v, t]
                    y[n, o, i, j, k] = total


@parallel_kernel
def _conv_input_grad(thread, first, last, dy, w, dx, stride, dilation, before, outputs):
    """dx[n, c, p] = sum over o, u and i with i*stride + u*dilation - before = p of dy[n, o, i] * w[o, c, u].

    A task is one (n, c).
    """
    N, C, D, H, W = dx.shape
    _, inputs, KD, KH, KW = w.shape
    for task in range(first, last):
        n, c = task // C, task % C
        for p in range(D):
            for q in range(H):
                for r in range(W):
                    total = 0.0
                    for o in range(c // inputs * outputs, (c // inputs + 1) * outputs):
                        for u in range(KD):
                            for v in range(KH):
                                for t in range(KW):
                                    i, d = divmod(p + before[0] - u * dilation[0], stride[0])
                                    j, h = divmod(q + before[1] - v * dilation[1], stride[1])
                                    k, e = divmod(r + before[2] - t * dilation[2], stride[2])
                                    if d == h == e == 0 and meets(dy, i, j, k):
                                        total += np.float64(dy[n, o, i, j, k]) * w[o, c % inputs, u, v, t]
                    dx[n, c, p, q, r] = total


@kernel
def meets(y, i, j, k):
    """Whether there is an output (i, j, k)."""
    return 0 <= i < y.shape[2] and 0 <= j < y.shape[3] and 0 <= k < y.shape[4]


@parallel_kernel
def _conv_weight_grad(thread, first, last, x, dy, dw, planes, rows, cols, stride, dilation, outputs):
    """dw[o, c, u] = sum over n, i of xp[n, c, i*stride + u*dilation] * dy[n, o, i]; a task is one (o, c)."""
    O, C, KD, KH, KW = dw.shape
    N, _, OD, OH, OW = dy.shape
    for task in range(first, last):
        o, c = task // C, task % C
        for u in range(KD):
            for v in range(KH):
                for t in range(KW):
                    total = 0.0
                    for n in range(N):
                        for i in range(OD):
                            for j in range(OH):
                                for k in range(OW):
                                    d = planes[i * stride[0] + u * dilation[0]]
                                    h = rows[j * stride[1] + v * dilation[1]]
                                    e = cols[k * stride[2] + t * dilation[2]]
                                    total += padded(x, n, o // outputs * C + c, d, h, e) * dy[n, o, i, j, k]
                    dw[o, c, u, v, t] = total


@parallel_kernel
def _max_pool(thread, first, last, x, y, indices, lowest, planes, rows, cols, step):
    """y[n, c, i] = the first maximum, or the first NaN, of window i, and its place in the plane; a task is one (n, c).

    Row i of an axis' table: the window's first real element and how many there are, `step` apart.
    """
    N, C, OD, OH, OW = y.shape
    for task in range(first, last):
        n, c = task // C, task % C
        for i in range(OD):
            for j in range(OH):
                for k in range(OW):
                    best, place = lowest, -1
                    for u in range(planes[i, 1]):
                        for v in range(rows[j, 1]):
                            for t in range(cols[k, 1]):
                                d, h = planes[i, 0] + u * step[0], rows[j, 0] + v * step[1]
                                e = cols[k, 0] + t * step[2]
                                value = x[n, c, d, h, e]
                                if place < 0 or value > best or (value != value and best == best):
                                    best, place = value, (d * x.shape[3] + h) * x.shape[4] + e
                    y[n, c, i, j, k], indices[n, c, i, j, k] = best, place


@parallel_kernel
def _avg_pool(thread, first, last, x, y, planes, rows, cols, step, divisor):
    """y[n, c, i] = the sum of window i over `divisor`, or over the window's own where that is 0; a task is one (n, c).

    Row i of an axis' table: the window's first real element, how many there are, and its divisor along the axis.
    """
    N, C, OD, OH, OW = y.shape
    for task in range(first, last):
        n, c = task // C, task % C
        for i in range(OD):
            for j in range(OH):
                for k in range(OW):
                    total = 0.0
                    for u in range(planes[i, 1]):
                        for v in range(rows[j, 1]):
                            for t in range(cols[k, 1]):
                                d, h = planes[i, 0] + u * step[0], rows[j, 0] + v * step[1]
                                total += x[n, c, d, h, cols[k, 0] + t * step[2]]
                    share = planes[i, 2] * rows[j, 2] * cols[k, 2] if divisor == 0 else divisor
                    y[n, c, i, j, k] = total / share if share != 0 else 0.0


def conv(
    problem: ConvProblem, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, *, activation: Any = None
) -> None:
    """Write the convolution of x with w, plus b, through the activation, to y."""
    bias = np.zeros(problem.O, x.dtype) if b is None else b
    with _ChannelsFirst(problem.channels_last, y) as out:
        given = _first(problem, x), w if problem.prepared else _filters_first(problem, w), bias, out
        tasks = problem.N * problem.O
        _conv(team(tasks, problem.flops), tasks, *given, *_border(problem), *_steps(problem), problem.outputs)
    activations.apply(y, activation)


def prepare(problem: ConvProblem, w: np.ndarray) -> np.ndarray:
    """A copy of the weights, output channels first."""
    return np.array(_filters_first(problem, w))


@folding
def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Write the gradient to the input to dx."""
    before = tuple(axis.before for axis in problem.axes)
    with _ChannelsFirst(problem.channels_last, dx) as out:
        given = _first(problem, dy), _filters_first(problem, w), out
        tasks = problem.N * problem.C
        _conv_input_grad(team(tasks, problem.flops), tasks, *given, *_steps(problem), before, problem.outputs)


def conv_weight_grad(problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the gradient to the weights to dw."""
    with _ChannelsFirst(problem.channels_last, dw, weights=True) as out:
        given = _first(problem, x), _first(problem, dy), out
        tasks = problem.O * problem.inputs
        _conv_weight_grad(
            team(tasks, problem.flops), tasks, *given, *_border(problem), *_steps(problem), problem.outputs
        )


def max_pool(problem: PoolProblem, x: np.ndarray, y: np.ndarray, indices: np.ndarray | None) -> None:
    """Write each window's maximum to y, and its number in the (n, c) plane to `indices` unless that is None."""
    lowest = x.dtype.type(-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
    places = np.empty(y.shape, np.int64) if indices is None else indices
    with _ChannelsFirst(problem.channels_last, y) as out, _ChannelsFirst(problem.channels_last, places) as where:
        tasks = problem.N * problem.C
        windows = *map(table_of, problem.axes), problem.dilation
        _max_pool(team(tasks, problem.flops), tasks, _first(problem, x), out, where, lowest, *windows)


def avg_pool(problem: PoolProblem, x: np.ndarray, y: np.ndarray, *, divisor: float | None) -> None:
    """Write each window's sum over its divisor (or over `divisor`) to y; an empty window gives 0."""
    with _ChannelsFirst(problem.channels_last, y) as out:
        tasks = problem.N * problem.C
        windows = *map(table_of, problem.axes), problem.dilation
        _avg_pool(team(tasks, problem.flops), tasks, _first(problem, x), out, *windows, float(divisor or 0))


def _border(problem: ConvProblem) -> tuple[np.ndarray, ...]:
    """Where the elements of each padded axis come from."""
    mode = problem.padding_mode
    return tuple(border_index(axis.size, axis.before, axis.after, mode) for axis in problem.axes)


def _steps(problem: ConvProblem) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return problem.stride, problem.dilation


def _first(problem: ConvProblem | PoolProblem, x: np.ndarray) -> np.ndarray:
    """An activation with channels first."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if problem.channels_last else x


def _filters_first(problem: ConvProblem, w: np.ndarray) -> np.ndarray:
    """(O, C/groups, KD, KH, KW)."""
    return np.ascontiguousarray(np.moveaxis(w, (-1, -2), (0, 1))) if problem.channels_last else w


class _ChannelsFirst:
    """A result as kernels write it; one with channels last is copied into its place when it is complete."""

    def __init__(self, channels_last: bool, y: np.ndarray, weights: bool = False) -> None:
        self.y = y
        self.moved = np.moveaxis(y, (-1, -2), (0, 1)) if weights else np.moveaxis(y, -1, 1)
        self.written = np.empty(self.moved.shape, y.dtype) if channels_last else y

    def __enter__(self) -> np.ndarray:
        return self.written

    def __exit__(self, kind: Any, *details: Any) -> None:
        if kind is None and self.written is not self.y:
            self.moved[...] = self.written
