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
from ...windows import Windows

LONGEST = 1 << 16  # windows, or elements, of an axis that one table may describe
LEAST = 1 << 12  # of a strip
TOGETHER = 1 << 20  # elements of a strip in all rows, and entries of its tables

Kernel = Callable[..., Any]


class Strip(NamedTuple):
    """One strip along an axis of an array: its outputs, its elements, and its windows."""

    axis: int  # 0, 1 or 2, the depth first
    outputs: slice
    elements: slice
    windows: Windows


def pool(kernel: Kernel, problem: PoolProblem, x: Any, *results: Any, **options: Any) -> None:
    """``kernel(problem, x, *results, ...)`` in strips of its outputs.

    The results are y and, for maxima, their places or None.
    """
    strips, last = _by_outputs(problem.axes, x), problem.channels_last
    if not strips:
        kernel(problem, x, *results, **options)
    for strip in strips:
        part = np.ascontiguousarray(_part(x, strip.axis, strip.elements, last))
        wanted = [None if a is None else _part(a, strip.axis, strip.outputs, last) for a in results]
        places = [None if a is None else _contiguous(a) for a in wanted]
        pool(kernel, replace(problem, axes=strip.windows), part, *places, **options)
        for number, (target, place) in enumerate(zip(wanted, places, strict=True)):
            if target is None or place is None:
                continue
            if number == 1:
                _renumber(place, _size(part, last), _size(x, last), strip)
            if place is not target:
                target[...] = place


def gradient(kernel: Kernel, problem: PoolProblem, *arrays: Any, **options: Any) -> None:
    """``kernel(problem, *arrays, ...)`` in strips of the input: arrays are dy and dx, or dy, x, y and dx."""
    strips, last = _by_elements(problem.axes, arrays[-1]), problem.channels_last
    if not strips:
        kernel(problem, *arrays, **options)
    for strip in strips:
        parts = [_part(a, strip.axis, (strip.outputs, strip.elements)[i % 2], last) for i, a in enumerate(arrays)]
        place = _contiguous(parts[-1])
        if strip.windows[strip.axis].out == 0:
            place[...] = 0
        else:
            given = map(np.ascontiguousarray, parts[:-1])
            gradient(kernel, replace(problem, axes=strip.windows), *given, place, **options)
        if place is not parts[-1]:
            parts[-1][...] = place


def _by_outputs(windows: Windows, x: np.ndarray) -> list[Strip]:
    """Strips of the axis with most windows, none if these are few enough."""
    axis = max(range(3), key=lambda a: windows[a].out)
    rule = windows[axis]
    if rule.out <= LONGEST:
        return []
    rows = x.size // rule.out  # a strip of so many outputs has about so many elements each
    strips = []
    step = max(LEAST, min(LONGEST, TOGETHER // max(1, rows)))
    for first in range(0, rule.out, step):
        part, low, high = rule.outputs(first, min(rule.out, first + step))
        strips.append(Strip(axis, slice(first, first + step), slice(low, high), _with(windows, axis, part)))
    return strips


def _by_elements(windows: Windows, dx: np.ndarray) -> list[Strip]:
    """Strips of the axis with most elements, each with all windows that reach it; none if these are few enough."""
    axis = max(range(3), key=lambda a: windows[a].size)
    rule = windows[axis]
    if rule.size <= LONGEST:
        return []
    held = rule.kernel // rule.stride  # windows that hold an element: a table tells them all
    strips = []
    step = max(LEAST, min(LONGEST, TOGETHER // max(1, held, dx.size // rule.size)))
    for low in range(0, rule.size, step):
        high = min(rule.size, low + step)
        part, first, end = rule.elements(low, high)
        strips.append(Strip(axis, slice(first, end), slice(low, high), _with(windows, axis, part)))
    return strips


def _with(windows: Windows, axis: int, part: Any) -> Windows:
    return tuple(part if a == axis else rule for a, rule in enumerate(windows))  # type: ignore[return-value]


def _part(a: np.ndarray, axis: int, part: slice, last: bool) -> np.ndarray:
    """A part of an array with three spatial axes along one of them."""
    return a[(*(slice(None),) * (axis + (1 if last else 2)), part)]


def _contiguous(a: np.ndarray) -> np.ndarray:
    """The array if it is C-contiguous, else an empty one in its place."""
    return a if a.flags.c_contiguous else np.empty(a.shape, a.dtype)


def _size(a: np.ndarray, last: bool) -> tuple[int, ...]:
    return a.shape[1:4] if last else a.shape[2:]


def _renumber(indices: np.ndarray, part: tuple[int, ...], whole: tuple[int, ...], strip: Strip) -> None:
    """Places in a strip's planes become places in the whole planes; -1, of an empty window, stays."""
    inner, length = math.prod(part[strip.axis + 1 :]), part[strip.axis]
    moved = indices + strip.elements.start * inner
    if math.prod(part[: strip.axis]) > 1:
        moved += indices // (length * inner) * ((whole[strip.axis] - length) * inner)
    np.copyto(indices, moved, where=indices >= 0)
