"""The check before any timing: some elements of a result, recomputed in float64 from the definition, by NumPy alone.

Nothing here uses fastconv's kernels or those of a rival, so both are judged by the same independent figures.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import memory
from ..errors import InvalidArgument, shown
from ..foreign import dtype_named
from ..problem import ConvProblem, PoolProblem
from ..spec import parse_count
from .problems import POOLS, Problem, check_problem, parse_seed

Arrays = dict[str, np.ndarray]
SAMPLES = 64
ROUNDED = 2.0**-8  # bfloat16: half the distance of neighbours, relative to the smaller


def make_arrays(problem: Problem, seed: int = 0) -> Arrays:
    """Standard normal x and, but for a pooling, dy and a convolution's w, in the problem's layout and dtype."""
    spec = check_problem(problem).spec
    rng = np.random.default_rng(parse_seed(seed))
    shapes = {"x": spec.x_shape}
    if isinstance(spec, ConvProblem):
        shapes["w"] = spec.w_shape
    if isinstance(spec, ConvProblem) or problem.op in POOLS[2:]:
        shapes["dy"] = spec.y_shape
    dtype = dtype_named(spec.dtype)
    needed = sum(map(math.prod, shapes.values())) * dtype.itemsize
    memory.check_room(needed, f"{problem} with its arrays")
    draw = np.float64 if spec.dtype == "float64" else np.float32
    return {name: rng.standard_normal(shape, draw).astype(dtype, copy=False) for name, shape in shapes.items()}


def check_arrays(problem: Problem, arrays: Any) -> None:
    """Raise `InvalidArgument` unless these are the arrays of a problem, as `make_arrays` makes them."""
    x = arrays.get("x") if isinstance(arrays, dict) else None
    if not isinstance(x, np.ndarray) or x.shape != problem.spec.x_shape:
        raise InvalidArgument(f"arrays is {shown(arrays)}; expected what make_arrays makes for {problem}")


def result_shape(problem: Problem) -> tuple[int, ...]:
    """Shape of the operation's result."""
    spec = problem.spec
    if problem.op == "weight_grad" and isinstance(spec, ConvProblem):
        return spec.w_shape
    return spec.x_shape if problem.op.endswith("_grad") else spec.y_shape


@dataclass(frozen=True)
class Expected:
    """Float64 values of a result at some positions, and how far a float result may be from them."""

    shape: tuple[int, ...]
    positions: tuple[np.ndarray, ...]
    values: np.ndarray
    tolerance: float

    def error(self, result: np.ndarray) -> float:
        """Largest deviation at the positions; infinite for a wrong shape or a value that is not finite."""
        if result.shape != self.shape:
            return math.inf
        error = float(np.max(np.abs(result[self.positions].astype(np.float64) - self.values), initial=0.0))
        return math.inf if math.isnan(error) else error


def expect(problem: Problem, arrays: Arrays, samples: int = SAMPLES, seed: int = 1) -> Expected:
    """Choose `samples` elements of the result, the first and the last among them, and compute them in float64."""
    shape = result_shape(check_problem(problem))
    samples = max(2, min(parse_count(samples, "samples"), math.prod(shape)))
    check_arrays(problem, arrays)
    flat = np.random.default_rng(parse_seed(seed)).integers(0, math.prod(shape), samples)
    flat[:2] = 0, math.prod(shape) - 1
    positions = np.unravel_index(flat, shape)
    spec, op = problem.spec, problem.op
    values = np.empty(samples)
    for i, position in enumerate(zip(*positions, strict=True)):
        index = _lift(tuple(int(p) for p in position), spec, weights=op == "weight_grad")
        if isinstance(spec, PoolProblem):
            x = _planes(arrays["x"], spec)
            if op in POOLS[2:]:
                values[i] = _pool_grad(op, x, _planes(arrays["dy"], spec), spec, index)
            else:
                values[i] = _pool(op, x, spec, index)
        else:
            x, dy = _planes(arrays["x"], spec), _planes(arrays["dy"], spec)
            w = _planes(arrays["w"], spec, weights=True)
            if op == "conv":
                values[i] = _conv(x, w, spec, index)
            elif op == "input_grad":
                values[i] = _input_grad(dy, w, spec, index)
            else:
                values[i] = _weight_grad(x, dy, spec, index)
    return Expected(shape, positions, values, tolerance(problem))


def tolerance(problem: Problem) -> float:
    """Allowed deviation for standard normal data: a random walk of rounding errors, with room for fast algorithms.

    The sum of t products of such data is about sqrt(t); rounding each partial sum adds errors of eps * sqrt(t) at
    random, so about eps * t in all; Winograd and Fourier methods stay within some tens of eps * sqrt(t).
    """
    spec = problem.spec
    half = spec.dtype == "bfloat16"  # summed in float32, then rounded
    eps = float(np.finfo("float32" if half else spec.dtype).eps)
    if isinstance(spec, PoolProblem):
        return 16 * eps
    terms = {
        "conv": spec.C // spec.groups * spec.taps,
        "input_grad": spec.O // spec.groups * spec.taps,
        "weight_grad": spec.N * math.prod(spec.out),
    }[problem.op]
    return (eps * (100 + math.sqrt(terms)) + (8 * ROUNDED if half else 0.0)) * math.sqrt(terms)


def _planes(array: np.ndarray, spec: ConvProblem | PoolProblem, *, weights: bool = False) -> np.ndarray:
    """View as (N, C, D, H, W), weights as (O, C/groups, KD, KH, KW)."""
    if spec.channels_last:
        array = np.moveaxis(array, (-1, -2), (0, 1)) if weights else np.moveaxis(array, -1, 1)
    return array.reshape(*array.shape[:2], *(1,) * (3 - spec.rank), *array.shape[2:])


