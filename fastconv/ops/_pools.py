"""From the arguments of a pool to its kernel: the steps that all pooling functions share."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import memory
from ..dispatch import operator, rows
from ..errors import InvalidArgument, shown
from ..foreign import is_device_array
from ..kept import kept
from ..problem import PoolProblem
from ..spec import adaptive_problem, is_plain, parse_flag, parse_real, pool_problem, without_lists
from ..spec.shapes import missing_axes
from ._arrays import Operands, are_ready, as_array, contiguous
from ._repeated import Repeated
from .halves import SINGLE, is_half


def operands_of(names: str, *values: Any, device: str | None, integers: bool = False) -> Operands:
    """The arrays of a pool: real numbers."""
    operands = Operands(names, *values, device=device, integers=integers)
    if operands.compute.kind == "c":
        raise InvalidArgument(
            f"{names.replace(' ', ', ')} have dtype {operands.compute}; pooling takes real numbers: pool the real and "
            "the imaginary parts"
        )
    return operands


def problem_of(
    op: str,
    rank: int,
    x_shape: Any,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    layout: Any,
    dtype: Any,
    count_include_pad: bool = False,
) -> PoolProblem:
    """`pool_problem`, which remembers what it was asked where the question is plain enough to be recognised."""
    ceil_mode = parse_flag(ceil_mode, "ceil_mode")
    ask = _remembered if is_plain((x_shape, size, stride, padding, dilation, layout)) else pool_problem
    return ask(
        x_shape,
        size,
        op=op,
        rank=rank,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        layout=layout,
        dtype=dtype,
    )


def adaptive_of(op: str, rank: int, x_shape: Any, size: Any, layout: Any, dtype: Any) -> PoolProblem:
    """`adaptive_problem` with a memory, as `problem_of`."""
    ask = _remembered_adaptive if is_plain((x_shape, size, layout)) else adaptive_problem
    return ask(x_shape, size, rank=rank, layout=layout, dtype=dtype, op=op)


_remembered = lru_cache(maxsize=1024)(pool_problem)
_remembered_adaptive = lru_cache(maxsize=1024)(adaptive_problem)


class PoolCall(NamedTuple):
    """A pool of arrays that are `are_ready`, with everything but the arrays worked out."""

    empty: Callable[[], np.ndarray]  # makes the result
    run: Repeated

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = self.empty()
        self.run(x, None, None, y)
        return y


def is_ready(x: Any) -> bool:
    """Whether `known_call` may serve a pool of x: an array as kernels take it, of 16 bits too."""
    return are_ready((x,)) or (type(x) is np.ndarray and x.dtype.isnative and is_half(x.dtype) and x.flags.carray)


def known_call(
    op: str, rank: int, x: np.ndarray, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    layout: Any, include: bool = False, divisor: float | None = None,
) -> PoolCall | None:  # fmt: skip
    """What serves a call like an earlier one on such an array, in one look; None where it takes more than that."""
    if type(ceil_mode) is not bool or type(include) is not bool:
        return None
    window = size, stride, padding, dilation, layout
    if is_plain(window):
        return _known_call(op, rank, x.shape, x.dtype, *window, ceil_mode, include, divisor)
    tuples = without_lists(window)
    if tuples is not None:
        size, stride, padding, dilation, layout = tuples
        with suppress(InvalidArgument):  # which the longer way raises, with what was given
            return _known_call(
                op, rank, x.shape, x.dtype, size, stride, padding, dilation, layout, ceil_mode, include, divisor
            )
    return None


@kept
def _known_call(
    op: str, rank: int, x_shape: tuple[int, ...], dtype: np.dtype, size: Any, stride: Any, padding: Any, dilation: Any,
    layout: Any, ceil_mode: bool, include: bool, divisor: float | None,
) -> PoolCall | None:  # fmt: skip
    native = SINGLE if is_half(dtype) else dtype
    problem = problem_of(op, rank, x_shape, size, stride, padding, dilation, ceil_mode, layout, native, include)
    bound = rows(op)[-1].load().bind(problem, dtype, divisor)
    if bound is None:
        return None
    run, prepared, seen = bound

    def perform(x: np.ndarray, _: None, __: None, y: np.ndarray) -> None:
        run(x.reshape(-1), y.reshape(-1), *prepared)

    def perform_bits(x: np.ndarray, _: None, __: None, y: np.ndarray) -> None:
        run(x.view(seen).reshape(-1), y.view(seen).reshape(-1), *prepared)

    return PoolCall(memory.maker(problem.y_shape, dtype), Repeated(perform if seen == dtype else perform_bits))


def result_of(problem: PoolProblem, operands: Operands, shape: tuple[int, ...], *arrays: Any, **options: Any) -> Any:
    """A new array of `shape` that the operator of a pool has written."""
    result = operands.empty(shape)
    _run(problem, operands, *arrays, result, **options)
    return operands.finish(result)


def maxima(problem: PoolProblem, operands: Operands, return_indices: bool) -> Any:
    """The largest elements of all windows, and where they are if that is asked for."""
    wanted = parse_flag(return_indices, "return_indices")
    y = operands.empty(problem.y_shape)
    indices = operands.empty(problem.y_shape, np.int64) if wanted else None
    _run(problem, operands, operands.arrays[0], y, indices)
    return (operands.finish(y), operands.finish(indices)) if wanted else operands.finish(y)


def _run(problem: PoolProblem, operands: Operands, *arrays: Any, **options: Any) -> None:
    """Run the operator of a pool on arrays in the caller's shape; None stays None."""
    first = 1 if problem.channels_last else 2
    ones = (1,) * (3 - problem.rank)
    brought = [None if a is None else a.reshape((*a.shape[:first], *ones, *a.shape[first:])) for a in arrays]
    operator(problem.op, operands.device)(problem, *brought, **options)


