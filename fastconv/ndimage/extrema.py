"""Maxima and minima of windows, and grey erosion and dilation, which are those with weights."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import dispatch
from ..kept import kept
from . import _general
from ._arguments import NATIVE, as_c, before, each, make_output, read, read_axes, read_axis, read_mode, read_size
from ._run import filtered
from ._scipy import Refused, in_place_of_scipy
from .linear import expanded, read_constant
from .smoothing import box_steps, run_passes


@in_place_of_scipy
def maximum_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Any:
    """Max."""
    return _along("max", read(input), size, axis, output, mode, cval, origin)


@in_place_of_scipy
def minimum_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> Any:
    """Min."""
    return _along("min", read(input), size, axis, output, mode, cval, origin)


def _along(
    kind: str, x: np.ndarray, size: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any
) -> np.ndarray:
    if x.dtype.kind == "c":
        raise Refused
    length = read_size(size)
    step = kind, read_axis(axis, x.ndim), length, before(length, origin), read_mode(mode)
    return run_passes((step,), x, make_output(output, x), cval)


@in_place_of_scipy
def maximum_filter(
    input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Max."""
    return extremes("max", read(input), size, footprint, None, output, mode, cval, origin, axes)


@in_place_of_scipy
def minimum_filter(
    input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Min."""
    return extremes("min", read(input), size, footprint, None, output, mode, cval, origin, axes)


@in_place_of_scipy
def grey_erosion(
    input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
    mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Erosion."""
    if size is None and footprint is None and structure is None:
        raise Refused
    return extremes("min", read(input), size, footprint, structure, output, mode, cval, origin, axes)


@in_place_of_scipy
def grey_dilation(
    input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
    mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None,
) -> Any:  # fmt: skip
    """Dilation."""
    x = read(input)
    structure, footprint = (None if a is None else _turned(np.asarray(a)) for a in (structure, footprint))
    count = len(read_axes(axes, x.ndim))
    shape = next((a.shape for a in (footprint, structure) if a is not None), None)
    sizes = each(size, count) if shape is None else shape
    if len(sizes) < count or sizes[0] is None:
        raise Refused
    origins = [-o - (int(n) + 1) % 2 for o, n in zip(each(origin, count), sizes, strict=False)]
    return extremes("max", x, size, footprint, structure, output, mode, cval, origins, axes)


def _turned(a: np.ndarray) -> np.ndarray:
    return a[(slice(None, None, -1),) * a.ndim]


def extremes(
    kind: str, x: np.ndarray, size: Any, footprint: Any, structure: Any, output: Any, mode: Any, cval: Any,
    origin: Any, axes: Any, level: int = 5,
) -> np.ndarray:  # fmt: skip
    """The "max" or "min" of a box, a footprint or a structure; warnings belong `level` calls up."""
    if x.dtype.kind == "c":
        raise Refused
    if size is not None and footprint is not None:
        warnings.warn("ignoring size because footprint is set", UserWarning, stacklevel=level)
    if structure is None:
        if footprint is None:
            if size is None:
                raise Refused
            steps = box_steps(kind, x.ndim, size, mode, origin, axes)
            return run_passes(steps, x, make_output(output, x, level=level + 1), cval)
        footprint = np.asarray(footprint, dtype=bool)
        if not footprint.any():
            raise Refused
        if footprint.all():
            steps = box_steps(kind, x.ndim, footprint.shape, mode, origin, axes)
            return run_passes(steps, x, make_output(output, x, level=level + 1), cval)
        weights = np.zeros(footprint.shape)
    else:
        weights = np.ascontiguousarray(structure, np.float64)
        footprint = np.ones(weights.shape, bool) if footprint is None else np.asarray(footprint, dtype=bool)
        if kind == "min":
            weights = -weights
    return _by_form(kind, x, footprint, weights, make_output(output, x, level=level + 1), mode, cval, origin, axes)


def _by_form(
    kind: str, x: np.ndarray, footprint: np.ndarray, weights: np.ndarray, y: np.ndarray, mode: Any, cval: Any,
    origin: Any, axes: Any,
) -> np.ndarray:  # fmt: skip
    mode, axes = read_mode(mode), read_axes(axes, x.ndim)
    if not footprint.shape == weights.shape or footprint.ndim != len(axes) or not footprint.any():
        raise Refused
    weights, origins = expanded(weights, each(origin, len(axes)), axes, x.ndim)
    shape, fronts = weights.shape, tuple(before(n, o) for n, o in zip(weights.shape, origins, strict=True))
    key = footprint.tobytes(), weights.tobytes(), shape, fronts, mode

    def general(x: np.ndarray, y: np.ndarray, cval: Any) -> None:
        places = np.flatnonzero(footprint)
        _general.run_window(
            kind, window_axes(x.shape, shape, fronts, mode), places, weights.reshape(-1)[places], x, y, cval
        )

    cval = read_constant(cval)
    if x.dtype.char in NATIVE:
        cval = float(as_c(cval, NATIVE[x.dtype.char]))
    return filtered(partial(_form, kind, *key), x, y, cval, general)


@kept
def _form(
    kind: str, footprint: bytes, weights: bytes, size: tuple[int, ...], fronts: tuple[int, ...], mode: str,
    shape: tuple[int, ...], x_dtype: np.dtype, y_dtype: np.dtype,
) -> Any:  # fmt: skip
    places = np.flatnonzero(np.frombuffer(footprint, bool))
    taps = np.frombuffer(weights)[places]
    taps[1:] = [as_c(weight, x_dtype) for weight in taps[1:].tolist()]  # SciPy adds the first in float64
    axes = window_axes(shape, size, fronts, mode)
    return dispatch.operator("filter_window")(kind, axes, places, taps, x_dtype, y_dtype)


def window_axes(
    shape: tuple[int, ...], size: tuple[int, ...], fronts: Sequence[int], mode: str
) -> list[tuple[int, int, int, str]]:
    """For each axis its length, and the window's with what of it is in front."""
    return [(n, k, front, mode) for n, k, front in zip(shape, size, fronts, strict=True)]