def _lift(position: tuple[int, ...], spec: ConvProblem | PoolProblem, *, weights: bool) -> tuple[int, ...]:
    """Position in the five axes of `_planes`."""
    if spec.channels_last and weights:
        position = (position[-1], position[-2], *position[:-2])
    elif spec.channels_last:
        position = (position[0], position[-1], *position[1:-1])
    return (*position[:2], *(0,) * (3 - spec.rank), *position[2:])


def _sources(spec: ConvProblem, axis: int) -> np.ndarray:
    """For each padded position of an axis the input position it shows, -1 for a zero."""
    n, (before, after) = spec.size[axis], spec.padding[axis]
    if spec.padding_mode == "zeros":
        return np.concatenate([np.full(before, -1), np.arange(n), np.full(after, -1)])
    return np.pad(np.arange(n), (before, after), mode=spec.padding_mode)  # type: ignore[call-overload]


def _grid(array: np.ndarray, positions: Sequence[Any]) -> np.ndarray:
    """Of each entry of the first axis the elements at every combination of positions along the other three."""
    return array[(slice(None), *np.ix_(*positions))]


def _conv(x: np.ndarray, w: np.ndarray, spec: ConvProblem, index: tuple[int, ...]) -> float:
    n, o, *at = index
    inner = spec.C // spec.groups
    first = o // (spec.O // spec.groups) * inner
    picked, taps = [], []
    for a in range(3):
        u = np.arange(spec.kernel[a])
        source = _sources(spec, a)[at[a] * spec.stride[a] + u * spec.dilation[a]]
        picked.append(source[source >= 0])
        taps.append(u[source >= 0])
    window = _grid(x[n, first : first + inner], picked)
    return float(np.sum(window.astype(np.float64) * _grid(w[o], taps)))


def _input_grad(dy: np.ndarray, w: np.ndarray, spec: ConvProblem, index: tuple[int, ...]) -> float:
    n, c, *at = index
    inner, outer = spec.C // spec.groups, spec.O // spec.groups
    first = c // inner * outer
    pairs = []  # per axis: which outputs used this element through which tap
    for a in range(3):
        padded = np.flatnonzero(_sources(spec, a) == at[a])
        found = itertools.product(padded.tolist(), range(spec.kernel[a]))
        starts = [(p - u * spec.dilation[a], u) for p, u in found]
        s = spec.stride[a]
        pairs.append([(t // s, u) for t, u in starts if t >= 0 and t % s == 0 and t // s < spec.out[a]])
    if not all(pairs):
        return 0.0
    outputs, taps = ([[pair[side] for pair in axis] for axis in pairs] for side in (0, 1))
    gradient = _grid(dy[n, first : first + outer], outputs)
    return float(np.sum(gradient.astype(np.float64) * _grid(w[first : first + outer, c % inner], taps)))


def _weight_grad(x: np.ndarray, dy: np.ndarray, spec: ConvProblem, index: tuple[int, ...]) -> float:
    o, c, *tap = index
    channel = o // (spec.O // spec.groups) * (spec.C // spec.groups) + c
    picked, outputs = [], []
    for a in range(3):
        i = np.arange(spec.out[a])
        source = _sources(spec, a)[i * spec.stride[a] + tap[a] * spec.dilation[a]]
        picked.append(source[source >= 0])
        outputs.append(i[source >= 0])
    seen = _grid(x[:, channel], picked)
    return float(np.sum(seen.astype(np.float64) * _grid(dy[:, o], outputs)))


def _pool(op: str, x: np.ndarray, spec: PoolProblem, index: tuple[int, ...]) -> float:
    n, c, *at = index
    picked, divisor = _window(spec, at)
    window = x[n, c][np.ix_(*picked)].astype(np.float64)
    return float(window.max(initial=-np.inf)) if op == "max_pool" else float(window.sum()) / divisor


def _window(spec: PoolProblem, at: Sequence[int]) -> tuple[list[np.ndarray], int]:
    """Where a window's elements lie along each axis, and what an average divides by."""
    picked, divisor = [], 1
    for a in range(3):
        taps = at[a] * spec.stride[a] - spec.padding[a][0] + np.arange(spec.kernel[a]) * spec.dilation[a]
        picked.append(taps[(taps >= 0) & (taps < spec.size[a])])
        divisor *= int(np.sum(taps < spec.size[a] + spec.padding[a][1]))
    return picked, divisor


def _pool_grad(op: str, x: np.ndarray, dy: np.ndarray, spec: PoolProblem, index: tuple[int, ...]) -> float:
    """The sum over the windows that hold an element: where it is the largest, or dy shared evenly."""
    n, c, *at = index
    total = 0.0
    holders = []
    for a in range(3):
        steps = at[a] + spec.padding[a][0] - spec.stride[a] * np.arange(spec.out[a])
        tap, between = np.divmod(steps, spec.dilation[a])
        holders.append(np.flatnonzero((between == 0) & (tap >= 0) & (tap < spec.kernel[a])).tolist())
    for window_at in itertools.product(*holders):
        picked, divisor = _window(spec, window_at)
        value = float(dy[(n, c, *window_at)])
        largest = x[(n, c, *at)] == x[n, c][np.ix_(*picked)].max()
        total += value / divisor if op == "avg_pool_grad" else value * largest
    return total
