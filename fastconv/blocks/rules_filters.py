"""How the filters of ``scipy.ndimage``'s kind are cut: how far an output sees, from a filter's own arguments.

A block is filtered by the function itself, in the mode it was given: at an edge of the array that is right, and what is
wrong at the other edges of the block is cut off. Only "wrap" needs elements from the other end of the array.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from .operations import Operation, rule, same_size
from .reach import CUT

WRAPPED = ("wrap", "grid-wrap")
OF_TERMS = (
    "gaussian_laplace",
    "gaussian_gradient_magnitude",
)  # a sum over axes, each in its own mode along all of them
Depth = Callable[[dict[str, Any], int], Sequence[int]]  # of each axis that is filtered, from arguments and their number


def _filter(*names: str) -> Callable[[Depth], Depth]:
    """Let a function say how far these filters see; use as a decorator."""

    def register(depth: Depth) -> Depth:
        def cut(function: Any, x: Any, *args: Any, **keywords: Any) -> Operation:
            ndim, given = len(x.shape), _arguments(function, x, *args, **keywords)
            if given.get("output") is not None and hasattr(given["output"], "shape"):
                raise InvalidArgument("output is an array; give it as out=, block by block it is written to")
            axes = _axes(given, ndim)
            wrapped = {mode in WRAPPED for mode in _each(given.get("mode"), len(axes))}
            if len(wrapped) > 1 and function.__name__ in OF_TERMS:
                raise InvalidArgument(
                    f"mode is {shown(given['mode'])}: {function.__name__} applies each of them along all axes in turn; "
                    "block by block give one mode, or none that wraps"
                )
            depths, modes = [0] * ndim, [CUT] * ndim
            for axis, far, mode in zip(axes, depth(given, len(axes)), _each(given.get("mode"), len(axes)), strict=True):
                depths[axis] = far
                modes[axis] = "wrap" if mode in WRAPPED else CUT
            pairs = [(far, far) for far in depths]
            return same_size(lambda block: function(block, *args, **keywords), x.shape, pairs, modes)

        rule("ndimage", *names)(cut)
        return depth

    return register


@_filter("gaussian_filter", "gaussian_filter1d", "gaussian_laplace", "gaussian_gradient_magnitude")
def _gaussian(given: dict[str, Any], count: int) -> Sequence[int]:
    sigmas, radii = _each(given["sigma"], count), _each(given.get("radius"), count)
    truncate = float(given.get("truncate", 4.0))
    return [int(truncate * float(s) + 0.5) if r is None else int(r) for s, r in zip(sigmas, radii, strict=True)]


@_filter("sobel", "prewitt", "laplace")
def _neighbours(given: dict[str, Any], count: int) -> Sequence[int]:
    return [1] * count


@_filter("convolve", "correlate", "convolve1d", "correlate1d")
def _weights(given: dict[str, Any], count: int) -> Sequence[int]:
    return _windows(np.shape(given["weights"]), given, count)


@_filter("uniform_filter", "uniform_filter1d", "maximum_filter1d", "minimum_filter1d")
def _sizes(given: dict[str, Any], count: int) -> Sequence[int]:
    return _windows(_each(given["size"], count), given, count)


@_filter(
    "maximum_filter", "minimum_filter", "median_filter", "rank_filter", "percentile_filter", "grey_erosion",
    "grey_dilation",
)  # fmt: skip
def _footprints(given: dict[str, Any], count: int) -> Sequence[int]:
    for name in ("structure", "footprint"):
        if given.get(name) is not None:
            return _windows(np.shape(given[name]), given, count)
    return _windows(_each(given["size"], count), given, count)


def _windows(sizes: Sequence[Any], given: dict[str, Any], count: int) -> list[int]:
    """Half of each window, and as much more as `origin` moves it."""
    if len(sizes) != count:
        raise InvalidArgument(f"the window has {len(sizes)} axes; expected {count}, one for each that is filtered")
    origins = _each(given.get("origin", 0), count)
    return [int(size) // 2 + abs(int(origin)) for size, origin in zip(sizes, origins, strict=True)]


def _arguments(function: Any, x: Any, *args: Any, **keywords: Any) -> dict[str, Any]:
    """All arguments by name, those that a filter passes on among them."""
    bound = inspect.signature(function).bind(x, *args, **keywords)
    bound.apply_defaults()
    given = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            given |= given.pop(parameter.name)
    return given


def _axes(given: dict[str, Any], ndim: int) -> list[int]:
    """The axes that are filtered: the one of a filter of one axis, but an edge filter smooths along all others too."""
    if given.get("axis") is not None and {"sigma", "weights", "size"} & set(given):
        return [int(given["axis"]) % ndim]
    axes = given.get("axes")
    return list(range(ndim)) if axes is None else [int(a) % ndim for a in np.atleast_1d(axes)]


def _each(value: Any, count: int) -> list[Any]:
    """One value for each axis."""
    if value is None or isinstance(value, str) or not np.iterable(value):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise InvalidArgument(f"{shown(value)} has {len(values)} values; expected one, or {count}")
    return values
