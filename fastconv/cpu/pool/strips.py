"""Pools of long axes in strips: tables and scratch of a pool then take some megabytes, however long its axis is.

A strip is a pool of its own whose windows are a part of all (`fastconv.windows`). Inner strips of one problem, and of
problems that differ in length only, have equal rules and share their tables. A strip of an array that is not
C-contiguous is copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...problem import PoolProblem
from ...windows import Rule

LONGEST = 1 << 16  # windows, or elements, of an axis that one table may describe
LEAST = 1 << 12  # of a strip
TOGETHER = 1 << 20  # elements of a strip in all rows, and entries of its tables

Kernel = Callable[..., Any]


class Strip(NamedTuple):
    """One strip along an axis of an array: its outputs, its elements, and the pool of them."""

    axis: int  # 0, 1 or 2, the depth first
    outputs: slice
    elements: slice
    problem: PoolProblem

    def part(self, a: np.ndarray, elements: bool) -> np.ndarray:
        """The strip of an array with three spatial axes: of its elements, or of its outputs."""
        before = self.axis + (1 if self.problem.channels_last else 2)
        return a[(*(slice(None),) * before, self.elements if elements else self.outputs)]


def pool(kernel: Kernel, problem: PoolProblem, x: Any, *results: Any, **options: Any) -> None:
    """``kernel(problem, x, *results, ...)`` in strips of its outputs.

    The results are y and, for maxima, their places or None.
    """
    if max(problem.out) <= LONGEST:
        kernel(problem, x, *results, **options)
        return
    for strip in by_outputs(problem):
        wanted = [None if a is None else strip.part(a, elements=False) for a in results]
        places = [None if a is None else _contiguous(a) for a in wanted]
        pool(kernel, strip.problem, np.ascontiguousarray(strip.part(x, elements=True)), *places, **options)
        for number, (target, place) in enumerate(zip(wanted, places, strict=True)):
            if target is None or place is None:
                continue
            if number == 1:
                _renumber(place, problem, strip)
            if place is not target:
                target[...] = place


def gradient(kernel: Kernel, problem: PoolProblem, *arrays: Any, **options: Any) -> None:
    """``kernel(problem, *arrays, ...)`` in strips of the input: arrays are dy and dx, or dy, x, y and dx."""
    if max(problem.size) <= LONGEST:
        kernel(problem, *arrays, **options)
        return
    for strip in by_elements(problem):
        parts = [strip.part(a, elements=i % 2 == 1) for i, a in enumerate(arrays)]
        place = _contiguous(parts[-1])
        if strip.problem.out[strip.axis] == 0:
            place[...] = 0
        else:
            given = map(np.ascontiguousarray, parts[:-1])
            gradient(kernel, strip.problem, *given, place, **options)
        if place is not parts[-1]:
            parts[-1][...] = place


def typical(problem: PoolProblem) -> PoolProblem:
    """The pool of a strip in the middle; the problem itself if it is not cut in strips."""
    gradient = problem.op.endswith("_grad")
    if max(problem.size if gradient else problem.out) <= LONGEST:
        return problem
    strips = by_elements(problem) if gradient else by_outputs(problem)
    return typical(strips[len(strips) // 2].problem)


def by_outputs(problem: PoolProblem) -> list[Strip]:
    """Strips of the axis with most windows."""
    axis = max(range(3), key=problem.out.__getitem__)
    rule = problem.axes[axis]
    rows = math.prod(problem.x_shape3) // rule.out  # a strip of so many outputs has about so many elements each
    strips = []
    step = max(LEAST, min(LONGEST, TOGETHER // max(1, rows)))
    for first in range(0, rule.out, step):
        part, low, high = rule.outputs(first, min(rule.out, first + step))
        strips.append(Strip(axis, slice(first, first + step), slice(low, high), _with(problem, axis, part)))
    return strips


def by_elements(problem: PoolProblem) -> list[Strip]:
    """Strips of the axis with most elements, each with all windows that reach it."""
    axis = max(range(3), key=problem.size.__getitem__)
    rule = problem.axes[axis]
    held = rule.kernel // rule.stride  # windows that hold an element: a table tells them all
    strips = []
    step = max(LEAST, min(LONGEST, TOGETHER // max(1, held, math.prod(problem.x_shape3) // rule.size)))
    for low in range(0, rule.size, step):
        high = min(rule.size, low + step)
        part, first, end = rule.elements(low, high)
        strips.append(Strip(axis, slice(first, end), slice(low, high), _with(problem, axis, part)))
    return strips


def _with(problem: PoolProblem, axis: int, part: Rule) -> PoolProblem:
    first, second, third = (part if a == axis else rule for a, rule in enumerate(problem.axes))
    return replace(problem, axes=(first, second, third))


def _contiguous(a: np.ndarray) -> np.ndarray:
    """The array if it is C-contiguous, else an empty one in its place."""
    return a if a.flags.c_contiguous else np.empty(a.shape, a.dtype)


def _renumber(indices: np.ndarray, problem: PoolProblem, strip: Strip) -> None:
    """Places in a strip's planes become places in the whole planes; -1, of an empty window, stays."""
    inner, length = math.prod(problem.size[strip.axis + 1 :]), strip.problem.size[strip.axis]
    moved = indices + strip.elements.start * inner
    if math.prod(problem.size[: strip.axis]) > 1:
        moved += indices // (length * inner) * ((problem.size[strip.axis] - length) * inner)
    np.copyto(indices, moved, where=indices >= 0)
