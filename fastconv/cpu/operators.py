"""The three convolution operators on lowered problems; direct and im2col differ in how they sweep one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..borders import fold_border
from ..kept import kept
from . import activation as activations
from .correlate import Sweep, sweep
from .finite import is_finite
from .lowering import (
    Lowered,
    Pairs,
    Shape,
    Strip,
    Triple,
    WeightStrides,
    lower_conv,
    lower_input_grad,
    spatial,
    strips,
    weight_strides,
)
from .nonfinite import sum_apart
from .planar import sweep as planar
from .planar import weight_grad as planar_weights
from .weight_grad import accumulate_weights


class Geometry(NamedTuple):
    """How windows lie on the input, and how arrays lie in memory."""

    stride: Triple
    dilation: Triple
    padding: Pairs
    padding_mode: str
    groups: int
    channels_last: bool

    def kernel(self, w_shape: Shape) -> Triple:
        """(KD, KH, KW) of the weights."""
        d, h, w = w_shape[:3] if self.channels_last else w_shape[2:]
        return d, h, w

    def lower(self, x_shape: Shape, w_shape: Shape, y_shape: Shape) -> Lowered:
        """The convolution of x with w to y as a lowered problem."""
        return lower_conv(
            x_shape, y_shape, self.kernel(w_shape), self.stride, self.dilation, self.padding, self.padding_mode,
            self.groups, self.channels_last,
        )  # fmt: skip


def convolve(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    y: np.ndarray,
    geometry: Geometry,
    activation: Any,
    *,
    unfold: bool,
    prepared: list[np.ndarray] | None = None,
) -> None:
    """Write the convolution of x with w, plus b, through the activation, to y."""
    parts, at = _forward(x.shape, w.shape, y.shape, geometry, x.itemsize, unfold)
    panels = _panels(parts, w, at) if prepared is None else prepared
    _run(parts, panels, x, b, y, relu=activation == "relu")
    if activation is not None and activation != "relu":
        activations.apply(y, activation)


def prepare(w: np.ndarray, x_shape: Shape, y_shape: Shape, geometry: Geometry, *, unfold: bool) -> list[np.ndarray]:
    """The weights as `convolve` needs them."""
    parts, at = _forward(x_shape, w.shape, y_shape, geometry, w.itemsize, unfold)
    return _panels(parts, w, at)


class Part(NamedTuple):
    """A strip of a problem, its engine, and which panels it takes."""

    swept: Sweep | planar.PlanarSweep
    panels: int
    x_start: int
    y_start: int


@kept
def _forward(
    x_shape: Shape, w_shape: Shape, y_shape: Shape, geometry: Geometry, itemsize: int, unfold: bool
) -> tuple[tuple[Part, ...], WeightStrides]:
    """A convolution, lowered and cut, and where its weights lie."""
    at = weight_strides(w_shape, geometry.groups, geometry.channels_last)
    return _parts(geometry.lower(x_shape, w_shape, y_shape), itemsize, unfold), at


def _parts(low: Lowered, itemsize: int, unfold: bool) -> tuple[Part, ...]:
    """The strips of a problem with their engines: equal strips have one, and one form of the weights."""
    engines: dict[int, tuple[int, Sweep | planar.PlanarSweep]] = {}
    found = []
    for strip in strips(low):
        if id(strip.low) not in engines:
            engines[id(strip.low)] = len(engines), _sweep(strip.low, itemsize, unfold)
        number, swept = engines[id(strip.low)]
        found.append(Part(swept, number, strip.x_start, strip.y_start))
    return tuple(found)


def _panels(parts: tuple[Part, ...], w: np.ndarray, at: WeightStrides) -> list[np.ndarray]:
    """The weights as each engine needs them."""
    return [swept.panels(w, at) for swept in {part.panels: part.swept for part in parts}.values()]


def _run(
    parts: tuple[Part, ...], panels: list[np.ndarray], x: np.ndarray, b: np.ndarray | None, y: np.ndarray, relu: bool
) -> None:
    for swept, number, x_start, y_start in parts:
        swept.run(x.reshape(-1)[x_start:], panels[number], b, y.reshape(-1)[y_start:], relu=relu)


def _sweep(low: Lowered, itemsize: int, unfold: bool) -> Sweep | planar.PlanarSweep:
    """The engine of a lowered problem: lanes of output channels, or planar where they would idle."""
    return (None if unfold else planar.plan(low, itemsize)) or sweep(low, itemsize, unfold)


def input_grad(dy: np.ndarray, w: np.ndarray, dx: np.ndarray, geometry: Geometry, *, unfold: bool) -> None:
    """Write the gradient to the input to dx: per phase of the stride a convolution of dy with the taps that meet it."""
    padding, groups, last = geometry.padding, geometry.groups, geometry.channels_last
    if geometry.padding_mode != "zeros" and any(map(any, padding)):
        size = tuple(n + sum(p) for n, p in zip(spatial(dx.shape, last), padding, strict=True))
        padded = np.empty((dx.shape[0], *size, dx.shape[4]) if last else (*dx.shape[:2], *size), dx.dtype)
        inside = geometry._replace(padding=((0, 0), (0, 0), (0, 0)), padding_mode="zeros")
        input_grad(dy, w, padded, inside, unfold=unfold)
        fold_border(padded, dx, padding, geometry.padding_mode, 1 if last else 2)
        return
    at = weight_strides(w.shape, groups, last, transposed=True)
    phases, whole, fills = _backward(dy.shape, w.shape, dx.shape, geometry, dy.itemsize, unfold)
    if not whole:
        dx[...] = 0

    def run(dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
        for parts in phases:
            _run(parts, _panels(parts, w, at), dy, None, dx, relu=False)

    if fills and not is_finite(w):
        sum_apart(run, dy, w, dx)
    else:
        run(dy, w, dx)


@kept
def _backward(
    dy_shape: Shape, w_shape: Shape, dx_shape: Shape, geometry: Geometry, itemsize: int, unfold: bool
) -> tuple[tuple[tuple[Part, ...], ...], bool, bool]:
    """The phases of a gradient to the input that some tap meets; whether these are all; whether any reads zeros."""
    problems = lower_input_grad(
        dy_shape, dx_shape, geometry.kernel(w_shape), geometry.stride, geometry.dilation, geometry.padding,
        geometry.groups, geometry.channels_last,
    )  # fmt: skip
    met = [low for low in problems if len(low.taps)]
    parts = tuple(_parts(low, itemsize, unfold) for low in met)
    return parts, len(met) == len(problems), any(low.fills for low in problems)


def weight_grad(x: np.ndarray, dy: np.ndarray, dw: np.ndarray, geometry: Geometry, *, unfold: bool) -> None:
    """Write the gradient to the weights to dw."""
    at = weight_strides(dw.shape, geometry.groups, geometry.channels_last)
    for i, (low, x_start, y_start) in enumerate(_weight_strips(x.shape, dw.shape, dy.shape, geometry)):
        part = dw if i == 0 else np.empty_like(dw)
        given = x.reshape(-1)[x_start:], dy.reshape(-1)[y_start:], part, at
        cut = None if unfold else planar_weights.plan(low, x.itemsize)
        if cut is None or not planar_weights.accumulate_planar(cut, low, *given):
            accumulate_weights(low, *given, unfold=unfold)
        if i > 0:
            dw += part


@kept
def _weight_strips(x_shape: Shape, w_shape: Shape, y_shape: Shape, geometry: Geometry) -> tuple[Strip, ...]:
    """A gradient to the weights in strips, to be added up."""
    return strips(geometry.lower(x_shape, w_shape, y_shape))
