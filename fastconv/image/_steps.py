"""How a bank of filters is run: which of them by one convolution, which by passes, by the time that is expected.

    together  y[m] = x * w[m]                     one convolution: an image is transformed once for all filters
    passes    y[m] = (x * column[m]) * row[m]     a filter that is an outer product, one axis after the other

Filters of different sizes are one convolution where their common size, zeros filled in, costs less than another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .. import dispatch, ops
from ..ops._separable import factors
from ..spec import known_problem

CONV: dict[int, Callable[..., Any]] = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}
LEAST = 9  # taps of a filter below which factors are of no use

Padding = tuple[tuple[int, int], ...]


class Filter(NamedTuple):
    """One real filter of a bank: its number, its taps, and how many of them lie before its centre on each axis."""

    number: int
    taps: np.ndarray
    before: tuple[int, ...]

    @property
    def padding(self) -> Padding:
        """The border that keeps an image's size."""
        return tuple((b, k - 1 - b) for b, k in zip(self.before, self.taps.shape, strict=True))


class Step(NamedTuple):
    """What makes some channels of the result: convolutions, one after the other."""

    numbers: tuple[int, ...]
    filters: tuple[np.ndarray, ...]  # (O, 1, taps) each
    paddings: tuple[Padding, ...]

    def run(self, x: np.ndarray, mode: str, cval: float, y: np.ndarray) -> None:
        """Write the channels of y (M, N, ...) made of x (N, 1, ...)."""
        rank, paddings, channels = x.ndim - 2, self.paddings, list(self.numbers)
        if cval:  # kernels have borders of zeros only
            x = np.pad(x, ((0, 0), (0, 0), *np.sum(paddings, axis=0)), constant_values=cval)
            paddings = (((0, 0),) * rank,) * len(paddings)
        for w, padding in zip(self.filters[:-1], paddings, strict=False):
            x = CONV[rank](x, w, padding=padding, padding_mode=mode)
        options: dict[str, Any] = {"padding": paddings[-1], "padding_mode": mode}
        if x.shape[0] == 1 and channels == list(range(channels[0], channels[-1] + 1)):  # neighbours: written there
            out = y[channels[0] : channels[-1] + 1].swapaxes(0, 1)
            CONV[rank](x, self.filters[-1], out=out, **options)
        else:
            y[channels] = CONV[rank](x, self.filters[-1], **options).swapaxes(0, 1)

    def seconds(self, x_shape: tuple[int, ...], mode: str) -> float:
        """How long it is expected to take."""
        return sum(
            _predicted(x_shape, w.shape, padding, mode, w.dtype)
            for w, padding in zip(self.filters, self.paddings, strict=True)
        )


def steps_for(filters: Sequence[Filter], x_shape: tuple[int, ...], mode: str, dtype: np.dtype) -> list[Step]:
    """The steps for images (N, 1, ...), computed in a dtype, that are expected to take the least time."""
    apart = {f.number: passes for f in filters if (passes := _passes(f, dtype)) is not None}
    whole = _together(filters, x_shape, mode, dtype)
    if not apart:
        return whole
    rest = [f for f in filters if f.number not in apart]
    mixed = [*_together(rest, x_shape, mode, dtype), *apart.values()]
    return min((whole, mixed), key=lambda steps: sum(step.seconds(x_shape, mode) for step in steps))


def _passes(f: Filter, dtype: np.dtype) -> Step | None:
    """A filter that is an outer product, one axis after the other."""
    if f.taps.ndim < 2 or f.taps.size < LEAST or (found := factors(f.taps)) is None:
        return None
    rank = f.taps.ndim
    shapes = [[k if a == axis else 1 for a in range(rank)] for axis, k in enumerate(f.taps.shape)]
    ends = [tuple(p if a == axis else (0, 0) for a in range(rank)) for axis, p in enumerate(f.padding)]
    vectors = tuple(v.reshape(1, 1, *shape).astype(dtype) for v, shape in zip(found, shapes, strict=True))
    return Step((f.number,), vectors, tuple(ends))


def _together(filters: Sequence[Filter], x_shape: tuple[int, ...], mode: str, dtype: np.dtype) -> list[Step]:
    """Filters of one size as one convolution, and sizes joined, the smallest first, where that is expected to gain."""
    sizes: dict[Any, list[Filter]] = {}
    for f in filters:
        sizes.setdefault((f.taps.size, f.padding), []).append(f)
    steps: list[Step] = []
    for key in sorted(sizes):
        steps.append(_joined([sizes[key]], dtype))
        groups = [sizes[key]]
        while len(steps) > 1:
            groups = [*groups, [f for f in filters if f.number in steps[-2].numbers]]
            joined = _joined(groups, dtype)
            if joined.seconds(x_shape, mode) >= sum(step.seconds(x_shape, mode) for step in steps[-2:]):
                break
            steps[-2:] = [joined]
    return steps


def _joined(groups: Sequence[Sequence[Filter]], dtype: np.dtype) -> Step:
    """One convolution with filters of different sizes, their centres at one place."""
    filters = sorted((f for group in groups for f in group), key=lambda f: f.number)
    padding = tuple(
        (max(b for b, _ in ends), max(a for _, a in ends)) for ends in zip(*(f.padding for f in filters), strict=True)
    )
    w = np.zeros((len(filters), 1, *(b + a + 1 for b, a in padding)), dtype)
    for o, f in enumerate(filters):
        at = tuple(slice(b - own, b - own + k) for (b, _), own, k in zip(padding, f.before, f.taps.shape, strict=True))
        w[o, 0][at] = f.taps
    return Step(tuple(f.number for f in filters), (w,), (padding,))


@lru_cache(maxsize=1024)
def _predicted(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], padding: Padding, mode: str, dtype: np.dtype
) -> float:
    rank = len(w_shape) - 2
    problem = known_problem("conv", x_shape, w_shape, None, rank, 1, padding, 1, 1, None, mode, dtype)
    return dispatch.predict(problem, dispatch.choose_method(problem))  # type: ignore[arg-type]