def check_divisor(divisor: Any) -> float | None:
    """None or a finite number other than 0."""
    if divisor is None:
        return None
    number = parse_real(divisor, "divisor", "None or a finite number other than 0")
    if number == 0 or not math.isfinite(number):
        raise InvalidArgument(f"divisor is {shown(divisor)}; expected None or a finite number other than 0")
    return number


def check_p(p: Any) -> float:
    """A number above 0; infinity means the largest magnitude."""
    number = parse_real(p, "p", "a number above 0")
    if not number > 0:
        raise InvalidArgument(f"p is {shown(p)}; expected a number above 0 (inf for the largest magnitude)")
    return number


def check_gradient(dy: Any, problem: PoolProblem, what: str = "dy") -> None:
    """dy must have the shape of the pool's output."""
    if tuple(dy.shape) != problem.y_shape:
        raise InvalidArgument(
            f"{what} has shape {shown(tuple(dy.shape))} but pooling x of shape {problem.x_shape} gives "
            f"{problem.y_shape}; pass the x_shape, size and windows of the forward call, and {what} in its output's "
            "shape"
        )


def problem_of_gradient(op: str, dy: Any, x_shape: Any, rank: int, layout: str | None, dtype: Any) -> PoolProblem:
    """The adaptive pool from x_shape to dy, for gradients that need no windows or those of an adaptive pool."""
    last = adaptive_of(op, rank, x_shape, 1, layout, dtype).channels_last
    if dy.ndim != rank + 2:
        raise InvalidArgument(
            f"dy has shape {shown(tuple(dy.shape))}; expected {rank + 2} axes, as many as x_shape {shown(x_shape)}"
            f"{missing_axes('dy', dy.ndim, rank, last)}"
        )
    out = dy.shape[1:-1] if last else dy.shape[2:]
    problem = adaptive_of(op, rank, x_shape, tuple(out), layout, dtype)
    check_gradient(dy, problem)
    return problem


def indices_for(indices: Any, dy: Any, operands: Operands) -> Any:
    """int64 indices of dy's shape on the operands' device."""
    if is_device_array(indices):
        if operands.device == "cpu":
            raise InvalidArgument("indices is a CUDA array but dy is not; bring both to one device")
        check_shape_of_indices(indices, dy)
        from ..cuda import exchange

        return exchange.as_device(indices, np.dtype(np.int64))
    array = as_array(indices, "indices")
    check_shape_of_indices(array, dy)
    if array.dtype.kind not in "iu":
        raise InvalidArgument(f"indices has dtype {array.dtype}; expected whole numbers")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise InvalidArgument(f"indices holds {array.max()}; no plane has as many elements")
    array = contiguous(array, np.dtype(np.int64))
    if operands.device == "cpu":
        return array
    from ..cuda import backend

    return backend.to_device(array)


def check_shape_of_indices(indices: Any, dy: Any) -> None:
    """Each element of dy has its place."""
    if tuple(indices.shape) != tuple(dy.shape):
        raise InvalidArgument(
            f"indices has shape {shown(tuple(indices.shape))} but dy has shape {tuple(dy.shape)}; they must be equal: "
            "pass the indices that max pooling returned"
        )
