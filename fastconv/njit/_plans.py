"""From what compiled code asks for to the operator that serves it: the same problem and method as for a call of Python.

The arguments become a problem through `fastconv.spec`, so that they are checked, and refused, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch
from ..ops._kernels import Bound, known
from ..ops._pools import adaptive_of, check_shape_of_indices, problem_of, problem_of_gradient
from ..ops._pools import check_gradient as check_pool_gradient
from ..ops.gradients import check_gradient
from ..problem import PoolProblem
from ..spec import LAYOUTS
from ._requests import Request

Shape = Any  # a tuple of integers
Operand = tuple[Shape, np.dtype]


class Plan(NamedTuple):
    """How a request is served: ``perform(*arrays)`` on the operands, None for those that are not there."""

    perform: Callable[..., None]
    operands: tuple[Operand | None, ...]
    result: tuple[int, ...]
    flops: int
    constant: bool  # whether what is done depends on the problem alone, and not on the data


class _Words:
    """The words of a request, to be taken one after the other."""

    def __init__(self, words: Sequence[int]) -> None:
        self._words, self._at = words, 0

    def take(self, count: int) -> tuple[int, ...]:
        """The next numbers."""
        self._at += count
        return tuple(self._words[self._at - count : self._at])

    def shape(self, axes: int) -> tuple[int, ...] | None:
        """The shape of an array; None, written as -1, for one that is not there."""
        if self._words[self._at] < 0:
            self._at += 1
            return None
        return self.take(axes)

    def flag(self) -> bool:
        """Whether the next number is not 0."""
        return self.take(1)[0] != 0

    def border(self, rank: int, word: str) -> Any:
        """The padding: pairs, or the word that stands for them."""
        numbers = self.take(2 * rank)
        return tuple(zip(numbers[::2], numbers[1::2], strict=True)) if word == "numbers" else word


def plan(request: Request, words: Sequence[int]) -> Plan:
    """The plan of a request; every fault is an `InvalidArgument`."""
    taken, axes = _Words(words), request.rank + 2
    first, second, third = taken.shape(axes), taken.shape(axes), taken.shape(1)
    assert first is not None, f"{request} without an array"
    if request.operator == "conv":
        return _convolution(request, first, second, third, taken)
    if request.operator.startswith("conv"):
        return _gradient(request, first, second, taken)
    if request.operator == "max_pool_grad":
        return _places_gradient(request, first, second, taken)
    return _pool(request, first, taken)


def _convolution(request: Request, x: Shape, w: Shape, b: Shape | None, words: _Words) -> Plan:
    bound, dtype = _bound(request, x, w, b, words), np.dtype(request.dtype)
    activation = "relu" if request.relu else None

    def perform(x: Any, w: Any, b: Any, y: Any) -> None:
        bound.suited(x, w).run(x, w, b, y, activation)

    y = bound.problem.y_shape
    operands = (x, dtype), (w, dtype), None if b is None else (b, dtype), (y, dtype)
    return Plan(perform, operands, y, bound.problem.flops, not bound.guarded)


def _gradient(request: Request, first: Shape, second: Shape, words: _Words) -> Plan:
    result, dtype = words.take(request.rank + 2), np.dtype(request.dtype)
    of_x = request.operator == "conv_input_grad"
    bound = _bound(request, result if of_x else first, second if of_x else result, None, words)
    check_gradient(first if of_x else second, bound.problem)

    def perform(first: Any, second: Any, absent: None, result: Any) -> None:
        bound.suited(first, second).run(first, second, None, result)

    operands = (first, dtype), (second, dtype), None, (result, dtype)
    return Plan(perform, operands, result, bound.problem.flops, not bound.guarded)


def _bound(request: Request, x: Shape, w: Shape, b: Shape | None, words: _Words) -> Bound:
    """The problem of a convolution or gradient, and its method."""
    rank = request.rank
    stride, dilation, border = words.take(rank), words.take(rank), words.border(rank, request.padding)
    (groups,) = words.take(1)
    activation = "relu" if request.relu else None
    options = stride, border, dilation, groups, _layout(request), request.padding_mode, activation, "auto"
    return known(request.operator, rank, x, w, b, np.dtype(request.dtype), options).bound


def _pool(request: Request, first: Shape, words: _Words) -> Plan:
    """A pool, or the gradient of a mean."""
    op, rank, dtype = request.operator, request.rank, np.dtype(request.dtype)
    if op == "global_avg_pool":
        problem = adaptive_of("avg_pool", rank, first, 1, _layout(request), dtype)
        return _of_pool(problem, (first, dtype), None, (problem.y_shape, dtype), divisor=None)
    x = words.take(rank + 2) if op == "avg_pool_grad" else first
    ceil_mode, include, places = words.flag(), words.flag(), words.flag()
    size, stride, dilation = words.take(rank), words.take(rank), words.take(rank)
    border = words.border(rank, request.padding)
    problem = problem_of(op, rank, x, size, stride, border, dilation, ceil_mode, _layout(request), dtype, include)
    if op == "avg_pool_grad":
        check_pool_gradient(_like(first), problem)
        return _of_pool(problem, (first, dtype), None, (x, dtype), divisor=None)
    y = problem.y_shape
    if op == "avg_pool":
        return _of_pool(problem, (x, dtype), None, (y, dtype), divisor=None)
    return _of_pool(problem, (x, dtype), (y, np.dtype(np.int64)) if places else None, (y, dtype))


def _places_gradient(request: Request, dy: Shape, places: Shape, words: _Words) -> Plan:
    """The gradient of a maximum."""
    x, dtype = words.take(request.rank + 2), np.dtype(request.dtype)
    problem = problem_of_gradient("max_pool_grad", _like(dy), x, request.rank, _layout(request), dtype)
    check_shape_of_indices(_like(places), _like(dy))
    return _of_pool(problem, (dy, dtype), (places, np.dtype(np.int64)), (x, dtype))


def _of_pool(problem: PoolProblem, first: Operand, second: Operand | None, result: Operand, **options: Any) -> Plan:
    run = dispatch.operator(problem.op)

    def perform(first: Any, second: Any, absent: None, result: Any) -> None:
        given: list[Any] = [first, result] if second is None else [first, second, result]
        if problem.op == "max_pool":
            given = [first, result, second]
        run(problem, *(None if a is None else _in_space(problem, a) for a in given), **options)

    return Plan(perform, (first, second, None, result), result[0], problem.flops, True)


def _in_space(problem: PoolProblem, a: np.ndarray) -> np.ndarray:
    """An array with three spatial axes."""
    return a.reshape(problem.x_shape3 if a.shape == problem.x_shape else problem.y_shape3)


def _like(shape: Shape) -> np.ndarray:
    """What has a shape, and no memory."""
    return np.broadcast_to(np.int64(0), shape)


def _layout(request: Request) -> str:
    return LAYOUTS[request.rank][request.channels_last]
