"""Strided windows of device arrays: what an index, a broadcast or a new order of axes makes of an array's addresses.

Nothing is copied here and no kernel runs: a window is the array's memory, a shape, and the step along each axis, all
in elements. Device arrays themselves are C-contiguous; `arithmetic.apply` reads and writes any window.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...errors import Unsupported

MOST_AXES = 6


class Window(NamedTuple):
    """Elements ``start + sum(i * step)`` of a device array's memory."""

    handle: Any
    shape: tuple[int, ...]
    steps: tuple[int, ...]
    start: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """True if the elements lie in C order without a gap."""
        return self.size == 0 or all(
            n == 1 or step == expected
            for n, step, expected in zip(self.shape, self.steps, c_steps(self.shape), strict=True)
        )


def c_steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The steps of a C-contiguous array."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= n
    return tuple(reversed(steps))


def whole(handle: Any) -> Window:
    """All of a device array."""
    shape = tuple(handle.shape)
    return Window(handle, shape, c_steps(shape))


def indexed(window: Window, index: Any) -> Window:
    """``window[index]`` for integers, slices, None and Ellipsis."""
    index = _complete(index if isinstance(index, tuple) else (index,), len(window.shape))
    shape, steps, start, axis = [], [], window.start, 0
    for part in index:
        if part is None:
            shape.append(1)
            steps.append(0)
            continue
        n, step = window.shape[axis], window.steps[axis]
        if isinstance(part, slice):
            first, last, stride = part.indices(n)
            count = len(range(first, last, stride))
            shape.append(count)
            steps.append(step * stride)
            start += first * step if count else 0
        else:
            at = int(part)
            if not -n <= at < n:
                raise IndexError(f"index {at} is out of bounds for axis {axis} with size {n}")
            start += at % n * step
        axis += 1
    return Window(window.handle, tuple(shape), tuple(steps), start)


def _complete(index: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """The index with a part for every axis."""
    for part in index:
        if not (part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer))) or isinstance(
            part, bool
        ):
            raise Unsupported(
                f"device arrays are indexed by integers, slices, None and ...; not by {type(part).__name__}: "
                f"take .numpy() first"
            )
    used = sum(part is not None and part is not Ellipsis for part in index)
    if used > ndim or index.count(Ellipsis) > 1:
        raise IndexError(f"too many indices: the array has {ndim} axes and {used} were indexed")
    at = index.index(Ellipsis) if Ellipsis in index else len(index)
    return (*index[:at], *(slice(None),) * (ndim - used), *index[at + 1 :])


def broadcast(window: Window, shape: tuple[int, ...]) -> Window:
    """The window repeated along new axes and axes of one element."""
    missing = len(shape) - len(window.shape)
    own = (1,) * missing + window.shape
    if missing < 0 or any(n not in (1, m) for n, m in zip(own, shape, strict=True)):
        raise ValueError(f"an array of shape {window.shape} cannot be broadcast to {shape}")
    steps = tuple(0 if n == 1 else step for n, step in zip(own, (0,) * missing + window.steps, strict=True))
    return window._replace(shape=shape, steps=steps)


def permuted(window: Window, axes: tuple[int, ...]) -> Window:
    """The axes in another order."""
    return window._replace(shape=tuple(window.shape[a] for a in axes), steps=tuple(window.steps[a] for a in axes))


def collapsed(shape: tuple[int, ...], steps: list[tuple[int, ...]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The fewest axes that visit the same elements in the same order, innermost first; `steps`: of each operand.

    Two axes become one where in every operand a step along the outer equals a whole run along the inner.
    """
    sizes: list[int] = []
    columns: list[tuple[int, ...]] = []  # of each axis the steps of all operands
    for n, column in zip(reversed(shape), list(zip(*steps, strict=True))[::-1], strict=True):
        if n == 1:
            continue
        if sizes and all(outer == inner * sizes[-1] for outer, inner in zip(column, columns[-1], strict=True)):
            sizes[-1] *= n
        else:
            sizes.append(n)
            columns.append(column)
    if not sizes:
        sizes, columns = [1], [(0,) * len(steps)]
    if len(sizes) > MOST_AXES:
        raise Unsupported(f"an array of shape {shape} is cut along {len(sizes)} axes; at most {MOST_AXES} are served")
    return tuple(sizes), [tuple(column[k] for column in columns) for k in range(len(steps))]
